//! Calls that a server makes by TLS: to addresses, by trunks and to phones that registered; and to those who do not
//! prove who they are, who hear nothing, in the clear least of all.

#![allow(clippy::unwrap_used)]

mod tls_phone;

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::{Answer, Origin, Server, hears, until};
use sim::Phone;
use sip::{Message, Start};
use tempfile::TempDir;
use tls_phone::certificates::{Authority, EXPIRED, HOLDS};
use tls_phone::{Manner, PORT, TLS_PORT, TlsPhone, own_ip};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// What the phone that is called by TLS says, and what its partner says.
const CALLED: u32 = 500;
const PARTNER: u32 = 700;
/// How long a call may take that cannot come about at once, on a busy machine; SIP itself would wait for 32 s.
const SOON: Duration = Duration::from_secs(15);
/// How long one may take whose far end says nothing: the server's 10 s for a connection, and more for a busy machine.
const BOUNDED: Duration = Duration::from_secs(25);
const TWIML: &str = "<Response><Pause length='600'/></Response>";
const OURS: &str = "+14155550100";
const BOSTON: &str = "+16175550100";

/// A server that trusts an authority, and what it is told by files.
struct House {
    server: Server,
    authority: Authority,
    _files: TempDir,
}

impl House {
    /// Starts a server for development.
    async fn open(flags: &[&str]) -> Self {
        let (files, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
        let trusted = authority.written(files.path()).display().to_string();
        let tls = ["--sip-tls", "127.0.0.1:0", "--sip-tls-ca-file", &trusted, "--log", "info"];
        let server = Server::start(&[&tls[..], flags].concat()).await;
        Self { server, authority, _files: files }
    }

    /// Starts a phone that shows a good certificate at an address of its own, at SIP's usual ports.
    async fn phone(&self, manner: Manner) -> TlsPhone {
        let ip = own_ip();
        let shown = self.authority.vouch(&ip.to_string(), HOLDS);
        TlsPhone::listen((ip, TLS_PORT).into(), shown, manner, CALLED).await
    }

    async fn made(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let made = self.server.post(path, form).await;
        assert_eq!(made.status, 201, "{path} {form:?}: {made:?}");
        made
    }

    /// Calls, and returns the call's SID.
    async fn call(&self, to: &str) -> String {
        let form = [("To", to), ("From", "us"), ("Twiml", TWIML)];
        self.made("/Calls.json", &form).await.text("sid")
    }

    async fn comes_to(&self, call: &str, status: &str) {
        let path = format!("/Calls/{call}.json");
        until(&format!("{call} is {status}"), async || {
            self.server.get(&path).await.text("status") == status
        })
        .await;
    }

    /// Waits until a call has failed, and that its log and the server's say why: each of these words.
    async fn fails_for(&self, call: &str, code: &str, words: &[&str]) {
        self.comes_to(call, "failed").await;
        let path = format!("/Calls/{call}/Notifications.json");
        let log = self.server.get(&path).await.body["notifications"].clone();
        let told = log[0]["message_text"].as_str().unwrap_or_default();
        assert_eq!(log[0]["error_code"], code, "{log}");
        let server = self.server.log();
        for word in words {
            assert!(told.contains(word), "{word} is not in {told}");
        }
        let is_why = |line: &&str| line.contains(call) && line.contains("WARN");
        assert!(server.lines().any(|line| is_why(&line)), "{server}");
    }

    /// Waits until nothing of SIP is open any more.
    async fn is_at_rest(&self) {
        until("nothing is open", async || {
            let (_, metrics) = self.server.admin("/metrics").await;
            let none = |name: &str| metrics.contains(&format!("\nsidetone_{name} 0\n"));
            none("sip_dialogs") && none("sip_transactions")
        })
        .await;
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.server.log());
        }
    }
}

/// Looks whether all that came to a phone came by one connection, and said that TLS was meant.
fn came_by_one_connection(phone: &TlsPhone) {
    let all: Vec<(SocketAddr, Message)> =
        ["INVITE", "ACK", "BYE"].iter().flat_map(|method| phone.requests(method)).collect();
    let by: Vec<SocketAddr> = all.iter().map(|(by, _)| *by).collect();
    assert!(by.windows(2).all(|two| two[0] == two[1]), "{by:?}");
    for (_, message) in &all {
        let via = message.header("Via").unwrap();
        assert!(via.starts_with("SIP/2.0/TLS "), "{via}");
    }
    assert_eq!(phone.plain(), [""; 0], "something came in the clear");
}

