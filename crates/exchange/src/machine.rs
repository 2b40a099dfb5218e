//! Who has answered: when that is listened for, and who is told.
//!
//! Source: Twilio "Answering Machine Detection".

use std::time::{Duration, Instant};

use model::{AnsweredBy, CallSid, MachineDetection as Limits, Timestamp};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::exchange::World;
use crate::{Document, Effect, callbacks};

/// How much later than asked for an answer may come before nobody can say.
const GRACE: Duration = Duration::from_secs(5);

/// How it is found out who has answered a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineDetection {
    /// What is waited for, and for how long.
    pub limits: Limits,
    /// `AsyncAmd`: whether the call's document does not wait for it.
    pub is_async: bool,
    /// Who is told, where nothing waits for it.
    pub callback: Option<Document>,
}

/// A call's detection: asked for, under way or over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detecting {
    pub(crate) detection: MachineDetection,
    /// Since when it has been listened for, and when that is given up.
    pub(crate) since: Option<(Timestamp, Instant)>,
    /// Whether the call's document waits for it.
    waits: bool,
}

impl Detecting {
    pub(crate) fn new(detection: MachineDetection) -> Self {
        Self { detection, since: None, waits: false }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.since.map(|(_, until)| until)
    }

    pub(crate) fn state(&self, now: model::Now) -> DetectingState {
        let Self { detection: MachineDetection { limits, is_async, callback }, since, waits } =
            self;
        DetectingState {
            message_end: limits.message_end,
            limits: [
                limits.timeout,
                limits.speech_threshold,
                limits.speech_end_threshold,
                limits.silence_timeout,
            ],
            is_async: *is_async,
            callback: callback.clone(),
            since_ms: since.map(|(since, until)| (since.0, now.date_of(until).0)),
            waits: *waits,
        }
    }

    pub(crate) fn restored(state: DetectingState, now: model::Now) -> Self {
        let DetectingState { message_end, limits, is_async, callback, since_ms, waits } = state;
        let [timeout, speech_threshold, speech_end_threshold, silence_timeout] = limits;
        let limits = Limits {
            message_end,
            timeout,
            speech_threshold,
            speech_end_threshold,
            silence_timeout,
        };
        let since =
            since_ms.map(|(since, until)| (Timestamp(since), now.instant_of(Timestamp(until))));
        Self { detection: MachineDetection { limits, is_async, callback }, since, waits }
    }
}

/// The same, for a row.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DetectingState {
    message_end: bool,
    limits: [Duration; 4],
    is_async: bool,
    callback: Option<Document>,
    since_ms: Option<(i64, i64)>,
    waits: bool,
}

impl World {
    /// Listens from now on who has answered a call, if that was asked for. Returns whether its document
    /// waits for that.
    pub(crate) fn detect(&mut self, sid: CallSid, ctx: &mut Context<'_>) -> bool {
        let Some(call) = self.calls.get_mut(&sid) else { return false };
        let has_document = call.joined.is_none() && call.dialled_by.is_none();
        let Some(detecting) = &mut call.machine else { return false };
        let limits = detecting.detection.limits;
        detecting.since = Some((ctx.now.wall, ctx.now.instant + limits.timeout + GRACE));
        detecting.waits = has_document && !detecting.detection.is_async;
        ctx.push(Effect::Detect { call: sid, limits });
        let waits = detecting.waits;
        self.touch(sid);
        waits
    }

    /// Somebody can say who has answered a call.
    pub(crate) fn answered_by(&mut self, sid: CallSid, who: AnsweredBy, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        let Some(detecting) = call.machine.take() else { return };
        call.record.answered_by = Some(who);
        call.record.date_updated = ctx.now.wall;
        self.touch(sid);
        if detecting.waits {
            return self.begin(sid, ctx);
        }
        let Some(call) = self.calls.get(&sid) else { return };
        let since = detecting.since.map_or(ctx.now.wall, |(since, _)| since);
        if let Some(document) = detecting.detection.callback {
            callbacks::answered_by(&call.record, who, ctx.now.wall.since(since), document, ctx);
        }
    }
}
