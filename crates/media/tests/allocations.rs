//! Nothing is allocated in a frame: a count of it, for every codec but Opus, whose libraries allocate.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use media::{
    AudioLevel, Channel, Cleaning, Codec, Command, Encoder, Header, Hears, LegId, LegOptions,
    MasterKey, PACKET_MAX, PAYLOAD_MAX, PlayTo, PlayerId, Protection, RecordingId, RoomId, Route,
    Shard, Source, Speaks, Srtp, Suite, TICK, Track,
};

const WARM: u32 = 400;
const TICKS: u32 = 200;

fn address(leg: u64) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 10_000 + leg as u16 * 2))
}

fn key(suite: Suite, of: u8) -> MasterKey {
    MasterKey::new(suite, &vec![of; suite.key_length()], &vec![of; suite.salt_length()]).unwrap()
}

fn join(shard: &mut Shard, leg: u64, codec: Codec, suite: Option<Suite>, now: Instant) {
    let between = |suite| Protection { ours: key(suite, 1), theirs: key(suite, 2) };
    let options = LegOptions {
        audio_level: Some(AudioLevel { id: 1, vad: true }),
        protection: suite.map(between),
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
fn packets(leg: u64, codec: Codec, suite: Option<Suite>) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(codec);
    let mut srtp = suite.map(|suite| Srtp::new(&key(suite, 2)));
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
            let sealed = srtp.as_mut().map(|srtp| srtp.protect(&mut packet, length));
            let length = sealed.unwrap_or(length);
            packet[..length].to_vec()
        })
        .collect()
}

/// What a room is like in which four speak each codec.
struct Like {
    codecs: [Codec; 2],
    suite: Option<Suite>,
    recorded: &'static [Source],
}

/// Returns how often something is allocated in ticks of a room.
fn allocations(Like { codecs, suite, recorded }: Like) -> u64 {
    let start = Instant::now();
    let mut shard = Shard::new(1);
    let legs: Vec<Codec> = codecs.iter().flat_map(|&codec| [codec; 4]).collect();
    let said: Vec<Vec<Vec<u8>>> =
        (0..).zip(&legs).map(|(leg, &codec)| packets(leg, codec, suite)).collect();
    for (leg, &codec) in (0..).zip(&legs) {
        join(&mut shard, leg, codec, suite, start);
    }
    for (number, &source) in (0..).zip(recorded) {
        shard.handle_command(Command::Record(RecordingId(number), source), start);
        for leg in (0..legs.len() as u64).filter(|_| matches!(source, Source::Tracks(_))) {
            shard.handle_command(Command::Track(RecordingId(number), LegId(leg)), start);
        }
    }
    let mut kept = 0;
    let mut tick = |number: u32| {
        let now = start + TICK * number;
        for (leg, said) in (0..).zip(&said) {
            let (id, packet) = (LegId(leg), &said[number as usize]);
            shard.handle_datagram(id, Channel::Rtp, address(leg), packet, now);
        }
        shard.handle_tick(now);
        while shard.poll_transmit(now).is_some() {}
        while shard.poll_event().is_some() {}
        while shard.poll_recorded().is_some() {
            kept += 1;
        }
    };
    (0..WARM).for_each(&mut tick);
    let counted = allocation_counter::measure(|| (WARM..WARM + TICKS).for_each(&mut tick));
    assert!(kept >= recorded.len() * TICKS as usize, "{kept} frames are recorded");
    counted.count_total
}

const TELEPHONES: Like = Like { codecs: [Codec::Pcmu, Codec::Pcma], suite: None, recorded: &[] };

#[test]
fn nothing_is_allocated_in_a_tick_of_telephones() {
    assert_eq!(allocations(TELEPHONES), 0);
}

#[test]
fn nothing_is_allocated_in_a_tick_of_telephones_and_wide_band_phones() {
    assert_eq!(allocations(Like { codecs: [Codec::Pcmu, Codec::G722], ..TELEPHONES }), 0);
}

#[test]
fn nothing_is_allocated_in_a_tick_of_those_whose_sound_is_encrypted() {
    for suite in [Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32, Suite::AeadAes128Gcm] {
        assert_eq!(allocations(Like { suite: Some(suite), ..TELEPHONES }), 0, "{suite:?}");
    }
}

#[test]
fn nothing_is_allocated_in_a_tick_that_is_recorded() {
    const ROOM: RoomId = RoomId(1);
    let recorded = &[
        Source::Room(ROOM, None),
        Source::Room(ROOM, Some(LegId(0))),
        Source::Leg(LegId(1), Track::Apart),
        Source::Tracks(ROOM),
    ];
    assert_eq!(allocations(Like { recorded, ..TELEPHONES }), 0);
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
