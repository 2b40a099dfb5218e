//! The sound of one call: packets out, packets and keys in, and what is between them and 8 kHz.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Instant;

use media::{
    AudioLevel, Codec, Decoder, Encoder, Header, PACKET_MAX, PAYLOAD_MAX, PCM_MAX, Rate, Resampler,
    SAMPLES_MAX,
};
use node::arrival::{Port, Reader};
use rand_chacha::rand_core::RngCore;

use crate::Telling;
use crate::keys::Keys;

/// Samples in a packet, at 8 kHz.
pub(crate) const SAMPLES: usize = 160;
/// Milliseconds of that.
const TICK_MS: u8 = 20;
/// Packets that are read at a time.
const SWEEP_MAX: usize = 64;
/// The payload type of keys.
const TELEPHONE_EVENT: u8 = 101;

/// What came in one packet.
#[derive(Debug)]
pub(crate) enum Came<'a> {
    /// The first packet of a key.
    Key(char),
    /// Sound at 8 kHz, and when the kernel took it.
    Sound(&'a [i16], Instant),
}

/// A codec, and how far both of its streams have come.
#[derive(Debug)]
struct Speech {
    codec: Codec,
    payload_type: u8,
    encoder: Encoder,
    up: Resampler,
    heard: Heard,
}

/// A stream that is heard, whatever its codec, at 8 kHz.
#[derive(Debug)]
pub(crate) struct Heard {
    rate: Rate,
    decoder: Decoder,
    /// Less than a tick, which waits for the rest of it.
    waiting: Vec<i16>,
    down: Resampler,
}

impl Heard {
    /// Starts a stream.
    pub(crate) fn new(codec: Codec) -> Self {
        let rate = codec.rate();
        let (decoder, down) = (Decoder::new(codec), Resampler::new(rate, Rate::Narrow));
        Self { rate, decoder, waiting: Vec::new(), down }
    }

    /// Decodes the next packet and adds its sound to `heard`.
    pub(crate) fn decode(&mut self, payload: &[u8], heard: &mut Vec<i16>) {
        let mut pcm = [0; PCM_MAX];
        let length = self.decoder.decode(payload, &mut pcm).unwrap_or(0);
        if self.rate == Rate::Narrow {
            return heard.extend(&pcm[..length]);
        }
        self.waiting.extend(&pcm[..length]);
        let ticks = self.waiting.chunks_exact(self.rate.samples());
        let rest = ticks.remainder().len();
        for tick in ticks {
            let wide: Vec<i32> = tick.iter().map(|&sample| sample.into()).collect();
            let mut narrow = [0; SAMPLES];
            self.down.resample(&wide, &mut narrow);
            heard.extend(narrow.map(saturated));
        }
        self.waiting.drain(..self.waiting.len() - rest);
    }
}

impl Speech {
    fn new(codec: Codec, payload_type: u8) -> Self {
        let rate = codec.rate();
        Self {
            codec,
            payload_type,
            encoder: Encoder::new(codec),
            up: Resampler::new(Rate::Narrow, rate),
            heard: Heard::new(codec),
        }
    }

    /// Encodes a tick of sound at 8 kHz; returns the octets written.
    fn encode(&mut self, sample: impl Fn(usize) -> i16, payload: &mut [u8; PAYLOAD_MAX]) -> usize {
        let narrow: [i32; SAMPLES] = std::array::from_fn(|index| sample(index).into());
        let mut sound = [0; SAMPLES_MAX];
        let sound = &mut sound[..self.codec.rate().samples()];
        self.up.resample(&narrow, sound);
        let frame: Vec<i16> = sound.iter().map(|&sample| saturated(sample)).collect();
        self.encoder.encode(&frame, payload)
    }
}

fn saturated(sample: i32) -> i16 {
    sample.clamp(-i32::from(i16::MAX), i16::MAX.into()) as i16
}

/// A port for sound, and how far its stream has come.
#[derive(Debug)]
pub(crate) struct Audio {
    port: Port,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where it sends to, and whom alone it hears; none: nobody.
    pub(crate) remote: Option<SocketAddr>,
    /// Keys that are sent in place of sound.
    pub(crate) keys: Keys,
    header: Header,
    event: Option<u32>,
    speech: Speech,
    /// Ticks in each packet that it sends, and those that wait for the rest of theirs.
    ticks: usize,
    frames: Vec<Vec<u8>>,
    /// What it says of its level, and how, where that is agreed on.
    pub(crate) tells: Option<Telling>,
    level: Option<AudioLevel>,
}

impl Audio {
    /// Opens a port.
    ///
    /// # Errors
    /// When no socket can be had.
    pub(crate) fn open(ip: IpAddr, random: &mut impl RngCore) -> io::Result<Self> {
        let socket = UdpSocket::bind((ip, 0))?;
        Ok(Self {
            address: socket.local_addr()?,
            port: Port::new(socket, true)?,
            remote: None,
            keys: Keys::default(),
            header: Header {
                marker: true,
                payload_type: 0,
                sequence: random.next_u32() as u16,
                timestamp: random.next_u32(),
                ssrc: random.next_u32(),
            },
            event: None,
            speech: Speech::new(Codec::Pcmu, 0),
            ticks: 1,
            frames: Vec::new(),
            tells: None,
            level: None,
        })
    }

