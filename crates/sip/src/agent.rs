//! The user agent: transactions, dialogs, and what is told of them.
//!
//! Source: RFC 3261 sections 8 to 17, RFC 3581, RFC 6026.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::digest::{Credentials, Gate};
use crate::gate;
use crate::message::{Message, ParseError, Start};
use crate::sdp::Session;

/// Calls at once; more are refused with 503.
pub const CALLS_MAX: usize = 10_000;
pub(crate) const TRANSACTIONS_MAX: usize = 40_000;
/// RFC 3261's estimate of a round trip, and the longest pause between retransmissions.
pub(crate) const T1: Duration = Duration::from_millis(500);
pub(crate) const T2: Duration = Duration::from_secs(4);
/// How long a transaction is kept: 64 times [`T1`].
pub(crate) const LIFETIME: Duration = Duration::from_secs(32);
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REGISTER";
/// Longest registration that is granted.
pub(crate) const EXPIRES_MAX: u64 = 3_600;

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

/// Who must prove who they are before they register or call.
#[derive(Debug, Clone)]
pub struct Access {
    /// What they must know.
    pub credentials: Credentials,
    /// Whether those on loopback need not.
    pub loopback_is_free: bool,
}

/// Where we are, and who may come.
#[derive(Debug, Clone)]
pub struct Config {
    /// What goes into `Contact` and `Via`.
    pub address: SocketAddr,
    /// Draws tags and branches.
    pub seed: [u8; 32],
    /// Who must prove who they are; `None`: nobody.
    pub access: Option<Access>,
}

impl Config {
    /// Makes the settings of an agent that lets everyone in.
    pub fn open(address: SocketAddr, seed: [u8; 32]) -> Self {
        Self { address, seed, access: None }
    }
}

/// One message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// By what.
    pub transport: Transport,
    /// What.
    pub octets: Vec<u8>,
}

impl Transmit {
    pub(crate) fn new(to: Peer, octets: Vec<u8>) -> Self {
        Self { to: to.address, transport: to.transport, octets }
    }
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
    /// The phone that we call answered.
    Answered(CallId, Option<Box<Session>>),
    /// The phone that we call will not answer.
    Failed(CallId, u16),
    /// The phone that called us knows that we answered; it may have answered our offer.
    Acknowledged(CallId, Option<Box<Session>>),
    /// The far end changed its address, codec or direction.
    MediaChanged(CallId, Box<Session>),
    /// A key came in INFO.
    Digit(CallId, char),
    /// A call is over.
    Ended(CallId, Ended),
    /// A phone can be reached under this name until it says otherwise.
    Registered(String),
    /// The last registration under this name ended.
    Unregistered(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// We were called and have not answered.
    Offered,
    /// We answered and wait for the ACK.
    Answered,
    /// We call.
    Calling {
        provisional: bool,
        canceled: bool,
    },
    Up,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) state: State,
    pub(crate) peer: Peer,
    pub(crate) call_id: String,
    pub(crate) local: String,
    pub(crate) local_tag: String,
    pub(crate) remote: String,
    pub(crate) remote_tag: Option<String>,
    pub(crate) target: String,
    pub(crate) route: Vec<String>,
    pub(crate) cseq: u32,
    pub(crate) remote_cseq: u32,
    /// The INVITE that made the call: the one that came, or the one that we sent.
    pub(crate) invite: Message,
    pub(crate) session: Option<Session>,
    pub(crate) media: Option<SocketAddr>,
    pub(crate) ack: Option<Vec<u8>>,
    /// What answers a challenge, once.
    pub(crate) credentials: Option<Credentials>,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) request: Message,
    pub(crate) source: Peer,
    pub(crate) response: Option<Vec<u8>>,
    pub(crate) repeat: Option<(Instant, Duration)>,
    pub(crate) expires: Instant,
    pub(crate) call: Option<CallId>,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) octets: Vec<u8>,
    pub(crate) to: Peer,
    pub(crate) repeat: Option<(Instant, Duration)>,
    pub(crate) expires: Instant,
    pub(crate) call: CallId,
    pub(crate) invite: bool,
}

#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) contact: String,
    pub(crate) source: Peer,
    pub(crate) expires: Instant,
}

/// The user agent of one address.
#[derive(Debug)]
pub struct Agent {
    pub(crate) config: Config,
    pub(crate) random: ChaCha12Rng,
    pub(crate) calls: BTreeMap<CallId, Call>,
    pub(crate) dialogs: BTreeMap<(String, String), CallId>,
    pub(crate) servers: BTreeMap<String, Server>,
    pub(crate) clients: BTreeMap<String, Client>,
    pub(crate) bindings: BTreeMap<String, Binding>,
    pub(crate) transmits: VecDeque<Transmit>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) next_call: u64,
    pub(crate) gate: Gate,
}

impl Agent {
    /// Makes an agent without calls.
    pub fn new(config: Config) -> Self {
        let mut random = ChaCha12Rng::from_seed(config.seed);
        let mut secret = [0; 32];
        random.fill_bytes(&mut secret);
        Self {
            gate: Gate::new(secret),
            random,
            config,
            calls: BTreeMap::new(),
            dialogs: BTreeMap::new(),
            servers: BTreeMap::new(),
            clients: BTreeMap::new(),
            bindings: BTreeMap::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            next_call: 1,
        }
    }

