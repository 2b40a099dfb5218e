//! From where a leg's packets are taken, and where its own are sent.
//!
//! Behind a NAT the address in the session description is not the one that packets come from.
//! Who sends from the host that was named, or from that which signals, is taken at once; anybody else when it has sent for
//! a while and nobody has come for whom more speaks. From then on nobody else gets in, so that a stranger who guesses the
//! port can neither be heard nor draw the sound away.
//!
//! Source: RFC 4961; RFC 7362 on latching.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// After this much silence of the source, another may take its place: a NAT that lost its state.
const MOVES_AFTER: Duration = Duration::from_secs(3);
/// A source for which nothing speaks is taken when it has sent for so long, and is forgotten when it has not for so long.
const WAITS: Duration = Duration::from_millis(250);
const FORGOTTEN_AFTER: Duration = Duration::from_secs(1);
/// A source has settled that has sent for so long without a pause of so long.
const SETTLES_AFTER: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);

/// One leg's latch.
#[derive(Debug)]
pub struct Latch {
    signalled: SocketAddr,
    /// The host that signals: behind a NAT the sound comes from there as well.
    signals_from: Option<IpAddr>,
    found: Option<Found>,
    /// One for which nothing speaks, until it is taken.
    candidate: Option<Found>,
}

/// What speaks for a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    Nothing,
    /// Its host was named, or signals.
    Host,
    /// It was named itself.
    Signalled,
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
    pub fn new(signalled: SocketAddr, signals_from: Option<IpAddr>) -> Self {
        Self { signalled, signals_from, found: None, candidate: None }
    }

    /// A new session description names an address: whoever was latched must prove itself again.
    pub fn signal(&mut self, signalled: SocketAddr, signals_from: Option<IpAddr>) {
        if signalled != self.signalled {
            *self = Self::new(signalled, signals_from);
        }
        self.signals_from = signals_from;
    }

    fn claim(&self, source: SocketAddr) -> Claim {
        match source.ip() {
            _ if source == self.signalled => Claim::Signalled,
            host if host == self.signalled.ip() || Some(host) == self.signals_from => Claim::Host,
            _ => Claim::Nothing,
        }
    }

    /// Returns whether a source for which nothing speaks has sent for long enough.
    fn has_waited(&mut self, source: SocketAddr, ssrc: u32, at: Instant) -> bool {
        let is_there = |one: &Found| at.saturating_duration_since(one.last) < FORGOTTEN_AFTER;
        let since = match self.candidate.filter(is_there) {
            Some(one) if one.source != source => return false,
            Some(one) => one.since,
            None => at,
        };
        self.candidate = Some(Found { source, ssrc, last: at, since });
        at.saturating_duration_since(since) >= WAITS
    }

    /// Returns whether a packet that came from there is taken; `proven` is whether only the far end can have made it.
    pub fn admits(&mut self, from: SocketAddr, ssrc: u32, at: Instant, proven: bool) -> bool {
        let admitted = match self.found {
            None if proven || self.claim(from) > Claim::Nothing => true,
            None => self.has_waited(from, ssrc, at),
            Some(found) if found.source == from => true,
            // Whoever was only first has to give way.
            Some(found) if self.claim(from) > self.claim(found.source) => true,
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
        let mut latch = Latch::new(at(1), None);
        assert!(latch.admits(at(1), 7, now, false));
        assert!(!latch.admits(at(66), 8, now + Duration::from_secs(60), false));
        assert_eq!(latch.remote(), at(1));
    }

    #[test]
    fn a_phone_behind_a_nat_is_found_and_followed() {
        let now = Instant::now();
        let mut latch = Latch::new(at(1), None);
        assert!(latch.admits(at(2), 7, now, false));
        assert_eq!(latch.remote(), at(2));
        assert!(!latch.admits(at(3), 7, now + Duration::from_secs(1), false));
        assert!(latch.admits(at(3), 7, now + Duration::from_secs(5), false));
        assert_eq!(latch.remote(), at(3));
        assert!(latch.admits(at(1), 9, now + Duration::from_secs(5), false));
        assert!(!latch.admits(at(3), 7, now + Duration::from_secs(60), false));
    }

    #[test]
    fn a_stranger_who_comes_first_gives_way_to_who_signals() {
        let host = |host: u8| SocketAddr::from(([10, 0, 0, host], 4_000));
        let signalled = SocketAddr::from(([192, 168, 0, 5], 4_000));
        let start = Instant::now();
        let after = |ms: u64| start + Duration::from_millis(ms);
        // A thousand packets a second from elsewhere, and the phone's first one after 200 ms.
        let mut latch = Latch::new(signalled, Some(host(1).ip()));
        assert!((0..200).all(|ms| !latch.admits(host(66), 8, after(ms), false)));
        assert_eq!(latch.remote(), signalled);
        assert!(latch.admits(host(1), 7, after(200), false));
        assert!((200..60_000).all(|ms| !latch.admits(host(66), 8, after(ms), false)));
        assert_eq!(latch.remote(), host(1));
        // Its first one after a second.
        let mut latch = Latch::new(signalled, Some(host(1).ip()));
        let admitted = (0..1_000).filter(|ms| latch.admits(host(66), 8, after(*ms), false)).count();
        assert_eq!(admitted, 750, "nobody else sends");
        assert!(latch.admits(host(1), 7, after(1_000), false));
        assert!(!latch.admits(host(66), 8, after(1_001), false));
        assert!(!latch.admits(host(67), 7, after(1_001), false));
    }

    #[test]
    fn who_sends_from_a_host_that_nobody_named_is_heard_after_a_while() {
        let relay = |host: u8| SocketAddr::from(([10, 0, 0, host], 4_000));
        let start = Instant::now();
        let after = |ms: u64| start + Duration::from_millis(ms);
        let mut latch = Latch::new(at(1), None);
        let sent = (0..50).map(|number| number * 20);
        let admitted = sent.filter(|ms| latch.admits(relay(1), 7, after(*ms), false)).count();
        assert_eq!(admitted, 50 - 13);
        // One that sends now and then, and no other while it does.
        let mut latch = Latch::new(at(1), None);
        assert!((0..20).all(|number| !latch.admits(relay(1), 7, after(number * 1_000), false)));
        assert!(!latch.admits(relay(2), 8, after(19_500), false));
        assert!(latch.admits(relay(1), 7, after(19_600), false));
    }

    /// Takes a packet each 20 ms; returns when the last one came.
    fn send(latch: &mut Latch, port: u16, from: Instant, packets: u32) -> Instant {
        for index in 0..packets {
            latch.admits(at(port), 7, from + Duration::from_millis(20) * index, false);
        }
        from + Duration::from_millis(20) * (packets - 1)
    }

    #[test]
    fn who_sends_for_a_second_from_where_it_was_said_to_be_has_settled_until_it_pauses() {
        let mut latch = Latch::new(at(1), None);
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
        latch.signal(at(2), None);
        assert!(!latch.is_settled(last), "it is said to be elsewhere");
    }

    #[test]
    fn one_behind_a_nat_never_settles() {
        let mut latch = Latch::new(at(1), None);
        let last = send(&mut latch, 2, Instant::now(), 500);
        assert_eq!(latch.remote(), at(2));
        assert!(!latch.is_settled(last));
        assert!(latch.admits(at(1), 9, last, false));
    }
}
