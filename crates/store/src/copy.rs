//! A copy of the database while others write to it.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::{MIGRATIONS, StoreFailed};

/// Writes what is committed in the database of one folder into that of another, where there is none yet.
///
/// The copy is whole and of one moment, and it has been read to its end.
///
/// # Errors
/// When one cannot be read or the other not be written, when it is newer than this program, or damaged.
pub fn copy_database(from: &Path, to: &Path) -> Result<(), StoreFailed> {
    let (from, to) = (from.join("sidetone.db"), to.join("sidetone.db"));
    let told = |file: &Path, error: &dyn std::fmt::Display| {
        StoreFailed(format!("{}: {error}", file.display()))
    };
    if to.exists() {
        return Err(told(&to, &"it is there already"));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(&from, flags).map_err(|error| told(&from, &error))?;
    source.busy_timeout(std::time::Duration::from_secs(5))?;
    let version: usize = source
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|error| told(&from, &error))?;
    if version == 0 || version > MIGRATIONS.len() {
        return Err(told(&from, &"it is not of this program, or of a newer one"));
    }
    source
        .execute("VACUUM INTO ?1", [to.display().to_string()])
        .map_err(|error| told(&to, &error))?;
    let copy = Connection::open_with_flags(&to, flags).map_err(|error| told(&to, &error))?;
    let sound: String = copy.query_row("PRAGMA quick_check", [], |row| row.get(0))?;
    if sound == "ok" { Ok(()) } else { Err(told(&to, &sound)) }
}
