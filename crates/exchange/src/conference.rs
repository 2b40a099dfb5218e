//! One conference: who may come in, when it starts, when it ends.
//!
//! Source: Twilio API 2010-04-01, Conference resource; TwiML `<Conference>`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use model::{
    AccountSid, CallSid, Change, Conference as Record, ConferenceSid, ConferenceStatus, EndReason,
    Level,
};

use crate::callbacks;
use crate::context::{Context, Owner};
use crate::dial::ANSWERED;
use crate::exchange::{Touched, World};
use crate::participants::{LeaveReason, Participant};
use crate::program::{Client, Outcome, Program};
use crate::{
    Audience, ConferenceCallback, ConferenceKey, Document, Effect, Failure, Fetched, JoinOptions,
    ParticipantKey, Recorded, RecordingOptions, Refusal, Reply, Sound,
};

/// Most participants of one conference. Source: Twilio, `maxParticipants`.
pub const PARTICIPANTS_MAX: u32 = 250;
/// Longest name of a conference, in characters. Source: Twilio error 13237.
pub const NAME_LENGTH_MAX: usize = 128;
/// Most announcements that wait for one target.
pub const ANNOUNCEMENTS_MAX: usize = 32;

/// Announcements to one target: one after the other.
#[derive(Debug, Default)]
pub(crate) struct Announcements {
    pub(crate) waiting: VecDeque<Document>,
    pub(crate) current: Option<(Document, Program)>,
}

impl Outcome {
    /// Returns how an announcement ended, once it has: what does not sound ends it.
    pub(crate) fn announced(self) -> Option<Result<(), Failure>> {
        match self {
            Self::Going => None,
            Self::Failed(failure) => Some(Err(failure)),
            Self::Ended
            | Self::Dial(_)
            | Self::Record(_)
            | Self::Enqueue(_)
            | Self::Leave
            | Self::HangUp
            | Self::Reject(_) => Some(Ok(())),
        }
    }
}

impl Announcements {
    pub(crate) fn check_room(&self) -> Result<(), Refusal> {
        if self.waiting.len() >= ANNOUNCEMENTS_MAX {
            return Err(Refusal::Invalid {
                parameter: "AnnounceUrl",
                message: format!("{ANNOUNCEMENTS_MAX} announcements wait already"),
            });
        }
        Ok(())
    }

    /// Begins the next one, unless one runs. Returns whether one began.
    pub(crate) fn settle(
        &mut self,
        client: impl FnOnce() -> Client,
        ctx: &mut Context<'_>,
    ) -> bool {
        if self.current.is_none()
            && let Some(document) = self.waiting.pop_front()
        {
            let program = Program::fetch(document.clone(), &client(), ctx);
            self.current = Some((document, program));
            return true;
        }
        false
    }

    /// When the one that runs has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.current.as_ref().and_then(|(_, program)| program.deadline())
    }

    /// Abandons what runs and what waits.
    pub(crate) fn stop(&mut self, ctx: &mut Context<'_>) {
        self.waiting.clear();
        if let Some((_, mut program)) = self.current.take() {
            program.stop(ctx);
        }
    }
}

/// A conference that is not completed.
#[derive(Debug)]
pub(crate) struct Conference {
    pub(crate) record: Record,
    /// Each in a box: a map makes room for eleven, and most conferences have few.
    pub(crate) members: BTreeMap<CallSid, Box<Participant>>,
    pub(crate) labels: BTreeMap<String, CallSid>,
    /// Who is coached, by whom.
    pub(crate) coaches: BTreeSet<(CallSid, CallSid)>,
    /// Who hears few alone, or is heard by few alone.
    pub(crate) sidebars: BTreeSet<CallSid>,
    /// Whether somebody has named the region.
    pub(crate) region_named: bool,
    pub(crate) max_participants: u32,
    pub(crate) callback: ConferenceCallback,
    pub(crate) sequence: u32,
    /// How many have come so far: everyone's place in the order of coming.
    pub(crate) arrivals: u64,
    pub(crate) announcements: Announcements,
    /// How it is to be recorded from its start on.
    pub(crate) recording: Option<RecordingOptions>,
}

