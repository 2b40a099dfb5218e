//! Which addresses may be reached. A name is resolved once, every address that it has is checked,
//! and the connection goes to a checked one.

use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// What beyond the public internet is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guard {
    /// 127.0.0.0/8 and ::1.
    pub loopback: bool,
    /// The private ranges of RFC 1918, RFC 4193 and RFC 6598.
    pub private: bool,
}

impl Guard {
    /// Returns whether this address may be reached.
    pub fn allows(self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        if ip.is_loopback() {
            return self.loopback;
        }
        match ip {
            IpAddr::V4(ip) => {
                let [a, b, ..] = ip.octets();
                if ip.is_private() || (a == 100 && (64..128).contains(&b)) {
                    return self.private;
                }
                // "This network", link-local with its metadata services, tests, benchmarks,
                // multicast and what is reserved.
                !(a == 0
                    || ip.is_link_local()
                    || ip.is_documentation()
                    || a >= 224
                    || (a == 198 && (b == 18 || b == 19))
                    || ip.octets()[..3] == [192, 0, 0])
            }
            IpAddr::V6(ip) => {
                if ip.is_unique_local() {
                    return self.private;
                }
                // Only the global unicast range is the internet; 6to4, Teredo and NAT64 lead back
                // into IPv4 unchecked.
                let [first, second, ..] = ip.segments();
                (0x2000..0x4000).contains(&first)
                    && first != 0x2002
                    && (first, second) != (0x2001, 0)
            }
        }
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
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = *self;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> = found.collect();
            if addresses.iter().any(|address| !guard.allows(address.ip())) {
                return Err(format!("{} is not allowed to be reached", name.as_str()).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
