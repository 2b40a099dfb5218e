use super::*;
use crate::rtp::OVERHEAD_MAX;

const SUITES: [Suite; 4] = [
    Suite::AesCm128HmacSha1_80,
    Suite::AesCm128HmacSha1_32,
    Suite::AeadAes128Gcm,
    Suite::AeadAes256Gcm,
];

pub fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

fn key(suite: Suite, first: u8) -> MasterKey {
    let octets: Vec<u8> = (first..).take(46).collect();
    MasterKey::new(suite, &octets[..suite.key_length()], &octets[32..][..suite.salt_length()])
        .unwrap()
}

/// A packet of a source that says its sequence number.
fn packet(ssrc: u32, sequence: u16) -> Vec<u8> {
    let header = crate::rtp::Header {
        marker: false,
        payload_type: 0,
        sequence,
        timestamp: u32::from(sequence) * 160,
        ssrc,
    };
    let mut packet = [0; crate::rtp::PACKET_MAX];
    let length = header.write(&[sequence as u8; 160], &mut packet);
    packet[..length].to_vec()
}

fn protected(srtp: &mut Srtp, plain: &[u8]) -> Vec<u8> {
    let mut packet = [plain, &[0; OVERHEAD_MAX]].concat();
    let length = srtp.protect(&mut packet, plain.len());
    packet.truncate(length);
    packet
}

fn opened(srtp: &mut Srtp, sealed: &[u8]) -> Option<Vec<u8>> {
    let mut packet = sealed.to_vec();
    let length = srtp.unprotect(&mut packet)?;
    packet.truncate(length);
    Some(packet)
}

/// Source: the packet and key that libsrtp's own validation uses.
#[test]
fn a_packet_is_protected_as_other_implementations_do_it() {
    let master = octets("e1f97a0d3e018be0d64fa32c06de4139");
    let salt = octets("0ec675ad498afeebb6960b3aabe6");
    let master = MasterKey::new(Suite::AesCm128HmacSha1_80, &master, &salt).unwrap();
    let plain = octets("800f1234decafbadcafebabeabababababababababababababababab");
    let sealed =
        octets("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb");
    assert_eq!(protected(&mut Srtp::new(&master), &plain), sealed);
    assert_eq!(opened(&mut Srtp::new(&master), &sealed), Some(plain));
}

#[test]
fn what_is_protected_is_opened_across_the_wrap_of_the_sequence_number() {
    for suite in SUITES {
        let (mut ours, mut theirs) = (Srtp::new(&key(suite, 1)), Srtp::new(&key(suite, 1)));
        for count in 0..140_000_u32 {
            let plain = packet(7, (count + 30_000) as u16);
            let sealed = protected(&mut ours, &plain);
            assert_ne!(sealed[12..172], plain[12..], "{suite:?} {count}");
            // Every seventh is lost.
            if count % 7 != 0 {
                assert_eq!(opened(&mut theirs, &sealed), Some(plain), "{suite:?} {count}");
            }
        }
    }
}

#[test]
fn what_was_sent_before_is_refused() {
    for suite in SUITES {
        let (mut ours, mut theirs) = (Srtp::new(&key(suite, 1)), Srtp::new(&key(suite, 1)));
        let sealed: Vec<_> =
            (0..200).map(|sequence| protected(&mut ours, &packet(7, sequence))).collect();
        for pair in sealed.chunks(2) {
            assert!(opened(&mut theirs, &pair[1]).is_some(), "{suite:?}");
            assert!(opened(&mut theirs, &pair[0]).is_some(), "{suite:?} overtaken");
        }
        assert!(sealed.iter().all(|packet| opened(&mut theirs, packet).is_none()), "{suite:?}");
    }
}

