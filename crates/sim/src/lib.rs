//! Phones that do not exist: they call over real sockets, send real RTP and keep what they hear.
//!
//! A phone is a thread of its own with two sockets. It shares the SIP agent and the G.711 tables
//! with the server, and nothing else: who hears whom is judged from what comes out of the wire.

mod audio;
mod keys;
pub mod load;
mod played;
pub mod rehearsal;
mod samples;
pub mod town;
mod virtual_phones;
pub mod world;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use node::arrival::Reader;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sip::{Agent, CallId, Config, Event, SrtpPolicy, Terms};

use crate::audio::{Audio, Came, SAMPLES};

pub use crate::keys::pause;
pub use crate::samples::{Sample, samples};
pub use crate::virtual_phones::{CALLS_MAX, Spoken, VirtualPhones};

const TICK: Duration = Duration::from_millis(20);
/// Most that a phone remembers: 60 s.
const HEARD_MAX: usize = 8_000 * 60;

/// Packets that a phone remembers until they are asked for: 60 s.
pub const PACKETS_MAX: usize = 3_000;

/// Where a call has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing happens.
    Idle,
    /// It rings, here or there.
    Ringing,
    /// Both sides talk.
    Up,
    /// It is over, or never came about: with the SIP status where there is one.
    Over(Option<u16>),
}

/// What a phone speaks of which nothing is said.
const TELEPHONE: [&str; 2] = ["pcmu", "pcma"];

/// What a phone sends in an endless loop: 8 kHz linear PCM.
pub type Voice = Arc<[i16]>;

/// Returns one second of a tone, which is seamless where `hertz` is whole.
pub fn tone(hertz: u32) -> Voice {
    (0..8_000_u32)
        .map(|index| {
            let phase = (index * hertz % 8_000) as f32 / 8_000.0 * std::f32::consts::TAU;
            (phase.sin() * 3_000.0) as i16
        })
        .collect()
}

/// Returns how strong a tone is in what was heard, as its amplitude.
pub fn level(heard: &[i16], hertz: u32) -> f32 {
    let (mut real, mut imaginary) = (0.0_f64, 0.0_f64);
    for (index, &sample) in heard.iter().enumerate() {
        let phase = index as f64 * f64::from(hertz) / 8_000.0 * std::f64::consts::TAU;
        real += f64::from(sample) * phase.cos();
        imaginary += f64::from(sample) * phase.sin();
    }
    (real.hypot(imaginary) * 2.0 / heard.len().max(1) as f64) as f32
}

/// What a phone says of all that it sends. Source: RFC 6464.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Telling {
    /// In dB below overload, 0 to 127.
    pub level: u8,
    /// Whether somebody speaks.
    pub voice: bool,
}

/// One packet of sound, as it came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Packet {
    /// When the kernel took it.
    pub at: Instant,
    /// The root of the mean square of its samples.
    pub loudness: f32,
    /// How much sound it holds, in samples at 8 kHz.
    pub samples: usize,
}

#[derive(Debug)]
struct Shared {
    state: State,
    codec: Option<&'static str>,
    heard: Vec<i16>,
    packets: Vec<Packet>,
    digits: String,
    /// The headers `X-` of the call that came.
    headers: Vec<(String, String)>,
    /// Who called it, as the call says.
    caller: String,
    registered: bool,
    orders: VecDeque<Order>,
}

/// What a phone is told to do.
#[derive(Debug)]
enum Order {
    Register(SocketAddr, String),
    Answer,
    Refuse(u16),
    Press(String),
}

/// What a phone does when it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Answers,
    Rings,
}

/// One phone; it hangs up when it is dropped.
#[derive(Debug)]
pub struct Phone {
    shared: Arc<Mutex<Shared>>,
    hang_up: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Where it can be called.
    pub uri: String,
}

impl Phone {
    /// Calls `user` at `server` from a port of its own.
    ///
    /// # Errors
    /// When no socket can be had.
    pub fn call(server: SocketAddr, user: &str, voice: Voice) -> io::Result<Self> {
        Self::call_as(server, user, "phone", voice)
    }

    /// Calls as [`Self::call`] does, under a name or number of its own.
    ///
    /// # Errors
    /// When no socket can be had.
    pub fn call_as(server: SocketAddr, user: &str, from: &str, voice: Voice) -> io::Result<Self> {
        let dialled = Dialled { server, user: user.to_owned(), from: from.to_owned() };
        Self::start(server.ip(), voice, Some(dialled), Manner::Answers, terms(&TELEPHONE), None)
    }

