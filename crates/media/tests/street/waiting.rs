//! Music for those who wait: many hear one document, each as if it were played to that one alone.

use media::{
    Channel, Codec, Command, Hears, LegId, OpusOptions, Pcm, PlayTo, PlayerId, RATE, Rate,
    RecordingId, Shard,
};
use media::{SAMPLES, Sound, Source, Speaks, TapId, Track, look_ahead};

use crate::chance::Chance;
use crate::ears::{level, loudness, peak, roughness};
use crate::phone::{AMPLITUDE, CODECS, OPUS, Phone, address, report_of_loss, silence, tone};
use crate::rooms::{ROOM, Street, leg};

/// The tone of the music, and its samples: it goes on over its end, which comes within a tick.
const HERTZ: f64 = 512.0;
const LENGTH: u32 = 125 * 257;

/// Opus of which what was lost is to be repeated.
fn repeating() -> Codec {
    let Codec::Opus(options) = OPUS else { unreachable!() };
    Codec::Opus(OpusOptions { fec: true, ..options })
}

/// A phone whose owner says nothing.
fn waiting(codec: Codec) -> Phone {
    let mut phone = Phone::new(codec, silence());
    phone.quiet = true;
    phone
}

/// Returns so many samples of noise, as loud as can be.
fn noise(samples: usize, chance: &mut Chance) -> Pcm {
    (0..samples).map(|_| chance.below(65_536) as u16 as i16).collect()
}

/// Does the same to two legs.
fn twice(street: &mut Street, command: impl Fn(LegId, u64) -> Command) {
    (0..2).for_each(|who| street.command(command(leg(who), who as u64)));
}

#[test]
fn what_a_telephone_is_sent_that_waits_is_to_the_octet_what_it_is_sent_alone() {
    for (codec, seed) in [Codec::Pcmu, Codec::Pcma].into_iter().cycle().zip(1..=12) {
        let mut chance = Chance::new(seed);
        let talker = Phone::new(Codec::Pcmu, tone(450.0, AMPLITUDE));
        let mut street = Street::of([waiting(codec), waiting(codec), talker]);
        // What is recorded is encoded for one alone.
        street.command(Command::Record(RecordingId(1), Source::Leg(leg(0), Track::Outbound)));
        let documents = [90, 160, 167, 1_234, 4_000].map(|length| noise(length, &mut chance));
        for step in 0..120 {
            let pcm = &documents[chance.below(documents.len())];
            let earlier = chance.below(step as usize + 1) as u64 * 2;
            let (loops, paused) = (chance.of(&[None, Some(1), Some(3)]), chance.one_in(2));
            let held = !chance.one_in(4);
            match chance.below(7) {
                0 | 1 => twice(&mut street, |to, who| {
                    let (player, to, pcm) =
                        (PlayerId(step * 2 + who), PlayTo::Leg(to), pcm.clone());
                    Command::Play { player, to, pcm, loops, paused: false }
                }),
                2 => twice(&mut street, |_, who| Command::Stop(PlayerId(earlier + who))),
                3 => twice(&mut street, |_, who| Command::Pause(PlayerId(earlier + who), paused)),
                4 => (0..2).for_each(|who| street.hold(who, held)),
                _ => {}
            }
            street.run(20 + 20 * chance.below(12) as u32);
            let [alone, shared, ..] = &street.phones[..] else { unreachable!() };
            assert!(alone.payloads == shared.payloads, "seed {seed}, {codec:?}, step {step}");
            assert!(!alone.payloads.is_empty());
        }
    }
}

fn music() -> Pcm {
    music_of(HERTZ, LENGTH)
}

fn music_of(hertz: f64, length: u32) -> Pcm {
    let voice = tone(hertz, AMPLITUDE);
    (0..length).map(|at| voice(f64::from(at) / f64::from(RATE)) as i16).collect()
}

/// Plays the music to so many legs that wait, all from the same tick on.
fn play(street: &mut Street, pcm: &Pcm, legs: std::ops::Range<usize>) {
    for who in legs {
        street.play(who as u64, PlayTo::Leg(leg(who)), pcm.clone(), None);
    }
}

