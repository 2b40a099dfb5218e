//! Sidetone's checks and chores, as `cargo xtask NAME`.
//!
//! `test` is everything that CI runs; it prints what each stage took.

use std::process::{Command, ExitCode};
use std::time::Instant;

/// The stages of `cargo xtask test`, in order: a name and a command line.
const STAGES: &[(&str, &[&str])] = &[
    ("format", &["cargo", "fmt", "--all", "--check"]),
    ("clippy", &["cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    ("docs", &["cargo", "doc", "--workspace", "--no-deps", "--document-private-items"]),
    ("tests", &["cargo", "test", "--workspace"]),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("test") => test(),
        _ => {
            eprintln!("usage: cargo xtask test");
            ExitCode::from(2)
        }
    }
}

fn test() -> ExitCode {
    let mut took = Vec::new();
    for (name, line) in STAGES {
        println!("== {name}: {}", line.join(" "));
        let start = Instant::now();
        let status =
            Command::new(line[0]).args(&line[1..]).env("RUSTDOCFLAGS", "-D warnings").status();
        took.push(format!("{name} {:.0} s", start.elapsed().as_secs_f64()));
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => {
                eprintln!("{name} failed: {status}");
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("{name} could not run: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("stages: {}", took.join(", "));
    ExitCode::SUCCESS
}
