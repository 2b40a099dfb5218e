//! Speech, heard: `<Say>` in a call and in a hold document, plain text, and the application error.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use e2e::{Origin, Server, level};
use sim::{Phone, State, Voice};

const SENTENCE: &str = "Hello, please hold the line. We will be with you soon.";

fn silence() -> Voice {
    vec![0; 160].into()
}

/// Lets a phone call, and returns all that it heard until it was hung up on.
async fn heard(server: &Server, origin: &Origin, user: &str, verbs: &str) -> Vec<i16> {
    if !verbs.is_empty() {
        origin.answers(user, &format!("{verbs}<Hangup/>"));
    }
    let phone = Phone::call(server.sip(), user, silence()).unwrap();
    for _ in 0..1_200 {
        if matches!(phone.state(), State::Over(_)) {
            return phone.heard();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{user}: the call does not end");
}

fn is_loud(frame: &[i16]) -> bool {
    frame.iter().any(|sample| sample.unsigned_abs() > 400)
}

/// How long someone spoke, in seconds, pauses left out.
fn seconds(heard: &[i16]) -> f64 {
    heard.chunks_exact(160).filter(|frame| is_loud(frame)).count() as f64 * 0.02
}

/// Judges whether it is speech: loud and soft in turn, at its level, and most of it where voices are.
#[track_caller]
fn assert_speech(heard: &[i16], about: &str) {
    let loud: Vec<i16> =
        heard.chunks_exact(160).filter(|frame| is_loud(frame)).flatten().copied().collect();
    assert!(loud.len() > 8_000, "{about}: {} samples", loud.len());
    let power = loud.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / loud.len() as f64;
    let dbfs = 10.0 * (power / 32_768_f64.powi(2)).log10();
    assert!((-24.0..-16.0).contains(&dbfs), "{about}: {dbfs} dBFS");
    let frame_power = |frame: &[i16]| frame.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>();
    let mut powers: Vec<f64> = loud.chunks_exact(160).map(frame_power).collect();
    powers.sort_by(f64::total_cmp);
    let (soft, strong) = (powers[powers.len() / 10], powers[powers.len() * 9 / 10]);
    assert!(strong > 4.0 * soft, "{about}: as even as a tone");
    let band = |from: u32, to: u32| {
        (from..to).step_by(20).map(|hertz| level(&loud, hertz).powi(2)).sum::<f64>()
    };
    let (voices, hiss) = (band(80, 3_000), band(3_000, 4_000));
    assert!(voices > 4.0 * hiss, "{about}: {voices} below 3 kHz, {hiss} above");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_hears_what_is_said_in_its_prosody_and_language() {
    let (server, origin) = Server::with_origin().await;
    let say = async |user: &str, verbs: String| heard(&server, &origin, user, &verbs).await;
    let plain = say("plain", format!("<Say>{SENTENCE}</Say>")).await;
    assert_speech(&plain, "plain");
    let slowly = format!("<Say><prosody rate=\"50%\">{SENTENCE}</prosody></Say>");
    let (slow, german, woman, twice, pause) = tokio::join!(
        say("slow", slowly),
        say("german", format!("<Say language=\"de-DE\">{SENTENCE}</Say>")),
        say("woman", format!("<Say voice=\"Polly.Joanna\">{SENTENCE}</Say>")),
        say("twice", format!("<Say loop=\"2\">{SENTENCE}</Say>")),
        say("pause", "<Say>One<break time=\"2s\"/>two</Say>".to_owned()),
    );
    let length = seconds(&plain);
    assert!((2.0..5.0).contains(&length), "{length} s");
    assert_speech(&german, "german");
    assert_speech(&woman, "woman");
    let ratio = seconds(&slow) / length;
    assert!((1.6..2.6).contains(&ratio), "half the rate takes {ratio} times as long");
    let ratio = seconds(&twice) / length;
    assert!((1.8..2.2).contains(&ratio), "twice takes {ratio} times as long");
    let shape = |heard: &[i16]| -> Vec<bool> { heard.chunks_exact(160).map(is_loud).collect() };
    assert_ne!(shape(&german), shape(&plain), "german sounds like english");
    let longest = pause.split(|s| s.unsigned_abs() > 100).map(<[i16]>::len);
    let gap = longest.max().unwrap();
    assert!(gap >= 15_000, "the break lasts {gap} samples");
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_and_the_application_error_are_spoken() {
    let (server, origin) = Server::with_origin().await;
    origin.serves("/plain", "text/plain", SENTENCE);
    let redirect = "<Redirect method=\"GET\">/plain</Redirect>";
    let (plain, error) = tokio::join!(
        heard(&server, &origin, "plain", redirect),
        // Nothing is served for this user.
        heard(&server, &origin, "nobody", ""),
    );
    assert_speech(&plain, "plain text");
    assert_speech(&error, "application error");
    let length = seconds(&error);
    assert!((1.5..6.0).contains(&length), "the sentence lasts {length} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_without_a_voice_is_spoken_in_english_and_noted() {
    let (server, origin) = Server::with_origin().await;
    let say = format!("<Say language=\"zh-CN\">{SENTENCE}</Say>");
    let english = format!("<Say>{SENTENCE}</Say>");
    let (chinese, english) = tokio::join!(
        heard(&server, &origin, "chinese", &say),
        heard(&server, &origin, "english", &english),
    );
    assert_speech(&chinese, "chinese");
    assert!((seconds(&chinese) - seconds(&english)).abs() < 0.3);
    let noted = server.get("/Notifications.json").await;
    let noted = noted.body["notifications"].as_array().unwrap().clone();
    let codes: Vec<_> = noted.iter().map(|one| one["error_code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["13511"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_participant_hears_its_hold_document_speak() {
    let (server, origin) = Server::with_origin().await;
    let hold = origin.serves_twiml("/hold", &format!("<Say loop=\"0\">{SENTENCE}</Say>"));
    origin
        .answers("held", "<Dial><Conference waitUrl=\"\" beep=\"false\">room</Conference></Dial>");
    let phone = Phone::call(server.sip(), "held", silence()).unwrap();
    let path = loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let found = server.get("/Conferences.json").await;
        let Some(sid) = found.body["conferences"][0]["sid"].as_str() else { continue };
        let members = server.get(&format!("/Conferences/{sid}/Participants.json")).await;
        if let Some(call) = members.body["participants"][0]["call_sid"].as_str() {
            break format!("/Conferences/{sid}/Participants/{call}.json");
        }
    };
    let answer = server.post(&path, &[("Hold", "true"), ("HoldUrl", &hold)]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mut all = Vec::new();
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        all.extend(phone.heard());
        if seconds(&all) > 4.0 {
            break;
        }
    }
    assert_speech(&all, "hold document");
}
