//! The RTP header.
//!
//! Source: RFC 3550 section 5.1 and appendix A.1, RFC 8285 section 4.

use crate::codec::PAYLOAD_MAX;

/// What announces header extensions whose elements have one octet of header, and two.
const ONE_OCTET: u16 = 0xbede;
const TWO_OCTETS: std::ops::RangeInclusive<u16> = 0x1000..=0x100f;

/// Octets by which a packet may grow where it is protected: a tag of AES-GCM and the index of SRTCP.
pub const OVERHEAD_MAX: usize = 16 + 4;
/// Longest packet that we send: a header and the longest payload, protected.
pub const PACKET_MAX: usize = 12 + PAYLOAD_MAX + OVERHEAD_MAX;
/// Longest packet that we send between two ticks: 60 ms of G.711, or 10 ms of Opus.
pub const PACED_MAX: usize = 12 + 480 + OVERHEAD_MAX;

/// What the mix needs of an RTP packet's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Begins a talk spurt.
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    /// Counts packets.
    pub sequence: u16,
    /// Counts samples.
    pub timestamp: u32,
    /// Who sends.
    pub ssrc: u32,
}

impl Header {
    /// Takes a packet apart; nothing where it is not RTP of version 2.
    pub fn parse(packet: &[u8]) -> Option<(Self, &[u8])> {
        let start = header_length(packet)?;
        let [first, second, ..] = *packet else { return None };
        let mut end = packet.len();
        if first & 0x20 != 0 {
            let padding = usize::from(*packet.last()?);
            if padding == 0 || padding > end - 12 {
                return None;
            }
            end -= padding;
        }
        let payload = packet.get(start..end)?;
        let header = Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([packet[2], packet[3]]),
            timestamp: u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]),
            ssrc: u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]),
        };
        Some((header, payload))
    }

    /// Writes the header and `payload` into `packet`; returns the length.
    pub fn write(&self, payload: &[u8], packet: &mut [u8; PACKET_MAX]) -> usize {
        let length = payload.len().min(PACKET_MAX - OVERHEAD_MAX - 12);
        packet[0] = 0x80;
        packet[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        packet[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        packet[12..12 + length].copy_from_slice(&payload[..length]);
        12 + length
    }
}

/// Returns where a packet's payload begins; nothing where it is not RTP of version 2.
pub fn header_length(packet: &[u8]) -> Option<usize> {
    let first = *packet.first().filter(|&first| packet.len() >= 12 && first >> 6 == 2)?;
    let mut length = 12 + usize::from(first & 0x0f) * 4;
    if first & 0x10 != 0 {
        let extension = packet.get(length..length + 4)?;
        let words = usize::from(u16::from_be_bytes([extension[2], extension[3]]));
        length += 4 + words * 4;
    }
    Some(length).filter(|&length| length <= packet.len())
}

/// Returns what a packet's header extension holds under the number `id`; nothing from where on it makes no sense.
pub fn extension(packet: &[u8], id: u8) -> Option<&[u8]> {
    let first = packet.first().filter(|&first| first & 0x10 != 0)?;
    let start = 12 + usize::from(first & 0x0f) * 4;
    let [high, low, _, _, elements @ ..] = packet.get(start..header_length(packet)?)? else {
        return None;
    };
    let mut rest = elements;
    let profile = u16::from_be_bytes([*high, *low]);
    if profile != ONE_OCTET && !TWO_OCTETS.contains(&profile) {
        return None;
    }
    while let [first, after @ ..] = rest {
        if *first == 0 {
            rest = after; // Padding.
            continue;
        }
        let (number, length, after) = if profile == ONE_OCTET {
            (first >> 4, usize::from(first & 0x0f) + 1, after)
        } else {
            let (length, after) = after.split_first()?;
            (*first, usize::from(*length), after)
        };
        let is_end = profile == ONE_OCTET && (number == 0 || number == 15);
        let (octets, others) = after.split_at_checked(length).filter(|_| !is_end)?;
        if number == id {
            return Some(octets);
        }
        rest = others;
    }
    None
}

/// Returns whether a datagram on a shared port is RTCP.
///
/// Source: RFC 5761 section 4.
pub fn is_rtcp(packet: &[u8]) -> bool {
    matches!(packet, [first, 192..=223, ..] if first >> 6 == 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header =
        Header { marker: true, payload_type: 8, sequence: 65_535, timestamp: 7, ssrc: 0xdead_beef };

    #[test]
    fn what_is_written_is_read() {
        let mut packet = [0; PACKET_MAX];
        let length = HEADER.write(&[1, 2, 3], &mut packet);
        assert_eq!(Header::parse(&packet[..length]), Some((HEADER, &[1, 2, 3][..])));
    }

    #[test]
    fn contributors_extension_and_padding_are_passed_over() {
        let mut packet = vec![0x80 | 0x20 | 0x10 | 2, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([9; 8]); // Two contributing sources.
        packet.extend([0xbe, 0xde, 0, 1, 7, 7, 7, 7]);
        packet.extend([42, 43, 0, 2]);
        let (_, payload) = Header::parse(&packet).unwrap();
        assert_eq!(payload, [42, 43]);
    }

    /// A packet without payload that has this extension, of so many words as it says.
    fn extended(profile: u16, words: u8, elements: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x80 | 0x10 | 1, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([0x10, 3, 0x10, 3]); // A contributing source, which is none of it.
        packet.extend(profile.to_be_bytes());
        packet.extend([0, words]);
        packet.extend(elements);
        packet
    }

    /// Returns what the elements, which fill words, hold as number 3.
    #[track_caller]
    fn check(profile: u16, elements: &[u8], expected: Option<&[u8]>) {
        let words = elements.len() as u8 / 4;
        let packet = extended(profile, words, elements);
        assert_eq!(extension(&packet, 3), expected, "{elements:?}");
        // What follows is payload, and never read as an element.
        let payload = [&packet[..], &[0x30, 99, 3, 1]].concat();
        assert_eq!(extension(&payload, 3), expected, "{elements:?} before sound");
    }

    #[test]
    fn extensions_are_found_in_both_forms_between_padding() {
        check(ONE_OCTET, &[0x30, 42, 0, 0], Some(&[42]));
        check(ONE_OCTET, &[0x11, 8, 9, 0, 0, 0x31, 42, 43], Some(&[42, 43]));
        check(ONE_OCTET, &[0x20, 1, 0x30, 42], Some(&[42]));
        check(ONE_OCTET, &[0x30, 42, 0x30, 43], Some(&[42]));
        check(0x1000, &[3, 1, 42, 0], Some(&[42]));
        check(0x100f, &[0, 16, 2, 8, 9, 3, 1, 42], Some(&[42]));
        check(0x1000, &[16, 0, 3, 0], Some(&[]));
        check(0x1000, &[15, 1, 7, 3, 1, 42, 0, 0], Some(&[42]));
        check(ONE_OCTET, &[0x20, 1, 0, 0], None);
        check(ONE_OCTET, &[0; 8], None);
        check(ONE_OCTET, &[], None);
        check(0x1000, &[0; 4], None);
    }

    #[test]
    fn extensions_that_lie_end_where_they_do() {
        // Longer than there is room for, ends reserved for later, and unknown forms.
        check(ONE_OCTET, &[0x33, 42, 43, 44], None);
        check(ONE_OCTET, &[0x2f, 0x30, 42, 0], None);
        check(ONE_OCTET, &[0, 0, 0, 0x30], None);
        check(ONE_OCTET, &[0xf0, 1, 0x30, 42], None);
        check(ONE_OCTET, &[0x01, 1, 0x30, 42], None);
        check(0x1000, &[3, 3, 42, 43], None);
        check(0x1000, &[2, 255, 3, 1], None);
        check(0x1000, &[0, 0, 0, 3], None);
        for profile in [0, 0x0fff, 0x1010, 0xbedf, 0xffff] {
            check(profile, &[0x30, 42, 0x30, 42], None);
        }
        let packet = extended(ONE_OCTET, 1, &[0x30, 42, 0, 0]);
        for end in 0..packet.len() {
            assert_eq!(extension(&packet[..end], 3), None, "cut at {end}");
        }
        for words in 2..=255 {
            let lies = extended(ONE_OCTET, words, &[0x30, 42, 0, 0]);
            assert_eq!(extension(&lies, 3), None, "{words} words");
        }
        let mut without = packet.clone();
        without[0] &= !0x10;
        assert_eq!(extension(&without, 3), None);
    }

    #[test]
    fn what_is_cut_short_or_of_another_version_is_refused() {
        let mut packet = [0; PACKET_MAX];
        let length = HEADER.write(&[1; 20], &mut packet);
        for end in 0..12 {
            assert_eq!(Header::parse(&packet[..end]), None);
        }
        for first in [0x00, 0x40, 0xc0, 0xbf] {
            packet[0] = first;
            assert_eq!(Header::parse(&packet[..length]), None, "{first:x}");
        }
    }
}
