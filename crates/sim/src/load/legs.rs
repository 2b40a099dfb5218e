//! The media of all legs: one thread that sweeps them, each at its own place in the 20 ms.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use media::{Header, PACKET_MAX, ulaw_to_linear};
use node::arrival::{Port, Reader};

use super::figures::Times;
use super::voice::{self, CLICK_ROUNDS, SAMPLES, Tone};

/// Places in the 20 ms at which legs send: the phones of a room are not in step.
const SLOTS: usize = 20;
const SLOT: Duration = Duration::from_millis(1);
/// Datagrams of one leg in one sweep.
const SWEEP_MAX: usize = 64;
/// Most that is kept of one leg's sound: 60 s.
const RECORDED_MAX: usize = 8_000 * 60;
/// Packets further apart than this are a gap: one is missing, or was late by its whole length.
pub const GAP: Duration = Duration::from_millis(40);
/// The far end's clock starts anew where its packet numbers jump by more than this.
const JUMP_MAX: u16 = 1_000;

/// What a leg is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// The leg's number, of all legs.
    pub number: usize,
    /// Its room.
    pub room: usize,
    /// Its place among the talkers of its room; none: it says nothing.
    pub talker: Option<usize>,
    /// Whether what it hears is kept.
    pub recorded: bool,
}

/// What the sweeping thread is told.
#[derive(Debug)]
pub enum Told {
    /// A leg is up; its far end is here.
    Connect(usize, SocketAddr),
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
    pub recorded: Vec<i16>,
    /// Clicks that were heard.
    pub clicks: u64,
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
    /// Of those, the longest for each second of the measurement.
    pub gaps: u64,
    /// From a click's packet to the packet in which it was heard.
    pub delay: Times,
    /// Clicks said, times those who were to hear them and were recorded.
    pub clicks_expected: u64,
    /// By how much this thread was late.
    pub late: Times,
    /// Datagrams that could not be sent.
    pub unsent: u64,
}

struct Leg {
    role: Role,
    port: Port,
    remote: Option<SocketAddr>,
    header: Header,
    said: usize,
    seen: Seen,
}

/// The last click of a room.
#[derive(Debug, Clone, Copy)]
struct Click {
    by: usize,
    at: Instant,
}

/// The legs of one thread.
pub struct Legs {
    slots: Vec<Vec<Leg>>,
    clicks: BTreeMap<usize, Click>,
    /// Recorded listeners of each room.
    listeners: BTreeMap<usize, Vec<usize>>,
    talkers: usize,
    hear_themselves: bool,
    outcome: Outcome,
    measuring: bool,
}

impl Legs {
    /// Binds the sockets. `hear_themselves`: a reflector sends each his own voice.
    ///
    /// # Errors
    /// When no socket can be had.
    pub fn bind(
        ip: IpAddr,
        roles: &[Role],
        talkers: usize,
        hear_themselves: bool,
    ) -> io::Result<Self> {
        let mut slots: Vec<Vec<Leg>> = (0..SLOTS).map(|_| Vec::new()).collect();
        let mut listeners: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for role in roles {
            let port = Port::new(UdpSocket::bind((ip, 0))?, true)?;
            let header = Header {
                marker: true,
                payload_type: 0,
                sequence: role.number as u16,
                timestamp: role.number as u32 * 7_919,
                ssrc: role.number as u32 + 1,
            };
            if role.recorded {
                listeners.entry(role.room).or_default().push(role.number);
            }
            // Seven and twenty have no common divisor: neighbours are far apart.
            slots[role.number * 7 % SLOTS].push(Leg {
                role: *role,
                port,
                remote: None,
                header,
                said: 0,
                seen: Seen::default(),
            });
        }
        let outcome = Outcome::default();
        let clicks = BTreeMap::new();
        Ok(Self { slots, clicks, listeners, talkers, hear_themselves, outcome, measuring: false })
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
                    Ok(Told::Connect(number, remote)) => self.connect(number, remote),
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

    fn connect(&mut self, number: usize, remote: SocketAddr) {
        let slot = &mut self.slots[number * 7 % SLOTS];
        if let Some(leg) = slot.iter_mut().find(|leg| leg.role.number == number) {
            leg.remote = Some(remote);
        }
    }

    fn begin(&mut self) {
        self.measuring = true;
        self.outcome = Outcome::default();
        self.clicks.clear();
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
            let Some(remote) = leg.remote else { continue };
            let click = self.clicks.get(&leg.role.room).copied();
            let click = click.filter(|click| (click.by == leg.role.number) == self.hear_themselves);
            let (measuring, outcome) = (self.measuring, &mut self.outcome);
            reader.receive(&leg.port, SWEEP_MAX, |datagram| {
                // A port may have been another leg's a moment ago.
                if datagram.from == remote {
                    let (role, seen) = (&leg.role, &mut leg.seen);
                    hear(role, seen, outcome, measuring, click, datagram.octets, datagram.at);
                }
            });
            let said = say(leg, self.talkers, round, remote);
            self.outcome.unsent += u64::from(said.is_none() && self.measuring);
            leg.seen.sent += u64::from(self.measuring);
            if let Some(Some(at)) = said {
                self.clicks.insert(leg.role.room, Click { by: leg.role.number, at });
                let listeners = self.listeners.get(&leg.role.room).map_or(&[][..], Vec::as_slice);
                let hear = |&&who: &&usize| (who == leg.role.number) == self.hear_themselves;
                self.outcome.clicks_expected += listeners.iter().filter(hear).count() as u64;
            }
        }
    }
}

