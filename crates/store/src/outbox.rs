//! Questions about the outbox.

use model::{AccountSid, Callback, CallbackSid, Timestamp};

use crate::{Store, StoreFailed, row};

/// Callbacks that are owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// How many.
    pub depth: u64,
    /// When the oldest was owed.
    pub oldest: Option<Timestamp>,
}

impl Store {
    /// Returns what tells the lanes apart in which callbacks are owed, and where each one's oldest
    /// goes. A lane is a conference, a call that is told of by itself, or a single callback.
    ///
    /// # Errors
    /// When the database cannot be read; so below.
    pub fn lanes_owed(&self) -> Result<Vec<(String, String)>, StoreFailed> {
        let statement = "SELECT coalesce(conference, call, sid) AS lane, url, min(seq) \
                         FROM callbacks WHERE state = 'pending' GROUP BY lane ORDER BY min(seq)";
        self.read(|db| {
            let mut rows = db.prepare_cached(statement)?;
            rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// Returns a lane's oldest callbacks that are owed, oldest first.
    ///
    /// # Errors
    /// As above.
    pub fn callbacks_owed_of(
        &self,
        lane: &str,
        limit: usize,
    ) -> Result<Vec<Callback>, StoreFailed> {
        let statement = "SELECT * FROM callbacks WHERE state = 'pending' \
                         AND coalesce(conference, call, sid) = ?1 ORDER BY seq LIMIT ?2";
        self.read(|db| {
            let mut rows = db.prepare_cached(statement)?;
            rows.query_map((lane, limit as i64), row::callback)?.collect()
        })
    }

    /// Returns how many callbacks are owed and since when.
    ///
    /// # Errors
    /// As above.
    pub fn backlog(&self) -> Result<Backlog, StoreFailed> {
        let statement = "SELECT count(*), min(date_created) FROM callbacks WHERE state = 'pending'";
        self.read(|db| {
            db.prepare_cached(statement)?.query_row([], |row| {
                let oldest: Option<i64> = row.get(1)?;
                Ok(Backlog { depth: row.get(0)?, oldest: oldest.map(Timestamp) })
            })
        })
    }

    /// Whether a callback is owed of which no attempt has ended yet.
    ///
    /// # Errors
    /// As above.
    pub fn has_untried_callbacks(&self) -> Result<bool, StoreFailed> {
        let statement = "SELECT EXISTS (SELECT 1 FROM callbacks \
                         WHERE state = 'pending' AND attempts = 0)";
        self.read(|db| db.prepare_cached(statement)?.query_row([], |row| row.get(0)))
    }

    /// Returns a callback of this account.
    ///
    /// # Errors
    /// As above.
    pub fn callback(
        &self,
        account: AccountSid,
        sid: CallbackSid,
    ) -> Result<Option<Callback>, StoreFailed> {
        let statement = "SELECT * FROM callbacks WHERE sid = ?1 AND account = ?2";
        let key = [sid.to_string(), account.to_string()];
        self.read(|db| row::first(db, statement, &[&key[0], &key[1]], row::callback))
    }
}

#[cfg(test)]
mod tests {
    use model::{CallSid, CallbackState, Change, ConferenceSid};

    use super::*;
    use crate::Place;

    const ACCOUNT: AccountSid = AccountSid::new([1; 16]);

    fn callback(number: u8, conference: Option<u8>, state: CallbackState) -> Callback {
        Callback {
            sid: CallbackSid::new([number; 16]),
            account: ACCOUNT,
            conference: conference.map(|number| ConferenceSid::new([number; 16])),
            call: Some(CallSid::new([9; 16])),
            url: format!("http://localhost/{number}"),
            method: "POST".to_owned(),
            params: [].into(),
            date_created: Timestamp(i64::from(number)),
            state,
            attempts: u32::from(number),
            last_error: None,
        }
    }

    fn numbers(callbacks: &[Callback]) -> Vec<u32> {
        callbacks.iter().map(|callback| callback.attempts).collect()
    }

    #[test]
    fn what_is_owed_is_found_lane_by_lane_and_what_failed_page_by_page() {
        use CallbackState::{Delivered, Failed, Pending};
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let rows = [
            callback(7, Some(1), Pending),
            callback(2, None, Pending),
            callback(3, Some(1), Pending),
            callback(4, Some(2), Failed),
            callback(5, Some(2), Delivered),
            callback(6, Some(2), Failed),
        ];
        let changes = rows.iter().map(|row| Change::Callback(Box::new(row.clone()))).collect();
        store.apply(changes).unwrap().blocking_recv().unwrap().unwrap();
        let lanes = store.lanes_owed().unwrap();
        let (conference, call) = (ConferenceSid::new([1; 16]), CallSid::new([9; 16]));
        let expected = [
            (conference.to_string(), "http://localhost/7".to_owned()),
            (call.to_string(), "http://localhost/2".to_owned()),
        ];
        assert_eq!(lanes, expected);
        assert_eq!(numbers(&store.callbacks_owed_of(&lanes[0].0, 9).unwrap()), [7, 3]);
        assert_eq!(numbers(&store.callbacks_owed_of(&lanes[0].0, 1).unwrap()), [7]);
        let backlog = Backlog { depth: 3, oldest: Some(Timestamp(2)) };
        assert_eq!(store.backlog().unwrap(), backlog);
        assert!(!store.has_untried_callbacks().unwrap());
        let page = store.callbacks(ACCOUNT, Some(Failed), 1, &Place::Skip(0)).unwrap().unwrap();
        assert_eq!((numbers(&page.records), page.more), (vec![6], true));
        let place = Place::After(page.records[0].sid.to_string());
        let page = store.callbacks(ACCOUNT, Some(Failed), 1, &place).unwrap().unwrap();
        assert_eq!((numbers(&page.records), page.more), (vec![4], false));
        let all = store.callbacks(ACCOUNT, None, 50, &Place::Skip(0)).unwrap().unwrap();
        assert_eq!(all.records.len(), 6);
        assert_eq!(store.callback(ACCOUNT, rows[3].sid).unwrap(), Some(rows[3].clone()));
    }
}
