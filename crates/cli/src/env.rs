//! `sidetone env`: where the running server is, for a shell.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::proxy::{self, DEFAULT_LISTEN};
use crate::running::{DEFAULT_DATA, Running, VARIABLES};

/// Flags of `sidetone env`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The data folder of the running server.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Prints what sends unmodified programs through `sidetone dev-proxy`, which listens here.
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = DEFAULT_LISTEN)]
    proxy: Option<SocketAddr>,
}

/// Prints the running server's address and credentials as lines for a shell.
///
/// # Errors
/// As [`Running::find`].
pub fn run(arguments: &Arguments) -> Result<(), String> {
    if let Some(listen) = arguments.proxy {
        let data = arguments.data.as_deref().unwrap_or(Path::new(DEFAULT_DATA));
        let lines = proxy::exports(data, &listen.to_string())?;
        lines.iter().for_each(|line| println!("{line}"));
        return Ok(());
    }
    let running = Running::find(arguments.data.as_deref())?;
    let values = [running.api_url, running.account_sid, running.auth_token];
    for (name, value) in VARIABLES.into_iter().zip(values) {
        println!("export {name}={value}");
    }
    Ok(())
}
