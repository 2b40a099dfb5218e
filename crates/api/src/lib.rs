//! Twilio's REST surface 2010-04-01: authentication, form fields, JSON views, paging, error codes.
//!
//! It parses, submits and renders. What a request means is decided below `node`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod accounts;
mod applications;
mod auth;
mod available;
mod callbacks;
mod caller_ids;
mod calls;
pub mod compatibility;
mod conferences;
mod dates;
mod dialling;
mod edges;
mod error;
mod events;
mod feed;
mod form;
mod head_clock;
mod keys;
mod limits;
mod listen;
mod media;
mod messages;
mod mp3;
mod notifications;
mod numbers;
mod paging;
mod participants;
mod paths;
mod phones;
mod queues;
mod recordings;
mod resource;
mod rule;
mod shown;
mod sidetone;
mod sip;
mod stats;
mod timeline;
mod tracks;
mod usage;
mod used;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::{Account, AccountSid, Change, RequestSid};
use node::{Handle, StoreFailed};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::Value;
use tracing::Instrument;

use error::{ApiError, code};
use form::Form;
use limits::InFlight;
use paths::{Found, Resource};
use recordings::Below;

pub use form::read_form;
pub use listen::{CONNECTIONS_MAX, serve};
pub use node::Tls;
pub use stats::{DURATION_BOUNDS_S, RouteStats, Stats};
pub use used::Used;

/// Longest body that is read, in octets.
pub const BODY_MAX: usize = 64 * 1024;
/// Octets of a longer one that are still taken off the wire.
const BODY_READ_MAX: usize = 1024 * 1024;
/// How long a body may take to arrive.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(15);

/// What a handler answers: a status and a body, or an error.
type Answer = Result<(StatusCode, Value), ApiError>;

/// What an answer's body is made of.
enum Content {
    Value(Value),
    /// JSON as it goes out.
    Text(Vec<u8>),
}

/// One authenticated request, taken apart.
struct Request {
    node: Handle,
    method: Method,
    /// Whose resources are meant.
    account: AccountSid,
    /// Whose credentials came along: the account's own or its owner's.
    login: Account,
    /// What stands in the path for names in braces, after the account.
    variables: Vec<String>,
    form: Form,
    id: RequestSid,
    secret: [u8; 32],
}

impl Request {
    /// Asks the store, away from the threads that serve others.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Handle) -> Result<T, StoreFailed> + Send + 'static,
    ) -> Result<T, ApiError> {
        ask(&self.node, question).await
    }

    /// Writes one row and waits for its commit.
    async fn write(&self, change: Change) -> Result<(), ApiError> {
        Ok(self.node.write(vec![change]).await?)
    }

    /// Makes the SID's octets and the secret of something new.
    fn new_secret(&self) -> ([u8; 16], String) {
        let (sid, secret) = self.secret.split_at(16);
        let secret = secret.iter().map(|octet| format!("{octet:02x}")).collect();
        (sid.try_into().expect("half of 32 octets is 16"), secret)
    }
}

async fn ask<T: Send + 'static>(
    node: &Handle,
    question: impl FnOnce(&Handle) -> Result<T, StoreFailed> + Send + 'static,
) -> Result<T, ApiError> {
    let node = node.clone();
    let answer = tokio::task::spawn_blocking(move || question(&node)).await;
    let gone = |_| ApiError::new(503, code::UNAVAILABLE, "the server is shutting down");
    Ok(answer.map_err(gone)??)
}

/// What every request shares.
struct Api {
    node: Handle,
    stats: Arc<Stats>,
    used: Option<Used>,
    logins: Mutex<limits::Logins>,
    in_flight: InFlight,
    encodings: Arc<tokio::sync::Semaphore>,
    random: Mutex<ChaCha12Rng>,
}

