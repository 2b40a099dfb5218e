//! Sends requests: signed, guarded, redirected, within limits of time and size.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LOCATION, SET_COOKIE,
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use url::Url;

use crate::address::Address;
use crate::cache::{Cache, Found};
use crate::connect::{TRY, Try, Watch};
use crate::cookies::Jar;
use crate::failure::{classify, is_closed_early};
use crate::gate::Gate;
use crate::guard::{Checked, Lookup, system_lookup};
use crate::{Failure, Guard, Outcome, Overrides, Request, Response, signature};

/// Most redirects that are followed.
pub const REDIRECTS_MAX: usize = 10;
/// What a body may have without counting.
const BODY_SMALL: usize = 512 * 1024;
/// Octets of longer bodies on their way that said how long they are, of all requests together.
const DECLARED_MAX: usize = 48 * 1024 * 1024;
/// Longer bodies on their way that did not say it.
const UNDECLARED_MAX: usize = 1;
/// Calls whose cookies are kept; beyond, those that were not used for the longest go.
const JARS_MAX: usize = 4_096;
/// How long a connection is kept for the next request: less than receivers keep it open.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// Connections that are kept for one receiver: as many as callbacks go to it at the same time.
const IDLE_PER_HOST_MAX: usize = 32;
/// How much of a body that nobody reads is taken off the connection, to use that again, and how
/// long that may take.
const IGNORED_MAX: usize = 16 * 1024;
const IGNORED_TIME_MAX: Duration = Duration::from_millis(100);

/// Sends requests. Cloning gives another handle on the same connections, cookies and cache.
#[derive(Debug, Clone)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    /// Keeps no connection.
    fresh: reqwest::Client,
    /// Keeps none either.
    without_sni: reqwest::Client,
    guard: Guard,
    gate: Gate,
    declared: Semaphore,
    undeclared: Semaphore,
    cache: Mutex<Cache>,
    jars: Mutex<Jars>,
}

#[derive(Debug, Default)]
struct Jars {
    /// By call, with the number of its last use.
    jars: BTreeMap<String, (u64, Jar)>,
    uses: u64,
}

impl Jars {
    fn of(&mut self, call: &str) -> &mut Jar {
        if !self.jars.contains_key(call) && self.jars.len() >= JARS_MAX {
            let oldest = self.jars.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(call, _)| call.clone()) {
                self.jars.remove(&oldest);
            }
        }
        self.uses += 1;
        let (used, jar) = self.jars.entry(call.to_owned()).or_default();
        *used = self.uses;
        jar
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one hop came to.
enum Hop {
    Answer(Response),
    Redirect { status: u16, from: Url, location: String },
}

impl Client {
    /// Makes a client that reaches what `guard` allows.
    ///
    /// # Errors
    /// When the system has no usable TLS set-up.
    pub fn new(guard: Guard) -> Result<Self, Failure> {
        Self::with_lookup(guard, &system_lookup())
    }

    pub(crate) fn with_lookup(guard: Guard, lookup: &Lookup) -> Result<Self, Failure> {
        let build = |sni, idle| {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .http1_only()
                .tls_sni(sni)
                .pool_idle_timeout(IDLE_MAX)
                .pool_max_idle_per_host(idle)
                .user_agent(concat!("Sidetone/", env!("CARGO_PKG_VERSION")))
                .dns_resolver(Arc::new(Checked { guard, lookup: Arc::clone(lookup) }))
                .connector_layer(Watch)
                .build()
                .map_err(|error| Failure::new(11220, error.to_string()))
        };
        Ok(Self(Arc::new(Shared {
            http: build(true, IDLE_PER_HOST_MAX)?,
            fresh: build(true, 0)?,
            without_sni: build(false, 0)?,
            guard,
            gate: Gate::new(),
            declared: Semaphore::new(DECLARED_MAX),
            undeclared: Semaphore::new(UNDECLARED_MAX),
            cache: Mutex::default(),
            jars: Mutex::default(),
        })))
    }

    /// Asks for a document: waits for its turn, answers from the cache where that holds, and tries
    /// again as the address's fragment says, all within its time.
    ///
    /// # Errors
    /// What the last try came to; an HTTP error status is none.
    pub async fn fetch(&self, request: &Request) -> Result<Response, Failure> {
        let overrides = Overrides::of(&request.url);
        let _turn = self.0.gate.enter(Address::origin(&request.url)).await?;
        let until = Instant::now() + overrides.total;
        let mut retries = overrides.retries;
        loop {
            let result = self.send(request, &overrides, until).await;
            let outcome = match &result {
                Ok(response) => Outcome::Answered(response.status),
                Err(failure) => Outcome::Failed(failure.stage),
            };
            if retries == 0 || Instant::now() >= until || !overrides.retries_on(outcome) {
                return result;
            }
            retries -= 1;
        }
    }

