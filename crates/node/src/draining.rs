//! How a node goes down: first no call begins any more, then all are hung up.

use std::time::Instant;

use exchange::Command;
use model::Now;

use crate::core::Core;

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
            Self::Refusing => {
                matches!(command, Command::CreateCall(_) | Command::CreateParticipant(_))
            }
            Self::Draining(_) | Self::Drained => true,
        }
    }
}

impl Core {
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
