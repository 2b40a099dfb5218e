//! What other conference servers get wrong: a test for each defect, in the order of `e2e`'s `tests/defects.rs`, which names them.

use media::{Codec, Command, Hears, Pcm, PlayTo, Rate, RoomId, Route, SLOTS, Speaks};

use crate::ears::{breaks, level, loudness, peak, rough_max, roughness};
use crate::phone::{AMPLITUDE, CODECS, Delivery, OPUS, Phone, silence, tone};
use crate::rooms::{ROOM, Street, leg};

/// Tones of which none is another's harmonic or image.
const TONES: [f64; 4] = [450.0, 750.0, 1_250.0, 1_850.0];
/// What is heard at all, and what is nothing.
const HEARD: f64 = 2_000.0;
const NOTHING: f64 = 100.0;

/// Asserts who hears whom: one row for each listener, `x` where the speaker is heard.
#[track_caller]
fn check(street: &mut Street, rows: &[&str]) {
    street.run(400);
    let heard: Vec<String> = street
        .phones
        .iter()
        .map(|phone| {
            let level = |hertz: f64| level(&phone.heard, hertz, phone.rate());
            let tones = TONES[..street.phones.len()].iter();
            tones
                .map(|&hertz| match level(hertz) {
                    heard if heard > HEARD => 'x',
                    nothing if nothing < NOTHING => '.',
                    _ => '?',
                })
                .collect()
        })
        .collect();
    assert_eq!(heard, rows);
}

/// A room of one phone for each codec, each with a tone of its own.
fn one_of_each() -> Street {
    let mut street = Street::of(
        CODECS
            .into_iter()
            .zip(TONES)
            .map(|(codec, hertz)| Phone::new(codec, tone(hertz, AMPLITUDE))),
    );
    street.run(1_000);
    street
}

#[test]
fn three_who_shout_neither_wrap_nor_bring_back_an_own_voice() {
    for codec in [Some(Codec::Pcmu), Some(Codec::G722), Some(OPUS), None] {
        let spoken = CODECS.map(|each| codec.unwrap_or(each));
        let mut street = Street::of(
            spoken
                .into_iter()
                .zip(TONES)
                .map(|(codec, hertz)| Phone::new(codec, tone(hertz, 30_000.0))),
        );
        // The fourth listens.
        street.phones[3].voice = silence();
        street.run(2_000);
        street.run(400);
        for (who, phone) in street.phones.iter().enumerate() {
            let levels = TONES.map(|hertz| level(&phone.heard, hertz, phone.rate()));
            for (speaker, level) in levels[..3].iter().enumerate() {
                let wanted = if speaker == who { 0.0..300.0 } else { 8_000.0..33_000.0 };
                assert!(wanted.contains(level), "{codec:?}: {who} hears {levels:?}");
            }
            let jumps = phone.heard.windows(2).any(|two| two[0].abs_diff(two[1]) > 45_000);
            assert!(!jumps, "{codec:?}: a sum wraps");
        }
    }
}

#[test]
fn a_tone_of_ten_minutes_has_no_break() {
    for (codec, seconds) in [(Codec::Pcmu, 600), (Codec::G722, 60), (OPUS, 20)] {
        let listener = Phone::new(codec, silence());
        let mut street = Street::of([Phone::new(codec, tone(1_000.0, AMPLITUDE)), listener]);
        street.run(2_000);
        let before = street.stats(0).concealed_samples;
        for second in 0..seconds {
            street.run(1_000);
            assert!(street.phones[1].heard.len() == codec.rate().hertz() as usize);
            let faults = breaks(&street.phones[1], 1_000.0);
            assert!(faults.is_empty(), "{codec:?}, {second} s: {faults:?}");
        }
        assert_eq!(street.stats(0).concealed_samples, before);
        assert_eq!(street.stats(0).rx_late, 0);
    }
}