impl Conference {
    pub(crate) fn client(&self) -> Client {
        Client {
            owner: Owner::ConferenceAnnouncement(self.record.sid),
            account: self.record.account,
            call: None,
            conference: Some(self.record.sid),
            audience: Audience::Conference(self.record.sid),
            params: vec![
                ("AccountSid".to_owned(), self.record.account.to_string()),
                ("ApiVersion".to_owned(), "2010-04-01".to_owned()),
                ("ConferenceSid".to_owned(), self.record.sid.to_string()),
                ("FriendlyName".to_owned(), self.record.friendly_name.clone()),
            ],
        }
    }

    pub(crate) fn is_started(&self) -> bool {
        self.record.status == ConferenceStatus::InProgress
    }

    /// Everyone, in the order in which they came.
    pub(crate) fn in_order(&self) -> Vec<CallSid> {
        let mut members: Vec<_> = self.members.iter().map(|(sid, p)| (p.arrival, *sid)).collect();
        members.sort_unstable();
        members.into_iter().map(|(_, sid)| sid).collect()
    }

    /// Returns who takes part under this SID or label.
    pub(crate) fn call_of(&self, key: &ParticipantKey) -> Option<CallSid> {
        let call = match key {
            ParticipantKey::Call(call) => Some(*call),
            ParticipantKey::Label(label) => self.labels.get(label).copied(),
        };
        call.filter(|call| self.members.contains_key(call))
    }

    /// Who coaches this participant.
    pub(crate) fn coaches_of(&self, coached: CallSid) -> impl Iterator<Item = CallSid> + '_ {
        let (first, last) = (CallSid::new([0; 16]), CallSid::new([0xFF; 16]));
        self.coaches.range((coached, first)..=(coached, last)).map(|(_, coach)| *coach)
    }

    fn may_start(&self) -> bool {
        let connected = || self.members.values().filter(|member| member.is_connected());
        self.record.status == ConferenceStatus::Init
            && connected().count() >= 2
            && connected().any(|member| member.record.start_conference_on_enter)
    }
}

impl World {
    /// Finds a conference that is not completed.
    pub(crate) fn find_conference(
        &self,
        account: AccountSid,
        key: &ConferenceKey,
    ) -> Option<ConferenceSid> {
        match key {
            ConferenceKey::Sid(sid) => {
                self.conferences.get(sid).filter(|c| c.record.account == account).map(|_| *sid)
            }
            ConferenceKey::Name(name) => self.names.get(&(account, name.clone())).copied(),
        }
    }

    /// Makes a conference; its first participant's settings are its own.
    pub(crate) fn make_conference(
        &mut self,
        account: AccountSid,
        name: &str,
        options: &JoinOptions,
        ctx: &mut Context<'_>,
    ) -> ConferenceSid {
        let sid = ctx.names.conference();
        let record = Record {
            sid,
            account,
            friendly_name: name.to_owned(),
            status: ConferenceStatus::Init,
            region: "us1".to_owned(),
            date_created: ctx.now.wall,
            date_updated: ctx.now.wall,
            end_reason: None,
            call_ending: None,
        };
        let conference = Conference {
            record,
            members: BTreeMap::new(),
            labels: BTreeMap::new(),
            coaches: BTreeSet::new(),
            sidebars: BTreeSet::new(),
            region_named: false,
            max_participants: options.max_participants.min(PARTICIPANTS_MAX),
            callback: options.status_callback.clone(),
            sequence: 0,
            arrivals: 0,
            announcements: Announcements::default(),
            recording: options.recording.clone(),
        };
        self.conferences.insert(sid, conference);
        self.names.insert((account, name.to_owned()), sid);
        self.touch_conference(sid);
        sid
    }

    /// Starts the conference if `call` was what it waited for, and wires whom that concerns.
    pub(crate) fn settle_arrival(
        &mut self,
        sid: ConferenceSid,
        call: CallSid,
        ctx: &mut Context<'_>,
    ) {
        let Some(conference) = self.conferences.get_mut(&sid) else { return };
        if !conference.may_start() {
            return self.settle_around(sid, call, ctx);
        }
        conference.record.status = ConferenceStatus::InProgress;
        conference.record.date_updated = ctx.now.wall;
        callbacks::conference_started(conference, ctx);
        self.touch_conference(sid);
        self.settle_all(sid, ctx);
        self.record_conference(sid, ctx);
    }

