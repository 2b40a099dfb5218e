//! The Recording resource: of the account, below a conference and below a call.

use axum::http::{Method, StatusCode};
use model::{CallSid, ConferenceSid, Recording, RecordingSid, RecordingStatus, RecordingTrack};
use node::{
    Command, PauseBehavior, Recorded, RecordingCallback, RecordingChange, RecordingFilter,
    RecordingKey, RecordingOptions, Refusal, Reply,
};
use serde_json::{Value, json};

use crate::dates::{self, Precision};
use crate::error::ApiError;
use crate::form::Form;
use crate::paging::{Asked, List, ordered};
use crate::{Answer, Request};

/// What a recording's status callback may ask for.
const RECORDING_EVENTS: [&str; 8] =
    ["started", "in-progress", "paused", "resumed", "stopped", "completed", "failed", "absent"];
/// The same, of a conference's recording.
const CONFERENCE_RECORDING_EVENTS: [&str; 4] = ["in-progress", "completed", "failed", "absent"];
/// What becomes of silence at both ends of a recording.
const TRIM: [&str; 2] = ["trim-silence", "do-not-trim"];

const LIST: List = List {
    name: "recordings",
    envelope: [
        "end",
        "first_page_uri",
        "next_page_uri",
        "page",
        "page_size",
        "previous_page_uri",
        "recordings",
        "start",
        "uri",
    ],
};
/// What a recording's members begin with everywhere; Twilio's order of the others differs.
const FIRST: [&str; 12] = [
    "account_sid",
    "api_version",
    "call_sid",
    "conference_sid",
    "channels",
    "date_created",
    "date_updated",
    "start_time",
    "price",
    "price_unit",
    "duration",
    "sid",
];
const OF_ACCOUNT: [&str; 7] = [
    "source",
    "status",
    "error_code",
    "uri",
    "subresource_uris",
    "encryption_details",
    "media_url",
];
const OF_CONFERENCE: [&str; 5] = ["source", "status", "error_code", "encryption_details", "uri"];
const OF_CALL: [&str; 6] = ["source", "status", "error_code", "encryption_details", "track", "uri"];
const OF_CALL_FETCHED: [&str; 6] =
    ["encryption_details", "source", "status", "error_code", "track", "uri"];
const OF_CALL_LISTED: [&str; 6] =
    ["encryption_details", "source", "status", "track", "error_code", "uri"];

/// Twilio's name of the recording that runs.
const CURRENT: &str = "Twilio.CURRENT";

/// Below what a recording is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    Account,
    Conference,
    Call,
}

/// The same, with the SID of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Account,
    Conference(ConferenceSid),
    Call(CallSid),
}

impl Scope {
    fn of(request: &Request, below: Below) -> Result<Self, ApiError> {
        let not_found = |_| ApiError::not_found();
        Ok(match below {
            Below::Account => Self::Account,
            Below::Conference => Self::Conference(request.variables[0].parse().map_err(not_found)?),
            Below::Call => Self::Call(request.variables[0].parse().map_err(not_found)?),
        })
    }

    fn holds(self, record: &Recording) -> bool {
        match self {
            Self::Account => true,
            Self::Conference(conference) => record.conference == Some(conference),
            Self::Call(call) => record.call == call && record.conference.is_none(),
        }
    }

    fn path(self, request: &Request) -> String {
        let base = format!("/2010-04-01/Accounts/{}", request.account);
        match self {
            Self::Account => format!("{base}/Recordings"),
            Self::Conference(conference) => format!("{base}/Conferences/{conference}/Recordings"),
            Self::Call(call) => format!("{base}/Calls/{call}/Recordings"),
        }
    }
}

