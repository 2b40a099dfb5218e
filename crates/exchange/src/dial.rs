//! What `<Dial>` does with a call: `<Conference>` here, and what follows it, whatever it dialled.
//!
//! Source: TwiML `<Dial>`, `action`, `hangupOnStar`, `timeLimit`.

use model::{CallSid, Level};
use twiml::{Dial, Noun};

use crate::call::Origin;
use crate::context::Context;
use crate::exchange::World;
use crate::participants::LeaveReason;
use crate::program::{Outcome, Program};
use crate::*;

/// `DialCallStatus` of who took part, however it ended. Source: TwiML `<Dial>`, `action`.
pub(crate) const ANSWERED: &str = "answered";
/// `DialCallStatus` of who could not take part.
pub(crate) const FAILED: &str = "failed";

impl World {
    /// Takes a key press: it is for a `<Gather>`, `*` leaves a `<Dial hangupOnStar>`, and the other end
    /// of a bridge hears it.
    pub(crate) fn digit(&mut self, sid: CallSid, digit: char, ctx: &mut Context<'_>) {
        let program = self.calls.get(&sid).and_then(|call| call.program.as_ref());
        if program.is_some_and(Program::takes_digits) {
            return self
                .run_call(sid, ctx, |program, client, ctx| program.digit(digit, client, ctx));
        }
        let queued = self.calls.get(&sid).and_then(|call| call.queued.as_ref());
        if queued.and_then(|queued| queued.program.as_ref()).is_some_and(Program::takes_digits) {
            return self
                .run_queued(sid, ctx, |program, client, ctx| program.digit(digit, client, ctx));
        }
        let dialled = self.calls.get(&sid).and_then(|call| call.dialled.as_ref());
        if digit == '*' && dialled.is_some_and(|dialled| dialled.dial.hangup_on_star) {
            return self.hang_up_callees(sid, ctx);
        }
        if let Some(other) = self.bridged_with(sid) {
            return self.pass_on(other, digit, ctx);
        }
        let hangs_up = self.calls.get(&sid).is_some_and(
            |call| matches!(&call.joined, Some((_, Origin::Dial(dial))) if dial.hangup_on_star),
        );
        if hangs_up && digit == '*' {
            self.leave(sid, LeaveReason::HungUp, ctx);
            self.after_conference(sid, ANSWERED, ctx);
        }
    }

    /// Runs a `<Dial>`. Returns what follows at once where it cannot.
    pub(crate) fn run_dial(
        &mut self,
        sid: CallSid,
        dial: Box<Dial>,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        if self.calls.get(&sid).is_some_and(|call| call.dialled_by.is_some()) {
            let message = "a call that was dialled cannot dial before it is connected".to_owned();
            return Outcome::Failed(Failure { code: 13201, message });
        }
        match dial.noun.clone() {
            Noun::Conference(noun) => {
                self.answer(sid, ctx);
                self.join_by_dial(sid, dial, &noun, ctx)
            }
            Noun::Callees(_) => self.dial_callees(sid, dial, ctx),
            Noun::Queue(_) => self.dial_queue(sid, dial, ctx),
        }
    }

    /// Joins the conference that a `<Dial>` names. Returns what follows at once where it cannot.
    fn join_by_dial(
        &mut self,
        sid: CallSid,
        dial: Box<Dial>,
        noun: &twiml::Conference,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        let Some(call) = self.calls.get_mut(&sid) else { return Outcome::Going };
        let base = call.program.as_ref().map_or("", Program::url).to_owned();
        let about = call.client().about(&base);
        for failure in misread(noun, &base) {
            ctx.notify(about.clone(), Level::Warning, &failure);
        }
        let options = JoinOptions::from_twiml(noun, &base);
        match self.join(sid, (&dial, noun), options, ctx) {
            Ok(()) => {
                if let Some(call) = self.calls.get_mut(&sid) {
                    call.leaves_at = dial.time_limit.map(|limit| ctx.now.instant + limit);
                    if let Some(program) = &mut call.program {
                        program.forget_redirects();
                    }
                }
                self.record_dial(sid, &dial, false, ctx);
                self.touch(sid);
                Outcome::Going
            }
            Err(failure) => {
                ctx.notify(about, Level::Error, &failure);
                self.next_after_dial(sid, &dial, status(FAILED), ctx)
            }
        }
    }

