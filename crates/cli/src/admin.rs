//! Health and metrics, on an address of their own.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use node::Handle;

/// Returns the service.
pub fn router(node: Handle, _stats: Arc<api::Stats>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(node)
}

async fn ready(State(node): State<Handle>) -> (StatusCode, &'static str) {
    if node.store().is_failing() {
        (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be written\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn metrics(State(node): State<Handle>) -> String {
    let stats = node.stats().await;
    let total = stats.media.total;
    let mut text = String::new();
    for (name, kind, value) in [
        ("calls", "gauge", stats.calls as u64),
        ("legs", "gauge", stats.media.legs as u64),
        ("rooms", "gauge", stats.media.rooms as u64),
        ("ticks_total", "counter", stats.ticks.0),
        ("ticks_late_total", "counter", stats.ticks.1),
        ("tick_lateness_worst_microseconds", "gauge", stats.ticks.2),
        ("rtp_received_total", "counter", total.rx_packets),
        ("rtp_sent_total", "counter", total.tx_packets),
        ("rtp_dropped_total", "counter", total.rx_dropped),
        ("rtp_late_total", "counter", total.rx_late),
        ("rtp_lost_total", "counter", total.rx_lost),
        ("concealed_samples_total", "counter", total.concealed_samples),
        ("encodings_total", "counter", stats.media.encoded),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# TYPE sidetone_{name} {kind}\nsidetone_{name} {value}");
    }
    text
}
