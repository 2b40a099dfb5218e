//! What was agreed on about who sends: a phone that sends all the same is not heard.

use super::*;

/// Lets the shard know by which ways sound is to go between it and a phone.
fn agree(street: &mut Street, leg: u64, sends: bool, receives: bool) {
    let options = LegOptions { sends, receives, ..options(leg, 20) };
    street.command(Command::UpdateLeg(LegId(leg), Box::new(options)));
}

fn stats(street: &Street, leg: u64) -> LegStats {
    street.shard.leg_stats(LegId(leg)).unwrap()
}

/// Sends a packet of a phone's from any address.
fn stray(street: &mut Street, leg: u64, ssrc: u32, from: SocketAddr) {
    let header = Header { marker: false, payload_type: 0, sequence: 1, timestamp: 0, ssrc };
    let mut packet = [0; PACKET_MAX];
    let end = header.write(&[0x80; 160], &mut packet);
    let now = street.now();
    street.shard.handle_datagram(LegId(leg), Channel::Rtp, from, &packet[..end], now);
}

/// Returns to which addresses the shard sends in a tick, without the phones saying anything.
fn destinations(street: &mut Street, leg: u64) -> Vec<SocketAddr> {
    let now = street.now();
    street.shard.handle_tick(now);
    street.tick += 1;
    street.phones.iter_mut().for_each(|sent| *sent += 1);
    street.sequences.fill(None);
    let mut to = Vec::new();
    while let Some(transmit) = street.shard.poll_transmit(now) {
        if transmit.leg == LegId(leg) {
            to.push(transmit.to);
        }
    }
    to
}

#[test]
fn who_agreed_to_send_nothing_and_sends_is_not_heard_until_it_may() {
    for sends in [true, false] {
        let mut street = Street::new(3);
        street.run(1_000);
        agree(&mut street, 1, sends, false);
        // What came before is heard to its end.
        street.run(80);
        let before = stats(&street, 1);
        let heard = street.run(2_000);
        let [left, other] = [TONES[1], TONES[2]].map(|tone| level(&heard[0], tone));
        assert!(left < 10.0 && other > 1_000.0, "{left} of it, {other} of another");
        assert_eq!(heard[1].is_empty(), !sends, "it is sent what it was to be sent");
        let after = stats(&street, 1);
        assert_eq!(after.rx_packets, before.rx_packets);
        assert_eq!(after.rx_dropped, before.rx_dropped + 100);
        assert_eq!((after.rx_lost, after.concealed_samples), (0, before.concealed_samples));
        let (voices, _) = street.shard.voices(RoomId(1));
        assert!(voices[1].level > 100, "it does not speak");
        // Packets that are on their way find it as it was; the next one is heard.
        agree(&mut street, 1, true, true);
        street.run(60);
        check(&street.run(400), &[".xx", "x.x", "xx."]);
        assert_eq!(stats(&street, 1).rx_lost, 0, "what was not heard was not lost");
    }
}

#[test]
fn a_phone_that_only_listens_is_found_behind_its_nat_and_one_that_does_neither_is_not_looked_for() {
    let nat = SocketAddr::from(([127, 0, 0, 1], 44_000));
    for (sends, found) in [(true, nat), (false, address(1))] {
        let mut street = Street::new(2);
        agree(&mut street, 1, sends, false);
        stray(&mut street, 1, 2, nat);
        agree(&mut street, 1, true, false);
        street.shard.handle_tick(street.now());
        assert_eq!(destinations(&mut street, 1).last(), Some(&found));
    }
}

#[test]
fn a_phone_whose_hold_names_no_address_is_where_it_was() {
    let mut street = Street::new(2);
    street.run(200);
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 10_002));
    let held = LegOptions { remote: nowhere, remote_rtcp: nowhere, sends: false, ..options(1, 20) };
    street.command(Command::UpdateLeg(LegId(1), Box::new(held)));
    let stranger = SocketAddr::from(([127, 0, 0, 1], 45_000));
    stray(&mut street, 1, 66, stranger);
    let dropped = stats(&street, 1).rx_dropped;
    assert_eq!(dropped, 1, "a stranger takes its place");
    let reports: Vec<_> = (0..600).flat_map(|_| destinations(&mut street, 1)).collect();
    assert!(!reports.is_empty() && reports.iter().all(|to| *to == address(1)), "{reports:?}");
    agree(&mut street, 1, true, true);
    street.run(200);
    check(&street.run(400), &[".x", "x."]);
}

#[test]
fn what_is_no_report_draws_no_reports_away() {
    let mut street = Street::new(2);
    street.run(200);
    let header = Header { marker: false, payload_type: 0, sequence: 1, timestamp: 0, ssrc: 7 };
    let mut packet = [0; PACKET_MAX];
    let end = header.write(&[0xd5; 160], &mut packet);
    let (now, stranger) = (street.now(), SocketAddr::from(([127, 0, 0, 1], 45_000)));
    street.shard.handle_datagram(LegId(1), Channel::Rtcp, stranger, &packet[..end], now);
    let to: Vec<_> = (0..600).flat_map(|_| destinations(&mut street, 1)).collect();
    assert!(to.len() > 600 && to.iter().all(|to| *to == address(1)), "a report goes elsewhere");
}
