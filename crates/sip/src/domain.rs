//! Who may call and register under a name of ours.
//!
//! Source: RFC 3261 section 22; Twilio, SIP Domain resource, for what is asked of whom.

use std::net::IpAddr;

use crate::digest::Credentials;
use crate::sdp::SrtpPolicy;

/// An address, or all that begin like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// One of its addresses.
    pub address: IpAddr,
    /// How many bits all of them share.
    pub prefix: u8,
}

impl Network {
    /// Whether an address is one of these.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let shared = |one: u128, other: u128, bits: u8| {
            let differ = one ^ other;
            differ.leading_zeros() >= u32::from(self.prefix) + 128 - u32::from(bits)
        };
        match (self.address.to_canonical(), ip.to_canonical()) {
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                shared(one.to_bits().into(), other.to_bits().into(), 32)
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => shared(one.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }
}

/// By whom calls of others come: from an address that is enough, or with a proof.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gateway {
    /// What its calls are told apart by.
    pub name: String,
    /// From where nothing is asked of it.
    pub networks: Vec<Network>,
    /// What it proves elsewhere.
    pub callers: Vec<Credentials>,
    /// Whether its calls are encrypted; none: as everyone's.
    pub srtp: Option<SrtpPolicy>,
}

impl Gateway {
    /// Whether an address is enough.
    pub(crate) fn is_at(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(ip))
    }
}

/// What is asked of those who call and register under one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Domain {
    /// Whether calls may come from `networks` alone.
    pub asks_networks: bool,
    /// From where calls may come.
    pub networks: Vec<Network>,
    /// Whether calls may come of `callers` alone; where networks are asked for as well, both must fit.
    pub asks_callers: bool,
    /// Who may call.
    pub callers: Vec<Credentials>,
    /// Who may register, each under its own name.
    pub registrars: Vec<Credentials>,
    /// Whether it is reached by TLS alone, and its calls are encrypted.
    pub secure: bool,
}

impl Domain {
    /// Returns whose proof is asked for a call from an address: no list where it may not come, an
    /// empty one where nothing is asked.
    pub(crate) fn asks_callers(&self, ip: IpAddr) -> Option<Vec<Credentials>> {
        let open = self.asks_networks || self.asks_callers;
        let from_there =
            !self.asks_networks || self.networks.iter().any(|network| network.contains(ip));
        // A list in which nobody is lets nobody in.
        let someone = !self.asks_callers || !self.callers.is_empty();
        (open && from_there && someone).then(|| self.callers.clone())
    }

    /// Returns whose proof is asked for a registration of this user; none: it cannot register.
    pub(crate) fn asks_registrar(&self, user: &str) -> Option<Vec<Credentials>> {
        let known: Vec<_> =
            self.registrars.iter().filter(|one| one.user == user).cloned().collect();
        (!known.is_empty()).then_some(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(network: &str, prefix: u8, address: &str, expected: bool) {
        let network = Network { address: network.parse().unwrap(), prefix };
        assert_eq!(network.contains(address.parse().unwrap()), expected, "{network:?} {address}");
    }

    #[test]
    fn a_network_is_the_addresses_that_begin_like_it() {
        check("192.0.2.1", 32, "192.0.2.1", true);
        check("192.0.2.1", 32, "192.0.2.2", false);
        check("192.0.2.1", 24, "192.0.2.255", true);
        check("192.0.2.1", 24, "192.0.3.1", false);
        check("192.0.2.1", 0, "203.0.113.9", true);
        check("192.0.2.1", 0, "2001:db8::1", false);
        check("192.0.2.1", 32, "::ffff:192.0.2.1", true);
        check("2001:db8::1", 64, "2001:db8::2", true);
        check("2001:db8::1", 64, "2001:db8:0:1::1", false);
    }

    #[test]
    fn a_domain_without_lists_lets_nobody_in() {
        let ip = "192.0.2.1".parse().unwrap();
        assert_eq!(Domain::default().asks_callers(ip), None);
        assert_eq!(Domain::default().asks_registrar("alice"), None);
        let alice = Credentials { user: "alice".to_owned(), password: "secret".to_owned() };
        let networks = vec![Network { address: ip, prefix: 32 }];
        let (callers, registrars) = (vec![alice.clone()], vec![alice.clone()]);
        let (asks_networks, asks_callers) = (true, true);
        let secure = false;
        let both = Domain { asks_networks, networks, asks_callers, callers, registrars, secure };
        assert_eq!(both.asks_callers(ip), Some(vec![alice.clone()]));
        assert_eq!(both.asks_callers("192.0.2.2".parse().unwrap()), None);
        let empty = Domain { callers: Vec::new(), ..both.clone() };
        assert_eq!(empty.asks_callers(ip), None);
        assert_eq!(Domain { asks_callers: false, ..empty }.asks_callers(ip), Some(Vec::new()));
        assert_eq!(both.asks_registrar("alice"), Some(vec![alice]));
        assert_eq!(both.asks_registrar("bob"), None);
    }
}
