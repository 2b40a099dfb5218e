//! `sidetone dev-proxy` beside a server.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::server::{Server, binary};

/// A running proxy; it ends when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    /// What it says to put into a shell.
    pub exports: Vec<(String, String)>,
}

impl Proxy {
    /// Starts a proxy on a free port and reads what it prints.
    pub fn start(server: &Server) -> Self {
        let mut child = Command::new(binary())
            .args(["dev-proxy", "--listen", "127.0.0.1:0", "--data"])
            .arg(server.data())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut exports = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(values) = line.trim().strip_prefix("export ") {
                let pair = |word: &str| {
                    let (name, value) = word.split_once('=').unwrap();
                    (name.to_owned(), value.trim_matches('\'').to_owned())
                };
                exports.extend(values.split(' ').map(pair));
            }
            if line.starts_with("Ctrl-C") {
                break;
            }
        }
        Self { child, exports }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
