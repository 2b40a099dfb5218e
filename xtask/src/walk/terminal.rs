//! A program that stays in the foreground of a terminal of its own.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to say that it is up.
const UP_WITHIN: Duration = Duration::from_secs(60);
/// How long the server may take to end, as docs/operating.md says.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// What ends a program that is asked to end, also where Ctrl-C is passed over: a shell lets programs
/// in the background do so, and what these start does, too.
const SIGTERM: i32 = 15;

/// A program that runs, and what it prints.
pub struct Terminal {
    line: String,
    log: PathBuf,
    child: Child,
}

impl Terminal {
    /// Starts `line` with a command that runs what `bash -c` gets; it prints into `log`.
    ///
    /// # Errors
    /// What could not be made.
    pub fn open(mut command: Command, line: &str, log: &Path) -> Result<Self, String> {
        let file = File::create(log).map_err(|error| error.to_string())?;
        let errors = file.try_clone().map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = command.spawn().map_err(|error| error.to_string())?;
        Ok(Self { line: line.to_owned(), log: log.to_owned(), child })
    }

    /// Waits until what was printed is as wanted.
    ///
    /// # Errors
    /// What it printed, if it ended or took too long.
    pub fn wait(&mut self, is_up: impl Fn(&str) -> bool) -> Result<(), String> {
        let until = Instant::now() + UP_WITHIN;
        loop {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            if is_up(&said) {
                return Ok(());
            }
            let gone = self.child.try_wait().map_err(|error| error.to_string())?;
            if gone.is_some() || Instant::now() > until {
                return Err(format!("`{}` did not come up:\n{said}", self.line));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asks it to end, and waits.
    ///
    /// # Errors
    /// How it ended, if not by itself and in time.
    pub fn end(mut self) -> Result<(), String> {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let until = Instant::now() + ENDS_WITHIN;
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                let as_asked = status.success() || status.signal() == Some(SIGTERM);
                return if as_asked { Ok(()) } else { Err(format!("`{}`: {status}", self.line)) };
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("`{}` did not end within {ENDS_WITHIN:?}", self.line))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
