//! Calls in queues: who waits, who is taken out, and by whom.
//!
//! Source: TwiML `<Enqueue>`, `<Leave>`, `<Queue>`.

use std::time::Instant;

use model::{CallSid, Change, Level, QueueMember, QueueSid, Timestamp};
use serde::{Deserialize, Serialize};
use twiml::{Dial, Enqueue, Noun};

use crate::bridge::Dialled;
use crate::call::Call;
use crate::context::{Context, Owner};
use crate::dial::{FAILED, Then, status};
use crate::exchange::World;
use crate::participants::{LeaveReason, default_music};
use crate::program::{Client, Outcome, Position, Program};
use crate::queues::check_name;
use crate::*;

/// The fields of a request.
type Params = Vec<(String, String)>;

/// A call in its `<Enqueue>`.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) queue: QueueSid,
    /// Its number among all who came so far.
    pub(crate) place: u64,
    pub(crate) enqueue: Enqueue,
    since: Timestamp,
    /// What it hears: the wait document, or that of the `<Queue>` that takes it out.
    pub(crate) program: Option<Program>,
    /// Who has taken it out.
    pub(crate) taker: Option<CallSid>,
    /// Whether it has talked with that one.
    pub(crate) bridged: bool,
    left: Option<Timestamp>,
}

/// A [`Queued`] as its row keeps it: the `<Enqueue>` is in the document.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct QueuedState {
    queue: String,
    place: u64,
    since_ms: i64,
    program: Option<Position>,
    taker: Option<String>,
    bridged: bool,
    left_ms: Option<i64>,
}

impl Queued {
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.program.as_ref().and_then(Program::deadline)
    }

    fn waited_s(&self, now: Timestamp) -> u64 {
        let until = self.left.unwrap_or(now);
        until.since(self.since).as_secs()
    }

    pub(crate) fn state(&self, now: model::Now) -> QueuedState {
        let Self { queue, place, enqueue: _, since, program, taker, bridged, left } = self;
        QueuedState {
            queue: queue.to_string(),
            place: *place,
            since_ms: since.0,
            program: program.as_ref().map(|program| program.position(now)),
            taker: taker.map(|sid| sid.to_string()),
            bridged: *bridged,
            left_ms: left.map(|at| at.0),
        }
    }

    pub(crate) fn restored(state: QueuedState, enqueue: Enqueue, now: model::Now) -> Option<Self> {
        Some(Self {
            queue: state.queue.parse().ok()?,
            place: state.place,
            enqueue,
            since: Timestamp(state.since_ms),
            program: state.program.map(|position| Program::restored(position, now)),
            taker: state.taker.and_then(|sid| sid.parse().ok()),
            bridged: state.bridged,
            left: state.left_ms.map(Timestamp),
        })
    }
}

impl World {
    /// Puts a call at the end of a queue, which is made where there is none of the name. Returns what
    /// follows at once where it cannot wait.
    pub(crate) fn enqueue(
        &mut self,
        sid: CallSid,
        enqueue: Enqueue,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        self.answer(sid, ctx);
        let Some(call) = self.calls.get(&sid) else { return Outcome::Going };
        if call.dialled_by.is_some() {
            let message = "a call that was dialled cannot wait before it is connected".to_owned();
            return Outcome::Failed(Failure { code: 13201, message });
        }
        let base = call.program.as_ref().map_or("", Program::url).to_owned();
        let (account, about) = (call.record.account, call.client().about(&base));
        let found = self.queue_names.get(&(account, enqueue.name.clone())).copied();
        if let Err((failure, result)) = self.check_enqueue(found, &enqueue, &base) {
            ctx.notify(about, Level::Error, &failure);
            return self.after_enqueue(sid, &enqueue, queue_params(found, result, 0), ctx);
        }
        let queue = match found {
            Some(queue) => queue,
            None => self.make_queue(account, &enqueue.name, QUEUE_SIZE, ctx),
        };
        let member = QueueMember { call: sid, queue, date_enqueued: ctx.now.wall };
        ctx.push(Effect::Write(Change::QueueMember(member)));
        self.queue_arrivals += 1;
        let entry = self.queues.get_mut(&queue).expect("found or made just now");
        entry.members.push(sid);
        if let Some(call) = self.calls.get_mut(&sid) {
            if let Some(program) = &mut call.program {
                program.forget_redirects();
            }
            call.queued = Some(Box::new(Queued {
                queue,
                place: self.queue_arrivals,
                enqueue,
                since: ctx.now.wall,
                program: None,
                taker: None,
                bridged: false,
                left: None,
            }));
        }
        self.touch(sid);
        if !self.match_up(queue, ctx) {
            self.wait_in_queue(sid, None, ctx);
        }
        Outcome::Going
    }

