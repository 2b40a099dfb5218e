//! One function for each question. Lists are newest first and paged by key, so that rows which
//! come in between move nothing.

use model::{
    Account, AccountSid, AccountStatus, ApiKey, Call, CallSid, CallStatus, Callback, CallbackState,
    Conference, ConferenceSid, ConferenceStatus, KeySid, Level, Notification, NotificationSid,
    Participant, Queue, Recording, Timestamp,
};

use crate::wanted::{Blocks, Where};
use crate::{Store, StoreFailed, recordings, row};

/// Most records on a page.
pub const PAGE_SIZE_MAX: usize = 1_000;

/// Where a page of a list begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// After so many records.
    Skip(usize),
    /// After the record of this SID: what is older.
    After(String),
    /// Before the record of this SID: what is newer and nearest to it.
    Before(String),
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The records, newest first.
    pub records: Vec<T>,
    /// Whether older ones follow.
    pub more: bool,
}

/// A range of dates; both ends may be open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DateFilter {
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// Which accounts to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountFilter {
    /// `FriendlyName`.
    pub friendly_name: Option<String>,
    /// `Status`.
    pub status: Option<AccountStatus>,
}

/// Which calls to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// `To`.
    pub to: Option<String>,
    /// `From`.
    pub from: Option<String>,
    /// `ParentCallSid`.
    pub parent: Option<CallSid>,
    /// `Status`.
    pub status: Option<CallStatus>,
    /// `StartTime`.
    pub start_time: DateFilter,
    /// `EndTime`.
    pub end_time: DateFilter,
}

impl CallFilter {
    pub(crate) fn wanted(&self) -> Where {
        let mut wanted = Where::default();
        // A call has few children; the sign keeps the indexes of other words out of it then.
        let sign = if self.parent.is_some() { "+" } else { "" };
        wanted.and("parent =", self.parent.map(|sid| sid.to_string()));
        wanted.and(&format!("{sign}callee ="), self.to.clone());
        wanted.and(&format!("{sign}caller ="), self.from.clone());
        wanted.and(&format!("{sign}status ="), self.status.map(|status| status.as_str()));
        wanted.dates_near(Blocks::CALLS, "start_time", self.start_time);
        wanted.dates_near(Blocks::CALLS, "end_time", self.end_time);
        wanted
    }
}

/// Which conferences to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConferenceFilter {
    /// `FriendlyName`.
    pub friendly_name: Option<String>,
    /// `Status`.
    pub status: Option<ConferenceStatus>,
    /// `DateCreated`.
    pub date_created: DateFilter,
    /// `DateUpdated`.
    pub date_updated: DateFilter,
}

impl ConferenceFilter {
    pub(crate) fn wanted(&self) -> Where {
        let mut wanted = Where::default();
        wanted.and("friendly_name =", self.friendly_name.clone());
        wanted.and("status =", self.status.map(|status| status.as_str()));
        wanted.dates_near(Blocks::CONFERENCES, "date_created", self.date_created);
        wanted.dates_near(Blocks::CONFERENCES, "date_updated", self.date_updated);
        wanted
    }
}

/// Which participants to list: of those who take part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ParticipantFilter {
    /// `Muted`.
    pub muted: Option<bool>,
    /// `Hold`.
    pub hold: Option<bool>,
    /// `Coaching`.
    pub coaching: Option<bool>,
}

impl ParticipantFilter {
    pub(crate) fn wanted(self) -> Where {
        let mut wanted = Where::default();
        wanted.holds("state <> ''");
        wanted.and("muted =", self.muted);
        wanted.and("hold =", self.hold);
        wanted.and("coaching =", self.coaching);
        wanted
    }
}

/// Which entries of the debugger log to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotificationFilter {
    /// Of this call alone.
    pub call: Option<CallSid>,
    /// `Log`.
    pub level: Option<Level>,
    /// `MessageDate`.
    pub date: DateFilter,
}

impl Store {
    /// Returns the first account: the one that the server was made with.
    ///
    /// # Errors
    /// When the database cannot be read; so below.
    pub fn first_account(&self) -> Result<Option<Account>, StoreFailed> {
        let statement = "SELECT * FROM accounts ORDER BY date_created, sid LIMIT 1";
        self.read(|db| row::first(db, statement, &[], row::account))
    }

    /// Returns every account, oldest first.
    ///
    /// # Errors
    /// As above.
    pub fn all_accounts(&self) -> Result<Vec<Account>, StoreFailed> {
        let statement = "SELECT * FROM accounts ORDER BY rowid";
        self.read(|db| db.prepare_cached(statement)?.query_map([], row::account)?.collect())
    }

    /// Lists an account and those that are a part of it.
    ///
    /// # Errors
    /// As above.
    pub fn accounts(
        &self,
        account: &Account,
        filter: &AccountFilter,
        page_size: usize,
        place: &Place,
    ) -> Listed<Account> {
        let mut wanted = Where::default();
        wanted.and("friendly_name =", filter.friendly_name.clone());
        wanted.and("status =", filter.status.map(|status| status.as_str()));
        let column = if account.is_main() { "owner" } else { "sid" };
        let list =
            List { table: "accounts", owner: (column, account.sid.to_string()), seq: "rowid" };
        self.page(&list, wanted, page_size, place, row::account)
    }

