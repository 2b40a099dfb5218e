//! What a call's receivers were told, and whether they took it.
//!
//! Source: Twilio API 2010-04-01, Event resource.

use axum::http::StatusCode;
use model::{CallSid, Callback, CallbackState};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::paging::{Asked, List};
use crate::{Answer, Request};

#[rustfmt::skip]
const LIST: List = List {
    name: "events",
    envelope: [
        "events", "end", "first_page_uri", "next_page_uri", "page", "page_size", "previous_page_uri", "start", "uri",
    ],
};

/// `GET .../Calls/{CallSid}/Events.json`
pub async fn all(request: Request) -> Answer {
    let (form, account) = (&request.form, request.account);
    let call: CallSid = request.variables[0].parse().map_err(|_| ApiError::not_found())?;
    let known = request.ask(move |node| node.store().call(account, call)).await?;
    known.ok_or_else(ApiError::not_found)?;
    let asked = Asked::read(form)?;
    let (size, place) = (asked.size, asked.place.clone());
    let page = request
        .ask(move |node| node.store().callbacks_of_call(account, call, size, &place))
        .await?;
    let path = format!("/2010-04-01/Accounts/{account}/Calls/{call}/Events.json");
    let sid = |callback: &Callback| callback.sid.to_string();
    Ok((StatusCode::OK, asked.render(&LIST, form, &path, page, sid, view)?))
}

fn view(callback: &Callback) -> Value {
    let date = callback.date_created.rfc2822().to_string();
    let params = callback.params.iter().map(|(name, value)| (snake(name), value.clone().into()));
    json!({
        "request": {
            "method": callback.method,
            "url": callback.url,
            "parameters": Value::Object(params.collect()),
        },
        "response": {
            "response_code": (callback.state == CallbackState::Delivered).then_some(200),
            "request_duration": null,
            "content_type": null,
            "response_body": callback.last_error,
            "date_created": date,
        },
    })
}

/// Writes `CallSid` as `call_sid`.
fn snake(name: &str) -> String {
    let mut written = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !written.is_empty() && !written.ends_with('_') {
            written.push('_');
        }
        written.push(letter.to_ascii_lowercase());
    }
    written
}
