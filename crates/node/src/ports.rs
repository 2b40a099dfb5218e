//! Pairs of UDP ports for RTP and RTCP.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::arrival::Port;

/// Hands out pairs, each time from where it last stopped.
#[derive(Debug)]
pub struct Ports {
    ip: IpAddr,
    range: (u16, u16),
    next: u16,
}

impl Ports {
    pub fn new(ip: IpAddr, range: (u16, u16)) -> Self {
        Self { ip, range, next: range.0.next_multiple_of(2) }
    }

    /// Binds an even port and the odd one after it.
    ///
    /// # Errors
    /// When no pair of the range is free.
    pub fn bind(&mut self) -> io::Result<(Port, Port)> {
        let (first, last) = (self.range.0.next_multiple_of(2), self.range.1);
        for _ in (first..last).step_by(2) {
            let port = self.next;
            self.next = if port >= last.saturating_sub(3) { first } else { port + 2 };
            let pair = UdpSocket::bind(SocketAddr::new(self.ip, port)).and_then(|rtp| {
                let rtcp = UdpSocket::bind(SocketAddr::new(self.ip, port + 1))?;
                Ok((Port::new(rtp, true)?, Port::new(rtcp, true)?))
            });
            if let Ok(pair) = pair {
                return Ok(pair);
            }
        }
        Err(io::Error::other("every port of --rtp-ports is taken"))
    }
}
