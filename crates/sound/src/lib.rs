//! Sound made and read: the project's own music, beeps and ringing, and audio files of others.
//!
//! Everything that leaves here is 8 kHz mono. It opens no file and fetches nothing.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod beeps;
mod decode;
mod mp3;
mod music;
mod resample;
mod ringing;
mod talkers;
mod wav;

pub use beeps::{enter_beep, exit_beep};
pub use decode::{LENGTH_MAX, Unreadable, decode};
pub use mp3::{MP3_SAMPLES_MAX, Mp3, Mp3Error};
pub use music::music;
pub use resample::{RATES, Resampler};
pub use ringing::{ring_tone, rings_like};
pub use talkers::talker;
pub use wav::{wav, wav_header};

/// Samples in a second.
pub const RATE: u32 = 8_000;
