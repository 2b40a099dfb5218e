//! How much a core holds, for tests that want it to hold nothing.

use crate::core::Core;

/// How much of each kind a core holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// Calls that are not over.
    pub calls: usize,
    /// Calls that have ports.
    pub legs: usize,
    /// Rooms of conferences.
    pub rooms: usize,
    /// Recordings that run.
    pub recordings: usize,
    /// Sounds that were fetched and are not played yet, and those on their way.
    pub sounds: usize,
    /// What waits for commits, and outputs that wait to be polled.
    pub waiting: usize,
    /// Whether the exchange holds nothing and waits for nothing.
    pub exchange_is_idle: bool,
    /// SIP dialogs, early ones included.
    pub dialogs: usize,
    /// SIP transactions that are open.
    pub transactions: usize,
}

impl Census {
    /// Whether it holds nothing.
    pub fn is_idle(self) -> bool {
        let held = self.calls + self.legs + self.rooms + self.sounds + self.waiting;
        held + self.recordings + self.dialogs + self.transactions == 0 && self.exchange_is_idle
    }
}

impl Core {
    /// Counts what it holds.
    pub fn census(&self) -> Census {
        let sip = self.agent.stats();
        Census {
            calls: self.exchange.calls(),
            legs: self.calls.len().max(self.legs().len()),
            rooms: self.rooms.len(),
            recordings: self.recordings.len(),
            sounds: self.audio.len() + self.loading.len() + self.unplayable.len(),
            waiting: self.after.len()
                + self.committed.len()
                + self.late.len()
                + self.dialling.len()
                + self.parting.len()
                + self.outputs.len(),
            exchange_is_idle: self.exchange.is_idle(),
            dialogs: sip.dialogs,
            transactions: sip.transactions,
        }
    }
}
