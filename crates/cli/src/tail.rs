//! `sidetone tail`: what happens at a running server, as it happens.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use crate::client::Flags;
use crate::output::{Output, plain, text};
use crate::times::seconds;

/// How long a request waits for something to happen, in seconds.
const WAIT_S: u64 = 10;
/// How long a server that went away is waited for before it is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// Resources whose last state is remembered; beyond, all are forgotten.
const KNOWN_MAX: usize = 10_000;
/// What is told of.
const KINDS: [&str; 7] =
    ["call", "moment", "callback", "message", "recording", "notification", "levels"];

/// Flags of `sidetone tail`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    flags: Flags,
    /// Shows these alone: call, moment (of a conference), callback, message, recording, notification, levels.
    #[arg(long, value_delimiter = ',', value_parser = KINDS)]
    only: Vec<String>,
    /// Shows, twice a second, how loud everyone is in each conference, and who becomes the dominant speaker.
    #[arg(long)]
    levels: bool,
    /// Begins with what happened lately, and not with what happens next.
    #[arg(long)]
    recent: bool,
    /// Ends after so long: `10s`; never unless told.
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    length: Option<u64>,
}

impl Arguments {
    /// Returns where it begins.
    fn first(&self) -> String {
        let wanted = [("After=0", self.recent), ("Levels=true", self.wants_levels())];
        let wanted = wanted.iter().filter_map(|(field, wanted)| wanted.then_some(*field));
        format!("/sidetone/v1/Events?{}", wanted.collect::<Vec<_>>().join("&"))
    }

    fn wants_levels(&self) -> bool {
        self.levels || self.only.iter().any(|kind| kind == "levels")
    }

    fn shows(&self, kind: &str) -> bool {
        match kind {
            "levels" | "dominant-speaker" => self.wants_levels(),
            kind => self.only.is_empty() || self.only.iter().any(|one| one == kind),
        }
    }
}

