//! The one table from refusals to Twilio's errors.
//!
//! Source: Twilio "Error and Warning Dictionary".

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use node::Refusal;
use serde_json::json;

/// Twilio's codes, as far as the API answers them. `docs/errors.md` says when.
pub mod code {
    /// The account has as many calls as it may.
    pub const CALLS_AT_ONCE: u32 = 10004;
    /// A parameter, or the request, makes no sense.
    pub const BAD_REQUEST: u32 = 20001;
    /// A conference's name that cannot be one.
    pub const INVALID_FRIENDLY_NAME: u32 = 20002;
    pub const UNAUTHORIZED: u32 = 20003;
    pub const METHOD_NOT_ALLOWED: u32 = 20004;
    pub const NOT_ACTIVE: u32 = 20005;
    pub const ACCESS_DENIED: u32 = 20006;
    pub const PAGE_SIZE_TOO_LARGE: u32 = 20007;
    pub const NOT_COMPLETE: u32 = 20009;
    pub const NOT_FOUND: u32 = 20404;
    pub const CONFLICT: u32 = 20409;
    pub const TOO_MANY_REQUESTS: u32 = 20429;
    /// Ours: what is not built yet.
    pub const NOT_BUILT: u32 = 20501;
    pub const UNAVAILABLE: u32 = 20503;
    pub const NO_TO: u32 = 21201;
    pub const INVALID_URL: u32 = 21205;
    pub const INVALID_SEND_DIGITS: u32 = 21206;
    pub const INVALID_TIMEOUT: u32 = 21208;
    pub const INVALID_METHOD: u32 = 21209;
    pub const CALLER_ID_NOT_ALLOWED: u32 = 21210;
    pub const INVALID_TO: u32 = 21211;
    pub const INVALID_FROM: u32 = 21212;
    pub const NO_FROM: u32 = 21213;
    pub const UNREACHABLE: u32 = 21214;
    pub const DESTINATION_NOT_ALLOWED: u32 = 21215;
    pub const INVALID_APPLICATION: u32 = 21218;
    pub const CALL_NOT_IN_PROGRESS: u32 = 21220;
    pub const INVALID_NUMBER: u32 = 21421;
    pub const NUMBER_NOT_AVAILABLE: u32 = 21422;
    pub const ALREADY_VALIDATED: u32 = 21450;
    pub const NO_NUMBER_IN_AREA: u32 = 21452;
    pub const NO_BODY: u32 = 21602;
    pub const NO_MESSAGE_FROM: u32 = 21603;
    pub const NO_MESSAGE_TO: u32 = 21604;
    pub const MESSAGE_TOO_LONG: u32 = 21617;
    pub const NOT_CANCELABLE: u32 = 30409;
    pub const CONFERENCE_FULL: u32 = 16020;
    pub const CONFERENCES_AT_ONCE: u32 = 16021;
    pub const CONFERENCE_COMPLETED: u32 = 16022;
    pub const INVALID_LABEL: u32 = 16024;
    pub const DUPLICATE_LABEL: u32 = 16026;
    pub const COACHED_ON_HOLD: u32 = 16027;
    pub const COACHED_NOT_PRESENT: u32 = 16028;
    pub const RECORDINGS_AT_ONCE: u32 = 16108;
    pub const MONO_RECORDING: u32 = 16113;
    pub const RECORDING_NOT_RUNNING: u32 = 16114;
}

/// What there is and what not, in this repository.
const COMPATIBILITY: &str = "docs/compatibility.md";

/// An error in Twilio's shape.
#[derive(Debug, Clone)]
pub struct ApiError {
    status: u16,
    code: u32,
    /// None: the path was not found.
    message: Option<String>,
    allow: Option<String>,
    retry_after: Option<Duration>,
}

impl ApiError {
    /// 404 with the path.
    pub fn not_found() -> Self {
        let (status, code) = (404, code::NOT_FOUND);
        Self { status, code, message: None, allow: None, retry_after: None }
    }

    /// 405 with the methods that the path has.
    pub fn method_not_allowed(allow: String) -> Self {
        let error = Self::new(405, code::METHOD_NOT_ALLOWED, "Method not allowed");
        Self { allow: Some(allow), ..error }
    }

    /// 401; `who` is empty, or what is wrong with the user's name.
    pub fn unauthorized(who: &str) -> Self {
        Self::new(401, code::UNAUTHORIZED, if who.is_empty() { "Authenticate" } else { who })
    }

    /// 403 of an account that is suspended or closed.
    pub fn not_active() -> Self {
        Self::new(403, code::NOT_ACTIVE, "The account is not active")
    }

    /// 429 for more than is taken; nothing was done.
    pub fn too_many(message: &str, retry_after: Duration) -> Self {
        let error = Self::new(429, code::TOO_MANY_REQUESTS, message);
        Self { retry_after: Some(retry_after), ..error }
    }

    /// Something of Twilio's that is not here.
    pub fn not_built(what: &str) -> Self {
        let message =
            format!("{what} is not built in this version of Sidetone: see {COMPATIBILITY}");
        Self::new(501, code::NOT_BUILT, &message)
    }

