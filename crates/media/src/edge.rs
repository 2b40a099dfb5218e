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

/// That one leg hears another by a way of its own in this tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Whisper {
    pub to: LegId,
    pub from: LegId,
    /// How loud; nothing while that changes.
    pub gain: Option<f32>,
    /// The place of what is heard.
    sound: usize,
}

/// What single legs of a room hear of others in this tick, each at its own rate.
#[derive(Debug, Default)]
pub struct Whispers {
    /// Sorted by who hears and who is heard, once all have been added.
    all: Vec<Whisper>,
    sounds: Vec<[i32; SAMPLES_MAX]>,
}

impl Whispers {
    /// Begins a tick.
    pub fn clear(&mut self) {
        self.all.clear();
    }

    /// Adds what is heard of `voice`, of a leg at a rate, by an edge to one at another.
    pub fn add(&mut self, edge: &mut Edge, voice: &[i16], (from, rate): (LegId, Rate), to: Rate) {
        let sound = self.all.len();
        if sound == self.sounds.len() {
            self.sounds.push([0; SAMPLES_MAX]);
        }
        let gain = edge.fade.is_settled().then(|| edge.fade.target());
        edge.whisper(voice, rate, to, &mut self.sounds[sound]);
        self.all.push(Whisper { to: edge.to, from, gain, sound });
    }

    /// Says that all have been added.
    pub fn close(&mut self) {
        self.all.sort_unstable_by_key(|whisper| (whisper.to, whisper.from));
    }

    /// Returns what one leg hears so.
    pub fn to(&self, leg: LegId) -> &[Whisper] {
        let start = self.all.partition_point(|whisper| whisper.to < leg);
        let length = self.all[start..].partition_point(|whisper| whisper.to == leg);
        &self.all[start..start + length]
    }

    /// Adds it to what that leg hears.
    pub fn add_to(&self, leg: LegId, heard: &mut [i32]) {
        for whisper in self.to(leg) {
            for (sum, sample) in heard.iter_mut().zip(&self.sounds[whisper.sound]) {
                *sum += sample;
            }
        }
    }
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

    /// Writes what is heard of `voice` at the rate of the one that hears it.
    fn whisper(&mut self, voice: &[i16], from: Rate, to: Rate, whisper: &mut [i32; SAMPLES_MAX]) {
        let mut said = [0; SAMPLES_MAX];
        for (said, &sample) in said.iter_mut().zip(voice) {
            *said = sample.into();
        }
        let said = &said[..voice.len()];
        if from == to {
            whisper.fill(0);
            return self.fade.add(&mut whisper[..voice.len()], said);
        }
        if self.resampler.as_ref().is_none_or(|(own, other, _)| (*own, *other) != (from, to)) {
            self.resampler = Some((from, to, Box::new(Resampler::new(from, to))));
        }
        let mut faded = [0; SAMPLES_MAX];
        let faded = &mut faded[..said.len()];
        self.fade.add(faded, said);
        if let Some((_, _, resampler)) = &mut self.resampler {
            resampler.resample(faded, &mut whisper[..to.samples()]);
        }
    }
}
