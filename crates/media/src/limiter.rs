//! What would clip is turned down; everything else is left as it is.

use crate::{Frame, SAMPLES};

/// By how much the gain recovers in a frame.
const RELEASE: f32 = 0.02;
/// Samples over which the gain is lowered.
const ATTACK: usize = 16;

/// One mix's gain.
#[derive(Debug, Clone, Copy)]
pub struct Limiter {
    gain: f32,
}

impl Limiter {
    /// Starts transparent.
    pub const fn new() -> Self {
        Self { gain: 1.0 }
    }

    /// Whether the last frame passed unchanged.
    pub fn is_transparent(self) -> bool {
        self.gain == 1.0
    }

    /// Writes `sum` to `frame` within full scale.
    ///
    /// A whole frame is known before its first sample leaves, so the gain is down in time for
    /// the frame's peak except in its first two milliseconds, where it saturates.
    pub fn limit(&mut self, sum: &[i32; SAMPLES], frame: &mut Frame) {
        let peak = sum.iter().fold(0, |peak, sample| sample.unsigned_abs().max(peak));
        let full = i16::MAX as u32;
        if self.is_transparent() && peak <= full {
            for (out, &sample) in frame.iter_mut().zip(sum) {
                *out = sample as i16;
            }
            return;
        }
        let needed = if peak > full { full as f32 / peak as f32 } else { 1.0 };
        let target = needed.min(self.gain + RELEASE).min(1.0);
        let length = if target < self.gain { ATTACK } else { SAMPLES };
        let step = (target - self.gain) / length as f32;
        for (index, (out, &sample)) in frame.iter_mut().zip(sum).enumerate() {
            if index < length {
                self.gain += step;
            }
            let limited = (sample as f32 * self.gain).round() as i32;
            *out = limited.clamp(-i32::from(i16::MAX), i16::MAX.into()) as i16;
        }
        self.gain = target;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_within_full_scale_passes_bit_exact() {
        let sum: [i32; SAMPLES] = std::array::from_fn(|i| i as i32 * 400 - 32_000);
        let mut frame = [0; SAMPLES];
        Limiter::new().limit(&sum, &mut frame);
        assert!(frame.iter().zip(sum).all(|(&a, b)| i32::from(a) == b));
    }

    #[test]
    fn three_loud_talkers_do_not_wrap_and_the_gain_comes_back() {
        let mut limiter = Limiter::new();
        let mut frame = [0; SAMPLES];
        let loud: [i32; SAMPLES] =
            std::array::from_fn(|i| ((i as f32 * 0.3).sin() * 90_000.0) as i32);
        for _ in 0..10 {
            limiter.limit(&loud, &mut frame);
            assert!(frame.iter().zip(loud).all(|(&a, b)| i32::from(a) * b.signum() >= 0));
        }
        for _ in 0..50 {
            limiter.limit(&[100; SAMPLES], &mut frame);
        }
        assert!(limiter.is_transparent() && frame == [100; SAMPLES]);
    }
}
