//! SRTP and SRTCP: packets that nobody but the far end can have written or can read.
//!
//! A packet is believed before anything is learnt from it: index, replay window and source change only
//! when its tag fits. It is protected and opened where it lies, and nothing is allocated for it.
//!
//! Source: RFC 3711, RFC 7714.

mod key;
mod session;
#[cfg(test)]
mod tests;
mod window;

use std::fmt;

pub use self::key::{KEY_MAX, MasterKey, Protection, SALT_MAX, Suite};
use self::session::Session;
use self::window::Window;
use crate::rtp::header_length;

/// Sources that send under one key whose windows are kept; a new one takes the place of who was silent longest.
const SOURCES_MAX: usize = 8;
/// Says in the word after an SRTCP packet that it is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// Who sends under a key, and what came of it.
#[derive(Debug, Clone, Copy, Default)]
struct Source {
    ssrc: u32,
    rtp: Window,
    rtcp: Window,
    /// When it was last heard, counted in packets; 0: never.
    heard: u64,
}

/// The packets of one direction.
pub struct Srtp {
    rtp: Session,
    rtcp: Session,
    /// The index of the last packet that we protected.
    sent: Window,
    sent_rtcp: u32,
    sources: [Source; SOURCES_MAX],
    heard: u64,
}

impl fmt::Debug for Srtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Srtp").field("heard", &self.heard).finish_non_exhaustive()
    }
}

impl Srtp {
    /// Derives what is needed of a master key.
    pub fn new(master: &MasterKey) -> Self {
        Self {
            rtp: Session::rtp(master),
            rtcp: Session::rtcp(master),
            sent: Window::default(),
            sent_rtcp: 0,
            sources: [Source::default(); SOURCES_MAX],
            heard: 0,
        }
    }

    /// Protects the RTP packet that fills the first `length` octets of `packet`, of one source whose sequence
    /// numbers rise; returns the new length, which is up to [`OVERHEAD_MAX`](crate::OVERHEAD_MAX) more, or 0 where
    /// there is no room or no packet.
    pub fn protect(&mut self, packet: &mut [u8], length: usize) -> usize {
        let read =
            packet.get(..length).and_then(|whole| Some((header_length(whole)?, head(whole)?)));
        let Some((start, (sequence, ssrc))) = read else { return 0 };
        let Some(index) = self.sent.guess(sequence) else { return 0 };
        self.sent.note(index);
        self.rtp.seal(packet, (start, length), (ssrc, index)).unwrap_or(0)
    }

    /// Opens the RTP packet that `packet` is; returns its length, or nothing where it is not one, is not
    /// the far end's, or came before. What it holds then is of no use.
    pub fn unprotect(&mut self, packet: &mut [u8]) -> Option<usize> {
        let start = header_length(packet)?;
        let (sequence, ssrc) = head(packet)?;
        let place = self.place(ssrc);
        let mut source = self.source(place, ssrc);
        let index = source.rtp.guess(sequence).filter(|&index| source.rtp.is_new(index))?;
        let length = self.rtp.open(packet, start, (ssrc, index))?;
        source.rtp.note(index);
        self.learn(place, source);
        Some(length)
    }

    /// Protects the compound RTCP packet that fills the first `length` octets of `packet`, as
    /// [`Self::protect`] does.
    pub fn protect_rtcp(&mut self, packet: &mut [u8], length: usize) -> usize {
        let Some(ssrc) = packet.get(..length).and_then(rtcp_source) else { return 0 };
        // Far beyond what a call can send; a number is never used twice.
        let Some(index) = self.sent_rtcp.checked_add(1).filter(|&index| index < ENCRYPTED) else {
            return 0;
        };
        self.sent_rtcp = index;
        self.rtcp.seal_rtcp(packet, length, (ssrc, index | ENCRYPTED)).unwrap_or(0)
    }

    /// Opens the RTCP packet that `packet` is, as [`Self::unprotect`] does. One that is not encrypted is refused.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Option<usize> {
        let ssrc = rtcp_source(packet)?;
        let word = self.rtcp.rtcp_word(packet).filter(|word| word & ENCRYPTED != 0)?;
        let index = u64::from(word & !ENCRYPTED);
        let place = self.place(ssrc);
        let mut source = self.source(place, ssrc);
        if !source.rtcp.is_new(index) {
            return None;
        }
        let length = self.rtcp.open_rtcp(packet, (ssrc, word))?;
        source.rtcp.note(index);
        self.learn(place, source);
        Some(length)
    }

    /// Returns where a source is kept, or would be.
    fn place(&self, ssrc: u32) -> usize {
        let known = |source: &Source| source.heard > 0 && source.ssrc == ssrc;
        self.sources.iter().position(known).unwrap_or_else(|| {
            let silent = self.sources.iter().enumerate().min_by_key(|(_, source)| source.heard);
            silent.map_or(0, |(place, _)| place)
        })
    }

    fn source(&self, place: usize, ssrc: u32) -> Source {
        let known = self.sources.get(place).copied().unwrap_or_default();
        if known.ssrc == ssrc { known } else { Source { ssrc, ..Source::default() } }
    }

    /// Keeps what a packet told that was believed.
    fn learn(&mut self, place: usize, source: Source) {
        self.heard += 1;
        if let Some(known) = self.sources.get_mut(place) {
            *known = Source { heard: self.heard, ..source };
        }
    }
}

/// Returns an RTP packet's sequence number and source.
fn head(packet: &[u8]) -> Option<(u16, u32)> {
    let [_, _, high, low, _, _, _, _, ssrc @ ..] = packet else { return None };
    Some((u16::from_be_bytes([*high, *low]), u32::from_be_bytes(*ssrc.first_chunk()?)))
}

/// Returns who sends an RTCP packet.
fn rtcp_source(packet: &[u8]) -> Option<u32> {
    let [first, _, _, _, ssrc @ ..] = packet else { return None };
    (first >> 6 == 2).then_some(u32::from_be_bytes(*ssrc.first_chunk()?))
}
