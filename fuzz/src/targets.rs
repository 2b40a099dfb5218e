//! What is fuzzed: each target takes octets as the network would hand them over, and must come back.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use media::{
    AudioLevel, Bounds, Channel, Command, Hears, LegId, LegOptions, MasterKey, OVERHEAD_MAX,
    RoomId, Route, Shard, Speaks, Srtp, Suite, TICK,
};
use sip::{Access, Agent, Codec, Config, Credentials, Event, Framer, Message, Session, Terms};

use crate::payloads;

/// One thing that reads what a network sent.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is that of its corpus as well.
    pub name: &'static str,
    /// Takes one input; a panic is a finding.
    pub run: fn(&[u8]),
    /// Words of its language, for mutants.
    pub words: &'static [&'static str],
    /// How long one input may be computed on.
    pub cpu_max: Duration,
}

/// Text and packets: T2 and T17 allow 5 and 50 ms, here for a whole sequence in a build that checks itself.
const QUICK: Duration = Duration::from_millis(250);
/// A file of sound, or packets of which a few octets stand for 120 ms each: 4 KB of Opus for 20 s, in 0.3 s.
const FILE: Duration = Duration::from_secs(2);

/// All of them.
pub const TARGETS: [Target; 12] = [
    Target { name: "sip", run: sip_messages, words: SIP_WORDS, cpu_max: QUICK },
    Target { name: "digest", run: digest, words: DIGEST_WORDS, cpu_max: QUICK },
    Target { name: "sdp", run: sdp, words: SDP_WORDS, cpu_max: QUICK },
    Target { name: "rtp", run: rtp, words: &[], cpu_max: QUICK },
    Target { name: "srtp", run: srtp, words: &[], cpu_max: QUICK },
    Target { name: "g722", run: payloads::g722, words: &[], cpu_max: QUICK },
    Target { name: "opus", run: payloads::opus, words: &[], cpu_max: FILE },
    Target { name: "dtmf", run: dtmf, words: &[], cpu_max: QUICK },
    Target { name: "twiml", run: twiml, words: TWIML_WORDS, cpu_max: QUICK },
    Target { name: "form", run: form, words: FORM_WORDS, cpu_max: QUICK },
    Target { name: "wav", run: sound_file, words: WAV_WORDS, cpu_max: FILE },
    Target { name: "mp3", run: sound_file, words: MP3_WORDS, cpu_max: FILE },
];

const SIP_WORDS: &[&str] = &[
    "INVITE ",
    "ACK ",
    "BYE ",
    "CANCEL ",
    "REGISTER ",
    "OPTIONS ",
    "UPDATE ",
    "PRACK ",
    "INFO ",
    "SIP/2.0",
    "SIP/2.0 200 OK\r\n",
    "SIP/2.0 401 No\r\n",
    "Via: SIP/2.0/UDP h;branch=z9hG4bK",
    "Route: <sip:h;lr>\r\n",
    "Record-Route: <sip:h;lr>\r\n",
    "Contact: *\r\n",
    "Expires: 0\r\n",
    "Require: 100rel\r\n",
    "RSeq: 1\r\n",
    "Session-Expires: 90;refresher=uas\r\n",
    "Min-SE: 90\r\n",
    "Content-Length: ",
    "Content-Type: application/sdp",
    "Max-Forwards: 0\r\n",
    ";tag=",
    ";rport",
    "\r\n ",
    "\r\n\r\n",
    "<sip:",
    ">",
    "\"",
    "%00",
    ";lr",
];
const DIGEST_WORDS: &[&str] = &[
    "Digest ",
    "realm=\"sidetone\"",
    "nonce=\"",
    "opaque=",
    "algorithm=SHA-256",
    "algorithm=MD5",
    "qop=auth",
    "qop=\"auth,auth-int\"",
    "nc=00000001",
    "cnonce=",
    "response=",
    "uri=",
    "username*=",
    "stale=true",
    ",",
    "\\",
    "\"",
];
const SDP_WORDS: &[&str] = &[
    "m=audio 4000 RTP/AVP 0 8 101\r\n",
    "c=IN IP6 ::1\r\n",
    "a=rtpmap:101 telephone-event/8000\r\n",
    "a=sendonly\r\n",
    "a=inactive\r\n",
    "a=ptime:20\r\n",
    "a=rtcp:",
    "b=AS:64\r\n",
    "RTP/SAVP",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj",
    "a=crypto:2 AEAD_AES_128_GCM inline:Fu8vxnU4x1fcCzbhNrtV0eq4RnaK4n2/jarOig==|2^31|1:1",
    "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1;maxplaybackrate=16000\r\n",
    "a=rtpmap:102 telephone-event/48000\r\n",
    "a=rtpmap:9 G722/8000\r\n",
    "a=fmtp:",
    "m=video 0 RTP/AVP 31\r\n",
    "0.0.0.0",
];
const TWIML_WORDS: &[&str] = &[
    "<Response>",
    "</Response>",
    "<Say>",
    "</Say>",
    "<Dial>",
    "</Dial>",
    "<Conference ",
    "</Conference>",
    "<Play ",
    "<Pause length=\"",
    "<Redirect/>",
    "<Gather>",
    "<prosody rate=\"",
    "<break time=\"",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?xml ",
    "?>",
    "<!DOCTYPE ",
    "&amp;",
    "&#0;",
    "&#x10FFFF;",
    "statusCallbackEvent=\"",
    "waitUrl=\"",
    "\"/>",
];
const FORM_WORDS: &[&str] = &[
    "&",
    "=",
    "%",
    "%00",
    "%FF",
    "+",
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    "null",
    "\\u0000",
    "Muted=true",
    "\\ud800",
];
const WAV_WORDS: &[&str] = &["RIFF", "RF64", "WAVE", "fmt ", "data", "ds64", "LIST", "fact"];
const MP3_WORDS: &[&str] = &["ID3\u{4}", "Xing", "Info", "VBRI", "LAME", "TAG", "APETAGEX"];