    /// Calls as [`Self::call`] does, and offers these codecs, best first: of the names that the setting
    /// `codecs` has.
    ///
    /// # Errors
    /// When no socket can be had.
    pub fn call_speaking(
        server: SocketAddr,
        user: &str,
        voice: Voice,
        codecs: &[&str],
    ) -> io::Result<Self> {
        let dialled = Dialled { server, user: user.to_owned(), from: "phone".to_owned() };
        Self::start(server.ip(), voice, Some(dialled), Manner::Answers, terms(codecs), None)
    }

    /// Calls as [`Self::call_speaking`] does, and wants packets of so many milliseconds; what it sends itself is as
    /// long as it is asked to, in whole ticks of 20 ms.
    ///
    /// # Errors
    /// When no socket can be had.
    pub fn call_in_packets(
        server: SocketAddr,
        user: &str,
        voice: Voice,
        codecs: &[&str],
        ptime_ms: u8,
    ) -> io::Result<Self> {
        let dialled = Dialled { server, user: user.to_owned(), from: "phone".to_owned() };
        let terms = Terms { ptime_ms, ..terms(codecs) };
        Self::start(server.ip(), voice, Some(dialled), Manner::Answers, terms, None)
    }

    /// Calls as [`Self::call`] does, and says in each packet how loud it is, whatever it sends.
    ///
    /// # Errors
    /// When no socket can be had.
    pub fn call_telling(
        server: SocketAddr,
        user: &str,
        voice: Voice,
        tells: Telling,
    ) -> io::Result<Self> {
        let dialled = Dialled { server, user: user.to_owned(), from: "phone".to_owned() };
        let terms = Terms { sends_levels: true, ..terms(&TELEPHONE) };
        Self::start(server.ip(), voice, Some(dialled), Manner::Answers, terms, Some(tells))
    }

    /// Waits to be called, and answers.
    ///
    /// # Errors
    /// When no socket can be had.
    pub fn listen(ip: IpAddr, voice: Voice) -> io::Result<Self> {
        Self::start(ip, voice, None, Manner::Answers, terms(&TELEPHONE), None)
    }

    /// Waits to be called, and rings until it is told to [`Self::answer`] or [`Self::refuse`].
    ///
    /// # Errors
    /// When no socket can be had.
    pub fn ring(ip: IpAddr, voice: Voice) -> io::Result<Self> {
        Self::start(ip, voice, None, Manner::Rings, terms(&TELEPHONE), None)
    }

    /// Waits as [`Self::ring`] does, and speaks these codecs: of the names that the setting `codecs` has.
    ///
    /// # Errors
    /// When no socket can be had.
    pub fn ring_speaking(ip: IpAddr, voice: Voice, codecs: &[&str]) -> io::Result<Self> {
        Self::start(ip, voice, None, Manner::Rings, terms(codecs), None)
    }

    fn start(
        ip: IpAddr,
        voice: Voice,
        calls: Option<Dialled>,
        manner: Manner,
        terms: Terms,
        tells: Option<Telling>,
    ) -> io::Result<Self> {
        let signalling = UdpSocket::bind((ip, 0))?;
        signalling.set_nonblocking(true)?;
        let address = signalling.local_addr()?;
        let shared = Shared {
            state: State::Idle,
            codec: None,
            heard: Vec::new(),
            packets: Vec::new(),
            digits: String::new(),
            headers: Vec::new(),
            caller: String::new(),
            registered: false,
            orders: VecDeque::new(),
        };
        let shared = Arc::new(Mutex::new(shared));
        let hang_up = Arc::new(AtomicBool::new(false));
        let mut random = ChaCha12Rng::from_os_rng();
        let mut seed = [0; 32];
        random.fill_bytes(&mut seed);
        let mut audio = Audio::open(ip, &mut random)?;
        audio.tells = tells;
        let line = Line {
            agent: Agent::new(Config { terms, ..Config::open(address, seed) }),
            signalling,
            audio,
            voice,
            manner,
            call: None,
            at: 0,
            shared: Arc::clone(&shared),
        };
        let stop = Arc::clone(&hang_up);
        let thread = std::thread::Builder::new()
            .name("phone".to_owned())
            .spawn(move || line.run(calls, &stop))?;
        Ok(Self { shared, hang_up, thread: Some(thread), uri: format!("sip:phone@{address}") })
    }

    /// Returns where the call has come to.
    pub fn state(&self) -> State {
        self.lock().state
    }

