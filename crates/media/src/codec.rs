//! From sound to payloads and back, one codec like another.

use std::fmt;

use crate::conceal::Concealer;
use crate::g711;

mod format;
mod g722;
mod opus;

pub use format::{Codec, OpusOptions, PAYLOAD_MAX, PCM_MAX};
pub use opus::OPUS;
pub(crate) use opus::framing;

/// How near two encoders are that may take each other's place: 75 dB below overload.
const NEAR: f32 = 6.0;
/// What part of a sound is hidden by it in G.722: 34 dB below.
const HIDDEN: f32 = 0.02;

/// One stream that we send.
///
/// A clone goes on where the original is. That of Opus costs as much as encoding the last two ticks again, and
/// stands by itself at first.
#[derive(Debug, Clone)]
pub struct Encoder(Coding);

#[derive(Debug, Clone)]
enum Coding {
    Pcmu,
    Pcma,
    G722(Box<g722::Encoder>),
    Opus(Box<opus::Encoder>),
}

impl Encoder {
    /// Starts a stream.
    pub fn new(codec: Codec) -> Self {
        Self(match codec {
            Codec::Pcmu => Coding::Pcmu,
            Codec::Pcma => Coding::Pcma,
            Codec::G722 => Coding::G722(Box::new(g722::Encoder::new())),
            Codec::Opus(options) => Coding::Opus(Box::new(opus::Encoder::new(options))),
        })
    }

    /// Says how many of our packets are lost on their way, in percent; as much is spent on their repetition.
    pub fn expect_loss(&mut self, percent: u8) {
        if let Coding::Opus(opus) = &mut self.0 {
            opus.expect_loss(percent);
        }
    }

    /// Lets what is encoded next stand by itself, as far as the codec can, for one whose far end remembers
    /// something else.
    pub fn stand_apart(&mut self) {
        if let Coding::Opus(opus) = &mut self.0 {
            opus.stand_apart();
        }
    }

    /// Whether one who remembers what this encoder does would hear little of it if `other` went on in its place with
    /// this tick.
    ///
    /// Of codecs without a memory that is true of any two, of Opus it is not known and held to be true.
    pub fn is_near(&self, other: &Self, frame: &[i16]) -> bool {
        match (&self.0, &other.0) {
            (Coding::G722(own), Coding::G722(other)) => own.distance(other, frame) <= NEAR * NEAR,
            _ => true,
        }
    }

    /// Returns one for a far end that has heard these two ticks of another encoder; `led` says that the last of them led over
    /// to what stands by itself, or did. What it encodes next does.
    pub fn after(codec: Codec, ticks: [&[i16]; 2], led: bool) -> Self {
        if let Codec::Opus(options) = codec {
            return Self(Coding::Opus(Box::new(opus::Encoder::after(options, ticks, led))));
        }
        let mut encoder = Self::new(codec);
        for tick in ticks {
            encoder.encode(tick, &mut [0; PAYLOAD_MAX]);
        }
        encoder
    }

    /// Whether the last tick led over to what stands by itself, or did.
    pub fn has_led(&self) -> bool {
        matches!(&self.0, Coding::Opus(opus) if opus.has_led())
    }

    /// Returns what it remembers, where that is little: in G.722.
    pub fn memory(&self) -> Option<Memory> {
        match &self.0 {
            Coding::G722(g722) => Some(Memory(g722.as_ref().clone())),
            Coding::Pcmu | Coding::Pcma | Coding::Opus(_) => None,
        }
    }

    /// Returns one that remembers this.
    pub fn remembering(memory: &Memory) -> Self {
        Self(Coding::G722(Box::new(memory.0.clone())))
    }

    /// Encodes the samples of one tick at the codec's rate.
    ///
    /// Returns the octets written; where there are none, nothing is to be sent. With [`OpusOptions::halves`]
    /// they are what a leg takes apart into two packets.
    ///
    /// [`OpusOptions::halves`]: crate::OpusOptions::halves
    pub fn encode(&mut self, frame: &[i16], payload: &mut [u8; PAYLOAD_MAX]) -> usize {
        match &mut self.0 {
            Coding::Pcmu => octets(frame, payload, g711::linear_to_ulaw),
            Coding::Pcma => octets(frame, payload, g711::linear_to_alaw),
            Coding::G722(g722) => g722.encode(frame, payload),
            Coding::Opus(opus) => opus.encode(frame, payload),
        }
    }
}

/// What an encoder remembers of all that it has encoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Memory(g722::Encoder);

impl Memory {
    /// The same, where what the codec itself adds to a loud sound hides as much.
    pub fn is_near_enough(&self, other: &Self, frame: &[i16]) -> bool {
        let power: f32 = frame.iter().map(|&sample| f32::from(sample) * f32::from(sample)).sum();
        let hidden = power / frame.len().max(1) as f32 * HIDDEN * HIDDEN;
        self.0.distance(&other.0, frame) <= hidden.max(NEAR * NEAR)
    }

