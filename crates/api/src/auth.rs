//! HTTP Basic with the account's token or an API key.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{Account, AccountSid, KeySid};
use node::Handle;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::ask;
use crate::error::ApiError;

/// Returns whose credentials came with a request; the account may be suspended.
///
/// # Errors
/// 401, the same for a user that is not known and for one whose secret is another.
pub async fn authenticate(node: &Handle, headers: &HeaderMap) -> Result<Account, ApiError> {
    let credentials = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, encoded)| STANDARD.decode(encoded.trim()).ok())
        .and_then(|octets| String::from_utf8(octets).ok());
    let unauthorized = || ApiError::unauthorized("");
    let credentials = credentials.ok_or_else(unauthorized)?;
    let (user, password) = credentials.split_once(':').ok_or_else(unauthorized)?;
    let equal = |a: &str, b: &str| bool::from(a.as_bytes().ct_eq(b.as_bytes()));
    if let Ok(sid) = user.parse::<AccountSid>() {
        let account = node.accounts().get(sid);
        return account
            .filter(|account| equal(password, &account.auth_token))
            .ok_or_else(unauthorized);
    }
    let Ok(sid) = user.parse::<KeySid>() else {
        return Err(ApiError::unauthorized("Authentication Error - invalid username"));
    };
    let digest = secret_digest(password);
    let key = ask(node, move |node| node.store().api_key(sid)).await?;
    key.filter(|key| equal(&digest, &key.secret_sha256))
        .and_then(|key| node.accounts().get(key.account))
        .ok_or_else(unauthorized)
}

/// Returns what is kept of a key's secret: lower-case hexadecimal SHA-256.
pub fn secret_digest(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|octet| format!("{octet:02x}")).collect()
}
