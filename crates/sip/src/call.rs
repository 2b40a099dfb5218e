//! One call as the agent keeps it.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::dialog::Dialog;
use crate::digest::Proof;
use crate::message::{Message, Start};
use crate::reliable::{Early, Reliable};
use rand_chacha::rand_core::RngCore;

use crate::sdp::{self, Crypto, Keys, Protection, Session, SrtpPolicy, Suite, Terms};
use crate::session_timer::Running;
use crate::transaction::Key;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// We were called and have not answered.
    Offered,
    /// We answered and wait for the ACK.
    Answered,
    /// We call.
    Calling { provisional: bool, canceled: bool },
    /// Both sides know of the dialog.
    Up,
}

#[derive(Debug)]
pub struct Call {
    pub state: State,
    pub dialog: Dialog,
    /// The INVITE that made the call: the one that came, or the one that we sent.
    pub invite: Message,
    /// What we speak with it.
    pub terms: Terms,
    /// Our keys of our last description.
    pub cryptos: Vec<Crypto>,
    /// What the far end last said of its media.
    pub session: Option<Session>,
    /// Where ours is.
    pub media: Option<SocketAddr>,
    /// Our last description, under version 1.
    pub described: Vec<u8>,
    /// Whether our last description is an offer that nobody answered yet.
    pub offering: bool,
    /// The INVITE of the far end that is not answered, or whose answer is not acknowledged.
    pub server: Option<Key>,
    /// The INVITE or UPDATE of ours that is not answered.
    pub client: Option<Key>,
    /// What answers a challenge.
    pub proof: Option<Proof>,
    /// The early dialogs that the far end opened.
    pub early: Vec<Early>,
    /// Our provisional response that waits for its PRACK.
    pub reliable: Option<Reliable>,
    /// The number of our last reliable provisional response.
    pub rseq: u32,
    /// Where to answer from once the PRACK is there.
    pub answering: Option<SocketAddr>,
    pub timer: Option<Running>,
    /// When the far end is to be told where our media is, and whether it is being told.
    pub moves_at: Option<Instant>,
    /// See above.
    pub moving: bool,
    /// Whether it is to end as soon as that is allowed; nobody waits for word of it.
    pub ending: bool,
    /// Whose share it is counted in.
    pub source: Option<IpAddr>,
}

impl Call {
    pub fn new(state: State, dialog: Dialog, invite: Message, terms: Terms) -> Self {
        Self {
            state,
            dialog,
            invite,
            terms,
            cryptos: Vec::new(),
            session: None,
            media: None,
            described: Vec::new(),
            offering: false,
            server: None,
            client: None,
            proof: None,
            early: Vec::new(),
            reliable: None,
            rseq: 0,
            answering: None,
            timer: None,
            moves_at: None,
            moving: false,
            ending: false,
            source: None,
        }
    }

    /// Returns our description as it goes out: its version rises when it differs from the last.
    /// Source: RFC 3264 section 8.
    fn describe(&mut self, body: Vec<u8>) -> Vec<u8> {
        if body != self.described {
            self.dialog.version += 1;
            self.described = body;
        }
        sdp::under_version(&self.described, self.dialog.version)
    }

    /// Writes our answer to what the far end offers.
    pub fn answer_to(&mut self, offer: &Session, media: SocketAddr) -> Vec<u8> {
        let body = sdp::answer(offer, &self.terms, &self.cryptos, (media, self.dialog.origin));
        self.offering = false;
        self.describe(body)
    }

    /// Reads an offer of the far end, as our terms allow it; which keys are used is settled later.
    pub fn read_offer(&self, body: &[u8]) -> Option<Session> {
        Session::parse(body, &self.terms)
    }

    /// Settles which keys protect what the far end offers: ours stay while its suite does.
    pub fn settle(&mut self, offer: &mut Session, random: &mut impl RngCore) {
        let Some(theirs) = offer.cryptos.first().copied() else { return self.cryptos.clear() };
        let suite = theirs.keys.suite();
        let known = self.cryptos.iter().find(|one| one.keys.suite() == suite);
        let ours = known.map_or_else(|| Keys::draw(suite, random), |known| known.keys);
        self.cryptos = vec![Crypto { tag: theirs.tag, keys: ours }];
        offer.audio.protection = Some(Protection { ours, theirs: theirs.keys });
    }

    /// Reads the far end's answer to our last offer, with the keys that it settles on.
    pub fn read_answer(&self, body: &[u8]) -> Option<Session> {
        let mut answer = self.read_settled(body)?;
        if let Some(offer) = Session::parse(&self.described, &self.terms.with(SrtpPolicy::Optional))
        {
            answer.know(&offer);
        }
        Some(answer)
    }

