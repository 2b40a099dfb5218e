//! How we prove who we are to those whom we ask.
//!
//! Source: RFC 3261 section 22.2.

use std::time::Instant;

use crate::agent::*;
use crate::call::State;
use crate::digest::{self, Proof};
use crate::message::{Message, Start};
use crate::transaction::Kind;
use crate::uac::renumber;

impl Agent {
    /// Gives a call what answers a challenge of the one called.
    pub fn set_proof(&mut self, id: CallId, proof: Proof) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.proof = Some(proof.clone());
        let client = call.client.clone().and_then(|key| self.clients.get_mut(&key));
        if let Some(client) = client {
            client.proof = Some(proof);
        }
    }

    /// Asks again with what answers a challenge; says whether it could.
    pub(crate) fn authenticate(
        &mut self,
        (id, kind, to): (CallId, Kind, Callee),
        request: &Message,
        message: &Message,
        proof: &Proof,
        now: Instant,
    ) -> bool {
        let (branch, cnonce) = (self.branch(), self.token());
        let Start::Request { method, uri } = &request.start else { return false };
        let (asks, answers) = if message.status() == 401 {
            ("WWW-Authenticate", "Authorization")
        } else {
            ("Proxy-Authenticate", "Proxy-Authorization")
        };
        let asked = (method.as_str(), uri.as_str());
        let Some(value) = digest::authorize(message.all(asks), asked, proof, &cnonce) else {
            return false;
        };
        let canceled = self
            .calls
            .get(&id)
            .is_some_and(|call| matches!(call.state, State::Calling { canceled: true, .. }));
        // The call of a BYE is gone already.
        let number = request.cseq().map_or(0, |(number, _)| number);
        let number = match self.calls.get_mut(&id) {
            Some(_) if canceled => return false,
            Some(call) => {
                call.dialog.cseq += 1;
                call.dialog.cseq
            }
            None if matches!(kind, Kind::Bye | Kind::Question) => number.saturating_add(1),
            None => return false,
        };
        let mut again = request.clone();
        renumber(&mut again, number, &branch);
        again.set(answers, value);
        let key = match self.calls.get_mut(&id) {
            Some(call) if kind == Kind::Invite => {
                call.state = State::Calling { provisional: false, canceled: false };
                call.early.clear();
                call.invite = again;
                self.send_invite(id, now)
            }
            _ => self.send_request(&again, to, id, kind, now),
        };
        if let (Kind::Reinvite | Kind::Update, Some(call)) = (kind, self.calls.get_mut(&id)) {
            call.client.clone_from(&key);
        }
        // A proof that is challenged again is wrong.
        if let Some(client) = key.and_then(|key| self.clients.get_mut(&key)) {
            client.proof = None;
        }
        true
    }
}
