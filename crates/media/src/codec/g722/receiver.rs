//! What is heard of G.722 where packets are missing.
//!
//! What a packet means depends on those before it, so what is made up in place of one is coded as if it had been
//! sent, and the decoder goes along.

use super::{DELAY, Decoder};
use crate::conceal::Concealer;
use crate::rate::Rate;

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
        let begins = !self.concealer.conceals();
        let before: [i16; 2] = self.concealer.last();
        self.concealer.conceal(gap, 0, &[]);
        let after: [i16; DELAY] = self.concealer.preview();
        let (early, late) = gap.split_at(gap.len().min(DELAY));
        let (earlier, later) = after.split_at(DELAY - early.len());
        if begins {
            self.decoder.recall(&before);
            self.decoder.recall(early);
            self.decoder.recall(earlier);
        }
        self.decoder.follow(late);
        self.decoder.follow(later);
    }
}
