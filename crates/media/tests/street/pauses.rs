//! A phone that sends nothing for a while because nobody speaks, with or without a word.

use media::{Channel, Codec, LegStats, Rate};

use crate::ears::loudness;
use crate::phone::{AMPLITUDE, CODECS, OPUS, Phone, address, silence, tone};
use crate::rooms::{Street, leg};

/// Who listens, and who pauses.
const EAR: usize = 0;
const PAUSES: usize = 1;
const HERTZ: f64 = 1_250.0;

fn room(codec: Codec) -> Street {
    let mut street =
        Street::of([Phone::new(Codec::Pcma, silence()), Phone::new(codec, tone(HERTZ, AMPLITUDE))]);
    street.run(8_000);
    street
}

/// Lets it send nothing for so long, and then go on for a second; what it would have sent next is lost `lost` times.
fn pause(street: &mut Street, ms: u32, lost: usize) {
    street.phones[PAUSES].quiet = true;
    street.run(ms);
    (0..lost).for_each(|_| drop(street.phones[PAUSES].sealed(&[])));
    street.phones[PAUSES].quiet = false;
    street.run(1_000);
}

/// Sends one packet of another kind in its name, in its order.
fn send(street: &mut Street, payload_type: u8, payload: &[u8]) {
    let phone = &mut street.phones[PAUSES];
    let usual = std::mem::replace(&mut phone.payload_type, payload_type);
    let packet = phone.sealed(payload);
    phone.payload_type = usual;
    street.tick(|shard, now| {
        shard.handle_datagram(leg(PAUSES), Channel::Rtp, address(leg(PAUSES)), &packet, now);
    });
}

#[track_caller]
fn has_lost_nothing(before: &LegStats, after: &LegStats) {
    assert_eq!(after.concealed_samples, before.concealed_samples);
    assert!(after.mos.unwrap() > before.mos.unwrap() - 0.05, "{before:?} {after:?}");
    assert!(after.delay_ms < before.delay_ms + 5.0, "{before:?} {after:?}");
}

#[test]
fn who_pauses_without_a_word_has_lost_nothing() {
    for codec in CODECS {
        let mut street = room(codec);
        let before = street.stats(PAUSES);
        for ms in [60, 300, 900, 3_000] {
            pause(&mut street, ms, 0);
            has_lost_nothing(&before, &street.stats(PAUSES));
            let heard = loudness(&street.phones[EAR].heard[4_000..]);
            assert!((heard - AMPLITUDE).abs() < 0.2 * AMPLITUDE, "{codec:?}: {heard}");
        }
    }
}

#[test]
fn who_loses_packets_is_counted_as_who_does() {
    for codec in CODECS {
        let mut street = room(codec);
        let before = street.stats(PAUSES);
        pause(&mut street, 60, 3);
        let after = street.stats(PAUSES);
        let lost_ms = (after.concealed_samples - before.concealed_samples) / 8;
        assert!((40..=80).contains(&lost_ms), "{codec:?}: {lost_ms} ms");
        assert!(after.mos < before.mos);
    }
}

#[test]
fn who_says_in_opus_that_nothing_follows_has_lost_nothing_whatever_is_lost_after_it() {
    let mut street = room(OPUS);
    let before = street.stats(PAUSES);
    let number = street.phones[PAUSES].payload_type;
    // The first octet of a packet of speech, and nothing else.
    street.phones[PAUSES].quiet = true;
    send(&mut street, number, &[0x48]);
    street.run(100);
    let paused = street.stats(PAUSES);
    pause(&mut street, 900, 2);
    let after = street.stats(PAUSES);
    assert_eq!(after.concealed_samples, paused.concealed_samples);
    has_lost_nothing(&before, &LegStats { concealed_samples: before.concealed_samples, ..after });
}

#[test]
fn comfort_noise_that_is_described_is_heard_until_there_is_sound() {
    for codec in [Codec::Pcmu, Codec::Pcma] {
        let mut street = room(codec);
        street.phones[PAUSES].quiet = true;
        // 40 dB below overload.
        send(&mut street, 13, &[40]);
        street.run(400);
        street.run(600);
        let heard = loudness(&street.phones[EAR].heard);
        // A sine of that level has a peak of 463.
        assert!((300.0..700.0).contains(&heard), "{codec:?}: {heard}");
        street.phones[PAUSES].voice = silence();
        street.phones[PAUSES].quiet = false;
        street.run(400);
        street.run(400);
        let heard = loudness(&street.phones[EAR].heard);
        assert!(heard < 20.0, "{codec:?}: {heard}");
        assert_eq!(street.phones[EAR].rate(), Rate::Narrow);
    }
}
