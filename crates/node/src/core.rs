//! The task that owns the exchange and the SIP agent: it takes what comes in, and hands out what
//! is to be done.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use exchange::{
    AudioId, Command, Effect, Event, Exchange, Failure, FetchId, Fetched, Gone, Instructions,
    PlayId, Refusal, Reply,
};
use media::{LegId, LegOptions, PlayTo, PlayerId, RoomId, Shard, TapId};
use model::{Account, CallSid, Callback, Change, ConferenceSid};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sip::{Agent, CallId, Ended, Peer, Transport};
use store::Store;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{mpsc, oneshot};

use crate::assets::Brought;
use crate::dispatch::After;
use crate::media_thread::{self, Lateness};
use crate::ports::Ports;
use crate::streams::{Arrived, Streams};
use crate::{Config, Document, Pair, Stats, now};

/// Media commands that wait for the next tick.
const MEDIA_MAX: usize = 65_536;
const EVENTS_MAX: usize = 4_096;
/// How often the core looks when nothing is due.
const IDLE: Duration = Duration::from_secs(1);

/// What reaches the core.
#[derive(Debug)]
pub enum Input {
    Command(Box<Command>, oneshot::Sender<Result<Reply, Refusal>>),
    Dial(Box<Effect>),
    NotDialled(CallSid),
    Fetched(FetchId, Result<BroughtDebug, Failure>),
    Loaded(PlayId, Result<Arc<[i16]>, Failure>),
    Audibility(ConferenceSid, oneshot::Sender<Vec<Pair>>),
    OpenTap(ConferenceSid, oneshot::Sender<Option<TapId>>),
    ReadTap(TapId, oneshot::Sender<Vec<i16>>),
    CloseTap(TapId),
    Stats(oneshot::Sender<Stats>),
    Stop(oneshot::Sender<()>),
}

/// A document or sound that was brought.
#[derive(Debug)]
pub enum BroughtDebug {
    Document(Fetched),
    Audio(Arc<[i16]>),
}

impl From<Brought> for BroughtDebug {
    fn from(brought: Brought) -> Self {
        match brought {
            Brought::Document(document) => Self::Document(document),
            Brought::Audio(samples) => Self::Audio(samples),
        }
    }
}

/// What the core is made of.
pub struct Parts {
    pub config: Arc<Config>,
    pub store: Store,
    pub account: Account,
    pub client: webhook::Client,
    pub socket: UdpSocket,
    pub sip: SocketAddr,
    pub inputs: mpsc::Sender<Input>,
    pub callbacks: mpsc::UnboundedSender<Callback>,
    /// Dialogs of the last process, which are to be ended.
    pub dialogs: Vec<sip::Dialog>,
}

/// One call's names on both sides.
#[derive(Debug, Clone)]
pub struct Wired {
    pub sip: CallId,
    pub leg: LegId,
    pub media: SocketAddr,
    pub added: bool,
    /// Whether its dialog is in the store.
    pub kept: bool,
}

/// A sound whose samples are on their way, and what was asked of it meanwhile.
#[derive(Debug)]
pub struct Loading {
    pub to: PlayTo,
    pub loops: Option<u32>,
    pub paused: bool,
}

/// The core.
pub struct Core {
    pub parts: Parts,
    pub exchange: Exchange,
    pub agent: Agent,
    streams: Streams,
    pub ports: Ports,
    pub media: SyncSender<media_thread::Input>,
    pub after: mpsc::UnboundedSender<After>,
    pub calls: BTreeMap<CallSid, Wired>,
    pub by_sip: BTreeMap<CallId, CallSid>,
    pub by_leg: BTreeMap<LegId, CallSid>,
    pub rooms: BTreeMap<ConferenceSid, RoomId>,
    pub audio: BTreeMap<AudioId, Arc<[i16]>>,
    pub loading: BTreeMap<PlayId, Loading>,
    pub last: u64,
    random: ChaCha12Rng,
    lateness: Arc<Lateness>,
    stopping: Option<oneshot::Sender<()>>,
}

