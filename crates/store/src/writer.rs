//! The one writer: what waits is committed together, then everyone is told.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use model::Change;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use crate::{Feed, StoreFailed, row};

/// Most batches that wait; beyond, [`crate::Store::apply`] refuses.
pub const QUEUE_MAX: usize = 4_096;
/// Most batches in one transaction.
const GROUP_MAX: usize = 512;

/// From the begin of one transaction to the next, for each batch in it but one that somebody waits for: the more come,
/// the more of them share what a transaction costs, and one alone waits for none.
const APART_EACH: Duration = Duration::from_millis(2);
/// The most of that.
const APART_MAX: Duration = Duration::from_millis(4);
/// How long batches that nobody waits for wait for company.
const LATER_MAX: Duration = Duration::from_millis(20);

/// Batches that are kept while the store cannot be written; beyond, the oldest are lost.
const OWED_MAX: usize = 16_384;
/// How often a store that cannot be written is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Resolves when rows are committed, or could not be.
#[derive(Debug)]
pub struct Committed {
    done: oneshot::Receiver<Result<(), StoreFailed>>,
    later: oneshot::Receiver<()>,
}

impl Committed {
    /// Waits on a thread that drives no tasks.
    ///
    /// # Errors
    /// When the writer is gone.
    pub fn blocking_recv(self) -> Result<Result<(), StoreFailed>, oneshot::error::RecvError> {
        self.done.blocking_recv()
    }

    /// After a failure: resolves when the rows are committed after all, and fails when they never
    /// will be.
    pub fn later(self) -> oneshot::Receiver<()> {
        self.later
    }
}

impl Future for Committed {
    type Output = Result<Result<(), StoreFailed>, oneshot::error::RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.done).poll(context)
    }
}

struct Batch {
    changes: Vec<Change>,
    done: oneshot::Sender<Result<(), StoreFailed>>,
    later: oneshot::Sender<()>,
    /// Whether somebody waits for it.
    urgent: bool,
}

/// What could not be written yet, and who wants to know when it is.
struct Owed {
    changes: Vec<Change>,
    later: oneshot::Sender<()>,
}

/// Upper bounds of the histogram of how long commits took, in seconds; the last one is open.
pub const COMMIT_BOUNDS_S: [f64; 7] = [0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0];

/// What the writer has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Batches that wait.
    pub queued: u64,
    /// Batches that are kept because they could not be written.
    pub owed: u64,
    /// Batches that were committed.
    pub batches: u64,
    /// Transactions, by [`COMMIT_BOUNDS_S`].
    pub commits: [u64; COMMIT_BOUNDS_S.len() + 1],
    /// What they took together.
    pub total: Duration,
    /// Transactions that failed.
    pub failures: u64,
}

/// The same while it is counted.
#[derive(Debug, Default)]
struct Counters {
    queued: AtomicU64,
    owed: AtomicU64,
    batches: AtomicU64,
    commits: [AtomicU64; COMMIT_BOUNDS_S.len() + 1],
    total_us: AtomicU64,
    failures: AtomicU64,
}

impl Counters {
    fn told(&self) -> StoreStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreStats {
            queued: load(&self.queued),
            owed: load(&self.owed),
            batches: load(&self.batches),
            commits: std::array::from_fn(|index| load(&self.commits[index])),
            total: Duration::from_micros(load(&self.total_us)),
            failures: load(&self.failures),
        }
    }

    fn committed(&self, batches: usize, took: Duration) {
        let bucket = COMMIT_BOUNDS_S.partition_point(|bound| *bound < took.as_secs_f64());
        self.commits[bucket].fetch_add(1, Ordering::Relaxed);
        self.batches.fetch_add(batches as u64, Ordering::Relaxed);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.total_us.fetch_add(took_us, Ordering::Relaxed);
    }
}

/// The way to the writer's thread, which ends with the last handle.
#[derive(Debug, Clone)]
pub struct Writer {
    queue: SyncSender<Batch>,
    failing: Arc<AtomicBool>,
    counters: Arc<Counters>,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} changes", self.changes.len())
    }
}

impl Writer {
    pub fn start(connection: Connection, feed: Feed) -> std::io::Result<Self> {
        let (queue, batches) = sync_channel(QUEUE_MAX);
        let failing = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&failing);
        let counters = Arc::<Counters>::default();
        let shared = Arc::clone(&counters);
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || run(connection, &batches, &flag, &shared, &feed))?;
        Ok(Self { queue, failing, counters })
    }

    pub fn apply(&self, changes: Vec<Change>, urgent: bool) -> Result<Committed, StoreFailed> {
        let (done, is_done) = oneshot::channel();
        let (later, is_late) = oneshot::channel();
        self.counters.queued.fetch_add(1, Ordering::Relaxed);
        self.queue.try_send(Batch { changes, done, later, urgent }).map_err(|_| {
            self.counters.queued.fetch_sub(1, Ordering::Relaxed);
            StoreFailed("the writer's queue is full".to_owned())
        })?;
        Ok(Committed { done: is_done, later: is_late })
    }

    pub fn stats(&self) -> StoreStats {
        self.counters.told()
    }

    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }
}

