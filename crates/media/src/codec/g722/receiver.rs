//! What is heard of G.722 where packets are missing.
//!
//! What a packet means depends on those before it, so what is made up in place of one is coded as if it had been
//! sent, and the decoder goes along.

use super::{DELAY, Decoder, SAMPLES_PER_OCTET};
use crate::conceal::{AHEAD, AHEAD_MIN, Concealer, GAP_MAX};
use crate::rate::Rate;

/// Samples of a packet that the decoder gives too late to be of it alone: before them it followed what was made up.
const BLURRED: usize = DELAY + SAMPLES_PER_OCTET;
/// Octets of what follows a gap that tell where it should lead.
const TELLING: usize = AHEAD + BLURRED / SAMPLES_PER_OCTET;
const TELLING_MIN: usize = AHEAD_MIN + BLURRED / SAMPLES_PER_OCTET;
/// The longest gap that is filled from both sides.
const REACH: usize = GAP_MAX * SAMPLES_PER_OCTET - BLURRED;

/// A decoder that conceals.
#[derive(Debug)]
pub struct Receiver {
    decoder: Decoder,
    concealer: Concealer,
}

impl Receiver {
    pub fn new() -> Self {
        Self { decoder: Decoder::new(), concealer: Concealer::at(Rate::Wide) }
    }

    /// Decodes a packet; the first after a gap is joined to its end.
    pub fn decode(&mut self, octets: &[u8], sound: &mut [i16]) {
        self.decoder.decode(octets, sound);
        self.concealer.received(sound);
    }

    /// Fills a gap: what was heard goes on, and fades.
    pub fn conceal(&mut self, gap: &mut [i16]) {
        let before = self.before();
        self.concealer.conceal(gap, 0, &[]);
        let mut after = [0; DELAY];
        self.concealer.preview(&mut after);
        self.follow(before, gap, &after);
    }

    /// Returns the samples of the longest gap that [`Self::bridge`] fills before a packet.
    pub fn reach(next: &[u8]) -> usize {
        if next.len() < TELLING_MIN { 0 } else { REACH }
    }

    /// Fills a gap, or its rest, so that it leads to the packet after it; returns false, and does nothing, where it is
    /// too long for that, or the packet too short.
    pub fn bridge(&mut self, next: &[u8], gap: &mut [i16]) -> bool {
        if gap.len() > Self::reach(next) {
            return false;
        }
        let before = self.before();
        let mut after = [0; DELAY];
        let mut onward = [0; REACH + DELAY];
        let onward = &mut onward[..gap.len() + DELAY];
        self.concealer.preview(onward);
        after.copy_from_slice(&onward[gap.len()..]);
        self.follow(before, &onward[..gap.len()], &after);
        // What is decoded is not quite what was said, but it has its pitch and its place.
        let mut ahead = [0; TELLING * SAMPLES_PER_OCTET];
        let length = self.decoder.clone().decode(&next[..next.len().min(TELLING)], &mut ahead);
        self.concealer.conceal(gap, BLURRED, &ahead[BLURRED..length]);
        true
    }

    /// Returns what was heard just before a gap, at its begin.
    fn before(&self) -> Option<[i16; 2]> {
        (!self.concealer.conceals()).then(|| self.concealer.last())
    }

    /// Lets the decoder go along with what was made up and what would come `after` it.
    fn follow(&mut self, before: Option<[i16; 2]>, made_up: &[i16], after: &[i16; DELAY]) {
        let (early, late) = made_up.split_at(made_up.len().min(DELAY));
        let (earlier, later) = after.split_at(DELAY - early.len());
        if let Some(before) = before {
            self.decoder.recall(&before);
            self.decoder.recall(early);
            self.decoder.recall(earlier);
        }
        self.decoder.follow(late);
        self.decoder.follow(later);
    }
}
