//! Changes by REST while calls are up: participants are muted and unmuted, most of them who say nothing, and some who
//! are heard.

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
use sim::load::{Change, Changes, Phase, Plan, Times};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::rest::{ANSWER_WITHIN, Found, Rest};
use crate::running::Running;

/// Requests that are on their way at the same time.
const AT_ONCE: usize = 64;
/// From one change of a talker to his next one: it is heard meanwhile. No multiple of a tick, so that changes come
/// anywhere in one.
const HEARD_APART: Duration = Duration::from_millis(263);
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
    /// The changes of those who are heard, as they were asked for.
    pub changes: Vec<Change>,
    /// How they were heard.
    pub heard: Changes,
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
        let silent = self.rest.participants(&self.plan).await?;
        if silent.is_empty() {
            return Err("no participant is silent: more --room-size or fewer --talkers".to_owned());
        }
        let talkers = self.rest.find(&self.plan, |leg| self.plan.is_changed(leg)).await?;
        if phases.wait_for(reached(|phase| phase == Phase::Measuring)).await.is_err() {
            return Ok(Outcome::default());
        }
        let before = self.callbacks.count.load(Ordering::Relaxed);
        let of = |found: Vec<Found>| found.iter().map(Participant::of).collect();
        let mut outcome =
            self.change(Turns { silent: of(silent), talkers: of(talkers) }, &phases).await;
        let counted = || self.callbacks.count.load(Ordering::Relaxed) - before;
        let until = Instant::now() + CALLED_BACK_WITHIN;
        while counted() > 0 && counted() < outcome.made && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        outcome.called_back = (counted() > 0).then(counted);
        Ok(outcome)
    }

    async fn change(&self, mut turns: Turns, phases: &watch::Receiver<Option<Phase>>) -> Outcome {
        let mut outcome = Outcome::default();
        let mut waiting = JoinSet::new();
        let start = Instant::now();
        let mut asked = 0_u32;
        while *phases.borrow() == Some(Phase::Measuring) {
            let due = start + Duration::from_secs(1) * asked / self.rate;
            tokio::time::sleep_until(due.into()).await;
            if waiting.len() >= AT_ONCE.min(turns.silent.len())
                && let Some(Ok(answer)) = waiting.join_next().await
            {
                outcome.note(answer, &mut turns);
            }
            while let Some(Ok(answer)) = waiting.try_join_next() {
                outcome.note(answer, &mut turns);
            }
            waiting.spawn(self.ask(turns.next(asked, Instant::now())));
            asked += 1;
        }
        let asked_for = start.elapsed();
        while let Some(answer) = waiting.join_next().await {
            match answer {
                Ok(answer) => outcome.note(answer, &mut turns),
                Err(_) => outcome.count(0, ANSWER_WITHIN),
            }
        }
        outcome.rate = outcome.made as f64 / asked_for.as_secs_f64().max(0.001);
        outcome
    }

    /// Asks for one change.
    fn ask(&self, asked: Asked) -> impl Future<Output = Answer> + Send + 'static {
        let request = self
            .rest
            .request(Method::POST, &asked.path)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(if asked.muted { "Muted=true" } else { "Muted=false" });
        async move {
            let sent = Instant::now();
            let answer = request.send().await;
            // The body belongs to the answer.
            let status = match answer {
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    if answer.bytes().await.is_ok() { status } else { 0 }
                }
                Err(_) => 0,
            };
            Answer { asked, status, sent, took: sent.elapsed() }
        }
    }
}

/// One who is muted and unmuted.
#[derive(Debug)]
struct Participant {
    leg: usize,
    path: String,
    muted: bool,
    /// When it may be asked again; none: it has not been answered.
    free_at: Option<Instant>,
}

impl Participant {
    fn of(found: &Found) -> Self {
        let free_at = Some(Instant::now());
        Self { leg: found.leg, path: found.path(), muted: false, free_at }
    }
}

/// Whose turn it is.
#[derive(Debug)]
struct Turns {
    silent: Vec<Participant>,
    /// Those who are heard; there may be none.
    talkers: Vec<Participant>,
}

/// One change.
#[derive(Debug)]
struct Asked {
    path: String,
    muted: bool,
    /// Whose place among the talkers is this.
    talker: Option<usize>,
}

/// What became of it.
#[derive(Debug)]
struct Answer {
    asked: Asked,
    status: u16,
    sent: Instant,
    took: Duration,
}

impl Turns {
    /// Returns what to ask for next. At most every second change is a talker's, and his next one comes when the last has
    /// been heard; each silent one is asked again only after all others, so that nobody overtakes himself.
    fn next(&mut self, asked: u32, now: Instant) -> Asked {
        let is_free = |talker: &Participant| talker.free_at.is_some_and(|at| at <= now);
        let talker =
            asked.is_multiple_of(2).then(|| self.talkers.iter().position(is_free)).flatten();
        let count = self.silent.len();
        let participant = match talker {
            Some(place) => &mut self.talkers[place],
            None => &mut self.silent[asked as usize % count],
        };
        participant.muted = !participant.muted;
        participant.free_at = talker.is_none().then_some(now);
        Asked { path: participant.path.clone(), muted: participant.muted, talker }
    }
}

impl Outcome {
    fn note(&mut self, answer: Answer, turns: &mut Turns) {
        let Answer { asked, status, sent, took } = answer;
        self.count(status, took);
        let Some(talker) = asked.talker.and_then(|place| turns.talkers.get_mut(place)) else {
            return;
        };
        talker.free_at = Some(sent + HEARD_APART);
        if status == 200 {
            self.changes.push(Change { leg: talker.leg, muted: asked.muted, sent });
        } else {
            talker.muted = !asked.muted;
        }
    }

    fn count(&mut self, status: u16, took: Duration) {
        self.answered.note(took);
        if status == 200 {
            self.made += 1;
        } else {
            *self.refused.entry(status).or_default() += 1;
        }
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

    #[test]
    fn a_talker_is_asked_again_when_he_was_answered_and_heard() {
        let found = |leg| Found { leg, conference: "CF1".to_owned(), call: format!("CA{leg}") };
        let of = |legs: [usize; 2]| legs.map(|leg| Participant::of(&found(leg))).into();
        let mut turns = Turns { silent: of([2, 3]), talkers: of([0, 4]) };
        let (mut outcome, start) = (Outcome::default(), Instant::now());
        let mut asked: Vec<Asked> = (0..6).map(|turn| turns.next(turn, start)).collect();
        let whose = |asked: &Asked| (asked.talker, asked.muted);
        let expected = [
            (Some(0), true),
            (None, true),
            (Some(1), true),
            (None, false),
            (None, true),
            (None, true),
        ];
        assert_eq!(asked.iter().map(whose).collect::<Vec<_>>(), expected);
        let answer = |asked, status| Answer { asked, status, sent: start, took: Duration::ZERO };
        outcome.note(answer(asked.swap_remove(2), 429), &mut turns);
        outcome.note(answer(asked.swap_remove(0), 200), &mut turns);
        assert_eq!(turns.next(6, start).talker, None);
        assert_eq!(whose(&turns.next(8, start + HEARD_APART)), (Some(0), false));
        // What was refused is asked for anew.
        assert_eq!(whose(&turns.next(10, start + HEARD_APART)), (Some(1), true));
        let changes: Vec<_> = outcome.changes.iter().map(|it| (it.leg, it.muted)).collect();
        assert_eq!((changes, outcome.made), (vec![(0, true)], 1));
    }
}
