//! The shard by ear: packets in, packets out, judged by what is heard.

#![allow(clippy::disallowed_methods)] // The tests may read the clock for an epoch.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::*;

mod directions;
mod levels;
mod moving;
mod protected;
mod resting;
mod slots;
mod tracks;
mod wide;

const TONES: [f32; 4] = [400.0, 730.0, 1_250.0, 1_810.0];

const LEVEL: AudioLevel = AudioLevel { id: 5, vad: true };

fn address(leg: u64) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 10_000 + leg as u16 * 2))
}

/// Phones around one shard, each sending a tone of its own.
struct Street {
    shard: Shard,
    start: Instant,
    tick: u32,
    phones: Vec<u64>,
    ptime_ms: u64,
    heard: Vec<Vec<i16>>,
    /// The number that each leg's next packet must have, once one has come.
    sequences: Vec<Option<u16>>,
    amplitude: f32,
    /// What each phone says of its level, and whether it is a voice.
    tells: Vec<Option<(u8, bool)>>,
}

impl Street {
    fn new(phones: usize) -> Self {
        let mut street = Self {
            shard: Shard::new(7),
            start: Instant::now(),
            tick: 0,
            phones: vec![0; phones],
            ptime_ms: 20,
            heard: vec![Vec::new(); phones],
            sequences: vec![None; phones],
            amplitude: 3_000.0,
            tells: vec![None; phones],
        };
        for leg in 0..phones as u64 {
            street.command(Command::AddLeg(LegId(leg), Box::new(options(leg, 20))));
            street.route(leg, Speaks::Everyone, true);
        }
        street
    }

    fn command(&mut self, command: Command) {
        let now = self.now();
        self.shard.handle_command(command, now);
    }

    fn route(&mut self, leg: u64, speaks: Speaks, hears: bool) {
        let hears = if hears { Hears::Everyone } else { Hears::Nothing };
        let route = Route { room: Some(RoomId(1)), speaks, hears, ..Route::nowhere() };
        self.command(Command::Route(LegId(leg), route));
    }

    fn now(&self) -> Instant {
        self.start + TICK * self.tick
    }

    /// Lets `ms` milliseconds pass; returns what each phone heard in them.
    fn run(&mut self, ms: u32) -> Vec<Vec<i16>> {
        self.heard.iter_mut().for_each(Vec::clear);
        for _ in 0..ms / 20 {
            let now = self.now();
            for leg in 0..self.phones.len() {
                while (self.phones[leg] + 1) * self.ptime_ms <= u64::from(self.tick * 20) {
                    self.speak(leg, now);
                }
            }
            self.shard.handle_tick(now);
            self.tick += 1;
            let due = self.now() - Duration::from_millis(1);
            while let Some(transmit) = self.shard.poll_transmit(due) {
                if transmit.channel == Channel::Rtp {
                    let (header, payload) = Header::parse(transmit.octets).unwrap();
                    let leg = transmit.leg.0 as usize;
                    let due = self.sequences[leg].replace(header.sequence.wrapping_add(1));
                    assert!(due.is_none_or(|due| due == header.sequence), "{due:?} {header:?}");
                    self.heard[leg].extend(payload.iter().map(|&octet| ulaw_to_linear(octet)));
                }
            }
        }
        self.heard.clone()
    }

    fn speak(&mut self, leg: usize, now: Instant) {
        let number = self.phones[leg];
        let length = self.ptime_ms * 8;
        let payload: Vec<u8> = (number * length..(number + 1) * length)
            .map(|sample| linear_to_ulaw(self.tone(leg, sample)))
            .collect();
        let header = Header {
            marker: false,
            payload_type: 0,
            sequence: (number as u16).wrapping_add(65_500),
            timestamp: ((number * length) as u32).wrapping_sub(4_000),
            ssrc: leg as u32 + 1,
        };
        let mut packet = [0; PACKET_MAX];
        let mut end = header.write(&payload, &mut packet);
        if let Some((level, voice)) = self.tells.get(leg).copied().flatten() {
            end = LEVEL.write(level, voice, &mut packet, end);
        }
        let id = LegId(leg as u64);
        self.shard.handle_datagram(id, Channel::Rtp, address(id.0), &packet[..end], now);
        self.phones[leg] += 1;
    }

