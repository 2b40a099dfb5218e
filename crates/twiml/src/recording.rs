//! What several verbs and nouns say of how they are recorded.
//!
//! Source: Twilio, TwiML `<Conference>`, `<Dial>`, `<Record>` and `<Recording>`.

use std::time::Duration;

use roxmltree::Node;

use crate::Verb;
use crate::document::Reader;

/// How something is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// `trim`: whether silence at both ends is cut off.
    pub trim: bool,
    /// `sidetoneTracks` of a `<Conference>`: whether each participant has a track of its own.
    pub tracks: bool,
    /// `recordingStatusCallback`
    pub status_callback: Option<String>,
    /// `recordingStatusCallbackMethod`
    pub status_callback_method: String,
    /// `recordingStatusCallbackEvent`; none mean `completed`.
    pub status_callback_events: Vec<String>,
}

/// What `recordingStatusCallbackEvent` may ask for.
const EVENTS: [&str; 8] =
    ["started", "in-progress", "paused", "resumed", "stopped", "completed", "failed", "absent"];

/// Reads the attributes; `trim` is the default of that one, and `code` what a wrong one is warned of by.
pub(crate) fn read(node: Node<'_, '_>, code: u32, trim: bool, reader: &mut Reader) -> Recording {
    let of_events = if node.has_tag_name("Record") { 13621 } else { 12200 };
    let trim = reader.attribute(node, "trim", code, trim, |trim| match trim {
        "trim-silence" => Some(true),
        "do-not-trim" => Some(false),
        _ => None,
    });
    let words = node.attribute("recordingStatusCallbackEvent").unwrap_or_default();
    let mut events: Vec<String> = Vec::new();
    for word in words.split([' ', ',', '\t', '\n', '\r']).filter(|word| !word.is_empty()) {
        if !EVENTS.contains(&word) {
            reader.warn(of_events, node, format!("recordingStatusCallbackEvent: no event {word}"));
        } else if !events.iter().any(|known| known == word) {
            events.push(word.to_owned());
        }
    }
    Recording {
        trim,
        tracks: false,
        status_callback: node
            .attribute("recordingStatusCallback")
            .map(|url| url.trim().to_owned())
            .filter(|url| !url.is_empty()),
        status_callback_method: reader.method(node, "recordingStatusCallbackMethod", 12200, "POST"),
        status_callback_events: events,
    }
}

/// `<Record>`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Asked when the recording is there, as written; none: the document's own address.
    pub action: Option<String>,
    /// How it is asked.
    pub method: String,
    /// How much silence ends it.
    pub timeout: Duration,
    /// The keys that end it.
    pub finish_on_key: String,
    /// How long it may be.
    pub max_length: Duration,
    /// Whether a beep tells that it begins.
    pub play_beep: bool,
    /// How it is recorded.
    pub recording: Recording,
}

/// `<Recording>` of a `<Start>`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartRecording {
    /// One or two.
    pub channels: u8,
    /// `inbound`, `outbound` or `both`
    pub track: String,
    /// How it is recorded.
    pub recording: Recording,
}

/// Keys of which each ends a `<Record>`. Source: `finishOnKey`.
const ALL_KEYS: &str = "1234567890*#";
/// Longest `<Record>` where nothing else is said, in seconds. Source: `maxLength`.
const MAX_LENGTH_S: u64 = 3_600;
/// Longest `<Record>` that can be asked for, in seconds: as long as a call.
const MAX_LENGTH_MAX_S: u64 = 86_400;
/// How much silence ends it where nothing else is said, in seconds. Source: `timeout`.
const TIMEOUT_S: u64 = 5;
/// Longest silence that can be asked for, in seconds.
const TIMEOUT_MAX_S: u64 = 600;

