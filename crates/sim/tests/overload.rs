//! More calls than there is time for, and calls without end, by a clock that the test owns: how much of a tick a leg
//! takes is said here, so that no machine is too fast or too slow for it.
//!
//! `SIDETONE_DEEP` lets many more come and go.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use media::{Channel, Header, LegId, PACKET_MAX, SAMPLES, Shard, TICK};
use media::{linear_to_ulaw, ulaw_to_linear};
use model::{Account, AccountSid, AccountStatus, Now, Timestamp};
use node::{Core, Guard, Input, Output, PortPairs, Settings, Written};
use sip::{Agent, CallId, Config, Event, Terms};

/// Legs that would take a whole tick.
const CAPACITY: usize = 20;
/// Calls that come: 150 % of that.
const OFFERED: usize = 30;
/// Calls that are let in: no more begin when three quarters are taken.
const LET_IN: usize = 16;
/// Ticks between two calls.
const BETWEEN: usize = 15;
/// Callers who come and go in a normal run and in a deep one; how many are there at a time, and in how many rooms.
const CALLERS: (usize, usize) = (20_000, 200_000);
const AT_A_TIME: usize = 12;
const ROOMS: usize = 5;
/// Ticks after which SIP has forgotten what is over: 40 s.
const FORGOTTEN_AFTER: usize = 2_000;
const AMPLITUDE: f32 = 6_000.0;
const HERTZ: f32 = 400.0;

/// Ports that do not exist.
#[derive(Debug, Clone, Default)]
struct Ports(Arc<Mutex<BTreeMap<u16, LegId>>>);

impl PortPairs for Ports {
    fn open(&mut self, leg: LegId) -> Option<u16> {
        let mut open = self.0.lock().unwrap();
        // Of legs that are there at a time, no two have one.
        let port = 10_000 + 2 * (leg.0 % 25_000) as u16;
        open.insert(port, leg);
        Some(port)
    }
}

/// A phone of one call. Of the two in a room, one talks.
struct Phone {
    agent: Agent,
    address: SocketAddr,
    media: SocketAddr,
    call: CallId,
    remote: Option<SocketAddr>,
    refused: Option<u16>,
    talks: bool,
    sent: u32,
    heard: Vec<i16>,
}

impl Phone {
    fn packet(&mut self) -> Vec<u8> {
        let number = self.sent;
        self.sent += 1;
        let sound: Vec<u8> = (0..SAMPLES as u32)
            .map(|at| {
                let phase = ((number * SAMPLES as u32 + at) % 8_000) as f32 * HERTZ / 8_000.0;
                let sample = (phase.fract() * std::f32::consts::TAU).sin() * AMPLITUDE;
                linear_to_ulaw(if self.talks { sample as i16 } else { 0 })
            })
            .collect();
        let header = Header {
            marker: number == 0,
            payload_type: 0,
            sequence: number as u16,
            timestamp: number * SAMPLES as u32,
            ssrc: self.address.port().into(),
        };
        let mut packet = [0; PACKET_MAX];
        let length = header.write(&sound, &mut packet);
        packet[..length].to_vec()
    }
}

/// A node, the phones that call it, and the clock.
struct Town {
    core: Core,
    shard: Shard,
    ports: Ports,
    phones: Vec<Phone>,
    address: SocketAddr,
    start: Instant,
    ticks: u32,
    /// Legs that would take a whole tick.
    capacity: usize,
    came: usize,
    /// Refusals that say when to come again.
    asked_back: usize,
}

