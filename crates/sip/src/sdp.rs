//! Session descriptions of one audio stream, and the answer to an offer.
//!
//! Source: RFC 8866, RFC 3264, RFC 3551 table 4, RFC 4568, RFC 8285.

mod codec;
mod crypto;
mod levels;
mod users;

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub use self::codec::{Codec, OpusParameters};
pub(crate) use self::crypto::Crypto;
pub use self::crypto::{Keys, Protection, SrtpPolicy, Suite};
pub use self::levels::AudioLevel;
pub use self::users::Users;

/// What we speak, and what we insist on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Best first, with what we want of each.
    pub codecs: Arc<[Codec]>,
    /// Whether sound is encrypted.
    pub srtp: SrtpPolicy,
    /// The same for users, where it is another one.
    pub users: Arc<Users>,
    /// Whether we say how loud we are beside what we send, rather than read that beside what we are sent.
    pub sends_levels: bool,
    /// Milliseconds of sound in each packet that we ask for where we are first to say.
    pub ptime_ms: u8,
}

/// What a description says of its audio stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// Where its writer wants RTP.
    pub address: SocketAddr,
    /// Where it wants RTCP.
    pub rtcp: SocketAddr,
    /// The codecs that we know, best first, with their payload types.
    pub codecs: Vec<(u8, Codec)>,
    /// The payload type of telephone events: the one whose clock is the first codec's, where there is one.
    pub telephone_event: Option<u8>,
    /// Milliseconds in each packet that its writer wants.
    pub ptime_ms: u8,
    /// Whether its writer sends, and wants to be sent.
    pub sends: bool,
    /// See above.
    pub receives: bool,
    /// What protects it; none: nothing does.
    pub protection: Option<Protection>,
    /// How levels are told beside its sound, in the direction that our terms have; none: they are not.
    pub audio_level: Option<AudioLevel>,
}

/// A description as far as an answer needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The first audio stream that can be answered.
    pub audio: Media,
    /// Its place among the streams.
    index: usize,
    /// Kind, transport and formats of every stream, to refuse the others in place.
    streams: Vec<(String, String, String)>,
    /// The payload types of telephone events, with their clocks.
    events: Vec<(u8, u32)>,
    /// Its keys that we could use, best first; none where nothing is to be protected.
    pub(crate) cryptos: Vec<Crypto>,
    /// Whether its transport is one that is protected.
    pub(crate) is_secure: bool,
}

/// Most streams of one description.
const STREAMS_MAX: usize = 8;
/// Most payload types of one stream that are read.
const FORMATS_MAX: usize = 64;
/// Most keys of one stream that are read.
const CRYPTOS_MAX: usize = 16;
/// Longest description.
const SDP_MAX: usize = 32 * 1_024;
/// The packet time where none is asked for.
const PTIME_MS: u16 = 20;
/// The payload types under which we offer telephone events, with their clocks.
const EVENTS: [(u8, u32); 2] = [(101, 8_000), (102, 48_000)];
/// Payload types that mean what their description says.
const DYNAMIC: std::ops::RangeInclusive<u8> = 96..=127;

/// What a stream of ours can hold, with its payload types.
struct Formats {
    codecs: Vec<(u8, Codec)>,
    /// Telephone events, with their clocks.
    events: Vec<(u8, u32)>,
}

impl Formats {
    /// Adds telephone events to codecs: those of each of their clocks.
    fn of(codecs: Vec<(u8, Codec)>) -> Self {
        let wanted = |clock: u32| codecs.iter().any(|(_, codec)| codec.clock() == clock);
        let events = EVENTS.into_iter().filter(|(_, clock)| wanted(*clock)).collect();
        Self { codecs, events }
    }
}

impl Terms {
    /// Makes those of a telephone: G.711, encrypted where the far end wants it.
    pub fn telephone() -> Self {
        let codecs = [Codec::Pcmu, Codec::Pcma].into();
        let (srtp, ptime_ms) = (SrtpPolicy::Optional, PTIME_MS as u8);
        Self { codecs, srtp, users: Arc::default(), sends_levels: false, ptime_ms }
    }

    /// Returns the same with another policy.
    pub(crate) fn with(&self, srtp: SrtpPolicy) -> Self {
        Self { srtp, ..self.clone() }
    }

