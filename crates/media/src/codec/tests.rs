use super::*;
use crate::codec::OpusOptions;

const OPTIONS: OpusOptions =
    OpusOptions { bitrate: 32_000, fec: false, dtx: false, playback_rate: 48_000, halves: false };
const OPUS: Codec = Codec::Opus(OPTIONS);
const CODECS: [Codec; 4] = [Codec::Pcmu, Codec::Pcma, Codec::G722, OPUS];

/// Returns so many ticks of a voice: harmonics of a pitch that glides, in syllables.
pub fn voice(codec: Codec, ticks: usize) -> Vec<i16> {
    let rate = f64::from(codec.rate().hertz());
    let mut phase = 0.0;
    let sample = |at: usize| {
        let time = at as f64 / rate;
        phase += std::f64::consts::TAU * (140.0 + 30.0 * (time * 5.0).sin()) / rate;
        let sum: f64 = (1..20).map(|n| (phase * f64::from(n)).sin() / f64::from(n)).sum();
        let syllable = (time * 9.0).sin().abs();
        (sum * syllable * 5_000.0) as i16
    };
    (0..ticks * codec.rate().samples()).map(sample).collect()
}

/// Returns the payload of each tick.
pub fn encoded(encoder: &mut Encoder, codec: Codec, sound: &[i16]) -> Vec<Vec<u8>> {
    let mut payload = [0; PAYLOAD_MAX];
    let packet = |tick: &[i16]| {
        let length = encoder.encode(tick, &mut payload);
        payload[..length].to_vec()
    };
    sound.chunks_exact(codec.rate().samples()).map(packet).collect()
}

pub fn decoded(decoder: &mut Decoder, payload: &[u8]) -> Vec<i16> {
    let mut out = [0; PCM_MAX];
    let length = decoder.decode(payload, &mut out).expect("a packet of ours");
    out[..length].to_vec()
}

pub fn power(sound: &[i16]) -> f64 {
    let sum: f64 = sound.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    sum / sound.len() as f64
}

/// Returns the ratio of signal to noise in dB at the best of all delays up to 20 ms.
pub fn likeness(said: &[i16], heard: &[i16]) -> f64 {
    let ratio = |delay: usize| {
        let noise: f64 = said
            .iter()
            .zip(&heard[delay..])
            .map(|(&said, &heard)| (f64::from(said) - f64::from(heard)).powi(2))
            .sum();
        10.0 * (power(said) * said.len() as f64 / noise.max(1.0)).log10()
    };
    (0..960.min(heard.len() / 4)).map(ratio).fold(f64::MIN, f64::max)
}

#[test]
fn a_voice_comes_through_every_codec() {
    for (codec, least) in CODECS.into_iter().zip([30.0, 30.0, 20.0, 3.0]) {
        let said = voice(codec, 100);
        let mut decoder = Decoder::new(codec);
        let heard: Vec<i16> = encoded(&mut Encoder::new(codec), codec, &said)
            .iter()
            .flat_map(|payload| {
                assert_eq!(decoder.samples(payload), Some(codec.rate().samples()));
                decoded(&mut decoder, payload)
            })
            .collect();
        assert_eq!(heard.len(), said.len());
        let ratio = likeness(&said[..said.len() - 1_000], &heard);
        assert!(ratio > least, "{codec:?}: {ratio:.1} dB");
    }
}

#[test]
fn what_is_lost_is_heard_on_and_fades_away() {
    for codec in CODECS {
        let said = voice(codec, 60);
        let mut decoder = Decoder::new(codec);
        let mut heard = Vec::new();
        // Up to a loud place.
        for payload in &encoded(&mut Encoder::new(codec), codec, &said)[..48] {
            heard = decoded(&mut decoder, payload);
        }
        let mut gap = vec![0; codec.rate().samples()];
        let mut levels = Vec::new();
        for _ in 0..25 {
            decoder.conceal(&mut gap);
            levels.push(power(&gap) / power(&heard));
        }
        assert!((0.2..2.0).contains(&levels[0]), "{codec:?}: {levels:?}");
        assert!(levels.iter().all(|&level| level < 2.0), "{codec:?}: {levels:?}");
        assert!(levels[24] < 0.01, "{codec:?}: {levels:?}");
    }
}

/// Returns how far a voice by G.722 is from what it is without loss, its own power being 1, in gaps and for a packet
/// after each; the packet after a gap is known in time, or not.
fn distance_where_packets_are_lost(known: bool) -> f64 {
    let said = voice(Codec::G722, 400);
    let packets = encoded(&mut Encoder::new(Codec::G722), Codec::G722, &said);
    let [mut whole, mut lossy] = [Decoder::new(Codec::G722), Decoder::new(Codec::G722)];
    let (mut distance, mut all) = (0.0, 0.0);
    for (number, packet) in packets.iter().enumerate() {
        let clean = decoded(&mut whole, packet);
        let heard = match number % 6 {
            5 => {
                let mut gap = vec![0; clean.len()];
                let next = packets.get(number + 1).filter(|_| known);
                if !next.is_some_and(|next| lossy.recover(next, &mut gap)) {
                    lossy.conceal(&mut gap);
                }
                gap
            }
            _ => decoded(&mut lossy, packet),
        };
        if matches!(number % 6, 0 | 5) {
            let apart: Vec<i16> =
                clean.iter().zip(&heard).map(|(a, b)| a.wrapping_sub(*b)).collect();
            distance += power(&apart);
            all += power(&clean);
        }
    }
    distance / all
}

