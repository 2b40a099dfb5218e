//! One call: offered or dialled, answered, through its TwiML, to its end.
//!
//! Source: Twilio API 2010-04-01, Call resource; Twilio "TwiML for Programmable Voice".

use std::time::{Duration, Instant};

use model::{
    AnsweredBy, Call as Record, CallSid, CallStatus, Change, Direction, Level, RecordingSid,
    Timestamp,
};
use twiml::Dial;

use crate::bridge::Dialled;
use crate::callbacks::{self, CallProgress};
use crate::context::{Context, Owner};
use crate::dial::ANSWERED;
use crate::enqueue::Queued;
use crate::exchange::World;
use crate::limits::Dialout;
use crate::machine::Detecting;
use crate::participants::LeaveReason;
use crate::program::{BeforeAnswer, Client, Outcome, Program};

use crate::{
    Audience, CallChanges, Document, Effect, End, Failure, Fetched, Instructions, Offer,
    RecordingOptions, Refusal, Reply, Speech, StatusCallback,
};

/// How long a call may last. Source: Twilio, `timeLimit` of `<Dial>` and error 32015.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(4 * 3_600);
/// Longest call that can be asked for. Source: Twilio, `TimeLimit`.
pub(crate) const TIME_LIMIT_MAX: Duration = Duration::from_secs(24 * 3_600);
/// What a caller hears whose document could not be had.
const APPLICATION_ERROR: &str = "We are sorry. An application error has occurred. Goodbye.";

/// How a call came into its conference, which says what follows when it leaves.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// By `<Dial><Conference>`: its action, or the next verb, follows.
    Dial(Box<Dial>),
    /// By the API: nothing follows.
    Api,
}

/// A call that is not over.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) record: Record,
    pub(crate) instructions: Option<Instructions>,
    pub(crate) fallback: Option<Document>,
    pub(crate) status_callback: StatusCallback,
    pub(crate) sequence: u32,
    pub(crate) program: Option<Program>,
    pub(crate) joined: Option<(model::ConferenceSid, Origin)>,
    /// The `<Dial>` of phones that it runs.
    pub(crate) dialled: Option<Box<Dialled>>,
    /// Whose `<Dial>` has dialled it, or connects it.
    pub(crate) dialled_by: Option<CallSid>,
    /// The `<Enqueue>` that it waits in, or talks after.
    pub(crate) queued: Option<Box<Queued>>,
    /// What its phone answered in place of taking the call; known when it ends, never written.
    pub(crate) sip_status: Option<u16>,
    /// The Call-ID and the headers of its phone's final answer; never written.
    pub(crate) sip_answer: Option<(String, Vec<(String, String)>)>,
    pub(crate) send_digits: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    /// What is dialled when it is its turn.
    pub(crate) dialout: Option<Box<Dialout>>,
    /// When ringing has lasted too long.
    pub(crate) rings_until: Option<Instant>,
    /// Since when it waits for its turn at a trunk.
    pub(crate) waits_since: Option<Instant>,
    pub(crate) time_limit: Duration,
    /// When the call has lasted too long.
    pub(crate) ends_at: Option<Instant>,
    /// When its `<Dial>` has lasted too long.
    pub(crate) leaves_at: Option<Instant>,
    /// Whether it only waits for a last sentence to end.
    pub(crate) ending: bool,
    /// What records its `<Dial>`.
    pub(crate) dial_recording: Option<RecordingSid>,
    /// Whether the caller speaks, as far as that is known.
    pub(crate) speaking: bool,
    /// How it is to be recorded from its answer on.
    pub(crate) recording: Option<RecordingOptions>,
    /// How it is found out who has answered, until it is.
    pub(crate) machine: Option<Box<Detecting>>,
}

