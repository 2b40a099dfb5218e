//! `<Dial>` and its nouns, but for the conference.
//!
//! Source: Twilio, TwiML `<Dial>`, `<Number>`, `<Sip>`, `<Client>`, `<Queue>`; errors 13210 to 13258.

use std::time::Duration;

use model::MachineDetection;
use roxmltree::Node;

use crate::conference::{self, Conference};
use crate::document::{Reader, text};
use crate::machine;
use crate::recording::{self, DialRecording};
use crate::{RING_TONES, Verb};

/// Most phones that one `<Dial>` rings. Source: Twilio, TwiML `<Number>`, and error 13250.
pub const CALLEES_MAX: usize = 10;
/// Most parameters that go along to a phone.
pub const PARAMETERS_MAX: usize = 50;
/// How long a phone rings where nothing else is said. Source: `timeout`.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest `timeout`. Source: Twilio, `<Dial timeout>`.
const TIMEOUT_MAX_S: u64 = 600;
/// Longest `<Dial>`. Source: Twilio, `timeLimit`.
const TIME_LIMIT_MAX_S: u64 = 86_400;
/// Events that a noun's `statusCallbackEvent` may ask for.
const EVENTS: &[&str] = &["initiated", "ringing", "answered", "completed"];
/// Nouns of Twilio's that are known and not built yet.
const NOT_BUILT: &[&str] = &["Sim", "WhatsApp", "AiSession"];
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
const OF_CALLEE: &[&str] = &[
    "url",
    "method",
    "statusCallback",
    "statusCallbackMethod",
    "statusCallbackEvent",
    "sendDigits",
    "byoc",
    "customerId",
    "copyParentTo",
    "username",
    "password",
    "machineDetection",
    "machineDetectionTimeout",
    "machineDetectionSpeechThreshold",
    "machineDetectionSpeechEndThreshold",
    "machineDetectionSilenceTimeout",
    "amdStatusCallback",
    "amdStatusCallbackMethod",
];

/// `<Dial>`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// What follows; none: the next verb.
    pub action: Option<String>,
    /// How it is asked.
    pub method: String,
    /// How long a phone may ring, or a queue may be empty.
    pub timeout: Duration,
    /// How long it may last.
    pub time_limit: Option<Duration>,
    /// Whether `*` leaves.
    pub hangup_on_star: bool,
    /// Who calls, where it is to be another than the caller; as written.
    pub caller_id: Option<String>,
    /// Whether the caller is answered when a phone is connected, and not before.
    pub answer_on_bridge: bool,
    /// The country whose ringing the caller hears.
    pub ring_tone: Option<String>,
    /// Whether the phones ring one after the other.
    pub sequential: bool,
    /// How it is recorded; none: not at all.
    pub recording: Option<DialRecording>,
    /// Where to.
    pub noun: Noun,
}

/// Whom a `<Dial>` connects a call with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noun {
    /// A conference.
    Conference(Box<Conference>),
    /// Who waits longest in a queue.
    Queue(Queue),
    /// The first of these phones that answers.
    Callees(Vec<Callee>),
}

/// `<Queue>`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// A document that the one who waited hears before it is connected, as written.
    pub url: Option<String>,
    /// How it is asked.
    pub method: String,
}

/// What kind of address a phone has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalleeKind {
    /// A telephone number.
    Number,
    /// A SIP address.
    Sip,
    /// A name.
    Client,
    /// An application of the account's own.
    Application,
}

/// `<Number>`, `<Sip>`, `<Client>` or `<Application>`: one phone that is to ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callee {
    /// Which of them.
    pub kind: CalleeKind,
    /// A number without what groups its digits, a `sip:` address, `client:` and a name, or `app:` and an
    /// application's SID.
    pub address: String,
    /// What goes along to a client or an application: `<Parameter>`.
    pub parameters: Vec<(String, String)>,
    /// Pressed after the answer, before anyone is connected.
    pub send_digits: Option<String>,
    /// A document that is run on the phone before it is connected, as written.
    pub url: Option<String>,
    /// How it is asked.
    pub method: String,
    /// Told of the call's progress, as written.
    pub status_callback: Option<String>,
    /// How it is told.
    pub status_callback_method: String,
    /// Of `initiated ringing answered completed`; none: `completed`.
    pub status_callback_events: Vec<String>,
    /// What answers a challenge: name and password.
    pub credentials: Option<(String, String)>,
    /// How it is found out who has answered; none: not at all.
    pub machine: Option<MachineDetection>,
    /// Told who has answered, as written.
    pub amd_callback: Option<String>,
    /// How it is told.
    pub amd_callback_method: String,
}

