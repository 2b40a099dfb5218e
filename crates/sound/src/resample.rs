//! Any rate brought to 8 kHz, a block at a time, so that nothing folds back.

use std::f64::consts::PI;

use crate::RATE;

/// Rates that are read, in samples a second.
pub const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;
/// Where the pass band ends and where the stop band begins, as parts of the lower of the two rates:
/// 3.4 and 4.0 kHz at 8 kHz.
const PASS: f64 = 0.425;
const STOP: f64 = 0.5;
/// Shape of the Kaiser window for a stop band 80 dB down.
const BETA: f64 = 7.86;
/// Most positions between two samples that have a filter of their own, at 48 kHz. Every usual rate needs
/// fewer; for the others the nearest is taken, and the error stays some 70 dB down.
const PHASES_MAX: u64 = 1_280;

/// Turns mono sound of one rate into 8 kHz.
#[derive(Debug)]
pub struct Resampler {
    rate: u64,
    phases: u64,
    /// One filter for each phase, one after the other.
    taps: Vec<f32>,
    length: usize,
    /// What the next filter may still reach.
    pending: Vec<f32>,
    /// The number of samples that have left `pending`.
    dropped: u64,
    /// How many samples have come out.
    made: u64,
}

impl Resampler {
    /// Prepares for sound of `rate` samples a second; none outside of [`RATES`].
    pub fn new(rate: u32) -> Option<Self> {
        if !RATES.contains(&rate) {
            return None;
        }
        let (rate, ours) = (u64::from(rate), u64::from(RATE));
        let exact = ours / gcd(rate, ours);
        let phases = exact.min(PHASES_MAX * 48_000 / rate.max(48_000));
        let lower = rate.min(ours) as f64;
        // In cycles for each sample that comes in.
        let (pass, stop) = (PASS * lower / rate as f64, STOP * lower / rate as f64);
        let half = ((80.0 - 8.0) / (2.285 * 2.0 * PI * (stop - pass)) / 2.0).ceil();
        let (cutoff, length) = ((pass + stop) / 2.0, 2 * half as usize);
        let mut taps = Vec::with_capacity((phases as usize + 1) * length);
        for phase in 0..=phases {
            let centre = half - 1.0 + phase as f64 / phases as f64;
            let row = (0..length).map(|tap| filter(tap as f64 - centre, half, cutoff));
            let row: Vec<f64> = row.collect();
            let sum: f64 = row.iter().sum();
            taps.extend(row.iter().map(|tap| (tap / sum) as f32));
        }
        let pending = vec![0.0; half as usize - 1];
        Some(Self { rate, phases, taps, length, pending, dropped: 0, made: 0 })
    }

    /// Takes more sound, each sample between -1 and 1, and appends what comes out of it.
    pub fn push(&mut self, sound: &[f32], out: &mut Vec<i16>) {
        if self.rate == u64::from(RATE) {
            out.extend(sound.iter().map(|&sample| pcm(sample)));
            return;
        }
        self.pending.extend_from_slice(sound);
        loop {
            let at = self.made * self.rate;
            let ours = u64::from(RATE);
            let first = (at / ours - self.dropped) as usize;
            let Some(window) = self.pending.get(first..first + self.length) else { break };
            let phase = ((at % ours * self.phases + ours / 2) / ours) as usize;
            let row = &self.taps[phase * self.length..][..self.length];
            out.push(pcm(product(window, row)));
            self.made += 1;
        }
        let next = self.made * self.rate / u64::from(RATE) - self.dropped;
        let done = (next as usize).min(self.pending.len());
        self.pending.drain(..done);
        self.dropped += done as u64;
    }

    /// Appends what is still inside.
    pub fn finish(mut self, out: &mut Vec<i16>) {
        if self.rate != u64::from(RATE) {
            self.push(&vec![0.0; self.length / 2], out);
        }
    }
}

/// Turns a sample between -1 and 1 into PCM; beyond, it is clipped.
fn pcm(sample: f32) -> i16 {
    (sample * 32_768.0).round() as i16
}

