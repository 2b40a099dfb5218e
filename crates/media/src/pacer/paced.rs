//! What is to leave.

use std::time::Duration;

/// One packet's sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paced {
    /// Octets; where there are none, nothing is sent.
    pub length: usize,
    /// By how much the RTP clock goes on in it.
    pub steps: u32,
    /// How long after this tick it is to leave.
    pub late: Duration,
}
