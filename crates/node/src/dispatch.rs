//! Effects: what acts at once, and what waits for its commit.

use std::net::IpAddr;
use std::sync::Arc;

use exchange::{
    Audience, Effect, Event, Failure, Hears, PlayId, Refusal, Reply, Room, Sound, Speaks,
};
use media::{PlayTo, PlayerId, RoomId};
use model::{AccountSid, CallSid, Callback, Change, ConferenceStatus, Now};
use sip::{Callee, Peer};

use crate::core::{BatchId, Core, Loading, Output, Ticket, Written};
use crate::parameters;
use crate::target::{Host, Target, user_in};
use crate::trunks::{Outbound, UNAVAILABLE};
use crate::wired::jitter_bounds;

/// The room is turned down by 12 dB under an announcement.
const DUCKED: f32 = 0.251_189;

/// What waits for a commit, and for all that came before it.
#[derive(Debug, Default)]
pub struct After {
    batch: Option<BatchId>,
    reply: Option<(Ticket, Reply)>,
    effects: Vec<Effect>,
    callbacks: Vec<Callback>,
    stopped: bool,
}

impl After {
    /// Tells that everything before it is committed.
    pub fn stopped() -> Self {
        Self { stopped: true, ..Self::default() }
    }
}

impl Core {
    /// Carries out effects in order; what must not happen twice waits for the rows.
    pub(crate) fn carry_out(
        &mut self,
        effects: Vec<Effect>,
        reply: Option<(Ticket, Reply)>,
        now: Now,
    ) {
        if effects.is_empty() && reply.is_none() {
            return;
        }
        let mut changes = Vec::new();
        let mut later = Vec::new();
        let mut callbacks = Vec::new();
        for effect in effects {
            match effect {
                Effect::Write(change) => {
                    match &change {
                        Change::Callback(callback) => callbacks.push((**callback).clone()),
                        Change::Conference { record, .. }
                            if record.status == ConferenceStatus::Completed =>
                        {
                            self.rooms.remove(&Room::Conference(record.sid));
                        }
                        _ => {}
                    }
                    changes.push(change);
                }
                Effect::Dial { .. } | Effect::Fetch { .. } | Effect::EraseRecording(_) => {
                    later.push(effect);
                }
                effect => self.act(effect, now),
            }
        }
        let batch = self.hand_out(changes);
        self.after.push_back(After { batch, reply, effects: later, callbacks, stopped: false });
    }

    /// Commits rows on which nothing hangs.
    pub(crate) fn commit(&mut self, changes: Vec<Change>) {
        let batch = self.hand_out(changes);
        self.after.push_back(After { batch, ..After::default() });
    }

    fn hand_out(&mut self, changes: Vec<Change>) -> Option<BatchId> {
        if changes.is_empty() {
            return None;
        }
        self.last += 1;
        let batch = BatchId(self.last);
        self.outputs.push_back(Output::Commit(batch, changes));
        Some(batch)
    }

    /// Does what hangs on the oldest commit; false where that is still waited for.
    pub(crate) fn release(&mut self, now: Now) -> bool {
        let written = match self.after.front().map(|after| after.batch) {
            None => return false,
            Some(None) if self.late.is_empty() => Written::Yes,
            // What it shows may not be written yet.
            Some(None) => Written::Later,
            Some(Some(batch)) => match self.committed.remove(&batch) {
                None => return false,
                Some(written) => written,
            },
        };
        let Some(after) = self.after.pop_front() else { return false };
        if let Some((ticket, answer)) = after.reply {
            let failed = written != Written::Yes;
            self.reply(ticket, if failed { Err(Refusal::StoreUnavailable) } else { Ok(answer) });
        }
        if written != Written::Yes {
            tracing::error!("rows could not be written");
        }
        if let Some(batch) = after.batch {
            self.tell(batch, written, after.callbacks);
        }
        for effect in after.effects {
            match effect {
                Effect::Fetch { fetch, account, call, document, params } => {
                    self.outputs.push_back(Output::Fetch {
                        fetch,
                        account,
                        call,
                        document,
                        params,
                    });
                }
                Effect::EraseRecording(recording) if written == Written::Yes => {
                    self.outputs.push_back(Output::EraseRecording(recording));
                }
                // Nobody is rung for a request that was answered by an error.
                Effect::Dial { call, .. } if written != Written::Yes => {
                    self.event(Event::CallFailed { call, status: 503 }, now);
                }
                effect => self.dial(effect, now),
            }
        }
        if after.stopped {
            self.outputs.push_back(Output::Stopped);
        }
        true
    }

