//! Transactions: what was asked and answered, and what is sent again.
//!
//! Source: RFC 3261 section 17, RFC 6026.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::agent::*;
use crate::call::State;
use crate::deadline::Timer;
use crate::dialog::Dialog;
use crate::digest::Proof;
use crate::guard::source_of;
use crate::message::{Message, Start};

/// What tells transactions apart: branch, sender and method.
pub type Key = Arc<str>;

/// What tells requests apart whatever way they came: Call-ID, From tag, CSeq.
/// Source: RFC 3261 section 8.2.2.2.
pub type Merged = (String, String, String);

/// When something is sent again.
#[derive(Debug, Clone, Copy)]
pub struct Repeat {
    pub at: Instant,
    pause: Duration,
    longest: Duration,
}

impl Repeat {
    /// Sends after [`T1`], then after pauses that double up to `longest`.
    pub fn doubling(now: Instant, longest: Duration) -> Self {
        Self { at: now + T1, pause: T1, longest }
    }

    /// Sends with the same pause each time.
    fn each(now: Instant, pause: Duration) -> Self {
        Self { at: now + pause, pause, longest: pause }
    }

    /// Moves on to the next time.
    pub fn advance(&mut self, now: Instant) {
        self.pause = (self.pause * 2).min(self.longest);
        self.at = now + self.pause;
    }
}

/// What somebody asks of us.
#[derive(Debug)]
pub struct Server {
    pub source: Peer,
    pub response: Option<Vec<u8>>,
    pub repeat: Option<Repeat>,
    pub expires: Instant,
    /// The call that an INVITE makes or changes.
    pub call: Option<CallId>,
    pub cseq: u32,
    /// The status of its final response.
    pub concluded: Option<u16>,
    merged: Option<Merged>,
}

impl Server {
    /// Whether its final response is a 2xx.
    pub fn accepted(&self) -> bool {
        self.concluded.is_some_and(|status| status < 300)
    }
}

/// What we ask, and what its answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Invite,
    Reinvite,
    Update,
    Prack,
    Bye,
    Cancel,
    /// Outside of calls.
    Question,
}

impl Kind {
    pub fn is_invite(self) -> bool {
        matches!(self, Self::Invite | Self::Reinvite)
    }
}

/// What we ask of somebody.
#[derive(Debug)]
pub struct Client {
    pub octets: Vec<u8>,
    pub to: Callee,
    pub repeat: Option<Repeat>,
    pub expires: Instant,
    pub call: CallId,
    pub kind: Kind,
    /// What answers a challenge, once.
    pub proof: Option<Proof>,
    /// What was said to the final response of an INVITE.
    pub done: Option<Done>,
}

/// An INVITE that has its final response.
#[derive(Debug)]
pub struct Done {
    /// The ACK for each one who answered, by tag.
    pub acks: Vec<(String, Vec<u8>)>,
    /// The dialog, should another phone answer as well.
    pub dialog: Option<Box<Dialog>>,
}

impl Agent {
    /// Opens a transaction of somebody else, if there is room.
    pub(crate) fn open_server(
        &mut self,
        key: &Key,
        from: Peer,
        message: &Message,
        now: Instant,
    ) -> bool {
        let source = source_of(from.address);
        if self.servers.len() >= TRANSACTIONS_MAX || !self.shares.room(source).0 {
            return false;
        }
        self.shares.count(source, 1, 0);
        let merged = merged(message);
        if let Some(merged) = &merged {
            self.merged.insert(merged.clone(), Arc::clone(key));
        }
        let server = Server {
            source: from,
            response: None,
            repeat: None,
            expires: now + LIFETIME,
            call: None,
            cseq: message.cseq().map_or(0, |(number, _)| number),
            concluded: None,
            merged,
        };
        self.servers.insert(Arc::clone(key), server);
        self.arm_server(key);
        true
    }

    pub(crate) fn arm_server(&mut self, key: &Key) {
        let due = self.servers.get(key).map(|server| {
            server.repeat.map_or(server.expires, |repeat| repeat.at.min(server.expires))
        });
        self.deadlines.set(Timer::Server(Arc::clone(key)), due);
    }

