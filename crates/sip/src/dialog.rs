//! Dialogs: what it takes to speak in one, also after a restart.
//!
//! Source: RFC 3261 section 12.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::agent::*;
use crate::call::{Call, State};
use crate::message::{Message, Start, uri_of};
use crate::session_timer::SessionTimer;

/// How far the numbers of a restored dialog leap, past all that was sent since it was written.
const LEAP: u32 = 10_000;

/// A dialog that both sides know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialog {
    pub(crate) call_id: String,
    pub(crate) local: String,
    pub(crate) local_tag: String,
    pub(crate) remote: String,
    pub(crate) remote_tag: Option<String>,
    pub(crate) target: String,
    pub(crate) route: Vec<String>,
    pub(crate) cseq: u32,
    pub(crate) remote_cseq: u32,
    pub(crate) peer: Peer,
    /// Whether we made its Call-ID.
    #[serde(default)]
    pub(crate) caller: bool,
    /// Whether the far end takes UPDATE.
    #[serde(default)]
    pub(crate) takes_update: bool,
    /// The number and the version of our session description.
    #[serde(default)]
    pub(crate) origin: u64,
    #[serde(default)]
    pub(crate) version: u64,
    #[serde(default)]
    pub(crate) timer: Option<SessionTimer>,
    /// Whether each hop is to be TLS.
    #[serde(default)]
    pub(crate) sips: bool,
    /// The name that its far end proves by TLS, as [`Callee::host`] has it.
    #[serde(default)]
    pub(crate) host: Option<String>,
}

impl Dialog {
    /// Returns what all its messages have in common.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Returns to whom its requests go.
    pub(crate) fn callee(&self) -> Callee {
        Callee { peer: self.peer, host: self.host.as_deref().map(Into::into) }
    }

    /// Takes over what a request or a response says of where its sender is and what it speaks.
    pub(crate) fn refresh(&mut self, message: &Message) {
        if let Some(contact) = message.header("Contact") {
            uri_of(contact).clone_into(&mut self.target);
        }
        if message.header("Allow").is_some() {
            self.takes_update = message.lists("Allow", "UPDATE");
        }
    }
}

impl Agent {
    /// Returns from where a call's far end signals, as far as we see.
    pub fn signals_from(&self, id: CallId) -> Option<IpAddr> {
        Some(self.calls.get(&id)?.dialog.peer.address.ip())
    }

    /// Returns a call's dialog, once both sides know of it.
    pub fn dialog(&self, id: CallId) -> Option<Dialog> {
        let call = self.calls.get(&id).filter(|call| call.state == State::Up)?;
        Some(call.dialog.clone())
    }

    /// Ends a dialog of an agent that is no more: its phone is sent a BYE.
    ///
    /// [`Event::Parted`] tells that the phone knows.
    pub fn end_dialog(&mut self, dialog: Dialog, now: Instant) -> CallId {
        let id = self.restore(dialog);
        self.hang_up(id, now);
        id
    }

    /// Goes on with a dialog of an agent that is no more, with our media at `media`.
    pub fn resume_dialog(&mut self, dialog: Dialog, media: SocketAddr, now: Instant) -> CallId {
        let timer = dialog.timer;
        let id = self.restore(dialog);
        if let Some(call) = self.calls.get_mut(&id) {
            call.media = Some(media);
        }
        self.set_timer(id, timer, now);
        id
    }

    fn restore(&mut self, mut dialog: Dialog) -> CallId {
        let id = self.new_call();
        dialog.cseq = dialog.cseq.saturating_add(LEAP);
        dialog.version = dialog.version.saturating_add(LEAP.into());
        let nothing = Message {
            start: Start::Request { method: String::new(), uri: String::new() },
            headers: Vec::new(),
            body: Vec::new(),
        };
        self.dialogs.insert(dialog.local_tag.clone(), id);
        let call = Call::new(State::Up, dialog, nothing, self.config.terms.clone());
        self.calls.insert(id, Box::new(call));
        id
    }
}
