//! Why there is no answer, and Twilio's code for it.
//!
//! Source: Twilio "Error and Warning Dictionary".

use std::error::Error;

use rustls::CertificateError;

/// How far a try came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// No connection came up.
    Connect,
    /// The connection was up, and the answer did not come in time.
    Read,
    /// Anything else: a broken answer, one that is too long, an address that may not be asked.
    Other,
}

/// Why there is no answer, under the code that the debugger log shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Twilio's code.
    pub code: u32,
    /// How far it came.
    pub stage: Stage,
    /// What happened, in a sentence.
    pub message: String,
}

impl Failure {
    /// Makes a failure that no retry policy names.
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, stage: Stage::Other, message: message.into() }
    }

    pub(crate) fn read(message: impl Into<String>) -> Self {
        Self { stage: Stage::Read, ..Self::new(11200, message) }
    }
}

/// The resolver's and the connector's own reasons, found again in what the HTTP client reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreachable {
    #[error("the name has an address that is not allowed to be reached")]
    Forbidden,
    #[error("the name has no address")]
    NoSuchName,
    #[error("no connection came up in time")]
    ConnectTimeout,
}

/// Whether the other side closed a connection before it answered anything.
pub(crate) fn is_closed_early(error: &reqwest::Error) -> bool {
    let closed = |error: &(dyn Error + 'static)| {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        error.to_string().contains("connection closed before message completed")
            || kind.is_some_and(|kind| {
                use std::io::ErrorKind as K;
                matches!(kind, K::ConnectionReset | K::BrokenPipe | K::ConnectionAborted)
            })
    };
    !error.is_connect() && !error.is_timeout() && chain(error).any(closed)
}

/// Says what an error of the HTTP client is in Twilio's codes.
pub(crate) fn classify(error: &reqwest::Error, url: &str) -> Failure {
    let connect =
        |code, why: &str| Failure { code, stage: Stage::Connect, message: format!("{url}: {why}") };
    for cause in chain(error) {
        if let Some(unreachable) = cause.downcast_ref::<Unreachable>() {
            let code = if *unreachable == Unreachable::NoSuchName { 11210 } else { 11205 };
            return connect(code, &unreachable.to_string());
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return connect(tls_code(tls), &tls.to_string());
        }
    }
    let why = chain(error).last().map_or_else(|| error.to_string(), ToString::to_string);
    if error.is_connect() {
        return connect(11205, &why);
    }
    let violates =
        ["invalid HTTP", "invalid content-length", "invalid transfer-encoding", "message head"];
    let parse = chain(error).any(|cause| {
        let text = cause.to_string();
        violates.iter().any(|violation| text.contains(violation))
    });
    Failure::new(if parse { 11206 } else { 11200 }, format!("{url}: {why}"))
}

fn tls_code(error: &rustls::Error) -> u32 {
    match error {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => 11235,
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => 11236,
        rustls::Error::InvalidCertificate(_) => 11237,
        _ => 11220,
    }
}

/// The error and what is behind it; what hides inside an I/O error is shown as well.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        match inside {
            Some(inside) => Some(inside),
            None => error.source(),
        }
    })
}
