//! A room whose legs do one thing all of them, and what each of them holds.

use std::net::SocketAddr;
use std::time::Instant;

use media::{
    Channel, Codec, Command, Encoder, Header, Hears, LegId, LegOptions, PACKET_MAX, PAYLOAD_MAX,
    RoomId, Route, Shard, Speaks, TICK,
};

/// Legs over which is measured.
const LEGS: u64 = 16;
const TICKS: u32 = 60;
/// Of the packets that come, one in so many is lost.
const LOST: u32 = 20;

/// What the legs of a room do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// Nothing, and nothing has come from it yet.
    Joins,
    /// Its phone sends silence, and it hears what all hear.
    Listens,
    /// Its phone sends a tone, so that it hears a mix of its own.
    Talks,
}

/// Returns the octets that a leg holds on the heap.
pub fn octets_of_a_leg(codec: Codec, does: Does) -> i64 {
    let (start, said) = (now(), said(codec, does));
    let mut shard = Shard::new(1);
    let held = allocation_counter::measure(|| {
        for leg in 0..LEGS {
            join(&mut shard, leg, codec, does, start);
        }
        for (tick, packet) in (0..TICKS).zip(&said) {
            let at = start + TICK * tick;
            for leg in 0..LEGS {
                // Not of all at once.
                if (u64::from(tick) + leg) % u64::from(LOST) != 0 {
                    shard.handle_datagram(LegId(leg), Channel::Rtp, address(leg), packet, at);
                }
            }
            shard.handle_tick(at);
            while shard.poll_transmit(at).is_some() {}
        }
    });
    held.bytes_current / LEGS as i64
}

#[allow(clippy::disallowed_methods, reason = "an epoch")]
fn now() -> Instant {
    Instant::now()
}

/// Returns the packets of a phone.
fn said(codec: Codec, does: Does) -> Vec<Vec<u8>> {
    let loud = match does {
        Does::Joins => return Vec::new(),
        Does::Listens => 0.0,
        Does::Talks => 6_000.0,
    };
    let (mut encoder, samples) = (Encoder::new(codec), codec.rate().samples());
    let step = 440.0 / codec.rate().hertz() as f32 * std::f32::consts::TAU;
    let packet = |tick: u32| {
        let sample = |at: usize| ((at + tick as usize * samples) as f32 * step).sin() * loud;
        let frame: Vec<i16> = (0..samples).map(|at| sample(at) as i16).collect();
        let (mut payload, mut packet) = ([0; PAYLOAD_MAX], [0; PACKET_MAX]);
        let length = encoder.encode(&frame, &mut payload);
        let header = Header {
            marker: false,
            payload_type: 96,
            sequence: tick as u16,
            timestamp: tick * (codec.clock() / 50),
            ssrc: 1,
        };
        let length = header.write(&payload[..length], &mut packet);
        packet[..length].to_vec()
    };
    (0..TICKS).map(packet).collect()
}

fn address(leg: u64) -> SocketAddr {
    ([127, 0, 0, 1], 10_000 + leg as u16 * 2).into()
}

fn join(shard: &mut Shard, leg: u64, codec: Codec, does: Does, now: Instant) {
    let options = LegOptions::plain(codec, 96, address(leg));
    shard.handle_command(Command::AddLeg(LegId(leg), Box::new(options)), now);
    let speaks = if does == Does::Talks { Speaks::Everyone } else { Speaks::Nobody };
    let route = Route { room: Some(RoomId(1)), speaks, hears: Hears::Everyone, ..Route::nowhere() };
    shard.handle_command(Command::Route(LegId(leg), route), now);
}
