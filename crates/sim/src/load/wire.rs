//! What the calls' SIP travels by: datagrams of one socket, or a few connections by TLS, as a telephone system keeps them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use sip::{Framed, Framer, Message, Transmit, Transport};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection};

/// Connections by TLS, among which the calls are dealt.
pub const CONNECTIONS: usize = 16;
/// How long a connection may take to be agreed on.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Octets that wait to be written to one connection, at most; what is more is lost, as in a network.
const WAITING_MAX: usize = 1 << 20;
/// How long a turn of waiting lasts when nothing comes.
const TURN: Duration = Duration::from_millis(2);
/// The same where nothing wakes us.
const GLANCE: Duration = Duration::from_micros(500);
/// Octets that are read at once.
const READ_MAX: usize = 16 * 1_024;

/// The way to one server.
pub enum Wire {
    /// Datagrams.
    Udp(UdpSocket),
    /// Connections.
    Tls(Vec<Connection>),
}

/// One connection by TLS.
pub struct Connection {
    stream: TcpStream,
    tls: ClientConnection,
    framer: Framer,
}

impl Wire {
    /// Binds a socket.
    ///
    /// # Errors
    /// When there is none.
    pub fn udp(ip: IpAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind((ip, 0))?;
        socket.set_read_timeout(Some(TURN))?;
        Ok(Self::Udp(socket))
    }

    /// Connects to a server that must prove its address.
    ///
    /// # Errors
    /// When it does not, or is not there.
    pub fn tls(server: SocketAddr, client: &Arc<ClientConfig>) -> io::Result<Self> {
        let connection = |_| Connection::new(server, Arc::clone(client));
        Ok(Self::Tls((0..CONNECTIONS).map(connection).collect::<io::Result<_>>()?))
    }

    /// Returns what it is to SIP.
    pub fn transport(&self) -> Transport {
        match self {
            Self::Udp(_) => Transport::Udp,
            Self::Tls(_) => Transport::Tls,
        }
    }

    /// Returns our address.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Udp(socket) => socket.local_addr(),
            Self::Tls(connections) => {
                let first = connections.first().ok_or(ErrorKind::NotConnected)?;
                first.stream.local_addr()
            }
        }
    }

    /// Hands out what came; waits for a moment where nothing did.
    pub fn receive(&mut self, mut take: impl FnMut(&[u8])) {
        match self {
            Self::Udp(socket) => {
                let mut datagram = [0; 4_096];
                if let Ok((length, _)) = socket.recv_from(&mut datagram) {
                    take(&datagram[..length]);
                }
            }
            Self::Tls(connections) => {
                let mut came = false;
                for connection in connections {
                    came |= connection.receive(&mut take);
                }
                if !came {
                    std::thread::sleep(GLANCE);
                }
            }
        }
    }

    /// Sends a message; SIP repeats what is lost.
    pub fn send(&mut self, transmit: &Transmit) {
        match self {
            Self::Udp(socket) => {
                let _ = socket.send_to(&transmit.octets, transmit.to);
            }
            Self::Tls(connections) => {
                // A call stays with its connection, so that nothing of it overtakes.
                let mut hasher = DefaultHasher::new();
                let message = Message::parse(&transmit.octets).ok();
                message.and_then(|it| it.header("Call-ID").map(str::to_owned)).hash(&mut hasher);
                let place = (hasher.finish() % connections.len().max(1) as u64) as usize;
                if let Some(connection) = connections.get_mut(place) {
                    connection.send(&transmit.octets);
                }
            }
        }
    }
}

impl Connection {
    fn new(server: SocketAddr, client: Arc<ClientConfig>) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&server, HANDSHAKE_WITHIN)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(HANDSHAKE_WITHIN))?;
        let name = ServerName::IpAddress(server.ip().into());
        let mut tls = ClientConnection::new(client, name).map_err(io::Error::other)?;
        tls.set_buffer_limit(Some(WAITING_MAX));
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        stream.set_nonblocking(true)?;
        Ok(Self { stream, tls, framer: Framer::default() })
    }

    /// Says whether something came.
    fn receive(&mut self, take: &mut impl FnMut(&[u8])) -> bool {
        self.flush();
        let came = self.tls.read_tls(&mut self.stream).is_ok_and(|length| length > 0)
            && self.tls.process_new_packets().is_ok();
        if !came {
            return false;
        }
        let mut octets = [0; READ_MAX];
        while let Ok(length @ 1..) = self.tls.reader().read(&mut octets) {
            self.framer.push(&octets[..length]);
        }
        while let Some(framed) = self.framer.poll() {
            match framed {
                Framed::Message(message) => take(&message),
                Framed::Ping => self.send(b"\r\n"),
                Framed::TooLarge(_) => {}
            }
        }
        true
    }

    fn send(&mut self, octets: &[u8]) {
        let _ = self.tls.writer().write_all(octets);
        self.flush();
    }

    fn flush(&mut self) {
        while self.tls.wants_write() && self.tls.write_tls(&mut self.stream).is_ok_and(|n| n > 0) {}
    }
}
