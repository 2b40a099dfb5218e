//! Opus: 48 kHz, from 6 kbit/s on. The codec itself is a library's; this is what a conference needs of it.
//!
//! Source: RFC 6716 section 3 for what a packet says of itself, RFC 7587 for what is agreed on.

use std::fmt;

use super::format::{BITRATE_MAX, BITRATE_MIN, OpusOptions, PCM_MAX};
use crate::rate::{Rate, SAMPLES_MAX};

pub(crate) mod framing;
#[cfg_attr(feature = "libopus", path = "opus/libopus.rs")]
#[cfg_attr(not(feature = "libopus"), path = "opus/pure.rs")]
mod library;

/// The library by which Opus is coded: "ropus", in Rust, or "libopus", by the feature of that name.
pub const OPUS: &str = library::NAME;

/// What is made where it asks for nothing, and by how much more for each percent of loss: a repetition of
/// speech takes as much as speech, from 10 % on.
const BITRATE: u32 = 32_000;
const BITRATE_PER_LOSS: u32 = 3_200;
/// Less than this is better spent on what is below 8 kHz, where speech is. So is what is left by repetition.
const FULL_BAND_MIN: u32 = 48_000;
const WIDE_BAND_HZ: u32 = 16_000;
/// The effort of an encoder, 0 to 10: above this, little is gained.
const COMPLEXITY: u8 = 5;
/// The same for packets of 10 ms, in which a tone is noise at times at less.
const COMPLEXITY_HALVES: u8 = 8;
/// The loss that is assumed where losses are to be repeated and none are known, in percent.
const LOSS_ASSUMED: u8 = 10;
/// The most that is assumed.
const LOSS_MAX: u8 = 30;
/// What a clone hears again, in ticks.
const PRIMED: usize = 2;
/// Ticks that stand by themselves where the far end remembers what another encoder made. After linear prediction
/// from that, a tone would crack at full scale; after one tick alone it may still.
const APART: u8 = 2;
/// What an encoder writes, at most, where nothing need be sent.
const NOTHING: usize = 2;
/// Octets of a packet of 10 ms, at most.
const HALF_MAX: usize = 480;
/// Samples of 2.5 ms: what a decoder conceals is a multiple of it.
const UNIT: usize = 120;

/// How an encoder is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Settings {
    bitrate: u32,
    complexity: u8,
    /// Twice the highest frequency in Hz that is coded.
    bandwidth: u32,
    fec: bool,
    /// How much is lost, in percent.
    loss: u8,
    dtx: bool,
}

impl Settings {
    fn new(options: &OpusOptions, loss: u8) -> Self {
        let loss = if options.fec { loss.min(LOSS_MAX) } else { 0 };
        let bitrate = match options.bitrate {
            0 => BITRATE + BITRATE_PER_LOSS * u32::from(loss),
            asked => asked,
        };
        let bitrate = bitrate.clamp(BITRATE_MIN, BITRATE_MAX);
        let full = bitrate >= FULL_BAND_MIN && loss == 0;
        let bandwidth = if full { Rate::Full.hertz() } else { WIDE_BAND_HZ };
        Self {
            bitrate,
            complexity: if options.halves { COMPLEXITY_HALVES } else { COMPLEXITY },
            bandwidth: bandwidth.min(options.playback_rate),
            fec: options.fec,
            loss,
            dtx: options.dtx,
        }
    }
}

/// What is encoded.
pub struct Encoder {
    library: library::Encoder,
    options: OpusOptions,
    settings: Settings,
    /// What was encoded last, the oldest first.
    recent: [[i16; SAMPLES_MAX]; PRIMED],
    /// Whether what follows the last one is to be coded without linear prediction: the change from one to the other takes
    /// a packet that leads over.
    led: bool,
    /// Ticks that are still to stand by themselves.
    apart: u8,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// No library lets its state be copied, so the copy hears again what was heard last.
impl Clone for Encoder {
    fn clone(&self) -> Self {
        let recent = self.recent.each_ref().map(|frame| &frame[..]);
        Self::primed(self.options, self.settings.loss, recent, self.has_led())
    }
}

impl Encoder {
    pub fn new(options: OpusOptions) -> Self {
        Self::with(options, LOSS_ASSUMED)
    }

    fn with(options: OpusOptions, loss: u8) -> Self {
        let settings = Settings::new(&options, loss);
        let library = library::Encoder::new(&settings);
        let recent = [[0; SAMPLES_MAX]; PRIMED];
        Self { library, options, settings, recent, led: false, apart: 0 }
    }

    /// See [`super::Encoder::after`].
    pub fn after(options: OpusOptions, ticks: [&[i16]; PRIMED], led: bool) -> Self {
        Self::primed(options, LOSS_ASSUMED, ticks, led)
    }

    fn primed(options: OpusOptions, loss: u8, ticks: [&[i16]; PRIMED], led: bool) -> Self {
        let mut primed = Self::with(options, loss);
        primed.library.stand_apart(led);
        for tick in ticks {
            primed.encode(tick, &mut [0; super::PAYLOAD_MAX]);
        }
        primed.stand_apart();
        primed
    }

    /// Whether the last tick led over to what stands by itself, or did.
    pub fn has_led(&self) -> bool {
        self.led
    }

    /// Lets what is encoded next stand by itself, so that nobody need remember what was before.
    pub fn stand_apart(&mut self) {
        self.apart = APART;
        self.library.stand_apart(true);
    }

    /// Sets what is spent on repetition, where the far end asked for it.
    pub fn expect_loss(&mut self, percent: u8) {
        let settings = Settings::new(&self.options, percent);
        if settings != self.settings {
            self.settings = settings;
            self.library.set(&settings);
        }
    }

