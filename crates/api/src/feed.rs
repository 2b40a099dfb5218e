//! What happens, as it happens: the changes that were committed lately, each with its resource as it is then.

use std::time::Duration;

use axum::http::StatusCode;
use model::Change;
use node::Fed;
use serde_json::{Value, json};

use crate::error::code;
use crate::paging::{PAGE_SIZE, PAGE_SIZE_MAX};
use crate::{
    Answer, Request, callbacks, calls, conferences, messages, notifications, recordings, timeline,
};

const PATH: &str = "/sidetone/v1/Events";
/// Longest time that a request waits for something to happen.
const WAIT_MAX_S: u64 = 30;

/// `GET /sidetone/v1/Events?After=7&Wait=10&PageSize=50`, oldest first. Without `After` the answer says where one
/// can go on, and no more. Nothing is kept beyond a restart, nor more than the last few thousand events.
pub async fn all(request: Request) -> Answer {
    let form = &request.form;
    let size = form.number("PageSize", 1..=PAGE_SIZE_MAX, code::BAD_REQUEST)?.unwrap_or(PAGE_SIZE);
    let wait = form.seconds("Wait", 0..=WAIT_MAX_S, code::BAD_REQUEST)?.unwrap_or(Duration::ZERO);
    let after = form.number("After", 0..=u64::MAX, code::BAD_REQUEST)?;
    let feed = request.node.store().feed();
    // One who followed before a restart begins again.
    let place = after.map_or(feed.last(), |after| if after > feed.last() { 0 } else { after });
    let most = usize::try_from(size).unwrap_or(usize::MAX);
    let until = tokio::time::Instant::now() + wait;
    let (mut events, mut place) = feed.after(request.account, place, most);
    while events.is_empty() && tokio::time::Instant::now() < until {
        feed.grows(place, until - tokio::time::Instant::now()).await;
        (events, place) = feed.after(request.account, place, most);
    }
    let events: Vec<Value> = events.iter().filter_map(|fed| view(fed, &request)).collect();
    let next = format!("{PATH}?PageSize={size}&After={place}");
    Ok((StatusCode::OK, json!({ "events": events, "next_page_uri": next })))
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
    Some(json!({
        "sequence": fed.sequence,
        "date": fed.date.iso8601().to_string(),
        "type": kind,
        "resource": resource,
    }))
}
