//! What came from the far end, counted as RFC 3550 appendix A has it.

use std::time::{Duration, Instant};

use crate::rtp::Header;

/// What a report says of the packets that we received.
#[derive(Debug, Clone, Copy, Default)]
pub struct Block {
    /// Who sent them.
    pub ssrc: u32,
    /// What was lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// What was lost altogether.
    pub lost: u32,
    /// The highest number, with how often numbers began anew above it.
    pub highest: u32,
    /// The interarrival jitter, in steps of the RTP clock.
    pub jitter: u32,
    /// Middle of the NTP time of the last sender report, and when it came.
    pub last_report: Option<(u32, Instant)>,
}

/// One source of packets.
#[derive(Debug, Default)]
pub struct Source {
    /// Who sends.
    pub ssrc: u32,
    base: u16,
    cycles: u32,
    highest: u16,
    received: u64,
    transit: Option<i64>,
    /// In steps of the RTP clock.
    jitter: f32,
    /// Expected and received at the last report.
    reported: (u64, u64),
    /// The middle of the far end's last report's time, and when it came.
    pub last_report: Option<(u32, Instant)>,
}

impl Source {
    /// Starts with the first packet, which is still to be counted.
    pub fn new(header: &Header) -> Self {
        let start = header.sequence;
        Self { ssrc: header.ssrc, base: start, highest: start, ..Self::default() }
    }

    /// Whether a packet, not counted yet, was sent right after the last one that came.
    pub fn is_next(&self, header: &Header) -> bool {
        self.ssrc == header.ssrc && header.sequence == self.highest.wrapping_add(1)
    }

    /// Counts a packet that came so long after the leg's epoch; `clock` is in steps a second.
    pub fn count(&mut self, header: &Header, clock: u32, since: Duration) {
        let ahead = header.sequence.wrapping_sub(self.highest);
        if ahead < 0x8000 {
            if header.sequence < self.highest {
                self.cycles = self.cycles.wrapping_add(0x1_0000);
            }
            self.highest = header.sequence;
        }
        self.received += 1;
        let now = crate::samples_in(since) * i64::from(clock / crate::RATE);
        let transit = now - i64::from(header.timestamp);
        if let Some(last) = self.transit {
            // A jump of the clock is not jitter.
            let step = ((transit - last).unsigned_abs() as f32).min(clock as f32);
            self.jitter += (step - self.jitter) / 16.0;
        }
        self.transit = Some(transit);
    }

    /// Returns the interarrival jitter.
    pub fn jitter_ms(&self, clock: u32) -> f32 {
        self.jitter * 1_000.0 / clock as f32
    }

    /// Returns how many packets never came.
    pub fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    /// Says what came since the last report, and altogether.
    pub fn report(&mut self) -> Block {
        let (expected, received) = (self.expected(), self.received);
        let (expected_then, received_then) = self.reported;
        self.reported = (expected, received);
        let in_interval = expected.saturating_sub(expected_then);
        let lost = in_interval.saturating_sub(received.saturating_sub(received_then));
        Block {
            ssrc: self.ssrc,
            fraction_lost: (lost * 256).checked_div(in_interval).unwrap_or(0).min(255) as u8,
            lost: self.lost().min(0x7f_ffff) as u32,
            highest: self.cycles.wrapping_add(u32::from(self.highest)),
            jitter: self.jitter as u32,
            last_report: self.last_report,
        }
    }

    fn expected(&self) -> u64 {
        let extended = u64::from(self.cycles) + u64::from(self.highest);
        (extended + 1).saturating_sub(u64::from(self.base))
    }
}