    /// Encodes 960 samples; see [`super::Encoder::encode`].
    pub fn encode(&mut self, frame: &[i16], payload: &mut [u8]) -> usize {
        let Ok(frame) = <&[i16; SAMPLES_MAX]>::try_from(frame) else { return 0 };
        let length = self.tick(frame, payload);
        let predicts = payload[..length].first().is_none_or(|&first| Contents::of(first).predicts);
        self.led = self.apart > 0 || !predicts;
        if self.apart > 0 {
            self.apart -= 1;
            if self.apart == 0 {
                self.library.stand_apart(false);
            }
        }
        length
    }

    fn tick(&mut self, frame: &[i16; SAMPLES_MAX], payload: &mut [u8]) -> usize {
        self.recent.rotate_left(1);
        self.recent[PRIMED - 1] = *frame;
        if !self.options.halves {
            return self.packet(frame, payload);
        }
        let (first, second) = frame.split_at(SAMPLES_MAX / 2);
        let mut packets = [[0; HALF_MAX]; 2];
        let lengths = [self.packet(first, &mut packets[0]), self.packet(second, &mut packets[1])];
        let [first, second] = packets.each_ref();
        framing::together(&first[..lengths[0]], &second[..lengths[1]], payload)
    }

    fn packet(&mut self, frame: &[i16], payload: &mut [u8]) -> usize {
        let length = self.library.encode(frame, payload).unwrap_or(0);
        if self.settings.dtx && length <= NOTHING { 0 } else { length }
    }
}

/// What the first octet of a packet tells. Source: RFC 6716 section 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Contents {
    /// Whether speech is coded by prediction, which alone can repeat.
    predicts: bool,
    stereo: bool,
    /// Samples of each of its frames at 48 kHz.
    frame: usize,
}

impl Contents {
    fn of(first: u8) -> Self {
        let frame = match first >> 3 {
            config @ 0..12 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
            config @ 12..16 => [480, 960][usize::from(config & 1)],
            config => UNIT << (config & 3),
        };
        Self { predicts: first & 0x80 == 0, stereo: first & 4 != 0, frame }
    }
}

/// Returns the samples of a packet at 48 kHz.
pub fn samples(packet: &[u8]) -> Option<usize> {
    let (&first, rest) = packet.split_first()?;
    let frames = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => usize::from(rest.first()? & 63),
    };
    Some(frames * Contents::of(first).frame).filter(|samples| (1..=PCM_MAX).contains(samples))
}

/// Returns where a packet's first frame begins. Source: RFC 6716 section 3.2.
fn first_frame(packet: &[u8]) -> Option<&[u8]> {
    /// A length takes one octet, or two where the first is not below this.
    const SHORT: u8 = 252;
    let after_length = |octets: &[u8]| Some(if *octets.first()? < SHORT { 1 } else { 2 });
    let (&first, rest) = packet.split_first()?;
    let start = match first & 3 {
        0 | 1 => 0,
        2 => after_length(rest)?,
        _ => {
            let (&count, mut after) = rest.split_first()?;
            let mut start = 1;
            if count & 0x40 != 0 {
                let padding = after.iter().position(|&octet| octet != 255)? + 1;
                after = after.get(padding..)?;
                start += padding;
            }
            for _ in 1..if count & 0x80 == 0 { 1 } else { count & 63 } {
                let length = after_length(after)?;
                after = after.get(length..)?;
                start += length;
            }
            start
        }
    };
    rest.get(start..)
}

/// Whether a packet repeats what came before it. Source: RFC 6716 section 4.2.3 and 4.2.4.
pub fn repeats(packet: &[u8]) -> bool {
    let Some(&first) = packet.first() else { return false };
    let contents = Contents::of(first);
    let Some(&flags) = first_frame(packet).and_then(<[u8]>::first) else { return false };
    // The flags are coded with even odds, so that they are the frame's first bits: for each channel
    // one for each 20 ms, then that of the repetition.
    let parts = (contents.frame / SAMPLES_MAX).max(1);
    let flag = |place: usize| (flags << place) & 0x80 != 0;
    contents.predicts && (flag(parts) || (contents.stereo && flag(2 * parts + 1)))
}

/// What is decoded.
pub struct Decoder {
    library: library::Decoder,
    /// Whether the last packet could have followed a repetition.
    predicted: bool,
}

impl Decoder {
    pub fn new() -> Self {
        Self { library: library::Decoder::new(), predicted: false }
    }

    /// Decodes a packet of as many samples as `out` takes.
    pub fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> Option<()> {
        self.library.decode(packet, out)?;
        if packet.len() > 1 {
            self.predicted = Contents::of(packet[0]).predicts;
        }
        Some(())
    }

    /// See [`super::Decoder::recover`].
    pub fn recover(&mut self, next: &[u8], out: &mut [i16]) -> bool {
        let fits = samples(next).is_some()
            && Contents::of(next[0]).frame <= out.len()
            && out.len().is_multiple_of(UNIT)
            && out.len() <= PCM_MAX;
        fits && self.predicted && repeats(next) && self.library.recover(next, out).is_some()
    }

    /// See [`super::Decoder::conceal`].
    pub fn conceal(&mut self, out: &mut [i16]) {
        for out in out.chunks_mut(Rate::Full.samples()) {
            let mut whole = [0; SAMPLES_MAX];
            let whole = &mut whole[..out.len().next_multiple_of(UNIT)];
            if self.library.conceal(whole).is_none() {
                whole.fill(0);
            }
            out.copy_from_slice(&whole[..out.len()]);
        }
    }
}

#[cfg(test)]
mod tests;
