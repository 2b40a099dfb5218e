//! `sidetone load` against a server, and against its own reflector.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use e2e::{Server, binary};
use serde_json::Value;

/// Runs until the sound is right: on a machine that has no time, phones and server break off.
const TRIES: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn every_leg_of_a_load_hears_whom_it_should() {
    let server = Server::start(&[]).await;
    let mut seen = Value::Null;
    for _ in 0..TRIES {
        seen = load(&server, &["--updates", "20", "--floor"]);
        for side in ["server", "floor"] {
            let run = &seen[side];
            assert_eq!(run["legs_up"], 8, "{run}");
            assert_eq!(run["sound"]["legs_checked"], 8, "{run}");
            assert!(run["packets"]["received"].as_u64() > Some(0), "{run}");
            assert!(run["clean"].is_boolean() && run["own_lateness_ms"]["p99"].is_number());
            assert!(run["cpu_ms_per_leg_second"].is_number() || !cfg!(target_os = "linux"));
        }
        let updates = &seen["server"]["updates"];
        assert!(updates["made"].as_u64() > Some(0), "{updates}");
        assert_eq!(updates["refused"], serde_json::json!({}));
        assert_eq!(seen["server"]["calls"]["refused"], serde_json::json!({}));
        if right(&seen["server"]) && right(&seen["floor"]) {
            return;
        }
    }
    panic!("in {TRIES} runs not all were heard: {seen:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn legs_of_every_codec_hear_each_other() {
    let server = Server::start(&[]).await;
    until_right(|| load(&server, &["--codec", "opus,g722,pcmu,pcma", "--floor"]));
}

#[test]
fn legs_are_heard_that_are_encrypted_and_sent_through_a_network_that_loses_and_delays() {
    // Each leg reports once in that time, and so does the server.
    let mut line = vec!["--spawn", "--legs", "8", "--for", "6s", "--codec", "opus,pcmu", "--floor"];
    line.extend(["--srtp", "--tls", "--loss", "5", "--jitter", "20", "--drift", "200"]);
    until_right(|| {
        let seen = told(Command::new(binary()).args(["load", "-o", "json"]).args(&line));
        for side in ["server", "floor"] {
            let packets = &seen[side]["packets"];
            assert!(packets["lost_on_purpose"].as_u64() > Some(0), "{packets}");
            assert!(seen[side]["sound"]["breaks"]["count"].is_number(), "{seen}");
        }
        let reports = &seen["server"]["reports"];
        assert!(reports["sent"].as_u64() >= Some(8), "{reports}");
        assert!(reports["received"].as_u64() > Some(0), "{reports}");
        assert!(reports["lost_percent"].as_f64() > Some(0.0), "{reports}");
        assert_eq!(seen["floor"]["reports"]["sent"], 0);
        seen
    });
}

#[test]
fn the_server_is_the_same_after_many_have_come_and_gone() {
    let line = ["--spawn", "--legs", "8", "--for", "6s", "--churn", "4", "--floor"];
    let mut told_of = Value::Null;
    for _ in 0..TRIES {
        let seen = told(Command::new(binary()).args(["load", "-o", "json"]).args(line));
        told_of = seen["server"]["churn"].clone();
        for side in ["before", "after"] {
            let known = |name: &str| told_of[side][name].is_u64() || !cfg!(target_os = "linux");
            assert!(known("sockets") && known("memory_kib"), "{told_of}");
            assert_eq!(told_of[side]["rooms"], 2, "{told_of}");
        }
        assert_eq!(seen["server"]["calls"]["refused"], serde_json::json!({}));
        assert!(told_of["left"].as_u64() > Some(0), "{told_of}");
        // On a machine without time somebody is still on his way out or in at the end.
        let same = |name: &str| told_of["before"][name] == told_of["after"][name];
        let came = told_of["left"] == told_of["answered_ms"]["count"];
        if came && same("calls") && same("sip_dialogs") && right(&seen["server"]) {
            return;
        }
    }
    panic!("in {TRIES} runs it was never the same: {told_of:#}");
}

#[test]
fn a_sweep_has_a_floor_for_each_size_and_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sweep.svg");
    let line = ["--spawn", "--sweep", "4,8", "--for", "1s", "--plot"];
    let seen = told(Command::new(binary()).args(["load", "-o", "json"]).args(line).arg(&file));
    let sizes = seen["sweep"].as_array().unwrap();
    let legs: Vec<&Value> = sizes.iter().map(|size| &size["plan"]["legs"]).collect();
    assert_eq!(legs, [4, 8]);
    for size in sizes {
        assert!(size["floor"]["packets"]["received"].as_u64() > Some(0), "{size}");
    }
    let drawn = std::fs::read_to_string(file).unwrap();
    assert!(drawn.starts_with("<svg") && drawn.contains(">8</text>"), "{drawn}");
}

