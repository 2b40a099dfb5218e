//! Sockets of legs that send nothing: who is on hold, waits alone or only listens.
//!
//! To ask an empty socket costs a system call. Those that have been empty for a while are left to the kernel, which
//! says of all of them at once which have something; these are asked again in the same tick as all others. Elsewhere
//! than on Linux each is asked in each tick.

use std::time::{Duration, Instant};

use media::LegId;

use super::Sockets;
use super::wire::Wire;

/// After so many sweeps in a row that found nothing a socket is watched: a second. Phones that send comfort noise, or
/// come back after a pause between two words, never come so far.
const EMPTY_SWEEPS: u32 = 50;
/// The kernel is asked no more often than this, however many parts a tick has.
const ASK_EVERY: Duration = Duration::from_millis(1);
/// Sockets of which one question learns that something has come, and how often it is asked in a row.
const FOUND_MAX: usize = 64;
const ASKS_MAX: usize = 256;

/// Those that are watched.
pub struct Quiet {
    set: set::Set,
    ask_at: Instant,
}

impl Quiet {
    pub fn new() -> Self {
        Self { set: set::Set::new(), ask_at: Instant::now() }
    }

    /// Asks the kernel who is quiet no longer.
    pub fn ask(&mut self, sockets: &mut Sockets, now: Instant) {
        if now < self.ask_at {
            return;
        }
        self.ask_at = now + ASK_EVERY;
        for _ in 0..ASKS_MAX {
            let found = self.set.ask();
            for place in 0..found {
                if let Some(wire) = sockets.get_mut(&self.set.found(place)) {
                    self.forget(wire);
                }
            }
            if found < FOUND_MAX {
                break;
            }
        }
    }

    /// Takes whether a sweep found something at a leg's socket for sound.
    pub fn swept(&mut self, leg: LegId, wire: &mut Wire, found: bool) {
        wire.swept(found);
        if wire.empty >= EMPTY_SWEEPS {
            // Where the system takes no more, it is swept as before.
            (wire.watched, wire.empty) = (self.set.watch(leg, &wire.rtp), 0);
        }
    }

    /// Watches a leg no longer: it has something, or goes elsewhere.
    pub fn forget(&mut self, wire: &mut Wire) {
        if std::mem::take(&mut wire.watched) {
            self.set.forget(&wire.rtp);
        }
    }
}

#[cfg(target_os = "linux")]
mod set {
    use media::LegId;
    use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

    use super::FOUND_MAX;
    use crate::arrival::Port;

    /// The sockets that the kernel watches. One that is closed is no longer among them.
    pub struct Set {
        epoll: Option<Epoll>,
        events: Box<[EpollEvent; FOUND_MAX]>,
    }

    impl Set {
        pub fn new() -> Self {
            let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC);
            let epoll = epoll.inspect_err(|error| tracing::warn!(%error, "all sockets are swept"));
            Self { epoll: epoll.ok(), events: Box::new([EpollEvent::empty(); FOUND_MAX]) }
        }

        /// Returns whether it is watched from now on.
        pub fn watch(&self, leg: LegId, port: &Port) -> bool {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, leg.0);
            self.epoll.as_ref().is_some_and(|epoll| epoll.add(&port.socket, event).is_ok())
        }

        pub fn forget(&self, port: &Port) {
            if let Some(epoll) = &self.epoll {
                // It is there, or nothing is to be done.
                let _ = epoll.delete(&port.socket);
            }
        }

        /// Finds those that have something now; returns how many.
        pub fn ask(&mut self) -> usize {
            let Some(epoll) = &self.epoll else { return 0 };
            epoll.wait(&mut *self.events, EpollTimeout::ZERO).unwrap_or(0)
        }

        /// Returns one of those that were found.
        pub fn found(&self, place: usize) -> LegId {
            LegId(self.events[place].data())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod set {
    use media::LegId;

    use crate::arrival::Port;

    /// Watches none.
    pub struct Set;

    impl Set {
        pub fn new() -> Self {
            Self
        }

        pub fn watch(&self, _: LegId, _: &Port) -> bool {
            false
        }

        pub fn forget(&self, _: &Port) {}

        pub fn ask(&mut self) -> usize {
            0
        }

        pub fn found(&self, _: usize) -> LegId {
            LegId(0)
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::arrival::Port;

    const LEG: LegId = LegId(7);

    fn wire() -> Wire {
        let port = || Port::new(UdpSocket::bind("127.0.0.1:0").unwrap(), true).unwrap();
        Wire::new(port(), port())
    }

    fn send(wire: &Wire) {
        let to = wire.rtp.socket.local_addr().unwrap();
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", to).unwrap();
    }

    /// Sweeps until it is watched.
    fn fall_quiet(quiet: &mut Quiet, wire: &mut Wire) {
        for _ in 0..EMPTY_SWEEPS {
            assert!(!wire.watched);
            quiet.swept(LEG, wire, false);
        }
        assert!(wire.watched);
    }

    #[test]
    fn who_is_quiet_for_a_second_is_watched_until_something_comes() {
        let (mut quiet, mut sockets) = (Quiet::new(), Sockets::default());
        let mut wire = wire();
        quiet.swept(LEG, &mut wire, false);
        quiet.swept(LEG, &mut wire, true);
        fall_quiet(&mut quiet, &mut wire);
        sockets.insert(LEG, wire);
        let start = Instant::now();
        for tick in 0..3 {
            quiet.ask(&mut sockets, start + ASK_EVERY * tick);
            assert!(sockets[&LEG].watched);
        }
        send(&sockets[&LEG]);
        quiet.ask(&mut sockets, start + ASK_EVERY * 2 + ASK_EVERY / 2);
        assert!(sockets[&LEG].watched, "it was asked just before");
        quiet.ask(&mut sockets, start + ASK_EVERY * 3);
        assert!(!sockets[&LEG].watched);
        // It is not found a second time, though nobody has read it.
        quiet.ask(&mut sockets, start + ASK_EVERY * 4);
        fall_quiet(&mut quiet, sockets.get_mut(&LEG).unwrap());
        quiet.ask(&mut sockets, start + ASK_EVERY * 5);
        assert!(!sockets[&LEG].watched, "what waited already is found as well");
    }

    #[test]
    fn a_leg_that_goes_elsewhere_is_watched_there_alone() {
        let (mut here, mut there, mut sockets) = (Quiet::new(), Quiet::new(), Sockets::default());
        let mut wire = wire();
        fall_quiet(&mut here, &mut wire);
        here.forget(&mut wire);
        fall_quiet(&mut there, &mut wire);
        sockets.insert(LEG, wire);
        send(&sockets[&LEG]);
        let now = Instant::now() + ASK_EVERY;
        here.ask(&mut sockets, now);
        assert!(sockets[&LEG].watched);
        there.ask(&mut sockets, now);
        assert!(!sockets[&LEG].watched);
        // One that is closed is gone from the set.
        fall_quiet(&mut there, sockets.get_mut(&LEG).unwrap());
        sockets.clear();
        assert_eq!(there.set.ask(), 0);
    }

    #[test]
    fn more_than_are_found_at_once_are_found_all() {
        let (mut quiet, mut sockets) = (Quiet::new(), Sockets::default());
        for number in 0..FOUND_MAX as u64 + 10 {
            let mut wire = wire();
            wire.watched = quiet.set.watch(LegId(number), &wire.rtp);
            send(&wire);
            sockets.insert(LegId(number), wire);
        }
        quiet.ask(&mut sockets, Instant::now() + ASK_EVERY);
        assert!(sockets.values().all(|wire| !wire.watched));
    }
}
