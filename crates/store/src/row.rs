//! Each record as a row, and back.

use std::fmt::Write as _;
use std::str::FromStr;

use model::{
    Account, ApiKey, Call, Callback, Change, Conference, Notification, Participant, Timestamp,
};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, ToSql};

use crate::{queues, recordings, resource, trunks};

/// Writes one change.
pub fn write(connection: &Connection, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::Account(record) => write_account(connection, record),
        Change::ApiKey(key) => write_api_key(connection, key),
        Change::DeleteApiKey(sid) => {
            delete(connection, "DELETE FROM api_keys WHERE sid = ?1", &sid.to_string())
        }
        Change::Call { record, state } => write_call(connection, record, state),
        Change::DeleteCall(sid) => {
            delete(connection, "DELETE FROM calls WHERE sid = ?1", &sid.to_string())
        }
        Change::Conference { record, state } => write_conference(connection, record, state),
        Change::Participant { record, state } => write_participant(connection, record, state),
        Change::Queue(queue) => queues::write(connection, queue),
        Change::DeleteQueue(sid) => {
            delete(connection, "DELETE FROM queues WHERE sid = ?1", &sid.to_string())
        }
        Change::QueueMember(member) => queues::write_member(connection, member),
        Change::DeleteQueueMember(call) => {
            delete(connection, "DELETE FROM queue_members WHERE call = ?1", &call.to_string())
        }
        Change::Callback(record) => write_callback(connection, record),
        Change::Moment(moment) => crate::moments::write(connection, moment),
        Change::Recording { record, state } => recordings::write(connection, record, state),
        Change::DeleteRecording { recording, date } => {
            recordings::delete(connection, *recording, *date)
        }
        Change::Resource(record) => resource::write(connection, record),
        Change::DeleteResource(record) => resource::delete(connection, record),
        Change::Forget { before, most } => crate::retention::forget(connection, *before, *most),
        Change::Notification(record) => write_notification(connection, record),
        Change::TrunkDay(day) => trunks::write(connection, day),
        Change::Dialog { call, state } => {
            upsert(connection, "dialogs", "call", &[("call", &call.to_string()), ("state", state)])
        }
        Change::DeleteDialog(call) => {
            delete(connection, "DELETE FROM dialogs WHERE call = ?1", &call.to_string())
        }
    }
}

fn delete(connection: &Connection, statement: &str, key: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.execute([key]).map(drop)
}

/// Octets that most statements need.
const STATEMENT_LENGTH: usize = 1_024;

/// Columns and their values.
type Columns<'a> = &'a [(&'static str, &'a dyn ToSql)];

/// Inserts a row, or replaces all its columns where `key` is known: its place in lists stays.
pub fn upsert(
    connection: &Connection,
    table: &str,
    key: &str,
    columns: Columns<'_>,
) -> rusqlite::Result<()> {
    upsert_partly(connection, table, key, &[], columns)
}

/// Inserts a row, or replaces the columns that may change where `key` is known. Those that are `fixed` once the row is
/// there are left alone, and so are the indexes of them: each index that is written costs as much as the row.
fn upsert_partly(
    connection: &Connection,
    table: &str,
    key: &str,
    fixed: Columns<'_>,
    changing: Columns<'_>,
) -> rusqlite::Result<()> {
    let columns = || fixed.iter().chain(changing);
    let mut statement = String::with_capacity(STATEMENT_LENGTH);
    let mut comma = "";
    let _ = write!(statement, "INSERT INTO {table} (");
    for (name, _) in columns() {
        statement.extend([comma, name]);
        comma = ", ";
    }
    statement.push_str(") VALUES (?");
    (1..columns().count()).for_each(|_| statement.push_str(", ?"));
    let _ = write!(statement, ") ON CONFLICT ({key}) DO UPDATE SET ");
    comma = "";
    for (name, _) in changing {
        statement.extend([comma, name, " = excluded.", name]);
        comma = ", ";
    }
    let values: Vec<&dyn ToSql> = columns().map(|(_, value)| *value).collect();
    connection.prepare_cached(&statement)?.execute(values.as_slice()).map(drop)
}

pub fn parsed<T: FromStr>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| unreadable(format!("{column}: {text}")))
}

pub fn maybe_parsed<T: FromStr>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(|_| unreadable(format!("{column}: {text}")))).transpose()
}

pub fn unreadable(what: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, what.into())
}

fn params(row: &Row<'_>) -> rusqlite::Result<Vec<(String, String)>> {
    let text: String = row.get("params")?;
    serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))
}

fn write_api_key(connection: &Connection, key: &ApiKey) -> rusqlite::Result<()> {
    upsert(
        connection,
        "api_keys",
        "sid",
        &[
            ("sid", &key.sid.to_string()),
            ("account", &key.account.to_string()),
            ("friendly_name", &key.friendly_name),
            ("secret_sha256", &key.secret_sha256),
            ("date_created", &key.date_created.0),
            ("date_updated", &key.date_updated.0),
        ],
    )
}