/// Returns how many encodings the next second takes.
fn encodings(street: &mut Street) -> u64 {
    let before = street.shard.stats().encoded;
    street.run(1_000);
    street.shard.stats().encoded - before
}

/// Music that ends where a tick does.
const EVEN: u32 = 125 * 256;

#[test]
fn music_for_many_is_encoded_once_wherever_they_are() {
    for codec in CODECS {
        let pcm = music_of(HERTZ, EVEN);
        let mut street = Street::new();
        (0..20).for_each(|_| _ = street.call(waiting(codec)));
        play(&mut street, &pcm, 0..10);
        street.run(400);
        play(&mut street, &pcm, 10..20);
        // In a steady tone the moment in which an encoder of G.722 may be changed for another hardly comes.
        street.run(2_600);
        assert_eq!(encodings(&mut street), 50, "{codec:?}");
        street.run(8_000);
        assert_eq!(encodings(&mut street), 0, "{codec:?}");
        for phone in &street.phones {
            let heard = level(&phone.heard, HERTZ, phone.rate());
            assert!((heard - AMPLITUDE).abs() < 0.1 * AMPLITUDE, "{codec:?}: {heard}");
        }
    }
}

/// Returns music in which much happens: notes of a second's fourth, the first of them of this many hertz.
fn notes(length: u32) -> Pcm {
    let sample = |at: u32| {
        let hertz = [523.25, 659.25, 784.0, 440.0, 587.33, 698.46][(at / 2_000) as usize % 6];
        let (since, seconds) = (f64::from(at % 2_000) / 2_000.0, f64::from(at) / 8_000.0);
        let swell = (since * 12.0).min(1.0) * (1.0 - since);
        (tone(hertz, 6_000.0)(seconds) + tone(2.0 * hertz, 2_000.0)(seconds)) * swell
    };
    (0..length).map(|at| sample(at) as i16).collect()
}

#[test]
fn listeners_at_hundreds_of_places_take_no_more_encodings_than_one() {
    // The last one begins anew within a tick, each time elsewhere in it.
    for (codec, length, count) in
        [(Codec::G722, 48_000, 300), (OPUS, 48_000, 150), (OPUS, 48_003, 30)]
    {
        let pcm = notes(length);
        let mut street = Street::new();
        (0..count).for_each(|_| _ = street.call(waiting(codec)));
        for who in 0..count {
            play(&mut street, &pcm, who..who + 1);
            street.run(20);
        }
        street.run(6_000 - 20 * count as u32);
        street.run(2_500);
        let before = street.shard.stats().encoded;
        street.run(6_000);
        let encoded = street.shard.stats().encoded - before;
        assert_eq!(
            encoded,
            if length.is_multiple_of(160) { 0 } else { 300 },
            "{codec:?}, {length}"
        );
        // Each hears what it would hear alone: the same notes, as loud.
        let alone = {
            let mut street = Street::new();
            street.call(waiting(codec));
            street.command(Command::Record(RecordingId(1), Source::Leg(leg(0), Track::Outbound)));
            play(&mut street, &pcm, 0..1);
            street.run(6_000);
            street.run(6_000);
            loudness(&street.phones[0].heard)
        };
        for (who, phone) in street.phones.iter().enumerate() {
            let heard = loudness(&phone.heard);
            assert!((heard / alone - 1.0).abs() < 0.02, "{codec:?}, {who}: {heard}, {alone}");
        }
    }
}

