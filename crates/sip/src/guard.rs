//! Who guessed too often, and who asks for too much at once.
//!
//! Source: RFC 3261 section 22 leaves this to us.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Wrong proofs of one source within [`FAILURES_WINDOW`] before it is refused.
pub const FAILURES_MAX: u32 = 20;
/// See above.
pub const FAILURES_WINDOW: Duration = Duration::from_secs(60);
/// How long it is refused.
pub const BLOCK: Duration = Duration::from_secs(600);
/// Sources whose failures are remembered; the oldest make room.
pub const SOURCES_MAX: usize = 10_000;
/// Transactions that one source from elsewhere may have open.
pub const TRANSACTIONS_OF_SOURCE_MAX: usize = 1_000;
/// Calls that one source from elsewhere may have.
pub const CALLS_OF_SOURCE_MAX: usize = 500;

/// Returns under which address a source is counted: a network of version 6 gives out /64s.
pub fn source_of(address: SocketAddr) -> IpAddr {
    match address.ip().to_canonical() {
        IpAddr::V6(ip) => {
            let segments = ip.segments();
            let [a, b, c, d, ..] = segments;
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, if ip.is_loopback() { 1 } else { 0 }))
        }
        ip => ip,
    }
}

#[derive(Debug)]
struct Failures {
    since: Instant,
    count: u32,
    blocked: Option<Instant>,
}

/// The sources that guessed.
#[derive(Debug, Default)]
pub struct Guard {
    sources: BTreeMap<IpAddr, Failures>,
    order: VecDeque<IpAddr>,
}

impl Guard {
    /// Notes a wrong proof.
    pub fn failed(&mut self, source: IpAddr, now: Instant) {
        if !self.sources.contains_key(&source) {
            if self.order.len() >= SOURCES_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.sources.remove(&oldest);
            }
            self.order.push_back(source);
        }
        let new = Failures { since: now, count: 0, blocked: None };
        let failures = self.sources.entry(source).or_insert(new);
        if now.saturating_duration_since(failures.since) > FAILURES_WINDOW {
            (failures.since, failures.count) = (now, 0);
        }
        failures.count += 1;
        if failures.count >= FAILURES_MAX {
            failures.blocked = Some(now + BLOCK);
        }
    }

    /// Says whether a source is refused now.
    pub fn blocks(&self, source: IpAddr, now: Instant) -> bool {
        let blocked = self.sources.get(&source).and_then(|failures| failures.blocked);
        blocked.is_some_and(|until| now < until)
    }
}

/// What each source holds. Those on loopback share with nobody: they are the machine's own.
#[derive(Debug, Default)]
pub struct Shares {
    held: BTreeMap<IpAddr, (usize, usize)>,
}

impl Shares {
    /// Says whether a source may open one more transaction, and one more call.
    pub fn room(&self, source: IpAddr) -> (bool, bool) {
        let (transactions, calls) = self.held.get(&source).copied().unwrap_or_default();
        let free = source.is_loopback();
        (free || transactions < TRANSACTIONS_OF_SOURCE_MAX, free || calls < CALLS_OF_SOURCE_MAX)
    }

    /// Counts transactions and calls that were opened, or closed.
    pub fn count(&mut self, source: IpAddr, transactions: isize, calls: isize) {
        let held = self.held.entry(source).or_default();
        held.0 = held.0.saturating_add_signed(transactions);
        held.1 = held.1.saturating_add_signed(calls);
        if *held == (0, 0) {
            self.held.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods)] // An epoch.
    fn twenty_failures_within_a_minute_block_for_ten() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let [fast, slow] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(IpAddr::from);
        let mut guard = Guard::default();
        for count in 0..u64::from(FAILURES_MAX) {
            assert!(!guard.blocks(fast, after(count)), "after {count}");
            guard.failed(fast, after(count));
            guard.failed(slow, after(count * 7));
        }
        assert!(guard.blocks(fast, after(20)));
        assert!(guard.blocks(fast, after(19 + 599)));
        assert!(!guard.blocks(fast, after(19 + 600)));
        assert!(!guard.blocks(slow, after(7 * 20)));
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // An epoch.
    fn the_table_of_sources_is_bounded() {
        let now = Instant::now();
        let mut guard = Guard::default();
        for number in 0..2 * SOURCES_MAX as u32 {
            guard.failed(IpAddr::V4(number.into()), now);
        }
        assert_eq!(guard.sources.len(), SOURCES_MAX);
        assert_eq!(guard.order.len(), SOURCES_MAX);
    }

    #[test]
    fn a_network_of_version_6_is_one_source() {
        let source = |text: &str| source_of(text.parse().unwrap());
        assert_eq!(source("[2001:db8::1]:5060"), source("[2001:db8::2:1]:9"));
        assert_ne!(source("[2001:db8::1]:5060"), source("[2001:db8:0:1::1]:5060"));
        assert_eq!(source("[::ffff:192.0.2.1]:1"), source("192.0.2.1:2"));
        assert!(source("[::1]:1").is_loopback());
    }
}
