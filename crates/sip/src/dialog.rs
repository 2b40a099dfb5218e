//! Dialogs as they are kept: what it takes to speak in one after a restart.
//!
//! Source: RFC 3261 section 12.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::agent::*;
use crate::message::{Message, Start};

/// A dialog that both sides know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialog {
    call_id: String,
    local: String,
    local_tag: String,
    remote: String,
    remote_tag: Option<String>,
    target: String,
    route: Vec<String>,
    cseq: u32,
    remote_cseq: u32,
    peer: Peer,
}

impl Agent {
    /// Returns a call's dialog, once both sides know of it.
    pub fn dialog(&self, id: CallId) -> Option<Dialog> {
        let call = self.calls.get(&id).filter(|call| call.state == State::Up)?;
        Some(Dialog {
            call_id: call.call_id.clone(),
            local: call.local.clone(),
            local_tag: call.local_tag.clone(),
            remote: call.remote.clone(),
            remote_tag: call.remote_tag.clone(),
            target: call.target.clone(),
            route: call.route.clone(),
            cseq: call.cseq,
            remote_cseq: call.remote_cseq,
            peer: call.peer,
        })
    }

    /// Ends a dialog of an agent that is no more: its phone is sent a BYE.
    pub fn end_dialog(&mut self, dialog: Dialog, now: Instant) {
        let id = self.new_call();
        let call = Call {
            state: State::Up,
            peer: dialog.peer,
            call_id: dialog.call_id,
            local: dialog.local,
            local_tag: dialog.local_tag,
            remote: dialog.remote,
            remote_tag: dialog.remote_tag,
            target: dialog.target,
            route: dialog.route,
            cseq: dialog.cseq,
            remote_cseq: dialog.remote_cseq,
            invite: Message {
                start: Start::Request { method: String::new(), uri: String::new() },
                headers: Vec::new(),
                body: Vec::new(),
            },
            session: None,
            media: None,
            ack: None,
            credentials: None,
        };
        self.calls.insert(id, call);
        self.hang_up(id, now);
    }
}
