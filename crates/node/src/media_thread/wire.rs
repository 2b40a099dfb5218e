//! The two sockets of a leg.
//!
//! A socket that is connected spares the kernel to look for the way with each datagram, which is an eighth of what
//! a packet costs. But it hears nobody else, and a phone may move: so it is connected only to a far end that has
//! settled, and only for as long as something comes from there.

use std::io;
use std::net::SocketAddr;

use media::{Channel, Transmit};

use crate::arrival::Port;

/// After so many sweeps that found nothing, whoever else sends something is heard again: a fifth of a second, long
/// before another may take the source's place.
const PAUSE_SWEEPS: u32 = 10;

/// The sockets of a leg.
#[derive(Debug)]
pub struct Wire {
    pub rtp: Port,
    pub rtcp: Port,
    /// Where the socket for sound is connected to.
    peer: Option<SocketAddr>,
    /// Whether it may be: it never is again after that has failed, or its far end has refused something.
    connects: bool,
    /// Sweeps that found nothing at the socket for sound, since something came.
    pub empty: u32,
    /// Whether the kernel is to say when something comes.
    pub watched: bool,
}

impl Wire {
    pub fn new(rtp: Port, rtcp: Port) -> Self {
        let connects = cfg!(target_os = "linux");
        Self { rtp, rtcp, peer: None, connects, empty: 0, watched: false }
    }

    /// Sends a datagram. What a full socket buffer drops is lost, as on any wire.
    pub fn send(&mut self, transmit: &Transmit<'_>) {
        let Transmit { channel, to, settled, octets, .. } = *transmit;
        if channel == Channel::Rtcp {
            let _ = self.rtcp.socket.send_to(octets, to);
            return;
        }
        if self.peer != Some(to) {
            self.disconnect();
            if settled && self.connects {
                self.connect(to);
            }
        }
        if self.peer.is_some() {
            match self.rtp.socket.send(octets) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    // It speaks of an earlier datagram, and this one has not left.
                    self.connects = false;
                    self.disconnect();
                }
                _ => return,
            }
        }
        let _ = self.rtp.socket.send_to(octets, to);
    }

    /// Takes whether a sweep of the socket for sound found something.
    pub fn swept(&mut self, found: bool) {
        self.empty = if found { 0 } else { self.empty.saturating_add(1) };
        if self.empty >= PAUSE_SWEEPS {
            self.disconnect();
        }
    }

    fn connect(&mut self, to: SocketAddr) {
        self.connects = self.rtp.socket.connect(to).is_ok();
        self.peer = self.connects.then_some(to);
    }

    fn disconnect(&mut self) {
        if self.peer.take().is_some()
            && let Err(error) = rustix::net::connect_unspec(&self.rtp.socket)
        {
            tracing::error!(%error, "a socket stays connected");
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    use media::LegId;

    use super::*;
    use crate::arrival::Reader;

    /// A wire at any address of this machine, as ports are bound, and two who may send to it.
    fn wire() -> (Wire, UdpSocket, UdpSocket) {
        let port = || {
            // A number that is asked for stays when the socket is disconnected; one that the system chose does not.
            let free = UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap();
            Port::new(UdpSocket::bind(free).unwrap(), true).unwrap()
        };
        let far = || {
            let far = UdpSocket::bind("127.0.0.1:0").unwrap();
            far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            far
        };
        (Wire::new(port(), port()), far(), far())
    }

    fn send(wire: &mut Wire, to: &UdpSocket, settled: bool) {
        send_to(wire, to.local_addr().unwrap(), settled);
    }

    fn send_to(wire: &mut Wire, to: SocketAddr, settled: bool) {
        let leg = LegId(1);
        wire.send(&Transmit { leg, channel: Channel::Rtp, to, settled, octets: b"sound" });
    }

    #[track_caller]
    fn receives(far: &UdpSocket) {
        assert_eq!(far.recv(&mut [0; 16]).unwrap(), 5);
    }

    /// Sends a datagram to the wire; returns whether it is heard.
    fn is_heard(wire: &mut Wire, from: &UdpSocket) -> bool {
        let port = wire.rtp.socket.local_addr().unwrap().port();
        from.send_to(b"voice", ("127.0.0.1", port)).unwrap();
        let mut reader = Reader::new();
        reader.begin(Instant::now());
        let mut heard = false;
        reader.receive(&wire.rtp, 32, |datagram| {
            heard |= datagram.from == from.local_addr().unwrap();
        });
        wire.swept(heard);
        heard
    }

    #[test]
    fn who_has_settled_is_heard_alone_until_it_pauses() {
        let (mut wire, phone, stranger) = wire();
        send(&mut wire, &phone, false);
        receives(&phone);
        assert!(is_heard(&mut wire, &stranger));
        send(&mut wire, &phone, true);
        receives(&phone);
        assert!(is_heard(&mut wire, &phone));
        for _ in 0..PAUSE_SWEEPS {
            assert!(!is_heard(&mut wire, &stranger));
        }
        assert!(is_heard(&mut wire, &stranger), "it may be the phone at a new place");
        send(&mut wire, &phone, false);
        receives(&phone);
        assert!(is_heard(&mut wire, &phone));
    }

    #[test]
    fn it_is_sent_to_another_place_at_once() {
        let (mut wire, phone, other) = wire();
        send(&mut wire, &phone, true);
        send(&mut wire, &other, false);
        receives(&other);
        assert!(is_heard(&mut wire, &other));
        send(&mut wire, &phone, true);
        send(&mut wire, &other, true);
        receives(&other);
        assert!(!is_heard(&mut wire, &phone));
    }

    #[test]
    fn who_refuses_is_sent_to_all_the_same() {
        let (mut wire, phone, other) = wire();
        let at = phone.local_addr().unwrap();
        drop(phone);
        // That it is refused is told with the next one.
        send_to(&mut wire, at, true);
        let phone = UdpSocket::bind(at).unwrap();
        phone.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        send_to(&mut wire, at, true);
        receives(&phone);
        assert!(is_heard(&mut wire, &other), "it is connected no more");
    }
}
