//! How the frames of a packet are coded, as its first octet says.

use super::super::Contents;

/// What a frame is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Speech,
    /// Speech below 8 kHz, and a transform above.
    Both,
    Transform,
}

/// How the frames of a packet are coded. Source: RFC 6716 section 3.1.
#[derive(Debug, Clone, Copy)]
pub struct Coding {
    pub mode: Mode,
    /// Where a transform ends.
    pub bands: i32,
    /// The rate of speech.
    pub hertz: i32,
    pub channels: i32,
    /// Samples of each frame at 48 kHz.
    pub frame: usize,
}

impl Coding {
    pub fn of(toc: u8) -> Self {
        let contents = Contents::of(toc);
        let (mode, bands, hertz) = match toc >> 3 {
            0..4 => (Mode::Speech, 13, 8_000),
            4..8 => (Mode::Speech, 17, 12_000),
            8..12 => (Mode::Speech, 17, 16_000),
            12..14 => (Mode::Both, 19, 16_000),
            14..16 => (Mode::Both, 21, 16_000),
            16..20 => (Mode::Transform, 13, 0),
            20..24 => (Mode::Transform, 17, 0),
            24..28 => (Mode::Transform, 19, 0),
            _ => (Mode::Transform, 21, 0),
        };
        let channels = if contents.stereo { 2 } else { 1 };
        Self { mode, bands, hertz, channels, frame: contents.frame }
    }
}
