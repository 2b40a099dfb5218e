//! What is heard while play-out changes, and what a voice goes through before anybody hears it.

use media::{Codec, Event};

use crate::ears::{breaks, loudness, rough_max};
use crate::phone::{AMPLITUDE, CODECS, Delivery, Phone, silence, tone};
use crate::rooms::{Street, leg};

const HERTZ: f64 = 450.0;

#[test]
fn a_network_that_begins_to_vary_is_followed_without_a_click() {
    for codec in CODECS {
        let phones = [tone(HERTZ, AMPLITUDE), silence()].map(|voice| Phone::new(codec, voice));
        let mut street = Street::of(phones);
        street.run(8_000);
        for late_ms in [20, 40, 60] {
            street.phones[0].delivery = Delivery::UpTo(late_ms);
            let before = street.stats(0);
            for second in 0..7 {
                street.run(1_000);
                let mut faults = breaks(&street.phones[1], HERTZ);
                if matches!(codec, Codec::Opus(_)) {
                    // What its own concealment makes of the one packet that is missed is smooth, but faint.
                    faults.retain(|&(_, _, rough)| f64::from(rough) > rough_max(codec));
                }
                assert!(faults.is_empty(), "{codec:?}, {late_ms} ms, {second} s: {faults:?}");
            }
            let after = street.stats(0);
            // A packet at most is made up for before play-out waits for the others.
            assert!(after.concealed_samples - before.concealed_samples <= 320, "{after:?}");
            assert!(after.delay_ms < late_ms as f32 + 30.0, "{codec:?}, {late_ms} ms: {after:?}");
        }
    }
}

#[test]
fn a_voice_beside_zero_is_brought_there_without_a_step() {
    for codec in CODECS {
        let voice = tone(HERTZ, AMPLITUDE);
        let beside = Box::new(move |seconds| voice(seconds) + 2_000.0);
        let mut street =
            Street::of([Phone::new(codec, beside), Phone::new(Codec::Pcmu, silence())]);
        street.run(8_000);
        street.run(2_000);
        let heard = &street.phones[1].heard;
        let mean = heard.iter().map(|&sample| f64::from(sample)).sum::<f64>() / heard.len() as f64;
        assert!(mean.abs() < 20.0, "{codec:?} is beside zero by {mean}");
        assert!((loudness(heard) - AMPLITUDE).abs() < 0.05 * AMPLITUDE, "{}", loudness(heard));
    }
}

/// A voice of 140 Hz that begins so late and lasts so long.
fn spoken(from: f64, to: f64) -> impl Fn(f64) -> f64 + Send {
    move |seconds| {
        if !(from..to).contains(&seconds) {
            return 0.0;
        }
        let harmonic = |number: u32| {
            (std::f64::consts::TAU * 140.0 * f64::from(number) * seconds).sin() / f64::from(number)
        };
        let syllables = 0.6 + 0.4 * (std::f64::consts::TAU * 4.0 * seconds).sin();
        (1..10).map(harmonic).sum::<f64>() * 4_000.0 * syllables
    }
}

#[test]
fn speech_is_told_of_when_it_has_been_heard_for_200_ms_and_has_been_over_for_800() {
    for codec in CODECS {
        let mut street = Street::of([
            Phone::new(codec, Box::new(spoken(8.0, 10.0))),
            Phone::new(codec, silence()),
        ]);
        let mut told = Vec::new();
        for _ in 0..14_000 / 20 {
            let ms = street.since().as_millis();
            street.tick(|shard, _| {
                while let Some(event) = shard.poll_event() {
                    if let Event::Speech(who, speaks) = event {
                        assert_eq!(who, leg(0));
                        told.push((ms, speaks));
                    }
                }
            });
        }
        let [(begins, true), (ends, false)] = told[..] else { panic!("{codec:?}: {told:?}") };
        // What comes waits for its turn, and two ticks at most.
        assert!((8_200..=8_260).contains(&begins), "{codec:?}: {told:?}");
        assert!((10_800..=10_880).contains(&ends), "{codec:?}: {told:?}");
    }
}
