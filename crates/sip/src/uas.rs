//! What others ask of us outside of a dialog.
//!
//! Source: RFC 3261 sections 8.2, 9.2, 12.1.1, 13.3 and 17.2.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rand_chacha::rand_core::RngCore;

use crate::agent::*;
use crate::call::{Call, State, host_of, user_of};
use crate::deadline::Timer;
use crate::dialog::Dialog;
use crate::digest::{self, Credentials, Denied};
use crate::domain::Gateway;
use crate::gate;
use crate::guard::source_of;
use crate::headers::special;
use crate::message::{Message, Start, scheme_is_sips, uri_of};
use crate::sdp::{Session, SrtpPolicy, Terms};
use crate::session_timer::{self, Judged, MIN_SE_S};
use crate::transaction::{Key, mark_source, merged, server_key};

/// Says why a domain that is reached by TLS alone refuses the others.
pub(crate) const TLS_DEMANDED: &str = "399 sidetone \"TLS is demanded: sips, or transport=tls\"";

impl Agent {
    /// Tells a caller that it rings here.
    pub fn ring(&mut self, id: CallId) {
        if let Some(now) = self.told {
            self.progress(id, None, now);
        }
    }

    /// Lets a caller hear us before we answer: our media is at `media`.
    pub fn ring_with_sound(&mut self, id: CallId, media: SocketAddr, now: Instant) {
        self.progress(id, Some(media), now);
    }

    /// Answers a caller: our media is at `media`.
    pub fn answer(&mut self, id: CallId, media: SocketAddr, now: Instant) {
        let waits = self.must_wait(id, media);
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.state != State::Offered || waits {
            return;
        }
        call.state = State::Answered;
        call.media = Some(media);
        let body = match call.session.clone() {
            Some(session) => call.answer_to(&session, media),
            None => call.offer(media),
        };
        let judged = session_timer::judge(&call.invite);
        if let Judged::With(timer, _) = judged {
            self.set_timer(id, Some(timer), now);
        }
        self.answer_invite(id, 200, Some((body, judged)), now);
    }

    /// Turns a caller away.
    pub fn reject(&mut self, id: CallId, status: u16, now: Instant) {
        if self.calls.get(&id).is_some_and(|call| call.state == State::Offered) {
            self.answer_invite(id, status, None, now);
            self.forget(id);
        }
    }

