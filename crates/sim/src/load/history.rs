//! A store that has seen much: ended conferences and calls, as a busy account leaves them in a year.

use std::path::Path;
use std::time::Duration;

use model::{
    Account, AccountSid, AccountStatus, Call, CallSid, CallStatus, Change, Conference,
    ConferenceSid, ConferenceStatus, Direction, EndReason, Participant, ParticipantSid,
    ParticipantStatus, Timestamp,
};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use store::Store;

use crate::played::chance::Chance;

/// Most calls of a history.
pub const HISTORY_MAX: usize = 10_000_000;
/// Calls for each conference; one in four came to nothing and took no part.
pub const CALLS_EACH: usize = 10;
/// How long ago it began.
pub const SPAN: Duration = Duration::from_secs(365 * 86_400);
/// Longest conference.
const LENGTH_MAX: Duration = Duration::from_secs(3_600);
/// Numbers of the account's own.
const OWN: u64 = 20;
/// Numbers of others.
const OTHERS: u64 = 5_000;
/// Names of conferences that are held again and again; every fourth has a name of its own.
const NAMES: u64 = 200;
/// Conferences that are committed together.
const TOGETHER: usize = 200;

/// Writes so many calls, and a conference for each [`CALLS_EACH`] of them, into a new folder, spread over [`SPAN`]
/// before `now`. The same seed gives the same rows.
///
/// # Errors
/// One line, when the folder cannot be written.
pub fn write_history(folder: &Path, calls: usize, now: Timestamp, seed: u64) -> Result<(), String> {
    let store = Store::open_passing(folder).map_err(|error| error.to_string())?;
    let commit = |changes| {
        let committed = store.apply(changes).map_err(|error| error.to_string())?;
        let told = committed.blocking_recv().map_err(|error| error.to_string())?;
        told.map_err(|error| error.to_string())
    };
    let mut past = Past::new(seed, now);
    commit(vec![Change::Account(past.account.clone())])?;
    let conferences = calls.div_ceil(CALLS_EACH);
    let apart = (SPAN - 2 * LENGTH_MAX) / u32::try_from(conferences.max(1)).unwrap_or(u32::MAX);
    let begin = Timestamp(now.0 - i64::try_from(SPAN.as_millis()).unwrap_or(i64::MAX));
    for first in (0..conferences).step_by(TOGETHER) {
        let mut changes = Vec::new();
        for number in first..conferences.min(first + TOGETHER) {
            let held = begin.after(apart * u32::try_from(number).unwrap_or(u32::MAX));
            past.conference(number, calls.saturating_sub(number * CALLS_EACH), held, &mut changes);
        }
        commit(changes)?;
    }
    Ok(())
}

/// What a year brings.
struct Past {
    random: ChaCha12Rng,
    account: Account,
}

impl Past {
    fn new(seed: u64, now: Timestamp) -> Self {
        let mut random = ChaCha12Rng::seed_from_u64(seed);
        let sid = AccountSid::new(octets(&mut random));
        let token = octets(&mut random).iter().map(|octet| format!("{octet:02x}")).collect();
        let account = Account {
            sid,
            friendly_name: "History".to_owned(),
            owner: sid,
            status: AccountStatus::Active,
            auth_token: token,
            date_created: now,
            date_updated: now,
        };
        Self { random, account }
    }

    /// Adds a conference that was held then, and at most so many calls.
    fn conference(&mut self, number: usize, most: usize, held: Timestamp, to: &mut Vec<Change>) {
        let sid = ConferenceSid::new(octets(&mut self.random));
        let length = self.random.millis(30_000, LENGTH_MAX.as_secs() * 1_000);
        let record = Conference {
            sid,
            account: self.account.sid,
            friendly_name: match number % 4 {
                0 => format!("room {number}"),
                _ => format!("standup {}", self.random.below(NAMES)),
            },
            status: ConferenceStatus::Completed,
            region: "us1".to_owned(),
            date_created: held,
            date_updated: held.after(length),
            end_reason: Some(EndReason::LastLeft),
            call_ending: None,
        };
        to.push(Change::Conference { record: Box::new(record), state: String::new() });
        let mut first = None;
        for place in 0..CALLS_EACH.min(most) {
            let made = held.after(Duration::from_secs(5) * u32::try_from(place).unwrap_or(0));
            let call = self.call(place, first, made, held.after(length));
            first = first.or(Some(call.sid));
            if call.status == CallStatus::Completed {
                to.push(self.participant(sid, &call));
            }
            to.push(Change::Call { record: Box::new(call), state: String::new() });
        }
    }

