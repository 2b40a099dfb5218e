//! What is spoken, before anything is coded.

use crate::rate::Rate;

/// Octets of the longest payload that an [`Encoder`](super::Encoder) makes of one tick.
pub const PAYLOAD_MAX: usize = 1_275;
/// Samples of the longest packet that is taken: 120 ms at 48 kHz.
pub const PCM_MAX: usize = 5_760;

/// The bitrates that are made of Opus, whatever the far end asks for.
pub const BITRATE_MIN: u32 = 6_000;
/// See above.
pub const BITRATE_MAX: u32 = 64_000;

/// A voice codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// μ-law.
    Pcmu,
    /// A-law.
    Pcma,
    /// G.722 at 64 kbit/s.
    G722,
    /// Opus, and how the far end wants it.
    Opus(OpusOptions),
}

impl Codec {
    /// Returns the rate of the sound in it.
    pub const fn rate(self) -> Rate {
        match self {
            Self::Pcmu | Self::Pcma => Rate::Narrow,
            Self::G722 => Rate::Wide,
            Self::Opus(_) => Rate::Full,
        }
    }

    /// Returns by how much RTP timestamps grow in a second.
    ///
    /// That of G.722 is half its rate, by an old mistake that is kept. Source: RFC 3551 section 4.5.2.
    pub const fn clock(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8_000,
            Self::Opus(_) => 48_000,
        }
    }

    /// Returns the codec as it is encoded for packets of so many milliseconds.
    pub(crate) const fn in_packets(self, ptime_ms: u8) -> Self {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => self,
            Self::Opus(options) => {
                let bitrate = match options.bitrate {
                    ..=0 | BITRATE_MIN..=BITRATE_MAX => options.bitrate,
                    ..BITRATE_MIN => BITRATE_MIN,
                    _ => BITRATE_MAX,
                };
                Self::Opus(OpusOptions { bitrate, halves: ptime_ms == 10, ..options })
            }
        }
    }

    /// Whether each octet stands for itself: any encoder or decoder can go on with another's stream.
    pub const fn is_stateless(self) -> bool {
        matches!(self, Self::Pcmu | Self::Pcma)
    }
}

/// What the far end wants to be sent in Opus. Source: RFC 7587 section 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OpusOptions {
    /// Bits in a second, on average, at most: `maxaveragebitrate`; 0 where nothing was said.
    pub bitrate: u32,
    /// Whether lost packets are to be repeated within later ones: `useinbandfec`.
    pub fec: bool,
    /// Whether silence need not be sent: `usedtx`.
    pub dtx: bool,
    /// The highest rate in Hz that it plays: `maxplaybackrate`.
    pub playback_rate: u32,
    /// Whether packets are of 10 ms, so that a tick has two: a leg sets it by its [`LegOptions::ptime_ms`](crate::LegOptions::ptime_ms).
    pub halves: bool,
}

impl Default for OpusOptions {
    /// What holds where nothing is said.
    fn default() -> Self {
        Self { bitrate: 0, fec: false, dtx: false, playback_rate: 48_000, halves: false }
    }
}
