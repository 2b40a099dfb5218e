//! A customer's web server: it serves TwiML and sound, takes callbacks, and remembers who asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::judge;

/// One request that reached the origin.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The HTTP method.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// The query as it was sent.
    pub query: String,
    /// The fields of the query and of the body, in order.
    pub params: Vec<(String, String)>,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Asked {
    /// Returns a field, empty where it was not sent.
    pub fn param(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// Returns a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Default)]
struct Shared {
    /// By path: the type and the body.
    documents: BTreeMap<String, (String, Vec<u8>)>,
    /// By path: what is answered in place of a document; none: nothing ever.
    failures: BTreeMap<String, Option<StatusCode>>,
    /// TwiML for a call in, by the user that is dialled.
    voices: BTreeMap<String, String>,
    asked: Vec<Asked>,
}

/// The server; it ends with the test's runtime.
#[derive(Debug, Clone)]
pub struct Origin {
    shared: Arc<Mutex<Shared>>,
    address: SocketAddr,
}

impl Origin {
    /// Listens on a free port of loopback.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let origin = Self { shared: Arc::default(), address };
        let router = Router::new().fallback(serve).with_state(origin.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        origin
    }

    /// Returns the address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Serves a document at `path`, whatever the method, and returns its address.
    pub fn serves(&self, path: &str, kind: &str, body: impl Into<Vec<u8>>) -> String {
        self.lock().documents.insert(path.to_owned(), (kind.to_owned(), body.into()));
        self.url(path)
    }

    /// Serves TwiML.
    pub fn serves_twiml(&self, path: &str, verbs: &str) -> String {
        self.serves(path, "text/xml", format!("<Response>{verbs}</Response>"))
    }

    /// Answers `/voice` with this TwiML when `sip:USER@...` is dialled.
    pub fn answers(&self, user: &str, verbs: &str) {
        self.lock().voices.insert(user.to_owned(), format!("<Response>{verbs}</Response>"));
    }

    /// Answers a path with an HTTP status and nothing else, and returns its address.
    pub fn fails(&self, path: &str, status: u16) -> String {
        let status = StatusCode::from_u16(status).unwrap();
        self.lock().failures.insert(path.to_owned(), Some(status));
        self.url(path)
    }

    /// Takes requests for a path and never answers them; returns its address.
    pub fn keeps_silent(&self, path: &str) -> String {
        self.lock().failures.insert(path.to_owned(), None);
        self.url(path)
    }

    /// Returns what was asked at `path` so far, in order.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        self.lock().asked.iter().filter(|asked| asked.path == path).cloned().collect()
    }

    /// Returns which of the requests are signed, for [`crate::valid_signatures`].
    pub fn signed(&self, is_it: impl Fn(&Asked) -> bool) -> Vec<Value> {
        let asked = self.everything().into_iter().filter(is_it);
        asked.filter_map(|asked| self.to_judge(&asked)).collect()
    }

    fn to_judge(&self, asked: &Asked) -> Option<Value> {
        let signature = asked.header("x-twilio-signature")?;
        let in_query = url::form_urlencoded::parse(asked.query.as_bytes()).count();
        let query =
            if asked.query.is_empty() { String::new() } else { format!("?{}", asked.query) };
        Some(json!({
            "path": asked.path,
            "url": format!("{}{query}", self.url(&asked.path)),
            "params": asked.params[in_query..],
            "signature": signature,
        }))
    }

    /// Returns everything that was asked so far, in order.
    pub fn everything(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    /// Waits until something at `path` satisfies `is_it`, for half a minute at most.
    pub async fn wait_for(&self, path: &str, is_it: impl Fn(&Asked) -> bool) -> Option<Asked> {
        for _ in 0..3_000 {
            if let Some(asked) = self.asked(path).into_iter().find(&is_it) {
                return Some(asked);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(
    State(origin): State<Origin>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let query = uri.query().unwrap_or_default().to_owned();
    let params = [query.as_bytes(), &body]
        .into_iter()
        .flat_map(|text| url::form_urlencoded::parse(text).into_owned())
        .collect();
    let headers = headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    let (method, path) = (method.to_string(), uri.path().to_owned());
    let asked = Asked { method, path, query, params, headers };
    judge::request(&asked);
    let failure = origin.lock().failures.get(&asked.path).copied();
    if let Some(failure) = failure {
        origin.lock().asked.push(asked);
        return match failure {
            Some(status) => status.into_response(),
            None => std::future::pending().await,
        };
    }
    let mut shared = origin.lock();
    let answer = if asked.path == "/voice" {
        let to = asked.param("To").trim_start_matches("sip:");
        let user = to.split('@').next().unwrap_or_default();
        shared.voices.get(user).map(|twiml| ("text/xml".to_owned(), twiml.clone().into_bytes()))
    } else {
        shared.documents.get(&asked.path).cloned()
    };
    let is_callback = asked.path.starts_with("/callback");
    shared.asked.push(asked);
    match answer {
        Some((kind, body)) => ([(header::CONTENT_TYPE, kind)], body).into_response(),
        None if is_callback => StatusCode::NO_CONTENT.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
