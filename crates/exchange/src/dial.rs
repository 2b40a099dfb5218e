//! What `<Dial><Conference>` does with a call, and what follows it.
//!
//! Source: TwiML `<Dial>`, `action`, `hangupOnStar`, `timeLimit`.

use model::{CallSid, Level};
use twiml::Dial;

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
    /// Takes a key press: it is for a `<Gather>`, or `*` leaves a `<Dial hangupOnStar>`.
    pub(crate) fn digit(&mut self, sid: CallSid, digit: char, ctx: &mut Context<'_>) {
        let program = self.calls.get(&sid).and_then(|call| call.program.as_ref());
        if program.is_some_and(Program::takes_digits) {
            return self
                .run_call(sid, ctx, |program, client, ctx| program.digit(digit, client, ctx));
        }
        let hangs_up = self.calls.get(&sid).is_some_and(
            |call| matches!(&call.joined, Some((_, Origin::Dial(dial))) if dial.hangup_on_star),
        );
        if hangs_up && digit == '*' {
            self.leave(sid, LeaveReason::HungUp, ctx);
            self.after_conference(sid, ANSWERED, ctx);
        }
    }

    /// Joins the conference that a `<Dial>` names. Returns what follows at once where it cannot.
    pub(crate) fn join_by_dial(
        &mut self,
        sid: CallSid,
        dial: Box<Dial>,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        let Some(call) = self.calls.get_mut(&sid) else { return Outcome::Going };
        let base = call.program.as_ref().map_or("", Program::url).to_owned();
        let about = call.client().about(&base);
        for failure in misread(&dial.noun, &base) {
            ctx.notify(about.clone(), Level::Warning, &failure);
        }
        let options = JoinOptions::from_twiml(&dial.noun, &base);
        match self.join(sid, &dial, options, ctx) {
            Ok(()) => {
                if let Some(call) = self.calls.get_mut(&sid) {
                    call.leaves_at = dial.time_limit.map(|limit| ctx.now.instant + limit);
                    if let Some(program) = &mut call.program {
                        program.forget_redirects();
                    }
                }
                self.touch(sid);
                Outcome::Going
            }
            Err(failure) => {
                ctx.notify(about, Level::Error, &failure);
                self.next_after_dial(sid, &dial, FAILED, ctx)
            }
        }
    }

    /// Goes on with a call that has left its conference: the action, the next verb, or nothing.
    pub(crate) fn after_conference(&mut self, sid: CallSid, status: &str, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        match call.joined.take() {
            Some((_, Origin::Dial(dial))) => {
                let outcome = self.next_after_dial(sid, &dial, status, ctx);
                self.proceed(sid, outcome, ctx);
            }
            Some((_, Origin::Api)) => self.hang_up(sid, LeaveReason::HungUp, ctx),
            None => {}
        }
    }

    /// Asks the action of a `<Dial>` that is over, or runs the next verb.
    fn next_after_dial(
        &mut self,
        sid: CallSid,
        dial: &Dial,
        status: &str,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        let Some(call) = self.calls.get_mut(&sid) else { return Outcome::Going };
        call.leaves_at = None;
        let mut client = call.client();
        let Some(action) = &dial.action else {
            return match &mut call.program {
                Some(program) => program.advance(&client, ctx),
                None => Outcome::Ended,
            };
        };
        let base = call.program.as_ref().map_or("", Program::url);
        let Ok(url) = twiml::resolve(base, action) else {
            // TwiML that came with a request has no address that others could be relative to.
            let code = if base.is_empty() { 15004 } else { 11100 };
            let message = "the action of <Dial> is no absolute address".to_owned();
            return Outcome::Failed(Failure { code, message });
        };
        client.params.push(("DialCallStatus".to_owned(), status.to_owned()));
        let document = Document { url, method: dial.method.clone() };
        match Program::followed_by(call.program.as_ref(), document, &client, ctx) {
            Ok(program) => {
                call.program = Some(program);
                Outcome::Going
            }
            Err(failure) => Outcome::Failed(failure),
        }
    }
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
