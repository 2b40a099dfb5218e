//! Session descriptions of one audio stream, and the answer to an offer.
//!
//! Source: RFC 8866, RFC 3264, RFC 3551 table 4.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// A voice codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// μ-law at 8 kHz.
    Pcmu,
    /// A-law at 8 kHz.
    Pcma,
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
    /// The payload type of telephone events.
    pub telephone_event: Option<u8>,
    /// Milliseconds in each packet that its writer wants.
    pub ptime_ms: u8,
    /// Whether its writer sends, and wants to be sent.
    pub sends: bool,
    /// See above.
    pub receives: bool,
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
}

/// Most streams of one description.
const STREAMS_MAX: usize = 8;
/// Longest description.
const SDP_MAX: usize = 32 * 1_024;
/// The packet times that we speak.
const PTIMES_MS: [u8; 5] = [10, 20, 30, 40, 60];

impl Session {
    /// Reads a description; nothing where there is no audio that we can speak.
    pub fn parse(body: &[u8]) -> Option<Self> {
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
            if found.is_none() && kind == "audio" && transport == "RTP/AVP" && port != 0 {
                found = audio(head, block, port, &formats).map(|audio| (index, audio));
            }
        }
        let (index, audio) = found?;
        Some(Self { audio, index, streams })
    }
}

fn audio(head: &str, block: &str, port: u16, formats: &[&str]) -> Option<Media> {
    let line = |prefix: &str| {
        block.lines().chain(head.lines()).find_map(|line| line.strip_prefix(prefix)).map(str::trim)
    };
    let connection = line("c=IN IP4 ").or_else(|| line("c=IN IP6 "))?;
    let ip: IpAddr = connection.split('/').next()?.trim().parse().ok()?;
    let mut codecs = Vec::new();
    let mut telephone_event = None;
    for format in formats {
        let number: u8 = format.parse().ok()?;
        let map = format!("a=rtpmap:{number} ");
        let name = line(&map).map(str::to_ascii_uppercase);
        match (number, name.as_deref()) {
            (0, None) => codecs.push((0, Codec::Pcmu)),
            (8, None) => codecs.push((8, Codec::Pcma)),
            (_, Some(name)) if name.starts_with("PCMU/8000") => codecs.push((number, Codec::Pcmu)),
            (_, Some(name)) if name.starts_with("PCMA/8000") => codecs.push((number, Codec::Pcma)),
            (_, Some("TELEPHONE-EVENT/8000")) => {
                telephone_event = telephone_event.or(Some(number));
            }
            _ => {}
        }
    }
    if codecs.is_empty() {
        return None;
    }
    let has = |name: &str| block.lines().chain(head.lines()).any(|line| line.trim() == name);
    // `c=0.0.0.0` is the hold of RFC 2543.
    let held = ip.is_unspecified();
    let rtcp = line("a=rtcp:").and_then(|rtcp| {
        let mut words = rtcp.split_whitespace();
        let port: u16 = words.next()?.parse().ok()?;
        let elsewhere = words.nth(2).and_then(|ip| ip.parse().ok());
        Some(SocketAddr::new(elsewhere.unwrap_or(ip), port))
    });
    Some(Media {
        address: SocketAddr::new(ip, port),
        rtcp: rtcp.unwrap_or_else(|| SocketAddr::new(ip, port.saturating_add(1))),
        codecs,
        telephone_event,
        ptime_ms: packet_time(line("a=ptime:"), line("a=maxptime:")),
        sends: !has("a=recvonly") && !has("a=inactive"),
        receives: !has("a=sendonly") && !has("a=inactive") && !held,
    })
}

/// Returns the packet time that is asked for, where we speak it and it is not longer than allowed.
fn packet_time(asked: Option<&str>, longest: Option<&str>) -> u8 {
    let asked = asked.and_then(|ms| ms.parse().ok()).filter(|ms| PTIMES_MS.contains(ms));
    let longest = longest.and_then(|ms| ms.parse().ok()).unwrap_or(u8::MAX);
    let allowed = |ms: &u8| *ms <= asked.unwrap_or(20) && *ms <= longest;
    PTIMES_MS.into_iter().rfind(allowed).unwrap_or(PTIMES_MS[0])
}

/// Writes an offer of both codecs and telephone events.
pub fn offer(ours: SocketAddr, id: u64) -> Vec<u8> {
    let mut text = head(ours, id);
    let _ = write!(text, "m=audio {} RTP/AVP 0 8 101\r\n", ours.port());
    formats(&mut text, &[(0, Codec::Pcmu), (8, Codec::Pcma)], Some(101));
    text.push_str("a=ptime:20\r\na=sendrecv\r\n");
    text.into_bytes()
}

/// Writes an offer within a dialog: its streams stay in their places, and its numbers keep their
/// meaning. Source: RFC 3264 section 8.
pub(crate) fn offer_again(session: &Session, ours: SocketAddr, id: u64) -> Vec<u8> {
    let mut text = head(ours, id);
    let number_of = |codec| {
        let known = session.audio.codecs.iter().find(|(_, known)| *known == codec);
        known.map_or(if codec == Codec::Pcmu { 0 } else { 8 }, |(number, _)| *number)
    };
    let codecs = [Codec::Pcmu, Codec::Pcma].map(|codec| (number_of(codec), codec));
    let event = session.audio.telephone_event.unwrap_or(101);
    for (index, (kind, transport, offered)) in session.streams.iter().enumerate() {
        if index != session.index {
            let _ = write!(text, "m={kind} 0 {transport} {offered}\r\n");
            continue;
        }
        let [(first, _), (second, _)] = codecs;
        let _ = write!(text, "m=audio {} RTP/AVP {first} {second} {event}\r\n", ours.port());
        formats(&mut text, &codecs, Some(event));
        let _ = write!(text, "a=ptime:{}\r\na=sendrecv\r\n", session.audio.ptime_ms);
    }
    text.into_bytes()
}

/// Returns a description of ours under another version.
pub(crate) fn under_version(body: &[u8], version: u64) -> Vec<u8> {
    String::from_utf8_lossy(body).replacen(" 1 IN ", &format!(" {version} IN "), 1).into_bytes()
}

/// Writes the answer to `session`: its first codec, its packet time, its direction mirrored.
pub fn answer(session: &Session, ours: SocketAddr, id: u64) -> Vec<u8> {
    let mut text = head(ours, id);
    for (index, (kind, transport, offered)) in session.streams.iter().enumerate() {
        if index != session.index {
            let _ = write!(text, "m={kind} 0 {transport} {offered}\r\n");
            continue;
        }
        let audio = &session.audio;
        let codec = &audio.codecs[..1];
        let _ = write!(text, "m=audio {} RTP/AVP {}", ours.port(), codec[0].0);
        if let Some(event) = audio.telephone_event {
            let _ = write!(text, " {event}");
        }
        text.push_str("\r\n");
        formats(&mut text, codec, audio.telephone_event);
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

fn head(ours: SocketAddr, id: u64) -> String {
    let family = if ours.is_ipv4() { "IP4" } else { "IP6" };
    let ip = ours.ip();
    format!("v=0\r\no=sidetone {id} 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n")
}

fn formats(text: &mut String, codecs: &[(u8, Codec)], telephone_event: Option<u8>) {
    for (number, codec) in codecs {
        let name = match codec {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
        };
        let _ = write!(text, "a=rtpmap:{number} {name}/8000\r\n");
    }
    if let Some(event) = telephone_event {
        let _ = write!(text, "a=rtpmap:{event} telephone-event/8000\r\na=fmtp:{event} 0-15\r\n");
    }
}
