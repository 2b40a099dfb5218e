//! The verbs, each with its attributes and defaults.

use std::time::Duration;

use roxmltree::Node;

use crate::conference::{self, Conference};
use crate::document::{Reader, text};
use crate::gather::{self, Gather};
use crate::say::{self, Say};

/// What an endless loop comes to. Source: Twilio, `<Play loop>`.
pub const LOOPS_MAX: u32 = 1_000;
/// Longest `<Dial>`. Source: Twilio, `timeLimit`.
const TIME_LIMIT_MAX_S: u64 = 86_400;
/// Longest `timeout` of a `<Dial>`. Source: Twilio, `<Dial timeout>`.
const TIMEOUT_MAX_S: u64 = 600;
/// Longest `<Pause>`.
const PAUSE_MAX_S: u64 = 86_400;
/// Verbs and nouns of Twilio's that are known and not built yet.
const NOT_BUILT: &[&str] = &[
    "Record",
    "Enqueue",
    "Leave",
    "Connect",
    "Start",
    "Stop",
    "Refer",
    "Sms",
    "Pay",
    "Prompt",
    "Siprec",
    "Stream",
    "Transcription",
];
const NOUNS_NOT_BUILT: &[&str] =
    &["Number", "Sip", "Client", "Queue", "Application", "Sim", "WhatsApp"];

/// One instruction.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    /// Speaks.
    Say(Say),
    /// Plays a file or keys.
    Play(Play),
    /// Waits.
    Pause {
        /// How long.
        length: Duration,
    },
    /// Goes on with another document.
    Redirect {
        /// Which; empty: the same again.
        url: String,
        /// How it is asked.
        method: String,
    },
    /// Waits for keys.
    Gather(Box<Gather>),
    /// Ends the call.
    Hangup,
    /// Turns the call away unanswered.
    Reject {
        /// As busy, and not as rejected.
        busy: bool,
    },
    /// Connects the call.
    Dial(Box<Dial>),
    /// A verb of Twilio's that is not built yet.
    NotBuilt {
        /// Its name.
        name: String,
    },
}

/// `<Play>`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Play {
    /// The file, as written.
    pub url: Option<String>,
    /// Keys to press: `0-9 A-D # * w W`.
    pub digits: Option<String>,
    /// How often.
    pub loops: u32,
}

/// `<Dial>` with a `<Conference>`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// What follows; none: the next verb.
    pub action: Option<String>,
    /// How it is asked.
    pub method: String,
    /// How long it may last.
    pub time_limit: Option<Duration>,
    /// Whether `*` leaves.
    pub hangup_on_star: bool,
    /// Where to.
    pub noun: Conference,
}

impl Dial {
    /// Dials the conference of this name with every default.
    pub fn conference(name: impl Into<String>) -> Self {
        Self {
            action: None,
            method: "POST".to_owned(),
            time_limit: None,
            hangup_on_star: false,
            noun: Conference::named(name),
        }
    }
}

/// Reads one verb; none where it says nothing that can be done.
pub(crate) fn read(node: Node<'_, '_>, reader: &mut Reader) -> Option<Verb> {
    match node.tag_name().name() {
        "Say" => say::read(node, reader).map(Verb::Say),
        "Play" => play(node, reader).map(Verb::Play),
        "Pause" => Some(pause(node, reader)),
        "Redirect" => {
            reader.known(node, &["method"]);
            let method = reader.method(node, "method", 13710, "POST");
            Some(Verb::Redirect { url: text(node), method })
        }
        "Hangup" => {
            reader.known(node, &[]);
            Some(Verb::Hangup)
        }
        "Reject" => {
            reader.known(node, &["reason"]);
            let busy = reader.attribute(node, "reason", 13810, false, |reason| match reason {
                "busy" => Some(true),
                "rejected" => Some(false),
                _ => None,
            });
            Some(Verb::Reject { busy })
        }
        "Gather" => Some(Verb::Gather(Box::new(gather::read(node, reader)))),
        "Dial" => Some(dial(node, reader)),
        name if NOT_BUILT.contains(&name) => Some(Verb::NotBuilt { name: name.to_owned() }),
        name => {
            reader.warn(12200, node, format!("there is no verb <{name}>"));
            None
        }
    }
}

