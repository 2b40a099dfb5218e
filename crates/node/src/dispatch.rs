//! Effects: what acts at once, and what waits for its commit.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use exchange::{Audience, Effect, Event, Failure, PlayId, Refusal, Reply, Sound, Speaks};
use media::{PlayTo, PlayerId, RoomId};
use model::{Account, CallSid, Callback, Change, ConferenceSid, ConferenceStatus};
use sip::{Peer, Transport};
use store::Committed;
use tokio::sync::{mpsc, oneshot};

use crate::assets;
use crate::core::{Core, Input, Loading};

/// The room is turned down by 12 dB under an announcement.
const DUCKED: f32 = 0.251_189;

/// What waits for a commit.
pub struct After {
    committed: Option<Committed>,
    reply: Option<(Reply, oneshot::Sender<Result<Reply, Refusal>>)>,
    effects: Vec<Effect>,
    callbacks: Vec<Callback>,
    stopped: Option<oneshot::Sender<()>>,
}

impl After {
    /// Tells that everything before it is committed.
    pub fn stopped(done: oneshot::Sender<()>) -> Self {
        Self {
            committed: None,
            reply: None,
            effects: Vec::new(),
            callbacks: Vec::new(),
            stopped: Some(done),
        }
    }
}

/// Waits for each commit in turn and does what hangs on it, so that order is kept.
pub async fn after_commit(
    mut waiting: mpsc::UnboundedReceiver<After>,
    inputs: mpsc::Sender<Input>,
    outbox: mpsc::UnboundedSender<Callback>,
    (client, account): (webhook::Client, Account),
) {
    while let Some(after) = waiting.recv().await {
        let written = match after.committed {
            None => true,
            Some(committed) => matches!(committed.await, Ok(Ok(()))),
        };
        if let Some((answer, reply)) = after.reply {
            let _ = reply.send(if written { Ok(answer) } else { Err(Refusal::StoreUnavailable) });
        }
        if !written {
            tracing::error!("rows could not be written");
        }
        for callback in after.callbacks {
            let _ = outbox.send(callback);
        }
        for effect in after.effects {
            match effect {
                Effect::Fetch { fetch, document, params, .. } => {
                    let (client, account) = (client.clone(), account.clone());
                    let inputs = inputs.clone();
                    tokio::spawn(async move {
                        let brought = assets::fetch(&client, &account, &document, params).await;
                        let _ = inputs.send(Input::Fetched(fetch, brought.map(Into::into))).await;
                    });
                }
                // Nobody is rung for a request that was answered by an error.
                Effect::Dial { call, .. } if !written => {
                    drop(inputs.send(Input::NotDialled(call)).await);
                }
                effect => drop(inputs.send(Input::Dial(Box::new(effect))).await),
            }
        }
        if let Some(stopped) = after.stopped {
            let _ = stopped.send(());
        }
    }
}