    fn tone(&self, leg: usize, sample: u64) -> i16 {
        let phase = sample as f32 % 8_000.0 / 8_000.0 * TONES[leg];
        ((phase * std::f32::consts::TAU).sin() * self.amplitude) as i16
    }
}

fn options(leg: u64, ptime_ms: u8) -> LegOptions {
    LegOptions {
        codec: Codec::Pcmu,
        payload_type: 0,
        also: vec![(8, Codec::Pcma)],
        telephone_event: Some(101),
        ptime_ms,
        remote: address(leg),
        signals_from: None,
        remote_rtcp: address(leg),
        sends: true,
        receives: true,
        bounds: Bounds::default(),
        protection: None,
        audio_level: Some(LEVEL),
    }
}

/// Returns the amplitude of `frequency` in `sound`.
fn level(sound: &[i16], frequency: f32) -> f32 {
    let (mut real, mut imaginary) = (0.0, 0.0);
    for (index, &sample) in sound.iter().enumerate() {
        let phase = index as f32 * frequency / 8_000.0 * std::f32::consts::TAU;
        real += f32::from(sample) * phase.cos();
        imaginary += f32::from(sample) * phase.sin();
    }
    real.hypot(imaginary) * 2.0 / sound.len() as f32
}

/// Asserts who hears whom: one row for each listener, `x` where the speaker is heard.
#[track_caller]
fn check(heard: &[Vec<i16>], expected: &[&str]) {
    let rows: Vec<String> = heard
        .iter()
        .map(|sound| {
            let audible = |tone: &f32| if level(sound, *tone) > 1_000.0 { 'x' } else { '.' };
            TONES[..heard.len()].iter().map(audible).collect()
        })
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn everyone_hears_the_others_and_not_themselves() {
    let mut street = Street::new(3);
    street.run(1_000);
    let heard = street.run(400);
    check(&heard, &[".xx", "x.x", "xx."]);
    for (own, tone) in TONES[..3].iter().enumerate() {
        let own_level = level(&heard[own], *tone);
        assert!(own_level < 9.48, "own voice below -50 dB: {own_level}");
    }
}

#[test]
fn own_voice_is_gone_even_when_the_sum_is_over_full_scale() {
    let mut street = Street::new(3);
    street.amplitude = 30_000.0;
    street.run(1_000);
    for (own, sound) in street.run(400).iter().enumerate() {
        let own_level = level(sound, TONES[own]);
        assert!(own_level < 300.0, "own voice 40 dB below the others: {own_level}");
    }
}

#[test]
fn a_muted_leg_hears_and_is_not_heard() {
    let mut street = Street::new(3);
    street.run(400);
    street.route(1, Speaks::Nobody, true);
    street.run(60);
    check(&street.run(400), &["..x", "x.x", "x.."]);
}

#[test]
fn a_coach_is_heard_by_the_coached_alone() {
    let mut street = Street::new(4);
    street.route(3, Speaks::Only(vec![LegId(0)]), true);
    street.run(400);
    check(&street.run(400), &[".xxx", "x.x.", "xx..", "xxx."]);
}

#[test]
fn who_hears_a_coach_is_told_rightly_while_its_ramps_last() {
    let mut street = Street::new(3);
    let hear_the_third = |street: &Street| {
        let pairs = street.shard.audibility(RoomId(1)).into_iter();
        let loud = pairs.filter(|pair| pair.speaker == LegId(2) && pair.gain > 0.0);
        loud.map(|pair| (pair.listener.0, pair.gain)).collect::<Vec<_>>()
    };
    street.run(200);
    street.route(2, Speaks::Only(vec![LegId(0)]), true);
    assert_eq!(hear_the_third(&street), [(0, 1.0)]);
    street.run(200);
    street.route(2, Speaks::Everyone, true);
    assert_eq!(hear_the_third(&street), [(0, 1.0), (1, 1.0)]);
}

#[test]
fn a_sidebar_is_heard_by_those_in_it_and_what_is_played_to_all_by_everyone() {
    let mut street = Street::new(4);
    // The first hears the second alone.
    let room = Some(RoomId(1));
    let route = |besides, hears| {
        let speaks = Speaks::Everyone;
        Route { room, speaks, besides, hears, ..Route::nowhere() }
    };
    street.command(Command::Route(LegId(0), route(Vec::new(), Hears::Played)));
    street.command(Command::Route(LegId(1), route(vec![LegId(0)], Hears::Everyone)));
    street.run(400);
    check(&street.run(400), &[".x..", "x.xx", "xx.x", "xxx."]);
    let pcm: Pcm = (0..8_000)
        .map(|i| ((i as f32 * std::f32::consts::FRAC_PI_4).sin() * 3_000.0) as i16)
        .collect();
    let to = PlayTo::Room(RoomId(1));
    street.command(Command::Play { player: PlayerId(9), to, pcm, loops: None, paused: false });
    street.run(400);
    for (leg, sound) in street.run(400).iter().enumerate() {
        assert!(level(sound, 1_000.0) > 2_500.0, "{leg}");
    }
}

#[test]
fn a_gain_is_how_loud_the_others_hear_a_leg() {
    for (gain, expected) in [(0.5, 1_500.0), (2.0, 6_000.0)] {
        let mut street = Street::new(3);
        let (room, hears) = (Some(RoomId(1)), Hears::Everyone);
        let speaks = Speaks::Everyone;
        let route = Route { room, speaks, gain, hears, ..Route::nowhere() };
        street.command(Command::Route(LegId(0), route));
        street.run(400);
        let heard = street.run(400);
        let levels = [1, 2].map(|leg| level(&heard[leg], TONES[0]));
        assert!(levels.iter().all(|level| (level - expected).abs() < 60.0), "{levels:?}");
        assert!(level(&heard[0], TONES[0]) < 9.48 * gain, "own voice");
    }
}

#[test]
fn a_held_leg_hears_only_what_is_played_to_it() {
    let mut street = Street::new(2);
    let pcm: Arc<[i16]> =
        (0..8_000).map(|i| ((i as f32 * 0.981_75).sin() * 3_000.0) as i16).collect();
    street.route(0, Speaks::Nobody, false);
    let (player, to) = (PlayerId(9), PlayTo::Leg(LegId(0)));
    street.command(Command::Play { player, to, pcm, loops: Some(1), paused: false });
    street.run(400);
    let heard = street.run(400);
    check(&heard, &["..", ".."]);
    assert!(level(&heard[0], 1_250.0) > 2_000.0 && level(&heard[1], 1_250.0) < 10.0);
    street.run(400);
    assert_eq!(
        std::iter::from_fn(|| street.shard.poll_event()).last(),
        Some(Event::PlayerEnded(player))
    );
}

#[test]
fn one_talker_passes_bit_exact() {
    for ptime_ms in [10, 20, 30, 40, 60] {
        let mut street = Street::new(2);
        street.ptime_ms = ptime_ms;
        street.route(1, Speaks::Nobody, true);
        street.run(600);
        let heard = &street.run(2_000)[1];
        let said: Vec<i16> = (0..24_000)
            .map(|sample| ulaw_to_linear(linear_to_ulaw(street.tone(0, sample))))
            .collect();
        let start = (0..8_000).find(|&at| said[at..at + 400] == heard[..400]);
        let start = start.unwrap_or_else(|| panic!("found at {ptime_ms} ms"));
        assert_eq!(said[start..start + heard.len()], heard[..], "{ptime_ms}");
    }
}

/// A frame holds 14.6 periods of the second tone: five mutes, a frame apart, meet it at as many phases.
#[test]
fn a_mute_is_no_click() {
    for frames in 0..5 {
        let mut street = Street::new(2);
        street.run(400 + frames * 20);
        street.route(1, Speaks::Nobody, true);
        let heard = &street.run(200)[0];
        let steps = heard.windows(2).map(|w| (i32::from(w[0]) - i32::from(w[1])).abs());
        let step = steps.max().unwrap();
        assert!(step < 1_850, "a 730 Hz tone moves by 1,720 at most: {step}");
        assert!(heard[800..].iter().all(|&sample| sample.abs() < 10));
    }
}

#[test]
fn junk_on_one_leg_harms_nobody() {
    let mut street = Street::new(3);
    let mut random = 1_u32;
    for _ in 0..40 {
        for _ in 0..20 {
            let junk: Vec<u8> = (0..1_500)
                .map(|_| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (random >> 24) as u8
                })
                .collect();
            let now = street.now();
            street.shard.handle_datagram(LegId(0), Channel::Rtp, address(50), &junk, now);
        }
        street.run(20);
    }
    check(&street.run(400), &[".xx", "x.x", "xx."]);
}

