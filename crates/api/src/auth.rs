//! HTTP Basic with the account's token or an API key.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::AccountSid;
use node::Handle;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::ApiError;

/// Returns whose request this is.
pub fn authenticate(node: &Handle, headers: &HeaderMap) -> Result<AccountSid, ApiError> {
    let credentials = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, encoded)| STANDARD.decode(encoded.trim()).ok())
        .and_then(|octets| String::from_utf8(octets).ok());
    let credentials = credentials.ok_or_else(ApiError::unauthorized)?;
    let (user, password) = credentials.split_once(':').ok_or_else(ApiError::unauthorized)?;
    let account = node.account();
    let equal = |a: &str, b: &str| bool::from(a.as_bytes().ct_eq(b.as_bytes()));
    if user == account.sid.to_string() {
        return if equal(password, &account.auth_token) {
            Ok(account.sid)
        } else {
            Err(ApiError::unauthorized())
        };
    }
    let key = user.parse().ok().map(|sid| node.store().api_key(sid)).transpose()?.flatten();
    let digest: String =
        Sha256::digest(password.as_bytes()).iter().map(|octet| format!("{octet:02x}")).collect();
    key.filter(|key| equal(&digest, &key.secret_sha256))
        .map(|key| key.account)
        .ok_or_else(ApiError::unauthorized)
}
