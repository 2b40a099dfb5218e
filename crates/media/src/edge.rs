//! What one leg alone hears of another.

use crate::fade::Fade;
use crate::ids::LegId;
use crate::rate::{Rate, SAMPLES_MAX};
use crate::resample::Resampler;

/// From a leg to one that hears it alone.
#[derive(Debug)]
pub struct Edge {
    pub to: LegId,
    pub fade: Fade,
}

impl Edge {
    /// Begins with a ramp.
    pub fn new(to: LegId, gain: f32) -> Self {
        let mut fade = Fade::at(0.0);
        fade.to(gain);
        Self { to, fade }
    }
}

/// The ways by which single legs hear one leg.
#[derive(Debug, Default)]
pub struct Edges {
    pub all: Vec<Edge>,
    /// From the rate of the one to those of the others, as far as they differ.
    resamplers: [Option<Box<Resampler>>; Rate::ALL.len()],
}

impl Edges {
    /// The leg is mixed at another rate from now on.
    pub fn change_rate(&mut self) {
        self.resamplers = Default::default();
    }
}

/// That one leg hears another by a way of its own in this tick.
#[derive(Debug, Clone, Copy)]
pub struct Whisper {
    pub to: LegId,
    pub from: LegId,
    /// How loud; nothing while that changes.
    pub gain: Option<f32>,
    /// The same, as this tick begins.
    fade: Fade,
    /// The place of what is heard.
    sound: usize,
}

/// What single legs of a room hear of others in this tick: each who speaks is there once at each rate, however many
/// hear it.
#[derive(Debug, Default)]
pub struct Whispers {
    /// Sorted by who hears and who is heard, once all have been added.
    all: Vec<Whisper>,
    sounds: Vec<[i32; SAMPLES_MAX]>,
    /// How many of these are of this tick.
    said: usize,
}

impl Whispers {
    /// Begins a tick.
    pub fn clear(&mut self) {
        self.all.clear();
        self.said = 0;
    }

    /// Adds what is heard of `voice`, of a leg at a rate, by its edges; `rate_of` says at which rate one hears, where it
    /// is there. Who hears nothing any more is let go.
    pub fn add(
        &mut self,
        edges: &mut Edges,
        voice: &[i16],
        (from, rate): (LegId, Rate),
        rate_of: impl Fn(LegId) -> Option<Rate>,
    ) {
        let mut said = [None; Rate::ALL.len()];
        let resamplers = &mut edges.resamplers;
        edges.all.retain_mut(|edge| {
            if let Some(to) = rate_of(edge.to) {
                let sound = *said[to.index()]
                    .get_or_insert_with(|| self.say(voice, rate, to, &mut resamplers[to.index()]));
                let fade = edge.fade;
                let gain = fade.is_settled().then(|| fade.target());
                self.all.push(Whisper { to: edge.to, from, gain, fade, sound });
                edge.fade.pass();
            }
            !edge.fade.is_silent()
        });
        for (resampler, said) in edges.resamplers.iter_mut().zip(said) {
            if said.is_none() {
                *resampler = None;
            }
        }
    }

    /// Keeps a voice at the rate of those who hear it; returns its place.
    fn say(
        &mut self,
        voice: &[i16],
        from: Rate,
        to: Rate,
        resampler: &mut Option<Box<Resampler>>,
    ) -> usize {
        let place = self.said;
        self.said += 1;
        if place == self.sounds.len() {
            self.sounds.push([0; SAMPLES_MAX]);
        }
        let sound = &mut self.sounds[place];
        if from == to {
            widen(voice, sound);
            return place;
        }
        let mut said = [0; SAMPLES_MAX];
        widen(voice, &mut said);
        let resampler = resampler.get_or_insert_with(|| Box::new(Resampler::new(from, to)));
        resampler.resample(&said[..voice.len()], &mut sound[..to.samples()]);
        place
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
            let mut fade = whisper.fade;
            fade.add(heard, &self.sounds[whisper.sound]);
        }
    }
}

fn widen(voice: &[i16], sound: &mut [i32]) {
    for (sound, &sample) in sound.iter_mut().zip(voice) {
        *sound = sample.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_many_hear_alone_is_there_once_at_each_rate() {
        let rate_of = |LegId(leg)| Some(Rate::ALL[leg as usize % 3]);
        let mut edges = Edges::default();
        edges.all.extend((1..=60).map(|to| Edge::new(LegId(to), 1.0)));
        let (mut whispers, voice) = (Whispers::default(), [1_000; Rate::Narrow.samples()]);
        for _ in 0..3 {
            whispers.clear();
            whispers.add(&mut edges, &voice, (LegId(0), Rate::Narrow), rate_of);
            whispers.close();
            assert_eq!((whispers.all.len(), whispers.sounds.len()), (60, 3));
        }
        for to in (1..=60).map(LegId) {
            let rate = rate_of(to).expect("it is there");
            let mut heard = vec![0; rate.samples()];
            whispers.add_to(to, &mut heard);
            // A filter has lost or won a little of it.
            assert!(heard.iter().all(|sample| (980..=1_020).contains(sample)), "{rate:?}");
        }
        // Of two who are left, at one rate, nothing is kept for the others.
        edges.all.iter_mut().filter(|edge| edge.to.0 > 3).for_each(|edge| edge.fade.to(0.0));
        whispers.clear();
        whispers.add(&mut edges, &voice, (LegId(0), Rate::Narrow), rate_of);
        assert_eq!(edges.all.len(), 3, "who hears nothing any more is let go");
        edges.all.retain(|edge| edge.to == LegId(3));
        whispers.clear();
        whispers.add(&mut edges, &voice, (LegId(0), Rate::Narrow), rate_of);
        assert_eq!(whispers.said, 1);
        assert!(edges.resamplers.iter().all(Option::is_none), "what nobody hears is let go");
    }
}
