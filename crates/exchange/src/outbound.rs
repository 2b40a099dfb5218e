//! Calls that we make: for the API, and for the `<Dial>` of another call.
//!
//! Source: Twilio API 2010-04-01, Call resource, create.

use std::time::Duration;

use model::{CallSid, CallStatus, Direction};

use crate::call::{Call, TIME_LIMIT, TIME_LIMIT_MAX, record};
use crate::context::Context;
use crate::exchange::World;
use crate::limits::Dialout;
use crate::machine::Detecting;
use crate::{CreateCall, Dialling, Instructions, Refusal, Reply};

/// Most parameters that go along to a client or an application.
const PARAMETERS_MAX: usize = 50;
/// How long an outbound call rings where the caller does not say. Source: Twilio, `Timeout`.
const RING_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest ringing that can be asked for. Source: Twilio, `Timeout`.
const RING_TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// What Twilio adds to `Timeout`.
const RING_TIMEOUT_EXTRA: Duration = Duration::from_secs(5);

/// Parts the address of a client or an application from the parameters behind it.
fn with_parameters(to: &str) -> (&str, Vec<(String, String)>) {
    match to.split_once('?') {
        Some((address, query)) if to.starts_with("client:") || to.starts_with("app:") => {
            let pairs = url::form_urlencoded::parse(query.as_bytes());
            (address, pairs.into_owned().take(PARAMETERS_MAX).collect())
        }
        _ => (to, Vec::new()),
    }
}

impl World {
    /// Dials for the API.
    pub(crate) fn create_call(
        &mut self,
        mut create: CreateCall,
        ctx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        self.check_dialling(create.account, &mut create.dialling, ctx.now.instant)?;
        let instructions = Some(create.instructions);
        let sid = self.dial(create.account, &create.dialling, instructions, None, None, ctx);
        let call = self.calls.get_mut(&sid).expect("it was just made");
        call.send_digits = create.send_digits;
        Ok(Reply::Call(Box::new(call.record.clone())))
    }

    /// Makes an outbound call and dials it, for the API or for the `<Dial>` of another call.
    pub(crate) fn dial(
        &mut self,
        account: model::AccountSid,
        dialling: &Dialling,
        instructions: Option<Instructions>,
        jitter_buffer_size: Option<String>,
        parent: Option<CallSid>,
        ctx: &mut Context<'_>,
    ) -> CallSid {
        let sid = ctx.names.call();
        let (direction, extra) = match parent {
            Some(_) => (Direction::OutboundDial, Duration::ZERO),
            None => (Direction::OutboundApi, RING_TIMEOUT_EXTRA),
        };
        let mut record = record(sid, account, direction, CallStatus::Queued, ctx.now.wall);
        record.parent = parent;
        let (to, mut parameters) = with_parameters(&dialling.to);
        parameters.extend(dialling.parameters.iter().cloned());
        to.clone_into(&mut record.to);
        record.from.clone_from(&dialling.from);
        record.start_time = Some(ctx.now.wall);
        let mut call = Call::new(record, instructions);
        call.status_callback = dialling.status_callback.clone();
        call.recording = dialling.recording.clone();
        call.machine = dialling.machine.clone().map(|machine| Box::new(Detecting::new(machine)));
        let timeout = dialling.timeout.unwrap_or(RING_TIMEOUT).min(RING_TIMEOUT_MAX);
        call.time_limit = dialling.time_limit.unwrap_or(TIME_LIMIT).min(TIME_LIMIT_MAX);
        let now = ctx.now.instant;
        let turn = if parent.is_none() { self.take_turn(account, now) } else { now };
        let dialout = Dialout {
            at: Some(turn),
            to: to.to_owned(),
            parameters,
            from: dialling.caller_id.clone().unwrap_or_else(|| dialling.from.clone()),
            display_name: dialling.caller_display_name.clone(),
            auth: dialling.sip_auth.clone(),
            jitter_buffer_size,
            rings: timeout + extra,
        };
        if turn > now {
            let wait = (turn - now).as_millis();
            call.record.queue_time_ms = u64::try_from(wait).unwrap_or(u64::MAX);
            call.record.start_time = None;
            call.dialout = Some(Box::new(dialout));
        } else {
            call.dial_out(dialout, ctx);
        }
        self.calls.insert(sid, Box::new(call));
        self.touch(sid);
        sid
    }
}
