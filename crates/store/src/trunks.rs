//! What trunks have carried.

use model::TrunkDay;
use rusqlite::{Connection, Row};

use crate::row::upsert;
use crate::{Store, StoreFailed};

pub fn write(connection: &Connection, day: &TrunkDay) -> rusqlite::Result<()> {
    upsert(
        connection,
        "trunk_days",
        "trunk",
        &[("trunk", &day.trunk), ("day", &day.day), ("calls", &day.calls)],
    )
}

fn read(row: &Row<'_>) -> rusqlite::Result<TrunkDay> {
    Ok(TrunkDay { trunk: row.get("trunk")?, day: row.get("day")?, calls: row.get("calls")? })
}

impl Store {
    /// Returns the last day of each trunk.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn trunk_days(&self) -> Result<Vec<TrunkDay>, StoreFailed> {
        let statement = "SELECT * FROM trunk_days";
        self.read(|db| db.prepare_cached(statement)?.query_map([], read)?.collect())
    }
}
