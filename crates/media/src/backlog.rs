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
    /// It has faded out: nothing is made up until a packet is heard again.
    faded: bool,
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
            faded: false,
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
        (self.concealed, self.faded) = (0, false);
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
        if self.concealed <= CONCEALED_MAX {
            // Also where it is not heard, so that what comes then leads over from silence.
            self.decoder.conceal(&mut pcm[..length]);
        }
        if self.faded || self.concealed > CONCEALED_MAX {
            pcm[..length].fill(0);
            return (cursor, length, Step::Silence);
        }
        if self.ends && self.packets.is_empty() {
            fade_out(&mut pcm[..length]);
            self.faded = true;
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

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;
    use crate::codec::{Encoder, PAYLOAD_MAX};

    /// Samples of a tick of G.722.
    const TICK: usize = 320;
    const AMPLITUDE: f64 = 10_000.0;
    /// A tone of which no sample is further than this from the one before.
    const STEP_MAX: i32 = 2_000;
    const HERTZ: f64 = 300.0;

    /// A far end that speaks G.722, and what was played of it.
    struct Call {
        backlog: Backlog,
        encoder: Encoder,
        sent: usize,
        heard: Vec<i16>,
    }

    impl Call {
        /// Has spoken for 200 ms.
        fn new() -> Self {
            let (backlog, encoder) = (Backlog::new(Codec::G722), Encoder::new(Codec::G722));
            let mut call = Self { backlog, encoder, sent: 0, heard: Vec::new() };
            for _ in 0..10 {
                assert!(call.send(0));
                call.play(1);
            }
            call
        }

        /// Sends the next packet, after a pause of so many ticks.
        fn send(&mut self, pause: usize) -> bool {
            let from = self.sent + pause * TICK;
            let tone = |at: usize| AMPLITUDE * (TAU * HERTZ * (from + at) as f64 / 16_000.0).sin();
            let frame: Vec<i16> = (0..TICK).map(|at| tone(at) as i16).collect();
            let mut payload = [0; PAYLOAD_MAX];
            let length = self.encoder.encode(&frame, &mut payload);
            self.sent = from + TICK;
            self.backlog.keep(from as i64, TICK, &payload[..length])
        }

        /// Plays ticks; returns the loudest sample of them.
        fn play(&mut self, ticks: usize) -> u16 {
            let from = self.heard.len();
            let end = (from + ticks * TICK) as i64;
            let mut pcm = [0; PCM_MAX];
            while let Some((_, length, _)) =
                self.backlog.step(self.heard.len() as i64, end, &mut pcm)
            {
                self.heard.extend(&pcm[..length]);
            }
            self.heard[from..].iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0)
        }

        fn steps_most(&self) -> i32 {
            let step = |pair: &[i16]| (i32::from(pair[1]) - i32::from(pair[0])).abs();
            self.heard[TICK..].windows(2).map(step).max().unwrap_or(0)
        }
    }

    #[test]
    fn who_ends_fades_out_whatever_was_made_up_before() {
        for lost in 0..3 {
            let mut call = Call::new();
            call.play(lost);
            call.backlog.end();
            assert!(call.play(1) > 1_000, "after {lost} lost packets nothing fades");
            for again in 0..3 {
                call.backlog.end();
                assert_eq!(call.play(2), 0, "after {lost} lost packets, told {again} times");
            }
            let step = call.steps_most();
            assert!(step <= STEP_MAX, "a step of {step} after {lost} lost packets");
        }
    }

    #[test]
    fn who_ends_is_heard_to_the_last_packet_and_fades_after_it() {
        let mut call = Call::new();
        call.send(0);
        // One is missing before the last.
        call.send(1);
        call.backlog.end();
        assert!(call.play(1) > 9_000);
        assert!(call.play(1) > 5_000, "what is missing before a packet does not fade");
        assert!(call.play(1) > 9_000);
        assert!(call.play(1) > 1_000);
        assert_eq!(call.play(3), 0);
        assert!(call.steps_most() <= STEP_MAX);
    }

    #[test]
    fn who_comes_back_is_heard_when_a_packet_is_due_and_not_before() {
        let mut call = Call::new();
        call.backlog.end();
        call.play(3);
        assert!(call.send(12));
        assert_eq!(call.play(7), 0);
        for _ in 0..3 {
            assert!(call.send(0));
        }
        // The first two lead there, and so does the first packet: the decoder was elsewhere.
        call.play(3);
        assert!(call.play(3) > 9_000);
        assert!(call.play(1) > 5_000, "what is missing now is made up as ever");
        assert!(call.steps_most() <= STEP_MAX);
    }
}
