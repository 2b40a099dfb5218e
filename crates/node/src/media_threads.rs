//! The media threads, and which of them has which leg and which room.
//!
//! A room is on one thread. It comes to the one with the fewest legs when its first leg does, and stays there for as
//! long as anything is in it; whoever enters it from elsewhere moves.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use media::{
    Command, Event, LegId, PlayTo, PlayerId, RecordingId, RoomId, Route, Shard, ShardStats, Source,
    TapId,
};
use tokio::sync::{mpsc, oneshot};

use crate::arrival::Port;
use crate::audibility::Mixed;
use crate::cores;
use crate::draining::Busy;
use crate::levels::Voices;
use crate::media_thread::inbox::{Sender, channel};
use crate::media_thread::lateness::Lateness;
use crate::media_thread::{Input, MediaThread};
use crate::priority;
use crate::recorder::Ring;

/// Media commands that wait for a thread's next tick.
const MEDIA_MAX: usize = 65_536;

/// The threads' inboxes, for whoever opens ports.
#[derive(Debug, Clone)]
pub struct Inboxes(Vec<Sender>);

impl Inboxes {
    /// Gives a new leg its sockets, on the thread where it begins; false where that does not keep up.
    pub fn open(&self, leg: LegId, rtp: Port, rtcp: Port) -> bool {
        self.0[self.first_of(leg)].try_send(Input::Open(leg, rtp, rtcp)).is_ok()
    }

    /// Returns where a leg begins.
    fn first_of(&self, leg: LegId) -> usize {
        // Numbers are given to rooms and others in turn with legs, so their order says little.
        let mixed = leg.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        (mixed % self.0.len() as u64) as usize
    }
}

/// Where a leg is, or goes.
#[derive(Debug)]
struct Place {
    thread: usize,
    room: Option<RoomId>,
}

/// Where a room is, for as long as there are things in it: legs, sounds, listeners, recordings.
#[derive(Debug)]
struct Seat {
    thread: usize,
    things: usize,
}

/// All media threads. They end when this is dropped.
pub struct MediaThreads {
    inboxes: Inboxes,
    lateness: Vec<Arc<Lateness>>,
    /// How many legs each has.
    load: Vec<usize>,
    legs: BTreeMap<LegId, Place>,
    rooms: BTreeMap<RoomId, Seat>,
    players: BTreeMap<PlayerId, PlayTo>,
    taps: BTreeMap<TapId, RoomId>,
    /// What is recorded, and where.
    recordings: BTreeMap<RecordingId, (Source, usize)>,
    /// Where recordings go that have not begun.
    rings: BTreeMap<RecordingId, Ring>,
}

