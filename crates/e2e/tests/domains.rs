//! SIP domains: what their lists allow and forbid, asked with datagrams as phones send them.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Duration;

use e2e::{Answer, Origin, Server};
use tokio::net::UdpSocket;

const DOMAIN: &str = "scranton.example";
const PATIENCE: Duration = Duration::from_secs(20);
const PASSWORD: &str = "Dunder-Mifflin-1";

/// One phone: a socket, and how many requests it has made.
struct Phone {
    socket: UdpSocket,
    server: SocketAddr,
    made: u32,
}

impl Phone {
    async fn start(server: &Server) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self { socket, server: server.sip(), made: 0 }
    }

    /// Sends a request for a call or a registration and returns its final answer.
    async fn ask(&mut self, method: &str, uri: &str, user: &str, proof: &str) -> String {
        self.made += 1;
        let (number, here) = (self.made, self.socket.local_addr().unwrap());
        let to = if method == "REGISTER" { format!("sip:{user}@{DOMAIN}") } else { uri.to_owned() };
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {} RTP/AVP 0\r\n",
            here.port()
        );
        let (kind, body) = match method {
            "INVITE" => ("Content-Type: application/sdp\r\n", sdp.as_str()),
            _ => ("Expires: 600\r\n", ""),
        };
        let proof = if proof.is_empty() {
            String::new()
        } else {
            format!("Authorization: Digest {proof}\r\n")
        };
        let request = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{number}x{}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@{DOMAIN}>;tag=t{number}\r\nTo: <{to}>\r\n\
             Call-ID: {number}-{}@test\r\nCSeq: {number} {method}\r\nContact: <sip:{user}@{here}>\r\n\
             {proof}{kind}Content-Length: {}\r\n\r\n{body}",
            here.port(),
            here.port(),
            body.len()
        );
        self.socket.send_to(request.as_bytes(), self.server).await.unwrap();
        let mine = format!("Call-ID: {number}-{}@test", here.port());
        loop {
            let answer = self.receive().await;
            if answer.contains(&mine) && !answer.starts_with("SIP/2.0 1") {
                return answer;
            }
        }
    }

    async fn receive(&self) -> String {
        let mut datagram = [0; 4_096];
        let received = tokio::time::timeout(PATIENCE, self.socket.recv_from(&mut datagram)).await;
        let (length, _) = received.expect("an answer comes").unwrap();
        String::from_utf8_lossy(&datagram[..length]).into_owned()
    }

    /// Returns the status of a request, made again with a proof where one is asked for.
    async fn status(&mut self, method: &str, user: &str, password: &str) -> u16 {
        let uri = match method {
            "REGISTER" => format!("sip:{DOMAIN}"),
            _ => format!("sip:desk@{DOMAIN}"),
        };
        let first = self.ask(method, &uri, user, "").await;
        let status = |answer: &str| answer[8..11].parse().unwrap();
        let Some((_, rest)) = first.split_once("nonce=\"") else { return status(&first) };
        let nonce = rest.split('"').next().unwrap();
        let proof = e2e::digest("SHA-256", (user, password), (method, &uri), nonce);
        status(&self.ask(method, &uri, user, &proof).await)
    }
}

/// A server with a domain whose program turns every caller away: who comes so far has been let in.
struct House {
    server: Server,
    origin: Origin,
    domain: String,
}

impl House {
    async fn open() -> Self {
        let origin = Origin::start().await;
        let voice = origin.serves_twiml("/reject", "<Reject/>");
        let server = Server::start(&[]).await;
        let form = [("DomainName", "Scranton.Example"), ("VoiceUrl", voice.as_str())];
        let made = server.post("/SIP/Domains.json", &form).await;
        assert_eq!((made.status, made.text("domain_name").as_str()), (201, DOMAIN), "{made:?}");
        Self { domain: format!("/SIP/Domains/{}", made.text("sid")), server, origin }
    }

    async fn make(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let made = self.server.post(path, form).await;
        assert_eq!(made.status, 201, "{path} {form:?}: {made:?}");
        made
    }

    /// Makes a list with one entry and returns its SID.
    async fn list(&self, path: &str, below: &str, entry: &[(&str, &str)]) -> String {
        let list = self.make(&format!("{path}.json"), &[("FriendlyName", "one")]).await.text("sid");
        self.make(&format!("{path}/{list}/{below}.json"), entry).await;
        list
    }

