//! The OutgoingCallerId resource: numbers of others that calls may show.
//!
//! Source: Twilio API 2010-04-01, OutgoingCallerId resource.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use model::Kind;
use node::{Command, CreateCall, Dialling, Instructions, Reply, StatusCallback};
use serde_json::{Value, json};

use crate::error::{ApiError, code};
use crate::numbers::written;
use crate::paging::{List, ordered};
use crate::resource::{self, Absent, Parameter as P, Table};
use crate::rule::Rule;
use crate::{Answer, Request};

#[rustfmt::skip]
const MEMBERS: &[&str] =
    &["account_sid", "date_created", "date_updated", "friendly_name", "phone_number", "sid", "uri"];
/// The order in the answer to a fetch.
const FETCHED: &[&str] =
    &["sid", "account_sid", "friendly_name", "phone_number", "date_created", "date_updated", "uri"];

#[rustfmt::skip]
pub static TABLE: Table = Table {
    kind: Kind::OutgoingCallerId,
    prefix: "PN",
    path: "OutgoingCallerIds",
    part_of: None,
    maps: None,
    known_by: "phone_number",
    parameters: &[
        P("FriendlyName", "friendly_name", Rule::Line(1..=64, code::INVALID_FRIENDLY_NAME), Absent::Null),
    ],
    list: List {
        name: "outgoing_caller_ids",
        envelope: [
            "end", "first_page_uri", "next_page_uri", "outgoing_caller_ids", "page", "page_size", "previous_page_uri",
            "start", "uri",
        ],
    },
    filters: &[("PhoneNumber", "phone_number"), ("FriendlyName", "friendly_name")],
    members: MEMBERS,
    listed: MEMBERS,
    links: &[],
    check: |_, caller_id| {
        if caller_id.text("friendly_name").is_none() {
            let name = written(caller_id.text("phone_number").unwrap_or_default());
            caller_id.fields.insert("friendly_name".to_owned(), name.into());
        }
        Ok(())
    },
};

/// `GET` and `POST .../OutgoingCallerIds.json`: the number is called and told the code; who can be called there
/// may show it from then on.
pub async fn all(request: Request) -> Answer {
    if request.method == Method::GET {
        return resource::all(&TABLE, request).await;
    }
    let form = &request.form;
    let given = form.filled("PhoneNumber");
    let given = given.ok_or_else(|| ApiError::missing("PhoneNumber", code::INVALID_NUMBER))?;
    let number = node::e164(given).filter(|_| given.starts_with('+')).ok_or_else(|| {
        ApiError::coded(code::INVALID_NUMBER, "PhoneNumber", &format!("{given:?} is not in E.164"))
    })?;
    form.number("CallDelay", 0..=60, code::BAD_REQUEST)?;
    if let Some(extension) = form.line("Extension", 1..=32, code::BAD_REQUEST)?
        && !extension.chars().all(|key| key.is_ascii_digit() || "#*w".contains(key))
    {
        return Err(ApiError::invalid("Extension", "it has other keys than 0-9 # * w"));
    }
    let status_callback = StatusCallback {
        url: form.url("StatusCallback")?,
        method: form.method("StatusCallbackMethod", "POST")?,
        events: Vec::new(),
    };
    let _alone = request.node.change().await;
    let mut caller_id = TABLE.new_one(&request, "")?;
    caller_id.fields.insert("phone_number".to_owned(), number.clone().into());
    let (shelf, filter) = (
        TABLE.shelf(&request, ""),
        node::ResourceFilter {
            fields: vec![("phone_number", number.clone())],
            ..node::ResourceFilter::default()
        },
    );
    let place = node::Place::Skip(0);
    let known = request.ask(move |node| node.store().resources(&shelf, &filter, 1, &place)).await?;
    if known.is_some_and(|page| !page.records.is_empty()) {
        return Err(ApiError::new(400, code::ALREADY_VALIDATED, "The number is validated already"));
    }
    let code = code_of(&request.secret);
    let spoken: Vec<String> = code.chars().map(String::from).collect();
    let said = format!("<Say loop=\"3\">Your code is {}.</Say>", spoken.join(", "));
    let dialling = Dialling {
        to: number.clone(),
        from: number.clone(),
        timeout: Some(Duration::from_secs(30)),
        status_callback,
        ..Dialling::default()
    };
    let create = CreateCall {
        account: request.account,
        dialling,
        instructions: Instructions::Twiml(format!("<Response>{said}</Response>")),
        send_digits: form.filled("Extension").map(str::to_owned),
    };
    let reply = request.node.submit(Command::CreateCall(Box::new(create))).await?;
    let Reply::Call(call) = reply else { return Err(ApiError::not_found()) };
    let caller_id = TABLE.make_quietly(&request, caller_id).await?;
    let body = json!({
        "account_sid": request.account.to_string(),
        "call_sid": call.sid.to_string(),
        "friendly_name": caller_id.text("friendly_name"),
        "phone_number": number,
        "validation_code": code,
    });
    Ok((StatusCode::OK, body))
}

/// Draws six digits.
fn code_of(secret: &[u8; 32]) -> String {
    secret.iter().take(6).map(|octet| char::from(b'0' + octet % 10)).collect()
}

/// `GET`, `POST` and `DELETE .../OutgoingCallerIds/{Sid}.json`
pub async fn one(request: Request) -> Answer {
    let fetches = request.method == Method::GET;
    let (status, view) = resource::one(&TABLE, request).await?;
    let view = match view {
        Value::Object(_) if fetches => ordered(view, FETCHED),
        other => other,
    };
    Ok((status, view))
}
