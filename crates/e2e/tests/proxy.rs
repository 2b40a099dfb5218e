//! `sidetone dev-proxy`: what it leads to, and what it refuses.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use e2e::{Proxy, Server, binary};
use serde_json::Value;

/// Asks an address through a proxy, trusting its authority alone.
async fn ask(proxy: &Proxy, url: &str) -> Result<(u16, Value), reqwest::Error> {
    let of = |wanted: &str| {
        proxy.exports.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    };
    let pem = std::fs::read(of("SSL_CERT_FILE").unwrap()).unwrap();
    let client = reqwest::Client::builder()
        .proxy(reqwest::Proxy::all(of("HTTPS_PROXY").unwrap())?)
        .tls_certs_only([reqwest::Certificate::from_pem(&pem)?])
        .build()?;
    let account = of("TWILIO_ACCOUNT_SID").unwrap();
    let answer =
        client.get(url.replace("AC", account)).basic_auth(account, of("TWILIO_AUTH_TOKEN"));
    let answer = answer.send().await?;
    let status = answer.status().as_u16();
    Ok((status, serde_json::from_str(&answer.text().await?).unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_answers_other_products_say_so_and_all_else_is_refused() {
    let mut server = Server::start(&[]).await;
    let proxy = Proxy::start(&server);
    for host in ["api.twilio.com", "api.dublin.ie1.twilio.com"] {
        let url = format!("https://{host}/2010-04-01/Accounts/AC/Calls.json");
        let (status, body) = ask(&proxy, &url).await.unwrap();
        assert_eq!((status, &body["calls"]), (200, &serde_json::json!([])), "{host}");
    }
    let (status, body) = ask(&proxy, "https://taskrouter.twilio.com/v1/Workspaces").await.unwrap();
    assert_eq!((status, &body["code"]), (501, &20_501.into()));
    assert!(body["message"].as_str().unwrap().contains("taskrouter"));
    for url in ["https://example.com/", "http://api.twilio.com/", "https://api.twilio.com.example/"]
    {
        let refused = ask(&proxy, url).await;
        assert!(refused.is_err() || matches!(refused, Ok((403, _))), "{url}: {refused:?}");
    }
    server.terminate();
    let url = "https://api.twilio.com/2010-04-01/Accounts/AC/Calls.json";
    let (status, body) = ask(&proxy, url).await.unwrap();
    assert_eq!((status, &body["code"]), (503, &20_503.into()), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_listens_on_loopback_alone_and_needs_a_server() {
    let server = Server::start(&[]).await;
    for (arguments, why) in [
        (["dev-proxy", "--listen", "0.0.0.0:0"], "loopback"),
        (["dev-proxy", "--listen", "127.0.0.1"], "--listen"),
    ] {
        let mut command = Command::new(binary());
        let output = command.args(arguments).arg("--data").arg(server.data()).output().unwrap();
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains(why), "{arguments:?}");
    }
    let nowhere = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary());
    let output = command.args(["dev-proxy", "--data"]).arg(nowhere.path()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("start the server"));
}
