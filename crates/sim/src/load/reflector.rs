//! The floor: sockets that are swept each 20 ms and send back what they got, and nothing else.
//!
//! Or that send and get hardly anything, as to those who wait.
//!
//! It costs what the kernel costs. A server that carries the same calls cannot cost less.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use media::{Header, PACKET_MAX, SAMPLES};
use node::arrival::{Port, Reader};

const TICK: Duration = Duration::from_millis(20);
/// Datagrams that one socket sends back in one sweep, at most.
const SWEEP_MAX: usize = 32;
/// In so many ticks one that only sends reads once.
const READ_TICKS: u32 = 50;

/// One socket for each leg.
#[derive(Debug)]
pub struct Reflector {
    ports: Vec<Port>,
}

impl Reflector {
    /// Binds the sockets.
    ///
    /// # Errors
    /// When there are not so many.
    pub fn bind(ip: IpAddr, legs: usize) -> io::Result<Self> {
        let port = |_| Port::new(UdpSocket::bind((ip, 0))?, false);
        Ok(Self { ports: (0..legs).map(port).collect::<io::Result<_>>()? })
    }

    /// Returns where the sockets are.
    ///
    /// # Errors
    /// What the system says.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.ports.iter().map(|port| port.socket.local_addr()).collect()
    }

    /// Sends each one who has sent something a packet of G.711 in each 20 ms, until `over`. What they send is read once a
    /// second.
    pub fn send(&self, over: &AtomicBool) {
        let mut reader = Reader::plain();
        let mut due = Instant::now();
        let mut far = vec![None; self.ports.len()];
        for tick in 0_u32.. {
            if over.load(Ordering::Relaxed) {
                return;
            }
            let header = Header {
                marker: false,
                payload_type: 0,
                sequence: tick as u16,
                timestamp: tick.wrapping_mul(SAMPLES as u32),
                ssrc: 1,
            };
            let mut packet = [0; PACKET_MAX];
            let length = header.write(&[0xff; SAMPLES], &mut packet);
            for (port, far) in self.ports.iter().zip(&mut far) {
                if tick.is_multiple_of(READ_TICKS) {
                    reader.receive(port, SWEEP_MAX, |datagram| *far = Some(datagram.from));
                }
                if let Some(far) = far {
                    // What a full buffer drops is lost.
                    let _ = port.socket.send_to(&packet[..length], *far);
                }
            }
            due += TICK;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }

    /// Sweeps until `over`.
    pub fn run(&self, over: &AtomicBool) {
        let mut reader = Reader::plain();
        let mut due = Instant::now();
        while !over.load(Ordering::Relaxed) {
            for port in &self.ports {
                reader.receive(port, SWEEP_MAX, |datagram| {
                    // What a full buffer drops is lost.
                    let _ = port.socket.send_to(datagram.octets, datagram.from);
                });
            }
            due += TICK;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
}
