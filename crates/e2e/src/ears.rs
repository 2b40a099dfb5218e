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

/// Returns the amplitude of a tone in what was heard.
///
/// A Hann window keeps tones that are 40 Hz apart out of each other's way in a quarter of a second,
/// even where a frame was lost.
pub fn level(heard: &[i16], hertz: u32) -> f64 {
    let length = heard.len() as f64;
    let (mut real, mut imaginary, mut weight) = (0.0, 0.0, 0.0);
    for (index, &sample) in heard.iter().enumerate() {
        let at = index as f64;
        let window = 0.5 - 0.5 * (TAU * at / length).cos();
        let phase = at * f64::from(hertz) / RATE * TAU;
        real += window * f64::from(sample) * phase.cos();
        imaginary += window * f64::from(sample) * phase.sin();
        weight += window;
    }
    if weight > 0.0 { f64::hypot(real, imaginary) * 2.0 / weight } else { 0.0 }
}

/// Returns the amplitude of the strongest tone within so many hertz: a jitter buffer that catches up
/// bends a tone a little.
pub fn level_near(heard: &[i16], hertz: u32, within: u32) -> f64 {
    (hertz - within..=hertz + within).step_by(3).map(|near| level(heard, near)).fold(0.0, f64::max)
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
    }
}
