//! Accounts and their API keys.

use crate::{AccountSid, KeySid, Timestamp};

/// An account: whose calls and conferences these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its address.
    pub sid: AccountSid,
    /// A name for people.
    pub friendly_name: String,
    /// The primary token: the password of the API and the key of every signature.
    pub auth_token: String,
    /// When it was made.
    pub date_created: Timestamp,
    /// When it was last changed.
    pub date_updated: Timestamp,
}

/// A second way to authenticate: a revocable pair of SID and secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The user name of the pair.
    pub sid: KeySid,
    /// Whose key it is.
    pub account: AccountSid,
    /// A name for people.
    pub friendly_name: String,
    /// Lower-case hexadecimal SHA-256 of the secret; the secret itself is shown once and not kept.
    pub secret_sha256: String,
    /// When it was made.
    pub date_created: Timestamp,
    /// When it was last changed.
    pub date_updated: Timestamp,
}
