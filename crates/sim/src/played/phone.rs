//! A phone without sockets: the SIP agent as a user agent, and a talker with a voice of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::{Header, PACKET_MAX, SAMPLES};
use sip::{Agent, CallId, Config, Event};

use crate::keys::Keys;

/// What a phone does when it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Rings and answers after a while.
    Answers(Duration),
    /// 486.
    Busy,
    /// Rings for ever.
    Rings,
}

/// Where a phone's call has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// No call.
    Idle,
    /// A call that is not up.
    Early,
    /// A call that is up, since then.
    Up(Instant),
}

/// A phone.
#[derive(Debug)]
pub struct Phone {
    /// Its place, and its tone's.
    pub index: usize,
    pub agent: Agent,
    pub address: SocketAddr,
    pub media: SocketAddr,
    pub manner: Manner,
    pub line: Line,
    pub call: Option<CallId>,
    /// Where the node wants its sound.
    pub remote: Option<SocketAddr>,
    /// Without power: it neither hears nor says anything.
    pub dead: bool,
    /// When it is to answer.
    pub answers_at: Option<Instant>,
    /// The user or number that it calls as.
    pub user: String,
    /// Who called it last, as the call said.
    pub caller: String,
    /// The SIP status by which its last call did not come about.
    pub failed: Option<u16>,
    header: Header,
    /// What it says over and over, in PCMU and in whole packets, and how much of it is said.
    voice: Arc<[u8]>,
    said: usize,
    keys: Keys,
}

impl Phone {
    pub fn new(index: usize, seed: [u8; 32], voice: impl Into<Arc<[u8]>>) -> Self {
        let port = 20_000 + index as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let random = u32::from_be_bytes([seed[0], seed[1], seed[2], seed[3]]);
        Self {
            index,
            agent: Agent::new(Config { terms: crate::plain(), ..Config::open(address, seed) }),
            address,
            media: SocketAddr::from((Ipv4Addr::LOCALHOST, 30_000 + 2 * index as u16)),
            manner: Manner::Answers(Duration::from_millis(300)),
            line: Line::Idle,
            call: None,
            remote: None,
            dead: false,
            answers_at: None,
            user: Self::name(index),
            caller: String::new(),
            failed: None,
            header: Header {
                marker: true,
                payload_type: 0,
                sequence: random as u16,
                timestamp: random.rotate_left(11),
                ssrc: random.rotate_left(17),
            },
            voice: voice.into(),
            said: 0,
            keys: Keys::default(),
        }
    }

    /// Returns its name in `From` and `To`.
    pub fn name(index: usize) -> String {
        format!("phone{index}")
    }

    /// Returns where it can be dialled.
    pub fn uri(&self) -> String {
        format!("sip:{}@{}", Self::name(self.index), self.address)
    }

    /// Whether it is free to call and be called.
    pub fn is_free(&self) -> bool {
        !self.dead && self.line == Line::Idle && self.call.is_none()
    }

    /// Calls a user at the node.
    pub fn dial(&mut self, user: &str, node: SocketAddr, now: Instant) {
        let call = self.agent.new_call();
        let uri = format!("sip:{user}@{node}");
        self.agent.invite(call, &uri, node, (&self.user, None), self.media, now);
        self.call = Some(call);
        self.line = Line::Early;
    }

    /// Hangs up whatever it has.
    pub fn hang_up(&mut self, now: Instant) {
        if let Some(call) = self.call {
            self.agent.hang_up(call, now);
        }
        self.idle();
    }

    fn idle(&mut self) {
        self.call = None;
        self.line = Line::Idle;
        self.remote = None;
        self.answers_at = None;
    }

    /// Presses keys, one after the other.
    pub fn press(&mut self, keys: &str) {
        self.keys.push(keys);
    }

    /// Writes what registers it under its user at a node.
    pub fn registration(&self, node: SocketAddr) -> Vec<u8> {
        crate::registration(&self.user, self.address, node).into_bytes()
    }

    /// Says something else from now on: PCMU, in whole packets, over and over.
    pub fn say(&mut self, voice: Arc<[u8]>) {
        self.voice = voice;
        self.said = 0;
    }

    /// Counts its open calls and transactions.
    pub fn open(&self) -> usize {
        let stats = self.agent.stats();
        stats.dialogs + stats.transactions
    }

    /// Takes a message.
    pub fn receive(&mut self, from: SocketAddr, octets: &[u8], now: Instant) {
        if !self.dead {
            self.agent.handle_message(from, octets, now);
            self.settle(now);
        }
    }

    /// Returns when it next has something to do.
    pub fn due(&self) -> Option<Instant> {
        if self.dead {
            return None;
        }
        self.agent.poll_timeout().into_iter().chain(self.answers_at).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.answers_at.is_some_and(|at| at <= now) {
            self.answers_at = None;
            if let Some(call) = self.call {
                self.agent.answer(call, self.media, now);
            }
        }
        self.agent.handle_timeout(now);
        self.settle(now);
    }

    /// Acts on what its agent has noticed.
    pub fn settle(&mut self, now: Instant) {
        while let Some(event) = self.agent.poll_event() {
            match event {
                Event::Invite(invitation) if self.call.is_some() => {
                    self.agent.reject(invitation.call, 486, now);
                }
                Event::Invite(invitation) => {
                    if self.manner == Manner::Busy {
                        self.agent.reject(invitation.call, 486, now);
                        continue;
                    }
                    self.agent.ring(invitation.call);
                    self.call = Some(invitation.call);
                    self.line = Line::Early;
                    self.remote = invitation.offer.map(|session| session.audio.address);
                    self.caller = invitation.from;
                    if let Manner::Answers(after) = self.manner {
                        self.answers_at = Some(now + after);
                    }
                }
                Event::Answered(call, session) if self.call == Some(call) => {
                    self.line = Line::Up(now);
                    self.remote = session.map(|session| session.audio.address);
                }
                Event::Acknowledged(call, _) if self.call == Some(call) => {
                    self.line = Line::Up(now);
                }
                Event::Failed(call, status) if self.call == Some(call) => {
                    self.failed = Some(status);
                    self.idle();
                }
                Event::Ended(call, _) if self.call == Some(call) => self.idle(),
                Event::MediaChanged(call, session) if self.call == Some(call) => {
                    self.remote = Some(session.audio.address);
                }
                _ => {}
            }
        }
    }

    /// Returns this tick's packet: where to, and its octets.
    pub fn speak(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        let remote = self.remote.filter(|_| !self.dead && matches!(self.line, Line::Up(_)))?;
        let mut packet = [0; PACKET_MAX];
        let length = match self.keys.tick() {
            Some((event, age)) => {
                let timestamp = self.header.timestamp.wrapping_sub(age * SAMPLES as u32);
                let marker = age == 0;
                let header = Header { payload_type: 101, marker, timestamp, ..self.header };
                header.write(&event, &mut packet)
            }
            None => {
                let frame = self.voice.get(self.said..self.said + SAMPLES)?;
                self.header.write(frame, &mut packet)
            }
        };
        self.said = (self.said + SAMPLES) % self.voice.len().max(1);
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(SAMPLES as u32);
        self.header.marker = false;
        Some((remote, packet[..length].to_vec()))
    }
}
