//! Virtual phones: in development every number that nobody serves rings one.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::Duration;

use e2e::{Answer, Origin, Server, binary, hears, level, until};
use serde_json::Value;
use sim::Phone;

const NUMBER: &str = "+15551234567";
const LIMIT: Duration = Duration::from_secs(30);

async fn told(server: &Server, number: &str, form: &[(&str, &str)]) -> Answer {
    let path = format!("/sidetone/v1/Phones/{number}");
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let kind = "application/x-www-form-urlencoded";
    let request = server.request("POST", &path).header("content-type", kind).body(body);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    Answer { status, body }
}

async fn phone(server: &Server, number: &str) -> Value {
    let request = server.request("GET", &format!("/sidetone/v1/Phones/{number}"));
    serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
}

/// Calls a number with TwiML and returns the call's SID.
async fn call(server: &Server, to: &str, twiml: &str) -> String {
    let twiml = format!("<Response>{twiml}</Response>");
    let form = [("To", to), ("From", "+15550199"), ("Twiml", twiml.as_str())];
    let answer = server.post("/Calls.json", &form).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.text("sid")
}

async fn comes_to(server: &Server, call: &str, status: &str) {
    until(&format!("{call} {status}"), async || {
        server.get(&format!("/Calls/{call}.json")).await.text("status") == status
    })
    .await;
}

