//! What we ask of others: the client's side of transactions and dialogs.
//!
//! Source: RFC 3261 sections 8.1, 9.1, 12, 13.2 and 17.1.

use std::net::SocketAddr;
use std::time::Instant;

use crate::agent::*;
use crate::digest::{self, Credentials};
use crate::message::{Message, Start, uri_of};
use crate::sdp::{self, Session};

impl Agent {
    /// Calls `uri` at `peer`, offering our media at `media`.
    pub fn invite(
        &mut self,
        id: CallId,
        uri: &str,
        peer: impl Into<Peer>,
        from: (&str, Option<&str>),
        media: SocketAddr,
        now: Instant,
    ) {
        let peer = peer.into();
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
            credentials: None,
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

    pub(crate) fn bye(&mut self, id: CallId, now: Instant) {
        let branch = self.branch();
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.cseq += 1;
        let (peer, cseq) = (call.peer, call.cseq);
        let Some(call) = self.calls.get(&id) else { return };
        let bye = self.make_request(call, "BYE", cseq, &branch);
        self.send_request(branch, bye.write(), peer, id, false, now);
    }

    pub(crate) fn cancel(&mut self, id: CallId, now: Instant) {
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

    pub(crate) fn response(&mut self, message: Message, status: u16, now: Instant) {
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
            let (ack, peer) = (acknowledge(call, &message), call.peer);
            self.transmits.push_back(Transmit::new(peer, ack));
            let challenged = matches!(status, 401 | 407);
            if challenged && self.authenticate(id, &message, status, now) {
                return;
            }
            self.forget(id);
            self.events.push_back(Event::Failed(id, status));
            return;
        }
        self.up(id, &message, now);
    }

    /// Calls again with what answers a challenge; says whether it could.
    fn authenticate(&mut self, id: CallId, message: &Message, status: u16, now: Instant) -> bool {
        let (branch, cnonce) = (self.branch(), self.token());
        let Some(call) = self.calls.get_mut(&id) else { return false };
        if matches!(call.state, State::Calling { canceled: true, .. }) {
            return false;
        }
        let Some(credentials) = call.credentials.take() else { return false };
        let (asks, answers) = if status == 401 {
            ("WWW-Authenticate", "Authorization")
        } else {
            ("Proxy-Authenticate", "Proxy-Authorization")
        };
        let asked = ("INVITE", call.target.as_str());
        let Some(value) = digest::authorize(message.all(asks), asked, &credentials, &cnonce) else {
            return false;
        };
        call.cseq += 1;
        call.remote_tag = None;
        call.state = State::Calling { provisional: false, canceled: false };
        let mut invite = call.invite.clone();
        for (name, header) in &mut invite.headers {
            match name.as_str() {
                "CSeq" => *header = format!("{} INVITE", call.cseq),
                "Via" => {
                    let old = call.invite.branch().unwrap_or_default();
                    *header = header.replace(old, &branch);
                }
                _ => {}
            }
        }
        invite.headers.push((answers.to_owned(), value));
        call.invite = invite.clone();
        let peer = call.peer;
        self.send_request(branch, invite.write(), peer, id, true, now);
        true
    }

    /// Gives a call what answers a challenge of the one called.
    pub fn set_credentials(&mut self, id: CallId, credentials: Credentials) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.credentials = Some(credentials);
        }
    }

    pub(crate) fn rings(&mut self, id: CallId, message: &Message, status: u16, now: Instant) {
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

    pub(crate) fn up(&mut self, id: CallId, message: &Message, now: Instant) {
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
        self.transmits.push_back(Transmit::new(peer, octets));
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
    pub(crate) fn repeat_ack(&mut self, message: &Message, status: u16) {
        let tag = message.tag("From").unwrap_or_default().to_owned();
        let dialog = (message.header("Call-ID").unwrap_or_default().to_owned(), tag);
        let call = self.dialogs.get(&dialog).and_then(|id| self.calls.get(id));
        if let Some(call) = call
            && (200..300).contains(&status)
            && message.cseq().is_some_and(|(_, method)| method == "INVITE")
            && let Some(octets) = call.ack.clone()
        {
            let to = call.peer;
            self.transmits.push_back(Transmit::new(to, octets));
        }
    }

    pub(crate) fn send_request(
        &mut self,
        key: String,
        octets: Vec<u8>,
        to: Peer,
        call: CallId,
        invite: bool,
        now: Instant,
    ) {
        self.transmits.push_back(Transmit::new(to, octets.clone()));
        let repeat = (to.transport == Transport::Udp).then_some((now + T1, T1));
        let expires = now + LIFETIME;
        self.clients.insert(key, Client { octets, to, repeat, expires, call, invite });
    }

    pub(crate) fn make_request(
        &self,
        call: &Call,
        method: &str,
        cseq: u32,
        branch: &str,
    ) -> Message {
        let us = self.config.address;
        let by = match call.peer.transport {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
        };
        let tag = call.remote_tag.as_ref().map_or_else(String::new, |tag| format!(";tag={tag}"));
        let mut headers = vec![
            ("Via".to_owned(), format!("SIP/2.0/{by} {us};rport;branch={branch}")),
            ("Max-Forwards".to_owned(), "70".to_owned()),
            ("From".to_owned(), format!("{};tag={}", call.local, call.local_tag)),
            ("To".to_owned(), format!("{}{tag}", call.remote)),
            ("Call-ID".to_owned(), call.call_id.clone()),
            ("CSeq".to_owned(), format!("{cseq} {method}")),
            ("Contact".to_owned(), self.contact(call.peer)),
            ("User-Agent".to_owned(), "Sidetone".to_owned()),
        ];
        headers.extend(call.route.iter().map(|route| ("Route".to_owned(), route.clone())));
        let start = Start::Request { method: method.to_owned(), uri: call.target.clone() };
        Message { start, headers, body: Vec::new() }
    }
}

/// Writes the ACK of a response that is no 2xx. Source: RFC 3261 section 17.1.1.3.
fn acknowledge(call: &Call, response: &Message) -> Vec<u8> {
    let mut ack = call.invite.clone();
    if let Start::Request { method, .. } = &mut ack.start {
        "ACK".clone_into(method);
    }
    ack.body.clear();
    let left_out = ["Content-Type", "Contact", "Authorization", "Proxy-Authorization"];
    ack.headers.retain(|(name, _)| !left_out.contains(&name.as_str()));
    for (name, value) in &mut ack.headers {
        match name.as_str() {
            "CSeq" => *value = format!("{} ACK", call.cseq),
            "To" => response.header("To").unwrap_or_default().clone_into(value),
            _ => {}
        }
    }
    ack.write()
}
