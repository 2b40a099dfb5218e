//! The connector's watch: a time limit for each request's own connection, and word of when it is up.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;
use tower_layer::Layer;
use tower_service::Service;

use crate::failure::Unreachable;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

tokio::task_local! {
    /// The try in whose course a connection is made.
    pub(crate) static TRY: Arc<Try>;
}

/// One try.
#[derive(Debug)]
pub(crate) struct Try {
    connect_max: Duration,
    connecting: watch::Sender<bool>,
    connected: AtomicBool,
}

impl Try {
    pub(crate) fn new(connect_max: Duration) -> Arc<Self> {
        let connecting = watch::Sender::new(false);
        Arc::new(Self { connect_max, connecting, connected: AtomicBool::new(false) })
    }

    /// Whether no connection was made for it: it went over one that was kept.
    pub(crate) fn reused(&self) -> bool {
        !self.connected.load(Ordering::Relaxed)
    }

    /// Returns once nothing has come for `limit`; the time for connecting does not count.
    pub(crate) async fn silence(&self, limit: Duration) {
        let mut connecting = self.connecting.subscribe();
        loop {
            // The sender is part of `self`, so that no wait can fail.
            let _ = connecting.wait_for(|connecting| !connecting).await;
            tokio::select! {
                () = tokio::time::sleep(limit) => return,
                _ = connecting.changed() => {}
            }
        }
    }
}

/// Puts the watch around a connector.
#[derive(Debug, Clone)]
pub(crate) struct Watch;

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched(inner)
    }
}

/// A connector under watch.
#[derive(Debug, Clone)]
pub(crate) struct Watched<S>(S);

impl<S, R> Service<R> for Watched<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let connected = self.0.call(target);
        let Ok(of) = TRY.try_with(Arc::clone) else { return Box::pin(connected) };
        Box::pin(async move {
            of.connected.store(true, Ordering::Relaxed);
            of.connecting.send_replace(true);
            let connected = tokio::time::timeout(of.connect_max, connected).await;
            of.connecting.send_replace(false);
            connected.unwrap_or_else(|_| Err(Unreachable::ConnectTimeout.into()))
        })
    }
}