    /// Hands out the callbacks of a batch: none before its row is written, none before those of
    /// the batches before.
    fn tell(&mut self, batch: BatchId, written: Written, callbacks: Vec<Callback>) {
        match written {
            Written::Yes if self.late.is_empty() => {
                self.outputs.extend(callbacks.into_iter().map(Output::Callback));
            }
            Written::Yes => self.late.push_back((batch, true, callbacks)),
            Written::Later => self.late.push_back((batch, false, callbacks)),
            Written::Never => {}
        }
    }

    /// Takes note of a batch that was written after all, or never will be; false for one that is
    /// not waited for.
    pub(crate) fn written_late(&mut self, batch: BatchId, written: Written) -> bool {
        let waits = |(other, told, _): &&mut (BatchId, bool, _)| *other == batch && !*told;
        let Some((_, told, callbacks)) = self.late.iter_mut().find(waits) else { return false };
        *told = true;
        if written != Written::Yes {
            callbacks.clear();
        }
        while let Some((_, _, callbacks)) = self.late.pop_front_if(|(_, told, _)| *told) {
            self.outputs.extend(callbacks.into_iter().map(Output::Callback));
        }
        true
    }

    fn act(&mut self, effect: Effect, now: Now) {
        let now = now.instant;
        let sip = |core: &Self, call: &CallSid| core.calls.get(call).map(|wired| wired.sip);
        match effect {
            Effect::Ring(call) => {
                if let Some(id) = sip(self, &call) {
                    self.agent.ring(id);
                }
            }
            Effect::Answer(call) => {
                if let Some(wired) = self.calls.get(&call).cloned() {
                    self.agent.answer(wired.sip, wired.media, now);
                }
            }
            Effect::Reject { call, status } => {
                if let Some(id) = sip(self, &call) {
                    self.agent.reject(id, status, now);
                    self.unwire(call);
                }
            }
            Effect::HangUp(call) => {
                // It may have no phone yet.
                self.trunks.release(call);
                if let Some(id) = sip(self, &call) {
                    self.agent.hang_up(id, now);
                    self.part(call);
                }
            }
            Effect::Route { call, route } => self.route(call, &route),
            Effect::JitterBuffer { call, size } => {
                if let Some(wired) = self.calls.get_mut(&call) {
                    wired.bounds = jitter_bounds(&size);
                    let bound = media::Command::BoundJitter(wired.leg, wired.bounds);
                    self.media(bound);
                }
            }
            Effect::Detect { call, limits } => self.detect(call, limits),
            Effect::Play { play, account, audience, sound, loops, paused } => {
                self.play(play, account, audience, sound, (loops, paused));
            }
            Effect::Pause { play, paused } => {
                if let Some(loading) = self.loading.get_mut(&play) {
                    loading.paused = paused;
                } else {
                    self.media(media::Command::Pause(PlayerId(play.0), paused));
                }
            }
            Effect::Stop(play) => {
                if self.loading.remove(&play).is_none() {
                    self.media(media::Command::Stop(PlayerId(play.0)));
                }
            }
            Effect::Record { recording, of, channels, tracks, track, first, trim } => {
                self.record(recording, &of, (channels, tracks), track, first, trim);
            }
            Effect::Track { recording, call } => self.track(recording, call),
            Effect::PauseRecording { recording, pause } => self.pause_recording(recording, pause),
            Effect::StopRecording(recording) => self.stop_recording(recording),
            Effect::Hear { hearing, call } => self.hear(hearing, call),
            Effect::HearPartly { hearing, wanted } => self.hear_partly(hearing, wanted, now),
            Effect::EndHearing { hearing, wanted } => self.end_hearing(hearing, wanted),
            Effect::Write(_)
            | Effect::Dial { .. }
            | Effect::Fetch { .. }
            | Effect::EraseRecording(_) => {}
        }
    }

