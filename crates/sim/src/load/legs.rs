//! The media of all legs: one thread that sweeps them, each at its own place in the 20 ms.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use media::{Header, MasterKey, PACKET_MAX, Protection, Srtp, Suite};
use node::arrival::{Port, Reader};

use super::figures::Times;
use super::heard::Heard;
use super::network::{Network, Way};
use super::phrase::{Phrases, Saying};
use super::plan::{Plan, Role};
use super::reports::{Desk, Exchanged, Reports};
use super::voice::CLICK_ROUNDS;

/// Places in the 20 ms at which legs send: the phones of a room are not in step.
const SLOTS: usize = 20;
const SLOT: Duration = Duration::from_millis(1);
/// For how many of these a packet can be kept before it is sent: longer than a network delays one.
const DELAYS: usize = 256;
/// Longest datagram that is opened.
const DATAGRAM_MAX: usize = 2_048;
/// Datagrams of one leg in one sweep.
const SWEEP_MAX: usize = 64;
/// Packets further apart than this are a gap: one is missing, or was late by its whole length.
pub const GAP: Duration = Duration::from_millis(40);
/// In so many rounds a leg that only waits says once that it lives: 5 s.
const WAITING_ROUNDS: u64 = 250;
/// The far end's clock starts anew where its packet numbers jump by more than this.
const JUMP_MAX: u16 = 1_000;

/// The far end of a leg, as it was agreed on.
#[derive(Debug, Clone, Copy)]
pub struct Far {
    /// Where it is.
    pub address: SocketAddr,
    /// Where it wants reports; a reflector wants none.
    pub rtcp: Option<SocketAddr>,
    /// The payload type of the codec, both ways.
    pub payload_type: u8,
    /// What protects the packets; none: nothing does.
    pub protection: Option<Protection>,
    /// When it was called.
    pub invited: Instant,
}

impl Far {
    /// Makes that of a description.
    pub fn agreed(audio: &sip::Media, invited: Instant) -> Self {
        let codec = audio.codecs.first();
        Self {
            address: audio.address,
            rtcp: Some(audio.rtcp),
            payload_type: codec.map_or(0, |&(number, _)| number),
            protection: audio.protection.as_ref().and_then(node::protection),
            invited,
        }
    }

    /// Makes that of a reflector, which takes every packet and sends it back as it was protected.
    pub fn reflector(address: SocketAddr, srtp: bool) -> Self {
        let suite = Suite::AeadAes128Gcm;
        let key = srtp.then(|| MasterKey::new(suite, &[1; 16], &[1; 12])).flatten();
        let protection = key.map(|key| Protection { ours: key, theirs: key });
        let invited = Instant::now();
        Self { address, rtcp: None, payload_type: 0, protection, invited }
    }
}

/// What the sweeping thread is told.
#[derive(Debug)]
pub enum Told {
    /// A leg is up; its far end is here.
    Connect(usize, Far),
    /// A leg has hung up.
    Disconnect(usize),
    /// From now on everything counts.
    Measure,
    /// Nothing counts any more, and nothing is sent.
    End,
}

/// What one leg saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Whether it was up while it counted: who was refused hears nobody, and is heard by nobody.
    pub up: bool,
    /// Datagrams sent and received while it counted.
    pub sent: u64,
    /// See above.
    pub received: u64,
    /// Packets that never came, by their numbers.
    pub lost: u64,
    /// Packets of ours that the network lost, as it was told to.
    pub dropped: u64,
    /// Whether it called again while it counted.
    pub again: bool,
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
    /// From INVITE to the first packet: of all, and of those who called again while it counted.
    pub first_sound: Times,
    /// See above.
    pub first_sound_again: Times,
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
    /// What the legs reported, and the server.
    pub reports: Exchanged,
}

struct Leg {
    role: Role,
    port: Port,
    far: Option<Far>,
    /// Whether nothing has come from it yet.
    waits: bool,
    header: Header,
    /// By how much timestamps grow from packet to packet.
    step: u32,
    saying: Saying,
    way: Option<Way>,
    /// What protects what it sends and opens what it gets.
    sealed: Option<Box<(Srtp, Srtp)>>,
    reports: Reports,
    seen: Seen,
}

