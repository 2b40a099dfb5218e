//! Two agents in a room, and phones that misbehave.

#![allow(clippy::disallowed_methods)] // The tests may read the clock for an epoch.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::*;

fn agent(port: u16) -> Agent {
    Agent::new(Config { address: at(port), seed: [port as u8; 32] })
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Carries everything that `from` has to say to `to`; returns the first lines.
fn carry(from: &mut Agent, sender: u16, to: &mut Agent, now: Instant) -> Vec<String> {
    std::iter::from_fn(|| from.poll_transmit())
        .map(|transmit| {
            to.handle_message(at(sender), &transmit.octets, now);
            String::from_utf8_lossy(&transmit.octets).lines().next().unwrap().to_owned()
        })
        .collect()
}

fn call(a: &mut Agent, b: &mut Agent, now: Instant) -> (CallId, CallId) {
    let ours = a.new_call();
    a.invite(ours, "sip:bob@127.0.0.1:2", at(2), ("alice", Some("Alice")), at(4_000), now);
    carry(a, 1, b, now);
    let Some(Event::Invite(invitation)) = b.poll_event() else { panic!("no invitation") };
    assert_eq!(
        (&*invitation.to, invitation.display_name.as_deref()),
        ("sip:bob@127.0.0.1:2", Some("Alice"))
    );
    assert_eq!(invitation.offer.unwrap().audio.address, at(4_000));
    (ours, invitation.call)
}

#[test]
fn a_call_rings_is_answered_and_ends() {
    let now = Instant::now();
    let (mut a, mut b) = (agent(1), agent(2));
    let (ours, theirs) = call(&mut a, &mut b, now);
    b.ring(theirs);
    b.answer(theirs, at(5_000), now);
    carry(&mut b, 2, &mut a, now);
    assert_eq!(a.poll_event(), Some(Event::Ringing(ours, None)));
    let Some(Event::Answered(_, Some(session))) = a.poll_event() else { panic!("no answer") };
    assert_eq!(session.audio.address, at(5_000));
    assert_eq!(session.audio.codecs, [(0, Codec::Pcmu)]);
    carry(&mut a, 1, &mut b, now);
    assert_eq!(b.poll_event(), Some(Event::Acknowledged(theirs, None)));
    b.hang_up(theirs, now);
    assert!(carry(&mut b, 2, &mut a, now)[0].starts_with("BYE sip:sidetone@127.0.0.1:1"));
    assert_eq!(a.poll_event(), Some(Event::Ended(ours, Ended::HungUp)));
    assert_eq!(carry(&mut a, 1, &mut b, now), ["SIP/2.0 200 OK"]);
}

#[test]
fn a_call_taken_back_while_it_rings_is_487() {
    let now = Instant::now();
    let (mut a, mut b) = (agent(1), agent(2));
    let (ours, theirs) = call(&mut a, &mut b, now);
    b.ring(theirs);
    carry(&mut b, 2, &mut a, now);
    a.hang_up(ours, now);
    carry(&mut a, 1, &mut b, now);
    assert_eq!(b.poll_event(), Some(Event::Ended(theirs, Ended::HungUp)));
    let said = carry(&mut b, 2, &mut a, now);
    assert_eq!(said, ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"]);
    assert_eq!(a.poll_event(), Some(Event::Ringing(ours, None)));
    assert_eq!(a.poll_event(), Some(Event::Failed(ours, 487)));
}

#[test]
fn a_lost_answer_and_a_lost_ack_are_repeated() {
    let now = Instant::now();
    let (mut a, mut b) = (agent(1), agent(2));
    let (_, theirs) = call(&mut a, &mut b, now);
    b.answer(theirs, at(5_000), now);
    while b.poll_transmit().is_some() {}
    let later = now + Duration::from_millis(600);
    b.handle_timeout(later);
    carry(&mut b, 2, &mut a, later);
    assert!(matches!(a.poll_event(), Some(Event::Answered(..))));
    while a.poll_transmit().is_some() {}
    let later = now + Duration::from_secs(3);
    b.handle_timeout(later);
    carry(&mut b, 2, &mut a, later);
    assert!(carry(&mut a, 1, &mut b, later)[0].starts_with("ACK"));
    assert_eq!(b.poll_event(), Some(Event::Acknowledged(theirs, None)));
}

#[test]
fn an_answer_that_nobody_acknowledges_ends_the_call() {
    let now = Instant::now();
    let (mut a, mut b) = (agent(1), agent(2));
    let (_, theirs) = call(&mut a, &mut b, now);
    b.answer(theirs, at(5_000), now);
    for second in 1..40 {
        b.handle_timeout(now + Duration::from_secs(second));
    }
    assert_eq!(b.poll_event(), Some(Event::Ended(theirs, Ended::Lost)));
    let last = std::iter::from_fn(|| b.poll_transmit()).last().unwrap();
    assert!(last.octets.starts_with(b"BYE"));
}

#[test]
fn a_phone_that_holds_is_answered_in_kind() {
    let offer = |rest: &str| {
        let text = format!("v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nt=0 0\r\n{rest}");
        Session::parse(text.as_bytes()).unwrap()
    };
    for (rest, sends, receives, mirrored) in [
        ("c=IN IP4 10.0.0.1\r\nm=audio 9 RTP/AVP 8\r\na=sendonly\r\n", true, false, "recvonly"),
        ("c=IN IP4 10.0.0.1\r\nm=audio 9 RTP/AVP 8\r\na=inactive\r\n", false, false, "inactive"),
        ("c=IN IP4 0.0.0.0\r\nm=audio 9 RTP/AVP 8\r\n", true, false, "recvonly"),
        ("c=IN IP4 10.0.0.1\r\nm=audio 9 RTP/AVP 8\r\n", true, true, "sendrecv"),
    ] {
        let session = offer(rest);
        assert_eq!((session.audio.sends, session.audio.receives), (sends, receives));
        let answer = String::from_utf8(answer(&session, at(1), 1)).unwrap();
        assert!(answer.contains(&format!("a={mirrored}\r\n")), "{answer}");
    }
}

#[test]
fn what_is_broken_is_refused_and_leaves_nothing() {
    let now = Instant::now();
    let request = |line: &str, more: &str| {
        format!(
            "{line}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK{}\r\n{more}\r\n",
            line.len() + more.len()
        )
    };
    let whole = "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n";
    for (line, more, expected) in [
        ("INVITE sip:c@d SIP/2.0", "To: <sip:c@d>\r\n", "SIP/2.0 400 "),
        ("INVITE sip:c@d SIP/2.0", &format!("{whole}Max-Forwards: 0\r\n"), "SIP/2.0 483 "),
        ("INVITE sip:c@d SIP/2.0", &format!("{whole}Require: magic\r\n"), "SIP/2.0 420 "),
        ("INVITE sip:c@d SIP/2.0", whole, "SIP/2.0 400 "),
        ("DANCE sip:c@d SIP/2.0", &whole.replace("INVITE", "DANCE"), "SIP/2.0 501 "),
        ("REFER sip:c@d SIP/2.0", &whole.replace("INVITE", "REFER"), "SIP/2.0 405 "),
        ("BYE sip:c@d SIP/2.0", &whole.replace("INVITE", "BYE"), "SIP/2.0 481 "),
        ("OPTIONS sip:c@d SIP/2.0", &whole.replace("INVITE", "OPTIONS"), "SIP/2.0 200 "),
    ] {
        let mut agent = agent(1);
        agent.handle_message(at(9), request(line, more).as_bytes(), now);
        let answer = String::from_utf8(agent.poll_transmit().unwrap().octets).unwrap();
        assert!(answer.starts_with(expected), "{line} {more}: {answer}");
        assert_eq!(agent.poll_event(), None);
    }
}

#[test]
fn no_octets_make_it_panic() {
    let now = Instant::now();
    let (mut a, mut b) = (agent(1), agent(2));
    let id = a.new_call();
    a.invite(id, "sip:bob@127.0.0.1:2", at(2), ("alice", None), at(4_000), now);
    let good = a.poll_transmit().unwrap().octets;
    let mut random = 1_u32;
    for round in 0..20_000_u32 {
        let mut bad = good.clone();
        for _ in 0..1 + round % 4 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let place = random as usize % bad.len();
            match random >> 30 {
                0 => bad.truncate(place + 1),
                1 => bad[place] = b"\r\n;<>:=\" "[place % 9],
                _ => bad[place] = (random >> 16) as u8,
            }
        }
        b.handle_message(at(1), &bad, now + Duration::from_millis(round.into()));
        while b.poll_transmit().is_some() || b.poll_event().is_some() {}
    }
}
