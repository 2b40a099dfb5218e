//! Prints what the parts of a leg hold in memory, as rows of a table.
//!
//! `cargo run --release --package media --example memory`

use media::{Bounds, Codec, Command, Decoder, Encoder, Hears, LegId, LegOptions, OpusOptions};
use media::{Limiter, Rate, Resampler, RoomId, Route, Shard, Speaks, TICK};

use std::hint::black_box;
use std::time::Instant;

/// Legs over which a room is measured.
const LEGS: u64 = 16;

fn main() {
    println!("| Part | octets |\n|---|---|");
    let opus = Codec::Opus(OpusOptions::default());
    for (name, codec) in [("PCMU", Codec::Pcmu), ("G.722", Codec::G722), ("Opus", opus)] {
        row(&format!("encoder of {name}"), || Encoder::new(codec));
        row(&format!("decoder of {name}"), || Decoder::new(codec));
        let start = now();
        for (what, ticks, speaks, hears) in [
            ("as it joins", 0, Speaks::Everyone, Hears::Nothing),
            ("that listens", 60, Speaks::Nobody, Hears::Everyone),
            ("that may speak and is silent", 60, Speaks::Everyone, Hears::Everyone),
        ] {
            let mut shard = Shard::new(1);
            let octets = allocation_counter::measure(|| {
                for leg in 0..LEGS {
                    join(&mut shard, leg, codec, speaks.clone(), hears, start);
                }
                for tick in 0..ticks {
                    shard.handle_tick(start + TICK * tick);
                    while shard.poll_transmit(start + TICK * tick).is_some() {}
                }
            });
            println!("| leg of {name} {what} | {} |", octets.bytes_current / LEGS as i64);
        }
    }
    row("limiter", || Box::new(Limiter::new()));
    row("resampler", || Box::new(Resampler::new(Rate::Narrow, Rate::Full)));
}

#[allow(clippy::disallowed_methods, reason = "an epoch")]
fn now() -> Instant {
    Instant::now()
}

fn row<T>(name: &str, make: impl Fn() -> T) {
    let inline = size_of::<T>() as i64;
    let mut made = None;
    let heap = allocation_counter::measure(|| made = Some(black_box(make()))).bytes_current;
    println!("| {name} | {} |", inline + heap);
}

fn join(shard: &mut Shard, leg: u64, codec: Codec, speaks: Speaks, hears: Hears, now: Instant) {
    let remote = ([127, 0, 0, 1], 10_000 + leg as u16 * 2).into();
    let options = LegOptions {
        codec,
        payload_type: 96,
        also: Vec::new(),
        telephone_event: None,
        ptime_ms: 20,
        remote,
        remote_rtcp: remote,
        sends: true,
        receives: true,
        bounds: Bounds::default(),
        protection: None,
        audio_level: None,
    };
    shard.handle_command(Command::AddLeg(LegId(leg), Box::new(options)), now);
    let route = Route { room: Some(RoomId(1)), speaks, hears, ..Route::nowhere() };
    shard.handle_command(Command::Route(LegId(leg), route), now);
}
