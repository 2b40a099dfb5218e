//! Lists over many rows: what they find, and how few rows they look at for it.

use model::{
    AccountSid, Call, CallSid, CallStatus, Change, Conference, ConferenceSid, ConferenceStatus,
    Direction, Participant, ParticipantSid, ParticipantStatus, Timestamp,
};
use rusqlite::StatementStatus;

use crate::query::List;
use crate::wanted::Where;
use crate::{CallFilter, ConferenceFilter, DateFilter, ParticipantFilter, Place, Store};

const ACCOUNT: AccountSid = AccountSid::new([1; 16]);
const CONFERENCE: ConferenceSid = ConferenceSid::new([2; 16]);
/// Rows of each table.
const ROWS: u32 = 6_000;
/// From each row to the next.
const APART_MS: i64 = 60_000;
/// Instructions of SQLite that a page may take. A page of 50 takes 2,000, a walk over all rows more than 40,000.
const STEPS_MAX: i32 = 12_000;

fn octets(number: u32) -> [u8; 16] {
    let mut octets = [0; 16];
    octets[..4].copy_from_slice(&number.to_be_bytes());
    octets
}

fn date(row: u32) -> Timestamp {
    Timestamp(i64::from(row) * APART_MS)
}

/// One in a hundred is alive, one in a thousand busy; each has a parent of its own, 50 share a callee, all a caller.
fn call(row: u32) -> Change {
    let status = match row {
        row if row % 1_000 == 7 => CallStatus::Busy,
        row if row.is_multiple_of(100) => CallStatus::InProgress,
        _ => CallStatus::Completed,
    };
    let record = Call {
        sid: CallSid::new(octets(row)),
        account: ACCOUNT,
        parent: (row > 1).then(|| CallSid::new(octets(row - 1))),
        to: format!("+1555{:07}", row / 50),
        from: "+15550100".to_owned(),
        status,
        direction: Direction::OutboundApi,
        date_created: date(row),
        date_updated: date(row),
        start_time: Some(date(row)),
        end_time: status.is_final().then(|| date(row + 2)),
        answered_at: Some(date(row)),
        caller_name: None,
        answered_by: None,
        queue_time_ms: 0,
    };
    let state = if status.is_final() { String::new() } else { "{}".to_owned() };
    Change::Call { record: Box::new(record), state }
}

fn conference(row: u32) -> Change {
    let is_over = !row.is_multiple_of(100);
    let record = Conference {
        sid: ConferenceSid::new(octets(row)),
        account: ACCOUNT,
        friendly_name: if row.is_multiple_of(3) {
            "daily".to_owned()
        } else {
            format!("room {row}")
        },
        status: if is_over { ConferenceStatus::Completed } else { ConferenceStatus::InProgress },
        region: "us1".to_owned(),
        date_created: date(row),
        date_updated: date(row + 1),
        end_reason: None,
        call_ending: None,
    };
    let state = if is_over { String::new() } else { "{}".to_owned() };
    Change::Conference { record: Box::new(record), state }
}

fn participant(row: u32) -> Change {
    let is_there = row <= 10;
    let record = Participant {
        sid: ParticipantSid::new(octets(row)),
        account: ACCOUNT,
        call: CallSid::new(octets(row)),
        conference: CONFERENCE,
        label: None,
        status: ParticipantStatus::Connected,
        muted: false,
        hold: false,
        coaching: false,
        call_to_coach: None,
        start_conference_on_enter: true,
        end_conference_on_exit: false,
        date_created: date(row),
        date_updated: date(row),
    };
    let state = if is_there { "{}".to_owned() } else { String::new() };
    Change::Participant { record: Box::new(record), state }
}

fn filled(folder: &tempfile::TempDir) -> Store {
    let store = Store::open_passing(folder.path()).unwrap();
    let rows = (1..=ROWS).flat_map(|row| [call(row), conference(row), participant(row)]);
    store.apply(rows.collect()).unwrap().blocking_recv().unwrap().unwrap();
    store
}

