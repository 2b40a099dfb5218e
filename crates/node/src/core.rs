//! The node without its machinery: exchange and SIP agent, wired together by what comes in and by
//! what is to be done.
//!
//! Pure: no socket, task, thread, clock or store is known here. Whoever drives a [`Core`] hands it
//! each [`Input`] with the time and carries out every [`Output`] in order: `driver.rs` with real
//! ones, `sim` with ones that do not exist.

mod settings;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use exchange::{
    AudioId, Command, Document, Effect, Event, Exchange, Failure, FetchId, Fetched, Gone, Hearing,
    PlayId, Recognise, Recognised, RecordingEnd, Refusal, Reply, Room, Sound,
};
use media::{LegId, PlayTo, PlayerId, RecordingId, RoomId};
use model::{AccountSid, CallSid, Callback, Change, ConferenceSid, Now, RecordingSid};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sip::{Agent, CallId, Ended, Peer, Transmit};

pub use self::settings::Settings;
use crate::directory::Directory;
use crate::dispatch::After;
use crate::draining::{CallsRefused, Stopping};
use crate::hearing::Heard;
use crate::parting::PARTING_LIMIT;
use crate::recorder::Layout;
use crate::signals::Signals;
use crate::target::Target;
use crate::trunks::{Trunk, TrunkQuestion, Trunks};

/// One command that waits for its answer, by the number that its maker gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One batch of rows, in the order in which they were handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u64);

/// What became of a batch of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is committed.
    Yes,
    /// It could not be committed and is kept: `Yes` or `Never` follows.
    Later,
    /// It is lost.
    Never,
}

/// A document or a sound that was fetched.
#[derive(Debug, Clone, PartialEq)]
pub enum Brought {
    /// To be handed to the exchange as it is.
    Document(Fetched),
    /// Sound, decoded: 8 kHz mono.
    Audio(Arc<[i16]>),
}

/// What reaches the core.
#[derive(Debug)]
pub enum Input {
    /// A command; its answer comes as [`Output::Reply`].
    Command(Box<Command>, Ticket),
    /// One SIP message, whole.
    Message(Peer, Vec<u8>),
    /// The head of a SIP message that is too long to be read.
    TooLarge(Peer, Vec<u8>),
    /// A SIP message of ours that could not be sent, and why, with what to do about it.
    Unsent(Vec<u8>, String),
    /// What the media thread noticed.
    Media(media::Event),
    /// A batch was committed, or could not be.
    Committed(BatchId, Written),
    /// What came of an [`Output::Fetch`].
    Fetched(FetchId, Result<Brought, Failure>),
    /// What came of an [`Output::Resolve`]; nothing where the name has no address.
    Resolved(CallSid, Vec<IpAddr>),
    /// What came of an [`Output::ResolveTrunk`].
    TrunkResolved(usize, TrunkQuestion, Vec<IpAddr>),
    /// The trunks as they are from now on.
    Trunks(Vec<Trunk>),
    /// A sound plays otherwise than it was asked for, for the debugger log.
    Remarked(PlayId, Failure),
    /// What came of an [`Output::Load`].
    Loaded(PlayId, Result<Arc<[i16]>, Failure>),
    /// What came of an [`Output::Recognise`].
    Recognised(CallSid, RecordingSid, Result<Recognised, Failure>),
    /// What came of an [`Output::RecognisePartly`]; nothing where it failed.
    RecognisedPartly(CallSid, RecordingSid, Option<Recognised>),
    /// A recording's file is closed.
    RecordingEnded(RecordingSid, RecordingEnd),
    /// The numbers, applications and domains as they are from now on.
    Directory(Box<Directory>),
    /// The server is about to go down: no call begins any more.
    Drain,
    /// The server goes down: every call is hung up, [`Output::Stopped`] follows the last commit.
    Stop,
}

