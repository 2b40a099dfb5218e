//! What `<Dial><Conference>` does with a call, and what follows it.
//!
//! Source: TwiML `<Dial>`, `action`, `hangupOnStar`, `timeLimit`.

use model::{CallSid, Level};
use twiml::Dial;

use crate::call::Origin;
use crate::context::Context;
use crate::exchange::World;
use crate::participants::LeaveReason;
use crate::program::Program;
use crate::*;

impl World {
    /// Takes a key press: `*` leaves a `<Dial hangupOnStar>`.
    pub(crate) fn digit(&mut self, sid: CallSid, digit: char, ctx: &mut Context<'_>) {
        let hangs_up = self.calls.get(&sid).is_some_and(
            |call| matches!(&call.joined, Some((_, Origin::Dial(dial))) if dial.hangup_on_star),
        );
        if hangs_up && digit == '*' {
            self.leave(sid, LeaveReason::HungUp, ctx);
            self.after_conference(sid, ctx);
        }
    }

    /// Joins the conference that a `<Dial>` names, or goes on where it cannot.
    pub(crate) fn join_by_dial(&mut self, sid: CallSid, dial: Box<Dial>, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        let base = call.program.as_ref().map_or("", Program::url).to_owned();
        let time_limit = dial.time_limit;
        let options = JoinOptions::from_twiml(&dial.noun, &base);
        match self.join(sid, &dial, options, ctx) {
            Ok(()) => {
                if let Some(call) = self.calls.get_mut(&sid) {
                    call.leaves_at = time_limit.map(|limit| ctx.now.instant + limit);
                }
                self.touch(sid);
            }
            Err(failure) => {
                if let Some(call) = self.calls.get_mut(&sid) {
                    ctx.notify(call.client().about(&base), Level::Error, &failure);
                    call.joined = None;
                }
                self.continue_after_dial(sid, &dial, "failed", ctx);
            }
        }
    }

    /// Goes on with a call that has left its conference: the action, the next verb, or nothing.
    pub(crate) fn after_conference(&mut self, sid: CallSid, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        match call.joined.take() {
            Some((_, Origin::Dial(dial))) => {
                self.continue_after_dial(sid, &dial, "answered", ctx);
            }
            Some((_, Origin::Api)) => self.hang_up(sid, ctx),
            None => {}
        }
    }

    pub(crate) fn continue_after_dial(
        &mut self,
        sid: CallSid,
        dial: &Dial,
        status: &str,
        ctx: &mut Context<'_>,
    ) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        call.leaves_at = None;
        let program = call.program.take();
        match (&dial.action, program) {
            (Some(action), program) => {
                let base = program.as_ref().map_or("", Program::url);
                let mut client = call.client();
                client.params.push(("DialCallStatus".to_owned(), status.to_owned()));
                match twiml::resolve(base, action) {
                    Ok(url) => {
                        let document = Document { url, method: dial.method.clone() };
                        call.program = Some(Program::fetch(document, &client, ctx));
                        self.touch(sid);
                    }
                    Err(_) => {
                        let message = "the action of <Dial> is no absolute address".to_owned();
                        self.document_failed(sid, &Failure { code: 11100, message }, ctx);
                    }
                }
            }
            (None, Some(program)) => self.advance_call(sid, program, ctx),
            (None, None) => self.hang_up(sid, ctx),
        }
    }
}
