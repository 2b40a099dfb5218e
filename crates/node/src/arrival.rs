//! Datagrams with the time at which they came, as the kernel noted it.
//!
//! Sockets are swept once a tick, so the time of the sweep says little about the network: what is
//! needed for a short and steady jitter buffer is when the datagram reached this machine.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

/// Longest datagram that is read whole; what is longer is no sound of ours.
const DATAGRAM_MAX: usize = 2_048;
/// Datagrams that are asked for at once. Fewer tell that the socket is empty, so that the usual
/// sweep of a socket is one call.
const BATCH: usize = 4;

/// How near to each other both clocks are to be read, and how often that is tried.
#[cfg(target_os = "linux")]
const CLOCKS_WITHIN: Duration = Duration::from_micros(50);
#[cfg(target_os = "linux")]
const CLOCKS_TRIES: usize = 4;

/// One datagram.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub from: SocketAddr,
    /// What it holds.
    pub octets: &'a [u8],
    /// When it came to this machine; the time of the sweep where the kernel does not say.
    pub at: Instant,
}

/// What is needed to read many sockets, one after the other.
#[derive(Debug)]
pub struct Reader {
    datagrams: Box<[[u8; DATAGRAM_MAX]; BATCH]>,
    /// When the sweep began; and the same moment on the other clock, once a socket was asked.
    now: Instant,
    #[cfg(target_os = "linux")]
    wall: Option<SystemTime>,
    #[cfg(target_os = "linux")]
    batches: linux::Batches,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// Makes a reader for any number of sockets.
    pub fn new() -> Self {
        Self {
            datagrams: Box::new([[0; DATAGRAM_MAX]; BATCH]),
            now: Instant::now(),
            #[cfg(target_os = "linux")]
            wall: None,
            #[cfg(target_os = "linux")]
            batches: linux::Batches::new(true),
        }
    }

