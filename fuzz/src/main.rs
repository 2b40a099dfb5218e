//! `fuzz [--seconds N] [--seed N] [--jobs N] [TARGET...]`: runs all targets, or those that are named.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fuzz::{Settings, TARGETS, Target};

fn main() -> ExitCode {
    let Some((settings, jobs, names)) = arguments() else {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("usage: fuzz [--seconds N] [--seed N] [--jobs N] [TARGET...]");
        eprintln!("targets: {}", names.join(" "));
        return ExitCode::from(2);
    };
    let is_wanted =
        |target: &&Target| names.is_empty() || names.iter().any(|name| name == target.name);
    let waiting = Mutex::new(TARGETS.iter().filter(is_wanted));
    let failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for job in 0..jobs {
            let work = || {
                while let Some(target) = waiting.lock().ok().and_then(|mut left| left.next()) {
                    if !throw(target, &settings) {
                        failed.store(true, Ordering::Relaxed);
                    }
                }
            };
            let thread = std::thread::Builder::new().name(format!("fuzz-{job}"));
            if let Err(error) = thread.spawn_scoped(scope, work) {
                eprintln!("no thread: {error}");
                failed.store(true, Ordering::Relaxed);
            }
        }
    });
    if failed.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn arguments() -> Option<(Settings, usize, Vec<String>)> {
    let (mut settings, mut jobs, mut names) = (Settings::default(), 2, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next()?.parse::<u64>().ok();
        match argument.as_str() {
            "--seconds" => settings.time_max = Duration::from_secs(number()?),
            "--seed" => settings.seed = number()?,
            "--jobs" => jobs = usize::try_from(number()?).ok()?,
            name if TARGETS.iter().any(|target| target.name == name) => {
                names.push(name.to_owned());
            }
            _ => return None,
        }
    }
    Some((settings, jobs.clamp(1, 64), names))
}

/// Runs one target and tells how it went; false where something was found.
fn throw(target: &Target, settings: &Settings) -> bool {
    let corpus = match fuzz::corpus(target) {
        Ok(corpus) => corpus,
        Err(error) => {
            eprintln!("{}: no corpus: {error}", target.name);
            return false;
        }
    };
    let report = fuzz::run(target, corpus, settings);
    println!(
        "{:<8} {:>10} executions in {:>5.1} s, seed {}, slowest {:.1?}",
        target.name,
        report.executions,
        report.took.as_secs_f64(),
        settings.seed,
        report.slowest,
    );
    let Some(found) = report.found else { return true };
    let place = fuzz::keep(target.name, &found.input);
    eprintln!("{}: {}; the input is in {}", target.name, found.why, place.display());
    false
}
