//! Rooms of telephones, wide-band phones and Opus together, by ear.

use super::*;
use crate::codec::{Decoder, Encoder, PAYLOAD_MAX, PCM_MAX};
use crate::rate::Rate;

const CODECS: [Codec; 4] = [Codec::Pcmu, Codec::Pcma, Codec::G722, OPUS];
const OPUS: Codec = Codec::Opus(OpusOptions {
    bitrate: 32_000,
    fec: false,
    dtx: false,
    playback_rate: 48_000,
    halves: false,
});

/// One phone: what it sends and what it has heard.
struct Phone {
    codec: Codec,
    encoder: Encoder,
    decoder: Decoder,
    tone: f32,
    sent: u32,
    heard: Vec<i16>,
    /// When each packet left that it heard, in milliseconds of the room, and its timestamp.
    packets: Vec<(u32, u32)>,
    silent: bool,
    amplitude: f32,
}

/// Phones of all kinds around one shard.
struct Mixed {
    shard: Shard,
    start: Instant,
    tick: u32,
    phones: Vec<Phone>,
}

impl Mixed {
    fn new(codecs: &[Codec]) -> Self {
        let mut mixed =
            Self { shard: Shard::new(7), start: Instant::now(), tick: 0, phones: Vec::new() };
        for &codec in codecs {
            mixed.join(codec);
        }
        mixed
    }

    fn join(&mut self, codec: Codec) {
        self.join_with(codec, 20);
    }

