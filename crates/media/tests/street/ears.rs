//! Ears: how strong a tone is, and whether something cracks.

use std::f64::consts::TAU;

use media::{Codec, Rate};

use crate::phone::{AMPLITUDE, Phone};

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

/// By how much a sample may be off where a tone goes on, after each codec's noise.
pub fn rough_max(codec: Codec) -> f64 {
    match codec {
        Codec::Pcmu | Codec::Pcma => 500.0,
        Codec::G722 => 600.0,
        Codec::Opus(_) => 250.0,
    }
}

/// Returns where a tone that a phone should hear all the time breaks: the piece of 20 ms, how loud it is and how rough.
pub fn breaks(phone: &Phone, hertz: f64) -> Vec<(usize, u32, u32)> {
    let rate = phone.rate();
    let pieces = phone.heard.chunks(rate.samples()).enumerate();
    let judged =
        pieces.map(|(number, piece)| (number, loudness(piece), roughness(piece, hertz, rate)));
    let is_broken = |&(_, loud, rough): &(usize, f64, f64)| {
        // Opus moves a tone's loudness a little, from frame to frame.
        let off = if matches!(phone.codec, Codec::Opus(_)) { 0.25 } else { 0.1 };
        (loud - AMPLITUDE).abs() > off * AMPLITUDE || rough > rough_max(phone.codec)
    };
    judged
        .filter(is_broken)
        .map(|(number, loud, rough)| (number, loud as u32, rough as u32))
        .collect()
}
