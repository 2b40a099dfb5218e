use model::{
    Account, AccountSid, AccountStatus, Change, Conference, ConferenceSid, ConferenceStatus,
    EndReason, Timestamp,
};

use crate::{ConferenceFilter, Place, Store};

const ACCOUNT: AccountSid = AccountSid::new([1; 16]);

fn conference(number: u8) -> Change {
    let record = Conference {
        sid: ConferenceSid::new([number; 16]),
        account: ACCOUNT,
        friendly_name: format!("room {}", number % 2),
        status: ConferenceStatus::Init,
        region: "us1".to_owned(),
        date_created: Timestamp(i64::from(number)),
        date_updated: Timestamp(i64::from(number)),
        end_reason: None,
        call_ending: None,
    };
    Change::Conference { record: Box::new(record), state: "{}".to_owned() }
}

fn committed(store: &Store, changes: Vec<Change>) {
    store.apply(changes).unwrap().blocking_recv().unwrap().unwrap();
}

#[test]
fn what_is_committed_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let account = Account {
        sid: ACCOUNT,
        friendly_name: "mine".to_owned(),
        owner: ACCOUNT,
        status: AccountStatus::Active,
        auth_token: "secret".to_owned(),
        date_created: Timestamp(1),
        date_updated: Timestamp(2),
    };
    let store = Store::open(folder.path()).unwrap();
    committed(&store, vec![Change::Account(account.clone()), conference(1)]);
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.first_account().unwrap(), Some(account));
    let found = store.conference(ACCOUNT, ConferenceSid::new([1; 16])).unwrap().unwrap();
    assert_eq!(found.friendly_name, "room 1");
}

#[test]
fn what_is_over_is_forgotten_and_what_is_alive_or_young_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let over = |number| match conference(number) {
        Change::Conference { record, .. } => Change::Conference { record, state: String::new() },
        other => other,
    };
    committed(&store, vec![conference(1), over(2), over(3), over(4)]);
    let left = |store: &Store| {
        let filter = ConferenceFilter::default();
        let page = store.conferences(ACCOUNT, &filter, 10, &Place::Skip(0)).unwrap().unwrap();
        page.records.iter().map(|record| record.date_updated.0).collect::<Vec<_>>()
    };
    committed(&store, vec![Change::Forget { before: Timestamp(4), most: 1 }]);
    assert_eq!(left(&store), [4, 3, 2, 1], "the oldest is alive, and more is not looked at");
    committed(&store, vec![Change::Forget { before: Timestamp(4), most: 2 }]);
    assert_eq!(left(&store), [4, 3, 1]);
    committed(&store, vec![Change::Forget { before: Timestamp(4), most: 500 }]);
    assert_eq!(left(&store), [4, 1]);
}

#[test]
fn pages_are_newest_first_and_do_not_move() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    committed(&store, (1..=5).map(conference).collect());
    let filter = ConferenceFilter::default();
    let first = store.conferences(ACCOUNT, &filter, 2, &Place::Skip(0)).unwrap().unwrap();
    committed(&store, vec![conference(6), conference(1)]);
    let last = first.records[1].sid.to_string();
    let second = store.conferences(ACCOUNT, &filter, 10, &Place::After(last)).unwrap().unwrap();
    let numbers = |records: &[Conference]| -> Vec<i64> {
        records.iter().map(|record| record.date_created.0).collect()
    };
    assert_eq!((numbers(&first.records), first.more), (vec![5, 4], true));
    assert_eq!((numbers(&second.records), second.more), (vec![3, 2, 1], false));
    let back = Place::Before(second.records[0].sid.to_string());
    let back = store.conferences(ACCOUNT, &filter, 2, &back).unwrap().unwrap();
    assert_eq!((numbers(&back.records), back.more), (vec![5, 4], true));
    let skipped = store.conferences(ACCOUNT, &filter, 2, &Place::Skip(4)).unwrap().unwrap();
    assert_eq!((numbers(&skipped.records), skipped.more), (vec![2, 1], false));
    let foreign = Place::After(AccountSid::new([1; 16]).to_string());
    assert_eq!(store.conferences(ACCOUNT, &filter, 2, &foreign).unwrap(), None);
    let filter = ConferenceFilter { friendly_name: Some("room 0".to_owned()), ..filter };
    let even = store.conferences(ACCOUNT, &filter, 10, &Place::Skip(0)).unwrap().unwrap();
    assert_eq!(numbers(&even.records), [6, 4, 2]);
}

