//! How frames lie in packets, and packets in a tick.
//!
//! Source: RFC 6716 sections 3.1 and 3.2.

use std::ops::Range;

use crate::codec::format::PAYLOAD_MAX;

/// Packets that are joined at most: 60 ms of 20 ms each.
pub const JOINED_MAX: usize = 3;
/// What of a packet's first octet says how many frames it has.
const COUNT: u8 = 3;
/// A length takes one octet, or two where the first is not below this.
pub const SHORT: usize = 252;
/// In the octet that counts the frames: each has a length of its own.
const VARIABLE: u8 = 0x80;

/// Returns how many of these packets, from the first on, have one packet in common: each is one frame, and all
/// are of the same mode, bandwidth, length and channels. A packet that cannot be joined stands for itself.
pub fn run(packets: &[&[u8]]) -> usize {
    let Some(&toc) = packets.first().and_then(|packet| packet.first()) else { return 0 };
    let alike = |packet: &&&[u8]| toc & COUNT == 0 && packet.first() == Some(&toc);
    let mut run = packets.iter().take_while(alike).count().clamp(1, JOINED_MAX);
    // Beyond its octets, a frame takes its length.
    let fits = |run: usize| packets[..run].iter().map(|one| one.len() + 1).sum::<usize>();
    while run > 1 && fits(run) + 2 > PAYLOAD_MAX {
        run -= 1;
    }
    run
}

/// Writes the one packet that a [`run`] of packets makes; returns its length.
pub fn join(packets: &[&[u8]], joined: &mut [u8; PAYLOAD_MAX]) -> usize {
    let mut written = Written { octets: joined, length: 0 };
    let frames = || packets.iter().filter_map(|packet| packet.get(1..));
    let Some(&toc) = packets.first().and_then(|packet| packet.first()) else { return 0 };
    let equal = packets.windows(2).all(|pair| pair[0].len() == pair[1].len());
    let last = packets.len() - 1;
    match (packets.len(), equal) {
        (1, _) => written.push(&[toc]),
        (2, true) => written.push(&[toc | 1]),
        (2, false) => written.push(&[toc | 2]),
        (count, true) => written.push(&[toc | 3, count as u8]),
        (count, false) => written.push(&[toc | 3, VARIABLE | count as u8]),
    }
    if !equal {
        frames()
            .take(last)
            .for_each(|frame| written.push(&length(frame.len()).0[length(frame.len()).1]));
    }
    frames().for_each(|frame| written.push(frame));
    written.length
}

/// Returns the octets that say how long a frame is, and which of them do.
fn length(frame: usize) -> ([u8; 2], Range<usize>) {
    if frame < SHORT {
        return ([frame as u8, 0], 0..1);
    }
    let first = SHORT + frame % 4;
    ([first as u8, ((frame - first) / 4) as u8], 0..2)
}

/// What is written, as far as there is room.
struct Written<'a> {
    octets: &'a mut [u8],
    length: usize,
}

impl Written<'_> {
    fn push(&mut self, octets: &[u8]) {
        let end = self.length + octets.len();
        if let Some(room) = self.octets.get_mut(self.length..end) {
            room.copy_from_slice(octets);
            self.length = end;
        }
    }
}

/// Writes two packets that share a tick, each of which may be empty, for [`apart`]; returns the octets.
pub fn together(first: &[u8], second: &[u8], tick: &mut [u8]) -> usize {
    if first.is_empty() && second.is_empty() {
        return 0;
    }
    let mut written = Written { octets: tick, length: 0 };
    written.push(&(first.len() as u16).to_be_bytes());
    written.push(first);
    written.push(second);
    written.length
}

