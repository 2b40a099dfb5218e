//! Health and metrics, on an address of their own.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use node::Handle;

use crate::metrics::Text;

type Shared = (Handle, Arc<api::Stats>);

/// Returns the service.
pub fn router(node: Handle, stats: Arc<api::Stats>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state((node, stats))
}

async fn ready(State((node, _)): State<Shared>) -> (StatusCode, &'static str) {
    if node.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "no call begins any more: the server is about to end\n")
    } else if node.store().is_failing() {
        (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be written\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn metrics(State((node, stats)): State<Shared>) -> impl IntoResponse {
    let store = node.store().clone();
    let backlog = tokio::task::spawn_blocking(move || store.backlog()).await;
    let backlog = backlog.ok().and_then(Result::ok);
    let owed = backlog.as_ref().map_or(0, |backlog| backlog.depth);
    let oldest = backlog.and_then(|backlog| backlog.oldest);
    let owed_for = oldest.map_or(Duration::ZERO, |oldest| node.date().since(oldest));
    let figures = node.stats().await;
    let mut text = Text::default();
    text.calls(&figures);
    text.media(&figures);
    text.sip(&figures);
    text.trunks(&figures);
    text.store(&node.store().stats(), owed, owed_for);
    text.api(&stats.routes());
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text.into_string())
}
