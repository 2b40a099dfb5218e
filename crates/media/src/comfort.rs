//! Comfort noise: what is heard where the far end says that nobody speaks.
//!
//! Source: RFC 3389 sections 3 and 4: a level, and reflection coefficients of the noise's spectrum.

use crate::rate::Rate;
use crate::rounded;

/// Coefficients that are heeded; the others matter little.
const ORDER_MAX: usize = 10;
/// The quietest that is made, in dB below overload: less is silence.
const LEVEL_MAX: u8 = 90;
/// Samples of a fade from nothing to full: 20 ms at 8 kHz.
const RAMP: f32 = 160.0;

/// One leg's comfort noise.
#[derive(Debug, Clone)]
pub struct ComfortNoise {
    random: u32,
    /// The height of what goes into the filter, and where it is going.
    gain: f32,
    target: f32,
    /// The filter, a lattice: its coefficients, and what is on its way through.
    reflections: [f32; ORDER_MAX],
    backward: [f32; ORDER_MAX],
}

impl ComfortNoise {
    /// Starts silent; `seed` may be anything.
    pub const fn new(seed: u32) -> Self {
        let (reflections, backward) = ([0.0; ORDER_MAX], [0.0; ORDER_MAX]);
        Self { random: seed, gain: 0.0, target: 0.0, reflections, backward }
    }

    /// Takes a payload: from now on its noise is made. One without an octet asks for silence.
    pub fn describe(&mut self, payload: &[u8]) {
        let level = payload.first().map_or(SILENT, |octet| octet & 0x7f);
        let mut left = 1.0;
        self.reflections = [0.0; ORDER_MAX];
        for (reflection, &octet) in self.reflections.iter_mut().zip(payload.iter().skip(1)) {
            // The outermost octets would ring for ever.
            *reflection = ((f32::from(octet) - 127.0) / 127.0).clamp(-0.98, 0.98);
            left *= 1.0 - *reflection * *reflection;
        }
        let power = 10.0_f32.powf(f32::from(level) / -10.0);
        // The filter makes louder what goes in by as much as it predicts of it; noise whose values are
        // spread evenly has a third of the power of its peak.
        self.target = if level > LEVEL_MAX { 0.0 } else { 32_768.0 * (3.0 * power * left).sqrt() };
    }

    /// Fades to silence.
    pub fn stop(&mut self) {
        self.target = 0.0;
    }

    /// Whether it adds nothing.
    pub fn is_silent(&self) -> bool {
        self.gain == 0.0 && self.target == 0.0
    }

    /// Adds the noise of one tick, or of any time at `rate`, to `frame`.
    ///
    /// The description is of noise at 8 kHz. At other rates its spectrum is stretched.
    pub fn add(&mut self, rate: Rate, frame: &mut [i16]) {
        if self.is_silent() {
            return;
        }
        let ramp = RAMP * rate.hertz() as f32 / Rate::Narrow.hertz() as f32;
        let step = (self.target - self.gain) / ramp.min(frame.len().max(1) as f32);
        for sample in frame {
            let left = self.target - self.gain;
            self.gain = if left.abs() <= step.abs() { self.target } else { self.gain + step };
            let noise = self.next();
            *sample = sample.saturating_add(rounded(noise) as i16);
        }
    }

    fn next(&mut self) -> f32 {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mut forward = (self.random >> 8) as f32 / (1 << 23) as f32 - 1.0;
        forward *= self.gain;
        for place in (0..ORDER_MAX).rev() {
            let reflection = self.reflections[place];
            let backward = self.backward[place];
            forward -= reflection * backward;
            if place + 1 < ORDER_MAX {
                self.backward[place + 1] = backward + reflection * forward;
            }
        }
        self.backward[0] = forward;
        forward
    }
}

/// The end of the scale.
const SILENT: u8 = 127;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::level;

    /// Returns a second of noise after it has faded in.
    fn noise(payload: &[u8], rate: Rate) -> Vec<i16> {
        let mut comfort = ComfortNoise::new(1);
        comfort.describe(payload);
        comfort.add(rate, &mut vec![0; rate.samples() * 5]);
        let mut heard = vec![0; rate.samples() * 50];
        comfort.add(rate, &mut heard);
        heard
    }

    /// The likeness of each sample to the next, -1 to 1: 0 is white, more is dark.
    fn colour(heard: &[i16]) -> f64 {
        let product = |step: usize| -> f64 {
            let pairs = heard.iter().zip(&heard[step..]);
            pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        product(1) / product(0)
    }

    #[test]
    fn noise_is_as_loud_as_the_far_end_says() {
        for rate in Rate::ALL {
            for told in [20, 40, 60, 75] {
                for filter in [&[][..], &[200], &[20, 180, 100]] {
                    let heard = level(&noise(&[&[told], filter].concat(), rate));
                    assert!(heard.abs_diff(told) <= 1, "{rate:?}: {told}, {filter:?}: {heard}");
                }
            }
        }
    }

    #[test]
    fn noise_is_as_dark_as_the_far_end_says() {
        let heard =
            [&[30][..], &[30, 20], &[30, 234]].map(|told| colour(&noise(told, Rate::Narrow)));
        assert!(heard[0].abs() < 0.05 && heard[1] > 0.7 && heard[2] < -0.7, "{heard:?}");
    }

    #[test]
    fn silence_is_silent_and_fades_take_20_ms() {
        for payload in [&[][..], &[127], &[0x80 | 127]] {
            assert_eq!(noise(payload, Rate::Narrow), [0; 8_000]);
        }
        let mut comfort = ComfortNoise::new(1);
        comfort.describe(&[10]);
        let mut frame = [0; 160];
        comfort.add(Rate::Narrow, &mut frame);
        assert!(frame[0].abs() < 200 && level(&frame[..40]) > level(&frame[120..]) + 6);
        comfort.stop();
        comfort.add(Rate::Narrow, &mut frame);
        assert!(comfort.is_silent());
    }

    #[test]
    fn any_payload_makes_noise_within_full_scale() {
        let mut random = 1_u32;
        for _ in 0..500 {
            let payload: Vec<u8> = (0..random % 15)
                .map(|_| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (random >> 24) as u8
                })
                .collect();
            random = random.wrapping_add(1);
            let heard = noise(&payload, Rate::Narrow);
            let told = payload.first().map_or(SILENT, |octet| octet & 0x7f);
            assert!(level(&heard) + 3 >= told.min(LEVEL_MAX), "{payload:?}");
        }
    }
}
