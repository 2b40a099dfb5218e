//! The one writer: what waits is committed together, then everyone is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
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

/// Resolves when rows are committed.
pub type Committed = oneshot::Receiver<Result<(), StoreFailed>>;

struct Batch {
    changes: Vec<Change>,
    done: oneshot::Sender<Result<(), StoreFailed>>,
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
        let (done, committed) = oneshot::channel();
        self.queue
            .try_send(Batch { changes, done })
            .map_err(|_| StoreFailed("the writer's queue is full".to_owned()))?;
        Ok(committed)
    }

    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }
}

fn run(mut connection: Connection, batches: &Receiver<Batch>, failing: &AtomicBool) {
    let mut owed: Vec<Vec<Change>> = Vec::new();
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
        let changes = || owed.iter().chain(group.iter().map(|batch| &batch.changes));
        let result = commit(&mut connection, changes());
        match result {
            Ok(()) => {
                owed.clear();
                failing.store(false, Ordering::Relaxed);
                tell(group, |_| Ok(()));
            }
            Err(error) if is_of_the_disk(&error) => {
                if !failing.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the store cannot be written; what is owed is kept");
                }
                let told = error.to_string();
                owed.extend(group.iter_mut().map(|batch| std::mem::take(&mut batch.changes)));
                tell(group, |_| Err(StoreFailed(told.clone())));
                if owed.len() > OWED_MAX {
                    tracing::error!(lost = owed.len() - OWED_MAX, "rows were lost");
                    owed.drain(..owed.len() - OWED_MAX);
                }
            }
            // One of them can never be written: it is not to hold up the others.
            Err(_) => {
                for changes in std::mem::take(&mut owed) {
                    if let Err(error) = commit(&mut connection, std::iter::once(&changes)) {
                        tracing::error!(%error, "a row cannot be written");
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
        && let Err(error) = commit(&mut connection, owed.iter())
    {
        tracing::error!(%error, lost = owed.len(), "the store could not be written to the end");
    }
}

fn tell(group: Vec<Batch>, mut result: impl FnMut(&Batch) -> Result<(), StoreFailed>) {
    for batch in group {
        let told = result(&batch);
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
