use super::*;
use crate::SAMPLES;
use crate::codec::tests::{decoded, encoded, likeness, power, voice};
use crate::codec::{Codec, Decoder, Encoder, PAYLOAD_MAX};
use crate::g711::{linear_to_ulaw, ulaw_to_linear};
use crate::resample::Resampler;

fn opus(change: impl FnOnce(&mut OpusOptions)) -> Codec {
    let mut options = OpusOptions::default();
    change(&mut options);
    Codec::Opus(options)
}

fn kilobits(packets: &[Vec<u8>]) -> f64 {
    packets.iter().map(Vec::len).sum::<usize>() as f64 * 8.0 / (packets.len() as f64 * 20.0)
}

#[test]
fn the_bitrate_is_what_was_asked_for_within_its_bounds() {
    for (asked, least, most) in [
        (1, 4.0, 9.0),
        (16_000, 6.0, 19.0),
        (32_000, 10.0, 37.0),
        (64_000, 20.0, 72.0),
        (510_000, 20.0, 72.0),
        (0, 10.0, 37.0),
    ] {
        let codec = opus(|options| options.bitrate = asked);
        let packets = encoded(&mut Encoder::new(codec), codec, &voice(codec, 100));
        let made = kilobits(&packets);
        assert!((least..most).contains(&made), "{asked}: {made:.1} kbit/s");
    }
}

#[test]
fn no_more_is_coded_than_the_far_end_plays() {
    for (playback_rate, configs) in [
        (8_000, [0..4, 16..20]),
        (16_000, [0..12, 16..24]),
        (24_000, [0..14, 16..28]),
        (48_000, [0..16, 16..32]),
    ] {
        let codec = opus(|options| {
            options.playback_rate = playback_rate;
            options.bitrate = 64_000;
        });
        for packet in encoded(&mut Encoder::new(codec), codec, &voice(codec, 50)) {
            let config = packet[0] >> 3;
            assert!(
                configs.iter().any(|range| range.contains(&config)),
                "{playback_rate}: {config}"
            );
        }
    }
}

#[test]
fn what_repeats_takes_more_unless_the_far_end_set_a_bound() {
    for (asked, made) in [(0, [32_000, 48_000, 64_000]), (24_000, [24_000; 3])] {
        let mut encoder = super::Encoder::new(OpusOptions {
            bitrate: asked,
            fec: true,
            ..OpusOptions::default()
        });
        let settings = [0, 5, 20].map(|percent| {
            encoder.expect_loss(percent);
            encoder.settings
        });
        assert_eq!(settings.map(|settings| settings.bitrate), made);
        assert!(settings.iter().all(|settings| settings.bandwidth == WIDE_BAND_HZ));
    }
}

#[test]
fn silence_need_not_be_sent_where_that_is_agreed_on() {
    for (dtx, least, most) in [(false, 100, 100), (true, 0, 40)] {
        let codec = opus(|options| options.dtx = dtx);
        let mut sound = voice(codec, 50);
        sound.extend([0; 960 * 100]);
        let packets = encoded(&mut Encoder::new(codec), codec, &sound);
        assert!(packets[5..45].iter().all(|packet| !packet.is_empty()));
        let sent = packets[50..].iter().filter(|packet| !packet.is_empty()).count();
        assert!((least..=most).contains(&sent), "{dtx}: {sent} of 100");
    }
}

#[test]
fn a_lost_packet_is_recovered_from_the_one_after_it() {
    let codec = opus(|options| options.fec = true);
    let said = voice(codec, 100);
    let packets = encoded(&mut Encoder::new(codec), codec, &said);
    let mut whole = Decoder::new(codec);
    let whole: Vec<i16> = packets.iter().flat_map(|packet| decoded(&mut whole, packet)).collect();
    let [mut recovered, mut concealed] = [0.0; 2];
    for (sum, recovers) in [(&mut recovered, true), (&mut concealed, false)] {
        let mut decoder = Decoder::new(codec);
        for (number, packet) in packets.iter().enumerate().skip(1) {
            if number % 5 == 4 {
                let next = packets.get(number + 1).map_or(&[][..], |packet| packet);
                let mut gap = [0; 960];
                if !(recovers && decoder.recover(next, &mut gap)) {
                    decoder.conceal(&mut gap);
                }
                let lost = &whole[number * 960..(number + 1) * 960];
                let off: Vec<i16> =
                    gap.iter().zip(lost).map(|(a, b)| a.saturating_sub(*b)).collect();
                *sum += power(&off);
            } else {
                decoded(&mut decoder, packet);
            }
        }
    }
    assert!(recovered * 2.0 < concealed, "{recovered:.0} and {concealed:.0}");
}