    /// Returns what we speak with this codec before all others, where it is among them.
    pub(crate) fn first(&self, codec: Codec) -> Arc<[Codec]> {
        let (first, others): (Vec<_>, Vec<_>) = self.codecs.iter().partition(|one| one.is(codec));
        first.into_iter().chain(others).copied().collect()
    }

    fn speaks(&self, codec: Codec) -> bool {
        self.codecs.iter().any(|one| one.is(codec))
    }
}

impl Session {
    /// Reads a description; nothing where there is no audio stream that these terms allow.
    pub fn parse(body: &[u8], terms: &Terms) -> Option<Self> {
        if body.len() > SDP_MAX {
            return None;
        }
        let text = std::str::from_utf8(body).ok()?;
        let mut blocks = text.split("\nm=");
        let head = blocks.next().filter(|head| head.starts_with("v=0"))?;
        let mut streams = Vec::new();
        let mut found = None;
        for (index, block) in blocks.enumerate() {
            if index >= STREAMS_MAX {
                return None;
            }
            let line = block.lines().next()?;
            let mut words = line.split_whitespace();
            let (kind, port, transport) = (words.next()?, words.next()?, words.next()?);
            let formats: Vec<&str> = words.collect();
            streams.push((kind.to_owned(), transport.to_owned(), formats.join(" ")));
            let port: u16 = port.split('/').next()?.parse().ok()?;
            let is_secure = match transport {
                "RTP/AVP" | "RTP/AVPF" => false,
                "RTP/SAVP" | "RTP/SAVPF" => true,
                _ => continue,
            };
            if found.is_some() || kind != "audio" || port == 0 {
                continue;
            }
            let cryptos = cryptos(block, terms.srtp);
            let demanded = is_secure || terms.srtp == SrtpPolicy::Mandatory;
            if demanded && cryptos.is_empty() {
                continue;
            }
            if let Some((audio, events)) = audio(head, block, port, &formats, terms) {
                let streams = Vec::new();
                found = Some(Self { audio, index, streams, events, cryptos, is_secure });
            }
        }
        found.map(|found| Self { streams, ..found })
    }

    /// Adds to an answer the numbers that our `offer` has for its codecs, where it gives others: whoever answers is sent
    /// its own, and sends ours. Source: RFC 3264 section 6.1.
    pub(crate) fn know(&mut self, offer: &Self) {
        for &(number, codec) in &offer.audio.codecs {
            let is_taken = self.audio.codecs.iter().any(|(known, _)| *known == number)
                || self.events.iter().any(|(known, _)| *known == number);
            let spoken = self.audio.codecs.iter().find(|(_, spoken)| spoken.is(codec));
            if let Some(&(_, spoken)) = spoken.filter(|_| !is_taken) {
                self.audio.codecs.push((number, spoken));
            }
        }
    }

    /// Returns the payload types under which codecs and telephone events are spoken of, or would be.
    fn formats(&self, codecs: &[Codec]) -> Formats {
        let mut given = Vec::new();
        let mut numbered = Vec::new();
        for &codec in codecs {
            let known = self.audio.codecs.iter().find(|(_, known)| known.is(codec));
            let number = known.map_or_else(|| self.free(codec.number(), &given), |known| known.0);
            given.push(number);
            numbered.push((number, codec));
        }
        let mut formats = Formats::of(numbered);
        for event in &mut formats.events {
            let known = self.events.iter().find(|(_, clock)| *clock == event.1);
            event.0 = known.map_or_else(|| self.free(event.0, &given), |known| known.0);
            given.push(event.0);
        }
        formats
    }

    /// Returns a payload type that has no meaning yet: this one, where it is free.
    fn free(&self, wanted: u8, given: &[u8]) -> u8 {
        let formats = self.streams.get(self.index).map_or("", |(_, _, formats)| formats.as_str());
        let taken = |number: u8| {
            given.contains(&number) || formats.split(' ').any(|one| one.parse() == Ok(number))
        };
        let is_fixed = !DYNAMIC.contains(&wanted);
        if is_fixed || !taken(wanted) {
            return wanted;
        }
        // From above, where nobody begins.
        DYNAMIC.rev().find(|&number| !taken(number)).unwrap_or(wanted)
    }
}

