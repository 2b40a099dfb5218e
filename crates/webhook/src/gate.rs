//! How many documents are asked for at the same time: so many in all, so many of one receiver, and
//! so many that wait.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Failure;

/// Most documents that are asked for at the same time.
pub const FETCHES_MAX: usize = 256;
/// Most of them from one scheme, host and port.
pub const FETCHES_PER_HOST_MAX: usize = 32;
/// Most that wait for their turn.
pub const WAITING_MAX: usize = 4_096;
/// How long one waits for its turn.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// Receivers whose count is kept although nothing is asked of them.
const IDLE_HOSTS_MAX: usize = 1_024;

/// The gate. One that waits holds an address and nothing of an answer.
#[derive(Debug)]
pub(crate) struct Gate {
    all: Arc<Semaphore>,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
    waiting: AtomicUsize,
}

/// The right to ask; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _of_all: OwnedSemaphorePermit,
    _of_host: OwnedSemaphorePermit,
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(FETCHES_MAX)),
            hosts: Mutex::default(),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Waits for a turn at `host`.
    ///
    /// # Errors
    /// 11200 when too many wait already, or the turn does not come in time.
    pub(crate) async fn enter(&self, host: String) -> Result<Turn, Failure> {
        let full = |why: &str| Failure::new(11200, format!("{host} was not asked: {why}"));
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if waiting >= WAITING_MAX {
            return Err(full("too many requests wait"));
        }
        let of_host = self.of_host(&host);
        let turn = async {
            let of_host = of_host.acquire_owned().await.ok()?;
            let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
            Some(Turn { _of_all: of_all, _of_host: of_host })
        };
        let turn = tokio::time::timeout(WAIT_MAX, turn).await;
        turn.ok().flatten().ok_or_else(|| full("the requests before it take too long"))
    }

    fn of_host(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() > IDLE_HOSTS_MAX {
            hosts.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        let fresh = || Arc::new(Semaphore::new(FETCHES_PER_HOST_MAX));
        Arc::clone(hosts.entry(host.to_owned()).or_insert_with(fresh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_receiver_cannot_take_every_turn() {
        let gate = Gate::new();
        let mut turns = Vec::new();
        for _ in 0..FETCHES_PER_HOST_MAX {
            turns.push(gate.enter("slow".to_owned()).await.unwrap());
        }
        assert_eq!(gate.enter("slow".to_owned()).await.unwrap_err().code, 11200);
        let other = gate.enter("other".to_owned()).await;
        assert!(other.is_ok());
        turns.pop();
        assert!(gate.enter("slow".to_owned()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_when_too_many_wait_is_refused_at_once() {
        let gate = Arc::new(Gate::new());
        let mut turns = Vec::new();
        for _ in 0..FETCHES_PER_HOST_MAX {
            turns.push(gate.enter("slow".to_owned()).await.unwrap());
        }
        let waiting: Vec<_> = (0..WAITING_MAX)
            .map(|_| {
                let gate = Arc::clone(&gate);
                tokio::spawn(async move { gate.enter("slow".to_owned()).await.is_ok() })
            })
            .collect();
        while gate.waiting.load(Ordering::Relaxed) < WAITING_MAX {
            tokio::task::yield_now().await;
        }
        let before = tokio::time::Instant::now();
        assert!(gate.enter("other".to_owned()).await.is_err());
        assert_eq!(before.elapsed(), Duration::ZERO);
        for waiting in waiting {
            assert!(!waiting.await.unwrap());
        }
        assert!(gate.enter("other".to_owned()).await.is_ok());
    }
}
