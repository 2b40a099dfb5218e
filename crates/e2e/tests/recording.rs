//! Recordings from outside: asked for by TwiML and the API, fetched over HTTP, judged by ear.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use e2e::{Answer, Asked, Origin, Server, channels, fetch, level};
use serde_json::Value;
use sim::Phone;

/// What is one piece for the ear: 100 ms.
const PIECE: usize = 800;
/// A tone of a phone is louder than this in a piece that holds it.
const HEARD: f64 = 1_500.0;
/// By how much a moment may be off that is known from requests alone.
const SLACK: Duration = Duration::from_millis(300);

/// A server, the program of its callers, and the room that they call.
struct Room {
    server: Server,
    origin: Origin,
    name: &'static str,
    phones: Vec<Phone>,
    conference: String,
}

impl Room {
    /// Lets a phone call for each tone; all join with these attributes.
    async fn open(server: Server, origin: Origin, name: &'static str, attributes: &str) -> Self {
        let mut room = Self { server, origin, name, phones: Vec::new(), conference: String::new() };
        room.origin.answers(
            name,
            &format!(
                "<Dial><Conference beep='false' waitUrl='' {attributes}>{name}</Conference></Dial>"
            ),
        );
        for hertz in [500, 900] {
            room.join(hertz, room.name);
        }
        let path = format!("/Conferences.json?FriendlyName={name}&Status=in-progress");
        let found = wait(&room.server, &path, |body| !body["conferences"][0].is_null()).await;
        room.conference = found["conferences"][0]["sid"].as_str().unwrap().to_owned();
        room
    }

    fn join(&mut self, hertz: u32, user: &str) {
        self.phones.push(Phone::call(self.server.sip(), user, sim::tone(hertz)).unwrap());
    }

    fn path(&self) -> String {
        format!("/Conferences/{}/Recordings", self.conference)
    }

    /// Returns the SID of the only recording, once it is there.
    async fn recording(&self) -> String {
        let list = format!("{}.json", self.path());
        let body = wait(&self.server, &list, |body| !body["recordings"][0].is_null()).await;
        body["recordings"][0]["sid"].as_str().unwrap().to_owned()
    }

    async fn change(&self, form: &[(&str, &str)]) -> (Answer, Instant, Instant) {
        let sent = Instant::now();
        let answer = self.server.post(&format!("{}/Twilio.CURRENT.json", self.path()), form).await;
        (answer, sent, Instant::now())
    }

    async fn told(&self, status: &str) -> Asked {
        let path = format!("/callback/{}", self.name);
        let is_it = |asked: &Asked| asked.param("RecordingStatus") == status;
        let told = self.origin.wait_for(&path, is_it).await;
        told.unwrap_or_else(|| panic!("{status} was not told"))
    }
}