fn here(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// One moment for all inputs, so that none depends on when it comes.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// Messages to one agent, parted by a line of four dashes; those of its own that come back are SIP.
fn sip_messages(octets: &[u8]) {
    let mut now = epoch();
    let mut agent = Agent::new(Config::open(here(5_060), [7; 32]));
    for (index, message) in messages(octets).enumerate() {
        if let Ok(message) = Message::parse(message) {
            let _ = Message::parse(&message.write());
        }
        let mut framer = Framer::default();
        for part in message.chunks(701) {
            framer.push(part);
            while framer.poll().is_some() {}
        }
        agent.handle_message(here(6_000), message, now);
        follow(&mut agent, index, now);
        now += Duration::from_millis(300);
        agent.handle_timeout(now);
    }
    wind_up(&mut agent);
}

fn messages(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    const MESSAGES_MAX: usize = 16;
    let mut rest = Some(octets);
    let next = move || {
        let octets = rest?;
        match octets.windows(6).position(|line| line == b"\n----\n") {
            Some(at) => {
                rest = Some(&octets[at + 6..]);
                Some(&octets[..at + 1])
            }
            None => {
                rest = None;
                Some(octets)
            }
        }
    };
    std::iter::from_fn(next).take(MESSAGES_MAX)
}

/// Does what a server does on an agent's events, and reads what the agent sends.
fn follow(agent: &mut Agent, index: usize, now: Instant) {
    while let Some(event) = agent.poll_event() {
        if let Event::Invite(invitation) = event {
            match index % 3 {
                0 => agent.answer(invitation.call, here(4_000), now),
                1 => agent.ring(invitation.call),
                _ => agent.reject(invitation.call, 486, now),
            }
        }
    }
    while let Some(transmit) = agent.poll_transmit() {
        let sent = Message::parse(&transmit.octets);
        assert!(sent.is_ok(), "it sends {:?}", String::from_utf8_lossy(&transmit.octets));
    }
}

/// Lets all deadlines pass; each must lead to a later one, or to none.
fn wind_up(agent: &mut Agent) {
    const DEADLINES_MAX: usize = 1_000;
    for _ in 0..DEADLINES_MAX {
        let Some(due) = agent.poll_timeout() else { break };
        agent.handle_timeout(due);
        while agent.poll_transmit().is_some() {}
        while agent.poll_event().is_some() {}
        assert!(agent.poll_timeout().is_none_or(|next| next > due), "a deadline does not pass");
    }
}

/// A value for `Authorization`, and for the challenge of a phone that we call.
fn digest(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets).replace(['\r', '\n', '\0'], " ");
    let credentials = Credentials { user: "AC1".to_owned(), password: "secret".to_owned() };
    let access =
        Access { credentials: credentials.clone(), loopback_is_free: false, md5_alone: true };
    let config = Config { access: Some(access), ..Config::open(here(5_060), [7; 32]) };
    let mut agent = Agent::new(config);
    let request = format!(
        "REGISTER sip:h SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:6000;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sip:AC1@h>;tag=1\r\nTo: <sip:AC1@h>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n\
         Contact: <sip:AC1@127.0.0.1:6000>\r\nAuthorization: {text}\r\nContent-Length: 0\r\n\r\n"
    );
    agent.handle_message(here(6_000), request.as_bytes(), epoch());
    follow(&mut agent, 0, epoch());
    let call = agent.new_call();
    agent.invite(call, "sip:a@127.0.0.1:6000", here(6_000), ("b", None), here(4_000), epoch());
    agent.set_proof(call, credentials.into());
    let invite = agent.poll_transmit().and_then(|sent| Message::parse(&sent.octets).ok());
    if let Some(invite) = invite {
        let mut challenge = invite.response(401, Some("2"));
        challenge.push("WWW-Authenticate", text);
        agent.handle_message(here(6_000), &challenge.write(), epoch());
        follow(&mut agent, 0, epoch());
    }
}