/// Returns how rough and how loud at most a tone is, where those who hear it are encoded for alone or share as a recording
/// of each begins and ends.
fn roughness_of(codec: Codec, (hertz, length): (f64, u32), shared: bool) -> (f64, u16) {
    let mut chance = Chance::new(5);
    let mut street = Street::new();
    (0..6).for_each(|_| _ = street.call(waiting(codec)));
    play(&mut street, &music_of(hertz, length), 0..6);
    let mut recorded = [false; 6];
    let mut turn = |street: &mut Street, who: usize| {
        let recording = RecordingId(who as u64);
        street.command(match recorded[who] {
            true => Command::StopRecording(recording),
            false => Command::Record(recording, Source::Leg(leg(who), Track::Both)),
        });
        recorded[who] = !recorded[who];
    };
    if !shared {
        (0..6).for_each(|who| turn(&mut street, who));
    }
    street.run(600);
    street.run(20);
    for _ in 0..60 {
        if shared {
            turn(&mut street, chance.below(6));
        }
        street.run_on(20 + 20 * chance.below(16) as u32);
        while street.shard.poll_recorded().is_some() {}
    }
    let rough = |phone: &Phone| roughness(&phone.heard, hertz, phone.rate());
    let peaks = street.phones.iter().map(|phone| peak(&phone.heard));
    (street.phones.iter().map(rough).fold(0.0, f64::max), peaks.fold(0, u16::max))
}

#[test]
fn who_comes_to_what_others_hear_and_leaves_it_hears_no_seam() {
    const MUSIC: (f64, u32) = (HERTZ, LENGTH);
    let cases = [
        (Codec::G722, MUSIC),
        (OPUS, MUSIC),
        (repeating(), MUSIC),
        (OPUS, (500.0, 16_000)),
        (OPUS, (1_021.0, 16_000)),
    ];
    for (codec, tone) in cases {
        let ((alone, _), (shared, peak)) =
            (roughness_of(codec, tone, false), roughness_of(codec, tone, true));
        // What stands by itself is a little rougher: a tenth of what counts as a break.
        let change = if codec == Codec::G722 { 0.0 } else { 30.0 };
        assert!(shared < 1.5 * alone + change, "{codec:?}, {tone:?}: {shared} against {alone}");
        assert!(f64::from(peak) < 1.5 * AMPLITUDE, "{codec:?}, {tone:?}: {peak}");
    }
}

#[test]
fn who_loses_much_of_what_can_be_repeated_is_encoded_for_alone() {
    let codec = Codec::Opus(OpusOptions { fec: true, ..OpusOptions::default() });
    let mut street = Street::new();
    (0..4).for_each(|_| _ = street.call(waiting(codec)));
    play(&mut street, &music(), 0..4);
    street.run(1_000);
    let report = |street: &mut Street, who: usize, percent: u32| {
        let report = report_of_loss(street.phones[who].heard_ssrc, (percent * 256 / 100) as u8);
        street.tick(|shard, now| {
            shard.handle_datagram(leg(who), Channel::Rtcp, address(leg(who)), &report, now);
        });
    };
    for (percent, wanted) in [(5, 50), (30, 100), (2, 50)] {
        report(&mut street, 2, percent);
        street.run(1_600);
        assert_eq!(encodings(&mut street), wanted, "{percent} % lost");
        assert_eq!(street.phones[2].payloads == street.phones[1].payloads, wanted == 50);
    }
    // Where nothing is lost, nothing is spent on repetition; what that takes is encoded once for both of them.
    report(&mut street, 2, 0);
    report(&mut street, 3, 0);
    street.run(1_600);
    assert_eq!(encodings(&mut street), 100);
    let [.., usual, one, other] = &street.phones[..] else { unreachable!() };
    assert!(one.payloads == other.payloads && one.payloads != usual.payloads);
}

#[test]
fn silence_that_need_not_be_sent_is_encoded_no_more_and_not_sent() {
    let Codec::Opus(options) = OPUS else { unreachable!() };
    let codec = Codec::Opus(OpusOptions { dtx: true, ..options });
    let mut street = Street::new();
    (0..10).for_each(|_| _ = street.call(waiting(codec)));
    street.run(2_000);
    assert_eq!(encodings(&mut street), 0);
    let packets: Vec<usize> = street.phones.iter().map(|phone| phone.packets).collect();
    assert!(packets.iter().all(|&count| (1..10).contains(&count)), "{packets:?}");
}

