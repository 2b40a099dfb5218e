//! Gains that change without a step.

/// Samples in a ramp from nothing to full: 8 ms.
pub const RAMP: f32 = 64.0;

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

    /// Where it is going.
    pub fn target(self) -> f32 {
        self.target
    }

    /// Adds `frame` to `sum`, ramping. At rest on 1.0 it adds the samples as they are.
    pub fn add(&mut self, sum: &mut [i32], frame: &[i32]) {
        if self.is_unity() {
            for (sum, &sample) in sum.iter_mut().zip(frame) {
                *sum += sample;
            }
            return;
        }
        if self.is_silent() {
            return;
        }
        for (sum, &sample) in sum.iter_mut().zip(frame) {
            self.step();
            *sum += (sample as f32 * self.now).round() as i32;
        }
    }

    fn step(&mut self) {
        let step = (self.target - self.now).clamp(-1.0 / RAMP, 1.0 / RAMP);
        self.now += step;
        if (self.target - self.now).abs() < 1e-6 {
            self.now = self.target;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mute_takes_eight_milliseconds_and_ends_in_silence() {
        let mut fade = Fade::at(1.0);
        fade.to(0.0);
        let mut frame = [0; 160];
        fade.add(&mut frame, &[10_000; 160]);
        assert!(frame.windows(2).all(|pair| pair[0] >= pair[1] && pair[0] - pair[1] <= 160));
        assert!(frame[..60].iter().all(|&sample| sample > 0) && frame[64..] == [0; 96]);
    }
}
