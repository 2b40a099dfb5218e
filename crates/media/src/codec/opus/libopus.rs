//! Opus by its reference library.

use opus::{Application, Bandwidth, Bitrate, Channels, Signal};

use super::Settings;
use crate::rate::Rate;

/// What codes.
pub const NAME: &str = "libopus";

pub struct Encoder {
    library: opus::Encoder,
    fec: bool,
}

impl Encoder {
    pub fn new(settings: &Settings) -> Self {
        let made = opus::Encoder::new(Rate::Full.hertz(), Channels::Mono, Application::Voip);
        let library = made.expect("48 kHz and one channel are among its settings");
        let mut encoder = Self { library, fec: settings.fec };
        let _ = encoder.library.set_complexity(settings.complexity.into());
        let _ = encoder.library.set_inband_fec(settings.fec);
        let _ = encoder.library.set_dtx(settings.dtx);
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
        let _ = self.library.set_bitrate(Bitrate::Bits(settings.bitrate as i32));
        let _ = self.library.set_max_bandwidth(bandwidth);
        let _ = self.library.set_packet_loss_perc(settings.loss.into());
    }

    /// Codes without linear prediction, unless there are too few bits for that, and without it from one frame to the
    /// next, or as is best again. Where losses are to be repeated the library predicts whatever else is asked for.
    pub fn stand_apart(&mut self, apart: bool) {
        let _ = self.library.set_prediction_disabled(apart);
        let _ = self.library.set_signal(if apart { Signal::Music } else { Signal::Auto });
        let _ = self.library.set_inband_fec(self.fec && !apart);
    }

    pub fn encode(&mut self, frame: &[i16], payload: &mut [u8]) -> Option<usize> {
        self.library.encode(frame, payload).ok()
    }
}

pub struct Decoder(opus::Decoder);

impl Decoder {
    pub fn new() -> Self {
        let decoder = opus::Decoder::new(Rate::Full.hertz(), Channels::Mono);
        Self(decoder.expect("48 kHz and one channel are among its settings"))
    }

    pub fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> Option<()> {
        self.fill(packet, out, false)
    }

    pub fn recover(&mut self, next: &[u8], out: &mut [i16]) -> Option<()> {
        self.fill(next, out, true)
    }

    pub fn conceal(&mut self, out: &mut [i16]) -> Option<()> {
        self.fill(&[], out, false)
    }

    fn fill(&mut self, packet: &[u8], out: &mut [i16], fec: bool) -> Option<()> {
        let length = self.0.decode(packet, out, fec).ok()?;
        (length == out.len()).then_some(())
    }
}
