//! Frames of 20 ms become packets of the far end's length, evenly spaced.

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

    pub fn push(&mut self, frame: &[u8; 160]) {
        self.octets[self.length..self.length + 160].copy_from_slice(frame);
        self.length += 160;
        self.pushed += 160;
    }

    /// Hands the next whole packet to `take`, with how long after this tick it is to leave.
    pub fn pop(&mut self, take: impl FnOnce(&[u8], Duration)) -> bool {
        if self.length < self.packet {
            return false;
        }
        self.popped += self.packet as u64;
        // Packets that do not fit the tick's grid leave on a grid of their own, 10 ms later.
        let late = if self.packet.is_multiple_of(160) { 0 } else { self.popped + 80 - self.pushed };
        take(&self.octets[..self.packet], Duration::from_millis(late / 8));
        self.octets.copy_within(self.packet..self.length, 0);
        self.length -= self.packet;
        true
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
                while pacer.pop(|packet, late| {
                    assert_eq!(packet.len(), usize::from(ptime_ms) * 8);
                    times.push(tick * 20 + late.as_millis() as u64);
                }) {}
            }
            let even = times.windows(2).all(|pair| pair[1] - pair[0] == u64::from(ptime_ms));
            assert!(even && times.len() > 5, "{ptime_ms}: {times:?}");
        }
    }
}
