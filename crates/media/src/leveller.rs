//! A voice is brought towards a common level, slowly and only while it speaks; a limiter keeps it from clipping.

use crate::insert::Process;
use crate::level::power;
use crate::limiter::Limiter;
use crate::rate::{Rate, SAMPLES_MAX};
use crate::rounded;

/// The level of active speech that is aimed at, in dB below overload.
const TARGET_DB: f32 = -20.0;
/// The most by which a voice is raised or lowered.
const BOOST_MAX_DB: f32 = 12.0;
const CUT_MAX_DB: f32 = -12.0;
/// By how much the gain moves in a tick: 6 dB in a second of speech.
const STEP_DB: f32 = 0.12;
/// What is nearer to the target is left where it is.
const NEAR_DB: f32 = 1.0;
/// How far below the voice's level a tick may be that still counts as speech: 15.9 dB, as in ITU-T P.56.
const MARGIN: f32 = 0.025_7;
/// Ticks of speech until the level is known, and over how many of them it is a mean: half a second, and two.
const KNOWN_AFTER: u16 = 25;
const MEAN_OF: u16 = 100;
/// Ticks in a row, while somebody speaks, that are too soft for the level: it is measured anew. A voice that
/// pauses for as long no longer speaks.
const ANEW_AFTER: u16 = 50;

/// One leg's leveller.
#[derive(Debug)]
pub struct Leveller {
    rate: Rate,
    /// The mean square of its speech, and of how many ticks.
    level: f32,
    ticks: u16,
    soft: u16,
    gain_db: f32,
    /// The gain at the end of the last tick.
    gain: f32,
    limiter: Limiter,
}

impl Leveller {
    /// Follows the voice's level; returns whether this tick is speech of it.
    fn observe(&mut self, power: f32) -> bool {
        if power < self.level * MARGIN {
            self.soft += 1;
            if self.soft == ANEW_AFTER {
                (self.level, self.ticks, self.soft) = (0.0, 0, 0);
            }
            return false;
        }
        self.soft = 0;
        self.ticks = (self.ticks + 1).min(MEAN_OF);
        self.level += (power - self.level) / f32::from(self.ticks);
        true
    }

    /// Moves the gain by a step at most.
    fn follow(&mut self) {
        let level_db = 10.0 * (self.level / (32_768.0 * 32_768.0)).max(1e-12).log10();
        let wanted = (TARGET_DB - level_db).clamp(CUT_MAX_DB, BOOST_MAX_DB);
        let away = wanted - self.gain_db;
        if away.abs() > NEAR_DB {
            self.gain_db += away.clamp(-STEP_DB, STEP_DB);
        }
    }
}

impl Process for Leveller {
    fn new(rate: Rate) -> Self {
        Self {
            rate,
            level: 0.0,
            ticks: 0,
            soft: 0,
            gain_db: 0.0,
            gain: 1.0,
            limiter: Limiter::new(),
        }
    }

    fn process(&mut self, sound: &[i16], made: &mut [i16], speaking: bool) {
        if speaking && self.observe(power(sound)) && self.ticks >= KNOWN_AFTER {
            self.follow();
        }
        let wanted = 10_f32.powf(self.gain_db / 20.0);
        let step = (wanted - self.gain) / sound.len().max(1) as f32;
        let mut turned = [0; SAMPLES_MAX];
        for (turned, &sample) in turned.iter_mut().zip(sound) {
            self.gain += step;
            *turned = rounded(f32::from(sample) * self.gain);
        }
        self.gain = wanted;
        self.limiter.limit(self.rate, &turned[..sound.len()], made);
    }
}

#[cfg(test)]
mod tests;
