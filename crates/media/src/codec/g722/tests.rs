use super::*;

/// Returns so many samples of tones, each with a frequency in Hz and an amplitude.
fn tones(length: usize, tones: &[(f64, f64)]) -> Vec<i16> {
    let turn = std::f64::consts::TAU / 16_000.0;
    let sample = |at: usize| -> f64 {
        tones.iter().map(|(hertz, high)| (turn * hertz * at as f64).sin() * high).sum()
    };
    (0..length).map(|at| sample(at) as i16).collect()
}

fn through(samples: &[i16]) -> Vec<i16> {
    let mut octets = vec![0; samples.len() / 2];
    let mut heard = vec![0; samples.len()];
    assert_eq!(Encoder::new().encode(samples, &mut octets), octets.len());
    assert_eq!(Decoder::new().decode(&octets, &mut heard), samples.len());
    heard
}

/// Samples by which both mirror filters are late.
const DELAY: usize = 22;

fn signal_to_noise(said: &[i16], heard: &[i16]) -> f64 {
    let pairs = said.iter().zip(&heard[DELAY..]).skip(800);
    let (signal, noise) = pairs.fold((0.0, 1.0), |(signal, noise), (&said, &heard)| {
        let (said, heard) = (f64::from(said), f64::from(heard));
        (signal + said * said, noise + (said - heard).powi(2))
    });
    10.0 * (signal / noise).log10()
}

#[test]
fn tones_of_the_whole_band_come_through() {
    for (hertz, least) in [(60.0, 30.0), (1_000.0, 30.0), (3_000.0, 28.0), (6_000.0, 20.0)] {
        for high in [200.0, 3_000.0, 20_000.0] {
            let said = tones(8_000, &[(hertz, high)]);
            let ratio = signal_to_noise(&said, &through(&said));
            assert!(ratio > least, "{hertz} Hz at {high}: {ratio:.1} dB");
        }
    }
}

#[test]
fn silence_stays_silence_and_full_scale_does_not_wrap() {
    assert!(through(&[0; 3_200]).iter().all(|sample| sample.abs() <= 4));
    let said = tones(8_000, &[(400.0, 32_767.0)]);
    let heard = through(&said);
    let wrapped = said.iter().zip(&heard[DELAY..]).skip(800);
    assert!(wrapped.filter(|(a, b)| a.abs() > 20_000 && (**a > 0) != (**b > 0)).count() == 0);
}

#[test]
fn the_encoder_s_idea_of_the_decoder_is_the_decoder() {
    let said = tones(3_200, &[(300.0, 9_000.0), (5_100.0, 4_000.0)]);
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let (mut octet, mut heard) = ([0], [0; 2]);
    for pair in said.chunks_exact(2) {
        encoder.encode(pair, &mut octet);
        decoder.decode(&octet, &mut heard);
        let states = [&encoder.bands, &decoder.bands].map(|bands| format!("{bands:?}"));
        assert_eq!(states[0], states[1]);
    }
}

#[test]
fn any_octets_are_decoded_and_neither_end_leaves_its_range() {
    let mut random = 1_u32;
    let octets: Vec<u8> = std::iter::repeat_with(|| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 24) as u8
    })
    .take(100_000)
    .collect();
    let mut heard = vec![0; 200_000];
    let mut decoder = Decoder::new();
    for octets in [&octets[..], &[0; 4_000], &[0xff; 4_000], &[0x3f; 4_000], &[0x84; 4_000]] {
        decoder.decode(octets, &mut heard);
        let samples: Vec<i16> = octets.iter().map(|&octet| i16::from(octet) << 8).collect();
        Encoder::new().encode(&samples, &mut vec![0; samples.len()]);
    }
}

/// Returns a hash of octets: FNV-1a.
fn hash(octets: impl Iterator<Item = u8>) -> u64 {
    octets.fold(0xcbf2_9ce4_8422_2325, |sum, octet| {
        (sum ^ u64::from(octet)).wrapping_mul(0x100_0000_01b3)
    })
}

#[test]
fn what_becomes_of_noise_and_steps_of_all_levels_is_known_to_the_bit() {
    let mut random = 1_u32;
    let mut noise = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        random
    };
    let sample = |at: u32| {
        let soft = at / 320 % 16;
        let sample = (noise() as i32 >> 16) >> soft.min(12);
        match at / 37 % 2 {
            0 if soft > 12 => i16::MAX,
            1 if soft > 12 => i16::MIN,
            _ => sample as i16,
        }
    };
    let said: Vec<i16> = (0..96_000).map(sample).collect();
    let mut octets = vec![0; said.len() / 2];
    Encoder::new().encode(&said, &mut octets);
    let any: Vec<u8> = (0..100_000).map(|_| (noise() >> 24) as u8).collect();
    let heard = [&octets, &any].map(|octets| {
        let mut heard = vec![0; octets.len() * 2];
        Decoder::new().decode(octets, &mut heard);
        hash(heard.iter().flat_map(|sample| sample.to_le_bytes()))
    });
    assert_eq!(hash(octets.into_iter()), 0x7f10_ff54_07e6_229c);
    assert_eq!(heard, [0xcc7d_6593_1b1f_f514, 0x2620_1645_bba5_484c]);
}

#[test]
fn the_level_of_each_difference_is_found_at_each_step() {
    let mut bands = Bands::new();
    for step in &Band::<18_432, 8>::TABLE[..289] {
        bands.lower.step = *step;
        for magnitude in 0..=32_767 {
            let level = Q6[..29].partition_point(|level| (level * step.det) >> 12 <= magnitude);
            assert_eq!(bands.level(magnitude), level, "{magnitude} at {}", step.det);
        }
    }
}
