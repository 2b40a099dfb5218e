use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Origin, TOKEN, client, read_request, request};
use crate::{Overrides, signature};

/// Ours: computed with another implementation of HMAC-SHA1, after the rules that Twilio documents.
const OURS: &str = include_str!("vectors.json");

/// Holds a signature to what it is said to be, or not to be; a receiver adds the hash of a body that is no form.
#[track_caller]
fn check(
    name: &str,
    url: &str,
    params: &[(String, String)],
    body: Option<&str>,
    told: (&str, bool),
) {
    let (expected, valid) = told;
    let url = body.map_or(url.to_owned(), |body| {
        format!(
            "{url}&bodySHA256={}",
            Sha256::digest(body).iter().map(|o| format!("{o:02x}")).collect::<String>()
        )
    });
    let mut params = params.to_vec();
    assert_eq!(signature(TOKEN, &url, &params) == expected, valid, "{name}");
    params.reverse();
    assert_eq!(signature(TOKEN, &url, &params) == expected, valid, "{name}: the other way round");
    assert_ne!(signature("12346", &url, &params), expected, "{name}: another token");
}

#[test]
fn thirty_five_signatures_are_as_another_implementation_computes_them_and_three_are_not() {
    let vectors: Value = serde_json::from_str(OURS).unwrap();
    assert_eq!(vectors["auth_token"], TOKEN);
    for (kind, count, valid) in [("positive", 35, true), ("negative", 3, false)] {
        let all = vectors[kind].as_array().unwrap();
        assert_eq!(all.len(), count);
        for vector in all {
            let of = |name: &str| vector[name].as_str().unwrap();
            let params: Vec<(String, String)> =
                serde_json::from_value(vector["params"].clone()).unwrap();
            let told = (of("signature"), valid);
            check(of("name"), of("url"), &params, vector["body"].as_str(), told);
        }
    }
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
    for (kind, count, valid) in [("positive", 35, true), ("negative", 3, false)] {
        let all = vectors[kind].as_array().unwrap();
        assert_eq!(all.len(), count);
        for vector in all {
            let of = |name: &str| vector[name].as_str().unwrap();
            assert_eq!(of("auth_token"), TOKEN);
            let mut params = Vec::new();
            for (name, value) in vector["params"].as_object().unwrap() {
                let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                params.extend(values.iter().map(|value| (name.clone(), text(value))));
            }
            // A positive vector has the hash of its body in its address already.
            let body = vector["raw_body"].as_str().filter(|_| !valid);
            check(of("id"), of("signed_url"), &params, body, (of("signature"), valid));
        }
    }
    println!("{}: 35 vectors met, 3 refused", file.display());
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
