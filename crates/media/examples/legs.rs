//! Prints what a tick of 20 ms costs for each leg of rooms of four of whom two talk, or of one in which each is heard
//! by a way of its own by all others, all in all but for the system calls, as rows of a table; and of that what the
//! codec takes by itself, where it is dear.
//!
//! `cargo run --release --package media --example legs`

#![allow(clippy::disallowed_methods)] // The clock is what this is about.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::{
    Channel, Codec, Command, Decoder, Encoder, Header, Hears, LegId, LegOptions, OpusOptions,
    PACKET_MAX, PAYLOAD_MAX, PCM_MAX, RoomId, Route, SLOTS, Shard, Speaks, TICK,
};

const PAYLOAD_TYPE: u8 = 96;
/// Different packets of a phone, which it says again and again.
const PACKETS: u32 = 100;
/// Ticks before it counts, and the ticks of a time that does; the best of so many times counts, as others disturb.
const WARM: u32 = 500;
const TICKS: u32 = 100;
const TIMES: u32 = 10;

fn main() {
    println!(
        "| Legs | microseconds a tick and leg | of that encoding and decoding |\n|---|---|---|"
    );
    let opus = Codec::Opus(OpusOptions::default());
    for (name, codec, legs, talkers, route) in [
        ("40 PCMU, 2 of 4 talk", Codec::Pcmu, 40, 2, in_fours as Routed),
        ("400 PCMU, 2 of 4 talk", Codec::Pcmu, 400, 2, in_fours),
        ("3,600 PCMU, 2 of 4 talk", Codec::Pcmu, 3_600, 2, in_fours),
        ("40 G.722, all talk", Codec::G722, 40, 4, in_fours),
        ("20 Opus, all talk", opus, 20, 4, in_fours),
        ("250 PCMU, each by ways of its own to all", Codec::Pcmu, 250, 2, to_each),
    ] {
        let cost = in_rooms(codec, legs, talkers, route).as_secs_f64() * 1e6;
        let own = by_itself(codec).as_secs_f64() * 1e6;
        println!("| {name} | {cost:.2} | {own:.2} |");
    }
}

/// What becomes of one leg of so many.
type Routed = fn(u64, u64) -> Route;

/// Four hear each other.
fn in_fours(leg: u64, _: u64) -> Route {
    let (room, speaks, hears) = (Some(RoomId(leg / 4)), Speaks::Everyone, Hears::Everyone);
    Route { room, speaks, hears, ..Route::nowhere() }
}

/// All hear each other, each by a way of its own.
fn to_each(leg: u64, legs: u64) -> Route {
    let others = (0..legs).filter(|&other| other != leg).map(LegId).collect();
    let (room, speaks, hears) = (Some(RoomId(0)), Speaks::Only(others), Hears::Played);
    Route { room, speaks, hears, ..Route::nowhere() }
}

fn address(leg: u64) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 10_000 + leg as u16 * 2))
}

fn tone(codec: Codec, leg: u64, tick: u32) -> Vec<i16> {
    let (samples, hertz) = (codec.rate().samples(), codec.rate().hertz() as f32);
    let step = (300.0 + 7.0 * leg as f32) * std::f32::consts::TAU / hertz;
    (0..samples)
        .map(|at| (((at + tick as usize * samples) as f32 * step).sin() * 3_000.0) as i16)
        .collect()
}

/// Returns the payloads of one phone, one after the other, and where each ends.
fn payloads(codec: Codec, leg: u64, talks: bool) -> Vec<Vec<u8>> {
    let (mut encoder, mut payload) = (Encoder::new(codec), [0; PAYLOAD_MAX]);
    let silence = vec![0; codec.rate().samples()];
    let encode = |tick| {
        let frame = if talks { tone(codec, leg, tick) } else { silence.clone() };
        let length = encoder.encode(&frame, &mut payload);
        payload[..length].to_vec()
    };
    (0..PACKETS).map(encode).collect()
}

fn in_rooms(codec: Codec, legs: u64, talkers: u64, route: Routed) -> Duration {
    let start = Instant::now();
    let mut shard = Shard::new(1);
    // All talkers of a kind say the same, so that what the phones hold does not fill the caches.
    let said: Vec<Vec<Vec<u8>>> = (0..4).map(|leg| payloads(codec, leg, leg < talkers)).collect();
    for leg in 0..legs {
        let options = LegOptions::plain(codec, PAYLOAD_TYPE, address(leg));
        shard.handle_command(Command::AddLeg(LegId(leg), Box::new(options)), start);
        shard.handle_command(Command::Route(LegId(leg), route(leg, legs)), start);
    }
    let mut best = Duration::MAX;
    let mut taken = Duration::ZERO;
    for tick in 0..WARM + TICKS * TIMES {
        let now = start + TICK * tick;
        let began = Instant::now();
        let (mut part, mut slot) = (None, 0);
        while slot < SLOTS {
            let Some(next) = shard.next_part(slot, part) else {
                (part, slot) = (None, slot + 1);
                continue;
            };
            for leg in next_legs(&shard, next) {
                let mut packet = [0; PACKET_MAX];
                let header = Header {
                    marker: false,
                    payload_type: PAYLOAD_TYPE,
                    sequence: tick as u16,
                    timestamp: tick * (codec.clock() / 50),
                    ssrc: leg.0 as u32,
                };
                let payload = &said[leg.0 as usize % 4][(tick % PACKETS) as usize];
                let length = header.write(payload, &mut packet);
                shard.handle_datagram(leg, Channel::Rtp, address(leg.0), &packet[..length], now);
            }
            shard.handle_part(next, now, now);
            while let Some(transmit) = shard.poll_transmit(now) {
                black_box(transmit);
            }
            part = Some(next);
        }
        shard.finish_tick();
        while shard.poll_event().is_some() {}
        taken += began.elapsed();
        if (tick + 1) % TICKS == 0 {
            if tick >= WARM {
                best = best.min(taken);
            }
            taken = Duration::ZERO;
        }
    }
    best / TICKS / legs as u32
}

fn next_legs(shard: &Shard, part: media::Part) -> Vec<LegId> {
    let mut legs = Vec::new();
    shard.legs_in(part, &mut legs);
    legs
}

/// Returns what a tick costs in the codec alone: encoded once, and decoded once.
fn by_itself(codec: Codec) -> Duration {
    let (mut encoder, mut decoder) = (Encoder::new(codec), Decoder::new(codec));
    let (mut payload, mut sound) = ([0; PAYLOAD_MAX], [0; PCM_MAX]);
    let frames: Vec<Vec<i16>> = (0..PACKETS).map(|tick| tone(codec, 0, tick)).collect();
    let mut best = Duration::MAX;
    for _ in 0..TIMES {
        let began = Instant::now();
        for frame in &frames {
            let length = encoder.encode(frame, &mut payload);
            black_box(decoder.decode(&payload[..length], &mut sound));
        }
        best = best.min(began.elapsed());
    }
    best / PACKETS
}
