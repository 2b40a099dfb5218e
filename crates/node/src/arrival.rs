//! Datagrams with the time at which they came, as the kernel noted it.
//!
//! Sockets are swept once a tick, so the time of the sweep says little about the network: what is
//! needed for a short and steady jitter buffer is when the datagram reached this machine.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Instant, SystemTime};

/// Longest datagram that is read whole; what is longer is no sound of ours.
const DATAGRAM_MAX: usize = 2_048;

/// One datagram.
pub struct Datagram<'a> {
    pub from: SocketAddr,
    pub octets: &'a [u8],
    pub at: Instant,
}

/// What is needed to read many sockets, one after the other.
pub struct Reader {
    datagram: [u8; DATAGRAM_MAX],
    #[cfg(target_os = "linux")]
    control: Vec<u8>,
    /// The same moment on both clocks, taken when a sweep begins.
    now: (Instant, SystemTime),
}

impl Reader {
    pub fn new() -> Self {
        Self {
            datagram: [0; DATAGRAM_MAX],
            #[cfg(target_os = "linux")]
            control: nix::cmsg_space!(nix::sys::time::TimeSpec),
            now: (Instant::now(), SystemTime::now()),
        }
    }

    /// Takes the time of a sweep.
    pub fn begin(&mut self, now: Instant) {
        self.now = (now, SystemTime::now());
    }

    /// Reads the next datagram of a socket.
    ///
    /// # Errors
    /// Whatever the socket says: `WouldBlock` where there is none.
    #[cfg(target_os = "linux")]
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<Datagram<'_>> {
        use std::os::fd::AsRawFd;

        use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};

        let mut parts = [io::IoSliceMut::new(&mut self.datagram)];
        let control = Some(&mut self.control[..]);
        let flags = MsgFlags::empty();
        let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, control, flags)?;
        let from = message.address.and_then(|address| {
            let four = address.as_sockaddr_in().map(|&four| SocketAddr::V4(four.into()));
            four.or_else(|| address.as_sockaddr_in6().map(|&six| SocketAddr::V6(six.into())))
        });
        let from = from.ok_or_else(|| io::Error::other("a datagram without a source"))?;
        let (now, wall) = self.now;
        let mut at = now;
        for note in message.cmsgs()? {
            if let ControlMessageOwned::ScmTimestampns(stamp) = note {
                let came = SystemTime::UNIX_EPOCH + std::time::Duration::from(stamp);
                // What came after the sweep began came now.
                at = now.checked_sub(wall.duration_since(came).unwrap_or_default()).unwrap_or(now);
            }
        }
        let length = message.bytes;
        Ok(Datagram { from, octets: &self.datagram[..length], at })
    }

    /// Reads the next datagram of a socket.
    ///
    /// # Errors
    /// Whatever the socket says: `WouldBlock` where there is none.
    #[cfg(not(target_os = "linux"))]
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<Datagram<'_>> {
        let (length, from) = socket.recv_from(&mut self.datagram)?;
        Ok(Datagram { from, octets: &self.datagram[..length], at: self.now.0 })
    }
}

/// Asks the kernel to note when each datagram comes.
///
/// # Errors
/// When the kernel cannot.
pub fn note_arrivals(socket: &UdpSocket) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::ReceiveTimestampns, &true)?;
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_keeps_the_time_at_which_it_came() {
        let (one, other) = (UdpSocket::bind("127.0.0.1:0"), UdpSocket::bind("127.0.0.1:0"));
        let (one, other) = (one.unwrap(), other.unwrap());
        note_arrivals(&one).unwrap();
        one.set_nonblocking(true).unwrap();
        let sent = Instant::now();
        other.send_to(b"sound", one.local_addr().unwrap()).unwrap();
        let arrived = Instant::now();
        std::thread::sleep(std::time::Duration::from_millis(50));
        let mut reader = Reader::new();
        reader.begin(Instant::now());
        let datagram = reader.receive(&one).unwrap();
        assert_eq!((datagram.octets, datagram.from), (&b"sound"[..], other.local_addr().unwrap()));
        if cfg!(target_os = "linux") {
            let slack = std::time::Duration::from_millis(10);
            assert!(datagram.at >= sent - slack && datagram.at <= arrived + slack);
        }
        assert!(reader.receive(&one).is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock));
    }
}
