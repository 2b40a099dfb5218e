//! More calls than there is time for, and calls without end, by a clock that the test owns.
//!
//! `SIDETONE_DEEP` lets many more come and go. How speech sounds meanwhile is judged in `e2e`.

use media::SAMPLES;
use node::CallsRefused;
use sim::Voice;
use sim::town::Town;

/// Legs that would take a whole tick.
const CAPACITY: usize = 20;
/// Calls that come: 150 % of that.
const OFFERED: usize = 30;
/// Calls that are let in: no more begin when three quarters are taken.
const LET_IN: usize = 16;
/// Ticks between two calls.
const BETWEEN: usize = 15;
/// Callers who come and go in a normal run and in a deep one; how many are there at a time, and in how many rooms.
const CALLERS: (usize, usize) = (20_000, 200_000);
const AT_A_TIME: usize = 12;
const ROOMS: usize = 5;
/// Ticks after which SIP has forgotten what is over: 40 s.
const FORGOTTEN_AFTER: usize = 2_000;
const AMPLITUDE: f32 = 6_000.0;
const HERTZ: u32 = 400;

/// Of the two in a room, one talks.
fn voice(number: usize) -> Voice {
    let sample = |at: u32| {
        let phase = at as f32 * HERTZ as f32 / 8_000.0;
        ((phase * std::f32::consts::TAU).sin() * AMPLITUDE) as i16
    };
    if number.is_multiple_of(2) { (0..8_000 / HERTZ).map(sample).collect() } else { [].into() }
}

/// Returns the pieces of 20 ms in which the tone of a room is not as loud as it is said, or jumps.
fn broken(heard: &[i16]) -> usize {
    let factor = 2.0 * (std::f32::consts::TAU * HERTZ as f32 / 8_000.0).cos();
    let is_broken = |piece: &&[i16]| {
        let power: f32 = piece.iter().map(|&sample| f32::from(sample).powi(2)).sum();
        let loud = (2.0 * power / piece.len() as f32).sqrt();
        let off = |three: &[i16]| {
            let [a, b, c] = [three[0], three[1], three[2]].map(f32::from);
            (c - factor * b + a).abs()
        };
        // A step of G.711 is 256 at this loudness, and each of the three may be off by half of one.
        (loud - AMPLITUDE).abs() > 0.1 * AMPLITUDE || piece.windows(3).any(|all| off(all) > 900.0)
    };
    heard.chunks_exact(SAMPLES).filter(is_broken).count()
}

#[test]
fn of_half_as_many_calls_again_as_there_is_time_for_the_first_keep_their_sound() {
    let mut town = Town::new(CAPACITY);
    for number in 0..OFFERED {
        // Two for each room.
        town.call(number / 2, voice(number));
        for _ in 0..BETWEEN {
            town.tick();
            assert!(town.sound().legs <= CAPACITY);
        }
    }
    assert_eq!(town.up(), LET_IN);
    let refused = town.phones.iter().filter(|phone| phone.refused() == Some(503)).count();
    assert_eq!((refused, town.asked_back()), (OFFERED - LET_IN, OFFERED - LET_IN));
    let counted = CallsRefused { busy: refused as u64, ..CallsRefused::default() };
    assert_eq!(town.refused(), counted);
    // Play-out finds its place in the first seconds of a call; from then on there is no seam, with callers
    // turned away all the time.
    (0..350).for_each(|_| town.tick());
    town.phones.iter_mut().for_each(|phone| drop(phone.heard()));
    for number in 0..20 {
        town.call(number, voice(number));
        (0..10).for_each(|_| town.tick());
    }
    for phone in town.phones[..LET_IN].iter_mut().skip(1).step_by(2) {
        let heard = phone.heard();
        assert_eq!((heard.len(), broken(&heard)), (200 * SAMPLES, 0));
    }
    assert_eq!((town.up(), town.missed()), (LET_IN, 0));
    // When there is time again, callers are let in again.
    (0..4).for_each(|who| town.hang_up(who));
    (0..20).for_each(|_| town.tick());
    town.call(0, voice(0));
    (0..20).for_each(|_| town.tick());
    assert_eq!(town.up(), LET_IN - 4 + 1);
}

#[test]
fn callers_who_come_and_go_leave_no_call_no_dialog_no_room_and_no_port() {
    let deep = std::env::var_os("SIDETONE_DEEP").is_some();
    let mut town = Town::new(1_000);
    for number in 0..if deep { CALLERS.1 } else { CALLERS.0 } {
        town.call(number % ROOMS, voice(number));
        let all_are_up = (0..50).any(|_| {
            town.tick();
            town.up() == town.phones.len()
        });
        assert!(all_are_up, "caller {number} was not let in");
        if town.phones.len() >= AT_A_TIME {
            let who = number % AT_A_TIME;
            town.hang_up(who);
            town.tick();
            town.phones.swap_remove(who);
        }
        let (calls, conferences) = town.calls();
        assert!(calls <= AT_A_TIME && conferences <= ROOMS);
    }
    (0..town.phones.len()).for_each(|who| town.hang_up(who));
    (0..FORGOTTEN_AFTER).for_each(|_| town.tick());
    let (sip, sound) = (town.sip(), town.sound());
    assert_eq!(town.calls(), (0, 0));
    assert_eq!((sip.dialogs, sip.transactions), (0, 0));
    assert_eq!((sound.legs, sound.rooms), (0, 0));
    assert_eq!(town.ports(), 0);
}