impl Call {
    pub(crate) fn new(record: Record, instructions: Option<Instructions>) -> Self {
        let fallback = match &instructions {
            Some(Instructions::Url { fallback, .. }) => fallback.clone(),
            Some(Instructions::Twiml(_) | Instructions::Join(_)) | None => None,
        };
        Self {
            record,
            instructions,
            fallback,
            status_callback: StatusCallback::default(),
            sequence: 0,
            program: None,
            joined: None,
            dialled: None,
            dialled_by: None,
            queued: None,
            sip_status: None,
            sip_answer: None,
            send_digits: None,
            headers: Vec::new(),
            dialout: None,
            rings_until: None,
            waits_since: None,
            time_limit: TIME_LIMIT,
            ends_at: None,
            leaves_at: None,
            ending: false,
            dial_recording: None,
            speaking: false,
            recording: None,
            machine: None,
        }
    }

    /// Its own deadlines; its participant's programs have theirs.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let program = self.program.as_ref().and_then(Program::deadline);
        let queued = self.queued.as_ref().and_then(|queued| queued.deadline());
        let machine = self.machine.as_ref().and_then(|machine| machine.deadline());
        let turn = self.dialout.as_ref().and_then(|dialout| dialout.at);
        [turn, self.ring_deadline(), self.ends_at, self.leaves_at, program, queued, machine]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.record.status == CallStatus::InProgress
    }

    /// What its phone said in SIP, as the fields of a `<Dial>`'s action. Source: TwiML `<Sip>`.
    pub(crate) fn sip_fields(&self) -> Vec<(String, String)> {
        let Some((call_id, headers)) = &self.sip_answer else { return Vec::new() };
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| (format!("DialSipHeader_{name}"), value.clone()));
        [("DialSipCallId".to_owned(), call_id.clone())].into_iter().chain(headers).collect()
    }

    pub(crate) fn client(&self) -> Client {
        Client {
            owner: Owner::Call(self.record.sid),
            account: self.record.account,
            call: Some(self.record.sid),
            conference: self.joined.as_ref().map(|(conference, _)| *conference),
            audience: Audience::Call(self.record.sid),
            params: callbacks::voice_params(&self.record, &self.headers),
        }
    }
}

/// What a call looks like before anything has happened to it.
pub(crate) fn record(
    sid: CallSid,
    account: model::AccountSid,
    direction: Direction,
    status: CallStatus,
    at: Timestamp,
) -> Record {
    Record {
        sid,
        account,
        parent: None,
        to: String::new(),
        from: String::new(),
        status,
        direction,
        date_created: at,
        date_updated: at,
        start_time: None,
        end_time: None,
        answered_at: None,
        caller_name: None,
        answered_by: None,
        queue_time_ms: 0,
    }
}

impl World {
    /// Takes a call that a phone makes to us.
    pub(crate) fn offered(&mut self, offer: Offer, ctx: &mut Context<'_>) {
        let call = offer.call;
        if self.is_full(offer.account, call, ctx) {
            return;
        }
        let mut record =
            record(call, offer.account, Direction::Inbound, CallStatus::Ringing, ctx.now.wall);
        record.from = offer.from;
        record.to = offer.to;
        record.caller_name = offer.caller_name;
        record.start_time = Some(ctx.now.wall);
        let mut entry = Call::new(record, Some(offer.instructions));
        entry.headers = offer.headers;
        entry.status_callback = offer.status_callback;
        self.calls.insert(call, Box::new(entry));
        self.touch(call);
        self.begin(call, ctx);
    }

    /// The phone that we dial rings.
    pub(crate) fn ringing(&mut self, sid: CallSid, early_media: bool, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        if call.record.status == CallStatus::Queued {
            call.record.status = CallStatus::Ringing;
            call.record.date_updated = ctx.now.wall;
            callbacks::call_progress(call, CallProgress::Ringing, ctx);
            self.touch(sid);
        }
        self.participant_ringing(sid, early_media, ctx);
        self.callee_rings(sid, early_media, ctx);
    }

