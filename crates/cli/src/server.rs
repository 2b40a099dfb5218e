//! What `dev` and `serve` have in common: listening, saying so, and being told to end.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use api::Tls;
use node::Handle;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::admin;

/// What the system sends to who writes beyond the size that a file may have, on every architecture that this is
/// built for.
#[cfg(target_os = "linux")]
const SIGXFSZ: i32 = 25;

/// Makes a file that may grow no further an error of whoever writes it, and not the end of the server.
///
/// # Errors
/// When the system has no such signal.
pub fn outlive_full_files() -> Result<(), String> {
    #[cfg(target_os = "linux")]
    drop(signal(SignalKind::from_raw(SIGXFSZ)).map_err(|error| error.to_string())?);
    Ok(())
}

/// Listens.
///
/// # Errors
/// One line that names the flag that helps.
pub async fn listen(address: SocketAddr, flag: &str) -> Result<TcpListener, String> {
    let told = |error| format!("{address}: {error}; choose another address with {flag}");
    TcpListener::bind(address).await.map_err(told)
}

/// Returns where a listener listens.
///
/// # Errors
/// When the system does not say.
pub fn address(listener: &TcpListener) -> Result<SocketAddr, String> {
    listener.local_addr().map_err(|error| error.to_string())
}

/// Says where everything is, and what may be reached from it.
pub fn ready(
    node: &Handle,
    admin: SocketAddr,
    (first, last): (u16, u16),
    guard: node::Guard,
) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "api_url": node.api_url(),
        "account_sid": node.account().sid.to_string(),
        "auth_token": node.account().auth_token,
        "sip_uri": format!("sip:{}", node.sip()),
        "sips_uri": node.sip_tls().map(|at| format!("sips:{at}")),
        "admin_url": format!("http://{admin}"),
        "console_url": null,
        "rtp_ports": format!("{first}-{last}"),
        "guard": { "loopback": guard.loopback, "private": guard.private },
    })
}

/// Serves the API, by TLS where that is given, and health and metrics.
pub fn serve(
    node: &Handle,
    (http, admin): (TcpListener, TcpListener),
    used: Option<api::Used>,
    tls: Option<Tls>,
) {
    let stats = Arc::new(api::Stats::default());
    tokio::spawn(api::serve(http, api::router(node.clone(), Arc::clone(&stats), used), tls));
    tokio::spawn(api::serve(admin, admin::router(node.clone(), stats), None));
}

/// Writes where everything is into the data folder, for the commands of this machine, and where else it is wanted.
///
/// # Errors
/// One line that names the file.
pub fn write_ready(ready: &Value, data: &Path, file: Option<&Path>) -> Result<(), String> {
    let text = ready.to_string();
    let in_data = data.join("ready.json");
    [Some(in_data.as_path()), file]
        .into_iter()
        .flatten()
        .try_for_each(|file| write_whole(file, &text))
}

/// Writes beside the place and moves there, so that nobody reads half of it; it holds a token, so that nobody else
/// reads it at all.
fn write_whole(path: &Path, text: &str) -> Result<(), String> {
    let beside = path.with_extension("part");
    // One that is left over may be open to others.
    let _ = std::fs::remove_file(&beside);
    let mut options = std::fs::OpenOptions::new();
    let written = options.write(true).create_new(true).mode(0o600).open(&beside);
    written
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|error| format!("{}: {error}; choose another place", path.display()))
}

/// Waits for SIGTERM or Ctrl-C.
///
/// # Errors
/// When the system has no such signals.
pub async fn told_to_end() -> Result<(), String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(|error| error.to_string()),
    }
}
