//! Requests as fast as they are answered: so many at once, one sort after the other, from one thread.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sim::load::{Times, Usage};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::rest::ANSWER_WITHIN;

/// Most requests at once.
pub const AT_ONCE_MAX: usize = 64;
/// What of its time passes before a sort counts: whoever compiles as he runs has compiled then.
const WARM_UP: u32 = 4;
/// Whoever spends more of its time on a sort than this was what limited it.
pub const OWN_SHARE_MAX: f64 = 0.9;

/// A sort of request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// What it is called.
    pub name: &'static str,
    /// Asked for in turn.
    pub paths: Vec<String>,
    /// What is posted: the first to each path, then the second, and so on; none: the paths are fetched.
    pub bodies: &'static [&'static str],
}

impl Sort {
    /// Makes one that fetches.
    pub fn fetch(name: &'static str, paths: Vec<String>) -> Self {
        Self { name, paths, bodies: &[] }
    }
}

/// Where requests go.
#[derive(Debug, Clone)]
pub struct Target {
    address: SocketAddr,
    authorization: String,
}

impl Target {
    /// Reads `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// One line, where it is none.
    pub fn parse(url: &str, (user, password): &(String, String)) -> Result<Self, String> {
        let address =
            url.strip_prefix("http://").and_then(|it| it.trim_end_matches('/').parse().ok());
        let address =
            address.ok_or(format!("{url:?} is no address such as http://127.0.0.1:8080"))?;
        let authorization = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        Ok(Self { address, authorization })
    }

    /// Returns where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    async fn connect(&self) -> Result<SendRequest<String>, String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", self.address);
        let stream = TcpStream::connect(self.address).await.map_err(|error| told(&error))?;
        stream.set_nodelay(true).map_err(|error| told(&error))?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| told(&error))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn request(&self, sort: &Sort, number: usize) -> Result<Request<String>, hyper::http::Error> {
        let path = sort.paths[number % sort.paths.len()].as_str();
        let round = number / sort.paths.len();
        let body = sort.bodies.get(round % sort.bodies.len().max(1)).copied();
        let request = Request::builder()
            .method(if body.is_some() { "POST" } else { "GET" })
            .uri(path)
            .header("Host", self.address.to_string())
            .header("Authorization", &self.authorization);
        match body {
            Some(body) => request
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body(body.to_owned()),
            None => request.body(String::new()),
        }
    }
}

/// What became of a sort.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What the sort is called.
    pub name: &'static str,
    /// For how long it counted.
    pub seconds: f64,
    /// From a request to the end of its answer.
    pub answered: Times,
    /// Answers, by status; 0 is none.
    pub statuses: BTreeMap<u16, u64>,
    /// Octets of all answers' bodies.
    pub octets: u64,
    /// Which part of its time our own thread worked.
    pub own_share: Option<f64>,
}

impl Outcome {
    fn note(&mut self, status: u16, octets: u64, took: Duration) {
        self.answered.note(took);
        *self.statuses.entry(status).or_default() += 1;
        self.octets += octets;
    }

    fn add(&mut self, other: &Self) {
        self.answered.add(&other.answered);
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.octets += other.octets;
    }

    /// Returns answers in a second.
    pub fn rate(&self) -> f64 {
        self.answered.count() as f64 / self.seconds.max(0.001)
    }
}

/// Asks for each sort in turn, with so many requests at once, and shares the time among them. Blocks; it is
/// to be the only work of this thread.
///
/// # Errors
/// One line, where nobody takes connections.
pub fn drive(
    target: &Target,
    sorts: &[Sort],
    at_once: usize,
    length: Duration,
) -> Result<Vec<Outcome>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let each = length / u32::try_from(sorts.len().max(1)).unwrap_or(1);
    let mut outcomes = Vec::new();
    for sort in sorts.iter().filter(|sort| !sort.paths.is_empty()) {
        outcomes.push(runtime.block_on(ask(target, sort, at_once, each))?);
    }
    Ok(outcomes)
}

