//! Packets of a codec that has to be decoded in order: they wait as they came until they are due.
//!
//! What is missing when its time has come is filled by the codec: from the next packet, where that
//! carries it a second time, else by its concealment.

use std::collections::VecDeque;

use crate::codec::{Codec, Decoder, PCM_MAX};

/// Most packets that wait: 512 ms of the shortest.
const PACKETS_MAX: usize = 64;
/// Ticks after which nothing is concealed any more: the far end is silent.
const CONCEALED_MAX: usize = 25;

/// A packet that waits.
#[derive(Debug)]
struct Packet {
    position: i64,
    length: usize,
    payload: Vec<u8>,
}

impl Packet {
    fn end(&self) -> i64 {
        self.position + self.length as i64
    }
}

/// What a step of decoding gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// What the far end sent.
    Heard,
    /// What the codec made up.
    Concealed,
    /// Nothing: the far end has long been silent.
    Silence,
}

/// One leg's packets.
#[derive(Debug)]
pub struct Backlog {
    decoder: Decoder,
    /// By position.
    packets: VecDeque<Packet>,
    /// Room for packets to come.
    free: Vec<Vec<u8>>,
    /// The first sample that is not decoded yet.
    cursor: Option<i64>,
    /// Steps in a row that were concealed.
    concealed: usize,
    /// No more will come: what is made up after the last packet only fades out.
    ends: bool,
    /// Whether a packet lately told of what was before it.
    looks_back: bool,
    /// Whether one did that holds it a second time.
    repeats: bool,
    /// Samples of a tick.
    tick: usize,
}

impl Backlog {
    pub fn new(codec: Codec) -> Self {
        Self {
            decoder: Decoder::new(codec),
            packets: VecDeque::with_capacity(PACKETS_MAX),
            free: Vec::with_capacity(PACKETS_MAX),
            cursor: None,
            concealed: 0,
            ends: false,
            looks_back: false,
            repeats: false,
            tick: codec.rate().samples(),
        }
    }

    /// Forgets what waits; the decoder goes on.
    pub fn clear(&mut self) {
        self.free.extend(self.packets.drain(..).map(|packet| packet.payload));
        self.cursor = None;
        (self.looks_back, self.repeats) = (false, false);
    }

    /// Nothing more will come, by agreement; a packet that comes all the same lifts it.
    pub fn end(&mut self) {
        self.ends = true;
    }

    /// Whether it is of use to wait for a packet where the one before it is missing.
    pub fn looks_back(&self) -> bool {
        self.looks_back
    }

    /// Whether what is missing was sent a second time, so that whoever waits for it loses nothing.
    pub fn repeats(&self) -> bool {
        self.repeats
    }

    /// Returns how many samples a packet holds; nothing where it is none.
    pub fn samples(&self, payload: &[u8]) -> Option<usize> {
        self.decoder.samples(payload)
    }

    /// Keeps a packet; returns whether its time has not passed.
    pub fn keep(&mut self, position: i64, length: usize, payload: &[u8]) -> bool {
        let decoded = self.cursor.is_some_and(|cursor| position + length as i64 <= cursor);
        let place = self.packets.partition_point(|packet| packet.position < position);
        let known = self.packets.get(place).is_some_and(|packet| packet.position == position);
        if decoded || known || self.packets.len() >= PACKETS_MAX {
            return !decoded;
        }
        self.ends = false;
        self.looks_back |= self.decoder.reach(payload) > 0;
        self.repeats |= self.decoder.repeats(payload);
        let mut room = self.free.pop().unwrap_or_default();
        room.clear();
        room.extend_from_slice(payload);
        self.packets.insert(place, Packet { position, length, payload: room });
        true
    }

    /// Decodes the next piece of what is to be played up to `end`; returns where it belongs, its
    /// length in `pcm` and what it is, or nothing when all is there.
    pub fn step(
        &mut self,
        play: i64,
        end: i64,
        pcm: &mut [i16; PCM_MAX],
    ) -> Option<(i64, usize, Step)> {
        while self.packets.front().is_some_and(|packet| packet.end() <= play) {
            self.drop_front();
        }
        let cursor = self.cursor.unwrap_or(play).max(play);
        self.cursor = Some(cursor);
        if cursor >= end {
            return None;
        }
        match self.packets.front() {
            Some(packet) if packet.position <= cursor => Some(self.decode(cursor, pcm)),
            Some(packet) if packet.position < end || self.tells(cursor, packet) => {
                let gap = (packet.position - cursor) as usize;
                Some(self.fill(cursor, gap, pcm))
            }
            _ => Some(self.conceal(cursor, self.tick, pcm)),
        }
    }

    /// Whether a packet tells of all that is missing from `cursor` on until it begins itself.
    fn tells(&self, cursor: i64, packet: &Packet) -> bool {
        packet.position - cursor <= self.decoder.reach(&packet.payload) as i64
    }

    fn decode(&mut self, cursor: i64, pcm: &mut [i16; PCM_MAX]) -> (i64, usize, Step) {
        let decoded = self.packets.front().map(|packet| {
            (
                packet.position,
                self.decoder.decode(&packet.payload, pcm).filter(|&length| length > 0),
            )
        });
        self.drop_front();
        let Some((position, Some(length))) = decoded else {
            return self.conceal(cursor, self.tick, pcm);
        };
        self.concealed = 0;
        self.cursor = Some(cursor.max(position + length as i64));
        (position, length, Step::Heard)
    }

    /// Fills the gap before the first packet that waits.
    fn fill(&mut self, cursor: i64, gap: usize, pcm: &mut [i16; PCM_MAX]) -> (i64, usize, Step) {
        let next = self.packets.front().map_or(&[][..], |packet| &packet.payload);
        let reach = self.decoder.reach(next);
        if gap > reach {
            return self.conceal(cursor, (gap - reach).min(self.tick), pcm);
        }
        if !self.decoder.recover(next, &mut pcm[..gap]) {
            return self.conceal(cursor, gap, pcm);
        }
        self.cursor = Some(cursor + gap as i64);
        let step = if self.decoder.repeats(next) { Step::Heard } else { Step::Concealed };
        if step == Step::Heard {
            self.concealed = 0;
        }
        (cursor, gap, step)
    }

    fn conceal(
        &mut self,
        cursor: i64,
        length: usize,
        pcm: &mut [i16; PCM_MAX],
    ) -> (i64, usize, Step) {
        let length = length.min(PCM_MAX);
        self.cursor = Some(cursor + length as i64);
        self.concealed += 1;
        let most = if self.ends { 1 } else { CONCEALED_MAX };
        if self.concealed > most {
            pcm[..length].fill(0);
            return (cursor, length, Step::Silence);
        }
        self.decoder.conceal(&mut pcm[..length]);
        if self.ends {
            fade_out(&mut pcm[..length]);
        }
        (cursor, length, Step::Concealed)
    }

    fn drop_front(&mut self) {
        self.free.extend(self.packets.pop_front().map(|packet| packet.payload));
    }
}

fn fade_out(sound: &mut [i16]) {
    let length = sound.len() as i32;
    for (left, sample) in (0..length).rev().zip(sound) {
        *sample = (i32::from(*sample) * left / length) as i16;
    }
}
