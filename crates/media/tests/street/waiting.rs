//! Music for those who wait: many hear one document, each as if it were played to that one alone.

use media::{Codec, Command, LegId, Pcm, PlayTo, PlayerId, RecordingId, Source, Track};

use crate::chance::Chance;
use crate::phone::{AMPLITUDE, Phone, silence, tone};
use crate::rooms::{Street, leg};

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
