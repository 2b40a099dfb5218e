//! The Call resource.
//!
//! Source: Twilio API 2010-04-01, Call resource.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::words::words;
use crate::{AccountSid, CallSid, Timestamp};

words! {
    /// How far a call has come.
    CallStatus {
        /// Accepted, not dialled yet.
        Queued = "queued",
        /// Being dialled, or offered to us and not answered yet.
        Ringing = "ringing",
        /// Answered.
        InProgress = "in-progress",
        /// Answered once, and over.
        Completed = "completed",
        /// The callee was busy.
        Busy = "busy",
        /// Could not be connected.
        Failed = "failed",
        /// Nobody answered in time.
        NoAnswer = "no-answer",
        /// Taken back before it was answered.
        Canceled = "canceled",
    }
}

impl CallStatus {
    /// Whether the call is over.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Ringing | Self::InProgress => false,
            Self::Completed | Self::Busy | Self::Failed | Self::NoAnswer | Self::Canceled => true,
        }
    }
}

words! {
    /// Who called whom.
    Direction {
        /// A phone called us.
        Inbound = "inbound",
        /// The API asked us to call.
        OutboundApi = "outbound-api",
        /// A `<Dial>` asked us to call.
        OutboundDial = "outbound-dial",
    }
}

words! {
    /// Who has answered a call, where that was to be found out. Source: Twilio "Answering Machine
    /// Detection".
    AnsweredBy {
        /// A person.
        Human = "human",
        /// A machine, which speaks.
        MachineStart = "machine_start",
        /// A machine, whose greeting has ended with a beep.
        MachineEndBeep = "machine_end_beep",
        /// A machine, whose greeting has ended with silence.
        MachineEndSilence = "machine_end_silence",
        /// A machine, which spoke until the time was over.
        MachineEndOther = "machine_end_other",
        /// A fax.
        Fax = "fax",
        /// Nobody can say.
        Unknown = "unknown",
    }
}

/// How it is found out who has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineDetection {
    /// Whether a machine is told of when it has said its greeting, and not at once: `DetectMessageEnd`.
    pub message_end: bool,
    /// How long it may take altogether.
    pub timeout: Duration,
    /// Who speaks for longer is a machine.
    pub speech_threshold: Duration,
    /// After how much silence somebody has stopped speaking.
    pub speech_end_threshold: Duration,
    /// How long it may be silent at first.
    pub silence_timeout: Duration,
}

impl MachineDetection {
    /// What `MachineDetectionTimeout` may be, in seconds.
    pub const TIMEOUT_S: RangeInclusive<u64> = 3..=59;
    /// What `MachineDetectionSpeechThreshold` may be, in milliseconds.
    pub const SPEECH_MS: RangeInclusive<u64> = 1_000..=6_000;
    /// What `MachineDetectionSpeechEndThreshold` may be, in milliseconds.
    pub const SPEECH_END_MS: RangeInclusive<u64> = 500..=5_000;
    /// What `MachineDetectionSilenceTimeout` may be, in milliseconds.
    pub const SILENCE_MS: RangeInclusive<u64> = 2_000..=10_000;
}

impl Default for MachineDetection {
    fn default() -> Self {
        Self {
            message_end: false,
            timeout: Duration::from_secs(30),
            speech_threshold: Duration::from_millis(2_400),
            speech_end_threshold: Duration::from_millis(1_200),
            silence_timeout: Duration::from_secs(5),
        }
    }
}

/// A call as it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its address.
    pub sid: CallSid,
    /// Whose call it is.
    pub account: AccountSid,
    /// The call whose TwiML dialled this one.
    pub parent: Option<CallSid>,
    /// Who is called, as asked for.
    pub to: String,
    /// Who calls.
    pub from: String,
    /// How far it has come.
    pub status: CallStatus,
    /// Who called whom.
    pub direction: Direction,
    /// When it was made.
    pub date_created: Timestamp,
    /// When it last changed.
    pub date_updated: Timestamp,
    /// When it was answered, or dialled where it never was.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// The name that the caller gave itself.
    pub caller_name: Option<String>,
    /// Who has answered, where that was found out.
    pub answered_by: Option<AnsweredBy>,
    /// Milliseconds that it waited to be dialled.
    pub queue_time_ms: u64,
}

impl Call {
    /// Returns how long the call has been, or was, answered; nothing while it goes on.
    pub fn duration_seconds(&self) -> Option<u64> {
        let end = self.end_time?;
        Some(self.answered_at.map_or(0, |answered| {
            // A started second counts, as on a bill.
            end.since(answered).as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)
        }))
    }
}
