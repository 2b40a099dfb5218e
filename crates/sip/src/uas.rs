//! What others ask of us: the server's side of transactions and dialogs.
//!
//! Source: RFC 3261 sections 8.2, 12, 13.3 and 17.2, RFC 3581.

use std::net::SocketAddr;
use std::time::Instant;

use crate::agent::*;
use crate::digest::{self, Denied};
use crate::gate;
use crate::message::{Message, Start, uri_of};
use crate::sdp::{self, Session};

impl Agent {
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

    pub(crate) fn request(
        &mut self,
        from: Peer,
        mut message: Message,
        method: &str,
        uri: &str,
        now: Instant,
    ) {
        if message.header("Via").is_none() {
            return; // There is nowhere to send a complaint.
        }
        mark_source(&mut message, from.address);
        if let Some(status) = gate::fault(&message, method, uri) {
            if method != "ACK" {
                self.reply(from, &message.response(status, Some("refused")));
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
                self.transmits.push_back(Transmit::new(from, octets));
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
        if let Some(response) = self.refusal(from, &message, method, uri, now) {
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

    /// What stands in the way of a well-formed request, whatever it wants.
    fn refusal(
        &mut self,
        from: Peer,
        message: &Message,
        method: &str,
        uri: &str,
        now: Instant,
    ) -> Option<Message> {
        let required: Vec<&str> = message.all("Require").collect();
        if !required.is_empty() {
            let mut response = message.response(420, Some("require"));
            response.headers.push(("Unsupported".to_owned(), required.join(", ")));
            return Some(response);
        }
        let opens = message.tag("To").is_none() && matches!(method, "INVITE" | "REGISTER");
        let access = self.config.access.as_ref()?;
        let free = access.loopback_is_free && from.address.ip().to_canonical().is_loopback();
        if !opens || free {
            return None;
        }
        let ours = message.all("Authorization").find(|value| digest::is_digest(value));
        match self.gate.judge(ours, (method, uri), &access.credentials, now) {
            Ok(()) => None,
            Err(denied) => {
                let tag = self.token();
                let mut response = message.response(401, Some(&tag));
                for value in self.gate.challenges(denied == Denied::Stale, now) {
                    response.headers.push(("WWW-Authenticate".to_owned(), value));
                }
                Some(response)
            }
        }
    }

    pub(crate) fn invited(
        &mut self,
        from: Peer,
        key: &str,
        message: Message,
        uri: &str,
        now: Instant,
    ) {
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
        let encoded = message.header("Content-Encoding").is_some_and(|by| by != "identity");
        let kind = message.header("Content-Type").unwrap_or_default().to_ascii_lowercase();
        if !message.body.is_empty() && (encoded || !kind.trim().starts_with("application/sdp")) {
            let mut response = message.response(415, Some("body"));
            response.headers.push(("Accept".to_owned(), "application/sdp".to_owned()));
            return self.finish(key, response, now);
        }
        let takes_sdp = |accept: &str| {
            let accept = accept.to_ascii_lowercase();
            ["application/sdp", "*/*", "application/*"].iter().any(|kind| accept.contains(kind))
        };
        if message.header("Accept").is_some_and(|accept| !takes_sdp(accept)) {
            return self.finish(key, message.response(406, Some("accept")), now);
        }
        let session = Session::parse(&message.body);
        if session.is_none() && !message.body.is_empty() {
            return self.finish(key, message.response(488, Some("media")), now);
        }
        // Phones of RFC 2543 may leave `Contact` out.
        let contact = message.header("Contact").or(message.header("From"));
        let contact = uri_of(contact.unwrap_or_default()).to_owned();
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
            credentials: None,
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

    pub(crate) fn request_in_dialog(
        &mut self,
        key: &str,
        message: &Message,
        method: &str,
        now: Instant,
    ) {
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
    pub(crate) fn renegotiate(
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
        let (media, peer) = (call.media.unwrap_or(self.config.address), call.peer);
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
        let contact = self.contact(peer);
        response.headers.push(("Contact".to_owned(), contact));
        self.finish(key, response, now);
    }

    pub(crate) fn acknowledged(&mut self, message: &Message, key: &str) {
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

    pub(crate) fn canceled(&mut self, from: Peer, message: &Message, key: &str, now: Instant) {
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

    /// Answers the INVITE that made a call.
    pub(crate) fn answer_invite(
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
            response.headers.push(("Contact".to_owned(), self.contact(call.peer)));
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

    pub(crate) fn provisional(&mut self, key: &str, response: &Message) {
        let Some(server) = self.servers.get_mut(key) else { return };
        let octets = response.write();
        server.response = Some(octets.clone());
        self.transmits.push_back(Transmit::new(server.source, octets));
    }

    /// Sends a final response and keeps it for whoever asks again.
    pub(crate) fn finish(&mut self, key: &str, response: Message, now: Instant) {
        let Some(server) = self.servers.get_mut(key) else { return };
        let octets = response.write();
        let invite = response.cseq().is_some_and(|(_, method)| method == "INVITE");
        server.response = Some(octets.clone());
        let ok = matches!(response.start, Start::Response { status: 200..300, .. });
        let repeated = invite && (ok || server.source.transport == Transport::Udp);
        server.repeat = repeated.then_some((now + T1, T1));
        server.expires = now + LIFETIME;
        self.transmits.push_back(Transmit::new(server.source, octets));
    }

    pub(crate) fn reply(&mut self, to: Peer, response: &Message) {
        self.transmits.push_back(Transmit::new(to, response.write()));
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
