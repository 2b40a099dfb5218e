//! The outbox: callbacks that are owed, each written with the row that it tells of.

use std::sync::Arc;

use crate::words::words;
use crate::{AccountSid, CallSid, CallbackSid, ConferenceSid, Timestamp};

words! {
    /// What became of a callback.
    CallbackState {
        /// Owed, or being tried.
        Pending = "pending",
        /// Answered, by whatever status.
        Delivered = "delivered",
        /// Given up; it can be replayed.
        Failed = "failed",
    }
}

words! {
    /// When a callback is given up.
    Delivery {
        /// Twilio's rules: any HTTP answer ends it.
        Twilio = "twilio",
        /// Tried with growing pauses for 24 h, in order for each conference.
        UntilDelivered = "until-delivered",
    }
}

/// One callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// Its address; also what makes its idempotency token.
    pub sid: CallbackSid,
    /// Whose token signs it.
    pub account: AccountSid,
    /// The conference in whose order it goes out.
    pub conference: Option<ConferenceSid>,
    /// The call it tells of.
    pub call: Option<CallSid>,
    /// Where to, as configured, with its fragment.
    pub url: String,
    /// The HTTP method, in upper case.
    pub method: String,
    /// The form fields, in order; each step to its receiver shares them.
    pub params: Arc<[(String, String)]>,
    /// When it was owed.
    pub date_created: Timestamp,
    /// What became of it.
    pub state: CallbackState,
    /// How often it was tried.
    pub attempts: u32,
    /// The last answer's status or error, for people.
    pub last_error: Option<String>,
}
