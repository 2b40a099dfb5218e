//! Every account, in memory: each request to the API and each signature asks for one.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use model::{Account, AccountSid};

/// Most accounts of a server: the main one and its sub-accounts. Source: Twilio, Account resource,
/// for the latter.
pub const ACCOUNTS_MAX: usize = 1_000;

/// The accounts as they were last committed. Cloning gives another handle on the same.
#[derive(Debug, Clone)]
pub struct Accounts(Arc<RwLock<BTreeMap<AccountSid, Account>>>);

impl Accounts {
    /// Takes what the store has.
    pub fn new(accounts: Vec<Account>) -> Self {
        let by_sid = accounts.into_iter().map(|account| (account.sid, account));
        Self(Arc::new(RwLock::new(by_sid.collect())))
    }

    /// Returns an account.
    pub fn get(&self, sid: AccountSid) -> Option<Account> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&sid).cloned()
    }

    /// Returns all of them.
    pub fn all(&self) -> Vec<Account> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Returns the key of an account's signatures.
    pub fn token(&self, sid: AccountSid) -> String {
        self.get(sid).map(|account| account.auth_token).unwrap_or_default()
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Takes an account as it is committed now.
    pub fn put(&self, account: Account) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(account.sid, account);
    }
}
