//! `sidetone serve`: strict from the first start, told by one file, and changed while it runs.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use e2e::{Origin, Server, binary, until};
use sim::{Phone, State};

const PATIENCE: Duration = Duration::from_secs(60);

fn sidetone(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_settings_lets_nobody_in_and_fetches_from_nowhere_near() {
    let origin = Origin::start().await;
    let voice = origin.serves_twiml("/voice", "<Hangup/>");
    let server = Server::serve("").await;
    let phone = Phone::call(server.sip(), "room", sim::tone(440)).unwrap();
    assert!(phone.wait_over(PATIENCE));
    assert_eq!(phone.state(), State::Over(Some(401)), "a caller on this machine is asked, too");
    let message = [("To", "+14155550199"), ("From", "+14155550100"), ("Body", "hello")];
    let refused = server.post("/Messages.json", &message).await;
    assert_eq!((refused.status, refused.body["code"].as_u64()), (501, Some(20501)), "{refused:?}");
    let numbers = server.get("/AvailablePhoneNumbers.json").await;
    assert_eq!(numbers.body["countries"].as_array().map(Vec::len), Some(0), "{numbers:?}");
    let listening = Phone::listen("127.0.0.1".parse().unwrap(), sim::tone(440)).unwrap();
    let call = [("To", listening.uri.as_str()), ("From", "desk"), ("Url", voice.as_str())];
    let call = server.post("/Calls.json", &call).await;
    assert_eq!(call.status, 201, "{call:?}");
    let path = format!("/Calls/{}.json", call.text("sid"));
    until("the call fails", async || server.get(&path).await.text("status") == "failed").await;
    assert_eq!(listening.state(), State::Idle, "it is on this machine");
    let mode = std::os::unix::fs::MetadataExt::mode(
        &std::fs::metadata(server.data().join("ready.json")).unwrap(),
    );
    assert_eq!(mode & 0o077, 0, "the token is nobody else's");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_holds_and_a_weak_or_foreign_account_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (sid, token) = (format!("AC{}", "7".repeat(32)), "0123456789abcdef0123456789abcdef");
    std::fs::write(folder.path().join("token"), format!("{token}\n")).unwrap();
    let file = folder.path().join("token").display().to_string();
    let settings = format!(
        "account_sid = {sid:?}\nauth_token_file = {file:?}\napi_url = \"https://api.example/\"\n\
         [[numbers]]\nfirst = \"+14155550100\"\ncount = 2\nlocality = \"San Francisco\"\n"
    );
    let mut server = Server::serve_in(folder.path(), &settings).await;
    assert_eq!([server.ready("account_sid"), server.ready("auth_token")], [&sid, token]);
    assert_eq!(server.ready("api_url"), "https://api.example");
    assert!(!server.log().contains(token));
    server.terminate();
    let other = settings.replace(&sid, &format!("AC{}", "8".repeat(32)));
    let file = server.settings();
    std::fs::write(&file, other).unwrap();
    let data = folder.path().to_str().unwrap();
    let serve = ["serve", "--config", file.to_str().unwrap(), "--data", data];
    let output = sidetone(
        &[&serve[..], &["--http", "127.0.0.1:0", "--sip", "127.0.0.1:0", "--admin", "127.0.0.1:0"]]
            .concat(),
    );
    assert!(!output.status.success() && said(&output).contains(&sid), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_signal_takes_what_can_be_taken_and_names_the_rest() {
    let server = Server::serve("[limits]\napi_concurrency = 100\n").await;
    let path = format!("/2010-04-01/Accounts/{}.json", server.ready("account_sid"));
    let write = |text: &str| std::fs::write(server.settings(), text).unwrap();
    write("open_recordings = true\n[limits]\napi_concurrency = 1\n");
    server.signal("HUP");
    until("it reads", async || server.log().contains("the settings were read again")).await;
    assert!(server.log().contains("open_recordings"), "{}", server.log());
    until("the second request at once is refused", async || {
        let two = [(); 2].map(|()| server.request("GET", &path).send());
        let [one, other] = two;
        let (one, other) = tokio::join!(one, other);
        [one, other].iter().any(|answer| answer.as_ref().unwrap().status() == 429)
    })
    .await;
    write("[limits]\napi_concurency = 2\n");
    server.signal("HUP");
    let told = "did you mean \\\"limits.api_concurrency\\\"?";
    until("it says what is wrong", async || {
        server.log().contains(told) || server.log().contains(&told.replace('\\', ""))
    })
    .await;
    assert_eq!(server.get(".json").await.status, 200, "the settings of before hold");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_end_lets_calls_come_to_their_end() {
    let origin = Origin::start().await;
    let voice = origin.serves_twiml("/voice", "<Pause length='3600'/>");
    let settings = "drain_limit = \"10m\"\n[guard]\nloopback = true\n";
    let mut server = Server::serve(settings).await;
    let phone = Phone::listen("127.0.0.1".parse().unwrap(), sim::tone(440)).unwrap();
    let form = [("To", phone.uri.as_str()), ("From", "desk"), ("Url", voice.as_str())];
    let call = server.post("/Calls.json", &form).await;
    assert_eq!(call.status, 201, "{call:?}");
    assert!(phone.wait_up(PATIENCE));
    server.signal("TERM");
    until("it is not ready", async || server.admin("/readyz").await.0 == 503).await;
    let refused = server.post("/Calls.json", &form).await;
    assert_eq!(refused.status, 503, "no call begins: {refused:?}");
    assert_eq!(server.admin("/healthz").await.0, 200);
    let path = format!("/Calls/{}.json", call.text("sid"));
    assert_eq!(server.get(&path).await.text("status"), "in-progress", "the call goes on");
    assert_eq!(server.post(&path, &[("Status", "completed")]).await.status, 200);
    let (status, _) = server.wait_end(PATIENCE).expect("it ends with its last call");
    assert!(status, "it failed");
    assert!(phone.wait_over(PATIENCE));
}

/// Writes a file and checks what `sidetone config check` says of it.
#[track_caller]
fn check(folder: &Path, text: &str, code: i32, told: &str) {
    let file = folder.join("s.toml");
    std::fs::write(&file, text).unwrap();
    let output = sidetone(&["config", "check", file.to_str().unwrap()]);
    let text = said(&output) + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(told), "{told:?} is not in {text}");
}

#[test]
fn a_file_is_checked_and_shown_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    check(folder.path(), "", 0, "a server can be started with it");
    check(folder.path(), "[callbacks]\ndelivary = \"x\"", 1, "s.toml:2:1: unknown setting");
    check(folder.path(), "\nhtpt = \"x\"", 1, "did you mean \"http\"?");
    check(folder.path(), "auth_token = \"0123456789abcdef0123456789abcdef\"", 1, "together");
    let file = folder.path().join("s.toml");
    let output = sidetone(&["config", "print", file.to_str().unwrap(), "--drain-limit", "1h"]);
    assert!(!output.status.success(), "what could not start is not shown as if it could");
    let token = "0123456789abcdef0123456789abcdef";
    let account = format!("account_sid = \"AC{}\"\nauth_token = {token:?}\n", "7".repeat(32));
    std::fs::write(&file, account).unwrap();
    let output = sidetone(&["config", "print", file.to_str().unwrap(), "--drain-limit", "1h"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("drain_limit = \"1h\"  # --drain-limit"), "{shown}");
    assert!(shown.contains("auth_token = \"(hidden)\"") && !shown.contains(token), "{shown}");
    assert!(shown.contains("sip = \"127.0.0.1:5060\"  # default"), "{shown}");
}
