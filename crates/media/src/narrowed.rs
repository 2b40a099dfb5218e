//! Sound of any rate at 8 kHz, for those who listen at that: recordings, and who tells machines apart.

use crate::rate::{Rate, SAMPLES_MAX};
use crate::resample::Resampler;
use crate::{Frame, SAMPLES};

/// One signal at 8 kHz. It holds nothing until somebody listens: of most legs nobody does.
#[derive(Debug)]
pub struct Narrowed {
    frame: Option<Box<Frame>>,
    resampler: Option<Box<Resampler>>,
}

impl Narrowed {
    pub fn new() -> Self {
        Self { frame: None, resampler: None }
    }

    /// Returns the last tick.
    pub fn last(&self) -> &Frame {
        static NOTHING: Frame = [0; SAMPLES];
        self.frame.as_deref().unwrap_or(&NOTHING)
    }

    /// Returns a tick of sound at 8 kHz.
    pub fn of<T: Copy + Into<i32>>(&mut self, rate: Rate, sound: &[T]) -> &Frame {
        let frame = self.frame.get_or_insert_with(|| Box::new([0; SAMPLES]));
        if rate == Rate::Narrow {
            for (out, &sample) in frame.iter_mut().zip(sound) {
                *out = crate::saturate(sample.into());
            }
            return frame;
        }
        let resampler =
            self.resampler.get_or_insert_with(|| Box::new(Resampler::new(rate, Rate::Narrow)));
        let (mut wide, mut narrow) = ([0; SAMPLES_MAX], [0; SAMPLES]);
        for (wide, &sample) in wide.iter_mut().zip(sound) {
            *wide = sample.into();
        }
        resampler.resample(&wide[..sound.len()], &mut narrow);
        **frame = narrow.map(crate::saturate);
        frame
    }
}