/// What is to be done, in order.
#[derive(Debug)]
pub enum Output {
    /// Answers a command.
    Reply(Ticket, Result<Reply, Refusal>),
    /// Sends a SIP message.
    Transmit(Transmit),
    /// Hands a command to the shard that plays its leg.
    Media(media::Command),
    /// Writes rows together; [`Input::Committed`] follows.
    Commit(BatchId, Vec<Change>),
    /// Delivers a callback whose row is committed.
    Callback(Callback),
    /// Asks an address; [`Input::Fetched`] follows.
    Fetch {
        /// Which request.
        fetch: FetchId,
        /// Whose token signs it.
        account: AccountSid,
        /// Whose cookies go along.
        call: Option<CallSid>,
        /// What to ask.
        document: Document,
        /// The form fields, in order.
        params: Vec<(String, String)>,
    },
    /// Asks for the addresses of a host that is to be dialled; [`Input::Resolved`] follows.
    Resolve {
        /// Whose host.
        call: CallSid,
        /// Its name.
        name: String,
    },
    /// Asks for the addresses of a trunk; [`Input::TrunkResolved`] follows.
    ResolveTrunk {
        /// Its place.
        trunk: usize,
        /// What it is to be asked then.
        asked: TrunkQuestion,
        /// Its name.
        name: String,
    },
    /// Brings the samples of a sound; [`Input::Loaded`] follows.
    Load {
        /// Which sound.
        play: PlayId,
        /// Whose token signs the request for a file.
        account: AccountSid,
        /// A file to be fetched or text to be spoken.
        sound: Sound,
    },
    /// Opens a recording's file and its ring; the shard is told next. [`Input::RecordingEnded`] follows, at the latest
    /// when the shard is told to stop.
    OpenRecording {
        /// Which recording.
        recording: RecordingSid,
        /// Its name in the shard.
        id: RecordingId,
        /// What stands side by side in it.
        layout: Layout,
    },
    /// Has what a call said recognised, and its file deleted; [`Input::Recognised`] follows.
    Recognise {
        /// Whose words.
        call: CallSid,
        /// What was heard.
        hearing: RecordingSid,
        /// How.
        wanted: Recognise,
    },
    /// Has what a call has said so far recognised; [`Input::RecognisedPartly`] follows.
    RecognisePartly {
        /// Whose words.
        call: CallSid,
        /// What is heard.
        hearing: RecordingSid,
        /// How.
        wanted: Recognise,
    },
    /// Deletes a recording's file.
    EraseRecording(RecordingSid),
    /// All calls are over and their rows committed.
    Stopped,
}

/// Where the ports for RTP and RTCP come from.
pub trait PortPairs: Send {
    /// Opens an even port and the odd one after it for a leg and returns the even one, or nothing
    /// where none is free. They close when the leg is removed.
    fn open(&mut self, leg: LegId) -> Option<u16>;
}

/// One call's names on both sides.
#[derive(Debug, Clone)]
pub(crate) struct Wired {
    pub(crate) sip: CallId,
    pub(crate) leg: LegId,
    pub(crate) media: SocketAddr,
    pub(crate) added: bool,
    /// What is spoken, as it was agreed on last.
    pub(crate) codec: Option<sip::Codec>,
    /// How much delay its jitter buffer may add.
    pub(crate) bounds: media::Bounds,
    /// Whether its dialog is in the store.
    pub(crate) kept: bool,
}

/// A sound whose samples are on their way, and what was asked of it meanwhile.
#[derive(Debug)]
pub(crate) struct Loading {
    pub(crate) to: PlayTo,
    pub(crate) loops: Option<u32>,
    pub(crate) paused: bool,
}