    /// Sends the final response to the INVITE that made a call.
    fn answer_invite(
        &mut self,
        id: CallId,
        status: u16,
        accepted: Option<(Vec<u8>, Judged)>,
        now: Instant,
    ) {
        self.deadlines.set(Timer::Reliable(id), None);
        let Some(call) = self.calls.get(&id) else { return };
        let Some(key) = call.server.clone() else { return };
        let mut response = call.invite.response(status, Some(&call.dialog.local_tag));
        if let Some((body, judged)) = accepted {
            let contact = self.contact(call.dialog.peer, call.dialog.sips);
            accept(&mut response, contact, &judged);
            response.push("Content-Type", "application/sdp");
            response.body = body;
        }
        if status == 503 {
            response.push("Retry-After", RETRY_AFTER_S.to_string());
        }
        self.finish(&key, &response, now);
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
            self.stats.unparsable += 1;
            return; // There is nowhere to send a complaint.
        }
        let name = if matches!(method, "ACK" | "CANCEL") { "INVITE" } else { method };
        let key = server_key(&message, name);
        mark_source(&mut message, from.address);
        if let Some(status) = gate::fault(&message, method, uri) {
            if method != "ACK" {
                self.reply_with(from, &message, status, &[]);
            }
            return;
        }
        match method {
            "ACK" => return self.acknowledged(&message, &key, now),
            "CANCEL" => return self.canceled(from, &message, &key, now),
            _ => {}
        }
        if let Some(known) = self.servers.get(&key) {
            if let Some(octets) = known.response.clone() {
                self.stats.retransmissions += 1;
                self.transmit(from, octets);
            }
            return;
        }
        if self.refused(from, &message, method, uri, now) {
            return;
        }
        if message.tag("To").is_some() {
            return self.request_in_dialog(&key, from, &message, method, now);
        }
        match method {
            "INVITE" => self.invited(from, &key, message, uri, now),
            "REGISTER" if self.admit(&key, from, &message, now) => {
                self.register(from, &key, &message, now);
            }
            "REGISTER" => {}
            "OPTIONS" => {
                let supported = SUPPORTED.join(", ");
                let kind = ("Accept", "application/sdp");
                let more = [("Allow", ALLOW), kind, ("Supported", &supported)];
                self.reply_with(from, &message, 200, &more);
            }
            "BYE" | "INFO" | "UPDATE" | "PRACK" => self.reply_with(from, &message, 481, &[]),
            _ => {
                let status = if KNOWN.contains(&method) { 405 } else { 501 };
                self.reply_with(from, &message, status, &[("Allow", ALLOW)]);
            }
        }
    }

    /// Answers without keeping anything.
    pub(crate) fn reply_with(
        &mut self,
        to: Peer,
        request: &Message,
        status: u16,
        more: &[(&str, &str)],
    ) {
        let tag = self.stateless_tag(request);
        let mut response = request.response(status, Some(&tag));
        for (name, value) in more {
            response.push(name, *value);
        }
        self.reply(to, &response);
    }

    /// Opens the transaction of a request, or refuses it where too many are open.
    pub(crate) fn admit(&mut self, key: &Key, from: Peer, message: &Message, now: Instant) -> bool {
        let admitted = self.open_server(key, from, message, now);
        if !admitted {
            self.overloaded(from, message);
        }
        admitted
    }

    fn overloaded(&mut self, from: Peer, message: &Message) {
        self.stats.overloaded += 1;
        let seconds = RETRY_AFTER_S.to_string();
        self.reply_with(from, message, 503, &[("Retry-After", &seconds)]);
    }

    /// Refuses a well-formed request that something stands in the way of, whatever it wants.
    fn refused(
        &mut self,
        from: Peer,
        message: &Message,
        method: &str,
        uri: &str,
        now: Instant,
    ) -> bool {
        let unknown: Vec<&str> = message
            .values("Require")
            .filter(|wanted| !SUPPORTED.iter().any(|known| known.eq_ignore_ascii_case(wanted)))
            .collect();
        if !unknown.is_empty() {
            self.reply_with(from, message, 420, &[("Unsupported", &unknown.join(", "))]);
            return true;
        }
        // The same request by another way. Source: section 8.2.2.2.
        if merged(message).is_some_and(|merged| self.merged.contains_key(&merged)) {
            self.reply_with(from, message, 482, &[]);
            return true;
        }
        let opens = message.tag("To").is_none() && matches!(method, "INVITE" | "REGISTER");
        if !opens {
            return false;
        }
        let source = source_of(from.address);
        let named = if method == "REGISTER" { message.header("To").map(uri_of) } else { Some(uri) };
        let domain = named.and_then(|named| self.domains.get(&host_of(named)));
        let secured = scheme_is_sips(uri) || domain.is_some_and(|domain| domain.secure);
        if secured && from.transport != Transport::Tls {
            self.reply_with(from, message, 403, &[("Warning", TLS_DEMANDED)]);
            return true;
        }
        let Some(known) = self.asked(from, message, method, uri) else {
            self.reply_with(from, message, 403, &[]);
            return true;
        };
        if known.is_empty() {
            return false;
        }
        if self.guard.blocks(source, now) {
            self.reply_with(from, message, 403, &[]);
            return true;
        }
        let ours = message.all("Authorization").find(|value| digest::is_digest(value));
        let denied = match self.gate.judge(ours, (method, uri), &known, now) {
            Ok(()) => return false,
            Err(denied) => denied,
        };
        if ours.is_some() && denied == Denied::Unproven {
            self.stats.unproven += 1;
            self.guard.failed(source, now);
        }
        let md5_alone = self.config.access.as_ref().is_some_and(|access| access.md5_alone);
        let challenges = self.gate.challenges(denied == Denied::Stale, md5_alone, now);
        let challenges: Vec<_> =
            challenges.iter().map(|value| ("WWW-Authenticate", value.as_str())).collect();
        self.reply_with(from, message, 401, &challenges);
        true
    }

    /// Returns whose proof is asked for a request that opens something: an empty list where nothing is
    /// asked, none where it is refused. A domain asks for itself, also on loopback.
    fn asked(
        &self,
        from: Peer,
        message: &Message,
        method: &str,
        uri: &str,
    ) -> Option<Vec<Credentials>> {
        let to = uri_of(message.header("To").unwrap_or_default());
        let of = if method == "REGISTER" { to } else { uri };
        if let Some(domain) = self.domains.get(&host_of(of)) {
            return match method {
                "REGISTER" => domain.asks_registrar(&user_of(to)),
                _ => domain.asks_callers(from.address.ip()),
            };
        }
        let calls = method == "INVITE";
        if calls && self.gateways.iter().any(|gateway| gateway.is_at(from.address.ip())) {
            return Some(Vec::new());
        }
        let Some(access) = self.asking(from) else { return Some(Vec::new()) };
        let gateways = self.gateways.iter().filter(|_| calls).flat_map(|one| &one.callers);
        Some(std::iter::once(&access.credentials).chain(gateways).cloned().collect())
    }

    /// Returns what is asked of those who come from an address, where anything is.
    fn asking(&self, from: Peer) -> Option<&Access> {
        let access = self.config.access.as_ref();
        access.filter(|access| !(access.loopback_is_free && source_of(from.address).is_loopback()))
    }

    /// Returns by which gateway a call comes that was let in.
    fn gateway_of(&self, from: Peer, message: &Message, uri: &str) -> Option<String> {
        if self.domains.contains_key(&host_of(uri)) {
            return None;
        }
        let at = self.gateways.iter().find(|gateway| gateway.is_at(from.address.ip()));
        let found = at.or_else(|| {
            // Where nothing was asked, nothing is proven.
            self.asking(from)?;
            let claimed = message.all("Authorization").find_map(digest::claimed)?;
            let is = |one: &&Gateway| one.callers.iter().any(|caller| caller.user == claimed);
            self.gateways.iter().find(is)
        });
        found.map(|gateway| gateway.name.clone())
    }

    /// Returns what we speak with one who calls a name of ours, comes by a gateway, or is a user.
    fn terms_of(&self, from: Peer, message: &Message, gateway: Option<&str>, uri: &str) -> Terms {
        let terms = &self.config.terms;
        if self.domains.get(&host_of(uri)).is_some_and(|domain| domain.secure) {
            return terms.with(SrtpPolicy::Mandatory);
        }
        let gateway = self.gateways.iter().find(|one| Some(one.name.as_str()) == gateway);
        let srtp = match gateway {
            Some(gateway) => gateway.srtp,
            None => {
                let caller = uri_of(message.header("From").unwrap_or_default());
                let has_registered = self.is_registered_at(caller, from.address.ip());
                let proven = self.proven_in_domain(from, message, uri);
                let said = self.user_at(caller);
                terms.users.of_caller(&said, has_registered, proven.as_deref())
            }
        };
        terms.with(srtp.unwrap_or(terms.srtp))
    }

    /// Returns as which user of a domain a caller was let in there, where it had to prove that.
    fn proven_in_domain(&self, from: Peer, message: &Message, uri: &str) -> Option<String> {
        let host = host_of(uri);
        let asked = self.domains.get(&host)?.asks_callers(from.address.ip())?;
        let claimed = message.all("Authorization").find_map(digest::claimed)?;
        (!asked.is_empty()).then(|| format!("{claimed}@{host}"))
    }

    fn invited(&mut self, from: Peer, key: &Key, message: Message, uri: &str, now: Instant) {
        let source = source_of(from.address);
        let gateway = self.gateway_of(from, &message, uri);
        let full = self.calls.len() >= CALLS_MAX || self.events.len() >= EVENTS_MAX;
        // Through a gateway call many.
        if full || (gateway.is_none() && !self.shares.room(source).1) {
            return self.overloaded(from, &message);
        }
        let terms = self.terms_of(from, &message, gateway.as_deref(), uri);
        if let Some((status, more)) = unacceptable(&message, &terms) {
            let more: Vec<_> = more.iter().map(|(name, value)| (*name, value.as_str())).collect();
            return self.reply_with(from, &message, status, &more);
        }
        if !self.admit(key, from, &message, now) {
            return;
        }
        let id = self.new_call();
        let dialog = self.dialog_of(from, &message);
        self.dialogs.insert(dialog.local_tag.clone(), id);
        self.provisional(key, &message.response(100, None), now);
        let invitation = invitation(id, &message, uri);
        let mut call = Call::new(State::Offered, dialog, message, terms);
        call.session = call.read_offer(&call.invite.body);
        match call.session.take() {
            Some(mut offer) => {
                call.settle(&mut offer, &mut self.random);
                call.session = Some(offer);
            }
            None if call.terms.srtp == SrtpPolicy::Mandatory => call.draw(&mut self.random),
            None => {}
        }
        let invitation = Invitation { gateway, offer: call.session.clone(), ..invitation };
        call.server = Some(Arc::clone(key));
        call.source = Some(source);
        self.shares.count(source, 0, 1);
        self.calls.insert(id, Box::new(call));
        if let Some(server) = self.servers.get_mut(key) {
            server.call = Some(id);
            server.expires = now + RINGS_MAX;
        }
        self.arm_server(key);
        self.tell(Event::Invite(Box::new(invitation)));
    }

    /// Returns the dialog that an INVITE makes. Source: section 12.1.1.
    fn dialog_of(&mut self, from: Peer, message: &Message) -> Dialog {
        let header = |name: &str| message.header(name).unwrap_or_default().to_owned();
        // Phones of RFC 2543 may leave `Contact` out.
        let contact = message.header("Contact").or(message.header("From"));
        Dialog {
            call_id: header("Call-ID"),
            local: without_tag(&header("To")),
            local_tag: self.token(),
            remote: without_tag(&header("From")),
            remote_tag: message.tag("From").map(str::to_owned),
            target: uri_of(contact.unwrap_or_default()).to_owned(),
            route: message.values("Record-Route").map(str::to_owned).collect(),
            cseq: 0,
            remote_cseq: message.cseq().map_or(0, |(number, _)| number),
            peer: from,
            caller: false,
            takes_update: message.lists("Allow", "UPDATE"),
            origin: self.random.next_u64() >> 1,
            version: 0,
            timer: None,
            sips: is_sips(message),
            host: None,
        }
    }

    fn canceled(&mut self, from: Peer, message: &Message, key: &Key, now: Instant) {
        let id = self.servers.get(key).and_then(|server| server.call);
        let Some((id, call)) = id.and_then(|id| Some((id, self.calls.get(&id)?))) else {
            // One whose INVITE was refused a moment ago crossed the refusal.
            let status = if self.servers.contains_key(key) { 200 } else { 481 };
            return self.reply_with(from, message, status, &[]);
        };
        let (tag, state) = (call.dialog.local_tag.clone(), call.state);
        self.reply(from, &message.response(200, Some(&tag)));
        if state == State::Offered {
            self.answer_invite(id, 487, None, now);
            self.forget(id);
            self.tell(Event::Ended(id, Ended::HungUp));
        }
    }
}