    /// What is there in a binary of another make.
    pub fn not_built_without(what: &str, feature: &str) -> Self {
        let message = format!(
            "{what} is not in this binary, which was built without the cargo feature {feature}: see {COMPATIBILITY}"
        );
        Self::new(501, code::NOT_BUILT, &message)
    }

    /// A parameter's value that cannot be.
    pub fn invalid(parameter: &str, message: &str) -> Self {
        Self::coded(code::BAD_REQUEST, parameter, message)
    }

    /// A parameter's value that cannot be, where Twilio has a code for it.
    pub fn coded(code: u32, parameter: &str, message: &str) -> Self {
        Self::new(400, code, &format!("Invalid {parameter}: {message}"))
    }

    /// A parameter that is missing.
    pub fn missing(parameter: &str, code: u32) -> Self {
        Self::new(400, code, &format!("No '{parameter}' is specified"))
    }

    /// An error of this status and code.
    pub fn new(status: u16, code: u32, message: &str) -> Self {
        let message = Some(message.to_owned());
        Self { status, code, message, allow: None, retry_after: None }
    }

    /// Renders the error for this path.
    pub fn into_response_at(self, path: &str) -> Response {
        let message =
            self.message.unwrap_or_else(|| format!("The requested resource {path} was not found"));
        let code = self.code;
        let mut body = json!({
            "code": code,
            "message": message,
            "more_info": match code {
                code::NOT_BUILT => COMPATIBILITY.to_owned(),
                code => format!("https://www.twilio.com/docs/errors/{code}"),
            },
            "status": self.status,
        });
        if self.status == 401 {
            body["detail"] = "".into();
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = crate::json(status, crate::Content::Value(body));
        let mut set = |name, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name, value);
            }
        };
        if self.status == 401 {
            set(header::WWW_AUTHENTICATE, "Basic realm=\"Twilio API\"");
        }
        if let Some(allow) = self.allow {
            set(header::ALLOW, &allow);
        }
        if let Some(pause) = self.retry_after {
            set(header::RETRY_AFTER, &pause.as_secs().max(1).to_string());
        }
        response
    }
}

/// How long a client should wait that came when the server had too much to do.
const OVERLOADED_PAUSE: Duration = Duration::from_secs(1);

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        let told = |status, code| Self::new(status, code, &message);
        match refusal {
            Refusal::CallNotFound
            | Refusal::ConferenceNotFound
            | Refusal::ParticipantNotFound
            | Refusal::RecordingNotFound
            | Refusal::QueueNotFound
            | Refusal::MemberNotFound => Self::not_found(),
            Refusal::RecordingsAtOnce => told(400, code::RECORDINGS_AT_ONCE),
            Refusal::RecordingNotRunning => told(400, code::RECORDING_NOT_RUNNING),
            Refusal::QueueNotEmpty => told(400, code::BAD_REQUEST),
            Refusal::ConferenceCompleted => told(400, code::CONFERENCE_COMPLETED),
            Refusal::CoachedNotPresent => {
                Self::new(400, code::COACHED_NOT_PRESENT, "Participant to coach not found")
            }
            Refusal::CoachedOnHold => {
                Self::new(400, code::COACHED_ON_HOLD, "Participant to coach is on hold")
            }
            Refusal::ConferenceFull => told(400, code::CONFERENCE_FULL),
            Refusal::LabelInvalid(_) => told(400, code::INVALID_LABEL),
            Refusal::LabelTaken => told(400, code::DUPLICATE_LABEL),
            Refusal::CallNotInProgress => {
                let message = "Call is not in-progress. Cannot redirect.";
                Self::new(400, code::CALL_NOT_IN_PROGRESS, message)
            }
            Refusal::CallNotFinished | Refusal::RecordingNotFinished => {
                told(409, code::NOT_COMPLETE)
            }
            Refusal::Unreachable(_) => told(400, code::UNREACHABLE),
            Refusal::DestinationNotAllowed(_) => told(400, code::DESTINATION_NOT_ALLOWED),
            Refusal::CallsAtOnce(_) => {
                let error = told(429, code::CALLS_AT_ONCE);
                Self { retry_after: Some(OVERLOADED_PAUSE), ..error }
            }
            Refusal::ConferencesAtOnce(_) => told(400, code::CONFERENCES_AT_ONCE),
            Refusal::CallerIdNotAllowed(_) => told(400, code::CALLER_ID_NOT_ALLOWED),
            Refusal::Invalid { .. } => told(400, code::BAD_REQUEST),
            Refusal::Overloaded => Self::too_many("Too Many Requests", OVERLOADED_PAUSE),
            Refusal::StoreUnavailable | Refusal::ShuttingDown | Refusal::NoCapacity => {
                let error = told(503, code::UNAVAILABLE);
                Self { retry_after: Some(OVERLOADED_PAUSE), ..error }
            }
        }
    }
}

impl From<node::StoreFailed> for ApiError {
    fn from(error: node::StoreFailed) -> Self {
        Self::new(503, code::UNAVAILABLE, &error.to_string())
    }
}

impl ApiError {
    /// Whether it says that the credentials are wrong.
    pub fn is_unauthorized(&self) -> bool {
        self.status == 401
    }
}