/// A filter by words, and what else is asked of its dates.
fn calls(to: Option<u32>, from: bool, status: Option<CallStatus>) -> CallFilter {
    CallFilter {
        to: to.map(|row| format!("+1555{:07}", row / 50)),
        from: from.then(|| "+15550100".to_owned()),
        status,
        ..CallFilter::default()
    }
}

fn within(from: Option<u32>, until: Option<u32>) -> DateFilter {
    DateFilter { from: from.map(date), until: until.map(date) }
}

#[test]
fn a_filter_looks_at_few_rows_beside_those_that_it_finds() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(&folder);
    let (busy, done) = (Some(CallStatus::Busy), Some(CallStatus::Completed));
    let alive = Some(CallStatus::InProgress);
    let parent = Some(CallSid::new(octets(40)));
    let old = within(None, Some(30));
    let young = within(Some(ROWS - 3), None);
    let between = within(Some(900), Some(905));
    for (filter, found) in [
        (CallFilter::default(), 51),
        (calls(Some(100), false, None), 50),
        (calls(None, true, None), 51),
        (calls(None, false, busy), 6),
        (calls(None, true, busy), 6),
        (calls(None, true, alive), 51),
        (calls(Some(100), true, None), 50),
        (calls(Some(100), false, done), 49),
        (calls(Some(100), true, alive), 1),
        (CallFilter { parent, ..calls(None, true, done) }, 1),
        (CallFilter { start_time: old, ..CallFilter::default() }, 29),
        (CallFilter { start_time: old, ..calls(None, true, done) }, 28),
        (CallFilter { start_time: young, ..CallFilter::default() }, 4),
        (CallFilter { start_time: between, ..calls(None, true, None) }, 5),
        (CallFilter { start_time: between, ..calls(None, false, done) }, 4),
        (CallFilter { end_time: old, ..calls(None, false, done) }, 26),
        (CallFilter { end_time: old, start_time: young, ..CallFilter::default() }, 0),
        (CallFilter { end_time: young, ..CallFilter::default() }, 5),
    ] {
        check(&store, "calls", "account", &ACCOUNT.to_string(), filter.wanted(), found);
    }
    let name = |name: &str| Some(name.to_owned());
    let (over, going) = (ConferenceStatus::Completed, ConferenceStatus::InProgress);
    let any = ConferenceFilter::default;
    for (filter, found) in [
        (any(), 51),
        (ConferenceFilter { friendly_name: name("room 7"), ..any() }, 1),
        (ConferenceFilter { status: Some(going), ..any() }, 51),
        (ConferenceFilter { friendly_name: name("room 7"), status: Some(over), ..any() }, 1),
        (ConferenceFilter { friendly_name: name("daily"), status: Some(going), ..any() }, 20),
        (ConferenceFilter { date_created: old, ..any() }, 29),
        (ConferenceFilter { date_created: between, status: Some(over), ..any() }, 4),
        (ConferenceFilter { date_updated: old, friendly_name: name("daily"), ..any() }, 9),
        (ConferenceFilter { date_updated: young, ..any() }, 5),
    ] {
        check(&store, "conferences", "account", &ACCOUNT.to_string(), filter.wanted(), found);
    }
    let wanted = ParticipantFilter::default().wanted();
    check(&store, "participants", "conference", &CONFERENCE.to_string(), wanted, 10);
}

/// Asks for a first page; also for one far in, which may not take longer.
#[track_caller]
fn check(store: &Store, table: &str, owner: &str, whose: &str, mut wanted: Where, found: usize) {
    let list = List { table, owner: (owner, whose.to_owned()), seq: "seq" };
    wanted.and(&format!("{owner} ="), Some(whose.to_owned()));
    let ask = |wanted: &Where| {
        let statement = list.statement(wanted, false, 51, 0);
        let taken = store.read(|db| {
            let mut prepared = db.prepare(&statement)?;
            let rows = prepared.query_map(wanted.values().as_slice(), |_| Ok(()))?.count();
            Ok((rows, prepared.get_status(StatementStatus::VmStep)))
        });
        (statement, taken.unwrap())
    };
    let (statement, (rows, steps)) = ask(&wanted);
    assert_eq!(rows, found, "{statement}");
    assert!(steps < STEPS_MAX, "{steps} steps: {statement}");
    wanted.beyond(70, false);
    let (statement, (_, steps)) = ask(&wanted);
    assert!(steps < STEPS_MAX, "{steps} steps from far in: {statement}");
}

