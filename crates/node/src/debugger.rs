//! The debugger log's entries about requests to customers, which `exchange` does not see.

use model::{
    AccountSid, CallSid, Change, ConferenceSid, Level, Notification, NotificationSid, Timestamp,
};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use store::Store;

/// The way into the log.
#[derive(Debug, Clone)]
pub struct Debugger {
    store: Store,
}

/// What an entry is about.
#[derive(Debug, Clone)]
pub struct About {
    pub account: AccountSid,
    pub call: Option<CallSid>,
    pub conference: Option<ConferenceSid>,
    pub url: String,
}

impl Debugger {
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Appends an entry. One that the store does not take is lost, and said so in the server's own
    /// log: it is no reason to hold up a call.
    pub fn note(&self, about: About, level: Level, code: u32, message: String, date: Timestamp) {
        let mut random = [0; 16];
        ChaCha12Rng::from_os_rng().fill_bytes(&mut random);
        let notification = Notification {
            sid: NotificationSid::new(random),
            account: about.account,
            call: about.call,
            conference: about.conference,
            level,
            code,
            message,
            request_url: Some(about.url),
            date,
        };
        if self.store.apply(vec![Change::Notification(Box::new(notification))]).is_err() {
            tracing::warn!(code, "an entry of the debugger log was lost");
        }
    }
}
