//! How long `sidetone dev` takes until everything listens.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A start that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(30);

/// Starts `binary` in a new folder and then in the same once more; returns how long each took until
/// its ready file was there.
///
/// # Errors
/// One line, when it does not start.
pub fn ready_after(binary: &Path, folder: &Path) -> Result<[Duration; 2], String> {
    let _ = std::fs::remove_dir_all(folder);
    let times = [once(binary, folder)?, once(binary, folder)?];
    std::fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(times)
}

fn once(binary: &Path, folder: &Path) -> Result<Duration, String> {
    let ready = folder.join("ready-for-bench.json");
    let _ = std::fs::remove_file(&ready);
    let any = "127.0.0.1:0";
    let begun = Instant::now();
    let mut child = Command::new(binary)
        .args(["dev", "--http", any, "--sip", any, "--admin", any, "--data"])
        .arg(folder)
        .arg("--ready-file")
        .arg(&ready)
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("{} could not run: {error}", binary.display()))?;
    while !ready.exists() && begun.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = begun.elapsed();
    let is_ready = ready.exists();
    // It is asked to end as a terminal asks; what it does about that is not measured here.
    let pid = child.id().to_string();
    let _ = Command::new("kill").arg(&pid).status();
    child.wait().map_err(|error| error.to_string())?;
    if is_ready {
        Ok(took)
    } else {
        Err(format!("{} was not ready in {LIMIT:?}", binary.display()))
    }
}