    /// Lets a phone in that wants packets of this length.
    fn join_with(&mut self, codec: Codec, ptime_ms: u8) {
        let leg = self.phones.len() as u64;
        self.phones.push(Phone {
            codec,
            encoder: Encoder::new(codec),
            decoder: Decoder::new(codec),
            tone: TONES[leg as usize % TONES.len()],
            sent: 0,
            heard: Vec::new(),
            packets: Vec::new(),
            silent: false,
            amplitude: 3_000.0,
        });
        let number = if codec.is_stateless() { 0 } else { 96 };
        let options =
            LegOptions { codec, payload_type: number, also: vec![], ..options(leg, ptime_ms) };
        self.command(Command::AddLeg(LegId(leg), Box::new(options)));
        self.route(leg, Speaks::Everyone, true);
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

    /// Lets `ms` milliseconds pass; returns what each phone heard in them, at its own rate.
    fn run(&mut self, ms: u32) -> Vec<Vec<i16>> {
        for phone in &mut self.phones {
            phone.heard.clear();
            phone.packets.clear();
        }
        for _ in 0..ms / 20 {
            let now = self.now();
            for leg in 0..self.phones.len() {
                self.speak(leg, now);
            }
            self.shard.handle_tick(now);
            for late in [0, 10] {
                self.deliver(self.tick * 20 + late);
            }
            self.tick += 1;
        }
        self.phones.iter().map(|phone| phone.heard.clone()).collect()
    }

    /// Lets phones hear what leaves by then.
    fn deliver(&mut self, ms: u32) {
        let due = self.start + Duration::from_millis(ms.into());
        while let Some(transmit) = self.shard.poll_transmit(due) {
            if transmit.channel == Channel::Rtp {
                let (header, payload) = Header::parse(transmit.octets).unwrap();
                let phone = &mut self.phones[transmit.leg.0 as usize];
                let mut pcm = [0; PCM_MAX];
                let length = phone.decoder.decode(payload, &mut pcm).unwrap();
                phone.heard.extend(&pcm[..length]);
                phone.packets.push((ms, header.timestamp));
            }
        }
    }

    fn speak(&mut self, leg: usize, now: Instant) {
        let phone = &mut self.phones[leg];
        let samples = phone.codec.rate().samples();
        let start = phone.sent as usize * samples;
        let amplitude = if phone.silent { 0.0 } else { phone.amplitude };
        let step = phone.tone / phone.codec.rate().hertz() as f32 * std::f32::consts::TAU;
        let frame: Vec<i16> = (start..start + samples)
            .map(|at| ((at as f32 * step).sin() * amplitude) as i16)
            .collect();
        let mut payload = [0; PAYLOAD_MAX];
        let length = phone.encoder.encode(&frame, &mut payload);
        let header = Header {
            marker: false,
            payload_type: if phone.codec.is_stateless() { 0 } else { 96 },
            sequence: phone.sent as u16,
            timestamp: phone.sent * (phone.codec.clock() / 50),
            ssrc: leg as u32 + 1,
        };
        phone.sent += 1;
        let mut packet = [0; PACKET_MAX];
        let end = header.write(&payload[..length], &mut packet);
        let id = LegId(leg as u64);
        self.shard.handle_datagram(id, Channel::Rtp, address(id.0), &packet[..end], now);
    }

    /// Asserts who hears whom: one row for each listener, `x` where the speaker is heard.
    #[track_caller]
    fn check(&mut self, expected: &[&str]) {
        let heard = self.run(400);
        let rows: Vec<String> = heard
            .iter()
            .zip(&self.phones)
            .map(|(sound, phone)| {
                let rate = phone.codec.rate();
                let level = |tone: f32| level_at(sound, tone, rate);
                let audible = |tone: &f32| if level(*tone) > 1_000.0 { 'x' } else { '.' };
                TONES[..heard.len()].iter().map(audible).collect()
            })
            .collect();
        assert_eq!(rows, expected);
    }
}

/// Returns the amplitude of `frequency` in a sound of that rate.
fn level_at(sound: &[i16], frequency: f32, rate: Rate) -> f32 {
    let scaled = frequency * 8_000.0 / rate.hertz() as f32;
    level(sound, scaled)
}

#[test]
fn everyone_hears_the_others_and_not_themselves_whatever_they_speak() {
    let mut mixed = Mixed::new(&CODECS);
    mixed.run(1_000);
    mixed.check(&[".xxx", "x.xx", "xx.x", "xxx."]);
}

#[test]
fn mute_coach_and_hold_are_heard_across_codecs() {
    let mut mixed = Mixed::new(&CODECS);
    mixed.run(400);
    mixed.route(3, Speaks::Nobody, true);
    mixed.run(200);
    mixed.check(&[".xx.", "x.x.", "xx..", "xxx."]);
    mixed.route(3, Speaks::Only(vec![LegId(0)]), true);
    mixed.run(200);
    mixed.check(&[".xxx", "x.x.", "xx..", "xxx."]);
    mixed.route(3, Speaks::Only(vec![LegId(2)]), true);
    mixed.run(200);
    mixed.check(&[".xx.", "x.x.", "xx.x", "xxx."]);
    mixed.route(3, Speaks::Everyone, true);
    mixed.route(2, Speaks::Nobody, false);
    mixed.run(200);
    mixed.check(&[".x.x", "x..x", "....", "xx.."]);
}

#[test]
fn what_is_played_to_all_is_heard_at_every_rate() {
    let mut mixed = Mixed::new(&CODECS);
    mixed.phones.iter_mut().for_each(|phone| phone.silent = true);
    let pcm: Pcm = tone_of(1_000.0);
    let to = PlayTo::Room(RoomId(1));
    mixed.command(Command::Play { player: PlayerId(1), to, pcm, loops: None, paused: false });
    mixed.run(600);
    for (sound, codec) in mixed.run(400).iter().zip(CODECS) {
        let level = level_at(sound, 1_000.0, codec.rate());
        assert!((2_500.0..3_300.0).contains(&level), "{codec:?}: {level}");
    }
}

#[test]
fn what_is_played_to_one_is_heard_by_that_one_at_its_rate() {
    for leg in 0..CODECS.len() as u64 {
        let mut mixed = Mixed::new(&CODECS);
        mixed.phones.iter_mut().for_each(|phone| phone.silent = true);
        let (pcm, to) = (tone_of(1_000.0), PlayTo::Leg(LegId(leg)));
        mixed.command(Command::Play { player: PlayerId(1), to, pcm, loops: None, paused: false });
        mixed.run(600);
        for (listener, sound) in (0..).zip(mixed.run(400)) {
            let level = level_at(&sound, 1_000.0, CODECS[listener as usize].rate());
            assert_eq!(level > 2_000.0, listener == leg, "{listener}: {level}");
        }
    }
}

/// A second of a tone at 8 kHz.
fn tone_of(hertz: f32) -> Pcm {
    (0..8_000)
        .map(|at| ((at as f32 * hertz / 8_000.0 * std::f32::consts::TAU).sin() * 3_000.0) as i16)
        .collect()
}

#[test]
fn a_room_is_recorded_at_8_khz_whatever_is_spoken() {
    let mut mixed = Mixed::new(&[Codec::G722, CODECS[3]]);
    mixed.command(Command::Record(RecordingId(1), Source::Room(RoomId(1), None)));
    mixed.command(Command::Record(RecordingId(2), Source::Tracks(RoomId(1))));
    mixed.command(Command::Record(RecordingId(3), Source::Leg(LegId(1), Track::Apart)));
    for leg in 0..2 {
        mixed.command(Command::Track(RecordingId(2), LegId(leg)));
    }
    mixed.run(400);
    while mixed.shard.poll_recorded().is_some() {}
    mixed.run(400);
    let (mut room, mut tracks) = (Vec::new(), [Vec::new(), Vec::new()]);
    let mut apart = [Vec::new(), Vec::new()];
    while let Some(tick) = mixed.shard.poll_recorded() {
        match (tick.recording.0, tick.sound) {
            (1, Sound::Mix(frame, _)) => room.extend(frame),
            (2, Sound::Track(number, frame)) => tracks[usize::from(number)].extend(frame),
            (3, Sound::Mix(left, Some(right))) => {
                apart[0].extend(left);
                apart[1].extend(right);
            }
            _ => {}
        }
    }
    assert_eq!(room.len(), 3_200);
    for (sound, expected) in [
        (&room, [true, true]),
        (&tracks[0], [true, false]),
        (&tracks[1], [false, true]),
        (&apart[0], [false, true]),
        (&apart[1], [true, false]),
    ] {
        let heard = [TONES[0], TONES[1]].map(|tone| level(sound, tone) > 2_000.0);
        assert_eq!(heard, expected);
    }
}

#[test]
fn listeners_share_one_encoding_for_each_codec() {
    let mut mixed = Mixed::new(&[Codec::Pcmu; 1]);
    for _ in 0..3 {
        CODECS.into_iter().for_each(|codec| mixed.join(codec));
    }
    for leg in 1..13 {
        mixed.route(leg, Speaks::Nobody, true);
    }
    mixed.run(1_000);
    let before = mixed.shard.stats().encoded;
    mixed.run(400);
    let encodings = (mixed.shard.stats().encoded - before) as f32 / 20.0;
    assert_eq!(encodings, 4.0, "those that are shared; the talker hears silence");
}

/// Two talkers, and three listeners in each codec who hear the first of them alone.
fn with_a_sidebar() -> Mixed {
    let mut mixed = Mixed::new(&[Codec::Pcmu, Codec::Pcmu]);
    (0..3).for_each(|_| CODECS.into_iter().for_each(|codec| mixed.join(codec)));
    mixed.run(400);
    let (room, listeners) = (Some(RoomId(1)), 2..14);
    let besides = listeners.clone().map(LegId).collect();
    let (speaks, hears) = (Speaks::Everyone, Hears::Everyone);
    let route = Route { room, speaks, besides, hears, ..Route::nowhere() };
    mixed.command(Command::Route(LegId(0), route));
    for leg in listeners {
        let (speaks, hears) = (Speaks::Nobody, Hears::Played);
        let route = Route { room, speaks, hears, ..Route::nowhere() };
        mixed.command(Command::Route(LegId(leg), route));
    }
    mixed.run(200);
    // They come to one encoding, and nobody hears it.
    let heard = mixed.run(2_800);
    for (leg, sound) in heard.iter().enumerate().skip(2) {
        let rate = mixed.phones[leg].codec.rate().hertz() as f32;
        let steps = sound.windows(2).map(|pair| (i32::from(pair[0]) - i32::from(pair[1])).abs());
        let most = 3_000.0 * TONES[0] / rate * std::f32::consts::TAU;
        assert!((steps.max().unwrap() as f32) < most + 300.0, "leg {leg}");
    }
    mixed
}

/// Asserts that everyone hears these levels of the two talkers and of an announcement, in at most so many encodings a
/// tick.
#[track_caller]
fn check_sidebar(mixed: &mut Mixed, expected: [bool; 3], encodings_max: f32) {
    let before = mixed.shard.stats().encoded;
    let heard = mixed.run(400);
    let encodings = (mixed.shard.stats().encoded - before) as f32 / 20.0;
    for (leg, sound) in heard.iter().enumerate().skip(2) {
        let rate = mixed.phones[leg].codec.rate();
        let tones = [TONES[0], TONES[1], ANNOUNCED];
        let levels = tones.map(|tone| level_at(sound, tone, rate));
        assert_eq!(levels.map(|level| level > 1_500.0), expected, "leg {leg}: {levels:?}");
    }
    assert!(encodings <= encodings_max, "{encodings} encodings a tick");
}

const ANNOUNCED: f32 = 2_100.0;

#[test]
fn those_who_hear_others_alone_are_sent_what_these_say() {
    let mut mixed = Mixed::new(&[Codec::Pcmu, Codec::G722]);
    (0..4).for_each(|_| CODECS.into_iter().for_each(|codec| mixed.join(codec)));
    let room = Some(RoomId(1));
    for talker in 0..2 {
        let few = (2..18).filter(|leg| leg / 4 % 2 == talker).map(LegId).collect();
        let speaks = Speaks::Only(few);
        let route = Route { room, speaks, hears: Hears::Everyone, ..Route::nowhere() };
        mixed.command(Command::Route(LegId(talker), route));
    }
    for leg in 2..18 {
        let (speaks, hears) = (Speaks::Nobody, Hears::Played);
        mixed
            .command(Command::Route(LegId(leg), Route { room, speaks, hears, ..Route::nowhere() }));
    }
    mixed.run(3_000);
    let before = mixed.shard.stats().encoded;
    for (leg, sound) in mixed.run(400).iter().enumerate().skip(2) {
        let rate = mixed.phones[leg].codec.rate();
        let heard = [0, 1].map(|talker| level_at(sound, TONES[talker], rate) > 1_500.0);
        assert_eq!(heard, [leg / 4 % 2 == 0, leg / 4 % 2 == 1], "leg {leg}");
    }
    // Of each group one for each codec, and what the talkers hear: nothing.
    assert!(mixed.shard.stats().encoded - before <= 20 * 10);
}

#[test]
fn those_who_hear_the_same_few_share_one_encoding_for_each_codec() {
    let mut mixed = with_a_sidebar();
    // Each talker has one.
    check_sidebar(&mut mixed, [true, false, false], 6.0);
    let (player, to, pcm) = (PlayerId(9), PlayTo::Room(RoomId(1)), tone_of(ANNOUNCED));
    mixed.command(Command::Play { player, to, pcm, loops: Some(1), paused: false });
    mixed.run(100);
    check_sidebar(&mut mixed, [true, false, true], 6.0);
    mixed.run(2_000);
    check_sidebar(&mut mixed, [true, false, false], 6.0);
    // One leaves, and one is let out.
    mixed.command(Command::RemoveLeg(LegId(13)));
    mixed.route(12, Speaks::Nobody, true);
    mixed.run(400);
    mixed.phones.pop();
    let heard = mixed.run(400);
    let levels = [TONES[0], TONES[1]].map(|tone| level_at(&heard[12], tone, Rate::Wide));
    assert!(levels.iter().all(|level| *level > 1_500.0), "{levels:?}");
    for leg in 2..12 {
        mixed.route(leg, Speaks::Nobody, true);
    }
    mixed.route(0, Speaks::Everyone, true);
    mixed.run(3_000);
    check_sidebar(&mut mixed, [true, true, false], 6.0);
}

#[test]
fn each_phone_is_sent_packets_as_long_as_it_wants_and_hears_the_others() {
    let mut mixed = Mixed::new(&[Codec::Pcmu]);
    for ptime_ms in [10, 40, 60] {
        mixed.join_with(OPUS, ptime_ms);
    }
    mixed.run(1_200);
    mixed.check(&[".xxx", "x.xx", "xx.x", "xxx."]);
    mixed.run(1_200);
    for (phone, ptime_ms) in mixed.phones.iter().zip([20, 10, 40, 60]) {
        assert_eq!(phone.packets.len() as u32, 1_200 / ptime_ms);
        let steps = phone.codec.clock() / 1_000 * ptime_ms;
        let even = |pair: &[(u32, u32)]| {
            (pair[1].0 - pair[0].0, pair[1].1.wrapping_sub(pair[0].1)) == (ptime_ms, steps)
        };
        assert!(phone.packets.windows(2).all(even), "{ptime_ms}: {:?}", phone.packets);
    }
}

#[test]
fn one_encoding_serves_packets_of_20_to_60_milliseconds_and_another_those_of_10() {
    let mut mixed = Mixed::new(&[Codec::Pcmu]);
    for ptime_ms in [10, 20, 30, 40, 60, 10] {
        mixed.join_with(OPUS, ptime_ms);
        mixed.route(mixed.phones.len() as u64 - 1, Speaks::Nobody, true);
    }
    mixed.run(1_200);
    let before = mixed.shard.stats().encoded;
    mixed.run(1_200);
    let encodings = (mixed.shard.stats().encoded - before) as f32 / 60.0;
    assert_eq!(encodings, 2.0, "those two; the talker hears silence");
    let packets: Vec<usize> = mixed.phones.iter().map(|phone| phone.packets.len()).collect();
    assert_eq!(packets[1..], [120, 60, 60, 30, 20, 120]);
}

#[test]
fn a_phone_that_wants_other_packets_in_a_room_is_sent_them_from_then_on() {
    let mut mixed = Mixed::new(&[Codec::Pcmu, OPUS]);
    mixed.run(600);
    for ptime_ms in [60, 10, 40, 20] {
        let options =
            LegOptions { codec: OPUS, payload_type: 96, also: vec![], ..options(1, ptime_ms) };
        mixed.command(Command::UpdateLeg(LegId(1), Box::new(options)));
        mixed.run(300);
        mixed.check(&[".x", "x."]);
        mixed.run(240);
        assert_eq!(mixed.phones[1].packets.len(), 240 / usize::from(ptime_ms), "{ptime_ms}");
    }
}

#[test]
fn who_leaves_and_rejoins_a_shared_encoding_hears_no_seam() {
    // This tone is another one in each tick: what is predicted there from what the far end does not remember cracks.
    for fec in [false, true] {
        let Codec::Opus(options) = OPUS else { unreachable!() };
        let codec = Codec::Opus(OpusOptions { fec, ..options });
        let (_, changing) = while_one_leaves_and_rejoins(codec, 512.0);
        let peak = changing.iter().map(|sample| sample.unsigned_abs()).max();
        assert!(peak < Some(4_000), "{peak:?} where the tone has 3,000");
    }
}

#[test]
fn who_comes_into_a_room_in_opus_is_soon_sent_what_all_are_sent_and_hears_no_crack() {
    // Of these tones one is the same in each tick, and the others are not.
    for tone in [500.0, 512.0, 1_021.0] {
        let mut mixed = Mixed::new(&[Codec::Pcmu, OPUS]);
        mixed.phones[0].tone = tone;
        mixed.route(1, Speaks::Nobody, true);
        mixed.run(2_000);
        let before = mixed.shard.stats().encoded;
        let mut ticks = 0;
        for came in 0..20 {
            mixed.join(OPUS);
            let leg = mixed.phones.len() as u64 - 1;
            // Before it has a room.
            mixed.command(Command::Route(LegId(leg), Route::nowhere()));
            mixed.run(100);
            mixed.route(leg, Speaks::Nobody, true);
            let heard = mixed.run(1_000 + 20 * came).swap_remove(leg as usize);
            let peak = heard.iter().map(|sample| sample.unsigned_abs()).max();
            assert!((Some(2_700)..Some(4_000)).contains(&peak), "{tone} Hz: {peak:?} of 3,000");
            ticks += (100 + 1_000 + 20 * came) / 20;
        }
        let apart = (mixed.shard.stats().encoded - before) as u32 - ticks;
        println!("{tone} Hz: {} encodings for each who came", apart / 20);
        assert!(apart < 20 * 14, "{tone} Hz: {apart} encodings for 20 who came");
    }
}

/// Returns what a muted phone hears of one with this tone that is alone to speak, and what while it says a word from time
/// to time: its own mix, then the shared one again.
fn while_one_leaves_and_rejoins(codec: Codec, tone: f32) -> (Vec<i16>, Vec<i16>) {
    let mut mixed = Mixed::new(&[Codec::Pcmu, codec, codec]);
    mixed.phones[0].tone = tone;
    mixed.route(1, Speaks::Nobody, true);
    mixed.route(2, Speaks::Nobody, true);
    mixed.run(2_000);
    let encoded = mixed.shard.stats().encoded;
    let calm = mixed.run(1_000).swap_remove(1);
    assert_eq!(mixed.shard.stats().encoded - encoded, 50, "both are sent the same");
    let mut changing = Vec::new();
    for word in 0..10 {
        mixed.route(1, if word % 2 == 1 { Speaks::Nobody } else { Speaks::Everyone }, true);
        changing.extend(mixed.run(397 + word).swap_remove(1));
    }
    (calm, changing)
}

#[test]
fn who_comes_back_to_a_shared_encoding_of_g722_does_so_where_nobody_hears_it() {
    let mut mixed = Mixed::new(&[Codec::Pcmu, Codec::G722, Codec::G722]);
    mixed.route(2, Speaks::Nobody, true);
    for word in 0..8 {
        mixed.route(1, Speaks::Everyone, true);
        mixed.run(600 + 20 * word);
        mixed.route(1, Speaks::Nobody, true);
        mixed.run(300);
        // Both hear the first phone alone, and a pause; then they are sent the same.
        let mut apart = 0;
        for silent in [false, true, false] {
            mixed.phones[0].silent = silent;
            let heard = mixed.run(500);
            let pairs = heard[1].iter().zip(&heard[2]);
            let most = pairs.map(|(one, other)| (i32::from(*one) - i32::from(*other)).abs()).max();
            apart = apart.max(most.unwrap_or(0));
        }
        let encoded = mixed.shard.stats().encoded;
        mixed.run(200);
        assert_eq!(mixed.shard.stats().encoded - encoded, 10, "both are sent the same");
        assert!(apart < 200, "{apart} after word {word}, of 3,000");
    }
}

#[test]
fn of_many_who_speak_at_once_the_loudest_are_mixed_and_the_rest_is_counted() {
    let mut mixed = Mixed::new(&[]);
    for _ in 0..16 {
        mixed.join(Codec::G722);
    }
    mixed.run(1_000);
    let before = mixed.shard.stats();
    mixed.run(400);
    let after = mixed.shard.stats();
    assert_eq!((after.encoded - before.encoded) / 20, 12 + 1);
    assert_eq!((after.unmixed - before.unmixed) / 20, 4);
    let heard = mixed.shard.audibility(RoomId(1));
    let silent = heard.iter().filter(|pair| pair.listener == LegId(0) && pair.gain == 0.0).count();
    assert!((3..=4).contains(&silent), "{silent}");
    (0..8).for_each(|leg| mixed.route(leg, Speaks::Nobody, true));
    mixed.run(1_000);
    let before = mixed.shard.stats().unmixed;
    mixed.run(400);
    assert_eq!(mixed.shard.stats().unmixed, before);
}

#[test]
fn who_is_mixed_gives_way_to_who_is_clearly_louder_alone() {
    let mut mixed = Mixed::new(&[]);
    (0..13).for_each(|_| mixed.join(Codec::G722));
    mixed.run(1_000);
    let unmixed = |mixed: &Mixed| {
        let heard = mixed.shard.audibility(RoomId(1));
        // Whom none of two listeners hears.
        let silent = |speaker: u64| {
            let of = |pair: &&Audible| pair.speaker == LegId(speaker) && pair.gain == 0.0;
            heard.iter().filter(of).count() > 1
        };
        (0..13).filter(|&speaker| silent(speaker)).collect::<Vec<u64>>()
    };
    let before = unmixed(&mixed);
    assert_eq!(before.len(), 1);
    let waits = before[0] as usize;
    // Two dB louder than all others now and then: nobody changes places.
    for turn in 0..20 {
        mixed.phones[waits].amplitude = if turn % 2 == 0 { 3_750.0 } else { 3_000.0 };
        mixed.run(200);
        assert_eq!(unmixed(&mixed), before, "turn {turn}");
    }
    // Four dB louder: one does.
    mixed.phones[waits].amplitude = 4_750.0;
    mixed.run(1_000);
    let after = unmixed(&mixed);
    assert!(after.len() == 1 && after != before, "{after:?}");
}
