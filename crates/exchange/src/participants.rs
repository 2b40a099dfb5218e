//! Participants: how they come and go, and mute, hold and coach: who is heard by whom.
//!
//! Source: Twilio API 2010-04-01, Participant resource.

use std::mem;
use std::time::Instant;

use model::{
    AccountSid, CallSid, Change, ConferenceSid, EndReason, Participant as Record, ParticipantStatus,
};
use twiml::Dial;

use crate::call::Origin;
use crate::callbacks::{self, ParticipantEvent};
use crate::conference::{Announcements, Conference, NAME_LENGTH_MAX};
use crate::context::Context;
use crate::exchange::World;
use crate::program::{Position, Program};
use crate::{
    Beep, ConferenceKey, CreateParticipant, Document, Effect, Failure, JoinOptions,
    ParticipantChanges, ParticipantKey, Refusal, Reply, Route, Sound,
};

/// The music of who waits or is held where nothing else was asked for. Source: Twilio, `waitUrl`.
pub const DEFAULT_MUSIC_URL: &str = "https://s3.amazonaws.com/com.twilio.sounds.music/index.xml";

/// Why a participant left, in the callback's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaveReason {
    HungUp,
    Kicked,
    Redirected,
    ConferenceEndedViaApi,
    ModeratorEnded,
    AddFailed,
}

impl LeaveReason {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::HungUp => "participant_hung_up",
            Self::Kicked | Self::Redirected => "participant_updated_via_api",
            Self::ConferenceEndedViaApi => "conference_ended_via_api",
            Self::ModeratorEnded => "moderator_ended_conference",
            Self::AddFailed => "participant_add_failed",
        }
    }
}

/// What a participant hears in place of the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Whether it is heard before it has answered.
    pub(crate) early_media: bool,
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
        let announcement =
            self.announcements.current.as_ref().and_then(|(_, program)| program.deadline());
        music.into_iter().chain(announcement).min()
    }

    /// What a restart needs to know beside the record.
    pub(crate) fn state(&self) -> State {
        let waiting = self.announcements.waiting.iter();
        let current = self.announcements.current.iter().map(|(document, _)| document);
        State {
            arrival: self.arrival,
            beep: self.beep,
            wait: self.wait.clone(),
            hold: self.hold.clone(),
            early_media: self.early_media,
            music: self.music.as_ref().map(|(_, program)| program.position()),
            announcements: current.chain(waiting).cloned().collect(),
        }
    }

    /// Rebuilds a participant from its row; nothing plays to it.
    pub(crate) fn restored(record: Record, state: State) -> Self {
        Self {
            record,
            arrival: state.arrival,
            beep: state.beep,
            wait: state.wait,
            hold: state.hold,
            music: None,
            announcements: Announcements::default(),
            early_media: state.early_media,
            route: None,
        }
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

/// What a restart needs to know of a participant beside its record.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct State {
    arrival: u64,
    beep: Beep,
    wait: Document,
    hold: Document,
    early_media: bool,
    music: Option<Position>,
    announcements: Vec<Document>,
}

pub(crate) fn default_music() -> Document {
    Document { url: DEFAULT_MUSIC_URL.to_owned(), method: "GET".to_owned() }
}

impl World {
    /// Joins the conference that a `<Dial>` names.
    pub(crate) fn join(
        &mut self,
        call: CallSid,
        dial: &Dial,
        options: JoinOptions,
        ctx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let account = self.calls[&call].record.account;
        let name = dial.noun.name.trim().to_owned();
        if name.is_empty() || name.chars().count() > NAME_LENGTH_MAX {
            let message = format!("a conference's name has 1 to {NAME_LENGTH_MAX} characters");
            return Err(Failure { code: 13237, message });
        }
        let found = self.names.get(&(account, name.clone())).copied();
        self.check_entry(found, &options).map_err(|refusal| {
            let code = match refusal {
                Refusal::ConferenceFull => 16020,
                Refusal::LabelTaken => 16025,
                Refusal::LabelInvalid(_) => 16023,
                _ => 13240,
            };
            Failure { code, message: refusal.to_string() }
        })?;
        let sid = found.unwrap_or_else(|| self.make_conference(account, &name, &options, ctx));
        self.seat(sid, call, options, false, ctx);
        let entry = self.calls.get_mut(&call).expect("the caller has just looked it up");
        entry.joined = Some((sid, Origin::Dial(Box::new(dial.clone()))));
        self.participant_connected(call, ctx);
        Ok(())
    }