    /// Returns the name of the codec that was agreed on, once it was.
    pub fn codec(&self) -> Option<&'static str> {
        self.lock().codec
    }

    /// Waits until the call is up; false when it is over first, or does not come about in time.
    pub fn wait_up(&self, limit: Duration) -> bool {
        self.wait(limit, |state| state != State::Idle && state != State::Ringing) == State::Up
    }

    /// Waits until the call is over.
    pub fn wait_over(&self, limit: Duration) -> bool {
        matches!(self.wait(limit, |state| matches!(state, State::Over(_))), State::Over(_))
    }

    fn wait(&self, limit: Duration, enough: impl Fn(State) -> bool) -> State {
        let until = Instant::now() + limit;
        loop {
            let state = self.state();
            if enough(state) || Instant::now() >= until {
                return state;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Forgets what was heard so far, listens for so long and returns it.
    pub fn hear(&self, length: Duration) -> Vec<i16> {
        self.lock().heard.clear();
        std::thread::sleep(length);
        std::mem::take(&mut self.lock().heard)
    }

    /// Forgets what was heard so far.
    pub fn forget(&self) {
        self.lock().heard.clear();
    }

    /// Returns what was heard since it was last forgotten.
    pub fn heard(&self) -> Vec<i16> {
        std::mem::take(&mut self.lock().heard)
    }

    /// Returns the packets that came since they were last asked for; no more than
    /// [`PACKETS_MAX`] are kept.
    pub fn packets(&self) -> Vec<Packet> {
        std::mem::take(&mut self.lock().packets)
    }

    /// Returns the keys that were sent to it.
    pub fn digits(&self) -> String {
        self.lock().digits.clone()
    }

    /// Presses keys: `0-9 * #`, one after the other.
    pub fn press(&self, keys: &str) {
        self.order(Order::Press(keys.to_owned()));
    }

    /// Answers the call that rings.
    pub fn answer(&self) {
        self.order(Order::Answer);
    }

    /// Turns the call away that rings, by a SIP status.
    pub fn refuse(&self, status: u16) {
        self.order(Order::Refuse(status));
    }

    /// Registers as `user`; false when that does not come about in time.
    pub fn register(&self, server: SocketAddr, user: &str, limit: Duration) -> bool {
        self.order(Order::Register(server, user.to_owned()));
        let until = Instant::now() + limit;
        while !self.lock().registered && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.lock().registered
    }

    /// Returns the headers `X-` of the call that came, and who called.
    pub fn invitation(&self) -> (Vec<(String, String)>, String) {
        let shared = self.lock();
        (shared.headers.clone(), shared.caller.clone())
    }

    fn order(&self, order: Order) {
        self.lock().orders.push_back(order);
    }

    /// Hangs up.
    pub fn hang_up(&self) {
        self.hang_up.store(true, Ordering::Relaxed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.hang_up();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Returns those of a phone that speaks what has these names, best first.
fn terms(codecs: &[&str]) -> Terms {
    let codecs = codecs.iter().filter_map(|name| sip::Codec::named(name)).collect();
    Terms { codecs, ..plain() }
}

/// Returns those of a telephone that knows nothing of encryption: it sends sound in the clear, so that it must agree to
/// nothing else.
fn plain() -> Terms {
    Terms { srtp: SrtpPolicy::Off, ..Terms::telephone() }
}

/// Writes a request that registers a user.
fn registration(user: &str, us: SocketAddr, server: SocketAddr) -> String {
    format!(
        "REGISTER sip:{server} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {us};branch=z9hG4bK-{user}-{}\r\n\
         From: <sip:{user}@{server}>;tag=1\r\nTo: <sip:{user}@{server}>\r\n\
         Call-ID: {user}@{us}\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\n\
         Contact: <sip:{user}@{us}>\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n",
        us.port()
    )
}

/// Whom a phone calls, and as whom.
struct Dialled {
    server: SocketAddr,
    user: String,
    from: String,
}

struct Line {
    agent: Agent,
    signalling: UdpSocket,
    audio: Audio,
    voice: Voice,
    manner: Manner,
    call: Option<CallId>,
    at: usize,
    shared: Arc<Mutex<Shared>>,
}

impl Line {
    fn run(mut self, calls: Option<Dialled>, hang_up: &AtomicBool) {
        if let Some(Dialled { server, user, from }) = calls {
            let call = self.agent.new_call();
            let uri = format!("sip:{user}@{server}");
            self.agent.invite(
                call,
                &uri,
                server,
                (&from, None),
                self.audio.address,
                Instant::now(),
            );
            self.call = Some(call);
        }
        let mut reader = Reader::new();
        let mut tick_at = Instant::now();
        let mut end: Option<Instant> = None;
        while end.is_none_or(|end| Instant::now() < end) {
            if end.is_none() && hang_up.load(Ordering::Relaxed) {
                if let Some(call) = self.call {
                    self.agent.hang_up(call, Instant::now());
                }
                // Time for the far end to answer the BYE.
                end = Some(Instant::now() + Duration::from_millis(60));
                self.audio.remote = None;
            }
            self.obey();
            self.signal();
            self.listen(&mut reader);
            self.speak();
            tick_at += TICK;
            std::thread::sleep(tick_at.saturating_duration_since(Instant::now()));
        }
    }

    fn obey(&mut self) {
        let orders = std::mem::take(&mut self.lock().orders);
        for order in orders {
            match (order, self.call) {
                (Order::Register(server, user), _) => self.register(server, &user),
                (Order::Press(keys), _) => self.audio.keys.push(&keys),
                (Order::Answer, Some(call)) => {
                    self.agent.answer(call, self.audio.address, Instant::now());
                }
                (Order::Refuse(status), Some(call)) => {
                    self.agent.reject(call, status, Instant::now());
                    let over = self.over(Some(status));
                    self.lock().state = over;
                }
                (Order::Answer | Order::Refuse(_), None) => {}
            }
        }
    }

    fn register(&self, server: SocketAddr, user: &str) {
        let Ok(us) = self.signalling.local_addr() else { return };
        let request = registration(user, us, server);
        let _ = self.signalling.send_to(request.as_bytes(), server);
    }

    fn signal(&mut self) {
        let mut datagram = [0; 4_096];
        while let Ok((length, from)) = self.signalling.recv_from(&mut datagram) {
            let text = String::from_utf8_lossy(&datagram[..length]);
            if text.starts_with("SIP/2.0 200") && text.contains("CSeq: 1 REGISTER") {
                self.lock().registered = true;
                continue;
            }
            self.agent.handle_message(from, &datagram[..length], Instant::now());
        }
        self.agent.handle_timeout(Instant::now());
        while let Some(event) = self.agent.poll_event() {
            self.signalled(event);
        }
        while let Some(transmit) = self.agent.poll_transmit() {
            let _ = self.signalling.send_to(&transmit.octets, transmit.to);
        }
    }

    fn signalled(&mut self, event: Event) {
        let state = match event {
            Event::Invite(invitation) => {
                self.call = Some(invitation.call);
                self.audio.agree(invitation.offer.as_ref());
                self.agent.ring(invitation.call);
                if self.manner == Manner::Answers {
                    self.agent.answer(invitation.call, self.audio.address, Instant::now());
                }
                let codec = self.audio.codec();
                let mut shared = self.lock();
                shared.codec = Some(codec);
                shared.headers = invitation.headers;
                shared.caller = invitation.from;
                State::Ringing
            }
            Event::Ringing(..) => State::Ringing,
            Event::Answered(_, session) => {
                self.audio.agree(session.as_deref());
                self.lock().codec = Some(self.audio.codec());
                State::Up
            }
            Event::Acknowledged(..) => State::Up,
            Event::Failed(_, status) => self.over(Some(status)),
            Event::Ended(..) => self.over(None),
            Event::MediaChanged(..)
            | Event::AnswerHeaders(..)
            | Event::Digit(..)
            | Event::Parted(_)
            | Event::Registered(_)
            | Event::Unregistered(_)
            | Event::Unprotected(_)
            | Event::Replied(..) => return,
        };
        self.lock().state = state;
    }

    fn over(&mut self, status: Option<u16>) -> State {
        self.audio.remote = None;
        self.call = None;
        State::Over(status)
    }

    fn listen(&mut self, reader: &mut Reader) {
        reader.begin(Instant::now());
        let shared = &self.shared;
        self.audio.listen(reader, |came| {
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let (sound, at) = match came {
                Came::Key(key) => return shared.digits.push(key),
                Came::Sound(sound, at) => (sound, at),
            };
            let samples = sound.iter().copied();
            if shared.packets.len() < PACKETS_MAX {
                let power: f32 = samples.clone().map(|sample| f32::from(sample).powi(2)).sum();
                let loudness = (power / sound.len().max(1) as f32).sqrt();
                shared.packets.push(Packet { at, loudness, samples: sound.len() });
            }
            if shared.heard.len() < HEARD_MAX {
                shared.heard.extend(samples);
            }
        });
    }

    fn speak(&mut self) {
        if self.audio.remote.is_none() {
            return;
        }
        let (voice, at) = (&self.voice, self.at);
        self.audio.speak(|index| voice[(at + index) % voice.len()]);
        self.at = (at + SAMPLES) % voice.len();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
