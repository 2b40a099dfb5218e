//! The customer's web: documents and sounds, and a receiver of callbacks that notes what it got.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::{Callback, CallbackSid};
use node::{Brought, Failure, Fetched};
use rand_chacha::ChaCha12Rng;
use webhook::Stage;

use crate::played::chance::Chance;

/// Where the customer lives.
pub const HOST: &str = "http://customer.test";

/// The customer's web.
#[derive(Debug, Default)]
pub struct Web {
    /// Nothing answers.
    pub down: bool,
    /// What the receiver got.
    pub received: BTreeSet<CallbackSid>,
    /// The number of the last callback of each receiver and each conference or call, since the
    /// node was last started.
    pub last: BTreeMap<String, i64>,
}

/// What comes of an attempt to deliver a callback.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Whether the receiver got it.
    pub received: bool,
    /// What the sender learns: a status, or why not.
    pub result: Result<u16, webhook::Failure>,
    /// How long it takes.
    pub after: Duration,
}

impl Web {
    /// Says what comes of a request for a document.
    pub fn document(
        &self,
        url: &str,
        random: &mut ChaCha12Rng,
    ) -> (Result<Brought, Failure>, Duration) {
        let slow = if random.one_in(15) { 4_000 } else { 400 };
        let after = random.millis(5, slow);
        if self.down || random.one_in(20) {
            return (failed(11_200, "nobody answers"), after);
        }
        let path = url.strip_prefix(HOST).unwrap_or("/music");
        let path = path.split(['?', '#']).next().unwrap_or(path);
        let twiml = |body: &str| {
            let text = format!("<Response>{body}</Response>");
            Ok(Brought::Document(Fetched::Twiml { text, url: url.to_owned() }))
        };
        let result = match path {
            "/music" => twiml("<Play loop=\"0\">http://customer.test/long.wav</Play>"),
            "/short" => twiml("<Play>http://customer.test/short.wav</Play>"),
            "/two" => twiml("<Play>short.wav</Play><Play>short.wav</Play>"),
            "/say" => twiml("<Say>Hello</Say>"),
            "/pause" => twiml("<Pause length=\"1\"/><Redirect>/short</Redirect>"),
            "/audio" => Ok(Brought::Audio(silence(Duration::from_millis(700)))),
            "/text" => Ok(Brought::Document(Fetched::Text("hello".to_owned()))),
            "/empty" => twiml(""),
            "/hangup" => twiml("<Hangup/>"),
            "/leave" => twiml("<Play>short.wav</Play><Leave/>"),
            "/broken" => Ok(Brought::Document(Fetched::Twiml {
                text: "<Response><Play>".to_owned(),
                url: url.to_owned(),
            })),
            "/gif" => failed(12_300, "the type is image/gif"),
            "/after" => twiml("<Play>short.wav</Play><Hangup/>"),
            _ => twiml(&voice(random)),
        };
        (result, after)
    }

    /// Says what comes of a request for a sound.
    pub fn sound(
        &self,
        url: &str,
        random: &mut ChaCha12Rng,
    ) -> (Result<Arc<[i16]>, Failure>, Duration) {
        let after = random.millis(5, 300);
        if self.down || random.one_in(25) {
            return (failed(11_200, "nobody answers"), after);
        }
        let length = if url.ends_with("long.wav") { 8_000 } else { 400 };
        (Ok(silence(Duration::from_millis(length))), after)
    }

    /// Says what comes of an attempt to deliver a callback.
    pub fn attempt(&self, random: &mut ChaCha12Rng) -> Answer {
        let slow = if random.one_in(12) { 3_000 } else { 120 };
        let mut after = random.millis(3, slow);
        let (received, result) = match random.below(if self.down { 3 } else { 30 }) {
            0 => (false, unanswered(Stage::Connect, "connection refused")),
            1 => (true, unanswered(Stage::Other, "connection reset")),
            2 => {
                after = Duration::from_secs(15);
                (true, unanswered(Stage::Read, "took too long"))
            }
            3 | 4 => (true, Ok(500)),
            _ => (true, Ok(200)),
        };
        Answer { received, result, after }
    }

    /// Notes a callback; says what is wrong with its coming now.
    pub fn receive(&mut self, callback: &Callback) -> Result<(), String> {
        if !self.received.insert(callback.sid) {
            return Ok(());
        }
        let Some((about, number)) = number(callback) else { return Ok(()) };
        let last = self.last.entry(format!("{about} {}", callback.url)).or_insert(-1);
        if number <= *last {
            return Err(format!("{about}: number {number} came after {last}"));
        }
        *last = number;
        Ok(())
    }
}

/// Returns of what a callback tells, and its number among those; those of recordings have none.
pub fn number(callback: &Callback) -> Option<(String, i64)> {
    let unnumbered = ["RecordingStatus", "MachineDetectionDuration"];
    if unnumbered.into_iter().any(|name| param(callback, name).is_some()) {
        return None;
    }
    let about = match callback.conference {
        Some(conference) => conference.to_string(),
        None => callback.call.map_or_else(String::new, |call| call.to_string()),
    };
    let number = param(callback, "SequenceNumber").and_then(|number| number.parse().ok());
    Some((about, number.unwrap_or(-1)))
}

