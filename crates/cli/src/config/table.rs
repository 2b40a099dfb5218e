//! Every setting: its name, what it can be, its default, and whether a running server takes it anew.
//!
//! A setting has one name: `callbacks.delivery` in the file is `SIDETONE_CALLBACKS_DELIVERY` in the environment
//! and `--callbacks-delivery` as a flag.

use super::kind::{Kind, Value};

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// In the file; what stands before a dot is its section.
    pub name: &'static str,
    /// What it can be.
    pub kind: Kind,
    /// As the file would write it: empty where it is not set.
    pub default: Preset,
    /// Whether SIGHUP takes it anew; the others want a restart.
    pub reloads: bool,
    /// What it is for.
    pub says: &'static str,
}

/// A default.
#[derive(Debug, Clone, Copy)]
pub enum Preset {
    Text(&'static str),
    Flag(bool),
    Number(u64),
    List,
    Words(&'static [&'static str]),
}

impl Preset {
    pub fn value(self) -> Value {
        match self {
            Self::Text(text) => Value::Text(text.to_owned()),
            Self::Flag(flag) => Value::Flag(flag),
            Self::Number(number) => Value::Number(number),
            Self::List => Value::List(Vec::new()),
            Self::Words(words) => Value::List(words.iter().copied().map(str::to_owned).collect()),
        }
    }

    /// Whether an empty text is what it is before anyone sets it.
    pub fn is_unset(self) -> bool {
        matches!(self, Self::Text(""))
    }
}

