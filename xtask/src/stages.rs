//! The stages of each command, in order, and their report.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::shell::Shell;
use crate::{bench, faults, schema, tools, used, walk};

/// One check. What it returns, if it passed, is a remark for the report; a failure is one line.
#[derive(Debug)]
pub struct Stage {
    pub name: &'static str,
    run: fn(&Shell) -> Result<String, String>,
}

/// Everything that CI runs. What brings a tool comes just before what needs it.
pub const TEST: &[Stage] = &[
    Stage { name: "format", run: format },
    Stage { name: "clippy", run: clippy },
    Stage { name: "docs", run: docs },
    Stage { name: "cargo-deny", run: tools::cargo_deny },
    Stage { name: "licences", run: licences },
    Stage { name: "cargo-audit", run: tools::cargo_audit },
    Stage { name: "advisories", run: advisories },
    Stage { name: "python-sdk", run: tools::python_sdk },
    Stage { name: "node-sdk", run: tools::node_sdk },
    Stage { name: "twilio-cli", run: tools::twilio_cli },
    Stage { name: "sip-phones", run: tools::sip_phones },
    Stage { name: "tests", run: tests },
    Stage { name: "used", run: used::check },
    Stage { name: "mp3", run: mp3 },
    Stage { name: "libopus", run: libopus },
    Stage { name: "schema", run: schema::borders },
    Stage { name: "fuzz", run: fuzz },
    Stage { name: "readme-walk", run: walk::readme },
    Stage { name: "docs-walk", run: walk::docs },
];

/// The inner loop: under two minutes on a warm `target/`.
pub const FAST: &[Stage] = &[
    Stage { name: "format", run: format },
    Stage { name: "clippy", run: clippy },
    Stage { name: "tests-fast", run: tests_fast },
];

/// The README and the guides, done as they say.
pub const WALK: &[Stage] = &[
    Stage { name: "python-sdk", run: tools::python_sdk },
    Stage { name: "node-sdk", run: tools::node_sdk },
    Stage { name: "readme-walk", run: walk::readme },
    Stage { name: "docs-walk", run: walk::docs },
];

/// The OpenAPI description as judge.
pub const SCHEMA: &[Stage] = &[
    Stage { name: "python-sdk", run: tools::python_sdk },
    Stage { name: "node-sdk", run: tools::node_sdk },
    Stage { name: "schema", run: schema::borders },
];

/// The same by chance.
pub const SCHEMA_DEEP: &[Stage] = &[
    Stage { name: "python-sdk", run: tools::python_sdk },
    Stage { name: "node-sdk", run: tools::node_sdk },
    Stage { name: "schema-deep", run: schema::deep },
];

/// What needs volume.
pub const DEEP: &[Stage] = &[
    Stage { name: "python-sdk", run: tools::python_sdk },
    Stage { name: "node-sdk", run: tools::node_sdk },
    Stage { name: "twilio-cli", run: tools::twilio_cli },
    Stage { name: "sip-phones", run: tools::sip_phones },
    Stage { name: "tests-deep", run: tests_deep },
    Stage { name: "faults", run: faults::faults },
    Stage { name: "schema-deep", run: schema::deep },
    Stage { name: "fuzz-deep", run: fuzz_deep },
];

/// The pages that are written from tables.
pub const PAGES: &[Stage] =
    &[Stage { name: "node-sdk", run: tools::node_sdk }, Stage { name: "pages", run: pages }];

/// The planted faults.
pub const FAULTS: &[Stage] = &[Stage { name: "faults", run: faults::faults }];

/// The sets of loads and of requests; they fail on no figure.
pub const BENCH: &[Stage] = &[
    Stage { name: "node-sdk", run: tools::node_sdk },
    Stage { name: "prism", run: tools::prism },
    Stage { name: "bench", run: |shell| bench::run(shell, bench::ALL, false) },
];
/// The same, and the tables are written.
pub const BENCH_WRITE: &[Stage] = &[
    Stage { name: "node-sdk", run: tools::node_sdk },
    Stage { name: "prism", run: tools::prism },
    Stage { name: "bench-write", run: |shell| bench::run(shell, bench::ALL, true) },
];
/// Requests alone.
pub const BENCH_API: &[Stage] = &[
    Stage { name: "node-sdk", run: tools::node_sdk },
    Stage { name: "prism", run: tools::prism },
    Stage { name: "bench-api", run: |shell| bench::run(shell, bench::API, false) },
];
/// The same, and their tables are written.
pub const BENCH_API_WRITE: &[Stage] = &[
    Stage { name: "node-sdk", run: tools::node_sdk },
    Stage { name: "prism", run: tools::prism },
    Stage { name: "bench-api-write", run: |shell| bench::run(shell, bench::API, true) },
];

