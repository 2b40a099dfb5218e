//! The phones of all numbers that nobody serves: one SIP address, and a port for the sound of each call.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use node::arrival::Reader;
use node::{Behavior, Order, PhoneState, Phones, Plan, Says};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sip::{Agent, CallId, Config, Event, Invitation};

use crate::audio::{Audio, Came, SAMPLES};
use crate::{TICK, Voice};

/// Calls that virtual phones have at once; more are refused by 503.
pub const CALLS_MAX: usize = 100;
/// The status of a call that no phone is free for, and of one whose ports cannot be had.
const NO_PHONE: u16 = 503;
/// How long it is silent before what it says comes again.
const REST: Duration = Duration::from_secs(4);
/// How long after its answer it presses the first key, and how far keys are apart.
const FIRST_KEY: Duration = Duration::from_secs(1);
const KEY: Duration = Duration::from_millis(300);

/// What a phone says, when it is there.
pub type Spoken = Arc<OnceLock<Voice>>;

/// The phones; they are gone when it is dropped, without a word to those who talk to them.
#[derive(Debug)]
pub struct VirtualPhones {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl VirtualPhones {
    /// Lets the phones be called by the server at `server` and by nobody else; they listen at `signalling`.
    /// `speaks` begins to render what one of them says, and returns at once.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(
        signalling: UdpSocket,
        server: SocketAddr,
        phones: Phones,
        speaks: impl Fn(&Says) -> Spoken + Send + 'static,
    ) -> io::Result<Self> {
        signalling.set_nonblocking(true)?;
        let address = signalling.local_addr()?;
        let mut random = ChaCha12Rng::from_os_rng();
        let mut seed = [0; 32];
        random.fill_bytes(&mut seed);
        let switchboard = Switchboard {
            agent: Agent::new(Config { terms: crate::plain(), ..Config::open(address, seed) }),
            signalling,
            server,
            ip: address.ip(),
            phones,
            speaks: Box::new(speaks),
            calls: BTreeMap::new(),
            random,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("virtual phones".to_owned())
            .spawn(move || switchboard.run(&stopped))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for VirtualPhones {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One phone in a call.
struct Call {
    number: String,
    plan: Plan,
    audio: Audio,
    /// When it answers; none: never, or it has.
    answers_at: Option<Instant>,
    is_up: bool,
    says: Spoken,
    /// How far it has come in what it says, and how often it has said it.
    at: usize,
    said: u32,
    keys: VecDeque<char>,
    next_key_at: Instant,
    hangs_up_at: Option<Instant>,
}

impl Call {
    /// Presses the key that is due.
    fn press(&mut self, now: Instant) {
        if now < self.next_key_at {
            return;
        }
        let Some(key) = self.keys.pop_front() else { return };
        let pause = crate::pause(key);
        if pause.is_none() {
            self.audio.keys.push(key.encode_utf8(&mut [0; 4]));
        }
        self.next_key_at = now + pause.unwrap_or(KEY);
    }

    fn speak(&mut self) {
        let nothing: &[i16] = &[];
        let voice = self.says.get().map_or(nothing, |voice| &**voice);
        let over = self.plan.loops != 0 && self.said >= self.plan.loops;
        let voice = if over { nothing } else { voice };
        let at = self.at;
        self.audio.speak(|index| voice.get(at + index).copied().unwrap_or(0));
        if voice.is_empty() {
            return;
        }
        self.at += SAMPLES;
        let rest = usize::try_from(REST.as_millis() * 8).unwrap_or_default();
        if self.at >= voice.len() + rest {
            (self.at, self.said) = (0, self.said.saturating_add(1));
        }
    }
}

struct Switchboard {
    agent: Agent,
    signalling: UdpSocket,
    server: SocketAddr,
    ip: IpAddr,
    phones: Phones,
    speaks: Box<dyn Fn(&Says) -> Spoken + Send>,
    calls: BTreeMap<CallId, Call>,
    random: ChaCha12Rng,
}

impl Switchboard {
    fn run(mut self, stop: &AtomicBool) {
        let mut reader = Reader::new();
        let mut tick_at = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            self.signal();
            self.tick(&mut reader);
            self.send();
            tick_at += TICK;
            std::thread::sleep(tick_at.saturating_duration_since(Instant::now()));
        }
    }

    fn signal(&mut self) {
        let mut datagram = [0; sip::MESSAGE_MAX];
        while let Ok((length, from)) = self.signalling.recv_from(&mut datagram) {
            if from == self.server {
                self.agent.handle_message(from, &datagram[..length], Instant::now());
            }
        }
        self.agent.handle_timeout(Instant::now());
        while let Some(event) = self.agent.poll_event() {
            self.signalled(event);
        }
        self.send();
    }

    fn send(&mut self) {
        while let Some(transmit) = self.agent.poll_transmit() {
            // Where the server says that it is may lie beyond a router: it is asked where it listens.
            let _ = self.signalling.send_to(&transmit.octets, self.server);
        }
    }

    fn signalled(&mut self, event: Event) {
        match event {
            Event::Invite(invitation) => self.called(&invitation),
            Event::Acknowledged(id, session) => {
                let here = session.map(|session| self.here(session.audio.address));
                let Some(call) = self.calls.get_mut(&id) else { return };
                call.audio.remote = here.or(call.audio.remote);
                call.is_up = true;
                let now = Instant::now();
                call.next_key_at = now + FIRST_KEY;
                call.hangs_up_at = call.plan.hang_up_after.map(|after| now + after);
                self.phones.note(&call.number, PhoneState::Up);
            }
            Event::MediaChanged(id, session) => {
                let here = self.here(session.audio.address);
                if let Some(call) = self.calls.get_mut(&id) {
                    call.audio.remote = Some(here);
                }
            }
            Event::Digit(id, key) => {
                if let Some(call) = self.calls.get(&id) {
                    self.phones.pressed(&call.number, key);
                }
            }
            Event::Failed(id, _) | Event::Ended(id, _) => self.over(id),
            Event::Ringing(..)
            | Event::AnswerHeaders(..)
            | Event::Answered(..)
            | Event::Parted(_)
            | Event::Registered(_)
            | Event::Unregistered(_)
            | Event::Unprotected(_)
            | Event::Replied(..) => {}
        }
    }

    fn called(&mut self, invitation: &Invitation) {
        let (id, now) = (invitation.call, Instant::now());
        let number = sip::user_of(&invitation.to);
        let plan = self.phones.called(&number, &sip::user_of(&invitation.from));
        if let Behavior::Refuse(status) = plan.behavior {
            return self.agent.reject(id, status, now);
        }
        let audio = Audio::open(self.ip, &mut self.random).ok();
        let Some(mut audio) = audio.filter(|_| self.calls.len() < CALLS_MAX) else {
            return self.agent.reject(id, NO_PHONE, now);
        };
        self.agent.ring(id);
        audio.remote = invitation.offer.as_ref().map(|offer| self.here(offer.audio.address));
        let answers_at = match plan.behavior {
            Behavior::Answer(after) => Some(now + after),
            Behavior::NoAnswer | Behavior::Refuse(_) => None,
        };
        let call = Call {
            says: (self.speaks)(&plan.says),
            keys: plan.digits.chars().collect(),
            number,
            plan,
            audio,
            answers_at,
            is_up: false,
            at: 0,
            said: 0,
            next_key_at: now,
            hangs_up_at: None,
        };
        self.phones.note(&call.number, PhoneState::Ringing);
        self.calls.insert(id, call);
    }

    /// Returns where the server's port is reached from here.
    fn here(&self, address: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.server.ip(), address.port())
    }

    /// Does what is due in each call, and sends and takes its sound.
    fn tick(&mut self, reader: &mut Reader) {
        let now = Instant::now();
        reader.begin(now);
        let mut hung_up = Vec::new();
        for (&id, call) in &mut self.calls {
            if call.answers_at.is_some_and(|at| at <= now) {
                call.answers_at = None;
                self.agent.answer(id, call.audio.address, now);
            }
            for order in self.phones.orders(&call.number) {
                match order {
                    Order::Press(keys) => call.keys.extend(keys.chars()),
                    Order::HangUp => call.hangs_up_at = Some(now),
                }
            }
            if call.hangs_up_at.is_some_and(|at| at <= now) {
                self.agent.hang_up(id, now);
                hung_up.push(id);
                continue;
            }
            let (phones, number) = (&self.phones, &call.number);
            call.audio.listen(reader, |came| {
                if let Came::Key(key) = came {
                    phones.pressed(number, key);
                }
            });
        }
        for id in hung_up {
            self.over(id);
        }
        for call in self.calls.values_mut().filter(|call| call.is_up) {
            call.press(now);
            call.speak();
        }
    }

    fn over(&mut self, id: CallId) {
        let Some(call) = self.calls.remove(&id) else { return };
        if !self.calls.values().any(|other| other.number == call.number) {
            self.phones.note(&call.number, PhoneState::Idle);
        }
    }
}
