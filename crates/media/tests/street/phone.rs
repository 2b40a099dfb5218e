//! One phone: what it says, how its packets are made and come, and what it hears.

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::net::SocketAddr;
use std::time::Duration;

use media::{
    Codec, Decoder, Encoder, Header, LegId, LegOptions, MasterKey, OVERHEAD_MAX, OpusOptions,
    PACKET_MAX, PAYLOAD_MAX, PCM_MAX, Protection, Rate, Srtp, Suite,
};

pub const OPUS: Codec = Codec::Opus(OpusOptions {
    bitrate: 32_000,
    fec: false,
    dtx: false,
    playback_rate: 48_000,
    halves: false,
});
/// Every codec.
pub const CODECS: [Codec; 4] = [Codec::Pcmu, Codec::Pcma, Codec::G722, OPUS];
/// How strong a tone is.
pub const AMPLITUDE: f64 = 3_000.0;
/// The payload type of codecs that have none of their own.
pub const DYNAMIC: u8 = 96;

/// What is said, by time in seconds: linear, full scale 32,767.
pub type Voice = Box<dyn Fn(f64) -> f64 + Send>;

/// Returns a tone.
pub fn tone(hertz: f64, amplitude: f64) -> Voice {
    Box::new(move |seconds| ((seconds * hertz).fract() * TAU).sin() * amplitude)
}

/// Returns silence.
pub fn silence() -> Voice {
    Box::new(|_| 0.0)
}

/// How packets come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Delivery {
    /// As they are sent.
    Even,
    /// All of so many milliseconds at once, at the end of them.
    Bursts(u64),
    /// Not until then, and then all at once.
    NotBefore(u64),
    /// Each by itself, up to so many milliseconds late.
    UpTo(u64),
}

/// One phone.
pub struct Phone {
    pub codec: Codec,
    pub payload_type: u8,
    /// What it may send besides.
    pub also: Vec<(u8, Codec)>,
    /// Microseconds of sound in the packets that it sends; of Opus 10 ms or multiples of 20.
    pub packet_us: u64,
    /// Milliseconds of sound in the packets that it wants.
    pub ptime_ms: u8,
    pub voice: Voice,
    pub delivery: Delivery,
    /// By how much its clock is fast, in millionths.
    pub ppm: f64,
    /// It sends nothing, as if nobody had spoken yet.
    pub quiet: bool,
    suite: Option<Suite>,
    encoder: Encoder,
    /// Of two packets of 10 ms that were encoded together the second one, until it is sent.
    second: Option<Vec<u8>>,
    decoder: Decoder,
    srtp: Option<(Srtp, Srtp)>,
    header: Header,
    /// When its next packet begins, by its own clock, and how many samples it has said.
    begins_us: u64,
    samples: u64,
    /// What it has sent and has not come, with the time at which it comes.
    on_its_way: VecDeque<(Duration, Vec<u8>)>,
    /// What it heard, at the rate of its codec, and how many packets that were.
    pub heard: Vec<i16>,
    pub packets: usize,
    /// The payloads of these, one after the other.
    pub payloads: Vec<u8>,
    /// Whose they are.
    pub heard_ssrc: u32,
}

impl Phone {
    pub fn new(codec: Codec, voice: Voice) -> Self {
        let payload_type = payload_type(codec);
        Self {
            codec,
            payload_type,
            also: Vec::new(),
            packet_us: 20_000,
            ptime_ms: 20,
            voice,
            delivery: Delivery::Even,
            ppm: 0.0,
            quiet: false,
            suite: None,
            encoder: Encoder::new(codec),
            second: None,
            decoder: Decoder::new(codec),
            srtp: None,
            header: Header { marker: true, payload_type, sequence: 0, timestamp: 0, ssrc: 0 },
            begins_us: 0,
            samples: 0,
            on_its_way: VecDeque::new(),
            heard: Vec::new(),
            packets: 0,
            payloads: Vec::new(),
            heard_ssrc: 0,
        }
    }

    /// The same with packets of this length, both ways where that can be asked for.
    pub fn with_packets(mut self, ms: u8) -> Self {
        self.packet_us = u64::from(ms) * 1_000;
        self.encoder = Encoder::new(self.sent());
        if !matches!(self.codec, Codec::Opus(_)) {
            self.ptime_ms = ms;
        }
        self
    }

