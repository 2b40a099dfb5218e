//! The verbs, each with its attributes and defaults.

use std::time::Duration;

use roxmltree::Node;

use crate::dial::{self, Dial};
use crate::document::{Reader, text};
use crate::enqueue::{self, Enqueue};
use crate::gather::{self, Gather};
use crate::recording::{self, Record, StartRecording};
use crate::say::{self, Say};

/// What an endless loop comes to. Source: Twilio, `<Play loop>`.
pub const LOOPS_MAX: u32 = 1_000;
/// Longest `<Pause>`.
const PAUSE_MAX_S: u64 = 86_400;
/// Verbs of Twilio's that are known and not built yet.
const NOT_BUILT: &[&str] =
    &["Connect", "Refer", "Sms", "Pay", "Prompt", "Siprec", "Stream", "Transcription"];

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
    /// Records what the caller says.
    Record(Box<Record>),
    /// Begins to record the call.
    StartRecording(Box<StartRecording>),
    /// Ends that.
    StopRecording,
    /// Waits in a queue.
    Enqueue(Box<Enqueue>),
    /// Leaves the queue whose wait document this is.
    Leave,
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
        "Enqueue" => Some(Verb::Enqueue(Box::new(enqueue::read(node, reader)))),
        "Hangup" | "Leave" => {
            reader.known(node, &[]);
            Some(if node.tag_name().name() == "Leave" { Verb::Leave } else { Verb::Hangup })
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
        "Dial" => Some(dial::read(node, reader)),
        "Record" => Some(Verb::Record(Box::new(recording::read_record(node, reader)))),
        "Start" => Some(recording::read_start(node, reader)),
        "Stop" => Some(recording::read_stop(node)),
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
    let digits = reader.keys(node, "digits", 13430);
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
