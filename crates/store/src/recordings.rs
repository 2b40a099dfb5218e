//! Recordings: rows and questions. Their sound lies in files that `node` keeps.

use std::time::Duration;

use model::{
    AccountSid, CallSid, ConferenceSid, Recording, RecordingSid, RecordingStatus, Timestamp,
};
use rusqlite::{Connection, Row};

use crate::query::List;
use crate::row::{first, maybe_parsed, parsed, unreadable, upsert};
use crate::wanted::Where;
use crate::{DateFilter, Listed, Place, Store, StoreFailed};

/// Which recordings to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecordingFilter {
    /// `CallSid`.
    pub call: Option<CallSid>,
    /// `ConferenceSid`.
    pub conference: Option<ConferenceSid>,
    /// Of calls alone, not of conferences.
    pub calls_only: bool,
    /// `DateCreated`.
    pub date_created: DateFilter,
    /// `IncludeSoftDeleted`.
    pub deleted: bool,
}

pub(crate) fn write(
    connection: &Connection,
    record: &Recording,
    state: &str,
) -> rusqlite::Result<()> {
    let duration_ms =
        record.duration.map(|length| i64::try_from(length.as_millis()).unwrap_or(i64::MAX));
    let tracks = record.tracks.as_ref().map(|calls| {
        let calls: Vec<String> = calls.iter().map(ToString::to_string).collect();
        calls.join(" ")
    });
    upsert(
        connection,
        "recordings",
        "sid",
        &[
            ("sid", &record.sid.to_string()),
            ("account", &record.account.to_string()),
            ("call", &record.call.to_string()),
            ("conference", &record.conference.map(|sid| sid.to_string())),
            ("channels", &record.channels),
            ("tracks", &tracks),
            ("source", &record.source.as_str()),
            ("track", &record.track.as_str()),
            ("status", &record.status.as_str()),
            ("date_created", &record.date_created.0),
            ("date_updated", &record.date_updated.0),
            ("start_time", &record.start_time.0),
            ("duration_ms", &duration_ms),
            ("error_code", &record.error_code),
            ("state", &state),
        ],
    )
}

pub(crate) fn delete(
    connection: &Connection,
    recording: RecordingSid,
    date: Timestamp,
) -> rusqlite::Result<()> {
    let statement = "UPDATE recordings SET status = ?2, date_updated = ?3 WHERE sid = ?1";
    let deleted = RecordingStatus::Deleted.as_str();
    connection
        .prepare_cached(statement)?
        .execute((recording.to_string(), deleted, date.0))
        .map(drop)
}

pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Recording> {
    let duration_ms: Option<u64> = row.get("duration_ms")?;
    let tracks: Option<String> = row.get("tracks")?;
    let tracks = tracks.map(|calls| {
        let sid = |call: &str| call.parse().map_err(|_| unreadable(format!("tracks: {call}")));
        calls.split_whitespace().map(sid).collect()
    });
    Ok(Recording {
        sid: parsed(row, "sid")?,
        account: parsed(row, "account")?,
        call: parsed(row, "call")?,
        conference: maybe_parsed(row, "conference")?,
        channels: row.get("channels")?,
        tracks: tracks.transpose()?,
        source: parsed(row, "source")?,
        track: parsed(row, "track")?,
        status: parsed(row, "status")?,
        date_created: Timestamp(row.get("date_created")?),
        date_updated: Timestamp(row.get("date_updated")?),
        start_time: Timestamp(row.get("start_time")?),
        duration: duration_ms.map(Duration::from_millis),
        error_code: row.get("error_code")?,
    })
}

impl Store {
    /// Returns a recording of this account, also one that was deleted.
    ///
    /// # Errors
    /// When the database cannot be read; so below.
    pub fn recording(
        &self,
        account: AccountSid,
        sid: RecordingSid,
    ) -> Result<Option<Recording>, StoreFailed> {
        let statement = "SELECT * FROM recordings WHERE sid = ?1 AND account = ?2";
        let key = [sid.to_string(), account.to_string()];
        self.read(|db| first(db, statement, &[&key[0], &key[1]], read))
    }

    /// Lists recordings.
    ///
    /// # Errors
    /// As above.
    pub fn recordings(
        &self,
        account: AccountSid,
        filter: &RecordingFilter,
        page_size: usize,
        place: &Place,
    ) -> Listed<Recording> {
        let mut wanted = Where::default();
        let deleted = RecordingStatus::Deleted.as_str();
        wanted.and("status <>", Some(deleted).filter(|_| !filter.deleted));
        wanted.and("call =", filter.call.map(|sid| sid.to_string()));
        wanted.and("conference =", filter.conference.map(|sid| sid.to_string()));
        wanted.and("(conference IS NULL) =", filter.calls_only.then_some(true));
        wanted.dates("date_created", filter.date_created);
        let list =
            List { table: "recordings", owner: ("account", account.to_string()), seq: "seq" };
        self.page(&list, wanted, page_size, place, read)
    }
}
