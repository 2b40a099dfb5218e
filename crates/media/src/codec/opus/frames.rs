//! Opus frame by frame, upon a library's linear prediction and transform.
//!
//! The library's own decoder of packets is not used: it keeps 50 KB for a neural network that it does not have, and
//! where speech is lost it forgets the pitch. Source: RFC 6716 section 4, and 4.5 for what joins two modes.

use ropus::celt::decoder::CeltDecoder;
use ropus::celt::range_coder::RangeDecoder;
use ropus::opus::decoder::{MAX_FRAMES, opus_packet_parse_impl};

use super::super::UNIT;
use super::coding::{Coding, Mode};
use super::speech::Speech;
use crate::rate::{Rate, SAMPLES_MAX};

/// Samples of what stands twice where two modes meet, 5 ms.
const BRIDGE: usize = 2 * UNIT;
/// The lowest band of a transform that has linear prediction below it.
const ABOVE_SPEECH: i32 = 17;
/// A transform of silence.
const SILENCE: [u8; 2] = [0xff; 2];

type Bridge = [i16; BRIDGE];

/// One stream.
pub struct Frames {
    speech: Speech,
    transform: CeltDecoder,
    /// How the frames of the last packet were coded.
    coding: Coding,
    /// How what was played last was; none: nothing was.
    before: Option<Mode>,
    /// It ended with a frame of the transform alone.
    handed_over: bool,
}

/// What a frame holds a second time, to join two modes.
#[derive(Clone, Copy)]
struct Redundancy<'a> {
    octets: &'a [u8],
    /// It leads from a transform to speech, and not the other way.
    to_speech: bool,
}

impl Frames {
    pub fn new() -> Self {
        let transform = CeltDecoder::new(Rate::Full.hertz() as i32, 1);
        let mut transform = transform.unwrap_or_else(|_| unreachable!("48 kHz and mono are known"));
        transform.set_signalling(false);
        let _ = transform.set_complexity(0);
        Self {
            speech: Speech::new(),
            transform,
            coding: Coding::of(0),
            before: None,
            handed_over: false,
        }
    }

    /// Decodes a packet of as many samples as `out` takes.
    pub fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> Option<()> {
        let (frames, coding) = frames(packet)?;
        if frames.clone().count() * coding.frame != out.len() {
            return None;
        }
        self.coding = coding;
        for (frame, out) in frames.zip(out.chunks_exact_mut(coding.frame)) {
            match frame {
                // So short a frame says that there is nothing to say.
                [] | [_] => self.conceal(out)?,
                frame => self.frame(frame, out, false)?,
            }
        }
        Some(())
    }

    /// Fills `out` up to the packet `next`, the end of it from what that repeats.
    pub fn recover(&mut self, next: &[u8], out: &mut [i16]) -> Option<()> {
        let (mut frames, coding) = frames(next)?;
        let first = frames.next().filter(|frame| frame.len() > 1)?;
        let (unknown, repeated) = out.split_at_mut_checked(out.len().checked_sub(coding.frame)?)?;
        if !unknown.is_empty() {
            self.conceal(unknown)?;
        }
        self.coding = coding;
        self.frame(first, repeated, true)
    }

    /// Makes up what was lost; lengths are multiples of 2.5 ms.
    pub fn conceal(&mut self, out: &mut [i16]) -> Option<()> {
        let mode = if self.handed_over { Some(Mode::Transform) } else { self.before };
        let Some(mode) = mode else {
            out.fill(0);
            return Some(());
        };
        let mut rest = out;
        while !rest.is_empty() {
            let fits = [SAMPLES_MAX, 4 * UNIT, 2 * UNIT, UNIT];
            let length = fits.into_iter().find(|&length| length <= rest.len())?;
            let (piece, after) = rest.split_at_mut(length);
            self.conceal_piece(mode, piece)?;
            rest = after;
        }
        Some(())
    }

    fn conceal_piece(&mut self, mode: Mode, out: &mut [i16]) -> Option<()> {
        if mode != Mode::Transform {
            self.speech.conceal(out)?;
        }
        if mode != Mode::Speech {
            self.begin_transform(mode)?;
            self.transform(None, None, out, mode == Mode::Both)?;
        }
        self.before = Some(mode);
        self.handed_over = false;
        Some(())
    }

    fn frame(&mut self, data: &[u8], out: &mut [i16], repetition: bool) -> Option<()> {
        let mode = self.coding.mode;
        let speaks = mode != Mode::Transform;
        let mut bridge = match self.before {
            Some(before) if speaks == (before == Mode::Transform) => {
                (speaks || !self.handed_over).then_some([0; BRIDGE])
            }
            _ => None,
        };
        let overlap = BRIDGE.min(out.len());
        if let Some(bridge) = bridge.as_mut().filter(|_| !speaks) {
            self.conceal(&mut bridge[..overlap])?;
        }
        let mut range = RangeDecoder::new(data);
        if speaks {
            if self.before == Some(Mode::Transform) {
                self.speech.reset();
            }
            self.speech.decode(&mut range, self.coding, repetition, out)?;
        }
        let redundancy = if repetition { None } else { redundancy(mode, &mut range, data) };
        if redundancy.is_some() {
            bridge = None;
        }
        if let Some(bridge) = bridge.as_mut().filter(|_| speaks) {
            self.conceal(&mut bridge[..overlap])?;
        }
        self.transform.set_end_band(self.coding.bands).ok()?;
        self.transform.set_channels(self.coding.channels).ok()?;
        let entered = match redundancy {
            Some(redundancy) if redundancy.to_speech => Some(self.redundant(redundancy.octets)?),
            _ => None,
        };
        if mode == Mode::Speech {
            let leaves = self.before == Some(Mode::Both);
            if leaves && !(entered.is_some() && self.handed_over) {
                // What is above speech fades out.
                self.transform.set_start_band(0).ok()?;
                self.transform(Some(&SILENCE), None, &mut out[..UNIT], true)?;
            }
        } else {
            self.begin_transform(mode)?;
            let data = if repetition { None } else { Some(data) };
            self.transform(data, Some(&mut range), out, speaks)?;
        }
        self.join(out, bridge, redundancy, entered)?;
        self.before = Some(mode);
        self.handed_over = redundancy.is_some_and(|redundancy| !redundancy.to_speech);
        Some(())
    }