    /// Returns an API key.
    ///
    /// # Errors
    /// As above.
    pub fn api_key(&self, sid: KeySid) -> Result<Option<ApiKey>, StoreFailed> {
        let statement = "SELECT * FROM api_keys WHERE sid = ?1";
        self.read(|db| row::first(db, statement, &[&sid.to_string()], row::api_key))
    }

    /// Lists the API keys of an account.
    ///
    /// # Errors
    /// As above.
    pub fn api_keys(&self, account: AccountSid, page_size: usize, place: &Place) -> Listed<ApiKey> {
        let list =
            List { table: "api_keys", owner: ("account", account.to_string()), seq: "rowid" };
        self.page(&list, Where::default(), page_size, place, row::api_key)
    }

    /// Returns an entry of this account's debugger log.
    ///
    /// # Errors
    /// As above.
    pub fn notification(
        &self,
        account: AccountSid,
        sid: NotificationSid,
    ) -> Result<Option<Notification>, StoreFailed> {
        let statement = "SELECT * FROM notifications WHERE sid = ?1 AND account = ?2";
        let key = [sid.to_string(), account.to_string()];
        self.read(|db| row::first(db, statement, &[&key[0], &key[1]], row::notification))
    }

    /// Lists entries of the debugger log.
    ///
    /// # Errors
    /// As above.
    pub fn notifications(
        &self,
        account: AccountSid,
        filter: &NotificationFilter,
        page_size: usize,
        place: &Place,
    ) -> Listed<Notification> {
        let mut wanted = Where::default();
        wanted.and("call =", filter.call.map(|sid| sid.to_string()));
        wanted.and("level =", filter.level.map(|level| level.as_str()));
        wanted.dates("date", filter.date);
        let list =
            List { table: "notifications", owner: ("account", account.to_string()), seq: "seq" };
        self.page(&list, wanted, page_size, place, row::notification)
    }

    /// Returns a call of this account.
    ///
    /// # Errors
    /// As above.
    pub fn call(&self, account: AccountSid, sid: CallSid) -> Result<Option<Call>, StoreFailed> {
        let statement = "SELECT * FROM calls WHERE sid = ?1 AND account = ?2";
        let key = [sid.to_string(), account.to_string()];
        self.read(|db| row::first(db, statement, &[&key[0], &key[1]], row::call))
    }

    /// Lists calls.
    ///
    /// # Errors
    /// As above.
    pub fn calls(
        &self,
        account: AccountSid,
        filter: &CallFilter,
        page_size: usize,
        place: &Place,
    ) -> Listed<Call> {
        let list = List { table: "calls", owner: ("account", account.to_string()), seq: "seq" };
        self.page(&list, filter.wanted(), page_size, place, row::call)
    }

    /// Returns a conference of this account.
    ///
    /// # Errors
    /// As above.
    pub fn conference(
        &self,
        account: AccountSid,
        sid: ConferenceSid,
    ) -> Result<Option<Conference>, StoreFailed> {
        let statement = "SELECT * FROM conferences WHERE sid = ?1 AND account = ?2";
        let key = [sid.to_string(), account.to_string()];
        self.read(|db| row::first(db, statement, &[&key[0], &key[1]], row::conference))
    }

    /// Lists conferences.
    ///
    /// # Errors
    /// As above.
    pub fn conferences(
        &self,
        account: AccountSid,
        filter: &ConferenceFilter,
        page_size: usize,
        place: &Place,
    ) -> Listed<Conference> {
        let list =
            List { table: "conferences", owner: ("account", account.to_string()), seq: "seq" };
        self.page(&list, filter.wanted(), page_size, place, row::conference)
    }

    /// Lists those who take part in a conference.
    ///
    /// # Errors
    /// As above.
    pub fn participants(
        &self,
        conference: ConferenceSid,
        filter: ParticipantFilter,
        page_size: usize,
        place: &Place,
    ) -> Listed<Participant> {
        let list = List {
            table: "participants",
            owner: ("conference", conference.to_string()),
            seq: "seq",
        };
        self.page(&list, filter.wanted(), page_size, place, row::participant)
    }

    /// Lists callbacks.
    ///
    /// # Errors
    /// As above.
    pub fn callbacks(
        &self,
        account: AccountSid,
        state: Option<CallbackState>,
        page_size: usize,
        place: &Place,
    ) -> Listed<Callback> {
        let mut wanted = Where::default();
        wanted.and("state =", state.map(|state| state.as_str()));
        let list = List { table: "callbacks", owner: ("account", account.to_string()), seq: "seq" };
        self.page(&list, wanted, page_size, place, row::callback)
    }

