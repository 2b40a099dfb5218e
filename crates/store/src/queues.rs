//! Queues and who waits in them: rows and questions.

use model::{AccountSid, CallSid, Queue, QueueMember, QueueSid, Timestamp};
use rusqlite::{Connection, Row};

use crate::query::List;
use crate::row::{self, parsed, upsert};
use crate::wanted::Where;
use crate::{Listed, Place, Store, StoreFailed};

/// A queue, and how many wait in it.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueCensus {
    /// The queue.
    pub queue: Queue,
    /// How many wait.
    pub current_size: u64,
    /// The mean of the moments at which they came.
    pub enqueued: Option<Timestamp>,
}

/// A call that waits, and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineMember {
    /// Who waits since when.
    pub member: QueueMember,
    /// Its place, from 1.
    pub position: u64,
}

pub fn write(connection: &Connection, queue: &Queue) -> rusqlite::Result<()> {
    upsert(
        connection,
        "queues",
        "sid",
        &[
            ("sid", &queue.sid.to_string()),
            ("account", &queue.account.to_string()),
            ("friendly_name", &queue.friendly_name),
            ("max_size", &queue.max_size),
            ("date_created", &queue.date_created.0),
            ("date_updated", &queue.date_updated.0),
        ],
    )
}

pub fn write_member(connection: &Connection, member: &QueueMember) -> rusqlite::Result<()> {
    upsert(
        connection,
        "queue_members",
        "call",
        &[
            ("call", &member.call.to_string()),
            ("queue", &member.queue.to_string()),
            ("date_enqueued", &member.date_enqueued.0),
        ],
    )
}

fn queue(row: &Row<'_>) -> rusqlite::Result<Queue> {
    Ok(Queue {
        sid: parsed(row, "sid")?,
        account: parsed(row, "account")?,
        friendly_name: row.get("friendly_name")?,
        max_size: row.get("max_size")?,
        date_created: Timestamp(row.get("date_created")?),
        date_updated: Timestamp(row.get("date_updated")?),
    })
}

fn census(row: &Row<'_>) -> rusqlite::Result<QueueCensus> {
    let current_size: u32 = row.get("current_size")?;
    let sum: f64 = row.get("enqueued")?;
    let mean = (current_size > 0).then(|| Timestamp((sum / f64::from(current_size)) as i64));
    Ok(QueueCensus { queue: queue(row)?, current_size: current_size.into(), enqueued: mean })
}

fn in_line(row: &Row<'_>) -> rusqlite::Result<LineMember> {
    let member = QueueMember {
        call: parsed(row, "call")?,
        queue: parsed(row, "queue")?,
        date_enqueued: Timestamp(row.get("date_enqueued")?),
    };
    Ok(LineMember { member, position: row.get("position")? })
}

impl Store {
    /// Returns a queue of this account.
    ///
    /// # Errors
    /// When the database cannot be read; so below.
    pub fn queue(
        &self,
        account: AccountSid,
        sid: QueueSid,
    ) -> Result<Option<QueueCensus>, StoreFailed> {
        let statement = "SELECT * FROM queue_census WHERE sid = ?1 AND account = ?2";
        let key = [sid.to_string(), account.to_string()];
        self.read(|db| row::first(db, statement, &[&key[0], &key[1]], census))
    }

    /// Lists the queues of an account.
    ///
    /// # Errors
    /// As above.
    pub fn queues(
        &self,
        account: AccountSid,
        page_size: usize,
        place: &Place,
    ) -> Listed<QueueCensus> {
        let owner = ("account", account.to_string());
        let list = List { table: "queue_census", owner, seq: "seq" };
        self.page(&list, Where::default(), page_size, place, census)
    }

    /// Returns every queue of every account.
    ///
    /// # Errors
    /// As above.
    pub fn all_queues(&self) -> Result<Vec<Queue>, StoreFailed> {
        self.read(|db| {
            db.prepare_cached("SELECT * FROM queues ORDER BY seq")?.query_map([], queue)?.collect()
        })
    }

    /// Lists who waits in a queue, the first one first.
    ///
    /// # Errors
    /// As above.
    pub fn queue_members(
        &self,
        queue: QueueSid,
        page_size: usize,
        place: &Place,
    ) -> Listed<LineMember> {
        let list = List { table: "queue_line", owner: ("queue", queue.to_string()), seq: "place" };
        self.page(&list, Where::default(), page_size, place, in_line)
    }

    /// Returns a call that waits in a queue; the first one where none is named.
    ///
    /// # Errors
    /// As above.
    pub fn queue_member(
        &self,
        queue: QueueSid,
        call: Option<CallSid>,
    ) -> Result<Option<LineMember>, StoreFailed> {
        let queue = queue.to_string();
        self.read(|db| match call {
            Some(call) => {
                let statement = "SELECT * FROM queue_line WHERE queue = ?1 AND sid = ?2";
                row::first(db, statement, &[&queue, &call.to_string()], in_line)
            }
            None => {
                let statement =
                    "SELECT * FROM queue_line WHERE queue = ?1 ORDER BY place DESC LIMIT 1";
                row::first(db, statement, &[&queue], in_line)
            }
        })
    }
}