/// `GET .../Recordings.json`, and `POST` below a call.
pub async fn all(request: Request, below: Below) -> Answer {
    let scope = Scope::of(&request, below)?;
    if let (&Method::POST, Scope::Call(call)) = (&request.method, scope) {
        return create(&request, call).await;
    }
    let (form, account) = (&request.form, request.account);
    let mut filter = RecordingFilter {
        date_created: dates::read(form, "DateCreated", Precision::Moment)?,
        ..RecordingFilter::default()
    };
    match scope {
        Scope::Account => {
            filter.call = form.parsed("CallSid")?;
            filter.conference = form.parsed("ConferenceSid")?;
            filter.deleted = form.flag("IncludeSoftDeleted")?.unwrap_or(false);
        }
        Scope::Conference(conference) => filter.conference = Some(conference),
        Scope::Call(call) => (filter.call, filter.calls_only) = (Some(call), true),
    }
    let asked = Asked::read(form)?;
    let (size, place) = (asked.size, asked.place.clone());
    let (known, page) = request
        .ask(move |node| {
            let store = node.store();
            let known = match scope {
                Scope::Account => true,
                Scope::Conference(conference) => store.conference(account, conference)?.is_some(),
                Scope::Call(call) => store.call(account, call)?.is_some(),
            };
            Ok((known, store.recordings(account, &filter, size, &place)?))
        })
        .await?;
    if !known {
        return Err(ApiError::not_found());
    }
    let order = if below == Below::Call { &OF_CALL_LISTED[..] } else { order(below) };
    let path = scope.path(&request);
    let sid = |record: &Recording| record.sid.to_string();
    let view = |record: &Recording| view(record, &path, order, &request);
    let list = format!("{path}.json");
    Ok((StatusCode::OK, asked.render(&LIST, form, &list, page, sid, view)?))
}

async fn create(request: &Request, call: CallSid) -> Answer {
    let options = leg_options(&request.form, false)?;
    let command = Command::CreateRecording { account: request.account, call, options };
    let record = recording(request.node.submit(command).await?)?;
    let path = Scope::Call(call).path(request);
    Ok((StatusCode::CREATED, view(&record, &path, &OF_CALL, request)))
}

/// `GET`, `POST` and `DELETE .../Recordings/{Sid}.json`
pub async fn one(request: Request, below: Below) -> Answer {
    let scope = Scope::of(&request, below)?;
    let name = request.variables.last().map_or("", String::as_str);
    let of = match scope {
        Scope::Account => None,
        Scope::Conference(conference) => Some(Recorded::Conference(conference)),
        Scope::Call(call) => Some(Recorded::Call(call)),
    };
    if let (&Method::POST, Some(of), CURRENT) = (&request.method, of, name) {
        return update(&request, scope, below, of, RecordingKey::Current).await;
    }
    let (account, sid) = (request.account, name.parse::<RecordingSid>());
    let sid = sid.map_err(|_| ApiError::not_found())?;
    let record = request.ask(move |node| node.store().recording(account, sid)).await?;
    let deleted = request.form.flag("IncludeSoftDeleted")?.unwrap_or(false);
    let shown = |record: &Recording| {
        scope.holds(record) && (deleted || record.status != RecordingStatus::Deleted)
    };
    let record = record.filter(shown).ok_or_else(ApiError::not_found)?;
    match (&request.method, of) {
        (&Method::POST, Some(of)) => {
            update(&request, scope, below, of, RecordingKey::Sid(sid)).await
        }
        (&Method::DELETE, _) => {
            if !record.status.is_final() {
                return Err(Refusal::RecordingNotFinished.into());
            }
            request.node.submit(Command::DeleteRecording(sid)).await?;
            tracing::info!(recording.sid = %sid, request.id = %request.id, "recording deleted");
            Ok((StatusCode::NO_CONTENT, Value::Null))
        }
        _ => {
            let order = if below == Below::Call { &OF_CALL_FETCHED[..] } else { order(below) };
            Ok((StatusCode::OK, view(&record, &scope.path(&request), order, &request)))
        }
    }
}

async fn update(
    request: &Request,
    scope: Scope,
    below: Below,
    of: Recorded,
    recording_key: RecordingKey,
) -> Answer {
    let form = &request.form;
    let status = form.word("Status", &["paused", "in-progress", "stopped"])?;
    let pause = match form.word("PauseBehavior", &["skip", "silence"])? {
        Some("skip") => PauseBehavior::Skip,
        _ => PauseBehavior::Silence,
    };
    let change = match status {
        Some("paused") => RecordingChange::Pause(pause),
        Some("in-progress") => RecordingChange::Resume,
        Some(_) => RecordingChange::Stop,
        None => return Err(ApiError::invalid("Status", "it is required")),
    };
    let account = request.account;
    let command = Command::UpdateRecording { account, of, recording: recording_key, change };
    let record = recording(request.node.submit(command).await?)?;
    tracing::info!(
        recording.sid = %record.sid, request.id = %request.id, status = %record.status, "recording updated"
    );
    Ok((StatusCode::OK, view(&record, &scope.path(request), order(below), request)))
}

