//! What is shown to those who speak TLS, and whom we believe when we speak it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error, ServerConfig};

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

/// Says why no connection came up, or no longer is, and what to do about it.
pub(crate) fn reason(error: &io::Error) -> String {
    let inside = error.get_ref().and_then(|inside| inside.downcast_ref::<Error>());
    match inside {
        Some(Error::InvalidCertificate(fault)) => {
            format!("its certificate is not taken: {fault}; {}", remedy(fault))
        }
        Some(other) => format!("no TLS came about: {other}"),
        None if error.kind() == io::ErrorKind::ConnectionRefused => {
            "nobody listens there".to_owned()
        }
        None => error.to_string(),
    }
}

fn remedy(fault: &CertificateError) -> &'static str {
    use CertificateError as Fault;
    match fault {
        // Of two authorities of one name the wrong one may be known.
        Fault::UnknownIssuer | Fault::BadSignature => {
            "name the authority that signed it in sip_tls.ca_file (--sip-tls-ca-file)"
        }
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => {
            "call it by a name that is in its certificate"
        }
        Fault::Expired | Fault::ExpiredContext { .. } => "it has to be renewed there",
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => {
            "look at the clocks here and there"
        }
        _ => "it has to be replaced there",
    }
}
