//! Documents over TLS: what is fetched, and what a bad certificate is called.

#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::Server;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use sim::Phone;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

const TWIML: &str = "<Response><Pause length=\"30\"/></Response>";

/// An authority of our own.
fn authority() -> Issuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Issuer::new(params, KeyPair::generate().unwrap())
}

/// Returns its certificate, for those who trust it.
fn root(authority: &Issuer<'static, KeyPair>) -> String {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.self_signed(authority.key()).unwrap().pem()
}

/// Serves TwiML behind a certificate for `name` that ends in `year`.
async fn origin(authority: &Issuer<'static, KeyPair>, name: &str, year: i32) -> SocketAddr {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let private = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\n";
            let answer = format!("{head}Content-Length: {}\r\n\r\n{TWIML}", TWIML.len());
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

/// Returns the code in the debugger log after a call asked `url`; none if it is going well.
async fn outcome(server: &Server, url: &str) -> Option<String> {
    let phone = Phone::listen(Ipv4Addr::LOCALHOST.into(), sim::tone(440)).unwrap();
    let form = [("To", phone.uri.as_str()), ("From", "+15550100"), ("Url", url)];
    let made = server.post("/Calls.json", &form).await;
    assert_eq!(made.status, 201, "{made:?}");
    let call = made.body["sid"].as_str().unwrap().to_owned();
    assert!(phone.wait_up(Duration::from_secs(30)), "{url}: the phone is not called");
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let log = server.get("/Notifications.json?PageSize=100").await.body;
        let log = log["notifications"].as_array().unwrap();
        if let Some(note) = log.iter().find(|note| note["call_sid"] == *call) {
            return note["error_code"].as_str().map(str::to_owned);
        }
        if url.contains("good") && !phone.wait_over(Duration::from_secs(2)) {
            return None;
        }
        assert!(Instant::now() < until, "{url}: nothing came of it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_judged_and_its_fault_has_a_code() {
    let (known, unknown) = (authority(), authority());
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("trusted.pem");
    std::fs::write(&trusted, root(&known)).unwrap();
    let server = Server::start_trusting(&trusted).await;
    let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let no_tls = plain.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    for (path, address, code) in [
        ("good", origin(&known, "localhost", 2090).await, None),
        ("other-name", origin(&known, "elsewhere.test", 2090).await, Some("11235")),
        ("expired", origin(&known, "localhost", 2021).await, Some("11236")),
        ("untrusted", origin(&unknown, "localhost", 2090).await, Some("11237")),
        ("no-tls", no_tls, Some("11220")),
    ] {
        let url = format!("https://localhost:{}/{path}#rc=0", address.port());
        assert_eq!(outcome(&server, &url).await.as_deref(), code, "{path}");
    }
}
