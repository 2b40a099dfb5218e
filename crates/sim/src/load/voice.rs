//! What talkers say, so that a listener's sound tells who is in it and when it was said.
//!
//! A talker holds a tone of its own. Once a second, in turn, one talker of a room says a click: 2 ms
//! far above all tones together, by which a frame's way through the server is timed.

use media::Rate;

/// Samples of 20 ms, as they are judged.
pub const SAMPLES: usize = 160;
/// Samples that are judged together: a second.
pub const WINDOW: usize = 8_000;
/// Tones that can be told apart.
pub const TONES: usize = 12;
/// Packets from one click of a room to the next.
pub const CLICK_ROUNDS: u64 = 50;

/// A click is as loud as this, and short of any tone: what a codec makes of it is still one.
const CLICK: f32 = 20_000.0;
const CLICK_HERTZ: usize = 2_000;
/// Samples of it in a second.
const CLICK_PART: usize = 500;
/// A click stays above this in every codec; all tones together do not reach it.
const CLICK_HEARD: u16 = 7_500;
/// What part of a tone is none.
const GONE: f32 = 0.25;
/// All tones of a room together.
const LOUDEST: usize = 6_000;

/// One of [`TONES`] tones, 300 to 1 400 Hz.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tone(usize);

impl Tone {
    /// Returns the tone of a room's talker. Rooms that are [`TONES`] talkers apart share theirs.
    pub fn of(room: usize, talkers: usize, talker: usize) -> Self {
        Self((room * talkers + talker) % TONES)
    }

    fn hertz(self) -> usize {
        300 + 100 * self.0
    }

    /// Returns 20 ms of it: any, as all are the same.
    pub fn frame(self, rate: Rate, amplitude: i16, click: bool) -> Vec<i16> {
        let second = rate.hertz() as usize;
        let wave = |index: usize, hertz: usize, loud: f32, begin: f32| {
            let turn = (index * hertz % second) as f32 / second as f32;
            ((turn + begin) * std::f32::consts::TAU).sin() * loud
        };
        let sample = |index| match click && index < second / CLICK_PART {
            // It begins where it is loud at every rate.
            true => wave(index, CLICK_HERTZ, CLICK, 0.125) as i16,
            false => wave(index, self.hertz(), amplitude.into(), 0.0) as i16,
        };
        (0..rate.samples()).map(sample).collect()
    }
}

/// Returns how loud each of `talkers` talkers is.
pub fn amplitude(talkers: usize) -> i16 {
    (LOUDEST / talkers.max(2)) as i16
}

/// Whether a click is in a sound.
pub fn clicks(sound: &[i16]) -> bool {
    sound.iter().any(|sample| sample.unsigned_abs() > CLICK_HEARD)
}

/// Tells tones by their levels. All of them are whole in a frame, so that none leaks into another.
pub struct Ear {
    /// Of each tone, a frame of its cosine and sine.
    waves: Vec<[(f32, f32); SAMPLES]>,
}

impl Ear {
    pub fn new() -> Self {
        let wave = |tone| {
            std::array::from_fn(|index| {
                let turn = (index * Tone(tone).hertz() % 8_000) as f32 / 8_000.0;
                let (sine, cosine) = (turn * std::f32::consts::TAU).sin_cos();
                (cosine, sine)
            })
        };
        Self { waves: (0..TONES).map(wave).collect() }
    }

    /// Returns how loud a tone is in 20 ms, where it would be 1 by itself at that amplitude.
    pub fn loudness(&self, frame: &[i16], tone: Tone, amplitude: i16) -> f32 {
        self.level(frame, tone.0) / f32::from(amplitude)
    }

    fn level(&self, frame: &[i16], tone: usize) -> f32 {
        let (mut real, mut imaginary) = (0.0, 0.0);
        for (&sample, (cosine, sine)) in frame.iter().zip(&self.waves[tone]) {
            real += f32::from(sample) * cosine;
            imaginary += f32::from(sample) * sine;
        }
        real.hypot(imaginary) * 2.0 / SAMPLES as f32
    }

    /// Says whether a tone is in a part of a sound, by the level that it has in the median frame:
    /// a click is in a few frames only, and while a jitter buffer moves, the pitch is off by up to
    /// 2.5 %. `None` stands for a tone that is neither there nor gone.
    fn hears(&self, part: &[i16], tone: usize, amplitude: i16) -> Option<bool> {
        let mut levels: Vec<f32> =
            part.chunks_exact(SAMPLES).map(|frame| self.level(frame, tone)).collect();
        levels.sort_by(f32::total_cmp);
        let level = levels[levels.len() / 2] / f32::from(amplitude);
        match () {
            () if level >= 0.35 => Some(true),
            () if level < GONE => Some(false),
            () => None,
        }
    }

