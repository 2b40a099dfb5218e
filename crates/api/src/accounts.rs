//! The Account resource.

use axum::http::{Method, StatusCode};
use model::{Account, AccountSid, AccountStatus, Change, Kind};
use node::{ACCOUNTS_MAX, AccountFilter, Command};
use serde_json::{Value, json};

use crate::error::{ApiError, code};
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

/// Longest name, in characters. Source: Twilio, Account resource.
const NAME_MAX: usize = 64;

/// `GET` and `POST .../Accounts.json`: the account with its sub-accounts, and one more of these.
pub async fn all(request: Request) -> Answer {
    let form = &request.form;
    if request.method == Method::POST {
        return create(&request).await;
    }
    let filter = AccountFilter {
        friendly_name: form.filled("FriendlyName").map(str::to_owned),
        status: form.parsed("Status")?,
    };
    let asked = Asked::read(form)?;
    let (size, place, login) = (asked.size, asked.place.clone(), request.login.clone());
    let page =
        request.ask(move |node| node.store().accounts(&login, &filter, size, &place)).await?;
    let path = "/2010-04-01/Accounts.json";
    let sid = |record: &Account| record.sid.to_string();
    Ok((StatusCode::OK, asked.render(&LIST, form, path, page, sid, view)?))
}

async fn create(request: &Request) -> Answer {
    let name = request.form.line("FriendlyName", 1..=NAME_MAX, code::INVALID_FRIENDLY_NAME)?;
    if !request.login.is_main() {
        let message = "A sub-account has no sub-accounts";
        return Err(ApiError::new(403, code::ACCESS_DENIED, message));
    }
    let _alone = request.node.change().await;
    if request.node.accounts().count() >= ACCOUNTS_MAX {
        let message = format!("There are {ACCOUNTS_MAX} accounts, and no more may be made");
        return Err(ApiError::new(400, code::BAD_REQUEST, &message));
    }
    let (sid, auth_token) = request.new_secret();
    let date = request.node.date();
    let account = Account {
        sid: AccountSid::new(sid),
        friendly_name: name.unwrap_or_else(|| format!("SubAccount Created at {}", date.rfc2822())),
        owner: request.login.sid,
        status: AccountStatus::Active,
        auth_token,
        date_created: date,
        date_updated: date,
    };
    request.write(Change::Account(account.clone())).await?;
    tracing::info!(account.sid = %account.sid, request.id = %request.id, "sub-account made");
    Ok((StatusCode::CREATED, view(&account)))
}

/// `GET` and `POST .../Accounts/{Sid}.json`
pub async fn one(request: Request) -> Answer {
    if request.method == Method::POST {
        return update(&request).await;
    }
    let account = request.node.accounts().get(request.account).ok_or_else(ApiError::not_found)?;
    Ok((StatusCode::OK, view(&account)))
}

/// Renames, suspends, closes or takes up again. The calls of an account that is closed end.
async fn update(request: &Request) -> Answer {
    let name = request.form.line("FriendlyName", 1..=NAME_MAX, code::INVALID_FRIENDLY_NAME)?;
    let status: Option<AccountStatus> = request.form.parsed("Status")?;
    let _alone = request.node.change().await;
    let account = request.node.accounts().get(request.account);
    let mut account = account.ok_or_else(ApiError::not_found)?;
    if let Some(status) = status.filter(|status| *status != account.status) {
        if account.sid == request.login.sid {
            return Err(ApiError::invalid("Status", "an account cannot change its own"));
        }
        if account.status == AccountStatus::Closed {
            return Err(ApiError::invalid("Status", "the account is closed and stays closed"));
        }
        account.status = status;
        tracing::info!(account.sid = %account.sid, %status, request.id = %request.id, "account updated");
    }
    account.friendly_name = name.unwrap_or(account.friendly_name);
    account.date_updated = request.node.date();
    let mut changes = vec![Change::Account(account.clone())];
    if account.status == AccountStatus::Closed {
        // Its numbers go back to the stock.
        let kind = Kind::IncomingPhoneNumber;
        let numbers = request.ask(move |node| node.store().resources_of_kind(kind)).await?;
        let its = numbers.into_iter().filter(|number| number.account == account.sid);
        changes.extend(its.map(|number| Change::DeleteResource(Box::new(number))));
    }
    request.node.write(changes).await?;
    request.node.refresh().await?;
    if account.status == AccountStatus::Closed {
        request.node.submit(Command::EndCalls { account: account.sid }).await?;
    }
    Ok((StatusCode::OK, view(&account)))
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
        "owner_account_sid": account.owner.to_string(),
        "sid": account.sid.to_string(),
        "status": account.status.as_str(),
        "subresource_uris": links,
        "type": "Full",
        "uri": format!("{base}.json"),
    })
}
