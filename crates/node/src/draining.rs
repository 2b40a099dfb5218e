//! When no more calls are let in: while the node has no time for their sound, and when it goes down, at
//! the end of which all are hung up.

use std::time::Instant;

use exchange::{Command, Refusal};
use model::Now;

use crate::core::Core;

/// How much of a tick the least busy media thread may need before no call begins any more, and until when.
const BUSY_FROM: f32 = 0.75;
const BUSY_UNTIL: f32 = 0.65;
/// The same, of what it will need soon: who comes costs more at first than later.
const BUSY_SOON: f32 = 0.9;

/// Calls that were not let in or not made, by what there was too little of; what SIP itself refuses is not among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallsRefused {
    /// No media thread had time for their sound.
    pub busy: u64,
    /// The node was on its way down.
    pub draining: u64,
    /// No pair of ports was free, or no media thread had room.
    pub ports: u64,
    /// Their account had as many as it may.
    pub account: u64,
    /// No trunk that may carry them had room.
    pub trunks: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopping {
    No,
    /// No call begins any more.
    Refusing,
    /// Calls are still being ended; from then on without the consent of their phones.
    Draining(Instant),
    /// Their last rows are on their way.
    Drained,
}

impl Stopping {
    /// Whether a command is refused because the node goes down.
    pub(crate) fn refuses(self, command: &Command) -> bool {
        match self {
            Self::No => false,
            Self::Refusing => begins_call(command),
            Self::Draining(_) | Self::Drained => true,
        }
    }
}

/// Whether a command would begin a call.
fn begins_call(command: &Command) -> bool {
    matches!(command, Command::CreateCall(_) | Command::CreateParticipant(_))
}

impl Core {
    /// Says how much of each tick the media thread needs that needs least, 0 to 1, and soon will; the calls that are
    /// there keep their sound, and new ones are refused while that is too much.
    pub fn set_busy(&mut self, busy: f32, soon: f32) {
        let limit = if self.overloaded { BUSY_UNTIL } else { BUSY_FROM };
        self.overloaded = busy > limit || soon > BUSY_SOON;
    }

    /// Returns how many calls were refused so far.
    pub fn calls_refused(&self) -> CallsRefused {
        CallsRefused { account: self.exchange.calls_refused(), ..self.refused }
    }

    /// Returns why a command is not carried out just now, whatever it says.
    pub(crate) fn refusal_of(&mut self, command: &Command) -> Option<Refusal> {
        if self.stopping.refuses(command) {
            self.refused.draining += u64::from(begins_call(command));
            return Some(Refusal::ShuttingDown);
        }
        if !self.overloaded || !begins_call(command) {
            return None;
        }
        self.refused.busy += 1;
        Some(Refusal::NoCapacity)
    }

    /// Whether a call that comes in is turned away just now, whomever it is for.
    pub(crate) fn turns_away(&mut self) -> bool {
        let is_stopping = self.stopping != Stopping::No;
        self.refused.draining += u64::from(is_stopping);
        self.refused.busy += u64::from(self.overloaded && !is_stopping);
        is_stopping || self.overloaded
    }

    /// Lets no call begin any more.
    pub(crate) fn drain(&mut self) {
        if self.stopping == Stopping::No {
            self.stopping = Stopping::Refusing;
        }
    }

    pub(crate) fn is_drained(&self, now: Now) -> bool {
        match self.stopping {
            Stopping::Draining(until) => {
                let over = self.exchange.calls() + self.exchange.recordings() == 0;
                over && (self.parting.is_empty() || now.instant >= until)
            }
            Stopping::No | Stopping::Refusing | Stopping::Drained => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use exchange::{Refusal, StatusCallback};

    use super::CallsRefused;
    use crate::core::{Input, Output, Ticket};
    use crate::testing::{core, create, now};

    #[test]
    fn a_node_that_has_no_time_for_more_sound_refuses_calls_until_it_has_again() {
        let now = now();
        let mut core = core(now);
        let mut answers = Vec::new();
        let all = [(0.5, 0.5), (0.8, 0.8), (0.7, 0.7), (0.6, 0.6), (0.7, 0.85), (0.4, 0.95)];
        for (ticket, (busy, soon)) in (1..).zip(all) {
            core.set_busy(busy, soon);
            let command = create("sip:a@127.0.0.1:9", StatusCallback::default());
            core.handle(Input::Command(command, Ticket(ticket)), now);
            let mut refused = false;
            while let Some(output) = core.poll_output() {
                refused |= matches!(output, Output::Reply(_, Err(Refusal::NoCapacity)));
            }
            answers.push(refused);
        }
        assert_eq!(answers, [false, true, true, false, false, true]);
        core.drain();
        core.handle(
            Input::Command(create("sip:a@127.0.0.1:9", StatusCallback::default()), Ticket(7)),
            now,
        );
        let refused = core.calls_refused();
        assert_eq!(refused, CallsRefused { busy: 3, draining: 1, ..CallsRefused::default() });
    }
}
