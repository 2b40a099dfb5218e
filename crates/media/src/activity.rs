//! Whether somebody speaks: louder than the leg's own noise, voiced, and with pauses.
//!
//! What is steady is noise: the noise is as loud as the faintest frame of the last seconds, in which speech
//! has always paused. What begins is speech if it has a pitch: noise has none, and hum a lower one. Only
//! frames that may begin speech are looked at so closely.

use std::ops::RangeInclusive;

use crate::level::{FAINT, power};
use crate::rate::Rate;

/// Frames of speech until somebody speaks: 200 ms.
pub const STARTS_AFTER: u32 = 10;
/// Frames without speech until somebody has stopped: 800 ms.
pub const STOPS_AFTER: u32 = 40;
/// What is fainter is no speech: the root of the mean square, -45 dB below full scale.
const FAINTEST: f32 = 184.0;
/// How much louder than its noise speech is.
const ABOVE_NOISE: f32 = 3.5;
// What stands out from faint noise has to be no louder for that.
const _: () = assert!(FAINT as f32 * ABOVE_NOISE < FAINTEST);
/// Frames of each span over which the faintest one is kept, and the spans: 4 s, in which speech pauses.
const SPAN: u32 = 25;
const SPANS: usize = 8;
/// Loud frames in a row that are no click.
const CLICK_MAX: u32 = 2;
/// How many of the frames that begin speech are voiced.
const VOICED_MIN: u32 = 5;
/// Speech is looked at for its pitch at 4 kHz: samples of a frame at that rate.
const PITCH_SAMPLES: usize = 80;
/// Pitches of speech, in samples of it: 62 to 500 Hz. Likeness is followed from the least on, of which a
/// voice has less than at its pitch.
const PITCHES: RangeInclusive<usize> = 8..=64;
const NEAREST: usize = 2;
/// How like the pitch period before it a voiced frame is, and by how much that stands out.
const ALIKE: f32 = 0.65;
const STANDS_OUT: f32 = 0.35;
/// The power of the steps between samples at 8 kHz, for each of the sound: hum has less.
const BRIGHTEST_HUM: f32 = 0.02;

/// What is known of a frame before it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    Nothing,
    /// However loud it is, nobody speaks: it begins no speech.
    NoVoice,
    /// It is too faint for speech and for noise that speech would have to stand out from.
    Faint,
}

/// One leg's voice activity.
#[derive(Debug, Clone)]
pub struct Activity {
    /// The faintest frame of each span, and of the present one; the next to be replaced.
    faintest: [f32; SPANS],
    faintest_now: f32,
    frames: u32,
    speaking: bool,
    /// Loud frames in a row, and voiced frames among those that speak for a beginning.
    loud: u32,
    voiced: u32,
    /// Frames in a row that speak for a change.
    against: u32,
    /// The last frame at 4 kHz, if it was loud.
    before: Option<[i16; PITCH_SAMPLES]>,
}

impl Default for Activity {
    fn default() -> Self {
        Self::new()
    }
}

impl Activity {
    /// Starts silent.
    pub const fn new() -> Self {
        Self {
            faintest: [0.0; SPANS],
            faintest_now: f32::MAX,
            frames: 0,
            speaking: false,
            loud: 0,
            voiced: 0,
            against: 0,
            before: None,
        }
    }

    /// Reads something of each line of memory that every tick reads; returns anything that depends on it.
    pub(crate) fn prefetch(&self) -> u64 {
        u64::from(self.faintest[0].to_bits() | self.frames)
    }

    /// Takes one frame at `rate`; returns whether speech has begun or ended with it.
    pub fn observe(&mut self, rate: Rate, frame: &[i16]) -> Option<bool> {
        self.observe_knowing(rate, frame, Known::Nothing)
    }

    /// Takes one frame as [`Self::observe`] does, of which something is known.
    pub(crate) fn observe_knowing(
        &mut self,
        rate: Rate,
        frame: &[i16],
        known: Known,
    ) -> Option<bool> {
        let loudness = if known == Known::Faint { 0.0 } else { power(frame).sqrt() };
        let loud = loudness > (self.noise() * ABOVE_NOISE).max(FAINTEST);
        self.remember(loudness);
        self.loud = if loud { self.loud + 1 } else { 0 };
        match known {
            _ if self.speaking => self.ends(),
            Known::NoVoice => self.begins_not(),
            Known::Nothing | Known::Faint => self.begins(rate, frame),
        }
    }