    /// The same, protected.
    pub fn protected(mut self, suite: Suite) -> Self {
        self.suite = Some(suite);
        self
    }

    pub fn rate(&self) -> Rate {
        self.codec.rate()
    }

    /// Begins, as this leg, so long after the street did; returns what was agreed on.
    pub fn begin(&mut self, leg: LegId, since: Duration) -> LegOptions {
        self.begins_us = since.as_micros() as u64;
        self.header.ssrc = 0x5100_0000 + leg.0 as u32;
        // Both wrap before long.
        self.header.sequence = 65_500;
        self.header.timestamp = u32::MAX - 4_000;
        let protection = self.protection();
        let keys = protection.as_ref();
        self.srtp = keys.map(|keys| (Srtp::new(&keys.theirs), Srtp::new(&keys.ours)));
        self.terms(leg)
    }

    /// Speaks another codec from now on; returns what was agreed on.
    pub fn agree_on(&mut self, leg: LegId, codec: Codec) -> LegOptions {
        self.codec = codec;
        self.payload_type = payload_type(codec);
        self.encoder = Encoder::new(self.sent());
        self.second = None;
        self.decoder = Decoder::new(codec);
        self.samples = self.begins_us * u64::from(codec.rate().hertz()) / 1_000_000;
        self.terms(leg)
    }

    /// Protects its packets by another key than was agreed on.
    pub fn protect_by(&mut self, octets: &[u8]) {
        let (Some(suite), Some((srtp, _))) = (self.suite, &mut self.srtp) else { return };
        let (key, salt) = octets.split_at(suite.key_length());
        *srtp = Srtp::new(&MasterKey::new(suite, key, salt).expect("it is as long as it must be"));
    }

    /// Returns what was agreed on last.
    pub fn terms(&self, leg: LegId) -> LegOptions {
        LegOptions {
            payload_type: self.payload_type,
            also: self.also.clone(),
            ptime_ms: self.ptime_ms,
            protection: self.protection(),
            ..terms(leg, self.codec)
        }
    }

    fn protection(&self) -> Option<Protection> {
        let suite = self.suite?;
        let key = |first: u8| {
            let octets: Vec<u8> = (first..).take(46).collect();
            let (key, salt) = octets.split_at(suite.key_length());
            MasterKey::new(suite, key, &salt[..suite.salt_length()])
        };
        Some(Protection { ours: key(1)?, theirs: key(101)? })
    }

    /// Says what is due until `now` after the beginning of the street, and returns what comes of it by then.
    pub fn speak(&mut self, now: Duration) -> Vec<(Duration, Vec<u8>)> {
        let clock_us = (now.as_micros() as f64 * (1.0 + self.ppm / 1e6)) as u64;
        while self.begins_us + self.packet_us <= clock_us {
            self.begins_us += self.packet_us;
            let sent =
                Duration::from_micros((self.begins_us as f64 / (1.0 + self.ppm / 1e6)) as u64);
            if self.quiet {
                self.second = None;
                self.samples += self.packet_us * u64::from(self.rate().hertz()) / 1_000_000;
                self.go_on();
                self.header.marker = true;
                continue;
            }
            let packet = self.packet();
            let comes = match self.delivery {
                Delivery::Even => sent,
                Delivery::Bursts(ms) => {
                    Duration::from_millis((sent.as_millis() as u64).next_multiple_of(ms))
                }
                Delivery::NotBefore(ms) => sent.max(Duration::from_millis(ms)),
                Delivery::UpTo(ms) => {
                    let drawn = u64::from(self.header.sequence).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    sent + Duration::from_millis(((drawn >> 32) * ms) >> 32)
                }
            };
            self.on_its_way.push_back((comes, packet));
        }
        let come = self.on_its_way.partition_point(|(comes, _)| *comes <= now);
        self.on_its_way.drain(..come).collect()
    }

    /// Returns its codec as it encodes.
    fn sent(&self) -> Codec {
        match self.codec {
            Codec::Opus(options) => {
                Codec::Opus(OpusOptions { halves: self.packet_us == 10_000, ..options })
            }
            codec => codec,
        }
    }

