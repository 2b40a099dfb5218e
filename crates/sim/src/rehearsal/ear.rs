//! What a phone hears, kept whole, and judged by the sound: which phones' tones are in it, and which of the
//! sounds that were brought.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use media::{Frame, Header, RATE, SAMPLES, ulaw_to_linear};

/// What is judged at a time: 200 ms, in which a tone is told from one that is 10 Hz away.
pub const BLOCK: usize = 1_600;
/// How loud each phone's tone is.
const AMPLITUDE: f32 = 3_000.0;
/// Of a tone, what counts as heard: an announcement turns the room down to a quarter.
const HEARD: f32 = 0.15;
/// How far beside a tone nothing of it is left, in hertz, and by how much it must stand out there: speech, which
/// glides, does not.
const BESIDE_HZ: u32 = 15;
const STANDS_OUT: f32 = 2.5;
/// The root of the mean square above which there is more than tones.
const FAINT: f32 = 60.0;
/// Samples by which the place in a sound is searched.
const PROBE: usize = 400;
/// How alike a block and its place in a sound are, of 1.
const ALIKE: f32 = 0.6;
/// Frames that wait for their tick.
const WAITING_MAX: usize = 5;
/// Keys that are kept.
const KEYS_MAX: usize = 1_000;

/// Returns the tone of a phone, in hertz: halfway between two notes of the scale, where music is not, and with whole
/// periods in a block, so that all are orthogonal there.
pub fn hertz(index: usize) -> u32 {
    let between = 440.0 * 2.0_f64.powf((index as f64 + 0.5) / 12.0);
    (between / 5.0).round() as u32 * 5
}

/// Returns a second of a phone's tone in PCMU, which fits to itself.
pub fn tone(index: usize) -> Arc<[u8]> {
    let hertz = hertz(index);
    let sample = |at: u32| {
        let phase = (at * hertz % RATE) as f32 / RATE as f32 * std::f32::consts::TAU;
        media::linear_to_ulaw((phase.sin() * AMPLITUDE) as i16)
    };
    (0..RATE).map(sample).collect()
}

/// Returns samples in PCMU in whole packets, with a pause at their end.
pub fn packed(pcm: &[i16]) -> Arc<[u8]> {
    let length = (pcm.len() + RATE as usize).next_multiple_of(SAMPLES);
    let padded = pcm.iter().copied().chain(std::iter::repeat(0)).take(length);
    padded.map(media::linear_to_ulaw).collect()
}

/// Returns the samples until a time.
pub fn samples(time: Duration) -> usize {
    usize::try_from(time.as_micros() * u128::from(RATE) / 1_000_000).unwrap_or(usize::MAX)
}

/// What a phone hears, from the beginning on.
#[derive(Debug, Default)]
pub struct Ear {
    heard: Vec<i16>,
    waiting: VecDeque<Frame>,
    /// The keys that were sent to it.
    pub keys: String,
    key_at: Option<u32>,
}

impl Ear {
    /// Takes one packet.
    pub fn receive(&mut self, packet: &[u8]) {
        let Some((header, payload)) = Header::parse(packet) else { return };
        if header.payload_type == 101 {
            let key = payload.first().and_then(|&key| "0123456789*#ABCD".chars().nth(key.into()));
            let new = self.key_at.replace(header.timestamp) != Some(header.timestamp);
            if new && self.keys.len() < KEYS_MAX {
                self.keys.extend(key);
            }
            return;
        }
        if payload.len() == SAMPLES {
            if self.waiting.len() == WAITING_MAX {
                self.waiting.pop_front();
            }
            self.waiting.push_back(std::array::from_fn(|at| ulaw_to_linear(payload[at])));
        }
    }

    /// Hears what has come, or silence, in the tick that begins now.
    pub fn tick(&mut self, now: Duration) {
        self.pass_to(now);
        if let Some(frame) = self.waiting.pop_front() {
            self.heard.extend(frame);
        }
    }

    /// Hears nothing until now.
    pub fn pass_to(&mut self, now: Duration) {
        let until = samples(now);
        if self.heard.len() < until {
            self.heard.resize(until, 0);
        }
    }

    /// Returns all that was heard.
    pub fn heard(&self) -> &[i16] {
        &self.heard
    }

    /// Returns the blocks of a time, whole ones only.
    pub fn blocks(&self, window: Range<Duration>) -> impl Iterator<Item = (Duration, &[i16])> {
        let from = samples(window.start).min(self.heard.len());
        let to = samples(window.end).clamp(from, self.heard.len());
        let at = move |index: usize| Duration::from_millis(index as u64 * 200);
        let blocks = self.heard[from..to].chunks_exact(BLOCK).enumerate();
        blocks.map(move |(index, block)| (window.start + at(index), block))
    }
}

/// Whether a phone's tone is in a block.
pub fn has_tone(block: &[i16], index: usize) -> bool {
    let hertz = hertz(index);
    let here = level(block, hertz);
    let beside = level(block, hertz - BESIDE_HZ).max(level(block, hertz + BESIDE_HZ));
    here > AMPLITUDE * HEARD && here > beside * STANDS_OUT
}

/// Returns a tone's amplitude, seen through a window that keeps its neighbours out.
fn level(block: &[i16], hertz: u32) -> f32 {
    let step = f64::from(hertz) / f64::from(RATE) * std::f64::consts::TAU;
    let turn = std::f64::consts::TAU / block.len() as f64;
    let (mut real, mut imaginary, mut weight) = (0.0, 0.0, 0.0);
    for (at, &sample) in block.iter().enumerate() {
        let window = 0.5 - 0.5 * (turn * at as f64).cos();
        let phase = step * at as f64;
        weight += window;
        real += window * f64::from(sample) * phase.cos();
        imaginary += window * f64::from(sample) * phase.sin();
    }
    (real.hypot(imaginary) * 2.0 / weight) as f32
}

