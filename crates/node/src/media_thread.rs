//! The only loop in which audio moves: one OS thread, one shard, the sockets of its legs.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use media::{Audible, Channel, Command, Event, LegId, RoomId, Shard, ShardStats, TICK, TapId};
use tokio::sync::{mpsc, oneshot};

use crate::arrival::{Datagram, Reader};

/// Datagrams that one socket may deliver in one sweep: a flood waits, or is lost, in the kernel.
const SWEEP_MAX: usize = 32;
/// Ticks that are made up for after a pause; a longer one is skipped.
const BEHIND_MAX: u32 = 5;

/// What reaches the thread.
pub enum Input {
    /// A leg's sockets, before its first command.
    Open(LegId, UdpSocket, UdpSocket),
    /// For the shard.
    Command(Command),
    /// Who hears whom.
    Audibility(RoomId, oneshot::Sender<Vec<Audible>>),
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
}

/// Drives a shard until its inbox closes.
pub fn run(
    mut shard: Shard,
    inbox: &Receiver<Input>,
    events: &mpsc::Sender<Event>,
    lateness: &Arc<Lateness>,
) {
    let mut sockets: BTreeMap<LegId, (UdpSocket, UdpSocket)> = BTreeMap::new();
    let mut closing: Vec<LegId> = Vec::new();
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
                take(&mut shard, &mut sockets, input);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = Instant::now();
        if now >= tick_at {
            sweep(&mut shard, &sockets, &mut reader, now);
            note(lateness, now - tick_at);
            shard.handle_tick(now);
            tick_at = next_tick(tick_at, now);
        }
        send(&mut shard, &sockets, now);
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

fn take(shard: &mut Shard, sockets: &mut BTreeMap<LegId, (UdpSocket, UdpSocket)>, input: Input) {
    match input {
        Input::Open(leg, rtp, rtcp) => {
            sockets.insert(leg, (rtp, rtcp));
        }
        Input::Command(command) => shard.handle_command(command, Instant::now()),
        // Whoever asked may have gone.
        Input::Audibility(room, reply) => drop(reply.send(shard.audibility(room))),
        Input::ReadTap(tap, reply) => {
            let mut heard = Vec::new();
            shard.poll_tap(tap, &mut heard);
            drop(reply.send(heard));
        }
        Input::Stats(reply) => drop(reply.send(shard.stats())),
    }
}

/// Reads what the sockets hold.
fn sweep(
    shard: &mut Shard,
    sockets: &BTreeMap<LegId, (UdpSocket, UdpSocket)>,
    reader: &mut Reader,
    now: Instant,
) {
    reader.begin(now);
    for (&leg, (rtp, rtcp)) in sockets {
        for (socket, channel) in [(rtp, Channel::Rtp), (rtcp, Channel::Rtcp)] {
            for _ in 0..SWEEP_MAX {
                match reader.receive(socket) {
                    Ok(Datagram { from, octets, at }) => {
                        shard.handle_datagram(leg, channel, from, octets, at);
                    }
                    // A port that is closed over there says so here; the next datagram may follow.
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                    Err(_) => break,
                }
            }
        }
    }
}

fn send(shard: &mut Shard, sockets: &BTreeMap<LegId, (UdpSocket, UdpSocket)>, now: Instant) {
    while let Some(transmit) = shard.poll_transmit(now) {
        if let Some((rtp, rtcp)) = sockets.get(&transmit.leg) {
            let socket = if transmit.channel == Channel::Rtp { rtp } else { rtcp };
            // What a full socket buffer drops is lost, as on any wire.
            let _ = socket.send_to(transmit.octets(), transmit.to);
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
}

/// Returns the next tick on the grid, or a new grid if we fell hopelessly behind.
fn next_tick(last: Instant, now: Instant) -> Instant {
    let next = last + TICK;
    if now > next + TICK * BEHIND_MAX { now + TICK } else { next }
}