/// Sends a packet; returns nothing when it could not, and when the click was sent that was in it.
fn say(leg: &mut Leg, talkers: usize, round: u64, remote: SocketAddr) -> Option<Option<Instant>> {
    let mut clicks = false;
    let payload = leg.role.talker.map_or([0xff; SAMPLES], |talker| {
        let turn = round + leg.role.room as u64 * 7;
        clicks = turn.is_multiple_of(CLICK_ROUNDS)
            && turn / CLICK_ROUNDS % talkers as u64 == talker as u64;
        let tone = Tone::of(leg.role.room, talkers, talker);
        tone.packet(voice::amplitude(talkers), leg.said, clicks)
    });
    let mut packet = [0; PACKET_MAX];
    let length = leg.header.write(&payload, &mut packet);
    leg.said = (leg.said + SAMPLES) % voice::WINDOW;
    leg.header.sequence = leg.header.sequence.wrapping_add(1);
    leg.header.timestamp = leg.header.timestamp.wrapping_add(SAMPLES as u32);
    leg.header.marker = false;
    let now = Instant::now();
    leg.port.socket.send_to(&packet[..length], remote).ok()?;
    Some(clicks.then_some(now))
}

fn hear(
    role: &Role,
    seen: &mut Seen,
    outcome: &mut Outcome,
    measuring: bool,
    click: Option<Click>,
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
    if !role.recorded {
        return;
    }
    if seen.recorded.len() < RECORDED_MAX {
        seen.recorded.extend(payload.iter().map(|&octet| ulaw_to_linear(octet)));
    }
    if let Some(click) = click
        && voice::clicks(payload)
    {
        seen.clicks += 1;
        outcome.delay.note(at.saturating_duration_since(click.at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_came_late_is_counted() {
        let role = Role { number: 0, room: 0, talker: None, recorded: true };
        let (mut seen, mut outcome) = (Seen::default(), Outcome::default());
        let start = Instant::now();
        for (number, at_ms) in [(65_534_u16, 0), (65_535, 20), (1, 60), (2, 121), (30_000, 140)] {
            let header =
                Header { marker: false, payload_type: 0, sequence: number, timestamp: 0, ssrc: 1 };
            let mut packet = [0; PACKET_MAX];
            let length = header.write(&[0xff; SAMPLES], &mut packet);
            let at = start + Duration::from_millis(at_ms);
            hear(&role, &mut seen, &mut outcome, true, None, &packet[..length], at);
        }
        assert_eq!((seen.received, seen.lost, outcome.gaps), (5, 1, 1));
        assert_eq!(outcome.spacing.longest(), Duration::from_millis(61));
        assert_eq!(seen.recorded, [0; 5 * SAMPLES]);
    }

    #[test]
    fn a_click_is_timed_from_its_packet_to_where_it_is_heard() {
        let role = Role { number: 0, room: 0, talker: None, recorded: true };
        let (mut seen, mut outcome) = (Seen::default(), Outcome::default());
        let said = Instant::now();
        let header = Header { marker: false, payload_type: 0, sequence: 1, timestamp: 0, ssrc: 1 };
        let mut packet = [0; PACKET_MAX];
        let payload = Tone::of(0, 2, 0).packet(voice::amplitude(2), 0, true);
        let length = header.write(&payload, &mut packet);
        let heard = said + Duration::from_millis(33);
        let click = Some(Click { by: 1, at: said });
        hear(&role, &mut seen, &mut outcome, true, click, &packet[..length], heard);
        assert_eq!((seen.clicks, outcome.delay.longest()), (1, Duration::from_millis(33)));
    }
}