/// Returns what is left of a block without the tones of so many phones; nothing where that is silence.
pub fn rest(block: &[i16], phones: usize) -> Option<Vec<f32>> {
    let mut rest: Vec<f32> = block.iter().map(|&sample| f32::from(sample)).collect();
    for index in 0..phones {
        let step = hertz(index) as f32 / RATE as f32 * std::f32::consts::TAU;
        let waves = |at: usize| (step * at as f32).sin_cos();
        let (mut sine, mut cosine) = (0.0, 0.0);
        for (at, sample) in rest.iter().enumerate() {
            let (one, other) = waves(at);
            sine += sample * one;
            cosine += sample * other;
        }
        let scale = 2.0 / rest.len() as f32;
        for (at, sample) in rest.iter_mut().enumerate() {
            let (one, other) = waves(at);
            *sample -= scale * (sine * one + cosine * other);
        }
    }
    let power = rest.iter().map(|sample| sample * sample).sum::<f32>() / rest.len().max(1) as f32;
    (power.sqrt() > FAINT).then_some(rest)
}

/// A sound that can be found in what is heard.
#[derive(Debug, Clone)]
pub struct Print {
    /// Silence, the sound, silence.
    samples: Arc<[f32]>,
    /// The sum of the squares of all samples before each.
    power: Arc<[f64]>,
}

impl Print {
    /// Takes a sound.
    pub fn new(pcm: &[i16]) -> Self {
        let silence = std::iter::repeat_n(0.0, BLOCK);
        let sound = pcm.iter().map(|&sample| f32::from(sample));
        let samples: Arc<[f32]> = silence.clone().chain(sound).chain(silence).collect();
        let mut sum = 0.0;
        let mut power = vec![0.0];
        for sample in samples.iter() {
            sum += f64::from(*sample) * f64::from(*sample);
            power.push(sum);
        }
        Self { samples, power: power.into() }
    }

    /// Returns where in the sound a block is, if it is a part of it; `near` is where it should be.
    pub fn find(&self, block: &[f32], near: Option<usize>) -> Option<usize> {
        let here = |place: usize| self.alike(block, place) >= ALIKE;
        if let Some(place) = near.filter(|place| here(*place)) {
            return Some(place);
        }
        let power = |probe: &[f32]| dot(probe, probe);
        let (start, probe) = block
            .chunks_exact(PROBE)
            .enumerate()
            .map(|(index, probe)| (index * PROBE, probe))
            .max_by(|(_, one), (_, other)| power(one).total_cmp(&power(other)))?;
        let last = self.samples.len().checked_sub(block.len())?;
        let likeness = |place: &usize| self.alike(probe, place + start);
        let best = (0..=last).max_by(|one, other| likeness(one).total_cmp(&likeness(other)))?;
        here(best).then_some(best)
    }

    /// Says how alike samples and a place of the sound are: 1 is the same, but for its loudness.
    fn alike(&self, samples: &[f32], place: usize) -> f32 {
        let Some(there) = self.samples.get(place..place + samples.len()) else { return 0.0 };
        let power = (self.power[place + samples.len()] - self.power[place]) as f32;
        let loud = samples.len() as f32 * FAINT * FAINT / 4.0;
        if power < loud {
            return 0.0;
        }
        dot(samples, there) / (power * dot(samples, samples)).sqrt()
    }
}

/// Multiplies and adds, in lanes that need not wait for each other.
fn dot(one: &[f32], other: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0_f32; LANES];
    let (ones, others) = (one.chunks_exact(LANES), other.chunks_exact(LANES));
    let rest = ones.remainder().iter().zip(others.remainder());
    let rest: f32 = rest.map(|(one, other)| one * other).sum();
    for (one, other) in ones.zip(others) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += one[lane] * other[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::super::scenario::PHONES_MAX;
    use super::*;

    fn said(index: usize) -> Vec<i16> {
        tone(index).iter().map(|&octet| ulaw_to_linear(octet)).collect()
    }

    #[test]
    fn each_tone_is_heard_alone_and_none_in_music() {
        for index in 0..PHONES_MAX {
            let heard = said(index);
            for block in heard.chunks_exact(BLOCK) {
                for other in 0..PHONES_MAX {
                    assert_eq!(has_tone(block, other), other == index, "{other} in {index}");
                }
                assert!(rest(block, PHONES_MAX).is_none(), "{index}");
            }
        }
        let music = sound::music();
        for (at, block) in music.chunks_exact(BLOCK).enumerate() {
            for index in 0..8 {
                assert!(!has_tone(block, index), "phone {index} in block {at} of the music");
            }
        }
    }

    #[test]
    fn a_sound_is_found_where_it_is_under_tones_and_no_other_is() {
        let music = sound::music();
        let (print, beep) = (Print::new(&music), Print::new(&sound::enter_beep()));
        let tone = said(3);
        let mixed: Vec<i16> = music[40_000..40_000 + 4 * BLOCK]
            .iter()
            .zip(tone.iter().cycle())
            .map(|(one, other)| one / 2 + other)
            .collect();
        let mut near = None;
        for (at, block) in mixed.chunks_exact(BLOCK).enumerate() {
            let rest = rest(block, 6).expect("there is more than tones");
            let found = print.find(&rest, near);
            assert_eq!(found, Some(40_000 + BLOCK + at * BLOCK));
            assert_eq!(beep.find(&rest, None), None);
            near = found.map(|place| place + BLOCK);
        }
    }
}
