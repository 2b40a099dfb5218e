//! The user agent: transactions, dialogs, and what is told of them.
//!
//! Source: RFC 3261 sections 8 to 17, RFC 3581, RFC 6026.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::message::{Message, Start, parameter, uri_of};
use crate::sdp::{self, Session};

/// Calls at once; more are refused with 503.
pub const CALLS_MAX: usize = 10_000;
const TRANSACTIONS_MAX: usize = 40_000;
/// RFC 3261's estimate of a round trip, and the longest pause between retransmissions.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// How long a transaction is kept: 64 times [`T1`].
const LIFETIME: Duration = Duration::from_secs(32);
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REGISTER";
/// Longest registration that is granted.
const EXPIRES_MAX: u64 = 3_600;

/// One call, by the number that its maker gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// Where we are.
#[derive(Debug, Clone)]
pub struct Config {
    /// What goes into `Contact` and `Via`.
    pub address: SocketAddr,
    /// Draws tags and branches.
    pub seed: [u8; 32],
}

/// One datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
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
enum State {
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
struct Call {
    state: State,
    peer: SocketAddr,
    call_id: String,
    local: String,
    local_tag: String,
    remote: String,
    remote_tag: Option<String>,
    target: String,
    route: Vec<String>,
    cseq: u32,
    remote_cseq: u32,
    /// The INVITE that made the call: the one that came, or the one that we sent.
    invite: Message,
    session: Option<Session>,
    media: Option<SocketAddr>,
    ack: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Server {
    request: Message,
    source: SocketAddr,
    response: Option<Vec<u8>>,
    repeat: Option<(Instant, Duration)>,
    expires: Instant,
    call: Option<CallId>,
}

#[derive(Debug)]
struct Client {
    octets: Vec<u8>,
    to: SocketAddr,
    repeat: Option<(Instant, Duration)>,
    expires: Instant,
    call: CallId,
    invite: bool,
}

#[derive(Debug)]
struct Binding {
    contact: String,
    source: SocketAddr,
    expires: Instant,
}

/// The user agent of one address.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    random: ChaCha12Rng,
    calls: BTreeMap<CallId, Call>,
    dialogs: BTreeMap<(String, String), CallId>,
    servers: BTreeMap<String, Server>,
    clients: BTreeMap<String, Client>,
    bindings: BTreeMap<String, Binding>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    next_call: u64,
}

impl Agent {
    /// Makes an agent without calls.
    pub fn new(config: Config) -> Self {
        Self {
            random: ChaCha12Rng::from_seed(config.seed),
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

    /// Takes one datagram. What is no SIP message is dropped.
    pub fn handle_message(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) {
        let Ok(message) = Message::parse(datagram) else { return };
        match message.start.clone() {
            Start::Request { method, uri } => self.request(from, message, &method, &uri, now),
            Start::Response { status, .. } => self.response(message, status, now),
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

    /// Returns where a registered user is.
    pub fn binding(&self, user: &str) -> Option<(String, SocketAddr)> {
        self.bindings.get(user).map(|binding| (binding.contact.clone(), binding.source))
    }

    /// Calls `uri` at `peer`, offering our media at `media`.
    pub fn invite(
        &mut self,
        id: CallId,
        uri: &str,
        peer: SocketAddr,
        from: (&str, Option<&str>),
        media: SocketAddr,
        now: Instant,
    ) {
        let local_tag = self.token();
        let call_id = format!("{}@{}", self.token(), self.config.address.ip());
        let name = from.1.map_or_else(String::new, |name| {
            format!("\"{}\" ", name.replace(['"', '\\', '\r', '\n'], ""))
        });
        let from_uri = if from.0.contains(':') {
            from.0.to_owned()
        } else {
            format!("sip:{}@{}", from.0, self.config.address)
        };
        let mut call = Call {
            state: State::Calling { provisional: false, canceled: false },
            peer,
            call_id,
            local: format!("{name}<{from_uri}>"),
            local_tag,
            remote: format!("<{uri}>"),
            remote_tag: None,
            target: uri.to_owned(),
            route: Vec::new(),
            cseq: 1,
            remote_cseq: 0,
            invite: Message {
                start: Start::Request { method: String::new(), uri: String::new() },
                headers: Vec::new(),
                body: Vec::new(),
            },
            session: None,
            media: Some(media),
            ack: None,
        };
        let branch = self.branch();
        let mut invite = self.make_request(&call, "INVITE", call.cseq, &branch);
        invite.headers.push(("Content-Type".to_owned(), "application/sdp".to_owned()));
        invite.body = sdp::offer(media, id.0);
        call.invite = invite.clone();
        self.dialogs.insert((call.call_id.clone(), call.local_tag.clone()), id);
        self.calls.insert(id, call);
        self.send_request(branch, invite.write(), peer, id, true, now);
    }

    /// Tells a caller that it rings here.
    pub fn ring(&mut self, id: CallId) {
        self.answer_invite(id, 180, None, None);
    }

    /// Answers a caller: our media is at `media`.
    pub fn answer(&mut self, id: CallId, media: SocketAddr, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.state != State::Offered {
            return;
        }
        call.state = State::Answered;
        call.media = Some(media);
        let body = match &call.session {
            Some(session) => sdp::answer(session, media, id.0),
            None => sdp::offer(media, id.0),
        };
        self.answer_invite(id, 200, Some(body), Some(now));
    }

    /// Turns a caller away.
    pub fn reject(&mut self, id: CallId, status: u16, now: Instant) {
        if self.calls.get(&id).is_some_and(|call| call.state == State::Offered) {
            self.answer_invite(id, status, None, Some(now));
            self.forget(id);
        }
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

    fn bye(&mut self, id: CallId, now: Instant) {
        let branch = self.branch();
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.cseq += 1;
        let (peer, cseq) = (call.peer, call.cseq);
        let Some(call) = self.calls.get(&id) else { return };
        let bye = self.make_request(call, "BYE", cseq, &branch);
        self.send_request(branch, bye.write(), peer, id, false, now);
    }

    fn cancel(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.get(&id) else { return };
        let Start::Request { uri, .. } = &call.invite.start else { return };
        let mut cancel = call.invite.clone();
        cancel.start = Start::Request { method: "CANCEL".to_owned(), uri: uri.clone() };
        cancel.body.clear();
        cancel.headers.retain(|(name, _)| name != "Content-Type" && name != "Contact");
        for (name, value) in &mut cancel.headers {
            if name == "CSeq" {
                *value = format!("{} CANCEL", call.cseq);
            }
        }
        let branch = format!("{}/CANCEL", call.invite.branch().unwrap_or_default());
        let peer = call.peer;
        self.send_request(branch, cancel.write(), peer, id, false, now);
    }

    fn request(
        &mut self,
        from: SocketAddr,
        mut message: Message,
        method: &str,
        uri: &str,
        now: Instant,
    ) {
        if message.header("Via").is_none() {
            return; // There is nowhere to send a complaint.
        }
        mark_source(&mut message, from);
        let complete =
            ["From", "To", "Call-ID", "CSeq"].iter().all(|n| message.all(n).count() == 1)
                && message.tag("From").is_some()
                && message.cseq().is_some_and(|(_, named)| named == method);
        if !complete {
            if method != "ACK" {
                self.reply(from, &message.response(400, None));
            }
            return;
        }
        let key = server_key(
            &message,
            if method == "ACK" || method == "CANCEL" { "INVITE" } else { method },
        );
        match method {
            "ACK" => return self.acknowledged(&message, &key),
            "CANCEL" => return self.canceled(from, &message, &key, now),
            _ => {}
        }
        if let Some(known) = self.servers.get(&key) {
            if let Some(octets) = known.response.clone() {
                self.transmits.push_back(Transmit { to: from, octets });
            }
            return;
        }
        if self.servers.len() >= TRANSACTIONS_MAX {
            return self.reply(from, &message.response(503, None));
        }
        let (request, expires) = (message.clone(), now + LIFETIME);
        let server =
            Server { request, source: from, response: None, repeat: None, expires, call: None };
        self.servers.insert(key.clone(), server);
        if message.header("Max-Forwards").is_some_and(|hops| hops.trim() == "0") {
            return self.finish(&key, message.response(483, Some("hops")), now);
        }
        if let Some(required) = message.header("Require").map(str::to_owned) {
            let mut response = message.response(420, Some("require"));
            response.headers.push(("Unsupported".to_owned(), required));
            return self.finish(&key, response, now);
        }
        if message.tag("To").is_some() {
            return self.request_in_dialog(&key, &message, method, now);
        }
        match method {
            "INVITE" => self.invited(from, &key, message, uri, now),
            "REGISTER" => self.register(from, &key, &message, now),
            "OPTIONS" => {
                let tag = self.token();
                let mut response = message.response(200, Some(&tag));
                response.headers.push(("Allow".to_owned(), ALLOW.to_owned()));
                response.headers.push(("Accept".to_owned(), "application/sdp".to_owned()));
                self.finish(&key, response, now);
            }
            "BYE" | "INFO" | "UPDATE" => {
                self.finish(&key, message.response(481, Some("none")), now)
            }
            _ => {
                let known = ["REFER", "SUBSCRIBE", "NOTIFY", "MESSAGE", "PUBLISH", "PRACK"];
                let status = if known.contains(&method) { 405 } else { 501 };
                let mut response = message.response(status, Some("none"));
                response.headers.push(("Allow".to_owned(), ALLOW.to_owned()));
                self.finish(&key, response, now);
            }
        }
    }

    fn invited(&mut self, from: SocketAddr, key: &str, message: Message, uri: &str, now: Instant) {
        let merged = self.servers.iter().any(|(other, server)| {
            other != key
                && server.request.tag("To").is_none()
                && server.request.header("Call-ID") == message.header("Call-ID")
                && server.request.cseq() == message.cseq()
                && server.request.tag("From") == message.tag("From")
        });
        if merged {
            return self.finish(key, message.response(482, Some("merged")), now);
        }
        if self.calls.len() >= CALLS_MAX {
            return self.finish(key, message.response(503, Some("full")), now);
        }
        let session = Session::parse(&message.body);
        if session.is_none() && !message.body.is_empty() {
            return self.finish(key, message.response(488, Some("media")), now);
        }
        let Some(contact) = message.header("Contact").map(|c| uri_of(c).to_owned()) else {
            return self.finish(key, message.response(400, Some("contact")), now);
        };
        let id = self.new_call();
        let header = |name: &str| message.header(name).unwrap_or_default().to_owned();
        let call = Call {
            state: State::Offered,
            peer: from,
            call_id: header("Call-ID"),
            local: without_tag(&header("To")),
            local_tag: self.token(),
            remote: without_tag(&header("From")),
            remote_tag: message.tag("From").map(str::to_owned),
            target: contact,
            route: message.all("Record-Route").map(str::to_owned).collect(),
            cseq: 0,
            remote_cseq: message.cseq().map_or(0, |(number, _)| number),
            invite: message.clone(),
            session: session.clone(),
            media: None,
            ack: None,
        };
        let display = header("From");
        let display_name = display.find('<').map(|at| display[..at].trim().trim_matches('"'));
        let invitation = Invitation {
            call: id,
            from: uri_of(&display).to_owned(),
            display_name: display_name.filter(|name| !name.is_empty()).map(str::to_owned),
            to: uri.to_owned(),
            offer: session,
            headers: message
                .headers
                .iter()
                .filter(|(name, _)| name.len() > 2 && name[..2].eq_ignore_ascii_case("x-"))
                .cloned()
                .collect(),
        };
        self.dialogs.insert((call.call_id.clone(), call.local_tag.clone()), id);
        self.calls.insert(id, call);
        if let Some(server) = self.servers.get_mut(key) {
            server.call = Some(id);
            // While the call rings, the transaction lives; `answer_invite` gives it an end.
            server.expires = now + LIFETIME * 20;
        }
        self.provisional(key, &message.response(100, None));
        self.events.push_back(Event::Invite(Box::new(invitation)));
    }

    fn request_in_dialog(&mut self, key: &str, message: &Message, method: &str, now: Instant) {
        let dialog = (
            message.header("Call-ID").unwrap_or_default().to_owned(),
            message.tag("To").unwrap_or_default().to_owned(),
        );
        let id = self.dialogs.get(&dialog).copied();
        let known = id.and_then(|id| self.calls.get_mut(&id)).filter(|call| {
            call.remote_tag.is_none() || call.remote_tag.as_deref() == message.tag("From")
        });
        let (Some(id), Some(call)) = (id, known) else {
            return self.finish(key, message.response(481, None), now);
        };
        let cseq = message.cseq().map_or(0, |(number, _)| number);
        if cseq <= call.remote_cseq && call.remote_cseq != 0 {
            return self.finish(key, message.response(500, None), now);
        }
        call.remote_cseq = cseq;
        match method {
            "BYE" => {
                self.finish(key, message.response(200, None), now);
                self.forget(id);
                self.events.push_back(Event::Ended(id, Ended::HungUp));
            }
            "INVITE" | "UPDATE" => self.renegotiate(key, message, id, method, now),
            "INFO" => {
                let body = String::from_utf8_lossy(&message.body).into_owned();
                let signal = body.lines().find_map(|l| l.trim().strip_prefix("Signal="));
                let digit = signal.and_then(|s| s.trim().chars().next());
                if let Some(digit) = digit.filter(|d| "0123456789*#ABCD".contains(*d)) {
                    self.events.push_back(Event::Digit(id, digit));
                }
                self.finish(key, message.response(200, None), now);
            }
            "OPTIONS" => self.finish(key, message.response(200, None), now),
            "REFER" => self.finish(key, message.response(603, None), now),
            _ => self.finish(key, message.response(501, None), now),
        }
    }

    /// Answers a re-INVITE or an UPDATE: our address stays, the direction follows.
    fn renegotiate(
        &mut self,
        key: &str,
        message: &Message,
        id: CallId,
        method: &str,
        now: Instant,
    ) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let glare = self.clients.values().any(|client| client.invite && client.call == id);
        let offer = Session::parse(&message.body);
        let media = call.media.unwrap_or(self.config.address);
        if glare || matches!(call.state, State::Offered) {
            return self.finish(key, message.response(491, None), now);
        }
        if offer.is_none() && !message.body.is_empty() {
            return self.finish(key, message.response(488, None), now);
        }
        if let Some(contact) = message.header("Contact") {
            call.target = uri_of(contact).to_owned();
        }
        let mut response = message.response(200, None);
        if let Some(offer) = offer {
            response.body = sdp::answer(&offer, media, id.0);
            call.session = Some(offer.clone());
            self.events.push_back(Event::MediaChanged(id, Box::new(offer)));
        } else if method == "INVITE" {
            response.body = sdp::offer(media, id.0);
        }
        if !response.body.is_empty() {
            response.headers.push(("Content-Type".to_owned(), "application/sdp".to_owned()));
        }
        response.headers.push(("Contact".to_owned(), self.contact()));
        self.finish(key, response, now);
    }

    fn register(&mut self, from: SocketAddr, key: &str, message: &Message, now: Instant) {
        let tag = self.token();
        let to = uri_of(message.header("To").unwrap_or_default()).to_owned();
        let user = user_of(&to).to_owned();
        let contact = message.header("Contact").unwrap_or_default().to_owned();
        let asked = parameter(&contact, "expires").or_else(|| message.header("Expires"));
        let expires =
            asked.and_then(|text| text.parse().ok()).unwrap_or(EXPIRES_MAX).min(EXPIRES_MAX);
        if user.is_empty() || self.bindings.len() >= CALLS_MAX {
            return self.finish(key, message.response(400, Some(&tag)), now);
        }
        let mut response = message.response(200, Some(&tag));
        if contact == "*" || expires == 0 {
            if self.bindings.remove(&user).is_some() {
                self.events.push_back(Event::Unregistered(user));
            }
        } else if !contact.is_empty() {
            let contact = uri_of(&contact).to_owned();
            response.headers.push(("Contact".to_owned(), format!("<{contact}>;expires={expires}")));
            let expires = now + Duration::from_secs(expires);
            let new = Binding { contact, source: from, expires };
            if self.bindings.insert(user.clone(), new).is_none() {
                self.events.push_back(Event::Registered(user));
            }
        }
        self.finish(key, response, now);
    }

    fn acknowledged(&mut self, message: &Message, key: &str) {
        if let Some(server) = self.servers.get_mut(key) {
            server.repeat = None;
        }
        let dialog = (
            message.header("Call-ID").unwrap_or_default().to_owned(),
            message.tag("To").unwrap_or_default().to_owned(),
        );
        let Some(&id) = self.dialogs.get(&dialog) else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        for server in self.servers.values_mut().filter(|server| server.call == Some(id)) {
            server.repeat = None;
        }
        if call.state == State::Answered {
            call.state = State::Up;
            let session = Session::parse(&message.body);
            if session.is_some() {
                call.session.clone_from(&session);
            }
            self.events.push_back(Event::Acknowledged(id, session.map(Box::new)));
        }
    }

    fn canceled(&mut self, from: SocketAddr, message: &Message, key: &str, now: Instant) {
        let id = self.servers.get(key).and_then(|server| server.call);
        let Some(call) = id.and_then(|id| self.calls.get(&id)) else {
            return self.reply(from, &message.response(481, Some("none")));
        };
        let (tag, state) = (call.local_tag.clone(), call.state);
        self.reply(from, &message.response(200, Some(&tag)));
        if let (Some(id), State::Offered) = (id, state) {
            self.answer_invite(id, 487, None, Some(now));
            self.forget(id);
            self.events.push_back(Event::Ended(id, Ended::HungUp));
        }
    }

    fn response(&mut self, message: Message, status: u16, now: Instant) {
        let (Some(branch), Some((_, method))) = (message.branch(), message.cseq()) else { return };
        let key = if method == "CANCEL" { format!("{branch}/CANCEL") } else { branch.to_owned() };
        let Some(client) = self.clients.get_mut(&key) else {
            return self.repeat_ack(&message, status);
        };
        let (id, invite) = (client.call, client.invite);
        if status < 200 {
            client.repeat = client.repeat.filter(|_| !invite);
            if invite {
                // A phone may ring as long as our caller lets it.
                client.expires = now + LIFETIME * 20;
                self.rings(id, &message, status, now);
            }
            return;
        }
        self.clients.remove(&key);
        if !invite {
            return;
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.remote_tag = message.tag("To").map(str::to_owned);
        if status >= 300 {
            let (target, peer) = (call.invite.start.clone(), call.peer);
            let mut ack = call.invite.clone();
            let Start::Request { uri, .. } = target else { return };
            ack.start = Start::Request { method: "ACK".to_owned(), uri };
            ack.body.clear();
            ack.headers.retain(|(name, _)| name != "Content-Type" && name != "Contact");
            for (name, value) in &mut ack.headers {
                match name.as_str() {
                    "CSeq" => *value = format!("{} ACK", call.cseq),
                    "To" => message.header("To").unwrap_or_default().clone_into(value),
                    _ => {}
                }
            }
            self.transmits.push_back(Transmit { to: peer, octets: ack.write() });
            self.forget(id);
            self.events.push_back(Event::Failed(id, status));
            return;
        }
        self.up(id, &message, now);
    }

    fn rings(&mut self, id: CallId, message: &Message, status: u16, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let State::Calling { provisional, canceled } = call.state else { return };
        call.state = State::Calling { provisional: true, canceled };
        if canceled && !provisional {
            return self.cancel(id, now);
        }
        if status > 100 && !canceled {
            let session = Session::parse(&message.body).map(Box::new);
            self.events.push_back(Event::Ringing(id, session));
        }
    }

    fn up(&mut self, id: CallId, message: &Message, now: Instant) {
        let branch = self.branch();
        let Some(call) = self.calls.get_mut(&id) else { return };
        let canceled = matches!(call.state, State::Calling { canceled: true, .. });
        call.state = State::Up;
        if let Some(contact) = message.header("Contact") {
            call.target = uri_of(contact).to_owned();
        }
        call.route = message.all("Record-Route").map(str::to_owned).collect();
        call.route.reverse();
        let session = Session::parse(&message.body);
        call.session.clone_from(&session);
        let (peer, cseq) = (call.peer, call.cseq);
        let Some(call) = self.calls.get(&id) else { return };
        let octets = self.make_request(call, "ACK", cseq, &branch).write();
        if let Some(call) = self.calls.get_mut(&id) {
            call.ack = Some(octets.clone());
        }
        self.transmits.push_back(Transmit { to: peer, octets });
        if canceled || session.is_none() {
            self.bye(id, now);
            self.forget(id);
            let status = if canceled { 487 } else { 488 };
            self.events.push_back(Event::Failed(id, status));
        } else {
            self.events.push_back(Event::Answered(id, session.map(Box::new)));
        }
    }

    /// A 2xx that comes again means that our ACK was lost.
    fn repeat_ack(&mut self, message: &Message, status: u16) {
        let tag = message.tag("From").unwrap_or_default().to_owned();
        let dialog = (message.header("Call-ID").unwrap_or_default().to_owned(), tag);
        let call = self.dialogs.get(&dialog).and_then(|id| self.calls.get(id));
        if let Some(call) = call
            && (200..300).contains(&status)
            && message.cseq().is_some_and(|(_, method)| method == "INVITE")
            && let Some(octets) = call.ack.clone()
        {
            let to = call.peer;
            self.transmits.push_back(Transmit { to, octets });
        }
    }

    /// Answers the INVITE that made a call.
    fn answer_invite(
        &mut self,
        id: CallId,
        status: u16,
        body: Option<Vec<u8>>,
        now: Option<Instant>,
    ) {
        let Some(call) = self.calls.get(&id) else { return };
        let key = server_key(&call.invite, "INVITE");
        let mut response = call.invite.response(status, Some(&call.local_tag));
        if status < 300 {
            response.headers.push(("Contact".to_owned(), self.contact()));
            response.headers.push(("Allow".to_owned(), ALLOW.to_owned()));
        }
        if let Some(body) = body {
            response.headers.push(("Content-Type".to_owned(), "application/sdp".to_owned()));
            response.body = body;
        }
        match now {
            None => self.provisional(&key, &response),
            Some(now) => self.finish(&key, response, now),
        }
    }

    fn provisional(&mut self, key: &str, response: &Message) {
        let Some(server) = self.servers.get_mut(key) else { return };
        let octets = response.write();
        server.response = Some(octets.clone());
        self.transmits.push_back(Transmit { to: server.source, octets });
    }

    /// Sends a final response and keeps it for whoever asks again.
    fn finish(&mut self, key: &str, response: Message, now: Instant) {
        let Some(server) = self.servers.get_mut(key) else { return };
        let octets = response.write();
        let invite = response.cseq().is_some_and(|(_, method)| method == "INVITE");
        server.response = Some(octets.clone());
        server.repeat = invite.then_some((now + T1, T1));
        server.expires = now + LIFETIME;
        self.transmits.push_back(Transmit { to: server.source, octets });
    }

    fn reply(&mut self, to: SocketAddr, response: &Message) {
        self.transmits.push_back(Transmit { to, octets: response.write() });
    }

    fn send_request(
        &mut self,
        key: String,
        octets: Vec<u8>,
        to: SocketAddr,
        call: CallId,
        invite: bool,
        now: Instant,
    ) {
        self.transmits.push_back(Transmit { to, octets: octets.clone() });
        let (repeat, expires) = (Some((now + T1, T1)), now + LIFETIME);
        self.clients.insert(key, Client { octets, to, repeat, expires, call, invite });
    }

    fn make_request(&self, call: &Call, method: &str, cseq: u32, branch: &str) -> Message {
        let us = self.config.address;
        let tag = call.remote_tag.as_ref().map_or_else(String::new, |tag| format!(";tag={tag}"));
        let mut headers = vec![
            ("Via".to_owned(), format!("SIP/2.0/UDP {us};rport;branch={branch}")),
            ("Max-Forwards".to_owned(), "70".to_owned()),
            ("From".to_owned(), format!("{};tag={}", call.local, call.local_tag)),
            ("To".to_owned(), format!("{}{tag}", call.remote)),
            ("Call-ID".to_owned(), call.call_id.clone()),
            ("CSeq".to_owned(), format!("{cseq} {method}")),
            ("Contact".to_owned(), self.contact()),
            ("User-Agent".to_owned(), "Sidetone".to_owned()),
        ];
        headers.extend(call.route.iter().map(|route| ("Route".to_owned(), route.clone())));
        let start = Start::Request { method: method.to_owned(), uri: call.target.clone() };
        Message { start, headers, body: Vec::new() }
    }

    fn contact(&self) -> String {
        format!("<sip:sidetone@{}>", self.config.address)
    }

    fn lose(&mut self, id: CallId) {
        if self.forget(id) {
            self.events.push_back(Event::Ended(id, Ended::Lost));
        }
    }

    fn forget(&mut self, id: CallId) -> bool {
        let Some(call) = self.calls.remove(&id) else { return false };
        self.dialogs.remove(&(call.call_id, call.local_tag));
        true
    }

    fn token(&mut self) -> String {
        format!("{:016x}", self.random.next_u64())
    }

    fn branch(&mut self) -> String {
        format!("z9hG4bK{}", self.token())
    }
}

fn repeat(
    repeat: &mut Option<(Instant, Duration)>,
    now: Instant,
    to: SocketAddr,
    octets: &[u8],
    transmits: &mut VecDeque<Transmit>,
) {
    if let Some((at, pause)) = repeat
        && *at <= now
    {
        *pause = (*pause * 2).min(T2);
        *at = now + *pause;
        transmits.push_back(Transmit { to, octets: octets.to_vec() });
    }
}

/// Returns what tells transactions apart. Source: RFC 3261 section 17.2.3.
fn server_key(message: &Message, method: &str) -> String {
    let via = message.header("Via").unwrap_or_default();
    let sent_by = via.split([';', ',']).next().unwrap_or_default();
    let branch = message.branch().unwrap_or_default();
    let call_id = message.header("Call-ID").unwrap_or_default();
    let cseq = message.cseq().map_or(0, |(number, _)| number);
    format!("{branch}|{sent_by}|{call_id}|{cseq}|{method}")
}

/// Writes where a request came from into its topmost `Via`. Source: RFC 3581.
fn mark_source(message: &mut Message, from: SocketAddr) {
    let via = message.headers.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("Via"));
    if let Some((_, via)) = via {
        let (first, rest) = via.split_once(',').map_or((via.as_str(), None), |(f, r)| (f, Some(r)));
        let marked = first.split(';').map(|part| match part.trim() {
            "rport" => format!("rport={};received={}", from.port(), from.ip()),
            other => other.to_owned(),
        });
        let mut marked = marked.collect::<Vec<_>>().join(";");
        if let Some(rest) = rest {
            marked = format!("{marked},{rest}");
        }
        *via = marked;
    }
}

fn without_tag(value: &str) -> String {
    value
        .split(';')
        .filter(|part| !part.trim_start().starts_with("tag="))
        .collect::<Vec<_>>()
        .join(";")
}

fn user_of(uri: &str) -> &str {
    uri.split_once(':').and_then(|(_, rest)| rest.split_once('@')).map_or("", |(user, _)| user)
}
