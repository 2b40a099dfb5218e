//! Seeing what goes on: who hears whom and why not, the log, and the metrics.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use e2e::{Origin, Server, hears, until};
use serde_json::Value;
use sim::{Phone, Telling, tone};

/// A room of three callers, in the order of coming.
struct Room {
    server: Server,
    conference: String,
    calls: Vec<String>,
    phones: Vec<Phone>,
}

impl Room {
    async fn open(flags: &[&str], callers: usize) -> Self {
        let calls = |server: &Server, _| Phone::call(server.sip(), "seen", tone(500)).unwrap();
        Self::open_with(flags, callers, calls).await
    }

    /// Lets callers in who are made so, by their number.
    async fn open_with(
        flags: &[&str],
        callers: usize,
        calls_in: impl Fn(&Server, usize) -> Phone,
    ) -> Self {
        let server = Server::start(flags).await;
        let (mut calls, mut phones): (Vec<String>, Vec<Phone>) = (Vec::new(), Vec::new());
        let mut conference = String::new();
        for number in 0..callers {
            phones.push(calls_in(&server, number));
            for _ in 0..800 {
                tokio::time::sleep(Duration::from_millis(25)).await;
                let found = server.get("/Conferences.json?FriendlyName=seen").await;
                let Some(sid) = found.body["conferences"][0]["sid"].as_str() else { continue };
                conference = sid.to_owned();
                let all = server.get(&format!("/Conferences/{sid}/Participants.json")).await;
                let known = all.body["participants"].as_array().unwrap();
                if known.len() == phones.len() {
                    calls.push(known[0]["call_sid"].as_str().unwrap().to_owned());
                    break;
                }
            }
        }
        assert_eq!(calls.len(), callers, "not all came in");
        Self { server, conference, calls, phones }
    }

