//! What we ask of others: the client's side of transactions and dialogs.
//!
//! Source: RFC 3261 sections 8.1, 9.1, 12, 13.2, 14.1 and 17.1.

use std::time::Instant;

use rand_chacha::rand_core::RngCore;

use crate::agent::*;
use crate::call::{Call, State};
use crate::dialog::Dialog;
use crate::headers::{headers, special};
use crate::message::{Message, Start, scheme_is_sips};
use crate::reliable::{FORKS_MAX, routes};
use crate::sdp::SrtpPolicy;
use crate::session_timer::{self, SESSION_EXPIRES_S};
use crate::transaction::{Client, Done, Key, Kind};

impl Agent {
    /// Calls `uri` at `callee`, offering our media at `media`; headers `X-` that the address carries go along.
    pub fn invite(
        &mut self,
        id: CallId,
        uri: &str,
        callee: impl Into<Callee>,
        from: (&str, Option<&str>),
        media: impl Into<Offered>,
        now: Instant,
    ) {
        if self.calls.len() >= CALLS_MAX {
            self.stats.overloaded += 1;
            return self.tell(Event::Failed(id, 503));
        }
        let (uri, headers) = headers(uri);
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
        let Callee { peer, host } = callee.into();
        let dialog = Dialog {
            call_id,
            local: format!("{name}<{from_uri}>"),
            local_tag,
            remote: format!("<{uri}>"),
            remote_tag: None,
            target: uri.to_owned(),
            route: Vec::new(),
            cseq: 1,
            remote_cseq: 0,
            peer,
            caller: true,
            takes_update: false,
            origin: self.random.next_u64() >> 1,
            version: 0,
            timer: None,
            sips: scheme_is_sips(uri),
            host: host.as_deref().map(str::to_owned),
        };
        let mut invite = self.make_request(&dialog, "INVITE", dialog.cseq);
        session_timer::ask(&mut invite, SESSION_EXPIRES_S, "");
        for (name, value) in headers {
            invite.push(&name, value);
        }
        let state = State::Calling { provisional: false, canceled: false };
        let Offered { media, srtp, codecs } = media.into();
        let srtp = srtp.unwrap_or(self.config.terms.srtp);
        let mut terms = self.config.terms.with(srtp);
        match codecs {
            Offers::All => {}
            Offers::First(codec) => terms.codecs = terms.first(codec),
            Offers::Only(codec) => terms.codecs = [codec].into(),
        }
        let mut call = Call::new(state, dialog, invite, terms);
        let hidden = call.dialog.peer.transport == Transport::Tls;
        if srtp == SrtpPolicy::Mandatory || srtp == SrtpPolicy::Optional && hidden {
            call.draw(&mut self.random);
        }
        call.media = Some(media);
        call.invite.body = call.offer(media);
        call.invite.push("Content-Type", "application/sdp");
        self.dialogs.insert(call.dialog.local_tag.clone(), id);
        self.calls.insert(id, Box::new(call));
        self.send_invite(id, now);
    }

    /// Sends a call's INVITE as it stands.
    pub(crate) fn send_invite(&mut self, id: CallId, now: Instant) -> Option<Key> {
        let call = self.calls.get(&id)?;
        let (invite, callee) = (call.invite.clone(), call.dialog.callee());
        let key = self.send_request(&invite, callee, id, Kind::Invite, now);
        match self.calls.get_mut(&id) {
            Some(call) if key.is_some() => call.client.clone_from(&key),
            _ => self.fail(id, 503),
        }
        key
    }

    /// Returns the Call-ID of a call that is not over.
    pub fn call_id(&self, id: CallId) -> Option<&str> {
        self.calls.get(&id).map(|call| call.dialog.call_id.as_str())
    }

    fn fail(&mut self, id: CallId, status: u16) {
        self.forget(id);
        self.tell(Event::Failed(id, status));
    }

    pub(crate) fn bye(&mut self, id: CallId, now: Instant) {
        if self.send_within(id, "BYE", Kind::Bye, |_, _| {}, now).is_none() {
            self.tell(Event::Parted(id));
        }
    }

    /// Tells that a BYE is done with, unless it was for a second phone that answered.
    fn parted(&mut self, id: CallId) {
        if !self.calls.contains_key(&id) {
            self.tell(Event::Parted(id));
        }
    }

