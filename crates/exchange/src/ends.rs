//! How a call ends, and the status that says so.
//!
//! Source: Twilio API 2010-04-01, Call resource, `Status`.

use model::{CallSid, CallStatus, Change, Direction, Level};

use crate::callbacks::{self, CallProgress};
use crate::context::Context;
use crate::exchange::{Touched, World};
use crate::participants::LeaveReason;
use crate::program::Program;
use crate::{Effect, Failure, Gone, Hears, Recorded, Route, Speaks};

impl World {
    /// Ends a call from our side.
    pub(crate) fn hang_up(&mut self, sid: CallSid, reason: LeaveReason, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get(&sid) else { return };
        let status = if call.is_up() { CallStatus::Completed } else { CallStatus::Canceled };
        ctx.push(Effect::HangUp(sid));
        self.end_call(sid, status, reason, ctx);
    }

    /// Turns an offered call away: busy, or as one that nobody answers.
    pub(crate) fn reject(&mut self, sid: CallSid, status: u16, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get(&sid) else { return };
        if call.is_up() {
            // Too late to turn it away: the verbs before this one answered it.
            self.hang_up(sid, LeaveReason::HungUp, ctx);
            return;
        }
        ctx.push(Effect::Reject { call: sid, status });
        let status = if status == 486 { CallStatus::Busy } else { CallStatus::NoAnswer };
        self.end_call(sid, status, LeaveReason::HungUp, ctx);
    }

    /// The phone that we dial will not answer.
    pub(crate) fn failed(&mut self, sid: CallSid, status: u16, ctx: &mut Context<'_>) {
        if let Some(call) = self.calls.get_mut(&sid) {
            call.sip_status = Some(status);
        }
        let status = match status {
            486 | 600 => CallStatus::Busy,
            408 | 480 | 487 | 603 => CallStatus::NoAnswer,
            _ => CallStatus::Failed,
        };
        self.end_call(sid, status, LeaveReason::AddFailed, ctx);
    }

    /// A phone is gone.
    pub(crate) fn gone(&mut self, sid: CallSid, why: Gone, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get(&sid) else { return };
        let inbound = call.record.direction == Direction::Inbound;
        let (status, reason) = match why {
            _ if call.is_up() => (CallStatus::Completed, LeaveReason::HungUp),
            Gone::HungUp if inbound => (CallStatus::Canceled, LeaveReason::HungUp),
            Gone::HungUp | Gone::Lost | Gone::NoAudio => {
                (CallStatus::Failed, LeaveReason::AddFailed)
            }
        };
        match why {
            Gone::HungUp | Gone::Lost => {}
            Gone::NoAudio => {
                let message = "the call was ended because no audio came".to_owned();
                let failure = Failure { code: 32014, message };
                ctx.notify(call.client().about(""), Level::Error, &failure);
                ctx.push(Effect::HangUp(sid));
            }
        }
        self.end_call(sid, status, reason, ctx);
    }

    /// Closes a call's record and all that hangs on it.
    pub(crate) fn end_call(
        &mut self,
        sid: CallSid,
        status: CallStatus,
        reason: LeaveReason,
        ctx: &mut Context<'_>,
    ) {
        self.ask_after_end(sid, status);
        let Some(call) = self.calls.get_mut(&sid) else { return };
        let base = call.program.as_ref().map_or("", Program::url).to_owned();
        if let Some(mut program) = call.program.take() {
            program.stop(ctx);
        }
        let recorded = self.recorded_of(sid, ctx);
        let Some(call) = self.calls.get_mut(&sid) else { return };
        let taken_back = status == CallStatus::Canceled && call.record.status == CallStatus::Queued;
        call.record.status = status;
        call.record.end_time = Some(ctx.now.wall);
        call.record.date_updated = ctx.now.wall;
        // Of a call that is cancelled while it is queued nothing is told.
        if !taken_back {
            callbacks::call_progress_with(call, CallProgress::Completed, recorded, ctx);
        }
        self.leave(sid, reason, ctx);
        self.stop_recordings(Recorded::Call(sid), ctx);
        let result = self.queue_result(sid, "hangup", "bridged");
        self.leave_queue(sid, result, &base, ctx);
        if let Some(call) = self.calls.remove(&sid) {
            self.forget_deadline(Touched::Call(sid));
            let record = Box::new(call.record.clone());
            ctx.push(Effect::Write(Change::Call { record, state: String::new() }));
            self.after_end(*call, &base, ctx);
        }
    }

    /// Wires a call back to nobody but itself.
    pub(crate) fn unroute(sid: CallSid, ctx: &mut Context<'_>) {
        let route = Route::plain(None, Speaks::Nobody, Hears::Nothing);
        ctx.push(Effect::Route { call: sid, route });
    }
}
