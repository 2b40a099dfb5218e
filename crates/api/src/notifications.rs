//! The Notification resource: the debugger log, of an account and of one call.

use axum::http::StatusCode;
use model::{CallSid, Level, Notification, NotificationSid};
use node::NotificationFilter;
use serde_json::{Value, json};

use crate::dates::{self, Precision};
use crate::error::ApiError;
use crate::form::Form;
use crate::paging::{Asked, List, ordered};
use crate::{Answer, Request};

const LIST: List = List {
    name: "notifications",
    envelope: [
        "end",
        "first_page_uri",
        "previous_page_uri",
        "next_page_uri",
        "notifications",
        "page",
        "page_size",
        "start",
        "uri",
    ],
};
const LIST_OF_CALL: List = List {
    name: "notifications",
    envelope: [
        "notifications",
        "page",
        "page_size",
        "previous_page_uri",
        "end",
        "first_page_uri",
        "next_page_uri",
        "start",
        "uri",
    ],
};
/// What a list shows of an entry.
const SHORT: [&str; 14] = [
    "account_sid",
    "api_version",
    "call_sid",
    "date_created",
    "date_updated",
    "error_code",
    "log",
    "message_date",
    "message_text",
    "more_info",
    "request_method",
    "request_url",
    "sid",
    "uri",
];

/// `GET .../Notifications.json` and `GET .../Calls/{CallSid}/Notifications.json`
pub async fn all(request: Request) -> Answer {
    let (form, account) = (&request.form, request.account);
    let call = call_of(&request, request.variables.first()).await?;
    let filter = NotificationFilter {
        call,
        level: level(form)?,
        date: dates::read(form, "MessageDate", Precision::Day)?,
    };
    let asked = Asked::read(form)?;
    let (size, place) = (asked.size, asked.place.clone());
    let page =
        request.ask(move |node| node.store().notifications(account, &filter, size, &place)).await?;
    let list = if call.is_some() { &LIST_OF_CALL } else { &LIST };
    let path = format!("{}.json", base(account, call));
    let sid = |entry: &Notification| entry.sid.to_string();
    let view = |entry: &Notification| ordered(view(entry, call), &SHORT);
    Ok((StatusCode::OK, asked.render(list, form, &path, page, sid, view)?))
}

/// `GET .../Notifications/{Sid}.json` and `GET .../Calls/{CallSid}/Notifications/{Sid}.json`
pub async fn one(request: Request) -> Answer {
    let account = request.account;
    let (sid, above) = request.variables.split_last().expect("the path has one or two variables");
    let call = call_of(&request, above.first()).await?;
    let sid: NotificationSid = sid.parse().map_err(|_| ApiError::not_found())?;
    let entry = request.ask(move |node| node.store().notification(account, sid)).await?;
    let entry = entry.filter(|entry| call.is_none() || entry.call == call);
    Ok((StatusCode::OK, view(&entry.ok_or_else(ApiError::not_found)?, call)))
}

/// Reads the call that the path names, if it names one; it must be known.
async fn call_of(request: &Request, call: Option<&String>) -> Result<Option<CallSid>, ApiError> {
    let Some(call) = call else { return Ok(None) };
    let (account, call) = (request.account, call.parse().map_err(|_| ApiError::not_found())?);
    let known = request.ask(move |node| node.store().call(account, call)).await?;
    known.map(|_| Some(call)).ok_or_else(ApiError::not_found)
}

fn level(form: &Form) -> Result<Option<Level>, ApiError> {
    let word = form.word("Log", &["0", "1"])?;
    Ok(word.map(|word| if word == "0" { Level::Error } else { Level::Warning }))
}

fn base(account: model::AccountSid, call: Option<CallSid>) -> String {
    let below = call.map(|call| format!("/Calls/{call}")).unwrap_or_default();
    format!("/2010-04-01/Accounts/{account}{below}/Notifications")
}

/// Returns what is shown of it.
pub fn view(entry: &Notification, call: Option<CallSid>) -> Value {
    let date = entry.date.rfc2822().to_string();
    let log = match entry.level {
        Level::Error => "0",
        Level::Warning => "1",
    };
    json!({
        "account_sid": entry.account.to_string(),
        "api_version": "2010-04-01",
        "call_sid": entry.call.map(|sid| sid.to_string()),
        "date_created": date,
        "date_updated": date,
        "error_code": entry.code.to_string(),
        "log": log,
        "message_date": date,
        "message_text": entry.message,
        "more_info": format!("https://www.twilio.com/docs/errors/{}", entry.code),
        "request_method": null,
        "request_url": entry.request_url.as_deref().unwrap_or_default(),
        "request_variables": "",
        "response_body": "",
        "response_headers": "",
        "sid": entry.sid.to_string(),
        "uri": format!("{}/{}.json", base(entry.account, call), entry.sid),
    })
}
