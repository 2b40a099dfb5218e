//! Twilio's REST surface 2010-04-01: authentication, form fields, JSON views, paging, error codes.
//!
//! It parses, submits and renders. What a request means is decided below `node`.

mod accounts;
mod auth;
mod calls;
mod conferences;
mod error;
mod form;
mod paging;
mod participants;
mod sidetone;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use node::Handle;
use serde_json::Value;

use error::ApiError;
use form::Form;

/// Longest body that is read.
const BODY_MAX: usize = 256 * 1024;

/// What a handler answers: a status and a body, or an error.
type Answer = Result<(StatusCode, Value), ApiError>;

/// One authenticated request, taken apart.
struct Request<'a> {
    node: &'a Handle,
    method: &'a Method,
    /// The path's segments after the account, percent-decoded, without `.json`.
    segments: Vec<String>,
    form: Form,
}

/// Returns the service.
pub fn router(node: Handle) -> Router {
    Router::new()
        .fallback(serve)
        .layer(axum::extract::DefaultBodyLimit::max(BODY_MAX))
        .with_state(node)
}

async fn serve(
    State(node): State<Handle>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let head = method == Method::HEAD;
    let method = if head { Method::GET } else { method };
    let mut response = if method == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        match answer(&node, &method, &uri, &headers, &body).await {
            Ok((StatusCode::NO_CONTENT, _)) => StatusCode::NO_CONTENT.into_response(),
            Ok((status, value)) => json(status, &value),
            Err(error) => error.into_response_at(uri.path()),
        }
    };
    let set = response.headers_mut();
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "GET, POST, DELETE, OPTIONS"),
        ("access-control-allow-headers", "Accept, Authorization, Content-Type, Idempotency-Key"),
        ("access-control-allow-credentials", "true"),
    ] {
        set.insert(name, header::HeaderValue::from_static(value));
    }
    if head {
        *response.body_mut() = axum::body::Body::empty();
    }
    response
}

fn json(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json;charset=utf-8")], value.to_string())
        .into_response()
}

async fn answer(
    node: &Handle,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
) -> Answer {
    let account = auth::authenticate(node, headers)?;
    let form = Form::read(uri.query().unwrap_or_default(), headers, body)?;
    let path = uri.path().strip_suffix(".json").unwrap_or(uri.path());
    let segments: Vec<String> = path.split('/').skip(1).map(form::percent_decoded).collect();
    let words: Vec<&str> = segments.iter().map(String::as_str).collect();
    let request = |skip: usize| Request { node, method, segments: segments[skip..].to_vec(), form };
    match words[..] {
        ["2010-04-01", "Accounts"] => accounts::list(&request(2)),
        ["2010-04-01", "Accounts", sid, ..] if sid != account.to_string() => {
            Err(ApiError::not_found())
        }
        ["2010-04-01", "Accounts", _] => accounts::one(&request(3)),
        ["2010-04-01", "Accounts", _, "Calls"] => calls::all(request(4)).await,
        ["2010-04-01", "Accounts", _, "Calls", _] => calls::one(request(4)).await,
        ["2010-04-01", "Accounts", _, "Conferences"] => conferences::all(&request(4)),
        ["2010-04-01", "Accounts", _, "Conferences", _] => conferences::one(request(4)).await,
        ["2010-04-01", "Accounts", _, "Conferences", _, "Participants"] => {
            participants::all(request(4)).await
        }
        ["2010-04-01", "Accounts", _, "Conferences", _, "Participants", _] => {
            participants::one(request(4)).await
        }
        ["2010-04-01", "Accounts", _, resource, ..] if is_resource(resource) => {
            Err(ApiError::not_built(resource))
        }
        ["sidetone", "v1", "Conferences", _, "Audibility"] => {
            sidetone::audibility(request(3)).await
        }
        ["sidetone", "v1", "Conferences", _, "Listen"] => sidetone::listen(request(3)).await,
        _ => Err(ApiError::not_found()),
    }
}

/// Whether Twilio has such a resource under an account, which is not built here yet.
fn is_resource(word: &str) -> bool {
    const RESOURCES: [&str; 22] = [
        "Addresses",
        "Applications",
        "AuthorizedConnectApps",
        "AvailablePhoneNumbers",
        "Balance",
        "ConnectApps",
        "IncomingPhoneNumbers",
        "Keys",
        "Messages",
        "Notifications",
        "OutgoingCallerIds",
        "Queues",
        "Recordings",
        "SIP",
        "SMS",
        "SigningKeys",
        "Tokens",
        "Transcriptions",
        "Usage",
        "Calls",
        "Conferences",
        "Media",
    ];
    RESOURCES.contains(&word)
}
