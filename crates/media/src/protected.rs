//! A leg whose packets are protected both ways.

use std::fmt;

use crate::rtp::OVERHEAD_MAX;
use crate::srtp::{Protection, Srtp};

/// Longest datagram that is opened: one of Ethernet.
const DATAGRAM_MAX: usize = 1_500;

/// What a leg opens and protects packets with.
pub struct Protected {
    by: Protection,
    ours: Srtp,
    theirs: Srtp,
    /// Where a packet is opened: whoever brought it keeps it.
    opened: [u8; DATAGRAM_MAX],
}

impl fmt::Debug for Protected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protected").field("by", &self.by).finish_non_exhaustive()
    }
}

impl Protected {
    /// Makes it of what was agreed on; nothing where that is to protect nothing. What `before` knows of keys
    /// that stay is kept, so that no packet is taken twice and none sent under a number that was used.
    pub fn of(by: Option<Protection>, before: Option<Box<Self>>) -> Option<Box<Self>> {
        let by = by?;
        let Some(mut known) = before else {
            let (ours, theirs) = (Srtp::new(&by.ours), Srtp::new(&by.theirs));
            return Some(Box::new(Self { by, ours, theirs, opened: [0; DATAGRAM_MAX] }));
        };
        if known.by.ours != by.ours {
            known.ours = Srtp::new(&by.ours);
        }
        if known.by.theirs != by.theirs {
            known.theirs = Srtp::new(&by.theirs);
        }
        known.by = by;
        Some(known)
    }

    /// Opens an RTP packet, or an RTCP packet; nothing where it is not the far end's, or came before.
    pub fn open(&mut self, packet: &[u8], is_rtcp: bool) -> Option<&[u8]> {
        let opened = self.opened.get_mut(..packet.len())?;
        opened.copy_from_slice(packet);
        let length = if is_rtcp {
            self.theirs.unprotect_rtcp(opened)
        } else {
            self.theirs.unprotect(opened)
        };
        self.opened.get(..length?)
    }
}

/// Protects the RTP packet, or RTCP packet, that fills the first `length` octets, where that is to be done; returns
/// its new length, or 0 where it must not be sent.
pub fn seal(
    by: &mut Option<Box<Protected>>,
    packet: &mut [u8],
    length: usize,
    is_rtcp: bool,
) -> usize {
    debug_assert!(length + OVERHEAD_MAX <= packet.len());
    match by {
        None => length,
        Some(by) if is_rtcp => by.ours.protect_rtcp(packet, length),
        Some(by) => by.ours.protect(packet, length),
    }
}
