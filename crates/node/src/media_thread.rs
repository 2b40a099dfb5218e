//! The only loop in which audio moves: one OS thread, one shard, the sockets of its legs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use media::{Channel, Command, Event, LegId, RecordingId, RoomId, Shard, ShardStats, TICK, TapId};
use tokio::sync::{mpsc, oneshot};

use crate::arrival::{Port, Reader};
use crate::audibility::Mixed;
use crate::recorder::Ring;

/// Datagrams that one socket may deliver in one sweep: a flood waits, or is lost, in the kernel.
const SWEEP_MAX: usize = 32;
/// Ticks in which all ports for RTCP are swept once, each in its turn: reports can wait a second.
const RTCP_TICKS: u64 = 50;
/// Ticks that are made up for after a pause; a longer one is skipped.
const BEHIND_MAX: u32 = 5;

/// The ports for RTP and RTCP of each leg.
type Sockets = BTreeMap<LegId, (Port, Port)>;

/// What reaches the thread.
pub enum Input {
    /// A leg's sockets, before its first command.
    Open(LegId, Port, Port),
    /// Where a recording goes, before its first command.
    OpenRing(RecordingId, Ring),
    /// For the shard.
    Command(Command),
    /// Who hears whom.
    Audibility(RoomId, oneshot::Sender<Mixed>),
    /// What a tap has heard since the last time.
    ReadTap(TapId, oneshot::Sender<Vec<i16>>),
    /// The sums.
    Stats(oneshot::Sender<ShardStats>),
}

/// How late ticks were, for the metrics.
#[derive(Debug, Default)]
pub struct Lateness {
    /// Ticks so far.
    pub ticks: AtomicU64,
    /// Of these, later than one period.
    pub late: AtomicU64,
    /// The latest, in microseconds.
    pub worst_us: AtomicU64,
    /// Ticks by how late they were, see [`LATENESS_BOUNDS_US`].
    pub classes: [AtomicU64; LATENESS_CLASSES],
    /// Of all ticks, in microseconds.
    pub sum_us: AtomicU64,
    /// How much of each tick was needed of late, in millionths.
    pub busy_ppm: AtomicU64,
}

impl Lateness {
    /// Returns how much of each tick was needed of late: 1.0 is all of it.
    pub fn busy(&self) -> f32 {
        self.busy_ppm.load(Ordering::Relaxed) as f32 / 1e6
    }

    /// Takes how long a tick took.
    fn took(&self, time: Duration) {
        let ppm = time.as_nanos() * 1_000_000 / TICK.as_nanos();
        let before = self.busy_ppm.load(Ordering::Relaxed);
        let after = (before * (BUSY_TICKS - 1)
            + u64::try_from(ppm).unwrap_or(u64::MAX / BUSY_TICKS))
            / BUSY_TICKS;
        self.busy_ppm.store(after, Ordering::Relaxed);
    }
}

/// Ticks over which it is smoothed how much of each was needed: half a second.
const BUSY_TICKS: u64 = 25;

/// Classes of lateness.
pub const LATENESS_CLASSES: usize = 9;
/// Upper bounds of the classes of lateness, in microseconds; the last class has none.
pub const LATENESS_BOUNDS_US: [u64; LATENESS_CLASSES - 1] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 20_000, 50_000];

