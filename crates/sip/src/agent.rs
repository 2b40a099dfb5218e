//! The user agent's face: what goes in, and what comes out.
//!
//! Source: RFC 3261 sections 8 to 17, RFC 3581, RFC 6026.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::call::{Call, State};
use crate::deadline::{Deadlines, Timer};
use crate::digest::{Credentials, Gate};
use crate::domain::{Domain, Gateway};
use crate::gate;
use crate::guard::{Guard, Shares};
use crate::message::{Message, ParseError, Start};
use crate::registrar::Bindings;
use crate::sdp::{Codec, Session, SrtpPolicy, Terms};
use crate::stats::Stats;
use crate::transaction::{Client, Key, Merged, Server};

/// Calls at once; more are refused with 503.
pub const CALLS_MAX: usize = 10_000;
/// Transactions of others, and as many of ours; more are refused with 503.
pub const TRANSACTIONS_MAX: usize = 40_000;
/// Messages that wait to be sent; more are dropped, as a network may do.
pub const TRANSMITS_MAX: usize = 100_000;
/// Events that wait to be taken; with more, no call is let in and no digit is told.
pub const EVENTS_MAX: usize = 50_000;
/// After how many seconds one may come back who was refused because something was full.
pub(crate) const RETRY_AFTER_S: u32 = 5;
/// RFC 3261's estimate of a round trip, and the longest pause between retransmissions.
pub(crate) const T1: Duration = Duration::from_millis(500);
pub(crate) const T2: Duration = Duration::from_secs(4);
/// How long a message may live in the network.
pub(crate) const T4: Duration = Duration::from_secs(5);
/// How long a transaction is kept: 64 times [`T1`].
pub(crate) const LIFETIME: Duration = Duration::from_secs(32);
/// How long a call may ring, either way.
pub(crate) const RINGS_MAX: Duration = Duration::from_secs(640);
/// How often we say again that it still rings. Source: RFC 3261 section 13.3.1.1.
pub(crate) const RINGS_AGAIN: Duration = Duration::from_secs(60);
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REGISTER";
/// Methods that others speak and we do not.
pub(crate) const KNOWN: [&str; 5] = ["REFER", "SUBSCRIBE", "NOTIFY", "MESSAGE", "PUBLISH"];
/// The extensions that we speak.
pub(crate) const SUPPORTED: [&str; 2] = ["100rel", "timer"];

/// One call, by the number that its maker gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// What messages travel by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Transport {
    /// Each in a datagram.
    Udp,
    /// In a stream.
    Tcp,
    /// In a stream that nobody reads along.
    Tls,
}

impl Transport {
    /// Returns its name in `Via`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }
}

/// The far end of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// Its address; of a stream, that of the connection.
    pub address: SocketAddr,
    /// By what it is reached.
    pub transport: Transport,
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self { address, transport: Transport::Udp }
    }
}

/// Whom we ask: where that is, and who is to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callee {
    /// Where.
    pub peer: Peer,
    /// The name by which it was looked up, and which it proves by TLS; none: its address, or it connected to us.
    pub host: Option<Arc<str>>,
}

impl<P: Into<Peer>> From<P> for Callee {
    fn from(peer: P) -> Self {
        Self { peer: peer.into(), host: None }
    }
}

/// Who must prove who they are before they register or call.
#[derive(Debug, Clone)]
pub struct Access {
    /// What they must know.
    pub credentials: Credentials,
    /// Whether those on loopback need not.
    pub loopback_is_free: bool,
    /// Whether MD5 alone is offered: some phones give up when they are offered SHA-256 as well.
    pub md5_alone: bool,
}

/// Where we are, and who may come.
#[derive(Debug, Clone)]
pub struct Config {
    /// What goes into `Contact` and `Via`.
    pub address: SocketAddr,
    /// The same for those who speak TLS; none: nobody does.
    pub tls: Option<SocketAddr>,
    /// Draws tags and branches.
    pub seed: [u8; 32],
    /// Who must prove who they are; `None`: nobody.
    pub access: Option<Access>,
    /// What we speak with everyone of whom nothing else is said.
    pub terms: Terms,
}