impl Core {
    /// Carries out effects in order; what must not happen twice waits for the rows.
    pub fn carry_out(
        &mut self,
        effects: Vec<Effect>,
        reply: Option<(Reply, oneshot::Sender<Result<Reply, Refusal>>)>,
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
                            self.rooms.remove(&record.sid);
                        }
                        _ => {}
                    }
                    changes.push(change);
                }
                Effect::Dial { .. } | Effect::Fetch { .. } => later.push(effect),
                effect => self.act(effect),
            }
        }
        // What the store does not even take is answered as what it could not write.
        let refused = || oneshot::channel().1;
        let committed = (!changes.is_empty())
            .then(|| self.parts.store.apply(changes).unwrap_or_else(|_| refused()));
        let after = After { committed, reply, effects: later, callbacks, stopped: None };
        let _ = self.after.send(after);
    }

    fn act(&mut self, effect: Effect) {
        let now = Instant::now();
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
                if let Some(id) = sip(self, &call) {
                    self.agent.hang_up(id, now);
                    self.unwire(call);
                }
            }
            Effect::Route { call, route } => self.route(call, &route),
            Effect::JitterBuffer { call, size } => {
                let delay_max = match size.as_str() {
                    "off" => Duration::ZERO,
                    "small" => Duration::from_millis(60),
                    "medium" => Duration::from_millis(120),
                    _ => media::DELAY_MAX,
                };
                if let Some(wired) = self.calls.get(&call) {
                    let bounds = media::Bounds { delay_max };
                    self.media(media::Command::BoundJitter(wired.leg, bounds));
                }
            }
            Effect::Play { play, audience, sound, loops, paused, .. } => {
                self.play(play, audience, sound, loops, paused);
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
            Effect::Write(_) | Effect::Dial { .. } | Effect::Fetch { .. } => {}
        }
    }

    fn room(&mut self, conference: ConferenceSid) -> RoomId {
        let last = &mut self.last;
        *self.rooms.entry(conference).or_insert_with(|| {
            *last += 1;
            RoomId(*last)
        })
    }

    fn route(&mut self, call: CallSid, route: &exchange::Route) {
        let room = route.conference.map(|conference| self.room(conference));
        let Some(wired) = self.calls.get(&call) else { return };
        let leg_of = |call: &CallSid| self.calls.get(call).map(|wired| wired.leg);
        let speaks = match &route.speaks {
            Speaks::Nobody => media::Speaks::Nobody,
            Speaks::Everyone => media::Speaks::Everyone,
            Speaks::Only(calls) => media::Speaks::Only(calls.iter().filter_map(leg_of).collect()),
        };
        let room_gain = if route.ducked { DUCKED } else { 1.0 };
        let route = media::Route { room, speaks, hears: route.hears, room_gain };
        self.media(media::Command::Route(wired.leg, route));
    }

    fn play(&mut self, play: PlayId, audience: Audience, sound: Sound, loops: u32, paused: bool) {
        let to = match audience {
            Audience::Conference(conference) => PlayTo::Room(self.room(conference)),
            Audience::Call(call) => match self.calls.get(&call) {
                Some(wired) => PlayTo::Leg(wired.leg),
                None => return self.unplayable(play, 13_224, "the call is gone"),
            },
        };
        let loops = (loops != 0).then_some(loops);
        let samples: Arc<[i16]> = match sound {
            Sound::Url(url) => {
                self.loading.insert(play, Loading { to, loops, paused });
                let (client, account) = (self.parts.client.clone(), self.parts.account.clone());
                let inputs = self.parts.inputs.clone();
                tokio::spawn(async move {
                    let loaded = assets::fetch_audio(&client, &account, &url).await;
                    let _ = inputs.send(Input::Loaded(play, loaded)).await;
                });
                return;
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
            Sound::EnterBeep => sound::enter_beep().into(),
            Sound::ExitBeep => sound::exit_beep().into(),
            Sound::Speech(_) => {
                return self.unplayable(play, 13_520, "this build has no voice for Say");
            }
        };
        let player = PlayerId(play.0);
        self.media(media::Command::Play { player, to, pcm: samples, loops, paused });
    }

    /// A sound has come, or will not.
    pub fn loaded(&mut self, play: PlayId, result: Result<Arc<[i16]>, Failure>) {
        let Some(Loading { to, loops, paused }) = self.loading.remove(&play) else { return };
        match result {
            Ok(pcm) => {
                let player = PlayerId(play.0);
                self.media(media::Command::Play { player, to, pcm, loops, paused });
            }
            Err(failure) => self.event(Event::PlayEnded { play, result: Err(failure) }),
        }
    }

    fn unplayable(&mut self, play: PlayId, code: u32, message: &str) {
        // By the queue, so that the exchange is not asked while it is being carried out.
        self.loading
            .insert(play, Loading { to: PlayTo::Room(RoomId(0)), loops: None, paused: false });
        let failure = Failure { code, message: message.to_owned() };
        let inputs = self.parts.inputs.clone();
        tokio::spawn(async move {
            let _ = inputs.send(Input::Loaded(play, Err(failure))).await;
        });
    }

    /// Dials, now that the call's row is committed.
    pub fn dial(&mut self, effect: Effect) {
        let Effect::Dial { call, to, from, display_name, auth, .. } = effect else { return };
        let id = self.agent.new_call();
        let target = self.target(&to);
        let (Some((uri, peer)), true) = (target, self.open(call, id)) else {
            return self.event(Event::CallFailed { call, status: 404 });
        };
        let media = self.calls[&call].media;
        let name = display_name.as_deref();
        self.agent.invite(id, &uri, peer, (&from, name), media, Instant::now());
        if let Some((user, password)) = auth {
            self.agent.set_credentials(id, sip::Credentials { user, password });
        }
    }

    /// Returns the Request-URI and the address behind a `To`.
    fn target(&self, to: &str) -> Option<(String, Peer)> {
        let user = to.strip_prefix("client:").unwrap_or(to);
        let Some(rest) = to.strip_prefix("sip:") else { return self.agent.binding(user) };
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let transport = if host.to_ascii_lowercase().contains(";transport=tcp") {
            Transport::Tcp
        } else {
            Transport::Udp
        };
        let host = host.split([';', '?']).next().unwrap_or(host);
        let address = host
            .parse()
            .or_else(|_| {
                host.trim_matches(['[', ']']).parse::<IpAddr>().map(|ip| (ip, 5_060).into())
            })
            .ok()?;
        let allowed = self.parts.config.guard.allows(SocketAddr::ip(&address));
        allowed.then(|| (to.to_owned(), Peer { address, transport }))
    }
}