fn offer(phone: &TlsPhone) -> (String, String, String) {
    let (_, invite) = phone.requests("INVITE").remove(0);
    let Start::Request { uri, .. } = &invite.start else { panic!("a request") };
    let contact = invite.header("Contact").unwrap().to_owned();
    (uri.clone(), contact, String::from_utf8(invite.body.clone()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_is_called_at_a_sips_address_and_its_end_goes_by_the_same_connection() {
    let house = House::open(&[]).await;
    let phone = house.phone(Manner::Encrypts).await;
    let partner = Phone::call(house.server.sip(), "room", sim::tone(PARTNER)).unwrap();
    let to = format!("sips:bob@{}", phone.address.ip());
    let form = [("To", to.as_str()), ("From", "us"), ("Beep", "false")];
    let made = house.made("/Conferences/room/Participants.json", &form).await;
    phone.hears(PARTNER).await;
    hears(&partner, CALLED, true).await;
    let (uri, contact, offered) = offer(&phone);
    assert_eq!(uri, to);
    assert!(contact.starts_with("<sips:"), "{contact}");
    // By TLS keys are offered to who may do without them, as RFC 8643 has it.
    assert!(offered.contains("RTP/AVP") && phone.is_encrypted(), "{offered}");
    let (room, call) = (made.text("conference_sid"), made.text("call_sid"));
    let left = format!("/Conferences/{room}/Participants/{call}.json");
    assert_eq!(house.server.delete(&left).await.status, 204);
    until("the phone is told of the end", async || phone.is_over()).await;
    came_by_one_connection(&phone);
    assert_eq!((phone.requests("BYE").len(), phone.agreed()), (1, 1));
    drop(partner);
    house.is_at_rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_a_name_by_tls_is_up_and_hung_up_by_the_phone() {
    let house = House::open(&[]).await;
    let shown = house.authority.vouch("localhost", HOLDS);
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let phone = TlsPhone::listen(anywhere, shown, Manner::Encrypts, CALLED).await;
    let partner = Phone::call(house.server.sip(), "room", sim::tone(PARTNER)).unwrap();
    let to = format!("sip:bob@localhost:{};transport=tls", phone.address.port());
    let twiml = "<Response><Dial><Conference beep='false'>room</Conference></Dial></Response>";
    let form = [("To", to.as_str()), ("From", "us"), ("Twiml", twiml)];
    let call = house.made("/Calls.json", &form).await.text("sid");
    phone.hears(PARTNER).await;
    hears(&partner, CALLED, true).await;
    let (_, contact, _) = offer(&phone);
    assert!(contact.starts_with("<sip:") && contact.contains("transport=tls"), "{contact}");
    phone.hang_up();
    house.comes_to(&call, "completed").await;
    came_by_one_connection(&phone);
    // The address has that name no more than the certificate says: another call asks for its own proof.
    let call = house.call(&format!("sips:bob@{}", phone.address)).await;
    house.fails_for(&call, "32011", &["127.0.0.1", "localhost"]).await;
    assert_eq!(phone.requests("INVITE").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_goes_by_tls_where_it_says_sips_or_secure_and_with_srtp_alone_if_secure() {
    let origin = Origin::start().await;
    let house = House::open(&["--voice-url", &origin.url("/voice")]).await;
    for (before, after, offers) in [("sip", ";secure=true", "RTP/SAVP"), ("sips", "", "RTP/AVP")] {
        let phone = house.phone(Manner::Encrypts).await;
        let to = format!("{before}:bob@{}{after}", phone.address.ip());
        origin.answers("anyone", &format!("<Dial><Sip>{to}</Sip></Dial>"));
        let caller = Phone::call(house.server.sip(), "anyone", sim::tone(PARTNER)).unwrap();
        phone.hears(PARTNER).await;
        hears(&caller, CALLED, true).await;
        let (_, _, offered) = offer(&phone);
        assert!(offered.contains(offers) && phone.is_encrypted(), "{offered}");
        caller.hang_up();
        until("the phone is told of the end", async || phone.is_over()).await;
        came_by_one_connection(&phone);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_prove_to_be_who_is_called_hears_nothing_by_any_transport() {
    let house = House::open(&[]).await;
    let stranger = Authority::new("nobody's");
    let [strange, other, expired] = [own_ip(), own_ip(), own_ip()];
    for (ip, shown, words) in [
        (strange, stranger.vouch(&strange.to_string(), HOLDS), ["authority", "ca_file"]),
        (other, house.authority.vouch("other.example", HOLDS), ["other.example", "name"]),
        (
            expired,
            house.authority.vouch(&expired.to_string(), EXPIRED),
            ["expired", "renewed there"],
        ),
    ] {
        let address = SocketAddr::from((ip, TLS_PORT));
        let phone = TlsPhone::listen(address, shown, Manner::Encrypts, CALLED).await;
        for to in [format!("sips:bob@{ip}"), format!("sip:bob@{ip};transport=tls")] {
            let began = Instant::now();
            let call = house.call(&to).await;
            house.fails_for(&call, "32011", &words).await;
            assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        }
        assert_eq!(phone.plain(), [""; 0], "something came in the clear to {ip}:{PORT} or beside");
        assert_eq!(phone.requests("INVITE").len(), 0, "it heard whom we call");
    }
    house.is_at_rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_of_its_own_a_server_says_what_it_lacks() {
    let server = Server::start(&["--log", "info"]).await;
    let form = [("To", "sips:bob@127.0.0.1"), ("From", "us"), ("Twiml", TWIML)];
    let call = server.post("/Calls.json", &form).await.text("sid");
    let path = format!("/Calls/{call}.json");
    until("it fails", async || server.get(&path).await.text("status") == "failed").await;
    let log = server.get(&format!("/Calls/{call}/Notifications.json")).await;
    let told = &log.body["notifications"][0]["message_text"];
    assert!(told.as_str().unwrap().contains("--sip-tls"), "{log:?}");
}

/// Starts a server for production whose numbers go by a trunk.
async fn with_trunk(ip: IpAddr, uri: &str) -> House {
    let (files, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let tls = authority.settings(files.path(), Ipv4Addr::LOCALHOST.into());
    let settings = format!(
        "[guard]\nloopback = true\n{tls}\n[[numbers]]\nfirst = {OURS:?}\n\
         [[trunks]]\nname = \"carrier\"\nuri = {uri:?}\nallow = [\"+1\"]\nsrtp = \"mandatory\"\n\
         calls_per_second = 100\nprobe_every = \"0s\"\n"
    );
    let server = Server::serve_in(files.path(), &settings.replace("{ip}", &ip.to_string())).await;
    let house = House { server, authority, _files: files };
    house.made("/IncomingPhoneNumbers.json", &[("PhoneNumber", OURS)]).await;
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_goes_by_a_trunk_by_tls_and_is_up_with_srtp_alone() {
    let ip = IpAddr::from(own_ip());
    for uri in ["sips:{ip}", "sip:{ip};transport=tls"] {
        let house = with_trunk(ip, uri).await;
        let shown = house.authority.vouch(&ip.to_string(), HOLDS);
        let address = SocketAddr::from((ip, TLS_PORT));
        let carrier = TlsPhone::listen(address, shown, Manner::Encrypts, CALLED).await;
        let call = async || {
            let form = [("To", BOSTON), ("From", OURS), ("Twiml", TWIML)];
            house.made("/Calls.json", &form).await.text("sid")
        };
        let first = call().await;
        house.comes_to(&first, "in-progress").await;
        let (asked, _, offered) = offer(&carrier);
        let scheme = uri.split(':').next().unwrap();
        assert!(asked.starts_with(&format!("{scheme}:{BOSTON}@{ip}")), "{asked}");
        assert!(offered.contains("RTP/SAVP") && carrier.is_encrypted(), "{offered}");
        let ends = [("Status", "completed")];
        assert_eq!(house.server.post(&format!("/Calls/{first}.json"), &ends).await.status, 200);
        until("the carrier is told of the end", async || carrier.is_over()).await;
        came_by_one_connection(&carrier);
        drop(carrier);
        until("its ports are free", async || tokio::net::TcpListener::bind(address).await.is_ok())
            .await;
        let shown = house.authority.vouch(&ip.to_string(), HOLDS);
        let carrier = TlsPhone::listen(address, shown, Manner::InTheClear, CALLED).await;
        let second = call().await;
        house.fails_for(&second, "32208", &["without SRTP"]).await;
        // It is told, as it believes to be up.
        until("the carrier is told of the end", async || carrier.is_over()).await;
        came_by_one_connection(&carrier);
    }
}

/// Returns what trusts the certificate that a server for development has made for itself.
fn trusts(server: &Server) -> Arc<ClientConfig> {
    let made = CertificateDer::from_pem_file(server.data().join("sip-tls.pem")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made).unwrap();
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

fn tls_of(server: &Server) -> SocketAddr {
    server.ready("sips_uri").strip_prefix("sips:").unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_registered_by_tls_is_called_by_that_connection_and_no_longer_once_it_is_gone() {
    let house = House::open(&["--users-srtp-mandatory", "alice"]).await;
    let server = (tls_of(&house.server), trusts(&house.server));
    let there = house.server.sip().ip().to_string();
    let alice = TlsPhone::register(server, ("alice", &there), None, CALLED).await;
    let partner = Phone::call(house.server.sip(), "room", sim::tone(PARTNER)).unwrap();
    let form = [("To", "client:alice"), ("From", "us"), ("Beep", "false")];
    house.made("/Conferences/room/Participants.json", &form).await;
    alice.hears(PARTNER).await;
    hears(&partner, CALLED, true).await;
    let (uri, _, offered) = offer(&alice);
    assert_eq!(uri, format!("sips:alice@{}", alice.address));
    assert!(offered.contains("RTP/SAVP") && alice.is_encrypted(), "{offered}");
    came_by_one_connection(&alice);
    drop(partner);
    alice.hang_up();
    house.is_at_rest().await;
    drop(alice);
    let began = Instant::now();
    let call = house.call("client:alice").await;
    house.fails_for(&call, "32011", &["nobody listens there"]).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_a_secure_domain_is_called_where_it_registered_by_tls() {
    const PASSWORD: &str = "Alices-Password-1";
    let origin = Origin::start().await;
    let house = House::open(&[]).await;
    let voice = origin.serves_twiml("/reject", "<Reject/>");
    let form = [
        ("DomainName", "house.example"),
        ("VoiceUrl", voice.as_str()),
        ("Secure", "true"),
        ("SipRegistration", "true"),
    ];
    let domain = house.made("/SIP/Domains.json", &form).await.text("sid");
    let list = house.made("/SIP/CredentialLists.json", &[("FriendlyName", "users")]).await;
    let list = list.text("sid");
    let user = [("Username", "alice"), ("Password", PASSWORD)];
    house.made(&format!("/SIP/CredentialLists/{list}/Credentials.json"), &user).await;
    let path = format!("/SIP/Domains/{domain}/Auth/Registrations/CredentialListMappings.json");
    house.made(&path, &[("CredentialListSid", &list)]).await;
    let server = (tls_of(&house.server), trusts(&house.server));
    let credentials = sip::Credentials { user: "alice".into(), password: PASSWORD.into() };
    let proof = Some(credentials.into());
    let alice = TlsPhone::register(server, ("alice", "house.example"), proof, CALLED).await;
    let call = house.call("sip:alice@house.example").await;
    house.comes_to(&call, "in-progress").await;
    let (_, _, offered) = offer(&alice);
    assert!(offered.contains("RTP/SAVP") && alice.is_encrypted(), "{offered}");
    came_by_one_connection(&alice);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_where_nobody_listens_fails_at_once() {
    let house = House::open(&[]).await;
    let ip = own_ip();
    let began = Instant::now();
    let call = house.call(&format!("sips:bob@{ip}")).await;
    house.fails_for(&call, "32011", &["nobody listens there", &ip.to_string()]).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    house.is_at_rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_to_who_never_agrees_on_tls_share_a_connection_and_fail_together_in_bounded_time() {
    let house = House::open(&[]).await;
    let listener = std::net::TcpListener::bind((own_ip(), TLS_PORT)).unwrap();
    let to = format!("sips:bob@{}", listener.local_addr().unwrap().ip());
    let began = Instant::now();
    let mut calls = Vec::new();
    for _ in 0..5 {
        calls.push(house.call(&to).await);
    }
    let (mut stream, _) = listener.accept().unwrap();
    for call in &calls {
        house.fails_for(call, "32011", &["within 10 s"]).await;
    }
    assert!(began.elapsed() < BOUNDED, "{:?}", began.elapsed());
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "each made a connection of its own");
    // The server has let go of it: it ends after what TLS begins with, and the call is not in that.
    stream.set_read_timeout(Some(BOUNDED)).unwrap();
    let mut came = Vec::new();
    let _ = stream.read_to_end(&mut came);
    assert!(!came.windows(6).any(|six| six == b"INVITE"), "it came in the clear");
    assert!(stream.peek(&mut [0]).is_ok_and(|length| length == 0), "it is still open");
    house.is_at_rest().await;
}
