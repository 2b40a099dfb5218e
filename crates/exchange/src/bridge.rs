//! `<Dial>` of phones: they ring, the first that answers is connected with the caller, and what follows
//! when that is over.
//!
//! Source: TwiML `<Dial>`, `<Number>`, `<Sip>`, `<Client>`.

use model::{CallSid, CallStatus, Level, Timestamp};
use serde::{Deserialize, Serialize};
use twiml::{Callee, CalleeKind, Dial, Noun};

use crate::call::{Call, Origin};
use crate::callers::caller_id;
use crate::context::Context;
use crate::exchange::World;
use crate::outside::Caller;
use crate::participants::LeaveReason;
use crate::program::{Client, Outcome, Program};
use crate::*;

/// The ringing that a caller hears where no country is named. Source: Twilio, `ringTone`.
const RING_TONE: &str = "us";

/// A `<Dial>` of phones that a call has under way.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) dial: Box<Dial>,
    /// The phone that is to ring next.
    next: usize,
    ringing: Vec<CallSid>,
    pub(crate) answered: Option<CallSid>,
    /// Since when the two hear each other.
    bridged_at: Option<Timestamp>,
    /// Who is heard before it has answered.
    early: Option<CallSid>,
    /// The ringing that the caller hears.
    tone: Option<PlayId>,
    over: Option<Over>,
}

/// What became of a phone that was dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Over {
    call: CallSid,
    status: CallStatus,
    seconds: u64,
    bridged: bool,
    /// What its phone answered, of one that has a SIP address.
    sip_status: Option<u16>,
    /// The Call-ID and the headers of that answer, as fields; known until a restart.
    sip: Vec<(String, String)>,
}

/// A [`Dialled`] as its row keeps it: the `<Dial>` is in the document.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DialledState {
    next: usize,
    ringing: Vec<String>,
    answered: Option<String>,
    bridged_ms: Option<i64>,
    early: Option<String>,
    over: Option<(String, String, u64, bool, Option<u16>)>,
}

impl Dialled {
    pub(crate) fn new(dial: Box<Dial>) -> Self {
        Self {
            dial,
            next: 0,
            ringing: Vec::new(),
            answered: None,
            bridged_at: None,
            early: None,
            tone: None,
            over: None,
        }
    }

    /// For how many seconds the two have heard each other.
    fn bridged_s(&self, ctx: &Context<'_>) -> Option<u64> {
        let since = ctx.now.wall.since(self.bridged_at?);
        u64::try_from(since.as_millis().div_ceil(1_000)).ok()
    }

    /// All phones that ring or have answered.
    fn legs(&self) -> Vec<CallSid> {
        self.ringing.iter().copied().chain(self.answered).collect()
    }

    pub(crate) fn state(&self) -> DialledState {
        let over = self.over.as_ref();
        DialledState {
            next: self.next,
            ringing: self.ringing.iter().map(ToString::to_string).collect(),
            answered: self.answered.map(|sid| sid.to_string()),
            bridged_ms: self.bridged_at.map(|at| at.0),
            early: self.early.map(|sid| sid.to_string()),
            over: over.map(|over| {
                let Over { call, status, seconds, bridged, sip_status, sip: _ } = over;
                (call.to_string(), status.to_string(), *seconds, *bridged, *sip_status)
            }),
        }
    }

    pub(crate) fn restored(state: DialledState, dial: Dial) -> Self {
        let sid = |text: String| text.parse().ok();
        Self {
            dial: Box::new(dial),
            next: state.next,
            ringing: state.ringing.into_iter().filter_map(sid).collect(),
            answered: state.answered.and_then(sid),
            bridged_at: state.bridged_ms.map(Timestamp),
            early: state.early.and_then(sid),
            tone: None,
            over: state.over.and_then(|(call, status, seconds, bridged, sip_status)| {
                let (call, status) = (call.parse().ok()?, status.parse().ok()?);
                Some(Over { call, status, seconds, bridged, sip_status, sip: Vec::new() })
            }),
        }
    }

    /// The fields that tell the action what came of it.
    fn params(&self) -> Vec<(String, String)> {
        let Some(over) = &self.over else {
            return vec![("DialCallStatus".to_owned(), dial::FAILED.to_owned())];
        };
        let mut params = vec![
            ("DialCallStatus".to_owned(), over.status.to_string()),
            ("DialCallSid".to_owned(), over.call.to_string()),
            ("DialCallDuration".to_owned(), over.seconds.to_string()),
            ("DialBridged".to_owned(), over.bridged.to_string()),
        ];
        let status = over.sip_status.map(|status| status.to_string());
        params.extend(status.map(|status| ("DialSipResponseCode".to_owned(), status)));
        params.extend(over.sip.iter().cloned());
        params
    }
}

