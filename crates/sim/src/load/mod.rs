//! Load: many legs as real SIP calls with real RTP to a server on this machine, and what came
//! back; or the same legs to a reflector, which is the floor.

mod calls;
mod figures;
mod history;
mod legs;
mod process;
mod reflector;
mod voice;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

pub use figures::Times;
pub use history::{CALLS_EACH, HISTORY_MAX, SPAN as HISTORY_SPAN, write_history};
pub use legs::GAP;
pub use process::{Usage, pin, pin_beside};
pub use reflector::Reflector;
pub use voice::TONES;

use calls::{Joined, Switchboard, Wanted};
use legs::{Legs, Role, Told};

/// Most legs of one run.
pub const LEGS_MAX: usize = 4_000;
/// Legs whose sound is kept and judged; of more, so many spread evenly.
pub const RECORDED_MAX: usize = 64;
/// Legs for which one thread sends.
const THREAD_LEGS: usize = 1_500;
/// Time for the music, the beeps and the jitter buffers to settle, before anything counts.
const SETTLE: Duration = Duration::from_secs(3);
/// A reflector has none of these.
const SETTLE_FLOOR: Duration = Duration::from_millis(500);
/// A run whose own sending was later than this at its 99th percentile, or [`LATE_WORST`] once, is
/// not clean: it says more about the generator than about the server.
pub const LATE_P99: Duration = Duration::from_millis(4);
/// See [`LATE_P99`].
pub const LATE_WORST: Duration = Duration::from_millis(20);
/// Faults that are told in words; the others are counted.
const FAULTS_TOLD: usize = 8;

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Calls.
    pub legs: usize,
    /// Calls in each conference; the last may have fewer.
    pub room_size: usize,
    /// Of those, how many talk all the time, at most [`TONES`].
    pub talkers: usize,
    /// For how long it counts.
    pub length: Duration,
    /// Calls made in a second.
    pub joins: u32,
    /// The conferences are called this, a dash and their number.
    pub name: String,
}

impl Plan {
    /// Says what is wrong with it.
    ///
    /// # Errors
    /// One line that names the flag.
    pub fn check(&self) -> Result<(), String> {
        let between = |flag: &str, value: usize, max: usize| match value {
            value if (1..=max).contains(&value) => Ok(()),
            value => Err(format!("{flag} {value} is not 1 to {max}")),
        };
        between("--legs", self.legs, LEGS_MAX)?;
        between("--room-size", self.room_size, node::PARTICIPANTS_MAX as usize)?;
        between("--talkers", self.talkers, TONES.min(self.room_size))
    }

    /// Returns the room that a leg calls.
    pub fn room(&self, leg: usize) -> String {
        format!("{}-{}", self.name, leg / self.room_size)
    }

    /// Whether a leg says nothing; it can be muted, and nobody misses it.
    pub fn is_silent(&self, leg: usize) -> bool {
        leg % self.room_size >= self.talkers
    }

    fn roles(&self) -> Vec<Role> {
        // Recorded are whole rooms, so that talkers and silent ones are among them.
        let rooms = self.legs.div_ceil(self.room_size);
        let kept = (RECORDED_MAX / self.room_size).clamp(1, rooms);
        let stride = rooms / kept;
        let role = |number: usize| {
            let (room, place) = (number / self.room_size, number % self.room_size);
            Role {
                number,
                room,
                talker: (place < self.talkers).then_some(place),
                recorded: room % stride == 0
                    && room / stride < kept
                    && (place < RECORDED_MAX || self.room_size <= RECORDED_MAX),
            }
        };
        (0..self.legs).map(role).collect()
    }

    /// Returns which tones a leg is to hear: the others', or of a reflector its own.
    fn expected(&self, role: &Role, itself: bool) -> Vec<voice::Tone> {
        let first = role.room * self.room_size;
        let present = self.talkers.min(self.legs - first);
        let heard = (0..present).filter(|talker| (Some(*talker) == role.talker) == itself);
        heard.map(|talker| voice::Tone::of(role.room, self.talkers, talker)).collect()
    }
}

/// To whom the legs talk.
#[derive(Debug, Clone)]
pub enum Target {
    /// A server's SIP address.
    Server(SocketAddr),
    /// A reflector's sockets, one for each leg.
    Reflector(Vec<SocketAddr>),
}