    /// Returns the breaks in a sound in which these ought to be heard.
    pub fn breaks(&self, sound: &[i16], amplitude: i16, expected: &[Tone]) -> Breaks {
        let (mut breaks, mut length) = (Breaks::default(), 0);
        for frame in sound.chunks_exact(SAMPLES) {
            let missing = |tone: &Tone| self.level(frame, tone.0) < GONE * f32::from(amplitude);
            length = if expected.iter().any(missing) { length + 1 } else { 0 };
            breaks.count += usize::from(length == 1);
            breaks.frames += usize::from(length > 0);
            breaks.longest = breaks.longest.max(length);
        }
        breaks
    }

    /// Says what is wrong with a recording in which exactly `expected` ought to be heard in each part of `window`
    /// samples; nothing when all is well.
    pub fn fault(
        &self,
        sound: &[i16],
        window: usize,
        amplitude: i16,
        expected: &[Tone],
    ) -> Option<String> {
        for (part, window) in sound.chunks_exact(window).enumerate() {
            for tone in 0..TONES {
                let wanted = expected.contains(&Tone(tone));
                if self.hears(window, tone, amplitude) != Some(wanted) {
                    let hertz = Tone(tone).hertz();
                    let what = if wanted { "missing" } else { "heard" };
                    return Some(format!("{hertz} Hz is {what} in part {part}"));
                }
            }
        }
        None
    }
}

/// Frames in which somebody was not heard who ought to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Breaks {
    /// How often it was so.
    pub count: usize,
    /// For how many frames of 20 ms, altogether.
    pub frames: usize,
    /// For how many at the longest.
    pub longest: usize,
}

impl Breaks {
    /// Adds all of another.
    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        self.frames += other.frames;
        self.longest = self.longest.max(other.longest);
    }
}

/// Returns in how many frames of 20 ms there is silence.
pub fn silent_frames(sound: &[i16], amplitude: i16) -> usize {
    let quiet = |frame: &&[i16]| frame.iter().all(|s| s.unsigned_abs() < amplitude as u16 / 8);
    sound.chunks_exact(SAMPLES).filter(quiet).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(parts: &[(usize, i16)], click: bool) -> Vec<i16> {
        let frames = (0..WINDOW / SAMPLES).map(|number| {
            let mut sum = [0_i16; SAMPLES];
            for &(tone, amplitude) in parts {
                let frame = Tone(tone).frame(Rate::Narrow, amplitude, click && number == 3);
                for (sum, sample) in sum.iter_mut().zip(frame) {
                    *sum = sum.saturating_add(sample);
                }
            }
            sum
        });
        frames.flatten().collect()
    }

    #[test]
    fn a_mix_tells_who_is_in_it() {
        for talkers in [2, 3, 8, TONES - 1] {
            let each = amplitude(talkers);
            let parts: Vec<(usize, i16)> = (0..talkers).map(|tone| (tone, each)).collect();
            let sound = second(&parts, false);
            let all: Vec<Tone> = (0..talkers).map(Tone).collect();
            assert_eq!(Ear::new().fault(&sound, WINDOW, each, &all), None, "{talkers}");
            assert!(
                Ear::new()
                    .fault(&sound, WINDOW, each, &all[1..])
                    .is_some_and(|told| told.contains("heard"))
            );
            let more: Vec<Tone> = (0..=talkers).map(Tone).collect();
            assert!(
                Ear::new()
                    .fault(&sound, WINDOW, each, &more)
                    .is_some_and(|told| told.contains("missing"))
            );
        }
    }

    #[test]
    fn a_click_is_found_and_spoils_no_tone() {
        let each = amplitude(2);
        let sound = second(&[(5, each), (6, each)], true);
        assert_eq!(Ear::new().fault(&sound, WINDOW, each, &[Tone(5), Tone(6)]), None);
        let found: Vec<bool> = sound.chunks(SAMPLES).map(clicks).collect();
        assert_eq!(found.iter().position(|&found| found), Some(3));
        assert_eq!(found.iter().filter(|&&found| found).count(), 1);
    }

    #[test]
    fn a_break_is_counted_in_frames() {
        let mut sound = second(&[(0, 3_000)], false);
        sound[1_600..1_600 + 2 * SAMPLES].fill(0);
        assert_eq!(silent_frames(&sound, 3_000), 2);
        sound[4_800..4_800 + 3 * SAMPLES].fill(0);
        let breaks = |tones: &[Tone]| Ear::new().breaks(&sound, 3_000, tones);
        assert_eq!(breaks(&[Tone(0)]), Breaks { count: 2, frames: 5, longest: 3 });
        assert_eq!(breaks(&[]), Breaks::default());
        assert_eq!(breaks(&[Tone(0), Tone(1)]), Breaks { count: 1, frames: 50, longest: 50 });
    }
}