/// Returns the service; it counts into `stats` what it answers, and notes in `used` what was used of it.
pub fn router(node: Handle, stats: Arc<Stats>, used: Option<Used>) -> Router {
    let api = Api {
        node,
        stats,
        used,
        logins: Mutex::default(),
        in_flight: InFlight::default(),
        encodings: Arc::new(tokio::sync::Semaphore::new(mp3::ENCODINGS_MAX)),
        random: Mutex::new(ChaCha12Rng::from_os_rng()),
    };
    Router::new().fallback(respond).with_state(Arc::new(api))
}

async fn respond(State(api): State<Arc<Api>>, request: axum::extract::Request) -> Response {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let id = RequestSid::new(api.draw());
    let segments = segments(parts.uri.path());
    let found = segments.as_deref().and_then(paths::find);
    let route = found.as_ref().map_or("none", |found| found.path.template);
    let allowed = found.as_ref().map_or_else(|| "OPTIONS".to_owned(), |found| found.path.allowed());
    let span = tracing::info_span!("request", request.id = %id, method = %parts.method, route);
    let mut concurrent = 0;
    let answer = if parts.method == Method::OPTIONS {
        let found = found.map(|_| StatusCode::NO_CONTENT.into_response());
        found.ok_or_else(ApiError::not_found)
    } else if let Some((found, sound)) = media::wanted(&parts, found.as_ref()) {
        media::answer(&api, &parts, found, sound).instrument(span).await
    } else {
        let answer = answer(&api, &parts, body, segments.is_some(), found, (id, &mut concurrent));
        answer.instrument(span).await.map(|(status, value)| match status {
            StatusCode::NO_CONTENT => status.into_response(),
            status => json(status, value),
        })
    };
    let mut response = answer.unwrap_or_else(|error| error.into_response_at(parts.uri.path()));
    let took = began.elapsed();
    let headers = response.headers_mut();
    headers.reserve(HEADERS_MORE);
    if parts.method == Method::OPTIONS {
        set(headers, header::ALLOW, &allowed);
    }
    set(headers, header::ACCESS_CONTROL_ALLOW_METHODS, &allowed);
    set(headers, REQUEST_ID.clone(), &id.to_string());
    let seconds = format!("{:.3}", took.as_secs_f64());
    set(headers, REQUEST_DURATION.clone(), &seconds);
    let concurrent = concurrent.max(1).to_string();
    set(headers, CONCURRENT_REQUESTS.clone(), &concurrent);
    for (name, value) in &ALWAYS {
        headers.insert(name.clone(), HeaderValue::from_static(value));
    }
    if parts.method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    api.stats.note(route, &parts.method, response.status().as_u16(), took);
    response
}

static REQUEST_ID: HeaderName = HeaderName::from_static("twilio-request-id");
static REQUEST_DURATION: HeaderName = HeaderName::from_static("twilio-request-duration");
static CONCURRENT_REQUESTS: HeaderName = HeaderName::from_static("twilio-concurrent-requests");

/// How many headers an answer gets beside those of its body.
const HEADERS_MORE: usize = ALWAYS.len() + 5;

/// Headers of every answer. Source: those that Twilio's OpenAPI description declares, and those
/// that its answers have.
static ALWAYS: [(HeaderName, &str); 8] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Match, \
         If-Unmodified-Since, Idempotency-Key",
    ),
    (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
    (header::ACCESS_CONTROL_EXPOSE_HEADERS, "ETag, Twilio-Request-Id"),
    (HeaderName::from_static("x-api-domain"), "api.twilio.com"),
    (HeaderName::from_static("x-home-region"), "us1"),
    (HeaderName::from_static("x-shenanigans"), "none"),
    (HeaderName::from_static("x-sidetone-version"), env!("CARGO_PKG_VERSION")),
];

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn json(status: StatusCode, content: Content) -> Response {
    let body = match content {
        Content::Value(value) => Body::from(written(&value)),
        Content::Text(text) => Body::from(text),
    };
    (status, [(header::CONTENT_TYPE, "application/json;charset=utf-8")], body).into_response()
}

/// Writes JSON at once: its [`Display`](std::fmt::Display) does it piece by piece.
fn written(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("a value has only strings for keys")
}

