//! Rehearsals: a customer's unchanged web application against phones without sockets, in virtual time.
//!
//! The node is the real one without its machinery, as in [`crate::world`]; what is beside it is real: documents
//! and callbacks are signed HTTP requests to the application, its requests reach the real API, and the rows are
//! in the real store. Time stands still while a request is open, and requests go out one at a time.

mod application;
mod ear;
mod errands;
mod expect;
mod machine;
mod outputs;
mod report;
mod scenario;
mod sounds;
mod steps;
mod typo;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use model::Timestamp;
use node::{Handle, PlayedConfig};
use tokio::net::TcpListener;

pub use report::{Line, Report, Verdict, junit};
pub use scenario::{Problem, Scenario};
pub use typo::nearest;

use application::Application;
use machine::Machine;
use sounds::Wanted;

/// The date on which every rehearsal begins: 2026-01-01.
const DATE: Timestamp = Timestamp(1_767_225_600_000);
/// How long an application may take until it listens.
const APPLICATION_WITHIN: Duration = Duration::from_secs(60);

/// How a scenario is rehearsed.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// Where the scenario's own files are.
    pub folder: &'a Path,
    /// Where the application is, whatever the scenario says.
    pub app: Option<&'a str>,
    /// Where the API listens; port 0 is any free one.
    pub http: SocketAddr,
    /// Draws every SID and all that is left to chance.
    pub seed: u64,
}

/// Plays a scenario to its end. `open` serves the API of a node on a listener, and returns the variables that an
/// application finds it by.
///
/// # Errors
/// What kept the rehearsal from being held; a scenario that fails is no error.
pub async fn rehearse(
    scenario: &Scenario,
    options: &Options<'_>,
    open: impl AsyncFnOnce(Handle, TcpListener, &Path) -> Result<Vec<(String, String)>, String>,
) -> Result<Report, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    let told = |error: std::io::Error| format!("the API at {}: {error}", options.http);
    let listener = TcpListener::bind(options.http).await.map_err(told)?;
    let api_url = format!("http://{}", listener.local_addr().map_err(told)?);
    let (app, port) = application::address(scenario, options.app)?;
    let absolute = |address: &str| match address.contains("://") {
        true => address.to_owned(),
        false => format!("{app}{address}"),
    };
    let played = node::Played::start(PlayedConfig {
        data: folder.path().to_owned(),
        sip: SocketAddr::from(([127, 0, 0, 1], 5_060)),
        voice_url: scenario.voice.as_deref().map(absolute),
        api_url: api_url.clone(),
        stock: machine::stock(scenario)?,
        seed: options.seed,
        date: DATE,
        lists_late: scenario.misfortune.lists_late,
    });
    let played = played.await.map_err(|error| error.to_string())?;
    let mut exports = open(played.handle(), listener, folder.path()).await?;
    exports.push(("SIDETONE_API_URL".to_owned(), api_url.clone()));
    let mut machine = Machine::new(scenario, options, (played, app.clone()))?;
    machine.take_numbers(absolute).await?;
    let mut application = match &scenario.run {
        Some(command) if options.app.is_none() => {
            let log = folder.path().join("application.log");
            Some(Application::start(command, options.folder, (&exports, port), &log)?)
        }
        _ => None,
    };
    let ready = application::wait(&app, application.as_mut(), APPLICATION_WITHIN);
    machine.stand_still(ready).await?;
    let report = machine.run().await;
    let said = application.map(|mut application| application.end()).unwrap_or_default();
    report.map(|report| report.with_application(said))
}
