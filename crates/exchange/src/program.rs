//! A document on its way: fetched, walked verb by verb, played to an audience.
//!
//! A call's TwiML, a wait or hold document and an announcement are all programs; they differ in
//! the verbs they may use and in who listens.

mod client;
mod gather;
mod position;
mod record;
mod speech;

use std::time::{Duration, Instant};

use model::Level;
use twiml::{Dial, Enqueue, Noun, Verb};

use crate::context::Context;
use crate::{Document, Effect, Failure, FetchId, Fetched, PlayId, Sound, Speech};

pub(crate) use client::Client;
use gather::Gathering;
pub(crate) use position::Position;
pub(crate) use record::{RecordStep, Taking};

/// Most redirects in a row with no sound or pause between them.
pub const REDIRECTS_MAX: u32 = 10;

/// Most warnings of one document that reach the debugger log.
pub const WARNINGS_MAX: usize = 10;

/// What a program came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It waits for an answer, the end of a sound, or the end of a pause.
    Going,
    /// No verb is left.
    Ended,
    /// It cannot go on.
    Failed(Failure),
    /// A call is to dial.
    Dial(Box<Dial>),
    /// A call is to be recorded, or no longer.
    Record(RecordStep),
    /// A call is to wait in a queue.
    Enqueue(Box<Enqueue>),
    /// A call is to leave its queue.
    Leave,
    /// A call is to hang up.
    HangUp,
    /// A call is to be turned away with this SIP status.
    Reject(u16),
}

/// A verb that comes before a call is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BeforeAnswer {
    Pause,
    Reject,
    /// A `<Dial answerOnBridge>` of phones.
    Dial,
}

/// What is asked for, with its form fields.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Asked {
    document: Document,
    params: Vec<(String, String)>,
}

#[derive(Debug)]
enum Stage {
    /// Nothing goes on.
    Idle,
    Fetching(FetchId, Box<Asked>),
    Playing(PlayId),
    Pausing(Instant),
    /// A pause that was halted, and what was left of it.
    Halted(Duration),
    /// A `<Record>` records, or its file is being closed.
    Recording(Box<Taking>),
    /// What was said is being recognised.
    Recognising,
    /// It was interrupted by a restart before the answer came.
    Unanswered(Box<Asked>),
    /// It was interrupted by a restart while its sound played.
    Unheard,
}

/// One document and how far it has come.
#[derive(Debug)]
pub(crate) struct Program {
    /// What an empty `<Redirect>` asks again.
    source: Option<Document>,
    /// What relative addresses are relative to.
    url: String,
    /// The text, kept for a restart.
    text: String,
    verbs: Vec<Verb>,
    next: usize,
    /// A sound that is the whole document, until it plays.
    sound: Option<Sound>,
    begun: bool,
    stage: Stage,
    redirects: u32,
    paused: bool,
    /// How far the `<Gather>` that was run last has come.
    gathering: Option<Gathering>,
    /// Whether the `<Record>` that was run last waits for its beep to end.
    about_to_record: bool,
}

impl Program {
    /// Begins by asking `document`; silence where its address is empty.
    pub(crate) fn fetch(document: Document, client: &Client, ctx: &mut Context<'_>) -> Self {
        let mut program = Self::idle(Some(document.clone()), document.url.clone());
        if !document.url.is_empty() {
            program.ask(document, client, ctx);
        }
        program
    }

    /// Asks an address whose answer nobody follows: the call that it tells of is over.
    pub(crate) fn tell(document: Document, client: &Client, ctx: &mut Context<'_>) {
        let mut program = Self::idle(None, String::new());
        program.ask(document, client, ctx);
        program.stop(ctx);
    }

    /// Begins what follows a program: the action of its `<Dial>`.
    ///
    /// # Errors
    /// Too many documents came in a row without a sound.
    pub(crate) fn followed_by(
        before: Option<&Self>,
        document: Document,
        client: &Client,
        ctx: &mut Context<'_>,
    ) -> Result<Self, Failure> {
        let mut program = Self::idle(Some(document.clone()), document.url.clone());
        program.redirects = before.map_or(0, |before| before.redirects);
        program.count_redirect()?;
        program.ask(document, client, ctx);
        Ok(program)
    }

    /// Takes TwiML that is at hand; [`Self::advance`] starts it.
    ///
    /// # Errors
    /// The text is not TwiML.
    pub(crate) fn text(
        text: &str,
        url: &str,
        client: &Client,
        ctx: &mut Context<'_>,
    ) -> Result<Self, Failure> {
        let mut program = Self::idle(None, url.to_owned());
        program.read(text, client, ctx)?;
        Ok(program)
    }

