//! Runs one target, and notices what goes wrong.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use crate::{Mutator, Target};

/// A target that takes longer for one input hangs: the process ends.
const HANGS_AFTER: Duration = Duration::from_secs(60);
/// Memory of the process beyond which something grew: 1 GiB, in pages of 4 KiB.
const PAGES_MAX: u64 = 262_144;

/// How long, how often, and from which seed.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Ends a run by time.
    pub time_max: Duration,
    /// Ends a run by executions.
    pub executions_max: u64,
    /// Draws the mutants.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { time_max: Duration::from_secs(30), executions_max: u64::MAX, seed: 1 }
    }
}

/// An input that something is wrong with.
#[derive(Debug, Clone)]
pub struct Found {
    /// What.
    pub why: String,
    /// The input.
    pub input: Vec<u8>,
}

/// How a run went.
#[derive(Debug)]
pub struct Report {
    /// How many inputs were thrown.
    pub executions: u64,
    /// How long it took.
    pub took: Duration,
    /// How long the slowest took, by the clock on the wall.
    pub slowest: Duration,
    /// What was found, if anything.
    pub found: Option<Found>,
}

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Throws the corpus and then its mutants at a target, until something is found or time is up.
pub fn run(target: &Target, corpus: Vec<Vec<u8>>, settings: &Settings) -> Report {
    quieten_panics();
    let started = Instant::now();
    let current: Arc<Mutex<(Instant, Vec<u8>)>> = Arc::new(Mutex::new((started, Vec::new())));
    watch(target.name, Arc::downgrade(&current));
    let mut mutator = Mutator::new(settings.seed, target.words);
    let mut report =
        Report { executions: 0, took: Duration::ZERO, slowest: Duration::ZERO, found: None };
    while report.found.is_none()
        && report.executions < settings.executions_max
        && started.elapsed() < settings.time_max
    {
        let input = match corpus.get(report.executions as usize) {
            Some(entry) => entry.clone(),
            None => mutator.mutant(&corpus),
        };
        *current.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), input.clone());
        let (wall, why) = execute(target, &input);
        report.executions += 1;
        report.slowest = report.slowest.max(wall);
        let why = why.or_else(|| report.executions.is_multiple_of(1_000).then(grown).flatten());
        report.found = why.map(|why| Found { why, input });
    }
    report.took = started.elapsed();
    report
}

fn execute(target: &Target, input: &[u8]) -> (Duration, Option<String>) {
    let (wall, cpu) = (Instant::now(), cpu_time());
    let survived = catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_ok();
    let wall = wall.elapsed();
    if !survived {
        return (wall, Some(format!("panicked: {}", PANIC.take())));
    }
    // The wall's clock runs while others have the processor.
    let cpu = cpu_time().zip(cpu).map(|(after, before)| after.saturating_sub(before));
    let late = wall > target.cpu_max && cpu.is_some_and(|cpu| cpu > target.cpu_max);
    (wall, late.then(|| format!("took {cpu:?}, more than {:?}", target.cpu_max)))
}

/// Returns how long this thread has computed, where the system tells.
fn cpu_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn grown() -> Option<String> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    (pages > PAGES_MAX).then(|| format!("the process has grown to {} MiB", pages / 256))
}

/// Keeps a panic's message for the report, once for the process.
fn quieten_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANIC.set(panic.to_string());
            // A test's own panics are for its harness.
            if std::thread::current().name().is_none_or(|name| !name.starts_with("fuzz")) {
                before(panic);
            }
        }));
    });
}

/// Ends the process, and says on which input, when a run does not come back.
fn watch(name: &'static str, current: std::sync::Weak<Mutex<(Instant, Vec<u8>)>>) {
    std::thread::spawn(move || {
        while let Some(current) = current.upgrade() {
            let (since, input) = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if since.elapsed() > HANGS_AFTER {
                let place = crate::keep(name, &input);
                eprintln!("{name} hangs on {}", place.display());
                std::process::exit(1);
            }
            drop(current);
            std::thread::sleep(Duration::from_secs(1));
        }
    });
}
