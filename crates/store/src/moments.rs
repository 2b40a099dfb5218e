//! The history of conferences.

use model::{AccountSid, CallSid, ConferenceSid, Moment, MomentEdge, MomentOf, Timestamp};
use rusqlite::{Connection, Row, params};

use crate::row::{maybe_parsed, parsed, unreadable};
use crate::{Store, StoreFailed};

/// Appends one moment.
pub fn write(connection: &Connection, moment: &Moment) -> rusqlite::Result<()> {
    let about = moment.about.as_ref();
    let statement = "INSERT INTO moments (account, conference, date, event, call, label, muted, hold, \
                     coaches, reason, callback, gain, sidebar, levelling, noise_suppression) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
    let set = moment.edge.as_ref().map(Set::of).unwrap_or_default();
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
        set.gain,
        set.sidebar,
        set.levelling,
        set.noise_suppression,
    ];
    connection.prepare_cached(statement)?.execute(values).map(drop)
}

/// The columns of what a moment has set, one of which has something.
#[derive(Default)]
struct Set {
    gain: Option<i16>,
    sidebar: Option<String>,
    levelling: Option<bool>,
    noise_suppression: Option<bool>,
}

impl Set {
    fn of(edge: &MomentEdge) -> Self {
        let none = Self::default();
        match edge {
            MomentEdge::Gain(gain) => Self { gain: Some(*gain), ..none },
            MomentEdge::Levelling(on) => Self { levelling: Some(*on), ..none },
            MomentEdge::NoiseSuppression(on) => Self { noise_suppression: Some(*on), ..none },
            MomentEdge::Sidebar { hears_only, heard_only_by } => {
                Self { sidebar: Some(written([hears_only, heard_only_by])), ..none }
            }
        }
    }
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
        edge: edge(row)?,
    };
    Ok((row.get("seq")?, moment))
}

fn edge(row: &Row<'_>) -> rusqlite::Result<Option<MomentEdge>> {
    if let Some(gain) = row.get("gain")? {
        return Ok(Some(MomentEdge::Gain(gain)));
    }
    if let Some(on) = row.get("levelling")? {
        return Ok(Some(MomentEdge::Levelling(on)));
    }
    if let Some(on) = row.get("noise_suppression")? {
        return Ok(Some(MomentEdge::NoiseSuppression(on)));
    }
    let Some(text) = row.get::<_, Option<String>>("sidebar")? else { return Ok(None) };
    let lists = serde_json::from_str::<[Option<Vec<String>>; 2]>(&text);
    let lists = lists.map_err(|error| unreadable(error.to_string()))?;
    let [hears_only, heard_only_by] = lists.map(|few| few.map(|few| read(&few)).transpose());
    Ok(Some(MomentEdge::Sidebar { hears_only: hears_only?, heard_only_by: heard_only_by? }))
}

fn written(lists: [&Option<Vec<CallSid>>; 2]) -> String {
    let list = |few: &Vec<CallSid>| few.iter().map(CallSid::to_string).collect::<Vec<_>>();
    serde_json::json!(lists.map(|few| few.as_ref().map(list))).to_string()
}

fn read(few: &[String]) -> rusqlite::Result<Vec<CallSid>> {
    few.iter().map(|sid| sid.parse().map_err(|_| unreadable(format!("sidebar: {sid}")))).collect()
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
