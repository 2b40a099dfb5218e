//! The one writer: what waits is committed together, then everyone is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use model::Change;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::{StoreFailed, row};

/// Most batches that wait; beyond, [`crate::Store::apply`] refuses.
pub const QUEUE_MAX: usize = 4_096;
/// Most batches in one transaction.
const GROUP_MAX: usize = 512;

/// Resolves when rows are committed.
pub type Committed = oneshot::Receiver<Result<(), StoreFailed>>;

struct Batch {
    changes: Vec<Change>,
    statements: String,
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
            .try_send(Batch { changes, statements: String::new(), done })
            .map_err(|_| StoreFailed("the writer's queue is full".to_owned()))?;
        Ok(committed)
    }

    /// Runs statements of our own and waits for their commit.
    pub fn direct(&self, statements: String) -> Result<(), StoreFailed> {
        let (done, mut committed) = oneshot::channel();
        self.queue
            .send(Batch { changes: Vec::new(), statements, done })
            .map_err(|_| StoreFailed("the writer is gone".to_owned()))?;
        loop {
            match committed.try_recv() {
                Ok(result) => return result,
                Err(oneshot::error::TryRecvError::Empty) => {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                Err(error) => return Err(StoreFailed(error.to_string())),
            }
        }
    }

    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }
}

fn run(mut connection: Connection, batches: &Receiver<Batch>, failing: &AtomicBool) {
    while let Ok(first) = batches.recv() {
        let mut group = vec![first];
        group.extend(batches.try_iter().take(GROUP_MAX - 1));
        let result = commit(&mut connection, &group);
        failing.store(result.is_err(), Ordering::Relaxed);
        for batch in group {
            let told = match &result {
                Ok(()) => Ok(()),
                Err(error) => Err(StoreFailed(error.to_string())),
            };
            // Whoever asked may have gone; the rows are committed all the same.
            let _ = batch.done.send(told);
        }
    }
}

fn commit(connection: &mut Connection, group: &[Batch]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for batch in group {
        transaction.execute_batch(&batch.statements)?;
        for change in &batch.changes {
            row::write(&transaction, change)?;
        }
    }
    transaction.commit()
}