impl Setting {
    /// Returns its name in the environment.
    pub fn variable(&self) -> String {
        format!("SIDETONE_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }

    /// Returns its name as a flag, without the dashes before it.
    pub fn flag(&self) -> String {
        self.name.replace(['.', '_'], "-")
    }
}

const fn setting(
    name: &'static str,
    kind: Kind,
    default: Preset,
    reloads: bool,
    says: &'static str,
) -> Setting {
    Setting { name, kind, default, reloads, says }
}

use Preset::{Flag, Number, Text};

const RESTARTS: bool = false;

/// The settings that stand alone or in a section.
#[rustfmt::skip]
pub static SETTINGS: &[Setting] = &[
    setting("data", Kind::Text, Text("sidetone-data"), RESTARTS,
        "Where the database and the recordings are kept"),
    setting("http", Kind::Address, Text("127.0.0.1:8080"), RESTARTS,
        "Where the API listens; port 0 is any free one"),
    setting("api_url", Kind::Url, Text(""), RESTARTS,
        "Where clients reach the API, for the addresses that callbacks name; unset: where it listens"),
    setting("sip", Kind::Address, Text("127.0.0.1:5060"), RESTARTS,
        "Where SIP listens"),
    setting("admin", Kind::Address, Text("127.0.0.1:9090"), RESTARTS,
        "Where health and metrics are served, to everyone who reaches it"),
    setting("rtp_ports", Kind::Ports, Text("20000-29999"), RESTARTS,
        "Ports for sound, two for each call"),
    setting("advertise", Kind::Ip, Text(""), RESTARTS,
        "The address that phones are told, where it is not the one that SIP listens on"),
    setting("sip_digest", Kind::Word(&["sha-256", "md5"]), Text("sha-256"), RESTARTS,
        "How phones prove who they are: md5 is for those that give up when they are offered SHA-256 as well"),
    setting("codecs", Kind::List, Preset::Words(&["opus", "g722", "pcmu", "pcma"]), RESTARTS,
        "The codecs that are spoken with phones, best first"),
    setting("srtp", Kind::Word(&["off", "optional", "mandatory"]), Text("optional"), RESTARTS,
        "Whether the sound of calls is encrypted: never, where the caller offers it, or always"),
    setting("media_threads", Kind::Number(0..=node::THREADS_MAX as u64), Number(0), RESTARTS,
        "Threads that mix; 0: one for each of media_cores, or for each core but one"),
    setting("media_cores", Kind::List, Preset::List, RESTARTS,
        "The cores that they are pinned to in turn, such as [\"2\", \"3\"]; none: they run on any"),
    setting("voice_url", Kind::Url, Text(""), RESTARTS,
        "Asked, by a signed POST, what to do with calls to what has no address of its own; unset: they are refused"),
    setting("account_sid", Kind::Text, Text(""), RESTARTS,
        "The account; unset: one is made on the first start"),
    setting("auth_token", Kind::Secret, Text(""), RESTARTS,
        "Its token, 32 to 128 letters and digits; unset: one is made on the first start"),
    setting("ready_file", Kind::Text, Text(""), RESTARTS,
        "Written, whole or not at all, when everything listens"),
    setting("drain_limit", Kind::Time, Text("5m"), true,
        "How long calls may go on after SIGTERM"),
    setting("open_recordings", Kind::Flag, Flag(false), RESTARTS,
        "Hands recordings to everyone who has their address, without credentials"),
    setting("dual_conference_recordings", Kind::Flag, Flag(false), RESTARTS,
        "Records conferences in two channels: the first who came on the left, everyone else on the right"),
    setting("twiml_bins", Kind::Text, Text(""), RESTARTS,
        "A folder of TwiML bins: its EH....xml is at https://handler.twilio.com/twiml/EH..."),
    setting("recogniser", Kind::Text, Text(""), RESTARTS,
        "Who recognises speech: an http address, or a command with its arguments"),
    setting("log", Kind::Text, Text("info"), true,
        "What is logged: error, warn, info, debug, or by part, such as warn,node=info"),
    setting("log_format", Kind::Word(&["text", "json"]), Text("text"), RESTARTS,
        "How it is written"),
    setting("tls.certificate_file", Kind::Text, Text(""), true,
        "The API's certificate with those above it, in PEM; unset: the API is served without TLS"),
    setting("tls.key_file", Kind::Text, Text(""), true,
        "Its key, in PEM"),
    setting("sip_tls.address", Kind::Address, Text(""), RESTARTS,
        "Where SIP over TLS listens; unset: it is not spoken"),
    setting("sip_tls.certificate_file", Kind::Text, Text(""), true,
        "Its certificate with those above it, in PEM"),
    setting("sip_tls.key_file", Kind::Text, Text(""), true,
        "Its key, in PEM"),
    setting("sip_tls.ca_file", Kind::Text, Text(""), RESTARTS,
        "Authorities, in PEM, that are believed beside the system's where SIP over TLS is spoken to others"),
    setting("users.srtp", Kind::Word(&["off", "optional", "mandatory"]), Text(""), RESTARTS,
        "Whether the sound of calls with phones that have registered is encrypted; unset: as everyone's"),
    setting("users.srtp_off", Kind::List, Preset::List, RESTARTS,
        "Users whose calls are in the clear, such as [\"alice\", \"bob@sip.you.example\"]: by the names under which they register"),
    setting("users.srtp_optional", Kind::List, Preset::List, RESTARTS,
        "Users whose calls are encrypted where they offer it"),
    setting("users.srtp_mandatory", Kind::List, Preset::List, RESTARTS,
        "Users whose calls are always encrypted"),
    setting("callbacks.delivery", Kind::Word(&["twilio", "until-delivered"]), Text("twilio"), RESTARTS,
        "When a callback that its receiver does not take is given up"),
    setting("guard.loopback", Kind::Flag, Flag(false), RESTARTS,
        "Lets documents, callbacks and SIP addresses be on this machine"),
    setting("guard.private", Kind::Flag, Flag(false), RESTARTS,
        "Lets them be in private networks"),
    setting("limits.api_concurrency", Kind::Number(1..=10_000), Number(100), true,
        "Requests of one account that are handled at the same time"),
    setting("limits.calls_per_second", Kind::Number(1..=1_000), Number(10), true,
        "Calls that the API begins within a second; the others are queued"),
    setting("limits.calls", Kind::Number(1..=10_000), Number(1_000), true,
        "Calls at the same time"),
    setting("limits.conferences", Kind::Number(1..=10_000), Number(500), true,
        "Conferences at the same time"),
    setting("retention.rows", Kind::Time, Text(""), true,
        "How long records are kept after their end; unset: for ever"),
    setting("retention.recordings", Kind::Time, Text(""), true,
        "How long recordings are kept; unset: for ever"),
    setting("retention.recordings_size", Kind::Size, Text(""), true,
        "How much all recordings may have together, of which the oldest go; unset: any size"),
    setting("retention.every", Kind::Time, Text("1m"), true,
        "How often that is seen to"),
];

/// What one entry of `[[numbers]]` says: numbers that accounts can have.
#[rustfmt::skip]
pub static NUMBERS: &[Setting] = &[
    setting("first", Kind::Text, Text(""), RESTARTS, "The first one, in E.164"),
    setting("count", Kind::Number(1..=100_000), Number(1), RESTARTS, "How many follow each other"),
    setting("type", Kind::Word(&["local", "mobile", "tollfree"]), Text("local"), RESTARTS, "Their kind"),
    setting("country", Kind::Text, Text("US"), RESTARTS, "Two letters"),
    setting("country_name", Kind::Text, Text(""), RESTARTS, "The country's name"),
    setting("locality", Kind::Text, Text(""), RESTARTS, "The town that they belong to"),
    setting("region", Kind::Text, Text(""), RESTARTS, "Its state or province"),
    setting("postal_code", Kind::Text, Text(""), RESTARTS, "A postal code of it"),
];

/// What one entry of `[[trunks]]` says: a way to the telephone network.
#[rustfmt::skip]
pub static TRUNKS: &[Setting] = &[
    setting("name", Kind::Text, Text(""), true, "What it is called in the log"),
    setting("uri", Kind::Text, Text(""), true, "Where calls go; unset: they only come"),
    setting("realm", Kind::Text, Text(""), true, "Who alone may ask for the password"),
    setting("username", Kind::Text, Text(""), true, "Who we are there"),
    setting("password", Kind::Secret, Text(""), true, "What proves it"),
    setting("register", Kind::Time, Text(""), true, "For how long we register there; unset: not at all"),
    setting("prefixes", Kind::List, Preset::List, true, "The beginnings of the numbers that it is asked for; none: all"),
    setting("allow", Kind::List, Preset::List, true, "The beginnings of the numbers that may be called; none: none"),
    setting("deny", Kind::List, Preset::List, true, "The beginnings of those that may not: the longer one decides"),
    setting("caller_ids", Kind::List, Preset::List, true,
        "The beginnings of numbers that may be shown, beside those of the account's own"),
    setting("caller_id", Kind::Text, Text(""), true, "What is shown where nothing else may be"),
    setting("verified_caller_ids", Kind::Flag, Flag(false), true,
        "Lets an account show what it has put into OutgoingCallerIds"),
    setting("plain_digits", Kind::Flag, Flag(false), true, "Sends numbers without +"),
    setting("calls_per_second", Kind::Number(1..=1_000), Number(1), true, "Calls that may begin within a second"),
    setting("calls", Kind::Number(1..=10_000), Number(10), true, "Calls at the same time"),
    setting("calls_per_day", Kind::Number(1..=10_000_000), Number(1_000), true, "Calls of a day, in UTC"),
    setting("probe_every", Kind::Time, Text("30s"), true, "How often it is asked whether it is there; 0s: never"),
    setting("networks", Kind::List, Preset::List, true, "From where its calls come without a proof"),
    setting("inbound_username", Kind::Text, Text(""), true, "Who its calls prove to be when they come from elsewhere"),
    setting("inbound_password", Kind::Secret, Text(""), true, "By what"),
    setting("srtp", Kind::Word(&["off", "optional", "mandatory"]), Text(""), true,
        "Whether the sound of its calls is encrypted; unset: as everyone's"),
];

/// The lists of entries, which the file alone can hold.
pub static LISTS: &[(&str, &[Setting])] = &[("numbers", NUMBERS), ("trunks", TRUNKS)];
