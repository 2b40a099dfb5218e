//! Who has answered a call, from outside: phones that greet as people and as machines do.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use e2e::{Origin, Server, spoken, tone, until};
use sim::{Phone, Voice};

/// A minute of sound that begins with so many milliseconds of a voice, with a beep after it where one is
/// wanted.
fn greeting(ms: usize, beep: bool) -> Voice {
    let mut sound = [spoken(ms), vec![0; 2_400]].concat();
    if beep {
        sound.extend(tone(1_000, 6_000.0).iter().take(3_200));
    }
    sound.resize(8_000 * 60, 0);
    Arc::from(sound)
}

async fn start() -> (Server, Origin) {
    let server = Server::start(&[]).await;
    (server, Origin::start().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_asked_for_when_it_is_known_who_answered() {
    let (server, origin) = start().await;
    let url = origin.serves_twiml("/hello", "<Hangup/>");
    for (ms, beep, mode, expected) in [
        (700, false, "Enable", "human"),
        (4_000, false, "Enable", "machine_start"),
        (4_000, true, "DetectMessageEnd", "machine_end_beep"),
        (4_000, false, "DetectMessageEnd", "machine_end_silence"),
    ] {
        let phone = Phone::listen([127, 0, 0, 1].into(), greeting(ms, beep)).unwrap();
        let form = [
            ("To", phone.uri.as_str()),
            ("From", "+15550100"),
            ("Url", &url),
            ("MachineDetection", mode),
            ("StatusCallback", &origin.url("/callback/machine")),
        ];
        let made = server.post("/Calls.json", &form).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let sid = made.text("sid");
        let is_it = |asked: &e2e::Asked| asked.param("CallSid") == sid;
        let asked = origin.wait_for("/hello", is_it).await.expect("the document is asked for");
        assert_eq!(asked.param("AnsweredBy"), expected);
        let told = origin.wait_for("/callback/machine", is_it).await.expect("the end is told");
        assert_eq!((told.param("CallStatus"), told.param("AnsweredBy")), ("completed", expected));
        assert_eq!(server.get(&format!("/Calls/{sid}.json")).await.text("answered_by"), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answered_is_told_by_itself_where_nothing_waits_for_it() {
    let (server, origin) = start().await;
    let url = origin.serves_twiml("/hello", "<Pause length='60'/>");
    let phone = Phone::listen([127, 0, 0, 1].into(), greeting(4_000, false)).unwrap();
    let form = [
        ("To", phone.uri.as_str()),
        ("From", "+15550100"),
        ("Url", &url),
        ("MachineDetection", "Enable"),
        ("AsyncAmd", "true"),
        ("AsyncAmdStatusCallback", &origin.url("/callback/async")),
    ];
    assert_eq!(server.post("/Calls.json", &form).await.status, 201);
    let asked = origin.wait_for("/hello", |_| true).await.unwrap();
    assert_eq!(asked.param("AnsweredBy"), "", "the document does not wait");
    let told = origin.wait_for("/callback/async", |_| true).await.unwrap();
    assert_eq!(told.param("AnsweredBy"), "machine_start");
    let took: u64 = told.param("MachineDetectionDuration").parse().unwrap();
    assert!((2_000..20_000).contains(&took), "{took} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_takes_part_while_it_is_found_out_who_it_is() {
    let (server, origin) = start().await;
    let phone = Phone::listen([127, 0, 0, 1].into(), greeting(700, false)).unwrap();
    let form = [
        ("To", phone.uri.as_str()),
        ("From", "+15550100"),
        ("Label", "callee"),
        ("MachineDetection", "Enable"),
        ("AmdStatusCallback", &origin.url("/callback/amd")),
        ("AmdStatusCallbackMethod", "GET"),
    ];
    assert_eq!(server.post("/Conferences/amd/Participants.json", &form).await.status, 201);
    let told = origin.wait_for("/callback/amd", |_| true).await.unwrap();
    assert_eq!((told.method.as_str(), told.param("AnsweredBy")), ("GET", "human"));
    until("the call is shown with it", async || {
        let calls = server.get("/Calls.json").await.body;
        calls["calls"][0]["answered_by"] == "human"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_cannot_be_are_refused() {
    let (server, _) = start().await;
    for (name, value) in [
        ("MachineDetectionTimeout", "2"),
        ("MachineDetectionSpeechThreshold", "999"),
        ("MachineDetectionSpeechEndThreshold", "5001"),
        ("MachineDetectionSilenceTimeout", "soon"),
        ("AsyncAmd", "maybe"),
        ("AsyncAmdStatusCallback", "nowhere"),
    ] {
        let form =
            [("To", "sip:a@127.0.0.1:9"), ("From", "a"), ("Twiml", "<Response/>"), (name, value)];
        let refused = server.post("/Calls.json", &form).await;
        assert_eq!(refused.status, 400, "{name}={value}: {}", refused.body);
        assert!(refused.text("message").contains(name), "{}", refused.body);
    }
}
