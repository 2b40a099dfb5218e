//! What is logged, and how: on standard error, so that what commands print stays theirs.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// What is logged where nobody says.
const FILTER: &str = "warn";

/// Flags that every command has.
#[derive(Debug, Clone, clap::Args)]
pub struct Flags {
    /// What is logged: `error`, `warn`, `info`, `debug`, or by part, such as `warn,node=info`.
    #[arg(long, global = true, env = "SIDETONE_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// How it is written.
    #[arg(long, global = true, env = "SIDETONE_LOG_FORMAT")]
    log_format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Lines for people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

impl Flags {
    /// Returns what was given: the filter and the format.
    pub fn given(self) -> (Option<String>, Option<String>) {
        let word = |format| match format {
            Format::Text => "text".to_owned(),
            Format::Json => "json".to_owned(),
        };
        (self.log, self.log_format.map(word))
    }

    /// Begins to log as the flags say.
    ///
    /// # Errors
    /// One line for a filter that makes no sense.
    pub fn start(self) -> Result<(), String> {
        let (filter, format) = self.given();
        start(filter.as_deref().unwrap_or(FILTER), format.as_deref().unwrap_or("text")).map(drop)
    }
}

type Change = dyn Fn(EnvFilter) -> Result<(), String> + Send;

/// The log, which can be told to say more or less.
pub struct Log(Box<Change>);

impl Log {
    /// Takes another filter from now on.
    ///
    /// # Errors
    /// One line for a filter that makes no sense.
    pub fn set(&self, filter: &str) -> Result<(), String> {
        (self.0)(read(filter)?)
    }
}

fn read(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(filter)
        .map_err(|error| format!("{filter:?} is no filter: {error}; try --log info"))
}

/// Begins to log; `format` is `text` or `json`.
///
/// # Errors
/// One line for a filter that makes no sense.
pub fn start(filter: &str, format: &str) -> Result<Log, String> {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(read(filter)?)
        .with_ansi(stderr().is_terminal())
        // It would tell by `eprintln!`, which panics where standard error is a file on a full disk.
        .log_internal_errors(false)
        .with_writer(stderr);
    if format == "json" {
        let lines = lines.json().flatten_event(true).with_filter_reloading();
        let handle = lines.reload_handle();
        lines.init();
        Ok(Log(Box::new(move |new| handle.reload(new).map_err(|error| error.to_string()))))
    } else {
        let lines = lines.with_filter_reloading();
        let handle = lines.reload_handle();
        lines.init();
        Ok(Log(Box::new(move |new| handle.reload(new).map_err(|error| error.to_string()))))
    }
}
