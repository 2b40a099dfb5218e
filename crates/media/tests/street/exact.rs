//! How exact a mix is: what is not to be heard is not there at all. `--nocapture` shows by how much.

use media::{Codec, Hears, Speaks};

use crate::ears::windowed;
use crate::phone::{CODECS, OPUS, Phone, silence, tone};
use crate::rooms::Street;

/// Tones of which none is a multiple of another, nor a sum or difference of two.
const TONES: [f64; 4] = [437.0, 733.0, 1_187.0, 1_901.0];
/// Most of an own voice that comes back, in dB.
const OWN_MAX: f64 = -50.0;

/// Returns how loud each of four hears itself, in dB of what it says.
fn own_voices(codecs: [Codec; 4], amplitude: f64) -> [f64; 4] {
    let phones = codecs.into_iter().zip(TONES);
    let phones = phones.map(|(codec, hertz)| Phone::new(codec, tone(hertz, amplitude)));
    let mut street = Street::of(phones);
    street.run(3_000);
    street.run(4_000);
    [0, 1, 2, 3].map(|who| {
        let phone = &street.phones[who];
        let own = windowed(&phone.heard, TONES[who], phone.rate());
        20.0 * (own.max(1e-3) / amplitude).log10()
    })
}

#[test]
fn nobody_hears_as_much_as_a_three_hundredth_of_an_own_voice() {
    let alike = CODECS.map(|codec| [codec; 4]);
    for codecs in alike.into_iter().chain([CODECS]) {
        // The second is over full scale where three speak.
        for amplitude in [3_000.0, 20_000.0] {
            let own = own_voices(codecs, amplitude);
            println!("{:?} at {amplitude}: own voices at {own:.0?} dB", codecs.map(short));
            assert!(own.iter().all(|level| *level < OWN_MAX), "{codecs:?}: {own:?}");
        }
    }
}

fn short(codec: Codec) -> &'static str {
    match codec {
        Codec::Pcmu => "PCMU",
        Codec::Pcma => "PCMA",
        Codec::G722 => "G.722",
        Codec::Opus(_) => "Opus",
    }
}

/// Returns what one is sent who hears a talker, in a room with another to whom nobody listens.
fn sent(listener: Codec, unheard: Codec, held: bool, shouts: bool) -> Vec<u8> {
    let loud = if shouts { tone(1_000.0, 30_000.0) } else { silence() };
    let mut street = Street::of([
        Phone::new(Codec::Pcmu, tone(450.0, 3_000.0)),
        Phone::new(listener, silence()),
        Phone::new(unheard, loud),
    ]);
    let hears = if held { Hears::Nothing } else { Hears::Everyone };
    street.route(2, Speaks::Nobody, hears);
    street.run(2_000);
    street.phones[1].payloads.clone()
}

#[test]
fn who_is_muted_or_on_hold_adds_exact_zeros() {
    for listener in CODECS {
        for unheard in CODECS {
            for held in [false, true] {
                let [quiet, loud] = [false, true].map(|loud| sent(listener, unheard, held, loud));
                assert!(!quiet.is_empty());
                assert!(quiet == loud, "{listener:?} is sent something of {unheard:?}");
            }
        }
    }
}

#[test]
fn a_room_of_250_in_opus_with_three_talkers_takes_four_encodings_a_tick() {
    const SIZE: usize = 250;
    const TALKERS: usize = 3;
    let phone = |who: usize| {
        let talks = TONES.get(who).filter(|_| who < TALKERS);
        let mut phone = Phone::new(OPUS, talks.map_or_else(silence, |&hertz| tone(hertz, 3_000.0)));
        // Who sends nothing is no work for this test.
        phone.quiet = talks.is_none();
        phone
    };
    let mut street = Street::of((0..SIZE).map(phone));
    street.run(1_000);
    let before = street.shard.stats().encoded;
    street.run(1_000);
    let encoded = street.shard.stats().encoded - before;
    println!("{encoded} encodings in 50 ticks");
    assert!((150..=200).contains(&encoded), "{encoded}");
    let last = &street.phones[SIZE - 1];
    let heard = TONES.map(|hertz| windowed(&last.heard, hertz, last.rate()));
    assert!(heard[..TALKERS].iter().all(|level| *level > 1_500.0), "{heard:?}");
}