    /// Makes a reader that asks for no times of arrival: of sockets that are not stamped.
    pub fn plain() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            batches: linux::Batches::new(false),
            ..Self::new()
        }
    }

    /// Takes the time of a sweep, which is now or was a moment ago.
    pub fn begin(&mut self, now: Instant) {
        self.now = now;
        #[cfg(target_os = "linux")]
        {
            self.wall = None;
        }
    }

    /// Returns when the sweep began, on both clocks.
    #[cfg(target_os = "linux")]
    fn clocks(&mut self) -> (Instant, SystemTime) {
        if let Some(wall) = self.wall {
            return (self.now, wall);
        }
        let mut tries = 0;
        let wall = loop {
            let (read, wall) = (Instant::now(), SystemTime::now());
            tries += 1;
            // A thread that is put aside between the clocks would take its own pause for the network's.
            if read.elapsed() < CLOCKS_WITHIN || tries == CLOCKS_TRIES {
                let passed = read.saturating_duration_since(self.now);
                break wall.checked_sub(passed).unwrap_or(wall);
            }
        };
        self.wall = Some(wall);
        (self.now, wall)
    }

    /// Hands the datagrams that wait in a non-blocking socket to `take`, about `max` at most.
    #[cfg(target_os = "linux")]
    pub fn receive(&mut self, port: &Port, max: usize, mut take: impl FnMut(Datagram<'_>)) {
        let clocks = self.clocks();
        let mut left = max;
        while left > 0 {
            match self.batches.receive(port, &mut self.datagrams, clocks, &mut take) {
                Ok(BATCH) => left = left.saturating_sub(BATCH),
                // A port that is closed over there says so here; a datagram may follow.
                Err(nix::errno::Errno::ECONNREFUSED) => left -= 1,
                Ok(_) | Err(_) => break,
            }
        }
    }

    /// Hands the datagrams that wait in a non-blocking socket to `take`, `max` at most.
    #[cfg(not(target_os = "linux"))]
    pub fn receive(&mut self, port: &Port, max: usize, mut take: impl FnMut(Datagram<'_>)) {
        for _ in 0..max {
            match port.socket.recv_from(&mut self.datagrams[0]) {
                Ok((length, from)) => {
                    let octets = &self.datagrams[0][..length];
                    take(Datagram { from, octets, at: self.now });
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => break,
            }
        }
    }
}

/// A socket that is swept.
#[derive(Debug)]
pub struct Port {
    /// Non-blocking.
    pub socket: UdpSocket,
    #[cfg(target_os = "linux")]
    six: bool,
}

impl Port {
    /// Makes a socket ready to be swept; `stamped` asks the kernel to note when each datagram
    /// comes.
    ///
    /// # Errors
    /// When the kernel cannot.
    pub fn new(socket: UdpSocket, stamped: bool) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        #[cfg(target_os = "linux")]
        if stamped {
            use nix::sys::socket::{setsockopt, sockopt::ReceiveTimestampns};
            setsockopt(&socket, ReceiveTimestampns, &true)?;
        }
        Ok(Self {
            #[cfg(target_os = "linux")]
            six: socket.local_addr()?.is_ipv6(),
            socket,
        })
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::IoSliceMut;
    use std::net::SocketAddr;
    use std::os::fd::AsRawFd;
    use std::time::{Duration, Instant, SystemTime};

    use nix::sys::socket::{
        ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrIn6,
        SockaddrLike, recvmmsg,
    };

    use super::{BATCH, DATAGRAM_MAX, Datagram, Port};

    /// The headers of both families: the kernel writes the lengths of addresses back into them.
    #[derive(Debug)]
    pub struct Batches {
        four: MultiHeaders<SockaddrIn>,
        six: MultiHeaders<SockaddrIn6>,
        stamped: bool,
    }

    fn headers<S: Copy + SockaddrLike>(stamped: bool) -> MultiHeaders<S> {
        let note = stamped.then(|| nix::cmsg_space!(nix::sys::time::TimeSpec));
        MultiHeaders::preallocate(BATCH, note)
    }

    impl Batches {
        pub fn new(stamped: bool) -> Self {
            Self { four: headers(stamped), six: headers(stamped), stamped }
        }

        /// Asks once, for as many as there is room for; returns how many came.
        pub fn receive(
            &mut self,
            port: &Port,
            room: &mut [[u8; DATAGRAM_MAX]; BATCH],
            now: (Instant, SystemTime),
            take: &mut impl FnMut(Datagram<'_>),
        ) -> nix::Result<usize> {
            let (count, stamped) = if port.six {
                ask(port, &mut self.six, room, now, |six| SocketAddr::V6(six.into()), take)?
            } else {
                ask(port, &mut self.four, room, now, |four| SocketAddr::V4(four.into()), take)?
            };
            if self.stamped && !stamped {
                // The kernel noted that no room is left for stamps; it is asked with a new note.
                *self = Self::new(true);
            }
            Ok(count)
        }
    }

    /// Returns how many came, and whether the kernel said of each when.
    fn ask<S: Copy + SockaddrLike>(
        port: &Port,
        headers: &mut MultiHeaders<S>,
        room: &mut [[u8; DATAGRAM_MAX]; BATCH],
        now: (Instant, SystemTime),
        address: fn(S) -> SocketAddr,
        take: &mut impl FnMut(Datagram<'_>),
    ) -> nix::Result<(usize, bool)> {
        let mut parts = room.each_mut().map(|datagram| [IoSliceMut::new(datagram)]);
        let flags = MsgFlags::empty();
        let (mut count, mut stamped) = (0, true);
        for message in recvmmsg(port.socket.as_raw_fd(), headers, &mut parts, flags, None)? {
            stamped &= hand_over(&message, message.address.map(address), now, take);
            count += 1;
        }
        Ok((count, stamped))
    }

    /// Returns whether the kernel said when the datagram came.
    fn hand_over<S>(
        message: &RecvMsg<'_, '_, S>,
        from: Option<SocketAddr>,
        (now, wall): (Instant, SystemTime),
        take: &mut impl FnMut(Datagram<'_>),
    ) -> bool {
        let mut stamp = None;
        for note in message.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::ScmTimestampns(at) = note {
                stamp = Some(SystemTime::UNIX_EPOCH + Duration::from(at));
            }
        }
        // What came after the sweep began came now.
        let age = stamp.and_then(|came| wall.duration_since(came).ok()).unwrap_or_default();
        let at = now.checked_sub(age).unwrap_or(now);
        // A datagram may be empty; then it has no part.
        let octets = message.iovs().next().unwrap_or_default();
        if let Some(from) = from {
            take(Datagram { from, octets, at });
        }
        stamp.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_keep_the_time_at_which_they_came_in_both_families() {
        check("127.0.0.1:0");
        check("[::1]:0");
    }

    /// The kernel begins to stamp some time after the first socket asked for it; what comes before
    /// is stamped when it is read. Waits until what comes on `one` is stamped as it comes.
    #[track_caller]
    fn wait_for_stamps(reader: &mut Reader, one: &Port) {
        let other = UdpSocket::bind((one.socket.local_addr().unwrap().ip(), 0)).unwrap();
        for _ in 0..100 {
            other.send_to(b"x", one.socket.local_addr().unwrap()).unwrap();
            std::thread::sleep(Duration::from_millis(50));
            let now = Instant::now();
            reader.begin(now);
            let mut age = Duration::ZERO;
            reader.receive(one, 100, |datagram| age = now - datagram.at);
            if age >= Duration::from_millis(25) || cfg!(not(target_os = "linux")) {
                return;
            }
        }
        panic!("the kernel does not note when datagrams come");
    }

    #[track_caller]
    fn check(address: &str) {
        let one = Port::new(UdpSocket::bind(address).unwrap(), true).unwrap();
        let other = UdpSocket::bind(address).unwrap();
        let mut reader = Reader::new();
        wait_for_stamps(&mut reader, &one);
        for number in [1, 3, 4, 6] {
            let sent = Instant::now();
            for index in 0..number {
                other.send_to(&[index, 7], one.socket.local_addr().unwrap()).unwrap();
            }
            let arrived = Instant::now();
            std::thread::sleep(Duration::from_millis(500));
            let swept = Instant::now();
            reader.begin(swept);
            let mut heard = Vec::new();
            reader.receive(&one, 100, |datagram| {
                assert_eq!(datagram.from, other.local_addr().unwrap());
                if cfg!(target_os = "linux") {
                    // Another could set the clock meanwhile, for a moment.
                    assert!(datagram.at > sent - Duration::from_secs(1));
                    assert!(datagram.at < arrived + (swept - arrived) / 2);
                }
                heard.push(datagram.octets.to_vec());
            });
            let said: Vec<Vec<u8>> = (0..number).map(|index| vec![index, 7]).collect();
            assert_eq!(heard, said);
        }
    }

    #[test]
    fn a_socket_without_stamps_does_not_spoil_the_next_one() {
        let ports = [false, true]
            .map(|stamped| Port::new(UdpSocket::bind("127.0.0.1:0").unwrap(), stamped).unwrap());
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut reader = Reader::new();
        wait_for_stamps(&mut reader, &ports[1]);
        for port in ports.iter().cycle().take(6) {
            other.send_to(b"x", port.socket.local_addr().unwrap()).unwrap();
            std::thread::sleep(Duration::from_millis(30));
            let now = Instant::now();
            reader.begin(now);
            let mut age = None;
            reader.receive(port, 100, |datagram| age = Some(now - datagram.at));
            let stamped = std::ptr::eq(port, &ports[1]) && cfg!(target_os = "linux");
            assert_eq!(age.unwrap() >= Duration::from_millis(20), stamped);
        }
    }
}
