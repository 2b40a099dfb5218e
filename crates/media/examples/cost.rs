//! Prints what a tick of 20 ms costs in each part that sound passes through, as rows of a table.
//!
//! `cargo run --release --package media --example cost`; `-- opus` prints the rows of Opus alone.

#![allow(clippy::disallowed_methods)] // The clock is what this is about.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use media::{
    Activity, Codec, Decoder, Encoder, Leveller, Limiter, OpusOptions, PAYLOAD_MAX, PCM_MAX,
    Process, Rate, Resampler, Suppressor,
};

/// How long each part is measured for at a time, in time of the processor, and how often: the best counts, as others
/// disturb.
const LENGTH: Duration = Duration::from_millis(100);
const TIMES: u32 = 5;
/// Ticks of the voice that is encoded over and over.
const TICKS: usize = 100;

fn main() {
    println!("| Part | microseconds a tick |\n|---|---|");
    let opus_alone = std::env::args().any(|argument| argument == "opus");
    for (name, codec) in codecs() {
        if !opus_alone || matches!(codec, Codec::Opus(_)) {
            codec_rows(name, codec);
        }
    }
    let options = OpusOptions { bitrate: 32_000, halves: true, ..OpusOptions::default() };
    let (mut encoder, mut payload) = (Encoder::new(Codec::Opus(options)), [0; PAYLOAD_MAX]);
    let said = voice(Rate::Full);
    row("encode Opus, 32 kbit/s, in packets of 10 ms", &said, Rate::Full.samples(), |tick| {
        black_box(encoder.encode(tick, &mut payload));
    });
    if opus_alone {
        return;
    }
    for from in Rate::ALL {
        for to in Rate::ALL.into_iter().filter(|to| *to != from) {
            let (mut resampler, input) = (Resampler::new(from, to), wide(&voice(from)));
            let mut output = vec![0; to.samples()];
            let name = format!("resample {} to {} kHz", from.hertz() / 1_000, to.hertz() / 1_000);
            row(&name, &input, from.samples(), |tick| resampler.resample(tick, &mut output));
        }
    }
    for rate in Rate::ALL {
        let kilohertz = rate.hertz() / 1_000;
        for (name, loud) in [("within full scale", 1), ("over it", 8)] {
            let sum: Vec<i32> = wide(&voice(rate)).iter().map(|sample| sample * loud).collect();
            let (mut limiter, mut frame) = (Limiter::new(), vec![0; rate.samples()]);
            let name = format!("limit {kilohertz} kHz, {name}");
            row(&name, &sum, rate.samples(), |tick| limiter.limit(rate, tick, &mut frame));
        }
        let (mut suppressor, mut leveller) = (Suppressor::new(rate), Leveller::new(rate));
        let mut made = vec![0; rate.samples()];
        let name = format!("suppress noise, {kilohertz} kHz");
        row(&name, &voice(rate), rate.samples(), |tick| suppressor.process(tick, &mut made, true));
        let name = format!("level, {kilohertz} kHz");
        row(&name, &voice(rate), rate.samples(), |tick| leveller.process(tick, &mut made, true));
        let mut activity = Activity::new();
        let name = format!("tell speech, {kilohertz} kHz");
        row(&name, &voice(rate), rate.samples(), |tick| {
            black_box(activity.observe(rate, tick));
        });
    }
}

fn codecs() -> Vec<(&'static str, Codec)> {
    let opus = |bitrate, fec| Codec::Opus(OpusOptions { bitrate, fec, ..OpusOptions::default() });
    vec![
        ("PCMU", Codec::Pcmu),
        ("PCMA", Codec::Pcma),
        ("G.722", Codec::G722),
        ("Opus, 32 kbit/s", opus(32_000, false)),
        ("Opus, 64 kbit/s", opus(64_000, false)),
        ("Opus, 64 kbit/s with repetition", opus(64_000, true)),
    ]
}

fn codec_rows(name: &str, codec: Codec) {
    let (said, samples) = (voice(codec.rate()), codec.rate().samples());
    let (mut encoder, mut payload) = (Encoder::new(codec), [0; PAYLOAD_MAX]);
    let mut packets = Vec::new();
    for tick in said.chunks_exact(samples) {
        let length = encoder.encode(tick, &mut payload);
        packets.push(payload[..length].to_vec());
    }
    row(&format!("encode {name}"), &said, samples, |tick| {
        black_box(encoder.encode(tick, &mut payload));
    });
    let (mut decoder, mut sound) = (Decoder::new(codec), [0; PCM_MAX]);
    row(&format!("decode {name}"), &packets, 1, |packet| {
        black_box(decoder.decode(&packet[0], &mut sound));
    });
    let mut turn = 0;
    row(&format!("decode and conceal {name}, every second tick"), &packets, 1, |packet| {
        turn += 1;
        if turn % 2 == 0 {
            decoder.conceal(&mut sound[..samples]);
        } else {
            black_box(decoder.decode(&packet[0], &mut sound));
        }
    });
    if matches!(codec, Codec::Opus(OpusOptions { fec: true, .. })) {
        let mut tick = 0;
        row(&format!("decode and repeat {name}, every second tick"), &packets, 1, |_| {
            tick = (tick + 1) % packets.len();
            if tick % 2 == 1 {
                black_box(decoder.decode(&packets[tick], &mut sound));
            } else if !decoder.recover(&packets[tick + 1], &mut sound[..samples]) {
                decoder.conceal(&mut sound[..samples]);
            }
        });
    }
    if !codec.is_stateless() {
        row(&format!("clone the encoder of {name}"), &packets, 1, |_| {
            black_box(encoder.clone());
        });
    }
}

/// Prints the best time of `work` for a chunk of so many of `input`.
fn row<T>(name: &str, input: &[T], length: usize, mut work: impl FnMut(&[T])) {
    let mut best = f64::MAX;
    for _ in 0..TIMES {
        let (start, mut done) = (spent(), 0);
        while spent() - start < LENGTH {
            for chunk in input.chunks_exact(length) {
                work(black_box(chunk));
                done += 1;
            }
        }
        best = best.min((spent() - start).as_secs_f64() * 1e6 / f64::from(done));
    }
    println!("| {name} | {best:.2} |");
}

/// Returns the time that this thread had a processor, as far as the system tells it; else that which has passed.
fn spent() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| START.get_or_init(Instant::now).elapsed(), Duration::from_nanos)
}

/// Syllables of a voice above a little noise.
fn voice(rate: Rate) -> Vec<i16> {
    let hertz = f64::from(rate.hertz());
    let (mut phase, mut random) = (0.0, 1_u32);
    let sample = |at: usize| {
        let time = at as f64 / hertz;
        phase += std::f64::consts::TAU * (140.0 + 30.0 * (time * 5.0).sin()) / hertz;
        let sum: f64 = (1..20).map(|n| (phase * f64::from(n)).sin() / f64::from(n)).sum();
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(random >> 16) / 65_536.0 - 0.5;
        (sum * (time * 9.0).sin().abs() * 5_000.0 + noise * 60.0) as i16
    };
    (0..TICKS * rate.samples()).map(sample).collect()
}

fn wide(samples: &[i16]) -> Vec<i32> {
    samples.iter().map(|&sample| sample.into()).collect()
}