    /// Returns the room in which a call's `<Dial>` connects it with another.
    pub fn bridge_of(&self, call: CallSid) -> Option<RoomId> {
        self.rooms.get(&Room::Bridge(call)).copied()
    }

    pub(crate) fn room(&mut self, room: Room) -> RoomId {
        let last = &mut self.last;
        *self.rooms.entry(room).or_insert_with(|| {
            *last += 1;
            RoomId(*last)
        })
    }

    fn route(&mut self, call: CallSid, route: &exchange::Route) {
        let room = route.room.map(|room| self.room(room));
        let Some(wired) = self.calls.get(&call) else { return };
        let leg_of = |call: &CallSid| self.calls.get(call).map(|wired| wired.leg);
        let speaks = match &route.speaks {
            Speaks::Nobody => media::Speaks::Nobody,
            Speaks::Everyone => media::Speaks::Everyone,
            Speaks::Only(calls) => media::Speaks::Only(calls.iter().filter_map(leg_of).collect()),
        };
        let room_gain = if route.ducked { DUCKED } else { 1.0 };
        let hears = match route.hears {
            Hears::Nothing => media::Hears::Nothing,
            Hears::Everyone => media::Hears::Everyone,
            Hears::Played => media::Hears::Played,
        };
        let besides = route.besides.iter().filter_map(leg_of).collect();
        let gain = route.gain.linear();
        let exchange::Cleaning { levelling, noise_suppression } = route.cleaning;
        let cleaning = media::Cleaning { levelling, noise_suppression };
        let route = media::Route { room, speaks, besides, gain, cleaning, hears, room_gain };
        self.media(media::Command::Route(wired.leg, route));
    }

    fn play(
        &mut self,
        play: PlayId,
        account: AccountSid,
        audience: Audience,
        sound: Sound,
        (loops, paused): (u32, bool),
    ) {
        let to = match audience {
            Audience::Conference(conference) => {
                PlayTo::Room(self.room(Room::Conference(conference)))
            }
            Audience::Call(call) => match self.calls.get(&call) {
                Some(wired) => PlayTo::Leg(wired.leg),
                None => return self.unplayable(play, 13_224, "the call is gone"),
            },
        };
        let loops = (loops != 0).then_some(loops);
        let samples: Arc<[i16]> = match sound {
            Sound::Url(_) | Sound::Speech(_) => {
                self.loading.insert(play, Loading { to, loops, paused });
                return self.outputs.push_back(Output::Load { play, account, sound });
            }
            Sound::Digits(digits) => {
                if let PlayTo::Leg(leg) = to {
                    self.media(media::Command::SendDigits(leg, PlayerId(play.0), digits));
                }
                return;
            }
            Sound::Audio(id) => match self.audio.remove(&id) {
                Some(samples) => samples,
                None => return self.unplayable(play, 12_300, "the sound is gone"),
            },
            Sound::RingTone(country) => self.signals.ring_tone(&country),
            Sound::EnterBeep => self.signals.enter_beep(),
            Sound::ExitBeep => self.signals.exit_beep(),
        };
        let player = PlayerId(play.0);
        self.media(media::Command::Play { player, to, pcm: samples, loops, paused });
    }

    /// A sound has come, or will not.
    pub(crate) fn loaded(&mut self, play: PlayId, result: Result<Arc<[i16]>, Failure>, now: Now) {
        let Some(Loading { to, loops, paused }) = self.loading.remove(&play) else { return };
        match result {
            Ok(pcm) => {
                let player = PlayerId(play.0);
                self.media(media::Command::Play { player, to, pcm, loops, paused });
            }
            Err(failure) => self.event(Event::PlayEnded { play, result: Err(failure) }, now),
        }
    }

    fn unplayable(&mut self, play: PlayId, code: u32, message: &str) {
        self.unplayable.push_back((play, Failure { code, message: message.to_owned() }));
    }

