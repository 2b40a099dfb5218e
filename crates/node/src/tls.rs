//! What is shown to those who speak TLS, and whom we believe when we speak it.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};

/// What a server shows to those who speak TLS; another can be put in its place while it runs.
#[derive(Debug, Clone)]
pub struct Tls(Arc<RwLock<Arc<ServerConfig>>>);

impl Tls {
    /// Takes what is shown at first.
    pub fn new(config: ServerConfig) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(config))))
    }

    /// Shows another certificate to those who come from now on.
    pub fn set(&self, config: ServerConfig) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// Returns what agrees on TLS with who comes now.
    pub fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

/// SIP over TLS.
#[derive(Debug, Clone)]
pub struct SipTls {
    /// Where it listens; port 0 is any free one.
    pub address: SocketAddr,
    /// What it shows to those who come.
    pub server: Tls,
    /// Whom it believes where it connects itself.
    pub client: Arc<ClientConfig>,
}