pub(crate) fn read_record(node: Node<'_, '_>, reader: &mut Reader) -> Record {
    const ATTRIBUTES: &[&str] = &[
        "action",
        "method",
        "timeout",
        "finishOnKey",
        "maxLength",
        "playBeep",
        "trim",
        "recordingStatusCallback",
        "recordingStatusCallbackMethod",
        "recordingStatusCallbackEvent",
        "recordingConfigurationId",
        "transcribe",
        "transcribeCallback",
    ];
    reader.known(node, ATTRIBUTES);
    if reader.boolean(node, "transcribe", 12200, false) {
        reader.warn(12200, node, "transcribe: recordings are not transcribed");
    }
    let mut seconds = |name: &str, code, default: u64, most: u64| {
        let read = |text: &str| text.parse().ok().filter(|seconds: &u64| *seconds > 0);
        Duration::from_secs(reader.attribute(node, name, code, default, read).min(most))
    };
    let timeout = seconds("timeout", 13611, TIMEOUT_S, TIMEOUT_MAX_S);
    let max_length = seconds("maxLength", 13612, MAX_LENGTH_S, MAX_LENGTH_MAX_S);
    Record {
        action: reader.reference(node, "action"),
        method: reader.method(node, "method", 13610, "POST"),
        timeout,
        finish_on_key: reader.attribute(node, "finishOnKey", 13613, ALL_KEYS.to_owned(), |keys| {
            keys.chars().all(|key| ALL_KEYS.contains(key)).then(|| keys.to_owned())
        }),
        max_length,
        play_beep: reader.boolean(node, "playBeep", 12200, true),
        recording: read(node, 12200, true, reader),
    }
}

/// Reads `<Start>`, which may hold a `<Recording>`.
pub(crate) fn read_start(node: Node<'_, '_>, reader: &mut Reader) -> Verb {
    const ATTRIBUTES: &[&str] = &[
        "channels",
        "recordingChannels",
        "track",
        "recordingTrack",
        "trim",
        "recordingStatusCallback",
        "recordingStatusCallbackMethod",
        "recordingStatusCallbackEvent",
        "recordingConfigurationId",
    ];
    let Some(noun) = noun(node) else { return not_built(node) };
    reader.known(noun, ATTRIBUTES);
    let first = |one, other| if noun.has_attribute(one) { one } else { other };
    let channels = first("channels", "recordingChannels");
    let channels = reader.attribute(noun, channels, 12200, 1, |channels| match channels {
        "mono" => Some(1),
        "dual" => Some(2),
        _ => None,
    });
    let track = first("track", "recordingTrack");
    let track = reader.attribute(noun, track, 12200, "both".to_owned(), |track| {
        ["inbound", "outbound", "both"].contains(&track).then(|| track.to_owned())
    });
    let recording = read(noun, 12200, false, reader);
    Verb::StartRecording(Box::new(StartRecording { channels, track, recording }))
}

/// Reads `<Stop>`, which may hold a `<Recording>`.
pub(crate) fn read_stop(node: Node<'_, '_>) -> Verb {
    noun(node).map_or_else(|| not_built(node), |_| Verb::StopRecording)
}

fn noun<'a, 'input>(node: Node<'a, 'input>) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.tag_name().name() == "Recording")
}

fn not_built(node: Node<'_, '_>) -> Verb {
    let child = node.children().find(Node::is_element);
    let names = child.map(|child| format!("><{}", child.tag_name().name()));
    Verb::NotBuilt { name: node.tag_name().name().to_owned() + &names.unwrap_or_default() }
}

/// `record` of a `<Dial>`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialRecording {
    /// Whether it begins with the ringing, and not with the answer.
    pub from_ringing: bool,
    /// One, or two: the caller on the left.
    pub channels: u8,
    /// `inbound`, `outbound` or `both`
    pub track: String,
    /// How it is recorded.
    pub recording: Recording,
}

/// Reads how a `<Dial>` is recorded; nothing where it is not.
pub(crate) fn read_dial(node: Node<'_, '_>, reader: &mut Reader) -> Option<DialRecording> {
    let wanted = reader.attribute(node, "record", 13217, None, |record| match record {
        "do-not-record" | "false" => Some(None),
        "true" | "record-from-answer" => Some(Some((false, 1))),
        "record-from-ringing" => Some(Some((true, 1))),
        "record-from-answer-dual" => Some(Some((false, 2))),
        "record-from-ringing-dual" => Some(Some((true, 2))),
        _ => None,
    });
    let track = reader.attribute(node, "recordingTrack", 12200, "both".to_owned(), |track| {
        ["inbound", "outbound", "both"].contains(&track).then(|| track.to_owned())
    });
    let recording = read(node, 12200, true, reader);
    let (from_ringing, channels) = wanted?;
    Some(DialRecording { from_ringing, channels, track, recording })
}
