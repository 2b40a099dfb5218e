//! A phone that speaks SIP by TLS, and sound in SRTP where that is agreed on. It notes by which connection each
//! request came, and what came in the clear.

pub mod certificates;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use e2e::{level, until};
use media::{Header, PACKET_MAX, Srtp, linear_to_ulaw, ulaw_to_linear};
use sip::{Agent, CallId, Config, Event, Framed, Framer, Message, Peer, Start, Terms, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, WriteHalf, split};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// SIP's usual ports, by TLS and without.
pub const TLS_PORT: u16 = 5_061;
pub const PORT: u16 = 5_060;
/// The first octet of a record in which TLS begins.
const HANDSHAKE: u8 = 22;
/// Samples in a packet.
const SAMPLES: usize = 160;

/// What a phone does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It answers, with keys where it is offered some.
    Encrypts,
    /// It answers and knows nothing of keys.
    InTheClear,
}

/// What a phone has seen.
#[derive(Debug, Default)]
struct Seen {
    /// Requests, each with the connection that brought it.
    requests: Vec<(SocketAddr, Message)>,
    /// Connections by TLS that came about.
    agreed: usize,
    /// Connections and datagrams that were no TLS.
    plain: Vec<String>,
    /// Whether sound is encrypted, where it was agreed on.
    encrypted: Option<bool>,
    heard: Vec<i16>,
    registered: bool,
    over: bool,
}

/// What a phone's task is told.
enum Told {
    /// A message, and the connection that brought it.
    Message(SocketAddr, Vec<u8>),
    Connected(SocketAddr, Writer),
    Gone(SocketAddr),
    Register(Box<sip::Question>),
    HangUp,
}

/// A connection to write to.
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// One phone; it falls silent when it is dropped.
pub struct TlsPhone {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    told: mpsc::UnboundedSender<Told>,
    tasks: Vec<JoinHandle<()>>,
}

/// Returns an address of this machine that no other test uses, so that all of its ports are free.
pub fn own_ip() -> Ipv4Addr {
    static LAST: AtomicU8 = AtomicU8::new(2);
    let [low, high, ..] = std::process::id().to_le_bytes();
    Ipv4Addr::new(127, high.wrapping_add(100), low, LAST.fetch_add(1, Ordering::Relaxed))
}

impl TlsPhone {
    /// Listens by TLS, and for whatever comes in the clear at the same port and at SIP's usual one, and says a tone.
    pub async fn listen(
        address: SocketAddr,
        shown: Arc<ServerConfig>,
        manner: Manner,
        hertz: u32,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut phone = Self::start(address, manner, hertz).await;
        let (seen, told) = (Arc::clone(&phone.seen), phone.told.clone());
        phone.tasks.push(tokio::spawn(async move {
            loop {
                let (stream, from) = listener.accept().await.unwrap();
                tokio::spawn(welcome(stream, from, Arc::clone(&shown), told.clone(), seen.clone()));
            }
        }));
        phone.watch(address).await;
        if address.ip() != Ipv4Addr::LOCALHOST {
            let usual = SocketAddr::new(address.ip(), PORT);
            phone.watch(usual).await;
            let listener = TcpListener::bind(usual).await.unwrap();
            let seen = Arc::clone(&phone.seen);
            phone.tasks.push(tokio::spawn(async move {
                while let Ok((_, from)) = listener.accept().await {
                    seen.lock().unwrap().plain.push(format!("TCP from {from}"));
                }
            }));
        }
        phone
    }

    /// Connects to a server and registers there, as `user` with an address of this scheme; it listens nowhere.
    pub async fn register(
        (server, trusts): (SocketAddr, Arc<ClientConfig>),
        (user, domain): (&str, &str),
        proof: Option<sip::Proof>,
        hertz: u32,
    ) -> Self {
        let stream = TcpStream::connect(server).await.unwrap();
        let address = stream.local_addr().unwrap();
        let name = server.ip().into();
        let stream = TlsConnector::from(trusts).connect(name, stream).await.unwrap();
        let phone = Self::start(address, Manner::Encrypts, hertz).await;
        serve(stream, server, phone.told.clone());
        let question = sip::Question {
            uri: format!("sips:{domain}"),
            callee: Peer { address: server, transport: Transport::Tls }.into(),
            identity: format!("sips:{user}@{domain}"),
            expires_s: Some(600),
            user: user.to_owned(),
            call_id: format!("{user}@{address}"),
            cseq: 1,
            proof,
        };
        phone.told.send(Told::Register(Box::new(question))).unwrap();
        until("it is registered", async || phone.lock().registered).await;
        phone
    }

