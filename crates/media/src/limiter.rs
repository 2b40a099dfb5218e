//! What would clip is turned down before it comes; everything else is left as it is.
//!
//! Sound is cut into blocks of [`LOOK_AHEAD`] and leaves one block late, so that the gain has come down,
//! without a step, before the first sample that needs it. It stays down for as long as a voice takes between two peaks, and
//! rises slowly: the form of the wave is kept.

use std::time::Duration;

use crate::rate::{Rate, SAMPLES_MAX};
use crate::{TICK, rounded};

/// How long every sound is held back, at every rate and gain.
pub const LOOK_AHEAD: Duration = Duration::from_micros(1_250);
/// Blocks in a tick.
const BLOCKS: usize = (TICK.as_micros() / LOOK_AHEAD.as_micros()) as usize;
/// Samples of one block at the highest rate.
const BLOCK_MAX: usize = SAMPLES_MAX / BLOCKS;
/// Blocks until the gain rises again after a peak: 200 ms, which is longer than a period of any voice.
const HOLD: u16 = 160;
/// By how much the gain rises in a block: from a tenth to all of it in 1.1 s.
const RELEASE: f32 = 1.0 / 1_024.0;
/// A peak that needs a gain this close to the present one holds it.
const NEAR: f32 = 1.05;

/// One mix's gain, and the block that is held back.
///
/// A copy goes on exactly where the original is.
#[derive(Debug, Clone, Copy)]
pub struct Limiter {
    gain: f32,
    /// What the held-back block needs.
    needed: f32,
    hold: u16,
    rate: Rate,
    held: [i32; BLOCK_MAX],
}

/// How much a limiter turns down, and how long it will.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gain {
    factor: f32,
    hold: u16,
}

impl Gain {
    /// Whether a listener may go from one to the other unnoticed: they differ by 0.2 dB at most.
    pub fn is_like(self, other: Self) -> bool {
        (self.factor - other.factor).abs() <= 0.02 * self.factor
    }
}

/// Returns the samples of [`LOOK_AHEAD`], by which everything is late.
pub const fn look_ahead(rate: Rate) -> usize {
    rate.samples() / BLOCKS
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new()
    }
}

impl Limiter {
    /// Starts transparent, after silence.
    pub const fn new() -> Self {
        Self { gain: 1.0, needed: 1.0, hold: 0, rate: Rate::Narrow, held: [0; BLOCK_MAX] }
    }

    /// Whether everything that has come so far leaves unchanged from now on.
    pub fn is_transparent(&self) -> bool {
        self.gain == 1.0 && self.needed == 1.0
    }

    /// Reads something of each line of memory that every tick reads; returns anything that depends on it.
    pub(crate) fn prefetch(&self) -> u64 {
        u64::from(self.gain.to_bits() | self.held[0] as u32)
    }

    /// Whether it is transparent and holds this sound back.
    pub(crate) fn holds(&self, rate: Rate, sound: &[i32]) -> bool {
        self.is_transparent() && self.rate == rate && self.held[..look_ahead(rate)] == *sound
    }

    /// Goes on, transparent, where this sound is held back.
    pub(crate) fn hold(&mut self, rate: Rate, sound: &[i32]) {
        *self = Self { rate, ..Self::new() };
        self.held[..look_ahead(rate)].copy_from_slice(sound);
    }

    /// Goes on where this sound is held back, at some gain.
    pub(crate) fn resume(rate: Rate, gain: Gain, held: &[i32]) -> Self {
        let mut limiter = Self { needed: needed(held), rate, ..Self::new() };
        limiter.held[..look_ahead(rate)].copy_from_slice(held);
        limiter.set_gain(gain);
        limiter
    }

    pub(crate) fn gain(&self) -> Gain {
        Gain { factor: self.gain, hold: self.hold }
    }

    pub(crate) fn set_gain(&mut self, gain: Gain) {
        (self.gain, self.hold) = (gain.factor, gain.hold);
    }

    /// Whether a listener may go from one to the other unnoticed.
    pub fn is_like(&self, other: &Self) -> bool {
        self.gain().is_like(other.gain())
    }

