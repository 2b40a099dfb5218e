//! Packets of codecs with eight octets in a millisecond, which may be cut anywhere.

use std::time::Duration;

use super::paced::Paced;
use crate::codec::PAYLOAD_MAX;

/// Octets of a tick.
const TICK: usize = 160;

/// One leg's packets in the making.
#[derive(Debug)]
pub struct Octets {
    /// What waits. A tick that is a packet never does, so that no room is made for it.
    octets: Vec<u8>,
    packet: usize,
    /// Octets in and out since the length was set.
    pushed: u64,
    popped: u64,
}

impl Octets {
    pub fn new(ptime_ms: u8) -> Self {
        let packet = match ptime_ms {
            10 | 20 | 30 | 40 | 60 => usize::from(ptime_ms) * 8,
            _ => TICK,
        };
        let room = if packet == TICK { 0 } else { packet + TICK };
        Self { octets: Vec::with_capacity(room), packet, pushed: 0, popped: 0 }
    }

    /// Takes a tick of sound, which has 160 octets.
    pub fn push(&mut self, tick: &[u8]) {
        let length = tick.len().min(TICK);
        self.octets.extend_from_slice(&tick[..length]);
        self.pushed += length as u64;
    }

    /// Lets a tick pass that is as long as a packet, and has not to wait for others.
    pub fn pass(&mut self, tick: &[u8]) -> Option<u32> {
        if !self.octets.is_empty() || tick.len() != self.packet {
            return None;
        }
        self.pushed += tick.len() as u64;
        self.popped += tick.len() as u64;
        Some(tick.len() as u32)
    }

    /// Writes the next whole packet, or `all` that waits.
    pub fn pop(&mut self, packet: &mut [u8; PAYLOAD_MAX], all: bool) -> Option<Paced> {
        let waiting = self.octets.len();
        let length = if all { waiting.min(self.packet) } else { self.packet };
        if length == 0 || waiting < length {
            return None;
        }
        self.popped += length as u64;
        // Packets that do not fit the tick's grid leave on a grid of their own, 10 ms later.
        let on_grid = all || self.packet.is_multiple_of(TICK);
        let late = if on_grid { 0 } else { self.popped + 80 - self.pushed };
        packet[..length].copy_from_slice(&self.octets[..length]);
        self.octets.drain(..length);
        let late = Duration::from_millis(late / 8);
        Some(Paced { length, steps: length as u32, late })
    }

    /// Returns the octets that wait.
    pub fn waiting(&self) -> u32 {
        self.octets.len() as u32
    }
}
