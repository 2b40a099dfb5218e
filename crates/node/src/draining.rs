//! When no more calls are let in: while the node has no time for their sound, and when it goes down, at
//! the end of which all are hung up.

use std::time::Instant;

use exchange::Command;
use model::Now;

use crate::core::Core;

/// How much of a tick the least busy media thread may need before no call begins any more, and until when.
const BUSY_FROM: f32 = 0.75;
const BUSY_UNTIL: f32 = 0.65;
/// The same, of what it will need soon: who comes costs more at first than later.
const BUSY_SOON: f32 = 0.9;

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
pub(crate) fn begins_call(command: &Command) -> bool {
    matches!(command, Command::CreateCall(_) | Command::CreateParticipant(_))
}

impl Core {
    /// Says how much of each tick the media thread needs that needs least, 0 to 1, and soon will; the calls that are
    /// there keep their sound, and new ones are refused while that is too much.
    pub fn set_busy(&mut self, busy: f32, soon: f32) {
        let limit = if self.overloaded { BUSY_UNTIL } else { BUSY_FROM };
        self.overloaded = busy > limit || soon > BUSY_SOON;
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
    }
}
