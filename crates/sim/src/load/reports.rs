//! What legs tell the server of the packets that they got and sent, as phones do: RFC 3550 section 6.4.
//!
//! The server turns the repetition within Opus on by it, and knows from it how long the way there and back is.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use media::rtcp::{self, Source};
use media::{Header, OVERHEAD_MAX, Srtp};
use node::arrival::{Port, Reader};

use super::figures::Times;
use super::network::{Network, WayBack};

/// Longest compound packet: a sender report with one block, and a name.
const LENGTH_MAX: usize = 72 + OVERHEAD_MAX;
/// Datagrams in one sweep: of the legs of one thread 300 come in a second.
const SWEEP_MAX: usize = 64;
/// Places in the time between two reports at which legs begin: they are not in step.
const PHASES: usize = 250;
/// Longest datagram that is opened.
const DATAGRAM_MAX: usize = 256;

/// What was reported, either way.
#[derive(Debug, Default)]
pub struct Exchanged {
    /// Reports of the legs.
    pub sent: u64,
    /// Reports of the server.
    pub received: u64,
    /// What the server says that it lost of what the legs sent, in 256ths, summed over [`Self::blocks`].
    pub lost: u64,
    /// Reports of the server that say so.
    pub blocks: u64,
    /// How long the way to the server and back is.
    pub round_trips: Times,
}

impl Exchanged {
    /// Adds a report of the server.
    pub fn note(&mut self, told: &Told) {
        self.received += 1;
        if let Some(loss) = told.loss {
            self.lost += (loss * 256.0) as u64;
            self.blocks += 1;
        }
        if let Some(trip) = told.round_trip {
            self.round_trips.note(trip);
        }
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.received += other.received;
        self.lost += other.lost;
        self.blocks += other.blocks;
        self.round_trips.add(&other.round_trips);
    }

    /// Returns how much of what the legs sent the server says that it lost, in percent.
    pub fn loss_percent(&self) -> Option<f64> {
        (self.blocks > 0).then(|| self.lost as f64 / self.blocks as f64 * 100.0 / 256.0)
    }
}

/// What one report of the server says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Told {
    /// What it lost of what the leg sent since it last told, 0 to 1.
    pub loss: Option<f32>,
    /// How long the way to it and back is.
    pub round_trip: Option<Duration>,
}

/// The socket from which the legs of one thread report.
#[derive(Debug)]
pub struct Desk {
    port: Port,
    /// Which leg's far end reports from where.
    legs: BTreeMap<SocketAddr, usize>,
}

impl Desk {
    /// Binds the socket.
    ///
    /// # Errors
    /// When none can be had.
    pub fn bind(ip: IpAddr) -> io::Result<Self> {
        Ok(Self { port: Port::new(UdpSocket::bind((ip, 0))?, true)?, legs: BTreeMap::new() })
    }

    /// Expects reports about a leg from here.
    pub fn connect(&mut self, rtcp: SocketAddr, leg: usize) {
        self.legs.insert(rtcp, leg);
    }

    /// Hands out what came, and of which leg's far end.
    pub fn receive(&self, reader: &mut Reader, mut take: impl FnMut(usize, &mut [u8], Instant)) {
        reader.receive(&self.port, SWEEP_MAX, |datagram| {
            let mut packet = [0; DATAGRAM_MAX];
            let known = self.legs.get(&datagram.from);
            if let (Some(&leg), Some(room)) = (known, packet.get_mut(..datagram.octets.len())) {
                room.copy_from_slice(datagram.octets);
                take(leg, room, datagram.at);
            }
        });
    }
}

/// What one leg has to tell.
#[derive(Debug)]
pub struct Reports {
    /// Steps of the RTP clock in a second.
    clock: u32,
    begin: Instant,
    due: Instant,
    source: Option<Source>,
    way_back: Option<WayBack>,
    packets: u32,
    octets: u32,
}

impl Reports {
    /// Begins with a call.
    pub fn new(network: &Network, leg: usize, clock: u32, now: Instant) -> Self {
        let phase = (leg * 97 % PHASES) as f32 / PHASES as f32;
        Self {
            clock,
            begin: now,
            due: now + rtcp::INTERVAL.mul_f32(phase),
            source: None,
            way_back: WayBack::new(network, leg),
            packets: 0,
            octets: 0,
        }
    }

    /// Counts a packet that came.
    pub fn came(&mut self, packet: &[u8], at: Instant) {
        let Some((header, _)) = Header::parse(packet) else { return };
        if self.way_back.as_mut().is_some_and(WayBack::loses) {
            return;
        }
        let known = self.source.take().filter(|source| source.ssrc == header.ssrc);
        let mut source = known.unwrap_or_else(|| Source::new(&header));
        source.count(&header, self.clock, at.saturating_duration_since(self.begin));
        self.source = Some(source);
    }

