//! Sender and receiver reports.
//!
//! Source: RFC 3550 section 6.4.

use std::time::{Duration, Instant};

/// How often a leg reports.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// What a report says of the packets that we received.
#[derive(Debug, Clone, Copy, Default)]
pub struct Block {
    pub ssrc: u32,
    pub fraction_lost: u8,
    pub lost: u32,
    pub highest: u32,
    pub jitter: u32,
    /// Middle of the NTP time of the last sender report, and when it came.
    pub last_report: Option<(u32, Instant)>,
}

/// What we say of the packets that we sent.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    pub ssrc: u32,
    pub timestamp: u32,
    pub packets: u32,
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
    let mut out = Vec::with_capacity(80);
    let blocks = u8::from(block.is_some());
    out.extend([0x80 | blocks, 200, 0, 6 + blocks * 6]);
    out.extend(sent.ssrc.to_be_bytes());
    out.extend(ntp.to_be_bytes());
    out.extend(sent.timestamp.to_be_bytes());
    out.extend(sent.packets.to_be_bytes());
    out.extend(sent.octets.to_be_bytes());
    if let Some(block) = block {
        out.extend(block.ssrc.to_be_bytes());
        let lost = (u32::from(block.fraction_lost) << 24) | (block.lost & 0xff_ffff);
        out.extend(lost.to_be_bytes());
        out.extend(block.highest.to_be_bytes());
        out.extend(block.jitter.to_be_bytes());
        let (last, delay) = block.last_report.map_or((0, 0), |(last, at)| {
            let delay = now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000;
            (last, u32::try_from(delay).unwrap_or(u32::MAX))
        });
        out.extend(last.to_be_bytes());
        out.extend(delay.to_be_bytes());
    }
    let name = format!("{:08x}", sent.ssrc);
    out.extend([0x81, 202, 0, 4]);
    out.extend(sent.ssrc.to_be_bytes());
    out.extend([1, name.len() as u8]);
    out.extend(name.as_bytes());
    out.extend([0; 2]);
    let length = out.len().min(packet.len());
    packet[..length].copy_from_slice(&out[..length]);
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
