//! The customer's application: where it is, and its process where a scenario starts it.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Scenario;

/// How often an application is asked whether it listens.
const ASKS_EVERY: Duration = Duration::from_millis(20);
/// Octets of what it printed that are shown.
const SHOWN_MAX: usize = 4_000;

/// Returns where the application is, without a slash at its end, and the port that it is to listen on if it is
/// started here.
pub fn address(scenario: &Scenario, app: Option<&str>) -> Result<(String, u16), String> {
    let given = app.or(scenario.app.as_deref());
    if let Some(url) = given {
        let url = url.trim_end_matches('/');
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let host = rest.split('/').next().unwrap_or_default();
        if !matches!(scheme, "http" | "https") || host.is_empty() {
            return Err(format!("{url:?} is no address such as http://127.0.0.1:5000"));
        }
        let port = host.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        return Ok((url.to_owned(), port.unwrap_or(80)));
    }
    if scenario.run.is_none() {
        return Err(
            "there is no application: add `run` or `app` to the scenario, or --app http://…".into(),
        );
    }
    let told = |error: std::io::Error| format!("no port for the application: {error}");
    let free = TcpListener::bind("127.0.0.1:0").map_err(told)?;
    let port = free.local_addr().map_err(told)?.port();
    Ok((format!("http://127.0.0.1:{port}"), port))
}

/// A process; it ends when this is dropped.
#[derive(Debug)]
pub struct Application {
    child: Child,
    command: String,
    log: PathBuf,
}

impl Application {
    /// Starts a command in the scenario's folder; what it prints goes to a file.
    pub fn start(
        command: &[String],
        folder: &Path,
        (exports, port): (&[(String, String)], u16),
        log: &Path,
    ) -> Result<Self, String> {
        let told = |error: std::io::Error| format!("{}: {error}", command.join(" "));
        let [program, arguments @ ..] = command else { return Err("run is empty".to_owned()) };
        let output = File::create(log).map_err(told)?;
        let child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .envs(exports.iter().cloned())
            .env_remove("TWILIO_REGION")
            .env_remove("TWILIO_EDGE")
            .env("PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(told)?)
            .stderr(output)
            .spawn()
            .map_err(told)?;
        Ok(Self { child, command: command.join(" "), log: log.to_owned() })
    }

    /// Ends it and returns the last of what it printed.
    pub fn end(&mut self) -> String {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.said()
    }

    fn said(&self) -> String {
        let said = std::fs::read(&self.log).unwrap_or_default();
        let last = &said[said.len().saturating_sub(SHOWN_MAX)..];
        String::from_utf8_lossy(last).trim().to_owned()
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until the application takes connections.
pub async fn wait(
    url: &str,
    mut started: Option<&mut Application>,
    limit: Duration,
) -> Result<(), String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let until = Instant::now() + limit;
    while tokio::net::TcpStream::connect(&address).await.is_err() {
        if let Some(application) = started.as_deref_mut()
            && let Ok(Some(status)) = application.child.try_wait()
        {
            let (command, said) = (&application.command, application.said());
            return Err(format!("{command} ended before it listened, {status}:\n{said}"));
        }
        if Instant::now() >= until || started.is_none() {
            return Err(format!("no application listens at {url}; start it, or add `run`"));
        }
        tokio::time::sleep(ASKS_EVERY).await;
    }
    Ok(())
}
