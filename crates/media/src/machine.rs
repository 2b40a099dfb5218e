//! Whether a person or a machine has answered: by how long it speaks before it waits, and by its tones.
//!
//! A person says a few words and waits. A machine speaks on, and ends with a beep or with silence.
//!
//! Source: Twilio "Answering Machine Detection", for the parameters and answers; ITU-T T.30 for the tone of a
//! called fax.

use std::f32::consts::TAU;
use std::time::Duration;

use crate::{Frame, RATE, SAMPLES, TICK};

/// What is waited for, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detection {
    /// Whether a machine is told of when it has said its greeting, and not at once.
    pub message_end: bool,
    /// How long it may take altogether.
    pub timeout: Duration,
    /// Who speaks for longer is a machine.
    pub speech_threshold: Duration,
    /// After how much silence somebody has stopped speaking.
    pub speech_end_threshold: Duration,
    /// How long it may be silent at first.
    pub silence_timeout: Duration,
}

/// Who has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answerer {
    /// A person.
    Human,
    /// A machine, which speaks.
    MachineStart,
    /// A machine, whose greeting has ended with a beep.
    MachineEndBeep,
    /// A machine, whose greeting has ended with silence.
    MachineEndSilence,
    /// A machine, which spoke until the time was over.
    MachineEndOther,
    /// A fax.
    Fax,
    /// Nobody can say.
    Unknown,
}

/// What is fainter is no sound: the root of the mean square, -45 dB below full scale.
const FAINTEST: f32 = 184.0;
/// How much louder than its noise speech is.
const ABOVE_NOISE: f32 = 3.0;
/// By how much the noise is taken to rise in a tick; it falls at once.
const RISE: f32 = 1.002;
/// Loud ticks in a row that are speech, and no click.
const SPEECH_TICKS: u32 = 3;
/// Ticks of one tone that are a beep.
const BEEP_TICKS: u32 = 6;
/// Ticks of the tone of a called fax.
const FAX_TICKS: u32 = 25;
/// The tone of a called fax, as a bin. Source: ITU-T T.30, CED.
const FAX_BIN: usize = 42;
/// Hertz from one bin to the next.
const BIN_HZ: usize = RATE as usize / SAMPLES;
/// The lowest and the highest tone that is one, as bins: 350 to 3,400 Hz.
const TONES: std::ops::RangeInclusive<usize> = 350 / BIN_HZ..=3_400 / BIN_HZ;
/// How much of all power a tone has.
const PURE: f32 = 0.95;

/// One leg's detection under way.
#[derive(Debug)]
pub(crate) struct Detector {
    detection: Detection,
    window: Box<[f32; SAMPLES]>,
    noise: f32,
    /// Ticks so far.
    now: u32,
    /// Loud ticks in a row.
    loud: u32,
    /// The first and the last tick of what was spoken.
    spoken: Option<(u32, u32)>,
    /// The tone that sounds, as a bin, and for how many ticks.
    tone: (usize, u32),
    is_machine: bool,
}

impl Detector {
    pub fn new(detection: Detection) -> Self {
        let window =
            std::array::from_fn(|at| 0.5 - 0.5 * (TAU * (at as f32 + 0.5) / SAMPLES as f32).cos());
        Self {
            detection,
            window: Box::new(window),
            noise: FAINTEST / ABOVE_NOISE,
            now: 0,
            loud: 0,
            spoken: None,
            tone: (0, 0),
            is_machine: false,
        }
    }

    /// Takes one frame; returns who has answered once that can be said.
    pub fn observe(&mut self, frame: &Frame) -> Option<Answerer> {
        self.now += 1;
        let power: f32 = frame.iter().map(|&sample| f32::from(sample) * f32::from(sample)).sum();
        let loudness = (power / SAMPLES as f32).sqrt();
        self.noise = loudness.min(self.noise * RISE).max(FAINTEST / ABOVE_NOISE);
        let is_loud = loudness > (self.noise * ABOVE_NOISE).max(FAINTEST);
        let tone = if loudness > FAINTEST { self.pure_tone(frame) } else { None };
        if let Some(answerer) = self.tones(tone) {
            return Some(answerer);
        }
        self.loud = if is_loud && tone.is_none() { self.loud + 1 } else { 0 };
        if self.loud >= SPEECH_TICKS {
            let first = self.spoken.map_or(self.now - SPEECH_TICKS, |(first, _)| first);
            self.spoken = Some((first, self.now));
        }
        self.judge()
    }

    /// Follows the tones; returns what they tell.
    fn tones(&mut self, tone: Option<usize>) -> Option<Answerer> {
        let (bin, ticks) = self.tone;
        self.tone = match tone {
            Some(now) if ticks > 0 && now.abs_diff(bin) <= 1 => (bin, ticks + 1),
            Some(now) => (now, 1),
            None => (0, 0),
        };
        if self.tone.1 >= FAX_TICKS && self.tone.0.abs_diff(FAX_BIN) <= 1 {
            return Some(Answerer::Fax);
        }
        let has_ended = ticks >= BEEP_TICKS && self.tone.1 <= 1;
        has_ended.then_some(if self.detection.message_end {
            Answerer::MachineEndBeep
        } else {
            Answerer::MachineStart
        })
    }

