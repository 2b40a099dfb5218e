//! Whom the phones let speak: three voices, as loud as people are and with the noise of a room.

use std::f64::consts::PI;
use std::path::Path;

use espeak_ng::{EspeakNg, Parameter};
use media::{Rate, Resampler};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Who speaks, how high, and which sentences.
const VOICES: [(&str, i32, [&str; 3]); 3] = [
    (
        "en-us",
        42,
        [
            "The meeting begins at nine.",
            "Please bring the figures of last month.",
            "We shall need them before noon.",
        ],
    ),
    (
        "en-gb+f2",
        55,
        [
            "A small boat crossed the harbour in the mist.",
            "Nobody saw who was in it.",
            "Everyone had heard of the letter that it carried.",
        ],
    ),
    (
        "de",
        50,
        [
            "Heute nachmittag wird es regnen.",
            "Nehmen Sie einen Schirm mit.",
            "Rufen Sie mich an, sobald der Zug in Hamburg ist.",
        ],
    ),
];
/// How fast, in words a minute.
const WORDS: i32 = 150;
/// The level while somebody speaks, and that of the room, of full scale.
const ACTIVE: f64 = 0.0708;
const FLOOR: f64 = 0.001;
/// Frames that are louder than this part of all are speech.
const PAUSE: f64 = 0.1;
/// A breath before each sentence and after the last, in samples: so that speech takes 40 to 80 % of the
/// time, as ITU-T P.862.3 section 7 asks for.
const BREATH: usize = 12_000;
/// Samples to either side that the filter between two rates reaches.
const REACH: f64 = 48.0;

/// Returns what each voice says, at 16 kHz.
pub fn voices() -> Vec<Vec<i16>> {
    let folder = tempfile::tempdir().unwrap();
    espeak_ng::install_bundled_languages(folder.path(), &["en", "de"]).unwrap();
    let speak = |(seed, (voice, pitch, sentences)): (u64, &(&str, i32, [&str; 3]))| {
        let breath = vec![0.0; BREATH];
        let mut said = breath.clone();
        for sentence in sentences {
            said.extend(spoken(folder.path(), voice, *pitch, sentence));
            said.extend(&breath);
        }
        in_a_room(&said, seed)
    };
    (0..).zip(&VOICES).map(speak).collect()
}

/// Returns noise of that room alone.
pub fn room(samples: usize, seed: u64) -> Vec<i16> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..samples).map(|_| (noise(&mut random) * 32_768.0).round() as i16).collect()
}

/// Returns sound of 16 kHz at another rate.
pub fn at(rate: Rate, sound: &[i16]) -> Vec<i16> {
    resampled(Rate::Wide, rate, sound)
}

/// Returns sound of one rate at another one.
pub fn resampled(from: Rate, to: Rate, sound: &[i16]) -> Vec<i16> {
    let mut resampler = Resampler::new(from, to);
    let mut out = Vec::new();
    for tick in sound.chunks_exact(from.samples()) {
        let tick: Vec<i32> = tick.iter().map(|&sample| sample.into()).collect();
        let mut made = vec![0; to.samples()];
        resampler.resample(&tick, &mut made);
        out.extend(made.iter().map(|&s| s.clamp(i16::MIN.into(), i16::MAX.into()) as i16));
    }
    out
}

fn spoken(data: &Path, voice: &str, pitch: i32, text: &str) -> Vec<f64> {
    let mut engine = EspeakNg::with_data_dir(voice, data).unwrap();
    engine.set_parameter(Parameter::Pitch, pitch);
    engine.set_parameter(Parameter::Rate, WORDS);
    let (pcm, rate) = engine.synth(text).unwrap();
    let step = f64::from(rate) / f64::from(Rate::Wide.hertz());
    let sample = |index: f64| {
        let inside = index >= 0.0 && index < pcm.len() as f64;
        if inside { f64::from(pcm[index as usize]) } else { 0.0 }
    };
    // A sinc under Hann's window; the rate comes down, so that its zeros lie at ours.
    (0..(pcm.len() as f64 / step) as usize)
        .map(|index| {
            let place = index as f64 * step;
            let first = (place - REACH).ceil();
            (0..2 * REACH as usize)
                .map(|tap| {
                    let away = first + tap as f64 - place;
                    let turn = PI * away / step;
                    let sinc = if turn.abs() < 1e-9 { 1.0 } else { turn.sin() / turn };
                    let window = (PI * away / REACH).cos() / 2.0 + 0.5;
                    sample(first + tap as f64) * sinc * window / step
                })
                .sum()
        })
        .collect()
}

/// Brings speech to its level and puts the room around it.
fn in_a_room(speech: &[f64], seed: u64) -> Vec<i16> {
    let rms =
        |frame: &[f64]| (frame.iter().map(|s| s * s).sum::<f64>() / frame.len() as f64).sqrt();
    let all = rms(speech);
    let frames: Vec<f64> = speech.chunks_exact(Rate::Wide.samples()).map(rms).collect();
    let loud: Vec<f64> = frames.into_iter().filter(|level| *level > PAUSE * all).collect();
    let gain = ACTIVE / rms(&loud);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let heard = speech.iter().map(|&sample| (sample * gain + noise(&mut random)) * 32_768.0);
    heard.map(|sample| sample.round().clamp(-32_767.0, 32_767.0) as i16).collect()
}

/// A sample of the room's noise, which is spread evenly.
fn noise(random: &mut ChaCha8Rng) -> f64 {
    (f64::from(random.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0) * FLOOR * 3.0_f64.sqrt()
}