#[test]
fn keys_reach_the_far_end_and_come_from_it() {
    let mut street = Street::new(1);
    street.command(Command::SendDigits(LegId(0), PlayerId(1), "12".to_owned()));
    street.run(1_000);
    // The phone's own tone is taken for speech.
    assert_eq!(street.shard.poll_event(), Some(Event::Speech(LegId(0), true)));
    assert_eq!(street.shard.poll_event(), Some(Event::PlayerEnded(PlayerId(1))));
    let header = Header { marker: true, payload_type: 101, sequence: 1, timestamp: 99, ssrc: 1 };
    let mut packet = [0; PACKET_MAX];
    let end = header.write(&[11, 10, 0, 160], &mut packet);
    for _ in 0..3 {
        let now = street.now();
        street.shard.handle_datagram(LegId(0), Channel::Rtp, address(0), &packet[..end], now);
    }
    assert_eq!(street.shard.poll_event(), Some(Event::Digit(LegId(0), '#')));
    assert_eq!(street.shard.poll_event(), None);
}

#[test]
fn a_leg_that_leaves_is_gone_after_its_ramp() {
    let mut street = Street::new(2);
    street.run(400);
    street.command(Command::RemoveLeg(LegId(1)));
    street.run(20);
    assert_eq!(street.shard.stats().legs, 1);
    street.run(100);
    check(&street.run(200)[..1], &["."]);
}

