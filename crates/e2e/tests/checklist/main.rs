//! The 27 rows of the conformance checklist, each by a test of its number: over HTTP, SIP and RTP, with real
//! phones and by what comes out of sockets alone.

#![allow(clippy::unwrap_used)]

mod api;
mod limits;
mod room;

use std::time::Duration;

use e2e::{hears, until};
use room::{LIMIT, Room, tone, wav};

/// A tone of a document.
const DOCUMENT: u32 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn row_01_a_label_and_a_call_sid_name_the_same_participant() {
    let mut room = Room::open(1, "").await;
    let verbs = "<Dial><Conference beep='false' participantLabel='front desk 100%'>room</Conference></Dial>";
    room.join_by("labelled", verbs).await;
    let by_label =
        format!("/Conferences/{}/Participants/front%20desk%20100%25.json", room.conference);
    let form = [("Muted", "true")];
    let one = room.server.post(&room.path(1), &form).await;
    let other = room.server.post(&by_label, &form).await;
    assert_eq!((one.status, &one.body), (200, &other.body));
    assert_eq!(one.text("label"), "front desk 100%");
    assert!(one.text("uri").ends_with(&room.path(1)), "{}", one.text("uri"));
    assert_eq!(room.server.get(&by_label).await.body, one.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_02_any_word_but_true_unmutes() {
    let room = Room::open(2, "").await;
    assert_eq!(room.update(0, &[("Muted", "True")]).await["muted"], true);
    room.hears(1, 0, false).await;
    assert_eq!(room.update(0, &[("Muted", "foo")]).await["muted"], false);
    room.hears(1, 0, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_03_the_muted_hear_all_and_nobody_hears_them() {
    let room = Room::open(3, "").await;
    room.update(0, &[("Muted", "true")]).await;
    for (who, speaker, wanted) in
        [(1, 0, false), (2, 0, false), (0, 1, true), (0, 2, true), (1, 2, true), (2, 1, true)]
    {
        room.hears(who, speaker, wanted).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_04_hold_without_an_address_plays_music_and_the_others_go_on() {
    let room = Room::open(3, "").await;
    assert_eq!(room.update(0, &[("Hold", "true")]).await["hold"], true);
    for (who, speaker, wanted) in
        [(1, 0, false), (2, 0, false), (0, 1, false), (0, 2, false), (1, 2, true), (2, 1, true)]
    {
        room.hears(who, speaker, wanted).await;
    }
    until("music", async || {
        let heard = room.phones[0].hear(Duration::from_millis(500));
        heard.iter().any(|sample| sample.unsigned_abs() > 500)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_05_hold_is_asked_by_get_announcements_and_waiting_by_post() {
    let room = Room::open(1, "").await;
    let urls = ["/hold", "/announce", "/wait"]
        .map(|path| room.origin.serves(path, "audio/wav", wav(DOCUMENT, 1)));
    room.update(0, &[("WaitUrl", &urls[2])]).await;
    room.update(0, &[("AnnounceUrl", &urls[1])]).await;
    room.update(0, &[("Hold", "true"), ("HoldUrl", &urls[0])]).await;
    for (path, method) in [("/hold", "GET"), ("/announce", "POST"), ("/wait", "POST")] {
        let asked = room.origin.wait_for(path, |_| true).await.unwrap();
        assert_eq!(asked.method, method, "{path}");
        assert_eq!(asked.param("ConferenceSid"), room.conference, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_06_a_file_plays_once_and_an_endless_loop_does_not() {
    let room = Room::open(2, "").await;
    let file = room.origin.serves("/file.wav", "audio/wav", wav(DOCUMENT, 2));
    room.update(0, &[("Hold", "true"), ("HoldUrl", &file)]).await;
    hears(&room.phones[0], DOCUMENT, true).await;
    hears(&room.phones[0], DOCUMENT, false).await;
    let silence = room.phones[0].hear(Duration::from_secs(3));
    assert!(e2e::level(&silence, DOCUMENT) < 50.0, "a file is played once");
    let looped = room.origin.serves_twiml("/loop", &format!("<Play loop='0'>{file}</Play>"));
    room.update(0, &[("Hold", "true"), ("HoldUrl", &looped)]).await;
    hears(&room.phones[0], DOCUMENT, true).await;
    // Longer than the file: it begins anew.
    tokio::time::sleep(Duration::from_secs(3)).await;
    hears(&room.phones[0], DOCUMENT, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_07_a_hold_document_may_not_gather() {
    let room = Room::open(2, "").await;
    let gather = room.origin.serves_twiml("/gather", "<Gather/>");
    room.update(0, &[("Hold", "true"), ("HoldUrl", &gather)]).await;
    room.logs("13238").await;
    room.update(0, &[("Hold", "false")]).await;
    room.hears(0, 1, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_08_who_comes_back_is_as_muted_as_before() {
    let room = Room::open(2, "").await;
    room.update(0, &[("Muted", "true"), ("Hold", "true")]).await;
    let back = room.update(0, &[("Hold", "false")]).await;
    assert_eq!((&back["hold"], &back["muted"]), (&false.into(), &true.into()));
    room.hears(0, 1, true).await;
    room.hears(1, 0, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_09_an_announcement_is_for_one_and_its_end_is_told() {
    let room = Room::open(2, "").await;
    let url = room.origin.serves("/announce", "audio/wav", wav(DOCUMENT, 3));
    room.phones[1].forget();
    room.update(0, &[("AnnounceUrl", &url)]).await;
    hears(&room.phones[0], DOCUMENT, true).await;
    let told = room.told("announcement-end").await;
    assert_eq!((told.param("AnnounceUrl"), told.param("CallSid")), (&*url, &*room.calls[0]));
    let heard = room.phones[1].heard();
    assert!(heard.len() > 8_000 && e2e::level(&heard, DOCUMENT) < 50.0, "it is for one alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_10_a_coach_hears_all_and_is_heard_by_one_and_in_no_recording() {
    let room = Room::open(3, "record='record-from-start' trim='do-not-trim'").await;
    let form = [("Coaching", "true"), ("CallSidToCoach", &*room.calls[1])];
    room.update(2, &form).await;
    for (who, speaker, wanted) in
        [(2, 0, true), (2, 1, true), (1, 2, true), (0, 2, false), (0, 1, true)]
    {
        room.hears(who, speaker, wanted).await;
    }
    let recordings = format!("/Conferences/{}/Recordings", room.conference);
    let list = format!("{recordings}.json");
    let sid =
        room.server.get(&list).await.body["recordings"][0]["sid"].as_str().unwrap().to_owned();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let current = format!("{recordings}/Twilio.CURRENT.json");
    assert_eq!(room.server.post(&current, &[("Status", "stopped")]).await.status, 200);
    let one = format!("{recordings}/{sid}.json");
    until("the recording", async || room.server.get(&one).await.text("status") == "completed")
        .await;
    let account = room.server.ready("account_sid");
    let path = format!("/2010-04-01/Accounts/{account}/Recordings/{sid}.wav");
    let file = room.server.request("GET", &path).send().await.unwrap().bytes().await.unwrap();
    let samples: Vec<i16> =
        file[44..].chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
    let in_part = |who: usize, from: usize| {
        let pieces = samples[from..].chunks_exact(800);
        pieces.map(|piece| e2e::level(piece, tone(who))).fold(0.0, f64::max)
    };
    assert!(in_part(0, 0) > 1_000.0 && in_part(1, 0) > 1_000.0, "both are in the recording");
    // In the last second the third was a coach for long.
    let coach = in_part(2, samples.len() - 8_000);
    assert!(coach < 200.0, "the coach is in the recording: {coach}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_11_whom_to_coach_is_enough_and_is_needed() {
    let room = Room::open(3, "").await;
    let coach = room.update(2, &[("CallSidToCoach", &room.calls[0])]).await;
    assert_eq!(
        (&coach["coaching"], &coach["call_sid_to_coach"]),
        (&true.into(), &room.calls[0].as_str().into())
    );
    room.refuses(1, &[("Coaching", "true")], 20001).await;
    let nobody = format!("CA{}", "0".repeat(32));
    room.refuses(1, &[("CallSidToCoach", &nobody)], 16028).await;
    room.update(0, &[("Hold", "true")]).await;
    room.refuses(1, &[("CallSidToCoach", &room.calls[0])], 16027).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_12_a_coach_barges_in_with_the_sid_still_named() {
    let room = Room::open(3, "").await;
    room.update(2, &[("CallSidToCoach", &room.calls[0])]).await;
    room.hears(1, 2, false).await;
    let form = [("Coaching", "false"), ("CallSidToCoach", &*room.calls[0]), ("Muted", "false")];
    let barged = room.update(2, &form).await;
    assert_eq!((&barged["coaching"], barged["call_sid_to_coach"].is_null()), (&false.into(), true));
    room.hears(1, 2, true).await;
    room.hears(0, 2, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_13_who_ends_the_conference_by_leaving_is_named() {
    let mut room = Room::open(2, "").await;
    room.join("chair", "endConferenceOnExit='true'").await;
    room.phones[2].hang_up();
    let ended = room.ended().await;
    assert_eq!(
        ended.text("reason_conference_ended"),
        "participant-with-end-conference-on-exit-left"
    );
    assert_eq!(ended.text("call_sid_ending_conference"), room.calls[2]);
    assert!(room.phones[..2].iter().all(|phone| phone.wait_over(LIMIT)), "all are out");
    let told = room.told("conference-end").await;
    assert_eq!(told.param("ParticipantLabelEndingConference"), "chair");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_14_the_api_ends_a_conference_and_nobody_is_named() {
    let room = Room::open(2, "").await;
    let path = format!("/Conferences/{}.json", room.conference);
    assert_eq!(room.server.post(&path, &[("Status", "completed")]).await.status, 200);
    let ended = room.ended().await;
    assert_eq!(ended.text("reason_conference_ended"), "conference-ended-via-api");
    assert!(ended.body["call_sid_ending_conference"].is_null());
    assert!(room.phones.iter().all(|phone| phone.wait_over(LIMIT)), "all are out");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_15_the_last_who_leaves_or_is_kicked_ends_it() {
    let room = Room::open(2, "").await;
    room.phones.iter().for_each(sim::Phone::hang_up);
    let ended = room.ended().await;
    assert_eq!(ended.text("reason_conference_ended"), "last-participant-left");
    let room = Room::open(2, "").await;
    for who in 0..2 {
        assert_eq!(room.server.delete(&room.path(who)).await.status, 204);
    }
    let ended = room.ended().await;
    assert_eq!(ended.text("reason_conference_ended"), "last-participant-kicked");
    assert_eq!(ended.text("call_sid_ending_conference"), room.calls[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_16_a_completed_conference_has_nobody_in_it() {
    let room = Room::open(2, "").await;
    let path = format!("/Conferences/{}", room.conference);
    room.server.post(&format!("{path}.json"), &[("Status", "completed")]).await;
    room.ended().await;
    let list = room.server.get(&format!("{path}/Participants.json")).await;
    assert_eq!(list.status, 200);
    assert_eq!(list.body["participants"], serde_json::json!([]));
    assert_eq!((&list.body["start"], &list.body["end"]), (&0.into(), &0.into()));
    assert_eq!(room.server.get(&room.path(0)).await.status, 404);
}