    /// Sends a request in a call's dialog.
    fn send_within(
        &mut self,
        id: CallId,
        method: &str,
        kind: Kind,
        fill: impl FnOnce(&mut Message, &mut Call),
        now: Instant,
    ) -> Option<Key> {
        let call = self.calls.get_mut(&id)?;
        call.dialog.cseq += 1;
        let dialog = call.dialog.clone();
        let mut request = self.make_request(&dialog, method, dialog.cseq);
        fill(&mut request, self.calls.get_mut(&id)?);
        self.send_request(&request, dialog.callee(), id, kind, now)
    }

    /// Refreshes the session without speaking of media. Source: RFC 3311.
    pub(crate) fn update(&mut self, id: CallId, timer: Option<(u32, &str)>, now: Instant) {
        let ask = |request: &mut Message, _: &mut Call| {
            if let Some((interval_s, refresher)) = timer {
                session_timer::ask(request, interval_s, refresher);
            }
        };
        let key = self.send_within(id, "UPDATE", Kind::Update, ask, now);
        if let Some(call) = self.calls.get_mut(&id) {
            call.client = key;
        }
    }

    /// Refreshes the session and offers what was agreed on once more, or all that we speak from
    /// where our media moved to.
    pub(crate) fn reinvite(
        &mut self,
        id: CallId,
        timer: Option<(u32, &str)>,
        moving: bool,
        now: Instant,
    ) {
        let fill = |request: &mut Message, call: &mut Call| {
            if let Some((interval_s, refresher)) = timer {
                session_timer::ask(request, interval_s, refresher);
            }
            call.moving = moving;
            if let Some(media) = call.media {
                request.push("Content-Type", "application/sdp");
                request.body = if moving { call.offer(media) } else { call.repeat_offer(media) };
            }
        };
        let key = self.send_within(id, "INVITE", Kind::Reinvite, fill, now);
        if let Some(call) = self.calls.get_mut(&id) {
            call.client = key;
        }
    }

    pub(crate) fn cancel(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.get(&id) else { return };
        let (callee, pending) = (call.dialog.callee(), call.client.clone());
        let mut cancel = call.invite.clone();
        rename(&mut cancel, "CANCEL");
        let kept = ["Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Route", "User-Agent"];
        cancel.headers.retain(|(name, _)| kept.contains(&name.as_str()));
        cancel.body.clear();
        self.send_request(&cancel, callee, id, Kind::Cancel, now);
        // Section 9.1: one that does not even refuse then is taken as gone.
        if let Some(key) = pending
            && let Some(client) = self.clients.get_mut(&key)
        {
            client.expires = now + LIFETIME;
            self.arm_client(&key);
        }
    }

    pub(crate) fn response(&mut self, from: Peer, message: &Message, status: u16, now: Instant) {
        let (Some(branch), Some((_, method))) = (message.branch(), message.cseq()) else {
            self.stats.stray += 1;
            return;
        };
        let key = Self::key(branch, method);
        // Section 8.1.3.3: what has another `Via` below ours went astray.
        if message.values("Via").nth(1).is_some() {
            self.stats.stray += 1;
            return;
        }
        let Some(client) = self.clients.get_mut(&key) else {
            self.stats.stray += 1;
            return;
        };
        if client.done.is_some() {
            return self.answered_again(&key, message, status, now);
        }
        let (id, kind) = (client.call, client.kind);
        if status < 200 {
            if kind.is_invite() {
                client.repeat = None;
                // A phone may ring as long as our caller lets it.
                let canceled = self.calls.get(&id).is_none_or(|call| {
                    matches!(call.state, State::Calling { canceled: true, provisional: true })
                });
                if !canceled {
                    client.expires = now + RINGS_MAX;
                }
                self.arm_client(&key);
                if kind == Kind::Invite {
                    self.rings(id, message, status, now);
                }
            }
            return;
        }
        if let Some(call) = self.calls.get_mut(&id)
            && call.client.as_ref() == Some(&key)
        {
            call.client = None;
        }
        if kind.is_invite() {
            self.acknowledge(&key, message, status, now);
        }
        let request = self.clients.get(&key).and_then(|client| {
            let request = Message::parse(&client.octets).ok()?;
            Some((request, client.proof.clone(), client.to.clone()))
        });
        if !kind.is_invite() {
            self.close_client(&key);
        }
        let Some((request, proof, to)) = request else { return };
        // Section 18.1.2 leaves open who answers; a secret is proven to nobody but whom we asked.
        if matches!(status, 401 | 407)
            && from.address.ip() == to.peer.address.ip()
            && let Some(proof) = proof
            && self.authenticate((id, kind, to), &request, message, &proof, now)
        {
            return;
        }
        self.concluded((id, kind), &request, message, now);
    }

