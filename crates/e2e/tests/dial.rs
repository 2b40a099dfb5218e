//! `<Dial>` of phones, heard: they ring, the first that answers talks with the caller, and nobody else.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use e2e::{Server, hears, level};
use sim::{Phone, State};

const LIMIT: Duration = Duration::from_secs(20);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn is(phone: &Phone, state: State) {
    for _ in 0..1_000 {
        if phone.state() == state {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?} and not {state:?}", phone.state());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_phones_hear_each_other_and_their_calls_are_told_of() {
    let (server, origin) = Server::with_origin().await;
    let bob = Phone::ring(HERE, sim::tone(500)).unwrap();
    let to = format!("{};x=y?X-Case=a%20b&amp;Subject=no", bob.uri);
    let status = origin.url("/callback/bob");
    origin.answers(
        "desk",
        &format!(
            "<Dial action='/done' ringTone='fr'><Sip statusCallback='{status}' \
             statusCallbackEvent='initiated ringing answered completed'>{to}</Sip></Dial>"
        ),
    );
    origin.serves_twiml("/done", "<Hangup/>");
    let alice = Phone::call(server.sip(), "desk", sim::tone(1_000)).unwrap();
    assert!(alice.wait_up(LIMIT));
    hears(&alice, 440, true).await;
    assert_eq!(bob.invitation().0, [("X-Case".to_owned(), "a b".to_owned())]);
    bob.answer();
    hears(&alice, 500, true).await;
    hears(&bob, 1_000, true).await;
    hears(&alice, 440, false).await;
    alice.press("5#");
    is_pressed(&bob, "5#").await;
    bob.hang_up();
    assert!(alice.wait_over(LIMIT));
    let done = origin.wait_for("/done", |_| true).await.unwrap();
    assert_eq!(done.param("DialCallStatus"), "completed");
    assert_eq!(done.param("DialBridged"), "true");
    let child = done.param("DialCallSid").to_owned();
    let call = server.get(&format!("/Calls/{child}.json")).await;
    assert_eq!(call.text("direction"), "outbound-dial");
    assert_eq!(call.text("parent_call_sid"), done.param("CallSid"));
    assert_eq!(call.text("status"), "completed");
    let of = format!("/Calls.json?ParentCallSid={}", done.param("CallSid"));
    assert_eq!(server.get(&of).await.body["calls"][0]["sid"], child.as_str());
    origin.wait_for("/callback/bob", |told| told.param("CallStatus") == "completed").await.unwrap();
    let told = origin.asked("/callback/bob");
    let told: Vec<&str> = told.iter().map(|told| told.param("CallStatus")).collect();
    assert_eq!(told, ["queued", "ringing", "in-progress", "completed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_dialled_speaks_what_the_caller_does_where_it_can() {
    let all = ["opus", "g722", "pcmu", "pcma"];
    let check = async |caller: &[&str], callee: &[&str], expected: [&str; 2]| {
        let (server, origin) = Server::with_origin().await;
        let bob = Phone::ring_speaking(HERE, sim::tone(500), callee).unwrap();
        origin.answers("desk", &format!("<Dial><Sip>{}</Sip></Dial>", bob.uri));
        let alice = Phone::call_speaking(server.sip(), "desk", sim::tone(1_000), caller).unwrap();
        is(&bob, State::Ringing).await;
        bob.answer();
        hears(&alice, 500, true).await;
        hears(&bob, 1_000, true).await;
        let spoken = [&alice, &bob].map(|phone| phone.codec().unwrap_or_default());
        assert_eq!(spoken, expected, "{caller:?} calls {callee:?}");
    };
    check(&["pcma", "opus"], &all, ["pcma", "pcma"]).await;
    check(&["g722"], &all, ["g722", "g722"]).await;
    check(&["g722"], &["pcma", "pcmu"], ["g722", "pcmu"]).await;
}

async fn is_pressed(phone: &Phone, keys: &str) {
    for _ in 0..500 {
        if phone.digits() == keys {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?} was pressed, not {keys:?}", phone.digits());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_of_several_to_answer_takes_the_call_after_a_whisper() {
    let (server, origin) = Server::with_origin().await;
    let [bob, carol] = [500, 600].map(|hertz| Phone::ring(HERE, sim::tone(hertz)).unwrap());
    assert!(bob.register(server.sip(), "bob", LIMIT));
    assert!(carol.register(server.sip(), "+15551234", LIMIT));
    origin.serves("/whisper.wav", "audio/wav", sound::wav(&sim::tone(700).repeat(2)));
    origin.serves_twiml(
        "/whisper",
        "<Gather numDigits='1' action='/take'><Play>/whisper.wav</Play></Gather><Hangup/>",
    );
    origin.serves_twiml("/take", "");
    origin.answers(
        "desk",
        "<Dial answerOnBridge='true' callerId='+15550000'><Client>bob</Client>\
         <Number url='/whisper'>+1 555 1234</Number></Dial><Pause length='9'/>",
    );
    let alice = Phone::call(server.sip(), "desk", sim::tone(1_000)).unwrap();
    is(&bob, State::Ringing).await;
    is(&carol, State::Ringing).await;
    is(&alice, State::Ringing).await;
    assert!(carol.invitation().1.contains("+15550000"), "{:?}", carol.invitation());
    carol.answer();
    hears(&carol, 700, true).await;
    assert!(matches!(bob.state(), State::Over(_)));
    // Nobody is connected before the key.
    assert_eq!(alice.state(), State::Ringing);
    assert!(level(&carol.heard(), 1_000) < 200.0);
    carol.press("1");
    hears(&carol, 1_000, true).await;
    hears(&alice, 600, true).await;
    alice.hang_up();
    assert!(carol.wait_over(LIMIT));
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_that_refuse_are_followed_by_the_next_and_told_of() {
    let (server, origin) = Server::with_origin().await;
    let [bob, carol] = [500, 600].map(|hertz| Phone::ring(HERE, sim::tone(hertz)).unwrap());
    origin.serves_twiml("/done", "<Hangup/>");
    origin.answers(
        "desk",
        &format!(
            "<Dial sequential='true' action='/done'><Sip>{}</Sip><Sip>{}</Sip></Dial>",
            bob.uri, carol.uri
        ),
    );
    let alice = Phone::call(server.sip(), "desk", sim::tone(1_000)).unwrap();
    is(&bob, State::Ringing).await;
    assert_eq!(carol.state(), State::Idle);
    bob.refuse(480);
    is(&carol, State::Ringing).await;
    carol.refuse(486);
    let done = origin.wait_for("/done", |_| true).await.unwrap();
    assert_eq!(done.param("DialCallStatus"), "busy");
    assert_eq!(done.param("DialSipResponseCode"), "486");
    assert!(alice.wait_over(LIMIT));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_dialled_like_a_phone() {
    let (server, origin) = Server::with_origin().await;
    origin.serves("/hello.wav", "audio/wav", sound::wav(&sim::tone(700).repeat(20)));
    let voice = origin.serves_twiml("/application", "<Play>/hello.wav</Play>");
    let form = [("FriendlyName", "one"), ("VoiceUrl", voice.as_str())];
    let sid = server.post("/Applications.json", &form).await.text("sid");
    let noun = format!("<Application><ApplicationSid>{sid}</ApplicationSid></Application>");
    origin.answers("desk", &format!("<Dial>{noun}</Dial>"));
    let alice = Phone::call(server.sip(), "desk", sim::tone(1_000)).unwrap();
    assert!(alice.wait_up(LIMIT));
    hears(&alice, 700, true).await;
    let calls = server.get("/Calls.json").await.body;
    let to: Vec<&str> =
        calls["calls"].as_array().unwrap().iter().filter_map(|call| call["to"].as_str()).collect();
    assert_eq!(to.iter().filter(|to| **to == format!("app:{sid}")).count(), 2, "{to:?}");
}
