//! The face: the legs and rooms of one thread.

mod moving;

pub use moving::Departed;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use crate::command::{
    Audible, Channel, Command, Event, LegOptions, LegStats, LiveStats, PlayTo, Route, ShardStats,
    Transmit, Voiced,
};
use crate::desk::Desk;
use crate::document::Documents;
use crate::edge::Edges;
use crate::fade::Fade;
use crate::ids::{LegId, PlayerId, RoomId, TapId};
use crate::leg::{Heard, Leg, Pending};
use crate::legs::Legs;
use crate::machine::Detector;
use crate::player::Player;
use crate::recording::{RECORDERS_MAX, Recorded, Recorder, RecordingId, Source, Waiting};
use crate::room::Tap;
use crate::rooms::Rooms;
use crate::round::{EVENTS_MAX, Round};
use crate::rtp;
use crate::transmits::Transmits;
use crate::turn::{SLOTS, Waits, emptiest};

/// Most legs of one shard.
pub const LEGS_MAX: usize = 4_000;
/// Most players in one room, and most taps.
const ROOM_PLAYERS_MAX: usize = 16;
/// Legs without a room that are handled at once.
const LOOSE_AT_ONCE: usize = 16;

/// A part of a tick, in one of its slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    slot: usize,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Room(RoomId),
    /// Those at so many places from this one on.
    Loose(usize),
}

/// The legs and rooms of one thread. A room is never split between shards.
#[derive(Debug)]
pub struct Shard {
    legs: Legs,
    rooms: Rooms,
    players: BTreeMap<PlayerId, PlayTo>,
    recordings: BTreeMap<RecordingId, Source>,
    recorded: Waiting,
    transmits: Transmits,
    documents: Documents,
    desk: Desk,
    events: VecDeque<Event>,
    random: u64,
    past: LegStats,
    encoded: u64,
    unmixed: u64,
    /// Legs that are to go elsewhere at the end of this tick.
    moving: Vec<LegId>,
    /// Rooms that are to have their turn in another slot from the next tick on.
    turning: Vec<(RoomId, usize)>,
    /// Legs that wait for another shard.
    departed: VecDeque<Departed>,
}

