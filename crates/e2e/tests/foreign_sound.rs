//! The sound of foreign programs: ffmpeg decodes what a phone is sent, and SIPp is heard, and hears.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use e2e::{Server, brought, hears, tone, until};
use media::{Codec, Decoder, Encoder, Header, OpusOptions, PAYLOAD_MAX, PCM_MAX};
use sim::{Phone, Voice};
use tempfile::TempDir;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// What phones of ours say, and what SIPp says.
const OURS: u32 = 700;
const FOREIGN: u32 = 1_100;
const AMPLITUDE: f64 = 8_000.0;

/// SIPp, which is one phone in a room.
struct Sipp {
    playing: JoinHandle<bool>,
    folder: Arc<TempDir>,
}

impl Sipp {
    /// Lets it play a scenario, with arguments of its own; `tone` is the sound that it may send, in PCMU.
    async fn start(server: &Server, name: &'static str, room: &str, own: &[&str]) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("tone"), in_pcmu(&tone(FOREIGN, AMPLITUDE))).unwrap();
        let ip = server.sip().ip();
        let free = UdpSocket::bind((ip, 0)).await.unwrap().local_addr().unwrap().port();
        let (server, ip, port) = (server.sip().to_string(), ip.to_string(), free.to_string());
        let words = [&server, "-i", &ip, "-mi", &ip, "-p", &port, "-s", room];
        let arguments: Vec<String> = words.iter().chain(own).map(|&word| word.into()).collect();
        let kept = Arc::clone(&folder);
        let playing = tokio::task::spawn_blocking(move || e2e::sipp(name, &arguments, kept.path()));
        Self { playing, folder }
    }

    /// Waits until it was hung up.
    async fn end(self) {
        let passed = self.playing.await.unwrap();
        let read = |name| std::fs::read_to_string(self.folder.path().join(name));
        assert!(passed, "{:?}\n{}", read("errors"), read("messages").unwrap_or_default());
    }
}

fn in_pcmu(sound: &[i16]) -> Vec<u8> {
    let mut encoder = Encoder::new(Codec::Pcmu);
    let encode = |tick: &[i16]| {
        let mut payload = [0; PAYLOAD_MAX];
        let length = encoder.encode(tick, &mut payload);
        payload[..length].to_vec()
    };
    sound.chunks(160).flat_map(encode).collect()
}

