//! The tables, in SQLite: one writer that groups what waits into one transaction, and readers that
//! never disturb it.
//!
//! What was committed survives a crash: the log is synced before anyone is told. It decides
//! nothing: which rows change is `exchange`'s.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod copy;
mod feed;
mod moments;
mod outbox;
mod query;
mod queues;
mod recordings;
mod resource;
mod retention;
mod row;
mod trunks;
mod usage;
mod wanted;
mod writer;

#[cfg(test)]
mod plans;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

pub use copy::copy_database;
pub use feed::{FEED_MAX, Fed, Feed};
pub use outbox::Backlog;
pub use query::{
    AccountFilter, Alive, CallFilter, ConferenceFilter, DateFilter, Listed, NotificationFilter,
    PAGE_SIZE_MAX, Page, ParticipantFilter, Place,
};
pub use queues::{LineMember, QueueCensus};
pub use recordings::RecordingFilter;
pub use resource::{ResourceFilter, Shelf};
pub use usage::{CallUsage, Peer};
pub use writer::{COMMIT_BOUNDS_S, Committed, QUEUE_MAX, StoreStats};

/// The store could not be opened: the message names the folder and the fix.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}; choose another folder with --data, or mend this one")]
pub struct OpenError {
    path: String,
    reason: String,
}

/// A question could not be answered, or rows could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the store failed: {0}")]
pub struct StoreFailed(String);

impl From<rusqlite::Error> for StoreFailed {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}

const MIGRATIONS: [&str; 14] = [
    include_str!("../migrations/0001_first.sql"),
    include_str!("../migrations/0002_keys.sql"),
    include_str!("../migrations/0003_outbox.sql"),
    include_str!("../migrations/0004_accounts.sql"),
    include_str!("../migrations/0005_moments.sql"),
    include_str!("../migrations/0006_recordings.sql"),
    include_str!("../migrations/0007_resources.sql"),
    include_str!("../migrations/0008_queues.sql"),
    include_str!("../migrations/0010_tracks.sql"),
    include_str!("../migrations/0012_filters.sql"),
    include_str!("../migrations/0013_trunk_days.sql"),
    include_str!("../migrations/0015_blocks.sql"),
    include_str!("../migrations/0016_edges.sql"),
    include_str!("../migrations/0017_cleaning.sql"),
];
/// Questions that are answered at the same time; more wait for one of them.
const READERS: usize = 4;
/// Statements that a connection keeps prepared: all that are asked again and again.
const STATEMENTS_MAX: usize = 128;
/// What the writer keeps of the tables in memory, in KiB: what each update touches again.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
/// Pages of 4 KiB in the log before they are copied to their places: a page that many commits have written is copied once.
const LOG_PAGES: i64 = 4_096;

/// The tables. Cloning gives another handle on the same.
#[derive(Debug, Clone)]
pub struct Store {
    writer: writer::Writer,
    readers: Arc<Readers>,
    feed: Feed,
}

impl Store {
    /// Opens the database in this folder, making both where they are missing.
    ///
    /// # Errors
    /// Where the folder cannot be written or the file is no database of ours.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Self::open_with(folder, "full")
    }

    /// Opens a database that need not outlive a crash: what is committed is not waited for to reach the disk.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_passing(folder: &Path) -> Result<Self, OpenError> {
        Self::open_with(folder, "off")
    }

    fn open_with(folder: &Path, synchronous: &str) -> Result<Self, OpenError> {
        let path: PathBuf = folder.join("sidetone.db");
        let told = |reason: String| OpenError { path: path.display().to_string(), reason };
        std::fs::create_dir_all(folder).map_err(|error| told(error.to_string()))?;
        let connect = |path| connect(path, synchronous);
        let mut connection = connect(&path).map_err(|error| told(error.to_string()))?;
        migrate(&mut connection).map_err(|error| told(error.to_string()))?;
        connection
            .pragma_update(None, "cache_size", -WRITER_CACHE_KIB)
            .and_then(|()| connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES))
            .map_err(|error| told(error.to_string()))?;
        let mut readers = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            let reader = connect(&path).map_err(|error| told(error.to_string()))?;
            reader.pragma_update(None, "query_only", true).map_err(|e| told(e.to_string()))?;
            readers.push(Mutex::new(reader));
        }
        let readers = Arc::new(Readers { connections: readers, turn: AtomicUsize::new(0) });
        let feed = Feed::default();
        let writer = writer::Writer::start(connection, feed.clone());
        let writer = writer.map_err(|error| told(error.to_string()))?;
        Ok(Self { writer, readers, feed })
    }

    /// Queues these rows; they are committed together, and not before [`Committed`] says so.
    ///
    /// # Errors
    /// When the queue is full or the writer is gone.
    pub fn apply(&self, changes: Vec<model::Change>) -> Result<Committed, StoreFailed> {
        self.writer.apply(changes, true)
    }

    /// Queues rows that nobody waits for, behind all that was queued before: they are committed with what comes next,
    /// or a moment later.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn apply_later(&self, changes: Vec<model::Change>) -> Result<(), StoreFailed> {
        self.writer.apply(changes, false).map(drop)
    }

    /// Returns what was committed lately, as it is committed.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Returns what was written so far, and what waits.
    pub fn stats(&self) -> StoreStats {
        self.writer.stats()
    }

    /// Whether the last transaction failed.
    pub fn is_failing(&self) -> bool {
        self.writer.is_failing()
    }

    /// Answers a question on whichever connection is free; blocks while none is.
    pub(crate) fn read<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreFailed> {
        let connections = &self.readers.connections;
        let free = connections.iter().find_map(|connection| connection.try_lock().ok());
        let connection = free.unwrap_or_else(|| {
            let turn = self.readers.turn.fetch_add(1, Ordering::Relaxed) % connections.len();
            connections[turn].lock().unwrap_or_else(PoisonError::into_inner)
        });
        Ok(question(&connection)?)
    }
}

/// Connections that only read.
#[derive(Debug)]
struct Readers {
    connections: Vec<Mutex<Connection>>,
    turn: AtomicUsize,
}

fn connect(path: &Path, synchronous: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let version: usize = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", index + 1)?;
        transaction.commit()?;
    }
    Ok(())
}