#[test]
fn each_wish_for_opus_has_an_encoding_of_its_own() {
    let Codec::Opus(options) = OPUS else { unreachable!() };
    let wishes = [
        options,
        OpusOptions { bitrate: 16_000, ..options },
        OpusOptions { fec: true, ..options },
        OpusOptions { playback_rate: 16_000, ..options },
    ];
    let mut street = Street::new();
    for wish in wishes {
        (0..2).for_each(|_| _ = street.call(waiting(Codec::Opus(wish))));
    }
    let mut half = waiting(OPUS);
    half.ptime_ms = 10;
    street.call(half);
    let mut long = waiting(OPUS);
    long.ptime_ms = 60;
    street.call(long);
    play(&mut street, &music(), 0..10);
    street.run(1_200);
    // Packets of 60 ms are made of the frames that others are sent one by one.
    assert_eq!(encodings(&mut street), 5 * 50);
    for (who, phone) in street.phones.iter().enumerate() {
        let heard = level(&phone.heard, HERTZ, phone.rate());
        assert!((heard - AMPLITUDE).abs() < 0.1 * AMPLITUDE, "{who}: {heard}");
    }
}

#[test]
fn wishes_for_opus_that_come_to_the_same_share_an_encoding() {
    let Codec::Opus(options) = OPUS else { unreachable!() };
    let mut street = Street::new();
    for bitrate in [64_000, 64_001, 510_000, 500, 6_000] {
        street.call(waiting(Codec::Opus(OpusOptions { bitrate, ..options })));
    }
    play(&mut street, &music(), 0..5);
    street.run(1_200);
    assert_eq!(encodings(&mut street), 2 * 50);
}

#[test]
fn who_heard_a_coach_comes_back_to_what_others_hear_without_a_seam() {
    for codec in [Codec::G722, OPUS] {
        let pcm = music();
        let coach = Phone::new(codec, tone(3_350.0, 3.0 * AMPLITUDE));
        let mut street = Street::of([waiting(codec), waiting(codec), coach, waiting(codec)]);
        [0, 1, 3].into_iter().for_each(|who| street.hold(who, true));
        [0, 1, 3].into_iter().for_each(|who| play(&mut street, &pcm, who..who + 1));
        // What is recorded is encoded for one alone.
        street.command(Command::Record(RecordingId(1), Source::Leg(leg(0), Track::Inbound)));
        for _ in 0..5 {
            street.route(2, Speaks::Only(vec![leg(0), leg(1)]), Hears::Everyone);
            street.run(400);
            street.route(2, Speaks::Nobody, Hears::Everyone);
            // The ramp, and what the codec holds back.
            street.run(40);
            street.run(600);
            let rough = |who: usize| roughness(&street.phones[who].heard, HERTZ, codec.rate());
            // Two encoders of a tone come near to each other, not together: a third of what counts as a break.
            assert!(rough(1) < rough(0) + 200.0, "{codec:?}: {} against {}", rough(1), rough(0));
        }
    }
}

#[test]
fn who_goes_from_one_thread_to_another_amid_the_music_hears_no_seam() {
    for codec in CODECS {
        let mut street = Street::new();
        let mut other = Shard::new(9);
        (0..3).for_each(|_| _ = street.call(waiting(codec)));
        play(&mut street, &music(), 0..3);
        street.run(1_000);
        street.command(Command::Depart(leg(1)));
        street.run(20);
        other.take_in(street.shard.poll_departed().unwrap());
        for _ in 0..50 {
            let mut sent = Vec::new();
            street.tick(|_, now| {
                other.handle_tick(now);
                while let Some(transmit) = other.poll_transmit(now) {
                    sent.extend(
                        (transmit.channel == Channel::Rtp).then(|| transmit.octets.to_vec()),
                    );
                }
            });
            sent.iter().for_each(|packet| street.phones[1].hear(packet));
        }
        let [there, here] = [1, 2].map(|who| {
            let heard = &street.phones[who].heard;
            assert_eq!(heard.len(), codec.rate().samples() * 51);
            roughness(heard, HERTZ, codec.rate())
        });
        // What stands by itself is a little rougher: a tenth of what counts as a break.
        let change = if codec == OPUS { 30.0 } else { 0.0 };
        assert!(there < 1.5 * here + change, "{codec:?}: {there} against {here}");
    }
}

