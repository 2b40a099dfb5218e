//! Ticks of sound become packets of the far end's length, evenly spaced.

mod frames;
mod octets;
mod paced;

use self::frames::Frames;
use self::octets::Octets;
pub use self::paced::Paced;
use crate::codec::{Codec, PAYLOAD_MAX};

/// One leg's packets in the making.
#[derive(Debug)]
pub enum Pacer {
    Octets(Octets),
    Frames(Frames),
}

impl Pacer {
    pub fn new(codec: Codec, ptime_ms: u8) -> Self {
        match codec {
            Codec::Pcmu | Codec::Pcma | Codec::G722 => Self::Octets(Octets::new(ptime_ms)),
            Codec::Opus(_) => Self::Frames(Frames::new(ptime_ms)),
        }
    }

    /// Takes a tick of encoded sound.
    pub fn push(&mut self, tick: &[u8]) {
        match self {
            Self::Octets(octets) => octets.push(tick),
            Self::Frames(frames) => frames.push(tick),
        }
    }

    /// Lets a tick of encoded sound pass that is a packet by itself; returns by how much the RTP clock goes
    /// on in it. Nothing where it is to be taken and waited with.
    pub fn pass(&mut self, tick: &[u8]) -> Option<u32> {
        match self {
            Self::Octets(octets) => octets.pass(tick),
            Self::Frames(frames) => frames.pass(),
        }
    }

    /// Writes the next whole packet; if `all` is to leave at once, the next of that.
    pub fn pop(&mut self, packet: &mut [u8; PAYLOAD_MAX], all: bool) -> Option<Paced> {
        match self {
            Self::Octets(octets) => octets.pop(packet, all),
            Self::Frames(frames) => frames.pop(packet, all),
        }
    }

    /// Returns by how much the RTP clock goes on in what waits.
    pub fn waiting(&self) -> u32 {
        match self {
            Self::Octets(octets) => octets.waiting(),
            Self::Frames(frames) => frames.waiting(),
        }
    }
}

#[cfg(test)]
mod tests;
