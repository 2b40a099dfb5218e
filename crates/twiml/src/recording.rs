//! What several verbs and nouns say of how they are recorded.
//!
//! Source: Twilio, TwiML `<Conference>`, `<Dial>`, `<Record>` and `<Recording>`.

use roxmltree::Node;

use crate::document::Reader;

/// How something is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// `trim`: whether silence at both ends is cut off.
    pub trim: bool,
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
    let trim = reader.attribute(node, "trim", code, trim, |trim| match trim {
        "trim-silence" => Some(true),
        "do-not-trim" => Some(false),
        _ => None,
    });
    let words = node.attribute("recordingStatusCallbackEvent").unwrap_or_default();
    let mut events: Vec<String> = Vec::new();
    for word in words.split([' ', ',', '\t', '\n', '\r']).filter(|word| !word.is_empty()) {
        if !EVENTS.contains(&word) {
            reader.warn(12200, node, format!("recordingStatusCallbackEvent: no event {word}"));
        } else if !events.iter().any(|known| known == word) {
            events.push(word.to_owned());
        }
    }
    Recording {
        trim,
        status_callback: node
            .attribute("recordingStatusCallback")
            .map(|url| url.trim().to_owned())
            .filter(|url| !url.is_empty()),
        status_callback_method: reader.method(node, "recordingStatusCallbackMethod", 12200, "POST"),
        status_callback_events: events,
    }
}
