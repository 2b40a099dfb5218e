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

#[test]
fn no_other_machine_is_loaded() {
    let output = Command::new(binary()).args(["load", "--sip", "192.0.2.1:5060"]).output().unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("192.0.2.1 is not on this machine"), "{told}");
}

fn right(run: &Value) -> bool {
    run["sound"]["legs_right"] == 8 && run["sound"]["clicks_heard"].as_u64() > Some(0)
}

fn load(server: &Server, more: &[&str]) -> Value {
    let output = Command::new(binary())
        .args(["load", "--legs", "8", "--room-size", "4", "--for", "2s", "-o", "json", "--data"])
        .arg(server.data())
        .args(more)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}
