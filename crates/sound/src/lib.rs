//! Sound made and read: the project's own music and beeps, and audio files of others.
//!
//! Everything that leaves here is 8 kHz mono. It opens no file and fetches nothing.

#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::io::Cursor;
use std::time::Duration;

use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

/// Samples in a second.
pub const RATE: u32 = 8_000;
/// Longest file that is read.
pub const LENGTH_MAX: Duration = Duration::from_secs(30 * 60);

/// The octets are no audio that can be read.
#[derive(Debug, thiserror::Error)]
#[error("not readable as audio: {0}")]
pub struct Unreadable(String);

/// Reads a WAV or MP3 file whole; what is beyond [`LENGTH_MAX`] is left out.
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
    let mut mono: Vec<f32> = Vec::new();
    let mut rate = RATE;
    let mut frame: Vec<f32> = Vec::new();
    // A file that breaks off is played as far as it goes.
    while let Ok(Some(packet)) = format.next_packet() {
        if packet.track_id != id {
            continue;
        }
        let Ok(decoded) = decoder.decode(&packet) else { continue };
        rate = decoded.spec().rate();
        let channels = decoded.spec().channels().count().max(1);
        frame.clear();
        decoded.copy_to_vec_interleaved(&mut frame);
        mono.extend(frame.chunks(channels).map(|all| all.iter().sum::<f32>() / channels as f32));
        if mono.len() as u64 > LENGTH_MAX.as_secs() * u64::from(rate) {
            break;
        }
    }
    if mono.is_empty() || !(1_000..=384_000).contains(&rate) {
        return Err(Unreadable("no sound".to_owned()));
    }
    Ok(resample(&mono, rate))
}

/// Brings sound to 8 kHz with a windowed sinc, so that nothing folds back.
fn resample(sound: &[f32], rate: u32) -> Vec<i16> {
    let to_pcm = |sample: f32| (sample * 32_767.0).round().clamp(-32_767.0, 32_767.0) as i16;
    if rate == RATE {
        return sound.iter().map(|&sample| to_pcm(sample)).collect();
    }
    let ratio = f64::from(rate) / f64::from(RATE);
    // The cut-off is just below the lower of the two Nyquist frequencies.
    let cutoff = 0.95 / ratio.max(1.0);
    let half = (24.0 * ratio.max(1.0)).ceil() as i64;
    let length = (sound.len() as f64 / ratio) as usize;
    (0..length)
        .map(|index| {
            let centre = index as f64 * ratio;
            let first = centre as i64 - half;
            let mut sum = 0.0;
            for at in first.max(0)..(first + 2 * half + 1).min(sound.len() as i64) {
                let x = at as f64 - centre;
                let sinc = if x == 0.0 {
                    cutoff
                } else {
                    (std::f64::consts::PI * x * cutoff).sin() / (std::f64::consts::PI * x)
                };
                let window = 0.5 + 0.5 * (std::f64::consts::PI * x / (half + 1) as f64).cos();
                sum += f64::from(sound[at as usize]) * sinc * window;
            }
            to_pcm(sum as f32)
        })
        .collect()
}

/// The beep of someone who comes: two rising notes.
pub fn enter_beep() -> Vec<i16> {
    notes(&[(660.0, 0.12), (880.0, 0.14)], 5_000.0)
}

/// The beep of someone who goes: two falling notes.
pub fn exit_beep() -> Vec<i16> {
    notes(&[(880.0, 0.12), (660.0, 0.14)], 5_000.0)
}

/// The project's own music: a quiet figure over four chords, seamless when repeated.
pub fn music() -> Vec<i16> {
    const CHORDS: [[f32; 3]; 4] = [
        [261.63, 329.63, 392.0],
        [220.0, 261.63, 329.63],
        [174.61, 220.0, 261.63],
        [196.0, 246.94, 293.66],
    ];
    let figure = [0, 1, 2, 1, 2, 1, 0, 2];
    let melody: Vec<(f32, f32)> = CHORDS
        .iter()
        .flat_map(|chord| figure.iter().map(|&voice| (chord[voice] * 2.0, 0.4)))
        .collect();
    notes(&melody, 3_000.0)
}

/// A talker of the demonstration: a short phrase in a register of its own, then a rest in which
/// the others speak.
pub fn talker(number: usize) -> Vec<i16> {
    let base = [392.0, 261.63, 523.25][number % 3];
    let steps: [&[f32]; 3] =
        [&[1.0, 1.125, 1.25, 1.5], &[1.5, 1.25, 1.0, 0.75], &[1.0, 1.333, 1.0, 1.333, 1.5]];
    let phrase: Vec<_> = steps[number % 3].iter().map(|step| (base * step, 0.25)).collect();
    let mut sound = vec![0; 12_000 * (number % 3)];
    sound.extend(notes(&phrase, 6_000.0));
    sound.resize(36_000, 0);
    sound
}

/// Plays notes of so many hertz and seconds, each with a soft beginning and end.
fn notes(notes: &[(f32, f32)], amplitude: f32) -> Vec<i16> {
    let mut sound = Vec::new();
    for &(frequency, seconds) in notes {
        let length = (seconds * RATE as f32) as usize;
        sound.extend((0..length).map(|index| {
            let time = index as f32 / RATE as f32;
            let phase = time * frequency * std::f32::consts::TAU;
            let attack = (index as f32 / 160.0).min(1.0);
            let release = ((length - index) as f32 / 160.0).min(1.0);
            let envelope = attack * release * (-2.0 * time).exp();
            ((phase.sin() + 0.3 * (2.0 * phase).sin()) * envelope * amplitude) as i16
        }));
    }
    sound
}

/// Writes 8 kHz mono as a WAV file.
pub fn wav(samples: &[i16]) -> Vec<u8> {
    let length = (samples.len() * 2) as u32;
    let mut file = Vec::with_capacity(44 + samples.len() * 2);
    file.extend(b"RIFF");
    file.extend((36 + length).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(RATE.to_le_bytes());
    file.extend((RATE * 2).to_le_bytes());
    file.extend([2, 0, 16, 0]);
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_as_wav_is_read_bit_exact() {
        let sound: Vec<i16> = (0..4_000).map(|i| (i * 7 % 20_000 - 10_000) as i16).collect();
        let read = decode(wav(&sound)).unwrap();
        assert_eq!(read.len(), sound.len());
        assert!(read.iter().zip(&sound).all(|(a, b)| (a - b).abs() <= 1));
    }

    #[test]
    fn a_picture_a_torso_and_nothing_are_refused() {
        for octets in [b"GIF89a....".to_vec(), wav(&[1; 100])[..40].to_vec(), Vec::new()] {
            assert!(decode(octets).is_err());
        }
    }

    #[test]
    fn the_music_is_quiet_and_seamless() {
        let music = music();
        assert!(music.iter().all(|sample| sample.abs() < 8_000));
        assert!(music[0].abs() < 50 && music[music.len() - 1].abs() < 50);
    }

    #[test]
    fn a_tone_above_four_kilohertz_does_not_fold_back() {
        let tone = |hertz: f32| -> Vec<f32> {
            (0..44_100)
                .map(|i| (i as f32 * hertz / 44_100.0 * std::f32::consts::TAU).sin())
                .collect()
        };
        let loudest = |sound: Vec<i16>| sound[800..7_000].iter().map(|s| s.abs()).max().unwrap();
        assert!(loudest(resample(&tone(1_000.0), 44_100)) > 32_000);
        assert!(loudest(resample(&tone(6_000.0), 44_100)) < 330);
    }
}