/// The core: see the module.
pub struct Core {
    pub(crate) settings: Settings,
    pub(crate) exchange: Exchange,
    pub(crate) agent: Agent,
    pub(crate) ports: Box<dyn PortPairs>,
    pub(crate) calls: BTreeMap<CallSid, Wired>,
    /// Calls whose host's name is being resolved.
    pub(crate) dialling: BTreeMap<CallSid, (Effect, Target)>,
    pub(crate) by_sip: BTreeMap<CallId, CallSid>,
    pub(crate) by_leg: BTreeMap<LegId, CallSid>,
    /// Calls that we ended, until their phones know.
    pub(crate) parting: BTreeMap<CallId, CallSid>,
    pub(crate) rooms: BTreeMap<Room, RoomId>,
    pub(crate) recordings: BTreeMap<RecordingSid, RecordingId>,
    /// What is heard of whom, and whether its file is closed.
    pub(crate) hearings: BTreeMap<RecordingSid, Heard>,
    /// When what was said so far is recognised next.
    pub(crate) partly: BTreeSet<(Instant, RecordingSid)>,
    pub(crate) audio: BTreeMap<AudioId, Arc<[i16]>>,
    pub(crate) loading: BTreeMap<PlayId, Loading>,
    pub(crate) signals: Signals,
    /// Sounds that cannot be played, of which the exchange is told when it is done deciding.
    pub(crate) unplayable: VecDeque<(PlayId, Failure)>,
    /// What waits for commits, in order, and which of these are done.
    pub(crate) after: VecDeque<After>,
    pub(crate) committed: BTreeMap<BatchId, Written>,
    /// Callbacks that wait until the rows before them are written, and whether theirs are.
    pub(crate) late: VecDeque<(BatchId, bool, Vec<Callback>)>,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) last: u64,
    pub(crate) random: ChaCha12Rng,
    pub(crate) stopping: Stopping,
    /// There is no time for the sound of more calls.
    pub(crate) overloaded: bool,
    pub(crate) refused: CallsRefused,
    pub(crate) directory: Directory,
    pub(crate) trunks: Trunks,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (calls, rooms) = (self.calls.len(), self.rooms.len());
        f.debug_struct("Core").field("calls", &calls).field("rooms", &rooms).finish_non_exhaustive()
    }
}

impl Core {
    /// Makes a core without calls; `seed` draws SIDs, tags and branches.
    pub fn new(settings: Settings, seed: [u8; 32], ports: Box<dyn PortPairs>) -> Self {
        let mut random = ChaCha12Rng::from_seed(seed);
        let mut seed = [0; 32];
        random.fill_bytes(&mut seed);
        let access = sip::Access {
            credentials: sip::Credentials {
                user: settings.account.sid.to_string(),
                password: settings.account.auth_token.clone(),
            },
            loopback_is_free: !settings.sip_auth,
            md5_alone: settings.sip_md5_alone,
        };
        let open = sip::Config::open(settings.sip, seed);
        let mut exchange = Exchange::new(random.next_u64());
        exchange.set_api_url(settings.api_url.clone());
        if settings.recognises {
            exchange.recognise_speech();
        }
        if settings.dual_conference_recordings {
            exchange.record_conferences_in_two_channels();
        }
        exchange.ring_every_number(settings.virtual_phones.is_some());
        Self {
            exchange,
            agent: Agent::new(sip::Config {
                access: Some(access),
                terms: settings.terms.clone(),
                tls: settings.sip_tls,
                ..open
            }),
            settings,
            ports,
            calls: BTreeMap::new(),
            dialling: BTreeMap::new(),
            by_sip: BTreeMap::new(),
            by_leg: BTreeMap::new(),
            parting: BTreeMap::new(),
            rooms: BTreeMap::new(),
            recordings: BTreeMap::new(),
            hearings: BTreeMap::new(),
            partly: BTreeSet::new(),
            audio: BTreeMap::new(),
            loading: BTreeMap::new(),
            signals: Signals::default(),
            unplayable: VecDeque::new(),
            after: VecDeque::new(),
            committed: BTreeMap::new(),
            late: VecDeque::new(),
            outputs: VecDeque::new(),
            last: 0,
            random,
            stopping: Stopping::No,
            overloaded: false,
            refused: CallsRefused::default(),
            directory: Directory::default(),
            trunks: Trunks::default(),
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::Command(command, ticket) => self.command(*command, ticket, now),
            Input::Message(from, octets) => self.agent.handle_message(from, &octets, now.instant),
            Input::TooLarge(from, head) => self.agent.handle_too_large(from, &head),
            Input::Unsent(octets, why) => self.unsent(&octets, why, now),
            Input::Media(event) => self.heard(event, now),
            Input::Committed(batch, written) => {
                if !self.written_late(batch, written) {
                    self.committed.insert(batch, written);
                }
            }
            Input::Fetched(fetch, result) => {
                self.last += 1;
                let id = AudioId(self.last);
                let result = result.map(|brought| match brought {
                    Brought::Document(document) => document,
                    Brought::Audio(samples) => {
                        self.audio.insert(id, samples);
                        Fetched::Audio(id)
                    }
                });
                self.event(Event::Fetched { fetch, result }, now);
                // Nobody plays it later: the request may have been given up.
                self.audio.remove(&id);
            }
            Input::Resolved(call, addresses) => self.resolved(call, &addresses, now),
            Input::TrunkResolved(trunk, asked, addresses) => {
                self.trunk_found(trunk, asked, &addresses, now);
            }
            Input::Trunks(trunks) => self.set_trunks(trunks, now),
            Input::Remarked(play, remark) => {
                self.event(Event::PlayRemarked { play, remark }, now);
            }
            Input::Loaded(play, result) => self.loaded(play, result, now),
            Input::Recognised(call, hearing, result) => {
                self.event(Event::Recognised { call, hearing, result }, now);
            }
            Input::RecognisedPartly(call, hearing, understood) => {
                self.recognised_partly(call, hearing, understood, now);
            }
            Input::RecordingEnded(recording, end) => self.recording_ended(recording, end, now),
            Input::Directory(directory) => {
                self.exchange.set_numbers(directory.names());
                self.agent.set_domains(directory.access());
                self.directory = *directory;
                self.know_outside();
            }
            Input::Drain => self.drain(),
            Input::Stop => {
                let mut effects = Vec::new();
                self.exchange.hang_up_all(now, &mut effects);
                self.carry_out(effects, None, now);
                self.unregister(now);
                self.stopping = Stopping::Draining(now.instant + PARTING_LIMIT);
            }
        }
        self.settle(now);
    }

