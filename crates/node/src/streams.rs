//! SIP over TCP and TLS: connections in and out, each with a task that reads and one that writes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sip::{Framed, Framer, Peer, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::tls::SipTls;

/// Connections at the same time, by each transport; more are closed at once.
pub const CONNECTIONS_MAX: usize = 1_000;
/// Connections by TLS that are still being agreed on; more are closed at once.
const HANDSHAKES_MAX: usize = 200;
/// How long both sides may take to agree on TLS.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Messages that wait to be written to one connection; more are lost, as in a network.
const WRITES_MAX: usize = 256;
/// Messages of all connections that wait to be read by the core.
const MESSAGES_MAX: usize = 1_024;
/// How long a connection may say nothing. Phones keep theirs alive every few minutes.
const IDLE_MAX: Duration = Duration::from_secs(3_600);
/// How long a message may be on its way once it has begun, and a connection without any.
const MESSAGE_WITHIN: Duration = Duration::from_secs(32);
/// How long we try to connect and to write.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// What a connection brought.
#[derive(Debug)]
pub enum Arrived {
    /// A whole message.
    Message(Peer, Vec<u8>),
    /// The head of one that is too long.
    TooLarge(Peer, Vec<u8>),
}

/// A connection: the far end's address, and for one that we made by TLS the name that it proved.
type Key = (SocketAddr, Option<String>);
type Writers = Arc<Mutex<BTreeMap<Key, mpsc::Sender<Vec<u8>>>>>;

/// The connections of one transport.
#[derive(Debug, Clone)]
pub struct Streams {
    transport: Transport,
    writers: Writers,
    arrived: mpsc::Sender<Arrived>,
    tls: Option<SipTls>,
    handshakes: Arc<Semaphore>,
}

/// Makes the queue in which all connections put what they bring.
pub fn arrivals() -> (mpsc::Sender<Arrived>, mpsc::Receiver<Arrived>) {
    mpsc::channel(MESSAGES_MAX)
}

impl Streams {
    /// Starts to take connections, by TLS where that is given.
    pub fn start(
        listener: TcpListener,
        tls: Option<SipTls>,
        arrived: mpsc::Sender<Arrived>,
    ) -> Self {
        let transport = if tls.is_some() { Transport::Tls } else { Transport::Tcp };
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        let streams = Self { transport, writers: Arc::default(), arrived, tls, handshakes };
        tokio::spawn(accept(listener, streams.clone()));
        streams
    }

    /// Sends by the connection to `to`, made where there is none; by TLS it must prove to be `name`, or, where it
    /// has none, its address, unless the far end made it, which has proven who it is to SIP.
    pub fn send(&self, to: SocketAddr, name: Option<&str>, octets: Vec<u8>) {
        let proven =
            self.tls.as_ref().map(|_| name.map_or_else(|| to.ip().to_string(), str::to_owned));
        let key = (to, proven);
        let theirs = if name.is_none() { self.lock().get(&(to, None)).cloned() } else { None };
        let known = theirs.or_else(|| self.lock().get(&key).cloned());
        if let Some(writer) = known {
            // A full queue is loss; SIP's transactions end by themselves.
            let _ = writer.try_send(octets);
            return;
        }
        let streams = self.clone();
        tokio::spawn(async move {
            match timeout(WRITE_WITHIN, streams.connect(key, octets)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::info!(%to, %error, "no SIP connection"),
                Err(_) => tracing::info!(%to, "no SIP connection in time"),
            }
        });
    }

    async fn connect(&self, key: Key, octets: Vec<u8>) -> std::io::Result<()> {
        let stream = TcpStream::connect(key.0).await?;
        let _ = stream.set_nodelay(true);
        let writer = match (&self.tls, &key.1) {
            (Some(tls), Some(name)) => {
                let name = ServerName::try_from(name.clone()).map_err(std::io::Error::other)?;
                let connector = TlsConnector::from(Arc::clone(&tls.client));
                self.adopt(connector.connect(name, stream).await?, key)
            }
            _ => self.adopt(stream, key),
        };
        if let Some(writer) = writer {
            let _ = writer.try_send(octets);
        }
        Ok(())
    }