    /// Goes on with a call that has left its conference: the action, the next verb, or nothing.
    pub(crate) fn after_conference(&mut self, sid: CallSid, came_to: &str, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        match call.joined.take() {
            Some((_, Origin::Dial(dial))) => {
                let outcome = self.next_after_dial(sid, &dial, status(came_to), ctx);
                self.proceed(sid, outcome, ctx);
            }
            Some((_, Origin::Api)) => self.hang_up(sid, LeaveReason::HungUp, ctx),
            None => {}
        }
    }

    /// Asks the action of a `<Dial>` that is over, or runs the next verb.
    pub(crate) fn next_after_dial(
        &mut self,
        sid: CallSid,
        dial: &Dial,
        params: Vec<(String, String)>,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        let then =
            Then { verb: "Dial", action: dial.action.as_deref(), method: dial.method.as_str() };
        self.next_after(sid, then, params, ctx)
    }

    /// Asks the action of a verb that is over, or runs the next one.
    pub(crate) fn next_after(
        &mut self,
        sid: CallSid,
        then: Then<'_>,
        params: Vec<(String, String)>,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        if then.action.is_none() {
            // A caller who was to be answered by a phone hears what follows.
            self.answer_first(sid, ctx);
        }
        let recorded = self.end_dial_recording(sid, ctx);
        let Some(call) = self.calls.get_mut(&sid) else { return Outcome::Going };
        call.leaves_at = None;
        let mut client = call.client();
        let Some(action) = then.action else {
            return match &mut call.program {
                Some(program) => program.advance(&client, ctx),
                None => Outcome::Ended,
            };
        };
        let base = call.program.as_ref().map_or("", Program::url);
        let Ok(url) = twiml::resolve(base, action) else {
            // TwiML that came with a request has no address that others could be relative to.
            let code = if base.is_empty() { 15004 } else { 11100 };
            let message = format!("the action of <{}> is no absolute address", then.verb);
            return Outcome::Failed(Failure { code, message });
        };
        client.params.extend(params.into_iter().chain(recorded));
        let document = Document { url, method: then.method.to_owned() };
        match Program::followed_by(call.program.as_ref(), document, &client, ctx) {
            Ok(program) => {
                call.program = Some(program);
                Outcome::Going
            }
            Err(failure) => Outcome::Failed(failure),
        }
    }
}

/// What a verb says of what follows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Then<'a> {
    pub(crate) verb: &'static str,
    pub(crate) action: Option<&'a str>,
    pub(crate) method: &'a str,
}

pub(crate) fn status(came_to: &str) -> Vec<(String, String)> {
    vec![("DialCallStatus".to_owned(), came_to.to_owned())]
}

/// What a `<Conference>` says that cannot be meant, and is taken for its default.
fn misread(noun: &twiml::Conference, base: &str) -> Vec<Failure> {
    let wrong = |url: &&str| !url.is_empty() && twiml::resolve(base, url).is_err();
    let failure = |code, name: &str| Failure {
        code,
        message: format!("{name} of <Conference> is no absolute address"),
    };
    let wait = noun.wait_url.as_deref().filter(wrong).map(|_| failure(13233, "waitUrl"));
    let callback = noun.status_callback.as_deref().filter(wrong);
    let recording =
        noun.recording.as_ref().and_then(|recording| recording.status_callback.as_deref());
    let recording = recording.filter(wrong).map(|_| failure(13256, "recordingStatusCallback"));
    let recording = recording.into_iter();
    wait.into_iter()
        .chain(recording)
        .chain(callback.map(|_| failure(11100, "statusCallback")))
        .collect()
}
