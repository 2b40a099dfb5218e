//! `sidetone dev` as it starts and ends: what it promises scripts, and what it says when it cannot.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use e2e::{Server, binary};
use sim::Phone;

/// Runs `sidetone dev` on free ports, but for what the flags say, until it gives up.
fn fails(data: &Path, flags: &[&str]) -> Output {
    let mut free = vec!["--http", "--sip", "--admin"];
    free.retain(|flag| !flags.contains(flag));
    let mut command = Command::new(binary());
    command.args(["dev", "--data"]).arg(data).args(flags);
    for flag in free {
        command.args([flag, "127.0.0.1:0"]);
    }
    command.output().unwrap()
}

/// Checks that nothing starts, that one line says `why`, and that it names the fix.
#[track_caller]
fn check(output: &Output, why: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it started: {said}");
    assert_eq!(said.trim().lines().count(), 1, "more than one line: {said}");
    for word in why {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
    assert!(output.stdout.is_empty(), "something was promised already");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named_with_the_flag_that_helps() {
    let running = Server::start(&[]).await;
    let address = |field: &str, scheme: &str| {
        running.ready(field).trim_start_matches(scheme).trim_end_matches('/').to_owned()
    };
    for (flag, taken) in [
        ("--http", address("api_url", "http://")),
        ("--sip", address("sip_uri", "sip:")),
        ("--admin", address("admin_url", "http://")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        check(&fails(&data, &[flag, &taken]), &[&taken, flag]);
        assert!(!data.exists(), "{flag}: half made");
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    check(&fails(&file, &[]), &["--data"]);
    check(&fails(&file.join("below"), &[]), &["--data"]);
}

#[test]
fn a_database_that_is_none_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("sidetone.db");
    std::fs::write(&database, "this was never a database, whatever its name says".repeat(100))
        .unwrap();
    let before = std::fs::read(&database).unwrap();
    check(&fails(folder.path(), &[]), &["sidetone.db", "--data"]);
    assert_eq!(std::fs::read(&database).unwrap(), before);
}

#[test]
fn a_ready_file_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("no/such/folder/ready");
    let nowhere = nowhere.to_str().unwrap();
    check(&fails(folder.path(), &["--ready-file", nowhere]), &[nowhere]);
}

#[test]
fn a_flag_that_makes_no_sense_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    for flags in [
        &["--rtp-ports", "5-1"][..],
        &["--http", "nowhere"],
        &["--advertise", "here"],
        &["--voice-url", "ftp://example.com/"],
        &["--colour", "blue"],
    ] {
        let output = fails(folder.path(), flags);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {said}");
        assert!(said.contains(flags[0]), "{flags:?}: {said}");
        assert!(!folder.path().join("sidetone.db").exists(), "{flags:?}: half made");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_end_hangs_up_and_ends() {
    let mut server = Server::start(&[]).await;
    let phone = Phone::call(server.sip(), "room", sim::tone(440)).unwrap();
    assert!(phone.wait_up(Duration::from_secs(20)));
    let (status, after) = server.terminate();
    assert!(status.success(), "{status}");
    assert!(after < Duration::from_secs(10), "it took {after:?}");
    assert!(phone.wait_over(Duration::from_secs(10)), "the phone got no BYE");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credentials_stay_what_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Server::start_in(folder.path(), &[]).await;
    let account = |server: &Server| {
        [server.ready("account_sid").to_owned(), server.ready("auth_token").to_owned()]
    };
    let credentials = account(&first);
    first.terminate();
    let second = Server::start_in(folder.path(), &[]).await;
    assert_eq!(account(&second), credentials);
}
