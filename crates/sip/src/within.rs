//! What others ask of us within a dialog.
//!
//! Source: RFC 3261 sections 12.2.2, 14.2 and 15.1.2, RFC 3311, RFC 3262, RFC 3264.

use std::sync::Arc;
use std::time::Instant;

use rand_chacha::rand_core::RngCore;

use crate::agent::*;
use crate::call::{Call, State};
use crate::message::Message;
use crate::session_timer::{self, Judged, MIN_SE_S};
use crate::transaction::Key;
use crate::uas::{TLS_DEMANDED, accept};

impl Agent {
    /// Returns the call whose dialog a request is in.
    fn call_of(&mut self, message: &Message) -> Option<(CallId, &mut Call)> {
        let id = *self.dialogs.get(message.tag("To")?)?;
        let call = self.calls.get_mut(&id)?;
        let from = message.tag("From");
        let theirs = match &call.dialog.remote_tag {
            Some(tag) => from == Some(tag),
            // One of the phones that a call of ours makes ring, or one of RFC 2543.
            None => {
                !matches!(call.state, State::Calling { .. })
                    || call.early.iter().any(|early| Some(early.tag.as_str()) == from)
            }
        };
        let same = message.header("Call-ID") == Some(&call.dialog.call_id);
        (theirs && same).then_some((id, call))
    }

    pub(crate) fn request_in_dialog(
        &mut self,
        key: &Key,
        from: Peer,
        message: &Message,
        method: &str,
        now: Instant,
    ) {
        let Some((id, call)) = self.call_of(message) else {
            return self.reply(from, &message.response(481, None));
        };
        // What began by TLS stays there, as RFC 3261 section 26.2 has it: keys would be read along elsewhere. An end
        // gives nothing away.
        let began = call.dialog.peer.transport;
        if began == Transport::Tls && from.transport != began && method != "BYE" {
            return self.reply_with(from, message, 403, &[("Warning", TLS_DEMANDED)]);
        }
        let cseq = message.cseq().map_or(0, |(number, _)| number);
        if cseq <= call.dialog.remote_cseq && call.dialog.remote_cseq != 0 {
            return self.reply(from, &message.response(500, None));
        }
        call.dialog.remote_cseq = cseq;
        if !self.admit(key, from, message, now) {
            return;
        }
        let status = match method {
            "BYE" => {
                self.finish(key, &message.response(200, None), now);
                let ending = self.calls.get(&id).is_some_and(|call| call.ending);
                self.hung_up(id, now);
                if !ending {
                    self.tell(Event::Ended(id, Ended::HungUp));
                }
                return;
            }
            "INVITE" | "UPDATE" => return self.renegotiate(key, from, message, id, method, now),
            "PRACK" => return self.pracked(key, message, id, now),
            "INFO" => {
                if let Some(digit) = digit_of(message) {
                    self.tell(Event::Digit(id, digit));
                }
                200
            }
            "OPTIONS" => 200,
            "REFER" => 603,
            _ if KNOWN.contains(&method) => 405,
            _ => 501,
        };
        let mut response = message.response(status, None);
        if matches!((method, status), ("OPTIONS", _) | (_, 405 | 501)) {
            response.push("Allow", ALLOW);
        }
        self.finish(key, &response, now);
    }

    /// Forgets a call that the far end ended; an INVITE that is still open is refused.
    fn hung_up(&mut self, id: CallId, now: Instant) {
        let offered = self.calls.get(&id).is_some_and(|call| call.state == State::Offered);
        if offered {
            self.reject(id, 487, now);
        } else {
            self.forget(id);
        }
    }

    fn pracked(&mut self, key: &Key, message: &Message, id: CallId, now: Instant) {
        let status = self.acknowledged_early(id, message);
        let mut response = message.response(status, None);
        if let Some(call) = self.calls.get_mut(&id).filter(|_| status == 200)
            && let (Some(mut offer), Some(media)) = (call.read_offer(&message.body), call.media)
        {
            call.settle(&mut offer, &mut self.random);
            response.body = call.answer_to(&offer, media);
            response.push("Content-Type", "application/sdp");
            call.session = Some(offer.clone());
            self.tell(Event::MediaChanged(id, Box::new(offer)));
        }
        self.finish(key, &response, now);
        if status == 200 {
            self.answer_after_prack(id, now);
        }
    }

    /// Returns why a re-INVITE or an UPDATE cannot be taken now; the session goes on as it was.
    fn untimely(&mut self, id: CallId, message: &Message, method: &str) -> Option<u16> {
        let call = self.calls.get(&id)?;
        let offers = !message.body.is_empty();
        // A phone that rings has answered our offer or not; ours of later are `offering`.
        let offering = call.offering && !call.early.iter().any(|early| early.settled);
        match call.state {
            State::Offered if method == "INVITE" => Some(500),
            // Its own offer is not answered yet.
            State::Offered if offers && call.described.is_empty() => Some(500),
            // An offer of ours waits for its answer; each INVITE of ours carries one.
            _ if (offers || method == "INVITE") && offering => Some(491),
            _ if offers && call.read_offer(&message.body).is_none() => Some(488),
            _ => None,
        }
    }

