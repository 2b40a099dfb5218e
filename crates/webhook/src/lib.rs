//! Signed HTTP to customers: documents that are fetched, callbacks that are told.
//!
//! Hides the signature, the address guard, redirects, cookies, the cache, time limits and size
//! limits. What a document means, and whether a callback is told again, is decided elsewhere.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod address;
mod cache;
mod client;
mod connect;
mod cookies;
mod failure;
mod gate;
mod guard;
mod overrides;
mod sign;
mod upload;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use client::{Client, REDIRECTS_MAX};
pub use failure::{Failure, Stage};
pub use gate::{FETCHES_MAX, FETCHES_PER_HOST_MAX, WAITING_MAX};
pub use guard::Guard;
pub use overrides::{CONNECT_MAX, Outcome, Overrides, READ_MAX, TIME_MAX};
pub use sign::signature;
pub use upload::Uploader;

/// Says from the head of an answer how much of its body is read at most.
pub type Judge = fn(&Response) -> Result<usize, Failure>;

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Absolute, http or https; user and password in it authenticate, the fragment overrides.
    pub url: String,
    /// In upper case.
    pub method: String,
    /// The form fields: the query of a GET, HEAD or DELETE, the body of the others.
    pub params: Arc<[(String, String)]>,
    /// The key of the signature.
    pub auth_token: String,
    /// The same for every try of one event.
    pub idempotency_token: Option<String>,
    /// Whose cookies go along and are kept: a call's SID.
    pub jar: Option<String>,
    /// How much of the body is read; none: the answer's status is all that matters.
    pub judge: Option<Judge>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// In lower case, without parameters.
    pub content_type: String,
    /// In lower case.
    pub charset: Option<String>,
    /// The body, decompressed; empty where it was not read or the status is an error.
    pub body: Arc<Vec<u8>>,
    /// Where it came from in the end, without a fragment.
    pub url: String,
}

/// Returns what counts as one receiver: scheme, host and port; empty where the address is none.
pub fn origin(url: &str) -> String {
    address::Address::origin(url)
}
