//! Participants: how they come and go, and mute, hold and coach: who is heard by whom.
//!
//! Source: Twilio API 2010-04-01, Participant resource.

use std::mem;
use std::time::Instant;

use model::{
    AccountSid, CallSid, CallStatus, Change, ConferenceSid, EndReason, Participant as Record,
    ParticipantStatus,
};

use crate::callbacks::{self, ParticipantEvent};
use crate::conference::{Announcements, Conference};
use crate::context::Context;
use crate::dial::ANSWERED;
use crate::exchange::{Touched, World};
use crate::program::Program;
use crate::{
    Beep, Document, Edges, Effect, ParticipantChanges, ParticipantKey, Refusal, Reply, Route, Sound,
};

/// The music of who waits or is held where nothing else was asked for. Source: Twilio, `waitUrl`.
pub const DEFAULT_MUSIC_URL: &str = "https://s3.amazonaws.com/com.twilio.sounds.music/index.xml";

/// Why a participant left, in the callback's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaveReason {
    HungUp,
    Kicked,
    /// Its call was redirected or completed by the API.
    CallUpdated,
    ConferenceEndedViaApi,
    ModeratorEnded,
    AddFailed,
}

impl LeaveReason {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::HungUp => "participant_hung_up",
            Self::Kicked | Self::CallUpdated => "participant_updated_via_api",
            Self::ConferenceEndedViaApi => "conference_ended_via_api",
            Self::ModeratorEnded => "moderator_ended_conference",
            Self::AddFailed => "participant_add_failed",
        }
    }
}

/// What a participant hears in place of the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Music {
    Wait,
    Hold,
}

/// One participant.
#[derive(Debug)]
pub(crate) struct Participant {
    pub(crate) record: Record,
    pub(crate) arrival: u64,
    pub(crate) beep: Beep,
    pub(crate) wait: Document,
    pub(crate) hold: Document,
    pub(crate) music: Option<(Music, Program)>,
    pub(crate) announcements: Announcements,
    /// Whether it is to be heard before it has answered.
    pub(crate) early_media: bool,
    /// Whether its phone sends sound before it has answered.
    pub(crate) sounds_early: bool,
    /// Whether its receiver was told that it speaks.
    pub(crate) speaking: bool,
    pub(crate) jitter_buffer_size: Option<String>,
    /// How it is heard and hears beside what its flags say.
    pub(crate) edges: Edges,
    /// How it was last wired.
    pub(crate) route: Option<Route>,
}

impl Participant {
    pub(crate) fn is_connected(&self) -> bool {
        self.record.status == ParticipantStatus::Connected
    }

    /// When one of its programs has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let music = self.music.as_ref().and_then(|(_, program)| program.deadline());
        music.into_iter().chain(self.announcements.deadline()).min()
    }

    /// Whom it coaches, and itself.
    pub(crate) fn edge(&self) -> Option<(CallSid, CallSid)> {
        self.record.call_to_coach.map(|coached| (coached, self.record.call))
    }

    pub(crate) fn music_wanted(&self, started: bool) -> Option<Music> {
        if !self.is_connected() {
            None
        } else if self.record.hold {
            Some(Music::Hold)
        } else if started {
            None
        } else {
            Some(Music::Wait)
        }
    }
}

pub(crate) fn default_music() -> Document {
    Document { url: DEFAULT_MUSIC_URL.to_owned(), method: "GET".to_owned() }
}

impl World {
    pub(crate) fn participant_mut(
        &mut self,
        call: CallSid,
    ) -> Option<(ConferenceSid, &mut Participant)> {
        let sid = self.calls.get(&call)?.joined.as_ref()?.0;
        let participant = self.conferences.get_mut(&sid)?.members.get_mut(&call)?;
        Some((sid, participant))
    }

    pub(crate) fn find_participant(
        &self,
        account: AccountSid,
        sid: ConferenceSid,
        key: &ParticipantKey,
    ) -> Result<CallSid, Refusal> {
        let conference = self
            .conferences
            .get(&sid)
            .filter(|conference| conference.record.account == account)
            .ok_or(Refusal::ConferenceNotFound)?;
        conference.call_of(key).ok_or(Refusal::ParticipantNotFound)
    }

