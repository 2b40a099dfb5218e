//! Who can be reached where.
//!
//! Source: RFC 3261 section 10.3.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::agent::*;
use crate::call::{host_of, user_of};
use crate::deadline::Timer;
use crate::message::{Message, parameter_after_address, scheme_is_sips, uri_of};
use crate::transaction::Key;

/// Longest registration that is granted.
pub const EXPIRES_S_MAX: u64 = 3_600;
/// Shortest registration that is taken.
pub const EXPIRES_S_MIN: u64 = 60;
/// Contacts of all users together; more are refused with 503.
pub const BINDINGS_MAX: usize = 10_000;
/// Contacts of one user; more are refused with 403.
pub const CONTACTS_MAX: usize = 10;

#[derive(Debug, Clone)]
struct Binding {
    contact: String,
    source: Peer,
    expires: Instant,
    call_id: String,
    cseq: u32,
}

/// The bindings of every user, each user's newest last.
#[derive(Debug, Default)]
pub struct Bindings {
    of: BTreeMap<Arc<str>, Vec<Binding>>,
    count: usize,
}

impl Bindings {
    pub fn len(&self) -> usize {
        self.count
    }

    fn of(&self, user: &str) -> &[Binding] {
        self.of.get(user).map_or(&[], Vec::as_slice)
    }

    fn replace(&mut self, user: &Arc<str>, bindings: Vec<Binding>) {
        let before = self.of(user).len();
        self.count = self.count - before + bindings.len();
        if bindings.is_empty() {
            self.of.remove(user);
        } else {
            self.of.insert(Arc::clone(user), bindings);
        }
    }
}

impl Agent {
    /// Returns where a registered user is: the contact that registered last.
    pub fn binding(&self, user: &str) -> Option<(String, Peer)> {
        let newest = self.bindings.of(user).last()?;
        Some((newest.contact.clone(), newest.source))
    }

    /// Whether the user of this address has registered from there.
    pub(crate) fn is_registered_at(&self, uri: &str, ip: IpAddr) -> bool {
        let bindings = self.bindings.of(&self.user_at(uri));
        bindings.iter().any(|binding| binding.source.address.ip() == ip)
    }

    /// Returns by which name the user of an address registers: each domain has users of its own.
    pub(crate) fn user_at(&self, uri: &str) -> String {
        let (user, host) = (user_of(uri), host_of(uri));
        match self.domains.contains_key(&host) {
            true if !user.is_empty() => format!("{user}@{host}"),
            _ => user,
        }
    }

    pub(crate) fn register(&mut self, from: Peer, key: &Key, message: &Message, now: Instant) {
        let tag = self.token();
        let to = uri_of(message.header("To").unwrap_or_default());
        let is_sip = to.split(':').next().is_some_and(|scheme| scheme.eq_ignore_ascii_case("sip"));
        let user = if is_sip || scheme_is_sips(to) { self.user_at(to) } else { String::new() };
        let user: Arc<str> = Arc::from(user);
        let status = match self.rebind(&user, from, message, now) {
            Ok(bindings) => {
                self.bind(&user, bindings);
                200
            }
            Err(status) => status,
        };
        let mut response = message.response(status, Some(&tag));
        match status {
            200 => {
                for Binding { contact, expires, .. } in self.bindings.of(&user) {
                    let seconds = expires.saturating_duration_since(now).as_secs();
                    response.push("Contact", format!("<{contact}>;expires={seconds}"));
                }
            }
            423 => response.push("Min-Expires", EXPIRES_S_MIN.to_string()),
            503 => response.push("Retry-After", RETRY_AFTER_S.to_string()),
            _ => {}
        }
        self.finish(key, &response, now);
    }

    /// Returns a user's bindings as a request wants them, or the status by which it is refused whole.
    fn rebind(
        &self,
        user: &str,
        from: Peer,
        message: &Message,
        now: Instant,
    ) -> Result<Vec<Binding>, u16> {
        if user.is_empty() {
            return Err(400);
        }
        let call_id = message.header("Call-ID").unwrap_or_default();
        let cseq = message.cseq().map_or(0, |(number, _)| number);
        let late = |binding: &Binding| binding.call_id == call_id && binding.cseq >= cseq;
        let mut bindings = self.bindings.of(user).to_vec();
        let contacts: Vec<&str> = message.values("Contact").collect();
        let expires = message.header("Expires");
        if contacts.contains(&"*") {
            if contacts.len() > 1 || expires.is_none_or(|expires| expires.trim() != "0") {
                return Err(400);
            }
            return if bindings.iter().any(late) { Err(500) } else { Ok(Vec::new()) };
        }
        for contact in contacts {
            let uri = uri_of(contact);
            let asked = parameter_after_address(contact, "expires").or(expires);
            let asked = asked.and_then(|text| text.trim().parse().ok());
            let seconds: u64 = asked.unwrap_or(EXPIRES_S_MAX).min(EXPIRES_S_MAX);
            if (1..EXPIRES_S_MIN).contains(&seconds) {
                return Err(423);
            }
            let known = bindings.iter().position(|binding| binding.contact == uri);
            if let Some(place) = known {
                if late(&bindings[place]) {
                    return Err(500);
                }
                bindings.remove(place);
            }
            if seconds > 0 {
                bindings.push(Binding {
                    contact: uri.to_owned(),
                    source: from,
                    expires: now + Duration::from_secs(seconds),
                    call_id: call_id.to_owned(),
                    cseq,
                });
            }
        }
        let grows = bindings.len().saturating_sub(self.bindings.of(user).len());
        match () {
            () if bindings.len() > CONTACTS_MAX => Err(403),
            () if self.bindings.len() + grows > BINDINGS_MAX => Err(503),
            () => Ok(bindings),
        }
    }

    /// Puts a user's bindings in place, and tells of the first and of the last.
    fn bind(&mut self, user: &Arc<str>, bindings: Vec<Binding>) {
        let (before, after) = (self.bindings.of(user).is_empty(), bindings.is_empty());
        let next = bindings.iter().map(|binding| binding.expires).min();
        self.bindings.replace(user, bindings);
        self.deadlines.set(Timer::Bindings(Arc::clone(user)), next);
        match (before, after) {
            (true, false) => self.tell(Event::Registered(user.to_string())),
            (false, true) => self.tell(Event::Unregistered(user.to_string())),
            _ => {}
        }
    }

    pub(crate) fn bindings_due(&mut self, user: &Arc<str>, now: Instant) {
        let mut bindings = self.bindings.of(user).to_vec();
        bindings.retain(|binding| binding.expires > now);
        self.bind(user, bindings);
    }
}
