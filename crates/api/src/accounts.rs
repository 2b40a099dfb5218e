//! The Account resource.

use axum::http::StatusCode;
use model::Account;
use node::{Page, Place};
use serde_json::{Value, json};

use crate::paging::{Asked, List};
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

const LIST: List = List {
    name: "accounts",
    envelope: [
        "first_page_uri",
        "end",
        "previous_page_uri",
        "accounts",
        "uri",
        "page_size",
        "start",
        "next_page_uri",
        "page",
    ],
};

/// `GET .../Accounts/{Sid}.json`
pub fn one(request: &Request) -> (StatusCode, Value) {
    (StatusCode::OK, view(request.node.account()))
}

/// `GET .../Accounts.json`: the one account that there is, if the filters let it through.
pub fn list(request: &Request) -> Answer {
    let (form, account) = (&request.form, request.node.account());
    let status = form.word("Status", &["active", "suspended", "closed"])?;
    let name = form.filled("FriendlyName");
    let asked = Asked::read(form)?;
    let wanted = status.is_none_or(|status| status == "active")
        && name.is_none_or(|name| name == account.friendly_name)
        && asked.place == Place::Skip(0);
    let records = if wanted { vec![account.clone()] } else { Vec::new() };
    // No page of so short a list has a token.
    let page = matches!(asked.place, Place::Skip(_)).then_some(Page { records, more: false });
    let path = "/2010-04-01/Accounts.json";
    let sid = |record: &Account| record.sid.to_string();
    Ok((StatusCode::OK, asked.render(&LIST, form, path, page, sid, view)?))
}

fn view(account: &Account) -> Value {
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
