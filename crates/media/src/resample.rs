//! Sums go from one rate to another: polyphase filters, band-limited, with a constant delay.
//!
//! A linear-phase low-pass (a sinc under a Kaiser window) is cut into as many phases as the rates'
//! ratio, so that no product with a stuffed zero, and none for a dropped sample, is computed. It passes
//! 3,400 (7,000) Hz at less than 0.5 dB of loss and stops 4,000 (8,000) Hz and all above by 60 dB.

use std::f64::consts::PI;
use std::sync::LazyLock;
use std::time::Duration;

use crate::rate::Rate;
use crate::rounded;

/// Taps of each phase, in samples of the lower rate, where that is 8 and where it is 16 kHz.
const NARROW_TAPS: usize = 42;
const WIDE_TAPS: usize = 52;
const TAPS_MAX: usize = WIDE_TAPS;
/// Phases of the widest ratio.
const PHASES_MAX: usize = 6;
/// Where the filters have lost half: midway between what passes and what is stopped.
const NARROW_CUTOFF_HZ: f64 = 3_640.0;
const WIDE_CUTOFF_HZ: f64 = 7_400.0;
/// The Kaiser window's shape for side lobes below -60 dB.
const BETA: f64 = 5.9;
/// Outputs that are computed side by side; divides the samples of every lower rate.
const LANES: usize = 16;
/// What the samples of one phase take: those of a tick and those of before.
const LINE: usize = TAPS_MAX + Rate::Wide.samples();

/// One filter, cut into phases; the taps of each are in the order in which samples come.
#[derive(Debug)]
struct Filter {
    length: usize,
    phases: [[f32; TAPS_MAX]; PHASES_MAX],
}

static NARROW_WIDE: LazyLock<Filter> =
    LazyLock::new(|| Filter::new(Rate::Narrow, Rate::Wide, NARROW_CUTOFF_HZ));
static NARROW_FULL: LazyLock<Filter> =
    LazyLock::new(|| Filter::new(Rate::Narrow, Rate::Full, NARROW_CUTOFF_HZ));
static WIDE_FULL: LazyLock<Filter> =
    LazyLock::new(|| Filter::new(Rate::Wide, Rate::Full, WIDE_CUTOFF_HZ));

impl Filter {
    fn new(low: Rate, high: Rate, cutoff_hz: f64) -> Self {
        let length = taps(low);
        let count = high.samples() / low.samples();
        let middle = (length * count) as f64 / 2.0;
        let cutoff = 2.0 * cutoff_hz / f64::from(high.hertz());
        let tap = |index: usize| {
            let place = index as f64 - middle;
            let angle = PI * cutoff * place;
            let sinc = if place == 0.0 { 1.0 } else { angle.sin() / angle };
            let edge = 1.0 - (place / middle).powi(2);
            cutoff * sinc * bessel(BETA * edge.sqrt()) / bessel(BETA)
        };
        let mut phases = [[0.0; TAPS_MAX]; PHASES_MAX];
        for (number, phase) in phases.iter_mut().enumerate().take(count) {
            for (index, out) in phase[..length].iter_mut().rev().enumerate() {
                *out = tap(number + index * count) as f32;
            }
        }
        Self { length, phases }
    }
}

/// The modified Bessel function of the first kind and order zero, by its series.
fn bessel(x: f64) -> f64 {
    let term = |term: &mut f64, k: u32| {
        *term *= (x / 2.0 / f64::from(k)).powi(2);
        Some(*term)
    };
    1.0 + (1..40).scan(1.0, term).sum::<f64>()
}

const fn taps(low: Rate) -> usize {
    match low {
        Rate::Narrow => NARROW_TAPS,
        Rate::Wide | Rate::Full => WIDE_TAPS,
    }
}

/// Returns how much later a sound leaves a resampler between these rates than it came: half the filter.
pub const fn delay(from: Rate, to: Rate) -> Duration {
    if from.index() == to.index() {
        return Duration::ZERO;
    }
    let low = if from.index() < to.index() { from } else { to };
    Duration::from_nanos(taps(low) as u64 / 2 * 1_000_000_000 / low.hertz() as u64)
}

/// One signal on its way from one rate to another.
#[derive(Debug, Clone)]
pub struct Resampler {
    from: Rate,
    to: Rate,
    filter: Option<&'static Filter>,
    /// The last samples of each phase; going up there is but one.
    history: [[f32; TAPS_MAX]; PHASES_MAX],
    /// Whether all of them are zero.
    silent: bool,
}

