//! Nothing is allocated in a frame: a count of it, for every codec but Opus, whose libraries allocate.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use media::{
    AudioLevel, Channel, Cleaning, Codec, Command, Encoder, Header, Hears, LegId, LegOptions,
    PACKET_MAX, PAYLOAD_MAX, PlayTo, PlayerId, RoomId, Route, Shard, Speaks, TICK,
};

const WARM: u32 = 400;
const TICKS: u32 = 200;

fn address(leg: u64) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 10_000 + leg as u16 * 2))
}

fn join(shard: &mut Shard, leg: u64, codec: Codec, now: Instant) {
    let options = LegOptions {
        audio_level: Some(AudioLevel { id: 1, vad: true }),
        ..LegOptions::plain(codec, 96, address(leg))
    };
    shard.handle_command(Command::AddLeg(LegId(leg), Box::new(options)), now);
    // Two talk, and two listen.
    let speaks =
        if leg.is_multiple_of(4) || leg % 4 == 1 { Speaks::Everyone } else { Speaks::Nobody };
    let room = Some(RoomId(1));
    // One of each four is cleaned.
    let wanted = leg % 4 == 1;
    let cleaning = Cleaning { levelling: wanted, noise_suppression: wanted };
    let route = Route { room, speaks, cleaning, hears: Hears::Everyone, ..Route::nowhere() };
    shard.handle_command(Command::Route(LegId(leg), route), now);
}

/// Returns all packets of one phone, made beforehand.
fn packets(leg: u64, codec: Codec) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(codec);
    let samples = codec.rate().samples();
    (0..WARM + TICKS)
        .map(|tick| {
            let frame: Vec<i16> = (0..samples)
                .map(|at| (((at + tick as usize * samples) as f32 * 0.05).sin() * 3_000.0) as i16)
                .collect();
            let mut payload = [0; PAYLOAD_MAX];
            let length = encoder.encode(&frame, &mut payload);
            let header = Header {
                marker: false,
                payload_type: 96,
                sequence: tick as u16,
                timestamp: tick * (codec.clock() / 50),
                ssrc: leg as u32,
            };
            let mut packet = [0; PACKET_MAX];
            let length = header.write(&payload[..length], &mut packet);
            let level = AudioLevel { id: 1, vad: true };
            let length = level.write(24, tick % 2 == 0, &mut packet, length);
            packet[..length].to_vec()
        })
        .collect()
}

/// Returns how often something is allocated in a tick of a room in which four speak each codec.
fn allocations(codecs: &[Codec]) -> u64 {
    let start = Instant::now();
    let mut shard = Shard::new(1);
    let legs: Vec<Codec> = codecs.iter().flat_map(|&codec| [codec; 4]).collect();
    let said: Vec<Vec<Vec<u8>>> =
        (0..).zip(&legs).map(|(leg, &codec)| packets(leg, codec)).collect();
    for (leg, &codec) in (0..).zip(&legs) {
        join(&mut shard, leg, codec, start);
    }
    let mut tick = |number: u32| {
        let now = start + TICK * number;
        for (leg, said) in (0..).zip(&said) {
            let (id, packet) = (LegId(leg), &said[number as usize]);
            shard.handle_datagram(id, Channel::Rtp, address(leg), packet, now);
        }
        shard.handle_tick(now);
        while shard.poll_transmit(now).is_some() {}
        while shard.poll_event().is_some() {}
    };
    (0..WARM).for_each(&mut tick);
    allocation_counter::measure(|| (WARM..WARM + TICKS).for_each(&mut tick)).count_total
}

#[test]
fn nothing_is_allocated_in_a_tick_of_telephones() {
    assert_eq!(allocations(&[Codec::Pcmu, Codec::Pcma]), 0);
}

#[test]
fn nothing_is_allocated_in_a_tick_of_telephones_and_wide_band_phones() {
    assert_eq!(allocations(&[Codec::Pcmu, Codec::G722]), 0);
}

#[test]
fn nothing_is_allocated_in_a_tick_of_those_who_wait_once_the_music_has_been_heard() {
    let start = Instant::now();
    let mut shard = Shard::new(1);
    let music: Arc<[i16]> = (0..16_000).map(|at| (at * at % 4_001) as i16).collect();
    let mut tick = |number: u32| {
        let now = start + TICK * number;
        // One after the other comes, so that each is elsewhere in it.
        if number.is_multiple_of(7) && number < 140 {
            let (leg, player) = (LegId(number.into()), PlayerId(number.into()));
            let codec = if number.is_multiple_of(2) { Codec::Pcmu } else { Codec::G722 };
            let options = LegOptions::plain(codec, 96, address(number.into()));
            shard.handle_command(Command::AddLeg(leg, Box::new(options)), now);
            let (to, pcm) = (PlayTo::Leg(leg), music.clone());
            let play = Command::Play { player, to, pcm, loops: None, paused: false };
            shard.handle_command(play, now);
        }
        shard.handle_tick(now);
        while shard.poll_transmit(now).is_some() {}
        while shard.poll_event().is_some() {}
    };
    (0..WARM).for_each(&mut tick);
    let counted = allocation_counter::measure(|| (WARM..WARM + TICKS).for_each(&mut tick));
    assert_eq!(counted.count_total, 0);
}