/// A packet on its way.
struct Delayed {
    /// Of which leg.
    slot: usize,
    place: usize,
    click: bool,
    octets: Box<[u8]>,
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
    /// What is sent in each of the next [`DELAYS`] steps.
    delayed: Vec<Vec<Delayed>>,
    talkers: usize,
    network: Network,
    desk: Desk,
    /// In how many rounds a leg sends once.
    every: u64,
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
            let clock = codecs[role.codec].clock();
            // Seven and twenty have no common divisor: neighbours are far apart.
            slots[role.number * 7 % SLOTS].push(Leg {
                role: *role,
                port,
                far: None,
                waits: false,
                header,
                step: clock / 50,
                saying: phrases.of(plan, role),
                way: Way::new(&plan.network, role.number),
                sealed: None,
                reports: Reports::new(&plan.network, role.number, clock, Instant::now()),
                seen: Seen::default(),
            });
        }
        let outcome = Outcome::default();
        let delayed = (0..DELAYS).map(|_| Vec::new()).collect();
        let (talkers, network, desk) = (plan.talkers, plan.network.clone(), Desk::bind(ip)?);
        let every = if plan.waiting { WAITING_ROUNDS } else { 1 };
        let measuring = false;
        Ok(Self { slots, delayed, talkers, network, desk, every, outcome, measuring })
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
                    Ok(Told::Disconnect(number)) => self.disconnect(number),
                    Ok(Told::Measure) => self.begin(),
                    Ok(Told::End) | Err(TryRecvError::Disconnected) => return self.end(),
                    Err(TryRecvError::Empty) => break,
                }
            }
            let now = Instant::now();
            if self.measuring {
                self.outcome.late.note(now.saturating_duration_since(due));
            }
            self.deliver(step);
            if step.is_multiple_of(SLOTS as u64) {
                self.hear_reports(&mut reader, now);
            }
            self.sweep(step, &mut reader, now);
            due += SLOT;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        self.end()
    }

    fn connect(&mut self, number: usize, far: Far) {
        let slot = &mut self.slots[number * 7 % SLOTS];
        if let Some(leg) = slot.iter_mut().find(|leg| leg.role.number == number) {
            leg.header.payload_type = far.payload_type;
            leg.sealed = far
                .protection
                .map(|keys| Box::new((Srtp::new(&keys.ours), Srtp::new(&keys.theirs))));
            if let Some(rtcp) = far.rtcp {
                self.desk.connect(rtcp, number);
            }
            leg.reports = Reports::new(&self.network, number, leg.step * 50, Instant::now());
            leg.far = Some(far);
            leg.waits = true;
            if self.measuring {
                leg.seen.up = true;
                leg.seen.again = true;
                (leg.seen.sequence, leg.seen.last) = (None, None);
                leg.seen.heard = Heard::default();
            }
        }
    }

    fn disconnect(&mut self, number: usize) {
        let slot = &mut self.slots[number * 7 % SLOTS];
        if let Some(leg) = slot.iter_mut().find(|leg| leg.role.number == number) {
            leg.far = None;
        }
    }

    fn begin(&mut self) {
        self.measuring = true;
        let first_sound = std::mem::take(&mut self.outcome.first_sound);
        self.outcome = Outcome { first_sound, ..Outcome::default() };
        for leg in self.slots.iter_mut().flatten() {
            leg.seen = Seen { up: leg.far.is_some(), ..Seen::default() };
        }
    }

    fn end(mut self) -> Outcome {
        let legs = self.slots.into_iter().flatten();
        self.outcome.legs = legs.map(|leg| (leg.role.number, leg.seen)).collect();
        self.outcome
    }

    /// Sends what was on its way until now.
    fn deliver(&mut self, step: u64) {
        for packet in std::mem::take(&mut self.delayed[(step % DELAYS as u64) as usize]) {
            let leg = &mut self.slots[packet.slot][packet.place];
            send(leg, &packet.octets, packet.click, self.measuring, &mut self.outcome);
        }
    }

    /// Takes what the far ends report.
    fn hear_reports(&mut self, reader: &mut Reader, now: Instant) {
        reader.begin(now);
        let (slots, outcome, measuring) = (&mut self.slots, &mut self.outcome, self.measuring);
        self.desk.receive(reader, |number, packet, at| {
            let slot = &mut slots[number * 7 % SLOTS];
            let Some(leg) = slot.iter_mut().find(|leg| leg.role.number == number) else { return };
            let opens = leg.sealed.as_mut().map(|sealed| &mut sealed.1);
            let told = leg.reports.take(packet, leg.header.ssrc, opens, at);
            if let Some(told) = told.filter(|_| measuring) {
                outcome.reports.note(&told);
            }
        });
    }

    fn sweep(&mut self, step: u64, reader: &mut Reader, now: Instant) {
        let (slot, round) = ((step % SLOTS as u64) as usize, step / SLOTS as u64);
        reader.begin(now);
        for (place, leg) in self.slots[slot].iter_mut().enumerate() {
            let Some(far) = leg.far else { continue };
            let (measuring, outcome) = (self.measuring, &mut self.outcome);
            reader.receive(&leg.port, SWEEP_MAX, |datagram| {
                // A port may have been another leg's a moment ago.
                if datagram.from == far.address {
                    if std::mem::take(&mut leg.waits) {
                        let Outcome { first_sound, first_sound_again, .. } = &mut *outcome;
                        let times = if measuring { first_sound_again } else { first_sound };
                        times.note(datagram.at.saturating_duration_since(far.invited));
                    }
                    leg.reports.came(datagram.octets, datagram.at);
                    let opens = leg.sealed.as_mut().map(|sealed| &mut sealed.1);
                    let (role, octets, at) = (leg.role, datagram.octets, datagram.at);
                    hear(role, &mut leg.seen, outcome, measuring, opens, octets, at);
                }
            });
            if let Some(to) = far.rtcp {
                let seals = leg.sealed.as_mut().map(|sealed| &mut sealed.0);
                let is_sent = leg.reports.report(&self.desk, to, &leg.header, seals, now);
                outcome.reports.sent += u64::from(is_sent && measuring);
            }
            let is_turn = (round + leg.role.number as u64).is_multiple_of(self.every);
            // The first packet says where it is.
            if !is_turn && !leg.header.marker {
                continue;
            }
            let mut click = clicks(&leg.role, self.talkers, round);
            let Some(mut way) = leg.way.take() else {
                let mut packet = [0; PACKET_MAX];
                let length = say(leg, click, &mut packet);
                send(leg, &packet[..length], click, measuring, outcome);
                continue;
            };
            way.round(|late| {
                let mut packet = [0; PACKET_MAX];
                let length = say(leg, click, &mut packet);
                let click = std::mem::take(&mut click);
                let Some(late) = late else {
                    leg.seen.dropped += u64::from(measuring);
                    return;
                };
                // This step has been delivered already.
                let steps = (late.as_nanos() / SLOT.as_nanos()) as usize % (DELAYS - 1);
                if steps == 0 {
                    return send(leg, &packet[..length], click, measuring, outcome);
                }
                let octets = Box::from(&packet[..length]);
                let due = (step as usize + steps) % DELAYS;
                self.delayed[due].push(Delayed { slot, place, click, octets });
            });
            leg.way = Some(way);
        }
    }
}

