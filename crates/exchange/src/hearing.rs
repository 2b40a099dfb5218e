//! What each participant hears: the room, music, announcements; and to whom its voice goes.
//!
//! One function, [`Participant::wiring`], says how a participant is wired, whatever the reason for asking.

use model::{CallSid, Conference as Record, ConferenceSid, Level, ParticipantStatus};

use crate::call::{Call, Origin};
use crate::callbacks::ParticipantEvent;
use crate::context::{Context, Owner};
use crate::dial::FAILED;
use crate::exchange::World;
use crate::participants::*;
use crate::program::{Client, Outcome, Program};
use crate::*;

/// For whom a participant's programs run.
fn participant_client(call: &Call, conference: &Record, owner: Owner) -> Client {
    let mut client = call.client();
    client.owner = owner;
    client.conference = Some(conference.sid);
    client.params.push(("ConferenceSid".to_owned(), conference.sid.to_string()));
    client.params.push(("FriendlyName".to_owned(), conference.friendly_name.clone()));
    client
}

impl World {
    /// Wires a participant as it is to be wired now, and plays to it what is to be played.
    pub(crate) fn settle(&mut self, sid: ConferenceSid, call: CallSid, ctx: &mut Context<'_>) {
        let Some(conference) = self.conferences.get_mut(&sid) else { return };
        let Some(entry) = self.calls.get(&call) else { return };
        let started = conference.is_started();
        let heard_by = conference.heard_by(call);
        let record = &conference.record;
        let Some(participant) = conference.members.get_mut(&call) else { return };
        let client = |owner| participant_client(entry, record, owner);
        if participant.settle(started, heard_by, client, ctx) {
            self.touch_participant(call);
        }
    }

    /// Wires all, in the order in which they came.
    pub(crate) fn settle_all(&mut self, sid: ConferenceSid, ctx: &mut Context<'_>) {
        let Some(conference) = self.conferences.get(&sid) else { return };
        for call in conference.in_order() {
            self.settle(sid, call, ctx);
        }
    }

    /// Wires a participant and those whose voice goes to it by a way of its own: who coach it, and who are in a
    /// sidebar with it.
    pub(crate) fn settle_around(
        &mut self,
        sid: ConferenceSid,
        call: CallSid,
        ctx: &mut Context<'_>,
    ) {
        self.settle(sid, call, ctx);
        self.settle_coaches(sid, call, ctx);
        let Some(conference) = self.conferences.get(&sid) else { return };
        for speaker in conference.heard_apart(call) {
            self.settle(sid, speaker, ctx);
        }
    }

    /// Wires those who coach a participant, or coached one that has left.
    pub(crate) fn settle_coaches(
        &mut self,
        sid: ConferenceSid,
        coached: CallSid,
        ctx: &mut Context<'_>,
    ) {
        let Some(conference) = self.conferences.get(&sid) else { return };
        let coaches: Vec<CallSid> = conference.coaches_of(coached).collect();
        for coach in coaches {
            self.settle(sid, coach, ctx);
        }
    }

    fn participant_client(
        &self,
        sid: ConferenceSid,
        call: CallSid,
        owner: Owner,
    ) -> Option<Client> {
        let record = &self.conferences.get(&sid)?.record;
        Some(participant_client(self.calls.get(&call)?, record, owner))
    }

    /// A participant began to speak, or stopped: told where others can hear it.
    pub(crate) fn speech(&mut self, call: CallSid, speaking: bool, ctx: &mut Context<'_>) {
        self.speech_recorded(call, speaking, ctx);
        let Some((sid, participant)) = self.participant_mut(call) else { return };
        let record = &participant.record;
        let is_silenced = record.muted || record.hold || !participant.is_connected();
        if participant.speaking == speaking || speaking && is_silenced {
            return;
        }
        participant.speaking = speaking;
        let conference = self.conferences.get_mut(&sid).expect("its participant was just found");
        if !conference.is_started() {
            return;
        }
        let event = if speaking { ParticipantEvent::Speaks } else { ParticipantEvent::FallsSilent };
        let participant = conference.members.remove(&call).expect("just found");
        callbacks::participant_event(conference, &participant, event, ctx);
        conference.members.insert(call, participant);
    }

    /// Takes the answer to the request of a wait or hold document.
    pub(crate) fn music_fetched(
        &mut self,
        call: CallSid,
        result: Result<Fetched, Failure>,
        ctx: &mut Context<'_>,
    ) {
        self.run_music(call, ctx, |program, client, ctx| program.fetched(result, client, ctx));
    }