    /// Sounds a beep to all who hear the conference.
    pub(crate) fn beep(conference: &Conference, sound: Sound, ctx: &mut Context<'_>) {
        let play = ctx.names.beep();
        ctx.push(Effect::Play {
            play,
            account: conference.record.account,
            audience: Audience::Conference(conference.record.sid),
            sound,
            loops: 1,
            paused: false,
        });
    }

    /// `POST .../Conferences/{Sid}.json`
    pub(crate) fn update_conference(
        &mut self,
        account: AccountSid,
        sid: ConferenceSid,
        complete: bool,
        announce: Option<Document>,
        ctx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        let conference = self
            .conferences
            .get_mut(&sid)
            .filter(|conference| conference.record.account == account)
            .ok_or(Refusal::ConferenceNotFound)?;
        if let Some(document) = announce.filter(|_| !complete) {
            conference.announcements.check_room()?;
            conference.announcements.waiting.push_back(document);
            let client = conference.client();
            conference.announcements.settle(|| client, ctx);
            self.touch_conference(sid);
        }
        let conference = &self.conferences[&sid];
        let mut shown = conference.record.clone();
        if complete {
            shown.status = ConferenceStatus::Completed;
            shown.date_updated = ctx.now.wall;
            shown.end_reason = Some(EndReason::ViaApi);
            self.end_conference(sid, EndReason::ViaApi, None, ctx);
        }
        Ok(Reply::Conference(Box::new(shown)))
    }

    /// Ends a conference: everyone leaves, in the order of coming, then it is told.
    pub(crate) fn end_conference(
        &mut self,
        sid: ConferenceSid,
        reason: EndReason,
        ending: Option<&Participant>,
        ctx: &mut Context<'_>,
    ) {
        let Some(conference) = self.conferences.get_mut(&sid) else { return };
        conference.record.status = ConferenceStatus::Completed;
        conference.record.date_updated = ctx.now.wall;
        conference.record.end_reason = Some(reason);
        conference.record.call_ending = ending.map(|participant| participant.record.call);
        conference.announcements.stop(ctx);
        self.stop_recordings(Recorded::Conference(sid), ctx);
        let conference = &self.conferences[&sid];
        let name = (conference.record.account, conference.record.friendly_name.clone());
        self.names.remove(&name);
        let leave_reason = match reason {
            EndReason::ViaApi => LeaveReason::ConferenceEndedViaApi,
            EndReason::EndOnExitLeft
            | EndReason::EndOnExitKicked
            | EndReason::LastKicked
            | EndReason::LastLeft => LeaveReason::ModeratorEnded,
        };
        let members = self.conferences[&sid].in_order();
        for call in &members {
            self.leave(*call, leave_reason, ctx);
        }
        if let Some(mut conference) = self.conferences.remove(&sid) {
            self.forget_deadline(Touched::Conference(sid));
            callbacks::conference_ended(&mut conference, ending, ctx);
            let record = Box::new(conference.record);
            ctx.push(Effect::Write(Change::Conference { record, state: String::new() }));
        }
        for call in members {
            self.after_conference(call, ANSWERED, ctx);
        }
    }

    /// Takes the answer to the request of a conference's announcement.
    pub(crate) fn conference_announcement_fetched(
        &mut self,
        sid: ConferenceSid,
        result: Result<Fetched, Failure>,
        ctx: &mut Context<'_>,
    ) {
        self.run_conference_announcement(sid, ctx, |program, client, ctx| {
            program.fetched(result, client, ctx)
        });
    }

    /// Lets a conference's announcement take one step, and sees to what follows.
    pub(crate) fn run_conference_announcement(
        &mut self,
        sid: ConferenceSid,
        ctx: &mut Context<'_>,
        step: impl FnOnce(&mut Program, &Client, &mut Context<'_>) -> Outcome,
    ) {
        let Some(conference) = self.conferences.get_mut(&sid) else { return };
        let client = conference.client();
        let Some((document, program)) = &mut conference.announcements.current else { return };
        let url = document.url.clone();
        let outcome = step(program, &client, ctx);
        let at = program.url().to_owned();
        let Some(end) = outcome.announced() else { return self.touch_conference(sid) };
        let failure = end.err();
        conference.announcements.current = None;
        if let Some(failure) = &failure {
            ctx.notify(client.about(&at), Level::Error, failure);
        }
        callbacks::announcement_over(conference, None, &url, failure.as_ref(), ctx);
        conference.announcements.settle(|| client, ctx);
        self.touch_conference(sid);
    }
}
