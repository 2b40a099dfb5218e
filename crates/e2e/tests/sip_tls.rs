//! SIP over TLS: certificates while a server runs, who is let in, and who is told why not.

#![allow(clippy::unwrap_used)]

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::{Answer, Origin, Server, binary, until};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);
const KEYS: &str =
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n";

/// Makes a certificate for `localhost` that holds until a year, writes it and its key, and returns it.
fn certificate(folder: &Path, until: i32) -> CertificateDer<'static> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "localhost.example");
    params.not_after = date_time_ymd(until, 2, 3);
    let key = KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    std::fs::write(folder.join("cert.pem"), made.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    made.der().clone()
}

/// Speaks TLS with a server that must show what `believed` vouches for.
async fn connect(
    server: SocketAddr,
    believed: &CertificateDer<'static>,
) -> std::io::Result<TlsStream<tokio::net::TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(believed.clone()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(server).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

fn request(method: &str, uri: &str, by: &str, number: u32, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{by} 127.0.0.1:9;branch=z9hG4bK{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:phone@127.0.0.1>;tag=t{number}\r\nTo: <{uri}>\r\n\
         Call-ID: {number}@test\r\nCSeq: {number} {method}\r\nContact: <sip:phone@127.0.0.1:9>\r\n\
         {kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn offer(transport: &str, keys: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio 9 {transport} 0\r\n{keys}"
    )
}

/// Asks, and returns the final answer.
async fn ask(stream: &mut TlsStream<tokio::net::TcpStream>, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    let answer = async {
        loop {
            let mut octets = [0; 4_096];
            let length = stream.read(&mut octets).await.unwrap();
            assert!(length > 0, "it hung up");
            heard.extend_from_slice(&octets[..length]);
            let text = String::from_utf8_lossy(&heard).into_owned();
            let last = text.rfind("SIP/2.0 ").filter(|&at| !text[at..].starts_with("SIP/2.0 1"));
            if let Some(at) = last.filter(|&at| text[at..].contains("\r\n\r\n")) {
                return text[at..].to_owned();
            }
        }
    };
    tokio::time::timeout(PATIENCE, answer).await.expect("an answer comes")
}

fn settings(files: &Path) -> String {
    let path = |name: &str| files.join(name).display().to_string();
    format!(
        "[sip_tls]\naddress = \"127.0.0.1:0\"\ncertificate_file = {:?}\nkey_file = {:?}\n",
        path("cert.pem"),
        path("key.pem")
    )
}

fn tls_of(server: &Server) -> SocketAddr {
    server.ready("sips_uri").strip_prefix("sips:").unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sip_takes_a_new_certificate_while_it_runs_and_keeps_it_where_the_next_has_expired() {
    let (folder, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = certificate(files.path(), 2200);
    let server = Server::serve_in(folder.path(), &settings(files.path())).await;
    let tls = tls_of(&server);
    // Those who connect and say nothing hold nobody up.
    let idle: Vec<_> = (0..50).map(|_| TcpStream::connect(tls).unwrap()).collect();
    let mut early = connect(tls, &first).await.unwrap();
    let uri = format!("sip:{tls};transport=tls");
    assert!(
        ask(&mut early, &request("OPTIONS", &uri, "TLS", 1, "")).await.starts_with("SIP/2.0 200")
    );
    let second = certificate(files.path(), 2200);
    server.signal("HUP");
    until("it shows the new one", async || connect(tls, &second).await.is_ok()).await;
    assert!(connect(tls, &first).await.is_err());
    certificate(files.path(), 2021);
    server.signal("HUP");
    until("it says which has expired", async || {
        let log = server.log();
        ["cert.pem", "localhost.example", "expired", "2021"].iter().all(|part| log.contains(part))
    })
    .await;
    assert!(connect(tls, &second).await.is_ok(), "the one of before is shown");
    // Whoever was connected before still is.
    assert!(
        ask(&mut early, &request("OPTIONS", &uri, "TLS", 2, "")).await.starts_with("SIP/2.0 200")
    );
    drop(idle);
}

#[test]
fn a_server_does_not_start_with_an_expired_certificate() {
    let files = tempfile::tempdir().unwrap();
    certificate(files.path(), 2021);
    let file = files.path().join("sidetone.toml");
    let ports = "http = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nsip = \"127.0.0.1:0\"\n";
    std::fs::write(&file, format!("{ports}{}", settings(files.path()))).unwrap();
    let data = files.path().join("data");
    let lines =
        [&["config", "check"][..], &["serve", "--data", data.to_str().unwrap(), "--config"]];
    for line in lines {
        let output = ended(Command::new(binary()).args(line).arg(&file));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{line:?}");
        for part in ["cert.pem", "localhost.example", "expired", "Feb  3", "2021"] {
            assert!(told.contains(part), "{line:?}: {told}");
        }
    }
}

/// Returns what a program said that ends by itself; one that goes on is ended.
fn ended(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let until = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            child.kill().unwrap();
            panic!("it runs: {:?}", child.wait_with_output().unwrap());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secure_domain_tells_plain_callers_what_it_demands() {
    let origin = Origin::start().await;
    let voice = origin.serves_twiml("/reject", "<Reject/>");
    let server = Server::start(&["--sip-tls", "127.0.0.1:0"]).await;
    let make = async |path: &str, form: &[(&str, &str)]| {
        let made: Answer = server.post(path, form).await;
        assert_eq!(made.status, 201, "{path}: {made:?}");
        made.text("sid")
    };
    let form = [("DomainName", "house.example"), ("VoiceUrl", voice.as_str()), ("Secure", "true")];
    let domain = make("/SIP/Domains.json", &form).await;
    let list = make("/SIP/IpAccessControlLists.json", &[("FriendlyName", "here")]).await;
    let here = [("FriendlyName", "here"), ("IpAddress", "127.0.0.1")];
    make(&format!("/SIP/IpAccessControlLists/{list}/IpAddresses.json"), &here).await;
    let mapped = format!("/SIP/Domains/{domain}/IpAccessControlListMappings.json");
    make(&mapped, &[("IpAccessControlListSid", &list)]).await;

    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let uri = "sip:desk@house.example";
    let plain = request("INVITE", uri, "UDP", 1, &offer("RTP/SAVP", KEYS));
    socket.send_to(plain.as_bytes(), server.sip()).await.unwrap();
    let mut octets = [0; 4_096];
    let received = tokio::time::timeout(PATIENCE, socket.recv(&mut octets)).await;
    let answer = String::from_utf8_lossy(&octets[..received.unwrap().unwrap()]).into_owned();
    assert!(answer.starts_with("SIP/2.0 403") && answer.contains("TLS is demanded"), "{answer}");

    let pem = server.data().join("sip-tls.pem");
    let believed = CertificateDer::from_pem_file(pem).unwrap();
    let mut phone = connect(tls_of(&server), &believed).await.unwrap();
    let plain = request("INVITE", uri, "TLS", 2, &offer("RTP/AVP", ""));
    let answer = ask(&mut phone, &plain).await;
    assert!(answer.starts_with("SIP/2.0 488") && answer.contains("SRTP is demanded"), "{answer}");
    assert_eq!(origin.asked("/reject").len(), 0);
    // Whoever is protected gets as far as the domain's program, which turns everyone away.
    let protected = request("INVITE", uri, "TLS", 3, &offer("RTP/SAVP", KEYS));
    let answer = ask(&mut phone, &protected).await;
    assert!(answer.starts_with("SIP/2.0 603") || answer.starts_with("SIP/2.0 486"), "{answer}");
    assert_eq!(origin.asked("/reject").len(), 1);
}
