//! Twilio's own command line, unmodified, through the development proxy.

#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use e2e::{Proxy, Server, brought};
use serde_json::Value;
use sim::{Phone, tone};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn twilio_s_command_line_lists_fetches_and_updates_participants_and_is_told_of_errors() {
    let program = brought("SIDETONE_TEST_TWILIO_CLI");
    let server = Server::start(&[]).await;
    let proxy = Proxy::start(&server);
    let phone = Phone::listen(Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap();
    let form = [("To", phone.uri.as_str()), ("From", "desk"), ("Label", "first")];
    let made = server.post("/Conferences/room/Participants.json", &form).await;
    let (conference, call) = (made.text("conference_sid"), made.text("call_sid"));
    assert!(phone.wait_up(LIMIT));
    let home = tempfile::tempdir().unwrap();
    let run = async |words: &str| {
        let mut command = Command::new(&program);
        command
            .args(words.split(' '))
            .args(["-o", "json"])
            .env("HOME", home.path())
            .envs(proxy.exports.iter().cloned())
            .env_remove("TWILIO_REGION")
            .env_remove("TWILIO_EDGE");
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let printed: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.success(), printed, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (done, conferences, told) = run("api:core:conferences:list").await;
    assert!(done && conferences[0]["sid"] == conference.as_str(), "{conferences} {told}");
    let of = format!("--conference-sid {conference}");
    let (done, listed, told) = run(&format!("api:core:conferences:participants:list {of}")).await;
    assert!(done && listed[0]["callSid"] == call.as_str(), "{listed} {told}");
    let one = format!("{of} --call-sid first");
    let (done, fetched, told) =
        run(&format!("api:core:conferences:participants:fetch {one}")).await;
    assert!(done && fetched[0]["callSid"] == call.as_str(), "{fetched} {told}");
    let update = format!("api:core:conferences:participants:update {one} --muted");
    let (done, updated, told) = run(&update).await;
    assert!(done && updated[0]["muted"] == true, "{updated} {told}");
    let path = format!("/Conferences/{conference}/Participants/{call}.json");
    assert_eq!(server.get(&path).await.body["muted"], true);
    let nobody = format!("api:core:conferences:participants:fetch {of} --call-sid nobody");
    let (done, refused, told) = run(&nobody).await;
    assert!(!done && refused[0]["code"] == 20_404, "{refused} {told}");
}