#[test]
fn where_nothing_is_repeated_nothing_is_recovered() {
    let codec = opus(|_| {});
    let packets = encoded(&mut Encoder::new(codec), codec, &voice(codec, 30));
    let mut decoder = Decoder::new(codec);
    for packet in &packets {
        let mut gap = [77; 960];
        assert!(!decoder.recover(packet, &mut gap) && gap == [77; 960]);
        decoded(&mut decoder, packet);
    }
}

#[test]
fn a_clone_is_heard_without_a_seam() {
    for bitrate in [16_000, 32_000, 64_000] {
        let codec = opus(|options| options.bitrate = bitrate);
        let said = voice(codec, 80);
        let (before, after) = said.split_at(960 * 40);
        let mut encoder = Encoder::new(codec);
        let mut packets = encoded(&mut encoder, codec, before);
        let mut clone = encoder.clone();
        let mut others = packets.clone();
        packets.extend(encoded(&mut encoder, codec, after));
        others.extend(encoded(&mut clone, codec, after));
        let heard = [packets, others].map(|packets| {
            let mut decoder = Decoder::new(codec);
            packets.iter().flat_map(|packet| decoded(&mut decoder, packet)).collect::<Vec<i16>>()
        });
        for tick in 40..44 {
            let (start, end) = (tick * 960, (tick + 1) * 960);
            let heard = heard.each_ref().map(|heard| &heard[start..end + 960]);
            let [original, clone] = heard.map(|heard| likeness(&said[start..end], heard));
            // What stands by itself, and what follows it, is told with as many bits and less known.
            assert!(clone > original - 1.5, "{bitrate}: {original:.1} and {clone:.1} dB");
        }
    }
}

/// Returns how many ticks of some seconds are noise for more than a hundredth of their power, where a telephone's tone,
/// which begins after some ticks of silence and somewhere in its period, comes in packets of 10 ms.
fn noisy(silence: usize, begin: usize) -> usize {
    const TICKS: usize = 300;
    let codec = opus(|options| options.halves = true);
    let (mut encoder, mut decoder) = (Encoder::new(codec), Decoder::new(codec));
    let turn = |rate: Rate| std::f64::consts::TAU * 700.0 / f64::from(rate.hertz());
    let samples = Rate::Narrow.samples();
    let mut up = Resampler::new(Rate::Narrow, Rate::Full);
    let mut said = Vec::new();
    for tick in 0..TICKS {
        let mut narrow = [0; SAMPLES];
        for (at, sample) in narrow.iter_mut().enumerate().filter(|_| tick >= silence) {
            let tone = 8_000.0 * ((tick * samples + at + begin) as f64 * turn(Rate::Narrow)).sin();
            *sample = i32::from(ulaw_to_linear(linear_to_ulaw(tone as i16)));
        }
        let mut full = [0; SAMPLES_MAX];
        up.resample(&narrow, &mut full);
        said.extend(full.map(|sample| sample as i16));
    }
    let mut heard = Vec::new();
    for tick in encoded(&mut encoder, codec, &said) {
        let (first, second) = framing::apart(&tick);
        heard.extend(decoded(&mut decoder, first));
        heard.extend(decoded(&mut decoder, second));
    }
    let is_noisy = |tick: &&[i16]| {
        let part = |by: fn(f64) -> f64| {
            let samples = tick.iter().enumerate();
            samples.map(|(at, &s)| f64::from(s) * by(at as f64 * turn(Rate::Full))).sum::<f64>()
        };
        let tone = part(f64::sin).hypot(part(f64::cos)) / SAMPLES_MAX as f64;
        power(tick) - 2.0 * tone * tone > 0.02 * tone * tone
    };
    heard.chunks_exact(SAMPLES_MAX).skip(TICKS / 2).filter(is_noisy).count()
}