    /// Counts a packet that is sent.
    pub fn sent(&mut self, payload: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload as u32);
    }

    /// Sends a report where one is due; says whether it was.
    pub fn report(
        &mut self,
        desk: &Desk,
        to: SocketAddr,
        header: &Header,
        seals: Option<&mut Srtp>,
        now: Instant,
    ) -> bool {
        if now < self.due {
            return false;
        }
        self.due += rtcp::INTERVAL;
        let mut packet = [0; LENGTH_MAX];
        let mut length = self.write(header, now, &mut packet);
        if let Some(seals) = seals {
            length = seals.protect_rtcp(&mut packet, length);
        }
        desk.port.socket.send_to(&packet[..length], to).is_ok()
    }

    fn write(&mut self, header: &Header, now: Instant, packet: &mut [u8]) -> usize {
        let block = self.source.as_mut().map(Source::report);
        let sent = rtcp::Sent {
            ssrc: header.ssrc,
            timestamp: header.timestamp,
            packets: self.packets,
            octets: self.octets,
        };
        rtcp::write(packet, &sent, block.as_ref(), rtcp::ntp(self.begin, now), now)
    }

    /// Takes a report of the far end; nothing where it is none, or not the far end's.
    pub fn take(
        &mut self,
        packet: &mut [u8],
        our_ssrc: u32,
        opens: Option<&mut Srtp>,
        at: Instant,
    ) -> Option<Told> {
        let length = match opens {
            Some(opens) => opens.unprotect_rtcp(packet)?,
            None => packet.len(),
        };
        let heard = rtcp::read(packet.get(..length)?, our_ssrc);
        let report = heard.report?;
        if let Some(source) = &mut self.source {
            source.last_report = Some((report, at));
        }
        let now = (rtcp::ntp(self.begin, at) >> 16) as u32;
        let trip = |(last, held)| now.wrapping_sub(last).wrapping_sub(held) as i32;
        let round_trip = heard.echo.map(trip).map(|trip| f64::from(trip.max(0)) / 65_536.0);
        Some(Told { loss: heard.loss, round_trip: round_trip.map(Duration::from_secs_f64) })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use media::{Channel, Codec, Command, LegId, LegOptions, PACKET_MAX, Shard, TICK};

    use super::*;

    const LEG: LegId = LegId(1);

    #[test]
    fn a_mixer_learns_from_reports_what_a_leg_lost_and_how_far_it_is() {
        let start = Instant::now();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 9_000));
        let mut shard = Shard::new(1);
        let options = LegOptions::plain(Codec::Pcmu, 0, address);
        shard.handle_command(Command::AddLeg(LEG, Box::new(options)), start);
        let network = Network { loss: 25.0, seed: 3, ..Network::default() };
        let mut reports = Reports::new(&network, 0, 8_000, start);
        let (mut seen, way) = (Exchanged::default(), Duration::from_millis(40));
        let mut header =
            Header { marker: false, payload_type: 0, sequence: 0, timestamp: 0, ssrc: 7 };
        for tick in 0..1_000_u32 {
            let now = start + TICK * tick;
            shard.handle_tick(now);
            while let Some(transmit) = shard.poll_transmit(now) {
                let mut octets = transmit.octets.to_vec();
                match transmit.channel {
                    Channel::Rtp => reports.came(&octets, now + way),
                    Channel::Rtcp => {
                        seen.note(&reports.take(&mut octets, 7, None, now + way).expect("is one"));
                    }
                }
            }
            let mut packet = [0; PACKET_MAX];
            let length = header.write(&[0xff; 160], &mut packet);
            header.sequence += 1;
            header.timestamp += 160;
            reports.sent(length - 12);
            // The server loses every fourth packet.
            if !tick.is_multiple_of(4) {
                shard.handle_datagram(LEG, Channel::Rtp, address, &packet[..length], now + way);
            }
            if tick % 250 == 249 {
                let mut packet = [0; LENGTH_MAX];
                let length = reports.write(&header, now, &mut packet);
                shard.handle_datagram(LEG, Channel::Rtcp, address, &packet[..length], now + way);
            }
        }
        let stats = shard.leg_stats(LEG).expect("the leg is there");
        assert!((stats.remote_loss - 0.25).abs() < 0.08, "{}", stats.remote_loss);
        let trip = stats.round_trip_ms.expect("it was echoed");
        assert!((trip - 80.0).abs() < 2.0, "{trip}");
        let (loss, trip) = (seen.loss_percent(), seen.round_trips.longest());
        assert!(loss.is_some_and(|loss| (loss - 25.0).abs() < 3.0), "{loss:?}");
        assert!(trip.abs_diff(way * 2) < Duration::from_millis(2), "{trip:?}");
        assert!(seen.received > 2 && seen.received == seen.blocks, "{seen:?}");
    }
}
