//! Audio files of others, read.

use std::io::{Cursor, Read};
use std::time::Duration;

use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::formats::probe::{Hint, Probe};
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};
use symphonia::core::meta::MetadataOptions;
use symphonia::default::formats::{MpaReader, WavReader};

use crate::wav::{self, CHANNELS_MAX};
use crate::{RATE, Resampler};

/// Longest file that is read. Source: Twilio, which promises no more for `<Play>`.
pub const LENGTH_MAX: Duration = Duration::from_secs(40 * 60);
/// Most packets in a row that cannot be decoded before the rest is given up.
const BAD_PACKETS_MAX: u32 = 1_000;

/// Most changes of the rate within a file: each costs a set of filters.
const RATE_CHANGES_MAX: u32 = 8;

/// The octets are no audio that can be read.
#[derive(Debug, thiserror::Error)]
#[error("not readable as audio: {0}")]
pub struct Unreadable(pub(crate) String);

/// Reads a WAV or MP3 file; what is beyond [`LENGTH_MAX`] is left out.
///
/// # Errors
/// When the format is unknown or no sound is in it.
pub fn decode(mut octets: Vec<u8>) -> Result<Vec<i16>, Unreadable> {
    if wav::is_wav(&octets) {
        let (header, range) = wav::mend(&octets)?;
        octets.truncate(range.end);
        let mut sound = Cursor::new(octets);
        sound.set_position(range.start as u64);
        let source = ReadOnlySource::new(Cursor::new(header).chain(sound));
        return read(Box::new(source), |probe| probe.register_format::<WavReader<'_>>());
    }
    let start = after_tags(&octets);
    octets.drain(..start);
    read(Box::new(Cursor::new(octets)), |probe| probe.register_format::<MpaReader<'_>>())
}

/// Returns where the sound of an MP3 file begins: behind its ID3v2 tags, which are not read.
///
/// Source: ID3v2.4.0, section 3.1.
fn after_tags(octets: &[u8]) -> usize {
    let mut at = 0;
    while let Some([b'I', b'D', b'3', _, _, flags, size @ ..]) =
        octets.get(at..).and_then(|rest| rest.first_chunk::<10>())
    {
        // Seven bits of each octet count.
        let size = size.iter().fold(0, |sum, octet| sum << 7 | usize::from(octet & 0x7F));
        let footer = if flags & 0x10 == 0 { 0 } else { 10 };
        at = (at + 10 + size + footer).min(octets.len());
    }
    at
}

/// Reads what the one format that `register` names finds: WAV that was not mended is read by nobody.
fn read(
    source: Box<dyn MediaSource>,
    register: impl Fn(&mut Probe),
) -> Result<Vec<i16>, Unreadable> {
    let told = |error: symphonia::core::errors::Error| Unreadable(error.to_string());
    let stream = MediaSourceStream::new(source, Default::default());
    let mut probe = Probe::new();
    register(&mut probe);
    let mut format = probe
        .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(told)?;
    let track = format
        .default_track(TrackType::Audio)
        .ok_or_else(|| Unreadable("no audio track".to_owned()))?;
    let id = track.id;
    let parameters = track.codec_params.as_ref().and_then(|p| p.audio());
    let parameters = parameters.ok_or_else(|| Unreadable("no audio codec".to_owned()))?;
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(told)?;
    let mut mixer = Mixer::default();
    let mut bad_packets = 0;
    // A file that breaks off is played as far as it goes.
    while mixer.sound.len() < longest()
        && bad_packets < BAD_PACKETS_MAX
        && let Ok(Some(packet)) = format.next_packet()
    {
        if packet.track_id != id {
            continue;
        }
        let Ok(decoded) = decoder.decode(&packet) else {
            bad_packets += 1;
            continue;
        };
        bad_packets = 0;
        let (rate, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
        if !(1..=usize::from(CHANNELS_MAX)).contains(&channels) {
            return Err(Unreadable(format!("{channels} channels")));
        }
        mixer.frame.clear();
        decoded.copy_to_vec_interleaved(&mut mixer.frame);
        mixer.mix(rate, channels)?;
    }
    mixer.finish()
}

fn longest() -> usize {
    LENGTH_MAX.as_secs() as usize * RATE as usize
}

/// What has been read so far, as 8 kHz mono, and the block that is to follow.
#[derive(Default)]
struct Mixer {
    frame: Vec<f32>,
    mono: Vec<f32>,
    resampler: Option<(u32, Resampler)>,
    rate_changes: u32,
    sound: Vec<i16>,
}

impl Mixer {
    fn mix(&mut self, rate: u32, channels: usize) -> Result<(), Unreadable> {
        let tame = |sample: &f32| if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
        let mono = |all: &[f32]| all.iter().map(tame).sum::<f32>() / channels as f32;
        self.mono.clear();
        self.mono.extend(self.frame.chunks_exact(channels).map(mono));
        if self.resampler.as_ref().is_none_or(|(of, _)| *of != rate) {
            self.rate_changes += 1;
            if self.rate_changes > RATE_CHANGES_MAX {
                return Err(Unreadable("its rate keeps changing".to_owned()));
            }
            let made = Resampler::new(rate).ok_or_else(|| Unreadable(format!("{rate} Hz")))?;
            if let Some((_, before)) = self.resampler.replace((rate, made)) {
                before.finish(&mut self.sound);
            }
        }
        if let Some((_, resampler)) = &mut self.resampler {
            resampler.push(&self.mono, &mut self.sound);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<i16>, Unreadable> {
        if let Some((_, resampler)) = self.resampler {
            resampler.finish(&mut self.sound);
        }
        if self.sound.is_empty() {
            return Err(Unreadable("no sound".to_owned()));
        }
        self.sound.truncate(longest());
        Ok(self.sound)
    }
}

#[cfg(test)]
mod tests;