    async fn start(address: SocketAddr, manner: Manner, hertz: u32) -> Self {
        let (told, inbox) = mpsc::unbounded_channel();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let line = Line {
            agent: Agent::new(Config {
                tls: Some(address),
                terms: Terms::telephone(),
                ..Config::open(address, [address.port() as u8; 32])
            }),
            manner,
            call: None,
            connections: BTreeMap::new(),
            sound: Sound::open(address, hertz).await,
            seen: Arc::clone(&seen),
        };
        let tasks = vec![tokio::spawn(line.run(inbox))];
        Self { address, seen, told, tasks }
    }

    /// Notes what comes to a port by UDP.
    async fn watch(&mut self, address: SocketAddr) {
        let socket = UdpSocket::bind(address).await.unwrap();
        let seen = Arc::clone(&self.seen);
        self.tasks.push(tokio::spawn(async move {
            let mut datagram = [0; 4_096];
            while let Ok((_, from)) = socket.recv_from(&mut datagram).await {
                seen.lock().unwrap().plain.push(format!("UDP from {from}"));
            }
        }));
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// Returns the requests of a method that came, and what brought each.
    pub fn requests(&self, method: &str) -> Vec<(SocketAddr, Message)> {
        let is = |message: &Message| matches!(&message.start, Start::Request { method: it, .. } if it == method);
        self.lock().requests.iter().filter(|(_, message)| is(message)).cloned().collect()
    }

    /// Returns how many connections by TLS came about.
    pub fn agreed(&self) -> usize {
        self.lock().agreed
    }

    /// Returns what came in the clear.
    pub fn plain(&self) -> Vec<String> {
        self.lock().plain.clone()
    }

    /// Whether its sound is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.lock().encrypted == Some(true)
    }

    /// Whether its call is over.
    pub fn is_over(&self) -> bool {
        self.lock().over
    }

    /// Waits until it hears a tone.
    pub async fn hears(&self, hertz: u32) {
        until(&format!("a tone of {hertz} Hz is heard by TLS"), async || {
            self.lock().heard.clear();
            tokio::time::sleep(Duration::from_millis(300)).await;
            level(&self.lock().heard, hertz) > 500.0
        })
        .await;
    }

    pub fn hang_up(&self) {
        self.told.send(Told::HangUp).unwrap();
    }
}

impl Drop for TlsPhone {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Takes a connection in that is TLS, and notes one that is not.
async fn welcome(
    stream: TcpStream,
    from: SocketAddr,
    shown: Arc<ServerConfig>,
    told: mpsc::UnboundedSender<Told>,
    seen: Arc<Mutex<Seen>>,
) {
    let mut first = [0];
    if !matches!(stream.peek(&mut first).await, Ok(1)) {
        return;
    }
    if first[0] != HANDSHAKE {
        return seen.lock().unwrap().plain.push(format!("TCP from {from}"));
    }
    if let Ok(stream) = TlsAcceptor::from(shown).accept(stream).await {
        seen.lock().unwrap().agreed += 1;
        serve(stream, from, told);
    }
}

/// Says where to write to, and hands on what a connection brings until it or the phone is gone.
fn serve<S>(stream: S, peer: SocketAddr, told: mpsc::UnboundedSender<Told>)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut reads, writes): (_, WriteHalf<S>) = split(stream);
    let _ = told.send(Told::Connected(peer, Box::new(writes)));
    tokio::spawn(async move {
        let (mut framer, mut octets) = (Framer::default(), [0; 4_096]);
        loop {
            let length = tokio::select! {
                read = reads.read(&mut octets) => read.unwrap_or(0),
                () = told.closed() => 0,
            };
            if length == 0 {
                break drop(told.send(Told::Gone(peer)));
            }
            framer.push(&octets[..length]);
            while let Some(found) = framer.poll() {
                if let Framed::Message(message) = found {
                    let _ = told.send(Told::Message(peer, message));
                }
            }
        }
    });
}

/// What a phone's task has.
struct Line {
    agent: Agent,
    manner: Manner,
    call: Option<CallId>,
    connections: BTreeMap<SocketAddr, Writer>,
    sound: Sound,
    seen: Arc<Mutex<Seen>>,
}

