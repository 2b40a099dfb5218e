//! Which addresses may be reached. A name is resolved once, every address that it has is checked,
//! and the connection goes to a checked one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::failure::Unreachable;

/// What beyond the public internet is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guard {
    /// 127.0.0.0/8 and ::1.
    pub loopback: bool,
    /// The private ranges of RFC 1918, RFC 4193 and RFC 6598.
    pub private: bool,
}

/// Where clouds tell a machine its secrets, outside link-local: closed whatever is allowed.
const METADATA_V4: [Ipv4Addr; 2] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

impl Guard {
    /// Returns whether this address may be reached.
    pub fn allows(self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        if ip.is_loopback() {
            return self.loopback;
        }
        match ip {
            IpAddr::V4(ip) => self.allows_v4(ip),
            IpAddr::V6(ip) => self.allows_v6(ip),
        }
    }

    fn allows_v4(self, ip: Ipv4Addr) -> bool {
        let [a, b, c, _] = ip.octets();
        if METADATA_V4.contains(&ip) {
            return false;
        }
        if ip.is_private() || (a == 100 && (64..128).contains(&b)) {
            return self.private;
        }
        // "This network", link-local with its metadata services, tests, benchmarks, 6to4 relays,
        // multicast and what is reserved.
        !(a == 0
            || a >= 224
            || ip.is_link_local()
            || ip.is_documentation()
            || (a == 198 && (b == 18 || b == 19))
            || (a, b, c) == (192, 0, 0)
            || (a, b, c) == (192, 88, 99))
    }

    fn allows_v6(self, ip: Ipv6Addr) -> bool {
        if METADATA_V6.contains(&ip) {
            return false;
        }
        if ip.is_unique_local() {
            return self.private;
        }
        // Only the global unicast range is the internet. Out of it go 6to4 and Teredo, which lead
        // back into IPv4 unchecked, as NAT64 outside it does, and what is for protocols and books.
        let [first, second, ..] = ip.segments();
        (0x2000..0x4000).contains(&first)
            && first != 0x2002
            && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
            && !(first == 0x3fff && second < 0x1000)
    }

    /// Returns whether the host of an address that is written as numbers may be reached. Names
    /// are checked when they are resolved.
    pub fn allows_host(self, url: &Url) -> bool {
        match url.host() {
            Some(Host::Ipv4(ip)) => self.allows(ip.into()),
            Some(Host::Ipv6(ip)) => self.allows(ip.into()),
            Some(Host::Domain(_)) => true,
            None => false,
        }
    }

    /// Resolves a name to all of its addresses.
    ///
    /// # Errors
    /// When it has none, or one that may not be reached.
    pub async fn lookup(self, name: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
        let found = system_lookup()(name.to_owned()).await?;
        let checked = self.check(found).map_err(std::io::Error::other)?;
        Ok(checked.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }

    fn check(self, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, Unreachable> {
        if found.is_empty() {
            return Err(Unreachable::NoSuchName);
        }
        let allowed = found.iter().all(|&ip| self.allows(ip));
        if allowed { Ok(found) } else { Err(Unreachable::Forbidden) }
    }
}

type Found = Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;

/// Turns a name into addresses.
pub(crate) type Lookup = Arc<dyn Fn(String) -> Found + Send + Sync>;

/// Asks the system.
pub(crate) fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// A resolver that hands out checked addresses only.
pub(crate) struct Checked {
    pub(crate) guard: Guard,
    pub(crate) lookup: Lookup,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, found) = (self.guard, (self.lookup)(name.as_str().to_owned()));
        Box::pin(async move {
            let addresses = guard.check(found.await.unwrap_or_default())?;
            Ok(Box::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}
