//! `<Gather>` by real phones: prompts that are heard until a key is pressed, and what was pressed.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use e2e::{Origin, Server, hears, spoken, tone, until};
use sim::Phone;

const LIMIT: Duration = Duration::from_secs(20);

/// A WAV of ten seconds of a tone.
fn wav(hertz: u32) -> Vec<u8> {
    let second = tone(hertz, 6_000.0);
    sound::wav(&second.repeat(10))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_ends_the_prompt_and_what_was_pressed_is_sent() {
    let (server, origin) = Server::with_origin().await;
    origin.serves("/prompt.wav", "audio/wav", wav(700));
    origin.serves("/thanks.wav", "audio/wav", wav(1_100));
    origin.serves_twiml("/pin", "<Play>/thanks.wav</Play>");
    origin.answers(
        "menu",
        "<Gather action=\"/pin\" timeout=\"20\"><Play>/prompt.wav</Play></Gather>",
    );
    let phone = Phone::call(server.sip(), "menu", sim::tone(300)).unwrap();
    assert!(phone.wait_up(LIMIT));
    hears(&phone, 700, true).await;
    phone.press("4");
    hears(&phone, 700, false).await;
    phone.press("42#");
    hears(&phone, 1_100, true).await;
    let asked = origin.wait_for("/pin", |_| true).await.unwrap();
    let sent = ["Digits", "FinishedOnKey", "CallStatus"].map(|name| asked.param(name).to_owned());
    assert_eq!(sent, ["442", "#", "in-progress"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_presses_nothing_hears_what_follows() {
    let (server, origin) = Server::with_origin().await;
    origin.serves("/sorry.wav", "audio/wav", wav(1_100));
    origin.answers(
        "patient",
        "<Gather action=\"/pin\" input=\"speech dtmf\" timeout=\"1\"/><Play>/sorry.wav</Play>",
    );
    let phone = Phone::call(server.sip(), "patient", sim::tone(300)).unwrap();
    assert!(phone.wait_up(LIMIT));
    hears(&phone, 1_100, true).await;
    assert_eq!(origin.asked("/pin").len(), 0);
    let log = server.get("/Notifications.json").await.body;
    assert_eq!(log["notifications"][0]["error_code"], "13343", "{log}");
}

/// Who says something for a second and a half, and then nothing for a minute.
fn caller(server: &Server, user: &str) -> Phone {
    let mut voice = [vec![0; 12_000], spoken(1_500)].concat();
    voice.resize(8_000 * 60, 0);
    Phone::call(server.sip(), user, voice.into()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_is_recognised_by_a_service() {
    let origin = Origin::start().await;
    let answer = r#"{"text":"two tickets","confidence":0.875,"stability":0.5}"#;
    let service = origin.serves("/recognise?key=1", "application/json", answer);
    origin.serves("/recognise", "application/json", answer);
    let flags = ["--voice-url", &origin.url("/voice"), "--recogniser", &service];
    let server = Server::start(&flags).await;
    origin.serves_twiml("/said", "<Hangup/>");
    origin.answers(
        "say",
        "<Gather input='speech' action='/said' timeout='20' speechTimeout='4' bargeIn='true' \
         maxSpeechTime='20' language='de-DE' hints='ticket, tickets' speechModel='phone_call' \
         enhanced='true' partialResultCallback='/partly' partialResultCallbackMethod='GET'/>",
    );
    let _phone = caller(&server, "say");
    let said = origin.wait_for("/said", |_| true).await.expect("the action is asked");
    assert_eq!([said.param("SpeechResult"), said.param("Confidence")], ["two tickets", "0.875"]);
    let mut asked = origin.asked("/recognise");
    let partly = asked.iter().filter(|one| one.param("partial") == "true").count();
    assert!(partly > 0 && partly == asked.len() - 1, "{partly} of {}", asked.len());
    let asked = asked.pop().unwrap();
    let fields = ["key", "language", "hints", "model", "enhanced", "partial"]
        .map(|name| asked.param(name).to_owned());
    assert_eq!(fields, ["1", "de-DE", "ticket, tickets", "phone_call", "true", "false"]);
    let told =
        origin.wait_for("/partly", |_| true).await.expect("what is understood so far is told");
    let fields = ["UnstableSpeechResult", "Stability", "SequenceNumber", "CallSid"];
    let fields = fields.map(|name| told.param(name).to_owned());
    assert_eq!(fields, ["two tickets", "0.5", "0", said.param("CallSid")]);
    assert_eq!(
        (told.method.as_str(), origin.asked("/partly").len()),
        ("GET", 1),
        "it is told once"
    );
    assert_eq!((asked.method.as_str(), asked.header("content-type")), ("POST", Some("audio/wav")));
    let kept = std::fs::read_dir(server.data().join("recordings/heard")).unwrap().count();
    assert_eq!(kept, 0, "what was said is kept by nobody");
    let recordings = server.get("/Recordings.json").await.body;
    assert_eq!(recordings["recordings"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_in_a_queue_can_say_that_it_waits_no_longer() {
    let origin = Origin::start().await;
    let service = origin.serves("/recognise", "text/plain", "call me back");
    let flags = ["--voice-url", &origin.url("/voice"), "--recogniser", &service];
    let server = Server::start(&flags).await;
    let gather = "<Gather input='speech' action='/said' timeout='20' speechTimeout='1'/>";
    origin.answers("say", "<Enqueue waitUrl='/wait' action='/left'>support</Enqueue>");
    origin.serves_twiml("/wait", gather);
    origin.serves_twiml("/said", "<Leave/>");
    origin.serves_twiml("/left", "<Hangup/>");
    let _phone = caller(&server, "say");
    let said = origin.wait_for("/said", |_| true).await.expect("the action is asked");
    assert_eq!([said.param("SpeechResult"), said.param("QueuePosition")], ["call me back", "1"]);
    let left = origin.wait_for("/left", |_| true).await.expect("it leaves the queue");
    assert_eq!(left.param("QueueResult"), "leave");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_hears_what_was_said_and_one_that_fails_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let (program, heard) = (folder.path().join("hear.sh"), folder.path().join("heard.wav"));
    let script = format!("cat > {}\necho one ticket\n", heard.display());
    std::fs::write(&program, script).unwrap();
    let origin = Origin::start().await;
    let (voice, command) = (origin.url("/voice"), format!("sh {}", program.display()));
    let server = Server::start(&["--voice-url", &voice, "--recogniser", &command]).await;
    origin.serves_twiml("/said", "<Hangup/>");
    origin.serves("/sorry.wav", "audio/wav", wav(1_100));
    let gather = "<Gather input='dtmf speech' action='/said' timeout='20' speechTimeout='auto'/>";
    origin.answers("say", &format!("{gather}<Play>/sorry.wav</Play>"));
    let _phone = caller(&server, "say");
    let said = origin.wait_for("/said", |_| true).await.expect("the action is asked");
    assert_eq!(said.param("SpeechResult"), "one ticket");
    let sound = e2e::channels(&std::fs::read(&heard).unwrap()).remove(0);
    let loud = sound.iter().filter(|sample| sample.unsigned_abs() > 1_000).count();
    assert!((4_000..16_000).contains(&sound.len()), "{} samples", sound.len());
    assert!(loud > sound.len() / 4, "{loud} of {}", sound.len());
    std::fs::write(&program, "exit 3\n").unwrap();
    let phone = caller(&server, "say");
    hears(&phone, 1_100, true).await;
    until("the debugger log tells of it", async || {
        let log = server.get("/Notifications.json").await.body;
        log["notifications"][0]["error_code"] == "13343"
    })
    .await;
}
