//! A town in virtual time: one node, the phones that call its rooms, and a clock that whoever plays it moves on.
//!
//! How much of a tick each leg takes is said here, so that no machine is too fast or too slow for a town that has no
//! time. The network is perfect, and what the node writes is kept at once: for worse there is [`crate::world`].

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use media::{Channel, Header, LegId, PACKET_MAX, SAMPLES, Shard, ShardStats, TICK};
use media::{linear_to_ulaw, ulaw_to_linear};
use model::{Account, AccountSid, AccountStatus, Now, Timestamp};
use node::{Busy, CallsRefused, Core, Guard, Input, Output, PortPairs, Settings, Written};
use sip::{Agent, CallId, Config, Event, Terms};

use crate::Voice;

/// Callers after whom addresses begin anew.
const ADDRESSES: usize = 1_000;
/// Ports of legs, of which no two that are there at a time have one.
const PORTS: u64 = 25_000;
/// How sound goes unless something else is said.
const BOTH_WAYS: &str = "a=sendrecv";
/// The wall clock when a town begins: 2026-01-01.
const WALL_MS: i64 = 1_767_225_600_000;

/// Ports that do not exist.
#[derive(Debug, Clone, Default)]
struct Ports(Arc<Mutex<BTreeMap<u16, LegId>>>);

impl Ports {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u16, LegId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PortPairs for Ports {
    fn open(&mut self, leg: LegId) -> Option<u16> {
        let port = 10_000 + 2 * (leg.0 % PORTS) as u16;
        self.lock().insert(port, leg);
        Some(port)
    }
}

/// A phone of one call, which speaks mu-law.
#[derive(Debug)]
pub struct TownPhone {
    agent: Agent,
    address: SocketAddr,
    media: SocketAddr,
    call: CallId,
    remote: Option<SocketAddr>,
    refused: Option<u16>,
    /// By which ways its descriptions say that sound is to go.
    direction: &'static str,
    voice: Voice,
    at: usize,
    sent: u32,
    heard: Vec<i16>,
}

impl TownPhone {
    /// Returns the SIP status by which it was refused, if it was.
    pub fn refused(&self) -> Option<u16> {
        self.refused
    }

    /// Says something else from now on, from its beginning, over and over.
    pub fn say(&mut self, voice: Voice) {
        (self.voice, self.at) = (voice, 0);
    }

    /// Writes its direction into what it says; all have the same length.
    fn directed(&self, octets: Vec<u8>) -> Vec<u8> {
        let usual = BOTH_WAYS;
        match std::str::from_utf8(&octets) {
            Ok(text) if self.direction != usual => text.replace(usual, self.direction).into(),
            _ => octets,
        }
    }

    /// Returns what it heard since it was last asked, at 8 kHz.
    pub fn heard(&mut self) -> Vec<i16> {
        std::mem::take(&mut self.heard)
    }