impl Dial {
    /// Dials a noun with every default.
    pub fn to(noun: Noun) -> Self {
        Self {
            action: None,
            method: "POST".to_owned(),
            timeout: TIMEOUT,
            time_limit: None,
            hangup_on_star: false,
            caller_id: None,
            answer_on_bridge: false,
            ring_tone: None,
            sequential: false,
            recording: None,
            noun,
        }
    }

    /// Dials the conference of this name with every default.
    pub fn conference(name: impl Into<String>) -> Self {
        Self::to(Noun::Conference(Box::new(Conference::named(name))))
    }
}

pub(crate) fn read(node: Node<'_, '_>, reader: &mut Reader) -> Verb {
    reader.known(node, ATTRIBUTES);
    let noun = match noun(node, reader) {
        Ok(noun) => noun,
        Err(name) => return Verb::NotBuilt { name: format!("Dial><{name}") },
    };
    Verb::Dial(Box::new(Dial {
        action: reader.reference(node, "action"),
        method: reader.method(node, "method", 13210, "POST"),
        timeout: reader.attribute(node, "timeout", 13212, TIMEOUT, |text| {
            let seconds = text.parse::<u64>().ok();
            seconds.filter(|s| (1..=TIMEOUT_MAX_S).contains(s)).map(Duration::from_secs)
        }),
        time_limit: reader.attribute(node, "timeLimit", 13216, None, |text| {
            let seconds = text.parse::<u64>().ok().filter(|seconds| *seconds > 0)?;
            Some(Some(Duration::from_secs(seconds.min(TIME_LIMIT_MAX_S))))
        }),
        hangup_on_star: reader.boolean(node, "hangupOnStar", 13213, false),
        caller_id: reader.reference(node, "callerId"),
        answer_on_bridge: reader.boolean(node, "answerOnBridge", 13219, false),
        ring_tone: reader.attribute(node, "ringTone", 13220, None, |country| {
            RING_TONES.contains(&country).then(|| Some(country.to_owned()))
        }),
        sequential: reader.boolean(node, "sequential", 13218, false),
        recording: recording::read_dial(node, reader),
        noun,
    }))
}

/// Reads what is dialled; the name of what is not built, where nothing else is there.
fn noun<'a>(node: Node<'a, '_>, reader: &mut Reader) -> Result<Noun, &'a str> {
    let nouns: Vec<_> = node.children().filter(Node::is_element).collect();
    let find = |name: &str| nouns.iter().find(|noun| noun.tag_name().name() == name);
    if let Some(conference) = find("Conference") {
        if nouns.len() > 1 {
            reader.warn(13000, node, "a <Conference> is dialled alone; other nouns are ignored");
        }
        return Ok(Noun::Conference(Box::new(conference::read(*conference, reader))));
    }
    if let Some(queue) = find("Queue") {
        if nouns.len() > 1 {
            reader.warn(13215, node, "a <Queue> is dialled alone; other nouns are ignored");
        }
        reader.known(*queue, &["url", "method", "reservationSid", "postWorkActivitySid"]);
        return Ok(Noun::Queue(Queue {
            name: text(*queue),
            url: reader.reference(*queue, "url"),
            method: reader.method(*queue, "method", 14210, "POST"),
        }));
    }
    let mut callees = Vec::new();
    let mut not_built = None;
    for noun in &nouns {
        let name = noun.tag_name().name();
        match name {
            "Number" => callees.extend(callee(*noun, CalleeKind::Number, reader)),
            "Sip" => callees.extend(callee(*noun, CalleeKind::Sip, reader)),
            "Client" => callees.extend(callee(*noun, CalleeKind::Client, reader)),
            "Application" => callees.extend(callee(*noun, CalleeKind::Application, reader)),
            name if NOT_BUILT.contains(&name) => not_built = Some(name),
            name => reader.warn(13215, *noun, format!("<Dial> holds no <{name}>")),
        }
    }
    if nouns.is_empty() {
        let plain = |number| Callee::at(CalleeKind::Number, number);
        callees.extend(number(&text(node)).map(plain));
    }
    if callees.len() > CALLEES_MAX {
        reader.warn(13250, node, format!("<Dial> rings {CALLEES_MAX} phones at most"));
        callees.truncate(CALLEES_MAX);
    }
    match not_built {
        Some(name) if callees.is_empty() => Err(name),
        _ => Ok(Noun::Callees(callees)),
    }
}

