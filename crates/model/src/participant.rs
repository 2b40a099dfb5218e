//! The Participant resource.
//!
//! Source: Twilio API 2010-04-01, Participant resource.

use crate::words::words;
use crate::{AccountSid, CallSid, ConferenceSid, ParticipantSid, Timestamp};

words! {
    /// How far a participant has come.
    ParticipantStatus {
        /// Accepted, not dialled yet.
        Queued = "queued",
        /// Being dialled.
        Connecting = "connecting",
        /// Its phone rings.
        Ringing = "ringing",
        /// In the conference, also while held or waiting.
        Connected = "connected",
        /// Gone.
        Complete = "complete",
        /// Could not be connected.
        Failed = "failed",
    }
}

/// A participant as it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// Its place in paging tokens.
    pub sid: ParticipantSid,
    /// Whose participant it is.
    pub account: AccountSid,
    /// Its call.
    pub call: CallSid,
    /// Its conference.
    pub conference: ConferenceSid,
    /// A second address, unique among the active participants of its conference.
    pub label: Option<String>,
    /// How far it has come.
    pub status: ParticipantStatus,
    /// Heard by nobody.
    pub muted: bool,
    /// Out of the mix, hearing its hold document.
    pub hold: bool,
    /// Heard by one participant alone.
    pub coaching: bool,
    /// That participant.
    pub call_to_coach: Option<CallSid>,
    /// Whether its coming starts the conference.
    pub start_conference_on_enter: bool,
    /// Whether its leaving ends the conference.
    pub end_conference_on_exit: bool,
    /// When it was made.
    pub date_created: Timestamp,
    /// When it last changed.
    pub date_updated: Timestamp,
}
