//! A phone that does what none should: it is in a room with two others, and they hear each other as before.

use media::{Channel, Codec, Command, Header, LegOptions, PACKET_MAX, Rate, Suite};
use ropus::{Application, Channels};

use crate::ears::{level, loudness};
use crate::phone::{AMPLITUDE, CODECS, DYNAMIC, OPUS, Phone, address, silence, tone};
use crate::rooms::{Street, leg};

/// The tones of one who talks, and of the odd one where it makes sense.
const TALKER: f64 = 450.0;
const ODD: f64 = 1_250.0;
/// Who listens.
const EAR: usize = 1;
const STRANGE: usize = 2;

/// A room of one who talks and one who listens, in G.711, and one that is to become odd.
fn room(odd: Phone) -> Street {
    let mut street = Street::of([
        Phone::new(Codec::Pcmu, tone(TALKER, AMPLITUDE)),
        Phone::new(Codec::Pcma, silence()),
        odd,
    ]);
    street.run(8_000);
    street
}

/// Lets a second pass in which the odd one sends these payloads, each with its payload type and by how much the
/// timestamp grows; asserts that the talker is heard as before and after, and returns what was heard meanwhile.
#[track_caller]
fn throw(
    street: &mut Street,
    mut payloads: impl FnMut(u32) -> Vec<(u8, u32, Vec<u8>)>,
) -> Vec<i16> {
    street.phones[STRANGE].quiet = true;
    let concealed = street.stats(0).concealed_samples;
    let (mut sequence, mut timestamp) = (1_u16, 1_u32);
    street.run(0);
    for number in 0..50 {
        let packets = payloads(number);
        street.tick(|shard, now| {
            for (payload_type, step, payload) in packets {
                let header = Header { marker: false, payload_type, sequence, timestamp, ssrc: 99 };
                (sequence, timestamp) = (sequence.wrapping_add(1), timestamp.wrapping_add(step));
                let mut packet = [0; PACKET_MAX];
                let length = header.write(&payload, &mut packet);
                let from = address(leg(STRANGE));
                shard.handle_datagram(leg(STRANGE), Channel::Rtp, from, &packet[..length], now);
            }
        });
    }
    let meanwhile = street.phones[EAR].heard.clone();
    let heard = level(&meanwhile, TALKER, Rate::Narrow);
    assert!((heard - AMPLITUDE).abs() < 0.2 * AMPLITUDE, "the talker is heard at {heard}");
    assert_eq!(street.stats(0).concealed_samples, concealed);
    assert!(street.stats(STRANGE).delay_ms <= 512.0);
    // What came is over after half a second, which is as far as anything is kept.
    street.run(1_000);
    let heard = &street.phones[EAR].heard[5_600..];
    assert!((loudness(heard) - AMPLITUDE).abs() < 0.05 * AMPLITUDE, "{}", loudness(heard));
    // And it is a phone like others again.
    street.phones[STRANGE].quiet = false;
    street.phones[STRANGE].voice = tone(ODD, AMPLITUDE);
    street.run(1_000);
    street.run(400);
    for hertz in [TALKER, ODD] {
        let heard = level(&street.phones[EAR].heard, hertz, Rate::Narrow);
        assert!(heard > 0.8 * AMPLITUDE, "{hertz} Hz are heard at {heard}");
    }
    meanwhile
}

/// Octets that look like nothing.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut random = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn of_a_phone_that_agreed_to_send_no_more_nothing_is_made_up() {
    for (codec, ms) in CODECS.into_iter().flat_map(|codec| [(codec, 20), (codec, 60)]) {
        let mut street = room(Phone::new(codec, tone(ODD, AMPLITUDE)).with_packets(ms));
        let concealed = street.stats(STRANGE).concealed_samples;
        street.phones[STRANGE].quiet = true;
        let terms = street.phones[STRANGE].terms(leg(STRANGE));
        let held = LegOptions { receives: false, ..terms };
        street.command(Command::UpdateLeg(leg(STRANGE), Box::new(held)));
        // Play-out has what came before, and what follows fades.
        street.run(200);
        street.run(400);
        let heard = level(&street.phones[EAR].heard, ODD, Rate::Narrow);
        assert!(heard < 0.01 * AMPLITUDE, "{codec:?} of {ms} ms is heard at {heard}");
        assert_eq!(street.stats(STRANGE).concealed_samples, concealed);
    }
}

