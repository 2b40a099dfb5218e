//! How long the store knows of a dialog, by the core and a phone.

use std::net::SocketAddr;
use std::time::Duration;

use exchange::StatusCallback;
use model::{Change, Now};
use sip::{Agent, Config};

use crate::core::{Core, Input, Output, Ticket, Written};
use crate::testing::{core, create, now};

const PHONE: &str = "127.0.0.1:9";

/// A core in a call with a phone; what the store is told of dialogs.
struct Pair {
    core: Core,
    phone: Agent,
    now: Now,
    rows: Vec<&'static str>,
    /// Whether what the core sends gets lost.
    is_deaf: bool,
    stopped: bool,
}

impl Pair {
    fn up() -> Self {
        let now = now();
        let phone = Agent::new(Config::open(PHONE.parse().unwrap(), [9; 32]));
        let core = core(now);
        let mut pair = Self { core, phone, now, rows: Vec::new(), is_deaf: false, stopped: false };
        let command = create(&format!("sip:a@{PHONE}"), StatusCallback::default());
        pair.core.handle(Input::Command(command, Ticket(1)), now);
        pair.carry();
        assert_eq!(pair.rows, ["written"]);
        pair
    }

    /// Carries messages both ways until nothing is said.
    fn carry(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Commit(batch, changes) => {
                    self.rows.extend(changes.iter().filter_map(|change| match change {
                        Change::Dialog { .. } => Some("written"),
                        Change::DeleteDialog(_) => Some("deleted"),
                        _ => None,
                    }));
                    self.core.handle(Input::Committed(batch, Written::Yes), self.now);
                }
                Output::Transmit(sent) if !self.is_deaf => {
                    let from: SocketAddr = "127.0.0.1:5060".parse().unwrap();
                    self.phone.handle_message(from, &sent.octets, self.now.instant);
                    while let Some(event) = self.phone.poll_event() {
                        if let sip::Event::Invite(invitation) = event {
                            let media = "127.0.0.1:4000".parse().unwrap();
                            self.phone.answer(invitation.call, media, self.now.instant);
                        }
                    }
                    while let Some(said) = self.phone.poll_transmit() {
                        let from: SocketAddr = PHONE.parse().unwrap();
                        self.core.handle(Input::Message(from.into(), said.octets), self.now);
                    }
                }
                Output::Stopped => self.stopped = true,
                _ => {}
            }
        }
    }

    fn after(&mut self, seconds: u64) {
        let end = self.now.instant + Duration::from_secs(seconds);
        while let Some(due) = self.core.poll_timeout().filter(|due| *due <= end) {
            self.now.instant = self.now.instant.max(due);
            self.core.handle_timeout(self.now);
            self.carry();
        }
        self.now.instant = end;
    }
}

#[test]
fn a_dialog_is_forgotten_when_its_phone_knows_of_the_end() {
    let mut pair = Pair::up();
    pair.core.handle(Input::Stop, pair.now);
    pair.carry();
    assert_eq!((&pair.rows[..], pair.stopped), (&["written", "deleted"][..], true));
}

#[test]
fn a_dialog_whose_phone_does_not_hear_of_the_end_is_kept_for_the_next_start() {
    let mut pair = Pair::up();
    pair.is_deaf = true;
    pair.core.handle(Input::Stop, pair.now);
    pair.carry();
    assert!(!pair.stopped, "it is asked once more");
    pair.after(3);
    assert_eq!((&pair.rows[..], pair.stopped), (&["written"][..], true));
    pair.after(60);
    assert_eq!(pair.rows, ["written", "deleted"], "it will never say");
}
