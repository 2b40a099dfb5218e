use std::collections::BTreeMap;

use model::{AccountSid, CallSid, ConferenceSid, Timestamp};
use webhook::Stage;

use super::*;

/// A conference's callback, or a call's where `room` is none.
fn callback(number: u32, room: Option<u8>, url: &str) -> Callback {
    let mut sid = [0; 16];
    sid[..4].copy_from_slice(&number.to_be_bytes());
    let lane = room.unwrap_or(0);
    Callback {
        sid: CallbackSid::new(sid),
        account: AccountSid::new([1; 16]),
        conference: room.map(|room| ConferenceSid::new([room; 16])),
        call: Some(CallSid::new([lane; 16])),
        url: url.to_owned(),
        method: "POST".to_owned(),
        params: [].into(),
        date_created: Timestamp(0),
        state: CallbackState::Pending,
        attempts: 0,
        last_error: None,
    }
}

const URL: &str = "http://localhost/";

fn refused() -> Result<u16, Failure> {
    Err(Failure { code: 11205, stage: Stage::Connect, message: "refused".to_owned() })
}

fn silent() -> Result<u16, Failure> {
    Err(Failure { code: 11200, stage: Stage::Read, message: "silent".to_owned() })
}

/// Sends one callback to a receiver that always answers like this, for as long as it takes, each
/// try taking `takes`. Says how often it was tried, over how long, and what was logged.
fn played(
    rule: Delivery,
    url: &str,
    answer: &Result<u16, Failure>,
    takes: Duration,
) -> (Callback, Duration, Vec<u32>) {
    let begun = Instant::now();
    let mut now = begun;
    let mut outbox = Outbox::new(rule);
    outbox.push(callback(1, Some(1), url));
    let mut last = None;
    while !outbox.is_idle() {
        if let Some(attempt) = outbox.poll_attempt(now) {
            now += takes;
            last = outbox.handle_answer(attempt.sid, answer.clone(), now).or(last);
        } else {
            now = outbox.poll_timeout().unwrap();
        }
    }
    let notes = std::iter::from_fn(|| outbox.poll_note()).map(|note| note.code).collect();
    (last.unwrap(), now - begun, notes)
}

#[track_caller]
fn check(url: &str, answer: Result<u16, Failure>, expected: (CallbackState, u32, &[u32])) {
    let (row, _, notes) = played(Delivery::Twilio, url, &answer, Duration::from_millis(10));
    assert_eq!((row.state, row.attempts, &*notes), expected, "{url} {answer:?}: {row:?}");
    assert_eq!(row.last_error.is_some(), row.state == CallbackState::Failed);
}

#[test]
fn any_answer_ends_an_event_and_an_error_is_kept_as_failed() {
    use CallbackState::{Delivered, Failed};
    check(URL, Ok(200), (Delivered, 1, &[]));
    check(URL, Ok(204), (Delivered, 1, &[]));
    check(URL, Ok(404), (Failed, 1, &[16011]));
    check(URL, Ok(500), (Failed, 1, &[16011]));
    check(URL, silent(), (Failed, 1, &[11200]));
    check(URL, refused(), (Failed, 2, &[11205]));
}

#[test]
fn the_fragment_says_what_is_tried_again_and_how_often() {
    use CallbackState::Failed;
    check("http://x/#rc=0", refused(), (Failed, 1, &[11205]));
    check("http://x/#rc=5", refused(), (Failed, 6, &[11205]));
    check("http://x/#rc=2&rp=5xx", Ok(503), (Failed, 3, &[16011]));
    check("http://x/#rc=2&rp=5xx", Ok(404), (Failed, 1, &[16011]));
    check("http://x/#rc=2&rp=4xx,rt", silent(), (Failed, 3, &[11200]));
    check("http://x/#rc=9&rp=all", Ok(404), (Failed, 2, &[11240, 16011]));
    check("http://x/#tt=100&rc=5&rp=all", Ok(500), (Failed, 6, &[16011]));
}

#[test]
fn retries_end_when_their_time_is_over() {
    let url = "http://x/#tt=100&rc=5&rp=all";
    let (row, length, _) = played(Delivery::Twilio, url, &Ok(500), Duration::from_millis(40));
    assert_eq!((row.attempts, length), (3, Duration::from_millis(120)));
}

#[test]
fn a_calls_error_answer_is_15003() {
    let mut outbox = Outbox::default();
    outbox.push(callback(1, None, URL));
    let now = Instant::now();
    let attempt = outbox.poll_attempt(now).unwrap();
    let row = outbox.handle_answer(attempt.sid, Ok(500), now).unwrap();
    assert_eq!(row.last_error.as_deref(), Some("15003: answered 500"));
    assert_eq!(
        outbox.poll_note().map(|note| (note.code, note.level)),
        Some((15003, Level::Warning))
    );
}

