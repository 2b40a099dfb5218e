//! Churn: legs come and go without end, and nothing is left of them.
//!
//! `SIDETONE_DEEP` plays ten times as long.

use std::time::Instant;

use media::{
    Channel, PlayerId, RecordingId, RoomId, Route, SLOTS, Shard, Source, Speaks, TICK, Track,
};
use media::{Codec, Command, Encoder, Header, Hears, LegId, PACKET_MAX, PAYLOAD_MAX, Pcm, PlayTo};

use crate::chance::Chance;
use crate::phone::{OPUS, address, payload_type, terms};

/// Legs that come and go in a normal run and in a deep one.
const CYCLES: (u64, u64) = (100_000, 1_000_000);
/// Those of a first run, in which tables take the size that they keep.
const FIRST: u64 = 10_000;
/// Legs that are there at a time, and the ticks that each stays, at most.
const LEGS: usize = 60;
const TICKS_MAX: usize = 8;
const ROOMS: usize = 12;
/// Octets that may be left more than before. One leg takes thousands.
const LEFT_MAX: i64 = 64 * 1_024;

/// One leg, and what it has sent.
struct Caller {
    leg: LegId,
    codec: Codec,
    sent: u32,
    /// Ticks until it hangs up.
    stays: usize,
}

struct Churn {
    shard: Shard,
    start: Instant,
    ticks: u32,
    chance: Chance,
    callers: Vec<Caller>,
    last: u64,
    music: Pcm,
}

impl Churn {
    #[allow(clippy::disallowed_methods, reason = "an epoch")]
    fn new() -> Self {
        Self {
            shard: Shard::new(3),
            start: Instant::now(),
            ticks: 0,
            chance: Chance::new(11),
            callers: Vec::new(),
            last: 0,
            music: [1_000; 300].into(),
        }
    }

    fn command(&mut self, command: Command) {
        let now = self.start + TICK * self.ticks;
        self.shard.handle_command(command, now);
    }

    fn join(&mut self) {
        self.last += 1;
        let leg = LegId(self.last);
        // Opus takes long to be made ready.
        let codec = match self.chance.below(50) {
            0 => OPUS,
            1..15 => Codec::G722,
            _ => Codec::Pcmu,
        };
        self.command(Command::AddLeg(leg, Box::new(terms(leg, codec))));
        let stays = 1 + self.chance.below(TICKS_MAX);
        self.callers.push(Caller { leg, codec, sent: 0, stays });
    }

    /// Does to a leg what is done to legs.
    fn change(&mut self, at: usize) {
        let leg = self.callers[at].leg;
        let other = self.chance.below(self.callers.len());
        let other = self.callers[other].leg;
        let room = RoomId(self.chance.below(ROOMS) as u64);
        let (speaks, hears) = match self.chance.below(6) {
            0 => (Speaks::Nobody, Hears::Everyone),
            1 => (Speaks::Nobody, Hears::Nothing),
            2 => (Speaks::Only(vec![other]), Hears::Everyone),
            3 => (Speaks::Everyone, Hears::Played),
            _ => (Speaks::Everyone, Hears::Everyone),
        };
        let route = Route { room: Some(room), speaks, hears, ..Route::nowhere() };
        self.command(Command::Route(leg, route));
        let (pcm, loops) = (self.music.clone(), Some(2));
        let player = PlayerId(self.last);
        match self.chance.below(20) {
            0 => {
                let to = PlayTo::Leg(leg);
                self.command(Command::Play { player, to, pcm, loops, paused: false });
            }
            1 => {
                let to = PlayTo::Room(room);
                self.command(Command::Play { player, to, pcm, loops, paused: false });
            }
            2 => self.command(Command::SendDigits(leg, player, "1".to_owned())),
            3 => {
                let recording = RecordingId(self.last);
                self.command(Command::Record(recording, Source::Leg(leg, Track::Both)));
            }
            4 => {
                // A recording that is stopped may be of a leg that has left.
                self.command(Command::StopRecording(RecordingId(leg.0)));
            }
            _ => {}
        }
    }

    fn tick(&mut self, payloads: &[(Codec, Vec<u8>)]) {
        let now = self.start + TICK * self.ticks;
        for caller in &mut self.callers {
            let (_, payload) = payloads.iter().find(|(codec, _)| *codec == caller.codec).unwrap();
            let header = Header {
                marker: false,
                payload_type: payload_type(caller.codec),
                sequence: caller.sent as u16,
                timestamp: caller.sent * (caller.codec.clock() / 50),
                ssrc: caller.leg.0 as u32,
            };
            caller.sent += 1;
            let mut packet = [0; PACKET_MAX];
            let length = header.write(payload, &mut packet);
            let (from, packet) = (address(caller.leg), &packet[..length]);
            self.shard.handle_datagram(caller.leg, Channel::Rtp, from, packet, now);
        }
        self.shard.handle_tick(now);
        self.ticks += 1;
        while self.shard.poll_transmit(now + TICK).is_some() {}
        while self.shard.poll_event().is_some() {}
        while self.shard.poll_recorded().is_some() {}
    }

    /// Lets so many legs come and go, and then all go.
    fn pass(&mut self, legs: u64, payloads: &[(Codec, Vec<u8>)]) {
        let until = self.last + legs;
        while self.last < until || !self.callers.is_empty() {
            while self.callers.len() < LEGS && self.last < until {
                self.join();
                self.change(self.callers.len() - 1);
            }
            if self.chance.one_in(4) {
                let at = self.chance.below(self.callers.len());
                self.change(at);
            }
            self.tick(payloads);
            for caller in &mut self.callers {
                caller.stays -= 1;
            }
            let gone: Vec<LegId> =
                self.callers.iter().filter(|caller| caller.stays == 0).map(|one| one.leg).collect();
            self.callers.retain(|caller| caller.stays > 0);
            for leg in gone {
                self.command(Command::RemoveLeg(leg));
            }
        }
        // Ramps, and what is played to rooms.
        for _ in 0..50 {
            self.tick(payloads);
        }
    }
}

#[test]
fn a_hundred_thousand_legs_come_and_go_and_leave_nothing() {
    let deep = std::env::var_os("SIDETONE_DEEP").is_some();
    let cycles = if deep { CYCLES.1 } else { CYCLES.0 };
    let payloads = [Codec::Pcmu, Codec::G722, OPUS].map(|codec| {
        let mut payload = [0; PAYLOAD_MAX];
        let sound = vec![500; codec.rate().samples()];
        let length = Encoder::new(codec).encode(&sound, &mut payload);
        (codec, payload[..length].to_vec())
    });
    let mut churn = Churn::new();
    churn.pass(FIRST, &payloads);
    let left = allocation_counter::measure(|| churn.pass(cycles - FIRST, &payloads));
    let stats = churn.shard.stats();
    assert_eq!((stats.legs, stats.rooms), (0, 0));
    assert!((0..SLOTS).all(|slot| churn.shard.next_part(slot, None).is_none()));
    assert!(left.bytes_current < LEFT_MAX, "{} octets are left", left.bytes_current);
    // At no time was there more than a thousand legs would take.
    assert!(left.bytes_max < 64 << 20, "{} octets at once", left.bytes_max);
    assert!(stats.total.tx_packets > cycles, "{stats:?}");
}
