//! `sidetone dev-proxy`: lets programs that know Twilio's own addresses reach this server unchanged.
//!
//! An HTTP proxy on loopback that takes CONNECT alone. `api.twilio.com` is answered by the running
//! server; Twilio's other hosts say which product is not there; all others are refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::authority::{Authority, certificate};
use crate::running::{DEFAULT_DATA, Running};

/// Connections at once; more wait.
const CONNECTIONS_MAX: usize = 256;
/// Octets of a request's head.
const HEAD_MAX: usize = 16 * 1024;
/// How long a head or a TLS handshake may take.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Hosts whose certificates are remembered.
const HOSTS_MAX: usize = 64;

/// Flags of `sidetone dev-proxy`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The data folder of the running server; the proxy's authority is kept there, too.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Where the proxy listens: loopback, and nowhere else.
    #[arg(long, default_value = DEFAULT_LISTEN)]
    listen: SocketAddr,
}

/// Where the proxy listens unless it is told, and where `sidetone env --proxy` says it does.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8091";

struct Proxy {
    data: PathBuf,
    authority: Authority,
    hosts: Mutex<BTreeMap<String, Arc<ServerConfig>>>,
}

/// Runs until it is ended.
///
/// # Errors
/// One line that names what is in the way.
pub async fn run(arguments: Arguments) -> Result<(), String> {
    let address = arguments.listen;
    if !address.ip().is_loopback() {
        return Err(format!("{address} is not on loopback; --listen 127.0.0.1:8091 is"));
    }
    let data = arguments.data.unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
    Running::find(Some(&data))?;
    let authority = Authority::open(&data)?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("{address}: {error}; choose another address with --listen"))?;
    let bound = listener.local_addr().map_err(|error| error.to_string())?;
    println!("The proxy for unmodified programs listens at http://{bound}. In their shell:\n");
    for line in exports(&data, &bound.to_string())? {
        println!("  {line}");
    }
    println!("\nCtrl-C ends it.");
    serve(listener, authority, data).await;
    Ok(())
}

/// Leads programs to the server of a data folder, for ever.
async fn serve(listener: TcpListener, authority: Authority, data: PathBuf) {
    let proxy = Arc::new(Proxy { authority, hosts: Mutex::default(), data });
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let proxy = Arc::clone(&proxy);
        tokio::spawn(async move {
            // Whoever broke a connection knows.
            let _ = proxy.serve(stream).await;
            drop(place);
        });
    }
}