/// A description, as an offer: what we answer to it can be read as one, and so can what we offer after it.
fn sdp(octets: &[u8]) {
    let names = ["opus", "g722", "pcmu", "pcma"];
    let codecs = names.into_iter().filter_map(Codec::named).collect();
    let terms = Terms { codecs, ..Terms::telephone() };
    let config = Config { terms: terms.clone(), ..Config::open(here(5_060), [7; 32]) };
    let mut agent = Agent::new(config);
    let message = |method: &str, cseq: u8, tag: &str, body: &[u8]| {
        let head = format!(
            "{method} sip:h SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:6000;branch=z9hG4bK{method}{cseq}\r\n\
             From: <sip:a@h>;tag=1\r\nTo: <sip:h>{tag}\r\nCall-ID: 1\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:a@127.0.0.1:6000>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    agent.handle_message(here(6_000), &message("INVITE", 1, "", octets), epoch());
    let Some(Event::Invite(invitation)) = agent.poll_event() else { return };
    agent.answer(invitation.call, here(4_000), epoch());
    let offered = invitation.offer.is_some();
    let mut tag = String::new();
    for cseq in 2.. {
        while let Some(sent) = agent.poll_transmit() {
            let sent = Message::parse(&sent.octets).expect("it can be read");
            if sent.status() == 200 {
                let read = Session::parse(&sent.body, &terms);
                assert!(read.is_some(), "{:?}", String::from_utf8_lossy(&sent.body));
                tag = format!(";tag={}", sent.tag("To").unwrap_or_default());
            }
        }
        if cseq > 3 {
            break;
        }
        // The second one asks for an offer of ours.
        let body = if offered { &[][..] } else { octets };
        agent.handle_message(here(6_000), &message("ACK", cseq - 1, &tag, body), epoch());
        agent.handle_message(here(6_000), &message("INVITE", cseq, &tag, b""), epoch());
    }
}

/// A shard with two legs in a room.
fn shard() -> (Shard, LegId) {
    let mut shard = Shard::new(7);
    for (leg, port) in [(LegId(1), 6_000), (LegId(2), 6_002)] {
        let options = LegOptions {
            codec: media::Codec::Pcmu,
            payload_type: 0,
            also: vec![(8, media::Codec::Pcma)],
            telephone_event: Some(101),
            ptime_ms: 20,
            remote: here(port),
            signals_from: None,
            remote_rtcp: here(port + 1),
            sends: true,
            receives: true,
            bounds: Bounds::default(),
            protection: None,
            audio_level: Some(AudioLevel { id: 1, vad: true }),
        };
        shard.handle_command(Command::AddLeg(leg, Box::new(options)), epoch());
        let (room, speaks, hears) = (Some(RoomId(1)), Speaks::Everyone, Hears::Everyone);
        let route = Route { room, speaks, hears, ..Route::nowhere() };
        shard.handle_command(Command::Route(leg, route), epoch());
    }
    (shard, LegId(1))
}

fn tick(shard: &mut Shard, now: &mut Instant) {
    *now += TICK;
    shard.handle_tick(*now);
    while shard.poll_transmit(*now).is_some() {}
}

/// Datagrams: each after two octets that hold its channel, the ticks before it, and its length.
fn rtp(octets: &[u8]) {
    let ((mut shard, leg), mut now) = (shard(), epoch());
    let mut rest = octets;
    while let Some(([head, low], after)) = rest.split_first_chunk::<2>() {
        let length = (usize::from(head & 7) << 8 | usize::from(*low)).min(after.len());
        let (datagram, after) = after.split_at(length);
        let (channel, port) =
            if head & 0x80 == 0 { (Channel::Rtp, 6_000) } else { (Channel::Rtcp, 6_001) };
        (0..head >> 3 & 3).for_each(|_| tick(&mut shard, &mut now));
        shard.handle_datagram(leg, channel, here(port), datagram, now);
        rest = after;
    }
    (0..20).for_each(|_| tick(&mut shard, &mut now));
    while shard.poll_event().is_some() {}
}

/// Protected packets: a suite and a packet, which is opened as RTP and as RTCP, then protected and opened again.
fn srtp(octets: &[u8]) {
    let Some((suite, packet)) = octets.split_first() else { return };
    let suite = match suite % 4 {
        0 => Suite::AesCm128HmacSha1_80,
        1 => Suite::AesCm128HmacSha1_32,
        2 => Suite::AeadAes128Gcm,
        _ => Suite::AeadAes256Gcm,
    };
    let (key, salt) = (vec![7; suite.key_length()], vec![9; suite.salt_length()]);
    let Some(master) = MasterKey::new(suite, &key, &salt) else { return };
    let (mut ours, mut theirs) = (Srtp::new(&master), Srtp::new(&master));
    assert_eq!(theirs.unprotect(&mut packet.to_vec()), None, "nobody knows the key");
    assert_eq!(theirs.unprotect_rtcp(&mut packet.to_vec()), None, "nobody knows the key");
    let room = || [packet, &[0; OVERHEAD_MAX]].concat();
    let mut sealed = room();
    let length = ours.protect(&mut sealed, packet.len());
    if length > 0 {
        let opened = theirs.unprotect(&mut sealed[..length]);
        assert_eq!(opened.map(|length| &sealed[..length]), Some(packet));
    }
    let mut sealed = room();
    let length = ours.protect_rtcp(&mut sealed, packet.len());
    if length > 0 {
        let opened = theirs.unprotect_rtcp(&mut sealed[..length]);
        assert_eq!(opened.map(|length| &sealed[..length]), Some(packet));
    }
}

/// Telephone events: marker and payload from the input, each in a packet of its own. No more keys come
/// out than packets went in.
fn dtmf(octets: &[u8]) {
    let ((mut shard, leg), mut now) = (shard(), epoch());
    let mut timestamp = 0_u32;
    let mut packets = 0;
    for (sequence, chunk) in (1_u16..=512).zip(octets.chunks(6)) {
        let [first, step, payload @ ..] = chunk else { break };
        timestamp = timestamp.wrapping_add(u32::from(*step) * 160);
        let mut packet = vec![0x80, first & 0x80 | 101];
        packet.extend(sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend([0, 0, 0, 1]);
        packet.extend(payload);
        shard.handle_datagram(leg, Channel::Rtp, here(6_000), &packet, now);
        packets += 1;
        tick(&mut shard, &mut now);
    }
    let keys = std::iter::from_fn(|| shard.poll_event());
    let keys = keys.filter(|event| matches!(event, media::Event::Digit(..))).count();
    assert!(keys <= packets, "{keys} keys from {packets} packets");
}

/// A document, and each address in it.
fn twiml(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    let Ok(document) = twiml::parse(&text) else { return };
    for verb in document.verbs {
        match verb {
            twiml::Verb::Say(say) => drop(twiml::speaker(&say.voice, &say.language)),
            twiml::Verb::Redirect { url, .. } => drop(twiml::resolve("http://h/a?b", &url)),
            twiml::Verb::Play(play) => {
                drop(play.url.map(|url| twiml::resolve("http://h/a?b", &url)));
            }
            _ => {}
        }
    }
}

/// A body: as a form or, where it begins like that, as JSON.
fn form(octets: &[u8]) {
    let kind = match octets.first() {
        Some(b'{' | b'[') => "application/json",
        _ => "application/x-www-form-urlencoded",
    };
    let _ = api::read_form("Status=init", kind, octets);
}

/// A WAV or MP3 file: what is read is no longer than it may be.
fn sound_file(octets: &[u8]) {
    let longest = sound::LENGTH_MAX.as_secs() * u64::from(sound::RATE);
    let read = sound::decode(octets.to_vec()).map_or(0, |sound| sound.len() as u64);
    assert!(read <= longest, "{read} samples");
}