/// Returns how loud a phone's line is for a while.
async fn loudness(phone: &Phone) -> f64 {
    phone.forget();
    tokio::time::sleep(Duration::from_millis(300)).await;
    e2e::Ear::new(&phone.heard()).loudness()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_nobody_serves_rings_answers_and_is_heard_in_a_conference() {
    let server = Server::start(&[]).await;
    let form = [("To", NUMBER), ("From", "+15550199"), ("Label", "virtual")];
    let added = server.post("/Conferences/team/Participants.json", &form).await;
    assert_eq!(added.status, 201, "{added:?}");
    let alice = Phone::call(server.sip(), "team", sim::tone(600)).unwrap();
    assert!(alice.wait_up(LIMIT));
    comes_to(&server, &added.text("call_sid"), "in-progress").await;
    until("its voice", async || loudness(&alice).await > 300.0).await;
    let seen = phone(&server, NUMBER).await;
    assert_eq!(seen["status"], "in-progress");
    assert_eq!(seen["from"], "+15550199");
    assert_eq!(seen["says"], "This is the virtual phone of plus 1, 5 5 5, 1 2 3, 4 5 6, 7.");
    let path = format!("/Conferences/{}/Participants/virtual.json", added.text("conference_sid"));
    assert_eq!(server.delete(&path).await.status, 204);
    until("the phone's rest", async || phone(&server, NUMBER).await["status"] == "idle").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_does_what_it_is_told_until_it_is_told_otherwise() {
    let origin = Origin::start().await;
    let server = Server::start(&[]).await;
    let sum = origin.serves_twiml("/sum", "<Play digits='7#'/><Pause length='60'/>");
    let gather = format!("<Gather numDigits='3' action='{sum}' timeout='20'/>");
    let plan = [("Digits", "w42*"), ("AnswerAfter", "0"), ("Says", "Hello"), ("Loop", "1")];
    let answer = told(&server, NUMBER, &plan).await;
    assert_eq!((answer.status, answer.text("digits").as_str()), (200, "w42*"), "{answer:?}");
    let sid = call(&server, NUMBER, &gather).await;
    let asked = origin.wait_for("/sum", |_| true).await.unwrap();
    assert_eq!(asked.param("Digits"), "42*");
    until("the keys", async || phone(&server, NUMBER).await["digits_heard"] == "7#").await;
    assert_eq!(told(&server, NUMBER, &[("HangUp", "true")]).await.status, 200);
    comes_to(&server, &sid, "completed").await;
    let refused = told(&server, NUMBER, &[("Press", "1")]).await;
    assert_eq!((refused.status, &refused.body["code"]), (409, &Value::from(20409)));
    // Twice busy, then as before it was told.
    let deleted = server.request("DELETE", &format!("/sidetone/v1/Phones/{NUMBER}"));
    assert_eq!(deleted.send().await.unwrap().status(), 204);
    told(&server, NUMBER, &[("Behavior", "busy"), ("Calls", "2")]).await;
    for status in ["busy", "busy", "in-progress"] {
        let sid = call(&server, NUMBER, "<Pause length='60'/>").await;
        comes_to(&server, &sid, status).await;
    }
    // The phone hears of the third call's beginning a moment after the server does.
    until("its call", async || phone(&server, NUMBER).await["status"] == "in-progress").await;
    for (form, word) in [
        (&[("Behavior", "asleep")][..], "Behavior"),
        (&[("AnswerAfter", "-1")], "AnswerAfter"),
        (&[("Behavior", "busy"), ("AnswerAfter", "2")], "AnswerAfter"),
        (&[("Digits", "12x")], "Digits"),
        (&[("Audio", "../../etc/passwd")], "Audio"),
        (&[("Says", "a"), ("Audio", "b.wav")], "Audio"),
        (&[("Calls", "0")], "Calls"),
        (&[("Press", "1"), ("Says", "x")], "Press"),
    ] {
        let before = phone(&server, NUMBER).await;
        let refused = told(&server, NUMBER, form).await;
        assert_eq!(refused.status, 400, "{form:?}");
        assert!(refused.text("message").contains(word), "{refused:?}");
        assert_eq!(phone(&server, NUMBER).await, before, "{form:?}");
    }
    assert_eq!(told(&server, "5551234", &[("Says", "x")]).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn fixed_numbers_refuse_by_the_status_in_their_name() {
    let server = Server::start(&[]).await;
    for (number, status) in [
        ("+15550000486", "busy"),
        ("+15550000600", "busy"),
        ("+15550000480", "no-answer"),
        ("+15550000603", "no-answer"),
        ("+15550000404", "failed"),
        ("+15550000503", "failed"),
    ] {
        let sid = call(&server, number, "<Hangup/>").await;
        comes_to(&server, &sid, status).await;
    }
    let twiml = "<Response><Hangup/></Response>";
    let form = [("To", "+15550000408"), ("From", "a"), ("Twiml", twiml), ("Timeout", "5")];
    let sid = server.post("/Calls.json", &form).await.text("sid");
    comes_to(&server, &sid, "ringing").await;
    comes_to(&server, &sid, "no-answer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_user_and_a_number_of_the_account_come_before_virtual_phones() {
    let origin = Origin::start().await;
    let server = Server::start(&[]).await;
    let bob = Phone::listen(IpAddr::V4(Ipv4Addr::LOCALHOST), sim::tone(500)).unwrap();
    assert!(bob.register(server.sip(), NUMBER, LIMIT));
    call(&server, NUMBER, "<Pause length='60'/>").await;
    assert!(bob.wait_up(LIMIT));
    let own = "+14155550100";
    let voice = origin.serves_twiml("/own", "<Pause length='60'/>");
    let form = [("PhoneNumber", own), ("VoiceUrl", voice.as_str())];
    assert_eq!(server.post("/IncomingPhoneNumbers.json", &form).await.status, 201);
    call(&server, own, "<Pause length='60'/>").await;
    origin.wait_for("/own", |asked| asked.param("To") == own).await.unwrap();
    let phones = server.request("GET", "/sidetone/v1/Phones").send().await.unwrap();
    let phones: Value = serde_json::from_str(&phones.text().await.unwrap()).unwrap();
    assert_eq!(phones, serde_json::json!({ "phones": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_virtual_phones_a_number_that_nobody_serves_is_refused() {
    let server = Server::start(&["--no-virtual-phones"]).await;
    let form = [("To", NUMBER), ("From", "a"), ("Twiml", "<Response/>")];
    let refused = server.post("/Calls.json", &form).await;
    assert_eq!((refused.status, &refused.body["code"]), (400, &Value::from(21214)));
    assert_eq!(told(&server, NUMBER, &[("Says", "x")]).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialled_number_is_a_virtual_phone_that_plays_a_file() {
    let origin = Origin::start().await;
    let server = Server::start(&["--voice-url", &origin.url("/voice")]).await;
    let folder = server.data().join("phones");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("tone.wav"), sound::wav(&sim::tone(700).repeat(30))).unwrap();
    assert_eq!(told(&server, NUMBER, &[("Audio", "tone.wav")]).await.status, 200);
    origin.answers("desk", "<Dial><Number>+1 555 123 4567</Number></Dial>");
    let alice = Phone::call(server.sip(), "desk", sim::tone(600)).unwrap();
    assert!(alice.wait_up(LIMIT));
    hears(&alice, 700, true).await;
    assert!(level(&alice.heard(), 600) < 100.0, "she hears herself");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_tells_a_phone_what_to_do_and_shows_it() {
    let server = Server::start(&[]).await;
    let run = |line: &str| {
        let mut command = Command::new(binary());
        command.args(line.split(' ')).arg("--data").arg(server.data());
        let output = command.output().unwrap();
        let text = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let file = server.data().join("hello there.wav");
    std::fs::write(&file, sound::wav(&sim::tone(700))).unwrap();
    let line = format!("phone {NUMBER} --answer-after 0s --press 42 --hang-up-after 9s --calls 3");
    let (code, told) = run(&format!("{line} -o json"));
    assert_eq!(code, Some(0), "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    for (field, value) in [
        ("behavior", Value::from("answer")),
        ("answer_after", 0.into()),
        ("digits", "42".into()),
        ("hang_up_after", 9.into()),
        ("calls_left", 3.into()),
        ("status", "idle".into()),
    ] {
        assert_eq!(told[field], value, "{field}");
    }
    let mut command = Command::new(binary());
    command.args(["phone", NUMBER, "--busy", "--wav"]).arg(&file);
    assert!(command.arg("--data").arg(server.data()).status().unwrap().success());
    let (_, shown) = run(&format!("phone {NUMBER}"));
    assert!(shown.contains("busy") && shown.contains("hello_there.wav"), "{shown}");
    let (_, listed) = run("phone");
    assert!(listed.starts_with("phone_number") && listed.contains(NUMBER), "{listed}");
    run(&format!("phone {NUMBER} --forget"));
    assert_eq!(phone(&server, NUMBER).await["behavior"], "answer");
    let (code, refused) = run(&format!("phone {NUMBER} --hang-up"));
    assert_eq!(code, Some(1));
    assert!(refused.contains("in no call (20409)"), "{refused}");
    assert_eq!(run("phone --busy").0, Some(2));
    assert_eq!(run(&format!("phone {NUMBER} --busy --no-answer")).0, Some(2));
}
