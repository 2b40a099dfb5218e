//! Trunks: carriers on this machine that see what a server for production sends them, and what they never see.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use e2e::{Origin, Server, until};
use sip::{Agent, CallId, Message, Start, Transport};
use tokio::net::UdpSocket;

const OURS: &str = "+14155550100";
const BOSTON: &str = "+16175550100";
const PASSWORD: &str = "a-secret-of-the-carrier";

/// How a carrier answers an INVITE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It takes the call.
    Answers,
    /// It answers this status.
    Refuses(u16),
    /// It says nothing at all, to nothing.
    Silent,
    /// It wants a proof, in the name of this realm, and takes the call then.
    Asks(&'static str),
    /// It sends whoever calls elsewhere.
    Redirects(SocketAddr),
}

#[derive(Debug)]
struct Seen {
    manner: Manner,
    requests: Vec<Message>,
}

/// A carrier: a socket and what came to it.
struct Carrier {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    socket: Arc<UdpSocket>,
}

impl Carrier {
    async fn start(manner: Manner) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = socket.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen { manner, requests: Vec::new() }));
        tokio::spawn(Self::run(Arc::clone(&socket), Arc::clone(&seen)));
        Self { address, seen, socket }
    }

    async fn run(socket: Arc<UdpSocket>, seen: Arc<Mutex<Seen>>) {
        let address = socket.local_addr().unwrap();
        let mut agent = Agent::new(sip::Config::open(address, [7; 32]));
        let mut datagram = vec![0; 65_536];
        let mut up: BTreeMap<CallId, ()> = BTreeMap::new();
        loop {
            let wake =
                agent.poll_timeout().unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
            let received = tokio::select! {
                received = socket.recv_from(&mut datagram) => Some(received.unwrap()),
                () = tokio::time::sleep_until(wake.into()) => None,
            };
            let now = Instant::now();
            if let Some((length, from)) = received {
                let octets = &datagram[..length];
                let Ok(message) = Message::parse(octets) else { continue };
                let answer = Self::answer(&seen, &message, address);
                match answer {
                    Some(answer) => drop(socket.send_to(&answer, from).await),
                    None if seen.lock().unwrap().manner == Manner::Silent => {}
                    None => agent.handle_message(from, octets, now),
                }
            }
            agent.handle_timeout(now);
            while let Some(event) = agent.poll_event() {
                if let sip::Event::Invite(invitation) = event {
                    up.insert(invitation.call, ());
                    agent.ring(invitation.call);
                    agent.answer(invitation.call, address, now);
                }
            }
            while let Some(transmit) = agent.poll_transmit() {
                assert_eq!(transmit.transport, Transport::Udp);
                socket.send_to(&transmit.octets, transmit.to).await.unwrap();
            }
        }
    }

    /// Returns an answer that a carrier gives and a phone would not.
    fn answer(seen: &Mutex<Seen>, message: &Message, here: SocketAddr) -> Option<Vec<u8>> {
        let Start::Request { method, .. } = &message.start else { return None };
        let mut seen = seen.lock().unwrap();
        seen.requests.push(message.clone());
        let proven = message.header("Authorization").is_some();
        let challenge = |realm: &str| {
            let mut response = message.response(401, Some("carrier"));
            let challenge = format!(
                "Digest realm=\"{realm}\", nonce=\"n{}\", qop=\"auth\", algorithm=MD5",
                here.port()
            );
            response.push("WWW-Authenticate", challenge);
            response.write()
        };
        match (method.as_str(), seen.manner) {
            (_, Manner::Silent) | ("ACK" | "CANCEL" | "BYE", _) => None,
            ("REGISTER", Manner::Asks(realm)) if !proven => Some(challenge(realm)),
            ("REGISTER", _) => {
                let mut response = message.response(200, Some("carrier"));
                response.push("Contact", format!("{};expires=120", message.header("Contact")?));
                Some(response.write())
            }
            ("OPTIONS", Manner::Refuses(503)) => {
                Some(message.response(503, Some("carrier")).write())
            }
            ("INVITE", Manner::Refuses(status)) => {
                Some(message.response(status, Some("carrier")).write())
            }
            ("INVITE", Manner::Asks(realm)) if !proven => Some(challenge(realm)),
            ("INVITE", Manner::Redirects(to)) => {
                let mut response = message.response(302, Some("carrier"));
                response.push("Contact", format!("<sip:+19005550100@{to}>"));
                Some(response.write())
            }
            _ => None,
        }
    }

    /// Returns the requests of one method that came so far, without those that came again.
    fn seen(&self, method: &str) -> Vec<Message> {
        let mut found: Vec<Message> = Vec::new();
        for one in &self.seen.lock().unwrap().requests {
            let is = matches!(&one.start, Start::Request { method: it, .. } if it == method);
            if is && found.iter().all(|known| known.branch() != one.branch()) {
                found.push(one.clone());
            }
        }
        found
    }

    fn behaves(&self, manner: Manner) {
        self.seen.lock().unwrap().manner = manner;
    }

    /// Writes an entry of `[[trunks]]` for it.
    fn trunk(&self, name: &str, more: &str) -> String {
        format!(
            "[[trunks]]\nname = {name:?}\nuri = \"sip:{}\"\nallow = [\"+1\"]\ndeny = [\"+1900\"]\n\
             calls_per_second = 1000\n{more}\n",
            self.address
        )
    }
}

