//! A recording with a track for each leg, compared sample by sample with what was sent.

use super::*;

/// Ticks that are played: until play-out follows the network, which is no longer to the sample.
const TICKS: u64 = 240;
/// When a packet is lost: of a network that loses more, play-out waits longer.
const LOST: u64 = 120;
/// Ticks of a ramp, and of what concealment leaves behind it.
const AROUND: u64 = 3;

/// What a leg sends: noise, so that it fits in one place alone.
fn sent(leg: u64, sample: u64) -> i16 {
    let mut noise =
        (leg + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ sample.wrapping_mul(0xD129_0D3A_6B5F_1E47);
    noise ^= noise >> 29;
    noise = noise.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    noise ^= noise >> 32;
    ulaw_to_linear(linear_to_ulaw((noise % 8_000) as i16 - 4_000))
}

/// Legs that send noise into one room, recorded in tracks.
struct Studio {
    street: Street,
    legs: Vec<u64>,
    tracks: Vec<Vec<i16>>,
    length: usize,
}

impl Studio {
    fn new(legs: usize) -> Self {
        let mut street = Street::new(legs);
        street.command(Command::Record(RecordingId(1), Source::Tracks(RoomId(1))));
        let mut studio = Self { street, legs: Vec::new(), tracks: Vec::new(), length: 0 };
        (0..legs as u64).for_each(|leg| studio.seat(leg));
        studio
    }

    fn seat(&mut self, leg: u64) {
        self.street.command(Command::Track(RecordingId(1), LegId(leg)));
        self.legs.push(leg);
    }

    /// Plays a tick; legs for which `lost` holds lose their packet.
    fn tick(&mut self, lost: impl Fn(u64) -> bool) {
        let (now, tick) = (self.street.now(), u64::from(self.street.tick));
        for &leg in self.legs.iter().filter(|leg| !lost(**leg)) {
            let octets: Vec<u8> = (tick * 160..(tick + 1) * 160)
                .map(|sample| linear_to_ulaw(sent(leg, sample)))
                .collect();
            let header = Header {
                marker: false,
                payload_type: 0,
                sequence: tick as u16,
                timestamp: (tick * 160) as u32,
                ssrc: leg as u32 + 1,
            };
            let mut packet = [0; PACKET_MAX];
            let end = header.write(&octets, &mut packet);
            let from = address(leg);
            let shard = &mut self.street.shard;
            shard.handle_datagram(LegId(leg), Channel::Rtp, from, &packet[..end], now);
        }
        self.street.shard.handle_tick(now);
        self.street.tick += 1;
        while let Some(recorded) = self.street.shard.poll_recorded() {
            match recorded.sound {
                Sound::Track(number, frame) => {
                    let number = usize::from(number);
                    let tracks = self.tracks.len().max(number + 1);
                    self.tracks.resize(tracks, Vec::new());
                    self.tracks[number].resize(self.length, 0);
                    self.tracks[number].extend(frame);
                }
                Sound::Whole => {
                    self.length += SAMPLES;
                    let length = self.length;
                    self.tracks.iter_mut().for_each(|track| track.resize(length, 0));
                }
                Sound::Mix(..) => panic!("a mix in a recording of tracks"),
            }
        }
    }

    /// Finds by how many samples a leg's track is later than what it sent.
    fn delay(&self, leg: usize) -> usize {
        let track = &self.tracks[leg];
        let at = track.len() - 2_000;
        let fits = |delay: &usize| {
            (at..at + 500).all(|at| track[at] == sent(leg as u64, (at - delay) as u64))
        };
        (0..4_000).find(fits).unwrap_or_else(|| panic!("leg {leg} is not in its track"))
    }

    /// Checks every tick of a leg's track but those around `odd`: it holds what was sent, or nothing
    /// where that is meant.
    fn check(&self, leg: usize, silent: impl Fn(u64) -> bool, odd: &[u64]) -> u64 {
        let delay = self.delay(leg);
        let mut exact = 0;
        for tick in 0..self.length as u64 / 160 {
            if odd.iter().any(|odd| (*odd..=odd + AROUND).contains(&tick)) {
                continue;
            }
            for at in tick as usize * 160..(tick as usize + 1) * 160 {
                let expected = if silent(tick) { 0 } else { sent(leg as u64, (at - delay) as u64) };
                assert_eq!(self.tracks[leg][at], expected, "leg {leg}, tick {tick}, sample {at}");
            }
            exact += 1;
        }
        exact
    }
}

#[test]
fn each_track_holds_what_its_leg_sent_to_the_sample() {
    let mut studio = Studio::new(2);
    for tick in 0..TICKS {
        match tick {
            100 => studio.street.route(1, Speaks::Nobody, false),
            150 => studio.street.route(1, Speaks::Everyone, true),
            200 => {
                let command = Command::AddLeg(LegId(2), Box::new(options(2, 20)));
                studio.street.command(command);
                studio.street.route(2, Speaks::Everyone, true);
                studio.seat(2);
            }
            _ => {}
        }
        studio.tick(|leg| leg == 0 && tick == LOST);
    }
    assert_eq!((studio.tracks.len(), studio.length), (3, TICKS as usize * SAMPLES));
    let delays: Vec<usize> = (0..3).map(|leg| studio.delay(leg)).collect();
    assert!(delays.iter().all(|delay| *delay == delays[0]), "as one heard them: {delays:?}");
    assert!(studio.check(0, |_| false, &[0, LOST]) > TICKS * 9 / 10);
    assert!(studio.check(1, |tick| (100..150).contains(&tick), &[0, 100, 150]) > 220);
    assert!(studio.check(2, |tick| tick < 200, &[200]) > 230);
}

#[test]
fn a_track_is_there_though_its_leg_never_spoke() {
    let mut studio = Studio::new(2);
    studio.street.route(1, Speaks::Nobody, true);
    (0..20).for_each(|_| studio.tick(|_| false));
    assert_eq!(studio.tracks.len(), 2);
    assert_eq!(studio.tracks[1], vec![0; 20 * SAMPLES]);
    assert!(studio.tracks[0].iter().any(|sample| *sample != 0));
}

#[test]
fn a_pause_of_tracks_leaves_silence_or_nothing() {
    for (pause, ticks) in [(Pause::Silence, 60), (Pause::Skip, 40)] {
        let mut studio = Studio::new(1);
        for tick in 0..60 {
            let change = match tick {
                20 => Some(Some(pause)),
                40 => Some(None),
                _ => None,
            };
            if let Some(pause) = change {
                studio.street.command(Command::PauseRecording(RecordingId(1), pause));
            }
            studio.tick(|_| false);
        }
        assert_eq!(studio.length, ticks * SAMPLES, "{pause:?}");
        let silent =
            (20..40).all(|tick| studio.tracks[0][tick * SAMPLES..][..SAMPLES] == [0; SAMPLES]);
        assert_eq!(silent, pause == Pause::Silence);
    }
}