    fn read_settled(&self, body: &[u8]) -> Option<Session> {
        if self.cryptos.is_empty() {
            return Session::parse(body, &self.terms.with(SrtpPolicy::Off));
        }
        let mut session = Session::parse(body, &self.terms)?;
        let pair = |theirs: &Crypto| {
            let fits =
                |ours: &&Crypto| ours.tag == theirs.tag && ours.keys.suite() == theirs.keys.suite();
            let ours = self.cryptos.iter().find(fits)?.keys;
            Some(Protection { ours, theirs: theirs.keys })
        };
        session.audio.protection = session.cryptos.iter().find_map(pair);
        let demanded = session.is_secure || self.terms.srtp == SrtpPolicy::Mandatory;
        (session.audio.protection.is_some() || !demanded).then_some(session)
    }

    /// Whether an answer that cannot be taken fails to protect what is to be protected, and could be taken otherwise.
    pub fn is_answered_in_the_clear(&self, body: &[u8]) -> bool {
        let is_demanded = self.terms.srtp == SrtpPolicy::Mandatory && !self.cryptos.is_empty();
        is_demanded && Session::parse(body, &self.terms.with(SrtpPolicy::Off)).is_some()
    }

    /// Takes what the far end answered finally: of our keys, that one stays.
    pub fn keep(&mut self, session: &Session) {
        let ours = session.audio.protection.map(|protection| protection.ours);
        self.cryptos.retain(|one| Some(one.keys) == ours);
        self.session = Some(session.clone());
    }

    /// Draws the keys of the first offer of ours.
    pub fn draw(&mut self, random: &mut impl RngCore) {
        let tagged = (1..).zip(Suite::ALL);
        self.cryptos =
            tagged.map(|(tag, suite)| Crypto { tag, keys: Keys::draw(suite, random) }).collect();
    }

    /// Writes our offer: all that we speak, in the streams that the dialog already has.
    pub fn offer(&mut self, media: SocketAddr) -> Vec<u8> {
        let (cryptos, to) = (&self.cryptos, (media, self.dialog.origin));
        let body = match &self.session {
            Some(session) => sdp::offer_again(session, &self.terms, cryptos, to),
            None => sdp::offer(&self.terms, cryptos, to),
        };
        self.offering = true;
        self.describe(body)
    }

    /// Writes our last description once more, as an offer that changes nothing.
    pub fn repeat_offer(&mut self, media: SocketAddr) -> Vec<u8> {
        if self.described.is_empty() {
            return self.offer(media);
        }
        self.offering = true;
        sdp::under_version(&self.described, self.dialog.version)
    }

    /// Notes that both sides know of the dialog, and lets go of what only the way there needed.
    pub fn comes_up(&mut self) {
        self.state = State::Up;
        let method = String::new();
        self.invite = Message {
            start: Start::Request { method, uri: String::new() },
            headers: Vec::new(),
            body: Vec::new(),
        };
    }

    /// The CSeq number of the INVITE that made the call.
    pub fn invite_cseq(&self) -> u32 {
        self.invite.cseq().map_or(0, |(number, _)| number)
    }
}

/// Returns the user part of an address, unescaped once; empty where there is none.
///
/// Source: RFC 3261 sections 19.1.2 and 19.1.4.
pub fn user_of(uri: &str) -> String {
    let rest = uri.split_once(':').map_or("", |(_, rest)| rest);
    let user = rest.split_once('@').map_or("", |(user, _)| user);
    let user = user.split_once(':').map_or(user, |(user, _)| user);
    unescape(user)
}

/// Returns the host of a SIP address, in lower case and without its port.
pub fn host_of(uri: &str) -> String {
    let rest = uri.split_once(':').map_or("", |(_, rest)| rest);
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = host.split([';', '?', '>']).next().unwrap_or_default();
    let end = if host.starts_with('[') { host.find(']').map(|at| at + 1) } else { host.find(':') };
    host[..end.unwrap_or(host.len())].to_ascii_lowercase()
}

fn unescape(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let pair = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let escaped = pair.filter(|pair| pair.bytes().all(|octet| octet.is_ascii_hexdigit()));
        let octet = escaped.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match octet {
            Some(octet) if first == b'%' => {
                octets.push(octet);
                rest = &after[2..];
            }
            _ => {
                octets.push(first);
                rest = after;
            }
        }
    }
    // What is no text stays as it was written.
    String::from_utf8(octets).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_unescaped_once() {
        for (uri, user) in [
            ("sip:alice@example.org", "alice"),
            ("sip:r%6Fom:secret@example.org", "room"),
            ("sip:a%2540b@example.org", "a%40b"),
            ("sip:user;par=u%40example.net@example.org", "user;par=u@example.net"),
            ("sip:caf%C3%A9@[::1]:5060", "café"),
            ("sip:%F@h", "%F"),
            ("sip:%FF@h", "%FF"),
            ("sip:example.org", ""),
        ] {
            assert_eq!(user_of(uri), user, "{uri}");
        }
    }
}