#[test]
fn packets_of_one_to_a_hundred_and_twenty_milliseconds_are_heard_alike() {
    for codec in CODECS {
        let lengths: &[u8] = match codec {
            Codec::Opus(_) => &[40, 60, 120],
            _ => &[1, 10, 20, 30, 40, 60, 120],
        };
        for &ms in lengths {
            let mut street = Street::of([
                Phone::new(codec, tone(450.0, AMPLITUDE)).with_packets(ms),
                Phone::new(codec, silence()),
            ]);
            street.run(8_000);
            let before = street.stats(0).concealed_samples;
            street.run(4_000);
            let faults = breaks(&street.phones[1], 450.0);
            assert!(faults.is_empty(), "{codec:?} of {ms} ms: {faults:?}");
            let stats = street.stats(0);
            assert_eq!(stats.concealed_samples, before, "{codec:?} of {ms} ms: {stats:?}");
            // What we send is as long as it may be.
            let wanted = match ms {
                10 | 30 | 40 | 60 if codec.is_stateless() => usize::from(ms),
                _ => 20,
            };
            if codec.is_stateless() {
                assert!(
                    street.phones[0].packets.abs_diff(4_000 / wanted) <= 1,
                    "{codec:?}: {ms} ms"
                );
            }
        }
    }
}

#[test]
fn packets_that_come_in_bursts_are_heard_without_a_break() {
    for codec in CODECS {
        for every_ms in [60, 100, 200] {
            let mut talker = Phone::new(codec, tone(450.0, AMPLITUDE));
            talker.delivery = Delivery::Bursts(every_ms);
            let mut street = Street::of([talker, Phone::new(codec, silence())]);
            street.run(6_000);
            let before = street.stats(0).concealed_samples;
            street.run(6_000);
            let faults = breaks(&street.phones[1], 450.0);
            assert!(faults.is_empty(), "{codec:?}, every {every_ms} ms: {faults:?}");
            let stats = street.stats(0);
            assert_eq!(
                stats.concealed_samples, before,
                "{codec:?}, every {every_ms} ms: {stats:?}"
            );
            assert!(stats.delay_ms < every_ms as f32 + 40.0, "{codec:?}: {stats:?}");
        }
    }
}

#[test]
fn what_comes_at_once_after_a_gap_leaves_no_lasting_delay() {
    // One whose packets are decoded as they come, and one whose packets wait.
    for codec in [Codec::Pcmu, Codec::G722] {
        let phones = [tone(450.0, AMPLITUDE), silence()].map(|voice| Phone::new(codec, voice));
        let mut street = Street::of(phones);
        street.run(8_000);
        let end = street.since().as_millis() as u64 + 1_000;
        street.phones[0].delivery = Delivery::NotBefore(end);
        street.run(1_200);
        assert!(street.stats(0).delay_ms < 350.0, "{codec:?}: {:?}", street.stats(0));
        // Faster than this, play-out would be heard to hurry.
        street.run(65_000);
        assert!(street.stats(0).delay_ms < 60.0, "{codec:?}: {:?}", street.stats(0));
        let faults = breaks(&street.phones[1], 450.0);
        let first = street.phones[1].heard.len() - codec.rate().samples() * 100;
        assert!(faults.iter().all(|fault| fault.0 * codec.rate().samples() < first));
    }
}

#[test]
fn clocks_that_drift_for_an_hour_are_followed_without_a_click() {
    for (codec, minutes) in [(Codec::Pcmu, 60), (Codec::G722, 2), (OPUS, 1)] {
        for ppm in [200.0, -200.0] {
            let mut talker = Phone::new(codec, tone(450.0, AMPLITUDE));
            talker.ppm = ppm;
            let mut street = Street::of([talker, Phone::new(codec, silence())]);
            street.run(1_000);
            let before = street.stats(0).concealed_samples;
            for minute in 0..minutes {
                street.run(60_000);
                let faults = breaks(&street.phones[1], 450.0);
                assert!(faults.is_empty(), "{codec:?}, {ppm} ppm, minute {minute}: {faults:?}");
                let stats = street.stats(0);
                assert!(stats.delay_ms < 80.0, "{codec:?}, {ppm} ppm: {stats:?}");
            }
            assert_eq!(street.stats(0).concealed_samples, before, "{codec:?}, {ppm} ppm");
        }
    }
}

#[test]
fn the_first_syllable_is_heard_from_its_beginning() {
    const WORD_S: f64 = 0.4;
    for codec in CODECS {
        for pause_ms in [20, 400, 5_000, 60_000] {
            // It sends nothing at all before its first word, as phones do that save packets.
            let mut talker = Phone::new(codec, silence());
            talker.quiet = true;
            let mut street = Street::of([talker, Phone::new(codec, silence())]);
            street.run(pause_ms);
            let (begins, word) = (street.since().as_secs_f64(), tone(450.0, AMPLITUDE));
            street.phones[0].quiet = false;
            street.phones[0].voice = Box::new(move |seconds| {
                let said = seconds - begins;
                if (0.0..WORD_S).contains(&said) { word(said) } else { 0.0 }
            });
            street.run(1_000);
            let heard = &street.phones[1].heard;
            let pieces = heard.chunks(codec.rate().samples() / 10);
            let loud = pieces.filter(|piece| loudness(piece) > AMPLITUDE / 2.0).count();
            // Of pieces of 2 ms.
            assert!((196..=203).contains(&loud), "{codec:?} after {pause_ms} ms: {loud}");
        }
    }
}