    /// Fades in and out what stands twice.
    fn join(
        &mut self,
        out: &mut [i16],
        bridge: Option<Bridge>,
        redundancy: Option<Redundancy<'_>>,
        entered: Option<Bridge>,
    ) -> Option<()> {
        let window = self.transform.mode.window;
        if let Some(redundancy) = redundancy.filter(|redundancy| !redundancy.to_speech) {
            self.transform.reset();
            let left = self.redundant(redundancy.octets)?;
            let end = out.len().checked_sub(UNIT)?;
            fade_in(window, &left[UNIT..], &mut out[end..]);
        }
        let used = self.before != Some(Mode::Speech) || self.handed_over;
        let begun = entered.filter(|_| used).or(bridge);
        let Some(begun) = begun else { return Some(()) };
        let from = if out.len() >= BRIDGE { UNIT } else { 0 };
        out[..from].copy_from_slice(&begun[..from]);
        fade_out(window, &begun[from..], &mut out[from..from + UNIT]);
        Some(())
    }

    /// Decodes 5 ms of the transform alone.
    fn redundant(&mut self, octets: &[u8]) -> Option<Bridge> {
        let mut sound = [0; BRIDGE];
        self.transform.set_start_band(0).ok()?;
        self.transform(Some(octets), None, &mut sound, false)?;
        Some(sound)
    }

    fn begin_transform(&mut self, mode: Mode) -> Option<()> {
        if self.before.is_some_and(|before| before != mode) && !self.handed_over {
            self.transform.reset();
        }
        let band = if mode == Mode::Both { ABOVE_SPEECH } else { 0 };
        self.transform.set_start_band(band).ok()
    }

    fn transform<'a>(
        &mut self,
        data: Option<&'a [u8]>,
        range: Option<&mut RangeDecoder<'a>>,
        out: &mut [i16],
        adds: bool,
    ) -> Option<()> {
        let length = out.len() as i32;
        let made = self.transform.decode_with_ec(data, out, length, range, adds, None);
        made.ok().filter(|&made| made == length).map(|_| ())
    }
}

/// Returns the frames of a packet and how they are coded.
fn frames(packet: &[u8]) -> Option<(impl Iterator<Item = &[u8]> + Clone, Coding)> {
    let coding = Coding::of(*packet.first()?);
    let (mut toc, mut start, mut lengths) = (0, 0, [0; MAX_FRAMES]);
    let length = i32::try_from(packet.len()).ok()?;
    let count =
        opus_packet_parse_impl(packet, length, false, &mut toc, &mut lengths, &mut start, None);
    let count = usize::try_from(count).ok().filter(|count| (1..=MAX_FRAMES).contains(count))?;
    let mut rest = packet.get(usize::try_from(start).ok()?..)?;
    let frames = lengths.into_iter().take(count).map_while(move |length| {
        let (frame, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        rest = after;
        Some(frame)
    });
    Some((frames, coding))
}

/// Reads what follows speech, and takes it from what is left to read. Source: RFC 6716 section 4.5.1.
fn redundancy<'a>(
    mode: Mode,
    range: &mut RangeDecoder<'_>,
    data: &'a [u8],
) -> Option<Redundancy<'a>> {
    let bits = |octets: usize| 8 * octets as i32;
    let both = mode == Mode::Both;
    let enough = range.tell() + 17 + if both { 20 } else { 0 } <= bits(data.len());
    if mode == Mode::Transform || !enough || both && !range.decode_bit_logp(12) {
        return None;
    }
    let to_speech = range.decode_bit_logp(1);
    let length = if both {
        range.decode_uint(256) as usize + 2
    } else {
        data.len() - (range.tell() as usize).div_ceil(8)
    };
    let kept = data.len().checked_sub(length).filter(|&kept| bits(kept) >= range.tell())?;
    range.reduce_storage(length as u32);
    Some(Redundancy { octets: &data[kept..], to_speech })
}

fn fade_in(window: &[i16], coming: &[i16], sound: &mut [i16]) {
    for ((sound, &coming), &weight) in sound.iter_mut().zip(coming).zip(window) {
        *sound = mixed(*sound, coming, weight);
    }
}

fn fade_out(window: &[i16], going: &[i16], sound: &mut [i16]) {
    for ((sound, &going), &weight) in sound.iter_mut().zip(going).zip(window) {
        *sound = mixed(going, *sound, weight);
    }
}

/// Goes from one to the other by the square of a weight in 15 bits.
fn mixed(from: i16, to: i16, weight: i16) -> i16 {
    let weight = (i32::from(weight) * i32::from(weight)) >> 15;
    ((i32::from(from) * (i32::from(i16::MAX) - weight) + i32::from(to) * weight) >> 15) as i16
}

#[cfg(test)]
mod tests;
