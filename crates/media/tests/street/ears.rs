//! Ears: how strong a tone is, and whether something cracks.

use std::f64::consts::TAU;

use media::Rate;

/// Returns the amplitude of a tone in a sound, by Goertzel's recurrence.
pub fn level(sound: &[i16], hertz: f64, rate: Rate) -> f64 {
    let sound: Vec<f64> = sound.iter().map(|&sample| sample.into()).collect();
    strength(&sound, hertz, rate)
}

/// The same for a tone among many, with a window that falls off towards both ends.
pub fn windowed(sound: &[i16], hertz: f64, rate: Rate) -> f64 {
    let turn = TAU / sound.len().max(1) as f64;
    let window = |at: usize| 1.0 - (turn * at as f64).cos();
    let faded: Vec<f64> =
        sound.iter().enumerate().map(|(at, &sample)| f64::from(sample) * window(at)).collect();
    strength(&faded, hertz, rate)
}

fn strength(sound: &[f64], hertz: f64, rate: Rate) -> f64 {
    let step = TAU * hertz / f64::from(rate.hertz());
    let factor = 2.0 * step.cos();
    let (mut last, mut before) = (0.0, 0.0);
    for &sample in sound {
        let next = sample + factor * last - before;
        before = last;
        last = next;
    }
    let power = last * last + before * before - factor * last * before;
    power.max(0.0).sqrt() * 2.0 / sound.len().max(1) as f64
}

/// Returns by how much, at most, a sample is off where a tone of these hertz goes on from the two before it: a step, a gap or a
/// repetition is far off, whatever is cut off or put in.
pub fn roughness(sound: &[i16], hertz: f64, rate: Rate) -> f64 {
    let factor = 2.0 * (TAU * hertz / f64::from(rate.hertz())).cos();
    let off = |three: &[i16]| {
        let [a, b, c] = [three[0], three[1], three[2]].map(f64::from);
        (c - factor * b + a).abs()
    };
    sound.windows(3).map(off).fold(0.0, f64::max)
}

/// Returns the amplitude that a tone of that loudness has.
pub fn loudness(sound: &[i16]) -> f64 {
    let power: f64 = sound.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    (2.0 * power / sound.len().max(1) as f64).sqrt()
}

/// Returns the loudest sample.
pub fn peak(sound: &[i16]) -> u16 {
    sound.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0)
}
