//! Rows of callbacks, documents, labels, sizes and what follows a conference.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use e2e::{Origin, Server, until};
use serde_json::Value;
use sim::{Phone, tone};

use crate::room::{LIMIT, Room};

/// Most participants of a conference.
const PARTICIPANTS_MAX: usize = 250;

#[tokio::test(flavor = "multi_thread")]
async fn row_19_who_is_first_says_where_callbacks_go() {
    let mut room = Room::open(1, "").await;
    let other = "<Dial><Conference beep='false' statusCallback='/callback/other' \
                 statusCallbackEvent='start end join leave'>room</Conference></Dial>";
    room.join_by("other", other).await;
    room.phones.iter().for_each(Phone::hang_up);
    room.told("conference-end").await;
    let joined = room.origin.asked("/callback");
    let joined =
        joined.iter().filter(|told| told.param("StatusCallbackEvent") == "participant-join");
    assert_eq!(joined.count(), 2, "the first one's receiver is told of both");
    assert_eq!(room.origin.asked("/callback/other").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_21_a_callback_is_tried_again_as_its_fragment_says() {
    let mut room = Room::open(0, "").await;
    room.origin.fails("/callback/503", 503);
    let verbs = "<Dial><Conference beep='false' statusCallback='/callback/503#rc=2&amp;rp=5xx' \
                 statusCallbackEvent='join'>room</Conference></Dial>";
    room.join_by("one", verbs).await;
    until("three tries", async || room.origin.asked("/callback/503").len() >= 3).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let tries = room.origin.asked("/callback/503");
    assert_eq!(tries.len(), 3, "once and twice again");
    let tokens: BTreeSet<&str> =
        tries.iter().map(|asked| asked.header("i-twilio-idempotency-token").unwrap()).collect();
    assert_eq!(tokens.len(), 1);
    let signed: BTreeSet<&str> =
        tries.iter().map(|asked| asked.header("x-twilio-signature").unwrap()).collect();
    assert_eq!(signed.len(), 1, "the origin has checked it over the address without its fragment");
    assert!(tries.iter().all(|asked| asked.query.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_22_a_document_has_fifteen_seconds_and_a_fallback_and_a_callback_has_none() {
    let origin = Origin::start().await;
    let server = Server::start(&[]).await;
    let phone = Phone::listen(Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap();
    let fallback = origin.serves_twiml("/fallback", "<Pause length='60'/>");
    let (url, told) = (origin.keeps_silent("/voice"), origin.keeps_silent("/callback/silent"));
    let form = [
        ("To", phone.uri.as_str()),
        ("From", "desk"),
        ("Url", &url),
        ("FallbackUrl", &fallback),
        ("StatusCallback", &told),
        ("StatusCallbackEvent", "answered"),
    ];
    assert_eq!(server.post("/Calls.json", &form).await.status, 201);
    assert!(origin.wait_for("/voice", |_| true).await.is_some());
    let asked = Instant::now();
    let fallen = origin.wait_for("/fallback", |_| true).await.unwrap();
    let took = asked.elapsed();
    assert!((Duration::from_secs(14)..Duration::from_secs(25)).contains(&took), "{took:?}");
    assert_eq!((fallen.param("ErrorCode"), fallen.param("ErrorUrl")), ("11200", &*url));
    assert_eq!(phone.state(), sim::State::Up, "the call goes on by the fallback");
    until("the callback is given up", async || {
        let path = "/sidetone/v1/Callbacks?Status=failed";
        let failed = server.get_from_root(path).await;
        failed.body["callbacks"].as_array().is_some_and(|failed| !failed.is_empty())
    })
    .await;
    assert_eq!(origin.asked("/fallback").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_23_a_label_is_short_no_sid_no_path_and_nobody_else_s() {
    let mut room = Room::open(2, "").await;
    let phone = Phone::listen(Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap();
    let place = format!("/Conferences/{}/Participants.json", room.conference);
    let (long, sid) = ("x".repeat(129), format!("CA{}", "0".repeat(32)));
    for (label, code) in
        [(&*long, 16024), (&sid, 16024), ("a/b", 16024), ("a%2Fb", 16024), ("p0", 16026)]
    {
        let form = [("To", phone.uri.as_str()), ("From", "desk"), ("Label", label)];
        let refused = room.server.post(&place, &form).await;
        assert_eq!((refused.status, &refused.body["code"]), (400, &code.into()), "{label}");
    }
    assert_eq!(phone.state(), sim::State::Idle, "nobody was called");
    for (label, code) in [(&*long, "16023"), ("p0", "16025")] {
        room.origin.serves_twiml("/after", "<Hangup/>");
        let verbs = format!(
            "<Dial><Conference participantLabel='{label}'>room</Conference></Dial><Redirect>/after</Redirect>"
        );
        room.origin.answers("late", &verbs);
        let before = room.origin.asked("/after").len();
        let late = Phone::call(room.server.sip(), "late", tone(500)).unwrap();
        until("the next verb", async || room.origin.asked("/after").len() > before).await;
        room.logs(code).await;
        drop(late);
    }
    // A label is free again when its holder has left.
    room.phones[0].hang_up();
    let gone = room.path(0);
    until("one left", async || room.server.get(&gone).await.status == 404).await;
    room.join("p0", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_24_one_more_than_a_room_holds_is_refused() {
    let server = Server::start(&[]).await;
    // It rings for all of them, and answers none.
    let phone = Phone::ring(Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap();
    let dial = async |room: &str, more: &[(&str, &str)]| {
        let form =
            [&[("To", phone.uri.as_str()), ("From", "desk"), ("Timeout", "600")], more].concat();
        server.post(&format!("/Conferences/{room}/Participants.json"), &form).await
    };
    for number in 0..PARTICIPANTS_MAX {
        let dialled = dial("large", &[]).await;
        assert_eq!(dialled.status, 201, "participant {number}: {dialled:?}");
    }
    let most = [("MaxParticipants", "2")];
    for _ in 0..2 {
        assert_eq!(dial("small", &most).await.status, 201);
    }
    for room in ["large", "small"] {
        let refused = dial(room, &[]).await;
        assert_eq!((refused.status, &refused.body["code"]), (400, &16020.into()), "{room}");
    }
    let list = server.get("/Conferences.json?FriendlyName=large").await;
    let large = list.body["conferences"][0]["sid"].as_str().unwrap().to_owned();
    let all = server.get(&format!("/Conferences/{large}/Participants.json?PageSize=1000")).await;
    assert_eq!(all.body["participants"].as_array().unwrap().len(), PARTICIPANTS_MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_26_the_current_recording_is_halted_taken_up_and_ended() {
    let attributes = "record='record-from-start' trim='do-not-trim' \
                      recordingStatusCallback='/callback/recording' recordingStatusCallbackMethod='GET' \
                      recordingStatusCallbackEvent='completed'";
    let room = Room::open(2, attributes).await;
    let current = format!("/Conferences/{}/Recordings/Twilio.CURRENT.json", room.conference);
    let change = async |form: &[(&str, &str)]| {
        let changed = room.server.post(&current, form).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        changed
    };
    until("a recording", async || {
        let path = format!("/Conferences/{}/Recordings.json", room.conference);
        !room.server.get(&path).await.body["recordings"][0].is_null()
    })
    .await;
    let paused = change(&[("Status", "paused"), ("PauseBehavior", "skip")]).await;
    assert_eq!(paused.text("status"), "paused");
    assert_eq!(change(&[("Status", "in-progress")]).await.text("status"), "in-progress");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let stopped = change(&[("Status", "stopped")]).await;
    assert_eq!(stopped.text("status"), "stopped");
    assert_eq!(stopped.text("sid"), paused.text("sid"), "it is one and the same");
    let over = format!("/Recordings/{}.json", stopped.text("sid"));
    until("its end", async || room.server.get(&over).await.text("status") == "completed").await;
    let told = room.origin.wait_for("/callback/recording", |_| true).await.unwrap();
    assert_eq!((&*told.method, told.param("RecordingStatus")), ("GET", "completed"));
    let gone = room.server.post(&current, &[("Status", "paused")]).await;
    assert_eq!((gone.status, &gone.body["code"]), (404, &20404.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_27_the_action_after_a_conference_is_told_that_it_was_answered() {
    let mut room = Room::open(1, "").await;
    room.origin.serves_twiml("/after", "<Hangup/>");
    let verbs = "<Dial action='/after'><Conference beep='false'>room</Conference></Dial>";
    room.join_by("two", verbs).await;
    assert_eq!(room.server.delete(&room.path(1)).await.status, 204);
    let after = room.origin.wait_for("/after", |_| true).await.unwrap();
    assert_eq!(after.param("DialCallStatus"), "answered");
    let none = ["DialCallSid", "DialCallDuration"].map(|name| after.param(name).to_owned());
    assert_eq!(none, ["", ""], "there is no other call");
    assert!(room.phones[1].wait_over(LIMIT));
    let left = room.told("participant-leave").await;
    assert_eq!(left.param("CallSid"), room.calls[1]);
    assert_ne!(room.server.get(&room.path(0)).await.body, Value::Null);
}