/// Writes what a 2xx to INVITE or UPDATE says of us.
pub(crate) fn accept(response: &mut Message, contact: String, judged: &Judged) {
    response.push("Contact", contact);
    response.push("Allow", ALLOW);
    response.push("Supported", SUPPORTED.join(", "));
    session_timer::grant(response, judged);
}

/// Returns why an INVITE cannot be taken, and the header that says what could be.
fn unacceptable(message: &Message, terms: &Terms) -> Option<(u16, Option<(&'static str, String)>)> {
    let encoded = message.header("Content-Encoding").is_some_and(|by| by != "identity");
    let kind = message.header("Content-Type").unwrap_or_default().to_ascii_lowercase();
    if !message.body.is_empty() && (encoded || !kind.trim().starts_with("application/sdp")) {
        return Some((415, Some(("Accept", "application/sdp".to_owned()))));
    }
    let takes_sdp = |accept: &str| {
        let accept = accept.to_ascii_lowercase();
        ["application/sdp", "*/*", "application/*"].iter().any(|kind| accept.contains(kind))
    };
    if message.header("Accept").is_some_and(|accept| !takes_sdp(accept)) {
        return Some((406, None));
    }
    if !message.body.is_empty() && Session::parse(&message.body, terms).is_none() {
        return Some((488, warning(&message.body, terms)));
    }
    let too_small = matches!(session_timer::judge(message), Judged::TooSmall);
    too_small.then(|| (422, Some(("Min-SE", MIN_SE_S.to_string()))))
}

/// Says why a description is refused, where it is for want of protection alone.
fn warning(body: &[u8], terms: &Terms) -> Option<(&'static str, String)> {
    let told = match terms.srtp {
        SrtpPolicy::Mandatory => "SRTP is demanded: RTP/SAVP with a=crypto",
        SrtpPolicy::Off => "SRTP is not spoken here",
        SrtpPolicy::Optional => return None,
    };
    Session::parse(body, &terms.with(SrtpPolicy::Optional))?;
    Some(("Warning", format!("302 sidetone \"{told}\"")))
}

fn invitation(call: CallId, message: &Message, to: &str) -> Invitation {
    let from = message.header("From").unwrap_or_default();
    let display_name = from.find('<').map(|at| from[..at].trim().trim_matches('"'));
    Invitation {
        call,
        from: uri_of(from).to_owned(),
        display_name: display_name.filter(|name| !name.is_empty()).map(str::to_owned),
        to: to.to_owned(),
        offer: None,
        headers: special(message),
        gateway: None,
    }
}

/// Whether a request wants each hop to be TLS.
fn is_sips(request: &Message) -> bool {
    matches!(&request.start, Start::Request { uri, .. } if scheme_is_sips(uri))
}

fn without_tag(value: &str) -> String {
    value
        .split(';')
        .filter(|part| !part.trim_start().starts_with("tag="))
        .collect::<Vec<_>>()
        .join(";")
}