    /// How loud the leg is while nobody speaks, as far as is known.
    fn noise(&self) -> f32 {
        self.faintest.iter().fold(self.faintest_now, |least, &span| least.min(span))
    }

    fn remember(&mut self, loudness: f32) {
        self.faintest_now = self.faintest_now.min(loudness);
        self.frames += 1;
        if self.frames == SPAN {
            self.faintest.rotate_left(1);
            self.faintest[SPANS - 1] = self.faintest_now;
            (self.faintest_now, self.frames) = (f32::MAX, 0);
        }
    }

    fn begins(&mut self, rate: Rate, frame: &[i16]) -> Option<bool> {
        if self.loud == 0 {
            return self.begins_not();
        }
        let now = slowed(frame);
        if is_bright(rate, frame)
            && self.before.as_ref().is_some_and(|before| is_voiced(before, &now))
        {
            self.voiced += 1;
        }
        self.before = Some(now);
        self.against += 1;
        if self.against < STARTS_AFTER || self.voiced < VOICED_MIN {
            return None;
        }
        (self.speaking, self.against) = (true, 0);
        Some(true)
    }

    fn begins_not(&mut self) -> Option<bool> {
        (self.against, self.voiced, self.before) = (0, 0, None);
        None
    }

    fn ends(&mut self) -> Option<bool> {
        self.against = if self.loud > CLICK_MAX { 0 } else { self.against + 1 };
        if self.against < STOPS_AFTER {
            return None;
        }
        (self.speaking, self.against, self.voiced, self.before) = (false, 0, 0, None);
        Some(false)
    }
}

/// Whether a frame is more than hum.
fn is_bright(rate: Rate, frame: &[i16]) -> bool {
    let (mut steps, mut power) = (0.0, 1.0);
    for pair in frame.windows(2) {
        let (one, next) = (f32::from(pair[0]), f32::from(pair[1]));
        steps += (next - one) * (next - one);
        power += next * next;
    }
    let scale = rate.hertz() as f32 / Rate::Narrow.hertz() as f32;
    steps * scale * scale > power * BRIGHTEST_HUM
}

/// Brings a frame down to 4 kHz. What that folds back is weak in a voice.
fn slowed(frame: &[i16]) -> [i16; PITCH_SAMPLES] {
    let step = (frame.len() / PITCH_SAMPLES).max(1);
    let mut slow = [0; PITCH_SAMPLES];
    for (out, samples) in slow.iter_mut().zip(frame.chunks_exact(step)) {
        let sum: i32 = samples.iter().map(|&sample| i32::from(sample)).sum();
        *out = (sum / step as i32) as i16;
    }
    slow
}

/// Whether a frame repeats what was a pitch period before, more than what was less far before.
fn is_voiced(before: &[i16; PITCH_SAMPLES], now: &[i16; PITCH_SAMPLES]) -> bool {
    // Steps from sample to sample: rumble, which is like itself at every lag, has but little of them.
    let mut line = [0.0; 2 * PITCH_SAMPLES];
    let mut last = before[0];
    for (place, &sample) in line.iter_mut().zip(before.iter().chain(now)) {
        *place = f32::from(sample) - f32::from(last);
        last = sample;
    }
    let now = &line[PITCH_SAMPLES..];
    let power: f32 = now.iter().map(|sample| sample * sample).sum();
    let mut least = 1.0_f32;
    for lag in NEAREST..=*PITCHES.end() {
        let then = &line[PITCH_SAMPLES - lag..2 * PITCH_SAMPLES - lag];
        let (mut product, mut power_then) = (0.0, 1.0);
        for (now, then) in now.iter().zip(then) {
            product += now * then;
            power_then += then * then;
        }
        let alike = product / (power.max(1.0) * power_then).sqrt();
        if PITCHES.contains(&lag) && alike > ALIKE && alike > least + STANDS_OUT {
            return true;
        }
        least = least.min(alike);
    }
    false
}

#[cfg(test)]
pub(crate) mod tests;