    /// `POST .../Participants/{CallSid or label}.json`: checked whole, then done at one instant;
    /// callbacks go out in the order mute, hold, modify.
    pub(crate) fn update_participant(
        &mut self,
        account: AccountSid,
        sid: ConferenceSid,
        key: &ParticipantKey,
        changes: ParticipantChanges,
        ctx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        let call = self.find_participant(account, sid, key)?;
        let conference = self.conferences.get(&sid).expect("just found");
        let coaching = check_coaching(conference, call, &changes)?;
        if changes.announce.is_some() {
            conference.members[&call].announcements.check_room()?;
        }
        let conference = self.conferences.get_mut(&sid).expect("just found");
        let mut participant = conference.members.remove(&call).expect("just found");
        let edge = participant.edge();
        let (events, changed) = apply(&mut participant, &changes, coaching, ctx);
        if !events.is_empty() {
            participant.record.date_updated = ctx.now.wall;
        }
        if edge != participant.edge() {
            edge.map(|edge| conference.coaches.remove(&edge));
            conference.coaches.extend(participant.edge());
        }
        for event in events {
            callbacks::participant_event(conference, &participant, event, ctx);
        }
        let record = participant.record.clone();
        conference.members.insert(call, participant);
        if changed {
            self.touch_participant(call);
        }
        self.settle_around(sid, call, ctx);
        Ok(Reply::Participant(Box::new(record)))
    }

    /// `DELETE .../Participants/{CallSid or label}.json`
    pub(crate) fn remove_participant(
        &mut self,
        account: AccountSid,
        sid: ConferenceSid,
        key: &ParticipantKey,
        ctx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        let call = self.find_participant(account, sid, key)?;
        self.leave(call, LeaveReason::Kicked, ctx);
        self.after_conference(call, ANSWERED, ctx);
        Ok(Reply::Done)
    }

    /// Takes a call out of its conference. What follows for the call is the caller's business.
    pub(crate) fn leave(&mut self, call: CallSid, reason: LeaveReason, ctx: &mut Context<'_>) {
        let Some(sid) = self.calls.get(&call).and_then(|call| call.joined.as_ref()).map(|j| j.0)
        else {
            return;
        };
        let Some(conference) = self.conferences.get_mut(&sid) else { return };
        let Some(mut participant) = conference.members.remove(&call) else { return };
        if let Some(label) = &participant.record.label {
            conference.labels.remove(label);
        }
        if let Some(edge) = participant.edge() {
            conference.coaches.remove(&edge);
        }
        let was_connected = participant.is_connected();
        if let Some((_, mut program)) = participant.music.take() {
            program.stop(ctx);
        }
        participant.announcements.stop(ctx);
        participant.record.status =
            if was_connected { ParticipantStatus::Complete } else { ParticipantStatus::Failed };
        participant.record.date_updated = ctx.now.wall;
        Self::unroute(call, ctx);
        let entry = self.calls.get_mut(&call).expect("looked up above");
        // What has not been answered by now will be taken back.
        let call_status = match entry.record.status {
            CallStatus::Queued | CallStatus::Ringing => CallStatus::Canceled,
            status => status,
        };
        entry.leaves_at = None;
        callbacks::participant_left(conference, &participant, call_status.as_str(), reason, ctx);
        let record = Box::new(participant.record.clone());
        ctx.push(Effect::Write(Change::Participant { record, state: String::new() }));
        self.forget_deadline(Touched::Participant(call));
        self.touch(call);
        self.after_leaving(sid, &participant, was_connected, reason, ctx);
    }

    /// Ends the conference if this was the end of it; else the others are wired anew.
    fn after_leaving(
        &mut self,
        sid: ConferenceSid,
        participant: &Participant,
        was_connected: bool,
        reason: LeaveReason,
        ctx: &mut Context<'_>,
    ) {
        let conference = &self.conferences[&sid];
        if conference.record.status == model::ConferenceStatus::Completed {
            return;
        }
        let kicked = reason == LeaveReason::Kicked;
        if was_connected && participant.record.end_conference_on_exit {
            let reason = if kicked { EndReason::EndOnExitKicked } else { EndReason::EndOnExitLeft };
            self.end_conference(sid, reason, Some(participant), ctx);
        } else if conference.members.is_empty() {
            let reason = if kicked { EndReason::LastKicked } else { EndReason::LastLeft };
            self.end_conference(sid, reason, Some(participant), ctx);
        } else {
            if was_connected && participant.beep.on_exit {
                Self::beep(conference, Sound::ExitBeep, ctx);
            }
            for call in self.leave_sidebars(sid, participant) {
                self.settle(sid, call, ctx);
            }
            self.settle_coaches(sid, participant.record.call, ctx);
        }
    }
}