    /// Sends a request once and reads its answer; redirects are followed.
    ///
    /// # Errors
    /// 11100 for a bad address, 11200 where nobody answers in time, 11205 where no connection
    /// comes up or it is forbidden, 11206 for what is no HTTP, 11210 for an unknown host, 11215
    /// for too many redirects, 11220 and 11235 to 11237 for TLS, and what `request.judge` says.
    pub async fn send(
        &self,
        request: &Request,
        overrides: &Overrides,
        until: Instant,
    ) -> Result<Response, Failure> {
        let followed = tokio::time::timeout_at(until, self.follow(request, overrides)).await;
        followed.unwrap_or_else(|_| {
            let limit = overrides.total.as_millis();
            Err(Failure::read(format!("{} took longer than {limit} ms", request.url)))
        })
    }

    async fn follow(&self, request: &Request, overrides: &Overrides) -> Result<Response, Failure> {
        let mut request = request.clone();
        for _ in 0..=REDIRECTS_MAX {
            let (status, from, location) = match self.hop(&request, overrides).await? {
                Hop::Answer(response) => return Ok(response),
                Hop::Redirect { status, from, location } => (status, from, location),
            };
            let absolute = Url::parse(&location).map(|_| location.clone());
            let next = absolute.or_else(|_| from.join(&location).map(String::from));
            let told = || format!("{from} redirects to {location}");
            let next = next.map_err(|_| Failure::new(11100, told()))?;
            if from.scheme() == "https" && !next.to_ascii_lowercase().starts_with("https:") {
                return Err(Failure::new(11200, format!("{}, which is not secure", told())));
            }
            request.url = next;
            // 307 and 308 alone keep the method and the fields that are a body.
            let keeps = matches!(status, 307 | 308);
            if !keeps && request.method != "HEAD" {
                request.method = "GET".to_owned();
            }
            if !keeps || in_query(&request.method) {
                request.params = Arc::default();
            }
        }
        Err(Failure::new(11215, format!("more than {REDIRECTS_MAX} redirects, to {}", request.url)))
    }