    /// `POST .../Conferences/{Sid or name}/Participants.json`
    pub(crate) fn create_participant(
        &mut self,
        create: CreateParticipant,
        ctx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        self.check_reachable(&create.dialling.to)?;
        let found = self.find_conference(create.account, &create.conference);
        let name = match (&create.conference, found) {
            (ConferenceKey::Sid(_), None) => return Err(Refusal::ConferenceCompleted),
            (ConferenceKey::Sid(_), Some(_)) => String::new(),
            (ConferenceKey::Name(name), _) => name.clone(),
        };
        self.check_entry(found, &create.options)?;
        let sid = found
            .unwrap_or_else(|| self.make_conference(create.account, &name, &create.options, ctx));
        let size = create.options.jitter_buffer_size.clone();
        let call = self.dial(create.account, &create.dialling, None, size, ctx);
        self.seat(sid, call, create.options, create.early_media, ctx);
        let entry = self.calls.get_mut(&call).expect("it was just made");
        entry.joined = Some((sid, Origin::Api));
        let record = self.conferences[&sid].members[&call].record.clone();
        Ok(Reply::Participant(Box::new(record)))
    }

    /// Whether somebody may come in with these options.
    fn check_entry(
        &self,
        found: Option<ConferenceSid>,
        options: &JoinOptions,
    ) -> Result<(), Refusal> {
        if let Some(label) = &options.label {
            twiml::label::check(label).map_err(|error| Refusal::LabelInvalid(error.to_string()))?;
        }
        let conference = found.and_then(|sid| self.conferences.get(&sid));
        if let Some(conference) = conference {
            if conference.members.len() >= conference.max_participants as usize {
                return Err(Refusal::ConferenceFull);
            }
            if options.label.as_ref().is_some_and(|label| conference.labels.contains_key(label)) {
                return Err(Refusal::LabelTaken);
            }
        }
        if let Some(coached) = options.coach {
            check_coached(conference, coached)?;
        }
        Ok(())
    }

    /// Gives a call its place in a conference.
    fn seat(
        &mut self,
        sid: ConferenceSid,
        call: CallSid,
        options: JoinOptions,
        early_media: bool,
        ctx: &mut Context<'_>,
    ) {
        let participant_sid = ctx.names.participant();
        let conference = self.conferences.get_mut(&sid).expect("found or made just now");
        conference.arrivals += 1;
        let record = Record {
            sid: participant_sid,
            account: conference.record.account,
            call,
            conference: sid,
            label: options.label,
            status: ParticipantStatus::Queued,
            muted: options.muted,
            hold: false,
            coaching: options.coach.is_some(),
            call_to_coach: options.coach,
            start_conference_on_enter: options.start_conference_on_enter,
            end_conference_on_exit: options.end_conference_on_exit,
            date_created: ctx.now.wall,
            date_updated: ctx.now.wall,
        };
        if let Some(label) = &record.label {
            conference.labels.insert(label.clone(), call);
        }
        if let Some(size) = options.jitter_buffer_size {
            ctx.push(Effect::JitterBuffer { call, size });
        }
        let participant = Participant {
            record,
            arrival: conference.arrivals,
            beep: options.beep,
            wait: options.wait.unwrap_or_else(default_music),
            hold: default_music(),
            music: None,
            announcements: Announcements::default(),
            early_media,
            route: None,
        };
        conference.members.insert(call, participant);
        self.touch(call);
    }

