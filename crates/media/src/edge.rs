//! What one leg alone hears of another.

use crate::command::LegId;
use crate::fade::Fade;
use crate::rate::{Rate, SAMPLES_MAX};
use crate::resample::Resampler;

/// From a leg to one that hears it alone.
#[derive(Debug)]
pub struct Edge {
    pub to: LegId,
    pub fade: Fade,
    /// From the rate of the one to that of the other, where they differ.
    resampler: Option<(Rate, Rate, Box<Resampler>)>,
}

/// What one leg alone hears of another in this tick, at its own rate.
#[derive(Debug, Clone)]
pub struct Whisper {
    pub to: LegId,
    pub sound: [i32; SAMPLES_MAX],
}

impl Edge {
    /// Begins with a ramp.
    pub fn new(to: LegId, gain: f32) -> Self {
        let mut fade = Fade::at(0.0);
        fade.to(gain);
        Self { to, fade, resampler: None }
    }

    /// The leg that speaks is mixed at another rate from now on.
    pub fn change_rate(&mut self) {
        self.resampler = None;
    }

    /// Returns what is heard of `voice` at the rate of the one that hears it.
    pub fn whisper(&mut self, voice: &[i16], from: Rate, to: Rate) -> Whisper {
        let mut whisper = Whisper { to: self.to, sound: [0; SAMPLES_MAX] };
        let mut said = [0; SAMPLES_MAX];
        for (said, &sample) in said.iter_mut().zip(voice) {
            *said = sample.into();
        }
        let said = &said[..voice.len()];
        if from == to {
            self.fade.add(&mut whisper.sound[..voice.len()], said);
            return whisper;
        }
        if self.resampler.as_ref().is_none_or(|(own, other, _)| (*own, *other) != (from, to)) {
            self.resampler = Some((from, to, Box::new(Resampler::new(from, to))));
        }
        let mut faded = [0; SAMPLES_MAX];
        let faded = &mut faded[..said.len()];
        self.fade.add(faded, said);
        if let Some((_, _, resampler)) = &mut self.resampler {
            resampler.resample(faded, &mut whisper.sound[..to.samples()]);
        }
        whisper
    }
}
