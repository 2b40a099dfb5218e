//! How often one source may fail to say who it is, and how much one account may ask at once.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::AccountSid;

use crate::error::ApiError;

/// The requests of each account that are handled just now.
#[derive(Debug, Default)]
pub struct InFlight(Mutex<BTreeMap<AccountSid, usize>>);

/// One of them.
#[derive(Debug)]
pub struct OneInFlight<'a> {
    all: &'a InFlight,
    account: AccountSid,
    /// How many of the account there are, with this one.
    pub count: usize,
}

impl InFlight {
    /// Counts a request until what it returns is dropped.
    ///
    /// # Errors
    /// 429 beyond `max`.
    pub fn begin(&self, account: AccountSid, max: usize) -> Result<OneInFlight<'_>, ApiError> {
        let mut counts = self.lock();
        let count = counts.entry(account).or_default();
        if *count >= max {
            return Err(ApiError::too_many("Too Many Requests", Duration::from_secs(1)));
        }
        *count += 1;
        Ok(OneInFlight { all: self, account, count: *count })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AccountSid, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OneInFlight<'_> {
    fn drop(&mut self) {
        let mut counts = self.all.lock();
        match counts.get_mut(&self.account) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.account)),
        }
    }
}

/// Failed logins of one source within [`LOGINS_WINDOW`]; the next one is not even looked at.
pub const LOGINS_MAX: u32 = 20;
/// How long a failed login counts.
pub const LOGINS_WINDOW: Duration = Duration::from_secs(60);
/// How long a source that failed too often is turned away.
pub const LOGINS_BLOCK: Duration = Duration::from_secs(600);
/// Sources that are remembered; beyond, the one that failed first is forgotten.
const SOURCES_MAX: usize = 10_000;

/// The failed logins of each source.
///
/// Loopback is not counted: behind a reverse proxy everyone comes from there.
#[derive(Debug, Default)]
pub struct Logins(BTreeMap<IpAddr, Failures>);

#[derive(Debug)]
struct Failures {
    since: Instant,
    count: u32,
}

impl Logins {
    /// Returns how long this source is still turned away.
    pub fn blocked(&self, source: IpAddr, now: Instant) -> Option<Duration> {
        let failures = self.0.get(&network(source))?;
        let until = failures.since + LOGINS_BLOCK;
        (failures.count >= LOGINS_MAX && now < until).then(|| until - now)
    }

    /// Counts a failed login.
    pub fn failed(&mut self, source: IpAddr, now: Instant) {
        if source.to_canonical().is_loopback() {
            return;
        }
        if self.0.len() >= SOURCES_MAX
            && let Some(oldest) = self.0.iter().min_by_key(|(_, failures)| failures.since)
        {
            let oldest = *oldest.0;
            self.0.remove(&oldest);
        }
        let failures = self.0.entry(network(source)).or_insert(Failures { since: now, count: 0 });
        if now.duration_since(failures.since) > LOGINS_WINDOW {
            *failures = Failures { since: now, count: 0 };
        }
        failures.count += 1;
        if failures.count == LOGINS_MAX {
            failures.since = now;
            tracing::warn!(%source, "failed to log in {LOGINS_MAX} times; it is turned away");
        }
    }
}

/// An IPv6 host has a /64 to itself.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(source: &str, count: u32, apart: Duration) -> (Logins, Instant) {
        let (mut logins, mut now) = (Logins::default(), Instant::now());
        for _ in 0..count {
            now += apart;
            logins.failed(source.parse().unwrap(), now);
        }
        (logins, now)
    }

    #[test]
    fn a_source_that_fails_too_often_is_turned_away_for_ten_minutes() {
        let source = "192.0.2.1".parse().unwrap();
        let (logins, now) = failures("192.0.2.1", LOGINS_MAX - 1, Duration::from_secs(1));
        assert_eq!(logins.blocked(source, now), None);
        let (logins, now) = failures("192.0.2.1", LOGINS_MAX, Duration::from_secs(1));
        assert_eq!(logins.blocked(source, now), Some(LOGINS_BLOCK));
        assert_eq!(logins.blocked(source, now + LOGINS_BLOCK), None);
        assert_eq!(logins.blocked("192.0.2.2".parse().unwrap(), now), None);
    }

    #[test]
    fn failures_that_are_far_apart_do_not_add_up() {
        let (logins, now) = failures("192.0.2.1", 100, Duration::from_secs(30));
        assert_eq!(logins.blocked("192.0.2.1".parse().unwrap(), now), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_source_and_loopback_is_none() {
        let (logins, now) = failures("2001:db8::1", LOGINS_MAX, Duration::ZERO);
        assert!(logins.blocked("2001:db8::2".parse().unwrap(), now).is_some());
        assert!(logins.blocked("2001:db8:0:1::2".parse().unwrap(), now).is_none());
        let (logins, now) = failures("127.0.0.1", LOGINS_MAX, Duration::ZERO);
        assert!(logins.blocked("127.0.0.1".parse().unwrap(), now).is_none());
    }

    #[test]
    fn no_more_sources_are_remembered_than_may_be() {
        let (mut logins, now) = (Logins::default(), Instant::now());
        for number in 0..SOURCES_MAX as u32 + 100 {
            logins.failed(IpAddr::from((0x0a00_0000 + number).to_be_bytes()), now);
        }
        assert_eq!(logins.0.len(), SOURCES_MAX);
    }
}