impl World {
    /// Rings the phones of a `<Dial>`. Returns what follows at once where none can ring.
    pub(crate) fn dial_callees(
        &mut self,
        sid: CallSid,
        dial: Box<Dial>,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        if !dial.answer_on_bridge {
            self.answer(sid, ctx);
        }
        let Some(call) = self.calls.get_mut(&sid) else { return Outcome::Going };
        let rings = !call.is_up();
        call.dialled = Some(Box::new(Dialled::new(dial)));
        if !self.ring_next(sid, ctx) {
            return self.after_dialled(sid, ctx);
        }
        if rings {
            ctx.push(Effect::Ring(sid));
        }
        self.record_dialled(sid, true, ctx);
        self.sound_tone(sid, ctx);
        self.touch(sid);
        Outcome::Going
    }

    /// Rings the next phone, or all where they ring together. Returns whether any does.
    fn ring_next(&mut self, sid: CallSid, ctx: &mut Context<'_>) -> bool {
        loop {
            let Some(call) = self.calls.get_mut(&sid) else { return false };
            let about = call.client().about(call.program.as_ref().map_or("", Program::url));
            let Some(dialled) = &mut call.dialled else { return false };
            let Noun::Callees(callees) = &dialled.dial.noun else { return false };
            let Some(callee) = callees.get(dialled.next).cloned() else {
                return !dialled.ringing.is_empty();
            };
            dialled.next += 1;
            let sequential = dialled.dial.sequential;
            match self.ring(sid, &callee, ctx) {
                Ok(child) => {
                    let dialled = self.calls.get_mut(&sid).and_then(|call| call.dialled.as_mut());
                    dialled.into_iter().for_each(|dialled| dialled.ringing.push(child));
                    if sequential {
                        return true;
                    }
                }
                Err(failure) => ctx.notify(about, Level::Warning, &failure),
            }
        }
    }

    fn ring(
        &mut self,
        parent: CallSid,
        callee: &Callee,
        ctx: &mut Context<'_>,
    ) -> Result<CallSid, Failure> {
        self.check_calls(self.calls[&parent].record.account, ctx.now.instant)
            .map_err(|refusal| Failure { code: 10004, message: refusal.to_string() })?;
        let call = &self.calls[&parent];
        let dialled = call.dialled.as_ref().expect("only a `<Dial>` rings phones");
        let base = call.program.as_ref().map_or("", Program::url);
        let from = caller_id(call, &dialled.dial, callee.kind)?;
        let caller = Caller {
            account: call.record.account,
            from: &from,
            insists: dialled.dial.caller_id.is_some(),
            instead: &call.record.to,
        };
        let caller_id = self.check_reachable(&callee.address, caller).map_err(|refusal| {
            let shaped = callee.address.bytes().all(|o| o == b'+' || o.is_ascii_digit());
            let code = match refusal {
                Refusal::DestinationNotAllowed(_) => 13227,
                Refusal::CallerIdNotAllowed(_) => 13214,
                _ if !shaped && callee.kind == CalleeKind::Number => 13223,
                _ => 13224,
            };
            Failure { code, message: refusal.to_string() }
        })?;
        let absolute = |url: &String| twiml::resolve(base, url).ok();
        let dialling = Dialling {
            to: callee.address.clone(),
            parameters: callee.parameters.clone(),
            from,
            caller_id,
            timeout: Some(dialled.dial.timeout),
            sip_auth: callee.credentials.clone(),
            status_callback: StatusCallback {
                url: callee.status_callback.as_ref().and_then(absolute),
                method: callee.status_callback_method.clone(),
                events: callee.status_callback_events.clone(),
            },
            machine: callee.machine.map(|limits| MachineDetection {
                limits,
                is_async: true,
                callback: callee
                    .amd_callback
                    .as_ref()
                    .and_then(absolute)
                    .map(|url| Document { url, method: callee.amd_callback_method.clone() }),
            }),
            ..Dialling::default()
        };
        let instructions = before_bridge(callee, base)?;
        let account = call.record.account;
        let child = self.dial(account, &dialling, instructions, None, Some(parent), ctx);
        let entry = self.calls.get_mut(&child).expect("it was just made");
        entry.dialled_by = Some(parent);
        Ok(child)
    }