impl Resampler {
    /// Starts after silence. Between equal rates it passes everything on at once and unchanged.
    pub fn new(from: Rate, to: Rate) -> Self {
        let filter = match (from.min(to), from.max(to)) {
            (Rate::Narrow, Rate::Wide) => Some(&*NARROW_WIDE),
            (Rate::Narrow, Rate::Full) => Some(&*NARROW_FULL),
            (Rate::Wide, Rate::Full) => Some(&*WIDE_FULL),
            _ => None,
        };
        Self { from, to, filter, history: [[0.0; TAPS_MAX]; PHASES_MAX], silent: true }
    }

    /// Whether nothing is left in it of what has passed.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// Takes the samples of one tick and gives those of one tick, [`delay`] later.
    ///
    /// Lengths are those of the rates; sums of up to ±2^24 keep their precision. After a tick of
    /// silence, silence costs nothing.
    pub fn resample(&mut self, input: &[i32], output: &mut [i32]) {
        debug_assert!((input.len(), output.len()) == (self.from.samples(), self.to.samples()));
        let Some(filter) = self.filter else {
            output.copy_from_slice(input);
            return;
        };
        let silence = input.iter().fold(0, |all, sample| all | sample) == 0;
        if silence && self.silent {
            output.fill(0);
            return;
        }
        // A tick is longer than any filter.
        self.silent = silence;
        if self.from < self.to {
            self.raise(filter, input, output);
        } else {
            self.lower(filter, input, output);
        }
    }

    /// Each phase of the filter makes every so manieth sample.
    fn raise(&mut self, filter: &Filter, input: &[i32], output: &mut [i32]) {
        let (length, count) = (filter.length, output.len() / input.len());
        let mut line = [0.0; LINE];
        let line = &mut line[..length + input.len()];
        fill(line, &mut self.history[0][..length], input.iter());
        for (number, phase) in filter.phases[..count].iter().enumerate() {
            let mut sums = [0.0; Rate::Wide.samples()];
            let sums = &mut sums[..input.len()];
            accumulate(&phase[..length], &line[1..], sums);
            for (out, sum) in output[number..].iter_mut().step_by(count).zip(sums) {
                *out = rounded(*sum * count as f32);
            }
        }
    }

    /// Each phase of the filter meets every so manieth sample.
    fn lower(&mut self, filter: &Filter, input: &[i32], output: &mut [i32]) {
        let (length, count) = (filter.length, input.len() / output.len());
        let mut sums = [0.0; Rate::Wide.samples()];
        let sums = &mut sums[..output.len()];
        for (number, phase) in filter.phases[..count].iter().enumerate() {
            // The first phase meets the tick's first sample, the second the one before that.
            let (place, start) = if number == 0 { (0, 1) } else { (count - number, 0) };
            let mut line = [0.0; LINE];
            let line = &mut line[..length + output.len()];
            fill(line, &mut self.history[number][..length], input[place..].iter().step_by(count));
            accumulate(&phase[..length], &line[start..], sums);
        }
        for (out, sum) in output.iter_mut().zip(sums) {
            *out = rounded(*sum);
        }
    }
}

/// Makes a line of what was and what comes, and keeps its end.
fn fill<'a>(line: &mut [f32], history: &mut [f32], input: impl Iterator<Item = &'a i32>) {
    let (before, now) = line.split_at_mut(history.len());
    before.copy_from_slice(history);
    for (sample, &input) in now.iter_mut().zip(input) {
        *sample = input as f32;
    }
    history.copy_from_slice(&line[line.len() - history.len()..]);
}

/// Adds to each sum the products of `taps` with the samples from its place on.
fn accumulate(taps: &[f32], line: &[f32], sums: &mut [f32]) {
    for (block, sums) in sums.chunks_exact_mut(LANES).enumerate() {
        let line = &line[block * LANES..];
        let mut lanes = [0.0; LANES];
        for (tap, samples) in taps.iter().zip(line.windows(LANES)) {
            for (lane, sample) in lanes.iter_mut().zip(samples) {
                *lane += tap * sample;
            }
        }
        for (sum, lane) in sums.iter_mut().zip(lanes) {
            *sum += lane;
        }
    }
}

#[cfg(test)]
mod tests;