    /// Makes the next packet.
    fn packet(&mut self) -> Vec<u8> {
        let payload = match (self.sent(), self.second.take()) {
            (_, Some(second)) => second,
            (Codec::Opus(OpusOptions { halves: true, .. }), None) => {
                let both = self.encoded(20_000);
                let (length, both) = both.split_first_chunk().expect("the length of the first");
                let (first, second) = both.split_at(u16::from_be_bytes(*length).into());
                self.second = Some(second.to_vec());
                first.to_vec()
            }
            (Codec::Opus(_), None) if self.packet_us > 20_000 => {
                let ticks = self.packet_us / 20_000;
                together(&(0..ticks).map(|_| self.encoded(20_000)).collect::<Vec<_>>())
            }
            _ => self.encoded(self.packet_us),
        };
        let packet = self.sealed(&payload);
        self.go_on();
        packet
    }

    /// Says so many microseconds more.
    fn encoded(&mut self, length_us: u64) -> Vec<u8> {
        let hertz = u64::from(self.rate().hertz());
        let from = self.samples;
        self.samples += length_us * hertz / 1_000_000;
        let frame: Vec<i16> = (from..self.samples)
            .map(|at| (self.voice)(at as f64 / hertz as f64).clamp(-32_767.0, 32_767.0) as i16)
            .collect();
        let mut payload = [0; PAYLOAD_MAX];
        let octets = self.encoder.encode(&frame, &mut payload);
        payload[..octets].to_vec()
    }

    /// Moves the timestamp on by a packet.
    fn go_on(&mut self) {
        let steps = self.packet_us * u64::from(self.codec.clock()) / 1_000_000;
        self.header.timestamp = self.header.timestamp.wrapping_add(steps as u32);
    }

    /// Returns a packet with this payload, the next of its stream.
    pub fn sealed(&mut self, payload: &[u8]) -> Vec<u8> {
        self.header.payload_type = self.payload_type;
        let mut packet = [0; PACKET_MAX];
        let length = self.header.write(payload, &mut packet);
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.marker = false;
        let Some((srtp, _)) = &mut self.srtp else { return packet[..length].to_vec() };
        let mut packet = [&packet[..length], &[0; OVERHEAD_MAX]].concat();
        let length = srtp.protect(&mut packet, length);
        packet.truncate(length);
        packet
    }

    /// Takes what it was sent.
    pub fn hear(&mut self, packet: &[u8]) {
        let mut packet = packet.to_vec();
        if let Some((_, srtp)) = &mut self.srtp {
            let length = srtp.unprotect(&mut packet).expect("it is sealed as was agreed on");
            packet.truncate(length);
        }
        let (header, payload) = Header::parse(&packet).expect("it is RTP");
        if header.payload_type != self.payload_type {
            return;
        }
        let mut pcm = [0; PCM_MAX];
        let length = self.decoder.decode(payload, &mut pcm).expect("it is of its codec");
        self.heard.extend(&pcm[..length]);
        self.packets += 1;
        self.heard_ssrc = header.ssrc;
        self.payloads.extend(payload);
    }
}

/// Returns a report that of the packets of an SSRC so many in 256 are lost.
pub fn report_of_loss(ssrc: u32, lost: u8) -> Vec<u8> {
    let mut report = vec![0x81, 201, 0, 7];
    for word in [1, ssrc, u32::from(lost) << 24, 0, 0, 0, 0] {
        report.extend(word.to_be_bytes());
    }
    report
}

/// Returns what is agreed on where nothing special is.
pub fn terms(leg: LegId, codec: Codec) -> LegOptions {
    LegOptions {
        telephone_event: Some(101),
        ..LegOptions::plain(codec, payload_type(codec), address(leg))
    }
}

/// Returns the payload type of a codec.
pub fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::G722 => 9,
        Codec::Opus(_) => DYNAMIC,
    }
}

/// Where a phone is.
pub fn address(leg: LegId) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 10_000 + leg.0 as u16 % 20_000 * 2))
}

/// Returns one packet of Opus with the frames of several. Source: RFC 6716 section 3.2.5.
fn together(packets: &[Vec<u8>]) -> Vec<u8> {
    const VARIABLE: u8 = 0x80;
    let mut packet = vec![packets[0][0] | 3, VARIABLE | packets.len() as u8];
    for frame in &packets[..packets.len() - 1] {
        let length = frame.len() - 1;
        match length {
            0..252 => packet.push(length as u8),
            _ => packet.extend([252 + (length % 4) as u8, ((length - 252 - length % 4) / 4) as u8]),
        }
    }
    packets.iter().for_each(|frame| packet.extend(&frame[1..]));
    packet
}
