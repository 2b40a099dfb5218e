use super::*;

/// Returns a second of what this gives for each moment, in seconds.
fn second(rate: Rate, sample: impl FnMut(f64) -> f64) -> Vec<i16> {
    seconds(rate, 1.0, sample)
}

fn seconds(rate: Rate, length: f64, mut sample: impl FnMut(f64) -> f64) -> Vec<i16> {
    let hertz = f64::from(rate.hertz());
    (0..(length * hertz) as usize).map(|at| sample(at as f64 / hertz) as i16).collect()
}

fn silence(rate: Rate, frames: usize) -> Vec<i16> {
    vec![0; rate.samples() * frames]
}

fn tone(rate: Rate, frames: usize, high: f64) -> Vec<i16> {
    let length = frames as f64 / 50.0;
    seconds(rate, length, |time| (std::f64::consts::TAU * 637.0 * time).sin() * high)
}

/// Noise between -1 and 1, the same in each run; the greater `colour`, below 1, the darker.
pub(crate) fn noise(colour: f64) -> impl FnMut() -> f64 {
    let mut random = 1_u32;
    let mut last = 0.0;
    move || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let white = f64::from(random >> 8) / f64::from(1 << 23) - 1.0;
        last = last * colour + white * (1.0 - colour * colour).sqrt();
        last
    }
}

/// Syllables of a voice, between pauses.
pub(crate) fn voice(rate: Rate, length: f64, pitch: f64, high: f64) -> Vec<i16> {
    let mut hiss = noise(0.0);
    let mut phase = 0.0;
    seconds(rate, length, |time| {
        phase +=
            std::f64::consts::TAU * (pitch + 20.0 * (time * 4.0).sin()) / f64::from(rate.hertz());
        let sum: f64 = (1..18).map(|n| (phase * f64::from(n)).sin() / f64::from(n).sqrt()).sum();
        let syllable = (time * 13.0).sin().max(0.0).sqrt();
        let word = if time % 1.7 < 1.3 { 1.0 } else { 0.0 };
        sum * syllable * word * high + hiss() * 30.0
    })
}

/// Returns what changes, and in which frame.
fn changes(rate: Rate, sound: &[i16]) -> Vec<(u32, bool)> {
    let mut activity = Activity::new();
    let heard = (1..).zip(sound.chunks_exact(rate.samples()));
    heard.filter_map(|(number, frame)| Some((number, activity.observe(rate, frame)?))).collect()
}

/// Returns how many of the frames are taken for speech.
fn speaking(rate: Rate, sound: &[i16]) -> usize {
    let mut activity = Activity::new();
    let frames = sound.chunks_exact(rate.samples());
    frames
        .filter(|frame| {
            activity.observe(rate, frame);
            activity.speaking
        })
        .count()
}

#[test]
fn speech_begins_after_200_ms_and_ends_after_800_ms_of_silence() {
    for rate in Rate::ALL {
        let heard = [silence(rate, 50), tone(rate, 30, 3_000.0), silence(rate, 60)].concat();
        assert_eq!(changes(rate, &heard), [(60, true), (120, false)], "{rate:?}");
    }
}

#[test]
fn a_click_is_no_speech_and_a_pause_between_words_no_end() {
    for rate in Rate::ALL {
        let word = tone(rate, 12, 3_000.0);
        let words = [word.clone(), silence(rate, 30), word].concat();
        assert_eq!(changes(rate, &words), [(10, true)]);
        let click = tone(rate, 4, 20_000.0);
        assert_eq!(changes(rate, &[silence(rate, 20), click, silence(rate, 60)].concat()), []);
        let click = tone(rate, 2, 20_000.0);
        let said = [tone(rate, 20, 3_000.0), silence(rate, 20), click, silence(rate, 30)].concat();
        assert_eq!(changes(rate, &said), [(10, true), (60, false)], "{rate:?}");
    }
}

#[test]
fn steady_noise_is_no_speech_and_speech_is_heard_above_it() {
    for rate in Rate::ALL {
        let heard = changes(rate, &[tone(rate, 3_000, 600.0), tone(rate, 20, 8_000.0)].concat());
        let (ended, spoken) = (heard[1], heard[2]);
        assert!(!ended.1 && ended.0 < 300, "{heard:?}");
        assert_eq!(spoken, (3_010, true));
    }
}

#[test]
fn noise_of_any_colour_and_hum_begin_nothing() {
    for rate in Rate::ALL {
        for loud in [300.0, 3_000.0, 20_000.0] {
            for colour in [0.0, 0.5, 0.9, 0.97] {
                let mut noise = noise(colour);
                let sound = [silence(rate, 50), seconds(rate, 8.0, |_| noise() * loud)].concat();
                assert_eq!(changes(rate, &sound), [], "{rate:?}, {colour} at {loud}");
            }
            for hertz in [50.0, 60.0, 100.0] {
                let turn = std::f64::consts::TAU * hertz;
                let hum =
                    |time: f64| ((turn * time).sin() + (turn * 3.0 * time).sin() / 20.0) * loud;
                let sound = [silence(rate, 50), seconds(rate, 8.0, hum)].concat();
                assert_eq!(changes(rate, &sound), [], "{rate:?}, {hertz} Hz at {loud}");
            }
        }
    }
}

#[test]
fn voices_high_and_low_are_heard_also_above_noise() {
    for rate in Rate::ALL {
        for pitch in [90.0, 150.0, 240.0, 350.0] {
            for behind in [0.0, 300.0] {
                let mut noise = noise(0.7);
                let mut said = voice(rate, 10.0, pitch, 3_000.0);
                said.iter_mut().for_each(|sample| *sample += (noise() * behind) as i16);
                let speaking = speaking(rate, &said);
                assert!(speaking > 400, "{rate:?}, {pitch} Hz: {speaking} of 500");
            }
        }
    }
}

#[test]
fn what_has_no_pauses_is_soon_no_speech_any_more() {
    for rate in Rate::ALL {
        // Chords of half a second, without gaps between them.
        let chord = |time: f64| -> f64 {
            let root = [220.0, 261.6, 293.7, 196.0][(time * 2.0) as usize % 4];
            let decay = 1.0 - time * 2.0 % 1.0 / 2.0;
            [1.0, 1.25, 1.5]
                .iter()
                .map(|step| (std::f64::consts::TAU * root * step * time).sin())
                .sum::<f64>()
                * 2_000.0
                * decay
        };
        let speaking = speaking(rate, &seconds(rate, 60.0, chord));
        assert!(speaking < 400, "{rate:?}: {speaking} of 3000 frames");
    }
}

#[test]
fn what_was_said_before_delays_nothing() {
    let rate = Rate::Narrow;
    let heard =
        [second(rate, |time| (time * 4_000.0).sin() * 5_000.0), silence(rate, 300)].concat();
    let twice = [heard.clone(), heard].concat();
    assert_eq!(changes(rate, &twice), [(10, true), (90, false), (360, true), (440, false)]);
}
