//! Entries of the debugger log.
//!
//! Source: Twilio API 2010-04-01, Notification resource; Twilio "Error and Warning Dictionary".

use crate::words::words;
use crate::{AccountSid, CallSid, ConferenceSid, NotificationSid, Timestamp};

words! {
    /// How bad it is.
    Level {
        /// Something was not done.
        Error = "error",
        /// Something was done otherwise than written.
        Warning = "warning",
    }
}

/// One entry: what went wrong with a customer's document or receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Its address.
    pub sid: NotificationSid,
    /// Whose log it is in.
    pub account: AccountSid,
    /// The call it befell.
    pub call: Option<CallSid>,
    /// The conference it befell.
    pub conference: Option<ConferenceSid>,
    /// How bad it is.
    pub level: Level,
    /// Twilio's code.
    pub code: u32,
    /// What happened, in a sentence.
    pub message: String,
    /// The address that was asked.
    pub request_url: Option<String>,
    /// When.
    pub date: Timestamp,
}