    fn packet(&mut self) -> Vec<u8> {
        let (voice, at) = (&self.voice, self.at);
        let sample = |index| voice.get((at + index) % voice.len().max(1)).copied().unwrap_or(0);
        let sound: Vec<u8> = (0..SAMPLES).map(|index| linear_to_ulaw(sample(index))).collect();
        let header = Header {
            marker: self.sent == 0,
            payload_type: 0,
            sequence: self.sent as u16,
            timestamp: self.sent * SAMPLES as u32,
            ssrc: self.address.port().into(),
        };
        self.sent += 1;
        self.at = (at + SAMPLES) % voice.len().max(1);
        let mut packet = [0; PACKET_MAX];
        let length = header.write(&sound, &mut packet);
        packet[..length].to_vec()
    }
}

/// A node, the phones that call it, and the clock.
#[derive(Debug)]
pub struct Town {
    core: Core,
    shard: Shard,
    ports: Ports,
    /// Those who called, in their order.
    pub phones: Vec<TownPhone>,
    /// Whether the node is told of no load, and so lets everyone in.
    pub is_blind: bool,
    address: SocketAddr,
    start: Instant,
    ticks: u32,
    capacity: usize,
    /// Until when the mixing of a tick that began takes.
    mixes_until: Duration,
    missed: u64,
    came: usize,
    asked_back: usize,
}

impl Town {
    /// Makes a town whose node needs a whole tick for so many legs.
    pub fn new(capacity: usize) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 5_060));
        let ports = Ports::default();
        let core = Core::new(settings(address), [5; 32], Box::new(ports.clone()));
        Self {
            core,
            shard: Shard::new(5),
            ports,
            phones: Vec::new(),
            is_blind: false,
            address,
            start: Instant::now(),
            ticks: 0,
            capacity,
            mixes_until: Duration::ZERO,
            missed: 0,
            came: 0,
            asked_back: 0,
        }
    }

    /// Returns how many calls were refused and told when to come again.
    pub fn asked_back(&self) -> usize {
        self.asked_back
    }

    /// Returns how many calls the node says that it refused.
    pub fn refused(&self) -> CallsRefused {
        self.core.calls_refused()
    }

    /// Returns how many ticks were left out, as the one before them took too long.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Returns how many phones have a call that is up.
    pub fn up(&self) -> usize {
        self.phones.iter().filter(|phone| phone.remote.is_some()).count()
    }

    /// Returns the node's calls and conferences.
    pub fn calls(&self) -> (usize, usize) {
        (self.core.calls(), self.core.conferences())
    }

    /// Returns what SIP has open.
    pub fn sip(&self) -> sip::Stats {
        self.core.sip_stats()
    }

    /// Returns what the mixer has.
    pub fn sound(&self) -> ShardStats {
        self.shard.stats()
    }

    /// Returns how many ports are open.
    pub fn ports(&self) -> usize {
        self.ports.lock().len()
    }

    /// Lets somebody call a room, who says this over and over.
    pub fn call(&mut self, room: usize, voice: Voice) {
        let index = self.came % ADDRESSES;
        self.came += 1;
        let at = |port: usize| SocketAddr::from((Ipv4Addr::LOCALHOST, port as u16));
        let (address, media) = (at(20_000 + index), at(30_000 + 2 * index));
        let mut seed = [1; 32];
        seed[..8].copy_from_slice(&self.came.to_be_bytes());
        let mut agent = Agent::new(Config { terms: crate::plain(), ..Config::open(address, seed) });
        let call = agent.new_call();
        let uri = format!("sip:room{room}@{}", self.address);
        let now = self.now().instant;
        agent.invite(call, &uri, self.address, ("caller", None), media, now);
        let (remote, refused, heard) = (None, None, Vec::new());
        let (direction, at, sent) = (BOTH_WAYS, 0, 0);
        self.phones.push(TownPhone {
            agent,
            address,
            media,
            call,
            remote,
            refused,
            direction,
            voice,
            at,
            sent,
            heard,
        });
    }

    /// Lets a phone offer that sound goes by other ways from now on: `a=inactive`, say. It sends on all the same.
    pub fn offer(&mut self, who: usize, direction: &'static str) {
        let now = self.now().instant;
        if let Some(phone) = self.phones.get_mut(who) {
            phone.direction = direction;
            phone.agent.move_media(phone.call, phone.media, now);
        }
    }

    /// Lets a phone hang up.
    pub fn hang_up(&mut self, who: usize) {
        let now = self.now().instant;
        if let Some(phone) = self.phones.get_mut(who) {
            phone.agent.hang_up(phone.call, now);
            phone.remote = None;
        }
    }

    /// Lets one tick pass, of 20 ms.
    pub fn tick(&mut self) {
        let now = self.now();
        let busy = self.shard.stats().legs as f32 / self.capacity as f32;
        let told = if self.is_blind { 0.0 } else { busy };
        self.core.set_busy(Busy::alone(told, told));
        self.core.handle_timeout(now);
        for phone in &mut self.phones {
            phone.agent.handle_timeout(now.instant);
        }
        while self.exchange(now) {}
        for phone in &mut self.phones {
            let Some(remote) = phone.remote else { continue };
            let (packet, from) = (phone.packet(), phone.media);
            let leg = self.ports.lock().get(&remote.port()).copied();
            if let Some(leg) = leg {
                self.shard.handle_datagram(leg, Channel::Rtp, from, &packet, now.instant);
            }
        }
        self.mix(now, busy);
        self.ticks += 1;
    }

    /// Mixes and sends, unless the mix before takes longer than until now.
    fn mix(&mut self, now: Now, busy: f32) {
        let passed = self.passed();
        if passed < self.mixes_until {
            self.missed += 1;
            return;
        }
        self.mixes_until = passed + TICK.mul_f32(busy);
        self.shard.handle_tick(now.instant);
        while let Some(transmit) = self.shard.poll_transmit(now.instant) {
            let to = self.phones.iter_mut().find(|phone| phone.media == transmit.to);
            if let (Some(phone), Channel::Rtp) = (to, transmit.channel)
                && let Some((_, payload)) = Header::parse(transmit.octets)
            {
                phone.heard.extend(payload.iter().map(|&octet| ulaw_to_linear(octet)));
            }
        }
        while let Some(event) = self.shard.poll_event() {
            self.core.handle(Input::Media(event), now);
        }
    }

    /// Carries messages to and fro; says whether there were any.
    fn exchange(&mut self, now: Now) -> bool {
        let mut any = false;
        for phone in &mut self.phones {
            while let Some(transmit) = phone.agent.poll_transmit() {
                any = true;
                let octets = phone.directed(transmit.octets);
                let message = Input::Message(phone.address.into(), octets);
                self.core.handle(message, now);
            }
            while let Some(event) = phone.agent.poll_event() {
                match event {
                    Event::Answered(_, session) => {
                        phone.remote = session.map(|session| session.audio.address);
                    }
                    Event::Failed(_, status) => phone.refused = Some(status),
                    Event::Ended(..) => phone.remote = None,
                    _ => {}
                }
            }
        }
        while let Some(output) = self.core.poll_output() {
            any = true;
            self.carry_out(output, now);
        }
        any
    }

    fn carry_out(&mut self, output: Output, now: Now) {
        match output {
            Output::Transmit(transmit) => {
                let text = String::from_utf8_lossy(&transmit.octets);
                let refuses = text.starts_with("SIP/2.0 503");
                self.asked_back += usize::from(refuses && text.contains("\r\nRetry-After: "));
                let to = self.phones.iter_mut().find(|phone| phone.address == transmit.to);
                if let Some(phone) = to {
                    phone.agent.handle_message(self.address, &transmit.octets, now.instant);
                }
            }
            Output::Media(command) => {
                if let media::Command::RemoveLeg(gone) = &command {
                    self.ports.lock().retain(|_, leg| leg != gone);
                }
                self.shard.handle_command(command, now.instant);
            }
            Output::Commit(batch, _) => {
                self.core.handle(Input::Committed(batch, Written::Yes), now);
            }
            Output::Load { play, .. } => {
                self.core.handle(Input::Loaded(play, Ok(vec![0; 8_000].into())), now);
            }
            _ => {}
        }
    }

    fn passed(&self) -> Duration {
        TICK * self.ticks
    }

    fn now(&self) -> Now {
        let passed = self.passed();
        Now { instant: self.start + passed, wall: Timestamp(WALL_MS).after(passed) }
    }
}

fn settings(sip: SocketAddr) -> Settings {
    let sid = AccountSid::new([7; 16]);
    let account = Account {
        sid,
        friendly_name: "Town".to_owned(),
        owner: sid,
        status: AccountStatus::Active,
        auth_token: "token".to_owned(),
        date_created: Timestamp(0),
        date_updated: Timestamp(0),
    };
    Settings {
        account,
        sip,
        sip_auth: false,
        sip_md5_alone: false,
        voice_url: None,
        names_are_rooms: true,
        guard: Guard { loopback: true, private: true },
        api_url: "http://127.0.0.1:8080".to_owned(),
        dual_conference_recordings: false,
        recognises: false,
        virtual_phones: None,
        terms: Terms::telephone(),
        sip_tls: None,
    }
}
