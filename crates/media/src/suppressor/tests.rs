use super::*;
use crate::activity::tests::{noise, voice};
use crate::level::power;

const SECONDS: f64 = 12.0;

/// Returns what comes out, without the delay of the suppressor.
fn suppressed(rate: Rate, sound: &[i16]) -> Vec<i16> {
    let mut suppressor = Suppressor::new(rate);
    let mut out = Vec::new();
    for tick in sound.chunks_exact(rate.samples()) {
        let mut made = vec![0; tick.len()];
        suppressor.process(tick, &mut made, false);
        out.extend(made);
    }
    out.drain(..samples_late(rate));
    out
}

fn samples_late(rate: Rate) -> usize {
    (delay(rate).as_secs_f64() * f64::from(rate.hertz())).round() as usize
}

/// Returns in dB how much louder the voice is than all that is not it, and how loud it is beside what it was.
fn judged(voice: &[i16], heard: &[i16]) -> (f64, f64) {
    let product = |one: &[i16], other: &[i16]| -> f64 {
        one.iter().zip(other).map(|(&one, &other)| f64::from(one) * f64::from(other)).sum()
    };
    let gain = product(voice, heard) / product(voice, voice);
    let kept = gain * gain * product(voice, voice);
    let length = voice.len().min(heard.len());
    let rest = product(&heard[..length], &heard[..length]) - kept;
    (10.0 * (kept / rest).log10(), 20.0 * gain.log10())
}

/// Returns noise that is 10 dB below a voice while that speaks.
fn noise_below(voice: &[i16], rate: Rate, colour: f64) -> Vec<i16> {
    let mean = f64::from(power(voice));
    let loud = voice.chunks_exact(rate.samples()).map(|tick| f64::from(power(tick)));
    let loud: Vec<f64> = loud.filter(|tick| *tick > mean * 0.03).collect();
    let level = (loud.iter().sum::<f64>() / loud.len() as f64 / 10.0).sqrt();
    let mut next = noise(colour);
    // What is spread evenly between -1 and 1 has a third of the power.
    voice.iter().map(|_| (next() * level * 3_f64.sqrt()) as i16).collect()
}

#[test]
fn noise_is_turned_down_and_a_voice_is_left() {
    for rate in Rate::ALL {
        let said = voice(rate, SECONDS, 150.0, 1_500.0);
        let after = said.len() / 3;
        let (clearness, gain) = judged(&said[after..], &suppressed(rate, &said)[after..]);
        assert!(clearness > 15.0 && gain.abs() < 0.6, "{rate:?}: {clearness} dB, {gain} dB");
        for colour in [0.0, 0.9] {
            let noise = noise_below(&said, rate, colour);
            let mixed: Vec<i16> = said.iter().zip(&noise).map(|(one, other)| one + other).collect();
            let heard = suppressed(rate, &mixed);
            let (before, _) = judged(&said[after..], &mixed[after..]);
            let (clearness, gain) = judged(&said[after..], &heard[after..]);
            let better = clearness - before;
            assert!(better > 3.0 && gain.abs() < 1.5, "{rate:?}, {colour}: {better} dB, {gain} dB");
        }
    }
}

#[test]
fn noise_alone_is_nine_decibels_softer_after_some_seconds() {
    for rate in Rate::ALL {
        let mut next = noise(0.0);
        let noise: Vec<i16> =
            (0..rate.samples() * 250).map(|_| (next() * 1_000.0) as i16).collect();
        let heard = suppressed(rate, &noise);
        let after = rate.samples() * 150;
        let softer = power(&noise[after..]) / power(&heard[after..]);
        assert!(10.0 * softer.log10() > 9.0, "{rate:?}: {softer}");
    }
}

#[test]
fn after_silence_comes_silence() {
    for rate in Rate::ALL {
        let mut sound = voice(rate, 1.0, 150.0, 1_500.0);
        sound.resize(sound.len() + rate.samples() * 6, 0);
        let heard = suppressed(rate, &sound);
        let end = &heard[heard.len() - rate.samples()..];
        assert!(end.iter().all(|&sample| sample == 0), "{rate:?}");
    }
}