/// A second of a tone at 8 kHz.
fn file(hertz: f64) -> Pcm {
    let voice = tone(hertz, AMPLITUDE);
    (0..8_000).map(|at| voice(f64::from(at) / 8_000.0) as i16).collect()
}

#[test]
fn who_is_held_hears_the_file_and_after_its_end_nothing() {
    for who in 0..CODECS.len() {
        let mut street = one_of_each();
        street.hold(who, true);
        street.play(9, PlayTo::Leg(leg(who)), file(1_000.0), Some(2));
        street.run(500);
        street.run(1_000);
        let phone = &street.phones[who];
        assert!(level(&phone.heard, 1_000.0, phone.rate()) > HEARD, "{who} hears the file");
        let voices = TONES.map(|hertz| level(&phone.heard, hertz, phone.rate()));
        assert!(voices.iter().all(|&voice| voice < NOTHING), "{who} hears {voices:?}");
        street.run(600);
        street.run(5_000);
        assert!(peak(&street.phones[who].heard) < 40, "{who}: {}", peak(&street.phones[who].heard));
        street.hold(who, false);
        street.run(100);
        check(&mut street, &[".xxx", "x.xx", "xx.x", "xxx."]);
    }
}

#[test]
fn what_a_held_phone_plays_itself_reaches_nobody() {
    for who in 0..CODECS.len() {
        let mut street = one_of_each();
        street.hold(who, true);
        street.run(200);
        // Its own music begins while it is held, and goes on.
        street.phones[who].voice = tone(1_000.0, 20_000.0);
        for _ in 0..5 {
            street.run(1_000);
            for (other, phone) in street.phones.iter().enumerate() {
                let music = level(&phone.heard, 1_000.0, phone.rate());
                assert!(music < 10.0, "{other} hears {who}'s music: {music}");
            }
        }
    }
}

#[test]
fn a_coach_reaches_nobody_else_whoever_comes_and_goes() {
    for (coached, codec) in CODECS.into_iter().enumerate().take(3) {
        let mut street = one_of_each();
        street.route(3, Speaks::Only(vec![leg(coached)]), Hears::Everyone);
        street.run(200);
        // Somebody who comes later hears the others, and not the coach.
        let late = street.join(Phone::new(OPUS, silence()));
        street.run(1_000);
        let hears = |street: &Street, who: usize| {
            let phone = &street.phones[who];
            level(&phone.heard, TONES[3], phone.rate())
        };
        assert!(hears(&street, late) < NOTHING && hears(&street, coached) > HEARD);
        // The coached one leaves: nobody hears the coach, not in the tick in which it happens either.
        street.command(Command::RemoveLeg(leg(coached)));
        for _ in 0..25 {
            street.run(40);
            for who in (0..3).filter(|&who| who != coached).chain([late]) {
                assert!(hears(&street, who) < NOTHING, "{who} hears the coach of {coached}");
            }
        }
        // Another who comes is not taken for it.
        let next = street.join(Phone::new(codec, silence()));
        street.run(1_000);
        assert!(hears(&street, next) < NOTHING, "{next} hears the coach of {coached}");
    }
}

#[test]
fn a_gain_other_than_one_brings_no_echo() {
    for gain in [0.1, 0.5, 1.9, 4.0] {
        let mut street = one_of_each();
        for who in 0..street.phones.len() {
            let route = Route { gain, ..in_the_room() };
            street.place(who, route);
        }
        street.run(200);
        street.run(1_000);
        for (who, phone) in street.phones.iter().enumerate() {
            for (speaker, hertz) in TONES.iter().enumerate() {
                let heard = level(&phone.heard, *hertz, phone.rate());
                let wanted = if speaker == who { 0.0 } else { AMPLITUDE * f64::from(gain) };
                // Coded noise is 50 dB below what is coded.
                let off = wanted * 0.15 + 12_000.0 * f64::from(gain) / 316.0;
                assert!((heard - wanted).abs() < off, "{gain}: {who} hears {speaker} at {heard}");
            }
        }
    }
}