    /// Does what is due. Call it at [`Self::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Now) {
        self.agent.handle_timeout(now.instant);
        self.trunks_due(now);
        self.recognise_partly(now.instant);
        let mut effects = Vec::new();
        self.exchange.handle_timeout(now, &mut effects);
        self.carry_out(effects, None, now);
        self.settle(now);
    }

    /// Returns when [`Self::handle_timeout`] next has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let drained = match self.stopping {
            Stopping::Draining(until) if self.exchange.calls() == 0 => Some(until),
            Stopping::Draining(_) | Stopping::No | Stopping::Refusing | Stopping::Drained => None,
        };
        self.agent
            .poll_timeout()
            .into_iter()
            .chain(self.exchange.poll_timeout())
            .chain(drained)
            .chain(self.trunks.poll_timeout())
            .chain(self.partly.first().map(|(at, _)| *at))
            .min()
    }

    /// Returns what is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front().or_else(|| self.agent.poll_transmit().map(Output::Transmit))
    }

    /// Takes up the queues that are in the store.
    pub fn know_queues(&mut self, queues: Vec<model::Queue>) {
        self.exchange.know_queues(queues);
    }

    /// Returns the room in which a conference is mixed.
    pub fn room_of(&self, conference: ConferenceSid) -> Option<RoomId> {
        self.rooms.get(&Room::Conference(conference)).copied()
    }

    /// Returns whose each leg is.
    pub fn legs(&self) -> &BTreeMap<LegId, CallSid> {
        &self.by_leg
    }

    /// Says who is to hear whom, and why not.
    pub fn hearing(&self, conference: ConferenceSid) -> Vec<Hearing> {
        self.exchange.hearing(conference)
    }

    /// Returns how many calls are not over.
    pub fn calls(&self) -> usize {
        self.exchange.calls()
    }

    /// Returns how many conferences are not completed.
    pub fn conferences(&self) -> usize {
        self.exchange.conferences()
    }

    /// Returns what SIP has done so far.
    pub fn sip_stats(&self) -> sip::Stats {
        self.agent.stats()
    }

    fn command(&mut self, command: Command, ticket: Ticket, now: Now) {
        if let Some(refusal) = self.refusal_of(&command) {
            return self.reply(ticket, Err(refusal));
        }
        let mut effects = Vec::new();
        match self.exchange.handle_command(command, now, &mut effects) {
            Ok(answer) => self.carry_out(effects, Some((ticket, answer)), now),
            Err(refusal) => self.reply(ticket, Err(refusal)),
        }
    }

    /// Sees to all that has come of the last input.
    fn settle(&mut self, now: Now) {
        loop {
            if let Some(event) = self.agent.poll_event() {
                self.signalled(event, now);
            } else if let Some((play, failure)) = self.unplayable.pop_front() {
                self.event(Event::PlayEnded { play, result: Err(failure) }, now);
            } else if self.is_drained(now) {
                self.stopping = Stopping::Drained;
                self.after.push_back(After::stopped());
            } else if !self.release(now) {
                break;
            }
        }
    }

    /// Hands an event to the exchange and does what comes of it.
    pub(crate) fn event(&mut self, event: Event, now: Now) {
        let mut effects = Vec::new();
        self.exchange.handle_event(event, now, &mut effects);
        self.carry_out(effects, None, now);
    }

    fn heard(&mut self, event: media::Event, now: Now) {
        let of = |leg: &LegId| self.by_leg.get(leg).copied();
        match event {
            media::Event::PlayerEnded(PlayerId(play)) => {
                self.event(Event::PlayEnded { play: PlayId(play), result: Ok(()) }, now);
            }
            media::Event::Digit(leg, digit) => {
                if let Some(call) = of(&leg) {
                    self.event(Event::Digit { call, digit }, now);
                }
            }
            media::Event::Speech(leg, speaking) => {
                if let Some(call) = of(&leg) {
                    self.event(Event::Speech { call, speaking }, now);
                }
            }
            media::Event::Answerer(leg, answerer) => self.answered_by(leg, answerer, now),
            media::Event::Silent(leg) => {
                if let Some(call) = of(&leg) {
                    self.event(Event::CallGone { call, why: Gone::NoAudio }, now);
                }
            }
        }
    }

    fn signalled(&mut self, event: sip::Event, now: Now) {
        let of = |id: &CallId| self.by_sip.get(id).copied();
        match event {
            sip::Event::Invite(invitation) => self.offered(*invitation, now),
            sip::Event::Ringing(id, session) => {
                let Some(call) = of(&id) else { return };
                self.trunks.arrived(call);
                let early_media = session.is_some();
                if let Some(session) = session {
                    self.wire(call, &session);
                }
                self.event(Event::CallRinging { call, early_media }, now);
            }
            sip::Event::AnswerHeaders(id, headers) => {
                if let Some(call) = of(&id) {
                    self.event(Event::CallReplied { call, headers }, now);
                }
            }
            sip::Event::Answered(id, session) | sip::Event::Acknowledged(id, session) => {
                let Some(call) = of(&id) else { return };
                self.trunks.arrived(call);
                self.keep_dialog(call, id);
                if let Some(session) = session {
                    self.wire(call, &session);
                }
                self.event(Event::CallAnswered { call }, now);
            }
            sip::Event::MediaChanged(id, session) => {
                if let Some(call) = of(&id) {
                    // A phone that moved is told of the end where it is now.
                    self.keep_dialog(call, id);
                    self.wire(call, &session);
                }
            }
            sip::Event::Failed(id, status) => {
                if let Some(call) = of(&id)
                    && !self.fails_over(call, status, now)
                {
                    self.event(Event::CallFailed { call, status }, now);
                    self.unwire(call);
                }
            }
            sip::Event::Unprotected(id) => self.unprotected(id, now),
            sip::Event::Digit(id, digit) => {
                if let Some(call) = of(&id) {
                    self.event(Event::Digit { call, digit }, now);
                }
            }
            sip::Event::Ended(id, ended) => {
                if let Some(call) = of(&id) {
                    let (why, over): (_, fn(&mut Self, CallSid)) = match ended {
                        Ended::HungUp => (Gone::HungUp, Self::unwire),
                        Ended::Lost => (Gone::Lost, Self::part),
                    };
                    self.event(Event::CallGone { call, why }, now);
                    over(self, call);
                }
            }
            sip::Event::Parted(id) => self.parted(id),
            sip::Event::Registered(user) => self.event(Event::Registered { user }, now),
            sip::Event::Unregistered(user) => self.event(Event::Unregistered { user }, now),
            sip::Event::Replied(id, status, expires_s) => {
                self.trunks.replied(id, (status, expires_s), now.instant);
            }
        }
    }

    pub(crate) fn media(&mut self, command: media::Command) {
        self.outputs.push_back(Output::Media(command));
    }

    pub(crate) fn reply(&mut self, ticket: Ticket, answer: Result<Reply, Refusal>) {
        self.outputs.push_back(Output::Reply(ticket, answer));
    }
}