impl MediaThreads {
    /// Starts a thread for each shard, pinned to the cores in turn, where any are named.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        shards: Vec<Shard>,
        pinned_to: &[usize],
        events: &mpsc::Sender<Event>,
    ) -> std::io::Result<Self> {
        let (inboxes, receivers): (Vec<_>, Vec<_>) =
            shards.iter().map(|_| channel(MEDIA_MAX)).unzip();
        let threads = Self::of(inboxes);
        for (place, (shard, inbox)) in shards.into_iter().zip(receivers).enumerate() {
            let (others, events) = (threads.inboxes.0.clone(), events.clone());
            let lateness = Arc::clone(&threads.lateness[place]);
            let core = pinned_to.get(place % pinned_to.len().max(1)).copied();
            std::thread::Builder::new().name(format!("media {place}")).spawn(move || {
                priority::keep();
                if let Some(Err(error)) = core.map(|core| cores::bind_to(std::iter::once(core))) {
                    tracing::error!("media thread {place} runs on any core: {error}");
                }
                MediaThread::new(shard, others, lateness).run(&inbox, &events);
            })?;
        }
        Ok(threads)
    }

    fn of(inboxes: Vec<Sender>) -> Self {
        Self {
            lateness: inboxes.iter().map(|_| Arc::default()).collect(),
            load: vec![0; inboxes.len()],
            inboxes: Inboxes(inboxes),
            legs: BTreeMap::new(),
            rooms: BTreeMap::new(),
            players: BTreeMap::new(),
            taps: BTreeMap::new(),
            recordings: BTreeMap::new(),
            rings: BTreeMap::new(),
        }
    }

    /// Returns the way to give new legs their sockets.
    pub fn inboxes(&self) -> Inboxes {
        self.inboxes.clone()
    }

    /// Returns how late the ticks of each thread were.
    pub fn lateness(&self) -> &[Arc<Lateness>] {
        &self.lateness
    }

    /// Returns how much of each tick the threads need.
    pub fn busy(&self) -> Busy {
        let none = Busy { least: f32::INFINITY, soon: f32::INFINITY, most: 0.0 };
        self.lateness.iter().fold(none, |all, one| Busy {
            least: all.least.min(one.busy()),
            soon: all.soon.min(one.busy_soon()),
            most: all.most.max(one.busy()),
        })
    }

    /// Keeps where a recording goes until it begins.
    pub fn keep_ring(&mut self, recording: RecordingId, ring: Ring) {
        self.rings.insert(recording, ring);
    }

    /// Hands a command to the thread that it is for.
    pub fn command(&mut self, command: Command) {
        match command {
            Command::AddLeg(leg, _) => {
                let thread = self.inboxes.first_of(leg);
                let before = self.legs.insert(leg, Place { thread, room: None });
                self.load[thread] += usize::from(before.is_none());
                self.send(thread, Input::Command(command, None));
            }
            Command::UpdateLeg(leg, _)
            | Command::BoundJitter(leg, _)
            | Command::Detect(leg, _)
            | Command::Depart(leg) => self.to_leg(leg, command),
            Command::SendDigits(leg, player, _) => {
                self.players.insert(player, PlayTo::Leg(leg));
                self.to_leg(leg, command);
            }
            Command::RemoveLeg(leg) => self.remove(leg),
            Command::Route(leg, route) => self.route(leg, route),
            Command::Play { player, to, .. } => {
                if let PlayTo::Room(room) = to {
                    self.hold(room, None);
                }
                self.players.insert(player, to);
                self.to_player(to, command);
            }
            Command::Pause(player, _) => {
                if let Some(to) = self.players.get(&player) {
                    self.to_player(*to, command);
                }
            }
            Command::Stop(player) => {
                if let Some(to) = self.players.get(&player).copied() {
                    self.to_player(to, command);
                    self.forget_player(player);
                }
            }
            Command::OpenTap(tap, room) => {
                let thread = self.hold(room, None);
                self.taps.insert(tap, room);
                self.send(thread, Input::Command(command, None));
            }
            Command::CloseTap(tap) => {
                if let Some(room) = self.taps.remove(&tap) {
                    self.send(self.thread_of(room), Input::Command(command, None));
                    self.let_go(room);
                }
            }
            Command::Record(id, source) => self.record(id, source),
            Command::Track(id, _) | Command::PauseRecording(id, _) => {
                if let Some(&(source, thread)) = self.recordings.get(&id) {
                    self.send(thread, Input::Command(command, leg_of(source)));
                }
            }
            Command::StopRecording(id) => {
                self.rings.remove(&id);
                if let Some((source, thread)) = self.recordings.remove(&id) {
                    self.send(thread, Input::Command(command, leg_of(source)));
                    if let Some(room) = room_of(source) {
                        self.let_go(room);
                    }
                }
            }
        }
    }

    /// Takes note of what a thread told.
    pub fn observe(&mut self, event: Event) {
        if let Event::PlayerEnded(player) = event {
            self.forget_player(player);
        }
    }

    /// Asks who hears whom in a room. It is answered from a state to which the commands before it belong, but for
    /// legs that are on their way.
    pub fn audibility(&self, room: RoomId) -> oneshot::Receiver<Mixed> {
        let (asked, answer) = oneshot::channel();
        self.send(self.thread_of(room), Input::Audibility(room, asked));
        answer
    }

    /// Asks how loud everyone is in these rooms, each thread once. It is answered in the next slot: nobody is woken.
    pub fn voices(
        &self,
        rooms: Vec<RoomId>,
    ) -> impl Future<Output = BTreeMap<RoomId, Voices>> + use<> {
        let mut by_thread: BTreeMap<usize, Vec<RoomId>> = BTreeMap::new();
        for room in rooms {
            by_thread.entry(self.thread_of(room)).or_default().push(room);
        }
        let ask = |(thread, rooms)| {
            let (asked, answer) = oneshot::channel();
            self.send(thread, Input::Voices(rooms, asked));
            answer
        };
        let answers: Vec<_> = by_thread.into_iter().map(ask).collect();
        async move {
            let mut all = BTreeMap::new();
            for answer in answers {
                all.extend(answer.await.unwrap_or_default());
            }
            all
        }
    }

    /// Asks what a tap has heard; one that there is not has heard nothing.
    pub fn read_tap(&self, tap: TapId, reply: oneshot::Sender<Vec<i16>>) {
        if let Some(room) = self.taps.get(&tap) {
            self.send(self.thread_of(*room), Input::ReadTap(tap, reply));
        }
    }

    /// Asks for the sums over all threads.
    pub fn stats(&self) -> impl Future<Output = ShardStats> + use<> {
        let ask = |thread| {
            let (asked, answer) = oneshot::channel();
            self.send(thread, Input::Stats(asked));
            answer
        };
        let answers: Vec<_> = (0..self.load.len()).map(ask).collect();
        // The threads answer one after the other: a leg that moves meanwhile is at two of them, or at none.
        let legs = self.legs.len();
        async move {
            let mut all = Vec::new();
            for answer in answers {
                all.push(answer.await.unwrap_or_default());
            }
            ShardStats { legs, ..all.into_iter().sum() }
        }
    }

    fn send(&self, thread: usize, input: Input) {
        if self.inboxes.0[thread].try_send(input).is_err() {
            tracing::error!("a media thread does not keep up; a command was lost");
        }
    }

    fn to_leg(&self, leg: LegId, command: Command) {
        if let Some(place) = self.legs.get(&leg) {
            self.send(place.thread, Input::Command(command, Some(leg)));
        }
    }

    fn to_player(&self, to: PlayTo, command: Command) {
        match to {
            PlayTo::Leg(leg) => self.to_leg(leg, command),
            PlayTo::Room(room) => self.send(self.thread_of(room), Input::Command(command, None)),
        }
    }

    fn remove(&mut self, leg: LegId) {
        let Some(place) = self.legs.remove(&leg) else {
            // It may have been given sockets.
            let thread = self.inboxes.first_of(leg);
            return self.send(thread, Input::Command(Command::RemoveLeg(leg), None));
        };
        self.load[place.thread] -= 1;
        self.send(place.thread, Input::Command(Command::RemoveLeg(leg), Some(leg)));
        if let Some(room) = place.room {
            self.let_go(room);
        }
    }

    fn route(&mut self, leg: LegId, route: Route) {
        let Some(place) = self.legs.get_mut(&leg) else { return };
        let before = std::mem::replace(&mut place.room, route.room);
        if before != route.room {
            if let Some(room) = route.room {
                let from = place.thread;
                let thread = self.hold(room, Some(from));
                self.bring(leg, thread);
            }
            if let Some(room) = before {
                self.let_go(room);
            }
        }
        self.to_leg(leg, Command::Route(leg, route));
    }

    /// Lets a leg move to a thread, unless it is there.
    fn bring(&mut self, leg: LegId, to: usize) {
        let Some(place) = self.legs.get_mut(&leg) else { return };
        let from = std::mem::replace(&mut place.thread, to);
        if from == to {
            return;
        }
        self.load[from] -= 1;
        self.load[to] += 1;
        for (source, thread) in self.recordings.values_mut() {
            if leg_of(*source) == Some(leg) {
                *thread = to;
            }
        }
        self.send(to, Input::Expect(leg));
        self.send(from, Input::Depart(leg, to));
    }

    fn record(&mut self, id: RecordingId, source: Source) {
        let thread = match (room_of(source), leg_of(source)) {
            (Some(room), _) => self.hold(room, None),
            (None, Some(leg)) => {
                let first = self.inboxes.first_of(leg);
                self.legs.get(&leg).map_or(first, |place| place.thread)
            }
            (None, None) => return,
        };
        self.recordings.insert(id, (source, thread));
        if let Some(ring) = self.rings.remove(&id) {
            self.send(thread, Input::OpenRing(id, ring));
        }
        self.send(thread, Input::Command(Command::Record(id, source), leg_of(source)));
    }

    fn forget_player(&mut self, player: PlayerId) {
        if let Some(PlayTo::Room(room)) = self.players.remove(&player) {
            self.let_go(room);
        }
    }

    /// Returns where a room is; one that nothing is in is nowhere, and its commands do nothing anywhere.
    fn thread_of(&self, room: RoomId) -> usize {
        self.rooms.get(&room).map_or(0, |seat| seat.thread)
    }

    /// Counts one thing more in a room; returns where the room is. A new one stays with the leg that brings it, where
    /// no other thread has fewer besides.
    fn hold(&mut self, room: RoomId, leg_on: Option<usize>) -> usize {
        let besides = |thread: usize| self.load[thread] - usize::from(leg_on == Some(thread));
        let fewest = || {
            let threads = 0..self.load.len();
            threads.min_by_key(|&thread| (besides(thread), leg_on != Some(thread))).unwrap_or(0)
        };
        let seat = self.rooms.entry(room).or_insert_with(|| Seat { thread: fewest(), things: 0 });
        seat.things += 1;
        seat.thread
    }

    /// Counts one thing less in a room; an empty one is forgotten.
    fn let_go(&mut self, room: RoomId) {
        let Some(seat) = self.rooms.get_mut(&room) else { return };
        seat.things -= 1;
        if seat.things == 0 {
            self.rooms.remove(&room);
        }
    }
}

impl Drop for MediaThreads {
    fn drop(&mut self) {
        for thread in 0..self.load.len() {
            self.send(thread, Input::Stop);
        }
    }
}

fn leg_of(source: Source) -> Option<LegId> {
    match source {
        Source::Leg(leg, _) => Some(leg),
        Source::Room(..) | Source::Tracks(_) => None,
    }
}

fn room_of(source: Source) -> Option<RoomId> {
    match source {
        Source::Room(room, _) | Source::Tracks(room) => Some(room),
        Source::Leg(..) => None,
    }
}
