use std::net::IpAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::*;

#[test]
fn fields_are_signed_in_order_of_their_names() {
    // Recomputed with another implementation of HMAC-SHA1.
    let params = [("To", "+18005551212"), ("Digits", "1234")];
    let params = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let reversed = [params[1].clone(), params[0].clone()];
    let url = "https://example.com/voice?x=1";
    assert_eq!(signature("12345", url, &params), signature("12345", url, &reversed));
    assert_ne!(signature("12345", url, &params), signature("12346", url, &params));
    assert_eq!(signature("12345", url, &params), "ogpUNAafz/up/OcRE4ynjPh3Voo=");
}

#[test]
fn metadata_services_and_inner_networks_are_out_of_reach() {
    let all = Guard { loopback: true, private: true };
    let none = Guard::default();
    for (ip, by_all, by_none) in [
        ("93.184.216.34", true, true),
        ("2606:2800:220:1::1", true, true),
        ("127.0.0.1", true, false),
        ("::1", true, false),
        ("::ffff:127.0.0.1", true, false),
        ("10.1.2.3", true, false),
        ("192.168.0.1", true, false),
        ("100.64.0.1", true, false),
        ("fd00::1", true, false),
        ("169.254.169.254", false, false),
        ("fe80::1", false, false),
        ("0.0.0.0", false, false),
        ("64:ff9b::7f00:1", false, false),
        ("2002:7f00:1::", false, false),
        ("224.0.0.1", false, false),
    ] {
        let ip: IpAddr = ip.parse().unwrap();
        assert_eq!((all.allows(ip), none.allows(ip)), (by_all, by_none), "{ip}");
    }
}

/// Answers every request at a port of its own with `answer`; returns the address.
async fn serve(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/x", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

async fn send(url: String, guard: Guard) -> Result<Response, Failure> {
    let request = Request {
        url,
        method: "POST".to_owned(),
        params: vec![("A".to_owned(), "b c".to_owned())],
        auth_token: "token".to_owned(),
        idempotency_token: None,
        body_max: 100,
    };
    Client::new(guard).unwrap().send(&request).await
}

const LOOPBACK: Guard = Guard { loopback: true, private: false };

#[tokio::test]
async fn an_answer_is_read_with_its_type() {
    let answer =
        "HTTP/1.1 200 OK\r\ncontent-type: Text/XML; charset=x\r\ncontent-length: 2\r\n\r\nhi";
    let response = send(serve(answer.to_owned()).await, LOOPBACK).await.unwrap();
    assert_eq!((&*response.content_type, &*response.body), ("text/xml", &b"hi"[..]));
}

#[tokio::test]
async fn what_is_too_long_refused_or_circular_fails_with_its_code() {
    let long = format!("HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n{}", "x".repeat(200));
    let around = "HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n".to_owned();
    let inner =
        "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
    for (answer, guard, code) in [
        (long.clone(), LOOPBACK, 11200),
        (long, Guard::default(), 11205),
        (around, LOOPBACK, 11215),
        (inner.to_owned(), LOOPBACK, 11205),
    ] {
        assert_eq!(send(serve(answer).await, guard).await.unwrap_err().code, code);
    }
    assert_eq!(send("ftp://x/".to_owned(), LOOPBACK).await.unwrap_err().code, 11100);
}
