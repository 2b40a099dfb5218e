//! The Account resource.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::{Answer, Request};

const SUBRESOURCES: [(&str, &str); 20] = [
    ("available_phone_numbers", "AvailablePhoneNumbers"),
    ("calls", "Calls"),
    ("conferences", "Conferences"),
    ("incoming_phone_numbers", "IncomingPhoneNumbers"),
    ("notifications", "Notifications"),
    ("outgoing_caller_ids", "OutgoingCallerIds"),
    ("recordings", "Recordings"),
    ("transcriptions", "Transcriptions"),
    ("addresses", "Addresses"),
    ("signing_keys", "SigningKeys"),
    ("connect_apps", "ConnectApps"),
    ("sip", "SIP"),
    ("authorized_connect_apps", "AuthorizedConnectApps"),
    ("usage", "Usage"),
    ("keys", "Keys"),
    ("applications", "Applications"),
    ("short_codes", "SMS/ShortCodes"),
    ("queues", "Queues"),
    ("messages", "Messages"),
    ("balance", "Balance"),
];

/// `GET .../Accounts/{Sid}.json`
pub fn one(request: &Request<'_>) -> Answer {
    if request.method != Method::GET {
        return Err(ApiError::method_not_allowed());
    }
    Ok((StatusCode::OK, view(request)))
}

/// `GET .../Accounts.json`
pub fn list(request: &Request<'_>) -> Answer {
    if request.method != Method::GET {
        return Err(ApiError::method_not_allowed());
    }
    let page = node::Page { records: vec![()], more: false };
    let place = crate::paging::Place::read(&request.form)?;
    let path = "/2010-04-01/Accounts.json";
    let body = place.render(
        &request.form,
        path,
        "accounts",
        &page,
        |()| String::new(),
        |()| view(request),
    );
    Ok((StatusCode::OK, body))
}

fn view(request: &Request<'_>) -> Value {
    let account = request.node.account();
    let base = format!("/2010-04-01/Accounts/{}", account.sid);
    let links: serde_json::Map<String, Value> = SUBRESOURCES
        .iter()
        .map(|(name, path)| ((*name).to_owned(), format!("{base}/{path}.json").into()))
        .collect();
    json!({
        "auth_token": account.auth_token,
        "date_created": account.date_created.rfc2822().to_string(),
        "date_updated": account.date_updated.rfc2822().to_string(),
        "friendly_name": account.friendly_name,
        "owner_account_sid": account.sid.to_string(),
        "sid": account.sid.to_string(),
        "status": "active",
        "subresource_uris": links,
        "type": "Full",
        "uri": format!("{base}.json"),
    })
}