impl Config {
    /// Makes the settings of an agent that lets everyone in.
    pub fn open(address: SocketAddr, seed: [u8; 32]) -> Self {
        Self { address, tls: None, seed, access: None, terms: Terms::telephone() }
    }
}

/// One message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// By what.
    pub transport: Transport,
    /// The name that the far end proves by TLS, as [`Callee::host`] has it.
    pub host: Option<Arc<str>>,
    /// What.
    pub octets: Vec<u8>,
}

/// A phone that calls us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The new call.
    pub call: CallId,
    /// The address in `From`, and the name beside it.
    pub from: String,
    /// See above.
    pub display_name: Option<String>,
    /// The Request-URI.
    pub to: String,
    /// Its offer; none: our answer is to carry one.
    pub offer: Option<Session>,
    /// Headers whose names begin with `X-`.
    pub headers: Vec<(String, String)>,
    /// The gateway that it comes by.
    pub gateway: Option<String>,
}

/// Our media, as it is offered to whom we call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offered {
    /// Where it is.
    pub media: SocketAddr,
    /// Whether it is encrypted; none: as for everyone.
    pub srtp: Option<SrtpPolicy>,
    /// Which codecs.
    pub codecs: Offers,
}

/// Which codecs are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offers {
    /// As everyone is.
    All,
    /// The same, this one first where it is among them.
    First(Codec),
    /// This one alone.
    Only(Codec),
}

impl From<SocketAddr> for Offered {
    fn from(media: SocketAddr) -> Self {
        Self { media, srtp: None, codecs: Offers::All }
    }
}

/// Why a call is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The far end hung up, or took its call back.
    HungUp,
    /// It no longer answers.
    Lost,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A phone calls.
    Invite(Box<Invitation>),
    /// The phone that we call rings, with sound already or not.
    Ringing(CallId, Option<Box<Session>>),
    /// Headers `X-` of the final answer of the phone that we call, which is told next; not told where there are none.
    AnswerHeaders(CallId, Vec<(String, String)>),
    /// The phone that we call answered.
    Answered(CallId, Option<Box<Session>>),
    /// The phone that we call will not answer.
    Failed(CallId, u16),
    /// The phone that we call answered in the clear where encryption is demanded; that it failed is told next.
    Unprotected(CallId),
    /// The phone that called us knows that we answered; it may have answered our offer.
    Acknowledged(CallId, Option<Box<Session>>),
    /// The far end changed its address, codec or direction.
    MediaChanged(CallId, Box<Session>),
    /// A key came in INFO.
    Digit(CallId, char),
    /// A call is over.
    Ended(CallId, Ended),
    /// The far end of a call that we ended has said that it knows, or will never say.
    Parted(CallId),
    /// A phone can be reached under this name until it says otherwise.
    Registered(String),
    /// The last registration under this name ended.
    Unregistered(String),
    /// A question of ours was answered by this status, or by nobody: 408; a registration holds for so many seconds.
    Replied(CallId, u16, Option<u32>),
}

/// The user agent of one address.
#[derive(Debug)]
pub struct Agent {
    pub(crate) config: Config,
    pub(crate) random: ChaCha12Rng,
    /// Makes the tags of answers for which nothing is kept.
    pub(crate) secret: [u8; 32],
    /// Each in a box, as a map keeps room for as many again.
    pub(crate) calls: BTreeMap<CallId, Box<Call>>,
    /// The calls by our tag.
    pub(crate) dialogs: BTreeMap<String, CallId>,
    pub(crate) servers: BTreeMap<Key, Server>,
    pub(crate) merged: BTreeMap<Merged, Key>,
    pub(crate) clients: BTreeMap<Key, Client>,
    pub(crate) deadlines: Deadlines,
    pub(crate) bindings: Bindings,
    /// By name, in lower case.
    pub(crate) domains: BTreeMap<String, Domain>,
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) transmits: VecDeque<Transmit>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) next_call: u64,
    pub(crate) gate: Gate,
    pub(crate) guard: Guard,
    pub(crate) shares: Shares,
    pub(crate) stats: Stats,
    /// The last time that we were told, for what is asked of us without one.
    pub(crate) told: Option<Instant>,
}