    async fn update(&self, who: usize, form: &[(&str, &str)]) {
        let path =
            format!("/Conferences/{}/Participants/{}.json", self.conference, self.calls[who]);
        let answer = self.server.post(&path, form).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    async fn audibility(&self) -> Value {
        let path = format!("/sidetone/v1/Conferences/{}/Audibility", self.conference);
        let answer = self.server.get_from_root(&path).await;
        assert_eq!(answer.text("conference_sid"), self.conference);
        answer.body
    }

    /// Returns how loud each is in dB, by the order of coming, and who of them is the dominant speaker.
    async fn levels(&self) -> (Vec<Option<i64>>, Option<usize>) {
        let seen = self.audibility().await;
        let levels = seen["levels"].as_array().unwrap();
        let level = |call: &String| {
            levels.iter().find(|one| one["call_sid"] == **call)?["level_db"].as_i64()
        };
        let dominant = self.calls.iter().position(|call| seen["dominant_speaker"] == **call);
        (self.calls.iter().map(level).collect(), dominant)
    }

    /// Returns one line for each pair, by the order of coming: `0<1` is what 0 hears of 1.
    async fn heard(&self) -> Vec<String> {
        let seen = self.audibility().await;
        let place = |sid: &Value| self.calls.iter().position(|call| call == sid.as_str().unwrap());
        let line = |pair: &Value| {
            let (listener, speaker) = (place(&pair["listener"])?, place(&pair["speaker"])?);
            let reasons: Vec<&str> = pair["reasons"]
                .as_array()
                .unwrap()
                .iter()
                .map(|word| word.as_str().unwrap())
                .collect();
            assert_eq!(pair["audible"], reasons.is_empty(), "{pair}");
            assert_eq!(pair["gain_db"].is_null(), !reasons.is_empty(), "{pair}");
            let gain = pair["gain_db"].as_f64().map_or(reasons.join(","), |db| db.to_string());
            Some(format!("{listener}<{speaker} {gain}"))
        };
        let mut lines: Vec<String> =
            seen["pairs"].as_array().unwrap().iter().filter_map(line).collect();
        lines.sort();
        lines
    }

    /// Waits until the pairs are these, apart from those at 0 dB.
    #[track_caller]
    fn check(&self, expected: &[&str]) {
        let mut last = Vec::new();
        for _ in 0..400 {
            last = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(self.heard())
            });
            last.retain(|line| !line.ends_with(" 0"));
            if last == expected {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("{last:?}, not {expected:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_more_than_twelve_who_talk_in_wide_band_the_softest_are_said_to_be_left_out() {
    let soft = |number: usize| number == 3 || number == 7;
    let calls = |server: &Server, number| {
        let voice = e2e::tone(500, if soft(number) { 300.0 } else { 4_000.0 });
        Phone::call_speaking(server.sip(), "seen", voice, &["g722"]).unwrap()
    };
    let mut room = Room::open_with(&[], 14, calls).await;
    let pairs = (0..14).flat_map(|listener| [3, 7].map(|speaker| (listener, speaker)));
    let others = pairs.filter(|(listener, speaker)| listener != speaker);
    let lines = others.map(|(listener, speaker)| format!("{listener}<{speaker} speaker_limit"));
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    room.check(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    // There is room for all once two have gone.
    room.phones.drain(12..).for_each(|phone| phone.hang_up());
    room.check(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn audibility_says_for_each_pair_at_which_gain_or_why_not() {
    let origin = Origin::start().await;
    let long = sound::wav(&e2e::tone(440, 2_500.0).repeat(20));
    let announcement = origin.serves("/long", "audio/wav", long);
    let mut room = Room::open(&[], 3).await;
    room.check(&[]);
    room.update(0, &[("Muted", "true")]).await;
    room.check(&["1<0 muted", "2<0 muted"]);
    room.update(2, &[("Hold", "true")]).await;
    room.check(&["0<2 held", "1<0 muted", "1<2 held", "2<0 muted,held", "2<1 held"]);
    room.update(0, &[("Muted", "false")]).await;
    room.update(2, &[("Hold", "false"), ("CallSidToCoach", &room.calls[1])]).await;
    room.check(&["0<2 coaching"]);
    room.update(2, &[("Coaching", "false")]).await;
    room.update(1, &[("AnnounceUrl", &announcement)]).await;
    room.check(&["1<0 -12", "1<2 -12"]);
    let waiting: Vec<Phone> = (0..2)
        .map(|_| Phone::listen(std::net::Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap())
        .collect();
    room.calls.clear();
    for phone in &waiting {
        let form = [("From", "a"), ("To", &phone.uri), ("StartConferenceOnEnter", "false")];
        let made = room.server.post("/Conferences/waiting/Participants.json", &form).await;
        room.conference = made.text("conference_sid");
        room.calls.push(made.text("call_sid"));
    }
    room.check(&["0<1 not_started", "1<0 not_started"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn audibility_says_how_well_the_sound_of_each_comes() {
    let room = Room::open(&[], 2).await;
    until("an opinion of both", async || {
        let seen = room.audibility().await;
        let levels = seen["levels"].as_array().unwrap();
        let is_one = |level: &Value| {
            // Two digits; how good it is depends on the machine that tests.
            let mos = level["mos"].as_f64()?;
            Some((1.0..=4.5).contains(&mos) && (mos * 100.0 - (mos * 100.0).round()).abs() < 1e-6)
        };
        levels.len() == 2 && levels.iter().all(|level| is_one(level) == Some(true))
    })
    .await;
}

/// A tone of -24 dB that pauses as speech does, though not in silence.
fn words(hertz: u32) -> sim::Voice {
    let quiet = |at: usize, sample: i16| if at < 6_400 { sample } else { sample / 30 };
    tone(hertz).iter().enumerate().map(|(at, &sample)| quiet(at, sample)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_that_phones_tell_are_seen_and_lies_are_neither_seen_nor_heard() {
    // The first says nothing, the last that there is silence.
    const TONES: [u32; 4] = [400, 730, 1_250, 1_810];
    const TOLD: [Option<u8>; 4] = [None, Some(30), Some(8), Some(127)];
    let calls_in = |server: &Server, number: usize| {
        let (server, voice) = (server.sip(), words(TONES[number]));
        let tells = TOLD[number].map(|level| Telling { level, voice: level < 127 });
        let phone = match tells {
            Some(tells) => Phone::call_telling(server, "seen", voice, tells),
            None => Phone::call(server, "seen", voice),
        };
        phone.unwrap()
    };
    let room = Room::open_with(&[], TONES.len(), calls_in).await;
    for (who, levels) in [-26..=-22, -30..=-30, -8..=-8, -26..=-22].into_iter().enumerate() {
        until(&format!("the level of {who}"), async || {
            room.levels().await.0[who].is_some_and(|level| levels.contains(&level))
        })
        .await;
    }
    until("who says to be loudest is the one", async || room.levels().await.1 == Some(2)).await;
    for (listener, phone) in room.phones.iter().enumerate() {
        for (speaker, hertz) in TONES.into_iter().enumerate() {
            hears(phone, hertz, speaker != listener).await;
        }
    }
}

/// A tone that lasts so many tenths of a second, and silence for as long.
fn by_turns(hertz: u32, tenths: usize) -> sim::Voice {
    let spoken: Vec<i16> = tone(hertz).iter().copied().cycle().take(tenths * 800).collect();
    spoken.iter().copied().chain(vec![0; spoken.len()]).collect()
}

/// Whoever follows the event stream, and what it was told.
struct Follower<'a> {
    room: &'a Room,
    next: String,
    events: Vec<Value>,
}

impl<'a> Follower<'a> {
    fn of(room: &'a Room) -> Self {
        let next = "/sidetone/v1/Events?After=0&PageSize=20&Levels=true".to_owned();
        Self { room, next, events: Vec::new() }
    }

    async fn go_on(&mut self) {
        let page = self.room.server.get_from_root(&format!("{}&Wait=5", self.next)).await;
        assert_eq!(page.status, 200, "{page:?}");
        self.next = page.text("next_page_uri");
        self.events.extend(page.body["events"].as_array().unwrap().iter().cloned());
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.events.iter().filter(move |event| event["type"] == kind)
    }

    /// Whether it was told that one follows the other as the dominant speaker, and is then louder by far.
    fn has_seen(&self, speaker: usize, other: usize) -> bool {
        let [speaker, other] = [speaker, other].map(|who| &self.room.calls[who]);
        let level = |levels: &Value, call: &String| {
            let levels = levels["levels"].as_array().unwrap();
            levels.iter().find(|one| one["call_sid"] == **call)?["level_db"].as_i64()
        };
        let is_louder = |event: &Value| {
            let room = &event["resource"];
            let (Some(speaks), Some(listens)) = (level(room, speaker), level(room, other)) else {
                return false;
            };
            room["dominant_speaker"] == **speaker && speaks > -30 && listens < speaks - 20
        };
        let is_turn = |event: &Value| {
            let change = &event["resource"];
            change["call_sid"] == **speaker && change["previous"] == **other
        };
        self.of_kind("levels").any(is_louder) && self.of_kind("dominant-speaker").any(is_turn)
    }

    fn places(&self) -> Vec<u64> {
        self.events.iter().filter_map(|event| event["sequence"].as_u64()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_with_levels_sees_who_speaks_and_gets_each_event_once_all_the_same() {
    // Their silences are not of a length, so that each is alone now and then.
    let calls_in = |server: &Server, number: usize| {
        let voice = by_turns([500, 800][number], [15, 11][number]);
        Phone::call(server.sip(), "seen", voice).unwrap()
    };
    let room = Room::open_with(&[], 2, calls_in).await;
    let (mut one, mut other) = (Follower::of(&room), Follower::of(&room));
    let form = [("To", "+15551234567"), ("From", "+15550199"), ("Body", "Hello")];
    until("both seen to speak after the other", async || {
        assert_eq!(room.server.post("/Messages.json", &form).await.status, 201);
        tokio::join!(one.go_on(), other.go_on());
        [&one, &other].iter().all(|seen| seen.has_seen(0, 1) && seen.has_seen(1, 0))
    })
    .await;
    let all = room.server.get_from_root("/sidetone/v1/Events?After=0&PageSize=1000").await.body;
    assert_eq!(all["conferences_left_out"], Value::Null);
    let all = all["events"].as_array().unwrap();
    let all: Vec<u64> = all.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    for follower in [&one, &other] {
        let places = follower.places();
        assert_eq!(places, all[..places.len()]);
    }
    // However many follow, the room is looked at twice a second.
    let levels = [&one, &other].into_iter().flat_map(|follower| follower.of_kind("levels"));
    let at = |event: &Value| event["date"].as_str().unwrap().to_owned();
    let looks: std::collections::BTreeSet<String> = levels.map(at).collect();
    let first = one.of_kind("levels").map(at).collect::<Vec<_>>();
    assert!(first.is_sorted_by(|one, next| one < next), "{first:?}");
    let ms = |date: &String| {
        let (_, time) = date.trim_end_matches('Z').split_once('T').unwrap();
        let parts = time.split([':', '.']).map(|part| part.parse::<u64>().unwrap());
        parts.zip([3_600_000, 60_000, 1_000, 1]).map(|(part, unit)| part * unit).sum::<u64>()
    };
    let looks: Vec<u64> = looks.iter().map(ms).collect();
    assert!(
        looks.windows(2).all(|pair| pair[0] + 495 <= pair[1] || pair[0] > pair[1]),
        "{looks:?}"
    );
    let shown = e2e::typed(&room.server, &["tail", "--only", "levels", "--for", "2s"]).out;
    assert!(shown.contains(&format!(" levels       {}  ", room.conference)), "{shown}");
    assert!(!shown.contains("Hello"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_with_levels_sees_no_other_accounts_and_is_refused_what_is_none() {
    let room = Room::open(&[], 1).await;
    let server = &room.server;
    let main = e2e::Login {
        user: server.ready("account_sid").to_owned(),
        secret: server.ready("auth_token").to_owned(),
    };
    let sub = server.ask_as(&main, "POST", "/2010-04-01/Accounts.json", &[]).await;
    let login = e2e::Login { user: sub.text("sid"), secret: sub.text("auth_token") };
    let path = "/sidetone/v1/Events?Levels=true&Wait=1";
    let own = server.ask_as(&main, "GET", path, &[]).await.body;
    assert_eq!(own["conferences_left_out"], 0, "{own}");
    assert_eq!(own["events"][0]["resource"]["conference_sid"], room.conference, "{own}");
    let theirs = server.ask_as(&login, "GET", path, &[]).await.body;
    assert_eq!(theirs["events"], serde_json::json!([]), "{theirs}");
    for query in ["Levels=x", "LevelsAfter=x", "Levels=true&LevelsAfter=-1"] {
        let refused = server.get_from_root(&format!("/sidetone/v1/Events?{query}")).await;
        assert_eq!((refused.status, &refused.body["code"]), (400, &20001.into()), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_what_an_operator_would_tell_and_keeps_secrets() {
    let flags = ["--log", "warn,node=info,api=info", "--log-format", "json"];
    let mut room = Room::open(&flags, 2).await;
    room.update(0, &[("Muted", "true")]).await;
    let path = format!("/Conferences/{}.json", room.conference);
    assert_eq!(room.server.post(&path, &[("Status", "completed")]).await.status, 200);
    assert!(room.phones.iter().all(|phone| phone.wait_over(Duration::from_secs(20))));
    room.server.terminate();
    let log = room.server.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |message: &str, fields: &[(&str, &str)]| {
        let is_it = |line: &&Value| {
            line["message"] == message && fields.iter().all(|(name, value)| line[*name] == *value)
        };
        assert!(lines.iter().any(|line| is_it(&line)), "no {message:?} {fields:?} in\n{log}");
    };
    let (conference, first) = (room.conference.as_str(), room.calls[0].as_str());
    told("call answered", &[("call.sid", first), ("direction", "inbound")]);
    told("participant joined", &[("call.sid", first), ("conference.sid", conference)]);
    told("conference started", &[("conference.sid", conference)]);
    told("participant updated", &[("call.sid", first), ("conference.sid", conference)]);
    let why = [("conference.sid", conference), ("why", "conference-ended-via-api")];
    told("conference ended", &why);
    told("call ended", &[("call.sid", first), ("status", "completed")]);
    let updated = lines.iter().find(|line| line["message"] == "participant updated").unwrap();
    assert!(updated["request.id"].as_str().is_some_and(|id| id.starts_with("RQ")), "{updated}");
    assert!(!log.contains(room.server.ready("auth_token")), "the token is in the log");
    let once = |message: &str| lines.iter().filter(|line| line["message"] == message).count();
    assert_eq!([once("conference started"), once("conference ended")], [1, 1]);
    assert_eq!([once("call answered"), once("call ended")], [2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_has_help_a_type_and_bounded_labels() {
    let room = Room::open(&[], 2).await;
    room.update(0, &[("Hold", "true")]).await;
    for number in 0..50 {
        let path = format!("/Conferences/{}/Participants/nobody{number}.json", room.conference);
        assert_eq!(room.server.get(&path).await.status, 404);
        assert_eq!(room.server.get(&format!("/Nothing{number}.json")).await.status, 404);
    }
    let (status, text) = room.server.admin("/metrics").await;
    assert_eq!(status, 200);
    let value = |row: &str| -> f64 {
        let line =
            text.lines().find(|line| line.strip_prefix(row).is_some_and(|l| l.starts_with(' ')));
        let line = line.unwrap_or_else(|| panic!("no {row} in\n{text}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    for (row, least, most) in [
        ("sidetone_calls", 2.0, 2.0),
        ("sidetone_conferences", 1.0, 1.0),
        ("sidetone_recordings", 0.0, 0.0),
        ("sidetone_legs", 2.0, 2.0),
        ("sidetone_rooms", 1.0, 1.0),
        ("sidetone_rtp_received_total", 1.0, 1e9),
        ("sidetone_tick_lateness_seconds_count", 1.0, 1e9),
        ("sidetone_legs_by_jitter_milliseconds{le=\"+Inf\"}", 2.0, 2.0),
        ("sidetone_sip_requests_total{direction=\"received\",method=\"INVITE\"}", 2.0, 1e3),
        ("sidetone_sip_responses_total{direction=\"sent\",code=\"200\"}", 2.0, 1e3),
        ("sidetone_store_commit_seconds_count", 1.0, 1e9),
        ("sidetone_outbox_callbacks", 0.0, 0.0),
        ("sidetone_api_requests_total{route=\"none\",method=\"GET\",code=\"404\"}", 50.0, 50.0),
    ] {
        let found = value(row);
        assert!((least..=most).contains(&found), "{row} {found}");
    }
    let route = "Conferences/{ConferenceSid}/Participants/{CallSid}";
    assert_eq!(
        value(&format!(
            "sidetone_api_requests_total{{route=\"{route}\",method=\"POST\",code=\"200\"}}"
        )),
        1.0
    );
    assert_eq!(value(&format!("sidetone_api_request_seconds_count{{route=\"{route}\"}}")), 51.0);
    let mut typed = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split([' ', '{']).collect();
        if words[0] == "#" {
            if words[1] == "TYPE" {
                assert!(!typed.contains(&words[2]), "{} twice", words[2]);
                typed.push(words[2]);
                let unit = [
                    "_total",
                    "_seconds",
                    "_microseconds",
                    "_milliseconds",
                    "_ratio",
                    "_batches",
                    "_score",
                ];
                let counted = [
                    "calls",
                    "conferences",
                    "recordings",
                    "legs",
                    "rooms",
                    "callbacks",
                    "transactions",
                    "dialogs",
                    "registrations",
                ];
                let ends = |all: &[&str]| all.iter().any(|end| words[2].ends_with(end));
                assert!(ends(&unit) || ends(&counted), "{} does not end in its unit", words[2]);
            }
            continue;
        }
        let name = words[0]
            .trim_end_matches("_bucket")
            .trim_end_matches("_sum")
            .trim_end_matches("_count");
        assert!(typed.contains(&name) || typed.contains(&words[0]), "{line} has no type before it");
    }
    assert!(text.lines().count() < 400, "{} rows", text.lines().count());
}
