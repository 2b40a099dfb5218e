//! Gains that change without a step.

/// The part of a tick that a ramp from nothing to full takes: 8 ms of 20.
const RAMP: f32 = 0.4;

/// A gain on its way to where it should be.
#[derive(Debug, Clone, Copy)]
pub struct Fade {
    now: f32,
    target: f32,
}

impl Fade {
    /// Starts at rest.
    pub const fn at(gain: f32) -> Self {
        Self { now: gain, target: gain }
    }

    /// Sets where to go.
    pub fn to(&mut self, gain: f32) {
        self.target = gain;
    }

    /// Whether nothing passes, now and in the next frame.
    pub fn is_silent(self) -> bool {
        self.now == 0.0 && self.target == 0.0
    }

    /// Whether everything passes unchanged.
    pub fn is_unity(self) -> bool {
        self.now == 1.0 && self.target == 1.0
    }

    /// Whether it is where it is going.
    pub fn is_settled(self) -> bool {
        self.now == self.target
    }

    /// Where it is going.
    pub fn target(self) -> f32 {
        self.target
    }

    /// Adds a tick of sound to `sum`, ramping. At rest on 1.0 it adds the samples as they are.
    pub fn add(&mut self, sum: &mut [i32], frame: &[i32]) {
        self.add_each(sum, frame.iter().copied());
    }

    /// Adds a tick of sound as [`Self::add`] does, as its samples are made.
    pub fn add_each(&mut self, sum: &mut [i32], frame: impl Iterator<Item = i32>) {
        if self.is_unity() {
            for (sum, sample) in sum.iter_mut().zip(frame) {
                *sum += sample;
            }
            return;
        }
        if self.is_silent() {
            return;
        }
        let step = 1.0 / (RAMP * sum.len() as f32);
        for (sum, sample) in sum.iter_mut().zip(frame) {
            self.step(step);
            *sum += (sample as f32 * self.now).round() as i32;
        }
    }

    /// Turns a tick of sound down, ramping.
    pub fn apply(&mut self, frame: &mut [i32]) {
        let step = 1.0 / (RAMP * frame.len() as f32);
        for sample in frame {
            self.step(step);
            *sample = (*sample as f32 * self.now).round() as i32;
        }
    }

    /// Goes on by a tick, as if sound had been added in it.
    pub fn pass(&mut self) {
        self.step(1.0 / RAMP);
    }

    fn step(&mut self, step: f32) {
        self.now += (self.target - self.now).clamp(-step, step);
        if (self.target - self.now).abs() < 1e-6 {
            self.now = self.target;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::Rate;

    #[test]
    fn a_tick_that_passes_is_one_in_which_sound_was_added() {
        for (from, to) in [(0.0, 1.0), (1.0, 0.0), (0.3, 4.0), (4.0, 0.5), (0.7, 0.7)] {
            for rate in Rate::ALL {
                let [mut added, mut passed] = [Fade::at(from); 2];
                added.to(to);
                passed.to(to);
                let mut sum = vec![0; rate.samples()];
                for _ in 0..3 {
                    added.add(&mut sum, &vec![1; rate.samples()]);
                    passed.pass();
                    assert!((added.now - passed.now).abs() < 1e-4, "{added:?}, {passed:?}");
                }
                assert!(added.is_settled() && passed.is_settled());
            }
        }
    }

    #[test]
    fn a_mute_takes_eight_milliseconds_at_every_rate_and_ends_in_silence() {
        for rate in Rate::ALL {
            let mut fade = Fade::at(1.0);
            fade.to(0.0);
            let mut frame = vec![0; rate.samples()];
            fade.add(&mut frame, &vec![10_000; rate.samples()]);
            let ramp = rate.samples() * 2 / 5;
            let step = (10_000 / ramp + 4) as i32;
            assert!(frame.windows(2).all(|pair| pair[0] >= pair[1] && pair[0] - pair[1] <= step));
            assert!(frame[..ramp - 4].iter().all(|&sample| sample > 0), "{rate:?}");
            assert!(frame[ramp + 1..].iter().all(|&sample| sample == 0), "{rate:?}");
        }
    }
}
