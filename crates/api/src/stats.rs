//! What was answered, for the metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::Method;

/// Upper bounds of the histogram of durations, in seconds; the last one is open.
pub const DURATION_BOUNDS_S: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

/// Requests by route, method and status, and how long each route took.
///
/// A route is a path with names in braces, of a fixed table, and unknown paths and methods share
/// one name, so that no client can make the number of rows grow.
#[derive(Debug, Default)]
pub struct Stats(Mutex<BTreeMap<&'static str, RouteStats>>);

/// What became of one route's requests.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RouteStats {
    /// By method and status.
    pub answered: BTreeMap<(&'static str, u16), u64>,
    /// How many took at most as long as each of [`DURATION_BOUNDS_S`] and no less; the last took longer.
    pub durations: [u64; DURATION_BOUNDS_S.len() + 1],
    /// All durations together.
    pub total: Duration,
}

impl Stats {
    pub(crate) fn note(&self, route: &'static str, method: &Method, status: u16, took: Duration) {
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::DELETE => "DELETE",
            Method::OPTIONS => "OPTIONS",
            _ => "other",
        };
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = routes.entry(route).or_default();
        *of.answered.entry((method, status)).or_default() += 1;
        let seconds = took.as_secs_f64();
        of.durations[DURATION_BOUNDS_S.partition_point(|bound| *bound < seconds)] += 1;
        of.total += took;
    }

    /// Returns the figures of every route that was asked for.
    pub fn routes(&self) -> BTreeMap<&'static str, RouteStats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
