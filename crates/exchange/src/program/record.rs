//! How far a `<Record>` has come in its program: its beep, the wait for the end, the file that is closed.
//!
//! Source: TwiML `<Record>`.

use std::time::{Duration, Instant};

use model::{Now, RecordingSid, Timestamp};
use twiml::{Record, StartRecording, Verb};

use super::{Client, Outcome, Program, Stage};
use crate::context::Context;
use crate::{Document, Failure, Sound};

/// How long a caller has been silent when that is told. Source: `media`'s voice activity.
const SILENT_WHEN_TOLD: Duration = Duration::from_millis(800);

/// What a call's program wants of its recordings.
#[derive(Debug)]
pub(crate) enum RecordStep {
    /// `<Record>` begins.
    Begin(Box<Record>),
    /// It is over.
    End,
    /// `<Start><Recording>`
    Start(Box<StartRecording>),
    /// `<Stop><Recording>`
    Stop,
}

/// A `<Record>` under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taking {
    pub(crate) recording: RecordingSid,
    /// When it is long enough.
    until: Instant,
    /// When there was enough silence.
    silent_at: Option<Instant>,
    /// The key that ended it.
    digits: String,
    /// Whether its file is being closed.
    closing: bool,
}

impl Taking {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let until = self.silent_at.map_or(self.until, |at| at.min(self.until));
        (!self.closing).then_some(until)
    }

    pub(super) fn position(&self, now: Now) -> TakingPosition {
        TakingPosition {
            recording: self.recording.to_string(),
            until_ms: now.date_of(self.until).0,
            silent_at_ms: self.silent_at.map(|at| now.date_of(at).0),
            digits: self.digits.clone(),
            closing: self.closing,
        }
    }

    /// Takes it up from a row; nothing where the row names no recording.
    pub(super) fn restored(position: TakingPosition, now: Now) -> Option<Self> {
        let instant = |at_ms| now.instant_of(Timestamp(at_ms));
        Some(Self {
            recording: position.recording.parse().ok()?,
            until: instant(position.until_ms),
            silent_at: position.silent_at_ms.map(instant),
            digits: position.digits,
            closing: position.closing,
        })
    }
}

/// The same, for a row.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct TakingPosition {
    recording: String,
    until_ms: i64,
    silent_at_ms: Option<i64>,
    digits: String,
    closing: bool,
}

impl Program {
    /// Beeps, or begins to record at once.
    pub(super) fn record(
        &mut self,
        record: &Record,
        client: &Client,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        self.redirects = 0;
        if record.play_beep {
            self.about_to_record = true;
            self.play(Sound::EnterBeep, 1, client, ctx);
            return Outcome::Going;
        }
        Outcome::Record(RecordStep::Begin(Box::new(record.clone())))
    }

    /// Begins to record after the beep.
    pub(super) fn record_on(&mut self) -> Option<Outcome> {
        if !std::mem::take(&mut self.about_to_record) {
            return None;
        }
        self.record_verb().map(|record| Outcome::Record(RecordStep::Begin(record)))
    }

    fn record_verb(&self) -> Option<Box<Record>> {
        match self.verbs.get(self.next.checked_sub(1)?)? {
            Verb::Record(record) => Some(record.clone()),
            _ => None,
        }
    }

    /// Takes note that it is recorded from now on.
    pub(crate) fn recording_began(
        &mut self,
        recording: RecordingSid,
        record: &Record,
        speaking: bool,
        now: Instant,
    ) {
        self.stage = Stage::Recording(Box::new(Taking {
            recording,
            until: now + record.max_length,
            silent_at: (!speaking).then_some(now + record.timeout),
            digits: String::new(),
            closing: false,
        }));
    }

    /// What its `<Record>` has under way.
    pub(crate) fn taking(&self) -> Option<&Taking> {
        match &self.stage {
            Stage::Recording(taking) => Some(taking),
            _ => None,
        }
    }

    fn taking_mut(&mut self) -> Option<&mut Taking> {
        match &mut self.stage {
            Stage::Recording(taking) if !taking.closing => Some(taking),
            _ => None,
        }
    }

    /// Takes a key while it records; nothing where it does not.
    pub(super) fn record_digit(&mut self, digit: char) -> Option<Outcome> {
        let record = self.record_verb();
        let taking = self.taking_mut()?;
        if record.is_some_and(|record| record.finish_on_key.contains(digit)) {
            taking.digits = digit.to_string();
            taking.closing = true;
            return Some(Outcome::Record(RecordStep::End));
        }
        Some(Outcome::Going)
    }

    /// Takes note that the caller speaks, or has stopped. Returns whether that is waited for.
    pub(crate) fn record_speech(&mut self, speaking: bool, now: Instant) -> bool {
        let timeout = self.record_verb().map(|record| record.timeout);
        let (Some(timeout), Some(taking)) = (timeout, self.taking_mut()) else { return false };
        let left = timeout.saturating_sub(SILENT_WHEN_TOLD);
        taking.silent_at = (!speaking).then_some(now + left);
        true
    }

    pub(super) fn record_timeout(&mut self, now: Now) -> Outcome {
        match self.taking_mut() {
            Some(taking) if taking.deadline().is_some_and(|at| at <= now.instant) => {
                taking.closing = true;
                Outcome::Record(RecordStep::End)
            }
            _ => Outcome::Going,
        }
    }

    /// Goes on when the file is closed: with the action where there is something to hear, else with
    /// the next verb. `params` tell of the recording.
    pub(crate) fn recorded(
        &mut self,
        params: Option<Vec<(String, String)>>,
        client: &Client,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        let Some(digits) = self.taking().map(|taking| taking.digits.clone()) else {
            return Outcome::Going;
        };
        let Some(params) = params else { return self.advance(client, ctx) };
        match self.record_action() {
            Ok(document) => {
                self.source = Some(document.clone());
                let mut client = client.clone();
                client.params.extend(params);
                client.params.push(("Digits".to_owned(), digits));
                self.ask(document, &client, ctx);
                Outcome::Going
            }
            Err(failure) => Outcome::Failed(failure),
        }
    }

    /// What is asked when there is a recording.
    pub(crate) fn record_action(&self) -> Result<Document, Failure> {
        let record = self.record_verb();
        let action = record.as_ref().and_then(|record| record.action.as_deref());
        let method = record.as_ref().map_or("POST", |record| &record.method).to_owned();
        let Ok(url) = twiml::resolve(&self.url, action.unwrap_or(&self.url)) else {
            let code = if self.url.is_empty() { 15004 } else { 11100 };
            let message = "the action of <Record> is no absolute address".to_owned();
            return Err(Failure { code, message });
        };
        Ok(Document { url, method })
    }
}