    /// The phone that we dial answered.
    pub(crate) fn answered(&mut self, sid: CallSid, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        if call.is_up() {
            return;
        }
        Self::put_in_progress(call, ctx);
        self.touch(sid);
        self.record_call(sid, ctx);
        let waits = self.detect(sid, ctx);
        match self.calls.get(&sid) {
            _ if waits => {}
            Some(call) if call.joined.is_some() => self.participant_connected(sid, ctx),
            Some(call) if call.dialled_by.is_some() => self.callee_answered(sid, ctx),
            _ => self.begin(sid, ctx),
        }
    }

    fn put_in_progress(call: &mut Call, ctx: &mut Context<'_>) {
        call.record.status = CallStatus::InProgress;
        call.record.answered_at = Some(ctx.now.wall);
        call.record.start_time = Some(ctx.now.wall);
        call.record.date_updated = ctx.now.wall;
        call.rings_until = None;
        call.ends_at = Some(ctx.now.instant + call.time_limit);
        callbacks::call_progress(call, CallProgress::Answered, ctx);
        if let Some(digits) = call.send_digits.take() {
            let play = ctx.names.beep();
            ctx.push(Effect::Play {
                play,
                account: call.record.account,
                audience: Audience::Call(call.record.sid),
                sound: crate::Sound::Digits(digits),
                loops: 1,
                paused: false,
            });
        }
    }

    /// Sets a call on its first document.
    pub(crate) fn begin(&mut self, sid: CallSid, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        let Some(instructions) = call.instructions.take() else { return };
        let client = call.client();
        match instructions {
            Instructions::Url { document, .. } => {
                call.program = Some(Program::fetch(document, &client, ctx));
            }
            Instructions::Twiml(text) => match Program::text(&text, "", &client, ctx) {
                Ok(program) => {
                    call.program = Some(program);
                    self.answer_first(sid, ctx);
                    self.run_call(sid, ctx, |program, client, ctx| program.advance(client, ctx));
                }
                Err(failure) => self.document_failed(sid, &failure, ctx),
            },
            Instructions::Join(name) => {
                let outcome = self.run_dial(sid, Box::new(Dial::conference(name)), ctx);
                self.proceed(sid, outcome, ctx);
            }
        }
        self.touch(sid);
    }

    /// Answers an offered call unless its first verb comes before the answer: then it rings.
    pub(crate) fn answer_first(&mut self, sid: CallSid, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get(&sid) else { return };
        match call.program.as_ref().and_then(Program::before_answer) {
            None => self.answer(sid, ctx),
            Some(BeforeAnswer::Pause) if !call.is_up() => ctx.push(Effect::Ring(sid)),
            Some(BeforeAnswer::Pause | BeforeAnswer::Reject | BeforeAnswer::Dial) => {}
        }
    }

    /// Answers an offered call; nothing for one that is up.
    pub(crate) fn answer(&mut self, sid: CallSid, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        if call.record.direction == Direction::Inbound && call.record.status == CallStatus::Ringing
        {
            ctx.push(Effect::Answer(sid));
            Self::put_in_progress(call, ctx);
            self.touch(sid);
        }
    }

