//! The accept loop: how many may be connected, and how long they may take to ask.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use node::Tls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use crate::head_clock::HeadClock;

/// Connections that are open at the same time; more wait in the system's own queue.
pub const CONNECTIONS_MAX: usize = 1_024;
/// How long a request's head may take, from the connection's begin or from its first octet.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a connection may wait for its next request: longer than clients keep one, so that it is they who close.
const IDLE_TIME_MAX: Duration = Duration::from_secs(100);
/// Octets of a request's head, and of what is read ahead.
const HEAD_MAX: usize = 64 * 1024;
/// How long to wait when the system has no socket left.
const NO_SOCKET_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` on `listener` for as long as this is awaited, by TLS where that is given; its connections end with it.
pub async fn serve(listener: TcpListener, router: Router, tls: Option<Tls>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (router, acceptor) = (router.clone(), tls.as_ref().map(Tls::acceptor));
                connections.spawn(async move {
                    let _ = stream.set_nodelay(true);
                    match acceptor {
                        None => connection(stream, peer, router).await,
                        Some(acceptor) => secured(acceptor, stream, peer, router).await,
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(NO_SOCKET_PAUSE).await;
            }
        }
    }
}

async fn secured(acceptor: TlsAcceptor, stream: TcpStream, peer: SocketAddr, router: Router) {
    match tokio::time::timeout(HEAD_TIME_MAX, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, peer, router).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS came about"),
        Err(_) => tracing::debug!(%peer, "no TLS came about in time"),
    }
}

async fn connection<S>(stream: S, peer: SocketAddr, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = HeadClock::new(stream, HEAD_TIME_MAX);
    let answering = stream.answering();
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        answering.set(true);
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let (answer, answering) = (router.clone().call(request), answering.clone());
        async move {
            let answer = answer.await;
            answering.set(false);
            answer
        }
    });
    let served = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIME_MAX)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "a connection broke");
    }
}
