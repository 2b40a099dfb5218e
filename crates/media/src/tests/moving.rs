//! Legs that go from one shard to another.

use super::*;

/// Two shards on one grid: the legs of the first, and those of the second, to which all phones talk as well.
struct Two {
    from: Street,
    to: Street,
}

impl Two {
    /// Leg 0 is in room 1 of the first shard, the others are in room 2 of the second.
    fn new() -> Self {
        let (from, mut to) = (Street::new(1), Street::new(0));
        to.phones = vec![0; 3];
        to.heard = vec![Vec::new(); 3];
        to.sequences = vec![None; 3];
        for leg in 1..3 {
            to.command(Command::AddLeg(LegId(leg), Box::new(options(leg, 20))));
        }
        let mut two = Self { from, to };
        (1..3).for_each(|leg| two.enter(leg));
        two
    }

    fn enter(&mut self, leg: u64) {
        let route = Route {
            room: Some(RoomId(2)),
            speaks: Speaks::Everyone,
            hears: Hears::Everyone,
            ..Route::nowhere()
        };
        self.to.command(Command::Route(LegId(leg), route));
    }

    /// Lets both go on for so long; returns what the phones heard by the second.
    fn run(&mut self, ms: u32) -> Vec<Vec<i16>> {
        self.from.run(ms);
        self.to.run(ms)
    }

    /// Lets leg 0 move; returns what it took along.
    fn moves(&mut self) -> Departed {
        self.from.command(Command::Depart(LegId(0)));
        assert!(self.from.shard.poll_departed().is_none(), "its ramps come first");
        self.run(20);
        let departed = self.from.shard.poll_departed().unwrap();
        self.to.sequences[0] = self.from.sequences[0];
        departed
    }
}

fn sound(hertz: f32, ms: usize) -> Pcm {
    let turn = hertz / 8_000.0 * std::f32::consts::TAU;
    (0..ms * 8).map(|at| ((at as f32 * turn).sin() * 6_000.0) as i16).collect()
}

#[test]
fn a_leg_goes_to_another_shard_with_its_numbers_its_music_and_its_recording() {
    let mut two = Two::new();
    two.run(1_000);
    let music = PlayerId(9);
    let pcm = sound(2_000.0, 500);
    let to = PlayTo::Leg(LegId(0));
    two.from.command(Command::Play { player: music, to, pcm, loops: Some(1), paused: false });
    two.from.command(Command::Record(RecordingId(4), Source::Leg(LegId(0), Track::Both)));
    two.run(100);
    let departed = two.moves();
    while two.from.shard.poll_recorded().is_some() {}
    assert_eq!(departed.leg(), LegId(0));
    assert_eq!(departed.recordings().collect::<Vec<_>>(), [RecordingId(4)]);
    let before = two.from.shard.stats();
    assert_eq!((before.legs, before.rooms), (0, 0));

    two.to.shard.take_in(departed);
    two.enter(0);
    let heard = two.run(200);
    assert!(level(&heard[0], 2_000.0) > 2_000.0, "its music goes on");
    assert!(two.from.shard.poll_recorded().is_none());
    assert_eq!(two.to.shard.poll_recorded().unwrap().recording, RecordingId(4));
    two.run(300);
    let mut ended = std::iter::from_fn(|| two.to.shard.poll_event());
    assert!(ended.any(|event| event == Event::PlayerEnded(music)));
    check(&two.run(400), &[".xx", "x.x", "xx."]);
    // One packet of each tick was counted on the way in, before and after.
    let stats = two.to.shard.leg_stats(LegId(0)).unwrap();
    assert!(stats.rx_packets >= 98, "{stats:?}");
    assert!(stats.concealed_samples <= 320, "{stats:?}");
}

#[test]
fn a_leg_departs_before_it_is_added_and_what_records_it_goes_along() {
    let mut shards = [Shard::new(1), Shard::new(2)];
    let now = Instant::now();
    shards[0]
        .handle_command(Command::Record(RecordingId(4), Source::Leg(LegId(0), Track::Both)), now);
    shards[0].handle_command(Command::Depart(LegId(0)), now);
    let departed = shards[0].poll_departed().unwrap();
    shards[1].take_in(departed);
    shards[1].handle_command(Command::AddLeg(LegId(0), Box::new(options(0, 20))), now);
    shards[1].handle_tick(now);
    assert_eq!(shards[1].poll_recorded().unwrap().recording, RecordingId(4));
}

