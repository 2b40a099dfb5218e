//! What one account may have at once, and how fast its calls begin.
//!
//! Source: Twilio, "calls per second" and `queue_time`; errors 10004 and 16021.

use std::time::{Duration, Instant};

use model::{AccountSid, CallSid, Level};
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::callbacks::{self, CallProgress};
use crate::context::{About, Context};
use crate::exchange::World;
use crate::{Effect, Failure, Refusal};

/// Longest that a call may wait for its turn. Source: Twilio, calls are queued for 24 hours at most.
pub const QUEUE_TIME_MAX: Duration = Duration::from_secs(24 * 3_600);
/// How often the debugger log says that an account has as many calls as it may.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What each account may have at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls that the API begins within a second; the others are queued. None: no limit.
    pub calls_per_second: Option<u32>,
    /// Calls that are not over.
    pub calls: usize,
    /// Conferences that are not completed.
    pub conferences: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { calls_per_second: None, calls: usize::MAX, conferences: usize::MAX }
    }
}

/// A call that waits for its turn to be dialled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dialout {
    #[serde(skip)]
    pub(crate) at: Option<Instant>,
    pub(crate) to: String,
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) from: String,
    pub(crate) display_name: Option<String>,
    pub(crate) auth: Option<(String, String)>,
    pub(crate) jitter_buffer_size: Option<String>,
    /// How long it may ring.
    pub(crate) rings: Duration,
}

impl Call {
    /// Dials, now that it is its turn.
    pub(crate) fn dial_out(&mut self, dialout: Dialout, ctx: &mut Context<'_>) {
        self.rings_until = Some(ctx.now.instant + dialout.rings);
        ctx.push(Effect::Dial {
            call: self.record.sid,
            to: dialout.to,
            parameters: dialout.parameters,
            from: dialout.from,
            display_name: dialout.display_name,
            auth: dialout.auth,
            jitter_buffer_size: dialout.jitter_buffer_size,
            parent: self.record.parent,
        });
        callbacks::call_progress(self, CallProgress::Initiated, ctx);
    }

    /// When ringing has lasted too long; while a call waits for its turn, nothing rings.
    pub(crate) fn ring_deadline(&self) -> Option<Instant> {
        self.rings_until.filter(|_| self.waits_since.is_none())
    }
}

impl World {
    /// A call waits for its turn at a trunk, or has it now: it has been queued for that long, and rings for as long as
    /// it may from now on.
    pub(crate) fn call_waits(&mut self, sid: CallSid, waits: bool, ctx: &Context<'_>) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        let now = ctx.now.instant;
        if waits {
            call.waits_since.get_or_insert(now);
        } else if let Some(since) = call.waits_since.take() {
            let waited = now - since;
            call.rings_until = call.rings_until.map(|until| until + waited);
            call.record.queue_time_ms += u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        }
        self.touch(sid);
    }

    /// Refuses one more call of an account that has as many as it may, or too many that wait.
    pub(crate) fn check_calls(&mut self, account: AccountSid, now: Instant) -> Result<(), Refusal> {
        let turn = self.turns.get(&account).filter(|_| self.limits.calls_per_second.is_some());
        let refusal = if self.has_calls(account, self.limits.calls) {
            Refusal::CallsAtOnce(self.limits.calls)
        } else if turn.is_some_and(|at| at.saturating_duration_since(now) > QUEUE_TIME_MAX) {
            Refusal::Overloaded
        } else {
            return Ok(());
        };
        self.calls_refused += 1;
        Err(refusal)
    }

    fn has_calls(&self, account: AccountSid, count: usize) -> bool {
        // Where there is no limit nobody counts.
        let all = self.calls.values().filter(|call| call.record.account == account);
        self.calls.len() >= count && all.take(count).count() >= count
    }

    /// Refuses one more conference of an account that has as many as it may.
    pub(crate) fn check_conferences(&self, account: AccountSid) -> Result<(), Refusal> {
        let limit = self.limits.conferences;
        let all = self.conferences.values().filter(|one| one.record.account == account);
        let full = self.conferences.len() >= limit && all.take(limit).count() >= limit;
        if full { Err(Refusal::ConferencesAtOnce(limit)) } else { Ok(()) }
    }

    /// Returns when the next call of an account is dialled, and takes that turn.
    pub(crate) fn take_turn(&mut self, account: AccountSid, now: Instant) -> Instant {
        let Some(rate) = self.limits.calls_per_second else { return now };
        let next = self.turns.get(&account).copied().unwrap_or(now).max(now);
        self.turns.retain(|_, at| *at > now);
        self.turns.insert(account, next + Duration::from_secs(1) / rate.max(1));
        next
    }

    /// Turns a caller away where its account has as many calls as it may; says whether that is so.
    pub(crate) fn is_full(
        &mut self,
        account: AccountSid,
        call: CallSid,
        ctx: &mut Context<'_>,
    ) -> bool {
        if !self.has_calls(account, self.limits.calls) {
            return false;
        }
        self.calls_refused += 1;
        ctx.push(Effect::Reject { call, status: 503 });
        let now = ctx.now.instant;
        let told = self.told_full.get(&account);
        if told.is_none_or(|told| now >= *told + TOLD_EVERY) {
            self.told_full.insert(account, now);
            let message = Refusal::CallsAtOnce(self.limits.calls).to_string();
            let about = About { account, call: None, conference: None, url: None };
            ctx.notify(about, Level::Error, &Failure { code: 10004, message });
        }
        true
    }
}
