//! The only loop in which audio moves: one OS thread, one shard, the sockets of its legs.

pub mod inbox;
pub mod lateness;
mod moving;
mod quiet;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use media::{
    Channel, Command, Event, LegId, RecordingId, RoomId, SLOT, SLOTS, Shard, ShardStats, TICK,
    TapId,
};
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot};

use crate::arrival::{Port, Reader};
use crate::audibility::Mixed;
use crate::levels::Voices;
use crate::recorder::Ring;
use inbox::Inbox;
use lateness::Lateness;
use moving::{Arriving, Held, Moves};
use quiet::Quiet;
use wire::Wire;

/// Datagrams that one socket may deliver in one sweep: a flood waits, or is lost, in the kernel.
const SWEEP_MAX: usize = 32;
/// Legs that are brought into the processor's caches together: few enough to be there still when each is worked with.
const PREFETCHED: usize = 8;
/// Ticks in which all ports for RTCP are swept once, each in its turn: reports can wait a second.
const RTCP_TICKS: u64 = 50;
/// Ticks that are made up for after a pause; a longer one is skipped.
const BEHIND_MAX: u32 = 5;
/// What is taken from the inbox before a slot that is due; what waits beyond is taken after it.
const BEFORE_SLOT_MAX: u32 = 256;

/// The sockets of each leg.
type Sockets = FxHashMap<LegId, Wire>;

/// What reaches the thread.
pub enum Input {
    /// A leg's sockets, before its first command.
    Open(LegId, Port, Port),
    /// Where a recording goes, before its first command.
    OpenRing(RecordingId, Ring),
    /// For the shard; where it is about a leg that is on its way here, it waits for that.
    Command(Command, Option<LegId>),
    /// A leg will come from another thread.
    Expect(LegId),
    /// A leg goes to the thread of that place.
    Depart(LegId, usize),
    /// A leg comes.
    Arrive(Box<Arriving>),
    /// Who hears whom.
    Audibility(RoomId, oneshot::Sender<Mixed>),
    /// How loud everyone is in these rooms, and who the dominant speaker is of each.
    Voices(Vec<RoomId>, oneshot::Sender<Vec<(RoomId, Voices)>>),
    /// What a tap has heard since the last time.
    ReadTap(TapId, oneshot::Sender<Vec<i16>>),
    /// The sums.
    Stats(oneshot::Sender<ShardStats>),
    /// Ends the thread.
    Stop,
}

impl Input {
    /// Whether somebody waits for what the thread does about it, and not only for the next slot.
    fn is_awaited(&self) -> bool {
        matches!(self, Self::Audibility(..) | Self::ReadTap(..) | Self::Stats(..) | Self::Stop)
    }
}

/// One thread's shard and what belongs to its legs.
pub struct MediaThread {
    shard: Shard,
    sockets: Sockets,
    quiet: Quiet,
    rings: BTreeMap<RecordingId, Ring>,
    moves: Moves,
    reader: Reader,
    /// Legs that are being removed: their sockets go when they have.
    closing: Vec<LegId>,
    /// The legs of the part of a slot that is due.
    due: Vec<LegId>,
    lateness: Arc<Lateness>,
    /// Slots so far, of all ticks.
    slots: u64,
    /// By how much the latest slot of this tick was late, and how long all took.
    late: Duration,
    took: Duration,
}

impl MediaThread {
    /// Makes the thread's state; `others` are the inboxes of all threads, its own among them.
    pub fn new(shard: Shard, others: Vec<inbox::Sender>, lateness: Arc<Lateness>) -> Self {
        Self {
            shard,
            sockets: Sockets::default(),
            quiet: Quiet::new(),
            rings: BTreeMap::new(),
            moves: Moves::to(others),
            reader: Reader::new(),
            closing: Vec::new(),
            due: Vec::new(),
            lateness,
            slots: 0,
            late: Duration::ZERO,
            took: Duration::ZERO,
        }
    }