    /// Lets a caller hear that it rings, once.
    pub(crate) fn sound_tone(&mut self, sid: CallSid, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get_mut(&sid).filter(|call| call.is_up()) else { return };
        let account = call.record.account;
        let Some(dialled) = call.dialled.as_mut().filter(|dialled| dialled.tone.is_none()) else {
            return;
        };
        let country = dialled.dial.ring_tone.as_deref().unwrap_or(RING_TONE).to_owned();
        let play = ctx.names.beep();
        dialled.tone = Some(play);
        ctx.push(Effect::Play {
            play,
            account,
            audience: Audience::Call(sid),
            sound: Sound::RingTone(country),
            loops: 0,
            paused: false,
        });
    }

    pub(crate) fn stop_tone(dialled: &mut Dialled, ctx: &mut Context<'_>) {
        if let Some(play) = dialled.tone.take() {
            ctx.push(Effect::Stop(play));
        }
    }

    /// A dialled phone rings; what it sends is heard where it is the only one.
    pub(crate) fn callee_rings(
        &mut self,
        child: CallSid,
        early_media: bool,
        ctx: &mut Context<'_>,
    ) {
        let Some(parent) = self.calls.get(&child).and_then(|call| call.dialled_by) else { return };
        let Some(call) = self.calls.get_mut(&parent).filter(|call| call.is_up()) else { return };
        let Some(dialled) = &mut call.dialled else { return };
        if !early_media || dialled.early.is_some() || dialled.ringing != [child] {
            return;
        }
        dialled.early = Some(child);
        Self::stop_tone(dialled, ctx);
        connect(parent, child, Speaks::Everyone, false, ctx);
        connect(parent, parent, Speaks::Nobody, true, ctx);
        self.touch(parent);
    }

    /// A dialled phone answered: the others need not, and it hears its document before anyone.
    pub(crate) fn callee_answered(&mut self, child: CallSid, ctx: &mut Context<'_>) {
        let parent = self.calls.get(&child).and_then(|call| call.dialled_by);
        let dialled = parent.and_then(|parent| self.calls.get_mut(&parent)?.dialled.as_mut());
        let (Some(parent), Some(dialled)) = (parent, dialled) else {
            return self.hang_up(child, LeaveReason::HungUp, ctx);
        };
        let others = std::mem::take(&mut dialled.ringing);
        dialled.answered = Some(child);
        for other in others.into_iter().filter(|other| *other != child) {
            self.hang_up(other, LeaveReason::HungUp, ctx);
        }
        if self.calls.get(&child).is_none_or(|call| call.instructions.is_none()) {
            return self.bridge(child, ctx);
        }
        let dialled = self.calls.get_mut(&parent).and_then(|call| call.dialled.as_mut());
        if dialled.and_then(|dialled| dialled.early.take()).is_some() {
            Self::unroute(child, ctx);
            Self::unroute(parent, ctx);
            self.sound_tone(parent, ctx);
        }
        self.touch(parent);
        self.begin(child, ctx);
    }

    /// Connects a phone that has answered with the call that dialled it.
    pub(crate) fn bridge(&mut self, child: CallSid, ctx: &mut Context<'_>) {
        let parent = self.calls.get(&child).and_then(|call| call.dialled_by);
        let Some(parent) = parent.filter(|parent| self.calls.contains_key(parent)) else {
            return self.hang_up(child, LeaveReason::HungUp, ctx);
        };
        self.answer(parent, ctx);
        let Some(call) = self.calls.get_mut(&parent) else { return };
        let Some(dialled) = &mut call.dialled else { return };
        dialled.bridged_at = Some(ctx.now.wall);
        dialled.early = None;
        Self::stop_tone(dialled, ctx);
        call.leaves_at = dialled.dial.time_limit.map(|limit| ctx.now.instant + limit);
        if let Some(program) = &mut call.program {
            program.forget_redirects();
        }
        if let Some(call) = self.calls.get_mut(&child) {
            match &mut call.queued {
                // Its own document goes on when the two have parted.
                Some(queued) => {
                    queued.program = None;
                    queued.bridged = true;
                }
                None => call.program = None,
            }
        }
        connect(parent, parent, Speaks::Everyone, true, ctx);
        connect(parent, child, Speaks::Everyone, true, ctx);
        self.record_dialled(parent, false, ctx);
        self.touch(parent);
        self.touch(child);
    }

    fn record_dialled(&mut self, sid: CallSid, rings: bool, ctx: &mut Context<'_>) {
        let dialled = self.calls.get(&sid).and_then(|call| call.dialled.as_ref());
        if let Some(dial) = dialled.map(|dialled| dialled.dial.clone()) {
            self.record_dial(sid, &dial, rings, ctx);
        }
    }

