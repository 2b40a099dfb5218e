//! MP3 files, written. The encoder is LAME, which is copyleft: it is there with the feature `lame` alone.

/// Why there is no MP3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mp3Error {
    /// Built without an encoder.
    #[error("this build has no MP3 encoder")]
    Absent,
    /// It has one channel or two.
    #[error("an MP3 file has one channel or two, not {0}")]
    Channels(u16),
    /// The encoder gave up.
    #[error("the sound cannot be encoded: {0}")]
    Failed(String),
}

/// Most samples of all channels that are encoded at a time.
pub const MP3_SAMPLES_MAX: usize = 32 * 1024;

/// Makes an MP3 file of sound at 8 kHz, piece by piece: 16 kHz, which every player knows, at 32 kbit/s for each
/// channel.
#[derive(Debug)]
pub struct Mp3 {
    #[cfg(feature = "lame")]
    encoder: lame::Encoder,
}

impl Mp3 {
    /// Begins a file of one channel or two.
    ///
    /// # Errors
    /// [`Mp3Error::Absent`] without the feature `lame`, and the others as they say.
    pub fn new(channels: u16) -> Result<Self, Mp3Error> {
        if !(1..=2).contains(&channels) {
            return Err(Mp3Error::Channels(channels));
        }
        #[cfg(feature = "lame")]
        return Ok(Self { encoder: lame::Encoder::new(channels)? });
        #[cfg(not(feature = "lame"))]
        Err(Mp3Error::Absent)
    }

    /// Encodes what comes next, the channels side by side, and appends what is ready to `file`. Of more than
    /// [`MP3_SAMPLES_MAX`] the rest is left out.
    ///
    /// # Errors
    /// [`Mp3Error::Failed`].
    pub fn encode(&mut self, samples: &[i16], file: &mut Vec<u8>) -> Result<(), Mp3Error> {
        #[cfg(feature = "lame")]
        return self.encoder.encode(&samples[..samples.len().min(MP3_SAMPLES_MAX)], file);
        #[cfg(not(feature = "lame"))]
        {
            let _ = (samples, file);
            Err(Mp3Error::Absent)
        }
    }

    /// Appends the end.
    ///
    /// # Errors
    /// [`Mp3Error::Failed`].
    pub fn finish(&mut self, file: &mut Vec<u8>) -> Result<(), Mp3Error> {
        #[cfg(feature = "lame")]
        return self.encoder.finish(file);
        #[cfg(not(feature = "lame"))]
        {
            let _ = file;
            Err(Mp3Error::Absent)
        }
    }
}

#[cfg(feature = "lame")]
mod lame {
    use std::num::NonZeroU32;

    use mp3lame_encoder::{
        Bitrate, Builder, FlushNoGap, InterleavedPcm, MonoPcm, Quality, max_required_buffer_size,
    };

    use super::Mp3Error;
    use crate::RATE;

    /// Octets that the end may have. Source: LAME's API, `lame_encode_flush`.
    const END_MAX: usize = 7_200;

    pub struct Encoder {
        lame: mp3lame_encoder::Encoder,
        channels: u16,
    }

    impl std::fmt::Debug for Encoder {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("Encoder").field("channels", &self.channels).finish_non_exhaustive()
        }
    }

    fn failed(error: impl std::fmt::Debug) -> Mp3Error {
        Mp3Error::Failed(format!("{error:?}"))
    }

    impl Encoder {
        pub fn new(channels: u16) -> Result<Self, Mp3Error> {
            let builder = Builder::new().ok_or_else(|| failed("no memory"))?;
            let bitrate = if channels == 1 { Bitrate::Kbps32 } else { Bitrate::Kbps64 };
            let lame = builder
                .with_num_channels(channels as u8)
                .and_then(|builder| builder.with_sample_rate(RATE))
                .and_then(|builder| builder.with_output_sample_rate(NonZeroU32::new(2 * RATE)))
                .and_then(|builder| builder.with_brate(bitrate))
                .and_then(|builder| builder.with_quality(Quality::Good))
                .and_then(|builder| builder.with_to_write_vbr_tag(false))
                .and_then(Builder::build)
                .map_err(failed)?;
            Ok(Self { lame, channels })
        }

        pub fn encode(&mut self, samples: &[i16], file: &mut Vec<u8>) -> Result<(), Mp3Error> {
            // Twice as many come out as go in: the rate is doubled.
            file.reserve(max_required_buffer_size(2 * samples.len()));
            let encoded = if self.channels == 1 {
                self.lame.encode_to_vec(MonoPcm(samples), file)
            } else {
                let whole = samples.len() / 2 * 2;
                self.lame.encode_to_vec(InterleavedPcm(&samples[..whole]), file)
            };
            encoded.map(drop).map_err(failed)
        }

        pub fn finish(&mut self, file: &mut Vec<u8>) -> Result<(), Mp3Error> {
            file.reserve(END_MAX);
            self.lame.flush_to_vec::<FlushNoGap>(file).map(drop).map_err(failed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_channel_or_two() {
        for channels in [0, 3] {
            assert_eq!(Mp3::new(channels).err(), Some(Mp3Error::Channels(channels)));
        }
        let absent = Mp3::new(1).err();
        assert_eq!(absent, (!cfg!(feature = "lame")).then_some(Mp3Error::Absent));
    }

    #[cfg(feature = "lame")]
    #[test]
    fn what_is_encoded_is_heard_again() {
        for channels in [1, 2] {
            let tone = |at: usize| (at as f64 / 8_000.0 * 700.0 * std::f64::consts::TAU).sin();
            let samples: Vec<i16> = (0..16_000 * usize::from(channels))
                .map(|at| (tone(at / usize::from(channels)) * 8_000.0) as i16)
                .collect();
            let mut mp3 = Mp3::new(channels).unwrap();
            let mut file = Vec::new();
            for piece in samples.chunks(3_000) {
                mp3.encode(piece, &mut file).unwrap();
            }
            mp3.finish(&mut file).unwrap();
            let octets = 2 * 4_000 * usize::from(channels);
            assert!(file.len().abs_diff(octets) < octets / 5, "{} octets", file.len());
            let heard = crate::decode(file).unwrap();
            assert!(heard.len().abs_diff(16_000) < 2_400, "{} samples", heard.len());
            let middle = &heard[4_000..12_000];
            let power: f64 = middle.iter().map(|&one| f64::from(one).powi(2)).sum();
            let loudness = (power / middle.len() as f64).sqrt();
            assert!((loudness - 5_657.0).abs() < 600.0, "{loudness}");
            let crossings = middle.windows(2).filter(|two| (two[0] < 0) != (two[1] < 0)).count();
            assert!(crossings.abs_diff(1_400) < 10, "{crossings}");
        }
    }
}
