//! SIP over TCP and TLS: connections in and out, each with a task that reads and one that writes.

use std::collections::BTreeMap;
use std::io;
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

use crate::tls::{SipTls, reason};

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
/// How long it may take to connect, and to agree on TLS where that is spoken.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long we try to write.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// What a connection brought.
#[derive(Debug)]
pub enum Arrived {
    /// A whole message.
    Message(Peer, Vec<u8>),
    /// The head of one that is too long.
    TooLarge(Peer, Vec<u8>),
    /// Nothing: a message of ours could not be sent, and why, with what to do about it.
    Unsent(Vec<u8>, String),
}

/// A connection: the far end's address, and for one that we made by TLS the name that it proved.
type Key = (SocketAddr, Option<String>);
type Writer = mpsc::Sender<Vec<u8>>;
type Waiting = mpsc::Receiver<Vec<u8>>;

/// The connections of one transport.
#[derive(Debug, Clone)]
pub struct Streams {
    transport: Transport,
    /// Those of connections that are up, and of those that are being made.
    writers: Arc<Mutex<BTreeMap<Key, Writer>>>,
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
    ///
    /// What cannot be sent comes back as [`Arrived::Unsent`].
    pub fn send(&self, to: SocketAddr, name: Option<&str>, octets: Vec<u8>) {
        let proven =
            self.tls.as_ref().map(|_| name.map_or_else(|| to.ip().to_string(), str::to_owned));
        let key = (to, proven);
        let mut writers = self.lock();
        let theirs = if name.is_none() { writers.get(&(to, None)) } else { None };
        if let Some(writer) = theirs.or_else(|| writers.get(&key)) {
            // A full queue is loss; SIP's transactions end by themselves.
            let _ = writer.try_send(octets);
            return;
        }
        if writers.len() >= CONNECTIONS_MAX {
            drop(writers);
            tracing::warn!(%to, "too many SIP connections");
            let streams = self.clone();
            let why = format!("{to}: there are too many SIP connections");
            tokio::spawn(async move { streams.unsent(vec![octets], &why).await });
            return;
        }
        // What is sent while it is being made waits in the same queue, and makes no second one.
        let (writer, waiting) = mpsc::channel(WRITES_MAX);
        let _ = writer.try_send(octets);
        writers.insert(key.clone(), writer.clone());
        drop(writers);
        let streams = self.clone();
        tokio::spawn(async move { streams.connect(key, writer, waiting).await });
    }

    /// Makes a connection, for which messages wait already.
    async fn connect(&self, key: Key, writer: Writer, waiting: Waiting) {
        let made: Result<Box<dyn Wire>, String> = match (&self.tls, &key.1) {
            (Some(tls), Some(name)) => in_time(proven(tls, name, key.0)).await,
            _ => in_time(plain(key.0)).await,
        };
        match made {
            Ok(stream) => self.run(stream, key, writer, waiting),
            Err(why) => {
                tracing::info!(to = %key.0, why, "no SIP connection");
                self.give_up(&key, &writer, waiting, &why).await;
            }
        }
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
        if !taken {
            tracing::warn!(%peer, "too many SIP connections");
        }
    }

    /// Takes a connection in that came; says whether there was room for it.
    fn adopt<S>(&self, stream: S, key: Key) -> bool
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (writer, waiting) = mpsc::channel(WRITES_MAX);
        {
            let mut writers = self.lock();
            if writers.len() >= CONNECTIONS_MAX {
                return false;
            }
            writers.insert(key.clone(), writer.clone());
        }
        self.run(stream, key, writer, waiting);
        true
    }

    /// Lets a connection read and write until either is over, and closes it then.
    fn run<S>(&self, stream: S, key: Key, writer: Writer, mut waiting: Waiting)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (reads, writes) = split(stream);
        let streams = self.clone();
        tokio::spawn(async move {
            let why = tokio::select! {
                () = streams.read(reads, key.0, writer.clone()) => "the connection ended".to_owned(),
                why = streams.write(writes, key.0, &mut waiting) => why,
            };
            streams.give_up(&key, &writer, waiting, &why).await;
        });
    }

    /// Lets nobody write to a connection any more.
    fn forget(&self, key: &Key, writer: &Writer) {
        let mut writers = self.lock();
        // Another one may have taken its place meanwhile.
        if writers.get(key).is_some_and(|known| known.same_channel(writer)) {
            writers.remove(key);
        }
    }

    /// Lets go of a connection that does not write, and gives back what waits for it.
    async fn give_up(&self, key: &Key, writer: &Writer, mut waiting: Waiting, why: &str) {
        self.forget(key, writer);
        let lost: Vec<_> = std::iter::from_fn(|| waiting.try_recv().ok()).collect();
        self.unsent(lost, &format!("{}: {why}", key.0)).await;
    }

    async fn unsent(&self, messages: Vec<Vec<u8>>, why: &str) {
        for octets in messages {
            // Nobody asks once the core is gone.
            let _ = self.arrived.send(Arrived::Unsent(octets, why.to_owned())).await;
        }
    }

    /// Writes what waits until that cannot be done any more, and returns why.
    async fn write<W>(&self, mut writes: W, to: SocketAddr, waiting: &mut Waiting) -> String
    where
        W: AsyncWrite + Unpin,
    {
        while let Some(octets) = waiting.recv().await {
            let written = async {
                writes.write_all(&octets).await?;
                writes.flush().await
            };
            let why = match timeout(WRITE_WITHIN, written).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => reason(&error),
                Err(_) => format!("it took nothing for {} s", WRITE_WITHIN.as_secs()),
            };
            self.unsent(vec![octets], &format!("{to}: {why}")).await;
            return why;
        }
        "nobody writes to it any more".to_owned()
    }

    /// Reads until the far end is done, silent for too long, or no longer makes sense.
    async fn read<R>(&self, mut reads: R, peer: SocketAddr, pongs: Writer)
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

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Writer>> {
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

/// A connection, by whatever transport.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Waits for a connection; else says why there is none, and what to do about it.
async fn in_time(
    made: impl Future<Output = io::Result<Box<dyn Wire>>>,
) -> Result<Box<dyn Wire>, String> {
    match timeout(CONNECT_WITHIN, made).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(reason(&error)),
        Err(_) => Err(format!("no connection came up within {} s", CONNECT_WITHIN.as_secs())),
    }
}

async fn plain(to: SocketAddr) -> io::Result<Box<dyn Wire>> {
    let stream = TcpStream::connect(to).await?;
    let _ = stream.set_nodelay(true);
    Ok(Box::new(stream))
}

/// Connects by TLS to who proves to be `name`.
async fn proven(tls: &SipTls, name: &str, to: SocketAddr) -> io::Result<Box<dyn Wire>> {
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let stream = plain(to).await?;
    Ok(Box::new(TlsConnector::from(Arc::clone(&tls.client)).connect(name, stream).await?))
}