/// Returns a field of a callback.
pub fn param<'a>(callback: &'a Callback, name: &str) -> Option<&'a str> {
    callback.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn failed<T>(code: u32, message: &str) -> Result<T, Failure> {
    Err(Failure { code, message: message.to_owned() })
}

fn unanswered(stage: Stage, message: &str) -> Result<u16, webhook::Failure> {
    Err(webhook::Failure { code: 11_200, message: message.to_owned(), stage })
}

fn silence(length: Duration) -> Arc<[i16]> {
    vec![0; length.as_millis() as usize * 8].into()
}

/// Writes what a call is to do.
fn voice(random: &mut ChaCha12Rng) -> String {
    let prelude = match random.below(12) {
        0 => "<Play>short.wav</Play>",
        1 => "<Pause length=\"1\"/>",
        2 => "<Say>Welcome</Say>",
        _ => "",
    };
    let other = match random.below(28) {
        0 => Some("<Hangup/>".to_owned()),
        1 => Some("<Reject/>".to_owned()),
        2 => Some("<Redirect>/short</Redirect>".to_owned()),
        3 => Some("<Bogus".to_owned()),
        4 | 5 => Some(phones(random)),
        6 => Some(queued(random)),
        7 => Some(gathering(random)),
        _ => None,
    };
    if let Some(other) = other {
        return format!("{prelude}{other}");
    }
    let mut dial = String::from("<Dial");
    if random.one_in(4) {
        dial.push_str(" action=\"/after\"");
    }
    if random.one_in(8) {
        dial.push_str(" hangupOnStar=\"true\"");
    }
    if random.one_in(10) {
        dial.push_str(" timeLimit=\"5\"");
    }
    let mut noun = String::from("<Conference");
    noun.push_str(
        " statusCallback=\"/events\" statusCallbackEvent=\"start end join leave mute hold modify \
         speaker announcement\"",
    );
    for (one_in, attribute) in [
        (6, " muted=\"true\""),
        (5, " beep=\"false\""),
        (5, " startConferenceOnEnter=\"false\""),
        (6, " endConferenceOnExit=\"true\""),
        (5, " waitUrl=\"/short\""),
        (8, " waitUrl=\"\""),
        (10, " maxParticipants=\"2\""),
        (8, " participantLabel=\"host\""),
        (3, " record=\"record-from-start\" recordingStatusCallback=\"/recordings\""),
        (12, " jitterBufferSize=\"small\""),
    ] {
        if random.one_in(one_in) {
            noun.push_str(attribute);
        }
    }
    let room = ROOMS[random.below(ROOMS.len() as u64 + 2) as usize % ROOMS.len()];
    format!("{prelude}{dial}>{noun}>{room}</Conference></Dial>")
}

/// Writes a `<Dial>` of phones, of which some are there.
fn phones(random: &mut ChaCha12Rng) -> String {
    // A ringing that is nobody's tone.
    let mut dial = String::from("<Dial timeout=\"4\" ringTone=\"il\"");
    for (one_in, attribute) in [
        (3, " action=\"/after\""),
        (6, " hangupOnStar=\"true\""),
        (6, " timeLimit=\"3\""),
        (3, " answerOnBridge=\"true\""),
        (3, " sequential=\"true\""),
    ] {
        if random.one_in(one_in) {
            dial.push_str(attribute);
        }
    }
    dial.push('>');
    for _ in 0..=random.below(2) {
        let phone = random.below(PHONES);
        let more = match random.below(6) {
            0 => " url=\"/say\"",
            1 => " url=\"/hangup\"",
            2 => " sendDigits=\"1w2\"",
            _ => " statusCallback=\"/progress\"",
        };
        dial.push_str(&format!("<Sip{more}>sip:phone{phone}@127.0.0.1:{}</Sip>", 20_000 + phone));
    }
    dial.push_str("</Dial>");
    dial
}

/// Writes an `<Enqueue>`, or a `<Dial>` of the same queue.
fn queued(random: &mut ChaCha12Rng) -> String {
    let wait = random.pick(&["/short", "/say", "/leave", "/hangup", "/broken", ""]).unwrap_or("");
    let notice = random.pick(&["", "", " url=\"/say\"", " url=\"/gif\""]).unwrap_or("");
    if random.one_in(2) {
        format!("<Enqueue waitUrl=\"{wait}\" action=\"/after\">line</Enqueue>")
    } else {
        format!(
            "<Dial timeout=\"5\" timeLimit=\"4\" ringTone=\"il\"><Queue{notice}>line</Queue></Dial>"
        )
    }
}

/// Writes a `<Gather>`.
fn gathering(random: &mut ChaCha12Rng) -> String {
    let digits = 1 + random.below(2);
    format!(
        "<Gather numDigits=\"{digits}\" timeout=\"2\" action=\"/after\"><Play>short.wav</Play></Gather>"
    )
}

/// Phones that may be dialled, of which a small world lacks some.
const PHONES: u64 = 5;

/// The conferences' names.
pub const ROOMS: [&str; 2] = ["alpha", "beta"];
