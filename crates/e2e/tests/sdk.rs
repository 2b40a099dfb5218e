//! Twilio's own SDKs, as a customer has them, drive a running server and real phones.

#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use e2e::{Origin, Proxy, Server, brought, tone};
use sim::Phone;

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_works_through_the_sdk_for_python() {
    let python = brought("SIDETONE_TEST_PYTHON");
    walk(&python, "walk.py", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_for_python_runs_unchanged_through_the_proxy() {
    let python = brought("SIDETONE_TEST_PYTHON");
    walk(&python, "walk.py", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_works_through_the_sdk_for_node() {
    brought("NODE_PATH");
    walk(Path::new("node"), "walk.js", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_for_node_runs_unchanged_through_the_proxy() {
    brought("NODE_PATH");
    walk(Path::new("node"), "walk.js", true).await;
}

/// Runs a program of `sdk/` against a server of its own, then gives it the signed requests to judge.
/// It is told where the server is by one line, or, through the proxy, not at all.
async fn walk(interpreter: &Path, program: &str, unchanged: bool) {
    let origin = Origin::start().await;
    origin.serves("/tone.wav", "audio/wav", sound::wav(&tone(440, 2_500.0)));
    origin.serves("/announce", "audio/wav", sound::wav(&tone(440, 2_500.0)));
    origin.serves_twiml("/hold", "<Play loop='0'>/tone.wav</Play>");
    origin.serves_twiml("/wait", "<Play loop='0'>/tone.wav</Play>");
    origin.serves_twiml("/pause", "<Pause length='60'/>");
    let server = Server::start(&["--no-virtual-phones"]).await;
    let phones: Vec<Phone> = [400, 500, 600]
        .map(|hertz| Phone::listen(Ipv4Addr::LOCALHOST.into(), sim::tone(hertz)).unwrap())
        .into();
    let proxy = unchanged.then(|| Proxy::start(&server));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk").join(program);
    let run = |arguments: &[&str]| {
        let mut command = Command::new(interpreter);
        command
            .arg(&file)
            .args(arguments)
            .env_remove("TWILIO_REGION")
            .env_remove("TWILIO_EDGE")
            .env("WALK_SID", server.ready("account_sid"))
            .env("WALK_TOKEN", server.ready("auth_token"))
            .env("WALK_ORIGIN", origin.url(""));
        match &proxy {
            Some(proxy) => command.envs(proxy.exports.iter().cloned()),
            None => command.env("WALK_API", server.ready("api_url")),
        };
        for (name, phone) in ["ALICE", "BOB", "CAROL"].iter().zip(&phones) {
            command.env(format!("WALK_{name}"), &phone.uri);
        }
        command
    };
    assert_eq!(output(run(&[])).await, "walked");
    let ended = |asked: &e2e::Asked| asked.param("StatusCallbackEvent") == "conference-end";
    assert!(origin.wait_for("/callback/room", ended).await.is_some(), "no conference-end was told");
    let completed = |asked: &e2e::Asked| asked.param("CallStatus") == "completed";
    assert!(origin.wait_for("/callback/call", completed).await.is_some(), "no end was told");
    let signed = origin.signed(|_| true);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("callbacks.json");
    std::fs::write(&file, serde_json::to_string(&signed).unwrap()).unwrap();
    let judged = output(run(&["signatures", file.to_str().unwrap()])).await;
    assert_eq!(judged, format!("{} signatures", signed.len()));
    for path in ["/callback/room", "/callback/call", "/hold", "/announce", "/pause"] {
        assert!(signed.iter().any(|request| request["path"] == path), "{path} got nothing signed");
    }
    assert!(signed.len() >= 13, "only {} signed requests came", signed.len());
}

/// Runs a program, which must succeed, and returns what it printed.
async fn output(mut command: Command) -> String {
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