#[test]
fn what_follows_a_gap_in_g722_tells_what_was_in_it() {
    let [known, unknown] = [true, false].map(distance_where_packets_are_lost);
    assert!(known < 0.8 * unknown, "{known} against {unknown}");
}

#[test]
fn a_gap_of_any_length_is_filled() {
    for codec in CODECS {
        let said = voice(codec, 10);
        let mut decoder = Decoder::new(codec);
        for payload in encoded(&mut Encoder::new(codec), codec, &said) {
            decoded(&mut decoder, &payload);
        }
        for length in [0, 1, 7, 119, 120, 961, PCM_MAX] {
            decoder.conceal(&mut vec![0; length]);
        }
    }
}

#[test]
fn a_clone_of_an_encoder_goes_on_where_the_original_is() {
    for codec in &CODECS[..3] {
        let said = voice(*codec, 30);
        let (before, after) = said.split_at(said.len() / 2);
        let mut original = Encoder::new(*codec);
        encoded(&mut original, *codec, before);
        let mut clone = original.clone();
        let both = [&mut original, &mut clone].map(|encoder| encoded(encoder, *codec, after));
        assert_eq!(both[0], both[1], "{codec:?}");
    }
}

#[test]
fn packets_that_hold_nothing_or_too_much_are_refused() {
    for codec in CODECS {
        let mut decoder = Decoder::new(codec);
        let long = vec![0xff; PCM_MAX + 1];
        for payload in [&[][..], &long] {
            assert_eq!(decoder.samples(payload), None, "{codec:?}");
            assert_eq!(decoder.decode(payload, &mut [0; PCM_MAX]), None);
        }
        let short = encoded(&mut Encoder::new(codec), codec, &voice(codec, 1)).remove(0);
        assert_eq!(decoder.decode(&short, &mut [0; 10]), None, "{codec:?}: no room");
    }
}

#[test]
fn codecs_are_told_by_their_rates() {
    let told = CODECS.map(|codec| (codec.rate().hertz(), codec.clock(), codec.is_stateless()));
    let opus = (48_000, 48_000, false);
    assert_eq!(told, [(8_000, 8_000, true), (8_000, 8_000, true), (16_000, 8_000, false), opus]);
}

/// How another encoder comes to go on with the work of one.
#[derive(Debug, Clone, Copy)]
enum Another {
    /// It came later and has heard the same since.
    Later,
    Clone,
    /// It is made of what the far end has heard.
    After,
}

/// Returns how loud a tone of 3,000 is at most, of which another encoder goes on where the far end remembers one's work.
fn peak_where_another_goes_on(hertz: f32, another: Another) -> Option<u16> {
    let codec = Codec::Opus(OpusOptions { fec: true, ..OPTIONS });
    let step = hertz / 48_000.0 * std::f32::consts::TAU;
    let tick = |number: usize| -> Vec<i16> {
        (number * 960..(number + 1) * 960)
            .map(|at| ((at as f32 * step).sin() * 3_000.0) as i16)
            .collect()
    };
    let mut heard = Vec::new();
    for ticks in 40..48 {
        let [mut one, mut other] = [Encoder::new(codec), Encoder::new(codec)];
        let mut decoder = Decoder::new(codec);
        for number in 0..ticks {
            heard.extend(decoded(&mut decoder, &encoded(&mut one, codec, &tick(number))[0]));
            if number > 30 {
                encoded(&mut other, codec, &tick(number));
            }
        }
        match another {
            Another::Later => other.stand_apart(),
            Another::Clone => other = one.clone(),
            Another::After => {
                let last = [ticks - 2, ticks - 1].map(tick);
                other = Encoder::after(codec, last.each_ref().map(|tick| &tick[..]), one.has_led());
            }
        }
        for number in ticks..ticks + 10 {
            heard.extend(decoded(&mut decoder, &encoded(&mut other, codec, &tick(number))[0]));
        }
    }
    heard.iter().map(|sample| sample.unsigned_abs()).max()
}

#[test]
fn another_encoder_goes_on_without_a_crack() {
    for hertz in [500.0, 512.0, 1_021.0] {
        for another in [Another::Later, Another::Clone, Another::After] {
            let peak = peak_where_another_goes_on(hertz, another);
            assert!(peak < Some(4_500), "{hertz} Hz, {another:?}: {peak:?}");
        }
    }
}
