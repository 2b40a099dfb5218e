//! The one writer: what waits is committed together, then everyone is told.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::task::{self, Poll};
use std::time::Duration;

use model::Change;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use crate::{StoreFailed, row};

/// Most batches that wait; beyond, [`crate::Store::apply`] refuses.
pub const QUEUE_MAX: usize = 4_096;
/// Most batches in one transaction.
const GROUP_MAX: usize = 512;

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
}

/// What could not be written yet, and who wants to know when it is.
struct Owed {
    changes: Vec<Change>,
    later: oneshot::Sender<()>,
}

/// The way to the writer's thread, which ends with the last handle.
#[derive(Debug, Clone)]
pub struct Writer {
    queue: SyncSender<Batch>,
    failing: Arc<AtomicBool>,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} changes", self.changes.len())
    }
}

impl Writer {
    pub fn start(connection: Connection) -> std::io::Result<Self> {
        let (queue, batches) = sync_channel(QUEUE_MAX);
        let failing = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&failing);
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || run(connection, &batches, &flag))?;
        Ok(Self { queue, failing })
    }

    pub fn apply(&self, changes: Vec<Change>) -> Result<Committed, StoreFailed> {
        let (done, is_done) = oneshot::channel();
        let (later, is_late) = oneshot::channel();
        self.queue
            .try_send(Batch { changes, done, later })
            .map_err(|_| StoreFailed("the writer's queue is full".to_owned()))?;
        Ok(Committed { done: is_done, later: is_late })
    }

    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }
}

fn run(mut connection: Connection, batches: &Receiver<Batch>, failing: &AtomicBool) {
    let mut owed: Vec<Owed> = Vec::new();
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
        group.extend(batches.try_iter().take(GROUP_MAX - 1));
        let owed_changes = owed.iter().map(|owed| &owed.changes);
        let changes = || owed_changes.clone().chain(group.iter().map(|batch| &batch.changes));
        let result = commit(&mut connection, changes());
        match result {
            Ok(()) => {
                failing.store(false, Ordering::Relaxed);
                for owed in owed.drain(..) {
                    let _ = owed.later.send(());
                }
                tell(group, |_| Ok(()));
            }
            Err(error) if is_of_the_disk(&error) => {
                if !failing.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the store cannot be written; what is owed is kept");
                }
                let told = error.to_string();
                for Batch { changes, done, later } in group {
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
                        Ok(()) => drop(later.send(())),
                        Err(error) => tracing::error!(%error, "a row cannot be written"),
                    }
                }
                tell(group, |batch| {
                    commit(&mut connection, std::iter::once(&batch.changes))
                        .map_err(|error| StoreFailed(error.to_string()))
                });
            }
        }
    }
    if !owed.is_empty()
        && let Err(error) = commit(&mut connection, owed.iter().map(|owed| &owed.changes))
    {
        tracing::error!(%error, lost = owed.len(), "the store could not be written to the end");
    }
}

fn tell(group: Vec<Batch>, mut result: impl FnMut(&Batch) -> Result<(), StoreFailed>) {
    for batch in group {
        let told = result(&batch);
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
