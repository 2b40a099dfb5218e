//! Routes each command, event and deadline to its call or conference; owns all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use model::{AccountSid, CallSid, Change, ConferenceSid, Level, Now, QueueSid, RecordingSid};

use crate::call::Call;
use crate::conference::Conference;
use crate::context::{About, Context, Names, Owner};
use crate::limits::Limits;
use crate::outside::Outside;
use crate::participants::LeaveReason;
use crate::queues::Queue;
use crate::recording::Recordings;
use crate::{Command, Effect, Event, Failure, Fetched, Refusal, Reply};

/// What changed while one thing was handled, and is to be written when it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Touched {
    Conference(ConferenceSid),
    Call(CallSid),
    Participant(CallSid),
    Recording(RecordingSid),
}

/// All calls and conferences that are not over.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// Each in a box, as a map keeps room for as many again.
    pub(crate) calls: BTreeMap<CallSid, Box<Call>>,
    pub(crate) conferences: BTreeMap<ConferenceSid, Conference>,
    /// Each account's conferences by name.
    pub(crate) names: BTreeMap<(AccountSid, String), ConferenceSid>,
    /// All recordings whose file is not closed.
    pub(crate) recordings: Recordings,
    pub(crate) queues: BTreeMap<QueueSid, Queue>,
    /// Each account's queues by name.
    pub(crate) queue_names: BTreeMap<(AccountSid, String), QueueSid>,
    /// How many have come to queues so far.
    pub(crate) queue_arrivals: u64,
    /// The users who have registered a phone.
    pub(crate) registered: BTreeSet<String>,
    /// What of ours can be dialled as if it were a phone: numbers and applications.
    pub(crate) numbers: BTreeSet<String>,
    /// Whether every other number can be dialled, too.
    pub(crate) every_number_rings: bool,
    /// Where trunks lead.
    pub(crate) outside: Outside,
    pub(crate) limits: Limits,
    /// When the next call of each account that has had one is dialled.
    pub(crate) turns: BTreeMap<AccountSid, Instant>,
    /// When each account was last told that it has as many calls as it may.
    pub(crate) told_full: BTreeMap<AccountSid, Instant>,
    /// Calls that were refused as their account had as many as it may; counted and nothing else.
    pub(crate) calls_refused: u64,
    pub(crate) touched: BTreeSet<Touched>,
    /// The deadlines in order, and each one's by its owner.
    due: BTreeSet<(Instant, Touched)>,
    deadlines: BTreeMap<Touched, Instant>,
}

/// The core: it decides what calls and conferences do.
#[derive(Debug)]
pub struct Exchange {
    pub(crate) world: World,
    pub(crate) names: Names,
}

