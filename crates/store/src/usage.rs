//! What was used: calls and their minutes, conferences, messages.

use model::{AccountSid, Kind};

use crate::{DateFilter, Store, StoreFailed};

/// Whom a call was with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A number.
    Number,
    /// A SIP address.
    Sip,
    /// A registered user.
    Client,
}

/// Calls of one sort that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallUsage {
    /// Whether they came in.
    pub inbound: bool,
    /// Whom they were with.
    pub peer: Peer,
    /// How many.
    pub calls: u64,
    /// Their minutes; a started one counts.
    pub minutes: u64,
}

fn list(accounts: &[AccountSid]) -> String {
    // SIDs are letters and digits.
    let quoted: Vec<String> = accounts.iter().map(|sid| format!("'{sid}'")).collect();
    quoted.join(", ")
}

impl Store {
    /// Returns the calls that were answered and ended within a range of dates.
    ///
    /// # Errors
    /// When the database cannot be read; so below.
    pub fn call_usage(
        &self,
        accounts: &[AccountSid],
        ended: DateFilter,
    ) -> Result<Vec<CallUsage>, StoreFailed> {
        let statement = format!(
            "SELECT direction = 'inbound' AS inbound, \
             CASE WHEN lower(callee) LIKE 'sip:%' THEN 1 WHEN callee LIKE 'client:%' THEN 2 ELSE 0 END AS peer, \
             count(*), sum((end_time - answered_at + 59999) / 60000) FROM calls \
             WHERE account IN ({}) AND answered_at IS NOT NULL AND end_time >= ?1 AND end_time < ?2 \
             GROUP BY 1, 2",
            list(accounts)
        );
        self.read(|db| {
            let mut rows = db.prepare_cached(&statement)?;
            let usage = |row: &rusqlite::Row<'_>| {
                let peer: u8 = row.get(1)?;
                let peer = match peer {
                    1 => Peer::Sip,
                    2 => Peer::Client,
                    _ => Peer::Number,
                };
                let (inbound, calls, minutes) = (row.get(0)?, row.get(2)?, row.get(3)?);
                Ok(CallUsage { inbound, peer, calls, minutes })
            };
            rows.query_map(ends(ended), usage)?.collect()
        })
    }

    /// Returns how many conferences ended within a range of dates.
    ///
    /// # Errors
    /// As above.
    pub fn conference_usage(
        &self,
        accounts: &[AccountSid],
        ended: DateFilter,
    ) -> Result<u64, StoreFailed> {
        let statement = format!(
            "SELECT count(*) FROM conferences WHERE account IN ({}) AND status = 'completed' \
             AND date_updated >= ?1 AND date_updated < ?2",
            list(accounts)
        );
        self.read(|db| db.prepare_cached(&statement)?.query_row(ends(ended), |row| row.get(0)))
    }

    /// Returns how many messages were made within a range of dates.
    ///
    /// # Errors
    /// As above.
    pub fn message_usage(
        &self,
        accounts: &[AccountSid],
        made: DateFilter,
    ) -> Result<u64, StoreFailed> {
        let statement = format!(
            "SELECT count(*) FROM resources WHERE account IN ({}) AND kind = '{}' \
             AND date_created >= ?1 AND date_created < ?2",
            list(accounts),
            Kind::Message
        );
        self.read(|db| db.prepare_cached(&statement)?.query_row(ends(made), |row| row.get(0)))
    }
}

fn ends(range: DateFilter) -> (i64, i64) {
    let first = range.from.map_or(i64::MIN, |date| date.0);
    (first, range.until.map_or(i64::MAX, |date| date.0))
}
