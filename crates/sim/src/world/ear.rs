//! What comes out of the node's ports: which talker's tone is in each frame.
//!
//! Every tone has whole periods in a frame of 20 ms, so that they are orthogonal in any frame,
//! wherever it begins.

use media::{Header, SAMPLES, ulaw_to_linear};

/// The talkers' tones: below the beeps, and low, so that a jitter buffer that plays a little faster
/// or slower leaves them recognisable.
pub const TONES_HERTZ: [u32; 6] = [50, 150, 250, 350, 450, 550];
/// How loud each talks.
pub const AMPLITUDE: f32 = 3_000.0;
/// Of a tone, what counts as heard in one frame.
const HEARD: f32 = 0.5;
/// Of a tone, what counts as heard over many: an announcement turns the room down to a quarter,
/// and a bad network leaves less of it.
const FAINT: f32 = 0.06;
/// Frames over which loudness is averaged.
const FRAMES: f32 = 25.0;

/// What one leg is sent.
#[derive(Debug, Default, Clone)]
pub struct Ear {
    /// For each tone, for how many frames in a row it has been heard.
    pub in_a_row: [u32; TONES_HERTZ.len()],
    /// For each tone, how loud it was lately, of the whole.
    loudness: [f32; TONES_HERTZ.len()],
    /// Frames so far.
    pub frames: u64,
}

impl Ear {
    /// Takes one packet of PCMU; in any other, such as a key's, no tone is heard.
    pub fn hear(&mut self, packet: &[u8]) {
        let Some((header, payload)) = Header::parse(packet) else { return };
        if header.payload_type != 0 || payload.len() != SAMPLES {
            self.in_a_row = Default::default();
            return;
        }
        let mut frame = [0.0; SAMPLES];
        for (sample, &octet) in frame.iter_mut().zip(payload) {
            *sample = f32::from(ulaw_to_linear(octet));
        }
        self.frames += 1;
        let silent = frame.iter().all(|sample| sample.abs() < 16.0);
        for (index, hertz) in TONES_HERTZ.iter().enumerate() {
            let level = if silent { 0.0 } else { level(&frame, *hertz) / AMPLITUDE };
            let run = &mut self.in_a_row[index];
            *run = if level > HEARD { *run + 1 } else { 0 };
            let loudness = &mut self.loudness[index];
            *loudness += (level.min(1.0) - *loudness) / FRAMES;
        }
    }

    /// Returns how loud each tone was lately, in percent.
    pub fn percent(&self) -> [u8; TONES_HERTZ.len()] {
        self.loudness.map(|loudness| (loudness * 100.0) as u8)
    }

    /// Whether a tone was there lately, be it turned down.
    pub fn has_heard(&self, tone: usize) -> bool {
        self.loudness[tone] > FAINT
    }
}

/// Returns a tone's amplitude in a frame, by Goertzel's recurrence.
fn level(frame: &[f32; SAMPLES], hertz: u32) -> f32 {
    let step = hertz as f32 / 8_000.0 * std::f32::consts::TAU;
    let factor = 2.0 * step.cos();
    let (mut last, mut before) = (0.0_f32, 0.0_f32);
    for sample in frame {
        let next = sample + factor * last - before;
        before = last;
        last = next;
    }
    let power = last * last + before * before - factor * last * before;
    power.max(0.0).sqrt() * 2.0 / SAMPLES as f32
}

/// Returns one frame of a tone, which fits to itself.
pub fn tone(index: usize) -> [u8; SAMPLES] {
    let step = TONES_HERTZ[index] as f32 / 8_000.0 * std::f32::consts::TAU;
    std::array::from_fn(|at| {
        let sample = (at as f32 * step).sin() * AMPLITUDE;
        media::linear_to_ulaw(sample as i16)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tone_is_heard_and_no_other() {
        for index in 0..TONES_HERTZ.len() {
            let mut ear = Ear::default();
            let mut packet = [0; media::PACKET_MAX];
            let header =
                Header { marker: false, payload_type: 0, sequence: 1, timestamp: 1, ssrc: 1 };
            let length = header.write(&tone(index), &mut packet);
            (0..10).for_each(|_| ear.hear(&packet[..length]));
            for other in 0..TONES_HERTZ.len() {
                assert_eq!(ear.in_a_row[other], if other == index { 10 } else { 0 });
                assert_eq!(ear.has_heard(other), other == index);
            }
        }
    }
}
