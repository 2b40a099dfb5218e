//! Callbacks and the commits that they wait for, by the core alone.

use exchange::{Refusal, StatusCallback};

use crate::core::{BatchId, Core, Input, Output, Ticket, Written};
use crate::testing::{core, create, now};

#[test]
fn callbacks_go_out_when_their_rows_are_written() {
    check(&[Written::Yes, Written::Yes], &[], &["1 accepted", "1 told", "2 accepted", "2 told"]);
}

#[test]
fn callbacks_of_rows_that_are_late_wait_for_them_and_those_behind_wait_too() {
    let seen = ["1 refused", "2 accepted", "1 told", "2 told"];
    check(&[Written::Later, Written::Yes], &[Written::Yes], &seen);
}

#[test]
fn callbacks_of_rows_that_are_lost_are_never_told_and_hold_up_nobody() {
    let seen = ["1 refused", "2 accepted", "2 told"];
    check(&[Written::Later, Written::Yes], &[Written::Never], &seen);
    check(&[Written::Never, Written::Yes], &[], &seen);
}

/// Makes one call after the other, of which each first batch meets a fate of `fates`; then those
/// that were late meet one of `late`. Compares the answers and callbacks in their order.
#[track_caller]
fn check(fates: &[Written], late: &[Written], expected: &[&str]) {
    let now = now();
    let mut core = core(now);
    let (mut seen, mut owed) = (Vec::new(), Vec::new());
    for (number, fate) in (1..).zip(fates) {
        let status_callback = StatusCallback {
            url: Some(format!("http://127.0.0.1/{number}")),
            method: "POST".to_owned(),
            events: vec!["initiated".to_owned()],
        };
        let command = create("sip:a@127.0.0.1:9", status_callback);
        core.handle(Input::Command(command, Ticket(number)), now);
        let mut fate = Some(*fate);
        while let Some(batch) = drain(&mut core, &mut seen) {
            let fate = fate.take().unwrap_or(Written::Yes);
            owed.extend((fate == Written::Later).then_some(batch));
            core.handle(Input::Committed(batch, fate), now);
        }
    }
    for (batch, fate) in owed.into_iter().zip(late) {
        core.handle(Input::Committed(batch, *fate), now);
        drain(&mut core, &mut seen);
    }
    assert_eq!(seen, expected);
}

/// Notes answers and callbacks up to the next batch.
fn drain(core: &mut Core, seen: &mut Vec<String>) -> Option<BatchId> {
    while let Some(output) = core.poll_output() {
        match output {
            Output::Commit(batch, _) => return Some(batch),
            Output::Reply(Ticket(number), Ok(_)) => seen.push(format!("{number} accepted")),
            Output::Reply(Ticket(number), Err(refusal)) => {
                assert_eq!(refusal, Refusal::StoreUnavailable);
                seen.push(format!("{number} refused"));
            }
            Output::Callback(callback) => {
                let number = callback.url.rsplit('/').next().unwrap_or_default();
                seen.push(format!("{number} told"));
            }
            _ => {}
        }
    }
    None
}