#[test]
fn until_delivered_means_growing_pauses_for_a_day() {
    for answer in [Ok(500), refused(), silent()] {
        let rule = Delivery::UntilDelivered;
        let (row, length, notes) = played(rule, URL, &answer, Duration::ZERO);
        let day = Duration::from_secs(86_400);
        assert_eq!((row.state, row.attempts), (CallbackState::Failed, ATTEMPTS_UNTIL_DELIVERED));
        assert!(length >= day && length < day + PAUSE_MAX, "{length:?}");
        assert_eq!(notes.len(), 2, "the first attempt and the end");
    }
    let pauses: Vec<u64> = (1..=12).map(|attempts| pause(attempts).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
}

#[test]
fn a_pause_is_written_down_and_holds_up_its_own_lane_alone() {
    let now = Instant::now();
    let mut outbox = Outbox::new(Delivery::UntilDelivered);
    for (number, room) in [(1, 1), (2, 1), (3, 2)] {
        outbox.push(callback(number, Some(room), URL));
    }
    let first = outbox.poll_attempt(now).unwrap();
    let row = outbox.handle_answer(first.sid, refused(), now).unwrap();
    assert_eq!((row.state, row.attempts), (CallbackState::Pending, 1));
    assert_eq!(row.last_error.as_deref(), Some("11205: refused; tried again after 1 s"));
    let other = outbox.poll_attempt(now).unwrap();
    assert_eq!(other.sid, callback(3, Some(2), URL).sid);
    assert_eq!(outbox.poll_attempt(now), None);
    assert_eq!(outbox.poll_timeout(), Some(now + PAUSE_FIRST));
    let later = now + PAUSE_FIRST;
    let again = outbox.poll_attempt(later).unwrap();
    assert_eq!((again.sid, again.attempts), (first.sid, 2));
    assert_eq!(outbox.handle_answer(again.sid, Ok(200), later).unwrap().last_error, None);
    assert_eq!(outbox.poll_attempt(later).unwrap().sid, callback(2, Some(1), URL).sid);
}

#[test]
fn one_receiver_has_so_many_attempts_and_others_go_on() {
    let now = Instant::now();
    let mut outbox = Outbox::default();
    for number in 0..200 {
        outbox.push(callback(u32::from(number), Some(number), "http://slow/"));
    }
    outbox.push(callback(1_000, Some(200), "http://good/"));
    let mut tried = BTreeMap::new();
    while let Some(attempt) = outbox.poll_attempt(now) {
        tried.entry(attempt.url.clone()).or_insert_with(Vec::new).push(attempt.sid);
    }
    assert_eq!(tried["http://slow/"].len(), ATTEMPTS_PER_HOST_MAX);
    assert_eq!(tried["http://good/"].len(), 1);
    outbox.handle_answer(tried["http://slow/"][0], Ok(200), now).unwrap();
    assert!(outbox.poll_attempt(now).is_some());
    assert!(outbox.poll_attempt(now).is_none());
}

/// Plays an outbox against rows that are kept as the store keeps them, until nothing is owed.
fn drained(rule: Delivery, rooms: u8, each: u32, answer: impl Fn(&Callback) -> u16) -> usize {
    let mut now = Instant::now();
    let mut outbox = Outbox::new(rule);
    let mut rows = BTreeMap::new();
    let mut order: BTreeMap<String, Vec<CallbackSid>> = BTreeMap::new();
    let mut sent: BTreeMap<String, Vec<CallbackSid>> = BTreeMap::new();
    let mut held_most = 0;
    for number in 0..each {
        for room in 0..rooms {
            let url = format!("http://host{room}/");
            let callback = callback(number * u32::from(rooms) + u32::from(room), Some(room), &url);
            order.entry(lane_of(&callback)).or_default().push(callback.sid);
            rows.insert(callback.sid, callback.clone());
            outbox.push(callback);
        }
    }
    while !outbox.is_idle() {
        held_most = held_most.max(outbox.held);
        if let Some(attempt) = outbox.poll_attempt(now) {
            let answer = answer(&attempt);
            if answer < 400 {
                sent.entry(lane_of(&attempt)).or_default().push(attempt.sid);
            }
            if let Some(row) = outbox.handle_answer(attempt.sid, Ok(answer), now) {
                rows.insert(row.sid, row);
            }
        } else if let Some(lane) = outbox.poll_read() {
            let owed = order[&lane].iter().map(|sid| &rows[sid]);
            let owed = owed.filter(|row| row.state == CallbackState::Pending);
            outbox.handle_rows(&lane, Some(owed.take(ROWS_MAX).cloned().collect()), now);
        } else {
            now = outbox.poll_timeout().expect("something is owed and nothing is due");
        }
    }
    assert_eq!((outbox.held, outbox.busy, outbox.hosts.len()), (0, 0, 0));
    assert_eq!(sent, order, "each once, in order");
    held_most
}

#[test]
fn what_finds_no_room_in_memory_is_read_from_its_rows_in_order() {
    let most = drained(Delivery::Twilio, 100, 300, |_| 200);
    assert!(most <= HELD_MAX, "{most}");
}

#[test]
fn lanes_that_wait_leave_the_memory_to_others() {
    let most = drained(Delivery::UntilDelivered, 100, 300, |callback| {
        if callback.attempts < 3 && callback.url == "http://host7/" { 500 } else { 200 }
    });
    assert!(most <= HELD_MAX, "{most}");
}

#[test]
fn rows_that_were_owed_at_the_start_are_read_and_their_news_is_not_sent_twice() {
    let now = Instant::now();
    let mut outbox = Outbox::default();
    let owed = callback(1, Some(1), URL);
    outbox.owed(&lane_of(&owed), &owed.url);
    assert_eq!(outbox.poll_attempt(now), None);
    let lane = outbox.poll_read().unwrap();
    outbox.handle_rows(&lane, None, now);
    assert_eq!(outbox.poll_timeout(), Some(now + READ_PAUSE));
    let now = now + READ_PAUSE;
    assert_eq!(outbox.poll_attempt(now), None);
    outbox.handle_rows(&outbox.reads[0].clone(), Some(vec![owed.clone()]), now);
    outbox.push(owed.clone());
    let attempt = outbox.poll_attempt(now).unwrap();
    outbox.handle_answer(attempt.sid, Ok(500), now).unwrap();
    assert!(outbox.is_idle());
    outbox.push(owed.clone());
    assert!(outbox.is_idle());
    outbox.replay(owed);
    assert!(outbox.poll_attempt(now).is_some());
}
