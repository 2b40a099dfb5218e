use std::path::Path;

use serde_json::Value;

use super::{Origin, TOKEN, client, read_request, request};
use crate::{Overrides, signature};

#[track_caller]
fn check(url: &str, params: &[(&str, &str)], expected: &str) {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut params: Vec<_> = params.iter().map(own).collect();
    assert_eq!(signature(TOKEN, url, &params), expected, "{url}");
    params.reverse();
    assert_eq!(signature(TOKEN, url, &params), expected, "{url}, fields the other way round");
    assert_ne!(signature("12346", url, &params), expected, "{url}, another token");
}

const FORM: [(&str, &str); 3] = [
    ("CallSid", "CA0123456789abcdef0123456789abcdef"),
    ("From", "+15550100"),
    ("To", "sip:bob@example.com"),
];

/// Computed with another implementation of HMAC-SHA1, after the rules that Twilio documents.
#[test]
fn signatures_are_as_another_implementation_computes_them() {
    check(
        "https://example.com/voice?x=1",
        &[("To", "+18005551212"), ("Digits", "1234")],
        "ogpUNAafz/up/OcRE4ynjPh3Voo=",
    );
    check("https://example.com/status", &FORM, "2Yft+/1w7IK1eSHWOPQ+zvVCa7A=");
    check("https://example.com/status?room=a%20b&x=", &FORM, "RdVRAS72HwJfuMjKJNQZwNfQvGE=");
    check("https://Example.COM/status", &FORM, "UVn81zfYoa0b5vEplf+vOXkELhU=");
    check("https://example.com:443/status", &FORM, "d0tpDrkoUPyxpojw0OQLQf/QX5Q=");
    check("http://example.com:8080/status", &FORM, "I7IhRW/NqQ+MO00SixalnM3OP7k=");
    check("https://user:pass@example.com/status", &FORM, "EwxmDuDvbB3ZR+xj5wv0/5gNC64=");
    check("https://user@example.com:8443//status", &FORM, "h4pRkk7BQw48X3KGr/X4ft+rV6w=");
    check(
        "https://example.com/status?CallSid=CA1&CallStatus=ringing",
        &[],
        "MSB+4m6scsZ6zJHnbcUYX0LIpXY=",
    );
    check(
        "https://example.com/end",
        &[
            ("Reason", "Conference ended via API"),
            ("ReasonConferenceEnded", "conference-ended-via-api"),
        ],
        "yAa88/DY+KkY36HvnK5rKtHHwJU=",
    );
    check(
        "https://example.com/end",
        &[("Digits", ""), ("digits", "1"), ("Digits", "2"), ("Digits", "2")],
        "Mm6/K+oFuvpYYfBUqJIPpGNSbM0=",
    );
    check(
        "https://example.com/hält",
        &[("FriendlyName", "Büro ☃ 😀"), ("Plus", "a+b&c=d")],
        "sc0BwubhtIcqcJsc0cNmwDM6PmI=",
    );
    check(
        "https://example.com/json?bodySHA256=44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        &[],
        "nk0NQy8SQxd/N+yD86JnGpbmi+M=",
    );
}

/// The published vectors lie beside the repository where they may; without them ours must do.
#[test]
fn published_vectors_are_met_where_they_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
    let file = root.join("shared/twilio/signature_vectors.json");
    let Ok(text) = std::fs::read_to_string(&file) else {
        return println!("{}: not there, our own vectors alone were used", file.display());
    };
    let vectors: Value = serde_json::from_str(&text).unwrap();
    let positive = vectors["positive"].as_array().unwrap();
    for vector in positive {
        let mut params = Vec::new();
        for (name, value) in vector["params"].as_object().unwrap() {
            let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            params.extend(values.iter().map(|value| (name.clone(), text(value))));
        }
        let of = |name: &str| vector[name].as_str().unwrap();
        let signed = signature(of("auth_token"), of("signed_url"), &params);
        assert_eq!(signed, of("signature"), "{}", of("id"));
    }
    let negative = vectors["negative"].as_array().unwrap();
    for vector in negative.iter().filter(|vector| vector["raw_body"].is_null()) {
        let of = |name: &str| vector[name].as_str().unwrap();
        let params = vector["params"].as_object().unwrap().iter();
        let params: Vec<_> = params
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        let signed = signature(of("auth_token"), of("signed_url"), &params);
        assert_ne!(signed, of("signature"), "{}", of("id"));
    }
    println!("{}: {} vectors met", file.display(), positive.len() + negative.len());
}

/// Says what a receiver computes from what it got, with the address as it was configured.
fn as_received(head: &str, configured: &str) -> String {
    let (line, body) = (head.lines().next().unwrap(), head.split_once("\r\n\r\n").unwrap().1);
    let target = line.split(' ').nth(1).unwrap();
    let base = configured.split(['?', '#']).next().unwrap();
    let base = &base[..base.match_indices('/').nth(2).unwrap().0];
    let params: Vec<_> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    signature(TOKEN, &format!("{base}{target}"), &params)
}

#[tokio::test]
async fn every_method_is_signed_over_what_is_sent() {
    let origin = Origin::start().await;
    let client = client();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] {
        for address in ["/x", "/x?q=1&r=a%20b", "/x?q=it's#rc=0", "/caf\u{e9}"] {
            origin.says("/x", "200 OK", "", b"");
            let url = format!("http://me:secret@LOCALHOST:{}{address}", origin.port);
            client.fetch(&request(method, &url)).await.unwrap();
            let head = origin.asked().pop().unwrap();
            let sent = |name: &str| {
                let line = head.lines().find(|line| line.to_lowercase().starts_with(name));
                line.unwrap_or_default().split_once(": ").unwrap_or_default().1.to_owned()
            };
            assert!(head.starts_with(method), "{head}");
            assert_eq!(sent("host"), format!("LOCALHOST:{}", origin.port));
            assert_eq!(sent("authorization"), "Basic bWU6c2VjcmV0");
            assert_eq!(sent("i-twilio-idempotency-token"), "once");
            assert_eq!(sent("x-twilio-signature"), as_received(&head, &url), "{method} {url}");
            let in_query = head.lines().next().unwrap().contains("B=c+d&A=%2B1");
            assert_eq!(in_query, ["GET", "HEAD", "DELETE"].contains(&method), "{head}");
        }
    }
}

#[tokio::test]
async fn every_try_has_the_same_token() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/#rc=2&rp=all", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move { client().fetch(&request("POST", &url)).await });
    for _ in 0..3 {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_request(&mut stream).await.unwrap();
        assert!(head.contains("i-twilio-idempotency-token: once"), "{head}");
    }
    assert_eq!(asked.await.unwrap().unwrap_err().code, 11200);
    assert_eq!(Overrides::of("#rc=2").retries, 2);
}
