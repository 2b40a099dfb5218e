use super::*;
use crate::activity::Activity;
use crate::activity::tests::voice;
use crate::limiter::look_ahead;

/// Lets a leveller hear sound as a leg does; returns what comes out, and the gain after each tick.
fn levelled(rate: Rate, sound: &[i16]) -> (Vec<i16>, Vec<f32>) {
    let (mut leveller, mut activity) = (Leveller::new(rate), Activity::new());
    let (mut out, mut gains, mut speaking) = (Vec::new(), Vec::new(), false);
    for tick in sound.chunks_exact(rate.samples()) {
        let mut made = vec![0; tick.len()];
        leveller.process(tick, &mut made, speaking);
        speaking = activity.observe(rate, &made).unwrap_or(speaking);
        out.extend(made);
        gains.push(leveller.gain_db);
    }
    (out, gains)
}

/// Returns the level of active speech in the last seconds, in dB below overload.
fn level_db(rate: Rate, sound: &[i16]) -> f32 {
    let ticks = sound.chunks_exact(rate.samples()).map(power);
    let ticks: Vec<f32> = ticks.skip(500).collect();
    let most = ticks.iter().fold(0.0_f32, |most, &tick| most.max(tick));
    let loud: Vec<f32> = ticks.into_iter().filter(|tick| *tick > most * MARGIN).collect();
    10.0 * (loud.iter().sum::<f32>() / loud.len() as f32 / (32_768.0 * 32_768.0)).log10()
}

#[test]
fn quiet_and_loud_voices_come_near_to_the_target() {
    for rate in Rate::ALL {
        for (high, expected) in [(400.0, -26.0), (1_200.0, TARGET_DB), (5_000.0, TARGET_DB)] {
            let said = voice(rate, 16.0, 150.0, high);
            let (before, after) = (level_db(rate, &said), level_db(rate, &levelled(rate, &said).0));
            assert!((after - expected).abs() < 2.5, "{rate:?}: {before} dB became {after} dB");
        }
    }
}

#[test]
fn the_gain_moves_slowly_and_only_while_somebody_speaks() {
    let rate = Rate::Narrow;
    let quiet = voice(rate, 16.0, 150.0, 300.0);
    let (_, gains) = levelled(rate, &quiet);
    assert!(gains.windows(2).all(|pair| (pair[1] - pair[0]).abs() <= STEP_DB * 1.01));
    for (tick, sound) in gains.windows(2).zip(quiet.chunks_exact(rate.samples()).skip(1)) {
        assert!(power(sound) > 2_000.0 || tick[0] == tick[1], "it moved in a pause");
    }
    assert!(*gains.last().unwrap() > 3.0);
    let room: Vec<i16> = quiet.iter().map(|&sample| sample.clamp(-30, 30)).collect();
    assert!(levelled(rate, &room).1.iter().all(|&gain| gain == 0.0));
}

#[test]
fn a_shout_after_quiet_speech_does_not_clip() {
    let rate = Rate::Wide;
    let mut said = voice(rate, 8.0, 150.0, 300.0);
    let quiet = said.len();
    said.extend(voice(rate, 1.0, 150.0, 6_000.0));
    let (heard, _) = levelled(rate, &said);
    let at_the_end = |sound: &[i16]| {
        sound
            .windows(3)
            .filter(|three| three.iter().all(|&sample| sample.unsigned_abs() >= 32_766))
            .count()
    };
    assert_eq!(at_the_end(&heard[quiet..]), 0);
}

#[test]
fn a_voice_at_the_target_is_left_bit_exact() {
    let rate = Rate::Narrow;
    let said = voice(rate, 6.0, 150.0, 3_000.0);
    let (heard, _) = levelled(rate, &said);
    let late = look_ahead(rate);
    assert_eq!(heard[late..], said[..said.len() - late]);
}