/// Ends a room for all who are in it.
async fn close(server: &Server, room: &str) {
    let found = server.get(&format!("/Conferences.json?FriendlyName={room}")).await;
    let path =
        format!("/Conferences/{}.json", found.body["conferences"][0]["sid"].as_str().unwrap());
    let ended = server.post(&path, &[("Status", "completed")]).await;
    assert_eq!(ended.status, 200, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sipp_says_is_heard() {
    let server = Server::start(&[]).await;
    let phone = Phone::call(server.sip(), "speaks", tone(OURS, AMPLITUDE)).unwrap();
    hears(&phone, FOREIGN, false).await;
    let sipp = Sipp::start(&server, "speaks", "speaks", &[]).await;
    hears(&phone, FOREIGN, true).await;
    close(&server, "speaks").await;
    sipp.end().await;
}

/// SIPp sends back what came to its port, and nobody hears himself in any other way.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_phone_says_comes_to_sipp() {
    let server = Server::start(&[]).await;
    let phone = Phone::call(server.sip(), "echoes", tone(OURS, AMPLITUDE)).unwrap();
    hears(&phone, OURS, false).await;
    let sipp = Sipp::start(&server, "echoes", "echoes", &["-rtp_echo"]).await;
    hears(&phone, OURS, true).await;
    close(&server, "echoes").await;
    sipp.end().await;
}

/// How a phone offers to be sent sound.
#[derive(Debug, Clone, Copy)]
struct Offer {
    codec: Codec,
    payload_type: u8,
    /// As `a=rtpmap` has it.
    name: &'static str,
    ptime_ms: u8,
    /// One more line of its session description.
    line: &'static str,
    room: &'static str,
}

impl Offer {
    const fn new(codec: Codec, payload_type: u8, name: &'static str) -> Self {
        Self { codec, payload_type, name, ptime_ms: 20, line: "a=sendrecv", room: STEADY }
    }

    fn opus(ptime_ms: u8, line: &'static str) -> Self {
        let codec = Codec::Opus(OpusOptions::default());
        Self { ptime_ms, line, ..Self::new(codec, 111, "opus/48000/2") }
    }

    /// Returns ffmpeg's decoder, and by how much a sample may differ from what ours makes. `libopus` is the
    /// reference in C; the other ones are ffmpeg's own.
    fn decoder(&self) -> (&'static str, u16) {
        match self.codec {
            Codec::Pcmu => ("pcm_mulaw", 0),
            Codec::Pcma => ("pcm_alaw", 0),
            Codec::G722 => ("adpcm_g722", 0),
            Codec::Opus(_) => ("libopus", 32),
        }
    }
}

/// The room in which a tone is said without a pause, and the one in which it is said every other second.
const STEADY: &str = "steady";
const PAUSING: &str = "pausing";
/// For how long is listened at a time once all are in, and how much of the end is judged: whoever enters does so with
/// a beep, one after the other, and may lose a packet on its way to another thread.
const LISTENED_MS: u32 = 4_000;
const JUDGED_MS: usize = 3_000;
/// How often is listened, until there are no more beeps; on a busy machine the talker itself is late at times.
const ROUNDS: usize = 5;
/// Milliseconds of a window.
const WINDOW_MS: usize = 20;

type Packets = Vec<(Header, Vec<u8>)>;

/// A phone that keeps what it is sent.
struct Listener {
    offer: Offer,
    sipp: Sipp,
    came: Arc<Mutex<Packets>>,
}

impl Listener {
    async fn start(server: &Server, offer: Offer) -> Self {
        let socket = UdpSocket::bind((server.sip().ip(), 0)).await.unwrap();
        let port = socket.local_addr().unwrap().port().to_string();
        let (number, ptime) = (offer.payload_type.to_string(), offer.ptime_ms.to_string());
        let keys = [
            ["-key", "sound", &port],
            ["-key", "number", &number],
            ["-key", "codec", offer.name],
            ["-key", "ptime", &ptime],
            ["-key", "more", offer.line],
        ];
        let sipp = Sipp::start(server, "listens", offer.room, keys.as_flattened()).await;
        let came = Arc::new(Mutex::new(Packets::new()));
        let kept = Arc::clone(&came);
        tokio::spawn(async move {
            let mut octets = [0; 2_048];
            while let Ok(length) = socket.recv(&mut octets).await {
                let parsed = Header::parse(&octets[..length]);
                let packet = parsed.map(|(header, payload)| (header, payload.to_vec()));
                kept.lock().unwrap().extend(packet);
            }
        });
        Self { offer, sipp, came }
    }

    /// Returns for how long it was sent sound.
    fn lasted_ms(&self) -> u32 {
        let came = self.came.lock().unwrap();
        let ends = came.first().zip(came.last());
        let clock =
            ends.map_or(0, |(first, last)| last.0.timestamp.wrapping_sub(first.0.timestamp));
        clock / (self.offer.codec.clock() / 1_000)
    }
}

/// What a phone was sent.
struct Stream {
    offer: Offer,
    packets: Packets,
    /// What our decoder makes of it, and how many samples of each packet.
    ours: Vec<i16>,
    lengths: Vec<usize>,
}

impl Stream {
    /// Takes packets, of which few are of another length than was asked for.
    fn new(offer: Offer, packets: Packets) -> Self {
        let mut decoder = Decoder::new(offer.codec);
        let (mut ours, mut lengths) = (Vec::new(), Vec::new());
        for (_, payload) in &packets {
            let mut pcm = [0; PCM_MAX];
            let length = decoder.decode(payload, &mut pcm).unwrap();
            lengths.push(length);
            ours.extend(&pcm[..length]);
        }
        let other = packets.iter().find(|(header, _)| header.payload_type != offer.payload_type);
        assert_eq!(other, None, "{offer:?}");
        // Where Opus changes its mode between two frames, they have packets of their own.
        let wanted = offer.samples(offer.ptime_ms.into());
        let of_length = lengths.iter().filter(|&&length| length == wanted).count();
        assert!(of_length * 10 >= packets.len() * 9, "{offer:?}: {of_length} are of that length");
        Self { offer, packets, ours, lengths }
    }

    /// Whether Opus goes from one mode to another in this packet or the one before: where nothing of the packet says
    /// how, each decoder leads over in its own way. Source: RFC 6716 section 4.5.
    fn is_led_over(&self, number: usize) -> bool {
        let mode = |packet: &(Header, Vec<u8>)| match packet.1[0] >> 3 {
            0..12 => "speech",
            12..16 => "both",
            _ => "transform",
        };
        let packets = &self.packets[number.saturating_sub(2)..=number];
        let is_opus = matches!(self.offer.codec, Codec::Opus(_));
        is_opus && packets.windows(2).any(|two| mode(&two[0]) != mode(&two[1]))
    }

    /// Judges what ffmpeg made of it.
    fn check(&self, foreign: &[i16]) {
        let offer = self.offer;
        assert_eq!(self.gap(), None, "{offer:?}");
        assert_eq!(foreign.len(), self.ours.len(), "{offer:?}");
        let mut at = 0;
        for (number, (_, payload)) in self.packets.iter().enumerate() {
            let end = at + self.lengths[number];
            let apart = foreign[at..end].iter().zip(&self.ours[at..end]);
            let most = apart.map(|(&one, &other)| one.abs_diff(other)).max().unwrap();
            let is_near = most <= offer.decoder().1 || self.is_led_over(number);
            assert!(is_near, "{offer:?}: packet {number} differs by {most}: {payload:?}");
            at = end;
        }
        if offer.room == PAUSING {
            let step = offer.codec.clock() / 1_000 * u32::from(offer.ptime_ms);
            let leaps = |two: &[(Header, Vec<u8>)]| {
                two[1].0.timestamp.wrapping_sub(two[0].0.timestamp) > 5 * step
            };
            assert!(self.packets.windows(2).any(leaps), "{offer:?}: silence is sent as well");
            return;
        }
        let judged = offer.judged(foreign);
        let (loudness, wanted) = (loudness(judged), AMPLITUDE / 2.0_f64.sqrt());
        assert!(within_db(loudness, wanted, 1.0), "{offer:?}: {loudness}, not {wanted}");
        assert!(offer.is_not_judged() || offer.is_whole(judged), "{offer:?}: the tone has breaks");
    }

    /// Returns where the first packet is missing of those that are judged.
    fn gap(&self) -> Option<[Header; 2]> {
        let judged = JUDGED_MS / usize::from(self.offer.ptime_ms);
        let judged = &self.packets[self.packets.len().saturating_sub(judged)..];
        let mut pairs = judged.windows(2).map(|two| [two[0].0, two[1].0]);
        pairs.find(|[one, next]| next.sequence != one.sequence.wrapping_add(1))
    }

    /// Whether the end is whole as we decode it and no packet of it is missing; of what has pauses nobody asks the first.
    fn is_whole(&self) -> bool {
        self.gap().is_none() && self.sounds_whole()
    }

    fn sounds_whole(&self) -> bool {
        self.offer.is_not_judged() || self.offer.is_whole(self.offer.judged(&self.ours))
    }

    /// Judges what ffmpeg's own decoder of Opus made of it, which takes every packet, but comes off a long tone at
    /// times, as it does where the reference in C encoded it.
    fn check_roughly(&self, foreign: &[i16]) {
        assert_eq!(foreign.len(), self.ours.len(), "{:?}", self.offer);
        let [one, other] = [foreign, &self.ours].map(|sound| loudness(self.offer.judged(sound)));
        assert!(within_db(one, other, 6.0), "{:?}: {one}, not {other}", self.offer);
    }
}

impl Offer {
    /// Whether nobody asks that its tone be whole: what has pauses is not.
    fn is_not_judged(&self) -> bool {
        self.room == PAUSING
    }

    fn samples(&self, ms: usize) -> usize {
        self.codec.rate().hertz() as usize * ms / 1_000
    }

    /// Returns the end of a sound.
    fn judged<'a>(&self, sound: &'a [i16]) -> &'a [i16] {
        &sound[sound.len().saturating_sub(self.samples(JUDGED_MS))..]
    }

    /// Whether nearly all of a sound is the tone, loud as it was said and nothing beside it.
    fn is_whole(&self, sound: &[i16]) -> bool {
        let turn = f64::from(OURS) / f64::from(self.codec.rate().hertz()) * std::f64::consts::TAU;
        let is_tone = |window: &&[i16]| {
            let samples = || window.iter().enumerate().map(|(at, &s)| (at as f64, f64::from(s)));
            let cosine: f64 = samples().map(|(at, sample)| sample * (at * turn).cos()).sum();
            let sine: f64 = samples().map(|(at, sample)| sample * (at * turn).sin()).sum();
            let amplitude = cosine.hypot(sine) * 2.0 / window.len() as f64;
            let tone = amplitude * amplitude / 2.0;
            let rest = loudness(window).powi(2) - tone;
            within_db(amplitude, AMPLITUDE, 2.0) && rest < tone / 100.0
        };
        let windows = sound.chunks_exact(self.samples(WINDOW_MS));
        windows.clone().filter(is_tone).count() * 10 >= windows.len() * 9
    }
}

