//! The project's own music: composed here, and rendered when it is first asked for.

use std::f64::consts::TAU;
use std::sync::{Arc, OnceLock};

use crate::RATE;

/// An eighth, of which a bar has eight.
const EIGHTH: usize = 3_200;
const BAR: usize = 8 * EIGHTH;
/// The loudest sample: 13 dB below full scale, so that what is said over it is understood.
const PEAK: f32 = 7_000.0;

/// One chord for each bar, in semitones over A2 (110 Hz): the root, which is played an octave higher for the
/// telephone's sake, and the notes above it.
const BARS: [(i32, [i32; 4]); 8] = [
    (3, [15, 19, 22, 26]),
    (0, [12, 15, 19, 22]),
    (8, [15, 20, 24, 27]),
    (10, [14, 17, 22, 26]),
    (7, [14, 19, 22, 26]),
    (0, [15, 19, 24, 27]),
    (5, [12, 17, 20, 24]),
    (10, [14, 17, 20, 26]),
];
/// The figure that is plucked through each chord.
const FIGURE: [usize; 8] = [0, 2, 1, 3, 2, 1, 3, 2];
/// A slow melody above it: bar, eighth, semitones.
const MELODY: [(usize, usize, i32); 14] = [
    (0, 0, 31),
    (0, 4, 34),
    (1, 0, 31),
    (1, 5, 27),
    (2, 0, 32),
    (2, 4, 36),
    (3, 0, 34),
    (4, 0, 31),
    (4, 5, 34),
    (5, 0, 36),
    (5, 4, 39),
    (6, 0, 36),
    (6, 5, 32),
    (7, 2, 34),
];

/// How an instrument sounds: how loud, how soon it is there, how fast it dies away (1/s), and its partials.
struct Instrument {
    level: f32,
    attack: f32,
    decay: f32,
    partials: &'static [f32],
}

const BASS: Instrument =
    Instrument { level: 0.8, attack: 0.03, decay: 1.0, partials: &[1.0, 0.6, 0.25] };
const PLUCK: Instrument =
    Instrument { level: 0.55, attack: 0.008, decay: 2.2, partials: &[1.0, 0.35, 0.12, 0.05] };
const PAD: Instrument = Instrument { level: 0.16, attack: 0.9, decay: 0.7, partials: &[1.0, 0.2] };
const BELL: Instrument =
    Instrument { level: 0.4, attack: 0.012, decay: 1.4, partials: &[1.0, 0.0, 0.18] };

/// Returns the music, seamless when it is repeated: what sounds on at its end sounds at its beginning.
pub fn music() -> Arc<[i16]> {
    static MUSIC: OnceLock<Arc<[i16]>> = OnceLock::new();
    Arc::clone(MUSIC.get_or_init(render))
}

fn render() -> Arc<[i16]> {
    let mut sum = vec![0.0; BAR * BARS.len()];
    for (index, (root, chord)) in BARS.iter().enumerate() {
        let start = index * BAR;
        add(&mut sum, start, root + 12, &BASS);
        add(&mut sum, start + 5 * EIGHTH, root + 12, &BASS);
        for note in chord {
            add(&mut sum, start, *note, &PAD);
        }
        for (eighth, voice) in FIGURE.iter().enumerate() {
            add(&mut sum, start + eighth * EIGHTH, chord[*voice] + 12, &PLUCK);
        }
    }
    for (bar, eighth, note) in MELODY {
        add(&mut sum, bar * BAR + eighth * EIGHTH, note, &BELL);
    }
    let loudest = sum.iter().fold(0.0_f32, |loudest, sample| loudest.max(sample.abs()));
    sum.iter().map(|sample| (sample / loudest * PEAK).round() as i16).collect()
}