impl Exchange {
    /// Makes an empty exchange whose SIDs are drawn from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { world: World::default(), names: Names::new(seed) }
    }

    /// Applies `command` and pushes its effects, in order, onto `effects`.
    ///
    /// # Errors
    /// A [`Refusal`] in the domain's own words; nothing has changed then and nothing was pushed.
    pub fn handle_command(
        &mut self,
        command: Command,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<Reply, Refusal> {
        let ctx = &mut Context { now, names: &mut self.names, effects, told: Vec::new() };
        let world = &mut self.world;
        let reply = match command {
            Command::CreateCall(create) => world.create_call(*create, ctx),
            Command::UpdateCall { account, call, changes } => {
                world.update_call(account, call, *changes, ctx)
            }
            Command::DeleteCall { account: _, call } => world.delete_call(call, ctx),
            Command::CreateParticipant(create) => world.create_participant(*create, ctx),
            Command::UpdateParticipant { account, conference, participant, changes } => {
                world.update_participant(account, conference, &participant, *changes, ctx)
            }
            Command::UpdateEdges { account, conference, participant, changes } => {
                world.update_edges(account, conference, &participant, *changes, ctx)
            }
            Command::RemoveParticipant { account, conference, participant } => {
                world.remove_participant(account, conference, &participant, ctx)
            }
            Command::EndCalls { account } => {
                world.end_calls(|call| call.record.account == account, ctx);
                Ok(Reply::Done)
            }
            Command::CreateQueue { account, friendly_name, max_size } => {
                world.create_queue(account, &friendly_name, max_size, ctx)
            }
            Command::UpdateQueue { account, queue, friendly_name, max_size } => {
                world.update_queue(account, queue, friendly_name, max_size, ctx)
            }
            Command::DeleteQueue { account, queue } => world.delete_queue(account, queue, ctx),
            Command::Dequeue { account, queue, call, document } => {
                world.dequeue(account, queue, call, document, ctx)
            }
            Command::UpdateConference { account, conference, complete, announce } => {
                world.update_conference(account, conference, complete, announce, ctx)
            }
            Command::CreateRecording { account, call, options } => {
                world.create_recording(account, call, options, ctx)
            }
            Command::UpdateRecording { account, of, recording, change } => {
                world.update_recording(account, of, recording, change, ctx)
            }
            Command::DeleteRecording(recording) => world.delete_recording(recording, ctx),
        };
        world.flush(ctx);
        reply
    }

    /// Takes what reached us from the wire, or the answer to a question of our own.
    pub fn handle_event(&mut self, event: Event, now: Now, effects: &mut Vec<Effect>) {
        let ctx = &mut Context { now, names: &mut self.names, effects, told: Vec::new() };
        let world = &mut self.world;
        match event {
            Event::CallOffered(offer) => world.offered(*offer, ctx),
            Event::CallRinging { call, early_media } => world.ringing(call, early_media, ctx),
            Event::CallAnswered { call } => world.answered(call, ctx),
            Event::CallDialled { call, sip_call_id } => {
                if let Some(call) = world.calls.get_mut(&call) {
                    call.sip_answer = Some((sip_call_id, Vec::new()));
                }
            }
            Event::CallWaits { call, waits } => world.call_waits(call, waits, ctx),
            Event::CallReplied { call, headers } => {
                let call = world.calls.get_mut(&call);
                if let Some((_, known)) = call.and_then(|call| call.sip_answer.as_mut()) {
                    *known = headers;
                }
            }
            Event::CallFailed { call, status } => world.failed(call, status, ctx),
            Event::CallRemarked { call, level, remark } => {
                if let Some(call) = world.calls.get(&call) {
                    ctx.notify(call.client().about(""), level, &remark);
                }
            }
            Event::CallGone { call, why } => world.gone(call, why, ctx),
            Event::Digit { call, digit } => world.digit(call, digit, ctx),
            Event::Speech { call, speaking } => world.speech(call, speaking, ctx),
            Event::AnsweredBy { call, who } => world.answered_by(call, who, ctx),
            Event::Recognised { call, hearing, result } => {
                world.run_hearing(call, hearing, ctx, |program, client, ctx| {
                    program.recognised(hearing, result, client, ctx)
                });
            }
            Event::RecognisedPartly { call, hearing, understood } => {
                world.run_hearing(call, hearing, ctx, |program, client, ctx| {
                    program.recognised_partly(understood, client, ctx)
                });
            }
            Event::Fetched { fetch, result } => {
                if let Some(owner) = ctx.names.take_fetch(fetch) {
                    world.fetched(owner, result, ctx);
                }
            }
            Event::PlayEnded { play, result } => {
                if let Some(owner) = ctx.names.take_play(play) {
                    world.play_ended(owner, result, ctx);
                }
            }
            Event::PlayRemarked { play, remark } => {
                if let Some(owner) = ctx.names.owner_of(play) {
                    world.remarked(owner, &remark, ctx);
                }
            }
            Event::RecordingEnded { recording, end } => world.recording_ended(recording, end, ctx),
            Event::Registered { user } => {
                world.registered.insert(user);
            }
            Event::Unregistered { user } => {
                world.registered.remove(&user);
            }
        }
        world.flush(ctx);
    }

    /// Does what is due. Call it at [`Self::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let ctx = &mut Context { now, names: &mut self.names, effects, told: Vec::new() };
        let world = &mut self.world;
        while let Some(&(at, owner)) = world.due.first()
            && at <= now.instant
        {
            world.due.remove(&(at, owner));
            world.deadlines.remove(&owner);
            match owner {
                Touched::Call(call) => world.call_timeout(call, ctx),
                Touched::Participant(call) => world.participant_timeout(call, ctx),
                Touched::Conference(conference) => world.conference_timeout(conference, ctx),
                Touched::Recording(_) => {}
            }
            world.touched.insert(owner);
            world.flush(ctx);
        }
    }

    /// Returns when [`Self::handle_timeout`] next has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.world.due.first().map(|(at, _)| *at)
    }

    /// Whether no call and no conference is left, and no answer is waited for.
    pub fn is_idle(&self) -> bool {
        self.world.calls.is_empty()
            && self.world.conferences.is_empty()
            && self.recordings() == 0
            && self.names.is_quiet()
    }

    /// Takes what of ours can be dialled as if it were a phone.
    pub fn set_numbers(&mut self, numbers: BTreeSet<String>) {
        self.world.numbers = numbers;
    }

    /// Lets every number be dialled, or only those of [`Self::set_numbers`] and of registered phones.
    pub fn ring_every_number(&mut self, rings: bool) {
        self.world.every_number_rings = rings;
    }

    /// Takes what each account may have at once, from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.world.limits = limits;
    }

    /// Takes where trunks lead, and as whom.
    pub fn set_outside(&mut self, outside: Outside) {
        self.world.outside = outside;
    }

    /// Returns where trunks lead, and as whom.
    pub fn outside(&self) -> &Outside {
        &self.world.outside
    }

    /// Returns whose call this is, where it is not over.
    pub fn account_of(&self, call: CallSid) -> Option<AccountSid> {
        self.world.calls.get(&call).map(|call| call.record.account)
    }

    /// How many calls are not over.
    pub fn calls(&self) -> usize {
        self.world.calls.len()
    }

    /// How many calls were refused so far as their account had as many as it may.
    pub fn calls_refused(&self) -> u64 {
        self.world.calls_refused
    }

    /// Whether this call is not over.
    pub fn has_call(&self, call: CallSid) -> bool {
        self.world.calls.contains_key(&call)
    }

    /// How many conferences are not completed.
    pub fn conferences(&self) -> usize {
        self.world.conferences.len()
    }

    /// How many recordings are not over.
    pub fn recordings(&self) -> usize {
        self.world.recordings.len()
    }

    /// Sets where the API is reached, for the addresses that callbacks name: without a slash at its end.
    pub fn set_api_url(&mut self, url: String) {
        self.names.api_url = url;
    }

    /// Lets `<Gather>` hear speech: somebody recognises it.
    pub fn recognise_speech(&mut self) {
        self.names.recognises = true;
    }

    /// Has conferences recorded in two channels: the first who came on the left, everyone else on the right.
    pub fn record_conferences_in_two_channels(&mut self) {
        self.names.conference_channels = 2;
    }

    /// Hangs up every call: the server goes down.
    pub fn hang_up_all(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let ctx = &mut Context { now, names: &mut self.names, effects, told: Vec::new() };
        self.world.end_calls(|_| true, ctx);
    }
}