#[test]
fn a_recording_that_begins_and_ends_amid_the_music_holds_each_sample_of_it() {
    let pcm = noise(4_007, &mut Chance::new(3));
    let mut street = Street::new();
    (0..2).for_each(|_| _ = street.call(waiting(Codec::Pcmu)));
    play(&mut street, &pcm, 0..2);
    for part in 0..3 {
        street.run(400);
        let begins = street.since().as_millis() as usize * 8 - look_ahead(Rate::Narrow);
        street.command(Command::Record(RecordingId(part), Source::Leg(leg(1), Track::Outbound)));
        street.run(1_000);
        street.command(Command::StopRecording(RecordingId(part)));
        let recorded = std::iter::from_fn(|| street.shard.poll_recorded());
        let recorded: Vec<i16> = recorded
            .flat_map(|tick| match tick.sound {
                Sound::Mix(frame, None) => frame,
                other => panic!("{other:?}"),
            })
            .collect();
        let played: Vec<i16> =
            (begins..).map(|at| pcm[at % pcm.len()]).take(50 * SAMPLES).collect();
        assert!(recorded == played, "part {part}");
    }
}

#[test]
fn who_is_on_hold_hears_a_coach_over_the_music_and_the_room_hears_neither() {
    for codec in CODECS {
        let mut street = Street::of([waiting(codec), Phone::new(codec, tone(750.0, AMPLITUDE))]);
        street.call(waiting(codec));
        street.command(Command::OpenTap(TapId(1), ROOM));
        street.hold(0, true);
        street.route(1, Speaks::Nobody, Hears::Everyone);
        street.play(0, PlayTo::Leg(leg(0)), music(), None);
        street.play(2, PlayTo::Leg(leg(2)), music(), None);
        for coached in [false, true, false, true, false] {
            let speaks = if coached { Speaks::Only(vec![leg(0)]) } else { Speaks::Nobody };
            street.route(1, speaks, Hears::Everyone);
            street.run(400);
            street.run(400);
            let heard = &street.phones[0].heard;
            let levels = [HERTZ, 750.0].map(|hertz| level(heard, hertz, codec.rate()) / AMPLITUDE);
            assert!((levels[0] - 1.0).abs() < 0.1, "{codec:?}: {levels:?}");
            let wanted = if coached { 0.9..1.1 } else { 0.0..0.01 };
            assert!(wanted.contains(&levels[1]), "{codec:?}, {coached}: {levels:?}");
        }
        let mut tapped = Vec::new();
        assert!(street.shard.poll_tap(TapId(1), &mut tapped));
        assert!(!tapped.is_empty() && tapped.iter().all(|&sample| sample == 0), "{codec:?}");
    }
}

#[test]
fn a_change_of_codec_amid_the_music_is_no_hiccup() {
    for from in CODECS {
        for to in CODECS.into_iter().filter(|to| *to != from) {
            let mut street = Street::new();
            (0..3).for_each(|_| _ = street.call(waiting(from)));
            play(&mut street, &music(), 0..3);
            street.run(1_000);
            let agreed = street.phones[1].agree_on(leg(1), to);
            street.command(Command::UpdateLeg(leg(1), Box::new(agreed)));
            street.run(60);
            street.run(1_000);
            for (who, codec) in [from, to, from].into_iter().enumerate() {
                let heard = &street.phones[who].heard;
                assert_eq!(heard.len(), codec.rate().samples() * 50);
                let rough = roughness(heard, HERTZ, codec.rate());
                assert!(rough < 300.0, "{from:?} to {to:?}, {who}: {rough}");
            }
        }
    }
}