/// Adds a note from `start` on until it has died away, around the end and into the beginning.
fn add(sum: &mut [f32], start: usize, semitones: i32, instrument: &Instrument) {
    let turn = 110.0 * 2_f64.powf(f64::from(semitones) / 12.0) * TAU / f64::from(RATE);
    let rate = RATE as f32;
    let attack = instrument.attack * rate;
    let falls = (-instrument.decay / rate).exp();
    // To a thousandth, and then down to nothing within 20 ms.
    let length = (attack + 6.9 / instrument.decay * rate) as usize;
    let partials = instrument.partials.iter().zip(1_u8..).filter(|(level, _)| **level > 0.0);
    let mut partials: Vec<(f32, Wave)> = partials
        .map(|(level, number)| (level * instrument.level, Wave::new(turn * f64::from(number))))
        .collect();
    let (mut at, mut fall) = (start, 1.0);
    for index in 0..length {
        let rise = (index as f32 / attack).min(1.0);
        if index as f32 > attack {
            fall *= falls;
        }
        let end = ((length - index) as f32 / 160.0).min(1.0);
        let wave: f32 = partials.iter_mut().map(|(level, wave)| *level * wave.next()).sum();
        sum[at] += wave * rise * fall * end;
        at = if at + 1 == sum.len() { 0 } else { at + 1 };
    }
}

/// A sine, each sample made of the two before it.
struct Wave {
    twice_cosine: f64,
    before: f64,
    now: f64,
}

impl Wave {
    /// Begins at 0; `turn` is what a sample goes on by, in radians.
    fn new(turn: f64) -> Self {
        Self { twice_cosine: 2.0 * turn.cos(), before: -turn.sin(), now: 0.0 }
    }

    fn next(&mut self) -> f32 {
        let next = self.twice_cosine * self.now - self.before;
        self.before = std::mem::replace(&mut self.now, next);
        self.before as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn power(sound: &[i16]) -> f64 {
        sound.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / sound.len() as f64
    }

    fn dbfs(sound: &[i16]) -> f64 {
        10.0 * (power(sound) / 32_768_f64.powi(2)).log10()
    }

    #[test]
    fn the_music_is_of_a_level_that_leaves_room_and_never_silent() {
        let music = music();
        assert!(music.iter().all(|sample| sample.unsigned_abs() <= 7_000));
        let level = dbfs(&music);
        assert!((-30.0..-18.0).contains(&level), "{level} dBFS");
        let softest = music.chunks_exact(4_000).map(dbfs).fold(0.0, f64::min);
        assert!(softest > level - 12.0, "half a second at {softest} dBFS");
    }

    #[test]
    fn the_end_goes_over_into_the_beginning_without_a_click() {
        let music = music();
        // A click is a bend that the music itself does not have.
        let bend = |at: usize| {
            let sample = |offset: usize| i32::from(music[(at + offset) % music.len()]);
            (sample(0) - 2 * sample(1) + sample(2)).abs()
        };
        let inside = (0..music.len() - 2).map(bend).max().unwrap();
        let join = (music.len() - 2..music.len()).map(bend).max().unwrap();
        assert!(join <= inside / 2, "{join} at the join, {inside} inside");
    }

    #[test]
    fn what_a_telephone_carries_carries_the_music() {
        let music = music();
        let block = &music[..8_000];
        let energy = |from: usize, to: usize| -> f64 {
            (from..to)
                .map(|hertz| {
                    let (mut real, mut imaginary) = (0.0, 0.0);
                    for (index, &sample) in block.iter().enumerate() {
                        let turn = (index * hertz % 8_000) as f64 / 8_000.0;
                        let phase = turn * std::f64::consts::TAU;
                        real += f64::from(sample) * phase.cos();
                        imaginary += f64::from(sample) * phase.sin();
                    }
                    real.powi(2) + imaginary.powi(2)
                })
                .sum()
        };
        let (carried, lost) = (energy(200, 3_400), energy(1, 200) + energy(3_400, 4_000));
        assert!(carried > 4.0 * lost, "{carried} carried, {lost} lost");
    }

    #[test]
    fn a_wave_is_a_sine_to_the_end_of_the_longest_note() {
        for turn in [0.08, 0.3, 2.9] {
            let mut wave = Wave::new(turn);
            for index in 0..90_000 {
                let sine = (turn * f64::from(index)).sin() as f32;
                assert!((wave.next() - sine).abs() < 1e-6, "{turn}: sample {index}");
            }
        }
    }

    #[test]
    fn it_takes_its_time_before_it_repeats() {
        assert_eq!(music().len(), 25 * 8_000 + 4_800);
    }
}
