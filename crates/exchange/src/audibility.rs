//! Why one participant does not hear another, in the words of the room's own state.

use std::cmp::Reverse;

use model::{AccountSid, CallSid, ConferenceSid, ParticipantStatus, Timestamp};

use crate::Exchange;
use crate::conference::Conference;
use crate::participants::Participant;

/// Why a listener does not hear a speaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Silence {
    /// One of them is not in the conference yet: its phone is being dialled.
    NotConnected,
    /// The conference has not started.
    NotStarted,
    /// The speaker is muted.
    Muted,
    /// One of them is on hold.
    Held,
    /// The speaker coaches, and somebody else.
    Coaching,
    /// One of them hears few alone, or is heard by few alone, and the other is not among these.
    Sidebar,
}

impl Silence {
    /// Returns the word for the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotConnected => "not_connected",
            Self::NotStarted => "not_started",
            Self::Muted => "muted",
            Self::Held => "held",
            Self::Coaching => "coaching",
            Self::Sidebar => "sidebar",
        }
    }
}

/// One ordered pair of participants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hearing {
    /// Who hears.
    pub listener: CallSid,
    /// Who is heard.
    pub speaker: CallSid,
    /// Why not; empty where the speaker is to be heard.
    pub reasons: Vec<Silence>,
}

/// A conference that is not completed, and who is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathering {
    /// Which conference.
    pub conference: ConferenceSid,
    /// When it was made.
    pub created: Timestamp,
    /// Those who take part, or are being dialled.
    pub calls: Vec<CallSid>,
}

impl Exchange {
    /// Returns the conferences of an account that are not completed, `max` at most, the latest first; and how many
    /// are left out.
    pub fn gatherings(&self, account: AccountSid, max: usize) -> (Vec<Gathering>, usize) {
        let all = self.world.conferences.values();
        let mut own: Vec<_> = all.filter(|one| one.record.account == account).collect();
        own.sort_by_key(|one| Reverse((one.record.date_created, one.record.sid)));
        let left_out = own.len().saturating_sub(max);
        let gathering = |one: &Conference| Gathering {
            conference: one.record.sid,
            created: one.record.date_created,
            calls: one.members.keys().copied().collect(),
        };
        (own.into_iter().take(max).map(gathering).collect(), left_out)
    }

    /// Says for every ordered pair of a conference who is to hear whom, and why not.
    pub fn hearing(&self, conference: ConferenceSid) -> Vec<Hearing> {
        let Some(conference) = self.world.conferences.get(&conference) else { return Vec::new() };
        let started = conference.is_started();
        let members = || conference.members.values();
        let pairs =
            members().flat_map(|listener| members().map(move |speaker| (listener, speaker)));
        pairs
            .filter(|(listener, speaker)| listener.record.call != speaker.record.call)
            .map(|(listener, speaker)| Hearing {
                listener: listener.record.call,
                speaker: speaker.record.call,
                reasons: reasons(started, listener, speaker),
            })
            .collect()
    }
}

fn reasons(started: bool, listener: &Participant, speaker: &Participant) -> Vec<Silence> {
    let early = speaker.early_media && speaker.record.status == ParticipantStatus::Ringing;
    let present = listener.is_connected() && (speaker.is_connected() || early);
    let coaches_another =
        speaker.record.coaching && speaker.record.call_to_coach != Some(listener.record.call);
    [
        (!present, Silence::NotConnected),
        (!started, Silence::NotStarted),
        (speaker.record.muted, Silence::Muted),
        (speaker.record.hold || listener.record.hold, Silence::Held),
        (coaches_another, Silence::Coaching),
        (speaker.is_kept_from(listener), Silence::Sidebar),
    ]
    .into_iter()
    .filter_map(|(holds, reason)| holds.then_some(reason))
    .collect()
}