/// Opus by both libraries, which fails on no figure.
pub const OPUS: &[Stage] = &[
    Stage { name: "cmake", run: tools::cmake },
    Stage { name: "python-sdk", run: tools::python_sdk },
    Stage { name: "opus", run: |shell| bench::run(shell, bench::SIDE_BY_SIDE, false) },
];
/// The same, and the tables are written.
pub const OPUS_WRITE: &[Stage] = &[
    Stage { name: "cmake", run: tools::cmake },
    Stage { name: "python-sdk", run: tools::python_sdk },
    Stage { name: "opus-write", run: |shell| bench::run(shell, bench::SIDE_BY_SIDE, true) },
];

/// A profile of the loop, written to the page.
pub const FLAME: &[Stage] =
    &[Stage { name: "flame", run: |shell| bench::run(shell, bench::PROFILE, true) }];

/// RustSec's data, where it lies beside the repository.
const ADVISORY_DB: &str = "../shared/advisory-db";

/// Where RustSec publishes it.
const RUSTSEC: &str = "https://github.com/RustSec/advisory-db.git";

/// Runs the stages and prints what each took; says whether all passed.
pub fn run(shell: &Shell, stages: &[Stage], stop_at_first: bool) -> bool {
    let mut reports = Vec::new();
    for stage in stages {
        println!("== {}", stage.name);
        let start = Instant::now();
        let result = (stage.run)(shell);
        if let Err(why) = &result {
            eprintln!("{} failed: {why}", stage.name);
        }
        let failed = result.is_err();
        reports.push(Report { name: stage.name, took: start.elapsed(), result });
        if failed && stop_at_first {
            break;
        }
    }
    println!("== stages");
    for report in &reports {
        println!("{}", report.line());
    }
    let total: Duration = reports.iter().map(|report| report.took).sum();
    println!("{:>8.1} s  in all", total.as_secs_f64());
    reports.iter().all(|report| report.result.is_ok())
}

/// How one stage went.
struct Report {
    name: &'static str,
    took: Duration,
    result: Result<String, String>,
}

impl Report {
    fn line(&self) -> String {
        let (verdict, remark) = match &self.result {
            Ok(remark) => ("ok", remark),
            Err(why) => ("FAILED", why),
        };
        let line =
            format!("{:>8.1} s  {:<12} {verdict:<6}  {remark}", self.took.as_secs_f64(), self.name);
        line.trim_end().to_owned()
    }
}

fn format(shell: &Shell) -> Result<String, String> {
    shell.run(&["cargo", "fmt", "--all", "--check"]).map(|()| String::new())
}

fn clippy(shell: &Shell) -> Result<String, String> {
    let line = ["cargo", "clippy", "--workspace", "--all-targets", "--locked"];
    shell.run(&[&line[..], &["--", "-D", "warnings"]].concat()).map(|()| String::new())
}

fn docs(shell: &Shell) -> Result<String, String> {
    let line = ["cargo", "doc", "--workspace", "--no-deps", "--document-private-items", "--locked"];
    shell.run_with(&line, &[("RUSTDOCFLAGS", "-D warnings")]).map(|()| String::new())
}

/// All of them, also after a failure: one run tells everything that is wrong.
fn tests(shell: &Shell) -> Result<String, String> {
    let line = ["cargo", "test", "--workspace", "--locked", "--no-fail-fast"];
    let used = shell.path(used::FILE);
    let _ = std::fs::remove_file(&used);
    shell.run_with(&line, &[("SIDETONE_USED", &used.to_string_lossy())]).map(|()| String::new())
}

/// The server with an MP3 encoder, which no other stage builds.
fn mp3(shell: &Shell) -> Result<String, String> {
    tools::make(shell)?;
    let line = ["cargo", "test", "--workspace", "--locked", "--features", "e2e/mp3-lame"];
    shell.run(&[&line[..], &["--test", "mp3"]].concat()).map(|()| String::new())
}

/// The codecs with Opus by its reference library. It is `media` alone that is built another time.
fn libopus(shell: &Shell) -> Result<String, String> {
    let tools = tools::cmake(shell)?;
    let line = ["cargo", "test", "--locked", "--package", "media", "--features", "libopus"];
    shell.run(&[&line[..], &["--lib", "codec"]].concat())?;
    Ok(tools)
}

fn pages(shell: &Shell) -> Result<String, String> {
    let line = ["cargo", "test", "--workspace", "--locked", "--test", "compatibility"];
    shell.run_with(&line, &[("SIDETONE_WRITE", "1")]).map(|()| String::new())
}

/// The street tests of `e2e` need foreign programs and time; its rules of the house do not.
fn tests_fast(shell: &Shell) -> Result<String, String> {
    shell.run(&["cargo", "test", "--workspace", "--exclude", "e2e", "--locked"])?;
    shell.run(&["cargo", "test", "--package", "e2e", "--test", "tidy", "--locked"])?;
    Ok(String::new())
}

/// A test that can take more volume reads `SIDETONE_DEEP`.
fn tests_deep(shell: &Shell) -> Result<String, String> {
    let line = ["cargo", "test", "--workspace", "--release", "--locked"];
    shell.run_with(&line, &[("SIDETONE_DEEP", "1")]).map(|()| String::new())
}