    /// Lists the callbacks that tell of one call.
    ///
    /// # Errors
    /// As above.
    pub fn callbacks_of_call(
        &self,
        account: AccountSid,
        call: CallSid,
        page_size: usize,
        place: &Place,
    ) -> Listed<Callback> {
        let mut wanted = Where::default();
        wanted.and("call =", Some(call.to_string()));
        let list = List { table: "callbacks", owner: ("account", account.to_string()), seq: "seq" };
        self.page(&list, wanted, page_size, place, row::callback)
    }

    /// Returns whoever takes part in a conference under this call or this label.
    ///
    /// # Errors
    /// As above.
    pub fn participant(
        &self,
        conference: ConferenceSid,
        call_or_label: &str,
    ) -> Result<Option<Participant>, StoreFailed> {
        let column = if call_or_label.parse::<CallSid>().is_ok() { "call" } else { "label" };
        let statement = format!(
            "SELECT * FROM participants WHERE conference = ?1 AND {column} = ?2 AND state <> ''"
        );
        let key = (conference.to_string(), call_or_label);
        self.read(|db| row::first(db, &statement, &[&key.0, &key.1], row::participant))
    }

    pub(crate) fn page<T>(
        &self,
        list: &List<'_>,
        mut wanted: Where,
        page_size: usize,
        place: &Place,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Listed<T> {
        let page_size = page_size.clamp(1, PAGE_SIZE_MAX);
        let (table, seq, (owner, whose)) = (list.table, list.seq, &list.owner);
        wanted.and(&format!("{owner} ="), Some(whose.clone()));
        self.read(|db| {
            let mut skip = 0;
            let newer = match place {
                Place::Skip(records) => {
                    skip = *records;
                    false
                }
                Place::After(sid) | Place::Before(sid) => {
                    let statement =
                        format!("SELECT {seq} FROM {table} WHERE sid = ?1 AND {owner} = ?2");
                    let known: Option<i64> =
                        row::first(db, &statement, &[sid, whose], |row| row.get(0))?;
                    let Some(known) = known else { return Ok(None) };
                    let newer = matches!(place, Place::Before(_));
                    wanted.beyond(known, newer);
                    newer
                }
            };
            let statement = list.statement(&wanted, newer, page_size + 1, skip);
            let values = wanted.values();
            let mut records = db
                .prepare_cached(&statement)?
                .query_map(values.as_slice(), read)?
                .collect::<rusqlite::Result<Vec<T>>>()?;
            let more = newer || records.len() > page_size;
            records.truncate(page_size);
            if newer {
                records.reverse();
            }
            Ok(Some(Page { records, more }))
        })
    }
}

/// A page, or nothing where the place is not one of this list.
pub type Listed<T> = Result<Option<Page<T>>, StoreFailed>;

/// A table, whose rows of it are listed, and the column that orders them.
pub(crate) struct List<'a> {
    pub(crate) table: &'a str,
    pub(crate) owner: (&'a str, String),
    pub(crate) seq: &'a str,
}

impl List<'_> {
    /// Returns what asks for so many rows after so many others, the newest first or the oldest.
    pub(crate) fn statement(&self, wanted: &Where, up: bool, most: usize, skip: usize) -> String {
        let (table, seq, order) = (self.table, self.seq, if up { "ASC" } else { "DESC" });
        let wanted = wanted.text(seq);
        format!("SELECT * FROM {table} {wanted} ORDER BY {seq} {order} LIMIT {most} OFFSET {skip}")
    }
}

/// A record with what a restart needs of it.
pub type WithState<T> = (T, String);

/// The rows of what was alive when the server last ended.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Alive {
    /// Calls that are not over.
    pub calls: Vec<WithState<Call>>,
    /// Conferences that are not completed.
    pub conferences: Vec<WithState<Conference>>,
    /// Participants who have not left.
    pub participants: Vec<WithState<Participant>>,
    /// Recordings that are not over.
    pub recordings: Vec<WithState<Recording>>,
    /// All queues.
    pub queues: Vec<Queue>,
    /// What it takes to end each call's dialog.
    pub dialogs: Vec<(CallSid, String)>,
}

impl Store {
    /// Returns what was alive when the server last ended, oldest first.
    ///
    /// # Errors
    /// As above.
    pub fn alive(&self) -> Result<Alive, StoreFailed> {
        Ok(Alive {
            calls: self.with_state("calls", row::call)?,
            conferences: self.with_state("conferences", row::conference)?,
            participants: self.with_state("participants", row::participant)?,
            recordings: self.with_state("recordings", recordings::read)?,
            queues: self.all_queues()?,
            dialogs: self.read(|db| {
                let mut rows = db.prepare_cached("SELECT call, state FROM dialogs")?;
                rows.query_map([], |row| Ok((row::parsed(row, "call")?, row.get("state")?)))?
                    .collect()
            })?,
        })
    }

    fn with_state<T>(
        &self,
        table: &str,
        read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<WithState<T>>, StoreFailed> {
        let statement = format!("SELECT * FROM {table} WHERE state <> '' ORDER BY seq");
        let both = |row: &rusqlite::Row<'_>| Ok((read(row)?, row.get("state")?));
        self.read(|db| db.prepare_cached(&statement)?.query_map([], both)?.collect())
    }
}