#[test]
fn a_walk_over_all_rows_would_be_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(&folder);
    let steps = store.read(|db| {
        let mut walk = db.prepare("SELECT * FROM calls WHERE caller_name = 'x'")?;
        assert_eq!(walk.query_map([], |_| Ok(()))?.count(), 0);
        Ok(walk.get_status(StatementStatus::VmStep))
    });
    assert!(steps.unwrap() > STEPS_MAX);
}

#[test]
fn dates_out_of_order_are_found_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_passing(folder.path()).unwrap();
    let apply = |changes| store.apply(changes).unwrap().blocking_recv().unwrap().unwrap();
    // A clock that jumps: every date comes about somewhere, the young ones before the old ones and between them.
    let place = |row: u32| (row * 7_919) % ROWS;
    let dated = |row: u32, start: Option<Timestamp>, end: Option<Timestamp>| match call(row) {
        Change::Call { mut record, state } => {
            (record.start_time, record.end_time) = (start, end);
            Change::Call { record, state }
        }
        other => other,
    };
    const FEW: u32 = 1_500;
    apply((1..=FEW).map(|row| dated(row, None, None)).collect());
    apply((1..=FEW).map(|row| dated(row, Some(date(place(row))), None)).collect());
    let ended = |row: u32| !row.is_multiple_of(4);
    let end = |row: u32| ended(row).then(|| date(place(row) + 3));
    apply((1..=FEW).map(|row| dated(row, Some(date(place(row))), end(row))).collect());
    apply(
        (1..=FEW)
            .filter(|row| row.is_multiple_of(5))
            .map(|row| Change::DeleteCall(CallSid::new(octets(row))))
            .collect(),
    );
    let known: Vec<u32> = (1..=FEW).rev().filter(|row| !row.is_multiple_of(5)).collect();
    let sids = |rows: Vec<u32>| -> Vec<CallSid> {
        rows.into_iter().map(|row| CallSid::new(octets(row))).collect()
    };
    for (from, until) in
        [(None, Some(100)), (Some(5_900), None), (Some(3_000), Some(3_040)), (Some(9_000), None)]
    {
        let is_within =
            |at: u32| from.is_none_or(|from| at >= from) && until.is_none_or(|until| at < until);
        let range = within(from, until);
        for (filter, wanted) in [
            (
                CallFilter { start_time: range, ..CallFilter::default() },
                known.iter().copied().filter(|&row| is_within(place(row))).collect::<Vec<_>>(),
            ),
            (
                CallFilter { end_time: range, ..CallFilter::default() },
                known
                    .iter()
                    .copied()
                    .filter(|&row| ended(row) && is_within(place(row) + 3))
                    .collect(),
            ),
        ] {
            let wanted = sids(wanted);
            let mut found = Vec::new();
            let mut next = Place::Skip(0);
            loop {
                let page = store.calls(ACCOUNT, &filter, 7, &next).unwrap().unwrap();
                found.extend(page.records.iter().map(|record| record.sid));
                let Some(last) = found.last().filter(|_| page.more) else { break };
                next = Place::After(last.to_string());
            }
            assert_eq!(found, wanted, "{filter:?}");
            if let Some(last) = wanted.last() {
                let back = store.calls(ACCOUNT, &filter, 1_000, &Place::Before(last.to_string()));
                let back: Vec<CallSid> =
                    back.unwrap().unwrap().records.iter().map(|record| record.sid).collect();
                assert_eq!(back, wanted[..wanted.len() - 1], "back: {filter:?}");
            }
        }
    }
}