/// Starts a proxy on any free port for the server of a data folder, and returns the variables by which unmodified
/// programs go through it.
///
/// # Errors
/// One line that names what is in the way.
pub async fn start(data: &Path) -> Result<Vec<(String, String)>, String> {
    let running = Running::find(Some(data))?;
    let authority = Authority::open(data)?;
    let told = |error: std::io::Error| format!("no port for the proxy: {error}");
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(told)?;
    let proxy = format!("http://{}", listener.local_addr().map_err(told)?);
    tokio::spawn(serve(listener, authority, data.to_owned()));
    let file = certificate(data).display().to_string();
    let mut exports = vec![
        ("TWILIO_ACCOUNT_SID", running.account_sid),
        ("TWILIO_AUTH_TOKEN", running.auth_token),
        ("NO_PROXY", "127.0.0.1,localhost".to_owned()),
    ];
    exports.extend(["HTTP_PROXY", "HTTPS_PROXY"].map(|name| (name, proxy.clone())));
    let trusted = ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"];
    exports.extend(trusted.map(|name| (name, file.clone())));
    Ok(exports.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Returns the lines that send a shell's programs through the proxy.
///
/// # Errors
/// When no server is found.
pub fn exports(data: &Path, listen: &str) -> Result<Vec<String>, String> {
    let running = Running::find(Some(data))?;
    let file = certificate(data);
    let file = file
        .canonicalize()
        .map_err(|error| format!("{}: {error}; `sidetone dev-proxy` makes it", file.display()))?;
    let quoted = format!("'{}'", file.display().to_string().replace('\'', r"'\''"));
    Ok(vec![
        format!("export TWILIO_ACCOUNT_SID={}", running.account_sid),
        format!("export TWILIO_AUTH_TOKEN={}", running.auth_token),
        format!("export HTTP_PROXY=http://{listen} HTTPS_PROXY=http://{listen}"),
        format!("export REQUESTS_CA_BUNDLE={quoted} SSL_CERT_FILE={quoted}"),
        format!("export NODE_EXTRA_CA_CERTS={quoted}"),
        "unset TWILIO_REGION TWILIO_EDGE".to_owned(),
    ])
}

/// Where a CONNECT leads.
#[derive(Debug, PartialEq, Eq)]
enum Goal<'a> {
    /// To the running server.
    Api,
    /// To a product of Twilio's that is not built.
    Product(&'a str),
    /// Nowhere.
    Refused,
}

/// Says where `host` leads. The API has a host in each region and edge: `api.dublin.ie1.twilio.com`.
fn goal(host: &str) -> Goal<'_> {
    match host.strip_suffix(".twilio.com") {
        Some(name) if name == "api" || name.starts_with("api.") => Goal::Api,
        Some(name) if !name.is_empty() => Goal::Product(name.split('.').next().unwrap_or(name)),
        _ => Goal::Refused,
    }
}

impl Proxy {
    async fn serve(&self, mut stream: TcpStream) -> Result<(), String> {
        let told = |error: std::io::Error| error.to_string();
        let head =
            timeout(HEAD_WITHIN, head(&mut stream)).await.map_err(|_| "slow".to_owned())??;
        let mut words = head.split_ascii_whitespace();
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let host = target.strip_suffix(":443").unwrap_or_default().to_ascii_lowercase();
        let goal = goal(&host);
        if method != "CONNECT" || goal == Goal::Refused {
            let why =
                format!("{method} {target}: this proxy leads to https://*.twilio.com alone\n");
            let refused = answer("403 Forbidden", "text/plain", &why);
            return stream.write_all(refused.as_bytes()).await.map_err(told);
        }
        let config = self.config(&host)?;
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.map_err(told)?;
        let accepted = TlsAcceptor::from(config).accept(stream);
        let mut stream =
            timeout(HEAD_WITHIN, accepted).await.map_err(|_| "slow".to_owned())?.map_err(told)?;
        match goal {
            Goal::Product(product) => refuse_product(&mut stream, product).await,
            _ => match self.server().await {
                Ok(mut server) => {
                    copy_bidirectional(&mut stream, &mut server).await.map(drop).map_err(told)
                }
                Err(why) => {
                    head_of(&mut stream).await?;
                    let body = error_body(503, 20_503, &why);
                    let text = answer("503 Service Unavailable", "application/json", &body);
                    stream.write_all(text.as_bytes()).await.map_err(told)?;
                    stream.shutdown().await.map_err(told)
                }
            },
        }
    }

    /// Connects to the server, wherever it listens now.
    async fn server(&self) -> Result<TcpStream, String> {
        let running = Running::find(Some(&self.data))?;
        let address = running.api_url.trim_start_matches("http://").trim_end_matches('/');
        TcpStream::connect(address).await.map_err(|error| format!("{address}: {error}"))
    }

    fn config(&self, host: &str) -> Result<Arc<ServerConfig>, String> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = hosts.get(host) {
            return Ok(Arc::clone(config));
        }
        if hosts.len() >= HOSTS_MAX {
            hosts.clear();
        }
        let config = Arc::new(self.authority.vouch(host)?);
        hosts.insert(host.to_owned(), Arc::clone(&config));
        Ok(config)
    }
}

/// Says in Twilio's shape that a product is not there.
async fn refuse_product<S>(stream: &mut S, product: &str) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    head_of(stream).await?;
    let why =
        format!("{product}.twilio.com is not part of Sidetone: it speaks api.twilio.com alone");
    let text = answer("501 Not Implemented", "application/json", &error_body(501, 20_501, &why));
    stream.write_all(text.as_bytes()).await.map_err(|error| error.to_string())?;
    stream.shutdown().await.map_err(|error| error.to_string())
}

async fn head_of<S: AsyncRead + Unpin>(stream: &mut S) -> Result<String, String> {
    timeout(HEAD_WITHIN, head(stream)).await.map_err(|_| "slow".to_owned())?
}

/// Reads up to the empty line after a head.
async fn head<S: AsyncRead + Unpin>(stream: &mut S) -> Result<String, String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_MAX {
            return Err("the head is too long".to_owned());
        }
        // Octet by octet: what follows the head is not ours.
        head.push(stream.read_u8().await.map_err(|error| error.to_string())?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn error_body(status: u16, code: u32, message: &str) -> String {
    let more_info = format!("https://www.twilio.com/docs/errors/{code}");
    serde_json::json!({ "code": code, "message": message, "more_info": more_info, "status": status })
        .to_string()
}

fn answer(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_twilios_hosts_lead_somewhere() {
        for (host, expected) in [
            ("api.twilio.com", Goal::Api),
            ("api.dublin.ie1.twilio.com", Goal::Api),
            ("taskrouter.twilio.com", Goal::Product("taskrouter")),
            ("voice.dublin.ie1.twilio.com", Goal::Product("voice")),
            ("twilio.com", Goal::Refused),
            (".twilio.com", Goal::Refused),
            ("eviltwilio.com", Goal::Refused),
            ("api.twilio.com.evil.test", Goal::Refused),
            ("", Goal::Refused),
        ] {
            assert_eq!(goal(host), expected, "{host}");
        }
    }
}
