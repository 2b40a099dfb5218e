//! What one leg heard: kept as it came, and decoded when nothing is measured any more.

use std::time::{Duration, Instant};

use media::Codec;

use super::voice;
use crate::audio::{Heard as Stream, SAMPLES};

/// Most packets that are kept of one leg: 60 s.
const PACKETS_MAX: usize = 3_000;
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
    /// Keeps a packet, where there is still room.
    pub fn keep(&mut self, at: Instant, sequence: u16, payload: &[u8]) {
        if self.packets.len() < PACKETS_MAX {
            self.octets.extend_from_slice(payload);
            self.packets.push(Packet { at, sequence, end: self.octets.len() });
        }
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
        let begin = self.packets[place].1;
        let end = self.packets.get(place + 1).map_or(self.samples.len(), |next| next.1);
        voice::clicks(&self.samples[begin..end])
    }

    /// Says of each click that was said, in their order, how long it took until it was heard; nothing of one that was
    /// not. Those that were said when the last packet had come are not among them.
    pub fn delays(&self, said: impl Iterator<Item = Instant>) -> Vec<Option<Duration>> {
        let Some(&(last, _)) = self.packets.last() else { return Vec::new() };
        let said: Vec<Instant> = said.filter(|&at| at < last).collect();
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
        delays
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
        let delays = heard.sound(Codec::Pcmu).delays(said.into_iter());
        assert_eq!(delays, [Some(MS * 50), None, Some(MS * 50), None]);
        assert_eq!(Heard::default().sound(Codec::Pcmu).delays(said.into_iter()), []);
    }

    #[test]
    fn what_never_came_is_silent_and_no_more_is_kept_than_there_is_room() {
        let now = Instant::now();
        let mut heard = Heard::default();
        let loud = [linear_to_ulaw(20_000); SAMPLES];
        for number in [65_535, 0, 3, 500] {
            heard.keep(now, number, &loud);
        }
        let sound = heard.sound(Codec::Pcmu);
        let silent: Vec<bool> = sound.samples.chunks(SAMPLES).map(|frame| frame[0] == 0).collect();
        assert_eq!(silent, [false, false, true, true, false, false]);
        for _ in 0..2 * PACKETS_MAX {
            heard.keep(now, 0, &loud);
        }
        assert_eq!(heard.packets.len(), PACKETS_MAX);
    }
}
