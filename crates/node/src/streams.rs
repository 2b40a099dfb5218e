//! SIP over TCP: connections in and out, each with a task that reads and one that writes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sip::{Framed, Framer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Connections at the same time; more are closed at once.
pub const CONNECTIONS_MAX: usize = 1_000;
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
    Message(SocketAddr, Vec<u8>),
    /// The head of one that is too long.
    TooLarge(SocketAddr, Vec<u8>),
}

type Writers = Arc<Mutex<BTreeMap<SocketAddr, mpsc::Sender<Vec<u8>>>>>;

/// The connections.
#[derive(Debug, Clone)]
pub struct Streams {
    writers: Writers,
    arrived: mpsc::Sender<Arrived>,
}

impl Streams {
    /// Starts to take connections; what they bring comes out of the receiver.
    pub fn start(listener: TcpListener) -> (Self, mpsc::Receiver<Arrived>) {
        let (arrived, messages) = mpsc::channel(MESSAGES_MAX);
        let streams = Self { writers: Arc::default(), arrived };
        tokio::spawn(accept(listener, streams.clone()));
        (streams, messages)
    }

    /// Sends by the connection to `to`, made where there is none.
    pub fn send(&self, to: SocketAddr, octets: Vec<u8>) {
        let known = self.lock().get(&to).cloned();
        if let Some(writer) = known {
            // A full queue is loss; SIP's transactions end by themselves.
            let _ = writer.try_send(octets);
            return;
        }
        let streams = self.clone();
        tokio::spawn(async move {
            match timeout(WRITE_WITHIN, TcpStream::connect(to)).await {
                Ok(Ok(stream)) => {
                    if let Some(writer) = streams.adopt(stream, to) {
                        let _ = writer.try_send(octets);
                    }
                }
                Ok(Err(error)) => tracing::info!(%to, %error, "no SIP connection"),
                Err(_) => tracing::info!(%to, "no SIP connection in time"),
            }
        });
    }

    /// Takes a connection in; nothing where there are too many.
    fn adopt(&self, stream: TcpStream, peer: SocketAddr) -> Option<mpsc::Sender<Vec<u8>>> {
        let (writer, waiting) = mpsc::channel(WRITES_MAX);
        {
            let mut writers = self.lock();
            if writers.len() >= CONNECTIONS_MAX {
                return None;
            }
            writers.insert(peer, writer.clone());
        }
        let _ = stream.set_nodelay(true);
        let (reads, writes) = stream.into_split();
        let (streams, pongs) = (self.clone(), writer.clone());
        let writing = tokio::spawn(write(writes, waiting));
        tokio::spawn(async move {
            streams.read(reads, peer, pongs).await;
            streams.lock().remove(&peer);
            writing.abort();
        });
        Some(writer)
    }

    /// Reads until the far end is done, silent for too long, or no longer makes sense.
    async fn read(&self, mut reads: OwnedReadHalf, peer: SocketAddr, pongs: mpsc::Sender<Vec<u8>>) {
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

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<SocketAddr, mpsc::Sender<Vec<u8>>>> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, streams: Streams) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if streams.adopt(stream, peer).is_none() {
                    tracing::warn!(%peer, "too many SIP connections");
                }
            }
            Err(error) => {
                // Out of descriptors, most likely: others will be closed.
                tracing::warn!(%error, "no SIP connection could be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn write(mut writes: OwnedWriteHalf, mut waiting: mpsc::Receiver<Vec<u8>>) {
    while let Some(octets) = waiting.recv().await {
        if !matches!(timeout(WRITE_WITHIN, writes.write_all(&octets)).await, Ok(Ok(()))) {
            return;
        }
    }
}