#[test]
fn packets_that_are_polled_too_late_leave_in_order() {
    let mut shard = Shard::new(1);
    let start = Instant::now();
    shard.handle_command(Command::AddLeg(LegId(1), Box::new(options(1, 10))), start);
    for tick in 1..=3 {
        shard.handle_tick(start + TICK * tick);
    }
    let mut numbers = Vec::new();
    while let Some(transmit) = shard.poll_transmit(start + TICK * 5) {
        if transmit.channel == Channel::Rtp {
            numbers.push(Header::parse(transmit.octets).unwrap().0.sequence);
        }
    }
    assert_eq!(numbers.len(), 6);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{numbers:?}");
}

/// Records from now on; [`recorded`] has it.
fn record(street: &mut Street, source: Source) {
    street.command(Command::Record(RecordingId(1), source));
}

/// Returns what was recorded since the last time, on the left and on the right.
fn recorded(street: &mut Street) -> (Vec<i16>, Vec<i16>) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    while let Some(tick) = street.shard.poll_recorded() {
        assert_eq!(tick.recording, RecordingId(1));
        let Sound::Mix(one, other) = tick.sound else { panic!("tracks") };
        left.extend(one);
        right.extend(other.into_iter().flatten());
    }
    (left, right)
}

/// Who is heard in what was recorded.
fn voices(street: &Street, sound: &[i16]) -> Vec<usize> {
    let is_heard = |leg: &usize| level(sound, TONES[*leg]) > street.amplitude / 2.0;
    (0..street.phones.len()).filter(is_heard).collect()
}