fn in_the_room() -> Route {
    let room = Some(ROOM);
    Route { room, speaks: Speaks::Everyone, hears: Hears::Everyone, ..Route::nowhere() }
}

#[test]
fn neither_alias_nor_image_comes_between_telephones_and_opus() {
    // What lies above half of the listener's rate, and where it would fold to; and where what lies
    // below it would be mirrored.
    for (from, to, hertz, ghost) in [
        (OPUS, Codec::Pcmu, 5_000.0, 3_000.0),
        (OPUS, Codec::Pcmu, 7_000.0, 1_000.0),
        (Codec::G722, Codec::Pcmu, 5_500.0, 2_500.0),
        (Codec::Pcmu, OPUS, 3_000.0, 5_000.0),
        (Codec::Pcmu, Codec::G722, 3_000.0, 5_000.0),
    ] {
        let phones = [Phone::new(from, tone(hertz, 10_000.0)), Phone::new(to, silence())];
        let mut street = Street::of(phones);
        street.run(1_000);
        street.run(4_000);
        let heard = &street.phones[1].heard;
        let ghost = level(heard, ghost, to.rate());
        assert!(ghost < 10.0, "{from:?} to {to:?}: {hertz} Hz leave {ghost}");
        if hertz < f64::from(to.rate().hertz()) / 2.0 {
            assert!(level(heard, hertz, to.rate()) > 7_000.0, "{from:?} to {to:?}");
        }
    }
}

#[test]
fn a_change_of_codec_in_a_room_is_no_hiccup() {
    for from in CODECS {
        for to in CODECS.into_iter().filter(|to| *to != from) {
            // Two others, who talk and listen, and the one who changes.
            let mut street = Street::of([
                Phone::new(Codec::Pcmu, tone(450.0, AMPLITUDE)),
                Phone::new(Codec::Pcmu, silence()),
                Phone::new(from, silence()),
            ]);
            street.run(8_000);
            let agreed = street.phones[2].agree_on(leg(2), to);
            street.command(Command::UpdateLeg(leg(2), Box::new(agreed)));
            street.run(1_000);
            for who in [1, 2] {
                let phone = &street.phones[who];
                // An encoder begins anew, which takes G.722 and Opus some milliseconds.
                let start = if who == 2 { phone.rate().samples() * 3 } else { 0 };
                let rate = phone.rate();
                let rough = roughness(&phone.heard[start..], 450.0, rate);
                assert!(rough < 2.0 * rough_max(phone.codec), "{from:?} to {to:?}, {who}: {rough}");
                let pieces = phone.heard[start..].chunks(rate.samples());
                let quiet = pieces.filter(|piece| loudness(piece) < 0.7 * AMPLITUDE).count();
                assert_eq!(quiet, 0, "{from:?} to {to:?}: {who}");
            }
            // And it is heard itself, in what it speaks now.
            street.phones[2].voice = tone(750.0, AMPLITUDE);
            street.run(200);
            street.run(400);
            assert!(
                level(&street.phones[1].heard, 750.0, Rate::Narrow) > HEARD,
                "{from:?} to {to:?}"
            );
        }
    }
}

#[test]
fn a_thousand_rooms_of_one_who_waits_take_no_more_than_their_packets() {
    let mut street = Street::new();
    for who in 0..1_000 {
        let mut phone = Phone::new(Codec::Pcmu, silence());
        phone.quiet = true;
        street.call(phone);
        street.place(who, Route { room: Some(RoomId(who as u64)), ..in_the_room() });
    }
    street.run(400);
    let before = street.shard.stats();
    street.run(1_000);
    let after = street.shard.stats();
    assert_eq!((after.legs, after.rooms), (1_000, 1_000));
    assert_eq!(after.total.tx_packets - before.total.tx_packets, 50_000);
    assert!(after.encoded - before.encoded <= 4 * 50);
    (0..1_000).for_each(|who| street.command(Command::RemoveLeg(leg(who))));
    street.run(40);
    // What nobody is in is not there.
    assert_eq!((street.shard.stats().legs, street.shard.stats().rooms), (0, 0));
    assert!((0..SLOTS).all(|slot| street.shard.next_part(slot, None).is_none()));
}
