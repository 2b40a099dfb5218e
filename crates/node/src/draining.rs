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
/// The same, of what the busiest needs: a room cannot go to another thread, and whoever calls may be for that one.
const BUSIEST_FROM: f32 = 0.9;
const BUSIEST_UNTIL: f32 = 0.8;

/// How much of each tick the media threads need of late, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Busy {
    /// The one that needs least.
    pub least: f32,
    /// The least that one will need soon.
    pub soon: f32,
    /// The one that needs most.
    pub most: f32,
}

impl Busy {
    /// Makes that of one thread.
    pub fn alone(busy: f32, soon: f32) -> Self {
        Self { least: busy, soon, most: busy }
    }
}

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
    /// Says how much of each tick the media threads need; the calls that are there keep their sound, and new ones are
    /// refused while that is too much.
    pub fn set_busy(&mut self, Busy { least, soon, most }: Busy) {
        let (limit, limit_of_busiest) = match self.overloaded {
            true => (BUSY_UNTIL, BUSIEST_UNTIL),
            false => (BUSY_FROM, BUSIEST_FROM),
        };
        self.overloaded = least > limit || soon > BUSY_SOON || most > limit_of_busiest;
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

    use super::{Busy, CallsRefused};
    use crate::core::{Input, Output, Ticket};
    use crate::testing::{core, create, now};

    #[test]
    fn a_node_that_has_no_time_for_more_sound_refuses_calls_until_it_has_again() {
        let now = now();
        let mut core = core(now);
        let mut answers = Vec::new();
        let all = [(0.5, 0.5), (0.8, 0.8), (0.7, 0.7), (0.6, 0.6), (0.7, 0.85), (0.4, 0.95)];
        let all = all.map(|(busy, soon)| Busy::alone(busy, soon));
        // Of two threads one has time, and the other has not.
        let [idle, hot, cooler, cool] =
            [0.5, 0.95, 0.85, 0.75].map(|most| Busy { most, ..Busy::alone(0.1, 0.1) });
        for (ticket, busy) in (1..).zip(all.into_iter().chain([idle, hot, cooler, cool])) {
            core.set_busy(busy);
            let command = create("sip:a@127.0.0.1:9", StatusCallback::default());
            core.handle(Input::Command(command, Ticket(ticket)), now);
            let mut refused = false;
            while let Some(output) = core.poll_output() {
                refused |= matches!(output, Output::Reply(_, Err(Refusal::NoCapacity)));
            }
            answers.push(refused);
        }
        assert_eq!(answers[..6], [false, true, true, false, false, true]);
        assert_eq!(answers[6..], [false, true, true, false]);
        core.drain();
        core.handle(
            Input::Command(create("sip:a@127.0.0.1:9", StatusCallback::default()), Ticket(11)),
            now,
        );
        let refused = core.calls_refused();
        assert_eq!(refused, CallsRefused { busy: 5, draining: 1, ..CallsRefused::default() });
    }
}
