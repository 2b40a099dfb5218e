//! What a restart needs of each call, conference and participant, as JSON beside its row; and what
//! it does with those that were alive.

use std::collections::BTreeMap;
use std::time::Instant;

use model::{CallSid, ConferenceSid, EndReason, Now};
use serde::{Deserialize, Serialize};

use crate::call::{Call, Origin};
use crate::conference::{Announcements, Conference};
use crate::context::Context;
use crate::participants::Participant;
use crate::program::Position;
use crate::{ConferenceCallback, Document, Effect, Exchange, Gone, StatusCallback};

/// The rows of all that was alive when the server last ended: each record with its state.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Alive {
    /// Calls that are not over.
    pub calls: Vec<(model::Call, String)>,
    /// Conferences that are not completed.
    pub conferences: Vec<(model::Conference, String)>,
    /// Participants who have not left.
    pub participants: Vec<(model::Participant, String)>,
}

/// A row's state cannot be read: it was not written by this program.
#[derive(Debug, thiserror::Error)]
#[error("the state of {of} cannot be read: {error}")]
pub struct Unreadable {
    of: String,
    error: serde_json::Error,
}

impl Exchange {
    /// Rebuilds calls, conferences and participants from their rows. Their sound and their TwiML do
    /// not go on: [`Self::lose_all`] ends them truthfully.
    ///
    /// # Errors
    /// [`Unreadable`] names the first row that is not ours.
    pub fn restore(&mut self, alive: Alive) -> Result<(), Unreadable> {
        let world = &mut self.world;
        for (record, state) in alive.conferences {
            let state: ConferenceState = read(&record.sid, &state)?;
            world.names.insert((record.account, record.friendly_name.clone()), record.sid);
            let conference = Conference {
                members: BTreeMap::new(),
                labels: BTreeMap::new(),
                max_participants: state.max_participants,
                callback: state.callback,
                sequence: state.sequence,
                arrivals: state.arrivals,
                announcements: Announcements::default(),
                record,
            };
            world.conferences.insert(conference.record.sid, conference);
        }
        for (record, state) in alive.calls {
            let state: CallState = read(&record.sid, &state)?;
            let conference = state.conference.and_then(|sid| sid.parse::<ConferenceSid>().ok());
            let mut call = Call::new(record, None);
            call.status_callback = state.status_callback;
            call.sequence = state.sequence;
            call.headers = state.headers;
            call.joined = conference.map(|sid| (sid, Origin::Api));
            world.calls.insert(call.record.sid, call);
        }
        for (record, state) in alive.participants {
            let state = read(&record.sid, &state)?;
            let Some(conference) = world.conferences.get_mut(&record.conference) else { continue };
            if let Some(label) = &record.label {
                conference.labels.insert(label.clone(), record.call);
            }
            conference.members.insert(record.call, Participant::restored(record, state));
        }
        Ok(())
    }

    /// Ends all calls and conferences: their sound went with the last process. Callbacks tell of it.
    pub fn lose_all(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let ctx = &mut Context { now, names: &mut self.names, effects, told: Vec::new() };
        let calls: Vec<CallSid> = self.world.calls.keys().copied().collect();
        for call in calls {
            self.world.gone(call, Gone::Lost, ctx);
            self.world.flush(ctx);
        }
        let empty: Vec<ConferenceSid> = self.world.conferences.keys().copied().collect();
        for conference in empty {
            self.world.end_conference(conference, EndReason::LastLeft, None, ctx);
            self.world.flush(ctx);
        }
    }
}

fn read<T: for<'a> Deserialize<'a>>(of: &impl ToString, state: &str) -> Result<T, Unreadable> {
    serde_json::from_str(state).map_err(|error| Unreadable { of: of.to_string(), error })
}

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
