//! Calls to the telephone network: asked of a trunk, and of the next one where that does not take them.

use std::net::IpAddr;

use exchange::{Effect, Event, Outside};
use model::{CallSid, Now};
use rand_chacha::rand_core::RngCore;
use sip::CallId;

use crate::core::{Core, Output};
use crate::trunks::{Trunk, TrunkQuestion, TrunkStats};

impl Core {
    /// Takes other trunks.
    pub(crate) fn set_trunks(&mut self, trunks: Vec<Trunk>, now: Now) {
        let (random, ours) = (&mut self.random, self.settings.sip.ip());
        let name = || format!("{:016x}@{ours}", random.next_u64());
        self.trunks.set(trunks, name, (ours, now.instant));
        self.agent.set_gateways(self.trunks.gateways());
        self.know_outside();
    }

    /// Tells the exchange which numbers can be called, and as whom.
    pub(crate) fn know_outside(&mut self) {
        let (own, verified) = self.directory.caller_ids();
        self.exchange.set_outside(Outside { trunks: self.trunks.rules(), own, verified });
    }

    /// Calls a number by a trunk that has not been tried; `last` is how the one before failed.
    pub(crate) fn call_out(
        &mut self,
        effect: Effect,
        (tried, last): (Vec<usize>, Option<u16>),
        now: Now,
    ) {
        let Effect::Dial { call, to, from, display_name, .. } = &effect else { return };
        let (call, display_name) = (*call, display_name.clone());
        let Some(account) = self.exchange.account_of(call) else { return };
        let whose = (account, self.exchange.outside());
        let chosen = match self.trunks.choose((to, from), whose, &tried, now) {
            Ok(chosen) => chosen,
            Err(status) => return self.cannot_call_out(call, last.unwrap_or(status), now),
        };
        let id = self.agent.new_call();
        if !self.rename(call, id) && !self.open(call, id) {
            return self.cannot_call_out(call, 503, now);
        }
        self.trunks.begin((call, effect), chosen.trunk, tried, now);
        let media = self.calls[&call].media;
        let from = (chosen.from.as_str(), display_name.as_deref());
        self.agent.invite(id, &chosen.uri, chosen.peer, from, media, now.instant);
        if let Some(proof) = chosen.proof {
            self.agent.set_proof(id, proof);
        }
    }

    fn cannot_call_out(&mut self, call: CallSid, status: u16, now: Now) {
        self.event(Event::CallFailed { call, status }, now);
        self.unwire(call);
    }

    /// Calls by another trunk where the one that was asked does not take the call; says whether that is done.
    pub(crate) fn fails_over(&mut self, call: CallSid, status: u16, now: Now) -> bool {
        let Some(attempt) = self.trunks.failed(call, status, now.instant) else { return false };
        self.call_out(attempt.effect, (attempt.tried, Some(status)), now);
        true
    }

    /// Does what is due for trunks.
    pub(crate) fn trunks_due(&mut self, now: Now) {
        for call in self.trunks.silent(now.instant) {
            let Some(id) = self.calls.get(&call).map(|wired| wired.sip) else { continue };
            if self.agent.is_heard(id) {
                // It takes its time.
                self.trunks.heard(call);
                continue;
            }
            self.agent.hang_up(id, now.instant);
            if !self.fails_over(call, 408, now) {
                self.cannot_call_out(call, 408, now);
            }
        }
        for (trunk, asked) in self.trunks.due(now.instant) {
            match self.trunks.name_of(trunk).map(str::to_owned) {
                Some(name) => {
                    self.outputs.push_back(Output::ResolveTrunk { trunk, asked, name });
                }
                None => self.trunk_found(trunk, asked, &[], now),
            }
        }
    }

    /// Asks a trunk, now that it is known where it is.
    pub(crate) fn trunk_found(
        &mut self,
        trunk: usize,
        asked: TrunkQuestion,
        addresses: &[IpAddr],
        now: Now,
    ) {
        let found = self.trunks.found(trunk, addresses, self.settings.sip.ip());
        let id = self.agent.new_call();
        match self.trunks.question(trunk, asked, id).filter(|_| found) {
            Some(question) => self.agent.ask(id, question, now.instant),
            None => self.trunks.unasked(trunk, asked, now.instant),
        }
    }

    /// Lets registrars know that no calls are wanted any more.
    pub(crate) fn unregister(&mut self, now: Now) {
        for trunk in self.trunks.registered(now.instant) {
            let id = self.agent.new_call();
            if let Some(question) = self.trunks.question(trunk, TrunkQuestion::Register(0), id) {
                self.agent.ask(id, question, now.instant);
            }
        }
    }

    /// Gives a call that is wired another name in SIP; says whether there is one.
    fn rename(&mut self, call: CallSid, id: CallId) -> bool {
        let Some(wired) = self.calls.get_mut(&call) else { return false };
        let before = std::mem::replace(&mut wired.sip, id);
        self.by_sip.remove(&before);
        self.by_sip.insert(id, call);
        true
    }

    /// Returns how each trunk does.
    pub fn trunk_stats(&self, now: Now) -> Vec<TrunkStats> {
        self.trunks.stats(now.instant)
    }
}