/// Returns the two packets of a tick.
pub fn apart(tick: &[u8]) -> (&[u8], &[u8]) {
    let packets = tick
        .split_first_chunk::<2>()
        .and_then(|(length, packets)| packets.split_at_checked(u16::from_be_bytes(*length).into()));
    packets.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::format::{Codec, OpusOptions};
    use crate::codec::tests::{decoded, encoded, voice};
    use crate::codec::{Decoder, Encoder};

    #[track_caller]
    fn check(packets: &[&[u8]], expected: &[u8]) {
        assert_eq!(run(packets), packets.len());
        let mut joined = [0; PAYLOAD_MAX];
        let length = join(packets, &mut joined);
        assert_eq!(joined[..length], *expected);
    }

    #[test]
    fn frames_are_joined_as_their_number_and_lengths_demand() {
        check(&[&[0x48, 1, 2]], &[0x48, 1, 2]);
        check(&[&[0x4b, 2, 1, 2]], &[0x4b, 2, 1, 2]);
        check(&[&[0x48, 1, 2], &[0x48, 3, 4]], &[0x49, 1, 2, 3, 4]);
        check(&[&[0x48, 1], &[0x48, 3, 4]], &[0x4a, 1, 1, 3, 4]);
        check(&[&[0x48], &[0x48], &[0x48]], &[0x4b, 3]);
        check(&[&[0x48, 1], &[0x48, 2], &[0x48, 3]], &[0x4b, 3, 1, 2, 3]);
        check(&[&[0x48, 1], &[0x48], &[0x48, 3]], &[0x4b, 0x83, 1, 0, 1, 3]);
        let long = [&[0x48][..], &[7; 255]].concat();
        check(&[&long, &[0x48, 1]], &[&[0x4a, 255, 0][..], &[7; 255], &[1]].concat());
    }

    #[test]
    fn what_differs_or_does_not_fit_is_not_joined() {
        let long = [0x48; 700];
        for (packets, expected) in [
            (&[&[0x48, 1][..], &[0x50, 1]][..], 1), // another bandwidth
            (&[&[0x48, 1], &[0x4c, 1]], 1),         // another channel
            (&[&[0x48, 1], &[0x48, 1], &[0x40, 1]], 2), // another length
            (&[&[0x48, 1], &[]], 1),                // nothing
            (&[&[0x49, 1, 2], &[0x49, 1, 2]], 1),   // two frames already
            (&[&long, &long[..500], &long], 2),     // more than there is room for
            (&[&long, &long], 1),
            (&[], 0),
        ] {
            assert_eq!(run(packets), expected, "{packets:02x?}");
        }
    }

    #[test]
    fn joined_frames_are_decoded_bit_exactly_as_each_for_itself() {
        for (bitrate, fec) in [(12_000, false), (32_000, true), (64_000, false)] {
            let codec = Codec::Opus(OpusOptions { bitrate, fec, ..OpusOptions::default() });
            let packets = encoded(&mut Encoder::new(codec), codec, &voice(codec, 120));
            for ticks in [2, 3] {
                let [mut one, mut other] = [Decoder::new(codec), Decoder::new(codec)];
                let mut made = 0;
                let mut rest: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
                while !rest.is_empty() {
                    let next = run(&rest[..ticks.min(rest.len())]);
                    let mut joined = [0; PAYLOAD_MAX];
                    let length = join(&rest[..next], &mut joined);
                    let apart = rest.drain(..next).flat_map(|packet| decoded(&mut one, packet));
                    let apart: Vec<i16> = apart.collect();
                    assert!(decoded(&mut other, &joined[..length]) == apart, "{bitrate}");
                    made += 1;
                }
                // What the encoder changes, it changes seldom.
                assert!(made <= packets.len() / ticks + 10, "{made} of {}", packets.len());
            }
        }
    }

    #[test]
    fn two_packets_of_a_tick_are_told_apart() {
        for (first, second) in [(&[1, 2][..], &[3][..]), (&[], &[3]), (&[1], &[]), (&[], &[])] {
            let mut tick = [0; 16];
            let length = together(first, second, &mut tick);
            assert_eq!(apart(&tick[..length]), (first, second));
        }
        assert_eq!(apart(&[9, 9, 1]), (&[][..], &[][..]));
    }
}