/// Returns the keys of a stream that we could use.
fn cryptos(block: &str, policy: SrtpPolicy) -> Vec<Crypto> {
    if policy == SrtpPolicy::Off {
        return Vec::new();
    }
    let lines = block.lines().filter_map(|line| line.strip_prefix("a=crypto:"));
    lines.take(CRYPTOS_MAX).filter_map(Crypto::parse).collect()
}

fn audio(
    head: &str,
    block: &str,
    port: u16,
    formats: &[&str],
    terms: &Terms,
) -> Option<(Media, Vec<(u8, u32)>)> {
    let line = |prefix: &str| {
        block.lines().chain(head.lines()).find_map(|line| line.strip_prefix(prefix)).map(str::trim)
    };
    let connection = line("c=IN IP4 ").or_else(|| line("c=IN IP6 "))?;
    let ip: IpAddr = connection.split('/').next()?.trim().parse().ok()?;
    let mut codecs = Vec::new();
    let mut events = Vec::new();
    for format in formats.iter().take(FORMATS_MAX) {
        let number: u8 = format.parse().ok()?;
        let name = line(&format!("a=rtpmap:{number} "));
        let event = name.and_then(|name| {
            name.to_ascii_lowercase().strip_prefix("telephone-event/").map(str::to_owned)
        });
        if let Some(clock) = event {
            let clock = clock.split('/').next().and_then(|clock| clock.parse().ok());
            events.extend(clock.map(|clock: u32| (number, clock)));
            continue;
        }
        let parameters = line(&format!("a=fmtp:{number} "));
        let codec = Codec::of(number, name, parameters).filter(|&codec| terms.speaks(codec));
        codecs.extend(codec.map(|codec| (number, codec)));
    }
    let (_, first) = *codecs.first()?;
    let fitting = events.iter().find(|(_, clock)| *clock == first.clock()).or(events.first());
    // What is said of the stream goes before what is said of all.
    let directions = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];
    let mut said = block.lines().chain(head.lines()).map(str::trim);
    let direction = said.find(|line| directions.contains(line)).unwrap_or(directions[0]);
    // `c=0.0.0.0` is the hold of RFC 2543.
    let held = ip.is_unspecified();
    let rtcp = line("a=rtcp:").and_then(|rtcp| {
        let mut words = rtcp.split_whitespace();
        let port: u16 = words.next()?.parse().ok()?;
        let elsewhere = words.nth(2).and_then(|ip| ip.parse().ok());
        Some(SocketAddr::new(elsewhere.unwrap_or(ip), port))
    });
    let media = Media {
        address: SocketAddr::new(ip, port),
        rtcp: rtcp.unwrap_or_else(|| SocketAddr::new(ip, port.saturating_add(1))),
        telephone_event: fitting.map(|(number, _)| *number),
        codecs,
        ptime_ms: packet_time(first, line("a=ptime:"), line("a=maxptime:")),
        sends: !matches!(direction, "a=recvonly" | "a=inactive"),
        receives: !matches!(direction, "a=sendonly" | "a=inactive") && !held,
        protection: None,
        audio_level: AudioLevel::parse(block.lines().chain(head.lines()), terms.sends_levels),
    };
    Some((media, events))
}

/// Returns the longest packet time of a codec that is neither longer than asked for nor than allowed.
fn packet_time(codec: Codec, asked: Option<&str>, longest: Option<&str>) -> u8 {
    let number = |text: Option<&str>| text.and_then(|ms| ms.parse().ok()).filter(|&ms| ms > 0);
    let most = number(asked).unwrap_or(PTIME_MS).min(number(longest).unwrap_or(u16::MAX));
    let times = codec.packet_times();
    times.iter().copied().rfind(|&ms| u16::from(ms) <= most).unwrap_or(times[0])
}

/// Writes an offer of all that we speak. With keys it is one that whoever does not know them can take without,
/// unless these terms demand them.
pub(crate) fn offer(terms: &Terms, cryptos: &[Crypto], (ours, id): (SocketAddr, u64)) -> Vec<u8> {
    let mut text = head(ours, id);
    let is_secure = terms.srtp == SrtpPolicy::Mandatory && !cryptos.is_empty();
    let transport = if is_secure { "RTP/SAVP" } else { "RTP/AVP" };
    let formats = terms.codecs.iter().map(|&codec| (codec.number(), codec)).collect();
    stream(&mut text, (ours, transport), &Formats::of(formats), cryptos);
    text.push_str(&AudioLevel::OURS.write(terms.sends_levels));
    let _ = write!(text, "a=ptime:{}\r\na=sendrecv\r\n", terms.ptime_ms);
    text.into_bytes()
}

