//! Recordings with a track for each participant, from outside: who is where in the sound, and what the
//! timeline says of it.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use e2e::{Origin, Server, channels, fetch, hears, level, until};
use serde_json::{Value, json};
use sim::Phone;

/// What is one piece for the ear: 100 ms.
const PIECE: usize = 800;
/// A tone of a phone is louder than this in a piece that holds it.
const HEARD: f64 = 1_500.0;

/// A room that is recorded in tracks, and who is in it.
struct Studio {
    server: Server,
    origin: Origin,
    phones: Vec<Phone>,
}

impl Studio {
    async fn open() -> Self {
        let origin = Origin::start().await;
        let server = Server::start(&["--voice-url", &origin.url("/voice")]).await;
        Self { server, origin, phones: Vec::new() }
    }

    /// Lets a phone with a tone and a label into the room.
    async fn join(&mut self, hertz: u32, label: &str) {
        let attributes = "record='record-from-start' sidetoneTracks='participants' beep='false' \
            waitUrl='' recordingStatusCallback='/callback/tracks' trim='trim-silence'";
        let noun =
            format!("<Conference {attributes} participantLabel='{label}'>studio</Conference>");
        self.origin.answers(label, &format!("<Dial>{noun}</Dial>"));
        self.phones.push(Phone::call(self.server.sip(), label, sim::tone(hertz)).unwrap());
        let server = &self.server;
        until(label, async || {
            let path = format!("{}/Participants/{label}.json", conference(server).await);
            server.get(&path).await.body["status"] == "connected"
        })
        .await;
    }

    async fn update(&self, label: &str, form: &[(&str, &str)]) {
        let path = format!("{}/Participants/{label}.json", conference(&self.server).await);
        assert_eq!(self.server.post(&path, form).await.status, 200);
    }
}

async fn conference(server: &Server) -> String {
    let all = server.get("/Conferences.json?FriendlyName=studio").await.body;
    let sid = all["conferences"][0]["sid"].as_str().unwrap_or("CF0").to_owned();
    format!("/Conferences/{sid}")
}

/// Returns the pieces in which a tone is heard: the first and the one after the last, and how many in between.
fn heard(sound: &[i16], hertz: u32) -> Vec<bool> {
    sound.chunks_exact(PIECE).map(|piece| level(piece, hertz) > HEARD).collect()
}