/// Returns the root of the mean square.
fn loudness(sound: &[i16]) -> f64 {
    let power: f64 = sound.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    (power / sound.len() as f64).sqrt()
}

fn within_db(one: f64, other: f64, limit: f64) -> bool {
    (20.0 * (one / other).log10()).abs() <= limit
}

/// Has ffmpeg decode streams, each by the decoder that is named.
fn decoded(streams: &[(&str, &Stream)]) -> Vec<Vec<i16>> {
    let folder = tempfile::tempdir().unwrap();
    let file = |kind: &str, number: usize| folder.path().join(format!("{kind}-{number}"));
    let mut list = String::new();
    for (number, (decoder, stream)) in streams.iter().enumerate() {
        let mut octets = Vec::new();
        for (_, payload) in &stream.packets {
            octets.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            octets.extend(payload);
        }
        let [encoded, decoded] = ["encoded", "decoded"].map(|kind| file(kind, number));
        std::fs::write(&encoded, octets).unwrap();
        let rate = stream.offer.codec.rate().hertz();
        list += &format!("{decoder} {rate} {} {}\n", encoded.display(), decoded.display());
    }
    std::fs::write(file("list", 0), list).unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk/ffmpeg_decodes.py");
    let mut python = Command::new(brought("SIDETONE_TEST_PYTHON"));
    let ran = python.arg(program).arg(file("list", 0)).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let sound = |number| {
        let octets = std::fs::read(file("decoded", number)).unwrap();
        octets.as_chunks().0.iter().map(|&sample| i16::from_le_bytes(sample)).collect()
    };
    (0..streams.len()).map(sound).collect()
}

