//! The history of conferences.

use model::{AccountSid, ConferenceSid, Moment, MomentOf, Timestamp};
use rusqlite::{Connection, Row, params};

use crate::row::{maybe_parsed, parsed};
use crate::{Store, StoreFailed};

/// Appends one moment.
pub fn write(connection: &Connection, moment: &Moment) -> rusqlite::Result<()> {
    let about = moment.about.as_ref();
    let statement = "INSERT INTO moments (account, conference, date, event, call, label, muted, hold, \
                     coaches, reason, callback) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let values = params![
        moment.account.to_string(),
        moment.conference.to_string(),
        moment.date.0,
        moment.event,
        about.map(|about| about.call.to_string()),
        about.and_then(|about| about.label.as_deref()),
        about.map(|about| about.muted),
        about.map(|about| about.hold),
        about.and_then(|about| about.coaches).map(|coached| coached.to_string()),
        moment.reason,
        moment.callback.map(|sid| sid.to_string()),
    ];
    connection.prepare_cached(statement)?.execute(values).map(drop)
}

fn moment(row: &Row<'_>) -> rusqlite::Result<(i64, Moment)> {
    let about = match maybe_parsed(row, "call")? {
        Some(call) => Some(MomentOf {
            call,
            label: row.get("label")?,
            muted: row.get("muted")?,
            hold: row.get("hold")?,
            coaches: maybe_parsed(row, "coaches")?,
        }),
        None => None,
    };
    let moment = Moment {
        account: parsed(row, "account")?,
        conference: parsed(row, "conference")?,
        date: Timestamp(row.get("date")?),
        event: row.get("event")?,
        about,
        reason: row.get("reason")?,
        callback: maybe_parsed(row, "callback")?,
    };
    Ok((row.get("seq")?, moment))
}

impl Store {
    /// Returns what befell a conference after the moment of this number, oldest first, each with its number.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn moments(
        &self,
        account: AccountSid,
        conference: ConferenceSid,
        after: i64,
        most: usize,
    ) -> Result<Vec<(i64, Moment)>, StoreFailed> {
        let statement = "SELECT * FROM moments WHERE conference = ?1 AND account = ?2 AND seq > ?3 \
                         ORDER BY seq LIMIT ?4";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.read(|db| {
            let values = params![conference.to_string(), account.to_string(), after, most];
            db.prepare_cached(statement)?.query_map(values, moment)?.collect()
        })
    }
}
