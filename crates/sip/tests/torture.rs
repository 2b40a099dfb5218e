//! What RFC 4475 and RFC 5118 torment parsers with: a message of our own for each of their sections, and
//! the originals where they lie beside the repository. Each comes whole in a datagram, whole in a
//! stream, and octet by octet in a stream; after each, the agent still answers, and keeps nothing.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test, which needs an epoch")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use sip::{Agent, Config, Framed, Framer, Peer, Transport};

const SDP: &str = "v=0\r\no=a 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
                   m=audio 4000 RTP/AVP 0\r\n";

/// What is to come of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is well formed: anything but a complaint of form.
    Accepted,
    /// One of these statuses.
    Refused(&'static [u16]),
    /// Nothing is sent.
    Dropped,
}

use Outcome::{Accepted, Dropped, Refused};

type Cases = Vec<(&'static str, Vec<u8>, Outcome)>;

/// A request with what it must have; `changes` replaces lines by their names, adds others, and takes
/// those away whose value is `-`.
fn request(method: &str, uri: &str, changes: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut lines = vec![
        ("Via".to_owned(), "SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKtorment".to_owned()),
        ("Max-Forwards".to_owned(), "70".to_owned()),
        ("From".to_owned(), "\"Tormentor\" <sip:tormentor@example.org>;tag=t1".to_owned()),
        ("To".to_owned(), "<sip:room@example.org>".to_owned()),
        ("Call-ID".to_owned(), "torment@192.0.2.9".to_owned()),
        ("CSeq".to_owned(), format!("7 {method}")),
        ("Contact".to_owned(), "<sip:tormentor@192.0.2.9>".to_owned()),
    ];
    if !body.is_empty() {
        lines.push(("Content-Type".to_owned(), "application/sdp".to_owned()));
    }
    lines.push(("Content-Length".to_owned(), body.len().to_string()));
    let mut changed = Vec::new();
    for (name, value) in changes {
        let known = lines.iter_mut().find(|(line, _)| line == name);
        match known {
            Some(line) if !changed.contains(name) => line.1 = (*value).to_owned(),
            _ => lines.push(((*name).to_owned(), (*value).to_owned())),
        }
        changed.push(*name);
    }
    let lines = lines.iter().filter(|(_, value)| value != "-");
    let head: String = lines.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {uri} SIP/2.0\r\n{head}\r\n{body}").into_bytes()
}

fn invite(changes: &[(&str, &str)]) -> Vec<u8> {
    request("INVITE", "sip:room@example.org", changes, SDP)
}

fn register(changes: &[(&str, &str)]) -> Vec<u8> {
    request("REGISTER", "sip:example.org", changes, "")
}

fn options(uri: &str, changes: &[(&str, &str)]) -> Vec<u8> {
    request("OPTIONS", uri, changes, "")
}

fn edited(message: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(message).unwrap();
    assert!(text.contains(from), "{from} is not in the message");
    text.replacen(from, to, 1).into_bytes()
}

fn response(status: &str, changes: &[(&str, &str)]) -> Vec<u8> {
    let message = options("sip:x@example.org", changes);
    edited(message, "OPTIONS sip:x@example.org SIP/2.0", status)
}

/// RFC 4475 section 3.1.1: unusual and well formed.
fn valid() -> Cases {
    let long = "x".repeat(600);
    let tortuous = edited(
        edited(invite(&[]), "To: <sip:room", "TO :\r\n  <sip:room"),
        "CSeq: 7 INVITE",
        "cseq:   0007\r\n\t INVITE\r\nUnknown-Header: ;;,,;;,;\r\ns :",
    );
    let strange = "!interesting-Method0123456789_*+`.%indeed'~";
    let twice = [options("sip:x@example.org", &[]), invite(&[])].concat();
    let named = format!("\"{long}\" <sip:c@x.org>;tag={long}");
    let vias = "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa, SIP/2.0/NEW n.example.org";
    let mixed = [("Content-Type", "multipart/mixed;boundary=b")];
    let tight = [("From", "caller<sip:c@x.org>;tag=3")];
    let user = "sip:user;par=u%40example.net@example.org";
    vec![
        ("3.1.1.1", tortuous, Accepted),
        ("3.1.1.2", request(strange, "sip:1_u.n@example.org:5060;x=y", &[], ""), Refused(&[501])),
        ("3.1.1.3", request("INVITE", "sip:r%6Fom@example.org", &[], SDP), Accepted),
        ("3.1.1.4", register(&[("To", "<sip:nul%00nul@example.org>")]), Accepted),
        ("3.1.1.5", request("RE%47ISTER", "sip:example.org", &[], ""), Refused(&[501])),
        ("3.1.1.6", options("sip:x@example.org", &tight), Accepted),
        ("3.1.1.7", invite(&[("From", &named)]), Accepted),
        ("3.1.1.8", twice, Accepted),
        ("3.1.1.9", options(user, &[]), Accepted),
        ("3.1.1.10", options("sip:x@example.org", &[("Via", vias)]), Accepted),
        ("3.1.1.11", invite(&mixed), Refused(&[415])),
        ("3.1.1.12", response("SIP/2.0 200 = 2**3 * 5**2 но это", &[]), Dropped),
        ("3.1.1.13", response("SIP/2.0 100 ", &[]), Dropped),
    ]
}

/// RFC 4475 section 3.1.2: malformed.
fn malformed() -> Cases {
    let bad = Refused(&[400]);
    let (uri, start) = ("sip:x@example.org", "OPTIONS sip:x@example.org SIP/2.0");
    let plain = || options(uri, &[]);
    let huge = [("CSeq", "9292394834772304023312 OPTIONS")];
    let mismatched = [("CSeq", "8 INVITE")];
    vec![
        ("3.1.2.1", invite(&[("Contact", "\"J\" <sip:j@192.0.2.9>;;,;,\"")]), bad),
        ("3.1.2.2", invite(&[("Content-Length", "9999")]), bad),
        ("3.1.2.3", invite(&[("Content-Length", "-999")]), bad),
        ("3.1.2.4", register(&[("CSeq", "36893488147419103232 REGISTER")]), bad),
        ("3.1.2.5", response("SIP/2.0 503 No", &huge), Dropped),
        ("3.1.2.6", invite(&[("To", "\"Mr. Room <sip:room@example.org>")]), bad),
        ("3.1.2.7", edited(plain(), start, "OPTIONS <sip:x@example.org> SIP/2.0"), bad),
        ("3.1.2.8", edited(plain(), start, "OPTIONS sip:x@example.org; lr SIP/2.0"), bad),
        ("3.1.2.9", edited(plain(), start, "OPTIONS  sip:x@example.org  SIP/2.0"), bad),
        ("3.1.2.10", edited(plain(), start, "OPTIONS sip:x@example.org SIP/2.0  "), bad),
        ("3.1.2.11", options("sip:x@example.org?Route=%3Csip:y%3E", &[]), bad),
        ("3.1.2.12", invite(&[("Date", "Fri, 01 Jan 2010 16:00:00 EST")]), Accepted),
        ("3.1.2.13", register(&[("Contact", "sip:t@example.org?Route=%3Csip:y%3E")]), bad),
        ("3.1.2.14", options(uri, &[("To", "\"W\" < sip:w@x y.org >")]), bad),
        ("3.1.2.15", options(uri, &[("From", "B(ell), A <sip:b@x.org>;tag=4")]), bad),
        ("3.1.2.16", edited(plain(), "SIP/2.0\r\n", "SIP/7.0\r\n"), Refused(&[505])),
        ("3.1.2.17", options(uri, &mismatched), bad),
        ("3.1.2.18", request("NEWMETHOD", uri, &mismatched, ""), Refused(&[400, 501])),
        ("3.1.2.19", response("SIP/2.0 4294967301 Better", &[]), Dropped),
    ]
}

/// RFC 4475 sections 3.2 to 3.4: transactions, applications, the old RFC.
fn applied() -> Cases {
    let uri = "sip:x@example.org";
    let contact = |contact| register(&[("Contact", contact)]);
    let lengths = [("Content-Length", &*SDP.len().to_string()), ("Content-Length", "5")];
    let broadcast = [("Via", "SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1")];
    let old = [
        ("Via", "SIP/2.0/UDP 192.0.2.9"),
        ("From", "<sip:old@example.org>"),
        ("Max-Forwards", "-"),
    ];
    vec![
        ("3.2.1", options(uri, &[("Via", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK")]), Accepted),
        ("3.3.1", invite(&[("From", "-"), ("Call-ID", "-")]), Refused(&[400])),
        ("3.3.2", options("nobodyKnowsThis:totallyopaque", &[]), Refused(&[416])),
        ("3.3.3", options("soap.beep://192.0.2.9:3002", &[]), Refused(&[416])),
        ("3.3.4", options(uri, &[("To", "<isbn:2983792873>")]), Accepted),
        ("3.3.5", options(uri, &[("Require", "nothingSupportsThis")]), Refused(&[420])),
        ("3.3.6", invite(&[("Content-Type", "application/unknown")]), Refused(&[415])),
        ("3.3.7", register(&[("Authorization", "NoOneKnows opaque-data=here")]), Accepted),
        ("3.3.8", invite(&[("CSeq", "7 INVITE"), ("CSeq", "8 INVITE")]), Refused(&[400])),
        ("3.3.9", invite(&lengths), Refused(&[400])),
        ("3.3.10", response("SIP/2.0 200 OK", &broadcast), Dropped),
        ("3.3.11", options(uri, &[("Max-Forwards", "0")]), Refused(&[200])),
        ("3.3.12", contact("sip:+19725552222@gw1.example.net;unknownparam"), Refused(&[200])),
        ("3.3.13", contact("<sip:+19725552222@gw1.example.net;unknownparam>"), Refused(&[200])),
        ("3.3.14", contact("<sip:u@example.org?Route=%3Csip:sip.example.org%3E>"), Refused(&[200])),
        ("3.3.15", invite(&[("Accept", "text/nobodyKnowsThis")]), Refused(&[400, 406])),
        ("3.4.1", invite(&old), Accepted),
    ]
}

/// RFC 5118 section 4: addresses of version 6.
fn version_6() -> Cases {
    let via = |via| options("sip:x@[2001:db8::10]", &[("Via", via)]);
    let to = |uri| request("REGISTER", uri, &[], "");
    let sdp = |connection: &str| {
        let body = SDP.replace("c=IN IP4 192.0.2.7", connection);
        request("INVITE", "sip:room@[2001:db8::10]", &[], &body)
    };
    let received = "SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3";
    let delimited = "SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3";
    let both = "SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKa, SIP/2.0/UDP 192.0.2.1";
    vec![
        ("v6 4.1", register(&[("Contact", "<sip:a@[2001:db8::9:1]>")]), Accepted),
        ("v6 4.2", to("sip:2001:db8::10"), Refused(&[400])),
        ("v6 4.3", to("sip:[2001:db8::10:5070]"), Accepted),
        ("v6 4.4", to("sip:[2001:db8::10]:5070"), Accepted),
        ("v6 4.5 bare", via(received), Accepted),
        ("v6 4.5 delimited", via(delimited), Accepted),
        ("v6 4.6", sdp("c=IN IP6 2001:db8::20"), Accepted),
        ("v6 4.7", via(both), Accepted),
        ("v6 4.8", sdp("c=IN IP4 192.0.2.7\r\nb=AS:64"), Accepted),
        ("v6 4.9", sdp("c=IN IP6 ::ffff:192.0.2.16"), Accepted),
        ("v6 4.10 three", via("SIP/2.0/UDP [2001:db8:::192.0.2.1];branch=z9hG4bKb"), Accepted),
        ("v6 4.10 two", via("SIP/2.0/UDP [2001:db8::192.0.2.1];branch=z9hG4bKb"), Accepted),
    ]
}

#[test]
fn our_own_message_for_each_section_comes_to_what_the_rfc_says() {
    let cases = [valid(), malformed(), applied(), version_6()].concat();
    assert_eq!(cases.len(), 61);
    let judged = cases.iter().flat_map(|(name, message, wanted)| judge(name, message, *wanted));
    let faults: Vec<String> = judged.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_originals_come_to_what_the_rfcs_say() {
    let Some(folder) = originals() else {
        println!("the originals are not beside the repository: only our own messages were played");
        return;
    };
    let table = std::fs::read_to_string(folder.join("expected.csv")).unwrap();
    let mut faults = Vec::new();
    let mut played = 0;
    for line in table.lines().skip(1) {
        let fields = fields(line);
        let message = std::fs::read(folder.join(&fields[0])).unwrap();
        assert_eq!(message.len().to_string(), fields[8], "{} has other octets", fields[0]);
        let sum = Sha256::digest(&message)
            .iter()
            .fold(String::new(), |text, octet| format!("{text}{octet:02x}"));
        assert_eq!(sum, fields[9], "{} has other octets", fields[0]);
        let [kind, expected, notes] = [&fields[4], &fields[6], &fields[7]];
        faults.extend(judge(&fields[0], &message, outcome(kind, expected, notes)));
        faults.extend(explained(&fields[0], &message, expected));
        played += 1;
    }
    println!("{played} originals were played, bit by bit as they are, in three deliveries each");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The folder of the originals: named by `SIDETONE_SHARED`, or beside a folder that we are in.
fn originals() -> Option<PathBuf> {
    let named = std::env::var_os("SIDETONE_SHARED").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1);
    let mut candidates = named.into_iter().chain(beside.map(|folder| folder.join("shared")));
    candidates.find_map(|folder| {
        let folder = folder.join("sip-torture");
        folder.join("expected.csv").is_file().then_some(folder)
    })
}

/// Parts a line of the table; commas in quotes part nothing.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => fields.last_mut().unwrap().push(character),
        }
    }
    fields
}

/// What the table says of an original; its notes name what is allowed as well.
fn outcome(kind: &str, expected: &str, notes: &str) -> Outcome {
    // A response that we did not ask for is dropped, well formed or not.
    if kind == "response" {
        return Dropped;
    }
    let numbers = |text: &str| -> Vec<u16> {
        let words = text.split(|c: char| !c.is_ascii_digit()).filter(|word| word.len() == 3);
        words.filter_map(|word| word.parse().ok()).collect()
    };
    match numbers(expected) {
        first if first.is_empty() || expected.contains(" or ") => Accepted,
        mut allowed => {
            allowed.extend(numbers(notes));
            Refused(allowed.leak())
        }
    }
}

/// Whether a refusal carries the header that the table wants: `501 + Allow`.
fn explained(name: &str, message: &[u8], expected: &str) -> Option<String> {
    let (_, header) = expected.split_once(" + ")?;
    let mut agent = Agent::new(Config::open(at(5_060), [9; 32]));
    agent.handle_message(SocketAddr::from(([192, 0, 2, 9], 5_060)), message, Instant::now());
    let answer = agent.poll_transmit().map(|transmit| transmit.octets).unwrap_or_default();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let fault = format!("{name}: there is no {header} in {answer}");
    (!answer.contains(&format!("\r\n{header}: "))).then_some(fault)
}

/// Plays a message in its three deliveries; returns what was not as wanted.
fn judge(name: &str, message: &[u8], wanted: Outcome) -> Vec<String> {
    let now = Instant::now();
    let mut faults = Vec::new();
    for (delivery, size) in [("datagram", 0), ("stream", message.len()), ("octets", 1)] {
        let mut agent = Agent::new(Config::open(at(5_060), [9; 32]));
        let peer = SocketAddr::from(([192, 0, 2, 9], 5_060));
        let framed = deliver(&mut agent, peer, message, size, now);
        let said = statuses(&mut agent);
        // In a stream a wrong length cannot be told from a message that is on its way.
        let unframed = size > 0 && !framed && said.iter().all(|status| *status == 513);
        let right = match wanted {
            // What follows it in a stream is another message.
            Accepted => !said.first().is_some_and(|status| matches!(status, 400 | 416 | 505 | 513)),
            Refused(allowed) => said.first().is_some_and(|status| allowed.contains(status)),
            Dropped => said.is_empty(),
        };
        if !right && !unframed {
            faults.push(format!("{name} by {delivery}: {said:?}, wanted {wanted:?}"));
        }
        // Nothing is left of it once the calls that it made are turned away.
        while let Some(event) = agent.poll_event() {
            if let sip::Event::Invite(invitation) = event {
                agent.reject(invitation.call, 486, now);
            }
        }
        for seconds in [1, 33, 66, 3_700] {
            agent.handle_timeout(now + Duration::from_secs(seconds));
        }
        while agent.poll_transmit().is_some() {}
        if agent.poll_timeout().is_some() {
            faults.push(format!("{name} by {delivery}: something was kept"));
        }
        let next = options("sip:x@example.org", &[("Call-ID", "next@192.0.2.9")]);
        agent.handle_message(peer, &next, now);
        if statuses(&mut agent) != [200] {
            faults.push(format!("{name} by {delivery}: the next request is not answered"));
        }
    }
    faults
}

/// Hands a message over in pieces of `size`, 0 for a datagram; false where a stream was not framed.
fn deliver(agent: &mut Agent, from: SocketAddr, message: &[u8], size: usize, now: Instant) -> bool {
    if size == 0 {
        agent.handle_message(from, message, now);
        return true;
    }
    let peer = Peer { address: from, transport: Transport::Tcp };
    let mut framer = Framer::default();
    let mut framed = false;
    for piece in message.chunks(size) {
        framer.push(piece);
        while let Some(found) = framer.poll() {
            match found {
                Framed::Message(octets) => {
                    framed = true;
                    agent.handle_message(peer, &octets, now);
                }
                Framed::TooLarge(head) => agent.handle_too_large(peer, &head),
                Framed::Ping => {}
            }
        }
    }
    framed
}

/// Returns the statuses of the final responses that were sent.
fn statuses(agent: &mut Agent) -> Vec<u16> {
    let sent = std::iter::from_fn(|| agent.poll_transmit());
    sent.filter_map(|transmit| {
        let text = String::from_utf8_lossy(&transmit.octets).into_owned();
        text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    })
    .filter(|status| *status >= 200)
    .collect()
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}
