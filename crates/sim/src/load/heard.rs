//! What one leg heard: kept as it came, and decoded when nothing is measured any more.

use std::time::{Duration, Instant};

use media::Codec;

use super::voice;
use crate::audio::{Heard as Stream, SAMPLES};

/// Most packets that are kept of one leg: 60 s. Of a longer call the first and the latest are.
const PACKETS_MAX: usize = 3_000;
/// Packets of these that make room for later ones.
const PASSED_OVER: std::ops::Range<usize> = 1_000..2_000;
/// A click is answered for where a packet came within this time.
const COVERED: Duration = Duration::from_secs(1);
/// Packets in a row that never came, for which silence is put in; more begin anew.
const MISSING_MAX: u16 = 50;

/// The packets of one leg.
#[derive(Debug, Default)]
pub struct Heard {
    octets: Vec<u8>,
    packets: Vec<Packet>,
}

#[derive(Debug)]
struct Packet {
    at: Instant,
    sequence: u16,
    /// Where it ends in the octets.
    end: usize,
}

impl Heard {
    /// Keeps a packet.
    pub fn keep(&mut self, at: Instant, sequence: u16, payload: &[u8]) {
        if self.packets.len() == PACKETS_MAX {
            let end = |place: usize| self.packets[place - 1].end;
            let (begin, end) = (end(PASSED_OVER.start), end(PASSED_OVER.end));
            self.octets.drain(begin..end);
            self.packets.drain(PASSED_OVER);
            for packet in &mut self.packets[PASSED_OVER.start..] {
                packet.end -= end - begin;
            }
        }
        self.octets.extend_from_slice(payload);
        self.packets.push(Packet { at, sequence, end: self.octets.len() });
    }

    /// Decodes it. In place of packets that never came there is silence.
    pub fn sound(&self, codec: Codec) -> Sound {
        let mut stream = Stream::new(codec);
        let mut sound = Sound { samples: Vec::new(), packets: Vec::new() };
        let (mut begin, mut next) = (0, None);
        for packet in &self.packets {
            let missing = next.map_or(0, |next| packet.sequence.wrapping_sub(next));
            if missing <= MISSING_MAX {
                let silence = usize::from(missing) * SAMPLES;
                sound.samples.resize(sound.samples.len() + silence, 0);
            }
            sound.packets.push((packet.at, sound.samples.len()));
            stream.decode(&self.octets[begin..packet.end], &mut sound.samples);
            (begin, next) = (packet.end, Some(packet.sequence.wrapping_add(1)));
        }
        sound
    }
}

/// What was in them.
#[derive(Debug)]
pub struct Sound {
    /// At 8 kHz.
    pub samples: Vec<i16>,
    /// When each packet came, and where its sound begins.
    packets: Vec<(Instant, usize)>,
}

impl Sound {
    /// Whether a click is in the packet of that place.
    pub fn clicks(&self, place: usize) -> bool {
        voice::clicks(self.packet(place))
    }

    /// Returns when each packet came, and what was in it.
    pub fn packets(&self) -> impl Iterator<Item = (Instant, &[i16])> {
        (0..self.packets.len()).map(|place| (self.packets[place].0, self.packet(place)))
    }

    fn packet(&self, place: usize) -> &[i16] {
        let begin = self.packets[place].1;
        let end = self.packets.get(place + 1).map_or(self.samples.len(), |next| next.1);
        &self.samples[begin..end]
    }

    /// Says of each click that was said, in their order, when that was and how long it took until it was heard;
    /// nothing of one that was not. Those after which nothing is kept are not among them.
    pub fn delays(
        &self,
        said: impl Iterator<Item = Instant>,
    ) -> impl Iterator<Item = (Instant, Option<Duration>)> {
        let covered = |at: &Instant| {
            let next = self.packets.partition_point(|(came, _)| came < at);
            self.packets.get(next).is_some_and(|(came, _)| *came - *at < COVERED)
        };
        let said: Vec<Instant> = said.filter(covered).collect();
        let mut delays = vec![None; said.len()];
        let mut latest = 0;
        for (place, &(at, _)) in self.packets.iter().enumerate() {
            while said.get(latest).is_some_and(|&said| said <= at) {
                latest += 1;
            }
            // A click that reaches into the next packet is heard once.
            if latest > 0 && delays[latest - 1].is_none() && self.clicks(place) {
                delays[latest - 1] = Some(at.saturating_duration_since(said[latest - 1]));
            }
        }
        said.into_iter().zip(delays)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::linear_to_ulaw;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_click_is_timed_from_its_packet_to_the_first_in_which_it_is_heard() {
        let start = Instant::now();
        let mut heard = Heard::default();
        let quiet = [0xff; SAMPLES];
        let loud = [linear_to_ulaw(20_000); SAMPLES];
        for number in 0..100_u16 {
            let payload = if matches!(number, 10 | 11 | 60) { &loud } else { &quiet };
            heard.keep(start + MS * 20 * number.into(), number, payload);
        }
        let said = [150, 600, 1_150, 1_979, 1_981].map(|ms| start + MS * ms);
        let delays = |heard: &Heard| -> Vec<Option<Duration>> {
            let sound = heard.sound(Codec::Pcmu);
            sound.delays(said.into_iter()).map(|(_, delay)| delay).collect()
        };
        assert_eq!(delays(&heard), [Some(MS * 50), None, Some(MS * 50), None]);
        assert_eq!(delays(&Heard::default()), []);
    }

    #[test]
    fn what_never_came_is_silent() {
        let now = Instant::now();
        let mut heard = Heard::default();
        let loud = [linear_to_ulaw(20_000); SAMPLES];
        for number in [65_535, 0, 3, 500] {
            heard.keep(now, number, &loud);
        }
        let sound = heard.sound(Codec::Pcmu);
        let silent: Vec<bool> = sound.samples.chunks(SAMPLES).map(|frame| frame[0] == 0).collect();
        assert_eq!(silent, [false, false, true, true, false, false]);
    }

    #[test]
    fn of_a_long_call_the_first_and_the_latest_packets_are_kept() {
        let start = Instant::now();
        let mut heard = Heard::default();
        for number in 0..20_000_u16 {
            heard.keep(start + MS * 20 * number.into(), number, &[number as u8; SAMPLES]);
        }
        let kept: Vec<u16> = heard.packets.iter().map(|packet| packet.sequence).collect();
        assert!(kept.len() <= PACKETS_MAX && kept.len() >= PACKETS_MAX - PASSED_OVER.len());
        assert!(kept[..1_000].iter().copied().eq(0..1_000));
        assert!(kept[1_000..].iter().rev().copied().eq((0..20_000).rev().take(kept.len() - 1_000)));
        for (place, packet) in heard.packets.iter().enumerate() {
            assert_eq!(packet.end, (place + 1) * SAMPLES);
            assert_eq!(heard.octets[packet.end - 1], packet.sequence as u8);
        }
        let passed_over = std::iter::once(start + MS * 20 * 1_500);
        assert_eq!(heard.sound(Codec::Pcmu).delays(passed_over).count(), 0);
    }
}
