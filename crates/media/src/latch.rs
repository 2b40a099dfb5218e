//! From where a leg's packets are taken, and where its own are sent.
//!
//! Behind a NAT the address in the session description is not the one that packets come from.
//! The first plausible source is taken; from then on nobody else gets in, so that a stranger who
//! guesses the port can neither be heard nor draw the sound away.
//!
//! Source: RFC 4961; RFC 7362 on latching.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// After this much silence of the source, another may take its place: a NAT that lost its state.
const MOVES_AFTER: Duration = Duration::from_secs(3);
/// A source has settled that has sent for so long without a pause of so long.
const SETTLES_AFTER: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);

/// One leg's latch.
#[derive(Debug)]
pub struct Latch {
    signalled: SocketAddr,
    found: Option<Found>,
}

/// The source that packets are taken from.
#[derive(Debug, Clone, Copy)]
struct Found {
    source: SocketAddr,
    ssrc: u32,
    /// When its last packet came, and since when they have come without a pause.
    last: Instant,
    since: Instant,
}

impl Found {
    fn sends(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < PAUSE
    }
}

impl Latch {
    pub fn new(signalled: SocketAddr) -> Self {
        Self { signalled, found: None }
    }

    /// A new session description names an address: whoever was latched must prove itself again.
    pub fn signal(&mut self, signalled: SocketAddr) {
        if signalled != self.signalled {
            *self = Self::new(signalled);
        }
    }

    /// Returns whether a packet that came from there is taken.
    pub fn admits(&mut self, from: SocketAddr, ssrc: u32, at: Instant) -> bool {
        let admitted = match self.found {
            None => true,
            Some(found) if found.source == from => true,
            // The signalled address always wins over one that was only first.
            Some(found) if from == self.signalled => found.source != self.signalled,
            Some(found) => {
                ssrc == found.ssrc && at.saturating_duration_since(found.last) > MOVES_AFTER
            }
        };
        if admitted {
            let goes_on = self.found.filter(|found| found.source == from && found.sends(at));
            let since = goes_on.map_or(at, |found| found.since);
            self.found = Some(Found { source: from, ssrc, last: at, since });
        }
        admitted
    }

    /// Whether what comes from there was taken last.
    pub fn is_at(&self, from: SocketAddr) -> bool {
        self.found.is_some_and(|found| found.source == from)
    }

    /// Whether packets come without a pause from where they were said to come from, so that nobody else would be
    /// admitted now. One behind a NAT never settles: who is where it was said to be would be let in.
    pub fn is_settled(&self, now: Instant) -> bool {
        self.found.is_some_and(|found| {
            found.source == self.signalled
                && found.last.saturating_duration_since(found.since) >= SETTLES_AFTER
                && found.sends(now)
        })
    }

    /// Returns where to send.
    pub fn remote(&self) -> SocketAddr {
        self.found.map_or(self.signalled, |found| found.source)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_stranger_can_not_steal_a_leg() {
        let now = Instant::now();
        let mut latch = Latch::new(at(1));
        assert!(latch.admits(at(1), 7, now));
        assert!(!latch.admits(at(66), 8, now + Duration::from_secs(60)));
        assert_eq!(latch.remote(), at(1));
    }

    #[test]
    fn a_phone_behind_a_nat_is_found_and_followed() {
        let now = Instant::now();
        let mut latch = Latch::new(at(1));
        assert!(latch.admits(at(2), 7, now));
        assert_eq!(latch.remote(), at(2));
        assert!(!latch.admits(at(3), 7, now + Duration::from_secs(1)));
        assert!(latch.admits(at(3), 7, now + Duration::from_secs(5)));
        assert_eq!(latch.remote(), at(3));
        assert!(latch.admits(at(1), 9, now + Duration::from_secs(5)));
        assert!(!latch.admits(at(3), 7, now + Duration::from_secs(60)));
    }

    /// Takes a packet each 20 ms; returns when the last one came.
    fn send(latch: &mut Latch, port: u16, from: Instant, packets: u32) -> Instant {
        for index in 0..packets {
            latch.admits(at(port), 7, from + Duration::from_millis(20) * index);
        }
        from + Duration::from_millis(20) * (packets - 1)
    }

    #[test]
    fn who_sends_for_a_second_from_where_it_was_said_to_be_has_settled_until_it_pauses() {
        let mut latch = Latch::new(at(1));
        assert!(!latch.is_settled(Instant::now()));
        let last = send(&mut latch, 1, Instant::now(), 50);
        assert!(!latch.is_settled(last));
        let last = send(&mut latch, 1, last + Duration::from_millis(20), 2);
        assert!(latch.is_settled(last + Duration::from_millis(99)));
        assert!(!latch.is_settled(last + PAUSE));
        let last = send(&mut latch, 1, last + PAUSE, 50);
        assert!(!latch.is_settled(last), "it paused");
        let last = send(&mut latch, 1, last, 3);
        assert!(latch.is_settled(last));
        latch.signal(at(2));
        assert!(!latch.is_settled(last), "it is said to be elsewhere");
    }

    #[test]
    fn one_behind_a_nat_never_settles() {
        let mut latch = Latch::new(at(1));
        let last = send(&mut latch, 2, Instant::now(), 500);
        assert_eq!(latch.remote(), at(2));
        assert!(!latch.is_settled(last));
        assert!(latch.admits(at(1), 9, last));
    }
}
