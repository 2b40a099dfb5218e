//! Who may ask, how much at once and how slowly, and what every answer's head says.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use e2e::Server;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Requests that are handled at the same time, as `docs/operating.md` says.
const CONCURRENT_MAX: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_must_say_who_it_is() {
    let server = Server::start(&[]).await;
    let account = server.ready("account_sid");
    let calls = format!("/2010-04-01/Accounts/{account}/Calls.json");
    let client = reqwest::Client::new();
    let ask = async |user: &str, password: &str, path: &str| {
        let request = client.get(format!("{}{path}", server.ready("api_url")));
        let request =
            if user.is_empty() { request } else { request.basic_auth(user, Some(password)) };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(headers.contains_key("www-authenticate"), status == 401);
        (status, body["code"].as_u64(), body["message"].as_str().unwrap_or_default().to_owned())
    };
    let made = server.post("/Keys.json", &[]).await;
    let (key, secret) = (made.text("sid"), made.text("secret"));
    let refused = (401, Some(20003), "Authenticate".to_owned());
    let nobody = format!("AC{}", "0".repeat(32));
    assert_eq!(ask("", "", &calls).await, refused);
    assert_eq!(ask(account, "wrong", &calls).await, refused);
    assert_eq!(ask(account, "", &calls).await, refused);
    assert_eq!(ask(&nobody, server.ready("auth_token"), &calls).await, refused);
    assert_eq!(ask(&key, "wrong", &calls).await, refused);
    assert_eq!(ask(&format!("SK{}", "0".repeat(32)), &secret, &calls).await, refused);
    assert_eq!(ask("me", "x", &calls).await.2, "Authentication Error - invalid username");
    assert_eq!(ask("", "", "/2010-04-01/Accounts/x/Nothing.json").await, refused);
    assert_eq!(ask(account, server.ready("auth_token"), &calls).await.0, 200);
    assert_eq!(ask(&key, &secret, &calls).await.0, 200);
    let foreign = format!("/2010-04-01/Accounts/{nobody}/Calls.json");
    assert_eq!(ask(&key, &secret, &foreign).await.1, Some(20404));
    let upper = format!("/2010-04-01/Accounts/AC{}/Calls.json", account[2..].to_uppercase());
    assert_eq!(ask(&key, &secret, &upper).await.0, 200);
    assert_eq!(server.delete(&format!("/Keys/{key}.json")).await.status, 204);
    assert_eq!(ask(&key, &secret, &calls).await, refused, "a removed key is refused at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_makes_lists_and_removes_keys_of_the_running_server() {
    let server = Server::start(&[]).await;
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(e2e::binary())
            .args([&["keys"], arguments].concat())
            .arg("--data")
            .arg(server.data())
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (made, printed) = run(&["create", "door bell"]);
    let (sid, secret) = printed.trim().split_once(' ').unwrap();
    assert!(made && sid.starts_with("SK") && secret.len() == 32, "{printed}");
    let (_, listed) = run(&["ls"]);
    assert!(listed.contains(sid) && listed.ends_with("door bell\n"), "{listed}");
    assert!(!listed.contains(secret));
    let url = format!("{}/2010-04-01/Accounts.json", server.ready("api_url"));
    let asked = || reqwest::Client::new().get(&url).basic_auth(sid, Some(secret)).send();
    assert_eq!(asked().await.unwrap().status(), 200);
    assert_eq!(run(&["rm", sid]), (true, String::new()));
    assert_eq!(asked().await.unwrap().status(), 401);
    assert!(!run(&["rm", sid]).0, "it is gone already");
}

/// Sends `octets` on a connection of their own and returns everything that comes back.
async fn raw(server: &Server, octets: &str) -> String {
    exchange(server.ready("api_url").trim_start_matches("http://"), octets).await
}

async fn exchange(address: &str, octets: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(octets.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(60), read).await.expect("it ends").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Asks twice on one connection, with a pause between that is longer than a head may take; returns the second answer.
async fn asked_again(address: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"OPTIONS /nothing HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
    tokio::time::sleep(Duration::from_secs(7)).await;
    let last = b"OPTIONS /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(last).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_say_what_a_path_can_and_which_request_this_was() {
    let server = Server::start(&[]).await;
    let account = server.ready("account_sid");
    let path = format!("/2010-04-01/Accounts/{account}/Keys.json");
    let head = server.request("HEAD", &path).send().await.unwrap();
    assert_eq!(head.status(), 200);
    let id = head.headers()["twilio-request-id"].to_str().unwrap().to_owned();
    assert!(id.len() == 34 && id.starts_with("RQ"), "{id}");
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "GET, HEAD, POST, OPTIONS"),
        ("twilio-concurrent-requests", "1"),
        ("content-type", "application/json;charset=utf-8"),
    ] {
        assert_eq!(head.headers()[name], value, "{name}");
    }
    assert!(head.headers().contains_key("twilio-request-duration"));
    assert_eq!(head.text().await.unwrap(), "");
    let close = "Host: x\r\nConnection: close\r\n\r\n";
    let options = raw(&server, &format!("OPTIONS {path} HTTP/1.1\r\n{close}")).await;
    assert!(options.starts_with("HTTP/1.1 204"), "{options}");
    assert!(options.contains("allow: GET, HEAD, POST, OPTIONS\r\n"), "{options}");
    let unknown = raw(&server, &format!("OPTIONS /nothing HTTP/1.1\r\n{close}")).await;
    assert!(unknown.starts_with("HTTP/1.1 404") && unknown.contains("20404"), "{unknown}");
    let put = server.request("PUT", &path).send().await.unwrap();
    assert_eq!(put.headers()["allow"], "GET, HEAD, POST, OPTIONS");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_slow_or_asks_too_much_at_once_disturbs_nobody() {
    let server = Server::start(&[]).await;
    let account = server.ready("account_sid");
    let path = format!("/2010-04-01/Accounts/{account}/Keys.json");
    let credentials = {
        use base64::Engine;
        let pair = format!("{account}:{}", server.ready("auth_token"));
        base64::engine::general_purpose::STANDARD.encode(pair)
    };
    let slow = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n\
         Content-Length: 10\r\nConnection: close\r\n\r\nFri"
    );
    let address = server.ready("api_url").trim_start_matches("http://").to_owned();
    // One more than may be handled at once: whichever comes last is refused, the others wait for their body.
    let mut slow_ones = JoinSet::new();
    for _ in 0..=CONCURRENT_MAX {
        let (address, slow) = (address.clone(), slow.clone());
        slow_ones.spawn(async move { exchange(&address, &slow).await });
    }
    let refused = slow_ones.join_next().await.unwrap().unwrap();
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    assert!(refused.contains("\"code\":20429"), "{refused}");
    let (half, again) =
        tokio::join!(raw(&server, "GET / HTTP/1.1\r\nHost:"), asked_again(&address));
    assert!(
        again.starts_with("HTTP/1.1 404"),
        "after a pause the connection still serves: {again}"
    );
    assert_eq!(half, "", "half a head is never answered");
    for late in slow_ones.join_all().await {
        assert!(late.starts_with("HTTP/1.1 408") && late.contains("took too long"), "{late}");
    }
    let answer = server.request("GET", &path).send().await.unwrap();
    let keys: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(0), "nothing came of half a body");
}
