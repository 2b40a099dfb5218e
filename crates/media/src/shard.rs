//! The face: the legs and rooms of one thread.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use crate::SAMPLES;
use crate::command::{
    Audible, Command, Event, LegId, LegOptions, LegStats, PlayTo, PlayerId, RoomId, Route,
    ShardStats, Speaks, TapId, Transmit,
};
use crate::dtmf::Step;
use crate::fade::Fade;
use crate::leg::{Heard, Leg, Pending};
use crate::player::{Player, Progress};
use crate::room::{self, Room, Tap};
use crate::rtcp;
use crate::rtp::{self, Header, PACKET_MAX};

/// Most legs of one shard.
pub const LEGS_MAX: usize = 4_000;
/// Most players in one room, and most taps.
const ROOM_PLAYERS_MAX: usize = 16;
/// Most events that wait to be polled; digits beyond are lost, ends of players never.
const EVENTS_MAX: usize = 65_536;

/// On which of a leg's two ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Sound.
    Rtp,
    /// Reports.
    Rtcp,
}

/// The legs and rooms of one thread. A room is never split between shards.
#[derive(Debug)]
pub struct Shard {
    legs: BTreeMap<LegId, Leg>,
    rooms: BTreeMap<RoomId, Room>,
    players: BTreeMap<PlayerId, PlayTo>,
    transmits: VecDeque<(Instant, Transmit)>,
    events: VecDeque<Event>,
    random: u64,
    past: LegStats,
    encoded: u64,
}

impl Shard {
    /// Makes an empty shard; `seed` draws SSRCs and first sequence numbers.
    pub fn new(seed: u64) -> Self {
        Self {
            legs: BTreeMap::new(),
            rooms: BTreeMap::new(),
            players: BTreeMap::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            random: seed | 1,
            past: LegStats::default(),
            encoded: 0,
        }
    }

    /// Takes a datagram that came to a leg's port at `at`.
    pub fn handle_datagram(
        &mut self,
        leg: LegId,
        channel: Channel,
        from: SocketAddr,
        datagram: &[u8],
        at: Instant,
    ) {
        let Some(state) = self.legs.get_mut(&leg) else { return };
        if channel == Channel::Rtcp || rtp::is_rtcp(datagram) {
            if from.ip() == state.latch.remote().ip() {
                state.latch_rtcp = Some(from);
                state.receive_rtcp(datagram, at);
            }
        } else if let Heard::Digit(digit) = state.receive(from, datagram, at)
            && self.events.len() < EVENTS_MAX
        {
            self.events.push_back(Event::Digit(leg, digit));
        }
    }

    /// Takes a command; it is heard from the next tick on.
    pub fn handle_command(&mut self, command: Command, now: Instant) {
        match command {
            Command::AddLeg(id, options) => self.add_leg(id, *options, now),
            Command::UpdateLeg(id, options) => {
                if let Some(leg) = self.legs.get_mut(&id) {
                    leg.update(*options, now);
                }
            }
            Command::BoundJitter(id, bounds) => {
                if let Some(leg) = self.legs.get_mut(&id) {
                    leg.bound_jitter(bounds);
                }
            }
            Command::RemoveLeg(id) => {
                if let Some(leg) = self.legs.get_mut(&id) {
                    leg.fade_out();
                    leg.pending = Some(Pending::Remove);
                }
            }
            Command::Route(id, route) => self.route(id, route),
            Command::Play { player, to, pcm, loops, paused } => {
                let accepted = match to {
                    PlayTo::Leg(id) => self
                        .legs
                        .get_mut(&id)
                        .is_some_and(|leg| leg.play(player, pcm, loops, paused)),
                    PlayTo::Room(id) => {
                        let players = &mut self.rooms.entry(id).or_insert_with(Room::new).players;
                        let accepted = players.len() < ROOM_PLAYERS_MAX;
                        if accepted {
                            players.push(Player::new(player, pcm, loops, paused));
                        }
                        accepted
                    }
                };
                if accepted {
                    self.players.insert(player, to);
                } else {
                    self.events.push_back(Event::PlayerEnded(player));
                }
            }
            Command::Pause(player, paused) => {
                self.with_player(player, |player| player.pause(paused));
            }
            Command::Stop(player) => self.with_player(player, Player::stop),
            Command::SendDigits(id, player, digits) => match self.legs.get_mut(&id) {
                Some(leg) if !digits.is_empty() => {
                    leg.keys_out.push(&digits);
                    leg.keys_player = Some(player);
                }
                _ => self.events.push_back(Event::PlayerEnded(player)),
            },
            Command::OpenTap(id, room) => {
                let taps = &mut self.rooms.entry(room).or_insert_with(Room::new).taps;
                if taps.len() < ROOM_PLAYERS_MAX {
                    taps.push(Tap { id, heard: VecDeque::new() });
                }
            }
            Command::CloseTap(id) => {
                for room in self.rooms.values_mut() {
                    room.taps.retain(|tap| tap.id != id);
                }
            }
        }
    }

