//! The media of all legs: one thread that sweeps them, each at its own place in the 20 ms.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use media::{Header, PACKET_MAX};
use node::arrival::{Port, Reader};

use super::figures::Times;
use super::heard::Heard;
use super::phrase::{Phrases, Saying};
use super::plan::{Plan, Role};
use super::voice::CLICK_ROUNDS;

/// Places in the 20 ms at which legs send: the phones of a room are not in step.
const SLOTS: usize = 20;
const SLOT: Duration = Duration::from_millis(1);
/// Datagrams of one leg in one sweep.
const SWEEP_MAX: usize = 64;
/// Packets further apart than this are a gap: one is missing, or was late by its whole length.
pub const GAP: Duration = Duration::from_millis(40);
/// The far end's clock starts anew where its packet numbers jump by more than this.
const JUMP_MAX: u16 = 1_000;

/// The far end of a leg, as it was agreed on.
#[derive(Debug, Clone, Copy)]
pub struct Far {
    /// Where it is.
    pub address: SocketAddr,
    /// The payload type of the codec, both ways.
    pub payload_type: u8,
}

impl Far {
    /// Makes that of a reflector, which takes every packet.
    pub fn reflector(address: SocketAddr) -> Self {
        Self { address, payload_type: 0 }
    }
}

/// What the sweeping thread is told.
#[derive(Debug)]
pub enum Told {
    /// A leg is up; its far end is here.
    Connect(usize, Far),
    /// From now on everything counts.
    Measure,
    /// Nothing counts any more, and nothing is sent.
    End,
}

/// What one leg saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Datagrams sent and received while it counted.
    pub sent: u64,
    /// See above.
    pub received: u64,
    /// Packets that never came, by their numbers.
    pub lost: u64,
    /// When the first packet came, ever.
    pub first: Option<Instant>,
    /// What was heard, where it was to be kept.
    pub heard: Heard,
    /// Number of the last packet.
    sequence: Option<u16>,
    last: Option<Instant>,
}

/// What all legs of one thread saw.
#[derive(Debug, Default)]
pub struct Outcome {
    /// By the leg's number.
    pub legs: BTreeMap<usize, Seen>,
    /// From one packet of a leg to its next.
    pub spacing: Times,
    /// How many of these passed [`GAP`].
    pub gaps: u64,
    /// The clicks that were said in each room, in their order.
    pub clicks: BTreeMap<usize, Vec<Click>>,
    /// By how much this thread was late.
    pub late: Times,
    /// Datagrams that could not be sent.
    pub unsent: u64,
}

struct Leg {
    role: Role,
    port: Port,
    far: Option<Far>,
    header: Header,
    /// By how much timestamps grow from packet to packet.
    step: u32,
    saying: Saying,
    seen: Seen,
}

/// A click.
#[derive(Debug, Clone, Copy)]
pub struct Click {
    /// The leg that said it.
    pub by: usize,
    /// When its packet was sent.
    pub at: Instant,
}

/// The legs of one thread.
pub struct Legs {
    slots: Vec<Vec<Leg>>,
    talkers: usize,
    outcome: Outcome,
    measuring: bool,
}

impl Legs {
    /// Binds the sockets.
    ///
    /// # Errors
    /// When no socket can be had.
    pub fn bind(ip: IpAddr, roles: &[Role], plan: &Plan, phrases: &Phrases) -> io::Result<Self> {
        let codecs = plan.mixed();
        let mut slots: Vec<Vec<Leg>> = (0..SLOTS).map(|_| Vec::new()).collect();
        for role in roles {
            let port = Port::new(UdpSocket::bind((ip, 0))?, true)?;
            let header = Header {
                marker: true,
                payload_type: 0,
                sequence: role.number as u16,
                timestamp: role.number as u32 * 7_919,
                ssrc: role.number as u32 + 1,
            };
            // Seven and twenty have no common divisor: neighbours are far apart.
            slots[role.number * 7 % SLOTS].push(Leg {
                role: *role,
                port,
                far: None,
                header,
                step: codecs[role.codec].clock() / 50,
                saying: phrases.of(plan, role),
                seen: Seen::default(),
            });
        }
        let outcome = Outcome::default();
        Ok(Self { slots, talkers: plan.talkers, outcome, measuring: false })
    }

    /// Returns where each leg wants its sound.
    ///
    /// # Errors
    /// What the system says.
    pub fn addresses(&self) -> io::Result<BTreeMap<usize, SocketAddr>> {
        let legs = self.slots.iter().flatten();
        legs.map(|leg| Ok((leg.role.number, leg.port.socket.local_addr()?))).collect()
    }