    /// Lets a connection that came agree on TLS, where that is spoken, and takes it in.
    async fn welcome(&self, stream: TcpStream, peer: SocketAddr) {
        let _ = stream.set_nodelay(true);
        let key = (peer, None);
        let taken = match &self.tls {
            None => self.adopt(stream, key),
            Some(tls) => {
                let Ok(_place) = self.handshakes.try_acquire() else {
                    return tracing::warn!(%peer, "too many SIP connections agree on TLS");
                };
                match timeout(HANDSHAKE_WITHIN, tls.server.acceptor().accept(stream)).await {
                    Ok(Ok(stream)) => self.adopt(stream, key),
                    Ok(Err(error)) => return tracing::debug!(%peer, %error, "no TLS came about"),
                    Err(_) => return tracing::debug!(%peer, "no TLS came about in time"),
                }
            }
        };
        if taken.is_none() {
            tracing::warn!(%peer, "too many SIP connections");
        }
    }

    /// Takes a connection in; nothing where there are too many.
    fn adopt<S>(&self, stream: S, key: Key) -> Option<mpsc::Sender<Vec<u8>>>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (writer, waiting) = mpsc::channel(WRITES_MAX);
        {
            let mut writers = self.lock();
            if writers.len() >= CONNECTIONS_MAX {
                return None;
            }
            writers.insert(key.clone(), writer.clone());
        }
        let (reads, writes) = split(stream);
        let (streams, own) = (self.clone(), writer.clone());
        let writing = tokio::spawn(write(writes, waiting));
        tokio::spawn(async move {
            streams.read(reads, key.0, own.clone()).await;
            // Another one may have taken its place meanwhile.
            let mut writers = streams.lock();
            if writers.get(&key).is_some_and(|known| known.same_channel(&own)) {
                writers.remove(&key);
            }
            drop(writers);
            writing.abort();
        });
        Some(writer)
    }

    /// Reads until the far end is done, silent for too long, or no longer makes sense.
    async fn read<R>(&self, mut reads: R, peer: SocketAddr, pongs: mpsc::Sender<Vec<u8>>)
    where
        R: AsyncRead + Unpin,
    {
        let peer = Peer { address: peer, transport: self.transport };
        let mut framer = Framer::default();
        let mut octets = [0; 4_096];
        let mut patience = MESSAGE_WITHIN;
        while let Ok(Ok(length @ 1..)) = timeout(patience, reads.read(&mut octets)).await {
            framer.push(&octets[..length]);
            patience = MESSAGE_WITHIN;
            while let Some(found) = framer.poll() {
                patience = IDLE_MAX;
                let arrived = match found {
                    Framed::Message(message) => Arrived::Message(peer, message),
                    Framed::Ping => {
                        let _ = pongs.try_send(b"\r\n".to_vec());
                        continue;
                    }
                    Framed::TooLarge(head) => {
                        let _ = self.arrived.send(Arrived::TooLarge(peer, head)).await;
                        // Time for the refusal to be written.
                        return tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                };
                if self.arrived.send(arrived).await.is_err() {
                    return;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, mpsc::Sender<Vec<u8>>>> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, streams: Streams) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let streams = streams.clone();
                tokio::spawn(async move { streams.welcome(stream, peer).await });
            }
            Err(error) => {
                // Out of descriptors, most likely: others will be closed.
                tracing::warn!(%error, "no SIP connection could be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn write<W>(mut writes: W, mut waiting: mpsc::Receiver<Vec<u8>>)
where
    W: AsyncWrite + Unpin,
{
    while let Some(octets) = waiting.recv().await {
        let written = async {
            writes.write_all(&octets).await?;
            writes.flush().await
        };
        if !matches!(timeout(WRITE_WITHIN, written).await, Ok(Ok(()))) {
            return;
        }
    }
}
