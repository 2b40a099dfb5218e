//! What happens when: virtual time, and what waits in it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Events in the order of their times; those of the same time in the order in which they were put.
#[derive(Debug)]
pub struct Agenda<E> {
    epoch: Instant,
    time: Duration,
    queue: BTreeMap<(Duration, u64), E>,
    last: u64,
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        // An origin is all that is taken from the clock: only differences count.
        Self { epoch: Instant::now(), time: Duration::ZERO, queue: BTreeMap::new(), last: 0 }
    }
}

impl<E> Agenda<E> {
    /// Returns how long the world has been.
    pub fn time(&self) -> Duration {
        self.time
    }

    /// Returns the present.
    pub fn instant(&self) -> Instant {
        self.epoch + self.time
    }

    /// Returns a moment as a time since the world began.
    pub fn since(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.epoch)
    }

    /// Returns a number that was never returned before.
    pub fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Puts something `after` the present.
    pub fn put(&mut self, after: Duration, event: E) {
        let number = self.number();
        self.queue.insert((self.time + after, number), event);
    }

    /// Returns what is next, and when.
    pub fn first(&self) -> Option<(Duration, &E)> {
        self.queue.first_key_value().map(|((at, _), event)| (*at, event))
    }

    /// Takes what is next; time passes until then.
    pub fn take(&mut self) -> Option<E> {
        let ((at, _), event) = self.queue.pop_first()?;
        self.pass_to(at);
        Some(event)
    }

    /// Lets time pass; never backwards.
    pub fn pass_to(&mut self, at: Duration) {
        self.time = self.time.max(at);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns how much waits.
    pub fn len(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_comes_in_the_order_of_its_time_and_then_of_its_putting() {
        let mut agenda = Agenda::default();
        for (after, name) in [(3, "c"), (1, "a"), (1, "b")] {
            agenda.put(Duration::from_secs(after), name);
        }
        assert_eq!(agenda.take(), Some("a"));
        agenda.put(Duration::from_secs(1), "between");
        let rest: Vec<_> = std::iter::from_fn(|| agenda.take()).collect();
        assert_eq!(rest, ["b", "between", "c"]);
        assert_eq!(agenda.time(), Duration::from_secs(3));
    }
}
