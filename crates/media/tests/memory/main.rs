//! What a leg may hold in memory. Octets are counted as they are asked for, so that no allocator has a say.

mod room;

use media::{Codec, OpusOptions};
use room::{Does, octets_of_a_leg};

#[track_caller]
fn check(codec: Codec, does: Does, most_kib: i64) {
    let octets = octets_of_a_leg(codec, does);
    assert!(octets <= most_kib * 1_024, "{codec:?}, {does:?}: {octets} octets");
}

#[test]
fn a_leg_that_waits_holds_16_kib_at_most() {
    check(Codec::Pcmu, Does::Joins, 16);
}

#[test]
fn a_leg_of_g711_holds_32_kib_at_most() {
    check(Codec::Pcmu, Does::Listens, 32);
    check(Codec::Pcmu, Does::Talks, 32);
}

// The C library's is not counted here.
#[cfg(not(feature = "libopus"))]
#[test]
fn a_leg_of_opus_holds_96_kib_at_most() {
    for fec in [false, true] {
        let codec = Codec::Opus(OpusOptions { fec, ..OpusOptions::default() });
        check(codec, Does::Listens, 64);
        check(codec, Does::Talks, 96);
    }
}
