//! Sender and receiver reports.
//!
//! Source: RFC 3550 section 6.4.

use std::time::{Duration, Instant};

pub use crate::source::{Block, Source};

/// How often a leg reports.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// What we say of the packets that we sent.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// Who we are.
    pub ssrc: u32,
    /// What the RTP clock says now.
    pub timestamp: u32,
    /// Packets so far.
    pub packets: u32,
    /// Octets of sound so far.
    pub octets: u32,
}

/// Returns the time since `epoch` as 32 bits of seconds and 32 of fractions. Only differences
/// matter to the far end, so the epoch is the leg's own.
pub fn ntp(epoch: Instant, now: Instant) -> u64 {
    let elapsed = now.saturating_duration_since(epoch);
    (elapsed.as_secs() << 32) | ((u64::from(elapsed.subsec_nanos()) << 32) / 1_000_000_000)
}

/// Writes a sender report with one block and our CNAME; returns the length.
pub fn write(
    packet: &mut [u8],
    sent: &Sent,
    block: Option<&Block>,
    ntp: u64,
    now: Instant,
) -> usize {
    let mut length = 0;
    let mut put = |octets: &[u8]| {
        if let Some(room) = packet.get_mut(length..length + octets.len()) {
            room.copy_from_slice(octets);
            length += octets.len();
        }
    };
    let blocks = u8::from(block.is_some());
    put(&[0x80 | blocks, 200, 0, 6 + blocks * 6]);
    put(&sent.ssrc.to_be_bytes());
    put(&ntp.to_be_bytes());
    for word in [sent.timestamp, sent.packets, sent.octets] {
        put(&word.to_be_bytes());
    }
    if let Some(block) = block {
        let lost = (u32::from(block.fraction_lost) << 24) | (block.lost & 0xff_ffff);
        let (last, delay) = block.last_report.map_or((0, 0), |(last, at)| {
            let delay = now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000;
            (last, u32::try_from(delay).unwrap_or(u32::MAX))
        });
        for word in [block.ssrc, lost, block.highest, block.jitter, last, delay] {
            put(&word.to_be_bytes());
        }
    }
    // The name is the source's number in hexadecimal.
    let name: [u8; 8] = std::array::from_fn(|digit| {
        b"0123456789abcdef"[(sent.ssrc >> (28 - 4 * digit) & 0x0f) as usize]
    });
    put(&[0x81, 202, 0, 4]);
    put(&sent.ssrc.to_be_bytes());
    put(&[1, name.len() as u8]);
    put(&name);
    put(&[0; 2]);
    length
}

/// What the far end told.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Heard {
    /// Middle of the NTP time of its sender report.
    pub report: Option<u32>,
    /// Fraction of our packets that it lost.
    pub loss: Option<f32>,
    /// Its echo of our last report's time and how long it held it, in 1/65,536 s.
    pub echo: Option<(u32, u32)>,
}

/// Reads a compound packet as far as it is sound.
pub fn read(mut packet: &[u8], our_ssrc: u32) -> Heard {
    let mut heard = Heard::default();
    while let [first, kind, high, low, ..] = *packet {
        let length = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
        let Some(report) = packet.get(..length) else { break };
        packet = &packet[length..];
        let word = |at: usize| {
            report.get(at..at + 4).map(|w| u32::from_be_bytes([w[0], w[1], w[2], w[3]]))
        };
        let blocks = match kind {
            200 => 28,
            201 => 8,
            _ => continue,
        };
        if kind == 200 {
            heard.report = word(8).zip(word(12)).map(|(high, low)| high << 16 | low >> 16);
        }
        for index in 0..usize::from(first & 0x1f) {
            let at = blocks + index * 24;
            if word(at) != Some(our_ssrc) {
                continue;
            }
            heard.loss = word(at + 4).map(|lost| (lost >> 24) as f32 / 256.0);
            heard.echo = word(at + 16).zip(word(at + 20)).filter(|&(last, _)| last != 0);
        }
    }
    heard
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let now = Instant::now();
        let later = now + Duration::from_millis(500);
        let sent = Sent { ssrc: 1, timestamp: 2, packets: 3, octets: 4 };
        let block = Block {
            ssrc: 9,
            fraction_lost: 64,
            last_report: Some((0x1234_5678, now)),
            ..Block::default()
        };
        let mut packet = [0; 128];
        let length = write(&mut packet, &sent, Some(&block), 0x0000_0001_8000_0000, later);
        let heard = read(&packet[..length], 9);
        assert_eq!(heard.report, Some(0x0001_8000));
        assert_eq!(heard.loss, Some(0.25));
        assert_eq!(heard.echo, Some((0x1234_5678, 32_768)));
        for end in 0..length {
            read(&packet[..end], 9);
        }
    }
}