    /// What comes of a final response.
    fn concluded(
        &mut self,
        (id, kind): (CallId, Kind),
        request: &Message,
        message: &Message,
        now: Instant,
    ) {
        let status = message.status();
        let headers = if kind.is_invite() { special(message) } else { Vec::new() };
        if !headers.is_empty() {
            self.tell(Event::AnswerHeaders(id, headers));
        }
        match kind {
            Kind::Invite if status < 300 => self.up(id, message, now),
            Kind::Invite if status == 422 && self.invite_longer(id, message, now) => {}
            Kind::Invite => {
                if self.calls.contains_key(&id) {
                    self.fail(id, status);
                }
            }
            Kind::Reinvite | Kind::Update if status < 300 => self.refreshed(id, message, now),
            // RFC 3261 section 12.2.1.2: the far end no longer knows of the dialog.
            Kind::Reinvite | Kind::Update if matches!(status, 408 | 481) => self.lose(id, now),
            Kind::Reinvite | Kind::Update => {
                if let Some(call) = self.calls.get_mut(&id) {
                    call.offering = false;
                }
                self.refresh_refused(id, (kind, request), message, now);
            }
            Kind::Bye => self.parted(id),
            Kind::Question => self.replied(id, message),
            Kind::Prack | Kind::Cancel => {}
        }
    }

    /// Returns the call, or the question, for which a request of ours was made that nobody has answered.
    pub fn asked_by(&self, octets: &[u8]) -> Option<CallId> {
        let client = self.clients.get(&client_key(octets)?)?;
        client.done.is_none().then_some(client.call)
    }

    /// Takes back a request that could not be sent: it ends as one that is answered by 503.
    /// Source: RFC 3261 section 8.1.3.1.
    pub fn unsent(&mut self, octets: &[u8], now: Instant) {
        if self.asked_by(octets).is_some()
            && let Some(key) = client_key(octets)
            && let Some(client) = self.close_client(&key)
        {
            self.unanswered(&key, &client, 503, now);
        }
    }

