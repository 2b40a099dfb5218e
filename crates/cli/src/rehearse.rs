//! `sidetone rehearse`: a web application against phones without sockets, in virtual time.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use node::Handle;
use serde_json::json;
use sim::rehearsal::{self, Options, Report, Scenario};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::{proxy, server};

/// What a file that is no scenario, or a rehearsal that cannot be held, exits with.
const NOT_HELD: u8 = 2;

/// Flags of `sidetone rehearse`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The scenarios: TOML files.
    #[arg(required = true)]
    scenarios: Vec<PathBuf>,
    /// Where the application listens, for scenarios that do not start it themselves.
    #[arg(long)]
    app: Option<String>,
    /// Where the API listens, for a program that runs already.
    #[arg(long, default_value = "127.0.0.1:0", value_parser = on_this_machine)]
    http: SocketAddr,
    /// Written when the API listens: its address, the account and its token.
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// Draws every SID and all that is left to chance; the same seed gives the same rehearsal.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes the results as JUnit XML.
    #[arg(long)]
    junit: Option<PathBuf>,
    /// Saves what a phone heard, as PHONE=FILE; may be given several times.
    #[arg(long, value_parser = wav)]
    wav: Vec<(String, PathBuf)>,
    /// Prints the timeline of scenarios that pass, too.
    #[arg(long, short)]
    timeline: bool,
}

fn on_this_machine(text: &str) -> Result<SocketAddr, String> {
    let address: Option<SocketAddr> = text.parse().ok();
    let here = address.filter(|address| address.ip().is_loopback());
    here.ok_or_else(|| format!("{text:?} is no address of this machine such as 127.0.0.1:8080"))
}

fn wav(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((phone, file)) if !phone.is_empty() && !file.is_empty() => {
            Ok((phone.to_owned(), file.into()))
        }
        _ => Err(format!("{text:?} is not PHONE=FILE")),
    }
}

/// Holds the rehearsals, one after the other: 0 where all passed, 1 where one failed, 2 where one could not be held.
pub async fn run(arguments: Arguments) -> ExitCode {
    match hold(arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("sidetone: {message}");
            NOT_HELD.into()
        }
    }
}

async fn hold(arguments: Arguments) -> Result<bool, String> {
    let mut scenarios = Vec::new();
    // All files are read before anything is done.
    for file in &arguments.scenarios {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        let scenario = Scenario::read(&text).map_err(|problem| {
            format!("{}:{}:{}: {}", file.display(), problem.line, problem.column, problem.message)
        })?;
        if let Some((phone, _)) = arguments.wav.iter().find(|(phone, _)| !scenario.has_phone(phone))
        {
            return Err(format!("--wav {phone}: {} has no such phone", file.display()));
        }
        scenarios.push((file, scenario));
    }
    let mut reports = Vec::new();
    for (file, scenario) in &scenarios {
        let began = Instant::now();
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let app = arguments.app.as_deref();
        let folder = folder.unwrap_or(Path::new("."));
        let options = Options { folder, app, http: arguments.http, seed: arguments.seed };
        let mut served = JoinSet::new();
        let ready_file = arguments.ready_file.as_deref();
        let opened = async |node: Handle, listener: TcpListener, data: &Path| {
            open(node, listener, (data, ready_file), &mut served).await
        };
        let report = rehearsal::rehearse(scenario, &options, opened).await;
        // The next one may listen at the same place.
        served.shutdown().await;
        let report = report.map_err(|message| format!("{}: {message}", file.display()))?;
        show(&report, began, arguments.timeline);
        for (phone, file) in &arguments.wav {
            let heard = report.heard.get(phone).map(Vec::as_slice).unwrap_or_default();
            std::fs::write(file, sound::wav(heard))
                .map_err(|error| format!("{}: {error}", file.display()))?;
        }
        reports.push(report);
    }
    if let Some(file) = &arguments.junit {
        std::fs::write(file, rehearsal::junit(&reports))
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(reports.iter().all(Report::has_passed))
}

/// Serves the API of a rehearsal, and the proxy by which programs that know Twilio alone find it.
async fn open(
    node: Handle,
    listener: TcpListener,
    (data, ready_file): (&Path, Option<&Path>),
    served: &mut JoinSet<()>,
) -> Result<Vec<(String, String)>, String> {
    let account = node.account();
    let (sid, token) = (account.sid.to_string(), account.auth_token);
    let ready = json!({ "api_url": node.api_url(), "account_sid": sid, "auth_token": token });
    server::write_ready(&ready, data, ready_file)?;
    served.spawn(api::serve(listener, api::router(node, Arc::default(), None), None));
    let mut exports = proxy::start(data).await?;
    exports.push(("SIDETONE_ACCOUNT_SID".to_owned(), sid));
    exports.push(("SIDETONE_AUTH_TOKEN".to_owned(), token));
    Ok(exports)
}

fn show(report: &Report, began: Instant, with_timeline: bool) {
    let passed = report.has_passed();
    let word = if passed { "passed" } else { "FAILED" };
    let mut text = format!("{}: {word}\n{}", report.name, report.verdicts_text());
    if with_timeline || !passed {
        text.push_str(&format!("\n{}\n", report.timeline_text()));
    }
    if !passed && !report.application.is_empty() {
        text.push_str(&format!("The application said last:\n{}\n\n", report.application));
    }
    let (lasted, took) = (report.lasted.as_secs_f64(), began.elapsed().as_secs_f64());
    let seed = report.seed;
    text.push_str(&format!("  {lasted:.1} s were played in {took:.1} s, seed {seed}\n"));
    // Whoever reads the first lines alone still gets the files.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