    fn idle(source: Option<Document>, url: String) -> Self {
        Self {
            source,
            url,
            text: String::new(),
            verbs: Vec::new(),
            next: 0,
            sound: None,
            begun: false,
            stage: Stage::Idle,
            redirects: 0,
            paused: false,
            gathering: None,
            about_to_record: false,
        }
    }

    /// Speaks one sentence.
    pub(crate) fn speech(speech: Speech, client: &Client, ctx: &mut Context<'_>) -> Self {
        let mut program = Self::idle(None, String::new());
        program.play(Sound::Speech(speech), 1, client, ctx);
        program
    }

    /// Where the document came from, for relative addresses.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Says whether the next verb keeps a call unanswered.
    pub(crate) fn before_answer(&self) -> Option<BeforeAnswer> {
        match self.verbs.get(self.next)? {
            Verb::Pause { .. } => Some(BeforeAnswer::Pause),
            Verb::Reject { .. } => Some(BeforeAnswer::Reject),
            Verb::Dial(dial) if dial.answer_on_bridge => match dial.noun {
                Noun::Callees(_) => Some(BeforeAnswer::Dial),
                Noun::Conference(_) | Noun::Queue(_) => None,
            },
            _ => None,
        }
    }

    /// Whether a document came and is not over, even while it pauses or asks for the next.
    pub(crate) fn is_under_way(&self) -> bool {
        self.begun && !matches!(self.stage, Stage::Idle)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Pausing(until) => Some(until),
            Stage::Recording(ref taking) => taking.deadline(),
            Stage::Idle
            | Stage::Fetching(..)
            | Stage::Playing(_)
            | Stage::Halted(_)
            | Stage::Recognising
            | Stage::Unanswered(_)
            | Stage::Unheard => None,
        }
    }

    fn ask(&mut self, document: Document, client: &Client, ctx: &mut Context<'_>) {
        let fetch = ctx.names.fetch(client.owner);
        self.url.clone_from(&document.url);
        let asked = Asked { document: document.clone(), params: client.params.clone() };
        self.stage = Stage::Fetching(fetch, Box::new(asked));
        ctx.push(Effect::Fetch {
            fetch,
            account: client.account,
            call: client.call,
            document,
            params: client.params.clone(),
        });
    }

    fn read(&mut self, text: &str, client: &Client, ctx: &mut Context<'_>) -> Result<(), Failure> {
        let document = twiml::parse(text)
            .map_err(|error| Failure { code: error.code, message: error.message })?;
        for warning in document.warnings.into_iter().take(WARNINGS_MAX) {
            let failure = Failure { code: warning.code, message: warning.message };
            ctx.notify(client.about(&self.url), Level::Warning, &failure);
        }
        self.text = text.to_owned();
        self.verbs = document.verbs;
        self.next = 0;
        Ok(())
    }

    /// Takes the answer to its request, without acting on it yet.
    ///
    /// # Errors
    /// The request failed, or what came is not TwiML.
    pub(crate) fn load(
        &mut self,
        result: Result<Fetched, Failure>,
        client: &Client,
        ctx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        self.stage = Stage::Idle;
        match result? {
            Fetched::Twiml { text, url } => {
                self.url = url;
                self.read(&text, client, ctx)?;
            }
            Fetched::Text(text) => self.hold(Sound::Speech(Speech::plain(text))),
            Fetched::Audio(audio) => self.hold(Sound::Audio(audio)),
        }
        self.begun = true;
        Ok(())
    }

    /// Keeps a sound that is the whole document.
    fn hold(&mut self, sound: Sound) {
        self.verbs.clear();
        self.next = 0;
        self.sound = Some(sound);
    }

    /// Takes the answer to its request and goes on.
    pub(crate) fn fetched(
        &mut self,
        result: Result<Fetched, Failure>,
        client: &Client,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        match self.load(result, client, ctx) {
            Ok(()) => self.advance(client, ctx),
            Err(failure) => Outcome::Failed(failure),
        }
    }

    /// Takes note that something was heard since the last document.
    pub(crate) fn forget_redirects(&mut self) {
        self.redirects = 0;
    }

    /// Whether a document ever came.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Takes the end of its sound, or its failure: a sound that cannot be played is skipped, but for
    /// the last one of what is no call's document.
    pub(crate) fn play_ended(
        &mut self,
        result: Result<(), Failure>,
        client: &Client,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        self.stage = Stage::Idle;
        match result {
            Ok(()) => self.redirects = 0,
            Err(failure) if self.next >= self.verbs.len() && client.is_room() => {
                return Outcome::Failed(failure);
            }
            Err(failure) => ctx.notify(client.about(&self.url), Level::Error, &failure),
        }
        self.advance(client, ctx)
    }

    /// Goes on after a pause that is over.
    pub(crate) fn handle_timeout(&mut self, client: &Client, ctx: &mut Context<'_>) -> Outcome {
        match self.stage {
            Stage::Pausing(until) if until <= ctx.now.instant => self.advance(client, ctx),
            Stage::Recording(_) => self.record_timeout(ctx.now),
            Stage::Idle
            | Stage::Fetching(..)
            | Stage::Playing(_)
            | Stage::Pausing(_)
            | Stage::Halted(_)
            | Stage::Recognising
            | Stage::Unanswered(_)
            | Stage::Unheard => Outcome::Going,
        }
    }

    /// Runs verbs until one takes time or belongs to the call.
    pub(crate) fn advance(&mut self, client: &Client, ctx: &mut Context<'_>) -> Outcome {
        self.stage = Stage::Idle;
        if let Some(sound) = self.sound.take() {
            self.play(sound, 1, client, ctx);
            return Outcome::Going;
        }
        if let Some(outcome) = self.record_on().or_else(|| self.gather_on(client, ctx)) {
            return outcome;
        }
        loop {
            let Some(verb) = self.verbs.get(self.next).cloned() else {
                return Outcome::Ended;
            };
            self.next += 1;
            if let Some(outcome) = self.run(verb, client, ctx) {
                return outcome;
            }
        }
    }

    /// Runs one verb; nothing comes of one that takes no time.
    fn run(&mut self, verb: Verb, client: &Client, ctx: &mut Context<'_>) -> Option<Outcome> {
        Some(match verb {
            Verb::Say(say) => {
                let speech =
                    Speech { voice: say.voice, language: say.language, segments: say.segments };
                self.play(Sound::Speech(speech), say.loops, client, ctx);
                Outcome::Going
            }
            Verb::Play(play) => return self.play_verb(play, client, ctx),
            Verb::Pause { length } => {
                self.redirects = 0;
                self.stage = if self.paused {
                    Stage::Halted(length)
                } else {
                    Stage::Pausing(ctx.now.instant + length)
                };
                Outcome::Going
            }
            Verb::Redirect { url, method } => match self.redirect(&url, method, client, ctx) {
                Ok(()) => Outcome::Going,
                Err(failure) => Outcome::Failed(failure),
            },
            Verb::Gather(gather) if !client.is_room() => {
                return self.gather(&gather, client, ctx);
            }
            Verb::Record(record) if client.is_call() => self.record(&record, client, ctx),
            Verb::StartRecording(start) if client.is_call() => {
                Outcome::Record(RecordStep::Start(start))
            }
            Verb::StopRecording if client.is_call() => Outcome::Record(RecordStep::Stop),
            Verb::Hangup if !client.is_room() => Outcome::HangUp,
            Verb::Leave if client.is_queue() => Outcome::Leave,
            Verb::Enqueue(enqueue) if client.is_call() => Outcome::Enqueue(enqueue),
            Verb::Reject { busy } if client.is_call() => {
                Outcome::Reject(if busy { 486 } else { 603 })
            }
            Verb::Dial(dial) if client.is_call() => Outcome::Dial(dial),
            Verb::Leave
            | Verb::Enqueue(_)
            | Verb::Dial(_)
            | Verb::Reject { .. }
            | Verb::Record(_)
            | Verb::StartRecording(_)
            | Verb::StopRecording
            | Verb::NotBuilt { .. }
                if client.is_queue() =>
            {
                let message =
                    "a queue's wait document may hold Play, Say, Pause, Gather, Redirect, \
                               Leave and Hangup only"
                        .to_owned();
                let failure = Failure { code: 12200, message };
                ctx.notify(client.about(&self.url), Level::Warning, &failure);
                return None;
            }
            Verb::Leave if client.is_call() => {
                let message = "<Leave> is for a call in a queue".to_owned();
                let failure = Failure { code: 12200, message };
                ctx.notify(client.about(&self.url), Level::Warning, &failure);
                return None;
            }
            Verb::NotBuilt { name } if client.is_call() => Outcome::Failed(Failure {
                code: 12200,
                message: format!("<{name}> is not built yet"),
            }),
            Verb::Gather(_)
            | Verb::Record(_)
            | Verb::StartRecording(_)
            | Verb::StopRecording
            | Verb::Enqueue(_)
            | Verb::Leave
            | Verb::Hangup
            | Verb::Reject { .. }
            | Verb::Dial(_)
            | Verb::NotBuilt { .. } => Outcome::Failed(Failure {
                code: 13238,
                message: "a wait, hold or announcement document may hold Play, Say, Pause and \
                          Redirect only"
                    .to_owned(),
            }),
        })
    }

    fn play_verb(
        &mut self,
        play: twiml::Play,
        client: &Client,
        ctx: &mut Context<'_>,
    ) -> Option<Outcome> {
        if let Some(digits) = play.digits {
            self.play(Sound::Digits(digits), 1, client, ctx);
            return Some(Outcome::Going);
        }
        match twiml::resolve(&self.url, &play.url?) {
            Ok(url) => {
                self.play(Sound::Url(url), play.loops, client, ctx);
                Some(Outcome::Going)
            }
            Err(_) => {
                let message = "<Play> names no absolute address".to_owned();
                let failure = Failure { code: 11100, message };
                ctx.notify(client.about(&self.url), Level::Error, &failure);
                None
            }
        }
    }

    fn count_redirect(&mut self) -> Result<(), Failure> {
        self.redirects += 1;
        if self.redirects > REDIRECTS_MAX {
            let message = format!("more than {REDIRECTS_MAX} redirects with no sound between");
            return Err(Failure { code: 11215, message });
        }
        Ok(())
    }

    fn redirect(
        &mut self,
        url: &str,
        method: String,
        client: &Client,
        ctx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        self.count_redirect()?;
        let document = match (url.trim(), &self.source) {
            ("", Some(source)) => source.clone(),
            (url, _) => match twiml::resolve(&self.url, url) {
                Ok(url) => Document { url, method },
                Err(_) => {
                    let message = "<Redirect> names no absolute address".to_owned();
                    return Err(Failure { code: 11100, message });
                }
            },
        };
        self.source = Some(document.clone());
        self.ask(document, client, ctx);
        Ok(())
    }

    fn play(&mut self, sound: Sound, loops: u32, client: &Client, ctx: &mut Context<'_>) {
        let play = ctx.names.play(client.owner);
        self.stage = Stage::Playing(play);
        ctx.push(Effect::Play {
            play,
            account: client.account,
            audience: client.audience.clone(),
            sound,
            loops,
            paused: self.paused,
        });
    }

    /// Halts the program where it is, or lets it go on. Returns whether it did otherwise before.
    pub(crate) fn pause(&mut self, paused: bool, ctx: &mut Context<'_>) -> bool {
        if self.paused == paused {
            return false;
        }
        self.paused = paused;
        let now = ctx.now.instant;
        match (&self.stage, paused) {
            (Stage::Playing(play), _) => ctx.push(Effect::Pause { play: *play, paused }),
            (Stage::Pausing(until), true) => {
                self.stage = Stage::Halted(until.saturating_duration_since(now));
            }
            (Stage::Halted(left), false) => self.stage = Stage::Pausing(now + *left),
            (
                Stage::Idle
                | Stage::Fetching(..)
                | Stage::Pausing(_)
                | Stage::Halted(_)
                | Stage::Recording(_)
                | Stage::Recognising
                | Stage::Unanswered(_)
                | Stage::Unheard,
                _,
            ) => {}
        }
        true
    }

    /// Abandons the program; nothing of it is heard any more.
    pub(crate) fn stop(&mut self, ctx: &mut Context<'_>) {
        self.hush(ctx);
        self.stop_hearing(None, ctx);
        self.gathering = None;
        self.about_to_record = false;
        self.verbs.clear();
    }

    /// Ends what it plays, or waits for.
    fn hush(&mut self, ctx: &mut Context<'_>) {
        match self.stage {
            Stage::Playing(play) => {
                ctx.names.take_play(play);
                ctx.push(Effect::Stop(play));
            }
            Stage::Fetching(fetch, _) => {
                ctx.names.take_fetch(fetch);
            }
            Stage::Idle
            | Stage::Pausing(_)
            | Stage::Halted(_)
            | Stage::Recording(_)
            | Stage::Recognising
            | Stage::Unanswered(_)
            | Stage::Unheard => {}
        }
        self.stage = Stage::Idle;
    }

    /// The `<Enqueue>` that was run last.
    pub(crate) fn last_enqueue(&self) -> Option<&Enqueue> {
        match self.verbs.get(self.next.checked_sub(1)?)? {
            Verb::Enqueue(enqueue) => Some(enqueue),
            _ => None,
        }
    }

    /// The `<Dial>` that was run last.
    pub(crate) fn last_dial(&self) -> Option<&Dial> {
        match self.verbs.get(self.next.checked_sub(1)?)? {
            Verb::Dial(dial) => Some(dial),
            _ => None,
        }
    }
}