    /// Sweeps until told to end.
    pub fn run(mut self, told: &Receiver<Told>) -> Outcome {
        let mut reader = Reader::new();
        let mut due = Instant::now();
        for step in 0_u64.. {
            loop {
                match told.try_recv() {
                    Ok(Told::Connect(number, far)) => self.connect(number, far),
                    Ok(Told::Measure) => self.begin(),
                    Ok(Told::End) | Err(TryRecvError::Disconnected) => return self.end(),
                    Err(TryRecvError::Empty) => break,
                }
            }
            let now = Instant::now();
            if self.measuring {
                self.outcome.late.note(now.saturating_duration_since(due));
            }
            let slot = (step % SLOTS as u64) as usize;
            self.sweep(slot, step / SLOTS as u64, &mut reader, now);
            due += SLOT;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        self.end()
    }

    fn connect(&mut self, number: usize, far: Far) {
        let slot = &mut self.slots[number * 7 % SLOTS];
        if let Some(leg) = slot.iter_mut().find(|leg| leg.role.number == number) {
            leg.header.payload_type = far.payload_type;
            leg.far = Some(far);
        }
    }

    fn begin(&mut self) {
        self.measuring = true;
        self.outcome = Outcome::default();
        for leg in self.slots.iter_mut().flatten() {
            leg.seen = Seen { first: leg.seen.first, ..Seen::default() };
        }
    }

    fn end(mut self) -> Outcome {
        let legs = self.slots.into_iter().flatten();
        self.outcome.legs = legs.map(|leg| (leg.role.number, leg.seen)).collect();
        self.outcome
    }

    fn sweep(&mut self, slot: usize, round: u64, reader: &mut Reader, now: Instant) {
        reader.begin(now);
        for leg in &mut self.slots[slot] {
            let Some(far) = leg.far else { continue };
            let (measuring, outcome) = (self.measuring, &mut self.outcome);
            reader.receive(&leg.port, SWEEP_MAX, |datagram| {
                // A port may have been another leg's a moment ago.
                if datagram.from == far.address {
                    hear(leg.role, &mut leg.seen, outcome, measuring, datagram.octets, datagram.at);
                }
            });
            let click = clicks(&leg.role, self.talkers, round);
            let sent = say(leg, click, far.address);
            if !self.measuring {
                continue;
            }
            leg.seen.sent += 1;
            match sent {
                None => self.outcome.unsent += 1,
                Some(at) if click => {
                    let by = leg.role.number;
                    self.outcome.clicks.entry(leg.role.room).or_default().push(Click { by, at });
                }
                Some(_) => {}
            }
        }
    }
}

/// Whether a leg clicks in a round: once a second, one of each room in turn.
fn clicks(role: &Role, talkers: usize, round: u64) -> bool {
    let turn = round + role.room as u64 * 7;
    turn.is_multiple_of(CLICK_ROUNDS)
        && role.talker.is_some_and(|talker| turn / CLICK_ROUNDS % talkers as u64 == talker as u64)
}

/// Sends a packet; returns when, and nothing where that could not be.
fn say(leg: &mut Leg, click: bool, to: SocketAddr) -> Option<Instant> {
    let mut packet = [0; PACKET_MAX];
    let length = leg.header.write(leg.saying.next(click), &mut packet);
    leg.header.sequence = leg.header.sequence.wrapping_add(1);
    leg.header.timestamp = leg.header.timestamp.wrapping_add(leg.step);
    leg.header.marker = false;
    let now = Instant::now();
    leg.port.socket.send_to(&packet[..length], to).ok()?;
    Some(now)
}

fn hear(
    role: Role,
    seen: &mut Seen,
    outcome: &mut Outcome,
    measuring: bool,
    octets: &[u8],
    at: Instant,
) {
    let Some((header, payload)) = Header::parse(octets) else { return };
    seen.first.get_or_insert(at);
    if !measuring {
        return;
    }
    seen.received += 1;
    if let Some(last) = seen.last.replace(at) {
        let spacing = at.saturating_duration_since(last);
        outcome.spacing.note(spacing);
        outcome.gaps += u64::from(spacing > GAP);
    }
    let missing =
        seen.sequence.map_or(0, |last| header.sequence.wrapping_sub(last).wrapping_sub(1));
    if missing < JUMP_MAX {
        seen.lost += u64::from(missing);
    }
    seen.sequence = Some(header.sequence);
    if role.recorded {
        seen.heard.keep(at, header.sequence, payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_came_late_is_counted() {
        let role = Role { number: 0, room: 0, talker: None, recorded: true, codec: 0 };
        let (mut seen, mut outcome) = (Seen::default(), Outcome::default());
        let start = Instant::now();
        for (number, at_ms) in [(65_534_u16, 0), (65_535, 20), (1, 60), (2, 121), (30_000, 140)] {
            let header =
                Header { marker: false, payload_type: 0, sequence: number, timestamp: 0, ssrc: 1 };
            let mut packet = [0; PACKET_MAX];
            let length = header.write(&[0xff; 160], &mut packet);
            let at = start + Duration::from_millis(at_ms);
            hear(role, &mut seen, &mut outcome, true, &packet[..length], at);
        }
        assert_eq!((seen.received, seen.lost, outcome.gaps), (5, 1, 1));
        assert_eq!(outcome.spacing.longest(), Duration::from_millis(61));
        let sound = seen.heard.sound(media::Codec::Pcmu);
        assert_eq!(sound.samples, [0; 6 * 160]);
    }
}