    /// What comes of a request that got no answer.
    pub(crate) fn unanswered(&mut self, key: &Key, client: &Client, status: u16, now: Instant) {
        let id = client.call;
        match client.kind {
            Kind::Bye => self.parted(id),
            Kind::Question => self.tell(Event::Replied(id, status, None)),
            _ => {}
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.client.as_ref() == Some(key) {
            call.client = None;
        }
        match (client.kind, call.state) {
            (Kind::Invite, State::Calling { provisional, canceled }) => {
                if provisional && !canceled {
                    self.cancel(id, now);
                }
                self.fail(id, if canceled { 487 } else { status });
            }
            (Kind::Reinvite | Kind::Update, _) => self.lose(id, now),
            (Kind::Invite | Kind::Prack | Kind::Bye | Kind::Cancel | Kind::Question, _) => {}
        }
    }

    /// Calls again with the session interval that the one called asks for; says whether it could.
    fn invite_longer(&mut self, id: CallId, message: &Message, now: Instant) -> bool {
        let branch = self.branch();
        let Some(call) = self.calls.get_mut(&id) else { return false };
        let canceled = matches!(call.state, State::Calling { canceled: true, .. });
        let offered = session_timer::offered(&call.invite);
        let Some(interval_s) = session_timer::longer(message, offered) else { return false };
        if canceled {
            return false;
        }
        call.dialog.cseq += 1;
        call.state = State::Calling { provisional: false, canceled: false };
        call.early.clear();
        renumber(&mut call.invite, call.dialog.cseq, &branch);
        call.invite.remove("Session-Expires");
        call.invite.remove("Min-SE");
        session_timer::ask(&mut call.invite, interval_s, "");
        self.send_invite(id, now);
        true
    }

    fn rings(&mut self, id: CallId, message: &Message, status: u16, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let State::Calling { provisional, canceled } = call.state else { return };
        call.state = State::Calling { provisional: true, canceled };
        if canceled && !provisional {
            self.cancel(id, now);
        }
        if status > 100 && self.note_early(id, message, now) && !canceled {
            let session = self.calls.get(&id).and_then(|call| call.read_answer(&message.body));
            self.tell(Event::Ringing(id, session.map(Box::new)));
        }
    }

    /// Takes the first phone that answers.
    fn up(&mut self, id: CallId, message: &Message, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let canceled = matches!(call.state, State::Calling { canceled: true, .. });
        call.comes_up();
        call.offering = false;
        call.dialog.remote_tag = message.tag("To").map(str::to_owned);
        call.dialog.refresh(message);
        call.dialog.route = routes(message);
        let tag = call.dialog.remote_tag.clone();
        let early = std::mem::take(&mut call.early);
        let early = early.into_iter().find(|early| Some(&early.tag) == tag.as_ref());
        // What was answered reliably holds; a phone may say it again, or not at all.
        let session = match early {
            Some(early) if early.settled => early.session,
            Some(early) => call.read_answer(&message.body).or(early.session),
            None => call.read_answer(&message.body),
        };
        if let Some(session) = &session {
            call.keep(session);
        }
        if canceled || session.is_none() {
            let unprotected = !canceled && call.is_answered_in_the_clear(&message.body);
            self.end(id, now);
            if unprotected {
                self.tell(Event::Unprotected(id));
            }
            self.tell(Event::Failed(id, if canceled { 487 } else { 488 }));
            return;
        }
        self.set_timer(id, session_timer::granted(message), now);
        self.tell(Event::Answered(id, session.map(Box::new)));
    }

    /// Takes the answer to a refresh.
    fn refreshed(&mut self, id: CallId, message: &Message, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.offering = false;
        call.moving = false;
        call.dialog.refresh(message);
        let session = call.read_answer(&message.body);
        let changed = session.filter(|session| Some(session) != call.session.as_ref());
        if let Some(session) = changed {
            call.keep(&session);
            self.tell(Event::MediaChanged(id, Box::new(session)));
        }
        self.set_timer(id, session_timer::granted(message), now);
    }

    /// Acknowledges the first final response to an INVITE of ours.
    fn acknowledge(&mut self, key: &Key, message: &Message, status: u16, now: Instant) {
        let Some(client) = self.clients.get(key) else { return };
        let Ok(invite) = Message::parse(&client.octets) else { return };
        let (to, id, kind) = (client.to.clone(), client.call, client.kind);
        let tag = message.tag("To").unwrap_or_default().to_owned();
        let (ack, dialog) = if status < 300 {
            let mut dialog = self.calls.get(&id).map(|call| call.dialog.clone());
            if let Some(dialog) = &mut dialog {
                if kind == Kind::Invite {
                    dialog.remote_tag = Some(tag.clone());
                    dialog.route = routes(message);
                }
                dialog.refresh(message);
            }
            let ack = match &dialog {
                Some(dialog) => self.ack_of(dialog, &invite),
                // The call ended while it was asked.
                None => {
                    let mut ack = invite;
                    let number = ack.cseq().map_or(0, |(number, _)| number);
                    let branch = self.branch();
                    renumber(&mut ack, number, &branch);
                    refuse(ack, message)
                }
            };
            (ack, dialog.map(Box::new))
        } else {
            (refuse(invite, message), None)
        };
        self.stats.request_tx("ACK");
        self.transmit_to(to, ack.clone());
        if let Some(client) = self.clients.get_mut(key) {
            client.repeat = None;
            client.expires = now + LIFETIME;
            client.done = Some(Done { acks: vec![(tag, ack)], dialog });
        }
        self.arm_client(key);
    }

    /// A final response that comes again means that our ACK was lost; one of another phone is
    /// acknowledged and ended. Source: RFC 3261 section 13.2.2.4.
    fn answered_again(&mut self, key: &Key, message: &Message, status: u16, now: Instant) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let (to, id, kind) = (client.to.clone(), client.call, client.kind);
        let Some(done) = &mut client.done else { return };
        let tag = message.tag("To").unwrap_or_default().to_owned();
        if status < 200 {
            return;
        }
        if let Some((_, ack)) = done.acks.iter().find(|(known, _)| *known == tag) {
            let ack = ack.clone();
            self.stats.retransmissions += 1;
            return self.transmit_to(to, ack);
        }
        let another = kind == Kind::Invite && status < 300 && done.acks.len() < FORKS_MAX;
        let Some(mut dialog) = done.dialog.clone().filter(|_| another) else {
            self.stats.stray += 1;
            return;
        };
        let Ok(invite) = Message::parse(&client.octets) else { return };
        dialog.remote_tag = Some(tag.clone());
        dialog.route = routes(message);
        dialog.refresh(message);
        let ack = self.ack_of(&dialog, &invite);
        let bye = self.make_request(&dialog, "BYE", dialog.cseq.saturating_add(1));
        if let Some(done) = self.clients.get_mut(key).and_then(|client| client.done.as_mut()) {
            done.acks.push((tag, ack.clone()));
        }
        self.stats.request_tx("ACK");
        self.transmit_to(to.clone(), ack);
        self.send_request(&bye, to, id, Kind::Bye, now);
    }

