//! Prints what the parts of a leg hold in memory, as rows of a table.
//!
//! `cargo run --release --package media --example memory`

#[path = "../tests/memory/room.rs"]
mod room;

use std::hint::black_box;

use media::{Codec, Decoder, Encoder, Limiter, OpusOptions, Rate, Resampler};
use room::{Does, octets_of_a_leg};

fn main() {
    println!("| Part | octets |\n|---|---|");
    let opus = Codec::Opus(OpusOptions::default());
    for (name, codec) in [("PCMU", Codec::Pcmu), ("G.722", Codec::G722), ("Opus", opus)] {
        row(&format!("encoder of {name}"), || Encoder::new(codec));
        row(&format!("decoder of {name}"), || Decoder::new(codec));
        for (what, does) in [
            ("as it joins", Does::Joins),
            ("that listens", Does::Listens),
            ("that talks", Does::Talks),
        ] {
            println!("| leg of {name} {what} | {} |", octets_of_a_leg(codec, does));
        }
    }
    row("limiter", || Box::new(Limiter::new()));
    row("resampler", || Box::new(Resampler::new(Rate::Narrow, Rate::Full)));
}

fn row<T>(name: &str, make: impl Fn() -> T) {
    let inline = size_of::<T>() as i64;
    let mut made = None;
    let heap = allocation_counter::measure(|| made = Some(black_box(make()))).bytes_current;
    println!("| {name} | {} |", inline + heap);
}
