use std::time::Duration;

use super::*;
use crate::codec::{OpusOptions, framing};

const OPUS: Codec = Codec::Opus(OpusOptions {
    bitrate: 0,
    fec: false,
    dtx: true,
    playback_rate: 48_000,
    halves: false,
});

/// Pushes these ticks; returns each packet with the milliseconds after which it leaves, and those in which its
/// sound began.
fn paced(codec: Codec, ptime_ms: u8, ticks: &[&[u8]]) -> Vec<(u64, u64, Vec<u8>)> {
    let mut pacer = Pacer::new(codec, ptime_ms);
    let (mut packets, mut steps) = (Vec::new(), 0_u64);
    for (tick, sound) in (0..).zip(ticks) {
        pacer.push(sound);
        let mut packet = [0; PAYLOAD_MAX];
        while let Some(paced) = pacer.pop(&mut packet, false) {
            let leaves = tick * 20 + paced.late.as_millis() as u64;
            let begins = steps * 1_000 / u64::from(codec.clock());
            packets.push((leaves, begins, packet[..paced.length].to_vec()));
            steps += u64::from(paced.steps);
        }
        let whole = (tick + 1) * u64::from(codec.clock()) / 50;
        assert_eq!(steps + u64::from(pacer.waiting()), whole);
    }
    packets
}

#[test]
fn packets_of_every_length_leave_evenly() {
    let mut halves = [0; 8];
    let length = framing::together(&[8, 1], &[8, 2], &mut halves);
    for ptime_ms in [10, 20, 30, 40, 60] {
        let opus = if ptime_ms == 10 { &halves[..length] } else { &[8, 1, 2] };
        for (codec, sound) in [(Codec::Pcmu, &[0; 160][..]), (Codec::G722, &[0; 160]), (OPUS, opus)]
        {
            let wanted = match codec {
                Codec::Opus(_) if ptime_ms == 30 => 20,
                _ => u64::from(ptime_ms),
            };
            let packets = paced(codec, ptime_ms, &[sound; 30]);
            let even = packets
                .windows(2)
                .all(|pair| pair[1].0 - pair[0].0 == wanted && pair[1].1 - pair[0].1 == wanted);
            assert!(even && packets.len() > 5, "{codec:?}, {ptime_ms}: {packets:?}");
        }
    }
}

#[track_caller]
fn check(ptime_ms: u8, ticks: &[&[u8]], expected: &[(u64, u64, &[u8])]) {
    let packets = paced(OPUS, ptime_ms, ticks);
    let packets: Vec<_> =
        packets.iter().map(|(leaves, begins, packet)| (*leaves, *begins, &packet[..])).collect();
    assert_eq!(packets, expected);
}

#[test]
fn frames_that_differ_leave_each_as_late_as_if_they_were_alike() {
    const A: &[u8] = &[0x48, 1];
    const B: &[u8] = &[0x78, 2];
    check(40, &[A, A, A, A], &[(20, 0, &[0x49, 1, 1]), (60, 40, &[0x49, 1, 1])]);
    check(40, &[A, B, B], &[(20, 0, A), (40, 20, &[0x79, 2, 2])]);
    let three: &[u8] = &[0x7b, 3, 2, 2, 2];
    check(60, &[A, A, B, B, B], &[(40, 0, &[0x49, 1, 1]), (80, 40, three)]);
    check(60, &[A, B, A, B, B, B], &[(40, 0, A), (60, 20, B), (80, 40, A), (100, 60, three)]);
}

#[test]
fn what_is_not_sent_is_not_waited_for_and_takes_its_time() {
    const A: &[u8] = &[0x48, 1];
    check(20, &[A, &[], A], &[(0, 0, A), (20, 20, &[]), (40, 40, A)]);
    check(40, &[&[], A, A], &[(0, 0, &[]), (40, 20, &[0x49, 1, 1])]);
    check(40, &[A, &[], &[]], &[(20, 0, A), (20, 20, &[]), (40, 40, &[])]);
    check(
        60,
        &[A, A, &[], A, A, A],
        &[(40, 0, &[0x49, 1, 1]), (40, 40, &[]), (100, 60, &[0x4b, 3, 1, 1, 1])],
    );
}

#[test]
fn all_that_waits_can_leave_at_once() {
    let ticks: [(Codec, u8, &[u8]); 3] =
        [(OPUS, 60, &[0x48, 1]), (Codec::Pcmu, 60, &[0; 160]), (Codec::Pcmu, 30, &[0; 160])];
    for (codec, ptime_ms, tick) in ticks {
        let mut pacer = Pacer::new(codec, ptime_ms);
        let mut packet = [0; PAYLOAD_MAX];
        pacer.push(tick);
        assert_eq!(pacer.pop(&mut packet, false), None);
        let paced = pacer.pop(&mut packet, true).unwrap();
        let expected =
            Paced { length: tick.len(), steps: codec.clock() / 50, late: Duration::ZERO };
        assert_eq!((paced, pacer.waiting()), (expected, 0));
        assert_eq!(pacer.pop(&mut packet, true), None);
    }
}
