//! What each participant hears: the room, music, announcements; and to whom its voice goes.
//!
//! One function, [`Participant::wiring`], says how a participant is wired, whatever the reason for asking.

use std::collections::BTreeSet;

use model::{CallSid, ConferenceSid, Level, ParticipantStatus};

use crate::call::Origin;
use crate::context::{Context, Owner};
use crate::exchange::{Touched, World};
use crate::participants::*;
use crate::program::{Client, Outcome, Program};
use crate::*;

impl World {
    /// Wires everyone as they are to be wired now, and plays to each what is to be played.
    pub(crate) fn settle_members(&mut self, sid: ConferenceSid, ctx: &mut Context<'_>) {
        let Some(conference) = self.conferences.get(&sid) else { return };
        let started = conference.is_started();
        let reachable: BTreeSet<CallSid> = conference
            .members
            .values()
            .filter(|member| member.is_connected() && !member.record.hold)
            .map(|member| member.record.call)
            .collect();
        for call in conference.in_order() {
            let Some(client) = self.participant_client(sid, call, Owner::Music(call)) else {
                continue;
            };
            let conference = self.conferences.get_mut(&sid).expect("found above");
            let participant = conference.members.get_mut(&call).expect("listed just now");
            let settled = participant.settle(started, &reachable, &client, ctx);
            if settled {
                self.touched.insert(Touched::Call(call));
            }
        }
    }

    /// For whom a participant's programs run.
    pub(crate) fn participant_client(
        &self,
        sid: ConferenceSid,
        call: CallSid,
        owner: Owner,
    ) -> Option<Client> {
        let conference = self.conferences.get(&sid)?;
        let mut client = self.calls.get(&call)?.client();
        client.owner = owner;
        client.conference = Some(sid);
        client.params.push(("ConferenceSid".to_owned(), sid.to_string()));
        let name = conference.record.friendly_name.clone();
        client.params.push(("FriendlyName".to_owned(), name));
        Some(client)
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
        let began = program.has_begun();
        let outcome = step(&mut program, &client, ctx);
        let url = program.url().to_owned();
        if let Some((_, participant)) = self.participant_mut(call) {
            participant.music = Some((kind, program));
        }
        self.touch(call);
        if let Outcome::Failed(failure) = outcome {
            ctx.notify(client.about(&url), Level::Error, &failure);
            let dialled = matches!(&self.calls[&call].joined, Some((_, Origin::Dial(_))));
            if kind == Music::Wait && !began && dialled {
                self.leave(call, LeaveReason::AddFailed, ctx);
                self.after_conference(call, ctx);
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
        let failure = match step(&mut program, &client, ctx) {
            Outcome::Going => {
                participant.announcements.current = Some((document, program));
                self.touch(call);
                self.settle_members(sid, ctx);
                return;
            }
            Outcome::Failed(failure) => Some(failure),
            Outcome::Ended | Outcome::Dial(_) | Outcome::HangUp | Outcome::Reject(_) => None,
        };
        if let Some(failure) = &failure {
            ctx.notify(client.about(&document.url), Level::Error, failure);
        }
        let conference = self.conferences.get_mut(&sid).expect("found above");
        let participant = conference.members.remove(&call).expect("found above");
        let url = &document.url;
        callbacks::announcement_over(conference, Some(&participant), url, failure.as_ref(), ctx);
        conference.members.insert(call, participant);
        self.touch(call);
        self.settle_members(sid, ctx);
    }
}

impl Participant {
    /// Brings wiring, music and announcements in line with the flags. Returns whether anything
    /// had to change.
    pub(crate) fn settle(
        &mut self,
        started: bool,
        reachable: &BTreeSet<CallSid>,
        client: &Client,
        ctx: &mut Context<'_>,
    ) -> bool {
        let mut changed = false;
        if self.is_connected() {
            let client = Client { owner: Owner::Announcement(self.record.call), ..client.clone() };
            let began = self.announcements.current.is_none();
            self.announcements.settle(&client, ctx);
            changed |= began && self.announcements.current.is_some();
        }
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
                (kind, Program::fetch(document, client, ctx))
            });
        }
        let announcing =
            self.announcements.current.as_ref().is_some_and(|(_, program)| program.is_playing());
        if let Some((_, program)) = &mut self.music {
            program.pause(announcing, ctx);
        }
        let route = self.wiring(started, announcing, reachable);
        if self.route.as_ref() != Some(&route) {
            changed = true;
            ctx.push(Effect::Route { call: self.record.call, route: route.clone() });
            self.route = Some(route);
        }
        changed
    }

    /// Says how this participant is to be wired, given all that is known now.
    pub(crate) fn wiring(
        &self,
        started: bool,
        ducked: bool,
        reachable: &BTreeSet<CallSid>,
    ) -> Route {
        let record = &self.record;
        let early = self.early_media && record.status == ParticipantStatus::Ringing;
        let present = (self.is_connected() || early) && !record.hold;
        let speaks = if !present || !started || record.muted {
            Speaks::Nobody
        } else if let (true, Some(coached)) = (record.coaching, record.call_to_coach) {
            if reachable.contains(&coached) { Speaks::Only(vec![coached]) } else { Speaks::Nobody }
        } else {
            Speaks::Everyone
        };
        Route {
            conference: Some(record.conference),
            speaks,
            hears: self.is_connected() && !record.hold,
            ducked,
        }
    }
}
