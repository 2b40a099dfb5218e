//! Sidetone's checks and chores, as `cargo xtask NAME`.
//!
//! `test` is everything that CI runs; it brings what a check needs, pinned, and prints what each
//! stage took. Nothing of what it brings leaves `target/`, but for Debian packages, which it
//! installs only where it was allowed to.

mod bench;
mod faults;
mod planted;
mod schema;
mod shell;
mod stages;
mod start;
mod tools;
mod used;
mod walk;

use std::path::Path;
use std::process::ExitCode;

use shell::Shell;
use stages::Stage;

const USAGE: &str = "\
usage: cargo xtask test [--fast] [--install]
       cargo xtask walk
       cargo xtask faults
       cargo xtask schema [--deep]
       cargo xtask pages
       cargo xtask deep [--install]
       cargo xtask bench [--api] [--write]
       cargo xtask opus [--write] [--install]
       cargo xtask flame

  test       everything that CI runs; all stages run, and the failed ones are named at the end
  faults     plants faults in a copy of the tree, one by one: each must be caught by a test that it names
  schema     every operation of Twilio's OpenAPI description, tried at the borders of its schema;
             with --deep 2,000 cases of each that is built, about an hour
  pages      writes what of docs/ is made from tables: compatibility.md
  walk       the last commit's README and guides, done as they say
  deep       what needs volume, in release mode with SIDETONE_DEEP=1: hours, not minutes
  bench      fixed sets of loads and requests, against the tables in docs/performance.md
  opus       Opus in Rust and by libopus, cost and sound of both, for the same page
  flame      a flame graph of the media threads under load, for the same page; wants Linux' perf
  --fast     the inner loop: format, clippy and the tests that need no foreign program
  --install  lets root install missing Debian packages (SIPp, baresip, CMake); CI=true allows it too
  --api      of the bench, only the requests: beside Prism, and lists over a long history
  --write    lets bench and opus write those tables";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(plan) = Plan::parse(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if plan.help {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask/ is in the root");
    let shell = Shell::new(root, plan.install);
    if stages::run(&shell, plan.stages, plan.stop_at_first) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What the command line asks for.
#[derive(Debug)]
struct Plan {
    stages: &'static [Stage],
    install: bool,
    stop_at_first: bool,
    help: bool,
}

impl Plan {
    /// Returns `None` for a command or flag that there is not.
    fn parse(arguments: &[String]) -> Option<Self> {
        let (command, flags) = arguments.split_first()?;
        let mut plan =
            Self { stages: stages::TEST, install: false, stop_at_first: false, help: false };
        match command.as_str() {
            "test" => {}
            "walk" => plan.stages = stages::WALK,
            "faults" => plan.stages = stages::FAULTS,
            "schema" => plan.stages = stages::SCHEMA,
            "pages" => plan.stages = stages::PAGES,
            "deep" => plan.stages = stages::DEEP,
            "bench" => plan.stages = stages::BENCH,
            "opus" => plan.stages = stages::OPUS,
            "flame" => plan.stages = stages::FLAME,
            "help" | "--help" | "-h" => plan.help = true,
            _ => return None,
        }
        for flag in flags {
            match flag.as_str() {
                "--fast" if command == "test" => {
                    plan.stages = stages::FAST;
                    plan.stop_at_first = true;
                }
                "--api" | "--write" if command == "bench" => {
                    let given = |name: &str| flags.iter().any(|flag| flag == name);
                    plan.stages = match (given("--api"), given("--write")) {
                        (false, _) => stages::BENCH_WRITE,
                        (true, false) => stages::BENCH_API,
                        (true, true) => stages::BENCH_API_WRITE,
                    };
                }
                "--write" if command == "opus" => plan.stages = stages::OPUS_WRITE,
                "--deep" if command == "schema" => plan.stages = stages::SCHEMA_DEEP,
                "--install" => plan.install = true,
                "--help" | "-h" => plan.help = true,
                _ => return None,
            }
        }
        Some(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_names_its_stages() {
        check(
            "test",
            Some(
                "format clippy docs cargo-deny licences cargo-audit advisories python-sdk node-sdk twilio-cli sip-phones tests used mp3 libopus schema fuzz readme-walk docs-walk",
            ),
        );
        check("test --fast", Some("format clippy tests-fast stop"));
        check("test --install --fast", Some("format clippy tests-fast stop install"));
        check("bench", Some("node-sdk prism bench"));
        check("bench --write", Some("node-sdk prism bench-write"));
        check("bench --api", Some("node-sdk prism bench-api"));
        check("bench --write --api", Some("node-sdk prism bench-api-write"));
        check("flame", Some("flame"));
        check("opus", Some("cmake python-sdk opus"));
        check("opus --write --install", Some("cmake python-sdk opus-write install"));
        check("walk", Some("python-sdk node-sdk readme-walk docs-walk"));
        check("faults", Some("faults"));
        check("schema", Some("python-sdk node-sdk schema"));
        check("schema --deep", Some("python-sdk node-sdk schema-deep"));
        check("pages", Some("node-sdk pages"));
        check(
            "deep --install",
            Some(
                "python-sdk node-sdk twilio-cli sip-phones tests-deep faults schema-deep fuzz-deep install",
            ),
        );
    }

    #[test]
    fn what_there_is_not_is_refused() {
        for line in ["", "tset", "test --quick", "deep --fast", "test --write", "test extra"] {
            check(line, None);
        }
    }

    /// Compares the plan of a command line, as the names of its stages and its settings.
    #[track_caller]
    fn check(line: &str, expected: Option<&str>) {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let plan = Plan::parse(&arguments).map(|plan| {
            let mut words: Vec<&str> = plan.stages.iter().map(|stage| stage.name).collect();
            words.extend(plan.stop_at_first.then_some("stop"));
            words.extend(plan.install.then_some("install"));
            words.join(" ")
        });
        assert_eq!(plan.as_deref(), expected);
    }
}