/// Starts the media thread and the core's task.
pub fn start(
    parts: Parts,
    listener: TcpListener,
    inbox: mpsc::Receiver<Input>,
) -> std::io::Result<()> {
    let mut random = ChaCha12Rng::from_os_rng();
    let (media, media_inbox) = sync_channel(MEDIA_MAX);
    let (events, media_events) = mpsc::channel(EVENTS_MAX);
    let lateness = Arc::new(Lateness::default());
    let (shard, shared) = (Shard::new(random.next_u64()), Arc::clone(&lateness));
    std::thread::Builder::new()
        .name("media".to_owned())
        .spawn(move || media_thread::run(shard, &media_inbox, &events, &shared))?;
    let (after, committed) = mpsc::unbounded_channel();
    tokio::spawn(crate::dispatch::after_commit(
        committed,
        parts.inputs.clone(),
        parts.callbacks.clone(),
        (parts.client.clone(), parts.account.clone()),
    ));
    let mut seed = [0; 32];
    random.fill_bytes(&mut seed);
    let listens = parts.socket.local_addr()?.ip();
    let access = sip::Access {
        credentials: sip::Credentials {
            user: parts.account.sid.to_string(),
            password: parts.account.auth_token.clone(),
        },
        loopback_is_free: true,
    };
    let open = sip::Config::open(parts.sip, seed);
    let (streams, arrived) = Streams::start(listener);
    let mut core = Core {
        exchange: Exchange::new(random.next_u64()),
        agent: Agent::new(sip::Config { access: Some(access), ..open }),
        streams,
        ports: Ports::new(listens, parts.config.rtp_ports),
        parts,
        media,
        after,
        calls: BTreeMap::new(),
        by_sip: BTreeMap::new(),
        by_leg: BTreeMap::new(),
        rooms: BTreeMap::new(),
        audio: BTreeMap::new(),
        loading: BTreeMap::new(),
        last: 0,
        random,
        lateness,
        stopping: None,
    };
    for dialog in std::mem::take(&mut core.parts.dialogs) {
        core.agent.end_dialog(dialog, Instant::now());
    }
    tokio::spawn(core.run(inbox, media_events, arrived));
    Ok(())
}