/// Each target for half a minute, two at a time, always the same mutants.
fn fuzz(shell: &Shell) -> Result<String, String> {
    let line = ["cargo", "run", "--quiet", "--locked", "--package", "fuzz", "--"];
    shell.run(&[&line[..], &["--seconds", "30"]].concat()).map(|()| String::new())
}

/// Each target for an hour, or for as many seconds as `SIDETONE_FUZZ_SECONDS` says, from a new seed.
fn fuzz_deep(shell: &Shell) -> Result<String, String> {
    let seconds = std::env::var("SIDETONE_FUZZ_SECONDS").unwrap_or_else(|_| "3600".to_owned());
    let seed = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()).to_string();
    let line = ["cargo", "run", "--quiet", "--locked", "--package", "fuzz", "--"];
    let settings = ["--seconds", &seconds, "--seed", &seed];
    shell.run(&[&line[..], &settings].concat())?;
    Ok(format!("seed {seed}, {seconds} s each"))
}

fn licences(shell: &Shell) -> Result<String, String> {
    let line = ["check", "licenses", "bans", "sources"];
    shell.run(&[&[tools::CARGO_DENY.path][..], &line].concat()).map(|()| String::new())
}

/// Audits against the data beside the repository, else against the original, fetched. Where neither can
/// be had (a clone with nothing beside it, and no network but the registries) the lock file is judged by
/// nobody, and the remark says so.
fn advisories(shell: &Shell) -> Result<String, String> {
    let audit = [tools::CARGO_AUDIT.path, "audit", "--deny", "warnings"];
    let database = shell.path(ADVISORY_DB);
    if database.is_dir() {
        shell.run(&[&audit[..], &["--no-fetch", "--db", ADVISORY_DB]].concat())?;
        let newest = newest_advisory(&database).unwrap_or_else(|| "of an unknown date".to_owned());
        return Ok(format!(
            "against {ADVISORY_DB}, its newest advisory {newest}: nothing later is seen"
        ));
    }
    let fetched = shell.path("target/advisory-db");
    let clone = ["git", "clone", "--quiet", "--depth", "1", RUSTSEC];
    let _ = std::fs::remove_dir_all(&fetched);
    if let Err(why) = shell.run(&[&clone[..], &["target/advisory-db"]].concat()) {
        return Ok(format!(
            "NOT AUDITED: no {ADVISORY_DB}, and RustSec's data is out of reach ({why})"
        ));
    }
    shell.run(&[&audit[..], &["--no-fetch", "--db", "target/advisory-db"]].concat())?;
    Ok("against RustSec's data, fetched".to_owned())
}

/// Returns the latest `date` of all advisories below a folder, as `YYYY-MM-DD`.
fn newest_advisory(folder: &Path) -> Option<String> {
    let mut newest = None;
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        let date = if path.is_dir() {
            newest_advisory(&path)
        } else {
            std::fs::read_to_string(&path).ok().and_then(|text| advisory_date(&text))
        };
        newest = newest.max(date);
    }
    newest
}

fn advisory_date(text: &str) -> Option<String> {
    let date = text.lines().find_map(|line| line.strip_prefix("date = \""))?;
    Some(date.trim_end().trim_end_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_line_says_how_long_and_why() {
        let took = Duration::from_millis(12_340);
        let passed = Report { name: "docs", took, result: Ok(String::new()) };
        assert_eq!(passed.line(), "    12.3 s  docs         ok");
        let failed = Report { name: "docs", took, result: Err("`cargo doc`: exit 1".to_owned()) };
        assert_eq!(failed.line(), "    12.3 s  docs         FAILED  `cargo doc`: exit 1");
    }

    #[test]
    fn every_stage_runs_after_a_failure_unless_asked_to_stop() {
        const STAGES: &[Stage] = &[
            Stage { name: "first", run: |_| Err("broken on purpose".to_owned()) },
            Stage {
                name: "second",
                run: |shell| shell.run(&["mkdir", "second"]).map(|()| String::new()),
            },
        ];
        for (stop_at_first, reached) in [(true, false), (false, true)] {
            let folder =
                std::env::temp_dir().join(format!("xtask-{}-{reached}", std::process::id()));
            std::fs::create_dir(&folder).expect("the name is new");
            assert!(!run(&Shell::new(&folder, false), STAGES, stop_at_first));
            assert_eq!(folder.join("second").exists(), reached);
            std::fs::remove_dir_all(&folder).expect("it was made above");
        }
    }

    #[test]
    fn the_date_of_an_advisory_is_read() {
        let text = "```toml\n[advisory]\nid = \"RUSTSEC-2022-0057\"\ndate = \"2022-08-31\"\n```";
        assert_eq!(advisory_date(text).as_deref(), Some("2022-08-31"));
        assert_eq!(advisory_date("no advisory"), None);
    }
}
