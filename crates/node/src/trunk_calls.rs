//! Calls to the telephone network: asked of a trunk, and of the next one where that does not take them.

use std::net::IpAddr;

use exchange::{Effect, Event, Outside};
use model::{CallSid, Change, Now, TrunkDay};
use rand_chacha::rand_core::RngCore;
use sip::CallId;

use crate::core::{Core, Output};
use crate::trunks::{Choice, Outbound, Trunk, TrunkQuestion, TrunkStats, UNAVAILABLE};

impl Core {
    /// Takes up how many calls trunks have carried before this process.
    pub fn know_trunk_days(&mut self, days: Vec<TrunkDay>) {
        self.trunks.know_days(days);
    }

    /// Takes other trunks.
    pub(crate) fn set_trunks(&mut self, trunks: Vec<Trunk>, now: Now) {
        let (random, ours) = (&mut self.random, self.settings.sip.ip());
        let name = || format!("{:016x}@{ours}", random.next_u64());
        let waited = self.trunks.set(trunks, name, (ours, now.instant));
        self.agent.set_gateways(self.trunks.gateways());
        self.know_outside();
        for (call, outbound) in waited {
            // The trunks that it has tried are others now.
            let outbound = Outbound { tried: Vec::new(), turn: None, ..outbound };
            self.call_out_in_turn(call, outbound, now);
        }
    }

    /// Tells the exchange which numbers can be called, and as whom.
    pub(crate) fn know_outside(&mut self) {
        let (own, verified) = self.directory.caller_ids();
        self.exchange.set_outside(Outside { trunks: self.trunks.rules(), own, verified });
    }

    /// Calls a number by a trunk that has not been tried, now or when it is its turn.
    pub(crate) fn call_out(&mut self, outbound: Outbound, now: Now) {
        let Outbound { effect, tried, last, turn } = outbound;
        let Effect::Dial { call, to, from, display_name, parent, .. } = &effect else { return };
        let (call, parent, display_name) = (*call, *parent, display_name.clone());
        let Some(account) = self.exchange.account_of(call) else { return };
        let whose = (account, self.exchange.outside());
        let chosen = match self.trunks.choose((to, from), whose, (&tried, turn), now) {
            Ok(Choice::Goes(chosen)) => chosen,
            Ok(Choice::Waits(trunk)) => {
                // What the trunk before still says is of no interest any more.
                if let Some(wired) = self.calls.get(&call) {
                    self.by_sip.remove(&wired.sip);
                }
                self.trunks.wait(trunk, call, Outbound { effect, tried, last, turn: None });
                return self.event(Event::CallWaits { call, waits: true }, now);
            }
            Err(status) => {
                self.refused.trunks += u64::from(status == UNAVAILABLE);
                return self.cannot_call_out(call, last.unwrap_or(status), now);
            }
        };
        let id = self.agent.new_call();
        if !self.rename(call, id) && !self.open(call, id) {
            return self.cannot_call_out(call, UNAVAILABLE, now);
        }
        if let Some(day) = self.trunks.begin((call, effect), chosen.trunk, tried, now) {
            // A cap of the day must outlive this process.
            self.commit(vec![Change::TrunkDay(day)]);
        }
        let media = self.offered_media(call, parent, chosen.srtp);
        let from = (chosen.from.as_str(), display_name.as_deref());
        self.agent.invite(id, &chosen.uri, chosen.callee, from, media, now.instant);
        if let Some(proof) = chosen.proof {
            self.agent.set_proof(id, proof);
        }
    }

    /// Calls a number that has waited for its turn.
    fn call_out_in_turn(&mut self, call: CallSid, outbound: Outbound, now: Now) {
        self.event(Event::CallWaits { call, waits: false }, now);
        self.call_out(outbound, now);
    }

    fn cannot_call_out(&mut self, call: CallSid, status: u16, now: Now) {
        self.event(Event::CallFailed { call, status }, now);
        self.unwire(call);
    }

    /// Calls by another trunk where the one that was asked does not take the call; says whether that is done.
    pub(crate) fn fails_over(&mut self, call: CallSid, status: u16, now: Now) -> bool {
        let Some(attempt) = self.trunks.failed(call, status, now.instant) else { return false };
        let (effect, tried) = (attempt.effect, attempt.tried);
        self.call_out(Outbound { effect, tried, last: Some(status), turn: None }, now);
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
        while let Some((call, outbound)) = self.trunks.next_turn(now.instant) {
            self.call_out_in_turn(call, outbound, now);
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
        self.trunks.stats(now)
    }
}
