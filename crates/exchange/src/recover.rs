//! What a restart needs of each call, conference and participant, as JSON beside its row.

use std::time::Instant;

use model::Now;
use serde::{Deserialize, Serialize};

use crate::call::{Call, Origin};
use crate::conference::Conference;
use crate::program::Position;
use crate::{ConferenceCallback, Document, StatusCallback};

/// Dates of deadlines: the monotonic clock does not outlive a process.
fn date(at: Option<Instant>, now: Now) -> Option<i64> {
    at.map(|at| now.wall.after(at.saturating_duration_since(now.instant)).0)
}

#[derive(Debug, Serialize, Deserialize)]
struct CallState {
    status_callback: StatusCallback,
    sequence: u32,
    fallback: Option<Document>,
    headers: Vec<(String, String)>,
    program: Option<Position>,
    conference: Option<String>,
    by_dial: bool,
    rings_until_ms: Option<i64>,
    ends_at_ms: Option<i64>,
    leaves_at_ms: Option<i64>,
}

pub(crate) fn call_state(call: &Call, now: Now) -> String {
    let state = CallState {
        status_callback: call.status_callback.clone(),
        sequence: call.sequence,
        fallback: call.fallback.clone(),
        headers: call.headers.clone(),
        program: call.program.as_ref().map(crate::program::Program::position),
        conference: call.joined.as_ref().map(|(sid, _)| sid.to_string()),
        by_dial: matches!(call.joined, Some((_, Origin::Dial(_)))),
        rings_until_ms: date(call.rings_until, now),
        ends_at_ms: date(call.ends_at, now),
        leaves_at_ms: date(call.leaves_at, now),
    };
    json(&state)
}

#[derive(Debug, Serialize, Deserialize)]
struct ConferenceState {
    callback: ConferenceCallback,
    sequence: u32,
    max_participants: u32,
    arrivals: u64,
    announcements: Vec<Document>,
}

pub(crate) fn conference_state(conference: &Conference) -> String {
    let waiting = conference.announcements.waiting.iter();
    let current = conference.announcements.current.iter().map(|(document, _)| document);
    let state = ConferenceState {
        callback: conference.callback.clone(),
        sequence: conference.sequence,
        max_participants: conference.max_participants,
        arrivals: conference.arrivals,
        announcements: current.chain(waiting).cloned().collect(),
    };
    json(&state)
}

pub(crate) fn participant_state(participant: &crate::participants::Participant) -> String {
    json(&participant.state())
}

fn json(state: &impl Serialize) -> String {
    serde_json::to_string(state).expect("strings, numbers and lists can be written as JSON")
}
