//! Calls that come in: whom each is for, and what is to be done with it.

use exchange::{Document, Effect, Event, Instructions, Offer, StatusCallback};
use model::{CallSid, Now};
use rand_chacha::rand_core::RngCore;
use sip::Peer;

use crate::core::Core;
use crate::directory::e164;
use crate::parameters;
use crate::target::{Target, user_in};

/// The status of a call to nobody: not found.
const NOT_FOUND: u16 = 404;
/// The status of a call to an account that may not be used: temporarily unavailable.
const NOT_ACTIVE: u16 = 480;

impl Core {
    pub(crate) fn offered(&mut self, invitation: sip::Invitation, now: Now) {
        let user = sip::user_of(&invitation.to);
        let host = sip::host_of(&invitation.to);
        // Who comes by a trunk calls a number.
        let domain = self.directory.domain(&host).filter(|_| invitation.gateway.is_none());
        let line = match domain {
            Some(line) => Some((invitation.to.clone(), line.clone())),
            None => self.directory.line(&user).map(|(to, line)| (to, line.clone())),
        };
        let is_domain = domain.is_some();
        if line.as_ref().is_some_and(|(_, line)| !line.is_active) {
            return self.agent.reject(invitation.call, NOT_ACTIVE, now.instant);
        }
        let told = line.as_ref().and_then(|(_, line)| line.instructions.clone());
        let Some(instructions) = told.or_else(|| self.by_name(user)) else {
            return self.agent.reject(invitation.call, NOT_FOUND, now.instant);
        };
        let mut octets = [0; 16];
        self.random.fill_bytes(&mut octets);
        let call = CallSid::new(octets);
        if self.turns_away() || !self.open(call, invitation.call) {
            return self.agent.reject(invitation.call, 503, now.instant);
        }
        if let Some(session) = &invitation.offer {
            self.wire(call, session);
        }
        let is_application = line.as_ref().is_some_and(|(to, _)| to.starts_with("app:"));
        let headers = parameters::of_call(invitation.headers, is_application);
        let offer = match line {
            Some((to, line)) => Offer {
                call,
                account: line.account,
                // Telephones have numbers, wherever they are.
                from: e164(&sip::user_of(&invitation.from))
                    .filter(|_| !is_domain)
                    .unwrap_or(invitation.from),
                to,
                caller_name: invitation.display_name,
                instructions,
                status_callback: line.status_callback,
                headers,
            },
            None => Offer {
                call,
                account: self.settings.account.sid,
                from: invitation.from,
                to: invitation.to,
                caller_name: invitation.display_name,
                instructions,
                status_callback: StatusCallback::default(),
                headers,
            },
        };
        self.event(Event::CallOffered(Box::new(offer)), now);
    }

    /// What is done with a call that nothing else is said of; nothing: it is refused.
    fn by_name(&self, user: String) -> Option<Instructions> {
        match &self.settings.voice_url {
            Some(url) => Some(Instructions::Url {
                document: Document { url: url.clone(), method: "POST".to_owned() },
                fallback: None,
            }),
            None if !self.settings.names_are_rooms => None,
            None if user.is_empty() => Some(Instructions::Join("default".to_owned())),
            None => Some(Instructions::Join(user)),
        }
    }

    /// Returns where a phone is that registered under a domain of ours: the outer nothing where the
    /// address is of no such domain.
    pub(crate) fn in_domain(&self, uri: &str) -> Option<Option<(String, Peer)>> {
        self.directory.domain(&sip::host_of(uri))?;
        Some(self.agent.binding(&self.registers_as(uri)?))
    }

    /// Returns whether a call to this address is to be encrypted, where that is said of it alone: by the domain
    /// of ours that it is in, by itself, or of the user.
    pub(crate) fn srtp_for(&self, to: &str) -> Option<sip::SrtpPolicy> {
        let says = to.split(['?', ' ']).next().unwrap_or(to).split(';').skip(1);
        let secured = says.into_iter().any(|one| one.eq_ignore_ascii_case("secure=true"))
            || self.directory.is_secure(&sip::host_of(to));
        let mandatory = secured.then_some(sip::SrtpPolicy::Mandatory);
        mandatory.or_else(|| {
            let user = self.registers_as(to)?;
            let has_registered = self.agent.binding(&user).is_some();
            self.settings.terms.users.of_called(&user, has_registered)
        })
    }

    /// Returns under which name the user that an address is of registers; nothing: it is elsewhere.
    fn registers_as(&self, to: &str) -> Option<String> {
        let host = sip::host_of(to);
        if self.directory.domain(&host).is_some() {
            return Some(format!("{}@{host}", sip::user_of(to)));
        }
        Target::parse(to).is_none().then(|| user_in(to).to_owned())
    }

    /// Lets a call that we make to a line of our own pass where callers must prove who they are.
    pub(crate) fn prove_ourselves(&self, effect: &mut Effect) {
        let account = &self.settings.account;
        if let Effect::Dial { auth, .. } = effect {
            *auth = Some((account.sid.to_string(), account.auth_token.clone()));
        }
    }

    /// Returns where a number or an application of ours is called: here.
    pub(crate) fn own_line(&self, name: &str) -> Option<(String, Peer)> {
        let user = name.strip_prefix("app:").unwrap_or(name);
        self.directory.line(user)?;
        let here = self.settings.sip;
        Some((format!("sip:{user}@{here}"), Peer::from(here)))
    }

    /// Returns where a number rings that nobody serves.
    pub(crate) fn virtual_phone(&self, number: &str) -> Option<(String, Peer)> {
        let there = self.settings.virtual_phones.filter(|_| model::is_e164(number))?;
        Some((format!("sip:{number}@{there}"), Peer::from(there)))
    }
}
