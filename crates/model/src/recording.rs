//! The Recording resource.
//!
//! Source: Twilio API 2010-04-01, Recording, Call Recording and Conference Recording resources.

use std::time::Duration;

use crate::words::words;
use crate::{AccountSid, CallSid, ConferenceSid, RecordingSid, Timestamp};

words! {
    /// How far a recording has come.
    RecordingStatus {
        /// It is being written.
        InProgress = "in-progress",
        /// Halted until it is resumed.
        Paused = "paused",
        /// Stopped by the API; its file is being closed.
        Stopped = "stopped",
        /// Over; its file is being closed.
        Processing = "processing",
        /// Its file is whole.
        Completed = "completed",
        /// Nothing was to be heard: there is no file.
        Absent = "absent",
        /// It broke off: the file holds what came before.
        Failed = "failed",
        /// Deleted; its file is gone.
        Deleted = "deleted",
    }
}

impl RecordingStatus {
    /// Whether the recording is over and its file closed.
    pub const fn is_final(self) -> bool {
        match self {
            Self::InProgress | Self::Paused | Self::Stopped | Self::Processing => false,
            Self::Completed | Self::Absent | Self::Failed | Self::Deleted => true,
        }
    }
}

words! {
    /// What asked for a recording.
    RecordingSource {
        /// `record` of a `<Dial>`.
        DialVerb = "DialVerb",
        /// `record` of a `<Conference>`, or `ConferenceRecord`.
        Conference = "Conference",
        /// `Record` of a call or participant that the API makes.
        OutboundApi = "OutboundAPI",
        /// `<Record>`.
        RecordVerb = "RecordVerb",
        /// A POST to a call's recordings, or `<Start><Recording>`.
        StartCallRecordingApi = "StartCallRecordingAPI",
    }
}

words! {
    /// Which of a call's two directions is recorded.
    RecordingTrack {
        /// What the far end says.
        Inbound = "inbound",
        /// What it hears.
        Outbound = "outbound",
        /// Both.
        Both = "both",
    }
}

/// A recording as it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// Its address.
    pub sid: RecordingSid,
    /// Whose recording it is.
    pub account: AccountSid,
    /// The call that is recorded; of a conference, the first that came.
    pub call: CallSid,
    /// The conference that is recorded; none: a call alone.
    pub conference: Option<ConferenceSid>,
    /// One or two, or as many as there are tracks.
    pub channels: u8,
    /// Whose each channel is, where each participant has one of its own; none: a mix.
    pub tracks: Option<Vec<CallSid>>,
    /// What asked for it.
    pub source: RecordingSource,
    /// Which direction of a call.
    pub track: RecordingTrack,
    /// How far it has come.
    pub status: RecordingStatus,
    /// When it was asked for.
    pub date_created: Timestamp,
    /// When it last changed.
    pub date_updated: Timestamp,
    /// When it began.
    pub start_time: Timestamp,
    /// How long it is; none while it goes on.
    pub duration: Option<Duration>,
    /// Twilio's code for why it is absent or failed.
    pub error_code: Option<u32>,
}

impl Recording {
    /// Returns how long it is in seconds, to the nearest; nothing while it goes on.
    pub fn duration_seconds(&self) -> Option<u64> {
        self.duration.map(|length| (length + Duration::from_millis(500)).as_secs())
    }
}