/// Garbage, foreign keys and packets that were changed on the way are refused, and leave no trace: the far
/// end is heard as if they had never come, wherever its sequence numbers are.
#[test]
fn what_is_not_believed_changes_nothing() {
    for suite in SUITES {
        let (mut ours, mut theirs) = (Srtp::new(&key(suite, 1)), Srtp::new(&key(suite, 1)));
        let mut stranger = Srtp::new(&key(suite, 2));
        for sequence in (65_000..=u16::MAX).chain(0..500) {
            let plain = packet(7, sequence);
            let sealed = protected(&mut ours, &plain);
            for place in [0, 1, 2, 3, 9, 12, 100, sealed.len() - 1] {
                let mut changed = sealed.clone();
                changed[place] ^= 1;
                assert_eq!(opened(&mut theirs, &changed), None, "{suite:?} {sequence} {place}");
            }
            for foreign in [sequence.wrapping_add(40_000), sequence.wrapping_add(1), sequence] {
                for ssrc in [7, u32::from(sequence) + 1_000] {
                    let foreign = protected(&mut stranger, &packet(ssrc, foreign));
                    assert_eq!(opened(&mut theirs, &foreign), None, "{suite:?} {sequence}");
                }
            }
            assert_eq!(opened(&mut theirs, &plain), None, "{suite:?} in the clear");
            assert_eq!(opened(&mut theirs, &sealed), Some(plain), "{suite:?} {sequence}");
        }
    }
}

#[test]
fn no_length_is_too_short_and_no_room_is_needed_that_is_not_there() {
    for suite in SUITES {
        let mut srtp = Srtp::new(&key(suite, 1));
        let sealed = protected(&mut srtp, &packet(7, 1));
        for end in 0..sealed.len() {
            assert_eq!(opened(&mut srtp, &sealed[..end]), None);
            assert_eq!(srtp.unprotect_rtcp(&mut sealed[..end].to_vec()), None);
        }
        let mut full = packet(7, 2);
        let length = full.len();
        assert_eq!(srtp.protect(&mut full, length), 0, "{suite:?}");
        assert_eq!(srtp.protect(&mut full, length + 1), 0, "{suite:?}");
        assert_eq!(srtp.protect_rtcp(&mut [0x80; 8], 8), 0, "{suite:?}");
    }
}

#[test]
fn reports_are_opened_once_and_only_if_they_are_encrypted() {
    let report = octets("80c90001000000078001020304050607");
    for suite in SUITES {
        let (mut ours, mut theirs) = (Srtp::new(&key(suite, 1)), Srtp::new(&key(suite, 1)));
        for _ in 0..300 {
            let mut sealed = [&report[..], &[0; OVERHEAD_MAX]].concat();
            let length = ours.protect_rtcp(&mut sealed, report.len());
            sealed.truncate(length);
            assert_ne!(sealed[8..16], report[8..], "{suite:?}");
            for place in [0, 5, 9, length - 12, length - 1] {
                let mut changed = sealed.clone();
                changed[place] ^= 0x80;
                assert_eq!(theirs.unprotect_rtcp(&mut changed), None, "{suite:?} {place}");
            }
            let mut opened = sealed.clone();
            assert_eq!(theirs.unprotect_rtcp(&mut opened), Some(report.len()), "{suite:?}");
            assert_eq!(opened[..report.len()], report);
            assert_eq!(theirs.unprotect_rtcp(&mut sealed), None, "{suite:?} again");
        }
    }
}

#[test]
fn who_sends_under_a_new_source_is_heard_beside_the_old_one() {
    let suite = Suite::AeadAes128Gcm;
    let mut theirs = Srtp::new(&key(suite, 1));
    for ssrc in 1..20 {
        let mut ours = Srtp::new(&key(suite, 1));
        let first = protected(&mut ours, &packet(ssrc, 40_000));
        assert!(opened(&mut theirs, &first).is_some(), "{ssrc}");
        assert!(opened(&mut theirs, &first).is_none(), "{ssrc}");
    }
}

#[test]
fn a_key_does_not_show_itself() {
    let master = MasterKey::new(Suite::AeadAes128Gcm, &[0xab; 16], &[0xcd; 12]).unwrap();
    let shown =
        format!("{:?} {:?}", Protection { ours: master, theirs: master }, Srtp::new(&master));
    assert!(!shown.contains("171") && !shown.contains("205") && !shown.contains("ab"), "{shown}");
    assert!(MasterKey::new(Suite::AeadAes128Gcm, &[0; 16], &[0; 14]).is_none());
    assert!(MasterKey::new(Suite::AeadAes256Gcm, &[0; 16], &[0; 12]).is_none());
}