/// Where a run has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// So many calls are up.
    Up(usize),
    /// From now on it counts.
    Measuring,
    /// Nothing counts any more.
    Over,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Report {
    /// Calls that were up; of a reflector, all.
    pub up: usize,
    /// Calls that were refused, by status, and that were lost while it counted.
    pub refused: BTreeMap<u16, usize>,
    /// See above.
    pub lost_calls: usize,
    /// Calls answered in a second, while all were made.
    pub joins: f64,
    /// From INVITE to answer, and to the first packet.
    pub answered: Times,
    /// See above.
    pub first_sound: Times,
    /// For how long it counted.
    pub seconds: f64,
    /// Packets while it counted.
    pub sent: u64,
    /// See above.
    pub received: u64,
    /// Packets that never came, by their numbers.
    pub lost: u64,
    /// Packets that our own kernel did not take.
    pub unsent: u64,
    /// From one packet of a leg to its next, and how many of these passed [`GAP`].
    pub spacing: Times,
    /// See above.
    pub gaps: u64,
    /// From a packet that the server got to the packet in which its sound left.
    pub delay: Times,
    /// Clicks that should have been heard, and were.
    pub clicks: (u64, u64),
    /// Legs whose sound was judged.
    pub checked: usize,
    /// Those of them who heard exactly whom they should, all the time.
    pub right: usize,
    /// What the others heard.
    pub faults: Vec<String>,
    /// Frames of silence in recordings that should have none.
    pub silent_frames: usize,
    /// Processor time of the process for a second of a leg, in milliseconds.
    pub cpu_ms: Option<f64>,
    /// Memory for a leg, in KiB.
    pub memory_kib: Option<f64>,
    /// By how much our own sending was late.
    pub late: Times,
}

impl Report {
    /// Whether our own sending was on time.
    pub fn is_clean(&self) -> bool {
        self.late.percentile(99.0) <= LATE_P99
            && self.late.longest() <= LATE_WORST
            && self.unsent == 0
    }
}

/// Runs the plan against `target`, whose process is `pid`; tells `phase` where it is. It ends
/// after the plan's length, and a bounded time for making and ending the calls.
///
/// # Errors
/// One line, when sockets or threads are lacking or no call came about.
pub fn run(
    plan: &Plan,
    target: &Target,
    pid: Option<u32>,
    phase: &mut dyn FnMut(Phase),
) -> Result<Report, String> {
    plan.check()?;
    let told = |error: std::io::Error| format!("{error}; try fewer --legs, or raise `ulimit -n`");
    let (ip, itself) = match target {
        Target::Server(server) => (server.ip(), false),
        Target::Reflector(sockets) => (sockets.first().map_or(LOOPBACK, SocketAddr::ip), true),
    };
    let roles = plan.roles();
    let before = pid.and_then(Usage::of);
    let threads = Threads::start(plan, &roles, ip, itself).map_err(told)?;
    let mut switchboard = None;
    match target {
        Target::Reflector(sockets) => {
            for (role, &socket) in roles.iter().zip(sockets) {
                threads.connect(role.number, socket);
            }
            phase(Phase::Up(sockets.len()));
            std::thread::sleep(SETTLE_FLOOR);
        }
        Target::Server(server) => {
            let board = switchboard.insert(Switchboard::bind(ip, *server).map_err(told)?);
            let wanted: Vec<Wanted> = roles.iter().map(|role| threads.wanted(plan, role)).collect();
            board.join(&wanted, plan.joins, &mut |leg, remote| threads.connect(leg, remote));
            if board.up() == 0 {
                return Err(format!(
                    "no call came about at {server}: {}",
                    refusals(board.joined())
                ));
            }
            phase(Phase::Up(board.up()));
            board.keep(Instant::now() + SETTLE);
        }
    }
    threads.tell(|| Told::Measure);
    let (start, usage) = (Instant::now(), pid.and_then(Usage::of));
    phase(Phase::Measuring);
    match &mut switchboard {
        Some(board) => board.keep(start + plan.length),
        None => std::thread::sleep(plan.length),
    }
    let (seconds, after) = (start.elapsed().as_secs_f64(), pid.and_then(Usage::of));
    threads.tell(|| Told::End);
    phase(Phase::Over);
    let up = switchboard.as_ref().map_or(roles.len(), Switchboard::up);
    let joined = switchboard.map(Switchboard::hang_up).unwrap_or_default();
    let mut report = threads.report(plan, &roles, itself, &joined);
    report.up = up;
    report.seconds = seconds;
    if let (Some(usage), Some(after)) = (usage, after) {
        let ms = after.cpu.saturating_sub(usage.cpu).as_secs_f64() * 1_000.0;
        report.cpu_ms = Some(ms / (seconds * up.max(1) as f64));
    }
    if let (Some(before), Some(after)) = (before, after) {
        let more = after.memory_kib.saturating_sub(before.memory_kib);
        report.memory_kib = Some(more as f64 / up.max(1) as f64);
    }
    Ok(report)
}

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn refusals(joined: &Joined) -> String {
    let some = joined.refused.iter().map(|(status, count)| format!("{count} times {status}"));
    some.collect::<Vec<_>>().join(", ")
}

/// The sweeping threads; the legs of a room are all on the same.
struct Threads {
    all: Vec<(Sender<Told>, std::thread::JoinHandle<legs::Outcome>)>,
    room_size: usize,
    addresses: BTreeMap<usize, SocketAddr>,
}

impl Threads {
    fn start(plan: &Plan, roles: &[Role], ip: IpAddr, itself: bool) -> std::io::Result<Self> {
        let count = roles.len().div_ceil(THREAD_LEGS);
        let mut threads =
            Self { all: Vec::new(), room_size: plan.room_size, addresses: BTreeMap::new() };
        for thread in 0..count {
            let mine: Vec<Role> =
                roles.iter().filter(|role| role.room % count == thread).copied().collect();
            let legs = Legs::bind(ip, &mine, plan.talkers, itself)?;
            threads.addresses.extend(legs.addresses()?);
            let (tell, told) = channel();
            let name = format!("legs-{thread}");
            let run = move || legs.run(&told);
            threads.all.push((tell, std::thread::Builder::new().name(name).spawn(run)?));
        }
        Ok(threads)
    }