impl World {
    fn end_calls(&mut self, wanted: impl Fn(&Call) -> bool, ctx: &mut Context<'_>) {
        let calls = self.calls.iter().filter(|(_, call)| wanted(call));
        for call in calls.map(|(sid, _)| *sid).collect::<Vec<_>>() {
            self.hang_up(call, LeaveReason::HungUp, ctx);
            self.flush(ctx);
        }
    }

    pub(crate) fn touch(&mut self, call: CallSid) {
        self.touched.insert(Touched::Call(call));
    }

    pub(crate) fn touch_participant(&mut self, call: CallSid) {
        self.touched.insert(Touched::Participant(call));
    }

    pub(crate) fn touch_conference(&mut self, conference: ConferenceSid) {
        self.touched.insert(Touched::Conference(conference));
    }

    /// Forgets the deadline of who is no more.
    pub(crate) fn forget_deadline(&mut self, owner: Touched) {
        self.set_deadline(owner, None);
    }

    pub(crate) fn set_deadline(&mut self, owner: Touched, at: Option<Instant>) {
        if let Some(before) = self.deadlines.remove(&owner) {
            self.due.remove(&(before, owner));
        }
        if let Some(at) = at {
            self.deadlines.insert(owner, at);
            self.due.insert((at, owner));
        }
    }

    fn fetched(&mut self, owner: Owner, result: Result<Fetched, Failure>, ctx: &mut Context<'_>) {
        match owner {
            Owner::Call(call) => self.call_fetched(call, result, ctx),
            Owner::Queue(call) => {
                self.run_queued(call, ctx, |program, client, ctx| {
                    program.fetched(result, client, ctx)
                });
            }
            Owner::Music(call) => self.music_fetched(call, result, ctx),
            Owner::Announcement(call) => self.announcement_fetched(call, result, ctx),
            Owner::ConferenceAnnouncement(conference) => {
                self.conference_announcement_fetched(conference, result, ctx);
            }
        }
    }