    async fn auth_type(&self) -> String {
        self.server.get(&format!("{}.json", self.domain)).await.text("auth_type")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_lets_in_whom_its_lists_name_and_nobody_else() {
    let house = House::open().await;
    let mut phone = Phone::start(&house.server).await;
    assert_eq!(phone.status("INVITE", "dwight", PASSWORD).await, 403, "no list is mapped");
    let entry = [("Username", "dwight"), ("Password", PASSWORD)];
    let credentials = house.list("/SIP/CredentialLists", "Credentials", &entry).await;
    let path = format!("{}/Auth/Calls/CredentialListMappings", house.domain);
    house.make(&format!("{path}.json"), &[("CredentialListSid", &credentials)]).await;
    let mapping = format!("{path}/{credentials}.json");
    assert_eq!(house.auth_type().await, "CREDENTIAL_LIST");
    assert_eq!(phone.status("INVITE", "dwight", "Wrong-Password-1").await, 401);
    assert_eq!(phone.status("INVITE", "michael", PASSWORD).await, 401);
    assert!(house.origin.asked("/reject").is_empty(), "who is not let in is not told of");
    assert_eq!(phone.status("INVITE", "dwight", PASSWORD).await, 603);
    let asked = house.origin.asked("/reject").pop().unwrap();
    assert_eq!(asked.param("To"), format!("sip:desk@{DOMAIN}"));
    assert_eq!(asked.param("From"), format!("sip:dwight@{DOMAIN}"));
    let lists = "/SIP/IpAccessControlLists";
    let entry = [("FriendlyName", "far"), ("IpAddress", "192.0.2.0"), ("CidrPrefixLength", "24")];
    let addresses = house.list(lists, "IpAddresses", &entry).await;
    let path = format!("{}/IpAccessControlListMappings", house.domain);
    house.make(&format!("{path}.json"), &[("IpAccessControlListSid", &addresses)]).await;
    assert_eq!(house.auth_type().await, "IP_ACL,CREDENTIAL_LIST");
    assert_eq!(phone.status("INVITE", "dwight", PASSWORD).await, 403, "it calls from elsewhere");
    let here = [("FriendlyName", "here"), ("IpAddress", "127.0.0.1")];
    house.make(&format!("{lists}/{addresses}/IpAddresses.json"), &here).await;
    assert_eq!(phone.status("INVITE", "dwight", PASSWORD).await, 603, "both fit");
    assert_eq!(phone.status("INVITE", "dwight", "Wrong-Password-1").await, 401, "one does not");
    let list = format!("/SIP/CredentialLists/{credentials}.json");
    let deleted = house.server.delete(&list).await;
    assert_eq!((deleted.status, &deleted.body["code"]), (409, &20409.into()), "it opens a domain");
    assert_eq!(house.server.delete(&mapping).await.status, 204);
    assert_eq!(house.server.delete(&list).await.status, 204);
    assert_eq!(house.auth_type().await, "IP_ACL");
    assert_eq!(phone.status("INVITE", "anybody", "").await, 603, "its address is enough");
    let deleted = house.server.delete(&format!("{}.json", house.domain)).await;
    assert_eq!(deleted.status, 204);
    let asked = house.origin.asked("/reject").len();
    let free = phone.ask("INVITE", &format!("sip:+14155550100@{DOMAIN}"), "anybody", "").await;
    assert!(free.starts_with("SIP/2.0 200"), "a name that is nobody's is our address: {free}");
    assert_eq!(house.origin.asked("/reject").len(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_registers_under_its_own_name_and_is_reached_there() {
    let house = House::open().await;
    let mut phone = Phone::start(&house.server).await;
    let entry = [("Username", "pam"), ("Password", PASSWORD)];
    let list = house.list("/SIP/CredentialLists", "Credentials", &entry).await;
    let path = format!("{}/Auth/Registrations/CredentialListMappings.json", house.domain);
    house.make(&path, &[("CredentialListSid", &list)]).await;
    assert_eq!(phone.status("REGISTER", "pam", PASSWORD).await, 403, "registration is not enabled");
    let form = [("SipRegistration", "true")];
    let enabled = house.server.post(&format!("{}.json", house.domain), &form).await;
    assert_eq!(enabled.status, 200, "{enabled:?}");
    assert_eq!(phone.status("REGISTER", "jim", PASSWORD).await, 403, "he has no name here");
    assert_eq!(phone.status("REGISTER", "pam", "Wrong-Password-1").await, 401);
    let to = format!("sip:pam@{DOMAIN}");
    let twiml = "<Response><Pause length='60'/></Response>";
    let dial = [("From", "desk"), ("To", to.as_str()), ("Twiml", twiml)];
    let nowhere = house.server.post("/Calls.json", &dial).await.text("sid");
    assert_eq!(phone.status("REGISTER", "pam", PASSWORD).await, 200);
    let here = house.server.post("/Calls.json", &dial).await;
    assert_eq!(here.status, 201, "{here:?}");
    let invited = loop {
        let request = phone.receive().await;
        if request.starts_with("INVITE ") {
            break request;
        }
    };
    let contact = format!("INVITE sip:pam@{} SIP/2.0", phone.socket.local_addr().unwrap());
    assert!(invited.starts_with(&contact), "{invited}");
    let failed = house.server.get(&format!("/Calls/{nowhere}.json")).await;
    assert_eq!(failed.text("status"), "failed", "nobody was registered then");
    let dial = [("From", "desk"), ("To", "pam"), ("Twiml", twiml)];
    assert_eq!(
        house.server.post("/Calls.json", &dial).await.status,
        400,
        "she is known in her domain alone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_domain_a_list_or_an_entry_is_refused() {
    let house = House::open().await;
    let list =
        house.make("/SIP/CredentialLists.json", &[("FriendlyName", "one")]).await.text("sid");
    let addresses = house.make("/SIP/IpAccessControlLists.json", &[("FriendlyName", "one")]).await;
    let credentials = format!("/SIP/CredentialLists/{list}/Credentials.json");
    let addresses = format!("/SIP/IpAccessControlLists/{}/IpAddresses.json", addresses.text("sid"));
    let mappings = format!("{}/Auth/Calls/CredentialListMappings.json", house.domain);
    let nobody = format!("CL{}", "0".repeat(32));
    for (path, form, status, code, message) in [
        ("/SIP/Domains.json", &[][..], 400, 20001, "DomainName"),
        ("/SIP/Domains.json", &[("DomainName", "a b.example")], 400, 20001, "DomainName"),
        ("/SIP/Domains.json", &[("DomainName", "192.0.2.1")], 400, 20001, "DomainName"),
        ("/SIP/Domains.json", &[("DomainName", "-a.example")], 400, 20001, "DomainName"),
        ("/SIP/Domains.json", &[("DomainName", "SCRANTON.example")], 409, 20409, DOMAIN),
        (
            "/SIP/Domains.json",
            &[("DomainName", "a.example"), ("VoiceUrl", "x")],
            400,
            21205,
            "VoiceUrl",
        ),
        ("/SIP/CredentialLists.json", &[], 400, 20001, "FriendlyName"),
        (&credentials, &[("Username", "a")], 400, 20001, "Password"),
        (&credentials, &[("Username", "a"), ("Password", "short1A")], 400, 20001, "Password"),
        (&credentials, &[("Username", "a"), ("Password", "alllowercase1")], 400, 20001, "Password"),
        (&credentials, &[("Username", "a:b"), ("Password", PASSWORD)], 400, 20001, "Username"),
        (&addresses, &[("FriendlyName", "a"), ("IpAddress", "localhost")], 400, 20001, "IpAddress"),
        (
            &addresses,
            &[("FriendlyName", "a"), ("IpAddress", "192.0.2.1"), ("CidrPrefixLength", "33")],
            400,
            20001,
            "CidrPrefixLength",
        ),
        (&mappings, &[], 400, 20001, "CredentialListSid"),
        (&mappings, &[("CredentialListSid", nobody.as_str())], 400, 20001, "CredentialListSid"),
        ("/SIP/CredentialLists/CL1/Credentials.json", &[], 404, 20404, "not found"),
    ] {
        let answer = house.server.post(path, form).await;
        let said = answer.text("message");
        assert_eq!(
            (answer.status, answer.body["code"].as_u64()),
            (status, Some(code)),
            "{form:?} {said}"
        );
        assert!(said.contains(message), "{path} {form:?}: {said}");
    }
    for (path, key) in
        [(&*credentials, "credentials"), (&*addresses, "ip_addresses"), (&*mappings, "contents")]
    {
        let listed = house.server.get(path).await;
        assert_eq!(listed.body[key].as_array().map(Vec::len), Some(0), "a refusal changed {path}");
    }
}
