//! Where a `To` leads.
//!
//! Source: RFC 3261 sections 18.1 and 19.1, RFC 3263 section 4.2: names have addresses; service
//! records are not asked for.

use std::net::{IpAddr, SocketAddr};

use sip::{Callee, Peer, Transport};
use webhook::Guard;

/// Where SIP listens when an address does not say.
const PORT: u16 = 5_060;
/// The same by TLS.
const TLS_PORT: u16 = 5_061;

/// A SIP address as far as it says where to send to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub host: Host,
    pub port: u16,
    pub transport: Transport,
}

/// What stands for a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Ip(IpAddr),
    /// To be resolved.
    Name(String),
}

/// Returns the user that a `To` names which is no address: `client:bob?key=value` or `bob`.
pub fn user_in(to: &str) -> &str {
    let user = to.strip_prefix("client:").unwrap_or(to);
    user.split('?').next().unwrap_or(user)
}

impl Target {
    /// Reads `sip:user@host:port;transport=tcp` or `sips:host`, of which only the host is needed. With `secure=true`
    /// it is reached by TLS, as Twilio has it.
    pub fn parse(uri: &str) -> Option<Self> {
        let (scheme, rest) = uri.split_once(':')?;
        let is_sips = scheme.eq_ignore_ascii_case("sips");
        if !is_sips && !scheme.eq_ignore_ascii_case("sip") {
            return None;
        }
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let host = host.split('?').next()?;
        let (address, parameters) = host.split_once(';').unwrap_or((host, ""));
        let says = |wanted: &str| parameters.split(';').any(|one| one.eq_ignore_ascii_case(wanted));
        let transport = match () {
            () if is_sips || says("transport=tls") || says("secure=true") => Transport::Tls,
            () if says("transport=tcp") => Transport::Tcp,
            () => Transport::Udp,
        };
        let usual = if transport == Transport::Tls { TLS_PORT } else { PORT };
        let (host, port) = match address.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                (Host::Ip(IpAddr::V6(host.parse().ok()?)), port.strip_prefix(':'))
            }
            None => {
                let parts = address.split_once(':');
                let (host, port) = parts.map_or((address, None), |(host, port)| (host, Some(port)));
                (Host::parse(host)?, port)
            }
        };
        let port = port.map_or(Some(usual), |port| port.parse().ok().filter(|&port| port != 0))?;
        Some(Self { host, port, transport })
    }

    /// Returns where to send, of the addresses that the host has: one that a socket of `ours`
    /// reaches. None may be reached where one of them may not, so that no name leads astray.
    pub fn callee(&self, addresses: &[IpAddr], guard: Guard, ours: IpAddr) -> Option<Callee> {
        let allowed = addresses.iter().all(|&ip| guard.allows(ip));
        self.reached(addresses, ours).filter(|_| allowed)
    }

    /// Returns where to send, of addresses that need no leave: one that a socket of `ours` reaches.
    pub fn reached(&self, addresses: &[IpAddr], ours: IpAddr) -> Option<Callee> {
        let &ip = addresses.iter().find(|ip| ip.is_ipv4() == ours.is_ipv4())?;
        let peer = Peer { address: SocketAddr::new(ip, self.port), transport: self.transport };
        let host = match &self.host {
            Host::Name(name) if self.transport == Transport::Tls => Some(name.as_str().into()),
            Host::Name(_) | Host::Ip(_) => None,
        };
        Some(Callee { peer, host })
    }
}

impl Host {
    fn parse(host: &str) -> Option<Self> {
        if let Ok(ip) = host.parse() {
            return Some(Self::Ip(ip));
        }
        let is_sane = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_name = !host.is_empty() && host.chars().all(is_sane);
        is_name.then(|| Self::Name(host.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_host_port_and_transport() {
        check("sip:a@127.0.0.1", "127.0.0.1", 5_060, Transport::Udp);
        check("SIP:127.0.0.1:5080", "127.0.0.1", 5_080, Transport::Udp);
        check("sip:a:pass@127.0.0.1;transport=TCP?x=y", "127.0.0.1", 5_060, Transport::Tcp);
        check("sip:a;b=c?d@127.0.0.1:5080", "127.0.0.1", 5_080, Transport::Udp);
        check("sip:a@[::1]:5080;lr", "::1", 5_080, Transport::Udp);
        check("sips:a@pbx.example.org", "pbx.example.org", 5_061, Transport::Tls);
        check("sips:a@127.0.0.1:5080;transport=tcp", "127.0.0.1", 5_080, Transport::Tls);
        check("sip:a@127.0.0.1;transport=tls", "127.0.0.1", 5_061, Transport::Tls);
        check("sip:a@127.0.0.1;secure=true", "127.0.0.1", 5_061, Transport::Tls);
        check("sip:a@pbx.example.org:5080", "pbx.example.org", 5_080, Transport::Udp);
    }

    #[test]
    fn what_is_no_sip_address_leads_nowhere() {
        for uri in [
            "tel:+15551234",
            "client:alice",
            "alice",
            "sip:",
            "sip:a@",
            "sip:a@127.0.0.1:0",
            "sip:a@127.0.0.1:70000",
            "sip:a@[127.0.0.1]",
            "sip:a@<localhost>",
        ] {
            assert_eq!(Target::parse(uri), None, "{uri}");
        }
    }

    #[test]
    fn a_name_leads_where_our_socket_reaches_and_nowhere_if_one_address_is_forbidden() {
        let guard = Guard { loopback: true, private: false };
        let target = Target::parse("sip:a@localhost").unwrap();
        let to = |addresses: &[&str], ours: &str| {
            let addresses: Vec<IpAddr> = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
            let callee = target.callee(&addresses, guard, ours.parse().unwrap());
            callee.map(|callee| callee.peer.address.to_string())
        };
        assert_eq!(to(&["::1", "127.0.0.1"], "127.0.0.1").as_deref(), Some("127.0.0.1:5060"));
        assert_eq!(to(&["127.0.0.1", "::1"], "::1").as_deref(), Some("[::1]:5060"));
        assert_eq!(to(&["::1"], "127.0.0.1"), None);
        assert_eq!(to(&[], "127.0.0.1"), None);
        assert_eq!(to(&["10.0.0.1"], "127.0.0.1"), None);
        assert_eq!(to(&["127.0.0.1", "169.254.169.254"], "127.0.0.1"), None);
    }

    #[test]
    fn by_tls_a_name_that_was_looked_up_is_to_be_proven() {
        let ours = "127.0.0.1".parse().unwrap();
        let proves = |uri: &str| {
            let callee = Target::parse(uri).unwrap().reached(&[ours], ours).unwrap();
            callee.host.map(|host| host.to_string())
        };
        assert_eq!(proves("sips:a@localhost").as_deref(), Some("localhost"));
        assert_eq!(proves("sips:a@127.0.0.1"), None);
        assert_eq!(proves("sip:a@localhost"), None);
    }

    fn check(uri: &str, host: &str, port: u16, transport: Transport) {
        let host = Host::parse(host).or_else(|| host.parse().map(Host::Ip).ok()).unwrap();
        assert_eq!(Target::parse(uri), Some(Target { host, port, transport }), "{uri}");
    }
}