async fn ask(
    target: &Target,
    sort: &Sort,
    at_once: usize,
    length: Duration,
) -> Result<Outcome, String> {
    let counts = Instant::now() + length / WARM_UP;
    let ends = counts + length - length / WARM_UP;
    let (shared, next) = (Arc::new((target.clone(), sort.clone())), Arc::new(AtomicUsize::new(0)));
    let mut workers = JoinSet::new();
    for _ in 0..at_once {
        let connection = target.connect().await?;
        workers.spawn(work(connection, Arc::clone(&shared), Arc::clone(&next), counts, ends));
    }
    tokio::time::sleep_until(counts.into()).await;
    let (begun, before) = (Instant::now(), Usage::of_this_thread());
    tokio::time::sleep_until(ends.into()).await;
    let (seconds, after) = (begun.elapsed().as_secs_f64(), Usage::of_this_thread());
    let mut outcome = Outcome { name: sort.name, seconds, ..Outcome::default() };
    if let (Some(before), Some(after)) = (before, after) {
        outcome.own_share = Some(after.cpu.saturating_sub(before.cpu).as_secs_f64() / seconds);
    }
    while let Some(part) = workers.join_next().await {
        outcome.add(&part.map_err(|error| error.to_string())?);
    }
    Ok(outcome)
}

/// Asks on one connection, one request after the other.
async fn work(
    mut connection: SendRequest<String>,
    shared: Arc<(Target, Sort)>,
    next: Arc<AtomicUsize>,
    counts: Instant,
    ends: Instant,
) -> Outcome {
    let (target, sort) = &*shared;
    let mut outcome = Outcome::default();
    loop {
        let begun = Instant::now();
        // One is counted also where it takes longer than there is time.
        if begun >= ends && outcome.answered.count() > 0 {
            return outcome;
        }
        let request = target.request(sort, next.fetch_add(1, Ordering::Relaxed));
        let Ok(request) = request else { return outcome };
        let left = (ends + ANSWER_WITHIN).saturating_duration_since(begun);
        let answer = tokio::time::timeout(left, answer(&mut connection, request)).await;
        let answer = answer.ok().and_then(Result::ok);
        if begun >= counts {
            let (status, octets) = answer.unwrap_or_default();
            outcome.note(status, octets, begun.elapsed());
        }
        if answer.is_none() {
            match target.connect().await {
                Ok(another) => connection = another,
                Err(_) => return outcome,
            }
        }
    }
}

/// Returns the status of an answer and the length of its body, which is read to its end.
async fn answer(
    connection: &mut SendRequest<String>,
    request: Request<String>,
) -> hyper::Result<(u16, u64)> {
    connection.ready().await?;
    let response: Response<Incoming> = connection.send_request(request).await?;
    let status = response.status().as_u16();
    let (mut body, mut octets) = (response.into_body(), 0);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        octets += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok((status, octets))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_answer_is_counted_by_its_status() {
        let router = Router::new()
            .route("/fetched", get(|| async { "four" }).post(|body: String| async move { body }))
            .route("/refused", get(|| async { StatusCode::NOT_FOUND }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let target = Target::parse(&url, &("AC1".to_owned(), "secret".to_owned())).unwrap();
        let sorts = [
            Sort::fetch("fetched", vec!["/fetched".to_owned()]),
            Sort::fetch("refused", vec!["/refused".to_owned()]),
            Sort { name: "posted", paths: vec!["/fetched".to_owned()], bodies: &["a=1", "a=22"] },
        ];
        let drive = move || drive(&target, &sorts, 2, Duration::from_secs(3));
        let outcomes = tokio::task::spawn_blocking(drive).await.unwrap().unwrap();
        let statuses = |index: usize| outcomes[index].statuses.keys().copied().collect::<Vec<_>>();
        assert_eq!((statuses(0), statuses(1), statuses(2)), (vec![200], vec![404], vec![200]));
        let count = outcomes[0].answered.count();
        assert!(count > 0 && outcomes[0].rate() > 0.0);
        assert_eq!(outcomes[0].octets, 4 * count);
        let posted = &outcomes[2];
        assert!(
            (3 * posted.answered.count()..=4 * posted.answered.count()).contains(&posted.octets)
        );
    }

    #[test]
    fn where_nobody_listens_nothing_is_measured() {
        let login = (String::new(), String::new());
        assert!(Target::parse("https://127.0.0.1:1", &login).is_err());
        let target = Target::parse("http://127.0.0.1:1/", &login).unwrap();
        let sorts = [Sort::fetch("any", vec!["/".to_owned()])];
        assert!(drive(&target, &sorts, 1, Duration::from_secs(1)).is_err());
    }
}
