//! Dialling by the core alone: what becomes of a host's name.

use std::net::IpAddr;

use exchange::{CallChanges, Command, End, Reply, StatusCallback};
use model::{CallSid, Now};

use crate::core::{Core, Input, Output, Ticket, Written};
use crate::testing::{ACCOUNT, core, create, now};

#[test]
fn a_host_is_resolved_before_it_is_dialled() {
    assert_eq!(
        check("sip:a@pbx.test", &["127.0.0.1"], false),
        (true, vec!["127.0.0.1:5060".to_owned()])
    );
}

#[test]
fn nobody_is_rung_where_a_name_has_no_address_or_a_forbidden_one() {
    assert_eq!(check("sip:a@pbx.test", &[], false), (true, Vec::new()));
    assert_eq!(check("sip:a@pbx.test", &["10.0.0.1"], false), (true, Vec::new()));
}

#[test]
fn a_call_that_is_taken_back_while_its_host_is_resolved_rings_nobody() {
    assert_eq!(check("sip:a@pbx.test", &["127.0.0.1"], true), (true, Vec::new()));
}

#[test]
fn an_address_is_dialled_without_asking_for_a_name() {
    assert_eq!(check("sip:a@127.0.0.1:9", &[], false), (false, vec!["127.0.0.1:9".to_owned()]));
}

/// Dials, perhaps takes the call back, then says which addresses the host has. Returns whether
/// these were asked for, and where INVITEs went.
fn check(to: &str, addresses: &[&str], taken_back: bool) -> (bool, Vec<String>) {
    let now = now();
    let mut core = core(now);
    let mut seen = Seen::default();
    core.handle(Input::Command(create(to, StatusCallback::default()), Ticket(1)), now);
    seen.drain(&mut core, now);
    let call = seen.call.unwrap();
    if taken_back {
        let changes = CallChanges { end: Some(End::Canceled), ..CallChanges::default() };
        let changes = Box::new(changes);
        let command = Command::UpdateCall { account: ACCOUNT, call, changes };
        core.handle(Input::Command(Box::new(command), Ticket(2)), now);
        seen.drain(&mut core, now);
    }
    let addresses: Vec<IpAddr> = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
    core.handle(Input::Resolved(call, addresses), now);
    seen.drain(&mut core, now);
    (seen.asked, seen.invited)
}

#[derive(Default)]
struct Seen {
    call: Option<CallSid>,
    asked: bool,
    invited: Vec<String>,
}

impl Seen {
    /// Carries out what the core wants, with every row written at once.
    fn drain(&mut self, core: &mut Core, now: Now) {
        while let Some(output) = core.poll_output() {
            match output {
                Output::Commit(batch, _) => {
                    core.handle(Input::Committed(batch, Written::Yes), now);
                }
                Output::Reply(_, Ok(Reply::Call(record))) => self.call = Some(record.sid),
                Output::Resolve { name, .. } => self.asked = name == "pbx.test",
                Output::Transmit(transmit) if transmit.octets.starts_with(b"INVITE") => {
                    self.invited.push(transmit.to.to_string());
                }
                _ => {}
            }
        }
    }
}