    pub(crate) fn server_due(&mut self, key: &Key, now: Instant) {
        let Some(server) = self.servers.get_mut(key) else { return };
        if server.expires > now {
            let (to, octets) = (server.source, server.response.clone());
            if let Some(repeat) = &mut server.repeat
                && repeat.at <= now
            {
                repeat.advance(now);
                if let Some(octets) = octets {
                    self.stats.retransmissions += 1;
                    self.transmit(to, octets);
                }
            }
            return self.arm_server(key);
        }
        let waiting = server.call.and_then(|id| {
            let call = self.calls.get(&id)?;
            (call.server.as_ref() == Some(key)).then_some((id, call.state))
        });
        match waiting {
            Some((id, State::Offered)) => {
                self.reject(id, 480, now);
                return self.tell(Event::Ended(id, Ended::Lost));
            }
            Some((id, _)) => self.lose(id, now),
            None => {}
        }
        self.close_server(key);
    }

    fn close_server(&mut self, key: &Key) {
        let Some(server) = self.servers.remove(key) else { return };
        self.shares.count(source_of(server.source.address), -1, 0);
        if let Some(merged) = server.merged {
            self.merged.remove(&merged);
        }
        self.deadlines.set(Timer::Server(Arc::clone(key)), None);
    }

    /// Sends no response again but to who asks for it.
    pub(crate) fn stop_repeating(&mut self, key: &Key) {
        if let Some(server) = self.servers.get_mut(key) {
            server.repeat = None;
        }
        self.arm_server(key);
    }

    /// Sends a provisional response, and again while it lasts.
    pub(crate) fn provisional(&mut self, key: &Key, response: &Message, now: Instant) {
        let Some(server) = self.servers.get_mut(key) else { return };
        let octets = response.write();
        let status = response.status();
        server.response = Some(octets.clone());
        server.repeat = (status > 100).then(|| Repeat::each(now, RINGS_AGAIN));
        let to = server.source;
        self.stats.response_tx(status);
        self.transmit(to, octets);
        self.arm_server(key);
    }

    /// Sends a final response and keeps it for whoever asks again.
    pub(crate) fn finish(&mut self, key: &Key, response: &Message, now: Instant) {
        let Some(server) = self.servers.get_mut(key) else { return };
        let octets = response.write();
        let status = response.status();
        let invite = response.cseq().is_some_and(|(_, method)| method == "INVITE");
        server.concluded = Some(status);
        server.response = Some(octets.clone());
        let repeated = invite && (server.accepted() || server.source.transport == Transport::Udp);
        server.repeat = repeated.then(|| Repeat::doubling(now, T2));
        server.expires = now + LIFETIME;
        let to = server.source;
        self.stats.response_tx(status);
        self.transmit(to, octets);
        self.arm_server(key);
    }

    /// Answers without keeping anything.
    pub(crate) fn reply(&mut self, to: Peer, response: &Message) {
        self.stats.response_tx(response.status());
        self.transmit(to, response.write());
    }

    /// Returns a tag for an answer for which nothing is kept: the same for the same request.
    /// Source: RFC 3261 section 8.2.7.
    pub(crate) fn stateless_tag(&self, request: &Message) -> String {
        let mut hash = Sha256::new();
        hash.update(self.secret);
        for name in ["Via", "Call-ID", "CSeq", "From"] {
            hash.update(request.header(name).unwrap_or_default());
            hash.update([0]);
        }
        hash.finalize().iter().take(8).map(|octet| format!("{octet:02x}")).collect()
    }

