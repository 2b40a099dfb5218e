//! Changes by REST while calls are up: participants who say nothing are muted and unmuted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use reqwest::Method;
use sim::load::{Phase, Plan, Times};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::rest::{ANSWER_WITHIN, Rest};
use crate::running::Running;

/// Requests that are on their way at the same time.
const AT_ONCE: usize = 64;
/// How long callbacks may take after the last change.
const CALLED_BACK_WITHIN: Duration = Duration::from_secs(10);

/// An origin for a server of our own: it sends calls to the conference that they dialled, and
/// counts what is told of changes.
#[derive(Debug, Clone)]
pub struct Callbacks {
    address: SocketAddr,
    count: Arc<AtomicU64>,
}

impl Callbacks {
    /// Starts it on a free port.
    pub async fn start() -> Result<Self, String> {
        let told = |error: std::io::Error| format!("a port for callbacks: {error}");
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(told)?;
        let address = listener.local_addr().map_err(told)?;
        let callbacks = Self { address, count: Arc::default() };
        let router = Router::new()
            .route("/voice", post(voice))
            .route("/changed", post(changed))
            .with_state(callbacks.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(callbacks)
    }

    /// Returns what is to be asked what to do with a call.
    pub fn voice_url(&self) -> String {
        format!("http://{}/voice", self.address)
    }
}

async fn voice(State(callbacks): State<Callbacks>, body: String) -> impl IntoResponse {
    let to = form_value(&body, "To").unwrap_or_default();
    let user = to.trim_start_matches("sip:").split('@').next().unwrap_or_default();
    let document = format!(
        "<Response><Dial><Conference beep=\"false\" statusCallbackEvent=\"mute\" \
         statusCallback=\"http://{}/changed\">{user}</Conference></Dial></Response>",
        callbacks.address
    );
    ([(CONTENT_TYPE, "text/xml")], document)
}

async fn changed(State(callbacks): State<Callbacks>) {
    callbacks.count.fetch_add(1, Ordering::Relaxed);
}

/// Returns one value of a form whose values need no decoding beyond `:` and `@`.
fn form_value(body: &str, name: &str) -> Option<String> {
    let pair = body.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(pair.replace("%3A", ":").replace("%40", "@"))
}

/// What became of the changes.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Changes that were asked for in a second.
    pub rate: f64,
    /// Changes that were made.
    pub made: u64,
    /// Changes that were answered by something else, by status; 0 is no answer.
    pub refused: BTreeMap<u16, u64>,
    /// From a request to its answer.
    pub answered: Times,
    /// Callbacks that told of changes; none: the server is not ours, and was not asked to call.
    pub called_back: Option<u64>,
}

/// The changes to come.
pub struct Updates {
    rest: Rest,
    plan: Plan,
    rate: u32,
    callbacks: Callbacks,
}

impl Updates {
    /// Makes ready for `rate` changes a second.
    pub fn new(
        running: &Running,
        plan: &Plan,
        rate: u32,
        callbacks: Callbacks,
    ) -> Result<Self, String> {
        Ok(Self { rest: Rest::new(running)?, plan: plan.clone(), rate, callbacks })
    }

    /// Makes changes from the beginning of the measurement to its end.
    pub async fn run(self, mut phases: watch::Receiver<Option<Phase>>) -> Result<Outcome, String> {
        let reached =
            |wanted: fn(Phase) -> bool| move |phase: &Option<Phase>| phase.is_some_and(wanted);
        if phases.wait_for(reached(|phase| matches!(phase, Phase::Up(_)))).await.is_err() {
            return Ok(Outcome::default());
        }
        let found = self.rest.participants(&self.plan).await?;
        let mut participants: Vec<_> =
            found.into_iter().map(|found| (found.path(), false)).collect();
        if participants.is_empty() {
            return Err("no participant is silent: more --room-size or fewer --talkers".to_owned());
        }
        if phases.wait_for(reached(|phase| phase == Phase::Measuring)).await.is_err() {
            return Ok(Outcome::default());
        }
        let before = self.callbacks.count.load(Ordering::Relaxed);
        let mut outcome = self.change(&mut participants, &phases).await;
        let counted = || self.callbacks.count.load(Ordering::Relaxed) - before;
        let until = Instant::now() + CALLED_BACK_WITHIN;
        while counted() > 0 && counted() < outcome.made && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        outcome.called_back = (counted() > 0).then(counted);
        Ok(outcome)
    }

    async fn change(
        &self,
        participants: &mut [(String, bool)],
        phases: &watch::Receiver<Option<Phase>>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let mut waiting = JoinSet::new();
        let start = Instant::now();
        let mut asked = 0_u32;
        while *phases.borrow() == Some(Phase::Measuring) {
            let due = start + Duration::from_secs(1) * asked / self.rate;
            tokio::time::sleep_until(due.into()).await;
            if waiting.len() >= AT_ONCE.min(participants.len())
                && let Some(Ok(answer)) = waiting.join_next().await
            {
                outcome.note(answer);
            }
            // Each participant is asked again only after all others: nobody overtakes himself.
            let turn = asked as usize % participants.len();
            let (path, muted) = &mut participants[turn];
            *muted = !*muted;
            waiting.spawn(self.ask(path, *muted));
            asked += 1;
        }
        let asked_for = start.elapsed();
        while let Some(answer) = waiting.join_next().await {
            outcome.answered_by(answer.ok());
        }
        outcome.rate = outcome.made as f64 / asked_for.as_secs_f64().max(0.001);
        outcome
    }

    /// Asks for one change; returns the status and how long it took.
    fn ask(
        &self,
        path: &str,
        muted: bool,
    ) -> impl Future<Output = (u16, Duration)> + Send + 'static {
        let request = self
            .rest
            .request(Method::POST, path)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(if muted { "Muted=true" } else { "Muted=false" });
        async move {
            let start = Instant::now();
            let answer = request.send().await;
            // The body belongs to the answer.
            let status = match answer {
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    if answer.bytes().await.is_ok() { status } else { 0 }
                }
                Err(_) => 0,
            };
            (status, start.elapsed())
        }
    }
}

impl Outcome {
    fn note(&mut self, (status, took): (u16, Duration)) {
        self.answered.note(took);
        if status == 200 {
            self.made += 1;
        } else {
            *self.refused.entry(status).or_default() += 1;
        }
    }

    fn answered_by(&mut self, answer: Option<(u16, Duration)>) {
        self.note(answer.unwrap_or((0, ANSWER_WITHIN)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_gives_up_its_value() {
        let body = "From=sip%3Aleg1%40127.0.0.1%3A5&To=sip%3Aload-7-3%40127.0.0.1%3A5060&ToCity=x";
        assert_eq!(form_value(body, "To").unwrap(), "sip:load-7-3@127.0.0.1:5060");
        assert_eq!(form_value(body, "T"), None);
    }
}
