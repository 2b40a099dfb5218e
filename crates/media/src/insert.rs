//! What a leg's sound goes through only while that is wanted; without it, sound is left as it is.

use crate::rate::{Rate, SAMPLES_MAX};

/// Ticks for which a new process is only fed: what is on its way in it then has arrived.
const FED_FIRST: u8 = 1;

/// A process that takes a tick of sound and gives one.
pub trait Process {
    /// Starts after silence.
    fn new(rate: Rate) -> Self;

    /// Takes a tick's sound and writes one to `made`; `speaking` says whether somebody spoke until just now.
    fn process(&mut self, sound: &[i16], made: &mut [i16], speaking: bool);
}

/// The place of one process in a leg.
#[derive(Debug)]
pub struct Insert<T> {
    wanted: bool,
    process: Option<Box<T>>,
    /// Ticks until it is heard.
    feeding: u8,
    /// How much of what is heard has gone through it.
    share: f32,
}

impl<T: Process> Insert<T> {
    /// Starts without a process.
    pub const fn new() -> Self {
        Self { wanted: false, process: None, feeding: 0, share: 0.0 }
    }

    /// Says whether sound is to go through it from now on.
    pub fn want(&mut self, wanted: bool, rate: Rate) {
        self.wanted = wanted;
        if wanted && self.process.is_none() {
            self.process = Some(Box::new(T::new(rate)));
            self.feeding = FED_FIRST;
        }
    }

    /// Whether sound is to go through it.
    pub const fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Goes on at another rate, after silence.
    pub fn change_rate(&mut self, rate: Rate) {
        if let Some(process) = &mut self.process {
            **process = T::new(rate);
        }
    }

    /// Lets a tick of sound through. What is switched fades over one tick.
    pub fn apply(&mut self, sound: &mut [i16], speaking: bool) {
        let Some(process) = &mut self.process else { return };
        let mut made = [0; SAMPLES_MAX];
        let made = &mut made[..sound.len()];
        process.process(sound, made, speaking);
        let from = self.share;
        self.share = if self.wanted && self.feeding == 0 { 1.0 } else { 0.0 };
        self.feeding = self.feeding.saturating_sub(1);
        let step = (self.share - from) / sound.len().max(1) as f32;
        if step == 0.0 && from == 1.0 {
            sound.copy_from_slice(made);
        } else if step != 0.0 {
            for (index, (sample, &made)) in sound.iter_mut().zip(made.iter()).enumerate() {
                let share = from + step * (index + 1) as f32;
                // Between two samples there is none that does not fit.
                *sample = (f32::from(*sample) * (1.0 - share) + f32::from(made) * share) as i16;
            }
        }
        if !self.wanted && self.share == 0.0 {
            self.process = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns sound upside down.
    struct Inverter;

    impl Process for Inverter {
        fn new(_: Rate) -> Self {
            Self
        }

        fn process(&mut self, sound: &[i16], made: &mut [i16], _: bool) {
            for (made, &sample) in made.iter_mut().zip(sound) {
                *made = -sample;
            }
        }
    }

    /// Lets ticks of 10,000 through, and checks where each begins and ends.
    fn check(insert: &mut Insert<Inverter>, expected: &[(i16, i16)]) {
        for &(first, last) in expected {
            let mut sound = [10_000; 160];
            insert.apply(&mut sound, false);
            assert!((sound[0] - first).abs() <= 125, "{} and not {first}", sound[0]);
            assert_eq!(sound[159], last);
            assert!(sound.windows(2).all(|pair| (pair[1] - pair[0]).abs() <= 126), "a step");
        }
    }

    #[test]
    fn what_is_switched_is_fed_first_and_fades_over_a_tick() {
        const SAME: (i16, i16) = (10_000, 10_000);
        const TURNED: (i16, i16) = (-10_000, -10_000);
        let mut insert = Insert::new();
        check(&mut insert, &[SAME, SAME]);
        insert.want(true, Rate::Narrow);
        check(&mut insert, &[SAME, (10_000, -10_000), TURNED]);
        insert.want(true, Rate::Narrow);
        check(&mut insert, &[TURNED]);
        insert.want(false, Rate::Narrow);
        check(&mut insert, &[(-10_000, 10_000), SAME]);
        assert!(insert.process.is_none());
        insert.want(true, Rate::Narrow);
        insert.want(false, Rate::Narrow);
        check(&mut insert, &[SAME, SAME]);
        assert!(insert.process.is_none());
    }
}
