//! One phone that speaks over a bad network, and what another in its room hears of it, in virtual time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::{
    Channel, Codec, Command, Decoder, Encoder, Header, Hears, LegId, LegOptions, PACKET_MAX,
    PAYLOAD_MAX, PCM_MAX, RoomId, Route, Shard, Speaks, TICK,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Packets before the speech, in which the buffer learns what the network is like.
const WARM: usize = 300;
/// Ticks after it, in which the last of it is heard.
const AFTER: usize = 25;
/// When in a tick the phone sends.
const PHASE: Duration = Duration::from_millis(7);

/// What happens to packets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Network {
    /// Of a hundred packets, so many are lost.
    pub loss: f64,
    /// As many in a row, on average; each by itself where it is 1.
    pub burst: f64,
    /// What remains is late by up to this, each by itself.
    pub jitter_ms: f64,
}

impl Network {
    /// Loses packets, each by itself.
    pub fn losing(loss: f64) -> Self {
        Self { loss, burst: 1.0, jitter_ms: 0.0 }
    }

    /// Returns which packets come. The same are lost whatever the jitter is.
    fn fates(&self, seed: u64, packets: usize) -> Vec<bool> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let lost = self.loss / 100.0;
        let mut comes = true;
        let mut fate = || {
            // From a run of losses into the next packet that comes, and back.
            let (ends, begins) = match self.burst {
                1.0 => (1.0 - lost, lost),
                burst => (1.0 / burst, lost / (1.0 - lost) / burst),
            };
            comes = even(&mut random) >= if comes { begins } else { 1.0 - ends };
            comes
        };
        (0..packets).map(|_| fate()).collect()
    }

    /// Returns how late each packet is.
    fn delays(&self, seed: u64, packets: usize) -> Vec<Duration> {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x6a17);
        let delay = |_| Duration::from_secs_f64(even(&mut random) * self.jitter_ms / 1_000.0);
        (0..packets).map(delay).collect()
    }
}

fn even(random: &mut ChaCha8Rng) -> f64 {
    f64::from(random.next_u32()) / (f64::from(u32::MAX) + 1.0)
}

/// All that a phone sends: a room's noise, then what is said.
pub struct Said {
    pub codec: Codec,
    packets: Vec<Vec<u8>>,
}

impl Said {
    /// Encodes sound of the codec's rate, and noise around it.
    pub fn new(codec: Codec, sound: &[i16]) -> Self {
        let samples = codec.rate().samples();
        let ticks = WARM + sound.len() / samples + AFTER;
        let mut said = crate::speech::room(ticks * samples, 100);
        said[WARM * samples..][..sound.len()].copy_from_slice(sound);
        Self::encoded(codec, &said)
    }

    /// Returns what a phone sends meanwhile that is muted.
    pub fn silence(&self) -> Self {
        Self::encoded(self.codec, &vec![0; self.packets.len() * self.codec.rate().samples()])
    }

    /// Returns the kbit/s of what is said, without headers.
    pub fn kilobits(&self) -> f64 {
        let payload = |packet: &Vec<u8>| Header::parse(packet).unwrap().1.len();
        let said = &self.packets[WARM..self.packets.len() - AFTER];
        said.iter().map(payload).sum::<usize>() as f64 * 8.0 / (said.len() as f64 * 20.0)
    }

    fn encoded(codec: Codec, said: &[i16]) -> Self {
        let mut encoder = Encoder::new(codec);
        let packet = |(index, frame): (usize, &[i16])| {
            let mut payload = [0; PAYLOAD_MAX];
            let length = encoder.encode(frame, &mut payload);
            let header = Header {
                marker: index == 0,
                payload_type: 96,
                sequence: index as u16,
                timestamp: index as u32 * (codec.clock() / 50),
                ssrc: 1,
            };
            let mut packet = [0; PACKET_MAX];
            let length = header.write(&payload[..length], &mut packet);
            packet[..length].to_vec()
        };
        Self {
            codec,
            packets: said.chunks_exact(codec.rate().samples()).enumerate().map(packet).collect(),
        }
    }
}

