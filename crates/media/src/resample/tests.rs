use super::*;

/// Ticks that are thrown away before a measurement, and those that are measured: 400 ms.
const SETTLE: usize = 3;
const MEASURED: usize = 20;
/// A sum of 512 voices.
const LOUD: f64 = (1 << 24) as f64;

const PAIRS: [(Rate, Rate); 6] = [
    (Rate::Narrow, Rate::Wide),
    (Rate::Narrow, Rate::Full),
    (Rate::Wide, Rate::Full),
    (Rate::Wide, Rate::Narrow),
    (Rate::Full, Rate::Narrow),
    (Rate::Full, Rate::Wide),
];

/// What a tone of this frequency becomes; begins with the tick after it has settled.
fn resampled(from: Rate, to: Rate, hertz: f64) -> Vec<f64> {
    let mut resampler = Resampler::new(from, to);
    let mut heard = Vec::new();
    let mut output = vec![0; to.samples()];
    for tick in 0..SETTLE + MEASURED {
        let input: Vec<i32> = (tick * from.samples()..(tick + 1) * from.samples())
            .map(|at| (turns(hertz, from, at as f64).sin() * LOUD) as i32)
            .collect();
        resampler.resample(&input, &mut output);
        if tick >= SETTLE {
            heard.extend(output.iter().map(|&sample| f64::from(sample)));
        }
    }
    heard
}

fn turns(hertz: f64, rate: Rate, at: f64) -> f64 {
    2.0 * PI * hertz * at / f64::from(rate.hertz())
}

/// The tone of this frequency in `heard`: the factors of sine and cosine.
fn fitted(heard: &[f64], rate: Rate, hertz: f64) -> (f64, f64) {
    let [mut sine, mut cosine] = [0.0; 2];
    for (at, sample) in heard.iter().enumerate() {
        let (s, c) = turns(hertz, rate, at as f64).sin_cos();
        sine += s * sample;
        cosine += c * sample;
    }
    let half = heard.len() as f64 / 2.0;
    (sine / half, cosine / half)
}

fn decibels(level: f64) -> f64 {
    20.0 * (level / LOUD).max(1e-9).log10()
}

/// The level of all in `heard` that is not this tone, as that of a tone.
fn residue(heard: &[f64], rate: Rate, hertz: f64) -> f64 {
    let (sine, cosine) = fitted(heard, rate, hertz);
    let power = heard.iter().enumerate().map(|(at, sample)| {
        let (s, c) = turns(hertz, rate, at as f64).sin_cos();
        (sample - s * sine - c * cosine).powi(2)
    });
    decibels((2.0 * power.sum::<f64>() / heard.len() as f64).sqrt())
}

/// The frequencies of a sweep; each has whole periods in what is measured, and none its image on itself.
fn sweep(from_hz: u32, to_hz: u32) -> impl Iterator<Item = f64> {
    (from_hz..=to_hz).step_by(50).map(f64::from)
}

fn passband(from: Rate, to: Rate) -> (u32, u32) {
    if from.min(to) == Rate::Narrow { (300, 3_400) } else { (50, 7_000) }
}

/// Returns the greatest level, and of which frequency.
fn worst(sweep: impl Iterator<Item = f64>, level: impl Fn(f64) -> f64) -> (f64, f64) {
    let levels = sweep.map(|hertz| (level(hertz), hertz));
    levels.max_by(|one, other| one.0.total_cmp(&other.0)).unwrap()
}

#[test]
fn what_passes_keeps_its_level_within_half_a_decibel() {
    for (from, to) in PAIRS {
        let (lowest, highest) = passband(from, to);
        let level = |hertz: f64| {
            let (sine, cosine) = fitted(&resampled(from, to, hertz), to, hertz);
            decibels(sine.hypot(cosine)).abs()
        };
        let (worst, hertz) = worst(sweep(lowest, highest), level);
        println!("{from:?} to {to:?}: {worst:.2} dB off at {hertz} Hz");
        assert!(worst < 0.5);
    }
}