/// Drives a shard until its inbox closes.
pub fn run(
    mut shard: Shard,
    inbox: &Receiver<Input>,
    events: &mpsc::Sender<Event>,
    lateness: &Arc<Lateness>,
) {
    let mut sockets = Sockets::new();
    let mut rings = BTreeMap::new();
    let mut tick = 0_u64;
    let mut closing: Vec<LegId> = Vec::new();
    let mut due: Vec<LegId> = Vec::new();
    let mut pending: Option<Event> = None;
    let mut reader = Reader::new();
    let mut tick_at = Instant::now() + TICK;
    loop {
        let wake = shard.poll_timeout().map_or(tick_at, |due| due.min(tick_at));
        match inbox.recv_timeout(wake.saturating_duration_since(Instant::now())) {
            Ok(input) => {
                if let Input::Command(Command::RemoveLeg(leg)) = &input {
                    closing.push(*leg);
                }
                take(&mut shard, &mut sockets, &mut rings, input);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = Instant::now();
        if now >= tick_at {
            tick += 1;
            note(lateness, now - tick_at);
            let mut part = None;
            while let Some(next) = shard.next_part(part) {
                let now = Instant::now();
                shard.legs_in(next, &mut due);
                sweep(&mut shard, &sockets, &due, &mut reader, tick, now);
                shard.handle_part(next, tick_at, now);
                send(&mut shard, &sockets, now);
                part = Some(next);
            }
            shard.finish_tick();
            record(&mut shard, &mut rings);
            lateness.took(now.elapsed());
            tick_at = next_tick(tick_at, now);
        }
        send(&mut shard, &sockets, Instant::now());
        for leg in closing.drain(..) {
            sockets.remove(&leg);
        }
        // An event that finds no room waits; audio does not wait for it.
        while let Some(event) = pending.take().or_else(|| shard.poll_event()) {
            if let Err(mpsc::error::TrySendError::Full(event)) = events.try_send(event) {
                pending = Some(event);
                break;
            }
        }
    }
}

fn take(
    shard: &mut Shard,
    sockets: &mut Sockets,
    rings: &mut BTreeMap<RecordingId, Ring>,
    input: Input,
) {
    match input {
        Input::OpenRing(recording, ring) => {
            rings.insert(recording, ring);
        }
        Input::Open(leg, rtp, rtcp) => {
            sockets.insert(leg, (rtp, rtcp));
        }
        Input::Command(command) => {
            if let Command::StopRecording(recording) = &command {
                // Its file is closed when the ring is empty.
                rings.remove(recording);
            }
            shard.handle_command(command, Instant::now());
        }
        // Whoever asked may have gone.
        Input::Audibility(room, reply) => drop(reply.send(Mixed::of(shard, room))),
        Input::ReadTap(tap, reply) => {
            let mut heard = Vec::new();
            shard.poll_tap(tap, &mut heard);
            drop(reply.send(heard));
        }
        Input::Stats(reply) => drop(reply.send(shard.stats())),
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

/// Reads what the sockets of the legs that are due hold.
fn sweep(
    shard: &mut Shard,
    sockets: &Sockets,
    due: &[LegId],
    reader: &mut Reader,
    tick: u64,
    now: Instant,
) {
    reader.begin(now);
    for &leg in due {
        let Some((rtp, rtcp)) = sockets.get(&leg) else { continue };
        reader.receive(rtp, SWEEP_MAX, |datagram| {
            shard.handle_datagram(leg, Channel::Rtp, datagram.from, datagram.octets, datagram.at);
        });
        if leg.0 % RTCP_TICKS == tick % RTCP_TICKS {
            reader.receive(rtcp, SWEEP_MAX, |datagram| {
                let (from, at) = (datagram.from, datagram.at);
                shard.handle_datagram(leg, Channel::Rtcp, from, datagram.octets, at);
            });
        }
    }
}

fn send(shard: &mut Shard, sockets: &Sockets, now: Instant) {
    while let Some(transmit) = shard.poll_transmit(now) {
        if let Some((rtp, rtcp)) = sockets.get(&transmit.leg) {
            let port = if transmit.channel == Channel::Rtp { rtp } else { rtcp };
            // What a full socket buffer drops is lost, as on any wire.
            let _ = port.socket.send_to(transmit.octets, transmit.to);
        }
    }
}

fn note(lateness: &Lateness, late: Duration) {
    lateness.ticks.fetch_add(1, Ordering::Relaxed);
    if late > TICK {
        lateness.late.fetch_add(1, Ordering::Relaxed);
    }
    let late_us = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
    lateness.worst_us.fetch_max(late_us, Ordering::Relaxed);
    lateness.sum_us.fetch_add(late_us, Ordering::Relaxed);
    let class = LATENESS_BOUNDS_US.partition_point(|&bound| bound < late_us);
    lateness.classes[class].fetch_add(1, Ordering::Relaxed);
}

/// Returns the next tick on the grid, or a new grid if we fell hopelessly behind.
fn next_tick(last: Instant, now: Instant) -> Instant {
    let next = last + TICK;
    if now > next + TICK * BEHIND_MAX { now + TICK } else { next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tick_falls_into_the_first_class_that_holds_it() {
        let lateness = Lateness::default();
        for late_us in [0, 250, 251, 20_000, 20_001, 1_000_000] {
            note(&lateness, Duration::from_micros(late_us));
        }
        let classes: Vec<u64> =
            lateness.classes.iter().map(|class| class.load(Ordering::Relaxed)).collect();
        assert_eq!(classes, [2, 1, 0, 0, 0, 0, 1, 1, 1]);
        assert_eq!(lateness.late.load(Ordering::Relaxed), 2);
        assert_eq!(lateness.worst_us.load(Ordering::Relaxed), 1_000_000);
    }
}