impl Agent {
    /// Makes an agent without calls.
    pub fn new(config: Config) -> Self {
        let mut random = ChaCha12Rng::from_seed(config.seed);
        let (mut nonces, mut secret) = ([0; 32], [0; 32]);
        random.fill_bytes(&mut nonces);
        random.fill_bytes(&mut secret);
        Self {
            gate: Gate::new(nonces),
            domains: BTreeMap::new(),
            gateways: Vec::new(),
            secret,
            random,
            config,
            calls: BTreeMap::new(),
            dialogs: BTreeMap::new(),
            servers: BTreeMap::new(),
            merged: BTreeMap::new(),
            clients: BTreeMap::new(),
            deadlines: Deadlines::default(),
            bindings: Bindings::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            next_call: 1,
            guard: Guard::default(),
            shares: Shares::default(),
            stats: Stats::default(),
            told: None,
        }
    }

    /// Takes one message, whole, from whom it came. What breaks the grammar is refused where it can
    /// be told to whom, and dropped otherwise.
    pub fn handle_message(&mut self, from: impl Into<Peer>, octets: &[u8], now: Instant) {
        self.told = Some(now);
        let from = from.into();
        let message = match Message::parse(octets) {
            Ok(message) => message,
            Err(ParseError::KeepAlive) => return,
            Err(ParseError::Version) => return self.refuse(from, octets, 505),
            Err(_) => return self.refuse(from, octets, 400),
        };
        match message.start.clone() {
            Start::Request { method, uri } => {
                self.stats.request_rx(&method);
                self.request(from, message, &method, &uri, now);
            }
            Start::Response { status, .. } => {
                self.stats.response_rx(status);
                self.response(from, &message, status, now);
            }
        }
    }

    /// Refuses a message that is too long, of which only the head was read.
    pub fn handle_too_large(&mut self, from: impl Into<Peer>, head: &[u8]) {
        self.refuse(from.into(), head, 513);
    }

    /// Answers a request that cannot be read, as far as it can be told what to answer.
    fn refuse(&mut self, from: Peer, octets: &[u8], status: u16) {
        self.stats.unparsable += 1;
        let Some(request) = gate::salvage(octets) else { return };
        let Start::Request { method, .. } = &request.start else { return };
        let answerable =
            ["Via", "From", "To", "Call-ID", "CSeq"].iter().all(|n| request.header(n).is_some());
        if answerable && method != "ACK" {
            let tag = self.stateless_tag(&request);
            self.reply(from, &request.response(status, Some(&tag)));
        }
    }

