//! A voice: text and prosody in, 8 kHz mono PCM out, at one level whoever speaks.
//!
//! It hides the synthesiser, where its data lies and which languages it speaks. Without the feature
//! `espeak` there is none, and [`Voice::speak`] says so; nothing else changes.

#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(feature = "espeak")]
mod espeak;
#[cfg(feature = "espeak")]
mod level;
#[cfg(all(test, feature = "espeak"))]
mod tests;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Most characters of one speech; what is beyond is not spoken. Source: Twilio, `<Say>`.
pub const CHARACTERS_MAX: usize = 4_096;
/// Longest speech; what is beyond is not spoken.
pub const LENGTH_MAX: Duration = Duration::from_secs(15 * 60);

/// What is to be spoken, and by whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Speech {
    /// A language tag such as `en-US`.
    pub language: String,
    /// Whether a woman speaks.
    pub woman: bool,
    /// What, in order.
    pub segments: Vec<Segment>,
}

/// A part of a speech.
#[derive(Debug, Clone, PartialEq)]
pub enum Segment {
    /// Words, and how they are spoken; each factor is 1.0 where nothing is asked for.
    Text {
        /// The words.
        text: String,
        /// How fast.
        rate: f32,
        /// How high.
        pitch: f32,
        /// How loud.
        volume: f32,
    },
    /// Silence.
    Break(Duration),
}

/// A speech as sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Spoken {
    /// 8 kHz mono.
    pub pcm: Vec<i16>,
    /// The language that it is in: the nearest to what was asked for, English where none is near.
    pub language: &'static str,
    /// Whether [`CHARACTERS_MAX`] or [`LENGTH_MAX`] took the end away.
    pub cut: bool,
}

/// Why nothing is heard.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Built without one.
    #[error("this build has no voice for Say")]
    Absent,
    /// The data could not be laid where the synthesiser reads it.
    #[error("the voice's data cannot be written to {folder}: {error}")]
    Data {
        /// Where.
        folder: String,
        /// Why.
        error: std::io::Error,
    },
    /// It was not done in time.
    #[error("the text takes too long to speak")]
    TooSlow,
    /// Nothing in it can be spoken.
    #[error("nothing in the text can be spoken")]
    Silent,
    /// The synthesiser gave up.
    #[error("the text cannot be spoken: {0}")]
    Failed(String),
}

/// A synthesiser and where its data lies.
#[derive(Debug, Clone)]
pub struct Voice {
    #[cfg_attr(not(feature = "espeak"), expect(dead_code, reason = "no data without a voice"))]
    folder: PathBuf,
}

impl Voice {
    /// Prepares a voice that keeps its data below `folder`; nothing is written before it speaks.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Speaks, on this thread, for as long as it takes: some milliseconds for a sentence.
    ///
    /// # Errors
    /// [`Error::TooSlow`] when it is not done at `until`, and the others as they say.
    pub fn speak(&self, speech: &Speech, until: Instant) -> Result<Spoken, Error> {
        #[cfg(feature = "espeak")]
        return espeak::speak(&self.folder, speech, until);
        #[cfg(not(feature = "espeak"))]
        {
            let _ = (speech, until);
            Err(Error::Absent)
        }
    }
}
