//! Thousands of worlds in virtual time; see `sim::world`.
//!
//! `SIDETONE_SEED=n` plays one and prints its steps; `SIDETONE_DEEP` plays 100,000.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use sim::world::{Broken, Options, Summary, play};

/// Worlds in the normal run.
const WORLDS: u64 = 2_000;
/// Worlds where there is time.
const WORLDS_DEEP: u64 = 100_000;
/// Calls of a day.
const DAY_CALLS: u64 = 1_000;
const DAY_SEED: u64 = 1;
/// Broken worlds that are shown.
const SHOWN_MAX: usize = 3;
/// Of a broken world's steps, the last ones that are shown.
const LINES_MAX: usize = 400;

#[test]
fn every_invariant_holds_in_every_world() {
    if let Ok(seed) = std::env::var("SIDETONE_SEED") {
        let seed = seed.parse().expect("SIDETONE_SEED is a number");
        let options = Options { trace: true, ..Options::default() };
        match play(seed, options) {
            Ok(summary) => return println!("seed {seed}: {summary:?}"),
            Err(broken) => panic!("{broken}"),
        }
    }
    let worlds = if std::env::var_os("SIDETONE_DEEP").is_some() { WORLDS_DEEP } else { WORLDS };
    let (broken, total) = play_all(worlds);
    println!("{worlds} worlds: {total:?}");
    let shown: Vec<String> = broken.iter().take(SHOWN_MAX).map(|seed| replay(*seed)).collect();
    assert!(broken.is_empty(), "{} broke: {broken:?}\n{}", broken.len(), shown.join("\n"));
    // Worlds in which little happens would prove little.
    assert!(total.accepted > worlds * 2 && total.refused > worlds / 4, "{total:?}");
    assert!(total.callbacks > worlds * 5 && total.crashes > worlds / 20, "{total:?}");
    assert!(total.calls > worlds && total.frames > worlds * 100, "{total:?}");
}

#[test]
fn a_day_of_a_thousand_calls_holds_every_invariant() {
    let began = std::time::Instant::now();
    let options = Options { calls: DAY_CALLS, ..Options::default() };
    let day = play(DAY_SEED, options).unwrap_or_else(|broken| {
        let again = play(DAY_SEED, Options { trace: true, ..options });
        let mut shown = again.err().unwrap_or(broken);
        let skipped = shown.trace.len().saturating_sub(LINES_MAX);
        shown.trace.drain(..skipped);
        panic!("{shown}")
    });
    let minutes = day.lasted_ms / 60_000;
    println!("{minutes} virtual minutes in {:.1} s: {day:?}", began.elapsed().as_secs_f64());
    // Records of calls may be deleted, and some calls are of no phone.
    assert!(day.calls > DAY_CALLS / 2 && day.joins > DAY_CALLS / 2, "{day:?}");
    assert!(day.holds > 100 && day.transfers > 20 && day.recordings > 10, "{day:?}");
    assert!(day.crashes > 10 && day.callbacks > DAY_CALLS, "{day:?}");
}

#[test]
fn the_same_seed_makes_the_same_world() {
    for seed in 0..20 {
        let once = play(seed, Options::default()).map_err(|broken| broken.to_string());
        let again = play(seed, Options { trace: true, ..Options::default() });
        assert_eq!(once, again.map_err(|broken| broken.to_string()), "seed {seed}");
    }
}

#[test]
fn jumps_of_the_wall_clock_change_dates_and_nothing_else() {
    for seed in 0..60 {
        let jumping = play(seed, Options::default()).map_err(|broken| broken.to_string());
        let steady = play(seed, Options { steady_clock: true, ..Options::default() });
        assert_eq!(jumping, steady.map_err(|broken| broken.to_string()), "seed {seed}");
    }
}

/// Plays this many worlds on every core; returns the seeds of those that broke, and the sums.
fn play_all(worlds: u64) -> (Vec<u64>, Summary) {
    let next = AtomicU64::new(0);
    let result = Mutex::new((Vec::new(), Summary::default()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= worlds {
                        return;
                    }
                    let played = play(seed, Options::default());
                    let mut result = result.lock().unwrap_or_else(PoisonError::into_inner);
                    match played {
                        Ok(summary) => add(&mut result.1, summary),
                        Err(broken) => {
                            eprintln!("seed {seed}: {}: {}", broken.invariant, broken.detail);
                            result.0.push(seed);
                        }
                    }
                }
            });
        }
    });
    let (mut broken, total) = result.into_inner().unwrap_or_else(PoisonError::into_inner);
    broken.sort_unstable();
    (broken, total)
}

fn add(total: &mut Summary, one: Summary) {
    total.steps += one.steps;
    total.frames += one.frames;
    total.accepted += one.accepted;
    total.refused += one.refused;
    total.callbacks += one.callbacks;
    total.crashes += one.crashes;
    total.calls += one.calls;
    total.joins += one.joins;
    total.holds += one.holds;
    total.transfers += one.transfers;
    total.recordings += one.recordings;
    total.lasted_ms += one.lasted_ms;
}

/// Plays a broken world again and returns its last steps.
fn replay(seed: u64) -> String {
    match play(seed, Options { trace: true, ..Options::default() }) {
        Ok(_) => format!("seed {seed} held the second time"),
        Err(broken) => {
            let mut broken: Broken = *broken;
            let skipped = broken.trace.len().saturating_sub(LINES_MAX);
            broken.trace.drain(..skipped);
            broken.to_string()
        }
    }
}