fn user(message: &Message) -> String {
    let Start::Request { uri, .. } = &message.start else { panic!("a request") };
    sip::user_of(uri)
}

/// Settings of a server that can have one number.
fn settings(trunks: &str) -> String {
    format!("[guard]\nloopback = true\n[[numbers]]\nfirst = {OURS:?}\n{trunks}")
}

/// A server with one number of its own.
async fn house(trunks: &str) -> (Server, Origin, String) {
    let origin = Origin::start().await;
    let voice = origin.serves_twiml("/voice", "<Pause length='600'/>");
    let server = Server::serve(&settings(trunks)).await;
    let number = [("PhoneNumber", OURS), ("VoiceUrl", voice.as_str())];
    let taken = server.post("/IncomingPhoneNumbers.json", &number).await;
    assert_eq!(taken.status, 201, "{taken:?}");
    (server, origin, voice)
}

async fn call(server: &Server, to: &str, from: &str) -> e2e::Answer {
    let twiml = "<Response><Pause length='600'/></Response>";
    server.post("/Calls.json", &[("To", to), ("From", from), ("Twiml", twiml)]).await
}

/// Waits until a call has come to a status.
async fn comes_to(server: &Server, call: &e2e::Answer, status: &str) {
    assert_eq!(call.status, 201, "{call:?}");
    let path = format!("/Calls/{}.json", call.text("sid"));
    until(status, async || server.get(&path).await.text("status") == status).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_a_trunk_lists_is_called_with_our_own_and_nothing_else_is() {
    let carrier = Carrier::start(Manner::Answers).await;
    let (server, _origin, _) = house(&carrier.trunk("carrier", "calls = 3")).await;
    let up = call(&server, BOSTON, OURS).await;
    comes_to(&server, &up, "in-progress").await;
    let invite = carrier.seen("INVITE").remove(0);
    assert_eq!(user(&invite), BOSTON);
    let from = invite.header("From").unwrap();
    assert_eq!(sip::user_of(sip::uri_of(from)), OURS, "{from}");
    // Toll fraud: whatever leads where nobody listed, or shows what is not ours.
    let at_trunk = format!("sip:+19005550100@{}", carrier.address);
    let by_tcp = format!("sip:+19005550100@{};transport=tcp", carrier.address);
    let mut refused = 0;
    for (to, from, code) in [
        ("+19005550100", OURS, 21215),
        ("+19765550100", "+19005550100", 21210),
        ("+442079460000", OURS, 21215),
        ("+8821555010011", OURS, 21215),
        ("+9005550100", OURS, 21215),
        (BOSTON, "+16505550100", 21210),
        (BOSTON, "client:alice", 21210),
        (BOSTON, "+1415555010", 21210),
        (BOSTON, "sip:+14155550100@carrier.example", 21210),
        ("0019005550100", OURS, 21214),
        ("19005550100", OURS, 21214),
        ("+1900555010a", OURS, 21214),
        ("911", OURS, 21214),
        ("tel:+19005550100", OURS, 21214),
    ] {
        let answer = call(&server, to, from).await;
        assert_eq!((answer.status, answer.body["code"].as_u64()), (400, Some(code)), "{to} {from}");
        let form = [("To", to), ("From", from)];
        let answer = server.post("/Conferences/room/Participants.json", &form).await;
        assert_eq!((answer.status, answer.body["code"].as_u64()), (400, Some(code)), "{to} {from}");
        refused += 2;
    }
    for to in [&at_trunk, &by_tcp] {
        let past = call(&server, to, OURS).await;
        comes_to(&server, &past, "failed").await;
        refused += 1;
    }
    let hidden = [("CallerId", "+16505550100")];
    let form = [&[("To", BOSTON), ("From", OURS)][..], &hidden].concat();
    let answer = server.post("/Conferences/room/Participants.json", &form).await;
    assert_eq!(answer.body["code"], 21210, "{answer:?}");
    refused += 1;
    for verbs in [
        "<Dial>+19005550100</Dial>".to_owned(),
        "<Dial>+442079460000</Dial>".to_owned(),
        format!("<Dial callerId='+16505550100'>{BOSTON}</Dial>"),
        format!("<Dial><Sip>{at_trunk}</Sip></Dial>"),
        format!("<Dial><Sip>{by_tcp}</Sip></Dial>"),
        "<Dial><Number>19005550100</Number></Dial>".to_owned(),
        "<Dial><Client>+19005550100</Client></Dial>".to_owned(),
        "<Dial><Number>+19005550100</Number><Number>+18821555010</Number></Dial>"
            .replace("+1882", "+882"),
    ] {
        let path = format!("/Calls/{}.json", up.text("sid"));
        let twiml = format!("<Response>{verbs}<Pause length='600'/></Response>");
        let redirected = server.post(&path, &[("Twiml", &twiml)]).await;
        assert_eq!(redirected.status, 200, "{verbs}: {redirected:?}");
        refused += 1;
    }
    assert_eq!(refused, 39, "the fortieth is sent elsewhere, below");
    carrier.behaves(Manner::Redirects(carrier.address));
    let sent = call(&server, BOSTON, OURS).await;
    comes_to(&server, &sent, "failed").await;
    let called: Vec<String> = carrier.seen("INVITE").iter().map(user).collect();
    assert_eq!(called, [BOSTON, BOSTON], "nobody else was called");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunk_carries_no_more_than_its_caps() {
    let carrier = Carrier::start(Manner::Answers).await;
    let caps = "calls = 2\ncalls_per_day = 3";
    let (server, _origin, _) = house(&carrier.trunk("carrier", caps)).await;
    let one = call(&server, BOSTON, OURS).await;
    comes_to(&server, &one, "in-progress").await;
    comes_to(&server, &call(&server, BOSTON, OURS).await, "in-progress").await;
    comes_to(&server, &call(&server, BOSTON, OURS).await, "failed").await;
    let path = format!("/Calls/{}.json", one.text("sid"));
    assert_eq!(server.post(&path, &[("Status", "completed")]).await.status, 200);
    comes_to(&server, &call(&server, BOSTON, OURS).await, "in-progress").await;
    assert_eq!(server.post(&path, &[]).await.status, 400, "it is over");
    let metrics = server.admin("/metrics").await.1;
    assert!(metrics.contains("sidetone_trunk_calls_today{trunk=\"carrier\"} 3"), "{metrics}");
    comes_to(&server, &call(&server, BOSTON, OURS).await, "failed").await;
    assert_eq!(carrier.seen("INVITE").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_wait_for_their_turn_at_a_trunk_and_can_be_cancelled_meanwhile() {
    let carrier = Carrier::start(Manner::Answers).await;
    let slow =
        carrier.trunk("carrier", "").replace("calls_per_second = 1000", "calls_per_second = 1");
    let (server, _origin, _) = house(&slow).await;
    let start = Instant::now();
    let mut calls = Vec::new();
    for _ in 0..6 {
        calls.push(call(&server, BOSTON, OURS).await);
    }
    let last = calls.pop().unwrap();
    let path = format!("/Calls/{}.json", last.text("sid"));
    assert_eq!(server.get(&path).await.text("status"), "queued");
    assert_eq!(server.post(&path, &[("Status", "completed")]).await.text("status"), "canceled");
    for call in &calls {
        comes_to(&server, call, "in-progress").await;
    }
    assert!(start.elapsed() >= Duration::from_secs(4), "each after another's second");
    let fifth = server.get(&format!("/Calls/{}.json", calls[4].text("sid"))).await;
    let queue_time_ms: u64 = fifth.text("queue_time").parse().unwrap();
    assert!(queue_time_ms > 0, "{fifth:?}");
    assert_eq!(carrier.seen("INVITE").len(), 5, "who was cancelled was never called");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_of_the_day_outlives_a_crash() {
    let carrier = Carrier::start(Manner::Answers).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&carrier.trunk("carrier", "calls_per_day = 2"));
    let mut server = Server::serve_in(folder.path(), &settings).await;
    let number = [("PhoneNumber", OURS)];
    assert_eq!(server.post("/IncomingPhoneNumbers.json", &number).await.status, 201);
    for _ in 0..2 {
        comes_to(&server, &call(&server, BOSTON, OURS).await, "in-progress").await;
    }
    server.kill();
    let server = Server::serve_in(folder.path(), &settings).await;
    let metrics = server.admin("/metrics").await.1;
    assert!(metrics.contains("sidetone_trunk_calls_today{trunk=\"carrier\"} 2"), "{metrics}");
    comes_to(&server, &call(&server, BOSTON, OURS).await, "failed").await;
    assert_eq!(carrier.seen("INVITE").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_proven_to_the_trunks_own_realm_and_to_no_other() {
    let carrier = Carrier::start(Manner::Asks("carrier.example")).await;
    let login = format!(
        "realm = \"carrier.example\"\nusername = \"us\"\npassword = {PASSWORD:?}\nregister = \"10m\""
    );
    let (server, _origin, _) = house(&carrier.trunk("carrier", &login)).await;
    let registered = |one: &Message| one.header("Authorization").is_some();
    until("it registers", async || carrier.seen("REGISTER").iter().any(registered)).await;
    let proof = carrier.seen("REGISTER").into_iter().find(registered).unwrap();
    let value = proof.header("Authorization").unwrap();
    let nonce = format!("n{}", carrier.address.port());
    let response = value.split("response=\"").nth(1).unwrap().split('"').next().unwrap();
    let cnonce = value.split("cnonce=\"").nth(1).unwrap().split('"').next().unwrap();
    let hash = |text: String| {
        use md5::Digest;
        md5::Md5::digest(text).iter().map(|octet| format!("{octet:02x}")).collect::<String>()
    };
    let secret = hash(format!("us:carrier.example:{PASSWORD}"));
    let asked = hash(format!("REGISTER:sip:{}", carrier.address));
    assert_eq!(response, hash(format!("{secret}:{nonce}:00000001:{cnonce}:auth:{asked}")));
    assert_eq!(proof.header("Expires"), Some("600"));
    comes_to(&server, &call(&server, BOSTON, OURS).await, "in-progress").await;
    let asked = carrier.seen("INVITE");
    assert_eq!(asked.iter().filter(|one| registered(one)).count(), 1, "{asked:?}");
    carrier.behaves(Manner::Asks("evil.example"));
    comes_to(&server, &call(&server, BOSTON, OURS).await, "failed").await;
    let asked = carrier.seen("INVITE");
    assert_eq!(asked.iter().filter(|one| registered(one)).count(), 1, "nothing was proven to it");
    assert!(!server.log().contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_by_the_next_trunk_where_one_refuses_or_says_nothing() {
    let broken = Carrier::start(Manner::Refuses(503)).await;
    let (silent, whole) =
        (Carrier::start(Manner::Silent).await, Carrier::start(Manner::Answers).await);
    let trunks = [(&broken, "broken"), (&silent, "silent"), (&whole, "whole")];
    let trunks: Vec<_> =
        trunks.iter().map(|(one, name)| one.trunk(name, "probe_every = \"0s\"")).collect();
    let (server, _origin, _) = house(&trunks.concat()).await;
    comes_to(&server, &call(&server, BOSTON, OURS).await, "in-progress").await;
    assert_eq!([broken.seen("INVITE").len(), silent.seen("INVITE").len()], [1, 1]);
    assert_eq!(whole.seen("INVITE").len(), 1);
    let metrics = server.admin("/metrics").await.1;
    for (name, up) in [("broken", 0), ("silent", 0), ("whole", 1)] {
        let line = format!("sidetone_trunk_up{{trunk={name:?}}} {up}");
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
    comes_to(&server, &call(&server, BOSTON, OURS).await, "in-progress").await;
    assert_eq!(broken.seen("INVITE").len(), 1, "one that is not there is asked last");
    whole.behaves(Manner::Refuses(486));
    comes_to(&server, &call(&server, BOSTON, OURS).await, "busy").await;
    assert_eq!(broken.seen("INVITE").len(), 1, "busy is the answer of who was called");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_finds_out_that_a_trunk_is_gone_and_that_it_is_back() {
    let carrier = Carrier::start(Manner::Refuses(503)).await;
    let (server, _origin, _) = house(&carrier.trunk("carrier", "probe_every = \"1s\"")).await;
    let is_up = async |up: u8| {
        let line = format!("sidetone_trunk_up{{trunk=\"carrier\"}} {up}");
        server.admin("/metrics").await.1.contains(&line)
    };
    until("it is gone", async || is_up(0).await).await;
    carrier.behaves(Manner::Answers);
    until("it is back", async || is_up(1).await).await;
    let options = carrier.seen("OPTIONS").remove(0);
    assert_eq!(user(&options), "", "it is asked as a machine, not as somebody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_from_a_trunk_runs_what_its_number_says_and_reaches_nothing_else() {
    let carrier = Carrier::start(Manner::Answers).await;
    let networks = "networks = [\"127.0.0.1\"]";
    let (server, origin, _) = house(&carrier.trunk("carrier", networks)).await;
    let rings = |to: &str, from: &str| {
        let (to, from) = (to.to_owned(), from.to_owned());
        let server = server.sip();
        tokio::task::spawn_blocking(move || {
            let phone = sim::Phone::call_as(server, &to, &from, sim::tone(440)).unwrap();
            phone.wait_up(Duration::from_secs(60));
            phone
        })
    };
    let phone = rings("14155550100", "16175550100").await.unwrap();
    assert_eq!(phone.state(), sim::State::Up, "nothing is asked of that address");
    let asked = origin.asked("/voice").remove(0);
    assert_eq!([asked.param("From"), asked.param("To")], [BOSTON, OURS], "in E.164, as on Twilio");
    for nobody in ["+14155550199", "room", "alice"] {
        let phone = rings(nobody, BOSTON).await.unwrap();
        assert_eq!(phone.state(), sim::State::Over(Some(404)), "{nobody}");
    }
    let elsewhere = format!("{}\n", carrier.trunk("carrier", "networks = [\"192.0.2.0/24\"]"));
    let settings = std::fs::read_to_string(server.settings()).unwrap();
    let before = settings.split("[[trunks]]").next().unwrap().to_owned();
    std::fs::write(server.settings(), before + &elsewhere).unwrap();
    server.signal("HUP");
    until("it reads", async || server.log().contains("the settings were read again")).await;
    let phone = rings("14155550100", "16175550100").await.unwrap();
    assert_eq!(phone.state(), sim::State::Over(Some(401)), "the address is no longer enough");
    let _ = &carrier.socket;
}