    /// Writes the sound of one tick to `frame` within full scale, [`look_ahead`] samples late.
    ///
    /// Both hold one tick at `rate`. At another rate than before it begins after silence.
    pub fn limit(&mut self, rate: Rate, sum: &[i32], frame: &mut [i16]) {
        debug_assert!((sum.len(), frame.len()) == (rate.samples(), rate.samples()));
        if self.rate != rate {
            *self = Self { rate, ..Self::new() };
        }
        let length = look_ahead(rate);
        if self.is_transparent() && peak(sum) <= FULL {
            let (first, rest) = frame.split_at_mut(length);
            let (now, kept) = sum.split_at(sum.len() - length);
            copy(first, &self.held[..length]);
            copy(rest, now);
            self.held[..length].copy_from_slice(kept);
            return;
        }
        for (block, frame) in sum.chunks_exact(length).zip(frame.chunks_exact_mut(length)) {
            let coming = needed(block);
            let from = self.gain;
            self.gain = self.next(coming);
            let step = (self.gain - from) / length as f32;
            for (index, (out, &sample)) in frame.iter_mut().zip(&self.held).enumerate() {
                let gain = from + step * (index + 1) as f32;
                *out = scaled(sample, gain);
            }
            self.held[..length].copy_from_slice(block);
            self.needed = coming;
        }
    }

    /// Returns the gain at the end of the held-back block: low enough for it and for the one that follows.
    fn next(&mut self, coming: f32) -> f32 {
        let needed = self.needed.min(coming);
        if needed < 1.0 && needed <= self.gain * NEAR {
            self.hold = HOLD;
            return needed.min(self.gain);
        }
        if self.hold > 0 {
            self.hold -= 1;
            return self.gain;
        }
        needed.min(self.gain + RELEASE)
    }
}

const FULL: i32 = i16::MAX as i32;

/// Returns the largest sample, each negative one as the positive one that is as near to the end of the scale.
fn peak(block: &[i32]) -> i32 {
    block.iter().fold(0, |peak, sample| peak.max(sample ^ (sample >> 31)))
}

/// Returns the gain that brings a block within full scale.
fn needed(block: &[i32]) -> f32 {
    let peak = peak(block);
    if peak <= FULL { 1.0 } else { FULL as f32 / peak as f32 }
}

fn copy(frame: &mut [i16], sum: &[i32]) {
    for (out, &sample) in frame.iter_mut().zip(sum) {
        *out = sample as i16;
    }
}

