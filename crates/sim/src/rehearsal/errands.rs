//! Requests, for which time stands still: to the application, and of the application to the API.

use std::pin::pin;

use model::{AccountSid, Callback};
use node::{Asked, Brought, Command, Failure, Fetched, Input, Instructions, PlayId, Sound};

use super::machine::{Fetch, Machine, Request, described};
use super::sounds::Origin;

/// Letters of what the application answers that the timeline shows.
const SHOWN_MAX: usize = 120;
/// Fields of a request that the timeline shows.
const TOLD: [&str; 8] = [
    "StatusCallbackEvent",
    "CallStatus",
    "DialCallStatus",
    "QueueResult",
    "RecordingStatus",
    "Digits",
    "From",
    "FriendlyName",
];

impl Machine<'_> {
    /// Waits for something without letting time pass; what the application asks of the API meanwhile is done.
    pub async fn stand_still<T>(&mut self, errand: impl Future<Output = T>) -> T {
        let mut errand = pin!(errand);
        loop {
            tokio::select! {
                biased;
                done = &mut errand => return done,
                asked = self.played.asked() => Box::pin(self.take(asked)).await,
            }
        }
    }

    /// Does what came by the API.
    pub(super) async fn take(&mut self, asked: Asked) {
        match asked {
            Asked::Command(command, ticket) => {
                if let Some(what) = described(&command) {
                    self.say(format!("the API is asked {what}"));
                }
                self.redirects(&command);
                self.input(Input::Command(command, ticket)).await;
            }
            Asked::Again(callback) => {
                self.outbox.replay(callback);
                self.deliver().await;
            }
            Asked::Other(question) => {
                let now = self.now();
                self.played.serve(question, &mut self.core, &self.shard, now);
                self.carry_out().await;
            }
        }
    }

    fn redirects(&mut self, command: &Command) {
        let Command::UpdateCall { call, changes, .. } = command else { return };
        let to = match &changes.redirect {
            Some(Instructions::Url { document, .. }) => self.path(&document.url),
            Some(Instructions::Twiml(text)) => text.clone(),
            Some(Instructions::Join(_)) | None => return,
        };
        let name = self.seen.calls.get(call).cloned().unwrap_or_else(|| call.to_string());
        self.say(format!("  {name} is redirected to {to}"));
        self.seen.redirected.push((*call, to));
    }

    /// Returns an address without the application's own and without its query.
    pub(super) fn path(&self, url: &str) -> String {
        let path = url.strip_prefix(&self.app).unwrap_or(url);
        path.split(['?', '#']).next().unwrap_or(path).to_owned()
    }

    /// Asks for a document.
    pub(super) async fn fetch(&mut self, fetch: Fetch) {
        let Fetch { fetch, account, call, document, params } = fetch;
        self.asks(false, &document.url, &document.method, &params);
        let url = document.url.clone();
        let brought = self.played.fetch((account, call), document, params);
        let result = self.stand_still(brought).await;
        let answer = match &result {
            Ok(Brought::Document(Fetched::Twiml { text, .. } | Fetched::Text(text))) => short(text),
            Ok(Brought::Document(_)) => "a document".to_owned(),
            Ok(Brought::Audio(pcm)) => {
                self.sounds.brought(&url, pcm);
                "a sound".to_owned()
            }
            Err(Failure { code, message }) => format!("{code} {message}"),
        };
        self.say(format!("  the answer: {answer}"));
        self.input(Input::Fetched(fetch, result)).await;
    }

    /// Brings a sound.
    pub(super) async fn load(&mut self, play: PlayId, account: AccountSid, sound: Sound) {
        let loading = self.played.load(account, sound.clone());
        let loaded = self.stand_still(loading).await;
        match (&loaded.result, &sound) {
            (Ok(pcm), Sound::Url(url)) => self.sounds.brought(url, pcm),
            (Ok(pcm), Sound::Speech(speech)) => {
                self.sounds.add(Origin::Words(words(speech)), pcm);
            }
            (Err(failure), _) => {
                self.say(format!("a sound cannot be had: {} {}", failure.code, failure.message));
            }
            (Ok(_), _) => {}
        }
        if let Some(remark) = loaded.remark {
            self.input(Input::Remarked(play, remark)).await;
        }
        self.input(Input::Loaded(play, loaded.result)).await;
    }

    /// Sends a callback.
    pub(super) async fn attempt(&mut self, callback: Callback, is_awaited: bool) {
        let method = if callback.method.is_empty() { "POST" } else { &callback.method };
        self.asks(true, &callback.url, method, &callback.params);
        let sid = callback.sid;
        let attempt = self.played.attempt(callback);
        let answer = self.stand_still(attempt).await;
        match &answer {
            Ok(..400) => {}
            Ok(status) => self.say(format!("  the answer: {status}")),
            Err(failure) => {
                self.say(format!("  no answer: {} {}", failure.code, failure.message));
            }
        }
        if is_awaited {
            self.answered(sid, answer).await;
            self.deliver().await;
        }
    }

    /// Notes a request to the application.
    fn asks(&mut self, is_callback: bool, url: &str, method: &str, params: &[(String, String)]) {
        let path = self.path(url);
        let of = |name: &str| {
            let value = params.iter().find(|(key, _)| key == name).map(|(_, value)| value);
            value.filter(|value| !value.is_empty())
        };
        let told = TOLD.iter().filter_map(|name| Some(format!("{name}={}", of(name)?)));
        let told: Vec<String> = told.collect();
        let about = of("CallSid").and_then(|sid| sid.parse().ok());
        let about = about.and_then(|sid| self.seen.calls.get(&sid).cloned());
        let about = about.map(|name| format!(" about {name}")).unwrap_or_default();
        self.say(format!("{method} {path}{about} ({})", told.join(" ")));
        self.seen.requests.push(Request { is_callback, path, params: params.to_vec() });
    }
}

/// Returns the text of a speech.
fn words(speech: &node::Speech) -> String {
    let text = speech.segments.iter().filter_map(|segment| match segment {
        node::Segment::Text { text, .. } => Some(text.trim()),
        node::Segment::Break(_) => None,
    });
    text.collect::<Vec<_>>().join(" ")
}

/// Returns the beginning of a document on one line.
fn short(text: &str) -> String {
    let text = text.split_once("?>").map_or(text, |(_, rest)| rest);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let more = words.chars().count() > SHOWN_MAX;
    let shown: String = words.chars().take(SHOWN_MAX).collect();
    if more { format!("{shown}…") } else { shown }
}
