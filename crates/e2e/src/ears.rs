//! Tones, and how strong one is among many.

use std::f64::consts::TAU;
use std::sync::Arc;

/// Samples in a second.
const RATE: f64 = 8_000.0;

/// Returns a second of a tone, seamless when it is repeated.
pub fn tone(hertz: u32, amplitude: f64) -> Arc<[i16]> {
    let sample = |index: u32| (f64::from(index * hertz % 8_000) / RATE * TAU).sin() * amplitude;
    (0..8_000).map(|index| sample(index).round() as i16).collect()
}

/// Returns so many milliseconds of what sounds like a voice: harmonics, which are no tone.
pub fn spoken(ms: usize) -> Vec<i16> {
    let wave = |at: usize, hertz: f64| (at as f64 / RATE * hertz * TAU).sin();
    let sample = |at: usize| (1..8).map(|n| wave(at, 140.0 * f64::from(n))).sum::<f64>() * 1_500.0;
    (0..ms * 8).map(|at| sample(at) as i16).collect()
}

/// What one ear heard, made ready to be searched for many tones.
///
/// A Hann window keeps tones that are 40 Hz apart out of each other's way in a quarter of a second,
/// even where a frame was lost.
#[derive(Debug, Clone)]
pub struct Ear {
    windowed: Vec<f64>,
    weight: f64,
}

impl Ear {
    /// Takes what was heard at 8 kHz.
    pub fn new(heard: &[i16]) -> Self {
        let length = heard.len() as f64;
        let window = |index: usize| 0.5 - 0.5 * (TAU * index as f64 / length).cos();
        let windowed = heard.iter().enumerate().map(|(index, &s)| f64::from(s) * window(index));
        let windowed = windowed.collect();
        Self { windowed, weight: (0..heard.len()).map(window).sum() }
    }

    /// Returns the root of the mean square of what was heard.
    pub fn loudness(&self) -> f64 {
        let power: f64 = self.windowed.iter().map(|sample| sample * sample).sum();
        // A Hann window keeps three eighths of the power, and half of the weight.
        (power / (self.weight * 0.75).max(1.0)).sqrt()
    }

    /// Returns the amplitude of a tone, by Goertzel's recurrence.
    pub fn level(&self, hertz: u32) -> f64 {
        let turn = f64::from(hertz) / RATE * TAU;
        let twice = 2.0 * turn.cos();
        let (mut last, mut before) = (0.0, 0.0);
        for &sample in &self.windowed {
            (last, before) = (sample + twice * last - before, last);
        }
        let power = last * last + before * before - twice * last * before;
        if self.weight > 0.0 { power.max(0.0).sqrt() * 2.0 / self.weight } else { 0.0 }
    }

    /// Returns the amplitude of the strongest tone within so many hertz: a jitter buffer that catches
    /// up bends a tone a little.
    pub fn level_near(&self, hertz: u32, within: u32) -> f64 {
        (hertz - within..=hertz + within)
            .step_by(3)
            .map(|near| self.level(near))
            .fold(0.0, f64::max)
    }
}

/// Returns the amplitude of a tone in what was heard.
pub fn level(heard: &[i16], hertz: u32) -> f64 {
    Ear::new(heard).level(hertz)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_told_from_its_neighbours() {
        let mix: Vec<i16> = tone(700, 3_000.0)
            .iter()
            .zip(tone(760, 500.0).iter())
            .map(|(one, other)| one + other)
            .take(2_400)
            .collect();
        assert!((level(&mix, 700) - 3_000.0).abs() < 30.0);
        assert!((level(&mix, 760) - 500.0).abs() < 30.0);
        assert!(level(&mix, 820) < 10.0);
        assert!((Ear::new(&mix).loudness() - 2_150.0).abs() < 50.0);
        assert!((Ear::new(&mix).level_near(710, 12) - 2_900.0).abs() < 100.0);
    }
}