#[test]
fn no_image_of_what_is_raised_is_above_minus_60_db() {
    for (from, to) in &PAIRS[..3] {
        let level = |hertz: f64| residue(&resampled(*from, *to, hertz), *to, hertz);
        let (image, hertz) = worst(sweep(50, from.hertz() / 2 - 50), level);
        println!("{from:?} to {to:?}: image of {image:.1} dB at {hertz} Hz");
        assert!(image < -60.0);
    }
}

#[test]
fn no_alias_of_what_is_lowered_is_above_minus_60_db() {
    for (from, to) in &PAIRS[3..] {
        let level = |hertz: f64| {
            let heard = resampled(*from, *to, hertz);
            let power = heard.iter().map(|sample| sample.powi(2)).sum::<f64>();
            decibels((2.0 * power / heard.len() as f64).sqrt())
        };
        let (alias, hertz) = worst(sweep(to.hertz() / 2, from.hertz() / 2 - 50), level);
        println!("{from:?} to {to:?}: alias of {alias:.1} dB at {hertz} Hz");
        assert!(alias < -60.0);
        for hertz in sweep(50, passband(*from, *to).1) {
            let noise = residue(&resampled(*from, *to, hertz), *to, hertz);
            assert!(noise < -90.0, "{from:?} to {to:?}, {hertz} Hz: {noise:.1} dB");
        }
    }
}

#[test]
fn every_sound_is_late_by_the_delay_that_is_told() {
    for (from, to) in PAIRS {
        let late = delay(from, to).as_secs_f64() * f64::from(to.hertz());
        assert!((late - late.round()).abs() < 1e-6, "{from:?} to {to:?}: whole samples");
        let start = (SETTLE * to.samples()) as f64;
        for hertz in [300.0, 1_000.0, 3_150.0] {
            let heard = resampled(from, to, hertz);
            let off = heard.iter().enumerate().map(|(at, sample)| {
                (sample - turns(hertz, to, start + at as f64 - late).sin() * LOUD).abs()
            });
            let off = decibels(off.fold(0.0, f64::max));
            assert!(off < -30.0, "{from:?} to {to:?}, {hertz} Hz: {off:.1} dB");
        }
    }
}

#[test]
fn silence_stays_silence_and_a_sound_ends_within_a_tick() {
    for (from, to) in PAIRS {
        let mut resampler = Resampler::new(from, to);
        let silence = vec![0; from.samples()];
        let mut output = vec![7; to.samples()];
        resampler.resample(&silence, &mut output);
        assert!(resampler.is_silent() && output.iter().all(|&sample| sample == 0));
        let mut click = silence.clone();
        *click.last_mut().unwrap() = 1 << 20;
        resampler.resample(&click, &mut output);
        assert!(!resampler.is_silent());
        resampler.resample(&silence, &mut output);
        assert!(resampler.is_silent() && output.iter().any(|&sample| sample != 0));
        resampler.resample(&silence, &mut output);
        assert!(output.iter().all(|&sample| sample == 0));
    }
}

#[test]
fn equal_rates_pass_everything_on_unchanged() {
    let input: Vec<i32> = (0..160).map(|at| at * 104_729 - 8_000_000).collect();
    let mut output = vec![0; 160];
    Resampler::new(Rate::Narrow, Rate::Narrow).resample(&input, &mut output);
    assert_eq!(input, output);
    assert_eq!(delay(Rate::Wide, Rate::Wide), Duration::ZERO);
}

#[test]
fn a_clone_goes_on_where_the_original_is() {
    let input: Vec<i32> = (0..960).map(|at| at * 7_919 % 20_000).collect();
    let mut original = Resampler::new(Rate::Full, Rate::Wide);
    let [mut one, mut other] = [[0; 320]; 2];
    original.resample(&input, &mut one);
    let mut copy = original.clone();
    original.resample(&input, &mut one);
    copy.resample(&input, &mut other);
    assert_eq!(one, other);
}
