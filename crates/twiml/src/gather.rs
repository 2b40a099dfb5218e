//! `<Gather>`: keys, and what is played while they are waited for.
//!
//! Source: Twilio, TwiML `<Gather>`; errors 13310 to 13338.

use std::time::Duration;

use roxmltree::Node;

use crate::Verb;
use crate::document::Reader;
use crate::verb;

/// Most keys that can be asked for, and that are gathered where no number is asked for.
pub const DIGITS_MAX: u32 = 256;
/// How long a key is waited for where nothing else is said. Source: `timeout`.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest speech that is recognised, in seconds. Source: `maxSpeechTime`.
const SPEECH_MAX_S: u64 = 60;
/// Longest wait for a key.
const TIMEOUT_MAX_S: u64 = 600;
const ATTRIBUTES: &[&str] = &[
    "action",
    "method",
    "input",
    "timeout",
    "finishOnKey",
    "numDigits",
    "actionOnEmptyResult",
    "language",
    "hints",
    "speechTimeout",
    "maxSpeechTime",
    "speechModel",
    "enhanced",
    "profanityFilter",
    "partialResultCallback",
    "partialResultCallbackMethod",
    "bargeIn",
    "debug",
];

/// `<Gather>`
#[derive(Debug, Clone, PartialEq)]
pub struct Gather {
    /// Asked with what was gathered, as written; none: the document's own address.
    pub action: Option<String>,
    /// How it is asked.
    pub method: String,
    /// Whether keys are gathered.
    pub dtmf: bool,
    /// Whether speech is to be recognised.
    pub speech: bool,
    /// How long somebody is silent who has said all; none: as long as sounds natural.
    pub speech_timeout: Option<Duration>,
    /// How long somebody may speak.
    pub max_speech_time: Duration,
    /// Whether who speaks cuts the prompts off.
    pub barge_in: bool,
    /// In which language.
    pub language: String,
    /// Words that are likely.
    pub hints: String,
    /// For what kind of speech.
    pub speech_model: String,
    /// Whether the better variant of that is wanted.
    pub enhanced: bool,
    /// Told what is understood so far while somebody speaks, as written.
    pub partial_result_callback: Option<String>,
    /// How it is told.
    pub partial_result_callback_method: String,
    /// How long the next key is waited for.
    pub timeout: Duration,
    /// The key that ends it.
    pub finish_on_key: Option<char>,
    /// How many keys end it, [`DIGITS_MAX`] at most.
    pub num_digits: u32,
    /// Whether `action` is asked when nothing was gathered, too.
    pub action_on_empty_result: bool,
    /// What is played meanwhile: `<Say>`, `<Play>` and `<Pause>`.
    pub prompts: Vec<Verb>,
}

pub(crate) fn read(node: Node<'_, '_>, reader: &mut Reader) -> Gather {
    reader.known(node, ATTRIBUTES);
    let (dtmf, speech) =
        reader.attribute(node, "input", 13326, (true, false), |input| match input {
            "dtmf" => Some((true, false)),
            "speech" => Some((false, true)),
            "dtmf speech" | "speech dtmf" => Some((true, true)),
            _ => None,
        });
    let finish_on_key = reader.attribute(node, "finishOnKey", 13310, Some('#'), |keys| {
        let mut keys = keys.chars();
        match (keys.next(), keys.next()) {
            (None, _) => Some(None),
            (Some(key @ ('0'..='9' | '#' | '*')), None) => Some(Some(key)),
            _ => None,
        }
    });
    reader.boolean(node, "profanityFilter", 13333, false);
    let enhanced = reader.boolean(node, "enhanced", 12200, false);
    let timeout = reader.attribute(node, "timeout", 13313, TIMEOUT, |text| match text {
        "auto" => Some(TIMEOUT),
        text => text.parse().ok().map(|s: u64| Duration::from_secs(s.min(TIMEOUT_MAX_S))),
    });
    let seconds = |text: &str| text.parse().ok().filter(|s: &u64| (1..=SPEECH_MAX_S).contains(s));
    let speech_timeout =
        reader.attribute(node, "speechTimeout", 13327, Some(timeout), |text| match text {
            "auto" => Some(None),
            text => seconds(text).map(|s| Some(Duration::from_secs(s))),
        });
    let longest = Duration::from_secs(SPEECH_MAX_S);
    let max_speech_time = reader.attribute(node, "maxSpeechTime", 13328, longest, |text| {
        seconds(text).map(Duration::from_secs)
    });
    let partial_method = reader.method(node, "partialResultCallbackMethod", 13329, "POST");
    let text = |name, default| node.attribute(name).unwrap_or(default).trim().to_owned();
    Gather {
        action: reader.reference(node, "action"),
        method: reader.method(node, "method", 13312, "POST"),
        dtmf,
        speech,
        speech_timeout,
        max_speech_time,
        barge_in: reader.boolean(node, "bargeIn", 13332, true),
        language: text("language", "en-US"),
        hints: text("hints", ""),
        speech_model: text("speechModel", "default"),
        enhanced,
        partial_result_callback: reader.reference(node, "partialResultCallback"),
        partial_result_callback_method: partial_method,
        timeout,
        finish_on_key,
        num_digits: reader.attribute(node, "numDigits", 13314, DIGITS_MAX, |text| {
            text.parse().ok().filter(|&digits: &u32| digits > 0).map(|d| d.min(DIGITS_MAX))
        }),
        action_on_empty_result: reader.boolean(node, "actionOnEmptyResult", 13338, false),
        prompts: prompts(node, reader),
    }
}

fn prompts(node: Node<'_, '_>, reader: &mut Reader) -> Vec<Verb> {
    let mut prompts = Vec::new();
    for child in node.children().filter(Node::is_element) {
        match child.tag_name().name() {
            "Say" | "Play" | "Pause" => prompts.extend(verb::read(child, reader)),
            name => reader.warn(13320, child, format!("<Gather> may not hold <{name}>")),
        }
    }
    prompts
}