    /// Answers a re-INVITE or an UPDATE: our address stays, the direction follows.
    fn renegotiate(
        &mut self,
        key: &Key,
        from: Peer,
        message: &Message,
        id: CallId,
        method: &str,
        now: Instant,
    ) {
        if let Some(status) = self.untimely(id, message, method) {
            let mut response = message.response(status, None);
            if status == 500 {
                let seconds = self.random.next_u32() % 11;
                response.push("Retry-After", seconds.to_string());
            }
            return self.finish(key, &response, now);
        }
        let judged = session_timer::judge(message);
        if matches!(judged, Judged::TooSmall) {
            let mut response = message.response(422, None);
            response.push("Min-SE", MIN_SE_S.to_string());
            return self.finish(key, &response, now);
        }
        let ours = self.config.address;
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.dialog.refresh(message);
        // Who has proven a name is asked where it did, whatever connection brings its own requests.
        if call.dialog.host.is_none() {
            call.dialog.peer = from;
        }
        let media = call.media.unwrap_or(ours);
        let mut response = message.response(200, None);
        let mut offer = call.read_offer(&message.body);
        if let Some(offer) = &mut offer {
            call.settle(offer, &mut self.random);
        }
        let changed = offer.clone().filter(|offer| call.session.as_ref() != Some(offer));
        if let Some(offer) = offer {
            response.body = call.answer_to(&offer, media);
            call.session = Some(offer);
        } else if method == "INVITE" {
            response.body = call.offer(media);
        }
        if method == "INVITE" {
            // The last one is as good as acknowledged.
            if let Some(before) = call.server.replace(Arc::clone(key)) {
                self.stop_repeating(&before);
            }
            if let Some(server) = self.servers.get_mut(key) {
                server.call = Some(id);
            }
        }
        if !response.body.is_empty() {
            response.push("Content-Type", "application/sdp");
        }
        let sips = self.calls.get(&id).is_some_and(|call| call.dialog.sips);
        accept(&mut response, self.contact(from, sips), &judged);
        self.finish(key, &response, now);
        let up = self.calls.get(&id).is_some_and(|call| call.state == State::Up);
        if up {
            let timer = match judged {
                Judged::With(timer, _) => Some(timer),
                Judged::Without | Judged::TooSmall => None,
            };
            self.set_timer(id, timer, now);
        }
        if let Some(session) = changed {
            self.tell(Event::MediaChanged(id, Box::new(session)));
        }
    }

    /// Takes the ACK of a final response of ours.
    pub(crate) fn acknowledged(&mut self, message: &Message, key: &Key, now: Instant) {
        if let Some(server) = self.servers.get_mut(key)
            && !server.accepted()
        {
            if server.concluded.is_some() {
                server.repeat = None;
                server.expires = server.expires.min(now + T4);
            }
            return self.arm_server(key);
        }
        let number = message.cseq().map(|(number, _)| number);
        let Some((id, call)) = self.call_of(message) else {
            self.stats.stray += 1;
            return;
        };
        let Some(server) = call.server.clone() else { return };
        if self.servers.get(&server).map(|server| server.cseq) != number {
            return;
        }
        self.stop_repeating(&server);
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.server = None;
        let first = call.state == State::Answered;
        call.comes_up();
        if call.ending {
            return self.end(id, now);
        }
        let asked = std::mem::take(&mut call.offering);
        let session = call.read_answer(&message.body).filter(|_| asked);
        if asked && first && session.is_none() {
            // There is nobody to send to. Source: section 13.2.2.4.
            return self.lose(id, now);
        }
        let changed = session.as_ref().is_some_and(|new| call.session.as_ref() != Some(new));
        if let Some(session) = &session {
            call.keep(session);
        }
        match session.map(Box::new) {
            session if first => self.tell(Event::Acknowledged(id, session)),
            Some(session) if changed => self.tell(Event::MediaChanged(id, session)),
            _ => {}
        }
    }
}

/// Reads a key out of an INFO: `application/dtmf-relay`, or `application/dtmf` with the key alone.
fn digit_of(message: &Message) -> Option<char> {
    let body = String::from_utf8_lossy(&message.body).into_owned();
    let kind = message.header("Content-Type").unwrap_or_default().trim().to_ascii_lowercase();
    let signal = body.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        name.trim().eq_ignore_ascii_case("signal").then(|| value.trim())
    });
    let alone = || (kind == "application/dtmf").then(|| body.trim());
    let digit = match signal.or_else(alone)? {
        // The numbers of RFC 4733.
        "10" => '*',
        "11" => '#',
        text => text.chars().next()?.to_ascii_uppercase(),
    };
    "0123456789*#ABCD".contains(digit).then_some(digit)
}
