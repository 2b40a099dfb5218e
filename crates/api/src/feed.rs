//! What happens, as it happens: the changes that were committed lately, each with its resource as it is then; and, for
//! who asks, how loud everyone is.

use std::time::Duration;

use axum::http::StatusCode;
use model::{Change, Timestamp};
use node::{DominantChange, Fed, RoomLevels, Told};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::error::{ApiError, code};
use crate::paging::{PAGE_SIZE, PAGE_SIZE_MAX};
use crate::{
    Answer, Request, callbacks, calls, conferences, messages, notifications, recordings, sidetone,
    timeline,
};

const PATH: &str = "/sidetone/v1/Events";
/// Longest time that a request waits for something to happen.
const WAIT_MAX_S: u64 = 30;

/// Where a follower is.
#[derive(Debug)]
struct Follower {
    /// The place of the last change that it knows.
    place: u64,
    /// Most changes that it takes at once.
    most: usize,
    /// Whether it asks for levels, and the last look at them that it knows.
    levels: bool,
    known: Option<u64>,
}

impl Follower {
    fn of(request: &Request) -> Result<Self, ApiError> {
        let number = |name, range| request.form.number(name, range, code::BAD_REQUEST);
        let size = number("PageSize", 1..=PAGE_SIZE_MAX)?.unwrap_or(PAGE_SIZE);
        let last = request.node.store().feed().last();
        // One who followed before a restart begins again.
        let place = number("After", 0..=u64::MAX)?
            .map_or(last, |after| if after > last { 0 } else { after });
        Ok(Self {
            place,
            most: usize::try_from(size).unwrap_or(usize::MAX),
            levels: request.form.flag("Levels")?.unwrap_or(false),
            known: number("LevelsAfter", 0..=u64::MAX)?,
        })
    }

    /// Returns what is new by now, and notes that it is known: changes, and levels where there are any to tell of.
    async fn news(&mut self, request: &Request) -> (Vec<Fed>, Option<Told>) {
        let (events, place) =
            request.node.store().feed().after(request.account, self.place, self.most);
        self.place = place;
        if !self.levels {
            return (events, None);
        }
        let told = request.node.levels(request.account, self.known).await;
        self.known = told.as_ref().map_or(self.known, |told| Some(told.look.number));
        let is_news = |told: &Told| !(told.look.rooms.is_empty() && told.changes.is_empty());
        (events, told.filter(is_news))
    }

    /// Waits until something may be new, but no longer than this.
    async fn rest(&self, request: &Request, limit: Duration) {
        let grown = request.node.store().feed();
        if !self.levels {
            return grown.grows(self.place, limit).await;
        }
        tokio::select! {
            () = grown.grows(self.place, limit) => {}
            () = request.node.levels_due(request.account) => {}
        }
    }

    /// Returns where it can go on.
    fn next(&self) -> String {
        let mut next = format!("{PATH}?PageSize={}&After={}", self.most, self.place);
        if self.levels {
            next.push_str("&Levels=true");
            next.extend(self.known.map(|known| format!("&LevelsAfter={known}")));
        }
        next
    }
}

/// `GET /sidetone/v1/Events?After=7&Wait=10&PageSize=50`, oldest first. Without `After` the answer says where one
/// can go on, and no more. Nothing is kept beyond a restart, nor more than the last few thousand events.
///
/// With `Levels=true` what is heard follows: it has no place among the events, and is not kept.
pub async fn all(request: Request) -> Answer {
    let mut follower = Follower::of(&request)?;
    let wait = request.form.seconds("Wait", 0..=WAIT_MAX_S, code::BAD_REQUEST)?;
    let until = Instant::now() + wait.unwrap_or(Duration::ZERO);
    let (mut events, mut told) = follower.news(&request).await;
    while events.is_empty() && told.is_none() && Instant::now() < until {
        follower.rest(&request, until - Instant::now()).await;
        (events, told) = follower.news(&request).await;
    }
    let mut events: Vec<Value> = events.iter().filter_map(|fed| view(fed, &request)).collect();
    events.extend(told.iter().flat_map(heard));
    let mut body = json!({ "events": events, "next_page_uri": follower.next() });
    if follower.levels {
        body["conferences_left_out"] = told.map(|told| told.look.left_out).into();
    }
    Ok((StatusCode::OK, body))
}