fn run(
    mut connection: Connection,
    batches: &Receiver<Batch>,
    failing: &AtomicBool,
    counters: &Counters,
    feed: &Feed,
) {
    let mut owed: Vec<Owed> = Vec::new();
    let mut paced = Instant::now();
    loop {
        let first = if owed.is_empty() {
            batches.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            batches.recv_timeout(RETRY)
        };
        let mut group: Vec<Batch> = match first {
            Ok(first) => vec![first],
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if owed.is_empty() {
            gather(batches, &mut group, paced);
        } else {
            group.extend(batches.try_iter().take(GROUP_MAX - group.len()));
        }
        counters.queued.fetch_sub(group.len() as u64, Ordering::Relaxed);
        let began = Instant::now();
        let urgent = group.iter().filter(|batch| batch.urgent).count();
        paced = began + apart(urgent);
        let owed_changes = owed.iter().map(|owed| &owed.changes);
        let changes = || owed_changes.clone().chain(group.iter().map(|batch| &batch.changes));
        let result = commit(&mut connection, changes());
        match result {
            Ok(()) => {
                counters.committed(owed.len() + group.len(), began.elapsed());
                failing.store(false, Ordering::Relaxed);
                for owed in owed.drain(..) {
                    feed.push(owed.changes);
                    let _ = owed.later.send(());
                }
                tell(group, feed, |_| Ok(()));
            }
            Err(error) if is_of_the_disk(&error) => {
                counters.failures.fetch_add(1, Ordering::Relaxed);
                if !failing.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the store cannot be written; what is owed is kept");
                }
                let told = error.to_string();
                for Batch { changes, done, later, .. } in group {
                    owed.push(Owed { changes, later });
                    let _ = done.send(Err(StoreFailed(told.clone())));
                }
                if owed.len() > OWED_MAX {
                    tracing::error!(lost = owed.len() - OWED_MAX, "rows were lost");
                    owed.drain(..owed.len() - OWED_MAX);
                }
            }
            // One of them can never be written: it is not to hold up the others.
            Err(_) => {
                for Owed { changes, later } in std::mem::take(&mut owed) {
                    match commit(&mut connection, std::iter::once(&changes)) {
                        Ok(()) => {
                            feed.push(changes);
                            let _ = later.send(());
                        }
                        Err(error) => tracing::error!(%error, "a row cannot be written"),
                    }
                }
                counters.failures.fetch_add(1, Ordering::Relaxed);
                tell(group, feed, |batch| {
                    commit(&mut connection, std::iter::once(&batch.changes))
                        .map_err(|error| StoreFailed(error.to_string()))
                });
            }
        }
        counters.owed.store(owed.len() as u64, Ordering::Relaxed);
    }
    if !owed.is_empty()
        && let Err(error) = commit(&mut connection, owed.iter().map(|owed| &owed.changes))
    {
        tracing::error!(%error, lost = owed.len(), "the store could not be written to the end");
    }
}

/// Returns how far apart the next transaction is from one with so many batches that somebody waits for.
fn apart(urgent: usize) -> Duration {
    let others = u32::try_from(urgent.saturating_sub(1)).unwrap_or(u32::MAX);
    APART_EACH.saturating_mul(others).min(APART_MAX)
}

/// Takes what waits to the first batch, after `paced`. Where nobody waits for any of them, the next one that somebody
/// waits for takes them along.
fn gather(batches: &Receiver<Batch>, group: &mut Vec<Batch>, paced: Instant) {
    let until = Instant::now() + LATER_MAX;
    let left = |until: Instant| until.saturating_duration_since(Instant::now());
    std::thread::sleep(left(paced));
    group.extend(batches.try_iter().take(GROUP_MAX - group.len()));
    while group.len() < GROUP_MAX
        && group.iter().all(|batch| !batch.urgent)
        && let Ok(next) = batches.recv_timeout(left(until))
    {
        group.push(next);
    }
}

fn tell(group: Vec<Batch>, feed: &Feed, mut result: impl FnMut(&Batch) -> Result<(), StoreFailed>) {
    for batch in group {
        let told = result(&batch);
        if told.is_ok() {
            feed.push(batch.changes);
        }
        drop(batch.later);
        // Whoever asked may have gone; the rows are committed all the same.
        let _ = batch.done.send(told);
    }
}

/// Whether a failure may pass: the disk is full, or another holds the file.
fn is_of_the_disk(error: &rusqlite::Error) -> bool {
    let passing = [
        ErrorCode::DiskFull,
        ErrorCode::SystemIoFailure,
        ErrorCode::CannotOpen,
        ErrorCode::ReadOnly,
        ErrorCode::DatabaseBusy,
        ErrorCode::DatabaseLocked,
        ErrorCode::OutOfMemory,
        ErrorCode::PermissionDenied,
    ];
    error.sqlite_error_code().is_some_and(|code| passing.contains(&code))
}

fn commit<'a>(
    connection: &mut Connection,
    batches: impl Iterator<Item = &'a Vec<Change>>,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for change in batches.flatten() {
        row::write(&transaction, change)?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alone_is_followed_at_once_and_many_after_a_while_that_has_an_end() {
        let apart_ms = [0, 1, 2, 3, 4, usize::MAX].map(|urgent| apart(urgent).as_millis());
        assert_eq!(apart_ms, [0, 0, 2, 4, 4, 4]);
    }
}