    fn judge(&mut self) -> Option<Answerer> {
        let Detection { message_end, timeout, .. } = self.detection;
        let sounds = self.tone.1 > 0;
        if let Some((first, last)) = self.spoken {
            let is_long = TICK * (last - first) >= self.detection.speech_threshold;
            if is_long && !message_end {
                return Some(Answerer::MachineStart);
            }
            self.is_machine |= is_long;
            if TICK * (self.now - last) >= self.detection.speech_end_threshold && !sounds {
                return Some(if self.is_machine {
                    Answerer::MachineEndSilence
                } else {
                    Answerer::Human
                });
            }
        } else if TICK * self.now >= self.detection.silence_timeout && !sounds {
            return Some(Answerer::Unknown);
        }
        let is_over = TICK * self.now >= timeout;
        let late = if self.is_machine { Answerer::MachineEndOther } else { Answerer::Unknown };
        is_over.then_some(late)
    }

    /// Returns the bin of a frame's only tone.
    fn pure_tone(&self, frame: &Frame) -> Option<usize> {
        let windowed: [f32; SAMPLES] =
            std::array::from_fn(|at| f32::from(frame[at]) * self.window[at]);
        let all: f32 = windowed.iter().map(|sample| sample * sample).sum();
        let power = |bin: usize| {
            let turn = 2.0 * (TAU * bin as f32 / SAMPLES as f32).cos();
            let (mut last, mut before) = (0.0_f32, 0.0_f32);
            for &sample in &windowed {
                (last, before) = (sample + turn * last - before, last);
            }
            last * last + before * before - turn * last * before
        };
        let powers = TONES.map(|bin| (bin, power(bin)));
        let (loudest, _) = powers.max_by(|one, other| one.1.total_cmp(&other.1))?;
        let near: f32 = (loudest - 2..=loudest + 2).map(power).sum();
        // Each bin stands for itself and for its mirror.
        (2.0 * near >= PURE * all * SAMPLES as f32).then_some(loudest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: Detection = Detection {
        message_end: false,
        timeout: Duration::from_secs(30),
        speech_threshold: Duration::from_millis(2_400),
        speech_end_threshold: Duration::from_millis(1_200),
        silence_timeout: Duration::from_secs(5),
    };

    /// What sounds for so many ticks: nothing, a voice, or a tone.
    #[derive(Clone, Copy)]
    enum Sounds {
        Nothing,
        Voice,
        Tone(f32),
    }
    use Sounds::{Nothing, Tone, Voice};

    fn frame(sounds: Sounds, tick: usize) -> Frame {
        std::array::from_fn(|at| {
            let time = (tick * SAMPLES + at) as f32 / RATE as f32;
            match sounds {
                Nothing => 0,
                Voice => {
                    let harmonics = (1..8).map(|n| (TAU * 140.0 * n as f32 * time).sin());
                    (harmonics.sum::<f32>() * 1_500.0) as i16
                }
                Tone(hertz) => ((TAU * hertz * time).sin() * 5_000.0) as i16,
            }
        })
    }

    fn answer(detection: Detection, script: &[(Sounds, usize)]) -> Option<(Answerer, usize)> {
        let mut detector = Detector::new(detection);
        let sounds = script.iter().flat_map(|(sounds, ticks)| (0..*ticks).map(|_| *sounds));
        for (tick, sounds) in sounds.enumerate() {
            if let Some(answerer) = detector.observe(&frame(sounds, tick)) {
                return Some((answerer, tick + 1));
            }
        }
        None
    }

    #[test]
    fn a_short_word_is_a_person_and_a_long_one_a_machine() {
        let greets = |ticks| [(Nothing, 25), (Voice, ticks), (Nothing, 100)];
        assert_eq!(answer(DEFAULTS, &greets(50)), Some((Answerer::Human, 135)));
        assert_eq!(answer(DEFAULTS, &greets(110)), Some((Answerer::Human, 195)));
        assert_eq!(answer(DEFAULTS, &greets(150)), Some((Answerer::MachineStart, 145)));
        let strict = Detection { speech_threshold: Duration::from_secs(1), ..DEFAULTS };
        assert_eq!(answer(strict, &greets(110)), Some((Answerer::MachineStart, 75)));
    }

    #[test]
    fn the_end_of_a_greeting_is_a_beep_or_silence_or_the_time() {
        let to_end = Detection { message_end: true, ..DEFAULTS };
        let greeting = [(Voice, 200), (Nothing, 20)];
        let beep = [greeting[0], greeting[1], (Tone(1_000.0), 20), (Nothing, 20)];
        assert_eq!(answer(to_end, &beep), Some((Answerer::MachineEndBeep, 241)));
        let silence = [greeting[0], (Nothing, 100)];
        assert_eq!(answer(to_end, &silence), Some((Answerer::MachineEndSilence, 260)));
        let endless = [(Voice, 30), (Nothing, 10)].repeat(50);
        assert_eq!(answer(to_end, &endless), Some((Answerer::MachineEndOther, 1_500)));
        let brief = [(Voice, 50), (Nothing, 10), (Tone(440.0), 20), (Nothing, 50)];
        assert_eq!(answer(to_end, &brief).unwrap().0, Answerer::MachineEndBeep);
        assert_eq!(answer(to_end, &[(Voice, 50), (Nothing, 100)]).unwrap().0, Answerer::Human);
    }

    #[test]
    fn a_fax_is_told_by_its_tone_and_silence_by_nothing() {
        assert_eq!(answer(DEFAULTS, &[(Tone(2_100.0), 100)]), Some((Answerer::Fax, 25)));
        assert_eq!(answer(DEFAULTS, &[(Nothing, 1_000)]), Some((Answerer::Unknown, 250)));
        assert_eq!(answer(DEFAULTS, &[(Tone(425.0), 2_000)]), Some((Answerer::Unknown, 1_500)));
        let click = [(Nothing, 10), (Voice, 2), (Nothing, 1_000)];
        assert_eq!(answer(DEFAULTS, &click).unwrap().0, Answerer::Unknown);
    }
}
