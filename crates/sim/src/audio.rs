//! The sound of one call: packets of G.711 out, packets of G.711 and keys in.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Instant;

use media::{Header, PACKET_MAX, linear_to_ulaw};
use node::arrival::{Port, Reader};
use rand_chacha::rand_core::RngCore;

use crate::keys::Keys;

/// Samples in a packet.
pub(crate) const SAMPLES: usize = 160;
/// Packets that are read at a time.
const SWEEP_MAX: usize = 64;
/// The payload type of keys.
const TELEPHONE_EVENT: u8 = 101;

/// What came in one packet.
#[derive(Debug)]
pub(crate) enum Came<'a> {
    /// The first packet of a key.
    Key(char),
    /// Sound, in µ-law, and when the kernel took it.
    Sound(&'a [u8], Instant),
}

/// A port for sound, and how far its stream has come.
#[derive(Debug)]
pub(crate) struct Audio {
    port: Port,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where it sends to, and whom alone it hears; none: nobody.
    pub(crate) remote: Option<SocketAddr>,
    /// Keys that are sent in place of sound.
    pub(crate) keys: Keys,
    header: Header,
    event: Option<u32>,
}

impl Audio {
    /// Opens a port.
    ///
    /// # Errors
    /// When no socket can be had.
    pub(crate) fn open(ip: IpAddr, random: &mut impl RngCore) -> io::Result<Self> {
        let socket = UdpSocket::bind((ip, 0))?;
        Ok(Self {
            address: socket.local_addr()?,
            port: Port::new(socket, true)?,
            remote: None,
            keys: Keys::default(),
            header: Header {
                marker: true,
                payload_type: 0,
                sequence: random.next_u32() as u16,
                timestamp: random.next_u32(),
                ssrc: random.next_u32(),
            },
            event: None,
        })
    }

    /// Hands out what came since the last time.
    pub(crate) fn listen(&mut self, reader: &mut Reader, mut take: impl FnMut(Came<'_>)) {
        let (remote, event) = (self.remote, &mut self.event);
        reader.receive(&self.port, SWEEP_MAX, |datagram| {
            if remote != Some(datagram.from) {
                return; // The port was another phone's a moment ago.
            }
            let Some((header, payload)) = Header::parse(datagram.octets) else { return };
            if header.payload_type != TELEPHONE_EVENT {
                return take(Came::Sound(payload, datagram.at));
            }
            if event.replace(header.timestamp) != Some(header.timestamp) {
                let key = payload.first().and_then(|&e| "0123456789*#ABCD".chars().nth(e.into()));
                key.into_iter().for_each(|key| take(Came::Key(key)));
            }
        });
    }

    /// Sends the next packet: a key, or the samples that follow at `at` in a sound.
    pub(crate) fn speak(&mut self, sample: impl Fn(usize) -> i16) {
        let Some(remote) = self.remote else { return };
        let payload: [u8; SAMPLES] = std::array::from_fn(|index| linear_to_ulaw(sample(index)));
        let mut packet = [0; PACKET_MAX];
        let length = match self.keys.tick() {
            Some((event, age)) => {
                let down = self.header.timestamp.wrapping_sub(age * SAMPLES as u32);
                let payload_type = TELEPHONE_EVENT;
                let header = Header { payload_type, timestamp: down, ..self.header };
                header.write(&event, &mut packet)
            }
            None => self.header.write(&payload, &mut packet),
        };
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(SAMPLES as u32);
        self.header.marker = false;
        let _ = self.port.socket.send_to(&packet[..length], remote);
    }
}