#[test]
fn packets_of_10_ms_hold_a_tone_without_noise() {
    let noisy: Vec<usize> = (16..40).map(|trial| noisy(trial % 20, 7 * trial)).collect();
    assert!(noisy.iter().all(|&ticks| ticks == 0), "{noisy:?} of 150 ticks");
}

#[test]
fn lengths_are_read_as_the_packets_have_them() {
    for (packet, expected) in [
        (&[0x08][..], Some(960)),     // SILK, 20 ms, empty
        (&[0xfc, 1, 2], Some(960)),   // CELT, 20 ms, stereo
        (&[0xf9, 1, 2], Some(1_920)), // two of them
        (&[0xfb, 6, 0], Some(5_760)), // six of them
        (&[0xfb, 7, 0], None),        // seven: 140 ms
        (&[0xfb, 0, 0], None),        // none
        (&[0xfb], None),              // no count
        (&[0x1b, 2], Some(5_760)),    // SILK, two of 60 ms
        (&[0x83, 48], Some(5_760)),   // CELT, 48 of 2.5 ms
        (&[], None),
    ] {
        assert_eq!(samples(packet), expected, "{packet:02x?}");
    }
    for (packet, start) in [
        (&[0x08, 9][..], Some(1)),
        (&[0x0a, 1, 9, 9], Some(2)), // two lengths
        (&[0x0a, 252, 1, 9], Some(3)),
        (&[0x0b, 2, 9, 9], Some(2)),            // equal lengths
        (&[0x0b, 0x42, 255, 3, 9, 9], Some(4)), // padded
        (&[0x0b, 0x83, 1, 252, 1, 9], Some(5)), // of three, two lengths
        (&[0x0b, 0x83, 1], None),
        (&[0x0b, 0x42, 255], None),
    ] {
        let expected = start.map(|start| &packet[start..]);
        assert_eq!(first_frame(packet), expected, "{packet:02x?}");
    }
}

#[test]
fn no_octets_break_the_decoder() {
    let codec = opus(|options| options.fec = true);
    let packets = encoded(&mut Encoder::new(codec), codec, &voice(codec, 60));
    let mut random = 1_u32;
    let mut next = move |below: usize| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) as usize % below
    };
    let mut decoder = Decoder::new(codec);
    let mut out = [0; PCM_MAX];
    for round in 0..6_000 {
        let mut packet = packets[next(packets.len())].clone();
        match round % 4 {
            0 => packet.truncate(next(packet.len() + 1)),
            1 => packet = (0..next(PAYLOAD_MAX)).map(|_| next(256) as u8).collect(),
            2 => packet[0] = next(256) as u8,
            _ => {}
        }
        for _ in 0..next(4) {
            let place = next(packet.len().max(1));
            if let Some(octet) = packet.get_mut(place) {
                *octet ^= 1 << next(8);
            }
        }
        match next(6) {
            0 => decoder.conceal(&mut out[..next(2_000)]),
            1 => drop(decoder.recover(&packet, &mut out[..960])),
            _ => {
                if let Some(length) = decoder.decode(&packet, &mut out) {
                    assert_eq!(Some(length), decoder.samples(&packet));
                }
            }
        }
    }
    // And it is none the worse for it.
    let said = voice(codec, 60);
    let ratios = [&mut decoder, &mut Decoder::new(codec)].map(|decoder| {
        let heard: Vec<i16> = packets.iter().flat_map(|packet| decoded(decoder, packet)).collect();
        likeness(&said[960 * 20..960 * 50], &heard[960 * 20..])
    });
    assert!((ratios[0] - ratios[1]).abs() < 0.5, "{ratios:?} dB");
}