#[test]
fn whoever_waits_alone_hears_music_and_the_floor_only_sends() {
    let line = ["--spawn", "--legs", "8", "--for", "2s", "--waiting", "--codec", "pcmu,g722,opus"];
    let mut seen = Value::Null;
    for _ in 0..TRIES {
        let mut command = Command::new(binary());
        seen = told(command.args(["load", "-o", "json", "--floor"]).args(line));
        assert_eq!(seen["plan"]["room_size"], 1);
        assert_eq!(seen["server"]["calls"]["refused"], serde_json::json!({}));
        let is_right = |side: &str| {
            let (sound, packets) = (&seen[side]["sound"], &seen[side]["packets"]);
            // Each of them is sent some 250 times as much as it sends.
            let sent = packets["sent"].as_u64().unwrap();
            packets["received"].as_u64() > Some(sent * 10)
                && (&sound["legs_checked"], &sound["legs_right"]) == (&8.into(), &8.into())
        };
        if is_right("server") && is_right("floor") {
            return;
        }
    }
    panic!("in {TRIES} runs not all heard music: {seen:#}");
}

#[test]
fn flags_that_cannot_be_are_refused_with_what_can() {
    let check = |flags: &[&str], says: &str| {
        let output = Command::new(binary()).arg("load").args(flags).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{told}");
        assert!(told.contains(says), "{told}");
    };
    check(&["--codec", "g729"], "opus, g722, pcmu, pcma");
    check(&["--loss", "41"], "0 to 40 percent");
    check(&["--burst", "0"], "1 to 50 packets");
    check(&["--jitter", "201"], "0 to 200 ms");
    check(&["--drift", "1001"], "0 to 1000 ppm");
    check(&["--sweep", "4,5000"], "--legs 5000 is not 1 to 4000");
    check(&["--plot", "nowhere/sweep.svg"], "nowhere/sweep.svg");
    check(&["--churn", "201"], "0 to 200 a second");
    check(&["--churn", "1", "--talkers", "4"], "nobody is silent");
    check(&["--waiting", "--talkers", "1"], "--talkers");
    check(&["--ca-file", "there.pem"], "--tls");
}

/// Runs until both sides heard whom they should.
#[track_caller]
fn until_right(run: impl Fn() -> Value) {
    let mut seen = Value::Null;
    for _ in 0..TRIES {
        seen = run();
        assert_eq!(seen["server"]["calls"]["refused"], serde_json::json!({}));
        if right(&seen["server"]) && right(&seen["floor"]) {
            return;
        }
    }
    panic!("in {TRIES} runs not all were heard: {seen:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_is_asked_for_what_goes_on() {
    let server = Server::start(&[]).await;
    let seen = load(&server, &["--requests", "2"]);
    all_answered(&seen["server"]["requests"], 4);
}

#[test]
fn lists_over_a_history_are_all_answered() {
    let line = ["--spawn", "--history", "2000", "--requests", "1", "--legs", "2", "--for", "5s"];
    let seen = told(Command::new(binary()).args(["load", "-o", "json"]).args(line));
    all_answered(&seen["server"]["requests"], 23);
}

/// Each sort was answered at least once, and by nothing but 200.
#[track_caller]
fn all_answered(requests: &Value, sorts: usize) {
    let requests = requests.as_array().unwrap();
    assert_eq!(requests.len(), sorts, "{requests:?}");
    for row in requests {
        let statuses: Vec<&String> = row["statuses"].as_object().unwrap().keys().collect();
        assert_eq!(statuses, ["200"], "{row}");
        assert!(row["octets_each"].as_u64() > Some(100), "{row}");
    }
}

#[test]
fn no_other_machine_is_loaded() {
    let output = Command::new(binary()).args(["load", "--sip", "192.0.2.1:5060"]).output().unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("192.0.2.1 is not on this machine"), "{told}");
}

fn right(run: &Value) -> bool {
    // Who has just come again is not judged.
    let sound = &run["sound"];
    sound["legs_right"] == sound["legs_checked"]
        && sound["legs_checked"].as_u64() >= Some(4)
        && run["sound"]["clicks_heard"].as_u64() > Some(0)
}

fn load(server: &Server, more: &[&str]) -> Value {
    told(
        Command::new(binary())
            .args(["load", "--legs", "8", "--room-size", "4", "--for", "2s", "-o", "json"])
            .arg("--data")
            .arg(server.data())
            .args(more),
    )
}

fn told(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| serde_json::from_str(line).ok()).expect(&text)
}
