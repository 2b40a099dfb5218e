//! The tone matrix: rooms of real phones over loopback, each with a tone of its own; every set of
//! the twelve parameters, judged by all that can be seen from the street.
//!
//! What is expected comes from [`Expected`], which was written from Twilio's documents and shares
//! nothing with the server.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use e2e::{Answer, Origin, Server, level, level_near, tone};
use sim::Phone;
use tokio::sync::Semaphore;

/// Tones of documents; the phones' are in [`phone_tone`].
const WAIT: u32 = 3_300;
const WAIT_CHANGED: u32 = 3_400;
const HOLD: u32 = 3_500;
const ANNOUNCE: u32 = 3_600;
/// The two notes of the exit beep.
const EXIT_BEEP: [u32; 2] = [880, 660];

/// Until a change is in every ear: a tick, two jitter buffers, the phone's own sweep.
const SETTLE: Duration = Duration::from_millis(200);
/// How long everyone listens at a time.
const LISTEN: Duration = Duration::from_millis(300);
/// How often they listen until all is as it should be: how soon that is, is not judged here.
const LISTENS_MAX: usize = 15;
/// Rooms that run at the same time.
const ROOMS: usize = 8;

/// The twelve, in the order of the bits of a [`Set`].
const PARAMETERS: [&str; 12] = [
    "Muted",
    "Hold",
    "HoldUrl",
    "HoldMethod",
    "AnnounceUrl",
    "AnnounceMethod",
    "WaitUrl",
    "WaitMethod",
    "BeepOnExit",
    "EndConferenceOnExit",
    "Coaching",
    "CallSidToCoach",
];

/// Some of the twelve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Set(u16);

impl Set {
    /// Each alone, each pair, and all together: 79 sets.
    fn all() -> Vec<Self> {
        let singles = (0..12).map(|one| Self(1 << one));
        let pairs = (0..12).flat_map(|one| (0..one).map(move |other| Self(1 << one | 1 << other)));
        singles.chain(pairs).chain([Self(0xFFF)]).collect()
    }

    fn has(self, parameter: &str) -> bool {
        let bit = PARAMETERS.iter().position(|name| *name == parameter).unwrap();
        self.0 & 1 << bit != 0
    }

    fn name(self) -> String {
        let named: Vec<&str> = PARAMETERS.into_iter().filter(|name| self.has(name)).collect();
        if named.len() == 12 { "all twelve".to_owned() } else { named.join("+") }
    }
}

/// One room to play: how many phones, whether it has started, how the target is addressed.
#[derive(Debug, Clone, Copy)]
struct Case {
    set: Set,
    size: usize,
    started: bool,
    by_label: bool,
}

/// What is to be seen of a case. The target is participant 0, whom it coaches participant 1.
#[derive(Debug)]
struct Expected {
    case: Case,
}

impl Expected {
    fn is_refused(&self) -> bool {
        self.case.set.has("Coaching") && !self.case.set.has("CallSidToCoach")
    }

    fn is_held(&self, who: usize) -> bool {
        who == 0 && self.case.set.has("Hold") && !self.is_refused()
    }

    fn coaches(&self) -> bool {
        self.case.set.has("CallSidToCoach")
    }

    /// Whether one hears another.
    fn hears(&self, listener: usize, speaker: usize) -> bool {
        let muted = speaker == 0 && self.case.set.has("Muted") && !self.is_refused();
        self.case.started
            && listener != speaker
            && !muted
            && !self.is_held(listener)
            && !self.is_held(speaker)
            && (speaker != 0 || !self.coaches() || listener == 1)
    }

    fn announcement(&self, listener: usize) -> bool {
        listener == 0 && self.case.set.has("AnnounceUrl") && !self.is_refused()
    }

    /// The tone of the document that plays to someone once no announcement does.
    fn music(&self, listener: usize) -> Option<u32> {
        let changed = listener == 0 && self.case.set.has("WaitUrl") && !self.is_refused();
        if self.is_held(listener) {
            self.case.set.has("HoldUrl").then_some(HOLD)
        } else if self.case.started {
            None
        } else {
            Some(if changed { WAIT_CHANGED } else { WAIT })
        }
    }