    fn check_enqueue(
        &self,
        found: Option<QueueSid>,
        enqueue: &Enqueue,
        base: &str,
    ) -> Result<(), (Failure, &'static str)> {
        let failed = |code, message: &str| (Failure { code, message: message.to_owned() }, "error");
        if enqueue.workflow_sid.is_some() {
            return Err(failed(14226, "there is no TaskRouter here: workflowSid is not supported"));
        }
        check_name(&enqueue.name).map_err(|failure| (failure, "error"))?;
        let wait = enqueue.wait_url.as_deref().filter(|url| !url.is_empty());
        if wait.is_some_and(|url| twiml::resolve(base, url).is_err()) {
            return Err(failed(14202, "waitUrl of <Enqueue> is no absolute address"));
        }
        let size = found.and_then(|sid| self.queues.get(&sid));
        let size = size.map_or((0, QUEUE_SIZE), |q| (q.members.len(), q.record.max_size));
        let max = size.1.min(enqueue.max_queue_size.unwrap_or(u32::MAX));
        if size.0 >= max as usize {
            let message = format!("{max} wait in the queue already");
            return Err((Failure { code: 14207, message }, "queue-full"));
        }
        if found.is_none() && self.queues.len() >= QUEUES_MAX {
            return Err(failed(14207, "there are too many queues"));
        }
        Ok(())
    }

    /// Begins the wait document, or begins it anew when it is over.
    fn wait_in_queue(&mut self, sid: CallSid, before: Option<Program>, ctx: &mut Context<'_>) {
        let Some(client) = self.queue_client(sid, ctx.now.wall) else { return };
        let Some(call) = self.calls.get_mut(&sid) else { return };
        let base = call.program.as_ref().map_or("", Program::url);
        let Some(queued) = &mut call.queued else { return };
        let method = queued.enqueue.wait_url_method.clone();
        let document = match queued.enqueue.wait_url.as_deref() {
            None => default_music(),
            Some("") => return,
            Some(url) => match twiml::resolve(base, url) {
                Ok(url) => Document { url, method },
                Err(_) => return,
            },
        };
        let about = client.about(&document.url);
        let program = match before {
            None => Ok(Program::fetch(document, &client, ctx)),
            before => Program::followed_by(before.as_ref(), document, &client, ctx),
        };
        let call = self.calls.get_mut(&sid).expect("just found");
        match (program, &mut call.queued) {
            (Ok(program), Some(queued)) => queued.program = Some(program),
            (Err(failure), _) => ctx.notify(about, Level::Error, &failure),
            (Ok(_), None) => {}
        }
        self.touch(sid);
    }

    /// For whom the document of a call in a queue runs, and what it is told.
    fn queue_client(&self, sid: CallSid, now: Timestamp) -> Option<Client> {
        let call = self.calls.get(&sid)?;
        let queued = call.queued.as_ref()?;
        let queue = self.queues.get(&queued.queue)?;
        let waited_s = |member: &CallSid| {
            let queued = self.calls.get(member).and_then(|call| call.queued.as_ref());
            queued.map_or(0, |queued| queued.waited_s(now))
        };
        let total: u64 = queue.members.iter().map(waited_s).sum();
        let size = queue.members.len();
        let position = queue.members.iter().position(|member| *member == sid);
        let mut client = call.client();
        client.owner = Owner::Queue(sid);
        let mut push = |name: &str, value: String| client.params.push((name.to_owned(), value));
        push("QueueSid", queued.queue.to_string());
        push("QueueTime", queued.waited_s(now).to_string());
        match queued.taker {
            Some(taker) => push("DequeingCallSid", taker.to_string()),
            None => {
                push("QueuePosition", position.map_or(0, |at| at + 1).to_string());
                push("AvgQueueTime", (total / size.max(1) as u64).to_string());
                push("CurrentQueueSize", size.to_string());
                push("MaxQueueSize", queue.record.max_size.to_string());
            }
        }
        Some(client)
    }