fn product(sound: &[f32], taps: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let (sound, sound_rest) = sound.as_chunks::<8>();
    let (taps, taps_rest) = taps.as_chunks::<8>();
    for (sound, taps) in sound.iter().zip(taps) {
        for lane in 0..8 {
            lanes[lane] += sound[lane] * taps[lane];
        }
    }
    let rest: f32 = sound_rest.iter().zip(taps_rest).map(|(sound, tap)| sound * tap).sum();
    lanes.iter().sum::<f32>() + rest
}

/// A sinc under a Kaiser window.
fn filter(x: f64, half: f64, cutoff: f64) -> f64 {
    let turn = 2.0 * PI * cutoff * x;
    let sinc = if turn.abs() < 1e-9 { 1.0 } else { turn.sin() / turn };
    let inside = (1.0 - (x / half).powi(2)).max(0.0);
    sinc * bessel(BETA * inside.sqrt())
}

/// The modified Bessel function of order zero, by its series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..32 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a tone of full strength through and returns how strong it comes out, in dB.
    fn level(rate: u32, hertz: f64) -> f64 {
        let mut resampler = Resampler::new(rate).unwrap();
        let sound: Vec<f32> = (0..rate)
            .map(|index| {
                let phase = f64::from(index) * hertz / f64::from(rate) * 2.0 * PI;
                (phase.sin() * 0.9) as f32
            })
            .collect();
        let mut out = Vec::new();
        for block in sound.chunks(997) {
            resampler.push(block, &mut out);
        }
        resampler.finish(&mut out);
        let middle = &out[1_000..7_000];
        let power: f64 = middle.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / 6_000.0;
        20.0 * (power.sqrt() / (0.9 * 32_768.0 / 2_f64.sqrt())).max(1e-6).log10()
    }

    const USUAL: [u32; 12] = [
        8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000,
        192_000,
    ];

    #[test]
    fn speech_passes_at_every_rate() {
        for rate in USUAL.into_iter().chain([11_111, 44_099, 47_999, 187_501]) {
            for hertz in [100.0, 1_000.0, 3_300.0] {
                let level = level(rate, hertz);
                assert!(level.abs() < 0.1, "{hertz} Hz at {rate}: {level} dB");
            }
        }
    }

    #[test]
    fn nothing_above_four_kilohertz_folds_back() {
        for rate in USUAL.into_iter().skip(1).chain([11_111, 44_099, 187_501]) {
            for hertz in [4_050.0, 4_600.0, 5_500.0, 7_900.0, 12_345.0, 20_000.0] {
                if hertz < f64::from(rate) / 2.0 {
                    let level = level(rate, hertz);
                    assert!(level < -70.0, "{hertz} Hz at {rate}: {level} dB");
                }
            }
        }
    }

    #[test]
    fn a_second_stays_a_second_and_blocks_do_not_show() {
        for rate in USUAL.into_iter().chain([4_000, 6_000, 11_111]) {
            let sound: Vec<f32> =
                (0..rate).map(|index| (index as f32 * 0.01).sin() * 0.5).collect();
            let render = |block: usize| {
                let mut resampler = Resampler::new(rate).unwrap();
                let mut out = Vec::new();
                sound.chunks(block).for_each(|block| resampler.push(block, &mut out));
                resampler.finish(&mut out);
                out
            };
            let whole = render(usize::MAX);
            assert!(whole.len().abs_diff(8_000) <= 2, "{rate}: {}", whole.len());
            assert_eq!(whole, render(63), "{rate}");
        }
    }

    #[test]
    fn absurd_rates_are_refused() {
        for rate in [0, 1, 3_999, 192_001, u32::MAX] {
            assert!(Resampler::new(rate).is_none(), "{rate}");
        }
    }

    #[test]
    fn a_sample_of_eight_kilohertz_is_not_touched() {
        let mut resampler = Resampler::new(RATE).unwrap();
        let mut out = Vec::new();
        let all: Vec<f32> = (i16::MIN..=i16::MAX).map(|s| f32::from(s) / 32_768.0).collect();
        resampler.push(&all, &mut out);
        assert!(out.iter().copied().eq(i16::MIN..=i16::MAX));
    }
}