    /// Dials, now that the call's row is committed. A host's name is resolved first.
    fn dial(&mut self, mut effect: Effect, now: Now) {
        let Effect::Dial { call, to, parameters, .. } = &effect else { return };
        let (call, to, parameters) = (*call, to.clone(), parameters.clone());
        if let Some(binding) = self.in_domain(&to) {
            return self.invite(effect, binding, now);
        }
        let Some(target) = Target::parse(&to) else {
            let user = user_in(&to);
            let known = self.agent.binding(user).is_some() || self.own_line(user).is_some();
            if !known && self.trunks.carry(&to) {
                let first = Outbound { effect, tried: Vec::new(), last: None, turn: None };
                return self.call_out(first, now);
            }
            let along =
                |(uri, peer): (String, Peer)| (parameters::to_client(uri, &parameters), peer);
            let ours = || {
                let (uri, peer) = self.own_line(user)?;
                self.prove_ourselves(&mut effect);
                Some((parameters::to_line(uri, &parameters), peer))
            };
            let binding = self.agent.binding(user).map(along).or_else(ours);
            let binding = binding.or_else(|| self.virtual_phone(&to));
            return self.invite(effect, binding, now);
        };
        match &target.host {
            Host::Ip(ip) => {
                let callee = target.callee(&[*ip], self.settings.guard, self.settings.sip.ip());
                self.invite_unless_trunk(effect, callee.map(|callee| (to, callee)), now);
            }
            Host::Name(name) => {
                self.outputs.push_back(Output::Resolve { call, name: name.clone() });
                self.dialling.insert(call, (effect, target));
            }
        }
    }

    /// The addresses of a host that is to be dialled have come; none: it has none.
    pub(crate) fn resolved(&mut self, call: CallSid, addresses: &[IpAddr], now: Now) {
        let Some((effect, target)) = self.dialling.remove(&call) else { return };
        let Effect::Dial { to, .. } = &effect else { return };
        let callee = target.callee(addresses, self.settings.guard, self.settings.sip.ip());
        let found = callee.map(|callee| (to.clone(), callee));
        self.invite_unless_trunk(effect, found, now);
    }

    /// Calls an address unless a trunk is there, whose rules it would pass by.
    fn invite_unless_trunk(&mut self, effect: Effect, target: Option<(String, Callee)>, now: Now) {
        let at_trunk =
            target.as_ref().is_some_and(|(_, callee)| self.trunks.are_at(callee.peer.address));
        match effect {
            Effect::Dial { call, .. } if at_trunk => {
                self.event(Event::CallFailed { call, status: 403 }, now);
            }
            effect => self.invite(effect, target, now),
        }
    }

    /// Calls a Request-URI at an address, unless the call was taken back meanwhile.
    fn invite<C: Into<Callee>>(&mut self, effect: Effect, target: Option<(String, C)>, now: Now) {
        let Effect::Dial { call, to, from, display_name, auth, parent, .. } = effect else {
            return;
        };
        if !self.exchange.has_call(call) {
            return;
        }
        let id = self.agent.new_call();
        let fails = |status| Event::CallFailed { call, status };
        let Some((uri, callee)) = target else { return self.event(fails(404), now) };
        let callee = callee.into();
        if !self.open(call, id) {
            return self.event(fails(UNAVAILABLE), now);
        }
        // The virtual phones are in this process, and speak in the clear.
        let is_ours = self.settings.virtual_phones == Some(callee.peer.address);
        let srtp = if is_ours { Some(sip::SrtpPolicy::Off) } else { self.srtp_for(&to) };
        let offered = self.offered_media(call, parent, srtp);
        let name = display_name.as_deref();
        self.agent.invite(id, &uri, callee, (&from, name), offered, now.instant);
        if let Some(sip_call_id) = self.agent.call_id(id).map(str::to_owned) {
            self.event(Event::CallDialled { call, sip_call_id }, now);
        }
        if let Some((user, password)) = auth {
            self.agent.set_proof(id, sip::Credentials { user, password }.into());
        }
    }
}
