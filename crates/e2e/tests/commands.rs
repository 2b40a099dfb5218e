//! `sidetone conf` and `sidetone part`, as an operator types them.

#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::time::{Duration, Instant};

use e2e::{Origin, Server, binary};
use serde_json::Value;
use sim::Phone;

/// Runs a sub-command on a server; returns how it ended and what it printed.
fn try_run(server: &Server, line: &str) -> Result<String, String> {
    let mut command = Command::new(binary());
    command.args(line.split(' ')).arg("--data").arg(server.data());
    let output = command.output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[track_caller]
fn run(server: &Server, line: &str) -> String {
    try_run(server, line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[track_caller]
fn json(server: &Server, line: &str) -> Value {
    serde_json::from_str(&run(server, &format!("{line} -o json"))).unwrap()
}

/// Waits until a participant is connected and returns its row.
fn connected(server: &Server, label: &str) -> Value {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let rows = json(server, "part ls team");
        let mut rows = rows.as_array().unwrap().iter();
        if let Some(row) = rows.find(|row| row["label"] == label && row["status"] == "connected") {
            return row.clone();
        }
        assert!(Instant::now() < until, "{label} does not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_says_a_file_presses_keys_and_saves_what_it_hears() {
    let origin = Origin::start().await;
    origin.serves("/sum", "text/xml", "<Response><Play>/beep.wav</Play></Response>");
    origin.serves("/beep.wav", "audio/wav", sound::wav(&e2e::tone(800, 1_000.0)));
    origin.answers("line", "<Gather numDigits='2' action='/sum' timeout='20'/>");
    let server = Server::start(&["--voice-url", &origin.url("/voice")]).await;
    let (say, heard) = (server.data().join("say.wav"), server.data().join("heard.wav"));
    std::fs::write(&say, sound::wav(&e2e::tone(500, 1_000.0))).unwrap();
    let (said, saved) = (say.display(), heard.display());
    let line = format!("call --to line --from +15550199 --press w42 --wav {said} --record {saved}");
    let printed = run(&server, &line);
    assert!(printed.contains("line answered\nthey hung up after "), "{printed}");
    let asked = origin.asked("/sum").remove(0);
    assert_eq!(asked.param("Digits"), "42");
    assert!(asked.param("From").starts_with("sip:+15550199@127.0.0.1"));
    let heard = sound::decode(std::fs::read(heard).unwrap()).unwrap();
    assert!(sim::level(&heard, 800) > 50.0, "the sum was not heard");
    origin.answers("busy", "<Reject reason='busy'/>");
    let refused = try_run(&server, "call --to busy").unwrap_err();
    assert_eq!(refused, "sidetone: busy answered 486\n");
    let nothing = try_run(&server, "call --to line --wav /no/such.wav").unwrap_err();
    assert!(nothing.contains("/no/such.wav"), "{nothing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_does_everything_to_a_room_by_its_name() {
    let server = Server::start(&[]).await;
    let origin = Origin::start().await;
    let chime = origin.serves("/chime.wav", "audio/wav", sound::wav(&e2e::tone(700, 500.0)));
    let listen = |hertz| Phone::listen("127.0.0.1".parse().unwrap(), sim::tone(hertz)).unwrap();
    let (alice, bob) = (listen(400), listen(500));
    for (phone, label) in [(&alice, "alice"), (&bob, "bob")] {
        run(&server, &format!("part add team {} --label {label}", phone.uri));
        connected(&server, label);
    }
    let rooms = run(&server, "conf ls");
    assert!(rooms.starts_with("sid") && rooms.contains("team") && rooms.contains("in-progress"));
    let coached = connected(&server, "bob")["call_sid"].as_str().unwrap().to_owned();
    for (line, field, value) in [
        ("part mute team alice", "muted", Value::from(true)),
        ("part mute team alice --off", "muted", false.into()),
        ("part hold team alice", "hold", true.into()),
        ("part hold team alice --off", "hold", false.into()),
        (&format!("part coach team alice {coached}"), "call_sid_to_coach", coached.clone().into()),
        ("part coach team alice --off", "coaching", false.into()),
        (&format!("part announce team alice {chime}"), "label", "alice".into()),
    ] {
        assert_eq!(json(&server, line)[field], value, "{line}");
    }
    run(&server, &format!("conf announce team {chime}"));
    assert!(origin.wait_for("/chime.wav", |_| true).await.is_some(), "nothing was announced");
    let shown = json(&server, "conf show team");
    assert_eq!(shown["participants"].as_array().map(Vec::len), Some(2));
    assert!(run(&server, "conf top --times 1").contains("alice"));
    run(&server, "part kick team bob");
    assert!(bob.wait_over(Duration::from_secs(10)), "bob is still there");
    run(&server, "conf end team");
    assert!(alice.wait_over(Duration::from_secs(10)), "alice is still there");
    let gone = try_run(&server, "conf show team").unwrap_err();
    assert_eq!(gone, "sidetone: no conference named \"team\" is going on\n");
    let over = json(&server, "conf ls --status completed");
    assert_eq!(over[0]["friendly_name"], "team");
    let sid = over[0]["sid"].as_str().unwrap();
    let told = json(&server, &format!("conf timeline {sid}"));
    let told = told.as_array().unwrap().iter();
    let events: Vec<String> = told
        .filter(|moment| !moment["event"].as_str().unwrap().contains("speech"))
        .map(|moment| format!("{} {}", moment["event"], moment["label"]).replace('"', ""))
        .collect();
    assert_eq!(
        events,
        [
            "participant-join alice",
            "participant-join bob",
            "conference-start null",
            "participant-mute alice",
            "participant-unmute alice",
            "participant-hold alice",
            "participant-unhold alice",
            "participant-modify alice",
            "participant-modify alice",
            "participant-leave bob",
            "participant-leave alice",
            "conference-end null",
        ]
    );
    let refused = try_run(&server, &format!("part mute {sid} alice")).unwrap_err();
    assert!(refused.contains("404") && refused.contains("20404"), "{refused}");
}