    /// A participant's phone rings.
    pub(crate) fn participant_ringing(
        &mut self,
        call: CallSid,
        early_media: bool,
        ctx: &mut Context<'_>,
    ) {
        let Some((sid, participant)) = self.participant_mut(call) else { return };
        if participant.is_connected() {
            return;
        }
        participant.record.status = ParticipantStatus::Ringing;
        participant.record.date_updated = ctx.now.wall;
        participant.early_media &= early_media;
        if participant.early_media {
            self.settle_members(sid, ctx);
        }
        self.touch(call);
    }

    /// A participant is there: it counts from now on.
    pub(crate) fn participant_connected(&mut self, call: CallSid, ctx: &mut Context<'_>) {
        let Some((sid, participant)) = self.participant_mut(call) else { return };
        participant.record.status = ParticipantStatus::Connected;
        participant.record.date_updated = ctx.now.wall;
        self.touch(call);
        let conference = self.conferences.get_mut(&sid).expect("its participant was just found");
        let participant = conference.members.remove(&call).expect("just found");
        callbacks::participant_event(conference, &participant, ParticipantEvent::Join, ctx);
        let beeps = participant.beep.on_enter;
        conference.members.insert(call, participant);
        self.settle(sid, ctx);
        if beeps {
            Self::beep(&self.conferences[&sid], Sound::EnterBeep, ctx);
        }
    }

    pub(crate) fn participant_mut(
        &mut self,
        call: CallSid,
    ) -> Option<(ConferenceSid, &mut Participant)> {
        let sid = self.calls.get(&call)?.joined.as_ref()?.0;
        let participant = self.conferences.get_mut(&sid)?.members.get_mut(&call)?;
        Some((sid, participant))
    }

    fn find_participant(
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
        let call = match key {
            ParticipantKey::Call(call) => Some(*call),
            ParticipantKey::Label(label) => conference.labels.get(label).copied(),
        };
        call.filter(|call| conference.members.contains_key(call))
            .ok_or(Refusal::ParticipantNotFound)
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
        let events = apply(&mut participant, &changes, coaching, ctx);
        if !events.is_empty() {
            participant.record.date_updated = ctx.now.wall;
        }
        for event in events {
            callbacks::participant_event(conference, &participant, event, ctx);
        }
        let record = participant.record.clone();
        conference.members.insert(call, participant);
        self.touch(call);
        self.settle_members(sid, ctx);
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
        self.after_conference(call, ctx);
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
        let call_status = entry.record.status.as_str();
        entry.leaves_at = None;
        callbacks::participant_left(conference, &participant, call_status, reason, ctx);
        let record = Box::new(participant.record.clone());
        ctx.push(Effect::Write(Change::Participant { record, state: String::new() }));
        self.touch(call);
        self.touch_conference(sid);
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
            self.settle_members(sid, ctx);
        }
    }
}

/// Sets the flags; returns the events of what really changed.
fn apply(
    participant: &mut Participant,
    changes: &ParticipantChanges,
    coaching: Option<(bool, Option<CallSid>)>,
    ctx: &mut Context<'_>,
) -> Vec<ParticipantEvent> {
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
    if held && changes.hold == Some(true) && !was_held {
        participant.hold = default_music();
    }
    if held && let Some(document) = &changes.hold_document {
        participant.hold = document.clone();
        restart = if was_held { Some(Music::Hold) } else { restart };
    }
    // Music whose document is another one now begins anew.
    if let Some((_, mut program)) = participant.music.take_if(|(kind, _)| restart == Some(*kind)) {
        program.stop(ctx);
    }
    if let Some(document) = &changes.announce {
        participant.announcements.waiting.push_back(document.clone());
    }
    events
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
fn check_coached(conference: Option<&Conference>, coached: CallSid) -> Result<(), Refusal> {
    match conference.and_then(|conference| conference.members.get(&coached)) {
        Some(participant) if !participant.is_connected() => Err(Refusal::CoachedNotPresent),
        Some(participant) if participant.record.hold => Err(Refusal::CoachedOnHold),
        Some(_) => Ok(()),
        None => Err(Refusal::CoachedNotPresent),
    }
}