/// Reads `loop`: 0 stands for [`LOOPS_MAX`].
pub(crate) fn loops(node: Node<'_, '_>, code: u32, reader: &mut Reader) -> u32 {
    reader.attribute(node, "loop", code, 1, |text| match text.parse::<u32>() {
        Ok(0) => Some(LOOPS_MAX),
        Ok(loops) => Some(loops.min(LOOPS_MAX)),
        Err(_) => None,
    })
}

fn play(node: Node<'_, '_>, reader: &mut Reader) -> Option<Play> {
    reader.known(node, &["loop", "digits"]);
    let url = Some(text(node)).filter(|url| !url.is_empty());
    let digits = reader.attribute(node, "digits", 13430, None, |digits| {
        let valid = |c: char| matches!(c, '0'..='9' | 'A'..='D' | '#' | '*' | 'w' | 'W');
        digits.chars().all(valid).then(|| Some(digits.to_owned()))
    });
    let loops = loops(node, 13410, reader);
    if url.is_none() && digits.is_none() {
        reader.warn(12200, node, "<Play> names neither a file nor digits");
        return None;
    }
    Some(Play { url, digits, loops })
}

fn pause(node: Node<'_, '_>, reader: &mut Reader) -> Verb {
    reader.known(node, &["length"]);
    let seconds = reader.attribute(node, "length", 13910, 1, |text| {
        text.parse::<u64>().ok().filter(|seconds| *seconds > 0)
    });
    Verb::Pause { length: Duration::from_secs(seconds.min(PAUSE_MAX_S)) }
}

fn dial(node: Node<'_, '_>, reader: &mut Reader) -> Verb {
    const ATTRIBUTES: &[&str] = &[
        "action",
        "answerOnBridge",
        "callerId",
        "callReason",
        "hangupOnStar",
        "method",
        "record",
        "recordingStatusCallback",
        "recordingStatusCallbackMethod",
        "recordingStatusCallbackEvent",
        "recordingTrack",
        "recordingConfigurationId",
        "referUrl",
        "referMethod",
        "ringTone",
        "sequential",
        "timeLimit",
        "timeout",
        "trim",
        "events",
    ];
    reader.known(node, ATTRIBUTES);
    let nouns: Vec<_> = node.children().filter(Node::is_element).collect();
    let is_conference = |noun: &&Node<'_, '_>| noun.tag_name().name() == "Conference";
    let Some(noun) = nouns.iter().find(is_conference) else {
        let name = nouns.iter().map(|noun| noun.tag_name().name()).next().unwrap_or("Number");
        if !NOUNS_NOT_BUILT.contains(&name) {
            reader.warn(13215, node, format!("<Dial> holds no <{name}>"));
        }
        return Verb::NotBuilt { name: format!("Dial><{name}") };
    };
    if nouns.len() > 1 {
        reader.warn(13000, node, "a <Conference> is dialled alone; the other nouns are ignored");
    }
    for (name, code) in [("answerOnBridge", 13219), ("sequential", 13218)] {
        reader.boolean(node, name, code, false);
    }
    reader.attribute(node, "timeout", 13212, 0, |text| {
        text.parse::<u64>().ok().filter(|seconds| (1..=TIMEOUT_MAX_S).contains(seconds))
    });
    let records = reader.attribute(node, "record", 13217, false, |record| match record {
        "do-not-record" | "false" => Some(false),
        "true" | "record-from-answer" | "record-from-ringing" => Some(true),
        "record-from-answer-dual" | "record-from-ringing-dual" => Some(true),
        _ => None,
    });
    if records {
        reader.warn(12200, node, "record: recording is not built yet");
    }
    Verb::Dial(Box::new(Dial {
        action: reader.reference(node, "action"),
        method: reader.method(node, "method", 13210, "POST"),
        time_limit: reader.attribute(node, "timeLimit", 13216, None, |text| {
            let seconds = text.parse::<u64>().ok().filter(|seconds| *seconds > 0)?;
            Some(Some(Duration::from_secs(seconds.min(TIME_LIMIT_MAX_S))))
        }),
        hangup_on_star: reader.boolean(node, "hangupOnStar", 13213, false),
        noun: conference::read(*noun, reader),
    }))
}
