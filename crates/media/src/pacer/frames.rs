//! Packets of Opus: a frame of 20 ms in each, two or three of them joined, or frames of 10 ms.

use std::time::Duration;

use super::paced::Paced;
use crate::codec::{PAYLOAD_MAX, framing};
use crate::rate::SAMPLES_MAX;

/// How much later than the first the second of a tick's two packets leaves.
const HALF: Duration = Duration::from_millis(10);

/// One leg's packets in the making.
#[derive(Debug)]
pub struct Frames {
    /// What waits, one after the other, each as long as `lengths` says; nothing where nothing is to be sent.
    octets: Vec<u8>,
    lengths: [usize; framing::JOINED_MAX],
    count: usize,
    /// Frames in a packet.
    joined: usize,
    /// Each tick has two.
    halves: bool,
    /// The next one is the second of its tick.
    second: bool,
}

impl Frames {
    pub fn new(ptime_ms: u8) -> Self {
        let joined = match ptime_ms {
            40 => 2,
            60 => 3,
            _ => 1,
        };
        let lengths = [0; framing::JOINED_MAX];
        let halves = ptime_ms == 10;
        Self { octets: Vec::new(), lengths, count: 0, joined, halves, second: false }
    }

    /// Takes a tick of sound; it may be empty.
    pub fn push(&mut self, tick: &[u8]) {
        if self.halves {
            let (first, second) = framing::apart(tick);
            self.keep(first);
            self.keep(second);
        } else {
            self.keep(tick);
        }
    }

    fn keep(&mut self, frame: &[u8]) {
        if let Some(length) = self.lengths.get_mut(self.count) {
            *length = frame.len();
            self.count += 1;
            self.octets.extend_from_slice(frame);
        }
    }

    /// Lets a tick pass that is a packet by itself, and has not to wait for others.
    pub fn pass(&self) -> Option<u32> {
        (self.count == 0 && self.joined == 1 && !self.halves).then(|| self.steps())
    }

    /// Writes the next whole packet, or of `all` that waits the next.
    ///
    /// What differs from its neighbours is not joined, and leaves as long after its own tick as it would have:
    /// the next one is then not due before the next tick.
    pub fn pop(&mut self, packet: &mut [u8; PAYLOAD_MAX], all: bool) -> Option<Paced> {
        // There is no reason to wait with what is not sent.
        let due = all || self.count >= self.joined || self.lengths[0] == 0;
        if self.count == 0 || !due {
            return None;
        }
        let mut rest = &self.octets[..];
        let frames = self.lengths.map(|length| {
            let (frame, after) = rest.split_at_checked(length).unwrap_or_default();
            rest = after;
            frame
        });
        let run = framing::run(&frames[..self.count.min(self.joined)]);
        let length = framing::join(&frames[..run], packet);
        self.remove(run.max(1));
        let late = if self.halves && self.second { HALF } else { Duration::ZERO };
        self.second = !self.second;
        Some(Paced { length, steps: run.max(1) as u32 * self.steps(), late })
    }

    fn remove(&mut self, frames: usize) {
        let octets: usize = self.lengths[..frames].iter().sum();
        self.octets.drain(..octets);
        self.lengths.rotate_left(frames);
        self.count -= frames;
        self.lengths[self.count..].fill(0);
    }

    /// Returns by how much the RTP clock goes on in a frame.
    fn steps(&self) -> u32 {
        SAMPLES_MAX as u32 / if self.halves { 2 } else { 1 }
    }

    /// Returns by how much it does in what waits.
    pub fn waiting(&self) -> u32 {
        self.count as u32 * self.steps()
    }
}
