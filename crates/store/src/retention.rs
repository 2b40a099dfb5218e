//! Records that are kept no longer.

use model::{Recording, RecordingStatus, Timestamp};
use rusqlite::Connection;

use crate::{Store, StoreFailed, recordings};

/// What is deleted: the table, and what holds of a row that is over since before `?1`.
const OVER: [(&str, &str); 7] = [
    ("calls", "state = '' AND end_time < ?1"),
    ("participants", "state = '' AND date_updated < ?1"),
    ("conferences", "state = '' AND date_updated < ?1"),
    ("moments", "date < ?1"),
    ("notifications", "date < ?1"),
    ("callbacks", "state <> 'pending' AND date_created < ?1"),
    ("recordings", "state = '' AND status = 'deleted' AND date_updated < ?1"),
];

/// Deletes what is over since before a time. Of each table its oldest rows alone are looked at, so that nobody waits for
/// long who wants to write as well.
pub(crate) fn forget(
    connection: &Connection,
    before: Timestamp,
    most: u32,
) -> rusqlite::Result<()> {
    for (table, over) in OVER {
        let statement = format!(
            "DELETE FROM {table} WHERE seq IN (SELECT seq FROM {table} ORDER BY seq LIMIT ?2) AND {over}"
        );
        connection.prepare_cached(&statement)?.execute((before.0, most))?;
    }
    Ok(())
}

impl Store {
    /// Returns the oldest recordings that are over and have a file, of all accounts.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn oldest_recordings(&self, most: u32) -> Result<Vec<Recording>, StoreFailed> {
        let statement =
            "SELECT * FROM recordings WHERE state = '' AND status <> ?1 ORDER BY seq LIMIT ?2";
        self.read(|db| {
            let mut statement = db.prepare_cached(statement)?;
            let deleted = RecordingStatus::Deleted.as_str();
            statement.query_map((deleted, most), recordings::read)?.collect()
        })
    }
}
