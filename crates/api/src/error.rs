//! The one table from refusals to Twilio's errors.
//!
//! Source: Twilio "Error and Warning Dictionary".

use axum::http::StatusCode;
use axum::response::Response;
use node::Refusal;
use serde_json::json;

/// An error in Twilio's shape.
#[derive(Debug, Clone)]
pub struct ApiError {
    status: u16,
    code: u32,
    message: Option<String>,
}

impl ApiError {
    /// 404 with the path.
    pub fn not_found() -> Self {
        Self { status: 404, code: 20404, message: None }
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::new(405, 20004, "Method not allowed")
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(401, 20003, "Authenticate")
    }

    /// A resource of Twilio's that is to come.
    pub fn not_built(resource: &str) -> Self {
        Self::new(501, 20501, &format!("{resource} is not built in this version of Sidetone"))
    }

    /// A parameter's value that cannot be.
    pub fn invalid(parameter: &str, message: &str) -> Self {
        Self::new(400, 20001, &format!("Invalid {parameter}: {message}"))
    }

    /// A parameter that is missing.
    pub fn missing(parameter: &str, code: u32) -> Self {
        Self::new(400, code, &format!("No '{parameter}' is specified"))
    }

    fn new(status: u16, code: u32, message: &str) -> Self {
        Self { status, code, message: Some(message.to_owned()) }
    }

    /// Renders the error for this path.
    pub fn into_response_at(self, path: &str) -> Response {
        let message =
            self.message.unwrap_or_else(|| format!("The requested resource {path} was not found"));
        let code = self.code;
        let body = json!({
            "code": code,
            "message": message,
            "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
            "status": self.status,
        });
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = crate::json(status, &body);
        if self.status == 401 {
            let realm = axum::http::HeaderValue::from_static("Basic realm=\"Twilio API\"");
            response.headers_mut().insert("www-authenticate", realm);
        }
        response
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        let told = |status, code| Self::new(status, code, &message);
        match refusal {
            Refusal::CallNotFound
            | Refusal::ConferenceNotFound
            | Refusal::ParticipantNotFound
            | Refusal::ConferenceCompleted => Self::not_found(),
            Refusal::CoachedNotPresent => Self::new(400, 16028, "Participant to coach not found"),
            Refusal::CoachedOnHold => Self::new(400, 16027, "Participant to coach is on hold"),
            Refusal::ConferenceFull => told(400, 16020),
            Refusal::LabelInvalid(_) => told(400, 16025),
            Refusal::LabelTaken => told(400, 16023),
            Refusal::CallNotInProgress => {
                Self::new(400, 21220, "Call is not in-progress. Cannot redirect.")
            }
            Refusal::CallNotFinished => told(409, 20009),
            Refusal::Unreachable(_) => told(400, 21214),
            Refusal::Invalid { .. } => told(400, 20001),
            Refusal::Overloaded => Self::new(429, 20429, "Too Many Requests"),
            Refusal::StoreUnavailable | Refusal::ShuttingDown => told(503, 20503),
        }
    }
}

impl From<node::StoreFailed> for ApiError {
    fn from(error: node::StoreFailed) -> Self {
        Self::new(503, 20503, &error.to_string())
    }
}
