//! What we ask of others outside of calls: whether they are there, and to know where we are.
//!
//! Source: RFC 3261 sections 10.2 and 11.1.

use std::time::Instant;

use crate::agent::*;
use crate::call::State;
use crate::digest::Proof;
use crate::message::{Message, Start, parameter_after_address, scheme_is_sips};
use crate::transaction::Kind;

/// A request outside of calls; its answer comes as [`Event::Replied`].
#[derive(Debug, Clone)]
pub struct Question {
    /// The Request-URI.
    pub uri: String,
    /// Where to send it.
    pub callee: Callee,
    /// The name that we go by there, as an address.
    pub identity: String,
    /// For how many seconds calls to us are wanted, by REGISTER; none: OPTIONS.
    pub expires_s: Option<u32>,
    /// The user of our `Contact`, to whom those calls go.
    pub user: String,
    /// The same for all that is asked of one registrar, with numbers that rise by two.
    pub call_id: String,
    /// See above: a challenge takes the one in between.
    pub cseq: u32,
    /// What answers a challenge.
    pub proof: Option<Proof>,
}

impl Agent {
    /// Asks; `id` is a new number of [`Self::new_call`].
    pub fn ask(&mut self, id: CallId, question: Question, now: Instant) {
        let method = if question.expires_s.is_some() { "REGISTER" } else { "OPTIONS" };
        let peer = question.callee.peer;
        let transport = peer.transport;
        let (us, by) = (self.address(transport), transport.name());
        let (branch, tag) = (self.branch(), self.token());
        let start = Start::Request { method: method.to_owned(), uri: question.uri.clone() };
        let mut request = Message { start, headers: Vec::new(), body: Vec::new() };
        let to = if question.expires_s.is_some() { &question.identity } else { &question.uri };
        request.push("Via", format!("SIP/2.0/{by} {us};rport;branch={branch}"));
        request.push("Max-Forwards", "70");
        request.push("From", format!("<{}>;tag={tag}", question.identity));
        request.push("To", format!("<{to}>"));
        request.push("Call-ID", question.call_id.clone());
        request.push("CSeq", format!("{} {method}", question.cseq));
        request.push("User-Agent", "Sidetone");
        match question.expires_s {
            Some(expires_s) => {
                let contact = self.contact(peer, scheme_is_sips(&question.uri));
                request.push("Contact", contact.replacen("sidetone", &question.user, 1));
                request.push("Expires", expires_s.to_string());
            }
            None => request.push("Accept", "application/sdp"),
        }
        let Some(key) = self.send_request(&request, question.callee, id, Kind::Question, now)
        else {
            return self.tell(Event::Replied(id, 503, None));
        };
        if let Some(client) = self.clients.get_mut(&key) {
            client.proof = question.proof;
        }
    }

    /// Whether anything has been said to a call of ours.
    pub fn is_heard(&self, id: CallId) -> bool {
        let state = self.calls.get(&id).map(|call| call.state);
        !matches!(state, Some(State::Calling { provisional: false, .. }))
    }

    /// Tells what came of a question: of a registration, for how many seconds it holds.
    pub(crate) fn replied(&mut self, id: CallId, message: &Message) {
        let ours = [Transport::Udp, Transport::Tls].map(|by| format!("@{}", self.address(by)));
        let is_ours = |contact: &&str| ours.iter().any(|ours| contact.contains(ours));
        let mut contacts = message.values("Contact").filter(is_ours);
        let own = contacts.next().and_then(|contact| parameter_after_address(contact, "expires"));
        let seconds = own.or(message.header("Expires")).and_then(|text| text.trim().parse().ok());
        self.tell(Event::Replied(id, message.status(), seconds));
    }
}
