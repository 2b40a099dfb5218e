//! Whether somebody speaks: the loudness of a leg's frames against its own noise.

/// Frames of speech until somebody speaks: 200 ms.
pub const STARTS_AFTER: u32 = 10;
/// Frames without speech until somebody has stopped: 800 ms.
pub const STOPS_AFTER: u32 = 40;
/// What is fainter is no speech: the root of the mean square, -45 dB below full scale.
const FAINTEST: f32 = 184.0;
/// How much louder than its noise speech is.
const ABOVE_NOISE: f32 = 3.0;
/// By how much the noise is taken to rise in a frame; it falls at once. What is steady for half a
/// minute is noise.
const RISE: f32 = 1.002;

/// One leg's voice activity.
#[derive(Debug)]
pub struct Activity {
    noise: f32,
    speaking: bool,
    /// Frames in a row that speak for a change.
    against: u32,
}

impl Activity {
    /// Starts silent.
    pub const fn new() -> Self {
        Self { noise: FAINTEST / ABOVE_NOISE, speaking: false, against: 0 }
    }

    /// Takes one frame; returns whether speech has begun or ended with it.
    pub fn observe(&mut self, frame: &[i16]) -> Option<bool> {
        let power: f32 = frame.iter().map(|&sample| f32::from(sample) * f32::from(sample)).sum();
        let loudness = (power / frame.len() as f32).sqrt();
        self.noise = loudness.min(self.noise * RISE).max(FAINTEST / ABOVE_NOISE);
        let loud = loudness > (self.noise * ABOVE_NOISE).max(FAINTEST);
        if loud == self.speaking {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let enough = if self.speaking { STOPS_AFTER } else { STARTS_AFTER };
        if self.against < enough {
            return None;
        }
        self.against = 0;
        self.speaking = loud;
        Some(loud)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Frame, SAMPLES};

    const SILENCE: Frame = [0; SAMPLES];

    fn tone(amplitude: f32) -> Frame {
        std::array::from_fn(|index| ((index as f32 * 0.5).sin() * amplitude) as i16)
    }

    /// Returns what changes, and in which frame, when frames come so often each.
    fn changes(frames: &[(Frame, u32)]) -> Vec<(u32, bool)> {
        let mut activity = Activity::new();
        let all = frames.iter().flat_map(|(frame, often)| (0..*often).map(move |_| frame));
        let heard = (1..).zip(all);
        heard.filter_map(|(number, frame)| Some((number, activity.observe(frame)?))).collect()
    }

    #[test]
    fn speech_begins_after_200_ms_and_ends_after_800_ms_of_silence() {
        let heard = [(SILENCE, 50), (tone(3_000.0), 30), (SILENCE, 60)];
        assert_eq!(changes(&heard), [(60, true), (120, false)]);
    }

    #[test]
    fn a_click_is_no_speech_and_a_pause_between_words_no_end() {
        let words = [(tone(3_000.0), 12), (SILENCE, 30), (tone(3_000.0), 12)];
        assert_eq!(changes(&words), [(10, true)]);
        assert_eq!(changes(&[(SILENCE, 20), (tone(20_000.0), 4), (SILENCE, 60)]), []);
    }

    #[test]
    fn steady_noise_is_no_speech_and_speech_is_heard_above_it() {
        let hum = tone(600.0);
        let heard = changes(&[(hum, 3_000), (tone(8_000.0), 20)]);
        let (ended, spoken) = (heard[1], heard[2]);
        assert!(!ended.1 && ended.0 < 2_000, "{heard:?}");
        assert_eq!(spoken, (3_010, true));
    }
}
