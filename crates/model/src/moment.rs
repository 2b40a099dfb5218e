//! The history of a conference, event by event.

use crate::{AccountSid, CallSid, CallbackSid, ConferenceSid, Timestamp};

/// Something that befell a conference or one who took part in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Whose conference.
    pub account: AccountSid,
    /// Which conference.
    pub conference: ConferenceSid,
    /// When.
    pub date: Timestamp,
    /// The name that a status callback gives it: `participant-mute`, ...; ours where none tells of it.
    pub event: String,
    /// Whom it befell, and how that one takes part since; none: the conference as a whole.
    pub about: Option<MomentOf>,
    /// Why, for those events that have a reason.
    pub reason: Option<String>,
    /// The callback that tells of it, if any does.
    pub callback: Option<CallbackSid>,
    /// What was set, where its event is one of those that no callback tells of.
    pub edge: Option<MomentEdge>,
}

/// How the others hear one since a [`Moment`], or whom it hears. Twilio has nothing like it, and no callback tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MomentEdge {
    /// How loud, in hundredths of a decibel; 0 is unchanged.
    Gain(i16),
    /// Whether its voice is brought towards a common level.
    Levelling(bool),
    /// Whether steady noise is taken out of what it says.
    NoiseSuppression(bool),
    /// Among whom.
    Sidebar {
        /// Whom alone it hears; none: everyone.
        hears_only: Option<Vec<CallSid>>,
        /// Who alone hears it; none: everyone.
        heard_only_by: Option<Vec<CallSid>>,
    },
}

/// How one takes part at a [`Moment`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MomentOf {
    /// The call.
    pub call: CallSid,
    /// Its label.
    pub label: Option<String>,
    /// Whether nobody hears it.
    pub muted: bool,
    /// Whether it is apart from the room.
    pub hold: bool,
    /// Whom it is heard by alone.
    pub coaches: Option<CallSid>,
}
