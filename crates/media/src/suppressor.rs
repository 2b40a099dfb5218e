//! Steady noise is taken out of what a leg says.
//!
//! The work is done at 16 kHz, by a port of WebRTC's suppressor (a Wiener filter that follows the noise of each band);
//! what is narrower is brought there and back. Of what is wider, the part above 8 kHz is turned down as a whole.

use std::fmt;
use std::time::Duration;

use sonora_ns::config::{NS_FRAME_SIZE, NsConfig, OVERLAP_SIZE, SuppressionLevel};
use sonora_ns::noise_suppressor::NoiseSuppressor;

use crate::insert::Process;
use crate::rate::{Rate, SAMPLES_MAX};
use crate::resample::{Resampler, delay as resampling_delay};
use crate::rounded;

/// By how much noise is turned down at most. More of it costs more of the voice.
const LEVEL: SuppressionLevel = SuppressionLevel::K12dB;
/// Samples that are filtered at a time, 10 ms; a tick holds two.
const BLOCK: usize = NS_FRAME_SIZE;
/// Samples at 48 kHz that the way to 16 kHz and back takes, and the filter.
const RESAMPLED: usize = samples_at_full(resampling_delay(Rate::Full, Rate::Wide)) * 2;
const FILTERED: usize = samples_at_full(FILTER_DELAY);
const FILTER_DELAY: Duration = Duration::from_micros(OVERLAP_SIZE as u64 * 1_000_000 / 16_000);
/// Ticks of silence after which nothing is left in it.
const EMPTY_AFTER: u8 = 3;

/// Returns how much later a sound leaves the suppressor than it came.
pub const fn delay(rate: Rate) -> Duration {
    let one_way = resampling_delay(rate, Rate::Wide);
    FILTER_DELAY.saturating_add(one_way).saturating_add(one_way)
}

const fn samples_at_full(time: Duration) -> usize {
    (time.as_nanos() * Rate::Full.hertz() as u128 / 1_000_000_000) as usize
}

/// One leg's suppressor.
pub struct Suppressor {
    filter: NoiseSuppressor,
    there: Resampler,
    back: Resampler,
    above: Option<Above>,
    silent: u8,
}

impl fmt::Debug for Suppressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suppressor").finish_non_exhaustive()
    }
}

impl Process for Suppressor {
    fn new(rate: Rate) -> Self {
        let config = NsConfig { target_level: LEVEL };
        let above = (rate > Rate::Wide).then(Above::new);
        // The filter is told of a part above its own, so that it says how loud that is to be.
        let bands = if above.is_some() { 2 } else { 1 };
        Self {
            filter: NoiseSuppressor::new_with_bands(config, bands),
            there: Resampler::new(rate, Rate::Wide),
            back: Resampler::new(Rate::Wide, rate),
            above,
            silent: 0,
        }
    }

    fn process(&mut self, sound: &[i16], made: &mut [i16], _: bool) {
        let silence = sound.iter().all(|&sample| sample == 0);
        self.silent = if silence { self.silent.saturating_add(1) } else { 0 };
        if self.silent > EMPTY_AFTER {
            made.fill(0);
            return;
        }
        let mut came = [0; SAMPLES_MAX];
        for (came, &sample) in came.iter_mut().zip(sound) {
            *came = sample.into();
        }
        let came = &mut came[..sound.len()];
        let mut wide = [0; Rate::Wide.samples()];
        self.there.resample(came, &mut wide);
        let mut filtered = wide;
        for block in filtered.as_chunks_mut::<BLOCK>().0 {
            let mut frame = block.map(|sample| sample as f32);
            self.filter.analyze(&frame);
            self.filter.process(&mut frame);
            *block = frame.map(rounded);
        }
        let mut back = [0; SAMPLES_MAX];
        let back = &mut back[..sound.len()];
        self.back.resample(&filtered, back);
        if let Some(above) = &mut self.above {
            above.take(&wide, came, self.filter.upper_band_gain());
            for (sample, above) in back.iter_mut().zip(came.iter()) {
                *sample += above;
            }
        }
        for (made, &sample) in made.iter_mut().zip(back.iter()) {
            *made = crate::saturate(sample);
        }
    }
}

/// The part of a sound above 8 kHz: what is left of it without all below.
struct Above {
    back: Resampler,
    whole: Line<RESAMPLED>,
    part: Line<FILTERED>,
    gain: f32,
}

impl Above {
    fn new() -> Self {
        Self {
            back: Resampler::new(Rate::Wide, Rate::Full),
            whole: Line([0; RESAMPLED]),
            part: Line([0; FILTERED]),
            gain: 1.0,
        }
    }

    /// Makes of a tick the part above what `below` holds of it, as late as what is filtered, and turns it down.
    fn take(&mut self, below: &[i32], tick: &mut [i32], gain: f32) {
        let mut known = [0; SAMPLES_MAX];
        self.back.resample(below, &mut known);
        self.whole.pass(tick);
        for (sample, known) in tick.iter_mut().zip(known) {
            *sample -= known;
        }
        self.part.pass(tick);
        let step = (gain - self.gain) / tick.len().max(1) as f32;
        for sample in tick {
            self.gain += step;
            *sample = rounded(*sample as f32 * self.gain);
        }
        self.gain = gain;
    }
}

/// Samples that wait.
struct Line<const N: usize>([i32; N]);

impl<const N: usize> Line<N> {
    fn pass(&mut self, tick: &mut [i32]) {
        tick.rotate_right(N);
        tick[..N].swap_with_slice(&mut self.0);
    }
}

#[cfg(test)]
mod tests;