impl Shard {
    /// Makes an empty shard; `seed` draws SSRCs and first sequence numbers.
    pub fn new(seed: u64) -> Self {
        Self {
            legs: Legs::default(),
            rooms: Rooms::default(),
            players: BTreeMap::new(),
            recordings: BTreeMap::new(),
            recorded: Waiting::default(),
            transmits: Transmits::default(),
            documents: Documents::default(),
            desk: Desk::default(),
            events: VecDeque::new(),
            random: seed | 1,
            past: LegStats::default(),
            encoded: 0,
            unmixed: 0,
            moving: Vec::new(),
            turning: Vec::new(),
            departed: VecDeque::new(),
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
        let Some(state) = self.legs.get_mut(leg) else { return };
        if channel == Channel::Rtcp || rtp::is_rtcp(datagram) {
            if from.ip() == state.latch.remote().ip() && state.receive_rtcp(datagram, at) {
                state.latch_rtcp = Some(from);
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
                if let Some(leg) = self.legs.get_mut(id) {
                    if leg.options.codec != options.codec.in_packets(options.ptime_ms) {
                        self.documents.release(leg);
                    }
                    leg.update(*options, now);
                }
            }
            Command::BoundJitter(id, bounds) => {
                if let Some(leg) = self.legs.get_mut(id) {
                    leg.bound_jitter(bounds);
                }
            }
            Command::Detect(id, detection) => {
                if let Some(leg) = self.legs.get_mut(id) {
                    leg.detector = Some(Box::new(Detector::new(detection)));
                }
            }
            Command::RemoveLeg(id) => {
                if let Some(leg) = self.legs.get_mut(id) {
                    leg.fade_out();
                    leg.pending = Some(Pending::Remove);
                }
            }
            Command::Depart(id) => self.begin_to_depart(id),
            Command::Route(id, route) => self.route(id, route),
            Command::Play { player, to, pcm, loops, paused } => {
                let accepted = match to {
                    PlayTo::Leg(id) => self
                        .legs
                        .get_mut(id)
                        .is_some_and(|leg| leg.play(player, pcm, loops, paused)),
                    PlayTo::Room(id) => {
                        let slot = emptiest(&self.legs.in_slots());
                        let players = &mut self.rooms.get_or_open(id, slot).players;
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
            Command::SendDigits(id, player, digits) => match self.legs.get_mut(id) {
                Some(leg) if !digits.is_empty() => {
                    leg.keys_out.push(&digits);
                    leg.keys_player = Some(player);
                }
                _ => self.events.push_back(Event::PlayerEnded(player)),
            },
            Command::OpenTap(id, room) => {
                let slot = emptiest(&self.legs.in_slots());
                let taps = &mut self.rooms.get_or_open(room, slot).taps;
                if taps.len() < ROOM_PLAYERS_MAX {
                    taps.push(Tap { id, heard: VecDeque::new() });
                }
            }
            Command::CloseTap(id) => {
                for room in self.rooms.iter_mut() {
                    room.taps.retain(|tap| tap.id != id);
                }
            }
            Command::Record(id, source) => self.start_recording(id, source),
            Command::Track(id, leg) => {
                if let Some(recorders) = self.recorders(id)
                    && let Some(recorder) = recorders.iter_mut().find(|one| one.id == id)
                {
                    recorder.seat(leg);
                }
            }
            Command::PauseRecording(id, pause) => {
                if let Some(recorders) = self.recorders(id)
                    && let Some(recorder) = recorders.iter_mut().find(|one| one.id == id)
                {
                    recorder.pause = pause;
                }
            }
            Command::StopRecording(id) => {
                if let Some(recorders) = self.recorders(id) {
                    recorders.retain(|one| one.id != id);
                }
                self.recordings.remove(&id);
            }
        }
    }

    /// Mixes one tick of every room; the packets are ready to be polled after it.
    pub fn handle_tick(&mut self, now: Instant) {
        self.settle();
        for slot in 0..SLOTS {
            let mut part = None;
            while let Some(next) = self.next_part(slot, part) {
                self.handle_part(next, now, now);
                part = Some(next);
            }
        }
        self.finish_tick();
    }

    /// Returns the part of a slot that comes after `part`: rooms first, then the legs without one.
    ///
    /// Whoever sweeps sockets does so part by part: what a room's legs were sent is read just before
    /// it is mixed, and what they are to be sent leaves just after.
    pub fn next_part(&self, slot: usize, part: Option<Part>) -> Option<Part> {
        let room = match part.map(|part| part.what) {
            None => self.rooms.next(slot, None),
            Some(What::Room(room)) => self.rooms.next(slot, Some(room)),
            Some(What::Loose(place)) => {
                let what = self.legs.next_loose(slot, place + LOOSE_AT_ONCE).map(What::Loose)?;
                return Some(Part { slot, what });
            }
        };
        let loose = || self.legs.next_loose(slot, 0).map(What::Loose);
        room.map(What::Room).or_else(loose).map(|what| Part { slot, what })
    }

    /// Writes the legs of a part to `legs`.
    pub fn legs_in(&self, part: Part, legs: &mut Vec<LegId>) {
        legs.clear();
        match part.what {
            What::Room(room) => {
                let members = self.rooms.get(room).map_or(&[][..], |room| &room.members);
                legs.extend(members.iter().filter_map(|&place| self.legs.id(place)));
            }
            What::Loose(place) => legs.extend(self.legs.loose(part.slot, place, LOOSE_AT_ONCE)),
        }
    }

    /// Brings legs into the processor's caches, together.
    pub fn prefetch(&self, legs: &[LegId]) {
        for leg in legs.iter().filter_map(|&leg| self.legs.get(leg)) {
            leg.prefetch();
        }
    }

    /// Mixes and sends a part of the slot that was due at `due`.
    pub fn handle_part(&mut self, part: Part, due: Instant, now: Instant) {
        let mut round = Round {
            now,
            clock: due,
            transmits: &mut self.transmits,
            events: &mut self.events,
            players: &mut self.players,
            encoded: &mut self.encoded,
            unmixed: &mut self.unmixed,
            recorded: &mut self.recorded,
            desk: &mut self.desk,
            moving: &mut self.moving,
        };
        match part.what {
            What::Room(room) => {
                if let Some(room) = self.rooms.get_mut(room)
                    && !room.turn.rests()
                {
                    round.clock = room.turn.usual(due, now);
                    round.room(room, &mut self.legs, &mut self.documents);
                }
            }
            What::Loose(place) => {
                for leg in self.legs.loose_mut(part.slot, place, LOOSE_AT_ONCE) {
                    round.loose(leg, &mut self.documents);
                }
            }
        }
    }

    /// Thinks over in which slot a room has its turn, now and then, after it has had it: for whoever drives the
    /// slots of a tick at times of their own.
    pub fn think_over(&mut self, part: Part, now: Instant) {
        let What::Room(id) = part.what else { return };
        let Some(room) = self.rooms.get_mut(id) else { return };
        if !room.turn.thinks() {
            return;
        }
        let mut waits = Waits::default();
        for leg in room.members.iter().filter_map(|&place| self.legs.at(place)) {
            if let Some(waited) = leg.waits(now) {
                waits.add(waited, leg.speaks_now);
            }
        }
        let better = waits.better(part.slot, &self.legs.in_slots(), room.members.len());
        self.turning.extend(better.map(|slot| (id, slot)));
    }

    /// Ends a tick: legs whose ramps are down go where they are to go.
    pub fn finish_tick(&mut self) {
        self.documents.finish();
        self.settle();
        while let Some((id, slot)) = self.turning.pop() {
            self.rooms.move_to(id, slot);
            for &place in self.rooms.get(id).map_or(&[][..], |room| &room.members) {
                self.legs.seat(place, true, slot);
            }
        }
    }

    /// Returns the next datagram whose time has come.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit<'_>> {
        self.transmits.poll(now)
    }

    /// Returns when [`Self::poll_transmit`] next has something between two ticks.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.transmits.poll_timeout()
    }

    /// Returns what happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Moves what a tap has heard since the last time to `heard`; false where there is no such tap.
    pub fn poll_tap(&mut self, id: TapId, heard: &mut Vec<i16>) -> bool {
        let tap = self.rooms.iter_mut().flat_map(|room| &mut room.taps).find(|tap| tap.id == id);
        tap.map(|tap| heard.extend(tap.heard.drain(..))).is_some()
    }

    /// Returns the next tick of a recording. Frames that nobody polls for long are lost.
    pub fn poll_recorded(&mut self) -> Option<Recorded> {
        self.recorded.pop()
    }

    /// Says for every ordered pair of a room who hears whom how loud.
    pub fn audibility(&self, room: RoomId) -> Vec<Audible> {
        let Some(room) = self.rooms.get(room) else { return Vec::new() };
        let mut members: Vec<&Leg> =
            room.members.iter().filter_map(|&place| self.legs.at(place)).collect();
        members.sort_by_key(|leg| leg.id);
        let mut pairs = Vec::new();
        for hears in &members {
            let listener = hears.id;
            for speaks in members.iter().filter(|leg| leg.id != listener) {
                let spoken = speaks.voice_fade.target() * speaks.floor.target();
                let common = spoken * hears.hear_fade.target();
                let alone = speaks.edges.all.iter().filter(|edge| edge.to == listener);
                let alone: f32 = alone.map(|edge| edge.fade.target()).sum();
                let limited = speaks.voice_fade.target() > 0.0 && speaks.floor.target() == 0.0;
                let (speaker, gain) = (speaks.id, common + alone);
                pairs.push(Audible { listener, speaker, gain, limited });
            }
        }
        pairs
    }

    /// Says how loud each leg of a room is, how well it comes and what its sound goes through, and who is the dominant
    /// speaker.
    pub fn voices(&self, room: RoomId) -> (Vec<Voiced>, Option<LegId>) {
        let Some(room) = self.rooms.get(room) else { return (Vec::new(), None) };
        let legs = room.members.iter().filter_map(|&place| self.legs.at(place));
        let voiced = |leg: &Leg| Voiced {
            leg: leg.id,
            level: leg.level(),
            cleaning: leg.cleaning(),
            mos: leg.stats.mos,
        };
        let mut voices: Vec<Voiced> = legs.map(voiced).collect();
        voices.sort_by_key(|voiced| voiced.leg);
        (voices, room.dominant.get())
    }

    /// Returns what became of one leg's packets.
    pub fn leg_stats(&self, id: LegId) -> Option<LegStats> {
        self.legs.get(id).map(|leg| leg.stats)
    }

    /// Returns the sums.
    pub fn stats(&self) -> ShardStats {
        let (mut total, mut live) = (self.past, LiveStats::default());
        for leg in self.legs.iter() {
            total.add(&leg.stats);
            live.count(&leg.stats);
        }
        let (legs, rooms) = (self.legs.len(), self.rooms.len());
        ShardStats { legs, rooms, total, live, encoded: self.encoded, unmixed: self.unmixed }
    }

    fn start_recording(&mut self, id: RecordingId, source: Source) {
        self.recordings.insert(id, source);
        let recorders = match source {
            Source::Room(room, _) | Source::Tracks(room) => {
                let slot = emptiest(&self.legs.in_slots());
                &mut self.rooms.get_or_open(room, slot).recorders
            }
            Source::Leg(leg, _) => match self.legs.get_mut(leg) {
                Some(leg) => &mut leg.recorders,
                // It is recorded from when it comes.
                None => return,
            },
        };
        if recorders.len() < RECORDERS_MAX {
            recorders.push(Recorder::new(id, source));
        }
    }

    fn recorders(&mut self, id: RecordingId) -> Option<&mut Vec<Recorder>> {
        match self.recordings.get(&id)? {
            Source::Room(room, _) | Source::Tracks(room) => {
                self.rooms.get_mut(*room).map(|room| &mut room.recorders)
            }
            Source::Leg(leg, _) => self.legs.get_mut(*leg).map(|leg| &mut leg.recorders),
        }
    }

    fn add_leg(&mut self, id: LegId, options: LegOptions, now: Instant) {
        if self.legs.len() < LEGS_MAX {
            let random = [self.draw(), self.draw()];
            let mut leg = Box::new(Leg::new(id, options, random, now));
            for (&recording, source) in &self.recordings {
                if matches!(source, Source::Leg(recorded, _) if *recorded == id) {
                    leg.recorders.push(Recorder::new(recording, *source));
                }
            }
            self.legs.insert(leg, emptiest(&self.legs.in_slots()));
        }
    }

    fn draw(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) as u32
    }

    fn route(&mut self, id: LegId, route: Route) {
        let Some(leg) = self.legs.get_mut(id) else { return };
        if leg.pending == Some(Pending::Remove) {
            return;
        }
        if leg.route.room == route.room {
            leg.pending = None;
            leg.take_route(route);
            return;
        }
        // One without a room has nothing to lower, but may have had its turn in this tick.
        match leg.route.room {
            Some(_) => leg.fade_out(),
            None => self.moving.push(id),
        }
        leg.pending = Some(Pending::Route(route));
    }

    fn enter(&mut self, id: LegId, route: Route) {
        if let (Some(room), Some(place)) = (route.room, self.legs.place(id)) {
            // The first one's turn becomes the room's.
            let room = self.rooms.get_or_open(room, self.legs.slot(place));
            room.members.push(place);
            room.turn.think_soon();
            self.legs.seat(place, true, room.turn.slot);
        }
        if let Some(leg) = self.legs.get_mut(id) {
            leg.take_route(route);
        }
    }

    fn with_player(&mut self, id: PlayerId, act: impl FnOnce(&mut Player)) {
        let players = match self.players.get(&id) {
            Some(PlayTo::Leg(leg)) => self.legs.get_mut(*leg).map(|leg| &mut leg.players),
            Some(PlayTo::Room(room)) => self.rooms.get_mut(*room).map(|room| &mut room.players),
            None => None,
        };
        if let Some(player) = players.and_then(|all| all.iter_mut().find(|p| p.id == id)) {
            act(player);
        }
    }

    /// Moves legs whose ramps are down, and those that were in no room.
    ///
    /// [`Self::finish_tick`] does as well: whoever does so amid a tick lets a leg have its turn twice in it, or not at all.
    pub fn settle(&mut self) {
        let mut moving = std::mem::take(&mut self.moving);
        for id in moving.drain(..) {
            let Some(place) = self.legs.place(id) else { continue };
            let Some(leg) = self.legs.at_mut(place) else { continue };
            // It may have been told to stay meanwhile.
            let Some(pending) = leg.pending.take() else { continue };
            if let Some(room) = leg.route.room.and_then(|room| self.rooms.get_mut(room)) {
                room.members.retain(|&member| member != place);
                room.dominant.forget(id);
            }
            leg.edges = Edges::default();
            leg.voice_fade = Fade::at(0.0);
            leg.hear_fade = Fade::at(0.0);
            leg.played_fade = Fade::at(0.0);
            leg.floor = Fade::at(1.0);
            leg.route = Route::nowhere();
            let slot = self.legs.slot(place);
            self.legs.seat(place, false, slot);
            match pending {
                Pending::Route(route) => self.enter(id, route),
                Pending::Depart => self.depart(id),
                Pending::Remove => self.forget(id),
            }
        }
        self.moving = moving;
        self.rooms.tidy();
    }

    fn forget(&mut self, id: LegId) {
        if let Some(leg) = self.legs.remove(id) {
            self.desk.trim(self.legs.len());
            self.past.add(&leg.stats);
            for recorder in &leg.recorders {
                self.recordings.remove(&recorder.id);
            }
            for player in leg.sounds() {
                self.players.remove(&player);
                self.events.push_back(Event::PlayerEnded(player));
            }
        }
    }
}
