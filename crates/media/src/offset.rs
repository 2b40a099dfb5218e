//! A constant offset of a far end's sound is taken away; sound without one is left as it is.

use crate::rounded;

/// What is less is left: -48 dB below full scale. G.711 rounds speech by as much.
const OFFSET_MIN: f32 = 128.0;
/// What is less is left from then on.
const OFFSET_GONE: f32 = 32.0;
/// By how much the offset follows a frame's: within two seconds.
const FOLLOWS: f32 = 0.02;

/// One leg's offset.
#[derive(Debug, Clone, Copy, Default)]
pub struct Offset {
    mean: f32,
    /// What is taken away.
    taken: f32,
}

impl Offset {
    /// Starts with none.
    pub const fn new() -> Self {
        Self { mean: 0.0, taken: 0.0 }
    }

    /// Takes the offset of past frames from this one. A change is spread over the frame.
    pub fn remove(&mut self, frame: &mut [i16]) {
        let sum: i32 = frame.iter().map(|&sample| i32::from(sample)).sum();
        let length = frame.len().max(1) as f32;
        self.mean += (sum as f32 / length - self.mean) * FOLLOWS;
        let least = if self.taken == 0.0 { OFFSET_MIN } else { OFFSET_GONE };
        let target = if self.mean.abs() < least { 0.0 } else { self.mean };
        if self.taken == 0.0 && target == 0.0 {
            return;
        }
        let step = (target - self.taken) / length;
        for sample in frame {
            self.taken += step;
            let moved = rounded(f32::from(*sample) - self.taken);
            *sample = moved.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        }
        self.taken = target;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(at: usize) -> f32 {
        (at as f32 * 0.3).sin() * 8_000.0
    }

    #[test]
    fn sound_without_an_offset_passes_bit_exact() {
        let mut offset = Offset::new();
        for tick in 0..500 {
            let said: Vec<i16> = (tick * 160..(tick + 1) * 160).map(|at| tone(at) as i16).collect();
            let mut heard = said.clone();
            offset.remove(&mut heard);
            assert_eq!(heard, said);
        }
    }

    #[test]
    fn an_offset_is_gone_after_some_seconds_and_moves_without_a_step() {
        let mut offset = Offset::new();
        let mut last = 2_000.0;
        for tick in 0..500 {
            let places = tick * 160..(tick + 1) * 160;
            let mut heard: Vec<i16> =
                places.clone().map(|at| (tone(at) + 2_000.0) as i16).collect();
            offset.remove(&mut heard);
            for (at, &sample) in places.zip(&heard) {
                let off = f32::from(sample) - tone(at);
                assert!((off - last).abs() < 4.0, "{off} after {last}");
                last = off;
            }
        }
        assert!(last.abs() < 40.0, "{last}");
    }
}