    /// Lets the document of a call in a queue take one step. Its end begins it anew, or connects the
    /// call with who has taken it out.
    pub(crate) fn run_queued(
        &mut self,
        sid: CallSid,
        ctx: &mut Context<'_>,
        step: impl FnOnce(&mut Program, &Client, &mut Context<'_>) -> Outcome,
    ) {
        let Some(client) = self.queue_client(sid, ctx.now.wall) else { return };
        let Some(queued) = self.calls.get_mut(&sid).and_then(|call| call.queued.as_mut()) else {
            return;
        };
        let Some(mut program) = queued.program.take() else { return };
        let taken = queued.taker.is_some();
        let outcome = step(&mut program, &client, ctx);
        self.touch(sid);
        match outcome {
            Outcome::Going => {
                let queued = self.calls.get_mut(&sid).and_then(|call| call.queued.as_mut());
                if let Some(queued) = queued {
                    queued.program = Some(program);
                }
            }
            Outcome::Failed(failure) => {
                ctx.notify(client.about(program.url()), Level::Error, &failure);
                if taken {
                    self.bridge(sid, ctx);
                } else {
                    self.left_queue(sid, "error", ctx);
                }
            }
            _ if taken => self.bridge(sid, ctx),
            Outcome::HangUp => self.hang_up(sid, LeaveReason::HungUp, ctx),
            Outcome::Leave => self.left_queue(sid, "leave", ctx),
            _ => {
                self.wait_in_queue(sid, Some(program), ctx);
            }
        }
    }

    /// Runs `<Dial><Queue>`: takes out who waits longest, or waits for somebody to come.
    pub(crate) fn dial_queue(
        &mut self,
        sid: CallSid,
        dial: Box<Dial>,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        self.answer(sid, ctx);
        let Noun::Queue(noun) = &dial.noun else { return Outcome::Going };
        let Some(call) = self.calls.get_mut(&sid) else { return Outcome::Going };
        let base = call.program.as_ref().map_or("", Program::url);
        let about = call.client().about(base);
        let name = (call.record.account, noun.name.clone());
        let found = self.queue_names.get(&name).copied();
        let length = noun.name.chars().count();
        let failure = match noun.url.as_deref() {
            _ if length == 0 => Some((14212, "the queue has no name")),
            _ if length > QUEUE_NAME_MAX => Some((14213, "the queue's name is too long")),
            Some(url) if twiml::resolve(base, url).is_err() => {
                Some((14211, "url of <Queue> is no absolute address"))
            }
            _ if found.is_none() => Some((12200, "there is no queue of this name")),
            _ => None,
        };
        if let Some((code, message)) = failure {
            let failure = Failure { code, message: message.to_owned() };
            ctx.notify(about, Level::Error, &failure);
            return self.next_after_dial(sid, &dial, status(FAILED), ctx);
        }
        let (Some(queue), Some(entry)) = (found, found.and_then(|sid| self.queues.get_mut(&sid)))
        else {
            return Outcome::Going;
        };
        entry.takers.push(sid);
        call.leaves_at = Some(ctx.now.instant + dial.timeout);
        call.dialled = Some(Box::new(Dialled::new(dial)));
        self.touch(sid);
        if !self.match_up(queue, ctx) {
            self.sound_tone(sid, ctx);
        }
        Outcome::Going
    }

    /// Takes the first who waits out for the first who asks for one; returns whether there were two.
    fn match_up(&mut self, sid: QueueSid, ctx: &mut Context<'_>) -> bool {
        let Some(queue) = self.queues.get_mut(&sid) else { return false };
        let (Some(&member), Some(&taker)) = (queue.members.first(), queue.takers.first()) else {
            return false;
        };
        queue.takers.remove(0);
        self.remove_member(member, ctx);
        let Some(call) = self.calls.get_mut(&taker) else { return false };
        call.leaves_at = None;
        let base = call.program.as_ref().map_or("", Program::url);
        let Some(dialled) = &mut call.dialled else { return false };
        dialled.answered = Some(member);
        let document = match &dialled.dial.noun {
            Noun::Queue(noun) => noun.url.as_deref().and_then(|url| {
                let url = twiml::resolve(base, url).ok()?;
                Some(Document { url, method: noun.method.clone() })
            }),
            Noun::Conference(_) | Noun::Callees(_) => None,
        };
        self.touch(taker);
        self.touch(member);
        let Some(call) = self.calls.get_mut(&member) else { return false };
        call.dialled_by = Some(taker);
        if let Some(queued) = &mut call.queued {
            queued.taker = Some(taker);
            if let Some(mut program) = queued.program.take() {
                program.stop(ctx);
            }
        }
        let Some(document) = document else {
            self.bridge(member, ctx);
            return true;
        };
        if let Some(client) = self.queue_client(member, ctx.now.wall) {
            let program = Program::fetch(document, &client, ctx);
            let queued = self.calls.get_mut(&member).and_then(|call| call.queued.as_mut());
            if let Some(queued) = queued {
                queued.program = Some(program);
            }
        }
        self.sound_tone(taker, ctx);
        true
    }

    /// Takes a call's name off the queue's list.
    fn remove_member(&mut self, sid: CallSid, ctx: &mut Context<'_>) {
        let Some(queued) = self.calls.get_mut(&sid).and_then(|call| call.queued.as_mut()) else {
            return;
        };
        if queued.left.is_none() {
            queued.left = Some(ctx.now.wall);
            ctx.push(Effect::Write(Change::DeleteQueueMember(sid)));
            if let Some(queue) = self.queues.get_mut(&queued.queue) {
                queue.members.retain(|member| *member != sid);
            }
        }
    }

    /// Takes a call out of its queue, or out of the bridge after it, and goes on with its TwiML.
    pub(crate) fn left_queue(&mut self, sid: CallSid, result: &str, ctx: &mut Context<'_>) {
        let Some((queued, params)) = self.end_queued(sid, result, ctx) else { return };
        let outcome = self.after_enqueue(sid, &queued.enqueue, params, ctx);
        self.proceed(sid, outcome, ctx);
    }

    /// The same for a call that goes on elsewhere, or not at all: its action is told.
    pub(crate) fn leave_queue(
        &mut self,
        sid: CallSid,
        result: &str,
        base: &str,
        ctx: &mut Context<'_>,
    ) {
        let Some((queued, params)) = self.end_queued(sid, result, ctx) else { return };
        let Some(call) = self.calls.get(&sid) else { return };
        let action = queued.enqueue.action.as_deref();
        if let Some(url) = action.and_then(|action| twiml::resolve(base, action).ok()) {
            let mut client = call.client();
            client.params.extend(params);
            Program::tell(Document { url, method: queued.enqueue.method }, &client, ctx);
        }
    }

    fn end_queued(
        &mut self,
        sid: CallSid,
        result: &str,
        ctx: &mut Context<'_>,
    ) -> Option<(Box<Queued>, Params)> {
        self.remove_member(sid, ctx);
        let mut queued = self.calls.get_mut(&sid)?.queued.take()?;
        if let Some(mut program) = queued.program.take() {
            program.stop(ctx);
        }
        let params = queue_params(Some(queued.queue), result, queued.waited_s(ctx.now.wall));
        self.touch(sid);
        Some((queued, params))
    }

    fn after_enqueue(
        &mut self,
        sid: CallSid,
        enqueue: &Enqueue,
        params: Params,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        let then =
            Then { verb: "Enqueue", action: enqueue.action.as_deref(), method: &enqueue.method };
        self.next_after(sid, then, params, ctx)
    }

    /// Says how a call leaves its queue: otherwise where it has talked with who took it out.
    pub(crate) fn queue_result(
        &self,
        sid: CallSid,
        waiting: &'static str,
        bridged: &'static str,
    ) -> &'static str {
        let queued = self.calls.get(&sid).and_then(|call| call.queued.as_ref());
        if queued.is_some_and(|queued| queued.bridged) { bridged } else { waiting }
    }