#[test]
fn a_folder_that_can_not_be_is_refused_with_the_fix() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Store::open(file.path()).unwrap_err().to_string();
    assert!(error.contains("--data"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sidetone.db"), "this is no database, surely not").unwrap();
    assert!(Store::open(folder.path()).is_err());
}

#[test]
fn what_cannot_be_written_is_kept_and_written_when_the_disk_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    committed(&store, vec![conference(1)]);
    let other = rusqlite::Connection::open(folder.path().join("sidetone.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = store.apply(vec![conference(2)]).unwrap();
    assert!(refused.blocking_recv().unwrap().is_err());
    assert!(store.is_failing());
    let waiting = store.apply(vec![conference(3)]).unwrap();
    other.execute_batch("ROLLBACK").unwrap();
    // The second may have been told of the failure as well; its row is there all the same.
    let _ = waiting.blocking_recv().unwrap();
    committed(&store, vec![conference(4)]);
    assert!(!store.is_failing());
    let page = store
        .conferences(ACCOUNT, &ConferenceFilter::default(), 10, &Place::Skip(0))
        .unwrap()
        .unwrap();
    let dates: Vec<i64> = page.records.iter().map(|record| record.date_created.0).collect();
    assert_eq!(dates, [4, 3, 2, 1]);
}

#[test]
fn rows_that_could_not_be_written_are_told_of_when_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let other = rusqlite::Connection::open(folder.path().join("sidetone.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut refused = store.apply(vec![conference(1)]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(&mut refused).unwrap().is_err());
    assert!(store.is_failing());
    other.execute_batch("ROLLBACK").unwrap();
    refused.later().blocking_recv().unwrap();
    assert!(store.conference(ACCOUNT, ConferenceSid::new([1; 16])).unwrap().is_some());
}

#[test]
fn a_row_that_is_written_again_shows_what_changed_and_keeps_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let Change::Conference { record: first, .. } = conference(1) else { unreachable!() };
    let started = Conference {
        status: ConferenceStatus::InProgress,
        date_updated: Timestamp(7),
        ..(*first).clone()
    };
    for (record, state) in [(&*first, "made"), (&*first, "told once"), (&started, "started")] {
        let record = Box::new(record.clone());
        committed(&store, vec![Change::Conference { record, state: state.to_owned() }]);
        let [(found, kept)] = &store.alive().unwrap().conferences[..] else {
            panic!("one is alive")
        };
        assert_eq!(kept, state);
        assert_eq!((found.friendly_name.as_str(), found.date_created), ("room 1", Timestamp(1)));
    }
    let ended = Conference {
        status: ConferenceStatus::Completed,
        end_reason: Some(EndReason::LastLeft),
        ..started
    };
    let record = Box::new(ended.clone());
    committed(&store, vec![Change::Conference { record, state: String::new() }]);
    assert_eq!(store.conference(ACCOUNT, ended.sid).unwrap(), Some(ended));
    assert_eq!(store.alive().unwrap().conferences, []);
}

#[test]
fn what_nobody_waits_for_is_committed_all_the_same_and_in_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.apply_later(vec![conference(1)]).unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while store.conference(ACCOUNT, ConferenceSid::new([1; 16])).unwrap().is_none() {
        assert!(std::time::Instant::now() < until, "it was never committed");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    store.apply_later(vec![conference(2)]).unwrap();
    committed(&store, vec![conference(3)]);
    assert!(store.conference(ACCOUNT, ConferenceSid::new([2; 16])).unwrap().is_some());
}
