//! Which requests are measured: those of a program that has conferences going on, and lists over a long history.

use std::time::SystemTime;

use model::Timestamp;
use serde_json::Value;
use sim::load::HISTORY_SPAN;

use super::requests::Sort;
use super::rest::{Found, Rest, text};

/// Values that a filter is asked for in turn.
const SAMPLES: usize = 100;
/// Participants of a mock, which knows none.
const MADE_UP: usize = 100;

/// Returns fetch, list and update of what goes on.
pub fn of_conferences(account: &str, participants: &[Found]) -> Vec<Sort> {
    let paths: Vec<String> =
        participants.iter().map(|one| format!("{account}{}", one.path())).collect();
    let lists = participants
        .iter()
        .map(|one| format!("{account}/Conferences/{}/Participants.json", one.conference))
        .collect();
    let going_on = format!("{account}/Conferences.json?Status=in-progress");
    vec![
        Sort::fetch("fetch a participant", paths.clone()),
        Sort::fetch("list a conference's participants", lists),
        Sort::fetch("list conferences, Status=in-progress", vec![going_on]),
        Sort { name: "update a participant", paths, bodies: &["Muted=true", "Muted=false"] },
    ]
}

/// Returns the account and the participants that a mock is asked for.
pub fn made_up() -> (String, Vec<Found>) {
    let sid = |kind: &str, number: usize| format!("{kind}{number:032x}");
    let participants = (0..MADE_UP).map(|number| Found {
        leg: number,
        conference: sid("CF", number / 2),
        call: sid("CA", number),
    });
    (sid("AC", 1), participants.collect())
}

/// Returns lists and filters over a history, with values that stand in it.
///
/// # Errors
/// One line, when the server does not answer, or has none.
pub async fn of_history(rest: &Rest) -> Result<Vec<Sort>, String> {
    let account = rest.account_path();
    let old_days: Vec<String> = (10..40).map(day).collect();
    let middle = day(180);
    let sample = |list: &'static str, filter: &'static str, name: &'static str| {
        let path = format!("{account}/{list}.json?{filter}%3C={middle}&PageSize={SAMPLES}");
        async move {
            let page = rest.get(&path).await?;
            let records: Vec<Value> = page[name].as_array().cloned().unwrap_or_default();
            if records.is_empty() { Err("there is no history".to_owned()) } else { Ok(records) }
        }
    };
    let calls = sample("Calls", "StartTime", "calls").await?;
    let conferences = sample("Conferences", "DateCreated", "conferences").await?;
    let each = |list: &str, records: &[Value], query: &dyn Fn(&Value) -> String| -> Vec<String> {
        records.iter().map(|record| format!("{account}/{list}{}", query(record))).collect()
    };
    let of_calls = |query: &dyn Fn(&Value) -> String| each("Calls", &calls, query);
    let held = |query: &dyn Fn(&Value) -> String| each("Conferences", &conferences, query);
    let on_days = |list: &str, query: &str| -> Vec<String> {
        old_days.iter().map(|day| format!("{account}/{list}.json?{query}={day}")).collect()
    };
    let one = |path: String| vec![format!("{account}/{path}")];
    let (sid, yesterday) = (|record: &Value| text(record, "sid"), day(364));
    let number = |record: &Value, name: &str| text(record, name).replace('+', "%2B");
    Ok(vec![
        Sort::fetch("calls", one("Calls.json".to_owned())),
        Sort::fetch("calls, far in", of_calls(&|it| format!(".json?PageToken=PA{}", sid(it)))),
        Sort::fetch("calls, 1,000 on a page", one("Calls.json?PageSize=1000".to_owned())),
        Sort::fetch("calls, Status=busy", one("Calls.json?Status=busy".to_owned())),
        Sort::fetch("calls, To", of_calls(&|it| format!(".json?To={}", number(it, "to")))),
        Sort::fetch("calls, From", of_calls(&|it| format!(".json?From={}", number(it, "from")))),
        Sort::fetch(
            "calls, From and To",
            of_calls(&|it| format!(".json?From={}&To={}", number(it, "from"), number(it, "to"))),
        ),
        Sort::fetch(
            "calls, From and Status=busy",
            of_calls(&|it| format!(".json?Status=busy&From={}", number(it, "from"))),
        ),
        Sort::fetch(
            "calls, ParentCallSid",
            of_calls(&|it| format!(".json?ParentCallSid={}", sid(it))),
        ),
        Sort::fetch("calls, StartTime on an old day", on_days("Calls", "StartTime")),
        Sort::fetch("calls, StartTime before an old day", on_days("Calls", "StartTime%3C")),
        Sort::fetch(
            "calls, StartTime since yesterday",
            one(format!("Calls.json?StartTime%3E={yesterday}")),
        ),
        Sort::fetch(
            "calls, EndTime on an old day, Status=completed",
            on_days("Calls", "Status=completed&EndTime"),
        ),
        Sort::fetch("a call", of_calls(&|it| format!("/{}.json", sid(it)))),
        Sort::fetch("conferences", one("Conferences.json".to_owned())),
        Sort::fetch("conferences, far in", held(&|it| format!(".json?PageToken=PA{}", sid(it)))),
        Sort::fetch(
            "conferences, Status=completed",
            one("Conferences.json?Status=completed".to_owned()),
        ),
        Sort::fetch(
            "conferences, FriendlyName",
            held(&|it| {
                format!(".json?FriendlyName={}", text(it, "friendly_name").replace(' ', "+"))
            }),
        ),
        Sort::fetch(
            "conferences, FriendlyName and Status=in-progress",
            held(&|it| {
                let name = text(it, "friendly_name").replace(' ', "+");
                format!(".json?Status=in-progress&FriendlyName={name}")
            }),
        ),
        Sort::fetch(
            "conferences, DateCreated on an old day",
            on_days("Conferences", "DateCreated"),
        ),
        Sort::fetch(
            "conferences, DateCreated before an old day",
            on_days("Conferences", "DateCreated%3C"),
        ),
        Sort::fetch(
            "conferences, DateUpdated since yesterday",
            one(format!("Conferences.json?DateUpdated%3E={yesterday}")),
        ),
        Sort::fetch("a conference", held(&|it| format!("/{}.json", sid(it)))),
    ])
}

/// Returns the date of so many days after a history began.
fn day(number: u64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let begin = now.saturating_sub(HISTORY_SPAN);
    let day = begin + std::time::Duration::from_secs(number * 86_400);
    let date = Timestamp::default().after(day).iso8601().to_string();
    date.split('T').next().unwrap_or_default().to_owned()
}
