//! Accounts and their API keys.

use crate::words::words;
use crate::{AccountSid, KeySid, Timestamp};

words! {
    /// Whether an account may be used.
    AccountStatus {
        /// It may.
        Active = "active",
        /// It may not until it is active again.
        Suspended = "suspended",
        /// It may not, ever again.
        Closed = "closed",
    }
}

/// An account: whose calls and conferences these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its address.
    pub sid: AccountSid,
    /// A name for people.
    pub friendly_name: String,
    /// The account that it is a part of; its own SID where it is no sub-account.
    pub owner: AccountSid,
    /// Whether it may be used.
    pub status: AccountStatus,
    /// The primary token: the password of the API and the key of every signature.
    pub auth_token: String,
    /// When it was made.
    pub date_created: Timestamp,
    /// When it was last changed.
    pub date_updated: Timestamp,
}

impl Account {
    /// Whether it is the server's own account, and not a part of another.
    pub fn is_main(&self) -> bool {
        self.owner == self.sid
    }

    /// Whether it may be used.
    pub fn is_active(&self) -> bool {
        self.status == AccountStatus::Active
    }
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
