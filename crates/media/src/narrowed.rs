//! Sound of any rate at 8 kHz, for those who listen at that: recordings, and who tells machines apart.

use crate::rate::{Rate, SAMPLES_MAX};
use crate::resample::Resampler;
use crate::{Frame, SAMPLES};

/// One signal at 8 kHz.
#[derive(Debug)]
pub struct Narrowed {
    frame: Box<Frame>,
    resampler: Option<Box<Resampler>>,
}

impl Narrowed {
    pub fn new() -> Self {
        Self { frame: Box::new([0; SAMPLES]), resampler: None }
    }

    /// Returns the last tick.
    pub fn last(&self) -> &Frame {
        &self.frame
    }

    /// Returns a tick of sound at 8 kHz.
    pub fn of<T: Copy + Into<i32>>(&mut self, rate: Rate, sound: &[T]) -> &Frame {
        if rate == Rate::Narrow {
            for (out, &sample) in self.frame.iter_mut().zip(sound) {
                *out = crate::saturate(sample.into());
            }
            return &self.frame;
        }
        let resampler =
            self.resampler.get_or_insert_with(|| Box::new(Resampler::new(rate, Rate::Narrow)));
        let (mut wide, mut narrow) = ([0; SAMPLES_MAX], [0; SAMPLES]);
        for (wide, &sample) in wide.iter_mut().zip(sound) {
            *wide = sample.into();
        }
        resampler.resample(&wide[..sound.len()], &mut narrow);
        *self.frame = narrow.map(crate::saturate);
        &self.frame
    }
}