    /// Acts on every deadline that has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.told = Some(now);
        while let Some(timer) = self.deadlines.take(now) {
            match timer {
                Timer::Server(key) => self.server_due(&key, now),
                Timer::Client(key) => self.client_due(&key, now),
                Timer::Session(call) => self.session_due(call, now),
                Timer::Reliable(call) => self.reliable_due(call, now),
                Timer::Bindings(user) => self.bindings_due(&user, now),
            }
        }
    }

    /// Returns when [`Self::handle_timeout`] next has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Returns the next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// Returns what happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Returns what was counted, and what is open.
    pub fn stats(&self) -> Stats {
        Stats {
            transactions: self.servers.len() + self.clients.len(),
            dialogs: self.calls.len(),
            bindings: self.bindings.len(),
            ..self.stats.clone()
        }
    }

    /// Takes the names, in lower case, under which we ask for other proofs than under our address.
    pub fn set_domains(&mut self, domains: BTreeMap<String, Domain>) {
        self.domains = domains;
    }

    /// Takes those by whom calls of others come.
    pub fn set_gateways(&mut self, gateways: Vec<Gateway>) {
        self.gateways = gateways;
    }

    /// Returns a number for a call of ours.
    pub fn new_call(&mut self) -> CallId {
        self.next_call += 1;
        CallId(self.next_call)
    }

    /// Hangs up, takes our call back, or turns the caller away: whatever ends the call.
    pub fn hang_up(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        match call.state {
            State::Offered => self.reject(id, 603, now),
            State::Calling { provisional, canceled: false } => {
                call.state = State::Calling { provisional, canceled: true };
                if provisional {
                    self.cancel(id, now);
                }
            }
            State::Calling { canceled: true, .. } => {}
            // The far end must know of the dialog before it is ended: RFC 3261 section 15.
            State::Answered => call.ending = true,
            State::Up => self.end(id, now),
        }
    }

    /// Sends a BYE and forgets the call.
    pub(crate) fn end(&mut self, id: CallId, now: Instant) {
        self.bye(id, now);
        self.forget(id);
    }

    /// Ends a call whose far end no longer does what it must.
    pub(crate) fn lose(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.get(&id) else { return };
        let told = call.ending;
        self.end(id, now);
        if !told {
            self.tell(Event::Ended(id, Ended::Lost));
        }
    }

    pub(crate) fn forget(&mut self, id: CallId) {
        let Some(call) = self.calls.remove(&id) else { return };
        self.dialogs.remove(&call.dialog.local_tag);
        self.deadlines.set(Timer::Session(id), None);
        self.deadlines.set(Timer::Reliable(id), None);
        if let Some(source) = call.source {
            self.shares.count(source, 0, -1);
        }
        // Nobody will acknowledge an answer any more; a refusal is still acknowledged.
        if let Some(key) = call.server
            && self.servers.get(&key).is_some_and(Server::accepted)
        {
            self.stop_repeating(&key);
        }
    }

    pub(crate) fn tell(&mut self, event: Event) {
        let spare = matches!(event, Event::Digit(..));
        if spare && self.events.len() >= EVENTS_MAX {
            self.stats.dropped += 1;
        } else {
            // The others are as many as there are calls and bindings, which are bounded.
            self.events.push_back(event);
        }
    }

    pub(crate) fn transmit(&mut self, to: Peer, octets: Vec<u8>) {
        self.transmit_to(Callee::from(to), octets);
    }

    pub(crate) fn transmit_to(&mut self, to: Callee, octets: Vec<u8>) {
        if self.transmits.len() >= TRANSMITS_MAX {
            self.stats.dropped += 1;
            return;
        }
        let Callee { peer: Peer { address, transport }, host } = to;
        self.transmits.push_back(Transmit { to: address, transport, host, octets });
    }

    /// Returns the address that who speaks by this transport is to use.
    pub(crate) fn address(&self, transport: Transport) -> SocketAddr {
        match transport {
            Transport::Udp | Transport::Tcp => self.config.address,
            Transport::Tls => self.config.tls.unwrap_or(self.config.address),
        }
    }

    /// Returns where we are, for who asks by a peer; `sips` is whether each hop is to be TLS.
    /// Source: RFC 3261 sections 12.1.1 and 8.1.1.8.
    pub(crate) fn contact(&self, peer: Peer, sips: bool) -> String {
        let (scheme, transport) = match peer.transport {
            Transport::Udp => ("sip", ""),
            Transport::Tcp => ("sip", ";transport=tcp"),
            Transport::Tls if sips => ("sips", ""),
            Transport::Tls => ("sip", ";transport=tls"),
        };
        format!("<{scheme}:sidetone@{}{transport}>", self.address(peer.transport))
    }

    pub(crate) fn token(&mut self) -> String {
        format!("{:016x}", self.random.next_u64())
    }

    pub(crate) fn branch(&mut self) -> String {
        format!("z9hG4bK{}", self.token())
    }

    /// Returns a key that is not in use.
    pub(crate) fn key(branch: &str, method: &str) -> Key {
        Arc::from(format!("{branch}|{method}"))
    }
}