fn scaled(sample: i32, gain: f32) -> i16 {
    rounded(sample as f32 * gain).clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `sum` and returns what leaves, without the delay.
    fn limited(rate: Rate, sum: &[i32]) -> Vec<i16> {
        let (mut limiter, mut heard) = (Limiter::new(), Vec::new());
        let mut frame = vec![0; rate.samples()];
        for tick in sum.chunks_exact(rate.samples()) {
            limiter.limit(rate, tick, &mut frame);
            heard.extend_from_slice(&frame);
        }
        heard.split_off(look_ahead(rate))
    }

    /// Returns so many ticks of tones, each with a frequency and an amplitude.
    fn tones(rate: Rate, ticks: usize, tones: &[(f64, f64)]) -> Vec<i32> {
        let turn = std::f64::consts::TAU / f64::from(rate.hertz());
        let sample = |at: usize| -> f64 {
            tones.iter().map(|(hertz, high)| (turn * hertz * at as f64).sin() * high).sum()
        };
        (0..ticks * rate.samples()).map(|at| sample(at) as i32).collect()
    }

    /// Returns what is left when these tones are taken out, in dB below what was heard.
    fn distortion(rate: Rate, heard: &[i16], hertz: &[f64]) -> f64 {
        let turn = std::f64::consts::TAU / f64::from(rate.hertz());
        let power = |sound: &[f64]| sound.iter().map(|sample| sample * sample).sum::<f64>();
        let heard: Vec<f64> = heard.iter().map(|&sample| sample.into()).collect();
        let mut rest = heard.clone();
        // All have whole periods in what is heard, so that they are fitted one by one.
        for hertz in hertz {
            for phase in [0.0, std::f64::consts::FRAC_PI_2] {
                let wave: Vec<f64> =
                    (0..rest.len()).map(|at| (turn * hertz * at as f64 + phase).sin()).collect();
                let product: f64 = wave.iter().zip(&rest).map(|(a, b)| a * b).sum();
                let factor = product / power(&wave);
                rest.iter_mut().zip(wave).for_each(|(rest, wave)| *rest -= factor * wave);
            }
        }
        10.0 * (power(&rest) / power(&heard)).log10()
    }

    #[test]
    fn a_frame_within_full_scale_passes_bit_exact() {
        for rate in Rate::ALL {
            let length = rate.samples() * 3;
            let mut sum: Vec<i32> =
                (0..length).map(|at| at as i32 * 7_919 % 65_536 - 32_768).collect();
            sum[1] = 32_767;
            let heard = limited(rate, &sum);
            assert_eq!(sum.iter().min(), Some(&-32_768));
            assert!(heard.iter().zip(sum).all(|(&a, b)| i32::from(a) == b), "{rate:?}");
        }
    }

    #[test]
    fn every_sound_is_late_by_the_look_ahead_loud_or_not() {
        for rate in Rate::ALL {
            for loud in [100, 200_000] {
                let mut frame = vec![0; rate.samples()];
                let mut click = vec![0; rate.samples()];
                click[20] = loud;
                Limiter::new().limit(rate, &click, &mut frame);
                let late = Duration::from_secs(look_ahead(rate) as u64) / rate.hertz();
                assert_eq!(late, LOOK_AHEAD);
                assert_eq!(
                    frame.iter().position(|&sample| sample != 0),
                    Some(20 + look_ahead(rate))
                );
            }
        }
    }

    #[test]
    fn three_loud_talkers_do_not_wrap_and_the_gain_comes_back() {
        let mut limiter = Limiter::new();
        let mut frame = [0; 160];
        let loud: [i32; 160] = std::array::from_fn(|i| ((i as f32 * 0.3).sin() * 90_000.0) as i32);
        let mut late = [0; 10];
        for _ in 0..10 {
            limiter.limit(Rate::Narrow, &loud, &mut frame);
            let sums = late.iter().chain(&loud);
            assert!(frame.iter().zip(sums).all(|(&a, b)| i32::from(a) * b.signum() >= 0));
            assert!(frame.iter().all(|sample| sample.unsigned_abs() <= 32_767));
            late.copy_from_slice(&loud[150..]);
        }
        for _ in 0..65 {
            limiter.limit(Rate::Narrow, &[100; 160], &mut frame);
        }
        assert!(limiter.is_transparent() && frame == [100; 160]);
    }

    #[test]
    fn three_loud_talkers_are_heard_without_distortion() {
        let hertz = [210.0, 440.0, 1_150.0];
        for rate in Rate::ALL {
            for decibels_over in [-20.0, -6.0, -0.1, 0.5, 1.5, 3.0, 6.0, 9.0, 12.0, 20.0] {
                let high = 32_767.0 / 3.0 * 10.0_f64.powf(decibels_over / 20.0);
                let sum = tones(rate, 100, &hertz.map(|hertz| (hertz, high)));
                let heard = limited(rate, &sum);
                // What follows the attack, in whole periods of 10 Hz.
                let heard = &heard[heard.len() - 75 * rate.samples()..];
                let rest = distortion(rate, heard, &hertz);
                println!("{rate:?}, {decibels_over} dB over: THD+N {rest:.1} dB");
                assert!(rest < -60.0, "{rate:?}, {decibels_over} dB over: {rest:.1} dB");
            }
        }
    }

    #[test]
    fn no_gain_moves_by_more_than_its_ramps() {
        for rate in Rate::ALL {
            let mut sum = tones(rate, 100, &[(1_000.0, 20_000.0)]);
            let (start, end) = (20 * rate.samples() + 7, 22 * rate.samples() + 3);
            sum[start..end].iter_mut().for_each(|sample| *sample *= 4);
            let heard = limited(rate, &sum);
            let gains: Vec<f64> = (0..heard.len())
                .step_by(rate.samples() / 80)
                .filter(|&at| sum[at].abs() > 5_000)
                .map(|at| f64::from(heard[at]) / f64::from(sum[at]))
                .collect();
            assert!(gains.iter().any(|&gain| gain < 0.42));
            let rise = gains.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
            assert!(rise < 0.002, "{rate:?}: {rise}");
            assert_eq!(*gains.last().unwrap(), 1.0);
        }
    }

    #[test]
    fn a_copy_goes_on_where_the_original_is() {
        let sum = tones(Rate::Wide, 3, &[(300.0, 50_000.0)]);
        let mut limiter = Limiter::new();
        let [mut one, mut other] = [[0; 320]; 2];
        limiter.limit(Rate::Wide, &sum[..320], &mut one);
        let mut copy = limiter;
        for tick in sum[320..].chunks_exact(320) {
            limiter.limit(Rate::Wide, tick, &mut one);
            copy.limit(Rate::Wide, tick, &mut other);
            assert_eq!(one, other);
        }
    }
}
