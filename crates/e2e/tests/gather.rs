//! `<Gather>` by real phones: prompts that are heard until a key is pressed, and what was pressed.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use e2e::{Server, hears, tone};
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
    assert_eq!(log["notifications"][0]["error_code"], "13326", "{log}");
}
