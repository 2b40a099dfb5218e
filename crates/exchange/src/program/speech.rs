//! What `<Gather>` does with speech: it is kept while it lasts, then recognised, and the action hears what was
//! understood.
//!
//! Source: TwiML `<Gather>`, `input="speech"`.

use std::time::Duration;

use model::{CallSid, Level, RecordingSid};
use twiml::Gather;

use super::gather::{Gathering, Hearing};
use super::{Client, Outcome, Program, Stage};
use crate::callbacks;
use crate::context::Context;
use crate::exchange::World;
use crate::{Effect, Failure, Recognise, Recognised};

/// How long a caller has been silent when that is told. Source: `media`'s voice activity.
const SILENT_WHEN_TOLD: Duration = Duration::from_millis(800);
/// How long somebody is silent who has said all, where `speechTimeout` is `auto`.
const NATURAL: Duration = Duration::from_millis(1_200);

/// Says how speech is to be recognised.
fn wanted(gather: &Gather) -> Recognise {
    Recognise {
        language: gather.language.clone(),
        hints: gather.hints.clone(),
        model: gather.speech_model.clone(),
        enhanced: gather.enhanced,
    }
}

impl Gathering {
    /// Whether somebody has spoken who is waited for.
    pub(super) fn has_spoken(&self) -> bool {
        self.hearing.as_ref().is_some_and(|hearing| hearing.spoken)
    }
}

impl Program {
    /// Keeps what the caller says from now on.
    pub(super) fn begin_hearing(&mut self, client: &Client, ctx: &mut Context<'_>) {
        let (Some(gathering), Some(call)) = (&mut self.gathering, client.call) else { return };
        let sid = ctx.names.recording();
        gathering.hearing = Some(Hearing { sid, spoken: false, told: Default::default() });
        ctx.push(Effect::Hear { hearing: sid, call });
    }

    /// Keeps no more of it. `wanted` says how it is to be recognised; none: it is forgotten.
    pub(super) fn stop_hearing(&mut self, wanted: Option<Recognise>, ctx: &mut Context<'_>) {
        // What is recognised by now is not stopped any more.
        if matches!(self.stage, Stage::Recognising) {
            return;
        }
        let forgets = wanted.is_none();
        let Some(gathering) = &mut self.gathering else { return };
        if let Some(hearing) = &gathering.hearing {
            ctx.push(Effect::EndHearing { hearing: hearing.sid, wanted });
        }
        if forgets {
            gathering.hearing = None;
        }
    }

    /// Takes note that the caller speaks, or has stopped. Returns whether that is waited for.
    pub(crate) fn gather_speech(&mut self, speaking: bool, ctx: &mut Context<'_>) -> bool {
        let gather = self.gather_verb();
        let hearing = self.gathering.as_mut().and_then(|gathering| gathering.hearing.as_mut());
        let (Some(gather), Some(hearing)) = (gather, hearing) else { return false };
        let is_prompted = matches!(self.stage, Stage::Playing(_));
        if matches!(self.stage, Stage::Recognising) || is_prompted && !gather.barge_in {
            return false;
        }
        let first = !std::mem::replace(&mut hearing.spoken, true);
        if first && gather.partial_result_callback.is_some() {
            ctx.push(Effect::HearPartly { hearing: hearing.sid, wanted: wanted(&gather) });
        }
        self.hush(ctx);
        if let Some(gathering) = &mut self.gathering {
            gathering.end_prompts(&gather);
        }
        let left = match speaking {
            true => gather.max_speech_time,
            false => gather.speech_timeout.unwrap_or(NATURAL).saturating_sub(SILENT_WHEN_TOLD),
        };
        self.stage = Stage::Pausing(ctx.now.instant + left);
        true
    }

    /// Has what was said recognised.
    pub(super) fn recognise(&mut self, gather: &Gather, ctx: &mut Context<'_>) {
        self.stop_hearing(Some(wanted(gather)), ctx);
        self.stage = Stage::Recognising;
    }

    /// Whether it waits for this.
    fn hears(&self, sid: RecordingSid) -> bool {
        let known = self.gathering.as_ref().and_then(|gathering| gathering.hearing.as_ref());
        known.is_some_and(|known| known.sid == sid)
    }

    /// Tells what was understood so far, where that is news. Source: `partialResultCallback`.
    pub(crate) fn recognised_partly(
        &mut self,
        understood: Recognised,
        client: &Client,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        let callback = self.gather_verb().and_then(|gather| {
            let method = gather.partial_result_callback_method.clone();
            Some((gather.partial_result_callback?, method))
        });
        let known = self.gathering.as_mut().and_then(|gathering| gathering.hearing.as_mut());
        let (Some((callback, method)), Some(known)) = (callback, known) else {
            return Outcome::Going;
        };
        let is_news = !understood.text.is_empty() && known.told.0 != understood.text;
        // What follows is told by the action.
        if !is_news || matches!(self.stage, Stage::Recognising) {
            return Outcome::Going;
        }
        if let Ok(url) = twiml::resolve(&self.url, &callback) {
            callbacks::understood_so_far(client, (url, method), &understood, known.told.1, ctx);
        }
        known.told = (understood.text, known.told.1 + 1);
        Outcome::Going
    }

    /// Takes what was understood: the action hears it; where it is nothing, the next verb is run.
    pub(crate) fn recognised(
        &mut self,
        hearing: RecordingSid,
        result: Result<Recognised, Failure>,
        client: &Client,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        let is_waited_for = self.hears(hearing);
        let (Some(gather), true, Stage::Recognising) =
            (self.gather_verb(), is_waited_for, &self.stage)
        else {
            return Outcome::Going;
        };
        self.gathering = None;
        self.stage = Stage::Idle;
        self.redirects = 0;
        let heard = result.unwrap_or_else(|failure| {
            ctx.notify(client.about(&self.url), Level::Error, &failure);
            Recognised { text: String::new(), confidence: 0.0 }
        });
        if heard.text.is_empty() && !gather.action_on_empty_result {
            return self.advance(client, ctx);
        }
        let confidence = heard.confidence.clamp(0.0, 1.0).to_string();
        let params = [("SpeechResult", heard.text), ("Confidence", confidence)];
        self.gather_action(&gather, params, client, ctx)
    }
}

impl World {
    /// Lets the document of a call that hears something take one step: what it runs, or what it hears in a queue.
    pub(crate) fn run_hearing(
        &mut self,
        sid: CallSid,
        hearing: RecordingSid,
        ctx: &mut Context<'_>,
        step: impl FnOnce(&mut Program, &Client, &mut Context<'_>) -> Outcome,
    ) {
        let Some(call) = self.calls.get(&sid) else { return };
        let queued = call.queued.as_ref().and_then(|queued| queued.program.as_ref());
        if call.program.as_ref().is_some_and(|program| program.hears(hearing)) {
            self.run_call(sid, ctx, step);
        } else if queued.is_some_and(|program| program.hears(hearing)) {
            self.run_queued(sid, ctx, step);
        }
    }
}