fn view(fed: &Fed, request: &Request) -> Option<Value> {
    let (kind, resource) = match &*fed.change {
        Change::Call { record, .. } => ("call", calls::view(record)),
        Change::Conference { record, .. } => ("conference", conferences::view(record)),
        Change::Recording { record, .. } => ("recording", recordings::of_account(record, request)),
        Change::Callback(callback) => ("callback", callbacks::view(callback)),
        Change::Moment(moment) => {
            let mut view = timeline::view(moment, None);
            view["conference_sid"] = moment.conference.to_string().into();
            ("moment", view)
        }
        Change::Notification(entry) => ("notification", notifications::view(entry, entry.call)),
        Change::Resource(resource) => ("message", messages::view(resource)),
        _ => return None,
    };
    Some(event(Some(fed.sequence), fed.date, kind, resource))
}

/// Returns the events of a look: each change of a dominant speaker, then how loud everyone is.
fn heard(told: &Told) -> impl Iterator<Item = Value> {
    let changes =
        told.changes.iter().map(|one| event(None, one.date, "dominant-speaker", change(one)));
    let rooms = told.look.rooms.iter();
    changes.chain(rooms.map(|one| event(None, told.look.date, "levels", levels(one))))
}

fn change(change: &DominantChange) -> Value {
    json!({
        "conference_sid": change.conference.to_string(),
        "call_sid": change.call.map(|call| call.to_string()),
        "previous": change.previous.map(|call| call.to_string()),
    })
}

fn levels(room: &RoomLevels) -> Value {
    json!({
        "conference_sid": room.conference.to_string(),
        "levels": room.levels.iter().map(sidetone::level).collect::<Vec<Value>>(),
        "dominant_speaker": room.dominant.map(|call| call.to_string()),
    })
}

fn event(sequence: Option<u64>, date: Timestamp, kind: &str, resource: Value) -> Value {
    json!({
        "sequence": sequence,
        "date": date.iso8601().to_string(),
        "type": kind,
        "resource": resource,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{CallSid, ConferenceSid};
    use node::{Cleaning, Level, Look};

    use super::*;

    #[test]
    fn a_look_is_told_as_changes_and_then_as_levels_without_a_place() {
        let [first, second] = [1, 2].map(|number| CallSid::new([number; 16]));
        let conference = ConferenceSid::new([3; 16]);
        let level = |call, mos| Level { call, below: 24, cleaning: Cleaning::default(), mos };
        let room = RoomLevels {
            conference,
            dominant: Some(second),
            levels: vec![level(first, None), level(second, Some(4.407))],
            created: Timestamp(0),
        };
        let (number, date) = (7, Timestamp(1_500));
        let change =
            DominantChange { look: number, date, conference, call: Some(second), previous: None };
        let look = Look { number, date, rooms: vec![room], left_out: 0 };
        let told: Vec<Value> =
            heard(&Told { look: Arc::new(look), changes: vec![change] }).collect();
        let event = |kind: &str, resource: Value| json!({ "sequence": null, "date": "1970-01-01T00:00:01.500Z", "type": kind, "resource": resource });
        let (first, second) = (first.to_string(), second.to_string());
        let conference = conference.to_string();
        let levels = json!([
            { "call_sid": first, "level_db": -24, "mos": null },
            { "call_sid": second, "level_db": -24, "mos": 4.41 },
        ]);
        assert_eq!(
            told,
            [
                event(
                    "dominant-speaker",
                    json!({ "conference_sid": conference, "call_sid": second, "previous": null }),
                ),
                event(
                    "levels",
                    json!({ "conference_sid": conference, "dominant_speaker": second, "levels": levels }),
                ),
            ]
        );
    }
}