pub fn api_key(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        sid: parsed(row, "sid")?,
        account: parsed(row, "account")?,
        friendly_name: row.get("friendly_name")?,
        secret_sha256: row.get("secret_sha256")?,
        date_created: Timestamp(row.get("date_created")?),
        date_updated: Timestamp(row.get("date_updated")?),
    })
}

fn write_notification(connection: &Connection, record: &Notification) -> rusqlite::Result<()> {
    upsert(
        connection,
        "notifications",
        "sid",
        &[
            ("sid", &record.sid.to_string()),
            ("account", &record.account.to_string()),
            ("call", &record.call.map(|sid| sid.to_string())),
            ("conference", &record.conference.map(|sid| sid.to_string())),
            ("level", &record.level.as_str()),
            ("code", &record.code),
            ("message", &record.message),
            ("request_url", &record.request_url),
            ("date", &record.date.0),
        ],
    )
}

pub fn notification(row: &Row<'_>) -> rusqlite::Result<Notification> {
    Ok(Notification {
        sid: parsed(row, "sid")?,
        account: parsed(row, "account")?,
        call: maybe_parsed(row, "call")?,
        conference: maybe_parsed(row, "conference")?,
        level: parsed(row, "level")?,
        code: row.get("code")?,
        message: row.get("message")?,
        request_url: row.get("request_url")?,
        date: Timestamp(row.get("date")?),
    })
}

/// Returns the first record that `statement` finds.
pub fn first<T>(
    connection: &Connection,
    statement: &str,
    values: &[&dyn ToSql],
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    connection.prepare_cached(statement)?.query_row(values, read).optional()
}

fn write_account(connection: &Connection, record: &Account) -> rusqlite::Result<()> {
    upsert(
        connection,
        "accounts",
        "sid",
        &[
            ("sid", &record.sid.to_string()),
            ("friendly_name", &record.friendly_name),
            ("owner", &record.owner.to_string()),
            ("status", &record.status.as_str()),
            ("auth_token", &record.auth_token),
            ("date_created", &record.date_created.0),
            ("date_updated", &record.date_updated.0),
        ],
    )
}

pub fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        sid: parsed(row, "sid")?,
        friendly_name: row.get("friendly_name")?,
        owner: parsed(row, "owner")?,
        status: parsed(row, "status")?,
        auth_token: row.get("auth_token")?,
        date_created: Timestamp(row.get("date_created")?),
        date_updated: Timestamp(row.get("date_updated")?),
    })
}

fn write_call(connection: &Connection, record: &Call, state: &str) -> rusqlite::Result<()> {
    upsert_partly(
        connection,
        "calls",
        "sid",
        &[
            ("sid", &record.sid.to_string()),
            ("account", &record.account.to_string()),
            ("parent", &record.parent.map(|sid| sid.to_string())),
            ("callee", &record.to),
            ("caller", &record.from),
            ("direction", &record.direction.as_str()),
            ("date_created", &record.date_created.0),
        ],
        &[
            ("status", &record.status.as_str()),
            ("date_updated", &record.date_updated.0),
            ("start_time", &record.start_time.map(|date| date.0)),
            ("end_time", &record.end_time.map(|date| date.0)),
            ("answered_at", &record.answered_at.map(|date| date.0)),
            ("caller_name", &record.caller_name),
            ("answered_by", &record.answered_by.map(|who| who.as_str())),
            ("queue_time_ms", &record.queue_time_ms),
            ("state", &state),
        ],
    )
}

pub fn call(row: &Row<'_>) -> rusqlite::Result<Call> {
    Ok(Call {
        sid: parsed(row, "sid")?,
        account: parsed(row, "account")?,
        parent: maybe_parsed(row, "parent")?,
        to: row.get("callee")?,
        from: row.get("caller")?,
        status: parsed(row, "status")?,
        direction: parsed(row, "direction")?,
        date_created: Timestamp(row.get("date_created")?),
        date_updated: Timestamp(row.get("date_updated")?),
        start_time: row.get::<_, Option<i64>>("start_time")?.map(Timestamp),
        end_time: row.get::<_, Option<i64>>("end_time")?.map(Timestamp),
        answered_at: row.get::<_, Option<i64>>("answered_at")?.map(Timestamp),
        caller_name: row.get("caller_name")?,
        answered_by: maybe_parsed(row, "answered_by")?,
        queue_time_ms: row.get("queue_time_ms")?,
    })
}