    /// Whom a call hears by a `<Dial>`, its own or another's.
    pub(crate) fn bridged_with(&self, sid: CallSid) -> Option<CallSid> {
        let call = self.calls.get(&sid)?;
        let bridged = |call: &Call| {
            let dialled = call.dialled.as_ref().filter(|dialled| dialled.bridged_at.is_some())?;
            dialled.answered
        };
        bridged(call).or_else(|| {
            let parent = call.dialled_by?;
            (bridged(self.calls.get(&parent)?) == Some(sid)).then_some(parent)
        })
    }

    /// Presses a key towards the other end of a bridge.
    pub(crate) fn pass_on(&self, other: CallSid, digit: char, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get(&other) else { return };
        let play = ctx.names.beep();
        ctx.push(Effect::Play {
            play,
            account: call.record.account,
            audience: Audience::Call(other),
            sound: Sound::Digits(digit.to_string()),
            loops: 1,
            paused: false,
        });
    }

    /// Hangs up on all phones that a call has dialled; its `<Dial>` is over then.
    pub(crate) fn hang_up_callees(&mut self, sid: CallSid, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        let Some(dialled) = &mut call.dialled else { return };
        dialled.next = usize::MAX;
        for child in dialled.legs() {
            self.let_go(child, ctx);
        }
    }

    /// Hangs up on a phone that was dialled; a call that waited in a queue goes on by itself.
    fn let_go(&mut self, child: CallSid, ctx: &mut Context<'_>) {
        if self.calls.get(&child).is_some_and(|call| call.queued.is_some()) {
            let result = self.queue_result(child, "bridging-in-process", "bridged");
            self.leave_bridge(child, ctx);
            self.left_queue(child, result, ctx);
        } else {
            self.hang_up(child, LeaveReason::HungUp, ctx);
        }
    }

    /// Takes a call out of the `<Dial>` that it runs, and out of the one that dialled it: what it does
    /// next is the caller's business.
    pub(crate) fn leave_bridge(&mut self, sid: CallSid, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        let takes = Self::is_taking(call);
        let dialled = call.dialled.take();
        call.leaves_at = call.leaves_at.filter(|_| dialled.is_none());
        let over = Over::of(call, true);
        let parent = call.dialled_by.take();
        if let Some(mut dialled) = dialled {
            Self::stop_tone(&mut dialled, ctx);
            if dialled.bridged_at.is_some() || dialled.early.is_some() {
                Self::unroute(sid, ctx);
            }
            for child in dialled.legs() {
                self.let_go(child, ctx);
            }
        }
        if takes {
            self.stop_taking(sid);
        }
        if let Some(parent) = parent {
            Self::unroute(sid, ctx);
            self.callee_over(parent, over, ctx);
        }
    }

    /// Sees to those whom the end of a call concerns: who dialled it, and whom it dialled. `base` is
    /// what its document's addresses were relative to.
    pub(crate) fn after_end(&mut self, call: Call, base: &str, ctx: &mut Context<'_>) {
        if let Some(parent) = call.dialled_by {
            self.callee_over(parent, Over::of(&call, false), ctx);
        }
        let takes = Self::is_taking(&call);
        if takes {
            self.stop_taking(call.record.sid);
        }
        let client = call.client();
        let recorded = call.dial_recording.and_then(|sid| self.recording_field(sid, ctx));
        if let Some((_, Origin::Dial(dial))) = &call.joined {
            let params = dial::status(dial::ANSWERED).into_iter().chain(recorded).collect();
            return tell_action(dial, base, client, params, ctx);
        }
        let Some(mut dialled) = call.dialled else { return };
        for child in dialled.legs() {
            let bridged_s = dialled.bridged_s(ctx);
            self.let_go(child, ctx);
            let record = ctx.last_written(child).filter(|record| record.status.is_final());
            let status = record.as_ref().map_or(CallStatus::Completed, |record| record.status);
            let seconds = record.and_then(|record| record.duration_seconds());
            let seconds = seconds.or(bridged_s).unwrap_or(0);
            let bridged = bridged_s.is_some();
            let (sip_status, sip) = (None, Vec::new());
            dialled.over = Some(Over { call: child, status, seconds, bridged, sip_status, sip });
        }
        let canceled = || dial::status(CallStatus::Canceled.as_str());
        let params = if takes { canceled() } else { dialled.params() };
        tell_action(&dialled.dial, base, client, params.into_iter().chain(recorded).collect(), ctx);
    }