    /// The first calls of a conference come in; the API dials others, and the first call's document some.
    fn call(
        &mut self,
        place: usize,
        first: Option<CallSid>,
        made: Timestamp,
        end: Timestamp,
    ) -> Call {
        const CAME_TO_NOTHING: [CallStatus; 4] =
            [CallStatus::NoAnswer, CallStatus::Busy, CallStatus::Failed, CallStatus::Canceled];
        let direction = match place {
            0..4 => Direction::Inbound,
            4..7 => Direction::OutboundApi,
            _ => Direction::OutboundDial,
        };
        let nothing = self.random.pick(&CAME_TO_NOTHING).filter(|_| self.random.one_in(4));
        let answered = made.after(self.random.millis(1_000, 15_000));
        let end = if nothing.is_some() { answered } else { end.max(answered) };
        let own = format!("+1555010{:04}", self.random.below(OWN));
        let other = format!("+1555{:07}", 1_000_000 + self.random.below(OTHERS));
        let (from, callee) =
            if direction == Direction::Inbound { (other, own) } else { (own, other) };
        Call {
            sid: CallSid::new(octets(&mut self.random)),
            account: self.account.sid,
            parent: first.filter(|_| direction == Direction::OutboundDial),
            to: callee,
            from,
            status: nothing.unwrap_or(CallStatus::Completed),
            direction,
            date_created: made,
            date_updated: end,
            start_time: Some(if nothing.is_some() { made } else { answered }),
            end_time: Some(end),
            answered_at: nothing.is_none().then_some(answered),
            caller_name: None,
            answered_by: None,
            queue_time_ms: 0,
        }
    }

    fn participant(&mut self, conference: ConferenceSid, call: &Call) -> Change {
        let record = Participant {
            sid: ParticipantSid::new(octets(&mut self.random)),
            account: self.account.sid,
            call: call.sid,
            conference,
            label: None,
            status: ParticipantStatus::Complete,
            muted: false,
            hold: false,
            coaching: false,
            call_to_coach: None,
            start_conference_on_enter: true,
            end_conference_on_exit: false,
            date_created: call.date_created,
            date_updated: call.date_updated,
        };
        Change::Participant { record: Box::new(record), state: String::new() }
    }
}

fn octets(random: &mut ChaCha12Rng) -> [u8; 16] {
    let mut octets = [0; 16];
    random.fill_bytes(&mut octets);
    octets
}

#[cfg(test)]
mod tests {
    use store::{CallFilter, ConferenceFilter, Place};

    use super::*;

    #[test]
    fn a_history_has_as_many_calls_as_asked_for_and_is_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let now = Timestamp::from_date(2026, 1, 1).expect("a date");
        write_history(folder.path(), 95, now, 7).expect("it is written");
        let store = Store::open(folder.path()).expect("it is a store");
        let account = store.first_account().expect("it is read").expect("there is one");
        let calls = store.calls(account.sid, &CallFilter::default(), 1_000, &Place::Skip(0));
        let calls = calls.expect("it is read").expect("there are some").records;
        assert_eq!(calls.len(), 95);
        assert!(calls.iter().all(|call| call.status.is_final() && call.end_time < Some(now)));
        assert!(calls.iter().any(|call| call.parent.is_some()));
        let filter = ConferenceFilter::default();
        let held = store.conferences(account.sid, &filter, 1_000, &Place::Skip(0));
        assert_eq!(held.expect("it is read").expect("there are some").records.len(), 10);
        assert!(store.alive().expect("it is read").calls.is_empty());
    }
}