    /// Takes the answer to a request of a call's TwiML.
    pub(crate) fn call_fetched(
        &mut self,
        sid: CallSid,
        result: Result<Fetched, Failure>,
        ctx: &mut Context<'_>,
    ) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        let client = call.client();
        let Some(program) = &mut call.program else { return };
        if let Err(failure) = program.load(result, &client, ctx) {
            self.document_failed(sid, &failure, ctx);
            return;
        }
        self.answer_first(sid, ctx);
        self.run_call(sid, ctx, |program, client, ctx| program.advance(client, ctx));
    }

    /// Takes the end of a sound of a call's TwiML.
    pub(crate) fn call_play_ended(
        &mut self,
        sid: CallSid,
        result: Result<(), Failure>,
        ctx: &mut Context<'_>,
    ) {
        self.run_call(sid, ctx, |program, client, ctx| program.play_ended(result, client, ctx));
    }

    /// Lets a call's program take one step, and sees to what follows.
    pub(crate) fn run_call(
        &mut self,
        sid: CallSid,
        ctx: &mut Context<'_>,
        step: impl FnOnce(&mut Program, &Client, &mut Context<'_>) -> Outcome,
    ) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        let client = call.client();
        let Some(program) = &mut call.program else { return };
        let outcome = step(program, &client, ctx);
        self.proceed(sid, outcome, ctx);
    }

    /// Carries out what a call's program came to.
    pub(crate) fn proceed(&mut self, sid: CallSid, outcome: Outcome, ctx: &mut Context<'_>) {
        self.touch(sid);
        let mut outcome = outcome;
        // A `<Dial>` that fails goes on with the next verb, as often as there are verbs; and so does what
        // takes no time.
        loop {
            outcome = match outcome {
                Outcome::Dial(dial) => self.run_dial(sid, dial, ctx),
                Outcome::Enqueue(enqueue) => self.enqueue(sid, *enqueue, ctx),
                Outcome::Record(step) => self.run_record(sid, step, ctx),
                _ => break,
            };
        }
        let waits = |call: &Call| call.dialled_by.is_some() && !call.ending;
        match outcome {
            Outcome::Going
            | Outcome::Dial(_)
            | Outcome::Enqueue(_)
            | Outcome::Leave
            | Outcome::Record(_) => {}
            Outcome::Ended if self.calls.get(&sid).is_some_and(|call| waits(call)) => {
                self.bridge(sid, ctx)
            }
            Outcome::Ended | Outcome::HangUp => self.hang_up(sid, LeaveReason::HungUp, ctx),
            Outcome::Reject(status) => self.reject(sid, status, ctx),
            Outcome::Failed(failure) => self.document_failed(sid, &failure, ctx),
        }
    }

    /// Tries the fallback document, or says that there was an error and hangs up.
    pub(crate) fn document_failed(
        &mut self,
        sid: CallSid,
        failure: &Failure,
        ctx: &mut Context<'_>,
    ) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        let client = call.client();
        let url = call.program.as_ref().map_or("", Program::url).to_owned();
        ctx.notify(client.about(&url), Level::Error, failure);
        if let Some(fallback) = call.fallback.take() {
            let mut client = client;
            client.params.push(("ErrorCode".to_owned(), failure.code.to_string()));
            client.params.push(("ErrorUrl".to_owned(), url));
            call.program = Some(Program::fetch(fallback, &client, ctx));
            self.touch(sid);
            return;
        }
        if call.ending {
            self.hang_up(sid, LeaveReason::HungUp, ctx);
            return;
        }
        call.ending = true;
        self.answer(sid, ctx);
        let Some(call) = self.calls.get_mut(&sid) else { return };
        let client = call.client();
        let sentence = Speech::plain(APPLICATION_ERROR.to_owned());
        call.program = Some(Program::speech(sentence, &client, ctx));
        self.touch(sid);
    }

    /// `POST .../Calls/{Sid}.json`
    pub(crate) fn update_call(
        &mut self,
        account: model::AccountSid,
        sid: CallSid,
        changes: CallChanges,
        ctx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        let call = self
            .calls
            .get_mut(&sid)
            .filter(|call| call.record.account == account)
            .ok_or(Refusal::CallNotFound)?;
        if changes.redirect.is_some() && !call.is_up() {
            return Err(Refusal::CallNotInProgress);
        }
        if changes.end == Some(End::Canceled) && call.is_up() {
            return Err(Refusal::CallNotInProgress);
        }
        if let Some((url, method)) = changes.status_callback {
            // Each receiver sees numbers of its own, without gaps.
            if call.status_callback.url.as_ref() != Some(&url) {
                call.sequence = 0;
            }
            call.status_callback.url = Some(url);
            call.status_callback.method = method;
        }
        if let Some(limit) = changes.time_limit {
            let limit = limit.min(TIME_LIMIT_MAX);
            let before = std::mem::replace(&mut call.time_limit, limit);
            // It counts from the answer; what is over by now ends at once.
            call.ends_at = call.ends_at.map(|at| (at + limit).checked_sub(before).unwrap_or(at));
        }
        if changes.fallback.is_some() {
            call.fallback = changes.fallback;
        }
        call.record.date_updated = ctx.now.wall;
        let before = call.record.clone();
        self.touch(sid);
        if changes.end.is_some() {
            self.hang_up(sid, LeaveReason::CallUpdated, ctx);
        } else if let Some(instructions) = changes.redirect {
            self.redirect(sid, instructions, ctx);
        }
        let now = self.calls.get(&sid).map(|call| call.record.clone());
        // A call that is over is shown as it was written.
        let shown = now.or_else(|| ctx.last_written(sid)).unwrap_or(before);
        Ok(Reply::Call(Box::new(shown)))
    }

    /// Takes a call out of what it does and sets it on other instructions.
    pub(crate) fn redirect(
        &mut self,
        sid: CallSid,
        instructions: Instructions,
        ctx: &mut Context<'_>,
    ) {
        self.abandon_record(sid, ctx);
        self.end_dial_recording(sid, ctx);
        let mut base = String::new();
        let result = self.queue_result(sid, "redirected", "redirected-from-bridged");
        if let Some(call) = self.calls.get_mut(&sid) {
            if let Some(mut program) = call.program.take() {
                program.url().clone_into(&mut base);
                program.stop(ctx);
            }
            if let Instructions::Url { fallback: Some(fallback), .. } = &instructions {
                call.fallback = Some(fallback.clone());
            }
            call.instructions = Some(instructions);
            call.ending = false;
        }
        self.leave(sid, LeaveReason::CallUpdated, ctx);
        self.leave_bridge(sid, ctx);
        self.leave_queue(sid, result, &base, ctx);
        if let Some(call) = self.calls.get_mut(&sid) {
            call.joined = None;
        }
        self.begin(sid, ctx);
    }

    /// `DELETE .../Calls/{Sid}.json`, for a call that `api` has found in its account.
    pub(crate) fn delete_call(
        &mut self,
        sid: CallSid,
        ctx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        if self.calls.contains_key(&sid) {
            return Err(Refusal::CallNotFinished);
        }
        ctx.push(Effect::Write(Change::DeleteCall(sid)));
        Ok(Reply::Done)
    }

    /// Does what is due for one call.
    pub(crate) fn call_timeout(&mut self, sid: CallSid, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= ctx.now.instant);
        if due(call.dialout.as_ref().and_then(|dialout| dialout.at)) {
            if let Some(dialout) = call.dialout.take() {
                call.record.start_time = Some(ctx.now.wall);
                call.dial_out(*dialout, ctx);
            }
            self.touch(sid);
        } else if due(call.ring_deadline()) {
            ctx.push(Effect::HangUp(sid));
            self.end_call(sid, CallStatus::NoAnswer, LeaveReason::AddFailed, ctx);
        } else if due(call.ends_at) {
            let message = "the call reached its maximum duration".to_owned();
            let failure = Failure { code: 32015, message };
            ctx.notify(call.client().about(""), Level::Warning, &failure);
            self.hang_up(sid, LeaveReason::HungUp, ctx);
        } else if due(call.machine.as_ref().and_then(|machine| machine.deadline())) {
            self.answered_by(sid, AnsweredBy::Unknown, ctx);
        } else if due(call.leaves_at) {
            call.leaves_at = None;
            let takes = Self::is_taking(call);
            self.touch(sid);
            if takes {
                return self.nobody_came(sid, CallStatus::NoAnswer.as_str(), ctx);
            }
            self.hang_up_callees(sid, ctx);
            self.leave(sid, LeaveReason::HungUp, ctx);
            self.after_conference(sid, ANSWERED, ctx);
        } else if due(call.program.as_ref().and_then(Program::deadline)) {
            // A leading pause has delayed the answer for long enough.
            self.answer(sid, ctx);
            self.run_call(sid, ctx, |program, client, ctx| program.handle_timeout(client, ctx));
        } else {
            self.run_queued(sid, ctx, |program, client, ctx| program.handle_timeout(client, ctx));
        }
    }
}