#[test]
fn a_leg_that_is_being_removed_goes_nowhere_and_what_is_played_to_it_ends_where_it_was() {
    let mut two = Two::new();
    let to = PlayTo::Leg(LegId(0));
    let pcm = sound(2_000.0, 500);
    two.from.command(Command::Play { player: PlayerId(9), to, pcm, loops: None, paused: false });
    two.run(100);
    two.from.command(Command::RemoveLeg(LegId(0)));
    two.from.command(Command::Depart(LegId(0)));
    let departed = two.from.shard.poll_departed().unwrap();
    two.to.shard.take_in(departed);
    two.run(40);
    let mut events = std::iter::from_fn(|| two.from.shard.poll_event());
    assert!(events.any(|event| event == Event::PlayerEnded(PlayerId(9))));
    assert_eq!((two.from.shard.stats().legs, two.to.shard.stats().legs), (0, 2));
}

#[test]
#[allow(clippy::disallowed_methods)] // An epoch.
fn who_moves_is_sent_what_was_to_leave_between_two_ticks() {
    let (mut from, mut to, now) = (Shard::new(1), Shard::new(2), Instant::now());
    from.handle_command(Command::AddLeg(LegId(0), Box::new(options(0, 10))), now);
    from.handle_command(Command::Depart(LegId(0)), now);
    from.handle_tick(now);
    let sent = |shard: &mut Shard, at| {
        let mut sent = Vec::new();
        while let Some(transmit) = shard.poll_transmit(at) {
            sent.extend(Header::parse(transmit.octets).map(|(header, _)| header.timestamp));
        }
        sent
    };
    let first = sent(&mut from, now);
    to.take_in(from.poll_departed().unwrap());
    let later = now + TICK / 2;
    let (stayed, second) = (sent(&mut from, later), sent(&mut to, later));
    assert_eq!((first.len(), stayed.len(), second.len()), (1, 0, 1));
    assert_eq!(second[0].wrapping_sub(first[0]), 80);
}

/// A leg that goes from the first of two shards to the second, which ticks at another time; its phone sends at
/// `sends_ms` of the first one's ticks.
struct Between {
    shards: [Shard; 2],
    phases_ms: [u64; 2],
    sends_ms: u64,
    start: Instant,
    owner: usize,
    /// What waits in the leg's socket, and when it came.
    came: Vec<(Vec<u8>, Instant)>,
}

impl Between {
    /// Returns how many samples are concealed in the fifth of a second after the leg has gone, and the delay of its
    /// buffer then, in milliseconds.
    fn goes(phase_ms: u64, sends_ms: u64) -> (u64, f32) {
        let mut between = Self {
            shards: [Shard::new(1), Shard::new(2)],
            phases_ms: [0, phase_ms],
            sends_ms,
            start: Instant::now(),
            owner: 0,
            came: Vec::new(),
        };
        let start = between.start;
        let added = Command::AddLeg(LegId(0), Box::new(options(0, 20)));
        between.shards[0].handle_command(added, start);
        (1..6_000).for_each(|ms| between.millisecond(ms));
        let before = between.stats(0).concealed_samples;
        between.shards[0].handle_command(Command::Depart(LegId(0)), start);
        (6_000..6_200).for_each(|ms| between.millisecond(ms));
        let after = between.stats(1);
        (after.concealed_samples - before, after.delay_ms)
    }

    fn stats(&self, shard: usize) -> LegStats {
        self.shards[shard].leg_stats(LegId(0)).unwrap()
    }

    fn millisecond(&mut self, ms: u64) {
        let now = self.start + Duration::from_millis(ms);
        if ms % 20 == self.sends_ms {
            let number = (ms / 20) as u32;
            let header = Header {
                marker: false,
                payload_type: 0,
                sequence: number as u16,
                timestamp: number * 160,
                ssrc: 1,
            };
            let mut packet = [0; PACKET_MAX];
            let end = header.write(&[0x55; 160], &mut packet);
            self.came.push((packet[..end].to_vec(), now));
        }
        for (shard, phase) in self.phases_ms.into_iter().enumerate() {
            if ms % 20 == phase {
                self.tick(shard, now);
            }
        }
    }

    fn tick(&mut self, shard: usize, now: Instant) {
        if let Some(departed) = self.shards[shard].poll_departed() {
            self.owner = 1 - shard;
            self.shards[self.owner].take_in(departed);
        }
        let tick = &mut self.shards[shard];
        if shard == self.owner {
            for (packet, came) in self.came.drain(..) {
                tick.handle_datagram(LegId(0), Channel::Rtp, address(0), &packet, came);
            }
        }
        tick.handle_tick(now);
    }
}

#[test]
fn whenever_the_other_shard_ticks_little_is_concealed_and_no_delay_stays() {
    for phase in 0..20 {
        for sends in [0, 5, 10, 15, 19] {
            let (concealed, delay_ms) = Between::goes(phase, sends);
            assert!(concealed <= 160, "{concealed} at {phase} and {sends} ms");
            assert!(delay_ms <= 24.0, "{delay_ms} ms at {phase} and {sends} ms");
        }
    }
}
