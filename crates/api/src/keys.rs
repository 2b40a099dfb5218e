//! The Key resource: revocable pairs of SID and secret.

use axum::http::{Method, StatusCode};
use model::{ApiKey, Change, KeySid};
use serde_json::{Value, json};

use crate::auth::secret_digest;
use crate::error::{ApiError, code};
use crate::paging::{Asked, List};
use crate::{Answer, Request};

const LIST: List = List {
    name: "keys",
    envelope: [
        "keys",
        "first_page_uri",
        "end",
        "previous_page_uri",
        "uri",
        "page_size",
        "start",
        "next_page_uri",
        "page",
    ],
};
const SIGNING: List = List {
    name: "signing_keys",
    envelope: [
        "signing_keys",
        "first_page_uri",
        "end",
        "previous_page_uri",
        "uri",
        "page_size",
        "start",
        "next_page_uri",
        "page",
    ],
};
/// Longest name of a key, in characters. Source: Twilio, Key resource.
const NAME_MAX: usize = 64;

/// `GET` and `POST .../Keys.json`, and of `SigningKeys`, which are the same; only the answer to the latter has the secret.
pub async fn all(request: Request, signing: bool) -> Answer {
    let (form, account) = (&request.form, request.account);
    if request.method == Method::GET {
        let asked = Asked::read(form)?;
        let (size, place) = (asked.size, asked.place.clone());
        let page = request.ask(move |node| node.store().api_keys(account, size, &place)).await?;
        let (list, name) = if signing { (&SIGNING, "SigningKeys") } else { (&LIST, "Keys") };
        let path = format!("/2010-04-01/Accounts/{account}/{name}.json");
        let sid = |key: &ApiKey| key.sid.to_string();
        return Ok((StatusCode::OK, asked.render(list, form, &path, page, sid, view)?));
    }
    let friendly_name = form.line("FriendlyName", 1..=NAME_MAX, code::INVALID_FRIENDLY_NAME)?;
    let (sid, secret) = request.new_secret();
    let date = request.node.date();
    let key = ApiKey {
        sid: KeySid::new(sid),
        account,
        friendly_name: friendly_name.unwrap_or_default(),
        secret_sha256: secret_digest(&secret),
        date_created: date,
        date_updated: date,
    };
    request.write(Change::ApiKey(key.clone())).await?;
    tracing::info!(key.sid = %key.sid, request.id = %request.id, "API key made");
    let mut body = view(&key);
    body["secret"] = secret.into();
    Ok((StatusCode::CREATED, body))
}

/// `GET`, `POST` and `DELETE .../Keys/{Sid}.json`, and of `SigningKeys`
pub async fn one(request: Request) -> Answer {
    let sid: KeySid = request.variables[0].parse().map_err(|_| ApiError::not_found())?;
    let key = request.ask(move |node| node.store().api_key(sid)).await?;
    let key = key.filter(|key| key.account == request.account);
    let mut key = key.ok_or_else(ApiError::not_found)?;
    match request.method {
        Method::POST => {
            let name =
                request.form.line("FriendlyName", 1..=NAME_MAX, code::INVALID_FRIENDLY_NAME)?;
            if let Some(name) = name {
                key.friendly_name = name;
                key.date_updated = request.node.date();
                request.write(Change::ApiKey(key.clone())).await?;
            }
        }
        Method::DELETE => {
            request.write(Change::DeleteApiKey(sid)).await?;
            tracing::info!(key.sid = %sid, request.id = %request.id, "API key removed");
            return Ok((StatusCode::NO_CONTENT, Value::Null));
        }
        _ => {}
    }
    Ok((StatusCode::OK, view(&key)))
}

fn view(key: &ApiKey) -> Value {
    json!({
        "sid": key.sid.to_string(),
        "friendly_name": key.friendly_name,
        "date_created": key.date_created.rfc2822().to_string(),
        "date_updated": key.date_updated.rfc2822().to_string(),
    })
}