#[test]
fn a_phone_may_change_its_codec_without_a_word() {
    let mut odd = Phone::new(Codec::Pcmu, tone(ODD, AMPLITUDE));
    odd.also = vec![(8, Codec::Pcma), (9, Codec::G722), (DYNAMIC, OPUS)];
    let mut street = room(odd);
    for codec in CODECS.into_iter().chain(CODECS.into_iter().rev()) {
        // What was agreed on stays.
        street.phones[STRANGE].agree_on(leg(STRANGE), codec);
        street.run(1_000);
        let heard = &street.phones[EAR].heard;
        for (hertz, start) in [(TALKER, 0), (ODD, 3_200)] {
            let heard = level(&heard[start..], hertz, Rate::Narrow);
            assert!((heard - AMPLITUDE).abs() < 0.15 * AMPLITUDE, "{codec:?}: {hertz} Hz, {heard}");
        }
    }
}

/// Sends Opus whose two channels hold a tone each; returns what the ear heard of it.
fn in_two_channels(application: Application, left: (f64, f64), right: (f64, f64)) -> Vec<i16> {
    let mut encoder =
        ropus::Encoder::builder(48_000, Channels::Stereo, application).build().unwrap();
    let mut street = room(Phone::new(OPUS, silence()));
    let voices = [left, right].map(|(hertz, amplitude)| tone(hertz, amplitude));
    let mut at = 0_u32;
    let mut stereo = || {
        let mut sound = Vec::new();
        for _ in 0..960 {
            at += 1;
            sound.extend(voices.each_ref().map(|voice| voice(f64::from(at) / 48_000.0) as i16));
        }
        let mut payload = [0; 1_275];
        let length = encoder.encode(&sound, &mut payload).unwrap();
        assert!(payload[0] & 4 != 0, "it is in two channels");
        payload[..length].to_vec()
    };
    throw(&mut street, |_| vec![(DYNAMIC, 960, stereo())])
}

#[test]
fn opus_in_two_channels_is_heard_as_one() {
    // As music, and as speech is coded.
    for application in [Application::Audio, Application::Voip] {
        let other = 1_000.0;
        for (left, right) in [(AMPLITUDE, AMPLITUDE), (AMPLITUDE, 0.0), (0.0, AMPLITUDE)] {
            let ears = in_two_channels(application, (ODD, left), (other, right));
            for (hertz, amplitude) in [(ODD, left), (other, right)] {
                let heard = level(&ears[3_200..], hertz, Rate::Narrow) / AMPLITUDE;
                // Half of what is in one of two.
                let wanted = amplitude / AMPLITUDE / 2.0;
                assert!((heard - wanted).abs() < 0.1, "{left}, {right}: {hertz} Hz at {heard}");
            }
        }
    }
}

#[test]
fn two_loud_channels_of_opus_are_one_that_is_not_clipped() {
    const LOUD: f64 = 28_000.0;
    let ears = in_two_channels(Application::Audio, (ODD, LOUD), (ODD, LOUD));
    let ears = &ears[3_200..];
    let heard = level(ears, ODD, Rate::Narrow);
    assert!((heard - LOUD).abs() < 0.1 * LOUD, "{heard}");
    // What clips has a third and a fifth harmonic, and the fifth comes back at 1,750 Hz.
    for hertz in [3.0 * ODD, 8_000.0 - 5.0 * ODD] {
        let heard = level(ears, hertz, Rate::Narrow);
        assert!(heard < 0.02 * LOUD, "{hertz} Hz at {heard}");
    }
}

