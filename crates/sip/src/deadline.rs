//! What is due when: one deadline for each thing that waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crate::agent::CallId;

/// What can be due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A transaction of somebody who asked us.
    Server(Arc<str>),
    /// A transaction of ours.
    Client(Arc<str>),
    /// The session timer of a call.
    Session(CallId),
    /// A reliable provisional response that waits for its PRACK.
    Reliable(CallId),
    /// The bindings of a user.
    Bindings(Arc<str>),
}

/// The deadlines in order; setting and taking one costs the same however many there are.
#[derive(Debug, Default)]
pub struct Deadlines {
    due: BTreeSet<(Instant, Timer)>,
    of: BTreeMap<Timer, Instant>,
}

impl Deadlines {
    /// Sets, moves or clears the one deadline of a timer.
    pub fn set(&mut self, timer: Timer, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.of.insert(timer.clone(), at),
            None => self.of.remove(&timer),
        };
        if let Some(before) = before {
            self.due.remove(&(before, timer.clone()));
        }
        if let Some(at) = at {
            self.due.insert((at, timer));
        }
    }

    /// Returns the least deadline.
    pub fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes the first timer that is due.
    pub fn take(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.due.pop_first()?;
        self.of.remove(&timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods)] // An epoch.
    fn each_timer_has_one_deadline_and_they_come_in_order() {
        let now = Instant::now();
        let at = |seconds| Some(now + Duration::from_secs(seconds));
        let timer = |id| Timer::Session(CallId(id));
        let mut deadlines = Deadlines::default();
        for (id, seconds) in [(1, 5), (2, 3), (3, 4), (1, 2)] {
            deadlines.set(timer(id), at(seconds));
        }
        deadlines.set(timer(3), None);
        assert_eq!(deadlines.next(), at(2));
        assert_eq!(deadlines.take(now + Duration::from_secs(1)), None);
        let later = now + Duration::from_secs(9);
        assert_eq!(deadlines.take(later), Some(timer(1)));
        assert_eq!(deadlines.take(later), Some(timer(2)));
        assert_eq!(deadlines.take(later), None);
    }
}