impl Line {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Told>) {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                Some(told) = inbox.recv() => self.told(told),
                _ = tick.tick() => self.sound.speak(&self.seen).await,
            }
            self.agent.handle_timeout(Instant::now());
            while let Some(event) = self.agent.poll_event() {
                self.happened(event);
            }
            self.transmit().await;
        }
    }

    fn told(&mut self, told: Told) {
        let now = Instant::now();
        match told {
            Told::Connected(peer, writer) => drop(self.connections.insert(peer, writer)),
            Told::Gone(peer) => drop(self.connections.remove(&peer)),
            Told::Register(question) => {
                let id = self.agent.new_call();
                self.agent.ask(id, *question, now);
            }
            Told::HangUp => {
                if let Some(call) = self.call {
                    self.agent.hang_up(call, now);
                }
            }
            Told::Message(peer, octets) => {
                let message = Message::parse(&octets).unwrap();
                if matches!(message.start, Start::Request { .. }) {
                    self.seen.lock().unwrap().requests.push((peer, message));
                }
                let from = Peer { address: peer, transport: Transport::Tls };
                self.agent.handle_message(from, &octets, now);
            }
        }
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Invite(invitation) => {
                self.call = Some(invitation.call);
                self.agent.ring(invitation.call);
                self.agent.answer(invitation.call, self.sound.address, Instant::now());
                if let Some(offer) = invitation.offer {
                    self.sound.agree(&offer);
                    let encrypted = offer.audio.protection.is_some();
                    self.seen.lock().unwrap().encrypted = Some(encrypted);
                }
            }
            Event::Ended(..) => self.seen.lock().unwrap().over = true,
            Event::Replied(_, status, _) => {
                assert_eq!(status, 200, "it is not registered");
                self.seen.lock().unwrap().registered = true;
            }
            _ => {}
        }
    }

    async fn transmit(&mut self) {
        while let Some(transmit) = self.agent.poll_transmit() {
            assert_eq!(transmit.transport, Transport::Tls);
            // What is for a connection that is gone is lost.
            let Some(writer) = self.connections.get_mut(&transmit.to) else { continue };
            let octets = match self.manner {
                Manner::Encrypts => transmit.octets,
                Manner::InTheClear => without_keys(&transmit.octets),
            };
            let _ = writer.write_all(&octets).await;
            let _ = writer.flush().await;
        }
    }
}

/// Takes the keys out of a description, as one that knows nothing of them would write it.
fn without_keys(octets: &[u8]) -> Vec<u8> {
    let mut message = Message::parse(octets).unwrap();
    let body = String::from_utf8(message.body).unwrap().replace("RTP/SAVP", "RTP/AVP");
    let kept = body.split_inclusive("\r\n").filter(|line| !line.starts_with("a=crypto:"));
    message.body = kept.collect::<String>().into_bytes();
    message.remove("Content-Length");
    message.write()
}

/// A phone's sound, in PCMU.
struct Sound {
    socket: UdpSocket,
    address: SocketAddr,
    remote: Option<SocketAddr>,
    voice: Vec<u8>,
    sent: usize,
    /// What protects what it sends, and what opens what comes.
    sealed: Option<(Srtp, Srtp)>,
}

impl Sound {
    async fn open(beside: SocketAddr, hertz: u32) -> Self {
        let socket = UdpSocket::bind((beside.ip(), 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let voice = sim::tone(hertz).iter().map(|&sample| linear_to_ulaw(sample)).collect();
        Self { socket, address, remote: None, voice, sent: 0, sealed: None }
    }

    fn agree(&mut self, offer: &sip::Session) {
        self.remote = Some(offer.audio.address);
        let keys = offer.audio.protection.as_ref().and_then(node::protection);
        self.sealed = keys.map(|keys| (Srtp::new(&keys.ours), Srtp::new(&keys.theirs)));
    }

    /// Takes what has come, and sends 20 ms.
    async fn speak(&mut self, seen: &Mutex<Seen>) {
        let mut packet = [0; PACKET_MAX];
        while let Ok((length, _)) = self.socket.try_recv_from(&mut packet) {
            let length = match &mut self.sealed {
                // What nobody but the server can have sent is heard; in the clear is nothing.
                Some((_, opens)) => opens.unprotect(&mut packet[..length]),
                None => Some(length),
            };
            if let Some((_, payload)) = length.and_then(|length| Header::parse(&packet[..length])) {
                let pcm = payload.iter().map(|&octet| ulaw_to_linear(octet));
                seen.lock().unwrap().heard.extend(pcm);
            }
        }
        let Some(remote) = self.remote else { return };
        let header = Header {
            marker: self.sent == 0,
            payload_type: 0,
            sequence: self.sent as u16,
            timestamp: (self.sent * SAMPLES) as u32,
            ssrc: 9,
        };
        let at = self.sent * SAMPLES % self.voice.len();
        let mut length = header.write(&self.voice[at..at + SAMPLES], &mut packet);
        if let Some((seals, _)) = &mut self.sealed {
            length = seals.protect(&mut packet, length);
        }
        self.sent += 1;
        let _ = self.socket.send_to(&packet[..length], remote).await;
    }
}