/// Returns when the first event of this name and label happens in the sound, in pieces.
fn place(timeline: &Value, event: &str, label: &str) -> i64 {
    let events = timeline["events"].as_array().unwrap();
    let found = events.iter().find(|one| one["event"] == event && one["label"] == label);
    let found = found.unwrap_or_else(|| panic!("no {event} of {label} in {timeline}"));
    found["offset_ms"].as_i64().unwrap() / 100
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_is_in_a_track_of_their_own_and_the_timeline_says_where() {
    let mut studio = Studio::open().await;
    studio.join(500, "ann").await;
    studio.join(900, "ben").await;
    hears(&studio.phones[0], 900, true).await;
    studio.update("ann", &[("Muted", "true")]).await;
    hears(&studio.phones[1], 500, false).await;
    studio.update("ann", &[("Muted", "false")]).await;
    hears(&studio.phones[1], 500, true).await;
    studio.join(1_300, "cem").await;
    hears(&studio.phones[0], 1_300, true).await;
    let path = format!("/sidetone/v1{}/Participants/cem", conference(&studio.server).await);
    let aside = studio.server.request("POST", &path).body("HearsOnly=ann&Levelling=true");
    let aside = aside.header("content-type", "application/x-www-form-urlencoded").send().await;
    assert_eq!(aside.unwrap().status(), 200);
    studio.update("ben", &[("Hold", "true"), ("HoldUrl", "")]).await;
    hears(&studio.phones[0], 900, false).await;
    let path = format!("{}.json", conference(&studio.server).await);
    assert_eq!(studio.server.post(&path, &[("Status", "completed")]).await.status, 200);
    let told = studio.origin.wait_for("/callback/tracks", |_| true).await.unwrap();
    let said = ["RecordingStatus", "RecordingChannels"].map(|name| told.param(name));
    assert_eq!(said, ["completed", "3"]);
    let sid = told.param("RecordingSid");
    judge_sound(&studio, sid).await;
}

async fn judge_sound(studio: &Studio, sid: &str) {
    let (status, file) = fetch(&studio.server, &format!("/Recordings/{sid}.wav"), &[]).await;
    assert_eq!(status, 200);
    let tracks = channels(&file);
    let path = format!("/sidetone/v1/Recordings/{sid}/Timeline?PageSize=200");
    let response = studio.server.request("GET", &path).send().await.unwrap();
    let timeline: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let labels: Vec<_> =
        timeline["channels"].as_array().unwrap().iter().map(|one| &one["label"]).collect();
    assert_eq!(labels, ["ann", "ben", "cem"], "{timeline}");
    let events = timeline["events"].as_array().unwrap();
    let of_cem = |event: &str| {
        let found = events.iter().find(|one| one["event"] == event).unwrap();
        assert_eq!((&found["label"], &found["channel"]), (&"cem".into(), &3.into()), "{found}");
        found
    };
    let (aside, levelled) = (of_cem("participant-sidebar"), of_cem("participant-levelling"));
    let lists =
        json!({ "hears_only": [timeline["channels"][0]["call_sid"]], "heard_only_by": null });
    assert_eq!((&aside["sidebar"], &aside["gain_db"]), (&lists, &Value::Null), "{aside}");
    let flags = (&levelled["levelling"], &levelled["noise_suppression"]);
    assert_eq!(flags, (&true.into(), &Value::Null), "{levelled}");
    let ms = tracks[0].len() as u64 / 8;
    assert_eq!(timeline["duration_ms"], ms);
    let tones = [500, 900, 1_300];
    for (track, own) in tracks.iter().zip(tones) {
        for other in tones.into_iter().filter(|other| *other != own) {
            assert!(!heard(track, other).contains(&true), "{other} Hz in the track of {own} Hz");
        }
    }
    let (ann, ben, cem) =
        (heard(&tracks[0], 500), heard(&tracks[1], 900), heard(&tracks[2], 1_300));
    check_silent(
        "ann, muted",
        &ann,
        place(&timeline, "participant-mute", "ann"),
        place(&timeline, "participant-unmute", "ann"),
    );
    check_silent("ben, held", &ben, place(&timeline, "participant-hold", "ben"), ben.len() as i64);
    check_silent("cem, not there", &cem, 0, place(&timeline, "participant-join", "cem"));
    let one = format!("/Recordings/{sid}.wav?RequestedChannels=1");
    let (_, mixed) = fetch(&studio.server, &one, &[]).await;
    let mixed = channels(&mixed);
    assert_eq!((mixed.len(), mixed[0].len()), (1, tracks[0].len()));
    for at in [0, mixed[0].len() / 2, mixed[0].len() - 1] {
        assert_eq!(mixed[0][at], tracks.iter().map(|track| track[at]).sum::<i16>());
    }
}

/// Checks that a tone is absent between two places and there around them, but for a piece at each edge
/// and what a busy machine conceals.
fn check_silent(what: &str, heard: &[bool], from: i64, to: i64) {
    let (from, to) = (usize::try_from(from).unwrap(), usize::try_from(to).unwrap());
    let edge = 2;
    let inside = &heard
        [(from + edge).min(heard.len())..to.saturating_sub(edge).max(from + edge).min(heard.len())];
    assert!(!inside.contains(&true), "{what} from {from} to {to}: {heard:?}");
    let before = &heard[..from.saturating_sub(edge)];
    let after = &heard[(to + edge).min(heard.len())..];
    let there = before.iter().chain(after).filter(|heard| **heard).count();
    assert!(there + 4 >= before.len() + after.len(), "{what} from {from} to {to}: {heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tracks_outlive_a_server_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::start().await;
    let server = Server::start_in(folder.path(), &["--voice-url", &origin.url("/voice")]).await;
    let mut studio = Studio { server, origin, phones: Vec::new() };
    studio.join(500, "ann").await;
    studio.join(900, "ben").await;
    hears(&studio.phones[0], 900, true).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let list = studio.server.get("/Recordings.json").await.body;
    let sid = list["recordings"][0]["sid"].as_str().unwrap().to_owned();
    studio.server.kill();
    let server = Server::start_in(folder.path(), &[]).await;
    let path = format!("/Recordings/{sid}.json");
    let record = server.get(&path).await;
    assert_eq!((record.text("status"), &record.body["channels"]), ("completed".into(), &2.into()));
    let (_, file) = fetch(&server, &format!("/Recordings/{sid}.wav"), &[]).await;
    let tracks = channels(&file);
    assert!(tracks[0].len() > 8_000, "{} samples", tracks[0].len());
    assert!(heard(&tracks[0], 500).contains(&true) && heard(&tracks[1], 900).contains(&true));
    assert!(!folder.path().join(format!("recordings/{sid}.tracks")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_asks_for_tracks_and_a_mix_has_no_timeline() {
    let studio = Studio::open().await;
    let phone = Phone::listen([127, 0, 0, 1].into(), sim::tone(500)).unwrap();
    let form = [
        ("To", phone.uri.as_str()),
        ("From", "+15550100"),
        ("ConferenceRecord", "true"),
        ("SidetoneTracks", "everyone"),
    ];
    let refused = studio.server.post("/Conferences/api/Participants.json", &form).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    let mut form = form;
    form[3].1 = "participants";
    let made = studio.server.post("/Conferences/api/Participants.json", &form).await;
    assert_eq!(made.status, 201, "{}", made.body);
    studio.origin.answers("b", "<Dial><Conference waitUrl='' beep='false'>api</Conference></Dial>");
    let other = Phone::call(studio.server.sip(), "b", sim::tone(900)).unwrap();
    hears(&other, 500, true).await;
    let list = studio.server.get("/Recordings.json").await.body;
    assert_eq!(list["recordings"][0]["channels"], 2, "{list}");
    let sid = list["recordings"][0]["sid"].as_str().unwrap().to_owned();
    for ending in ["wav", "mp3"] {
        let sound = studio.server.get(&format!("/Recordings/{sid}.{ending}")).await;
        assert_eq!(sound.status, 404, "{ending}: {}", sound.body);
        assert_eq!(sound.body["code"], 20404);
        let message = sound.text("message");
        assert!(message.contains("still being made"), "{message}");
    }
    let call =
        studio.server.get("/Calls.json").await.body["calls"][0]["sid"].as_str().unwrap().to_owned();
    let mix = studio.server.post(&format!("/Calls/{call}/Recordings.json"), &[]).await;
    let path = format!("/sidetone/v1/Recordings/{}/Timeline", mix.text("sid"));
    assert_eq!(studio.server.request("GET", &path).send().await.unwrap().status(), 404);
}