impl Town {
    fn new(capacity: usize) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 5_060));
        let ports = Ports::default();
        let core = Core::new(settings(address), [5; 32], Box::new(ports.clone()));
        Self {
            core,
            shard: Shard::new(5),
            ports,
            phones: Vec::new(),
            address,
            start: Instant::now(),
            ticks: 0,
            capacity,
            came: 0,
            asked_back: 0,
        }
    }

    fn now(&self) -> Now {
        let passed = TICK * self.ticks;
        let wall = Timestamp(1_767_225_600_000).after(passed);
        Now { instant: self.start + passed, wall }
    }

    /// Somebody calls a room.
    fn call(&mut self, room: usize) {
        let index = self.came % 1_000;
        self.came += 1;
        let at = |port: usize| SocketAddr::from((Ipv4Addr::LOCALHOST, port as u16));
        let (address, media) = (at(20_000 + index), at(30_000 + 2 * index));
        let mut seed = [1; 32];
        seed[..8].copy_from_slice(&self.came.to_be_bytes());
        let mut agent = Agent::new(Config::open(address, seed));
        let call = agent.new_call();
        let uri = format!("sip:room{room}@{}", self.address);
        let now = self.now().instant;
        agent.invite(call, &uri, self.address, ("caller", None), media, now);
        let talks = index.is_multiple_of(2);
        let (remote, refused, heard) = (None, None, Vec::new());
        let phone = Phone { agent, address, media, call, remote, refused, talks, sent: 0, heard };
        self.phones.push(phone);
    }

    /// Lets one tick pass.
    fn tick(&mut self) {
        let now = self.now();
        self.core.set_busy(self.shard.stats().legs as f32 / self.capacity as f32);
        self.core.handle_timeout(now);
        for phone in &mut self.phones {
            phone.agent.handle_timeout(now.instant);
        }
        while self.exchange(now) {}
        for phone in &mut self.phones {
            let Some(remote) = phone.remote else { continue };
            let (packet, from) = (phone.packet(), phone.media);
            let leg = self.ports.0.lock().unwrap().get(&remote.port()).copied();
            if let Some(leg) = leg {
                self.shard.handle_datagram(leg, Channel::Rtp, from, &packet, now.instant);
            }
        }
        self.shard.handle_tick(now.instant);
        while let Some(transmit) = self.shard.poll_transmit(now.instant) {
            let to = self.phones.iter_mut().find(|phone| phone.media == transmit.to);
            if let (Some(phone), Channel::Rtp) = (to, transmit.channel) {
                let (_, payload) = Header::parse(transmit.octets).unwrap();
                phone.heard.extend(payload.iter().map(|&octet| ulaw_to_linear(octet)));
            }
        }
        while let Some(event) = self.shard.poll_event() {
            self.core.handle(Input::Media(event), now);
        }
        self.ticks += 1;
    }

    /// Carries messages to and fro; says whether there were any.
    fn exchange(&mut self, now: Now) -> bool {
        let mut any = false;
        for phone in &mut self.phones {
            while let Some(transmit) = phone.agent.poll_transmit() {
                any = true;
                let message = Input::Message(phone.address.into(), transmit.octets);
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
                        self.ports.0.lock().unwrap().retain(|_, leg| leg != gone);
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
        any
    }

    fn hang_up(&mut self, who: usize) {
        let now = self.now().instant;
        let phone = &mut self.phones[who];
        phone.agent.hang_up(phone.call, now);
        phone.remote = None;
    }

    fn up(&self) -> usize {
        self.phones.iter().filter(|phone| phone.remote.is_some()).count()
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

/// Returns the pieces of 20 ms in which the tone of a room is not as loud as it is said, or jumps.
fn broken(heard: &[i16]) -> usize {
    let factor = 2.0 * (std::f32::consts::TAU * HERTZ / 8_000.0).cos();
    let is_broken = |piece: &&[i16]| {
        let power: f32 = piece.iter().map(|&sample| f32::from(sample).powi(2)).sum();
        let loud = (2.0 * power / piece.len() as f32).sqrt();
        let off = |three: &[i16]| {
            let [a, b, c] = [three[0], three[1], three[2]].map(f32::from);
            (c - factor * b + a).abs()
        };
        // A step of G.711 is 256 at this loudness, and each of the three may be off by half of one.
        (loud - AMPLITUDE).abs() > 0.1 * AMPLITUDE || piece.windows(3).any(|all| off(all) > 900.0)
    };
    heard.chunks_exact(SAMPLES).filter(is_broken).count()
}

#[test]
fn of_half_as_many_calls_again_as_there_is_time_for_the_first_keep_their_sound() {
    let mut town = Town::new(CAPACITY);
    for number in 0..OFFERED {
        // Two for each room.
        town.call(number / 2);
        for _ in 0..BETWEEN {
            town.tick();
            assert!(town.shard.stats().legs <= CAPACITY);
        }
    }
    assert_eq!(town.up(), LET_IN);
    let refused = town.phones.iter().filter(|phone| phone.refused == Some(503)).count();
    assert_eq!((refused, town.asked_back), (OFFERED - LET_IN, OFFERED - LET_IN));
    // Play-out finds its place in the first seconds of a call; from then on there is no seam, with callers
    // turned away all the time.
    (0..350).for_each(|_| town.tick());
    town.phones.iter_mut().for_each(|phone| phone.heard.clear());
    for number in 0..20 {
        town.call(number);
        (0..10).for_each(|_| town.tick());
    }
    for phone in town.phones[..LET_IN].iter().filter(|phone| !phone.talks) {
        assert_eq!((phone.heard.len(), broken(&phone.heard)), (200 * SAMPLES, 0));
    }
    assert_eq!(town.up(), LET_IN);
    // When there is time again, callers are let in again.
    (0..4).for_each(|who| town.hang_up(who));
    (0..20).for_each(|_| town.tick());
    town.call(0);
    (0..20).for_each(|_| town.tick());
    assert_eq!(town.up(), LET_IN - 4 + 1);
}

#[test]
fn callers_who_come_and_go_leave_no_call_no_dialog_no_room_and_no_port() {
    let deep = std::env::var_os("SIDETONE_DEEP").is_some();
    let mut town = Town::new(1_000);
    for number in 0..if deep { CALLERS.1 } else { CALLERS.0 } {
        town.call(number % ROOMS);
        let all_are_up = (0..50).any(|_| {
            town.tick();
            town.up() == town.phones.len()
        });
        assert!(all_are_up, "caller {number} was not let in");
        if town.phones.len() >= AT_A_TIME {
            let who = number % AT_A_TIME;
            town.hang_up(who);
            town.tick();
            town.phones.swap_remove(who);
        }
        assert!(town.core.calls() <= AT_A_TIME && town.core.conferences() <= ROOMS);
    }
    (0..town.phones.len()).for_each(|who| town.hang_up(who));
    (0..FORGOTTEN_AFTER).for_each(|_| town.tick());
    let (sip, sound) = (town.core.sip_stats(), town.shard.stats());
    assert_eq!((town.core.calls(), town.core.conferences()), (0, 0));
    assert_eq!((sip.dialogs, sip.transactions), (0, 0));
    assert_eq!((sound.legs, sound.rooms), (0, 0));
    assert!(town.ports.0.lock().unwrap().is_empty());
}
