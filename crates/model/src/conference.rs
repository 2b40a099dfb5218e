//! The Conference resource.
//!
//! Source: Twilio API 2010-04-01, Conference resource.

use crate::words::words;
use crate::{AccountSid, CallSid, ConferenceSid, Timestamp};

words! {
    /// How far a conference has come.
    ConferenceStatus {
        /// Its first participants wait for the start.
        Init = "init",
        /// Started, and not ended.
        InProgress = "in-progress",
        /// Over.
        Completed = "completed",
    }
}

words! {
    /// Why a conference ended.
    EndReason {
        /// `Status=completed` by the API.
        ViaApi = "conference-ended-via-api",
        /// Someone with `EndConferenceOnExit` hung up.
        EndOnExitLeft = "participant-with-end-conference-on-exit-left",
        /// Someone with `EndConferenceOnExit` was removed.
        EndOnExitKicked = "participant-with-end-conference-on-exit-kicked",
        /// The last participant was removed.
        LastKicked = "last-participant-kicked",
        /// The last participant hung up.
        LastLeft = "last-participant-left",
    }
}

/// A conference as it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conference {
    /// Its address.
    pub sid: ConferenceSid,
    /// Whose conference it is.
    pub account: AccountSid,
    /// Its name; at most one conference of a name is not completed.
    pub friendly_name: String,
    /// How far it has come.
    pub status: ConferenceStatus,
    /// Where it is mixed, as asked for.
    pub region: String,
    /// When it was made.
    pub date_created: Timestamp,
    /// When it last changed.
    pub date_updated: Timestamp,
    /// Why it ended.
    pub end_reason: Option<EndReason>,
    /// Whose leaving ended it.
    pub call_ending: Option<CallSid>,
}
