//! The nouns: SIDs, statuses, resource records, timestamps.
//!
//! Hides how each is written: the 34 characters of a SID, RFC 2822 dates, Twilio's status words.
//! It does not decide anything: what a call or a conference *does* is `exchange`'s.

mod account;
mod call;
mod change;
mod conference;
mod moment;
mod notification;
mod outbox;
mod participant;
mod queue;
mod recording;
mod resource;
mod sid;
mod time;
mod trunk;
mod words;

pub use account::{Account, AccountStatus, ApiKey};
pub use call::{AnsweredBy, Call, CallStatus, Direction, MachineDetection};
pub use change::Change;
pub use conference::{Conference, ConferenceStatus, EndReason};
pub use moment::{Moment, MomentEdge, MomentOf};
pub use notification::{Level, Notification};
pub use outbox::{Callback, CallbackState, Delivery};
pub use participant::{Participant, ParticipantStatus};
pub use queue::{Queue, QueueMember};
pub use recording::{Recording, RecordingSource, RecordingStatus, RecordingTrack};
pub use resource::{Kind, Resource};
pub use sid::{
    AccountSid, CallSid, CallbackSid, ConferenceSid, KeySid, NotificationSid, ParseSidError,
    ParticipantSid, QueueSid, RecordingSid, RequestSid,
};
pub use time::{Iso8601, Now, Rfc2822, Timestamp};
pub use trunk::TrunkDay;
pub use words::UnknownWord;

/// Whether the text is a number in E.164: `+` and 7 to 15 digits. Source: ITU-T E.164, section 6.
pub fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_digit())
    })
}