/// Takes a path apart; nothing where it cannot be decoded. `.json` says only what everyone gets.
fn segments(path: &str) -> Option<Vec<String>> {
    let path = path.strip_suffix(".json").unwrap_or(path);
    path.split('/').skip(1).map(form::percent_decoded).collect()
}

async fn answer(
    api: &Api,
    parts: &Parts,
    body: Body,
    decoded: bool,
    found: Option<Found>,
    (id, concurrent): (RequestSid, &mut usize),
) -> Result<(StatusCode, Content), ApiError> {
    let login = api.authenticate(parts).await?;
    let in_flight = api.in_flight.begin(login.sid, api.node.api_concurrency())?;
    *concurrent = in_flight.count;
    if !decoded {
        return Err(ApiError::invalid("path", "it is no percent-encoded UTF-8"));
    }
    let found = found.ok_or_else(ApiError::not_found)?;
    if !found.path.allows(&parts.method) {
        return Err(ApiError::method_not_allowed(found.path.allowed()));
    }
    let account = whose(&api.node, &login, &found, &parts.method)?;
    let Some(resource) = found.path.resource(&parts.method) else {
        return Err(ApiError::not_built(&format!("{} {}", parts.method, found.path.template)));
    };
    let body = read(body).await?;
    let mut form = Form::read(parts.uri.query().unwrap_or_default(), &parts.headers, &body)?;
    let method = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
    let mut secret = [0; 32];
    api.random().fill_bytes(&mut secret);
    let template = found.path.template;
    let used = api.used.as_ref().map(|used| (used, Used::begin(&method, template, &mut form)));
    let (node, variables) = (api.node.clone(), found.variables);
    let request = Request { node, method, account, login, variables, form, id, secret };
    // The long lists are written as they are read.
    let answer = match (resource, request.method == Method::GET) {
        (Resource::Calls, true) => calls::list(request).await.map(page),
        (Resource::Conferences, true) => conferences::list(request).await.map(page),
        _ => {
            let answer = dispatch(resource, request).await;
            answer.map(|(status, value)| (status, Content::Value(value)))
        }
    };
    if let (Some((used, noted)), Ok(_)) = (used, &answer) {
        used.note(&noted);
    }
    answer
}

fn page(text: Vec<u8>) -> (StatusCode, Content) {
    (StatusCode::OK, Content::Text(text))
}

/// Returns whose resources a path names: the account's own, or those of a part of it.
fn whose(
    node: &Handle,
    login: &Account,
    found: &Found,
    method: &Method,
) -> Result<AccountSid, ApiError> {
    if !login.is_active() {
        return Err(ApiError::not_active());
    }
    let Some(sid) = &found.account else { return Ok(login.sid) };
    let account = sid.parse().ok().and_then(|sid| node.accounts().get(sid));
    // Another's account is as unknown as one that there is not.
    let account = account
        .filter(|account| account.sid == login.sid || account.owner == login.sid)
        .ok_or_else(ApiError::not_found)?;
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let itself = found.path.resource(method) == Some(Resource::Account);
    if account.is_active() || reads || itself {
        Ok(account.sid)
    } else {
        Err(ApiError::not_active())
    }
}

