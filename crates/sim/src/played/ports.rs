//! Ports that do not exist.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use media::LegId;
use node::PortPairs;

/// Ports that do not exist, each handed out once, and whose they are while they are open.
#[derive(Debug, Clone, Default)]
pub struct Ports(Arc<Mutex<(u16, BTreeMap<u16, LegId>)>>);

impl Ports {
    fn with<T>(&self, act: impl FnOnce(&mut (u16, BTreeMap<u16, LegId>)) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns whose an open port is.
    pub fn leg(&self, port: u16) -> Option<LegId> {
        self.with(|(_, open)| open.get(&port).copied())
    }

    /// Closes those of a leg.
    pub fn close(&self, leg: LegId) {
        self.with(|(_, open)| open.retain(|_, other| *other != leg));
    }

    /// Closes all.
    pub fn close_all(&self) {
        self.with(|(_, open)| open.clear());
    }
}

impl PortPairs for Ports {
    fn open(&mut self, leg: LegId) -> Option<u16> {
        self.with(|(last, open)| {
            *last = last.wrapping_add(2).max(40_000);
            open.insert(*last, leg);
            Some(*last)
        })
    }
}
