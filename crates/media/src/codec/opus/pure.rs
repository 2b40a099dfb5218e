//! Opus in Rust: one crate's encoder, which keeps its bitrate, and another's decoder, which conceals well.

use std::panic::{AssertUnwindSafe, catch_unwind};

use opus_rs::OpusDecoder;
use ropus::{Application, Bandwidth, Bitrate, Channels, InbandFec};

use super::super::PCM_MAX;
use super::Settings;
use crate::rate::Rate;
use crate::rounded;

pub struct Encoder(ropus::Encoder);

impl Encoder {
    pub fn new(settings: &Settings) -> Self {
        let builder =
            ropus::Encoder::builder(Rate::Full.hertz(), Channels::Mono, Application::Voip)
                .complexity(settings.complexity)
                .inband_fec(if settings.fec { InbandFec::Enabled } else { InbandFec::Disabled })
                .dtx(settings.dtx);
        let mut encoder = Self(builder.build().expect("each setting is within its bounds"));
        encoder.set(settings);
        encoder
    }

    /// Changes what depends on the loss.
    pub fn set(&mut self, settings: &Settings) {
        let bandwidth = match settings.bandwidth {
            0..12_000 => Bandwidth::Narrowband,
            12_000..16_000 => Bandwidth::Mediumband,
            16_000..24_000 => Bandwidth::Wideband,
            24_000..48_000 => Bandwidth::Superwideband,
            _ => Bandwidth::Fullband,
        };
        // None is refused within its bounds, and within them the settings are.
        let _ = self.0.set_bitrate(Bitrate::Bits(settings.bitrate));
        let _ = self.0.set_max_bandwidth(bandwidth);
        let _ = self.0.set_packet_loss_perc(settings.loss);
    }

    pub fn encode(&mut self, frame: &[i16], payload: &mut [u8]) -> Option<usize> {
        self.0.encode(frame, payload).ok()
    }
}

pub struct Decoder(OpusDecoder);

impl Decoder {
    pub fn new() -> Self {
        let decoder = OpusDecoder::new(Rate::Full.hertz() as i32, 1);
        Self(decoder.expect("48 kHz and one channel are among its settings"))
    }

    pub fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> Option<()> {
        self.guarded(out, |decoder, length, sound| decoder.decode(packet, length, sound))
    }

    pub fn recover(&mut self, next: &[u8], out: &mut [i16]) -> Option<()> {
        self.guarded(out, |decoder, length, sound| decoder.decode_fec(next, length, sound))
    }

    pub fn conceal(&mut self, out: &mut [i16]) -> Option<()> {
        self.guarded(out, |decoder, length, sound| decoder.decode(&[], length, sound))
    }

    /// Fills `out`; a packet at which the library fails, in whatever way, costs its own sound alone.
    fn guarded(
        &mut self,
        out: &mut [i16],
        decode: impl FnOnce(&mut OpusDecoder, usize, &mut [f32]) -> Result<usize, &'static str>,
    ) -> Option<()> {
        let mut sound = [0.0; PCM_MAX];
        let sound = sound.get_mut(..out.len())?;
        let decoded = catch_unwind(AssertUnwindSafe(|| decode(&mut self.0, out.len(), sound)));
        let Ok(decoded) = decoded else {
            *self = Self::new();
            return None;
        };
        decoded.ok().filter(|&length| length == out.len())?;
        for (out, &sample) in out.iter_mut().zip(&*sound) {
            *out = rounded(sample * 32_768.0).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        }
        Some(())
    }
}
