//! The ringing that a caller hears, of many countries.
//!
//! Source: ITU-T Operational Bulletin 781, annex: various tones used in national networks.

use std::f64::consts::TAU;

/// The ringing of a country: the tones, and how long it sounds and pauses in turn, in milliseconds.
struct Ringing {
    countries: &'static [&'static str],
    hertz: &'static [u32],
    cadence_ms: &'static [u32],
}

const DOUBLE: &[u32] = &[400, 200, 400, 2_000];
static RINGING: &[Ringing] = &[
    Ringing { countries: &["us-old"], hertz: &[420, 460], cadence_ms: &[2_000, 4_000] },
    Ringing {
        countries: &["uk", "nz", "in", "sg", "my", "au", "za", "ie"],
        hertz: &[400, 450],
        cadence_ms: DOUBLE,
    },
    Ringing { countries: &["jp"], hertz: &[384, 416], cadence_ms: &[1_000, 2_000] },
    Ringing { countries: &["fr"], hertz: &[440], cadence_ms: &[1_500, 3_500] },
    Ringing { countries: &["es"], hertz: &[425], cadence_ms: &[1_500, 3_000] },
    Ringing { countries: &["pt", "se"], hertz: &[425], cadence_ms: &[1_000, 5_000] },
    Ringing { countries: &["il"], hertz: &[400], cadence_ms: &[1_000, 3_000] },
    Ringing { countries: &["tw"], hertz: &[440, 480], cadence_ms: &[1_000, 2_000] },
    Ringing { countries: &["cl"], hertz: &[400], cadence_ms: &[1_000, 3_000] },
    Ringing {
        countries: &[
            "at", "be", "bg", "br", "ch", "cn", "cz", "de", "dk", "ee", "fi", "gr", "hu", "it",
            "lt", "mx", "nl", "no", "pl", "ru", "th",
        ],
        hertz: &[425],
        cadence_ms: &[1_000, 4_000],
    },
];
static AMERICAN: Ringing =
    Ringing { countries: &["us"], hertz: &[440, 480], cadence_ms: &[2_000, 4_000] };
/// The amplitude of each tone: about -22 dBm0.
const AMPLITUDE: f64 = 2_600.0;
/// Samples of the ramp at both ends of a tone: 5 ms.
const RAMP: u32 = 40;

/// Returns the country after which a country's ringing is called: those that ring alike have the same.
pub fn rings_like(country: &str) -> &'static str {
    ringing(country).countries[0]
}

fn ringing(country: &str) -> &'static Ringing {
    RINGING.iter().find(|ringing| ringing.countries.contains(&country)).unwrap_or(&AMERICAN)
}

/// Returns one period of a country's ringing, at 8 kHz; America's where it is not known.
pub fn ring_tone(country: &str) -> Vec<i16> {
    let ringing = ringing(country);
    let mut samples = Vec::new();
    for (index, length_ms) in ringing.cadence_ms.iter().enumerate() {
        let length = length_ms * 8;
        if index % 2 == 1 {
            samples.resize(samples.len() + length as usize, 0);
            continue;
        }
        samples.extend((0..length).map(|at| {
            let tone = |hertz: &u32| (f64::from(at * hertz) / 8_000.0 * TAU).sin();
            let gain = f64::from(at.min(length - at).min(RAMP)) / f64::from(RAMP);
            (ringing.hertz.iter().map(tone).sum::<f64>() * AMPLITUDE * gain) as i16
        }));
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ringing_sounds_and_pauses() {
        for (country, sounds, period) in
            [("us", 2_000, 6_000), ("de", 1_000, 5_000), ("uk", 400, 3_000), ("xx", 2_000, 6_000)]
        {
            let tone = ring_tone(country);
            assert_eq!(tone.len(), period * 8, "{country}");
            let loudest =
                |from: usize, to: usize| tone[from * 8..to * 8].iter().map(|s| s.abs()).max();
            assert!(loudest(0, sounds) > Some(2_000), "{country}");
            assert_eq!(loudest(sounds, sounds + 200), Some(0), "{country}");
        }
    }
}