    /// Sends a request; says whether there was room for its transaction.
    pub(crate) fn send_request(
        &mut self,
        request: &Message,
        to: Callee,
        call: CallId,
        kind: Kind,
        now: Instant,
    ) -> Option<Key> {
        if self.clients.len() >= TRANSACTIONS_MAX {
            self.stats.overloaded += 1;
            return None;
        }
        let Start::Request { method, .. } = &request.start else { return None };
        let key = Self::key(request.branch().unwrap_or_default(), method);
        let octets = request.write();
        self.stats.request_tx(method);
        self.transmit_to(to.clone(), octets.clone());
        let longest = if kind.is_invite() { LIFETIME } else { T2 };
        let repeat = (to.peer.transport == Transport::Udp).then(|| Repeat::doubling(now, longest));
        let proof = self.calls.get(&call).and_then(|call| call.proof.clone());
        let expires = now + LIFETIME;
        let client = Client { octets, to, repeat, expires, call, kind, proof, done: None };
        self.clients.insert(Arc::clone(&key), client);
        self.arm_client(&key);
        Some(key)
    }

    pub(crate) fn arm_client(&mut self, key: &Key) {
        let due = self.clients.get(key).map(|client| {
            client.repeat.map_or(client.expires, |repeat| repeat.at.min(client.expires))
        });
        self.deadlines.set(Timer::Client(Arc::clone(key)), due);
    }

    pub(crate) fn close_client(&mut self, key: &Key) -> Option<Client> {
        self.deadlines.set(Timer::Client(Arc::clone(key)), None);
        self.clients.remove(key)
    }

    pub(crate) fn client_due(&mut self, key: &Key, now: Instant) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.expires > now {
            if let Some(repeat) = &mut client.repeat
                && repeat.at <= now
            {
                repeat.advance(now);
                let (to, octets) = (client.to.clone(), client.octets.clone());
                self.stats.retransmissions += 1;
                self.transmit_to(to, octets);
            }
            return self.arm_client(key);
        }
        if let Some(client) = self.close_client(key)
            && client.done.is_none()
        {
            self.unanswered(key, &client, 408, now);
        }
    }
}

/// Returns what tells a request apart that opens something.
pub fn merged(message: &Message) -> Option<Merged> {
    let header = |name: &str| message.header(name).unwrap_or_default().to_owned();
    message.tag("To").is_none().then(|| {
        (header("Call-ID"), message.tag("From").unwrap_or_default().to_owned(), header("CSeq"))
    })
}

/// Returns what tells transactions apart. Source: RFC 3261 section 17.2.3.
pub fn server_key(message: &Message, method: &str) -> Key {
    let via = message.header("Via").unwrap_or_default();
    let sent_by = via.split([';', ',']).next().unwrap_or_default();
    let branch = message.branch().unwrap_or_default();
    let call_id = message.header("Call-ID").unwrap_or_default();
    let cseq = message.cseq().map_or(0, |(number, _)| number);
    Arc::from(format!("{branch}|{sent_by}|{call_id}|{cseq}|{method}"))
}

/// Writes where a request came from into its topmost `Via`: where that differs from what it says, and
/// where it asks. Source: RFC 3261 section 18.2.1, RFC 3581 section 4.
pub fn mark_source(message: &mut Message, from: SocketAddr) {
    let via = message.headers.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("Via"));
    let Some((_, via)) = via else { return };
    let (first, rest) = via.split_once(',').map_or((via.as_str(), None), |(f, r)| (f, Some(r)));
    let ip = from.ip().to_canonical();
    let sent_by = first.split(';').next().and_then(|by| by.split_whitespace().last());
    let host = sent_by.map_or("", |by| match by.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => by.split(':').next().unwrap_or_default(),
    });
    let mut wants_port = false;
    let mut parts = Vec::new();
    for part in first.split(';') {
        let name = part.split('=').next().unwrap_or_default().trim().to_ascii_lowercase();
        match name.as_str() {
            "rport" => wants_port = true,
            // Only we can tell.
            "received" => {}
            _ => parts.push(part.trim().to_owned()),
        }
    }
    if wants_port {
        parts.push(format!("rport={}", from.port()));
    }
    if wants_port || host.parse() != Ok(ip) {
        parts.push(format!("received={ip}"));
    }
    let mut marked = parts.join(";");
    if let Some(rest) = rest {
        marked = format!("{marked},{rest}");
    }
    *via = marked;
}
