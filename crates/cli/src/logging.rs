//! What is logged, and how: on standard error, so that what commands print stays theirs.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// Flags that every command has.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// What is logged: `error`, `warn`, `info`, `debug`, or by part, such as `warn,node=info`.
    #[arg(
        long,
        global = true,
        env = "SIDETONE_LOG",
        default_value = "warn",
        value_name = "FILTER"
    )]
    log: String,
    /// How it is written.
    #[arg(long, global = true, env = "SIDETONE_LOG_FORMAT", default_value = "text")]
    log_format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Lines for people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Begins to log.
///
/// # Errors
/// One line for a filter that makes no sense.
pub fn start(flags: &Flags) -> Result<(), String> {
    let filter = EnvFilter::try_new(&flags.log)
        .map_err(|error| format!("{:?} is no filter: {error}; try --log info", flags.log))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(stderr().is_terminal())
        // It would tell by `eprintln!`, which panics where standard error is a file on a full disk.
        .log_internal_errors(false)
        .with_writer(stderr);
    match flags.log_format {
        Format::Text => lines.init(),
        Format::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}