    /// The methods by which the target's documents are asked for: path and method.
    fn asked(&self) -> Vec<(&'static str, &'static str)> {
        let set = self.case.set;
        if self.is_refused() {
            return Vec::new();
        }
        let by = |named: bool, method, default| if named { method } else { default };
        let mut asked = Vec::new();
        if set.has("Hold") && set.has("HoldUrl") {
            asked.push(("hold", by(set.has("HoldMethod"), "PUT", "GET")));
        }
        if set.has("AnnounceUrl") {
            asked.push(("announce", by(set.has("AnnounceMethod"), "PATCH", "POST")));
        }
        if set.has("WaitUrl") && !self.case.started && !set.has("Hold") {
            asked.push(("changed", by(set.has("WaitMethod"), "DELETE", "POST")));
        }
        asked
    }

    /// The callbacks of the update itself, in order.
    fn events(&self) -> Vec<&'static str> {
        let set = self.case.set;
        if self.is_refused() {
            return Vec::new();
        }
        let modified = ["WaitUrl", "BeepOnExit", "EndConferenceOnExit", "CallSidToCoach"];
        let modified = modified.into_iter().any(|name| set.has(name));
        [
            (set.has("Muted"), "participant-mute"),
            (set.has("Hold"), "participant-hold"),
            (modified, "participant-modify"),
        ]
        .into_iter()
        .filter_map(|(happened, event)| happened.then_some(event))
        .collect()
    }

    fn ends_on_exit(&self) -> bool {
        self.case.set.has("EndConferenceOnExit") && !self.is_refused()
    }

    fn beeps_on_exit(&self) -> bool {
        let set = self.case.set;
        set.has("BeepOnExit") && !self.ends_on_exit() && !self.is_refused() && self.case.started
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_set_of_the_twelve_is_heard_in_a_room_of_eight() {
    let mut cases = Vec::new();
    for set in Set::all() {
        for (started, by_label) in [(true, false), (true, true), (false, false), (false, true)] {
            cases.push(Case { set, size: 8, started, by_label });
        }
    }
    play(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_twelve_are_heard_in_rooms_of_two_and_three() {
    let cases = Set::all().into_iter().enumerate().map(|(index, set)| Case {
        set,
        size: 2 + index % 2,
        started: index % 4 < 2,
        by_label: index % 3 == 0,
    });
    play(cases.collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_twelve_are_heard_in_a_room_of_fifty() {
    let sets = ["Muted", "Hold", "AnnounceUrl", "CallSidToCoach"]
        .map(|name| Set(1 << PARAMETERS.iter().position(|parameter| *parameter == name).unwrap()));
    let sets = sets.into_iter().chain([Set(0xFFF)]);
    let cases = sets.map(|set| Case { set, size: 50, started: true, by_label: false });
    for case in cases {
        play(vec![case]).await;
    }
}

/// Plays cases, some at a time, and names all that went wrong.
///
/// With `SIDETONE_CASE=Hold+AnnounceUrl` only the cases of that set are played, many times.
async fn play(mut cases: Vec<Case>) {
    if let Ok(only) = std::env::var("SIDETONE_CASE") {
        cases.retain(|case| case.set.name() == only);
        cases = cases.repeat(20);
    }
    static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);
    let _turn = ONE_AT_A_TIME.acquire().await.unwrap();
    let origin = Origin::start().await;
    let voice = origin.url("/voice");
    let server = Arc::new(Server::start(&["--voice-url", &voice]).await);
    let rooms = Arc::new(Semaphore::new(ROOMS));
    let mut played = tokio::task::JoinSet::new();
    let count = cases.len();
    for (number, case) in cases.into_iter().enumerate() {
        let room = Arc::clone(&rooms).acquire_owned().await.unwrap();
        let (server, origin) = (Arc::clone(&server), origin.clone());
        played.spawn(async move {
            let faults = Room::play(&server, &origin, number, case).await;
            drop(room);
            let about = format!(
                "{} in a room of {}, {}, by {}",
                case.set.name(),
                case.size,
                if case.started { "in progress" } else { "init" },
                if case.by_label { "label" } else { "SID" },
            );
            faults.into_iter().map(|fault| format!("{about}: {fault}")).collect::<Vec<_>>()
        });
    }
    let faults: Vec<String> = played.join_all().await.into_iter().flatten().collect();
    assert!(faults.is_empty(), "{} faults in {count} rooms:\n{}", faults.len(), faults.join("\n"));
}

/// Amplitude of a phone's tone: all together stay below full scale.
fn amplitude(size: usize) -> f64 {
    if size > 8 { 24_000.0 / size as f64 } else { 2_500.0 }
}

fn phone_tone(size: usize, index: usize) -> u32 {
    if size > 8 { 300 + 55 * index as u32 } else { 340 + 370 * index as u32 }
}

struct Room<'a> {
    server: &'a Server,
    name: String,
    conference: String,
    phones: Vec<Phone>,
    calls: Vec<String>,
    expected: Expected,
    faults: Vec<String>,
}

impl Room<'_> {
    /// Plays one case from the first ring to the last BYE; returns what was not as expected.
    async fn play(server: &Server, origin: &Origin, number: usize, case: Case) -> Vec<String> {
        let name = format!("r{number}");
        serve_documents(origin, &name);
        let phones = ring(server, origin, &name, case).await;
        let Some((conference, calls)) = seated(server, &name, case).await else {
            return vec!["not everyone came in".to_owned()];
        };
        let expected = Expected { case };
        let mut room =
            Room { server, name, conference, phones, calls, expected, faults: Vec::new() };
        let answer = room.update(origin).await;
        let announced = room.expected.announcement(0);
        if announced {
            // It plays after its commit and its fetch.
            let path = format!("/{}/announce", room.name);
            let _ = origin.wait_for(&path, |_| true).await;
        }
        tokio::time::sleep(SETTLE).await;
        room.judge_sound(announced).await;
        if announced {
            room.judge_sound(false).await;
        }
        room.judge_answer(&answer).await;
        room.judge_exit(origin).await;
        room.judge_origin(origin).await;
        room.faults
    }

    async fn update(&self, origin: &Origin) -> Answer {
        let (set, path) = (self.expected.case.set, |kind| format!("/{}/{kind}", self.name));
        let (hold, announce) = (origin.url(&path("hold")), origin.url(&path("announce")));
        let changed = origin.url(&path("changed"));
        let values = [
            "true",
            "true",
            &hold,
            "PUT",
            &announce,
            "PATCH",
            &changed,
            "DELETE",
            "true",
            "true",
            "true",
            &self.calls[1],
        ];
        let form: Vec<(&str, &str)> =
            PARAMETERS.into_iter().zip(values).filter(|(name, _)| set.has(name)).collect();
        self.server.post(&self.target(), &form).await
    }

    fn target(&self) -> String {
        let label = format!("{}p0", self.name);
        let key = if self.expected.case.by_label { &label } else { &self.calls[0] };
        format!("/Conferences/{}/Participants/{key}.json", self.conference)
    }

    async fn judge_answer(&mut self, answer: &Answer) {
        let set = self.expected.case.set;
        if self.expected.is_refused() {
            if answer.status != 400 || answer.body["code"] != 20001 {
                self.fault(format!("not refused: {answer:?}"));
            }
            return;
        }
        if answer.status != 200 {
            return self.fault(format!("refused: {answer:?}"));
        }
        let coach = if self.expected.coaches() { self.calls[1].as_str().into() } else { ().into() };
        let fields: [(&str, serde_json::Value); 5] = [
            ("muted", set.has("Muted").into()),
            ("hold", set.has("Hold").into()),
            ("end_conference_on_exit", set.has("EndConferenceOnExit").into()),
            ("coaching", self.expected.coaches().into()),
            ("call_sid_to_coach", coach),
        ];
        let read = self.server.get(&self.target()).await;
        for (name, wanted) in fields {
            for body in [&answer.body, &read.body] {
                if body[name] != wanted {
                    self.fault(format!("{name} is {}, not {wanted}", body[name]));
                }
            }
        }
    }

    /// Lets everyone listen at once until each ear has what it is to hear, a bounded time.
    async fn judge_sound(&mut self, announcing: bool) {
        let mut faults = Vec::new();
        for listen in 1..=LISTENS_MAX {
            self.phones.iter().for_each(Phone::forget);
            tokio::time::sleep(LISTEN).await;
            let ears = self.phones.iter().map(Phone::heard).enumerate();
            let heard = ears.flat_map(|(who, heard)| self.ear(who, &heard, announcing));
            let heard: Vec<String> = heard.collect();
            if heard.is_empty() {
                return;
            }
            faults.extend(heard.into_iter().map(|fault| format!("{fault} (listen {listen})")));
        }
        self.faults.extend(faults);
    }

    /// Compares what one ear heard with what it is to hear.
    fn ear(&self, listener: usize, heard: &[i16], announcing: bool) -> Vec<String> {
        let (size, set) = (self.expected.case.size, self.expected.case.set);
        if self.expected.is_held(listener) && !set.has("HoldUrl") && !announcing {
            // Our own hold music has tones of its own, which may be anyone's: where a marked
            // document plays in its place, the voices are looked for beneath it.
            let power = heard.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>();
            let silent = (power / heard.len() as f64).sqrt() < 50.0;
            return silent.then(|| format!("{listener} hears no hold music")).into_iter().collect();
        }
        let voices = (0..size).filter_map(|speaker| {
            let within = if size > 8 { 9 } else { 60 };
            let loudness = level_near(heard, phone_tone(size, speaker), within) / amplitude(size);
            let about = format!("{listener} hears {speaker} at {loudness:.3}");
            judge(loudness, self.expected.hears(listener, speaker), &about)
        });
        let announced = announcing && self.expected.announcement(listener);
        let documents = [
            ("the wait document", WAIT),
            ("the changed wait document", WAIT_CHANGED),
            ("the hold document", HOLD),
            ("the announcement", ANNOUNCE),
        ];
        let documents = documents.into_iter().filter_map(|(name, hertz)| {
            let loudness = level(heard, hertz) / 2_500.0;
            let about = format!("{listener} hears {name} at {loudness:.3}");
            if hertz == ANNOUNCE {
                judge(loudness, announced, &about)
            } else if announced {
                None
            } else {
                judge(loudness, self.expected.music(listener) == Some(hertz), &about)
            }
        });
        voices.chain(documents).collect()
    }

    /// Kicks the target, and looks at what becomes of the others.
    async fn judge_exit(&mut self, origin: &Origin) {
        self.phones.iter().for_each(Phone::forget);
        let answer = self.server.delete(&self.target()).await;
        if answer.status != 204 {
            self.fault(format!("not kicked: {answer:?}"));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let heard = self.phones[1].heard();
        if self.phones[0].state() == sim::State::Up {
            self.fault("the kicked one is still there".to_owned());
        }
        let beep = exit_beep(&heard);
        let beeps = self.expected.beeps_on_exit();
        if self.expected.case.size <= 8 && self.expected.case.started && beeps != (beep > 600.0) {
            self.fault(format!("an exit beep of {beep:.0}, expected: {beeps}"));
        }
        let ended = self.expected.ends_on_exit();
        let path = format!("/Conferences/{}.json", self.conference);
        let status = self.server.get(&path).await.text("status");
        let going = if self.expected.case.started { "in-progress" } else { "init" };
        let wanted = if ended { "completed" } else { going };
        if status != wanted {
            self.fault(format!("the conference is {status}, not {wanted}"));
        }
        let up = self.phones[1..].iter().filter(|phone| phone.state() == sim::State::Up).count();
        let wanted = if ended { 0 } else { self.phones.len() - 1 };
        if up != wanted {
            self.fault(format!("{up} others are up, not {wanted}"));
        }
        self.phones.clear();
        let callback = format!("/callback/{}", self.name);
        let end = |asked: &e2e::Asked| asked.param("StatusCallbackEvent") == "conference-end";
        if origin.wait_for(&callback, end).await.is_none() {
            self.fault("no conference-end was told".to_owned());
        }
    }

    /// Compares what the origin was asked and told.
    async fn judge_origin(&mut self, origin: &Origin) {
        for kind in ["hold", "announce", "changed"] {
            let methods: Vec<String> = origin
                .asked(&format!("/{}/{kind}", self.name))
                .into_iter()
                .map(|asked| asked.method)
                .collect();
            let wanted = self.expected.asked();
            let wanted = wanted.iter().find(|(name, _)| *name == kind).map(|(_, method)| *method);
            let right = match wanted {
                Some(method) => methods.iter().all(|asked| asked == method) && !methods.is_empty(),
                None => methods.is_empty(),
            };
            if !right {
                self.fault(format!("the {kind} document was asked for by {methods:?}"));
            }
        }
        let told = origin.asked(&format!("/callback/{}", self.name));
        let events: Vec<&str> = told
            .iter()
            .map(|told| told.param("StatusCallbackEvent"))
            .filter(|event| ["mute", "hold", "modify"].iter().any(|end| event.ends_with(end)))
            .collect();
        if events != self.expected.events() {
            self.fault(format!("told {events:?}, expected {:?}", self.expected.events()));
        }
        let sequence: Vec<String> =
            told.iter().map(|told| told.param("SequenceNumber").to_owned()).collect();
        let wanted: Vec<String> = (1..=told.len()).map(|number| number.to_string()).collect();
        if sequence != wanted {
            self.fault(format!("the callbacks are numbered {sequence:?}"));
        }
    }

    fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }
}

/// Full strength is 1; under an announcement it is a quarter.
fn judge(loudness: f64, heard: bool, about: &str) -> Option<String> {
    if heard && !(0.2..1.3).contains(&loudness) || !heard && loudness > 0.05 {
        return Some(format!("{about}, {}", if heard { "too faint" } else { "but should not" }));
    }
    None
}

/// How loud the exit beep is: it is short, and looked for piece by piece, one note after the other.
fn exit_beep(heard: &[i16]) -> f64 {
    let pieces: Vec<&[i16]> = heard.chunks_exact(480).collect();
    let loudness = |index: usize, hertz| pieces.get(index).map_or(0.0, |piece| level(piece, hertz));
    let [first, second] = EXIT_BEEP;
    (0..pieces.len())
        .map(|at| loudness(at, first).min(loudness(at + 1, second).max(loudness(at + 2, second))))
        .fold(0.0, f64::max)
}

/// Puts the room's documents on the origin: each its own, so that its log tells rooms apart.
fn serve_documents(origin: &Origin, name: &str) {
    let second = |hertz| sound::wav(&tone(hertz, 2_500.0));
    for hertz in [WAIT, WAIT_CHANGED, HOLD] {
        origin.serves(&format!("/tone/{hertz}.wav"), "audio/wav", second(hertz));
    }
    for (kind, hertz) in [("wait", WAIT), ("changed", WAIT_CHANGED), ("hold", HOLD)] {
        let verbs = format!("<Play loop=\"0\">/tone/{hertz}.wav</Play>");
        origin.serves_twiml(&format!("/{name}/{kind}"), &verbs);
    }
    let announcement = sound::wav(&tone(ANNOUNCE, 2_500.0).repeat(3));
    origin.serves(&format!("/{name}/announce"), "audio/wav", announcement);
}

/// Lets the phones call in.
async fn ring(server: &Server, origin: &Origin, name: &str, case: Case) -> Vec<Phone> {
    let mut phones = Vec::new();
    for index in 0..case.size {
        let user = format!("{name}p{index}");
        let (wait, callback) = (format!("/{name}/wait"), format!("/callback/{name}"));
        let started = case.started;
        origin.answers(
            &user,
            &format!(
                "<Dial><Conference participantLabel=\"{user}\" beep=\"false\" \
                 startConferenceOnEnter=\"{started}\" waitUrl=\"{wait}\" waitMethod=\"GET\" \
                 statusCallback=\"{callback}\" statusCallbackEvent=\"start end join leave mute \
                 hold modify announcement\">{name}</Conference></Dial>"
            ),
        );
        let voice = tone(phone_tone(case.size, index), amplitude(case.size));
        phones.push(Phone::call(server.sip(), &user, voice).unwrap());
    }
    phones
}

/// Waits until everyone is in the conference; returns its SID and the calls in order of the phones.
async fn seated(server: &Server, name: &str, case: Case) -> Option<(String, Vec<String>)> {
    for _ in 0..400 {
        tokio::time::sleep(Duration::from_millis(25)).await;
        let found = server.get(&format!("/Conferences.json?FriendlyName={name}")).await;
        let Some(sid) = found.body["conferences"][0]["sid"].as_str() else { continue };
        let path = format!("/Conferences/{sid}/Participants.json?PageSize=100");
        let body = server.get(&path).await.body;
        let members = body["participants"].as_array().unwrap();
        let connected = members.iter().filter(|member| member["status"] == "connected").count();
        if connected < case.size {
            continue;
        }
        let call_of = |label: String| {
            let member = members.iter().find(|member| member["label"] == label.as_str())?;
            Some(member["call_sid"].as_str()?.to_owned())
        };
        let calls = (0..case.size).map(|index| call_of(format!("{name}p{index}")));
        return Some((sid.to_owned(), calls.collect::<Option<_>>()?));
    }
    None
}