    fn wanted(&self, plan: &Plan, role: &Role) -> Wanted {
        Wanted {
            number: role.number,
            user: plan.room(role.number),
            media: self.addresses[&role.number],
        }
    }

    fn connect(&self, leg: usize, remote: SocketAddr) {
        let thread = leg / self.room_size % self.all.len();
        // A thread that has ended is noticed when it is joined.
        let _ = self.all[thread].0.send(Told::Connect(leg, remote));
    }

    fn tell(&self, told: impl Fn() -> Told) {
        for (tell, _) in &self.all {
            let _ = tell.send(told());
        }
    }

    fn report(self, plan: &Plan, roles: &[Role], itself: bool, joined: &Joined) -> Report {
        let mut report = Report {
            refused: joined.refused.clone(),
            lost_calls: joined.lost,
            answered: joined.answered.clone(),
            joins: joined.answered.count() as f64 / joined.took.as_secs_f64().max(0.001),
            ..Report::default()
        };
        let ear = voice::Ear::new();
        for (tell, thread) in self.all {
            drop(tell);
            let outcome = thread.join().expect("a sweeping thread does not panic");
            report.spacing.add(&outcome.spacing);
            report.delay.add(&outcome.delay);
            report.late.add(&outcome.late);
            report.gaps += outcome.gaps;
            report.unsent += outcome.unsent;
            report.clicks.0 += outcome.clicks_expected;
            for (number, seen) in outcome.legs {
                report.add(plan, &roles[number], &seen, itself, &ear);
                if let (Some(first), Some(&invited)) = (seen.first, joined.invited.get(&number)) {
                    report.first_sound.note(first.saturating_duration_since(invited));
                }
            }
        }
        report
    }
}

impl Report {
    fn add(&mut self, plan: &Plan, role: &Role, seen: &legs::Seen, itself: bool, ear: &voice::Ear) {
        self.sent += seen.sent;
        self.received += seen.received;
        self.lost += seen.lost;
        self.clicks.1 += seen.clicks;
        if !role.recorded {
            return;
        }
        self.checked += 1;
        let amplitude = voice::amplitude(plan.talkers);
        let expected = plan.expected(role, itself);
        if !expected.is_empty() {
            self.silent_frames += voice::silent_frames(&seen.recorded, amplitude);
        }
        let fault = if seen.recorded.len() < voice::WINDOW {
            Some("hears less than a second".to_owned())
        } else {
            ear.fault(&seen.recorded, amplitude, &expected)
        };
        match fault {
            None => self.right += 1,
            Some(fault) if self.faults.len() < FAULTS_TOLD => {
                self.faults.push(format!("leg {}: {fault}", role.number));
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(legs: usize, room_size: usize, talkers: usize) -> Plan {
        let length = Duration::from_secs(1);
        Plan { legs, room_size, talkers, length, joins: 100, name: "load".to_owned() }
    }

    #[test]
    fn a_plan_that_cannot_be_is_refused() {
        assert_eq!(plan(8, 4, 2).check(), Ok(()));
        for (plan, flag) in [
            (plan(0, 4, 2), "--legs"),
            (plan(LEGS_MAX + 1, 4, 2), "--legs"),
            (plan(8, 0, 2), "--room-size"),
            (plan(8, 251, 2), "--room-size"),
            (plan(8, 4, 5), "--talkers"),
            (plan(250, 250, TONES + 1), "--talkers"),
        ] {
            assert!(plan.check().is_err_and(|told| told.starts_with(flag)), "{plan:?}");
        }
    }

    #[test]
    fn whole_rooms_are_recorded_spread_over_all() {
        for (legs, size, recorded) in
            [(8, 4, 8), (100, 4, 64), (1_000, 4, 64), (250, 250, 64), (1_000, 50, 50), (7, 3, 7)]
        {
            let roles = plan(legs, size, 2).roles();
            assert_eq!(
                roles.iter().filter(|role| role.recorded).count(),
                recorded,
                "{legs}/{size}"
            );
            assert_eq!(roles.len(), legs);
        }
    }

    #[test]
    fn a_leg_hears_the_other_talkers_of_its_room_and_at_a_reflector_itself() {
        let plan = plan(10, 4, 2);
        let roles = plan.roles();
        let heard = |leg: usize, itself| plan.expected(&roles[leg], itself);
        let tone = |room, talker| voice::Tone::of(room, 2, talker);
        assert_eq!(heard(0, false), [tone(0, 1)]);
        assert_eq!(heard(6, false), [tone(1, 0), tone(1, 1)]);
        assert_eq!(heard(9, false), [tone(2, 0)]);
        assert_eq!((heard(5, true), heard(6, true)), (vec![tone(1, 1)], vec![]));
        assert!(plan.is_silent(3) && !plan.is_silent(4));
    }
}