    async fn hop(&self, request: &Request, overrides: &Overrides) -> Result<Hop, Failure> {
        let in_query = in_query(&request.method);
        let address = Address::read(&request.url, if in_query { &request.params } else { &[] })?;
        if !self.0.guard.allows_host(&address.wire) {
            let message = format!("{} is not allowed to be reached", address.signed);
            return Err(Failure { stage: crate::Stage::Connect, ..Failure::new(11205, message) });
        }
        let cached = request.judge.is_some() && request.method == "GET";
        let found = if cached {
            lock(&self.0.cache).find(&address.signed, std::time::Instant::now())
        } else {
            Found::Nothing
        };
        let (etag, modified) = match found {
            Found::Fresh(response) => return Ok(Hop::Answer(response)),
            Found::Stale(etag, modified) => (etag, modified),
            Found::Nothing => (None, None),
        };
        let body: &[(String, String)] = if in_query { &[] } else { &request.params };
        let mut headers = self.headers(request, &address, body)?;
        for (name, value) in [(IF_NONE_MATCH, etag), (IF_MODIFIED_SINCE, modified)] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(name, value);
            }
        }
        let form = (!in_query).then(|| {
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(body).finish()
        });
        let response = self.exchange(request, &address, (headers, form), overrides).await?;
        self.answer(request, &address, response, overrides, cached).await
    }

    fn headers(
        &self,
        request: &Request,
        address: &Address,
        body: &[(String, String)],
    ) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: &str| {
            let value = HeaderValue::from_str(value)
                .map_err(|_| Failure::new(11100, format!("{value:?} cannot be sent")))?;
            headers.insert(name, value);
            Ok(())
        };
        set(HOST, &address.host)?;
        set(ACCEPT, "*/*")?;
        let signed = signature(&request.auth_token, &address.signed, body);
        set(HeaderName::from_static("x-twilio-signature"), &signed)?;
        if let Some(token) = &request.idempotency_token {
            set(HeaderName::from_static("i-twilio-idempotency-token"), token)?;
        }
        if let Some(call) = &request.jar {
            let cookies = lock(&self.0.jars).of(call).header(&address.wire, SystemTime::now());
            if let Some(cookies) = cookies {
                set(COOKIE, &cookies)?;
            }
        }
        Ok(headers)
    }

    /// Sends one request and returns once the head of its answer is there.
    async fn exchange(
        &self,
        request: &Request,
        address: &Address,
        (headers, form): (HeaderMap, Option<String>),
        overrides: &Overrides,
    ) -> Result<reqwest::Response, Failure> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|_| Failure::new(11200, format!("{:?} is no method", request.method)))?;
        let mut http = if overrides.sni { &self.0.http } else { &self.0.without_sni };
        loop {
            let mut builder =
                http.request(method.clone(), address.wire.clone()).headers(headers.clone());
            if let Some(form) = &form {
                let kind = "application/x-www-form-urlencoded; charset=utf-8";
                builder = builder.header(CONTENT_TYPE, kind).body(form.clone());
            }
            let this = Try::new(overrides.connect);
            let sent = tokio::select! {
                sent = TRY.scope(Arc::clone(&this), builder.send()) => sent,
                () = this.silence(overrides.read) => {
                    let limit = overrides.read.as_millis();
                    let message = format!("{} did not answer within {limit} ms", address.signed);
                    return Err(Failure::read(message));
                }
            };
            match sent {
                Ok(response) => return Ok(response),
                // A receiver may close a kept connection in the very moment in which it is used.
                Err(error) if this.reused() && is_closed_early(&error) => http = &self.0.fresh,
                Err(error) => return Err(classify(&error, &address.signed)),
            }
        }
    }

    async fn answer(
        &self,
        request: &Request,
        address: &Address,
        response: reqwest::Response,
        overrides: &Overrides,
        cached: bool,
    ) -> Result<Hop, Failure> {
        let headers = response.headers().clone();
        let status = response.status().as_u16();
        let times = (std::time::Instant::now(), SystemTime::now());
        if let Some(call) = &request.jar {
            let mut jars = lock(&self.0.jars);
            for cookie in headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok())
            {
                jars.of(call).set(&address.wire, cookie, times.1);
            }
        }
        if status == 304 && cached {
            let kept = lock(&self.0.cache).confirm(&address.signed, &headers, times);
            return kept.map(Hop::Answer).ok_or_else(|| {
                Failure::new(11200, format!("{} answers 304 unasked", address.signed))
            });
        }
        let text = |name: HeaderName| Some(headers.get(name)?.to_str().ok()?.to_owned());
        if matches!(status, 301 | 302 | 303 | 307 | 308)
            && let Some(location) = text(LOCATION)
        {
            ignore(response).await;
            return Ok(Hop::Redirect { status, from: address.wire.clone(), location });
        }
        let (content_type, charset) = kind(&text(CONTENT_TYPE).unwrap_or_default());
        let mut url = address.wire.clone();
        url.set_fragment(None);
        let mut answer =
            Response { status, content_type, charset, body: Arc::default(), url: url.into() };
        let Some(judge) = request.judge.filter(|_| status < 400) else {
            ignore(response).await;
            return Ok(Hop::Answer(answer));
        };
        let max = judge(&answer)?;
        answer.body = Arc::new(self.body(response, &answer.url, max, overrides.read).await?);
        if cached && !(headers.contains_key(SET_COOKIE)) {
            lock(&self.0.cache).keep(&address.signed, &answer, &headers, times);
        }
        Ok(Hop::Answer(answer))
    }

    /// Reads a body of at most `max` octets, decompressed as it comes.
    async fn body(
        &self,
        mut response: reqwest::Response,
        url: &str,
        max: usize,
        silence: Duration,
    ) -> Result<Vec<u8>, Failure> {
        let too_long = || Failure::new(11750, format!("{url} answers with more than {max} octets"));
        let declared = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let declared: Option<usize> = declared.and_then(|text| text.parse().ok());
        if declared.is_some_and(|length| length > max) {
            return Err(too_long());
        }
        let mut body = Vec::new();
        let mut share: Option<SemaphorePermit<'_>> = None;
        loop {
            let chunk = tokio::time::timeout(silence, response.chunk()).await.map_err(|_| {
                Failure::read(format!("{url} fell silent for {} ms", silence.as_millis()))
            })?;
            let Some(chunk) = chunk.map_err(|error| classify(&error, url))? else { break };
            if body.len() + chunk.len() > max {
                return Err(too_long());
            }
            if body.len() + chunk.len() > BODY_SMALL && share.is_none() {
                share = Some(self.share(declared).await?);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl Client {
    /// Waits until there is room for a long body: all of it at once, so that no two wait for each
    /// other.
    async fn share(&self, declared: Option<usize>) -> Result<SemaphorePermit<'_>, Failure> {
        let share = match declared.and_then(|length| u32::try_from(length).ok()) {
            Some(length) => self.0.declared.acquire_many(length).await,
            None => self.0.undeclared.acquire().await,
        };
        share.map_err(|_| Failure::new(11200, "the server stops"))
    }
}

fn in_query(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "DELETE")
}

/// Returns a content type in lower case without parameters, and its charset.
fn kind(header: &str) -> (String, Option<String>) {
    let mut parts = header.split(';');
    let kind = parts.next().unwrap_or_default().trim().to_lowercase();
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let charset = name.trim().eq_ignore_ascii_case("charset");
        charset.then(|| value.trim().trim_matches(['"', '\'']).to_lowercase())
    });
    (kind, charset)
}

/// Takes a body off the connection that nobody reads, if it is short and there at once.
async fn ignore(mut response: reqwest::Response) {
    let taken = async {
        let mut left = IGNORED_MAX;
        while let Ok(Some(chunk)) = response.chunk().await
            && chunk.len() <= left
        {
            left -= chunk.len();
        }
    };
    let _ = tokio::time::timeout(IGNORED_TIME_MAX, taken).await;
}