impl Callee {
    /// A phone with every default.
    pub fn at(kind: CalleeKind, address: String) -> Self {
        Self {
            kind,
            address,
            parameters: Vec::new(),
            send_digits: None,
            url: None,
            method: "POST".to_owned(),
            status_callback: None,
            status_callback_method: "POST".to_owned(),
            status_callback_events: Vec::new(),
            credentials: None,
            machine: None,
            amd_callback: None,
            amd_callback_method: "POST".to_owned(),
        }
    }
}

fn callee(node: Node<'_, '_>, kind: CalleeKind, reader: &mut Reader) -> Option<Callee> {
    reader.known(node, OF_CALLEE);
    let address = match kind {
        CalleeKind::Number => number(&text(node)),
        CalleeKind::Sip => Some(text(node)).filter(|uri| is_sip(uri)),
        CalleeKind::Client => named(node, "Identity").map(|name| format!("client:{name}")),
        CalleeKind::Application => named(node, "ApplicationSid").map(|sid| format!("app:{sid}")),
    };
    let (invalid, method, digits) = match kind {
        CalleeKind::Number => (13223, 13221, 13222),
        CalleeKind::Sip => (13243, 13241, 13242),
        CalleeKind::Client | CalleeKind::Application => (13215, 12200, 12200),
    };
    let Some(address) = address else {
        reader.warn(invalid, node, "this is nobody's address");
        return None;
    };
    let takes_parameters = matches!(kind, CalleeKind::Client | CalleeKind::Application);
    let name = reader.reference(node, "username");
    let password = node.attribute("password").map(str::to_owned);
    Some(Callee {
        parameters: if takes_parameters { parameters(node, reader) } else { Vec::new() },
        send_digits: reader.keys(node, "sendDigits", digits).filter(|keys| !keys.is_empty()),
        url: reader.reference(node, "url"),
        method: reader.method(node, "method", method, "POST"),
        status_callback: reader.reference(node, "statusCallback"),
        status_callback_method: reader.method(node, "statusCallbackMethod", 12200, "POST"),
        status_callback_events: events(node, reader),
        credentials: name.map(|name| (name, password.unwrap_or_default())),
        machine: machine::read(node, reader),
        amd_callback: reader.reference(node, "amdStatusCallback"),
        amd_callback_method: reader.method(node, "amdStatusCallbackMethod", 12200, "POST"),
        ..Callee::at(kind, address)
    })
}

/// Returns a name that stands in an element of its own beside parameters, or alone.
fn named(node: Node<'_, '_>, element: &str) -> Option<String> {
    let inner = node.children().find(|child| child.tag_name().name() == element);
    Some(text(inner.unwrap_or(node))).filter(|name| !name.is_empty())
}

/// Reads what goes along.
fn parameters(node: Node<'_, '_>, reader: &mut Reader) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    for child in node.children().filter(|child| child.tag_name().name() == "Parameter") {
        reader.known(child, &["name", "value"]);
        match (child.attribute("name"), child.attribute("value")) {
            (Some(name), Some(value)) if !name.is_empty() && parameters.len() < PARAMETERS_MAX => {
                parameters.push((name.to_owned(), value.to_owned()));
            }
            _ => reader.warn(12200, child, "this <Parameter> is none, or one too many"),
        }
    }
    parameters
}

fn events(node: Node<'_, '_>, reader: &mut Reader) -> Vec<String> {
    let words = node.attribute("statusCallbackEvent").unwrap_or_default();
    let mut events: Vec<String> = Vec::new();
    for word in words.split([' ', ',', '\t', '\n', '\r']).filter(|word| !word.is_empty()) {
        if !EVENTS.contains(&word) {
            reader.warn(12200, node, format!("statusCallbackEvent: no event {word}"));
        } else if !events.iter().any(|known| known == word) {
            events.push(word.to_owned());
        }
    }
    events
}

/// Takes away what groups the digits of a number; a name stays as it is.
fn number(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|c| !" -.()\u{a0}".contains(*c)).collect();
    let digits = plain.strip_prefix('+').unwrap_or(&plain);
    let is_number = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    Some(if is_number { plain } else { text.to_owned() }).filter(|text| !text.is_empty())
}

fn is_sip(uri: &str) -> bool {
    let scheme =
        |scheme: &str| uri.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme));
    let plain = !uri.chars().any(|c| c.is_whitespace() || c.is_control() || "<>\"".contains(c));
    plain && (scheme("sip:") || scheme("sips:")) && uri.contains('@')
}
