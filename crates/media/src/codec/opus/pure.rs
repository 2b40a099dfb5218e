//! Opus in Rust: a library's encoder, and a decoder upon the parts of the same.

mod coding;
mod frames;
mod speech;

use std::panic::{AssertUnwindSafe, catch_unwind};

use ropus::opus::decoder::MODE_CELT_ONLY;
use ropus::{
    OPUS_APPLICATION_VOIP, OPUS_AUTO, OPUS_BANDWIDTH_FULLBAND, OPUS_BANDWIDTH_MEDIUMBAND,
    OPUS_BANDWIDTH_NARROWBAND, OPUS_BANDWIDTH_SUPERWIDEBAND, OPUS_BANDWIDTH_WIDEBAND, OpusEncoder,
};

use self::frames::Frames;
use super::Settings;
use crate::rate::Rate;

/// What codes.
pub const NAME: &str = "ropus";

pub struct Encoder(OpusEncoder);

impl Encoder {
    pub fn new(settings: &Settings) -> Self {
        let made = OpusEncoder::new(Rate::Full.hertz() as i32, 1, OPUS_APPLICATION_VOIP);
        let mut encoder = Self(made.expect("48 kHz and one channel are among its settings"));
        encoder.0.set_complexity(settings.complexity.into());
        encoder.0.set_inband_fec(settings.fec.into());
        encoder.0.set_dtx(settings.dtx.into());
        encoder.set(settings);
        encoder
    }

    /// Changes what depends on the loss.
    pub fn set(&mut self, settings: &Settings) {
        let bandwidth = match settings.bandwidth {
            0..12_000 => OPUS_BANDWIDTH_NARROWBAND,
            12_000..16_000 => OPUS_BANDWIDTH_MEDIUMBAND,
            16_000..24_000 => OPUS_BANDWIDTH_WIDEBAND,
            24_000..48_000 => OPUS_BANDWIDTH_SUPERWIDEBAND,
            _ => OPUS_BANDWIDTH_FULLBAND,
        };
        // None is refused within its bounds, and within them the settings are.
        self.0.set_bitrate(settings.bitrate as i32);
        self.0.set_max_bandwidth(bandwidth);
        self.0.set_packet_loss_perc(settings.loss.into());
    }

    /// Codes without linear prediction, and without that from one frame to the next, or as is best again.
    pub fn stand_apart(&mut self, apart: bool) {
        self.0.set_prediction_disabled(apart.into());
        self.0.set_force_mode(if apart { MODE_CELT_ONLY } else { OPUS_AUTO });
    }

    pub fn encode(&mut self, frame: &[i16], payload: &mut [u8]) -> Option<usize> {
        let room = i32::try_from(payload.len()).ok()?;
        let written = self.0.encode(frame, frame.len() as i32, payload, room);
        usize::try_from(written.ok()?).ok()
    }
}

pub struct Decoder(Frames);

impl Decoder {
    pub fn new() -> Self {
        Self(Frames::new())
    }

    pub fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> Option<()> {
        self.guarded(|frames| frames.decode(packet, out))
    }

    pub fn recover(&mut self, next: &[u8], out: &mut [i16]) -> Option<()> {
        self.guarded(|frames| frames.recover(next, out))
    }

    pub fn conceal(&mut self, out: &mut [i16]) -> Option<()> {
        self.guarded(|frames| frames.conceal(out))
    }

    /// A packet at which the library fails, in whatever way, costs its own sound alone.
    fn guarded(&mut self, decode: impl FnOnce(&mut Frames) -> Option<()>) -> Option<()> {
        let decoded = catch_unwind(AssertUnwindSafe(|| decode(&mut self.0)));
        decoded.unwrap_or_else(|_| {
            *self = Self::new();
            None
        })
    }
}
