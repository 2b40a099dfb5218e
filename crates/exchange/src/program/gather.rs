//! What `<Gather>` does: prompts, keys, and the request that tells of them.
//!
//! Source: TwiML `<Gather>`.

use model::{Level, RecordingSid};
use twiml::{Gather, Verb};

use super::{Client, Outcome, Program, Stage};
use crate::context::Context;
use crate::{Document, Failure};

/// How far a `<Gather>` has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Gathering {
    digits: String,
    /// The prompt that is next; past the last once the wait for a key has begun.
    prompt: usize,
    /// What is heard meanwhile; gone after a restart.
    #[serde(skip)]
    pub(super) hearing: Option<Hearing>,
}

/// What somebody says who is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hearing {
    pub(super) sid: RecordingSid,
    /// Whether anybody has spoken.
    pub(super) spoken: bool,
    /// What was understood so far when that was last told, and how often it was told.
    pub(super) told: (String, u32),
}

impl Gathering {
    /// Takes note that no prompt is to be played any more.
    pub(super) fn end_prompts(&mut self, gather: &Gather) {
        self.prompt = gather.prompts.len() + 1;
    }
}

impl Program {
    /// Whether keys are for it.
    pub(crate) fn takes_digits(&self) -> bool {
        self.gathering.is_some() || self.taking().is_some()
    }

    /// Begins a `<Gather>`; keys that came before are not kept.
    pub(super) fn gather(
        &mut self,
        gather: &Gather,
        client: &Client,
        ctx: &mut Context<'_>,
    ) -> Option<Outcome> {
        let hears = gather.speech && ctx.names.recognises && !client.is_room();
        if gather.speech && !hears {
            let message = "input of <Gather>: no recogniser of speech is configured".to_owned();
            let failure = Failure { code: 13343, message };
            ctx.notify(client.about(&self.url), Level::Warning, &failure);
        }
        self.gathering = Some(Gathering::default());
        if hears {
            self.begin_hearing(client, ctx);
        }
        self.gather_on(client, ctx)
    }

    /// Plays the next prompt, waits for a key, or takes note that none came. Nothing comes of it where
    /// the next verb is to be run.
    pub(super) fn gather_on(&mut self, client: &Client, ctx: &mut Context<'_>) -> Option<Outcome> {
        let gather = self.gather_verb()?;
        loop {
            let gathering = self.gathering.as_mut()?;
            let prompt = gather.prompts.get(gathering.prompt).cloned();
            gathering.prompt += 1;
            match prompt {
                Some(prompt) => {
                    if let Some(outcome) = self.run(prompt, client, ctx) {
                        return Some(outcome);
                    }
                }
                None if gathering.has_spoken() => {
                    self.recognise(&gather, ctx);
                    return Some(Outcome::Going);
                }
                None if gathering.prompt > gather.prompts.len() + 1 => {
                    return self.gathered(&gather, None, client, ctx);
                }
                None => {
                    self.stage = Stage::Pausing(ctx.now.instant + gather.timeout);
                    return Some(Outcome::Going);
                }
            }
        }
    }

    /// Takes a key: it ends the prompts, and may be the last.
    pub(crate) fn digit(&mut self, digit: char, client: &Client, ctx: &mut Context<'_>) -> Outcome {
        if let Some(outcome) = self.record_digit(digit) {
            return outcome;
        }
        let gather = self.gather_verb().filter(|gather| gather.dtmf);
        let (Some(gather), Some(gathering)) = (gather, &mut self.gathering) else {
            return Outcome::Going;
        };
        let finishes = gather.finish_on_key == Some(digit);
        if finishes && gathering.digits.is_empty() {
            return Outcome::Going;
        }
        if !finishes {
            gathering.digits.push(digit);
        }
        gathering.end_prompts(&gather);
        let is_enough = gathering.digits.len() >= gather.num_digits as usize;
        self.hush(ctx);
        if !finishes && !is_enough {
            self.stage = Stage::Pausing(ctx.now.instant + gather.timeout);
            return Outcome::Going;
        }
        let finished_on = finishes.then_some(digit);
        let outcome = self.gathered(&gather, finished_on, client, ctx);
        outcome.unwrap_or_else(|| self.advance(client, ctx))
    }

    pub(super) fn gather_verb(&self) -> Option<Box<Gather>> {
        self.gathering.as_ref()?;
        match self.verbs.get(self.next.checked_sub(1)?)? {
            Verb::Gather(gather) => Some(gather.clone()),
            _ => None,
        }
    }

    /// Ends the `<Gather>` of keys: its action is asked, or the next verb is to be run.
    fn gathered(
        &mut self,
        gather: &Gather,
        finished_on: Option<char>,
        client: &Client,
        ctx: &mut Context<'_>,
    ) -> Option<Outcome> {
        self.stop_hearing(None, ctx);
        let digits = self.gathering.take()?.digits;
        // Somebody was waited for.
        self.redirects = 0;
        if digits.is_empty() && !gather.action_on_empty_result {
            return None;
        }
        let finished_on = finished_on.map(String::from).unwrap_or_default();
        let params = [("Digits", digits), ("FinishedOnKey", finished_on)];
        Some(self.gather_action(gather, params, client, ctx))
    }

    /// Asks the action of a `<Gather>`.
    pub(super) fn gather_action(
        &mut self,
        gather: &Gather,
        params: [(&str, String); 2],
        client: &Client,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        let action = gather.action.as_deref().unwrap_or(&self.url);
        let Ok(url) = twiml::resolve(&self.url, action) else {
            // TwiML that came with a request has no address that others could be relative to.
            let code = if self.url.is_empty() { 15004 } else { 11100 };
            let message = "the action of <Gather> is no absolute address".to_owned();
            return Outcome::Failed(Failure { code, message });
        };
        let document = Document { url, method: gather.method.clone() };
        self.source = Some(document.clone());
        let mut client = client.clone();
        client.params.extend(params.map(|(name, value)| (name.to_owned(), value)));
        self.ask(document, &client, ctx);
        Outcome::Going
    }
}