    /// Lets a wait or hold document take one step. Its end is silence; a wait document that fails
    /// sends a caller on in its own TwiML.
    pub(crate) fn run_music(
        &mut self,
        call: CallSid,
        ctx: &mut Context<'_>,
        step: impl FnOnce(&mut Program, &Client, &mut Context<'_>) -> Outcome,
    ) {
        let Some((sid, participant)) = self.participant_mut(call) else { return };
        let Some((kind, mut program)) = participant.music.take() else { return };
        let Some(client) = self.participant_client(sid, call, Owner::Music(call)) else { return };
        let outcome = step(&mut program, &client, ctx);
        let began = program.has_begun();
        let url = program.url().to_owned();
        if let Some((_, participant)) = self.participant_mut(call) {
            participant.music = Some((kind, program));
        }
        self.touch_participant(call);
        if let Outcome::Failed(failure) = outcome {
            ctx.notify(client.about(&url), Level::Error, &failure);
            let dialled = matches!(&self.calls[&call].joined, Some((_, Origin::Dial(_))));
            if kind == Music::Wait && !began && dialled {
                self.leave(call, LeaveReason::AddFailed, ctx);
                self.after_conference(call, FAILED, ctx);
            }
        }
    }

    /// Takes the answer to the request of a participant's announcement.
    pub(crate) fn announcement_fetched(
        &mut self,
        call: CallSid,
        result: Result<Fetched, Failure>,
        ctx: &mut Context<'_>,
    ) {
        self.run_announcement(call, ctx, |program, client, ctx| {
            program.fetched(result, client, ctx)
        });
    }

    /// Lets a participant's announcement take one step, and sees to what follows.
    pub(crate) fn run_announcement(
        &mut self,
        call: CallSid,
        ctx: &mut Context<'_>,
        step: impl FnOnce(&mut Program, &Client, &mut Context<'_>) -> Outcome,
    ) {
        let Some((sid, _)) = self.participant_mut(call) else { return };
        let Some(client) = self.participant_client(sid, call, Owner::Announcement(call)) else {
            return;
        };
        let Some((_, participant)) = self.participant_mut(call) else { return };
        let Some((document, mut program)) = participant.announcements.current.take() else {
            return;
        };
        let Some(end) = step(&mut program, &client, ctx).announced() else {
            participant.announcements.current = Some((document, program));
            self.touch_participant(call);
            self.settle(sid, call, ctx);
            return;
        };
        let failure = end.err();
        if let Some(failure) = &failure {
            ctx.notify(client.about(program.url()), Level::Error, failure);
        }
        let conference = self.conferences.get_mut(&sid).expect("found above");
        let participant = conference.members.remove(&call).expect("found above");
        let url = &document.url;
        callbacks::announcement_over(conference, Some(&participant), url, failure.as_ref(), ctx);
        conference.members.insert(call, participant);
        self.touch_participant(call);
        self.settle(sid, call, ctx);
    }
}

impl Participant {
    /// Brings wiring, music and announcements in line with the flags; `heard_by` is who
    /// hears it if it speaks at all, and who does so by a way of its own. Returns whether anything changed that a restart needs to know.
    pub(crate) fn settle(
        &mut self,
        started: bool,
        heard_by: (Speaks, Vec<CallSid>),
        client: impl Fn(Owner) -> Client,
        ctx: &mut Context<'_>,
    ) -> bool {
        let call = self.record.call;
        let mut changed = self.is_connected()
            && self.announcements.settle(|| client(Owner::Announcement(call)), ctx);
        let wanted = self.music_wanted(started);
        if wanted != self.music.as_ref().map(|(kind, _)| *kind) {
            changed = true;
            if let Some((_, mut program)) = self.music.take() {
                program.stop(ctx);
            }
            self.music = wanted.map(|kind| {
                let document = match kind {
                    Music::Wait => self.wait.clone(),
                    Music::Hold => self.hold.clone(),
                };
                (kind, Program::fetch(document, &client(Owner::Music(call)), ctx))
            });
        }
        let current = self.announcements.current.as_ref();
        let announcing = current.is_some_and(|(_, program)| program.is_under_way());
        if let Some((_, program)) = &mut self.music {
            changed |= program.pause(announcing, ctx);
        }
        let route = self.wiring(started, announcing, heard_by);
        let is_there = self.is_connected() || self.rings_aloud() || self.route.is_some();
        if is_there && self.route.as_ref() != Some(&route) {
            ctx.push(Effect::Route { call, route: route.clone() });
            self.route = Some(route);
        }
        changed
    }

    /// Whether its phone is to be heard before it has answered.
    fn rings_aloud(&self) -> bool {
        let is_ringing = self.record.status == ParticipantStatus::Ringing;
        is_ringing && self.early_media && self.sounds_early
    }

    /// Says how this participant is to be wired, given all that is known now.
    fn wiring(&self, started: bool, ducked: bool, heard_by: (Speaks, Vec<CallSid>)) -> Route {
        let record = &self.record;
        let present = (self.is_connected() || self.rings_aloud()) && !record.hold;
        let is_silent = !present || !started || record.muted;
        let (speaks, besides) = if is_silent { (Speaks::Nobody, Vec::new()) } else { heard_by };
        Route {
            room: Some(Room::Conference(record.conference)),
            speaks,
            besides,
            gain: self.edges.gain,
            cleaning: self.edges.cleaning,
            hears: match self.edges.hears_only {
                _ if !self.hears_the_room() => Hears::Nothing,
                Some(_) => Hears::Played,
                None => Hears::Everyone,
            },
            ducked,
        }
    }
}