#[test]
fn what_opus_says_of_its_repetitions_need_not_be_true() {
    let mut street = room(Phone::new(OPUS, silence()));
    let mut speaker = media::Encoder::new(OPUS);
    let voice = tone(ODD, AMPLITUDE);
    throw(&mut street, |number| {
        let sound: Vec<i16> =
            (0..960_u32).map(|at| voice(f64::from(at + number * 960) / 48_000.0) as i16).collect();
        let mut payload = [0; media::PAYLOAD_MAX];
        let length = speaker.encode(&sound, &mut payload);
        let mut payload = payload[..length].to_vec();
        // The flag of a repetition that is not there; every other packet is lost, so that it is looked for.
        if let Some(first) = payload.get_mut(1) {
            *first |= 0x40;
        }
        let step = 960;
        if number % 2 == 0 { vec![(DYNAMIC, step, payload)] } else { vec![(1, step, vec![0])] }
    });
}

#[test]
fn packets_that_hold_too_much_or_nothing_are_nothing() {
    for odd in [OPUS, Codec::G722, Codec::Pcmu] {
        let odd = Phone::new(odd, silence());
        let number = odd.payload_type;
        let mut street = room(odd);
        let frames = |count: u8| [&[0x7b, count][..], &noise(3, 60)].concat();
        throw(&mut street, |at| {
            let payloads = [vec![], vec![0xff], frames(63), frames(7), frames(0), noise(at, 1_275)];
            payloads.into_iter().map(|payload| (number, 960, payload)).collect()
        });
    }
}

#[test]
fn payload_types_that_nobody_spoke_of_are_not_heard() {
    let mut street = room(Phone::new(Codec::Pcmu, silence()));
    let dropped = street.stats(STRANGE).rx_dropped;
    let loud = vec![0x80; 160];
    for other in (1..128).filter(|number| ![13, 72, 73, 74, 75, 76, 101].contains(number)) {
        street.tick(|shard, now| {
            let header =
                Header { marker: false, payload_type: other, sequence: 1, timestamp: 1, ssrc: 9 };
            let mut packet = [0; PACKET_MAX];
            let length = header.write(&loud, &mut packet);
            let from = address(leg(STRANGE));
            shard.handle_datagram(leg(STRANGE), Channel::Rtp, from, &packet[..length], now);
        });
    }
    assert_eq!(street.stats(STRANGE).rx_dropped - dropped, 120);
    assert!(loudness(&street.phones[EAR].heard) < 1.05 * AMPLITUDE);
    throw(&mut street, |_| vec![(97, 160, vec![0x80; 160])]);
}

#[test]
fn sound_of_48_khz_under_the_name_of_8_khz_harms_nobody() {
    for (length, step) in [(960, 960), (960, 160), (160, 960)] {
        let mut street = room(Phone::new(Codec::Pcmu, silence()));
        throw(&mut street, |number| vec![(0, step, noise(number, length))]);
    }
    // And Opus that is said to be G.711 or G.722.
    for claimed in [Codec::Pcmu, Codec::G722] {
        let odd = Phone::new(claimed, silence());
        let number = odd.payload_type;
        let mut street = room(odd);
        let mut speaker = media::Encoder::new(OPUS);
        throw(&mut street, |_| {
            let mut payload = [0; media::PAYLOAD_MAX];
            let length = speaker.encode(&[1_000; 960], &mut payload);
            vec![(number, 960, payload[..length].to_vec())]
        });
    }
}

#[test]
fn a_phone_with_another_key_is_silent_and_counted_and_stays() {
    for suite in [Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32, Suite::AeadAes256Gcm] {
        let odd = Phone::new(Codec::Pcmu, tone(ODD, AMPLITUDE)).protected(suite);
        let mut street = room(odd);
        let (before, wrong) = (street.stats(STRANGE), suite.key_length() + suite.salt_length());
        street.phones[STRANGE].protect_by(&vec![77; wrong]);
        street.run(200);
        street.run(2_000);
        let stats = street.stats(STRANGE);
        assert_eq!(stats.rx_packets, before.rx_packets);
        assert!(stats.rx_unproven >= before.rx_unproven + 100, "{stats:?}");
        assert!(level(&street.phones[EAR].heard, ODD, Rate::Narrow) < 20.0);
        // It goes on to hear the others: the call lives.
        let heard = level(&street.phones[STRANGE].heard, TALKER, Rate::Narrow);
        assert!((heard - AMPLITUDE).abs() < 0.05 * AMPLITUDE, "{suite:?}: {heard}");
        assert_eq!(street.shard.stats().legs, 3);
    }
}
