//! A protected leg among others, and strangers who know its port.

use super::*;

const SSRC: u32 = 4_711;
/// Where the far end is; nobody else sends from there.
const PHONE: u16 = 10_000;
const STRANGER: u16 = 6_666;

fn key(first: u8) -> MasterKey {
    let octets: Vec<u8> = (first..).take(28).collect();
    MasterKey::new(Suite::AeadAes128Gcm, &octets[..16], &octets[16..]).unwrap()
}

/// A shard with a protected leg, and one in the clear that says nothing and hears it.
struct Line {
    shard: Shard,
    now: Instant,
    phone: Srtp,
    ear: Srtp,
    sequence: u16,
}

impl Line {
    fn new() -> Self {
        let now = Instant::now();
        let mut shard = Shard::new(7);
        for leg in 0..2 {
            shard.handle_command(Command::AddLeg(LegId(leg), Box::new(Self::options(leg))), now);
            let (room, speaks) = (Some(RoomId(1)), Speaks::Everyone);
            let route = Route { room, speaks, hears: Hears::Everyone, ..Route::nowhere() };
            shard.handle_command(Command::Route(LegId(leg), route), now);
        }
        let (phone, ear) = (Srtp::new(&key(2)), Srtp::new(&key(1)));
        Self { shard, now, phone, ear, sequence: 65_500 }
    }

    fn options(leg: u64) -> LegOptions {
        let protection = Protection { ours: key(1), theirs: key(2) };
        LegOptions { protection: (leg == 0).then_some(protection), ..options(leg, 20) }
    }

    /// A packet of the phone in the clear, with a constant sound.
    fn plain(&self, sequence: u16, ssrc: u32) -> Vec<u8> {
        let timestamp = u32::from(sequence.wrapping_sub(65_500)) * 160;
        let header = Header { marker: false, payload_type: 0, sequence, timestamp, ssrc };
        let mut packet = [0; PACKET_MAX];
        // Up and down, so that it has no offset.
        let sound: [u8; 160] =
            std::array::from_fn(|at| linear_to_ulaw(if at % 2 == 0 { 8_000 } else { -8_000 }));
        let length = header.write(&sound, &mut packet);
        packet[..length].to_vec()
    }

    fn sealed(srtp: &mut Srtp, plain: &[u8]) -> Vec<u8> {
        let mut packet = [plain, &[0; OVERHEAD_MAX]].concat();
        let length = srtp.protect(&mut packet, plain.len());
        packet.truncate(length);
        packet
    }

    fn says(&mut self, port: u16, packet: &[u8]) {
        let from = SocketAddr::from(([127, 0, 0, 1], port));
        self.shard.handle_datagram(LegId(0), Channel::Rtp, from, packet, self.now);
    }

    /// Lets the phone speak for a frame after `before`; returns what the other leg hears, and where the leg's own
    /// packets went, which the phone can open.
    fn frame(&mut self, before: impl FnOnce(&mut Self)) -> (Vec<i16>, Vec<u16>) {
        before(self);
        let packet = self.plain(self.sequence, SSRC);
        let packet = Self::sealed(&mut self.phone, &packet);
        self.sequence = self.sequence.wrapping_add(1);
        self.says(PHONE, &packet);
        self.now += TICK;
        self.shard.handle_tick(self.now);
        let (mut heard, mut ports) = (Vec::new(), Vec::new());
        while let Some(transmit) = self.shard.poll_transmit(self.now) {
            let mut octets = transmit.octets.to_vec();
            match (transmit.leg, transmit.channel) {
                (LegId(0), Channel::Rtp) => {
                    let length = self.ear.unprotect(&mut octets).unwrap();
                    assert_eq!(length, 172);
                    ports.push(transmit.to.port());
                }
                (LegId(0), Channel::Rtcp) => {
                    self.ear.unprotect_rtcp(&mut octets).unwrap();
                }
                (_, Channel::Rtp) => {
                    heard.extend(octets[12..].iter().map(|&octet| ulaw_to_linear(octet)));
                }
                (_, Channel::Rtcp) => {}
            }
        }
        (heard, ports)
    }
}