/// Listens on, and returns all that came.
async fn sent(listeners: &[Listener]) -> Vec<Stream> {
    let wanted: Vec<u32> = listeners.iter().map(|one| one.lasted_ms() + LISTENED_MS).collect();
    until("all have heard enough", async || {
        listeners.iter().zip(&wanted).all(|(one, &wanted)| one.lasted_ms() >= wanted)
    })
    .await;
    // What is still on its way to whoever had the port before is nobody's.
    let came = |one: &Listener| {
        let mut packets = one.came.lock().unwrap().clone();
        let ssrc = packets.last().map(|(header, _)| header.ssrc);
        packets.retain(|(header, _)| Some(header.ssrc) == ssrc);
        (one.offer, packets)
    };
    let came: Vec<(Offer, Packets)> = listeners.iter().map(came).collect();
    came.into_iter().map(|(offer, packets)| Stream::new(offer, packets)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_makes_of_what_a_phone_is_sent_what_we_do() {
    let offers = [
        Offer::new(Codec::Pcmu, 0, "PCMU/8000"),
        Offer::new(Codec::Pcma, 8, "PCMA/8000"),
        Offer::new(Codec::G722, 9, "G722/8000"),
        Offer::opus(20, "a=sendrecv"),
        Offer::opus(10, "a=sendrecv"),
        Offer::opus(40, "a=sendrecv"),
        Offer::opus(60, "a=sendrecv"),
        Offer::opus(20, "a=fmtp:111 useinbandfec=1"),
        Offer { room: PAUSING, ..Offer::opus(20, "a=fmtp:111 usedtx=1") },
    ];
    let server = Server::start(&[]).await;
    let said = tone(OURS, AMPLITUDE);
    let at_times: Voice = said.iter().copied().chain([0; 8_000]).collect();
    let call = |(room, voice)| Phone::call(server.sip(), room, voice).unwrap();
    let phones = [(STEADY, said), (PAUSING, at_times)].map(call);
    until("phones speak", async || phones.iter().all(|one| one.state() == sim::State::Up)).await;
    let mut listeners = Vec::new();
    for offer in offers {
        listeners.push(Listener::start(&server, offer).await);
    }
    until("all are in", async || listeners.iter().all(|one| one.lasted_ms() > 0)).await;
    let mut streams = sent(&listeners).await;
    for _ in 1..ROUNDS {
        if !streams.iter().all(Stream::is_whole) {
            streams = sent(&listeners).await;
        }
    }
    for room in [STEADY, PAUSING] {
        close(&server, room).await;
    }
    for listener in listeners {
        listener.sipp.end().await;
    }
    let first = streams.iter().map(|stream| (stream.offer.decoder().0, stream));
    let second = streams.iter().filter(|stream| stream.offer.name.starts_with("opus"));
    let all: Vec<(&str, &Stream)> = first.chain(second.map(|stream| ("opus", stream))).collect();
    for (sound, (decoder, stream)) in decoded(&all).iter().zip(all) {
        if decoder == "opus" { stream.check_roughly(sound) } else { stream.check(sound) }
    }
}