    /// Speaks with the far end as it was agreed on; with nobody where nothing was.
    pub(crate) fn agree(&mut self, session: Option<&sip::Session>) {
        self.remote = session.map(|session| session.audio.address);
        let asked = session.map_or(TICK_MS, |session| session.audio.ptime_ms);
        self.ticks = usize::from(asked / TICK_MS).max(1);
        let level = session.and_then(|session| session.audio.audio_level);
        self.level = level.map(|level| AudioLevel { id: level.id, vad: level.vad });
        let agreed = session.and_then(|session| session.audio.codecs.first());
        if let Some((payload_type, codec)) =
            agreed.map(|&(number, codec)| (number, node::mixed(codec)))
            && (codec, payload_type) != (self.speech.codec, self.speech.payload_type)
        {
            self.speech = Speech::new(codec, payload_type);
            self.frames.clear();
            self.header.payload_type = payload_type;
        }
    }

    /// Returns the name of the codec that is spoken.
    pub(crate) fn codec(&self) -> &'static str {
        match self.speech.codec {
            Codec::Pcmu => "pcmu",
            Codec::Pcma => "pcma",
            Codec::G722 => "g722",
            Codec::Opus(_) => "opus",
        }
    }

    /// Hands out what came since the last time.
    pub(crate) fn listen(&mut self, reader: &mut Reader, mut take: impl FnMut(Came<'_>)) {
        let (remote, event, speech) = (self.remote, &mut self.event, &mut self.speech);
        reader.receive(&self.port, SWEEP_MAX, |datagram| {
            if remote != Some(datagram.from) {
                return; // The port was another phone's a moment ago.
            }
            let Some((header, payload)) = Header::parse(datagram.octets) else { return };
            if header.payload_type == speech.payload_type {
                let mut sound = Vec::new();
                speech.heard.decode(payload, &mut sound);
                return take(Came::Sound(&sound, datagram.at));
            }
            if header.payload_type != TELEPHONE_EVENT {
                return;
            }
            if event.replace(header.timestamp) != Some(header.timestamp) {
                let key = payload.first().and_then(|&e| "0123456789*#ABCD".chars().nth(e.into()));
                key.into_iter().for_each(|key| take(Came::Key(key)));
            }
        });
    }

    /// Sends a key, or the samples that follow at `at` in a sound, once there are enough for a packet.
    pub(crate) fn speak(&mut self, sample: impl Fn(usize) -> i16) {
        if self.remote.is_none() {
            return;
        }
        let mut payload = [0; PAYLOAD_MAX];
        let length = self.speech.encode(sample, &mut payload);
        self.frames.push(payload[..length].to_vec());
        let step = self.speech.codec.clock() / 50;
        if let Some((event, age)) = self.keys.tick() {
            let waiting = self.frames.len() as u32;
            self.frames.clear();
            let now = self.header.timestamp.wrapping_add((waiting - 1) * step);
            let payload_type = TELEPHONE_EVENT;
            let timestamp = now.wrapping_sub(age * step);
            self.send(Header { payload_type, timestamp, ..self.header }, &event, waiting * step);
        } else if self.frames.len() >= self.ticks {
            let frames = std::mem::take(&mut self.frames);
            let is_opus = matches!(self.speech.codec, Codec::Opus(_));
            // Frames of Opus share a packet where they are of one mode.
            for run in frames.chunk_by(|one, next| !is_opus || one.first() == next.first()) {
                let payload = match run {
                    [one] => one.clone(),
                    _ if is_opus => together(run),
                    _ => run.concat(),
                };
                self.send(self.header, &payload, run.len() as u32 * step);
            }
        }
    }

    /// Sends a packet, after which the clock has gone on.
    fn send(&mut self, header: Header, payload: &[u8], passes: u32) {
        let Some(remote) = self.remote else { return };
        let mut packet = [0; PACKET_MAX];
        let length = header.write(payload, &mut packet);
        let length = match (self.level, self.tells) {
            (Some(agreed), Some(Telling { level, voice })) => {
                agreed.write(level, voice, &mut packet, length)
            }
            _ => length,
        };
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(passes);
        self.header.marker = false;
        let _ = self.port.socket.send_to(&packet[..length], remote);
    }
}

/// Returns one packet of Opus with the frames of several. Source: RFC 6716 section 3.2.5.
fn together(packets: &[Vec<u8>]) -> Vec<u8> {
    const VARIABLE: u8 = 0x80;
    let toc = packets.first().and_then(|packet| packet.first()).copied().unwrap_or(0);
    let frames = || packets.iter().map(|packet| packet.get(1..).unwrap_or_default());
    let mut joined = vec![toc | 3, VARIABLE | packets.len() as u8];
    for length in frames().map(<[u8]>::len).take(packets.len() - 1) {
        match length {
            0..252 => joined.push(length as u8),
            _ => joined.extend([252 + (length % 4) as u8, ((length - 252 - length % 4) / 4) as u8]),
        }
    }
    frames().for_each(|frame| joined.extend(frame));
    joined
}
