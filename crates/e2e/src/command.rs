//! The command line, as it is typed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::server::{Server, binary};

/// Longer than a command may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a command came to.
#[derive(Debug)]
pub struct Typed {
    /// Its exit code.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it complained of.
    pub error: String,
}

impl Typed {
    /// Returns what it printed as JSON.
    ///
    /// # Panics
    /// When it failed or printed something else.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs a sub-command on a server to its end.
pub fn typed(server: &Server, words: &[&str]) -> Typed {
    let output = command(server, words).output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    let code = output.status.code().unwrap_or(-1);
    Typed { code, out: text(output.stdout), error: text(output.stderr) }
}

fn command(server: &Server, words: &[&str]) -> Command {
    let mut command = Command::new(binary());
    for name in ["SIDETONE_API_URL", "SIDETONE_ACCOUNT_SID", "SIDETONE_AUTH_TOKEN"] {
        command.env_remove(name);
    }
    command.args(words).arg("--data").arg(server.data());
    command
}

/// A sub-command that goes on; it ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Starts a sub-command on a server.
    pub fn start(server: &Server, words: &[&str]) -> Self {
        let mut child = command(server, words).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (told, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if told.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// Waits for the next line.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("no line came")
    }

    /// Returns the lines that are there.
    pub fn lines(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
