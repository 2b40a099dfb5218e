//! Load: many legs as real SIP calls with real RTP to a server on this machine, and what came
//! back; or the same legs to a reflector, which is the floor.

mod calls;
mod changes;
mod figures;
mod heard;
mod history;
mod legs;
mod network;
mod phrase;
mod plan;
mod process;
mod reflector;
mod report;
mod reports;
mod voice;
mod wire;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use changes::{Change, Changes, Loudness};
pub use figures::Times;
pub use history::{CALLS_EACH, HISTORY_MAX, SPAN as HISTORY_SPAN, write_history};
pub use legs::GAP;
pub use network::{BURST_MAX, DRIFT_MAX, JITTER_MAX, LOSS_MAX, Network};
pub use plan::{CHURN_MAX, CODECS_MAX, LEGS_MAX, Plan, RECORDED_MAX};
pub use process::{Usage, pin, pin_beside, sockets};
pub use reflector::Reflector;
pub use report::{Churn, LATE_P99, LATE_WORST, Report};
pub use reports::Exchanged;
pub use voice::TONES;

use calls::{Joined, Switchboard, Wanted};
use legs::{Far, Legs, Outcome, Told};
use phrase::Phrases;
use plan::Role;
use report::Judge;
use tokio_rustls::rustls::ClientConfig;
use wire::Wire;

/// Legs for which one thread sends.
const THREAD_LEGS: usize = 1_500;
/// Time for the music, the beeps and the jitter buffers to settle, before anything counts.
const SETTLE: Duration = Duration::from_secs(3);
/// A reflector has none of these.
const SETTLE_FLOOR: Duration = Duration::from_millis(500);

/// To whom the legs talk.
#[derive(Debug, Clone)]
pub enum Target {
    /// A server's SIP address; with TLS, whom we believe.
    Server(SocketAddr, Option<Arc<ClientConfig>>),
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
        Target::Server(server, _) => (server.ip(), false),
        Target::Reflector(sockets) => (sockets.first().map_or(LOOPBACK, SocketAddr::ip), true),
    };
    let roles = plan.roles();
    let before = pid.and_then(Usage::of);
    let threads = Threads::start(plan, &roles, ip).map_err(told)?;
    let mut switchboard = None;
    match target {
        Target::Reflector(sockets) => {
            for (role, &socket) in roles.iter().zip(sockets) {
                threads.connect(role.number, Some(Far::reflector(socket, plan.srtp)));
            }
            phase(Phase::Up(sockets.len()));
            std::thread::sleep(if plan.waiting { SETTLE } else { SETTLE_FLOOR });
        }
        Target::Server(server, tls) => {
            let wire = match tls {
                Some(client) => Wire::tls(*server, client).map_err(|error| {
                    format!("TLS with {server}: {error}; name its authority with --ca-file")
                })?,
                None => Wire::udp(ip).map_err(told)?,
            };
            let board = switchboard.insert(Switchboard::new(wire, *server, plan).map_err(told)?);
            let wanted: Vec<Wanted> = roles.iter().map(|role| threads.wanted(plan, role)).collect();
            board.join(&wanted, plan.joins, &mut |leg, far| threads.connect(leg, far));
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
        Some(board) => {
            if plan.churn > 0 {
                let silent = roles.iter().filter(|role| role.talker.is_none());
                let wanted: Vec<Wanted> = silent.map(|role| threads.wanted(plan, role)).collect();
                // The last quarter is as calm as the first moment, so that both can be compared.
                let until = start + plan.length * 3 / 4;
                let mut connect = |leg, far| threads.connect(leg, far);
                board.churn(&wanted, plan.churn, until, &mut connect);
            }
            board.keep(start + plan.length);
        }
        None => std::thread::sleep(plan.length),
    }
    let (seconds, after) = (start.elapsed().as_secs_f64(), pid.and_then(Usage::of));
    threads.tell(|| Told::End);
    phase(Phase::Over);
    let up = switchboard.as_ref().map_or(roles.len(), Switchboard::up);
    let joined = switchboard.map(Switchboard::hang_up).unwrap_or_default();
    let mut report = threads.report(plan, &roles, itself, (&joined, start, seconds));
    report.up = up;
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
    all: Vec<(Sender<Told>, JoinHandle<Outcome>)>,
    room_size: usize,
    addresses: BTreeMap<usize, SocketAddr>,
}

impl Threads {
    fn start(plan: &Plan, roles: &[Role], ip: IpAddr) -> std::io::Result<Self> {
        let count = roles.len().div_ceil(THREAD_LEGS);
        let phrases = Phrases::new(plan, roles, &plan.mixed());
        let mut threads =
            Self { all: Vec::new(), room_size: plan.room_size, addresses: BTreeMap::new() };
        for thread in 0..count {
            let mine: Vec<Role> =
                roles.iter().filter(|role| role.room % count == thread).copied().collect();
            let legs = Legs::bind(ip, &mine, plan, &phrases)?;
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
            codec: role.codec,
        }
    }

    fn connect(&self, leg: usize, far: Option<Far>) {
        let thread = leg / self.room_size % self.all.len();
        // A thread that has ended is noticed when it is joined.
        let _ = self.all[thread].0.send(match far {
            Some(far) => Told::Connect(leg, far),
            None => Told::Disconnect(leg),
        });
    }

    fn tell(&self, told: impl Fn() -> Told) {
        for (tell, _) in &self.all {
            let _ = tell.send(told());
        }
    }

    fn report(
        self,
        plan: &Plan,
        roles: &[Role],
        itself: bool,
        (joined, start, seconds): (&Joined, Instant, f64),
    ) -> Report {
        let mut report = Report {
            refused: joined.refused.clone(),
            lost_calls: joined.lost,
            answered: joined.answered.clone(),
            churn: Churn {
                left: joined.left,
                answered: joined.answered_again.clone(),
                first_sound: Times::default(),
            },
            seconds,
            joins: joined.answered.count() as f64 / joined.took.as_secs_f64().max(0.001),
            ..Report::default()
        };
        let ended = |(tell, thread): (_, JoinHandle<Outcome>)| {
            drop(tell);
            thread.join().expect("a sweeping thread does not panic")
        };
        let outcomes: Vec<Outcome> = self.all.into_iter().map(ended).collect();
        let legs = outcomes.iter().flat_map(|outcome| &outcome.legs);
        let up = legs.filter(|(_, seen)| seen.up).map(|(&number, _)| number).collect();
        let (codecs, ear) = (plan.mixed(), voice::Ear::new());
        let judge = Judge { plan, roles, up: &up, codecs: &codecs, itself, start, ear };
        outcomes.iter().for_each(|outcome| report.add(&judge, outcome));
        report
    }
}
