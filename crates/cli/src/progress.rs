//! How far something has come that takes long: one line of a terminal, and nothing where that is none.

use std::io::{IsTerminal, Write, stderr};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the line is written anew.
const EVERY: Duration = Duration::from_secs(1);

/// The line; it is wiped away when this is dropped.
#[derive(Debug)]
pub struct Progress {
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Shows that something is done for so many seconds.
    pub fn start(what: &'static str, seconds: u64) -> Self {
        if !stderr().is_terminal() {
            return Self { over: None, thread: None };
        }
        let (over, is_over) = channel();
        let thread = std::thread::spawn(move || {
            let began = Instant::now();
            loop {
                // A terminal that is gone is nobody's loss.
                let _ = write!(stderr(), "\r{what}: {} of {seconds} s ", began.elapsed().as_secs());
                if is_over.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            let _ = write!(stderr(), "\r\x1b[K");
        });
        Self { over: Some(over), thread: Some(thread) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.over.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
