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

/// One leg's latch.
#[derive(Debug)]
pub struct Latch {
    signalled: SocketAddr,
    source: Option<(SocketAddr, u32, Instant)>,
}

impl Latch {
    pub fn new(signalled: SocketAddr) -> Self {
        Self { signalled, source: None }
    }

    /// A new session description names an address: whoever was latched must prove itself again.
    pub fn signal(&mut self, signalled: SocketAddr) {
        if signalled != self.signalled {
            *self = Self::new(signalled);
        }
    }

    /// Returns whether a packet that came from there is taken.
    pub fn admits(&mut self, from: SocketAddr, ssrc: u32, at: Instant) -> bool {
        let admitted = match self.source {
            None => true,
            Some((source, _, _)) if source == from => true,
            // The signalled address always wins over one that was only first.
            Some((source, _, _)) if from == self.signalled => source != self.signalled,
            Some((_, latched, last)) => {
                ssrc == latched && at.saturating_duration_since(last) > MOVES_AFTER
            }
        };
        if admitted {
            self.source = Some((from, ssrc, at));
        }
        admitted
    }

    /// Whether what comes from there was taken last.
    pub fn is_at(&self, from: SocketAddr) -> bool {
        self.source.is_some_and(|(source, _, _)| source == from)
    }

    /// Returns where to send.
    pub fn remote(&self) -> SocketAddr {
        self.source.map_or(self.signalled, |(source, _, _)| source)
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
}
