//! How speech sounds while more call than there is time for: no call that was let in may hear that.
//!
//! Time is virtual, and a leg takes as much of it as is said here.

use media::{Rate, SAMPLES};
use sim::Voice;
use sim::town::Town;

use crate::score::Jury;
use crate::speech;

/// Legs that would take a whole tick, half as many again, and those of them who are let in.
const CAPACITY: usize = 12;
const OFFERED: usize = 18;
const LET_IN: usize = 10;
const ROOMS: usize = LET_IN / 2;
/// Ticks in which the calls that were let in find their places.
const SETTLING: usize = 350;
/// Ticks between two who call again: of those who are outside, each calls more than once in a second.
const BETWEEN: usize = 5;
/// By how much speech may sound worse meanwhile.
const COST_MAX: f64 = 0.1;
/// Ticks after what was said, in which the end of it is heard.
const AFTER: usize = 10;

/// Lets the first of each room speak, and the jury hear what the second hears, while others call `again`.
fn speak(town: &mut Town, voices: &[Voice], jury: &mut Jury, time: usize, again: bool) {
    for room in 0..ROOMS {
        town.phones[2 * room].say(voices[room % voices.len()].clone());
        town.phones[2 * room + 1].heard();
    }
    let ticks = voices.iter().map(|voice| voice.len() / SAMPLES).max().unwrap() + AFTER;
    for tick in 0..ticks {
        if again && tick.is_multiple_of(BETWEEN) {
            town.call(tick / BETWEEN % (OFFERED / 2), [].into());
        }
        town.tick();
    }
    for room in 0..ROOMS {
        let said = &voices[room % voices.len()];
        let heard = town.phones[2 * room + 1].heard();
        let length = heard.len().min(said.len() + AFTER * SAMPLES);
        jury.hear(time * ROOMS + room, Rate::Narrow, said, &heard[..length]);
    }
}

/// Returns a town in which as many have called as are let in.
fn town() -> Town {
    let mut town = Town::new(CAPACITY);
    for number in 0..LET_IN {
        town.call(number / 2, [].into());
        (0..BETWEEN).for_each(|_| town.tick());
    }
    (0..SETTLING).for_each(|_| town.tick());
    assert_eq!(town.up(), LET_IN);
    town
}

#[test]
fn speech_is_as_good_while_half_as_many_calls_again_are_offered_as_there_is_time_for() {
    let voices = speech::voices();
    let voices: Vec<Voice> =
        voices.iter().map(|voice| speech::at(Rate::Narrow, voice).into()).collect();
    let mut jury = Jury::new();
    let mut town = town();
    speak(&mut town, &voices, &mut jury, 0, false);
    speak(&mut town, &voices, &mut jury, 1, true);
    assert_eq!((town.up(), town.missed()), (LET_IN, 0));
    let callers = town.phones[LET_IN..].iter();
    assert!(callers.clone().count() > 10 * (OFFERED - LET_IN));
    assert!(callers.rev().skip(1).all(|phone| phone.refused() == Some(503)));
    // A node that let them all in would be heard to: so it is the refusals that keep the sound.
    let mut blind = self::town();
    blind.is_blind = true;
    for number in LET_IN..OFFERED {
        blind.call(number / 2, [].into());
        blind.tick();
    }
    (0..SETTLING).for_each(|_| blind.tick());
    assert_eq!(blind.up(), OFFERED);
    speak(&mut blind, &voices, &mut jury, 2, false);
    let scores = jury.verdicts();
    let [before, meanwhile, let_in] = [0, 1, 2].map(|time| &scores[time * ROOMS..][..ROOMS]);
    println!("before {before:.2?}, meanwhile {meanwhile:.2?}, all let in {let_in:.2?}");
    for ((before, meanwhile), let_in) in before.iter().zip(meanwhile).zip(let_in) {
        assert!(*meanwhile >= before - COST_MAX, "{before} became {meanwhile}");
        assert!(*let_in < before - COST_MAX, "nobody hears {} missing ticks", blind.missed());
    }
}