async fn dispatch(resource: Resource, request: Request) -> Answer {
    match resource {
        Resource::Accounts => accounts::all(request).await,
        Resource::Account => accounts::one(request).await,
        Resource::List(table) => resource::all(table, request).await,
        Resource::Item(table) => resource::one(table, request).await,
        Resource::Mappings(table) => sip::mappings(table, request).await,
        Resource::Mapping(table) => sip::one_mapping(table, request).await,
        Resource::SipList(table) => sip::one_list(table, request).await,
        Resource::Numbers(only) => numbers::all(request, only).await,
        Resource::Number => numbers::one(request).await,
        Resource::Countries => available::countries(request).await,
        Resource::Country => available::country(request).await,
        Resource::Available(of_type) => available::of_type(request, of_type).await,
        Resource::Calls => calls::create(&request).await,
        Resource::Call => calls::one(request).await,
        Resource::Conferences => Err(ApiError::not_found()),
        Resource::Conference => conferences::one(request).await,
        Resource::Participants => participants::all(request).await,
        Resource::Participant => participants::one(request).await,
        Resource::Recordings => recordings::all(request, Below::Account).await,
        Resource::Recording => recordings::one(request, Below::Account).await,
        Resource::ConferenceRecordings => recordings::all(request, Below::Conference).await,
        Resource::ConferenceRecording => recordings::one(request, Below::Conference).await,
        Resource::CallRecordings => recordings::all(request, Below::Call).await,
        Resource::CallRecording => recordings::one(request, Below::Call).await,
        Resource::Keys => keys::all(request, false).await,
        Resource::SigningKeys => keys::all(request, true).await,
        Resource::Balance => usage::balance(&request),
        Resource::Usage(span, below) => usage::records(request, span, below).await,
        Resource::Messages => messages::all(request).await,
        Resource::Message => messages::one(request).await,
        Resource::Media => messages::media(request).await,
        Resource::CallerIds => caller_ids::all(request).await,
        Resource::CallerId => caller_ids::one(request).await,
        Resource::Events => events::all(request).await,
        Resource::Key => keys::one(request).await,
        Resource::Notifications => notifications::all(request).await,
        Resource::Notification => notifications::one(request).await,
        Resource::Queues => queues::all(request).await,
        Resource::Queue => queues::one(request).await,
        Resource::QueueMembers => queues::members(request).await,
        Resource::QueueMember => queues::member(request).await,
        Resource::Audibility => sidetone::audibility(request).await,
        Resource::Edges => edges::one(request).await,
        Resource::Timeline => timeline::all(request).await,
        Resource::RecordingTimeline => tracks::timeline(request).await,
        Resource::Listen => sidetone::listen(request).await,
        Resource::Feed => feed::all(request).await,
        Resource::Phones => phones::all(&request),
        Resource::Phone => phones::one(&request),
        Resource::Callbacks => callbacks::all(request).await,
        Resource::Callback => callbacks::one(request).await,
        Resource::CallbackReplay => callbacks::replay(request).await,
    }
}

/// Reads a body. One that is somewhat too long is read to its end all the same, so that its sender
/// comes to hear the answer.
async fn read(mut body: Body) -> Result<Vec<u8>, ApiError> {
    let reading = async {
        let (mut octets, mut length) = (Vec::new(), 0);
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let broken = |_| ApiError::new(400, code::BAD_REQUEST, "The body broke off");
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            length += data.len();
            if length <= BODY_MAX {
                octets.extend_from_slice(&data);
            }
            if length > BODY_READ_MAX {
                break;
            }
        }
        if length > BODY_MAX {
            let message = format!("The body is longer than {BODY_MAX} octets");
            return Err(ApiError::new(413, code::BAD_REQUEST, &message));
        }
        Ok(octets)
    };
    let late = |_| ApiError::new(408, code::BAD_REQUEST, "The body took too long");
    tokio::time::timeout(BODY_TIME_MAX, reading).await.map_err(late)?
}

impl Api {
    /// Says whose credentials came with a request, unless its source has failed too often.
    async fn authenticate(&self, parts: &Parts) -> Result<Account, ApiError> {
        let source = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let logins = || self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pause) = source.and_then(|source| logins().blocked(source, Instant::now())) {
            return Err(ApiError::too_many("Too many failed logins", pause));
        }
        let result = auth::authenticate(&self.node, &parts.headers).await;
        if let (Err(error), Some(source)) = (&result, source)
            && error.is_unauthorized()
        {
            logins().failed(source, Instant::now());
        }
        result
    }

    fn random(&self) -> std::sync::MutexGuard<'_, ChaCha12Rng> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self) -> [u8; 16] {
        let mut octets = [0; 16];
        self.random().fill_bytes(&mut octets);
        octets
    }
}