#[test]
fn a_protected_leg_is_heard_and_hears_under_its_own_keys() {
    let mut line = Line::new();
    let mut loud = 0;
    for _ in 0..400 {
        let (heard, ports) = line.frame(|_| {});
        assert_eq!(ports, [PHONE]);
        loud += usize::from(heard.iter().all(|&sample| (7_000..9_000).contains(&sample.abs())));
    }
    assert!(loud > 225, "{loud} of 240 frames");
    assert_eq!(line.shard.stats().total.rx_unproven, 0);
}

/// T6 and T9: forged, foreign, changed and repeated packets, a whole flood of them before each of the phone's and
/// before its first, are counted, and the leg is heard and sends as if they had never come.
#[test]
fn strangers_and_a_flood_of_garbage_change_nothing() {
    let mut quiet = Line::new();
    let mut flooded = Line::new();
    let mut stranger = Srtp::new(&key(9));
    let mut last: Vec<u8> = Vec::new();
    let mut thrown = 0;
    for frame in 0..200_u16 {
        let mut kept = Vec::new();
        let said = flooded.frame(|line| {
            let sequence = line.sequence;
            let mut throw = |line: &mut Line, packet: &[u8]| {
                for port in [STRANGER, PHONE] {
                    line.says(port, packet);
                    thrown += 1;
                }
            };
            for step in [0, 1, 40_000] {
                let sequence = sequence.wrapping_add(step);
                for ssrc in [SSRC, u32::from(sequence)] {
                    let plain = line.plain(sequence, ssrc);
                    throw(line, &plain);
                    throw(line, &Line::sealed(&mut stranger, &plain));
                }
            }
            for length in [0, 1, 11, 12, 28, 200, 1_500] {
                throw(line, &vec![frame as u8 | 0x80; length]);
            }
            if !last.is_empty() {
                throw(line, &last);
                let mut changed = last.clone();
                changed[20] ^= 1;
                throw(line, &changed);
            }
            kept = line.plain(sequence, SSRC);
        });
        assert_eq!(said, quiet.frame(|_| {}), "frame {frame}");
        // What the phone said, to be said once more by others.
        let mut twin = Srtp::new(&key(2));
        last = Line::sealed(&mut twin, &kept);
    }
    let total = flooded.shard.stats().total;
    assert_eq!(total.rx_packets, 200);
    // What is no RTP at all, or looks like RTCP, is counted as well.
    assert_eq!(total.rx_unproven, thrown);
    assert_eq!(total.rx_dropped, thrown);
}

#[test]
fn a_stranger_who_comes_first_draws_nothing_away() {
    let mut line = Line::new();
    let plain = line.plain(1, 1);
    line.says(STRANGER, &plain);
    line.says(STRANGER, &Line::sealed(&mut Srtp::new(&key(9)), &plain));
    assert_eq!(line.frame(|_| {}).1, [PHONE]);
}

#[test]
fn keys_that_stay_go_on_where_they_were() {
    let mut line = Line::new();
    let first = line.plain(line.sequence, SSRC);
    let first = Line::sealed(&mut Srtp::new(&key(2)), &first);
    for _ in 0..10 {
        line.frame(|_| {});
    }
    let mut options = Line::options(0);
    options.ptime_ms = 20;
    line.shard.handle_command(Command::UpdateLeg(LegId(0), Box::new(options)), line.now);
    line.says(PHONE, &first);
    assert_eq!(line.shard.stats().total.rx_unproven, 1, "it came before");
    // The phone's new key does not begin ours anew, and its old one is of no use any more.
    let by = Protection { ours: key(1), theirs: key(3) };
    let options = LegOptions { protection: Some(by), ..Line::options(0) };
    line.shard.handle_command(Command::UpdateLeg(LegId(0), Box::new(options)), line.now);
    line.frame(|_| {});
    assert_eq!(line.shard.stats().total.rx_unproven, 2);
    line.phone = Srtp::new(&key(3));
    line.frame(|_| {});
    assert_eq!(line.shard.stats().total.rx_unproven, 2);
}
