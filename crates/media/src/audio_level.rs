//! What a phone says of its sound, in a header extension: how loud it is, and whether it is a voice.
//!
//! It is believed as far as it can be: what is plainly otherwise than the sound is passed over, and what all
//! hear is the sound alone.
//!
//! Source: RFC 6464 section 3.

use crate::activity::Known;
use crate::level::{self, SILENCE};
use crate::rtp;

/// Ticks after which what was said is old: no packet is longer than 120 ms.
const FRESH: u8 = 8;
/// By how many dB what is said may differ from what is heard. What is said comes before its sound, by as much
/// as that waits in the buffer.
const NEAR: u8 = 20;

/// How levels are told beside a leg's sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioLevel {
    /// The number of the header extension, 1 to 14.
    pub id: u8,
    /// Whether it says, too, if somebody speaks.
    pub vad: bool,
}

impl AudioLevel {
    /// Puts what is said of a packet, `length` octets that begin with a header of 12, into it; returns its
    /// length then. One that has no room for it stays as it is.
    pub fn write(self, level: u8, voice: bool, packet: &mut [u8], length: usize) -> usize {
        let octet = u8::from(voice) << 7 | level & 0x7f;
        let extension = [0xbe, 0xde, 0, 1, self.id << 4, octet, 0, 0];
        let longer = length + extension.len();
        if length < 12 || longer > packet.len() {
            return length;
        }
        packet.copy_within(12..length, 12 + extension.len());
        packet[12..12 + extension.len()].copy_from_slice(&extension);
        packet[0] |= 0x10;
        longer
    }
}

/// What one packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// In dB below overload, 0 to [`SILENCE`].
    pub level: u8,
    /// Whether it holds a voice.
    pub voice: bool,
}

impl Said {
    /// Reads it from a packet of RTP.
    pub fn read(packet: &[u8], id: u8) -> Option<Self> {
        let [octet] = *rtp::extension(packet, id)? else { return None };
        Some(Self { level: octet & 0x7f, voice: octet & 0x80 != 0 })
    }
}

/// What one leg says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told {
    said: Option<Said>,
    /// Ticks that may pass until that is old.
    fresh: u8,
    /// Whether it says when there is a voice: who never does does not look for one.
    knows_voices: bool,
}

impl Told {
    /// Takes what a packet says.
    pub fn take(&mut self, said: Said, agreed: AudioLevel) {
        (self.said, self.fresh) = (Some(said), FRESH);
        self.knows_voices |= said.voice && agreed.vad;
    }

    /// Takes the frame of the next tick; returns how loud it is, and what else is known of it.
    pub fn judge(&mut self, frame: &[i16]) -> (u8, Known) {
        self.fresh = self.fresh.saturating_sub(1);
        let said = self.said.filter(|_| self.fresh > 0);
        if said.is_some_and(|said| said.level == SILENCE) && level::is_faint(frame) {
            return (SILENCE, Known::Faint);
        }
        let heard = level::level(frame);
        let Some(said) = said.filter(|said| said.level.abs_diff(heard) <= NEAR) else {
            return (heard, Known::Nothing);
        };
        let no_voice = self.knows_voices && !said.voice;
        (said.level, if no_voice { Known::NoVoice } else { Known::Nothing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGREED: AudioLevel = AudioLevel { id: 3, vad: true };

    /// Judges a square wave of so many dB below overload, of which this is said, if anything.
    #[track_caller]
    fn check(told: &mut Told, said: Option<(u8, bool)>, heard: i32, expected: (u8, Known)) {
        if let Some((level, voice)) = said {
            told.take(Said { level, voice }, AGREED);
        }
        let high = 32_768.0 * 10_f32.powf(heard as f32 / -20.0);
        assert_eq!(told.judge(&[high as i16; 160]), expected, "{said:?} of {heard}");
    }

    #[test]
    fn what_is_written_is_read() {
        let said = Said { level: 42, voice: true };
        let mut packet = [0x80; 24];
        assert_eq!(AGREED.write(said.level, said.voice, &mut packet, 16), 24);
        assert_eq!(Said::read(&packet, 3), Some(said));
        assert_eq!(Said::read(&packet, 4), None);
        assert_eq!(packet[20..], [0x80; 4], "the payload has moved");
        assert_eq!(AGREED.write(1, false, &mut packet, 17), 17, "no room");
        assert_eq!(AGREED.write(1, false, &mut packet, 11), 11, "no header");
        assert_eq!(Said::read(&packet, 3), Some(said));
    }

    #[test]
    fn what_is_longer_than_a_level_says_nothing() {
        let mut packet = [0x80; 20];
        AGREED.write(42, true, &mut packet, 12);
        packet[16] |= 1;
        assert_eq!(rtp::extension(&packet, 3), Some(&packet[17..19]));
        assert_eq!(Said::read(&packet, 3), None);
    }

    #[test]
    fn what_is_said_is_believed_where_it_is_near_to_what_is_heard() {
        let mut told = Told::default();
        check(&mut told, None, 30, (30, Known::Nothing));
        check(&mut told, Some((25, true)), 30, (25, Known::Nothing));
        check(&mut told, Some((50, true)), 30, (50, Known::Nothing));
        check(&mut told, Some((51, true)), 30, (30, Known::Nothing));
        check(&mut told, Some((0, true)), 30, (30, Known::Nothing));
        check(&mut told, Some((127, false)), 30, (30, Known::Nothing));
        check(&mut told, Some((127, false)), 60, (127, Known::Faint));
        check(&mut told, Some((126, false)), 90, (90, Known::Nothing));
    }

    #[test]
    fn what_was_said_long_ago_is_forgotten() {
        let mut told = Told::default();
        check(&mut told, Some((25, true)), 30, (25, Known::Nothing));
        for _ in 2..FRESH {
            check(&mut told, None, 30, (25, Known::Nothing));
        }
        check(&mut told, None, 30, (30, Known::Nothing));
    }

    #[test]
    fn who_never_says_that_there_is_a_voice_does_not_deny_one() {
        let mut told = Told::default();
        check(&mut told, Some((30, false)), 30, (30, Known::Nothing));
        check(&mut told, Some((30, true)), 30, (30, Known::Nothing));
        check(&mut told, Some((30, false)), 30, (30, Known::NoVoice));
        let (mut told, mute) = (Told::default(), AudioLevel { vad: false, ..AGREED });
        told.take(Said { level: 30, voice: true }, mute);
        check(&mut told, Some((30, false)), 30, (30, Known::Nothing));
    }
}
