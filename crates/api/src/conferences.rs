//! The Conference resource.

use axum::http::{Method, StatusCode};
use model::{AccountSid, CallSid, Conference, ConferenceSid, Rfc2822};
use node::{Command, ConferenceFilter, Reply};
use serde::Serialize;
use serde_json::Value;

use crate::dates::{self, Precision};
use crate::error::ApiError;
use crate::paging::{Asked, List, ordered};
use crate::shown::{self, Link, Shown};
use crate::{Answer, Request, ask};

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
/// The order of a conference's members in the answer to an update; Twilio's differ with the operation.
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
pub async fn list(request: Request) -> Result<Vec<u8>, ApiError> {
    let (form, account) = (&request.form, request.account);
    let filter = ConferenceFilter {
        friendly_name: form.filled("FriendlyName").map(str::to_owned),
        status: form.parsed("Status")?,
        date_created: dates::read(form, "DateCreated", Precision::Day)?,
        date_updated: dates::read(form, "DateUpdated", Precision::Day)?,
    };
    let asked = Asked::read(form)?;
    let node = request.node.clone();
    let page = ask(&node, move |node| {
        let mut page = node.store().conferences(account, &filter, asked.size, &asked.place)?;
        if let Some(page) = &mut page {
            page.records.retain(|record| !node.hides(record.sid));
        }
        let path = format!("/2010-04-01/Accounts/{account}/Conferences.json");
        let sid = |record: &Conference| record.sid.to_string();
        let view = |record: &Conference, text: &mut Vec<u8>| {
            let base = base(record);
            shown::append(text, &InList::of(View::of(record, &base)));
        };
        Ok(asked.write(&LIST, &request.form, &path, page, sid, view))
    });
    page.await?
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

/// What is shown of a conference, in this order.
#[derive(Serialize)]
struct View<'a> {
    account_sid: Shown<AccountSid>,
    api_version: &'static str,
    date_created: Shown<Rfc2822>,
    date_updated: Shown<Rfc2822>,
    friendly_name: &'a str,
    sid: Shown<ConferenceSid>,
    region: &'a str,
    status: &'static str,
    subresource_uris: Links<'a>,
    uri: Link<'a>,
    reason_conference_ended: Option<&'static str>,
    call_sid_ending_conference: Option<Shown<CallSid>>,
}

/// The same in the order that a list has.
#[derive(Serialize)]
struct InList<'a> {
    status: &'static str,
    region: &'a str,
    sid: Shown<ConferenceSid>,
    date_updated: Shown<Rfc2822>,
    date_created: Shown<Rfc2822>,
    subresource_uris: Links<'a>,
    friendly_name: &'a str,
    uri: Link<'a>,
    api_version: &'static str,
    account_sid: Shown<AccountSid>,
    reason_conference_ended: Option<&'static str>,
    call_sid_ending_conference: Option<Shown<CallSid>>,
}

#[derive(Serialize)]
struct Links<'a> {
    participants: Link<'a>,
    recordings: Link<'a>,
}

fn base(record: &Conference) -> String {
    format!("/2010-04-01/Accounts/{}/Conferences/{}", record.account, record.sid)
}

impl<'a> View<'a> {
    fn of(record: &'a Conference, base: &'a str) -> Self {
        View {
            account_sid: Shown(record.account),
            api_version: "2010-04-01",
            date_created: Shown(record.date_created.rfc2822()),
            date_updated: Shown(record.date_updated.rfc2822()),
            friendly_name: &record.friendly_name,
            sid: Shown(record.sid),
            region: &record.region,
            status: record.status.as_str(),
            subresource_uris: Links {
                participants: Link { base, below: "Participants" },
                recordings: Link { base, below: "Recordings" },
            },
            uri: Link { base, below: "" },
            reason_conference_ended: record.end_reason.map(|reason| reason.as_str()),
            call_sid_ending_conference: record.call_ending.map(Shown),
        }
    }
}

impl<'a> InList<'a> {
    fn of(view: View<'a>) -> Self {
        InList {
            status: view.status,
            region: view.region,
            sid: view.sid,
            date_updated: view.date_updated,
            date_created: view.date_created,
            subresource_uris: view.subresource_uris,
            friendly_name: view.friendly_name,
            uri: view.uri,
            api_version: view.api_version,
            account_sid: view.account_sid,
            reason_conference_ended: view.reason_conference_ended,
            call_sid_ending_conference: view.call_sid_ending_conference,
        }
    }
}

/// Returns what is shown of it.
pub fn view(record: &Conference) -> Value {
    shown::value(&View::of(record, &base(record)))
}
