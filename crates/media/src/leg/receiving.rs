//! What comes from a call, and what is reported of it.

use std::net::SocketAddr;
use std::time::Instant;

use super::{COMFORT_NOISE, Heard, Leg};
use crate::audio_level::Said;
use crate::jitter::Taken;
use crate::mos::Concealed;
use crate::rtcp;
use crate::rtp::{self, Header};
use crate::source::Source;

impl Leg {
    /// Takes one RTP datagram. Where packets are protected, nothing is learnt from one before it has been opened.
    pub fn receive(&mut self, from: SocketAddr, packet: &[u8], at: Instant) -> Heard {
        let Some(mut protected) = self.protected.take() else {
            return self.receive_open(from, packet, at, false);
        };
        let heard = match protected.open(packet, false) {
            Some(packet) => self.receive_open(from, packet, at, true),
            None => self.drop_unproven(),
        };
        self.protected = Some(protected);
        heard
    }

    /// Takes one that is readable; `proven` is whether only the far end can have made it.
    fn receive_open(
        &mut self,
        from: SocketAddr,
        packet: &[u8],
        at: Instant,
        proven: bool,
    ) -> Heard {
        let Some((header, payload)) = Header::parse(packet) else { return self.drop_packet() };
        let codec = self.options.codec_of(header.payload_type);
        let event = self.options.telephone_event == Some(header.payload_type);
        if codec.is_none() && !event && header.payload_type != COMFORT_NOISE
            || !self.admits(from, header.ssrc, at, proven)
        {
            return self.drop_packet();
        }
        let follows = self.source.as_ref().is_some_and(|source| source.is_next(&header));
        self.count(&header, at);
        if !self.options.receives {
            return self.drop_packet();
        }
        self.wake();
        self.stats.rx_packets += 1;
        self.last_packet = at;
        self.reported_silent = false;
        if event {
            return self
                .keys_in
                .receive(header.timestamp, payload)
                .map_or(Heard::Sound, Heard::Digit);
        }
        if let Some(agreed) = self.options.audio_level
            && let Some(said) = Said::read(packet, agreed.id)
        {
            self.told.take(said, agreed);
        }
        let Some(codec) = codec else {
            self.jitter.silence();
            self.comfort.describe(payload);
            return Heard::Sound;
        };
        self.comfort.stop();
        if codec != self.codec_in {
            self.hear_codec(codec);
        }
        let before_gap = self.before_gap.take();
        if follows && self.jitter.resume(header.timestamp) {
            self.forgive(before_gap);
        }
        match self.jitter.insert(header.timestamp, payload, codec, at) {
            Taken::InTime => {}
            Taken::Late => self.stats.rx_late += 1,
            Taken::Malformed => return self.drop_packet(),
        }
        Heard::Sound
    }

    /// Takes back what was counted as made up since something began to be missing.
    fn forgive(&mut self, before_gap: Option<(u64, Concealed)>) {
        if let Some((concealed_samples, concealed)) = before_gap {
            self.stats.concealed_samples = concealed_samples;
            self.concealed = concealed;
        }
    }

    /// Whether a packet is the far end's. One that says that it sends nothing is still sent to, and found by what keeps
    /// its NAT open; where nothing goes either way, nobody has a reason to be found.
    fn admits(&mut self, from: SocketAddr, ssrc: u32, at: Instant, proven: bool) -> bool {
        if self.options.receives || self.options.sends {
            return self.latch.admits(from, ssrc, at, proven);
        }
        self.latch.is_at(from)
    }

    fn drop_packet(&mut self) -> Heard {
        self.stats.rx_dropped += 1;
        Heard::Dropped
    }

    fn drop_unproven(&mut self) -> Heard {
        self.stats.rx_unproven += 1;
        self.drop_packet()
    }

    /// Counts a packet, whether or not it is heard: what comes is not lost.
    fn count(&mut self, header: &Header, at: Instant) {
        if self.source.as_ref().is_none_or(|source| source.ssrc != header.ssrc) {
            if self.source.is_some() {
                self.jitter.reset();
            }
            self.source = Some(Source::new(header));
        }
        let Some(source) = &mut self.source else { return };
        let clock = self.codec_in.clock();
        source.count(header, clock, at.saturating_duration_since(self.epoch));
        self.stats.jitter_ms = source.jitter_ms(clock);
        self.stats.rx_lost = source.lost();
    }

    /// Takes one RTCP datagram; says whether it is the far end's, as far as that can be told.
    pub fn receive_rtcp(&mut self, packet: &[u8], at: Instant) -> bool {
        let Some(mut protected) = self.protected.take() else {
            let is_theirs = rtp::is_rtcp(packet);
            if is_theirs {
                self.report_came(packet, at);
            }
            return is_theirs;
        };
        let opened = protected.open(packet, true);
        let is_theirs = opened.is_some();
        match opened {
            Some(packet) => self.report_came(packet, at),
            None => drop(self.drop_unproven()),
        }
        self.protected = Some(protected);
        is_theirs
    }

    fn report_came(&mut self, packet: &[u8], at: Instant) {
        let heard = rtcp::read(packet, self.ssrc);
        if let (Some(report), Some(source)) = (heard.report, &mut self.source) {
            source.last_report = Some((report, at));
        }
        if let Some(loss) = heard.loss {
            self.stats.remote_loss = loss;
            self.reports = true;
        }
        if let Some((last, held)) = heard.echo {
            let now = (rtcp::ntp(self.epoch, at) >> 16) as u32;
            let trip = now.wrapping_sub(last).wrapping_sub(held) as i32;
            self.stats.round_trip_ms = Some(trip.max(0) as f32 / 65.536);
        }
    }

    /// Writes a report; returns its length.
    pub fn report(&mut self, packet: &mut [u8], now: Instant) -> usize {
        let block = self.source.as_mut().map(Source::report);
        let sent = rtcp::Sent {
            ssrc: self.ssrc,
            timestamp: self.timestamp.wrapping_add(self.pacer.waiting()),
            packets: self.stats.tx_packets as u32,
            octets: self.sent_octets,
        };
        rtcp::write(packet, &sent, block.as_ref(), rtcp::ntp(self.epoch, now), now)
    }
}