/// Sets the flags; returns the events of what really changed, and whether there is news to write.
fn apply(
    participant: &mut Participant,
    changes: &ParticipantChanges,
    coaching: Option<(bool, Option<CallSid>)>,
    ctx: &mut Context<'_>,
) -> (Vec<ParticipantEvent>, bool) {
    let mut events = Vec::new();
    let record = &mut participant.record;
    if let Some(muted) = changes.muted
        && mem::replace(&mut record.muted, muted) != muted
    {
        events.push(if muted { ParticipantEvent::Mute } else { ParticipantEvent::Unmute });
    }
    let was_held = record.hold;
    if let Some(hold) = changes.hold
        && mem::replace(&mut record.hold, hold) != hold
    {
        events.push(if hold { ParticipantEvent::Hold } else { ParticipantEvent::Unhold });
    }
    let mut modified = false;
    if let Some(beeps) = changes.beep_on_exit {
        modified |= mem::replace(&mut participant.beep.on_exit, beeps) != beeps;
    }
    if let Some(ends) = changes.end_conference_on_exit {
        modified |= mem::replace(&mut record.end_conference_on_exit, ends) != ends;
    }
    if let Some((coaching, coached)) = coaching {
        modified |= mem::replace(&mut record.coaching, coaching) != coaching;
        modified |= mem::replace(&mut record.call_to_coach, coached) != coached;
    }
    let held = record.hold;
    let mut restart = None;
    if let Some(wait) = &changes.wait
        && participant.wait != *wait
    {
        participant.wait = wait.clone();
        modified = true;
        restart = Some(Music::Wait);
    }
    if modified {
        events.push(ParticipantEvent::Modify);
    }
    let mut changed = !events.is_empty();
    if held && changes.hold == Some(true) && !was_held {
        participant.hold = default_music();
    }
    if held
        && let Some(document) = &changes.hold_document
        && participant.hold != *document
    {
        participant.hold = document.clone();
        restart = if was_held { Some(Music::Hold) } else { restart };
        changed = true;
    }
    // Music whose document is another one now begins anew.
    if let Some((_, mut program)) = participant.music.take_if(|(kind, _)| restart == Some(*kind)) {
        program.stop(ctx);
    }
    if let Some(document) = &changes.announce {
        participant.announcements.waiting.push_back(document.clone());
        changed = true;
    }
    (events, changed)
}

/// Says what an update makes of coaching: the flag and the target, or nothing new.
fn check_coaching(
    conference: &Conference,
    call: CallSid,
    changes: &ParticipantChanges,
) -> Result<Option<(bool, Option<CallSid>)>, Refusal> {
    let current = &conference.members[&call].record;
    let target = match (changes.coaching, changes.call_to_coach) {
        (None, None) => return Ok(None),
        (Some(false), _) => return Ok(Some((false, None))),
        (Some(true), None) => current.call_to_coach.filter(|_| current.coaching),
        (Some(true) | None, target) => target,
    };
    let invalid = |message: &str| Refusal::Invalid {
        parameter: "CallSidToCoach",
        message: message.to_owned(),
    };
    let target = target.ok_or_else(|| invalid("is required when Coaching is true"))?;
    if target == call {
        return Err(invalid("a participant cannot coach itself"));
    }
    if changes.call_to_coach.is_some() {
        check_coached(Some(conference), target)?;
    }
    Ok(Some((true, Some(target))))
}

/// Whether somebody may be coached: connected, and not on hold.
pub(crate) fn check_coached(
    conference: Option<&Conference>,
    coached: CallSid,
) -> Result<(), Refusal> {
    match conference.and_then(|conference| conference.members.get(&coached)) {
        Some(participant) if !participant.is_connected() => Err(Refusal::CoachedNotPresent),
        Some(participant) if participant.record.hold => Err(Refusal::CoachedOnHold),
        Some(_) => Ok(()),
        None => Err(Refusal::CoachedNotPresent),
    }
}
