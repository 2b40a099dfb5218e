//! The processes that `sidetone load` starts: a server of its own, and the reflector.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use model::Timestamp;
use sim::load::Plan;
use tempfile::TempDir;

/// How long a server may take until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// Of a history: every run has the same rows, but for their dates.
const SEED: u64 = 1;
/// How long it may take to end.
const END_WITHIN: Duration = Duration::from_secs(10);

fn ourselves() -> Result<Command, String> {
    let program = std::env::current_exe().map_err(|error| format!("our own program: {error}"))?;
    Ok(Command::new(program))
}

/// Starts `command` bound to a processor.
fn spawn(mut command: Command, pin: Option<usize>) -> Result<Child, String> {
    // A process starts where the thread is that starts it.
    let start = move || {
        if let Some(processor) = pin {
            sim::load::pin(processor)?;
        }
        command.spawn().map_err(|error| format!("a process could not be started: {error}"))
    };
    std::thread::spawn(start).join().map_err(|_| "a thread ended".to_owned())?
}

/// What a server of our own is to be.
#[derive(Debug)]
pub struct Wants {
    /// The processor that it is bound to.
    pub pin: Option<usize>,
    /// Where is asked what to do with a call.
    pub voice_url: Option<String>,
    /// How many calls are over already.
    pub history: Option<usize>,
    /// Whether it speaks SIP over TLS.
    pub tls: bool,
}

/// A server of our own; it ends, and its folder goes, when this is dropped.
pub struct Server {
    child: Child,
    folder: TempDir,
}

impl Server {
    /// Starts it.
    pub async fn start(wants: &Wants) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("a folder: {error}"))?;
        if let Some(calls) = wants.history {
            let folder = folder.path().to_owned();
            let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
            let write = move || {
                sim::load::write_history(&folder, calls, Timestamp::default().after(now), SEED)
            };
            let written = tokio::task::spawn_blocking(write).await;
            written.map_err(|error| error.to_string())??;
        }
        let ready = folder.path().join("ready-for-load.json");
        let mut command = ourselves()?;
        command.args(["dev", "--http", "127.0.0.1:0", "--sip", "127.0.0.1:0"]);
        command.args(["--admin", "127.0.0.1:0", "--data"]).arg(folder.path());
        command.arg("--ready-file").arg(&ready).stdout(Stdio::null());
        if let Some(url) = &wants.voice_url {
            command.args(["--voice-url", url]);
        }
        if wants.tls {
            command.args(["--sip-tls", "127.0.0.1:0"]);
        }
        let mut server = Self { child: spawn(command, wants.pin)?, folder };
        let until = Instant::now() + READY_WITHIN;
        while !ready.exists() {
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("the server ended before it was ready: {status}"));
            }
            if Instant::now() > until {
                return Err(format!("the server was not ready within {READY_WITHIN:?}"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(server)
    }

    /// Returns its folder.
    pub fn data(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let until = Instant::now() + END_WITHIN;
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The reflector; it ends when this is dropped.
pub struct Reflector {
    child: Child,
    /// Its sockets.
    pub addresses: Vec<SocketAddr>,
}

impl Reflector {
    /// Starts it with a socket for each leg.
    pub fn start(plan: &Plan, pin: Option<usize>) -> Result<Self, String> {
        let mut command = ourselves()?;
        command.args(["load", "--reflector", &plan.legs.to_string()]);
        if plan.waiting {
            command.arg("--waiting");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn(command, pin)?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            // What is not told is missed below.
            let _ = BufReader::new(output).read_line(&mut line);
        }
        let addresses: Vec<SocketAddr> =
            line.split_whitespace().filter_map(|address| address.parse().ok()).collect();
        let reflector = Self { child, addresses };
        if reflector.addresses.len() == plan.legs {
            Ok(reflector)
        } else {
            Err("the reflector has too few sockets; raise `ulimit -n`".to_owned())
        }
    }

    /// Returns its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Reflector {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is the reflector: says where its sockets are and sends back what they get, or to those who wait of itself, until standard
/// input ends.
pub fn reflect(legs: usize, waiting: bool) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{error}; try fewer --legs, or raise `ulimit -n`");
    node::raise_open_files();
    let reflector = sim::load::Reflector::bind([127, 0, 0, 1].into(), legs).map_err(told)?;
    let addresses: Vec<String> =
        reflector.addresses().map_err(told)?.iter().map(SocketAddr::to_string).collect();
    println!("{}", addresses.join(" "));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            over.store(true, Ordering::Relaxed);
        });
        if waiting { reflector.send(&over) } else { reflector.run(&over) }
    });
    Ok(())
}
