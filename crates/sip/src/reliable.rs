//! Provisional responses that are acknowledged.
//!
//! Source: RFC 3262.

use std::net::SocketAddr;
use std::time::Instant;

use crate::agent::*;
use crate::call::State;
use crate::deadline::Timer;
use crate::message::{Message, uri_of};
use crate::sdp::Session;
use crate::transaction::{Kind, Repeat};

/// Phones that one call of ours may make ring; of more we hear only the answer.
pub(crate) const FORKS_MAX: usize = 8;

/// An early dialog: one of the phones that a call of ours makes ring.
#[derive(Debug)]
pub struct Early {
    pub tag: String,
    /// The number of its last reliable provisional response.
    rseq: Option<u32>,
    /// Its answer, if it came early.
    pub session: Option<Session>,
    /// Whether that answer was reliable.
    pub settled: bool,
}

/// A provisional response of ours that waits for its PRACK.
#[derive(Debug)]
pub struct Reliable {
    rseq: u32,
    octets: Vec<u8>,
    repeat: Repeat,
    expires: Instant,
    /// Whether it carries our answer: the final one must wait.
    answers: bool,
}

impl Agent {
    /// Says 180, or 183 with our answer; reliably where the caller wants it so.
    pub(crate) fn progress(&mut self, id: CallId, media: Option<SocketAddr>, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(key) = call.server.clone() else { return };
        let required = call.invite.lists("Require", "100rel");
        let asks_offer = call.session.is_none();
        // The first reliable response would have to carry an offer (section 5), and the next must
        // wait for the PRACK of the one before: a caller can do without being told.
        if call.state != State::Offered || required && (asks_offer || call.reliable.is_some()) {
            return;
        }
        let status = if media.is_some() { 183 } else { 180 };
        let mut response = call.invite.response(status, Some(&call.dialog.local_tag));
        let answer = media.zip(call.session.clone());
        let answers = answer.is_some();
        if let Some((media, offer)) = answer {
            response.body = call.answer_to(&offer, media);
            call.media = Some(media);
            response.push("Content-Type", "application/sdp");
        }
        if required {
            call.rseq += 1;
            response.push("Require", "100rel");
            response.push("RSeq", call.rseq.to_string());
        }
        let (peer, rseq, sips) = (call.dialog.peer, call.rseq, call.dialog.sips);
        response.push("Contact", self.contact(peer, sips));
        response.push("Allow", ALLOW);
        if !required {
            return self.provisional(&key, &response, now);
        }
        // The transaction itself only answers to the INVITE's retransmissions.
        self.provisional(&key, &response, now);
        self.stop_repeating(&key);
        let repeat = Repeat::doubling(now, LIFETIME);
        let octets = response.write();
        let expires = now + LIFETIME;
        if let Some(call) = self.calls.get_mut(&id) {
            call.reliable = Some(Reliable { rseq, octets, repeat, expires, answers });
        }
        self.deadlines.set(Timer::Reliable(id), Some(repeat.at));
    }

    pub(crate) fn reliable_due(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let peer = call.dialog.peer;
        let Some(reliable) = &mut call.reliable else { return };
        if reliable.expires <= now {
            call.reliable = None;
            // Section 3: the caller cannot hear us.
            if call.state == State::Offered {
                self.reject(id, 504, now);
                self.tell(Event::Ended(id, Ended::Lost));
            }
            return;
        }
        reliable.repeat.advance(now);
        let (octets, at) = (reliable.octets.clone(), reliable.repeat.at.min(reliable.expires));
        self.stats.retransmissions += 1;
        self.transmit(peer, octets);
        self.deadlines.set(Timer::Reliable(id), Some(at));
    }

    /// Whether an answer must wait for a PRACK: section 3.
    pub(crate) fn must_wait(&mut self, id: CallId, media: SocketAddr) -> bool {
        let Some(call) = self.calls.get_mut(&id) else { return false };
        let waits = call.reliable.as_ref().is_some_and(|reliable| reliable.answers);
        if waits {
            call.answering = Some(media);
        }
        waits
    }

    /// Takes a PRACK; returns the status of its response.
    pub(crate) fn acknowledged_early(&mut self, id: CallId, message: &Message) -> u16 {
        let Some(call) = self.calls.get_mut(&id) else { return 481 };
        let wanted = call.reliable.as_ref().map(|reliable| reliable.rseq);
        let cseq = call.invite_cseq();
        let mut words = message.header("RAck").unwrap_or_default().split_whitespace();
        let (rseq, number, method) = (words.next(), words.next(), words.next());
        let number_is = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
        if wanted.is_none()
            || number_is(rseq) != wanted
            || number_is(number) != Some(cseq)
            || method != Some("INVITE")
        {
            return 481;
        }
        call.reliable = None;
        self.deadlines.set(Timer::Reliable(id), None);
        200
    }

    /// Sends the answer that waited for a PRACK.
    pub(crate) fn answer_after_prack(&mut self, id: CallId, now: Instant) {
        let waiting = self.calls.get_mut(&id).and_then(|call| call.answering.take());
        if let Some(media) = waiting {
            self.answer(id, media, now);
        }
    }

    /// Notes a provisional response to our INVITE and acknowledges it where it wants that; says
    /// whether it is new.
    pub(crate) fn note_early(&mut self, id: CallId, message: &Message, now: Instant) -> bool {
        let Some(call) = self.calls.get_mut(&id) else { return false };
        let answered = call.read_answer(&message.body);
        let Some(tag) = message.tag("To") else { return true };
        let known = call.early.iter().position(|early| early.tag == tag);
        let place = match known {
            Some(place) => place,
            None if call.early.len() >= FORKS_MAX => return false,
            None => {
                let tag = tag.to_owned();
                call.early.push(Early { tag, rseq: None, session: None, settled: false });
                call.early.len() - 1
            }
        };
        let early = &mut call.early[place];
        let reliable = message.lists("Require", "100rel");
        let rseq = message.header("RSeq").and_then(|rseq| rseq.trim().parse::<u32>().ok());
        let rseq = rseq.filter(|_| reliable);
        if let (Some(rseq), Some(last)) = (rseq, early.rseq)
            && rseq != last.wrapping_add(1)
        {
            return false; // It came before, or another is missing.
        }
        let session = answered;
        if session.is_some() && !early.settled {
            early.session = session;
            early.settled = rseq.is_some();
        }
        let Some(rseq) = rseq else { return true };
        early.rseq = Some(rseq);
        let mut dialog = call.dialog.clone();
        call.dialog.cseq += 1;
        let (cseq, invited) = (call.dialog.cseq, call.invite_cseq());
        dialog.remote_tag = Some(tag.to_owned());
        dialog.route = routes(message);
        dialog.target = uri_of(message.header("Contact").unwrap_or(&dialog.target)).to_owned();
        let mut prack = self.make_request(&dialog, "PRACK", cseq);
        prack.push("RAck", format!("{rseq} {invited} INVITE"));
        self.send_request(&prack, dialog.callee(), id, Kind::Prack, now);
        true
    }
}

/// Returns the route set that a response gives us. Source: RFC 3261 section 12.1.2.
pub fn routes(response: &Message) -> Vec<String> {
    let mut route: Vec<_> = response.values("Record-Route").map(str::to_owned).collect();
    route.reverse();
    route
}
