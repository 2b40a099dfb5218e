//! Signed HTTP to customers: documents that are fetched, callbacks that are told.
//!
//! Hides the signature, the address guard, redirects, time limits and size limits. What a document
//! means, and whether a callback is tried again, is decided elsewhere.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod guard;
mod sign;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use url::Url;

pub use guard::Guard;
pub use sign::signature;

/// Most redirects that are followed.
pub const REDIRECTS_MAX: usize = 5;
/// How long an answer may take, from the first octet sent to the last one read.
pub const TIME_MAX: Duration = Duration::from_secs(15);
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Absolute, http or https; user and password in it authenticate.
    pub url: String,
    /// In upper case.
    pub method: String,
    /// The form fields: the query of a GET, the body of a POST.
    pub params: Vec<(String, String)>,
    /// The key of the signature.
    pub auth_token: String,
    /// The same for every try of one event.
    pub idempotency_token: Option<String>,
    /// Longest body that is read.
    pub body_max: usize,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// In lower case, without parameters.
    pub content_type: String,
    /// The body, decompressed.
    pub body: Vec<u8>,
    /// Where it came from in the end.
    pub url: String,
}

/// Why there is no answer, under the code that the debugger log shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Twilio's code.
    pub code: u32,
    /// What happened, in a sentence.
    pub message: String,
}

fn failed<T>(code: u32, message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure { code, message: message.into() })
}

/// Sends requests.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    guard: Guard,
}

impl Client {
    /// Makes a client that reaches what `guard` allows.
    ///
    /// # Errors
    /// When the system has no usable TLS set-up.
    pub fn new(guard: Guard) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_MAX)
            .timeout(TIME_MAX)
            .no_proxy()
            .user_agent(concat!("Sidetone/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(guard))
            .build();
        match http {
            Ok(http) => Ok(Self { http, guard }),
            Err(error) => failed(11200, error.to_string()),
        }
    }

    /// Sends a request and reads its answer; redirects are followed by GET.
    ///
    /// # Errors
    /// 11100 for a bad address, 11200 where nobody answers or too much does, 11205 where no
    /// connection comes up or it is forbidden, 11215 for too many redirects.
    pub async fn send(&self, request: &Request) -> Result<Response, Failure> {
        let mut request = request.clone();
        for _ in 0..=REDIRECTS_MAX {
            let (response, location) = self.once(&request).await?;
            let Some(location) = location else { return Ok(response) };
            let base = Url::parse(&response.url).ok();
            let Some(next) = base.and_then(|base| base.join(&location).ok()) else {
                return failed(11100, format!("redirected to {location}"));
            };
            request.url = next.into();
            request.method = "GET".to_owned();
        }
        failed(11215, format!("{} redirected too often", request.url))
    }

    async fn once(&self, request: &Request) -> Result<(Response, Option<String>), Failure> {
        let Ok(mut url) = Url::parse(&request.url) else {
            return failed(11100, format!("{} is not an address", request.url));
        };
        if !matches!(url.scheme(), "http" | "https") {
            return failed(11100, format!("{} is neither http nor https", request.url));
        }
        url.set_fragment(None);
        if !self.guard.allows_host(&url) {
            return failed(11205, format!("{} is not allowed to be reached", request.url));
        }
        let in_query = matches!(request.method.as_str(), "GET" | "HEAD" | "DELETE");
        if in_query && !request.params.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.params);
        }
        let body: &[(String, String)] = if in_query { &[] } else { &request.params };
        let signed = signature(&request.auth_token, url.as_str(), body);
        let method = reqwest::Method::from_bytes(request.method.as_bytes());
        let Ok(method) = method else { return failed(11200, "no such method") };
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        set("x-twilio-signature", &signed);
        set("accept", "*/*");
        if let Some(token) = &request.idempotency_token {
            set("i-twilio-idempotency-token", token);
        }
        let mut builder = self.http.request(method, url.clone()).headers(headers);
        if !in_query {
            let form = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&request.params)
                .finish();
            builder = builder
                .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
                .body(form);
        }
        match builder.send().await {
            Ok(response) => read(response, request.body_max).await,
            Err(error) if error.is_timeout() => failed(11200, format!("{url} took too long")),
            Err(error) => failed(11205, format!("{url}: {error}")),
        }
    }
}

async fn read(
    mut response: reqwest::Response,
    body_max: usize,
) -> Result<(Response, Option<String>), Failure> {
    let url = response.url().to_string();
    let status = response.status();
    let text = |name: HeaderName| -> Option<String> {
        Some(response.headers().get(name)?.to_str().ok()?.to_owned())
    };
    let location = text(LOCATION).filter(|_| status.is_redirection());
    let content_type = text(reqwest::header::CONTENT_TYPE).unwrap_or_default();
    let content_type = content_type.split(';').next().unwrap_or_default().trim().to_lowercase();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > body_max => {
                return failed(11200, format!("{url} answers with more than {body_max} octets"));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => return failed(11200, format!("{url}: {error}")),
        }
    }
    Ok((Response { status: status.as_u16(), content_type, body, url }, location))
}
