//! Bringing a leg into the processor's caches.
//!
//! From one tick of a leg to its next one hundreds of others go through the caches, so what a tick reads of it comes from
//! memory. Where each read is waited for before the next, that takes as long as all the arithmetic; read together,
//! without a use for any of them, they come together.

use super::Leg;

impl Leg {
    /// Reads something of each line of memory that a tick reads.
    pub fn prefetch(&self) {
        let lines = [
            self.jitter.prefetch(),
            self.activity.prefetch(),
            self.limiter.prefetch(),
            self.source.as_ref().map_or(0, |source| source.ssrc).into(),
            self.latch.remote().port().into(),
            self.stats.rx_packets,
            self.stats.mos.is_some().into(),
            self.options.payload_type.into(),
            self.options.receives.into(),
            self.route.room.is_some().into(),
            self.own.shares.into(),
            self.edges.all.len() as u64,
            self.recorders.len() as u64,
            self.pacer.waiting().into(),
            self.protected.is_some().into(),
            self.voice_fade.is_unity().into(),
            self.comfort.is_silent().into(),
            self.sequence.into(),
        ];
        std::hint::black_box(lines.iter().fold(0, |all, line| all | line));
    }
}