#[test]
fn a_room_s_recording_holds_everyone_but_a_coach_and_what_one_alone_hears() {
    let mut street = Street::new(3);
    street.route(2, Speaks::Only(vec![LegId(0)]), true);
    let music: Pcm = (0..8_000).map(|at| street.tone(3, at)).collect();
    let to = PlayTo::Leg(LegId(1));
    let play = Command::Play { player: PlayerId(1), to, pcm: music, loops: None, paused: false };
    street.command(play);
    street.run(400);
    record(&mut street, Source::Room(RoomId(1), None));
    street.run(400);
    let (sound, right) = recorded(&mut street);
    assert_eq!((sound.len(), right.len()), (3_200, 0));
    assert_eq!(voices(&street, &sound), [0, 1]);
    assert!(level(&sound, TONES[3]) < 50.0, "music of one leg is in it");
}

#[test]
fn in_two_channels_a_room_has_the_first_on_the_left_and_the_others_on_the_right() {
    let mut street = Street::new(3);
    street.run(400);
    record(&mut street, Source::Room(RoomId(1), Some(LegId(1))));
    street.run(400);
    let (left, right) = recorded(&mut street);
    assert_eq!((voices(&street, &left), voices(&street, &right)), (vec![1], vec![0, 2]));
    assert_eq!(left.len(), right.len());
}

#[test]
fn each_track_of_a_leg_holds_its_direction() {
    for (track, left, right) in [
        (Track::Inbound, vec![0], vec![]),
        (Track::Outbound, vec![1, 2], vec![]),
        (Track::Both, vec![0, 1, 2], vec![]),
        (Track::Apart, vec![0], vec![1, 2]),
    ] {
        let mut street = Street::new(3);
        street.run(400);
        record(&mut street, Source::Leg(LegId(0), track));
        street.run(400);
        let sound = recorded(&mut street);
        let heard = (voices(&street, &sound.0), voices(&street, &sound.1));
        assert_eq!(heard, (left, right), "{track:?}");
        assert_eq!(sound.0.len(), 3_200);
    }
}

#[test]
fn a_pause_leaves_silence_or_nothing_and_a_stop_ends_it() {
    for (pause, length) in [(Pause::Silence, 1_600), (Pause::Skip, 0)] {
        let mut street = Street::new(2);
        street.run(400);
        record(&mut street, Source::Room(RoomId(1), None));
        street.run(200);
        let (before, _) = recorded(&mut street);
        street.command(Command::PauseRecording(RecordingId(1), Some(pause)));
        street.run(200);
        let (meanwhile, _) = recorded(&mut street);
        assert_eq!(meanwhile, vec![0; length], "{pause:?}");
        street.command(Command::PauseRecording(RecordingId(1), None));
        street.run(200);
        let (after, _) = recorded(&mut street);
        assert_eq!((before.len(), after.len()), (1_600, 1_600));
        assert_eq!(voices(&street, &after), [0, 1]);
        street.command(Command::StopRecording(RecordingId(1)));
        street.run(200);
        assert!(recorded(&mut street).0.is_empty());
    }
}

#[test]
fn one_talker_at_unity_is_recorded_to_the_sample() {
    let mut street = Street::new(2);
    street.route(1, Speaks::Nobody, true);
    street.run(400);
    record(&mut street, Source::Room(RoomId(1), None));
    let heard = street.run(400).remove(1);
    let (sound, _) = recorded(&mut street);
    let exact = |sample: i16| ulaw_to_linear(linear_to_ulaw(sample));
    assert_eq!(sound.iter().map(|&sample| exact(sample)).collect::<Vec<_>>(), heard);
}

#[test]
fn a_leg_that_is_recorded_before_it_comes_is_recorded_from_then_on() {
    let mut street = Street::new(1);
    record(&mut street, Source::Leg(LegId(7), Track::Both));
    street.run(100);
    assert!(recorded(&mut street).0.is_empty());
    street.command(Command::AddLeg(LegId(7), Box::new(options(7, 20))));
    for _ in 0..5 {
        let now = street.now();
        street.shard.handle_tick(now);
        street.tick += 1;
    }
    assert_eq!(recorded(&mut street).0.len(), 5 * SAMPLES);
    street.command(Command::RemoveLeg(LegId(7)));
    street.command(Command::StopRecording(RecordingId(1)));
}