    /// A phone that was dialled is gone, or does something else.
    fn callee_over(&mut self, parent: CallSid, mut over: Over, ctx: &mut Context<'_>) {
        let child = over.call;
        let Some(call) = self.calls.get_mut(&parent) else { return };
        let Some(dialled) = &mut call.dialled else { return };
        let had_answered = dialled.answered == Some(child);
        if !had_answered && !dialled.ringing.contains(&child) {
            return; // Another has answered.
        }
        over.bridged = had_answered && dialled.bridged_at.is_some();
        let has_sip = match &dialled.dial.noun {
            Noun::Callees(callees) => callees.iter().any(|callee| callee.kind == CalleeKind::Sip),
            Noun::Conference(_) => false,
            Noun::Queue(_) => {
                // It was answered long before.
                over.seconds = dialled.bridged_s(ctx).unwrap_or(0);
                over.status = CallStatus::Completed;
                false
            }
        };
        over.sip_status = over.sip_status.filter(|_| has_sip);
        over.sip.retain(|_| has_sip);
        let is_done = over.bridged;
        dialled.over = Some(over);
        dialled.answered = None;
        dialled.bridged_at = None;
        dialled.ringing.retain(|ringing| *ringing != child);
        let was_heard = dialled.early.take_if(|early| *early == child).is_some();
        if was_heard || is_done {
            Self::unroute(parent, ctx);
        }
        self.touch(parent);
        let dialled = self.calls.get(&parent).and_then(|call| call.dialled.as_ref());
        let goes_on = dialled.is_some_and(|dialled| !dialled.ringing.is_empty());
        if !is_done && (goes_on || self.ring_next(parent, ctx)) {
            return self.sound_tone(parent, ctx);
        }
        let outcome = self.after_dialled(parent, ctx);
        self.proceed(parent, outcome, ctx);
    }

    /// Goes on with a call whose phones are gone.
    fn after_dialled(&mut self, sid: CallSid, ctx: &mut Context<'_>) -> Outcome {
        let Some(call) = self.calls.get_mut(&sid) else { return Outcome::Going };
        let Some(mut dialled) = call.dialled.take() else { return Outcome::Going };
        Self::stop_tone(&mut dialled, ctx);
        self.touch(sid);
        self.next_after_dial(sid, &dialled.dial, dialled.params(), ctx)
    }
}

/// Tells the action of a `<Dial>` whose caller is gone what came of it, whatever it answers.
fn tell_action(
    dial: &Dial,
    base: &str,
    mut client: Client,
    params: Vec<(String, String)>,
    ctx: &mut Context<'_>,
) {
    let action = dial.action.as_deref();
    if let Some(url) = action.and_then(|action| twiml::resolve(base, action).ok()) {
        client.params.extend(params);
        Program::tell(Document { url, method: dial.method.clone() }, &client, ctx);
    }
}

impl Over {
    /// What became of a call, which may go on elsewhere.
    fn of(call: &Call, goes_on: bool) -> Self {
        let record = &call.record;
        let status = if goes_on { CallStatus::Completed } else { record.status };
        let seconds = record.duration_seconds().or_else(|| {
            let answered = record.answered_at?;
            let seconds = record.date_updated.since(answered).as_millis().div_ceil(1_000);
            u64::try_from(seconds).ok()
        });
        let answered = record.answered_at.map(|_| 200);
        Self {
            call: record.sid,
            status,
            seconds: seconds.unwrap_or(0),
            bridged: false,
            sip_status: call.sip_status.or(answered),
            sip: call.sip_fields(),
        }
    }
}

/// Wires a call into the room of a `<Dial>`.
fn connect(bridge: CallSid, call: CallSid, speaks: Speaks, hears: bool, ctx: &mut Context<'_>) {
    let route = Route::plain(Some(Room::Bridge(bridge)), speaks, Hears::all(hears));
    ctx.push(Effect::Route { call, route });
}

/// What a phone does between its answer and its connection: keys first, then its document.
fn before_bridge(callee: &Callee, base: &str) -> Result<Option<Instructions>, Failure> {
    let url = callee.url.as_ref().map(|url| twiml::resolve(base, url)).transpose();
    let url = url.map_err(|_| {
        let message = "url names no absolute address".to_owned();
        Failure { code: 11100, message }
    })?;
    let method = &callee.method;
    let Some(digits) = &callee.send_digits else {
        return Ok(url.map(|url| Instructions::Url {
            document: Document { url, method: method.clone() },
            fallback: None,
        }));
    };
    let then = url.map_or_else(String::new, |url| {
        let url = url.replace('&', "&amp;").replace('<', "&lt;");
        format!("<Redirect method=\"{method}\">{url}</Redirect>")
    });
    let text = format!("<Response><Play digits=\"{digits}\"/>{then}</Response>");
    Ok(Some(Instructions::Twiml(text)))
}
