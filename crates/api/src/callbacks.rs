//! The outbox: what was told, what is still owed, and what was given up and can be replayed.

use axum::http::StatusCode;
use model::{Callback, CallbackSid, CallbackState};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::paging::{Asked, List};
use crate::{Answer, Request};

const PATH: &str = "/sidetone/v1/Callbacks";
const LIST: List = List {
    name: "callbacks",
    envelope: [
        "callbacks",
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

/// `GET /sidetone/v1/Callbacks?Status=failed`
pub async fn all(request: Request) -> Answer {
    let (form, account) = (&request.form, request.account);
    let state: Option<CallbackState> = form.parsed("Status")?;
    let asked = Asked::read(form)?;
    let (size, place) = (asked.size, asked.place.clone());
    let page =
        request.ask(move |node| node.store().callbacks(account, state, size, &place)).await?;
    let sid = |callback: &Callback| callback.sid.to_string();
    Ok((StatusCode::OK, asked.render(&LIST, form, PATH, page, sid, view)?))
}

/// `GET /sidetone/v1/Callbacks/{Sid}`
pub async fn one(request: Request) -> Answer {
    let (sid, account) = (sid(&request)?, request.account);
    let callback = request.ask(move |node| node.store().callback(account, sid)).await?;
    Ok((StatusCode::OK, view(&callback.ok_or_else(ApiError::not_found)?)))
}

/// `POST /sidetone/v1/Callbacks/{Sid}/Replay`: sends it once more, under the token of its first try.
pub async fn replay(request: Request) -> Answer {
    let callback = request.node.replay(request.account, sid(&request)?).await?;
    Ok((StatusCode::ACCEPTED, view(&callback.ok_or_else(ApiError::not_found)?)))
}

fn sid(request: &Request) -> Result<CallbackSid, ApiError> {
    request.variables[0].parse().map_err(|_| ApiError::not_found())
}

/// Returns what is shown of it.
pub fn view(callback: &Callback) -> Value {
    let params = callback.params.iter().map(|(name, value)| (name.clone(), value.clone().into()));
    json!({
        "sid": callback.sid.to_string(),
        "account_sid": callback.account.to_string(),
        "conference_sid": callback.conference.map(|sid| sid.to_string()),
        "call_sid": callback.call.map(|sid| sid.to_string()),
        "status": callback.state.as_str(),
        "url": callback.url,
        "method": callback.method,
        "params": Value::Object(params.collect()),
        "attempts": callback.attempts,
        "last_error": callback.last_error,
        "date_created": callback.date_created.rfc2822().to_string(),
        "uri": format!("{PATH}/{}", callback.sid),
    })
}
