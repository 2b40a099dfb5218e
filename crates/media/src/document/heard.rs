//! What is heard of a document from any place on, as if it had always been played: at the rate of a codec, and limited.

use crate::SAMPLES;
use crate::limiter::{Gain, Limiter, look_ahead};
use crate::rate::{Rate, SAMPLES_MAX};
use crate::resample::Resampler;

/// What brings a document from one place on to what is encoded.
#[derive(Debug, Clone)]
pub struct Heard {
    pub resampler: Resampler,
    pub limiter: Limiter,
}

impl Heard {
    /// Begins with the tick at `at`, where the limiter has that gain.
    pub fn at(pcm: &[i16], at: usize, rate: Rate, gain: Gain) -> Self {
        let mut resampler = Resampler::new(Rate::Narrow, rate);
        let mut last = [0; SAMPLES_MAX];
        let last = &mut last[..rate.samples()];
        // No filter remembers more than one tick.
        for ticks in [2, 1] {
            resampler.resample(&tick(pcm, back(pcm, at, ticks * SAMPLES)), last);
        }
        let held = &last[last.len() - look_ahead(rate)..];
        Self { resampler, limiter: Limiter::resume(rate, gain, held) }
    }

    /// Writes the tick at `at`, which follows the last one, to `frame`.
    pub fn next(&mut self, pcm: &[i16], at: usize, rate: Rate, frame: &mut [i16]) {
        let mut heard = [0; SAMPLES_MAX];
        let heard = &mut heard[..rate.samples()];
        self.resampler.resample(&tick(pcm, at), heard);
        self.limiter.limit(rate, heard, frame);
    }
}

/// Returns the tick at `at` of a document without an end.
fn tick(pcm: &[i16], at: usize) -> [i32; SAMPLES] {
    std::array::from_fn(|index| pcm[(at + index) % pcm.len()].into())
}

/// Returns the place that is so many samples before `at` in a document without an end.
pub fn back(pcm: &[i16], at: usize, samples: usize) -> usize {
    (at + samples.next_multiple_of(pcm.len()) - samples) % pcm.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_begins_at_any_place_hears_what_those_hear_who_were_there_before() {
        for length in [160, 167, 333, 4_007] {
            for rate in [Rate::Wide, Rate::Full] {
                // As loud as can be, so that the limiter has work.
                let pcm: Vec<i16> =
                    (0..length).map(|at| if at * at % 7 < 3 { 32_767 } else { -32_768 }).collect();
                let mut heard = Heard::at(&pcm, 0, rate, Limiter::new().gain());
                let mut at = 0;
                let [mut one, mut other] = [[0; SAMPLES_MAX]; 2];
                for _ in 0..200 {
                    let mut begun = Heard::at(&pcm, at, rate, heard.limiter.gain());
                    heard.next(&pcm, at, rate, &mut one[..rate.samples()]);
                    begun.next(&pcm, at, rate, &mut other[..rate.samples()]);
                    assert!(one == other, "{length}, {rate:?}, at {at}");
                    at = (at + SAMPLES) % length;
                }
                assert!(!heard.limiter.is_transparent());
            }
        }
    }
}
