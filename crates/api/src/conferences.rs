//! The Conference resource.

use axum::http::{Method, StatusCode};
use model::{Conference, ConferenceSid};
use node::{Command, ConferenceFilter, Reply};
use serde_json::{Value, json};

use crate::dates::{self, Precision};
use crate::error::ApiError;
use crate::paging::{Asked, List, ordered};
use crate::{Answer, Request};

const LIST: List = List {
    name: "conferences",
    envelope: [
        "conferences",
        "first_page_uri",
        "next_page_uri",
        "previous_page_uri",
        "uri",
        "page",
        "page_size",
        "start",
        "end",
    ],
};
/// The order of a conference's members in a list; Twilio's differ with the operation.
const IN_LIST: [&str; 12] = [
    "status",
    "region",
    "sid",
    "date_updated",
    "date_created",
    "subresource_uris",
    "friendly_name",
    "uri",
    "api_version",
    "account_sid",
    "reason_conference_ended",
    "call_sid_ending_conference",
];
/// Their order in the answer to an update.
const UPDATED: [&str; 12] = [
    "account_sid",
    "api_version",
    "date_created",
    "date_updated",
    "friendly_name",
    "region",
    "sid",
    "status",
    "subresource_uris",
    "uri",
    "reason_conference_ended",
    "call_sid_ending_conference",
];

/// `GET .../Conferences.json`
pub async fn all(request: Request) -> Answer {
    let (form, account) = (&request.form, request.account);
    let filter = ConferenceFilter {
        friendly_name: form.filled("FriendlyName").map(str::to_owned),
        status: form.parsed("Status")?,
        date_created: dates::read(form, "DateCreated", Precision::Day)?,
        date_updated: dates::read(form, "DateUpdated", Precision::Day)?,
    };
    let asked = Asked::read(form)?;
    let (size, place) = (asked.size, asked.place.clone());
    let mut page =
        request.ask(move |node| node.store().conferences(account, &filter, size, &place)).await?;
    if let Some(page) = &mut page {
        page.records.retain(|record| !request.node.hides(record.sid));
    }
    let path = format!("/2010-04-01/Accounts/{account}/Conferences.json");
    let sid = |record: &Conference| record.sid.to_string();
    let view = |record: &Conference| ordered(view(record), &IN_LIST);
    Ok((StatusCode::OK, asked.render(&LIST, form, &path, page, sid, view)?))
}

/// `GET` and `POST .../Conferences/{Sid}.json`
pub async fn one(request: Request) -> Answer {
    let account = request.account;
    let sid: ConferenceSid = request.variables[0].parse().map_err(|_| ApiError::not_found())?;
    if request.method == Method::POST {
        let form = &request.form;
        let complete = form.word("Status", &["completed"])?.is_some();
        let announce = form.document("AnnounceUrl", "AnnounceMethod", "POST", false)?;
        let command = Command::UpdateConference { account, conference: sid, complete, announce };
        let reply = request.node.submit(command).await?;
        tracing::info!(conference.sid = %sid, request.id = %request.id, "conference updated by the API");
        let Reply::Conference(record) = reply else { return Err(ApiError::not_found()) };
        return Ok((StatusCode::OK, ordered(view(&record), &UPDATED)));
    }
    let record = request.ask(move |node| node.store().conference(account, sid)).await?;
    Ok((StatusCode::OK, view(&record.ok_or_else(ApiError::not_found)?)))
}

/// Returns what is shown of it.
pub fn view(record: &Conference) -> Value {
    let base = format!("/2010-04-01/Accounts/{}/Conferences/{}", record.account, record.sid);
    json!({
        "account_sid": record.account.to_string(),
        "api_version": "2010-04-01",
        "date_created": record.date_created.rfc2822().to_string(),
        "date_updated": record.date_updated.rfc2822().to_string(),
        "friendly_name": record.friendly_name,
        "sid": record.sid.to_string(),
        "region": record.region,
        "status": record.status.as_str(),
        "subresource_uris": {
            "participants": format!("{base}/Participants.json"),
            "recordings": format!("{base}/Recordings.json"),
        },
        "uri": format!("{base}.json"),
        "reason_conference_ended": record.end_reason.map(|reason| reason.as_str()),
        "call_sid_ending_conference": record.call_ending.map(|sid| sid.to_string()),
    })
}
