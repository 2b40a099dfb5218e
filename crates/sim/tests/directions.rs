//! Phones that say that they send nothing, and send all the same.

use sim::town::Town;
use sim::{level, tone};

/// What each phone says.
const TONES: [u32; 2] = [400, 700];

/// Returns whom each phone hears in a second, once what it said half of one ago holds.
fn heard(town: &mut Town) -> [bool; 2] {
    (0..25).for_each(|_| town.tick());
    town.phones.iter_mut().for_each(|phone| drop(phone.heard()));
    (0..50).for_each(|_| town.tick());
    let hears = |(who, hertz): (usize, u32)| level(&town.phones[who].heard(), hertz) > 1_000.0;
    [(0, TONES[1]), (1, TONES[0])].map(hears)
}

#[test]
fn a_phone_is_heard_only_while_it_says_that_it_sends() {
    let mut town = Town::new(100);
    for hertz in TONES {
        town.call(0, tone(hertz));
        (0..25).for_each(|_| town.tick());
    }
    for (direction, heard_by_first, hears_first) in [
        ("a=sendrecv", true, true),
        ("a=recvonly", false, true),
        ("a=sendrecv", true, true),
        ("a=inactive", false, false),
        ("a=sendrecv", true, true),
        ("a=sendonly", true, false),
        ("a=inactive", false, false),
        ("a=sendonly", true, false),
    ] {
        town.offer(1, direction);
        assert_eq!(heard(&mut town), [heard_by_first, hears_first], "{direction}");
    }
}