    /// Drives the shard until [`Input::Stop`].
    pub fn run(mut self, inbox: &Inbox, events: &mpsc::Sender<Event>) {
        let mut pending: Option<Event> = None;
        let mut slot_at = Instant::now() + TICK;
        let mut overdue = 0;
        loop {
            let wake = self.shard.poll_timeout().map_or(slot_at, |due| due.min(slot_at));
            let left = wake.saturating_duration_since(Instant::now());
            overdue = if left.is_zero() { overdue + 1 } else { 0 };
            if overdue <= BEFORE_SLOT_MAX {
                match inbox.recv_timeout(left) {
                    Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                    Ok(input) => {
                        self.take(input);
                        continue;
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
            overdue = 0;
            let now = Instant::now();
            if now >= slot_at {
                self.slot(slot_at, now);
                slot_at = self.next_slot(slot_at, now);
            }
            self.send(Instant::now());
            // An event that finds no room waits; audio does not wait for it.
            while let Some(event) = pending.take().or_else(|| self.shard.poll_event()) {
                if let Err(mpsc::error::TrySendError::Full(event)) = events.try_send(event) {
                    pending = Some(event);
                    break;
                }
            }
        }
    }

    /// Sweeps, mixes and sends, one part after the other; the first slot of a tick ends the tick before.
    fn slot(&mut self, due: Instant, now: Instant) {
        if self.slots.is_multiple_of(SLOTS as u64) {
            self.finish_tick();
        }
        self.late = self.late.max(now - due);
        let (tick, slot) = (self.slots / SLOTS as u64, (self.slots % SLOTS as u64) as usize);
        let mut part = None;
        while let Some(next) = self.shard.next_part(slot, part) {
            let now = Instant::now();
            self.shard.legs_in(next, &mut self.due);
            self.sweep(tick, now);
            self.shard.handle_part(next, due, now);
            self.send(now);
            self.shard.think_over(next, now);
            part = Some(next);
        }
        record(&mut self.shard, &mut self.rings);
        self.took += now.elapsed();
    }

    /// Reads what the sockets of the legs that are due hold.
    fn sweep(&mut self, tick: u64, now: Instant) {
        self.reader.begin(now);
        self.quiet.ask(&mut self.sockets, now);
        let due = std::mem::take(&mut self.due);
        for legs in due.chunks(PREFETCHED) {
            self.prefetch(legs);
            legs.iter().for_each(|&leg| self.sweep_leg(leg, tick));
        }
        self.due = due;
    }

    /// Brings legs and their sockets into the processor's caches.
    fn prefetch(&self, legs: &[LegId]) {
        self.shard.prefetch(legs);
        for leg in legs {
            std::hint::black_box(self.sockets.get(leg).map(|wire| wire.watched));
        }
    }

    fn sweep_leg(&mut self, leg: LegId, tick: u64) {
        let Self { shard, sockets, quiet, reader, .. } = self;
        let Some(wire) = sockets.get_mut(&leg) else { return };
        if !wire.watched {
            let mut found = false;
            reader.receive(&wire.rtp, SWEEP_MAX, |datagram| {
                found = true;
                let (from, at) = (datagram.from, datagram.at);
                shard.handle_datagram(leg, Channel::Rtp, from, datagram.octets, at);
            });
            quiet.swept(leg, wire, found);
        }
        if leg.0 % RTCP_TICKS == tick % RTCP_TICKS {
            reader.receive(&wire.rtcp, SWEEP_MAX, |datagram| {
                let (from, at) = (datagram.from, datagram.at);
                shard.handle_datagram(leg, Channel::Rtcp, from, datagram.octets, at);
            });
        }
    }

    fn send(&mut self, now: Instant) {
        while let Some(transmit) = self.shard.poll_transmit(now) {
            if let Some(wire) = self.sockets.get_mut(&transmit.leg) {
                wire.send(&transmit);
            }
        }
    }

    /// Lets go of those who go, and notes how late the tick was and how long it took.
    fn finish_tick(&mut self) {
        self.shard.finish_tick();
        // What they were sent between two slots has left by now.
        self.let_go();
        let (shard, sockets) = (&self.shard, &mut self.sockets);
        self.closing.retain(|&leg| {
            let is_there = shard.leg_stats(leg).is_some();
            if !is_there {
                sockets.remove(&leg);
            }
            is_there
        });
        if self.slots > 0 {
            self.lateness.note(std::mem::take(&mut self.late));
            self.lateness.took(std::mem::take(&mut self.took));
        }
    }

    /// Returns when the next slot is due in which there is something to do: the first of a tick always is, on the
    /// grid or, if we fell hopelessly behind, on a new one.
    fn next_slot(&mut self, last: Instant, now: Instant) -> Instant {
        self.slots += 1;
        let mut next = last + SLOT;
        while let slot = (self.slots % SLOTS as u64) as usize
            && slot > 0
            && self.shard.next_part(slot, None).is_none()
        {
            self.slots += 1;
            next += SLOT;
        }
        if now > next + TICK * BEHIND_MAX { now + SLOT } else { next }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::OpenRing(recording, ring) => drop(self.rings.insert(recording, ring)),
            Input::Open(leg, rtp, rtcp) => drop(self.sockets.insert(leg, Wire::new(rtp, rtcp))),
            Input::Command(command, about) => {
                if let Some(Held::Command(command)) = self.moves.wait(about, Held::Command(command))
                {
                    self.command(command);
                }
            }
            Input::Expect(leg) => self.moves.expect(leg),
            Input::Depart(leg, to) => {
                if let Some(Held::Depart(leg, to)) =
                    self.moves.wait(Some(leg), Held::Depart(leg, to))
                {
                    self.depart(leg, to);
                }
            }
            Input::Arrive(arriving) => self.arrive(*arriving),
            Input::Audibility(room, reply) => {
                // To who asks, whoever was let in before is there.
                self.shard.settle();
                // Whoever asked may have gone.
                drop(reply.send(Mixed::of(&self.shard, room)));
            }
            Input::Voices(rooms, reply) => {
                let voices = |room| (room, self.shard.voices(room));
                drop(reply.send(rooms.into_iter().map(voices).collect()));
            }
            Input::ReadTap(tap, reply) => {
                let mut heard = Vec::new();
                self.shard.poll_tap(tap, &mut heard);
                drop(reply.send(heard));
            }
            Input::Stats(reply) => drop(reply.send(self.shard.stats())),
            Input::Stop => {}
        }
    }

    fn command(&mut self, command: Command) {
        match &command {
            Command::RemoveLeg(leg) => self.closing.push(*leg),
            // Its file is closed when the ring is empty.
            Command::StopRecording(recording) => drop(self.rings.remove(recording)),
            _ => {}
        }
        self.shard.handle_command(command, Instant::now());
    }
}

/// Hands over what was recorded. A ring that is full is given up: sound waits for no disk.
fn record(shard: &mut Shard, rings: &mut BTreeMap<RecordingId, Ring>) {
    while let Some(tick) = shard.poll_recorded() {
        if rings.get(&tick.recording).is_some_and(|ring| !ring.push(tick)) {
            rings.remove(&tick.recording);
        }
    }
}
