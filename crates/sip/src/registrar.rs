//! Who can be reached where.
//!
//! Source: RFC 3261 section 10.3.

use std::time::{Duration, Instant};

use crate::agent::*;
use crate::message::{Message, parameter, uri_of};

impl Agent {
    /// Returns where a registered user is.
    pub fn binding(&self, user: &str) -> Option<(String, Peer)> {
        self.bindings.get(user).map(|binding| (binding.contact.clone(), binding.source))
    }

    pub(crate) fn register(&mut self, from: Peer, key: &str, message: &Message, now: Instant) {
        let tag = self.token();
        let to = uri_of(message.header("To").unwrap_or_default()).to_owned();
        let user = user_of(&to).to_owned();
        let contact = message.header("Contact").unwrap_or_default().to_owned();
        let asked = parameter(&contact, "expires").or_else(|| message.header("Expires"));
        let expires =
            asked.and_then(|text| text.parse().ok()).unwrap_or(EXPIRES_MAX).min(EXPIRES_MAX);
        if user.is_empty() || self.bindings.len() >= CALLS_MAX {
            return self.finish(key, message.response(400, Some(&tag)), now);
        }
        let mut response = message.response(200, Some(&tag));
        if contact == "*" || expires == 0 {
            if self.bindings.remove(&user).is_some() {
                self.events.push_back(Event::Unregistered(user));
            }
        } else if !contact.is_empty() {
            let contact = uri_of(&contact).to_owned();
            response.headers.push(("Contact".to_owned(), format!("<{contact}>;expires={expires}")));
            let expires = now + Duration::from_secs(expires);
            let new = Binding { contact, source: from, expires };
            if self.bindings.insert(user.clone(), new).is_none() {
                self.events.push_back(Event::Registered(user));
            }
        }
        self.finish(key, response, now);
    }
}

fn user_of(uri: &str) -> &str {
    uri.split_once(':').and_then(|(_, rest)| rest.split_once('@')).map_or("", |(user, _)| user)
}
