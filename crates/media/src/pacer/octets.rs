//! Ticks of sound become packets of the far end's length, evenly spaced: of codecs with eight octets
//! in a millisecond, which may be cut anywhere.

use std::ops::Deref;
use std::time::Duration;

/// Longest packet: 60 ms.
const PACKET: usize = 480;

/// One leg's packets in the making.
#[derive(Debug)]
pub struct Pacer {
    octets: [u8; PACKET + 160],
    length: usize,
    packet: usize,
    /// Octets in and out since the length was set.
    pushed: u64,
    popped: u64,
}

impl Pacer {
    pub fn new(ptime_ms: u8) -> Self {
        let packet = match ptime_ms {
            10 | 20 | 30 | 40 | 60 => usize::from(ptime_ms) * 8,
            _ => 160,
        };
        Self { octets: [0; PACKET + 160], length: 0, packet, pushed: 0, popped: 0 }
    }

    /// Takes a tick of sound, which has 160 octets.
    pub fn push(&mut self, tick: &[u8]) {
        let length = tick.len().min(160);
        self.octets[self.length..self.length + length].copy_from_slice(&tick[..length]);
        self.length += length;
        self.pushed += length as u64;
    }

    /// Returns the next whole packet, with how long after this tick it is to leave.
    pub fn pop(&mut self) -> Option<(Paced, Duration)> {
        if self.length < self.packet {
            return None;
        }
        self.popped += self.packet as u64;
        // Packets that do not fit the tick's grid leave on a grid of their own, 10 ms later.
        let late = if self.packet.is_multiple_of(160) { 0 } else { self.popped + 80 - self.pushed };
        let mut paced = Paced { octets: [0; PACKET], length: self.packet };
        paced.octets[..self.packet].copy_from_slice(&self.octets[..self.packet]);
        self.octets.copy_within(self.packet..self.length, 0);
        self.length -= self.packet;
        Some((paced, Duration::from_millis(late / 8)))
    }
}

/// One packet's sound.
#[derive(Debug)]
pub struct Paced {
    octets: [u8; PACKET],
    length: usize,
}

impl Deref for Paced {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_every_length_leave_evenly() {
        for ptime_ms in [10, 20, 30, 40, 60] {
            let mut pacer = Pacer::new(ptime_ms);
            let mut times = Vec::new();
            for tick in 0..30 {
                pacer.push(&[0; 160]);
                while let Some((packet, late)) = pacer.pop() {
                    assert_eq!(packet.len(), usize::from(ptime_ms) * 8);
                    times.push(tick * 20 + late.as_millis() as u64);
                }
            }
            let even = times.windows(2).all(|pair| pair[1] - pair[0] == u64::from(ptime_ms));
            assert!(even && times.len() > 5, "{ptime_ms}: {times:?}");
        }
    }
}