    /// See [`Encoder::is_near`].
    pub fn is_near(&self, other: &Self, frame: &[i16]) -> bool {
        self.0.distance(&other.0, frame) <= NEAR * NEAR
    }
}

fn octets(frame: &[i16], payload: &mut [u8], encode: impl Fn(i16) -> u8) -> usize {
    for (octet, &sample) in payload.iter_mut().zip(frame) {
        *octet = encode(sample);
    }
    frame.len().min(payload.len())
}

fn linear(payload: &[u8], out: &mut [i16], decode: impl Fn(u8) -> i16) {
    for (sample, &octet) in out.iter_mut().zip(payload) {
        *sample = decode(octet);
    }
}

/// One stream that comes to us. It is always decoded to one channel.
#[derive(Debug)]
pub struct Decoder(Decoding);

enum Decoding {
    Pcmu(Concealer),
    Pcma(Concealer),
    G722(Box<g722::Receiver>),
    Opus(Box<opus::Decoder>),
}

impl fmt::Debug for Decoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcmu(_) => "Pcmu",
            Self::Pcma(_) => "Pcma",
            Self::G722(_) => "G722",
            Self::Opus(_) => "Opus",
        })
    }
}

impl Decoder {
    /// Starts a stream.
    pub fn new(codec: Codec) -> Self {
        let concealer = || Concealer::at(codec.rate());
        Self(match codec {
            Codec::Pcmu => Decoding::Pcmu(concealer()),
            Codec::Pcma => Decoding::Pcma(concealer()),
            Codec::G722 => Decoding::G722(Box::new(g722::Receiver::new())),
            Codec::Opus(_) => Decoding::Opus(Box::new(opus::Decoder::new())),
        })
    }

    /// Returns how many samples a packet holds at the codec's rate; nothing where it is malformed or
    /// holds more than [`PCM_MAX`].
    pub fn samples(&self, payload: &[u8]) -> Option<usize> {
        let samples = match &self.0 {
            Decoding::Pcmu(_) | Decoding::Pcma(_) => payload.len(),
            Decoding::G722(_) => payload.len() * g722::SAMPLES_PER_OCTET,
            Decoding::Opus(_) => opus::samples(payload)?,
        };
        (1..=PCM_MAX).contains(&samples).then_some(samples)
    }

    /// Decodes the packet that follows the last one, or what was concealed after that.
    ///
    /// Returns the samples written; nothing where [`Self::samples`] has none or `out` is shorter.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Option<usize> {
        let samples = self.samples(payload)?;
        let out = out.get_mut(..samples)?;
        match &mut self.0 {
            Decoding::Pcmu(concealer) => {
                linear(payload, out, g711::ulaw_to_linear);
                concealer.received(out);
            }
            Decoding::Pcma(concealer) => {
                linear(payload, out, g711::alaw_to_linear);
                concealer.received(out);
            }
            Decoding::G722(g722) => g722.decode(payload, out),
            Decoding::Opus(opus) => {
                opus.decode(payload, out)?;
            }
        }
        Some(samples)
    }

    /// Fills `out` with the sound that was lost just before the packet `next`: from what that repeats
    /// of it, or so that it leads there. `next` itself is still to be decoded.
    ///
    /// Returns false, and does nothing, where the packet is of no use for that.
    pub fn recover(&mut self, next: &[u8], out: &mut [i16]) -> bool {
        match &mut self.0 {
            Decoding::Pcmu(_) | Decoding::Pcma(_) => false,
            Decoding::G722(g722) => g722.bridge(next, out),
            Decoding::Opus(opus) => opus.recover(next, out),
        }
    }

    /// Returns how many samples of what was lost before a packet [`Self::recover`] fills by its help, as far as it
    /// is known without a try.
    pub fn reach(&self, next: &[u8]) -> usize {
        match &self.0 {
            Decoding::Pcmu(_) | Decoding::Pcma(_) => 0,
            Decoding::G722(_) => g722::Receiver::reach(next),
            Decoding::Opus(_) if opus::repeats(next) => opus::samples(next).unwrap_or(0),
            Decoding::Opus(_) => 0,
        }
    }

    /// Whether a packet repeats what was in the one before it.
    pub fn repeats(&self, payload: &[u8]) -> bool {
        matches!(self.0, Decoding::Opus(_)) && opus::repeats(payload)
    }

    /// Fills `out` in place of sound that was lost: what was heard goes on, and fades.
    pub fn conceal(&mut self, out: &mut [i16]) {
        match &mut self.0 {
            Decoding::Pcmu(concealer) | Decoding::Pcma(concealer) => {
                concealer.conceal(out, 0, &[]);
            }
            Decoding::G722(g722) => g722.conceal(out),
            Decoding::Opus(opus) => opus.conceal(out),
        }
    }
}

#[cfg(test)]
mod tests;