    /// A call no longer waits for somebody to come to a queue.
    pub(crate) fn stop_taking(&mut self, sid: CallSid) {
        for queue in self.queues.values_mut() {
            queue.takers.retain(|taker| *taker != sid);
        }
    }

    /// Goes on with a call that waited for somebody to come to a queue.
    pub(crate) fn nobody_came(&mut self, sid: CallSid, came_to: &str, ctx: &mut Context<'_>) {
        self.stop_taking(sid);
        let Some(call) = self.calls.get_mut(&sid) else { return };
        let Some(mut dialled) = call.dialled.take() else { return };
        Self::stop_tone(&mut dialled, ctx);
        let outcome = self.next_after_dial(sid, &dialled.dial, status(came_to), ctx);
        self.proceed(sid, outcome, ctx);
    }

    /// Whether a call's `<Dial>` waits for somebody to come to a queue.
    pub(crate) fn is_taking(call: &Call) -> bool {
        call.dialled.as_ref().is_some_and(|dialled| {
            dialled.answered.is_none() && matches!(dialled.dial.noun, Noun::Queue(_))
        })
    }
}

fn queue_params(queue: Option<QueueSid>, result: &str, waited_s: u64) -> Params {
    let mut params = vec![("QueueResult".to_owned(), result.to_owned())];
    params.extend(queue.map(|sid| ("QueueSid".to_owned(), sid.to_string())));
    params.push(("QueueTime".to_owned(), waited_s.to_string()));
    params
}