impl Core {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Input>,
        mut media_events: mpsc::Receiver<media::Event>,
        mut arrived: mpsc::Receiver<Arrived>,
    ) {
        let mut datagram = vec![0; sip::MESSAGE_MAX];
        loop {
            let due = self.agent.poll_timeout().into_iter().chain(self.exchange.poll_timeout());
            let wake = due.min().unwrap_or_else(|| Instant::now() + IDLE);
            tokio::select! {
                received = self.parts.socket.recv_from(&mut datagram) => {
                    if let Ok((length, from)) = received {
                        self.agent.handle_message(from, &datagram[..length], Instant::now());
                    }
                }
                Some(arrived) = arrived.recv() => self.arrived(arrived),
                Some(input) = inbox.recv() => self.handle(input),
                Some(event) = media_events.recv() => self.heard(event),
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            self.agent.handle_timeout(Instant::now());
            let mut effects = Vec::new();
            self.exchange.handle_timeout(now(), &mut effects);
            self.carry_out(effects, None);
            while let Some(event) = self.agent.poll_event() {
                self.signalled(event);
            }
            while let Some(transmit) = self.agent.poll_transmit() {
                match transmit.transport {
                    // A full buffer is loss; SIP repeats what matters.
                    Transport::Udp => {
                        drop(self.parts.socket.try_send_to(&transmit.octets, transmit.to));
                    }
                    Transport::Tcp => self.streams.send(transmit.to, transmit.octets),
                }
            }
            if self.exchange.calls() == 0
                && let Some(done) = self.stopping.take()
            {
                let _ = self.after.send(After::stopped(done));
            }
        }
    }

    fn arrived(&mut self, arrived: Arrived) {
        let peer = |address| Peer { address, transport: Transport::Tcp };
        match arrived {
            Arrived::Message(from, octets) => {
                self.agent.handle_message(peer(from), &octets, Instant::now());
            }
            Arrived::TooLarge(from, head) => self.agent.handle_too_large(peer(from), &head),
        }
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Command(command, reply) if self.stopping.is_some() => {
                drop(command);
                let _ = reply.send(Err(Refusal::ShuttingDown));
            }
            Input::Command(command, reply) => {
                let mut effects = Vec::new();
                match self.exchange.handle_command(*command, now(), &mut effects) {
                    Ok(answer) => self.carry_out(effects, Some((answer, reply))),
                    Err(refusal) => drop(reply.send(Err(refusal))),
                }
            }
            Input::Dial(effect) => self.dial(*effect),
            Input::NotDialled(call) => self.event(Event::CallFailed { call, status: 503 }),
            Input::Fetched(fetch, result) => {
                let result = result.map(|brought| match brought {
                    BroughtDebug::Document(document) => document,
                    BroughtDebug::Audio(samples) => {
                        self.last += 1;
                        let id = AudioId(self.last);
                        self.audio.insert(id, samples);
                        Fetched::Audio(id)
                    }
                });
                self.event(Event::Fetched { fetch, result });
            }
            Input::Loaded(play, result) => self.loaded(play, result),
            Input::Audibility(conference, reply) => self.audibility(conference, reply),
            Input::OpenTap(conference, reply) => {
                let room = self.rooms.get(&conference).copied();
                let tap = room.map(|room| {
                    self.last += 1;
                    let tap = TapId(self.last);
                    self.media(media::Command::OpenTap(tap, room));
                    tap
                });
                let _ = reply.send(tap);
            }
            Input::ReadTap(tap, reply) => {
                let _ = self.media.try_send(media_thread::Input::ReadTap(tap, reply));
            }
            Input::CloseTap(tap) => self.media(media::Command::CloseTap(tap)),
            Input::Stats(reply) => self.stats(reply),
            Input::Stop(done) => {
                let mut effects = Vec::new();
                self.exchange.hang_up_all(now(), &mut effects);
                self.carry_out(effects, None);
                self.stopping = Some(done);
            }
        }
    }

    /// Hands an event to the exchange and does what comes of it.
    pub fn event(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.exchange.handle_event(event, now(), &mut effects);
        self.carry_out(effects, None);
    }

    fn heard(&mut self, event: media::Event) {
        let of = |leg: &LegId| self.by_leg.get(leg).copied();
        match event {
            media::Event::PlayerEnded(PlayerId(play)) => {
                self.event(Event::PlayEnded { play: PlayId(play), result: Ok(()) });
            }
            media::Event::Digit(leg, digit) => {
                if let Some(call) = of(&leg) {
                    self.event(Event::Digit { call, digit });
                }
            }
            media::Event::Silent(leg) => {
                if let Some(call) = of(&leg) {
                    self.event(Event::CallGone { call, why: Gone::NoAudio });
                }
            }
        }
    }

    fn signalled(&mut self, event: sip::Event) {
        let of = |id: &CallId| self.by_sip.get(id).copied();
        match event {
            sip::Event::Invite(invitation) => self.offered(*invitation),
            sip::Event::Ringing(id, session) => {
                let Some(call) = of(&id) else { return };
                let early_media = session.is_some();
                if let Some(session) = session {
                    self.wire(call, &session);
                }
                self.event(Event::CallRinging { call, early_media });
            }
            sip::Event::Answered(id, session) => {
                let Some(call) = of(&id) else { return };
                self.keep_dialog(call, id);
                if let Some(session) = session {
                    self.wire(call, &session);
                }
                self.event(Event::CallAnswered { call });
            }
            sip::Event::Acknowledged(id, session) => {
                let Some(call) = of(&id) else { return };
                self.keep_dialog(call, id);
                if let Some(session) = session {
                    self.wire(call, &session);
                }
                self.event(Event::CallAnswered { call });
            }
            sip::Event::MediaChanged(id, session) => {
                if let Some(call) = of(&id) {
                    self.wire(call, &session);
                }
            }
            sip::Event::Failed(id, status) => {
                if let Some(call) = of(&id) {
                    self.event(Event::CallFailed { call, status });
                    self.unwire(call);
                }
            }
            sip::Event::Digit(id, digit) => {
                if let Some(call) = of(&id) {
                    self.event(Event::Digit { call, digit });
                }
            }
            sip::Event::Ended(id, ended) => {
                if let Some(call) = of(&id) {
                    let why = match ended {
                        Ended::HungUp => Gone::HungUp,
                        Ended::Lost => Gone::Lost,
                    };
                    self.event(Event::CallGone { call, why });
                    self.unwire(call);
                }
            }
            sip::Event::Registered(user) => self.event(Event::Registered { user }),
            sip::Event::Unregistered(user) => self.event(Event::Unregistered { user }),
        }
    }

    fn offered(&mut self, invitation: sip::Invitation) {
        let mut octets = [0; 16];
        self.random.fill_bytes(&mut octets);
        let call = CallSid::new(octets);
        if self.stopping.is_some() || !self.open(call, invitation.call) {
            return self.agent.reject(invitation.call, 503, Instant::now());
        }
        if let Some(session) = &invitation.offer {
            self.wire(call, session);
        }
        let user = invitation.to.split_once(':').map_or("", |(_, rest)| rest);
        let user = user.split_once('@').map_or("", |(user, _)| user);
        let instructions = match &self.parts.config.voice_url {
            Some(url) => Instructions::Url {
                document: Document { url: url.clone(), method: "POST".to_owned() },
                fallback: None,
            },
            None if user.is_empty() => Instructions::Join("default".to_owned()),
            None => Instructions::Join(user.to_owned()),
        };
        self.event(Event::CallOffered {
            call,
            account: self.parts.account.sid,
            from: invitation.from,
            to: invitation.to,
            caller_name: invitation.display_name,
            instructions,
            headers: invitation
                .headers
                .into_iter()
                .map(|(name, value)| (format!("SipHeader_{name}"), value))
                .collect(),
        });
    }

    /// Opens a call's ports and notes its names.
    pub fn open(&mut self, call: CallSid, sip: CallId) -> bool {
        let Ok((rtp, rtcp)) = self.ports.bind() else { return false };
        let Ok(address) = rtp.local_addr() else { return false };
        self.last += 1;
        let leg = LegId(self.last);
        let media = SocketAddr::new(self.parts.sip.ip(), address.port());
        let _ = self.media.try_send(media_thread::Input::Open(leg, rtp, rtcp));
        self.calls.insert(call, Wired { sip, leg, media, added: false, kept: false });
        self.by_sip.insert(sip, call);
        self.by_leg.insert(leg, call);
        true
    }

    /// Connects a call's sound as it was agreed on.
    fn wire(&mut self, call: CallSid, session: &sip::Session) {
        let Some(wired) = self.calls.get_mut(&call) else { return };
        let codec = |codec| match codec {
            sip::Codec::Pcmu => media::Codec::Pcmu,
            sip::Codec::Pcma => media::Codec::Pcma,
        };
        let audio = &session.audio;
        let Some(&(payload_type, first)) = audio.codecs.first() else { return };
        let options = Box::new(LegOptions {
            codec: codec(first),
            payload_type,
            also: audio.codecs[1..].iter().map(|&(number, other)| (number, codec(other))).collect(),
            telephone_event: audio.telephone_event,
            ptime_ms: audio.ptime_ms,
            remote: audio.address,
            remote_rtcp: audio.rtcp,
            sends: audio.receives,
            receives: audio.sends,
            bounds: media::Bounds::default(),
        });
        let added = std::mem::replace(&mut wired.added, true);
        let leg = wired.leg;
        self.media(if added {
            media::Command::UpdateLeg(leg, options)
        } else {
            media::Command::AddLeg(leg, options)
        });
    }

    /// Forgets a call that is over on the wire.
    pub fn unwire(&mut self, call: CallSid) {
        if let Some(wired) = self.calls.remove(&call) {
            self.by_sip.remove(&wired.sip);
            self.by_leg.remove(&wired.leg);
            self.media(media::Command::RemoveLeg(wired.leg));
            if wired.kept {
                let _ = self.parts.store.apply(vec![Change::DeleteDialog(call)]);
            }
        }
    }

    /// Writes what a BYE after a restart needs.
    fn keep_dialog(&mut self, call: CallSid, id: CallId) {
        let Some(dialog) = self.agent.dialog(id) else { return };
        let state = serde_json::to_string(&dialog).expect("strings and numbers are JSON");
        if let Some(wired) = self.calls.get_mut(&call) {
            wired.kept = true;
            // If it cannot be written, the phone notices by itself that nobody speaks.
            let _ = self.parts.store.apply(vec![Change::Dialog { call, state }]);
        }
    }

    /// Hands a command to the media thread, which takes them all before each tick.
    pub fn media(&self, command: media::Command) {
        if self.media.try_send(media_thread::Input::Command(command)).is_err() {
            tracing::error!("the media thread does not keep up; a command was lost");
        }
    }

    fn audibility(&self, conference: ConferenceSid, reply: oneshot::Sender<Vec<Pair>>) {
        let Some(&room) = self.rooms.get(&conference) else {
            return drop(reply.send(Vec::new()));
        };
        let (asked, answer) = oneshot::channel();
        let _ = self.media.try_send(media_thread::Input::Audibility(room, asked));
        let names = self.by_leg.clone();
        tokio::spawn(async move {
            let pairs = answer.await.unwrap_or_default();
            let pairs = pairs.iter().filter_map(|pair| {
                let (listener, speaker) = (names.get(&pair.listener)?, names.get(&pair.speaker)?);
                Some(Pair { listener: *listener, speaker: *speaker, gain: pair.gain })
            });
            let _ = reply.send(pairs.collect());
        });
    }

    fn stats(&self, reply: oneshot::Sender<Stats>) {
        let (asked, answer) = oneshot::channel();
        let _ = self.media.try_send(media_thread::Input::Stats(asked));
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let lateness = &self.lateness;
        let ticks = (load(&lateness.ticks), load(&lateness.late), load(&lateness.worst_us));
        let calls = self.exchange.calls();
        tokio::spawn(async move {
            let media = answer.await.unwrap_or_default();
            let _ = reply.send(Stats { media, ticks, calls });
        });
    }
}
