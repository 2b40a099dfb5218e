//! What a media thread is told.
//!
//! Nothing of it is heard before the next slot, so that nothing wakes the thread but who waits for an answer: a wake
//! costs both sides more than the most that it is told. It looks when it is up anyway.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use super::Input;

/// The way to a media thread.
#[derive(Debug, Clone)]
pub struct Sender {
    queue: SyncSender<Input>,
    thread: Arc<OnceLock<Thread>>,
}

/// The thread's own end.
#[derive(Debug)]
pub struct Inbox {
    queue: Receiver<Input>,
    thread: Arc<OnceLock<Thread>>,
}

/// Makes both ends; at most `capacity` inputs wait.
pub fn channel(capacity: usize) -> (Sender, Inbox) {
    let (sender, receiver) = mpsc::sync_channel(capacity);
    let thread = Arc::default();
    (Sender { queue: sender, thread: Arc::clone(&thread) }, Inbox { queue: receiver, thread })
}

impl Sender {
    /// Tells the thread; wakes it where somebody waits for what it says.
    ///
    /// # Errors
    /// When too much waits, or the thread has ended.
    pub fn try_send(&self, input: Input) -> Result<(), TrySendError<Input>> {
        let is_awaited = input.is_awaited();
        self.queue.try_send(input)?;
        if is_awaited && let Some(thread) = self.thread.get() {
            thread.unpark();
        }
        Ok(())
    }
}

impl Inbox {
    /// Returns what waits. Where nothing does, the thread rests for as long, or until it is woken, and looks again.
    ///
    /// # Errors
    /// When nothing came, or nobody can tell it anything any more.
    pub fn recv_timeout(&self, rest: Duration) -> Result<Input, RecvTimeoutError> {
        let mut told = self.queue.try_recv();
        if matches!(told, Err(TryRecvError::Empty)) && !rest.is_zero() {
            self.thread.get_or_init(thread::current);
            thread::park_timeout(rest);
            told = self.queue.try_recv();
        }
        told.map_err(|error| match error {
            TryRecvError::Empty => RecvTimeoutError::Timeout,
            TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use media::{Command, LegId};
    use tokio::sync::oneshot;

    use super::*;

    /// As long as nothing in these tests takes.
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn only_who_waits_for_an_answer_wakes_the_thread() {
        let (sender, inbox) = channel(8);
        // It says who it is when it first rests.
        assert!(inbox.recv_timeout(Duration::from_nanos(1)).is_err());
        sender.try_send(Input::Command(Command::RemoveLeg(LegId(1)), None)).unwrap();
        assert!(matches!(inbox.recv_timeout(LONG), Ok(Input::Command(..))));
        // A wake that finds nobody at rest ends the next rest.
        let (began, rest) = (Instant::now(), Duration::from_millis(30));
        assert!(inbox.recv_timeout(rest).is_err());
        assert!(began.elapsed() >= rest, "a command woke it");

        let (asked, _answer) = oneshot::channel();
        sender.try_send(Input::Stats(asked)).unwrap();
        assert!(matches!(inbox.recv_timeout(LONG), Ok(Input::Stats(_))));
        let began = Instant::now();
        assert!(inbox.recv_timeout(LONG).is_err());
        assert!(began.elapsed() < LONG, "a question did not wake it");
    }

    #[test]
    fn what_comes_while_it_rests_is_there_after_the_rest() {
        let (sender, inbox) = channel(8);
        let rests = thread::spawn(move || inbox.recv_timeout(Duration::from_millis(30)).is_ok());
        while sender.thread.get().is_none() {
            thread::yield_now();
        }
        sender.try_send(Input::Expect(LegId(1))).unwrap();
        assert!(rests.join().unwrap());
    }

    #[test]
    fn what_finds_no_room_comes_back() {
        let (sender, inbox) = channel(1);
        sender.try_send(Input::Expect(LegId(1))).unwrap();
        let refused = sender.try_send(Input::Expect(LegId(2)));
        assert!(matches!(refused, Err(TrySendError::Full(Input::Expect(LegId(2))))));
        assert!(matches!(inbox.recv_timeout(LONG), Ok(Input::Expect(LegId(1)))));
        drop(sender);
        assert!(matches!(inbox.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected)));
    }
}
