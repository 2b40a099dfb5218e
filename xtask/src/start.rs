//! `sidetone dev` as a process, and how long it takes until everything listens.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A start that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(60);

/// A server in a folder; it is told to end when this is dropped.
pub struct Running {
    child: Child,
    /// What its ready file says.
    pub ready: Value,
    /// How long it took until that was there.
    pub took: Duration,
}

impl Running {
    /// Starts `binary` on free ports, its data in `folder`.
    ///
    /// # Errors
    /// One line, when it does not come up.
    pub fn start(binary: &Path, folder: &Path) -> Result<Self, String> {
        let file = folder.join("ready-for-xtask.json");
        let _ = std::fs::remove_file(&file);
        let any = "127.0.0.1:0";
        let begun = Instant::now();
        let child = Command::new(binary)
            .args(["dev", "--http", any, "--sip", any, "--admin", any, "--data"])
            .arg(folder)
            .arg("--ready-file")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{} could not run: {error}", binary.display()))?;
        let mut running = Self { child, ready: Value::Null, took: Duration::ZERO };
        while begun.elapsed() < LIMIT {
            if let Ok(text) = std::fs::read_to_string(&file) {
                running.took = begun.elapsed();
                running.ready = serde_json::from_str(&text).map_err(|error| error.to_string())?;
                return Ok(running);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(format!("{} was not ready in {LIMIT:?}", binary.display()))
    }

    /// Returns a field of the ready file.
    pub fn field(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap_or_default()
    }

    /// Whether it has not ended by itself.
    pub fn is_up(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It is asked as a terminal asks.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Starts `binary` in a new folder and then in the same once more; returns how long each took.
///
/// # Errors
/// One line, when it does not start.
pub fn ready_after(binary: &Path, folder: &Path) -> Result<[Duration; 2], String> {
    let _ = std::fs::remove_dir_all(folder);
    let once = || Ok::<_, String>(Running::start(binary, folder)?.took);
    let times = [once()?, once()?];
    std::fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(times)
}