    /// Writes the ACK of a 2xx. Source: RFC 3261 section 13.2.2.4.
    fn ack_of(&mut self, dialog: &Dialog, invite: &Message) -> Vec<u8> {
        let number = invite.cseq().map_or(0, |(number, _)| number);
        let mut ack = self.make_request(dialog, "ACK", number);
        let proofs = ["Authorization", "Proxy-Authorization"];
        let proofs = invite.headers.iter().filter(|(name, _)| proofs.contains(&name.as_str()));
        ack.headers.extend(proofs.cloned());
        ack.write()
    }

    pub(crate) fn make_request(&mut self, dialog: &Dialog, method: &str, cseq: u32) -> Message {
        let transport = dialog.peer.transport;
        let (us, branch, by) = (self.address(transport), self.branch(), transport.name());
        let tag = dialog.remote_tag.as_ref().map_or_else(String::new, |tag| format!(";tag={tag}"));
        let start = Start::Request { method: method.to_owned(), uri: dialog.target.clone() };
        let mut request = Message { start, headers: Vec::new(), body: Vec::new() };
        request.push("Via", format!("SIP/2.0/{by} {us};rport;branch={branch}"));
        request.push("Max-Forwards", "70");
        request.push("From", format!("{};tag={}", dialog.local, dialog.local_tag));
        request.push("To", format!("{}{tag}", dialog.remote));
        request.push("Call-ID", dialog.call_id.clone());
        request.push("CSeq", format!("{cseq} {method}"));
        for route in &dialog.route {
            request.push("Route", route.clone());
        }
        request.push("User-Agent", "Sidetone");
        if matches!(method, "INVITE" | "UPDATE") {
            request.push("Contact", self.contact(dialog.peer, dialog.sips));
            request.push("Allow", ALLOW);
            request.push("Supported", SUPPORTED.join(", "));
        }
        request
    }
}

/// Returns the key of the transaction of a request of ours.
fn client_key(octets: &[u8]) -> Option<Key> {
    let request = Message::parse(octets).ok()?;
    let Start::Request { method, .. } = &request.start else { return None };
    Some(Agent::key(request.branch()?, method))
}

/// Gives a request another method.
fn rename(request: &mut Message, to: &str) {
    let number = request.cseq().map_or(0, |(number, _)| number);
    if let Start::Request { method, .. } = &mut request.start {
        to.clone_into(method);
    }
    request.set("CSeq", format!("{number} {to}"));
}

/// Makes a request of its own of what was sent before.
pub(crate) fn renumber(request: &mut Message, number: u32, branch: &str) {
    let method = request.cseq().map(|(_, method)| method.to_owned()).unwrap_or_default();
    request.set("CSeq", format!("{number} {method}"));
    let old = request.branch().unwrap_or_default().to_owned();
    let via = request.header("Via").unwrap_or_default().replace(&old, branch);
    request.set("Via", via);
}

/// Writes the ACK of a response that is no 2xx. Source: RFC 3261 section 17.1.1.3.
fn refuse(mut ack: Message, response: &Message) -> Vec<u8> {
    rename(&mut ack, "ACK");
    let kept = ["Via", "Max-Forwards", "From", "Call-ID", "CSeq", "Route", "To"];
    ack.headers.retain(|(name, _)| kept.contains(&name.as_str()));
    ack.body.clear();
    ack.set("To", response.header("To").unwrap_or_default());
    ack.write()
}
