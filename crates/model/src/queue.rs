//! The Queue resource and its members.
//!
//! Source: Twilio API 2010-04-01, Queue and Member resources.

use crate::{AccountSid, CallSid, QueueSid, Timestamp};

/// A queue as it is kept; how many wait is told by its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its address.
    pub sid: QueueSid,
    /// Whose queue it is.
    pub account: AccountSid,
    /// Its name, of which an account has one.
    pub friendly_name: String,
    /// How many may wait.
    pub max_size: u32,
    /// When it was made.
    pub date_created: Timestamp,
    /// When it last changed.
    pub date_updated: Timestamp,
}

/// A call that waits in a queue; those who came before it are before it in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueMember {
    /// Which call.
    pub call: CallSid,
    /// In which queue.
    pub queue: QueueSid,
    /// Since when.
    pub date_enqueued: Timestamp,
}