    fn play_ended(&mut self, owner: Owner, result: Result<(), Failure>, ctx: &mut Context<'_>) {
        match owner {
            Owner::Call(call) => self.call_play_ended(call, result, ctx),
            Owner::Queue(call) => self.run_queued(call, ctx, |program, client, ctx| {
                program.play_ended(result, client, ctx)
            }),
            Owner::Music(call) => self.run_music(call, ctx, |program, client, ctx| {
                program.play_ended(result, client, ctx)
            }),
            Owner::Announcement(call) => {
                self.run_announcement(call, ctx, |program, client, ctx| {
                    program.play_ended(result, client, ctx)
                })
            }
            Owner::ConferenceAnnouncement(conference) => {
                self.run_conference_announcement(conference, ctx, |program, client, ctx| {
                    program.play_ended(result, client, ctx)
                });
            }
        }
    }

    fn remarked(&self, owner: Owner, remark: &Failure, ctx: &mut Context<'_>) {
        let about = match owner {
            Owner::Call(call)
            | Owner::Queue(call)
            | Owner::Music(call)
            | Owner::Announcement(call) => {
                self.calls.get(&call).map(|call| call.client().about(""))
            }
            Owner::ConferenceAnnouncement(sid) => self.conferences.get(&sid).map(|conference| {
                let account = conference.record.account;
                About { account, call: None, conference: Some(sid), url: None }
            }),
        };
        if let Some(about) = about {
            ctx.notify(about, Level::Warning, remark);
        }
    }

    /// Does what is due for a participant.
    fn participant_timeout(&mut self, call: CallSid, ctx: &mut Context<'_>) {
        self.run_music(call, ctx, |program, client, ctx| program.handle_timeout(client, ctx));
        self.run_announcement(call, ctx, |program, client, ctx| {
            program.handle_timeout(client, ctx)
        });
    }

    fn conference_timeout(&mut self, conference: ConferenceSid, ctx: &mut Context<'_>) {
        self.run_conference_announcement(conference, ctx, |program, client, ctx| {
            program.handle_timeout(client, ctx)
        });
    }

    /// Writes what changed, and notes when it is next due.
    pub(crate) fn flush(&mut self, ctx: &mut Context<'_>) {
        self.touched.extend(ctx.told.drain(..).map(Touched::Conference));
        for touched in std::mem::take(&mut self.touched) {
            match touched {
                Touched::Call(call) => self.flush_call(call, ctx),
                Touched::Participant(call) => self.flush_participant(call, ctx),
                Touched::Conference(conference) => self.flush_conference(conference, ctx),
                Touched::Recording(recording) => self.flush_recording(recording, ctx),
            }
        }
    }

    fn flush_call(&mut self, sid: CallSid, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get(&sid) else { return };
        let record = Box::new(call.record.clone());
        let state = crate::recover::call_state(call, ctx.now);
        ctx.push(Effect::Write(Change::Call { record, state }));
        let deadline = call.deadline();
        self.set_deadline(Touched::Call(sid), deadline);
    }

    fn flush_participant(&mut self, call: CallSid, ctx: &mut Context<'_>) {
        let Some((_, participant)) = self.participant_mut(call) else { return };
        let record = Box::new(participant.record.clone());
        let state = crate::recover::participant_state(participant, ctx.now);
        let deadline = participant.deadline();
        ctx.push(Effect::Write(Change::Participant { record, state }));
        self.set_deadline(Touched::Participant(call), deadline);
    }

    fn flush_conference(&mut self, sid: ConferenceSid, ctx: &mut Context<'_>) {
        let Some(conference) = self.conferences.get(&sid) else { return };
        let record = Box::new(conference.record.clone());
        let state = crate::recover::conference_state(conference, ctx.now);
        ctx.push(Effect::Write(Change::Conference { record, state }));
        let deadline = conference.announcements.deadline();
        self.set_deadline(Touched::Conference(sid), deadline);
    }

    fn flush_recording(&mut self, sid: RecordingSid, ctx: &mut Context<'_>) {
        let Some(recording) = self.recordings.get(sid) else { return };
        let record = Box::new(recording.record.clone());
        let state = crate::recover::recording_state(recording);
        ctx.push(Effect::Write(Change::Recording { record, state }));
    }
}