    /// Mixes one frame of every room; the packets are ready to be polled after it.
    pub fn handle_tick(&mut self, now: Instant) {
        for (&id, leg) in &mut self.legs {
            leg.listen(now);
            if leg.has_fallen_silent(now) {
                self.events.push_back(Event::Silent(id));
            }
        }
        let mut whispers = Vec::new();
        for room in self.rooms.values_mut() {
            Self::mix_room(room, &mut self.legs, &mut whispers);
        }
        self.send(now, &whispers);
        self.settle();
    }

    /// Returns the next datagram whose time has come.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        let at = self.transmits.iter().position(|(due, _)| *due <= now)?;
        self.transmits.remove(at).map(|(_, transmit)| transmit)
    }

    /// Returns when [`Self::poll_transmit`] next has something between two ticks.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.transmits.iter().map(|(due, _)| *due).min()
    }

    /// Returns what happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Moves what a tap has heard since the last time to `heard`; false where there is no such tap.
    pub fn poll_tap(&mut self, id: TapId, heard: &mut Vec<i16>) -> bool {
        let tap = self.rooms.values_mut().flat_map(|room| &mut room.taps).find(|tap| tap.id == id);
        tap.map(|tap| heard.extend(tap.heard.drain(..))).is_some()
    }

    /// Says for every ordered pair of a room who hears whom how loud.
    pub fn audibility(&self, room: RoomId) -> Vec<Audible> {
        let Some(room) = self.rooms.get(&room) else { return Vec::new() };
        let members = || room.members.iter().filter_map(|id| Some((*id, self.legs.get(id)?)));
        let mut pairs = Vec::new();
        for (listener, hears) in members() {
            for (speaker, speaks) in members().filter(|(id, _)| *id != listener) {
                let alone = speaks.edges.iter().find(|(to, _)| *to == listener);
                let gain = alone.map_or_else(
                    || speaks.voice_fade.target() * hears.hear_fade.target(),
                    |(_, fade)| fade.target(),
                );
                pairs.push(Audible { listener, speaker, gain });
            }
        }
        pairs
    }

    /// Returns what became of one leg's packets.
    pub fn leg_stats(&self, id: LegId) -> Option<LegStats> {
        self.legs.get(&id).map(|leg| leg.stats)
    }

    /// Returns the sums.
    pub fn stats(&self) -> ShardStats {
        let mut total = self.past;
        for leg in self.legs.values() {
            add(&mut total, &leg.stats);
        }
        ShardStats { legs: self.legs.len(), rooms: self.rooms.len(), total, encoded: self.encoded }
    }

    fn add_leg(&mut self, id: LegId, options: LegOptions, now: Instant) {
        if self.legs.len() < LEGS_MAX {
            let random = [self.draw(), self.draw()];
            self.legs.insert(id, Leg::new(options, random, now));
        }
    }

    fn draw(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) as u32
    }

    fn route(&mut self, id: LegId, route: Route) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if leg.pending == Some(Pending::Remove) {
            return;
        }
        if leg.route.room == route.room {
            leg.pending = None;
            leg.take_route(route);
        } else if leg.route.room.is_none() {
            self.enter(id, route);
        } else {
            leg.fade_out();
            leg.pending = Some(Pending::Route(route));
        }
    }

    fn enter(&mut self, id: LegId, route: Route) {
        if let Some(room) = route.room {
            self.rooms.entry(room).or_insert_with(Room::new).members.insert(id);
        }
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.take_route(route);
        }
    }

    fn with_player(&mut self, id: PlayerId, act: impl FnOnce(&mut Player)) {
        let players = match self.players.get(&id) {
            Some(PlayTo::Leg(leg)) => self.legs.get_mut(leg).map(|leg| &mut leg.players),
            Some(PlayTo::Room(room)) => self.rooms.get_mut(room).map(|room| &mut room.players),
            None => None,
        };
        if let Some(player) = players.and_then(|all| all.iter_mut().find(|p| p.id == id)) {
            act(player);
        }
    }

    fn mix_room(
        room: &mut Room,
        legs: &mut BTreeMap<LegId, Leg>,
        whispers: &mut Vec<(LegId, [i32; SAMPLES])>,
    ) {
        room.clear();
        for id in &room.members {
            let Some(leg) = legs.get_mut(id) else { continue };
            if leg.speaks_now {
                for (sum, &sample) in room.sum.iter_mut().zip(&leg.spoken) {
                    *sum += sample;
                }
            }
            if !leg.edges.is_empty() {
                let voice = leg.voice.map(i32::from);
                for (to, fade) in &mut leg.edges {
                    let mut whisper = [0; SAMPLES];
                    fade.add(&mut whisper, &voice);
                    if room.members.contains(to) {
                        whispers.push((*to, whisper));
                    }
                }
                leg.edges.retain(|(_, fade)| !fade.is_silent());
            }
        }
        let mut played = [0; SAMPLES];
        for player in &mut room.players {
            player.advance(&mut played);
        }
        for (sum, sample) in room.sum.iter_mut().zip(played) {
            *sum += sample;
        }
        room.close();
    }

    fn send(&mut self, now: Instant, whispers: &[(LegId, [i32; SAMPLES])]) {
        for (&id, leg) in &mut self.legs {
            let mut room = leg.route.room.and_then(|room| self.rooms.get_mut(&room));
            let alone = !leg.speaks_now && leg.players.is_empty() && leg.limiter.is_transparent();
            let whispered = whispers.iter().any(|(to, _)| *to == id);
            let frame = match &mut room {
                Some(room) if alone && !whispered && leg.hear_fade.is_unity() => {
                    room.encoded(leg.options.codec, &mut self.encoded)
                }
                _ => {
                    let mut heard = [0; SAMPLES];
                    if let Some(room) = &room {
                        Self::hear_others(leg, &room.sum, &mut heard);
                    }
                    for (_, whisper) in whispers.iter().filter(|(to, _)| *to == id) {
                        add_to(&mut heard, whisper);
                    }
                    for player in &mut leg.players {
                        player.advance(&mut heard);
                    }
                    let mut frame = [0; SAMPLES];
                    leg.limiter.limit(&heard, &mut frame);
                    self.encoded += 1;
                    room::encode(leg.options.codec, &frame)
                }
            };
            Self::transmit(id, leg, &frame, now, &mut self.transmits, &mut self.events);
        }
    }

    /// Adds what a leg hears of its room: the sum without its own voice.
    fn hear_others(leg: &mut Leg, sum: &[i32; SAMPLES], heard: &mut [i32; SAMPLES]) {
        let mut others = *sum;
        if leg.speaks_now {
            for (other, own) in others.iter_mut().zip(&leg.spoken) {
                *other -= own;
            }
        }
        leg.hear_fade.add(heard, &others);
    }

    fn transmit(
        id: LegId,
        leg: &mut Leg,
        frame: &[u8; SAMPLES],
        now: Instant,
        transmits: &mut VecDeque<(Instant, Transmit)>,
        events: &mut VecDeque<Event>,
    ) {
        let to = leg.latch.remote();
        let blank =
            |channel, to| Transmit { leg: id, channel, to, octets: [0; PACKET_MAX], length: 0 };
        let mut header = Header {
            marker: leg.marker,
            payload_type: leg.options.payload_type,
            sequence: leg.sequence,
            timestamp: leg.timestamp,
            ssrc: leg.ssrc,
        };
        let keys = leg.keys_out.tick();
        if keys == Step::Done
            && let Some(player) = leg.keys_player.take()
        {
            events.push_back(Event::PlayerEnded(player));
        }
        if let (Step::Send(sending), Some(payload_type)) = (keys, leg.options.telephone_event)
            && leg.options.sends
        {
            header.payload_type = payload_type;
            header.marker = sending.first;
            header.timestamp = leg.timestamp.wrapping_sub(u32::from(sending.ticks) * 160);
            let mut packet = blank(Channel::Rtp, to);
            packet.length = header.write(&sending.payload, &mut packet.octets);
            leg.sequence = leg.sequence.wrapping_add(1);
            leg.timestamp = leg.timestamp.wrapping_add(SAMPLES as u32);
            leg.stats.tx_packets += 1;
            leg.marker = true;
            transmits.push_back((now, packet));
        } else {
            leg.pacer.push(frame);
            let pacer = &mut leg.pacer;
            while pacer.pop(|payload, late| {
                if leg.options.sends {
                    let mut packet = blank(Channel::Rtp, to);
                    header.sequence = leg.sequence;
                    header.timestamp = leg.timestamp;
                    packet.length = header.write(payload, &mut packet.octets);
                    header.marker = false;
                    leg.marker = false;
                    leg.sequence = leg.sequence.wrapping_add(1);
                    leg.stats.tx_packets += 1;
                    leg.sent_octets = leg.sent_octets.wrapping_add(payload.len() as u32);
                    transmits.push_back((now + late, packet));
                }
                leg.timestamp = leg.timestamp.wrapping_add(payload.len() as u32);
            }) {}
        }
        if now >= leg.report_at {
            leg.report_at = now + rtcp::INTERVAL;
            let mut packet =
                blank(Channel::Rtcp, leg.latch_rtcp.unwrap_or(leg.options.remote_rtcp));
            packet.length = leg.report(&mut packet.octets, now);
            transmits.push_back((now, packet));
        }
    }

    /// Ends what is over: players, and legs whose ramps are down.
    fn settle(&mut self) {
        let everyone = self.legs.values_mut().map(|leg| &mut leg.players);
        for players in everyone.chain(self.rooms.values_mut().map(|room| &mut room.players)) {
            players.retain(|player| match player.progress() {
                Progress::Plays => true,
                Progress::Ended => {
                    self.players.remove(&player.id);
                    self.events.push_back(Event::PlayerEnded(player.id));
                    false
                }
                Progress::Stopped => {
                    self.players.remove(&player.id);
                    false
                }
            });
        }
        let moving: Vec<LegId> =
            self.legs.iter().filter(|(_, leg)| leg.pending.is_some()).map(|(id, _)| *id).collect();
        for id in moving {
            let Some(leg) = self.legs.get_mut(&id) else { continue };
            let pending = leg.pending.take();
            if let Some(room) = leg.route.room.and_then(|room| self.rooms.get_mut(&room)) {
                room.members.remove(&id);
            }
            leg.edges.clear();
            leg.voice_fade = Fade::at(0.0);
            leg.hear_fade = Fade::at(0.0);
            leg.route = Route { room: None, speaks: Speaks::Nobody, hears: false, room_gain: 1.0 };
            match pending {
                Some(Pending::Route(route)) => self.enter(id, route),
                _ => self.forget(id),
            }
        }
        self.rooms.retain(|_, room| room.is_needed());
    }

    fn forget(&mut self, id: LegId) {
        if let Some(leg) = self.legs.remove(&id) {
            add(&mut self.past, &leg.stats);
            let ended = leg.players.iter().map(|player| player.id).chain(leg.keys_player);
            for player in ended {
                self.players.remove(&player);
                self.events.push_back(Event::PlayerEnded(player));
            }
        }
    }
}

fn add_to(sum: &mut [i32; SAMPLES], frame: &[i32; SAMPLES]) {
    for (sum, sample) in sum.iter_mut().zip(frame) {
        *sum += sample;
    }
}

fn add(total: &mut LegStats, leg: &LegStats) {
    total.rx_packets += leg.rx_packets;
    total.tx_packets += leg.tx_packets;
    total.rx_dropped += leg.rx_dropped;
    total.rx_late += leg.rx_late;
    total.rx_lost += leg.rx_lost;
    total.concealed_samples += leg.concealed_samples;
}