/// Writes an offer within a dialog: its streams stay in their places, and its numbers keep their
/// meaning. Source: RFC 3264 section 8.
pub(crate) fn offer_again(
    session: &Session,
    terms: &Terms,
    cryptos: &[Crypto],
    (ours, id): (SocketAddr, u64),
) -> Vec<u8> {
    let mut text = head(ours, id);
    let formats = session.formats(&terms.codecs);
    for (index, (kind, transport, offered)) in session.streams.iter().enumerate() {
        if index != session.index {
            let _ = write!(text, "m={kind} 0 {transport} {offered}\r\n");
            continue;
        }
        stream(&mut text, (ours, transport), &formats, cryptos);
        text.push_str(&levels(session, terms));
        let _ = write!(text, "a=ptime:{}\r\na=sendrecv\r\n", session.audio.ptime_ms);
    }
    text.into_bytes()
}

/// Writes the answer to `session`: its first codec, as we want it, its packet time, its direction mirrored.
pub(crate) fn answer(
    session: &Session,
    terms: &Terms,
    cryptos: &[Crypto],
    (ours, id): (SocketAddr, u64),
) -> Vec<u8> {
    let mut text = head(ours, id);
    let audio = &session.audio;
    let codec = audio.codecs.first().map(|&(number, codec)| {
        let ours = terms.codecs.iter().find(|one| one.is(codec));
        (number, ours.copied().unwrap_or(codec))
    });
    let is_it = |(number, _): &&(u8, u32)| Some(*number) == audio.telephone_event;
    let event = session.events.iter().find(is_it).copied();
    let formats =
        Formats { codecs: codec.into_iter().collect(), events: event.into_iter().collect() };
    for (index, (kind, transport, offered)) in session.streams.iter().enumerate() {
        if index != session.index {
            let _ = write!(text, "m={kind} 0 {transport} {offered}\r\n");
            continue;
        }
        stream(&mut text, (ours, transport), &formats, cryptos);
        text.push_str(&levels(session, terms));
        let direction = match (audio.sends, audio.receives) {
            (true, true) => "sendrecv",
            (true, false) => "recvonly",
            (false, true) => "sendonly",
            (false, false) => "inactive",
        };
        let _ = write!(text, "a=ptime:{}\r\na={direction}\r\n", audio.ptime_ms);
    }
    text.into_bytes()
}

/// Returns a description of ours under another version.
pub(crate) fn under_version(body: &[u8], version: u64) -> Vec<u8> {
    String::from_utf8_lossy(body).replacen(" 1 IN ", &format!(" {version} IN "), 1).into_bytes()
}

fn head(ours: SocketAddr, id: u64) -> String {
    let family = if ours.is_ipv4() { "IP4" } else { "IP6" };
    let ip = ours.ip();
    format!("v=0\r\no=sidetone {id} 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n")
}

/// Writes how levels are told, where the far end has agreed to it or offers it.
fn levels(session: &Session, terms: &Terms) -> String {
    session.audio.audio_level.map_or_else(String::new, |level| level.write(terms.sends_levels))
}

/// Writes the lines of our stream.
fn stream(
    text: &mut String,
    (ours, transport): (SocketAddr, &str),
    Formats { codecs, events }: &Formats,
    cryptos: &[Crypto],
) {
    let _ = write!(text, "m=audio {} {transport}", ours.port());
    let numbers = codecs.iter().map(|(number, _)| number);
    for number in numbers.chain(events.iter().map(|(number, _)| number)) {
        let _ = write!(text, " {number}");
    }
    text.push_str("\r\n");
    for crypto in cryptos {
        text.push_str(&crypto.write());
    }
    for &(number, codec) in codecs {
        text.push_str(&codec.write(number));
    }
    for (number, clock) in events {
        let _ = write!(text, "a=rtpmap:{number} telephone-event/{clock}\r\n");
        let _ = write!(text, "a=fmtp:{number} 0-15\r\n");
    }
}
