//! Audio files of others, read.

use std::io::Cursor;
use std::time::Duration;

use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

use crate::{RATE, Resampler};

/// Longest file that is read. Source: Twilio, which promises no more for `<Play>`.
pub const LENGTH_MAX: Duration = Duration::from_secs(40 * 60);

/// The octets are no audio that can be read.
#[derive(Debug, thiserror::Error)]
#[error("not readable as audio: {0}")]
pub struct Unreadable(pub(crate) String);

/// Reads a WAV or MP3 file; what is beyond [`LENGTH_MAX`] is left out.
///
/// # Errors
/// When the format is unknown or no sound is in it.
pub fn decode(octets: Vec<u8>) -> Result<Vec<i16>, Unreadable> {
    let told = |error: symphonia::core::errors::Error| Unreadable(error.to_string());
    let stream = MediaSourceStream::new(Box::new(Cursor::new(octets)), Default::default());
    let mut format = symphonia::default::get_probe()
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
    let mut resampler: Option<(u32, Resampler)> = None;
    let mut sound = Vec::new();
    let (mut frame, mut mono): (Vec<f32>, Vec<f32>) = (Vec::new(), Vec::new());
    let longest = LENGTH_MAX.as_secs() as usize * RATE as usize;
    // A file that breaks off is played as far as it goes.
    while sound.len() < longest
        && let Ok(Some(packet)) = format.next_packet()
    {
        if packet.track_id != id {
            continue;
        }
        let Ok(decoded) = decoder.decode(&packet) else { continue };
        let rate = decoded.spec().rate();
        let channels = decoded.spec().channels().count().max(1);
        frame.clear();
        decoded.copy_to_vec_interleaved(&mut frame);
        mono.clear();
        mono.extend(frame.chunks(channels).map(|all| all.iter().sum::<f32>() / channels as f32));
        if resampler.as_ref().is_none_or(|(of, _)| *of != rate) {
            let made = Resampler::new(rate).ok_or_else(|| Unreadable(format!("{rate} Hz")))?;
            resampler = Some((rate, made));
        }
        if let Some((_, resampler)) = &mut resampler {
            resampler.push(&mono, &mut sound);
        }
    }
    if let Some((_, resampler)) = resampler {
        resampler.finish(&mut sound);
    }
    if sound.is_empty() {
        return Err(Unreadable("no sound".to_owned()));
    }
    sound.truncate(longest);
    Ok(sound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wav;

    #[test]
    fn what_is_written_as_wav_is_read_bit_exact() {
        let sound: Vec<i16> = (0..4_000).map(|i| (i * 7 % 20_000 - 10_000) as i16).collect();
        assert_eq!(decode(wav(&sound)).unwrap(), sound);
    }

    #[test]
    fn a_picture_a_torso_and_nothing_are_refused() {
        for octets in [b"GIF89a....".to_vec(), wav(&[1; 100])[..40].to_vec(), Vec::new()] {
            assert!(decode(octets).is_err());
        }
    }
}
