use exchange::{Command, ConferenceKey, CreateParticipant, Dialling, JoinOptions};
use media::Cleaning;
use model::Now;

use super::*;
use crate::core::{Input, Ticket};
use crate::testing::{ACCOUNT, core, now};

const FIRST: u8 = 1;

fn call(number: u8) -> CallSid {
    CallSid::new([number; 16])
}

/// A look in which each room, made at that second, has that dominant speaker.
fn look(number: u64, second: i64, rooms: &[(u8, i64, Option<u8>)]) -> Look {
    let rooms = rooms.iter().map(|&(room, created, dominant)| RoomLevels {
        conference: ConferenceSid::new([room; 16]),
        dominant: dominant.map(call),
        levels: Vec::new(),
        created: Timestamp(created * 1_000),
    });
    Look { number, date: Timestamp(second * 1_000), rooms: rooms.collect(), left_out: 0 }
}

/// Returns what a follower who knows looks up to `known` is told: the last look, and who came after whom.
fn told(watch: &Watch, known: Option<u64>) -> Option<(u64, Vec<[Option<CallSid>; 2]>)> {
    let told = watch.after(known)?;
    let pair = |change: &DominantChange| [change.previous, change.call];
    Some((told.look.number, told.changes.iter().map(pair).collect()))
}

#[test]
fn each_follower_is_told_of_each_change_once() {
    let mut watch = Watch::default();
    let speakers = [None, Some(1), Some(1), Some(2), None];
    for (number, dominant) in (1..).zip(speakers) {
        watch.take(look(number, number as i64, &[(FIRST, 0, dominant)]), Instant::now());
    }
    let [first, second] = [call(1), call(2)].map(Some);
    let all = [[None, first], [first, second], [second, None]];
    for (known, expected) in [(1, &all[..]), (2, &all[1..]), (3, &all[1..]), (4, &all[2..])] {
        assert_eq!(told(&watch, Some(known)), Some((5, expected.to_vec())), "{known}");
    }
    assert_eq!(told(&watch, Some(5)), None);
    for newcomer in [None, Some(6)] {
        assert_eq!(told(&watch, newcomer), Some((5, Vec::new())), "{newcomer:?}");
    }
}

#[test]
fn a_new_room_had_no_dominant_speaker_and_of_one_that_was_left_out_nothing_is_known() {
    let before = look(1, 10, &[(FIRST, 0, Some(1))]);
    for (created, expected) in [(10, 1), (11, 1), (9, 0)] {
        let now = look(2, 12, &[(2, created, Some(2)), (FIRST, 0, Some(1))]);
        assert_eq!(changes(&before, &now).len(), expected, "{created}");
    }
    assert_eq!(changes(&before, &look(2, 12, &[])), []);
}

#[test]
fn what_is_kept_of_changes_is_bounded() {
    let mut watch = Watch::default();
    for number in 1..2_000 {
        let dominant = Some((number % 2) as u8);
        watch.take(look(number, number as i64, &[(FIRST, 0, dominant)]), Instant::now());
    }
    assert_eq!(told(&watch, Some(1)).map(|(_, changes)| changes.len()), Some(CHANGES_MAX));
}

#[test]
fn a_look_is_due_twice_a_second() {
    let (mut watch, now) = (Watch::default(), Instant::now());
    assert!(watch.is_due(now) && watch.due().is_none());
    watch.take(Look::default(), now);
    assert!(!watch.is_due(now) && !watch.is_due(now + LOOK_EVERY / 2));
    assert!(watch.is_due(now + LOOK_EVERY) && watch.is_kept(now + LOOK_EVERY));
}

#[test]
fn accounts_that_nobody_follows_any_more_are_forgotten() {
    let levels = Levels::default();
    for number in 0..100 {
        let watch = levels.of(AccountSid::new([number; 16]));
        watch.try_lock().unwrap().take(Look::default(), Instant::now() - KEPT_FOR);
    }
    assert_eq!(levels.watches.lock().unwrap().len(), 1);
}

#[test]
fn a_leg_that_is_nobodys_is_not_shown() {
    let voiced = |leg: u64| Voiced {
        leg: LegId(leg),
        level: 24,
        cleaning: Cleaning::default(),
        mos: Some(4.4),
    };
    let room = LiveRoom {
        conference: ConferenceSid::new([FIRST; 16]),
        created: Timestamp(0),
        room: Some(RoomId(7)),
        legs: [(LegId(1), call(1))].into(),
    };
    let waiting = LiveRoom {
        conference: ConferenceSid::new([2; 16]),
        created: Timestamp(0),
        room: None,
        legs: BTreeMap::new(),
    };
    let live = LiveRooms { rooms: vec![room, waiting], left_out: 3 };
    assert_eq!(live.rooms(), [RoomId(7)]);
    let seen = live.seen(|_| (vec![voiced(1), voiced(2)], Some(LegId(2))));
    let shown = |room: &RoomLevels| room.levels.iter().map(|one| one.call).collect::<Vec<_>>();
    assert_eq!(seen.rooms.iter().map(shown).collect::<Vec<_>>(), [vec![call(1)], vec![]]);
    assert_eq!((seen.rooms[0].dominant, seen.left_out), (None, 3));
}

#[test]
fn a_look_takes_in_the_latest_conferences_of_the_account_and_counts_the_others() {
    let begun = now();
    let mut core = core(begun);
    let last = LEVELS_ROOMS_MAX as u64 + 10;
    for number in 1..=last {
        let create = CreateParticipant {
            account: ACCOUNT,
            conference: ConferenceKey::Name(number.to_string()),
            dialling: Dialling {
                to: "sip:a@127.0.0.1:9".to_owned(),
                from: "us".to_owned(),
                ..Dialling::default()
            },
            early_media: false,
            options: JoinOptions::from_twiml(&twiml::Conference::named("x"), ""),
        };
        let command = Command::CreateParticipant(Box::new(create));
        let now = Now { wall: Timestamp(number as i64), ..begun };
        core.handle(Input::Command(Box::new(command), Ticket(number)), now);
    }
    let live = core.live_rooms(ACCOUNT);
    let dates = live.rooms.iter().map(|one| one.created.0 as u64);
    assert_eq!(dates.collect::<Vec<_>>(), (11..=last).rev().collect::<Vec<_>>());
    assert_eq!(live.left_out, 10);
    assert!(core.live_rooms(AccountSid::new([8; 16])).rooms.is_empty());
}