/// Whether a leg clicks in a round: once a second, one of each room in turn.
fn clicks(role: &Role, talkers: usize, round: u64) -> bool {
    let turn = round + role.room as u64 * 7;
    // Where it is heard when a tone comes and goes, nothing else is to be.
    turn.is_multiple_of(CLICK_ROUNDS)
        && !role.changed
        && role.talker.is_some_and(|talker| turn / CLICK_ROUNDS % talkers as u64 == talker as u64)
}

/// Writes the next packet; returns its length.
fn say(leg: &mut Leg, click: bool, packet: &mut [u8; PACKET_MAX]) -> usize {
    let payload = leg.saying.next(click);
    leg.reports.sent(payload.len());
    let length = leg.header.write(payload, packet);
    leg.header.sequence = leg.header.sequence.wrapping_add(1);
    leg.header.timestamp = leg.header.timestamp.wrapping_add(leg.step);
    leg.header.marker = false;
    match &mut leg.sealed {
        Some(sealed) => sealed.0.protect(packet, length),
        None => length,
    }
}

/// Sends a packet, and notes when, where there is a click in it.
fn send(leg: &mut Leg, octets: &[u8], click: bool, measuring: bool, outcome: &mut Outcome) {
    let Some(far) = leg.far else { return };
    let at = Instant::now();
    let sent = leg.port.socket.send_to(octets, far.address).is_ok();
    if !measuring {
        return;
    }
    leg.seen.sent += 1;
    outcome.unsent += u64::from(!sent);
    if sent && click {
        let by = leg.role.number;
        outcome.clicks.entry(leg.role.room).or_default().push(Click { by, at });
    }
}

fn hear(
    role: Role,
    seen: &mut Seen,
    outcome: &mut Outcome,
    measuring: bool,
    opens: Option<&mut Srtp>,
    octets: &[u8],
    at: Instant,
) {
    let Some((header, payload)) = Header::parse(octets) else { return };
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
    if !role.recorded && !role.witness {
        return;
    }
    let Some(opens) = opens else { return seen.heard.keep(at, header.sequence, payload) };
    let mut packet = [0; DATAGRAM_MAX];
    let length = octets.len().min(DATAGRAM_MAX);
    packet[..length].copy_from_slice(&octets[..length]);
    // What nobody but the server can have sent is heard; the rest is missing.
    if let Some((_, payload)) =
        opens.unprotect(&mut packet[..length]).and_then(|length| Header::parse(&packet[..length]))
    {
        seen.heard.keep(at, header.sequence, payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_came_late_is_counted() {
        let role = Plan { legs: 4, ..Plan::default() }.roles()[3];
        let (mut seen, mut outcome) = (Seen::default(), Outcome::default());
        let start = Instant::now();
        for (number, at_ms) in [(65_534_u16, 0), (65_535, 20), (1, 60), (2, 121), (30_000, 140)] {
            let header =
                Header { marker: false, payload_type: 0, sequence: number, timestamp: 0, ssrc: 1 };
            let mut packet = [0; PACKET_MAX];
            let length = header.write(&[0xff; 160], &mut packet);
            let at = start + Duration::from_millis(at_ms);
            hear(role, &mut seen, &mut outcome, true, None, &packet[..length], at);
        }
        assert_eq!((seen.received, seen.lost, outcome.gaps), (5, 1, 1));
        assert_eq!(outcome.spacing.longest(), Duration::from_millis(61));
        let sound = seen.heard.sound(media::Codec::Pcmu);
        assert_eq!(sound.samples, [0; 6 * 160]);
    }
}