/// Lets one who listens hear the first phone over the network and the others whole; returns what is heard, at
/// the codec's rate.
pub fn heard(phones: &[&Said], network: Network, seed: u64) -> Vec<i16> {
    let codec = phones[0].codec;
    let ticks = phones[0].packets.len();
    let mut shard = Shard::new(7);
    let start = epoch();
    let listener = LegId(phones.len() as u64);
    for leg in 0..=listener.0 {
        shard.handle_command(Command::AddLeg(LegId(leg), Box::new(options(leg, codec))), start);
        let speaks = if leg == listener.0 { Speaks::Nobody } else { Speaks::Everyone };
        let room = Some(RoomId(1));
        let route = Route { room, speaks, hears: Hears::Everyone, ..Route::nowhere() };
        shard.handle_command(Command::Route(LegId(leg), route), start);
    }
    let mut coming: Vec<(Duration, LegId, &[u8])> = Vec::new();
    for (leg, said) in (0..).zip(phones) {
        let network = if leg == 0 { network } else { Network::losing(0.0) };
        let fates = network.fates(seed, ticks);
        let delays = network.delays(seed, ticks);
        for (index, (comes, late)) in (0..).zip(fates.into_iter().zip(delays)) {
            let at = TICK * index + PHASE + late;
            if comes {
                coming.push((at, LegId(leg), &said.packets[index as usize]));
            }
        }
    }
    coming.sort_by_key(|(at, leg, _)| (*at, *leg));
    let mut coming = coming.into_iter().peekable();
    let mut decoder = Decoder::new(codec);
    let mut sound = Vec::new();
    for tick in 1..=ticks as u32 {
        let now = TICK * tick;
        while let Some((at, leg, packet)) = coming.next_if(|(at, ..)| *at <= now) {
            shard.handle_datagram(leg, Channel::Rtp, address(leg.0), packet, start + at);
        }
        shard.handle_tick(start + now);
        while let Some(transmit) = shard.poll_transmit(start + now + TICK) {
            if transmit.leg == listener && transmit.channel == Channel::Rtp {
                let (_, payload) = Header::parse(transmit.octets).unwrap();
                let mut pcm = [0; PCM_MAX];
                let length = decoder.decode(payload, &mut pcm).unwrap();
                sound.extend(&pcm[..length]);
            }
        }
        while shard.poll_event().is_some() {}
    }
    sound.drain(..WARM * codec.rate().samples());
    sound
}

/// Lets speech be coded once, with no room between.
pub fn coded_once(said: &Said, network: Network, seed: u64) -> Vec<i16> {
    let mut sound = received(said, network, seed);
    sound.drain(..WARM * said.codec.rate().samples());
    sound
}

/// Lets speech be coded twice, the same packets being lost on the first way, with no room between.
pub fn coded_twice(said: &Said, network: Network, seed: u64) -> Vec<i16> {
    let codec = said.codec;
    let samples = codec.rate().samples();
    let (mut encoder, mut decoder) = (Encoder::new(codec), Decoder::new(codec));
    let mut sound = received(said, network, seed);
    for frame in sound.chunks_exact_mut(samples) {
        let mut octets = [0; PAYLOAD_MAX];
        let length = encoder.encode(frame, &mut octets);
        decoder.decode(&octets[..length], frame).unwrap();
    }
    sound.drain(..WARM * samples);
    sound
}

/// Decodes what comes; what is lost is repeated from what follows, or concealed.
fn received(said: &Said, network: Network, seed: u64) -> Vec<i16> {
    let Said { codec, packets } = said;
    let fates = network.fates(seed, packets.len());
    let mut decoder = Decoder::new(*codec);
    let mut sound = Vec::new();
    let payload = |packet: &[u8]| Header::parse(packet).unwrap().1.to_vec();
    for index in 0..packets.len() {
        let mut frame = vec![0; codec.rate().samples()];
        let next = packets.get(index + 1).filter(|_| fates[index + 1]);
        if fates[index] {
            decoder.decode(&payload(&packets[index]), &mut frame).unwrap();
        } else if !next.is_some_and(|next| decoder.recover(&payload(next), &mut frame)) {
            decoder.conceal(&mut frame);
        }
        sound.extend(frame);
    }
    sound
}

fn options(leg: u64, codec: Codec) -> LegOptions {
    LegOptions::plain(codec, 96, address(leg))
}

fn address(leg: u64) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 10_000 + leg as u16 * 2))
}

/// Any time: what follows is counted from it.
fn epoch() -> Instant {
    Instant::now()
}
