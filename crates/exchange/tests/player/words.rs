//! What the words of a line mean, whoever plays it.

use std::time::Duration;

use exchange::*;

/// What a file holds that was closed as it should be.
pub fn closed(ms: u64, silent: bool) -> RecordingEnd {
    RecordingEnd { length: Duration::from_millis(ms), silent, failure: None }
}

/// Reads how a call is recorded; its receiver is `http://r/`, and hears of everything.
pub fn recording_options(fields: &[&str]) -> RecordingOptions {
    let events = ["started", "paused", "resumed", "stopped", "completed", "failed", "absent"];
    RecordingOptions {
        channels: if field(fields, "RecordingChannels") == Some("dual") { 2 } else { 1 },
        trim: field(fields, "Trim") == Some("trim-silence"),
        callback: RecordingCallback {
            url: Some("http://r/".to_owned()),
            method: "POST".to_owned(),
            events: events.map(str::to_owned).to_vec(),
        },
        ..RecordingOptions::default()
    }
}

/// Reads how it is found out who has answered; who is told is `http://m/`.
pub fn machine(fields: &[&str]) -> Option<MachineDetection> {
    let message_end = field(fields, "MachineDetection")? == "DetectMessageEnd";
    let url = "http://m/".to_owned();
    Some(MachineDetection {
        limits: model::MachineDetection { message_end, ..model::MachineDetection::default() },
        is_async: field(fields, "AsyncAmd") == Some("true"),
        callback: Some(Document { url, method: "POST".to_owned() }),
    })
}

pub fn failure(code: u32) -> Failure {
    Failure { code, message: "it failed".to_owned() }
}

pub fn field<'a>(fields: &[&'a str], name: &str) -> Option<&'a str> {
    fields.iter().find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
}

/// What stands behind `then=`, to the end of the line.
pub fn after(line: &str) -> &str {
    line.split_once(" then=").map_or("", |(_, twiml)| twiml)
}

/// Dials `sip:who@h`, or a number or `client:` address as it stands.
pub fn dialling(who: &str, fields: &[&str]) -> Dialling {
    let seconds = |name| field(fields, name).map(|text| Duration::from_secs(text.parse().unwrap()));
    let plain = who.starts_with('+') || who.contains(':');
    let to = if plain { who.to_owned() } else { format!("sip:{who}@h") };
    let events = field(fields, "StatusCallbackEvent");
    let status_callback = StatusCallback {
        url: events.map(|_| "http://p/".to_owned()),
        method: String::new(),
        events: events.into_iter().flat_map(|list| list.split('+')).map(str::to_owned).collect(),
    };
    Dialling {
        to,
        from: "us".to_owned(),
        timeout: seconds("Timeout"),
        time_limit: seconds("TimeLimit"),
        status_callback,
        recording: field(fields, "Record").map(|_| recording_options(fields)),
        machine: machine(fields),
        ..Dialling::default()
    }
}

/// Reads a request for a sidebar; `key` says who is meant by a name.
pub fn edges(fields: &[&str], key: impl Fn(&str) -> ParticipantKey) -> EdgeChanges {
    let few = |name| {
        let names = field(fields, name)?.split(',').filter(|who| !who.is_empty());
        Some(names.map(&key).collect())
    };
    let gain = field(fields, "Gain").map(|db| Gain::from_db(db.parse().unwrap()).unwrap());
    let flag = |name| field(fields, name).map(|value| value == "true");
    let cleaning = CleaningChanges {
        levelling: flag("Levelling"),
        noise_suppression: flag("NoiseSuppression"),
    };
    EdgeChanges { gain, cleaning, hears_only: few("HearsOnly"), heard_only_by: few("HeardOnlyBy") }
}