/// Follows until it is stopped.
///
/// # Errors
/// One line: that no server is found, or what it answered.
pub async fn run(arguments: Arguments) -> Result<(), String> {
    let (client, output) = arguments.flags.client()?;
    let until = arguments.length.map(|length| Instant::now() + Duration::from_secs(length));
    let mut next = arguments.first();
    let mut known = Known::default();
    let mut reached = false;
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(());
        }
        let wait = left.map_or(WAIT_S, |left| left.as_secs().min(WAIT_S));
        let wait = if reached { format!("&Wait={wait}") } else { String::new() };
        match client.ask(Method::GET, &format!("{next}{wait}"), &[]).await {
            Ok(page) => {
                reached = true;
                next = text(&page, "next_page_uri");
                for event in page["events"].as_array().into_iter().flatten() {
                    let kind = text(event, "type");
                    if arguments.shows(&kind) && known.is_new(&kind, &event["resource"]) {
                        show(output, &kind, event);
                    }
                }
            }
            Err(error) if !reached => return Err(error),
            // It may be on its way up again.
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

fn show(output: Output, kind: &str, event: &Value) {
    match output {
        Output::Json => println!("{event}"),
        Output::Text => {
            let date = text(event, "date");
            let time = date.get(11..23).unwrap_or(&date);
            println!("{}", plain(&format!("{time} {}", line(kind, &event["resource"]))));
        }
    }
}

/// The state in which each resource was shown last: rows are written oftener than that changes.
#[derive(Debug, Default)]
struct Known(BTreeMap<String, String>);

impl Known {
    fn is_new(&mut self, kind: &str, resource: &Value) -> bool {
        let state = match kind {
            "call" | "recording" => text(resource, "status"),
            "callback" => {
                // What is owed is shown when it is tried.
                if resource["attempts"] == 0 {
                    return false;
                }
                format!("{} {}", text(resource, "status"), resource["attempts"])
            }
            "message" => text(resource, "date_updated"),
            "conference" => return false,
            _ => return true,
        };
        if self.0.len() >= KNOWN_MAX {
            self.0.clear();
        }
        self.0.insert(text(resource, "sid"), state.clone()).as_ref() != Some(&state)
    }
}

/// Returns one event as a line.
fn line(kind: &str, resource: &Value) -> String {
    let of = |name: &str| text(resource, name);
    let words = match kind {
        "call" => vec![
            of("sid"),
            of("status"),
            of("direction"),
            format!("{} -> {}", of("from"), of("to")),
            resource["duration"].as_str().map(|s| format!("{s} s")).unwrap_or_default(),
        ],
        "moment" => {
            let who = [of("conference_sid"), of("event"), of("call_sid"), of("label")];
            who.into_iter().chain([set(resource), of("reason")]).collect()
        }
        "callback" => vec![
            of("sid"),
            of("status"),
            event_of(&resource["params"]),
            of("method"),
            of("url"),
            format!("tries={}", resource["attempts"]),
            of("last_error"),
        ],
        "levels" => levels(resource),
        "dominant-speaker" => vec![
            of("conference_sid"),
            format!("{} after {}", who(&resource["call_sid"]), who(&resource["previous"])),
        ],
        "message" => {
            vec![of("sid"), format!("{} -> {}", of("from"), of("to")), format!("{:?}", of("body"))]
        }
        "recording" => vec![
            of("sid"),
            of("status"),
            of("source"),
            resource["duration"].as_str().map(|s| format!("{s} s")).unwrap_or_default(),
        ],
        _ => vec![
            if of("log") == "0" { "error".to_owned() } else { "warning".to_owned() },
            of("error_code"),
            of("call_sid"),
            of("message_text"),
            of("request_url"),
        ],
    };
    let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let kind = match kind {
        "moment" => "conference",
        "dominant-speaker" => "dominant",
        kind => kind,
    };
    format!("{kind:12} {}", words.join("  "))
}

/// Returns how loud each is in a conference, the dominant speaker with a star.
fn levels(resource: &Value) -> Vec<String> {
    let level = |one: &Value| {
        let star = if one["call_sid"] == resource["dominant_speaker"] { "*" } else { "" };
        format!("{}{star} {} dB", text(one, "call_sid"), one["level_db"])
    };
    let all = resource["levels"].as_array().into_iter().flatten().map(level);
    std::iter::once(text(resource, "conference_sid")).chain(all).collect()
}

fn who(call: &Value) -> &str {
    call.as_str().unwrap_or("nobody")
}

/// Returns what a moment has set of how a participant is heard or hears.
fn set(moment: &Value) -> String {
    if let Some(gain) = moment["gain_db"].as_f64() {
        return format!("{gain} dB");
    }
    let mut switched = ["levelling", "noise_suppression"].iter();
    if let Some(on) = switched.find_map(|name| moment[*name].as_bool()) {
        return if on { "on" } else { "off" }.to_owned();
    }
    let few = |name: &str| match moment["sidebar"][name].as_array() {
        None => "everyone".to_owned(),
        Some(few) if few.is_empty() => "nobody".to_owned(),
        Some(few) => few.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
    };
    if moment["sidebar"].is_null() {
        return String::new();
    }
    format!("hears {}, heard by {}", few("hears_only"), few("heard_only_by"))
}

/// Returns what a callback or a request tells of.
pub fn event_of(params: &Value) -> String {
    let names = ["StatusCallbackEvent", "RecordingStatus", "CallStatus", "Digits"];
    let event = names.iter().find_map(|name| params[*name].as_str());
    event.unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_call_is_shown_once_in_each_state() {
        let mut known = Known::default();
        let call = |status: &str| json!({ "sid": "CA1", "status": status });
        for (status, shown) in [("queued", true), ("queued", false), ("ringing", true)] {
            assert_eq!(known.is_new("call", &call(status)), shown, "{status}");
        }
        let callback = |attempts: u32| json!({ "sid": "CB1", "status": "x", "attempts": attempts });
        assert!(!known.is_new("callback", &callback(0)));
        assert!(known.is_new("callback", &callback(1)));
        assert!(!known.is_new("callback", &callback(1)));
    }

    #[test]
    fn a_message_is_a_line_with_its_text() {
        let message = json!({ "sid": "SM1", "from": "+1", "to": "+2", "body": "Hi\nyou" });
        assert_eq!(line("message", &message), "message      SM1  +1 -> +2  \"Hi\\nyou\"");
    }

    #[test]
    fn levels_are_a_line_for_each_conference_with_a_star_for_the_dominant_speaker() {
        let level = |call: &str, db: i32| json!({ "call_sid": call, "level_db": db, "mos": null });
        let levels = json!({
            "conference_sid": "CF1",
            "dominant_speaker": "CA2",
            "levels": [level("CA1", -127), level("CA2", -24)],
        });
        assert_eq!(line("levels", &levels), "levels       CF1  CA1 -127 dB  CA2* -24 dB");
        let change = json!({ "conference_sid": "CF1", "call_sid": "CA2", "previous": null });
        assert_eq!(line("dominant-speaker", &change), "dominant     CF1  CA2 after nobody");
    }

    #[test]
    fn a_moment_is_a_line_with_what_was_set() {
        let lists = |hears: Value, heard_by: Value| json!({ "hears_only": hears, "heard_only_by": heard_by });
        for (event, name, set, expected) in [
            ("mute", "gain_db", Value::Null, "mute  CA1"),
            ("gain", "gain_db", json!(-6.5), "gain  CA1  -6.5 dB"),
            ("gain", "gain_db", json!(0.0), "gain  CA1  0 dB"),
            ("levelling", "levelling", json!(true), "levelling  CA1  on"),
            ("noise", "noise_suppression", json!(false), "noise  CA1  off"),
            (
                "sidebar",
                "sidebar",
                lists(json!(["CA2", "CA3"]), Value::Null),
                "sidebar  CA1  hears CA2, CA3, heard by everyone",
            ),
            (
                "sidebar",
                "sidebar",
                lists(Value::Null, json!([])),
                "sidebar  CA1  hears everyone, heard by nobody",
            ),
        ] {
            let mut moment = json!({ "conference_sid": "CF1", "event": event, "call_sid": "CA1" });
            moment[name] = set;
            assert_eq!(line("moment", &moment), format!("conference   CF1  {expected}"));
        }
    }
}