fn recording(reply: Reply) -> Result<Box<Recording>, ApiError> {
    match reply {
        Reply::Recording(record) => Ok(record),
        _ => Err(ApiError::not_found()),
    }
}

const fn order(below: Below) -> &'static [&'static str] {
    match below {
        Below::Account => &OF_ACCOUNT,
        Below::Conference => &OF_CONFERENCE,
        Below::Call => &OF_CALL,
    }
}

/// Returns what is shown of a recording among all of the account's.
pub fn of_account(record: &Recording, request: &Request) -> Value {
    view(record, &Scope::Account.path(request), &OF_ACCOUNT, request)
}

/// Returns a status that Twilio's description has: it knows no `failed`, which only callbacks tell. The error's
/// code says that something went wrong.
fn shown_status(record: &Recording) -> &'static str {
    let is_there = record.duration.is_some_and(|length| !length.is_zero());
    match record.status {
        RecordingStatus::Failed if is_there => RecordingStatus::Completed.as_str(),
        RecordingStatus::Failed => RecordingStatus::Absent.as_str(),
        status => status.as_str(),
    }
}

fn view(record: &Recording, path: &str, order: &[&str], request: &Request) -> Value {
    let Recording { account, sid, .. } = record;
    let base = format!("/2010-04-01/Accounts/{account}/Recordings/{sid}");
    let all = json!({
        "account_sid": account.to_string(),
        "api_version": "2010-04-01",
        "call_sid": record.call.to_string(),
        "conference_sid": record.conference.map(|sid| sid.to_string()),
        "channels": record.channels,
        "date_created": record.date_created.rfc2822().to_string(),
        "date_updated": record.date_updated.rfc2822().to_string(),
        "start_time": record.start_time.rfc2822().to_string(),
        "price": null,
        "price_unit": null,
        "duration": record.duration_seconds().map(|seconds| seconds.to_string()),
        "sid": sid.to_string(),
        "source": record.source.as_str(),
        "status": shown_status(record),
        "track": record.track.as_str(),
        "error_code": record.error_code,
        "encryption_details": null,
        "uri": format!("{path}/{sid}.json"),
        "subresource_uris": {
            "add_on_results": format!("{base}/AddOnResults.json"),
            "transcriptions": format!("{base}/Transcriptions.json"),
        },
        "media_url": format!("{}{base}", request.node.api_url()),
    });
    ordered(all, &[&FIRST[..], order].concat())
}

/// Reads how a call's leg is recorded; `trim` is the default of `Trim`.
///
/// # Errors
/// 400 naming the parameter whose value cannot be.
pub fn leg_options(form: &Form, trim: bool) -> Result<RecordingOptions, ApiError> {
    let track = form.word("RecordingTrack", &["inbound", "outbound", "both"])?;
    Ok(RecordingOptions {
        channels: match form.word("RecordingChannels", &["mono", "dual"])? {
            Some("dual") => 2,
            _ => 1,
        },
        track: track.and_then(|word| word.parse().ok()).unwrap_or(RecordingTrack::Both),
        trim: form.word("Trim", &TRIM)?.map_or(trim, |word| word == "trim-silence"),
        callback: callback(form, "RecordingStatusCallback", &RECORDING_EVENTS)?,
        tracks: false,
    })
}

/// Reads how the conference is recorded that a participant is dialled into.
///
/// # Errors
/// As above.
pub fn conference_options(form: &Form) -> Result<Option<RecordingOptions>, ApiError> {
    let words = ["true", "false", "record-from-start", "do-not-record"];
    let record = form.word("ConferenceRecord", &words)?;
    let prefix = "ConferenceRecordingStatusCallback";
    let tracks = form.word("SidetoneTracks", &["participants"])?.is_some();
    let trim = form.word("ConferenceTrim", &TRIM)?.is_none_or(|word| word == "trim-silence");
    let options = RecordingOptions {
        trim: trim && !tracks,
        tracks,
        callback: callback(form, prefix, &CONFERENCE_RECORDING_EVENTS)?,
        ..RecordingOptions::default()
    };
    Ok(matches!(record, Some("true" | "record-from-start")).then_some(options))
}

fn callback(form: &Form, name: &str, events: &[&str]) -> Result<RecordingCallback, ApiError> {
    Ok(RecordingCallback {
        url: form.url(name)?,
        method: form.method(&format!("{name}Method"), "POST")?,
        events: form.all(&format!("{name}Event"), events)?,
    })
}