/// Asks until the answer is as it should be.
async fn wait(server: &Server, path: &str, enough: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..600 {
        let body = server.get(path).await.body;
        if enough(&body) {
            return body;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{path} did not become as it should");
}

async fn pass(length: Duration) {
    tokio::time::sleep(length).await;
}

/// Says of each piece whether it holds this tone.
fn pieces(sound: &[i16], hertz: u32) -> Vec<bool> {
    sound.chunks_exact(PIECE).map(|piece| level(piece, hertz) > HEARD).collect()
}

/// Returns how long the longest stretch is in which nothing at all is to be heard.
fn longest_silence(sound: &[i16]) -> Duration {
    let runs = sound.split(|sample| *sample != 0).map(<[i16]>::len);
    Duration::from_micros(runs.max().unwrap_or(0) as u64 * 125)
}

fn length(sound: &[i16]) -> Duration {
    Duration::from_micros(sound.len() as u64 * 125)
}

#[track_caller]
fn check_between(what: &str, length: Duration, least: Duration, most: Duration) {
    assert!(
        length + SLACK >= least && length <= most + SLACK,
        "{what}: {length:?}, {least:?} to {most:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_recorded_and_halted_in_both_ways() {
    let (server, origin) = Server::with_origin().await;
    let asked = Instant::now();
    let attributes = "record='record-from-start' trim='do-not-trim' \
         recordingStatusCallback='/callback/halted' \
         recordingStatusCallbackEvent='in-progress completed absent'";
    let mut room = Room::open(server, origin, "halted", attributes).await;
    let begun = Instant::now();
    let sid = room.recording().await;
    whisper(&mut room).await;
    pass(Duration::from_millis(800)).await;
    let silence = [("Status", "paused"), ("PauseBehavior", "silence")];
    let (paused, silent_sent, silent_done) = room.change(&silence).await;
    assert_eq!((paused.status, paused.text("status")), (200, "paused".to_owned()));
    assert!(paused.body["duration"].is_null());
    pass(Duration::from_millis(900)).await;
    let (resumed, heard_sent, heard_done) = room.change(&[("Status", "in-progress")]).await;
    assert_eq!(resumed.text("status"), "in-progress");
    pass(Duration::from_millis(800)).await;
    let skip = [("Status", "paused"), ("PauseBehavior", "skip")];
    let (_, skip_sent, skip_done) = room.change(&skip).await;
    pass(Duration::from_millis(1_500)).await;
    let (_, on_sent, on_done) = room.change(&[("Status", "in-progress")]).await;
    pass(Duration::from_millis(800)).await;
    let (stopped, stop_sent, stop_done) = room.change(&[("Status", "stopped")]).await;
    assert_eq!(stopped.text("status"), "stopped");
    let told = room.told("completed").await;
    let (status, file) = fetch(&room.server, &format!("/Recordings/{sid}.wav"), &[]).await;
    assert_eq!(status, 200);
    let sound = channels(&file).remove(0);
    let skipped = (on_sent - skip_done, on_done - skip_sent);
    let (least, most) = (stop_sent - begun - skipped.1, stop_done - asked - skipped.0);
    check_between("the whole", length(&sound), least, most);
    let silent = longest_silence(&sound);
    check_between("the silence", silent, heard_sent - silent_done, heard_done - silent_sent);
    let quiet = silent.as_millis() as usize / 100;
    for hertz in [500, 900] {
        let heard = pieces(&sound, hertz).iter().filter(|heard| **heard).count();
        let all = sound.len() / PIECE;
        assert!(heard + quiet + 4 >= all && heard >= 20, "{hertz} Hz: {heard} of {all}, {quiet}");
    }
    assert!(!pieces(&sound, 1_300).contains(&true), "the coach is in the recording");
    judge_callbacks(&room, &sid, &told, &sound).await;
    let gone = room.change(&[("Status", "stopped")]).await.0;
    assert_eq!((gone.status, &gone.body["code"]), (404, &20_404.into()));
    let path = format!("{}/{sid}.json", room.path());
    let late = room.server.post(&path, &[("Status", "paused")]).await;
    assert_eq!((late.status, &late.body["code"]), (400, &16_114.into()));
}

/// Lets a third phone coach the first, which hears it.
async fn whisper(room: &mut Room) {
    room.origin.answers(
        "coach",
        "<Dial><Conference beep='false' muted='true' participantLabel='coach'>halted</Conference></Dial>",
    );
    room.join(1_300, "coach");
    let path = format!("/Conferences/{}/Participants", room.conference);
    let coach = format!("{path}/coach.json");
    wait(&room.server, &coach, |body| body["status"] == "connected").await;
    let all = room.server.get(&format!("{path}.json")).await.body;
    let first = all["participants"].as_array().unwrap().last().unwrap()["call_sid"].as_str();
    let form = [("Coaching", "true"), ("CallSidToCoach", first.unwrap()), ("Muted", "false")];
    assert_eq!(room.server.post(&coach, &form).await.status, 200);
    let coached = &room.phones[..2];
    for _ in 0..40 {
        coached.iter().for_each(Phone::forget);
        pass(Duration::from_millis(200)).await;
        if coached.iter().any(|phone| level(&phone.heard(), 1_300) > 1_000.0) {
            return;
        }
    }
    panic!("nobody hears the coach");
}

async fn judge_callbacks(room: &Room, sid: &str, told: &Asked, sound: &[i16]) {
    let all = room.origin.asked("/callback/halted");
    let statuses: Vec<&str> = all.iter().map(|asked| asked.param("RecordingStatus")).collect();
    assert_eq!(statuses, ["in-progress", "completed"]);
    let account = room.server.ready("account_sid");
    let api = room.server.ready("api_url");
    let path = format!("{}/{sid}.json", room.path());
    let shown = room.server.get(&path).await;
    let url = format!("{api}/2010-04-01/Accounts/{account}/Recordings/{sid}");
    let seconds = ((sound.len() + 4_000) / 8_000).to_string();
    for (name, value) in [
        ("AccountSid", account),
        ("ConferenceSid", &room.conference),
        ("RecordingSid", sid),
        ("RecordingUrl", &url),
        ("RecordingDuration", &seconds),
        ("RecordingChannels", "1"),
        ("RecordingStartTime", &shown.text("start_time")),
        ("RecordingSource", "Conference"),
        ("ErrorCode", ""),
    ] {
        assert_eq!(told.param(name), value, "{name}");
    }
    assert_eq!(shown.text("duration"), seconds);
    assert_eq!(
        (shown.text("status"), shown.text("source")),
        ("completed".into(), "Conference".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_handed_out_in_ranges_to_who_may_have_it() {
    let (server, origin) = Server::with_origin().await;
    let attributes = "record='record-from-start' recordingStatusCallback='/callback/ranges'";
    let room = Room::open(server, origin, "ranges", attributes).await;
    let sid = room.recording().await;
    let server = &room.server;
    let below_way = server.delete(&format!("/Recordings/{sid}.json")).await;
    assert_eq!((below_way.status, &below_way.body["code"]), (409, &20_009.into()));
    pass(Duration::from_millis(700)).await;
    let way = fetch(server, &format!("/Recordings/{sid}.wav"), &[]).await;
    assert!(way.0 == 200 && way.1.len() > 44, "what is being written can be played");
    room.change(&[("Status", "stopped")]).await;
    room.told("completed").await;
    let wav = format!("/Recordings/{sid}.wav");
    let (_, whole) = fetch(server, &wav, &[]).await;
    assert!(channels(&whole)[0].len() > 4_000);
    for path in [format!("/Recordings/{sid}"), format!("{}/{sid}.wav", room.path())] {
        assert_eq!(fetch(server, &path, &[]).await, (200, whole.clone()), "{path}");
    }
    for (range, status, expected) in [
        ("bytes=0-99", 206, &whole[..100]),
        ("bytes=41-1000", 206, &whole[41..1_001]),
        ("bytes=1001-", 206, &whole[1_001..]),
        ("bytes=-7", 206, &whole[whole.len() - 7..]),
        ("bytes=99999999-", 416, &[]),
        ("bytes=0-1,4-5", 200, &whole[..]),
    ] {
        let (got, octets) = fetch(server, &wav, &[("range", range)]).await;
        assert_eq!((got, octets.len()), (status, expected.len()), "{range}");
        assert!(octets == expected, "{range}: other octets");
    }
    let full = format!("/2010-04-01/Accounts/{}{wav}", server.ready("account_sid"));
    let open = reqwest::get(format!("{}{full}", server.ready("api_url"))).await.unwrap();
    assert_eq!(open.status(), 401, "nobody gets it without credentials");
    let head = server.request("HEAD", &full).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], whole.len().to_string());
    assert_eq!(head.headers()["content-type"], "audio/x-wav");
    let two = server.get(&format!("{wav}?RequestedChannels=2")).await;
    assert_eq!((two.status, &two.body["code"]), (400, &16_113.into()));
    let mp3 = server.get(&format!("/Recordings/{sid}.mp3")).await;
    assert_eq!((mp3.status, &mp3.body["code"]), (501, &20_501.into()));
    assert!(mp3.text("message").contains("mp3-lame"), "{}", mp3.body);
    judge_deletion(server, &sid, &wav).await;
}

async fn judge_deletion(server: &Server, sid: &str, wav: &str) {
    let one = format!("/Recordings/{sid}.json");
    let file = server.data().join(format!("recordings/{sid}.wav"));
    assert!(file.is_file());
    assert_eq!(server.delete(&one).await.status, 204);
    assert_eq!(server.get(&one).await.status, 404);
    assert_eq!(server.get(wav).await.status, 404);
    assert_eq!(server.get("/Recordings.json").await.body["recordings"], serde_json::json!([]));
    let kept = server.get("/Recordings.json?IncludeSoftDeleted=true").await;
    assert_eq!(kept.body["recordings"][0]["status"], "deleted");
    for _ in 0..200 {
        if !file.exists() {
            return;
        }
        pass(Duration::from_millis(25)).await;
    }
    panic!("the file of a recording that was deleted is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_leaves_what_was_recorded_and_a_row_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::start().await;
    let voice = origin.url("/voice");
    let server = Server::start_in(folder.path(), &["--voice-url", &voice]).await;
    let attributes = "record='record-from-start' trim='do-not-trim' \
         recordingStatusCallback='/callback/killed'";
    let mut room = Room::open(server, origin, "killed", attributes).await;
    let begun = Instant::now();
    let sid = room.recording().await;
    pass(Duration::from_millis(2_500)).await;
    room.server.kill();
    let killed = Instant::now();
    let file = folder.path().join(format!("recordings/{sid}.wav"));
    let left = sound::decode(std::fs::read(&file).unwrap()).unwrap();
    let least = (killed - begun).saturating_sub(Duration::from_secs(1));
    assert!(length(&left) >= least, "{:?} of {:?}", length(&left), killed - begun);
    room.server = Server::start_in(folder.path(), &["--voice-url", &voice]).await;
    let told = room.told("completed").await;
    let shown = room.server.get(&format!("/Recordings/{sid}.json")).await;
    assert_eq!(shown.text("status"), "completed");
    let (_, whole) = fetch(&room.server, &format!("/Recordings/{sid}.wav"), &[]).await;
    let sound = channels(&whole).remove(0);
    assert!(length(&sound) >= least);
    let seconds = ((sound.len() + 4_000) / 8_000).to_string();
    assert_eq!(
        (shown.text("duration").as_str(), told.param("RecordingDuration")),
        (&*seconds, &*seconds)
    );
    let heard = pieces(&sound, 500).iter().filter(|heard| **heard).count();
    assert!(heard >= 10, "{heard} pieces");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_cannot_be_written_ends_the_recording_and_not_the_room() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::start().await;
    let server = Server::start_in(folder.path(), &["--voice-url", &origin.url("/voice")]).await;
    std::fs::write(folder.path().join("recordings"), "in the way").unwrap();
    let attributes = "record='record-from-start' recordingStatusCallback='/callback/full' \
         recordingStatusCallbackEvent='completed failed absent'";
    let room = Room::open(server, origin, "full", attributes).await;
    let told = room.told("failed").await;
    assert_eq!(told.param("ErrorCode"), "16111");
    let shown = room.server.get(&format!("{}/{}.json", room.path(), room.recording().await)).await;
    assert_eq!(
        (shown.text("status"), &shown.body["error_code"]),
        ("absent".into(), &16_111.into())
    );
    let log = room.server.get("/Notifications.json").await.body;
    let logged = log["notifications"].as_array().unwrap().iter();
    assert!(logged.clone().any(|entry| entry["error_code"] == "16111"), "{log}");
    plays_on(&room).await;
}

/// Both phones hear each other.
async fn plays_on(room: &Room) {
    for (phone, hertz) in room.phones.iter().zip([900, 500]) {
        let mut heard = false;
        for _ in 0..20 {
            phone.forget();
            pass(Duration::from_millis(300)).await;
            heard = level(&phone.heard(), hertz) > 1_000.0;
            if heard {
                break;
            }
        }
        assert!(heard, "the room does not play on");
    }
}

/// Lets no file of the server grow, as a full disk does.
fn limit_files(server: &Server, octets: &str) {
    let pid = server.pid().to_string();
    let limit = format!("--fsize={octets}:unlimited");
    let limited = std::process::Command::new("prlimit").args(["--pid", &pid, &limit]).status();
    assert!(limited.unwrap().success(), "prlimit, which is of util-linux, failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_ends_the_recording_which_keeps_what_came_before() {
    let (server, origin) = Server::with_origin().await;
    let attributes = "record='record-from-start' recordingStatusCallback='/callback/fills' \
         trim='do-not-trim' recordingStatusCallbackEvent='completed failed absent'";
    let room = Room::open(server, origin, "fills", attributes).await;
    let sid = room.recording().await;
    pass(Duration::from_millis(1_500)).await;
    limit_files(&room.server, "64");
    // Its end is among the first that the database is asked to keep, and cannot.
    // A disk that is busy with others may take long over the file's last sync.
    let mut failing = false;
    let until = std::time::Instant::now() + Duration::from_secs(120);
    while !failing && std::time::Instant::now() < until {
        pass(Duration::from_millis(25)).await;
        failing = room.server.admin("/readyz").await.0 == 503;
    }
    let recorded = room.server.get(&format!("/Recordings/{sid}.json")).await;
    assert!(failing, "the disk is not full: {recorded:?}");
    plays_on(&room).await;
    limit_files(&room.server, "unlimited");
    let told = room.told("failed").await;
    assert_eq!(told.param("ErrorCode"), "16111");
    let one = format!("/Recordings/{sid}.json");
    let shown = wait(&room.server, &one, |body| body["error_code"] == 16_111).await;
    assert_eq!(shown["status"], "completed", "what there is of it can be had");
    assert_eq!(shown["duration"], told.param("RecordingDuration"));
    let (_, file) = fetch(&room.server, &format!("/Recordings/{sid}.wav"), &[]).await;
    let sound = channels(&file).remove(0);
    assert!(length(&sound) > Duration::from_secs(1), "{:?}", length(&sound));
    plays_on(&room).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_is_recorded_in_two_channels() {
    let (server, origin) = Server::with_origin().await;
    let callee = Phone::listen(server.sip().ip(), sim::tone(1_700)).unwrap();
    let room = Room::open(server, origin, "legs", "").await;
    let callback = room.origin.url("/callback/legs");
    let form = [
        ("From", "us"),
        ("To", callee.uri.as_str()),
        ("Beep", "false"),
        ("Record", "true"),
        ("RecordingChannels", "dual"),
        ("Trim", "do-not-trim"),
        ("RecordingStatusCallback", &callback),
        ("RecordingStatusCallbackEvent", "started stopped completed"),
    ];
    let made = room.server.post("/Conferences/legs/Participants.json", &form).await;
    let call = made.text("call_sid");
    assert_eq!(room.told("in-progress").await.param("CallSid"), call);
    let recordings = format!("/Calls/{call}/Recordings");
    let inbound = [("RecordingTrack", "inbound"), ("RecordingStatusCallback", &callback)];
    let second = room.server.post(&format!("{recordings}.json"), &inbound).await;
    assert_eq!((second.status, second.text("track")), (201, "inbound".to_owned()));
    pass(Duration::from_secs(3)).await;
    callee.hang_up();
    let list = format!("{recordings}.json");
    let whole = |body: &Value| {
        let all = body["recordings"].as_array().unwrap();
        all.len() == 2 && all.iter().all(|one| one["status"] == "completed")
    };
    let body = wait(&room.server, &list, whole).await;
    let sids: Vec<&str> = body["recordings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["sid"].as_str().unwrap())
        .collect();
    let (_, mono) = fetch(&room.server, &format!("{recordings}/{}.wav", sids[0]), &[]).await;
    let (_, dual) = fetch(&room.server, &format!("/Recordings/{}.wav", sids[1]), &[]).await;
    let heard = |sound: &[i16]| {
        [500, 900, 1_700].map(|hertz| pieces(sound, hertz).iter().filter(|one| **one).count() > 5)
    };
    let (mono, dual) = (channels(&mono), channels(&dual));
    assert_eq!((mono.len(), dual.len()), (1, 2));
    assert_eq!(heard(&mono[0]), [false, false, true]);
    assert_eq!(heard(&dual[0]), [false, false, true]);
    assert_eq!(heard(&dual[1]), [true, true, false]);
    let path = format!("/Recordings/{}.wav?RequestedChannels=1", sids[1]);
    let (_, one) = fetch(&room.server, &path, &[]).await;
    let sum: Vec<i16> =
        dual[0].iter().zip(&dual[1]).map(|(left, right)| left.saturating_add(*right)).collect();
    assert!(channels(&one) == [sum], "the channels are not summed to the sample");
    let (_, odd) = fetch(&room.server, &path, &[("range", "bytes=101-4444")]).await;
    assert!(odd == one[101..4_445], "a range of the sum is off");
    let of_call = room.server.get(&format!("/Recordings.json?CallSid={call}")).await;
    assert_eq!(of_call.body["recordings"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_leaves_a_message() {
    let (server, origin) = Server::with_origin().await;
    origin.answers("message", "<Record maxLength='2' trim='do-not-trim' action='/done'/>");
    origin.serves_twiml("/done", "<Pause length='20'/>");
    let phone = Phone::call(server.sip(), "message", sim::tone(500)).unwrap();
    let done = origin.wait_for("/done", |_| true).await.expect("the action is asked");
    assert_eq!((done.param("RecordingDuration"), done.param("Digits")), ("2", ""));
    let url = done.param("RecordingUrl").replace(server.ready("api_url"), "");
    let response = server.request("GET", &url).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "audio/x-wav");
    let sound = channels(&response.bytes().await.unwrap()).remove(0);
    check_between("the message", length(&sound), SLACK, Duration::from_secs(2));
    let heard = pieces(&sound, 500).iter().filter(|heard| **heard).count();
    assert!(heard + 4 >= sound.len() / PIECE, "{heard} pieces");
    plays_back(&server, &phone, done.param("CallSid"), done.param("RecordingUrl")).await;
    let source = server.get(&format!("/Recordings/{}.json", done.param("RecordingSid"))).await;
    assert_eq!(source.text("source"), "RecordVerb");
}

/// A call plays the recording by its own address, without credentials.
async fn plays_back(server: &Server, phone: &Phone, call: &str, url: &str) {
    phone.forget();
    let twiml = format!("<Response><Play>{url}</Play><Hangup/></Response>");
    let call = format!("/Calls/{call}.json");
    assert_eq!(server.post(&call, &[("Twiml", &twiml)]).await.status, 200);
    assert!(phone.wait_over(Duration::from_secs(30)), "the call goes on");
    let heard = pieces(&phone.heard(), 500).iter().filter(|heard| **heard).count();
    assert!(heard > 10, "{heard} pieces");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_recorded_in_two_channels_and_open_to_all_where_that_is_set() {
    let origin = Origin::start().await;
    let voice = origin.url("/voice");
    let flags = ["--voice-url", &voice, "--dual-conference-recordings", "--open-recordings"];
    let server = Server::start(&flags).await;
    let attributes = "record='record-from-start' trim='do-not-trim' muted='true' \
         recordingStatusCallback='/callback/dual'";
    let room = Room::open(server, origin, "dual", attributes).await;
    let path = format!("/Conferences/{}/Participants", room.conference);
    let all = room.server.get(&format!("{path}.json")).await.body;
    for one in all["participants"].as_array().unwrap() {
        let one = format!("{path}/{}.json", one["call_sid"].as_str().unwrap());
        assert_eq!(room.server.post(&one, &[("Muted", "false")]).await.status, 200);
    }
    pass(Duration::from_millis(1_200)).await;
    room.change(&[("Status", "stopped")]).await;
    let told = room.told("completed").await;
    assert_eq!(told.param("RecordingChannels"), "2");
    let first = told.param("RecordingUrl").to_owned() + ".wav";
    let file = reqwest::get(first).await.unwrap().bytes().await.unwrap();
    let sound = channels(&file);
    let heard = |sound: &[i16], hertz| pieces(sound, hertz).iter().filter(|one| **one).count() > 5;
    let left = [500, 900].map(|hertz| heard(&sound[0], hertz));
    let right = [500, 900].map(|hertz| heard(&sound[1], hertz));
    assert_eq!(left.map(|one| !one), right, "each is on a side of its own");
    assert_ne!(left[0], left[1]);
}