fn write_conference(
    connection: &Connection,
    record: &Conference,
    state: &str,
) -> rusqlite::Result<()> {
    let (sid, date_updated) = (record.sid.to_string(), record.date_updated.0);
    // Each callback counts in the state alone.
    let counted = "UPDATE conferences SET state = ?1 WHERE sid = ?2 AND status = ?3 AND date_updated = ?4 \
                   AND region = ?5 AND end_reason IS NULL AND call_ending IS NULL";
    if record.end_reason.is_none() && record.call_ending.is_none() {
        let values = (state, &sid, record.status.as_str(), date_updated, &record.region);
        if connection.prepare_cached(counted)?.execute(values)? > 0 {
            return Ok(());
        }
    }
    upsert_partly(
        connection,
        "conferences",
        "sid",
        &[
            ("sid", &sid),
            ("account", &record.account.to_string()),
            ("friendly_name", &record.friendly_name),
            ("date_created", &record.date_created.0),
        ],
        &[
            ("status", &record.status.as_str()),
            ("region", &record.region),
            ("date_updated", &date_updated),
            ("end_reason", &record.end_reason.map(|word| word.as_str())),
            ("call_ending", &record.call_ending.map(|sid| sid.to_string())),
            ("state", &state),
        ],
    )
}

pub fn conference(row: &Row<'_>) -> rusqlite::Result<Conference> {
    Ok(Conference {
        sid: parsed(row, "sid")?,
        account: parsed(row, "account")?,
        friendly_name: row.get("friendly_name")?,
        status: parsed(row, "status")?,
        region: row.get("region")?,
        date_created: Timestamp(row.get("date_created")?),
        date_updated: Timestamp(row.get("date_updated")?),
        end_reason: maybe_parsed(row, "end_reason")?,
        call_ending: maybe_parsed(row, "call_ending")?,
    })
}

fn write_participant(
    connection: &Connection,
    record: &Participant,
    state: &str,
) -> rusqlite::Result<()> {
    upsert_partly(
        connection,
        "participants",
        "sid",
        &[
            ("sid", &record.sid.to_string()),
            ("account", &record.account.to_string()),
            ("call", &record.call.to_string()),
            ("conference", &record.conference.to_string()),
            ("date_created", &record.date_created.0),
        ],
        &[
            ("label", &record.label),
            ("status", &record.status.as_str()),
            ("muted", &record.muted),
            ("hold", &record.hold),
            ("coaching", &record.coaching),
            ("call_to_coach", &record.call_to_coach.map(|sid| sid.to_string())),
            ("start_on_enter", &record.start_conference_on_enter),
            ("end_on_exit", &record.end_conference_on_exit),
            ("date_updated", &record.date_updated.0),
            ("state", &state),
        ],
    )
}

pub fn participant(row: &Row<'_>) -> rusqlite::Result<Participant> {
    Ok(Participant {
        sid: parsed(row, "sid")?,
        account: parsed(row, "account")?,
        call: parsed(row, "call")?,
        conference: parsed(row, "conference")?,
        label: row.get("label")?,
        status: parsed(row, "status")?,
        muted: row.get("muted")?,
        hold: row.get("hold")?,
        coaching: row.get("coaching")?,
        call_to_coach: maybe_parsed(row, "call_to_coach")?,
        start_conference_on_enter: row.get("start_on_enter")?,
        end_conference_on_exit: row.get("end_on_exit")?,
        date_created: Timestamp(row.get("date_created")?),
        date_updated: Timestamp(row.get("date_updated")?),
    })
}

fn write_callback(connection: &Connection, record: &Callback) -> rusqlite::Result<()> {
    let sid = record.sid.to_string();
    if record.attempts > 0 {
        let tried =
            "UPDATE callbacks SET state = ?1, attempts = ?2, last_error = ?3 WHERE sid = ?4";
        let values = (record.state.as_str(), record.attempts, &record.last_error, &sid);
        if connection.prepare_cached(tried)?.execute(values)? > 0 {
            return Ok(());
        }
    }
    upsert_partly(
        connection,
        "callbacks",
        "sid",
        &[
            ("sid", &sid),
            ("account", &record.account.to_string()),
            ("conference", &record.conference.map(|sid| sid.to_string())),
            ("call", &record.call.map(|sid| sid.to_string())),
            ("url", &record.url),
            ("method", &record.method),
            ("params", &serde_json::to_string(&*record.params).unwrap_or_default()),
            ("date_created", &record.date_created.0),
        ],
        &[
            ("state", &record.state.as_str()),
            ("attempts", &record.attempts),
            ("last_error", &record.last_error),
        ],
    )
}

pub fn callback(row: &Row<'_>) -> rusqlite::Result<Callback> {
    Ok(Callback {
        sid: parsed(row, "sid")?,
        account: parsed(row, "account")?,
        conference: maybe_parsed(row, "conference")?,
        call: maybe_parsed(row, "call")?,
        url: row.get("url")?,
        method: row.get("method")?,
        params: params(row)?.into(),
        date_created: Timestamp(row.get("date_created")?),
        state: parsed(row, "state")?,
        attempts: row.get("attempts")?,
        last_error: row.get("last_error")?,
    })
}