    /// Takes one message, whole, from whom it came. What breaks the grammar is refused where it can
    /// be told to whom, and dropped otherwise.
    pub fn handle_message(&mut self, from: impl Into<Peer>, octets: &[u8], now: Instant) {
        let from = from.into();
        let message = match Message::parse(octets) {
            Ok(message) => message,
            Err(ParseError::KeepAlive) => return,
            Err(ParseError::Version) => return self.refuse(from, octets, 505),
            Err(_) => return self.refuse(from, octets, 400),
        };
        match message.start.clone() {
            Start::Request { method, uri } => self.request(from, message, &method, &uri, now),
            Start::Response { status, .. } => self.response(message, status, now),
        }
    }

    /// Refuses a message that is too long, of which only the head was read.
    pub fn handle_too_large(&mut self, from: impl Into<Peer>, head: &[u8]) {
        self.refuse(from.into(), head, 513);
    }

    /// Answers a request that cannot be read, as far as it can be told what to answer.
    fn refuse(&mut self, from: Peer, octets: &[u8], status: u16) {
        let Some(request) = gate::salvage(octets) else { return };
        let Start::Request { method, .. } = &request.start else { return };
        let answerable =
            ["Via", "From", "To", "Call-ID", "CSeq"].iter().all(|n| request.header(n).is_some());
        if answerable && method != "ACK" {
            self.reply(from, &request.response(status, Some("unread")));
        }
    }

    /// Acts on every deadline that has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut lost = Vec::new();
        self.clients.retain(|_, client| {
            if client.expires <= now {
                lost.push((client.call, client.invite));
                return false;
            }
            repeat(&mut client.repeat, now, client.to, &client.octets, &mut self.transmits);
            true
        });
        let mut unacknowledged = Vec::new();
        self.servers.retain(|_, server| {
            if server.expires <= now {
                unacknowledged.extend(server.call);
                return false;
            }
            if let Some(response) = &server.response {
                repeat(&mut server.repeat, now, server.source, response, &mut self.transmits);
            }
            true
        });
        for (call, invite) in lost {
            match self.calls.get(&call).map(|call| call.state) {
                Some(State::Calling { .. }) if invite => {
                    self.forget(call);
                    self.events.push_back(Event::Failed(call, 408));
                }
                Some(_) => self.lose(call),
                None => {}
            }
        }
        for call in unacknowledged {
            if self.calls.get(&call).is_some_and(|call| call.state == State::Answered) {
                self.hang_up(call, now);
                self.events.push_back(Event::Ended(call, Ended::Lost));
            }
        }
        let gone: Vec<String> = self
            .bindings
            .iter()
            .filter(|(_, binding)| binding.expires <= now)
            .map(|(user, _)| user.clone())
            .collect();
        for user in gone {
            self.bindings.remove(&user);
            self.events.push_back(Event::Unregistered(user));
        }
    }

    /// Returns when [`Self::handle_timeout`] next has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let clients = self.clients.values().flat_map(|c| [Some(c.expires), c.repeat.map(|r| r.0)]);
        let servers = self.servers.values().flat_map(|s| [Some(s.expires), s.repeat.map(|r| r.0)]);
        let bindings = self.bindings.values().map(|binding| Some(binding.expires));
        clients.chain(servers).chain(bindings).flatten().min()
    }

    /// Returns the next datagram.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// Returns what happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
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
            State::Calling { provisional, .. } => {
                call.state = State::Calling { provisional, canceled: true };
                if provisional {
                    self.cancel(id, now);
                }
            }
            State::Answered | State::Up => {
                self.bye(id, now);
                self.forget(id);
            }
        }
    }

    pub(crate) fn contact(&self, peer: Peer) -> String {
        let transport = match peer.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
        };
        format!("<sip:sidetone@{}{transport}>", self.config.address)
    }

    pub(crate) fn lose(&mut self, id: CallId) {
        if self.forget(id) {
            self.events.push_back(Event::Ended(id, Ended::Lost));
        }
    }

    pub(crate) fn forget(&mut self, id: CallId) -> bool {
        let Some(call) = self.calls.remove(&id) else { return false };
        self.dialogs.remove(&(call.call_id, call.local_tag));
        true
    }

    pub(crate) fn token(&mut self) -> String {
        format!("{:016x}", self.random.next_u64())
    }

    pub(crate) fn branch(&mut self) -> String {
        format!("z9hG4bK{}", self.token())
    }
}

fn repeat(
    repeat: &mut Option<(Instant, Duration)>,
    now: Instant,
    to: Peer,
    octets: &[u8],
    transmits: &mut VecDeque<Transmit>,
) {
    if let Some((at, pause)) = repeat
        && *at <= now
    {
        *pause = (*pause * 2).min(T2);
        *at = now + *pause;
        transmits.push_back(Transmit::new(to, octets.to_vec()));
    }
}
