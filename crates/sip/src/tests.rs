//! Two agents in a room, and phones that misbehave.

#![allow(clippy::disallowed_methods)] // The tests may read the clock for an epoch.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::*;

mod addresses;
mod codecs;
mod floods;
mod levels;
mod lossy;
mod offers;
mod protection;
mod races;
mod registrar;
mod reliable;
mod restarts;
mod session_timer;
mod tls;

/// An agent and the time, for phones that are made of text at port 9.
struct World {
    agent: Agent,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self { agent: agent(1), now: Instant::now() }
    }

    /// Hands a message over; returns what is sent.
    fn says(&mut self, message: &str) -> Vec<Message> {
        self.agent.handle_message(at(9), message.as_bytes(), self.now);
        self.sent()
    }

    fn sent(&mut self) -> Vec<Message> {
        let sent = std::iter::from_fn(|| self.agent.poll_transmit());
        sent.map(|transmit| Message::parse(&transmit.octets).unwrap()).collect()
    }

    /// Lets time pass, deadline by deadline; returns what is sent.
    fn after(&mut self, seconds: f64) -> Vec<Message> {
        let end = self.now + Duration::from_secs_f64(seconds);
        let mut sent = Vec::new();
        while let Some(due) = self.agent.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.agent.handle_timeout(self.now);
            sent.extend(self.sent());
        }
        self.now = end;
        sent
    }

    fn event(&mut self) -> Option<Event> {
        self.agent.poll_event()
    }

    /// Takes a call of a phone made of text up to before it is answered; returns it and our tag.
    fn offered(&mut self, more: &str, body: &str) -> CallId {
        let answers = self.says(&request("INVITE", 1, "", more, body));
        assert_eq!(lines(&answers), ["100"]);
        let Some(Event::Invite(invitation)) = self.event() else { panic!("no invitation") };
        invitation.call
    }

    /// Takes a call up to its ACK; returns it, our tag and what we answered.
    fn up(&mut self, more: &str, body: &str) -> (CallId, String, Message) {
        let id = self.offered(more, body);
        self.agent.answer(id, at(5_000), self.now);
        let answer = self.sent().pop().unwrap();
        let tag = answer.tag("To").unwrap().to_owned();
        self.says(&request("ACK", 1, &tag, "", if body.is_empty() { SDP } else { "" }));
        assert!(matches!(self.event(), Some(Event::Acknowledged(..))));
        (id, tag, answer)
    }

    /// Calls a phone made of text, which answers with `more` and a description; returns the call,
    /// our INVITE and the phone's 2xx.
    fn calls(&mut self, more: &str) -> (CallId, Message, String) {
        let id = self.agent.new_call();
        self.agent.invite(id, "sip:bob@127.0.0.1:9", at(9), ("us", None), at(5_000), self.now);
        let invite = self.sent().pop().unwrap();
        let answer = reply(&invite, "200 OK", "bob", more, SDP);
        let sent = self.says(&answer);
        assert_eq!(lines(&sent), ["ACK"]);
        assert!(matches!(self.event(), Some(Event::Answered(..))));
        (id, invite, answer)
    }
}

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                   m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

/// A request of a phone, in a dialog of ours if it has a tag.
fn request(method: &str, cseq: u32, tag: &str, more: &str, body: &str) -> String {
    let tag = if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sip:room@127.0.0.1:1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{method}{cseq}{}\r\n\
         From: <sip:phone@127.0.0.1:9>;tag=p\r\nTo: <sip:room@127.0.0.1:1>{tag}\r\n\
         Call-ID: text\r\nCSeq: {cseq} {method}\r\nContact: <sip:phone@127.0.0.1:9>\r\n\
         {more}{kind}\r\n{body}",
        more.len()
    )
}

/// A phone's response to a request of ours.
fn reply(to: &Message, status: &str, tag: &str, more: &str, body: &str) -> String {
    let mut response = to.response(status[..3].parse().unwrap(), Some(tag));
    response.push("Contact", "<sip:bob@127.0.0.1:9>");
    for line in more.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response.push(name, value);
    }
    if !body.is_empty() {
        response.push("Content-Type", "application/sdp");
        response.body = body.as_bytes().to_vec();
    }
    String::from_utf8(response.write()).unwrap()
}

/// The statuses and methods of what is sent.
fn lines(messages: &[Message]) -> Vec<String> {
    let line = |message: &Message| match &message.start {
        Start::Request { method, .. } => method.clone(),
        Start::Response { status, .. } => status.to_string(),
    };
    messages.iter().map(line).collect()
}

fn text(message: &Message) -> String {
    String::from_utf8(message.body.clone()).unwrap()
}

/// Returns the answer of a telephone to an offer.
fn answered(session: &Session, ours: SocketAddr) -> Vec<u8> {
    crate::sdp::answer(session, &Terms::telephone(), &[], (ours, 3))
}

fn agent(port: u16) -> Agent {
    Agent::new(Config::open(at(port), [port as u8; 32]))
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
        Session::parse(text.as_bytes(), &Terms::telephone()).unwrap()
    };
    for (rest, sends, receives, mirrored) in [
        ("c=IN IP4 10.0.0.1\r\nm=audio 9 RTP/AVP 8\r\na=sendonly\r\n", true, false, "recvonly"),
        ("c=IN IP4 10.0.0.1\r\nm=audio 9 RTP/AVP 8\r\na=inactive\r\n", false, false, "inactive"),
        ("c=IN IP4 0.0.0.0\r\nm=audio 9 RTP/AVP 8\r\n", true, false, "recvonly"),
        ("a=inactive\r\nc=IN IP4 10.0.0.1\r\nm=audio 9 RTP/AVP 8\r\n", false, false, "inactive"),
        (
            "a=inactive\r\nc=IN IP4 10.0.0.1\r\nm=audio 9 RTP/AVP 8\r\na=sendrecv\r\n",
            true,
            true,
            "sendrecv",
        ),
        ("c=IN IP4 10.0.0.1\r\nm=audio 9 RTP/AVP 8\r\n", true, true, "sendrecv"),
    ] {
        let session = offer(rest);
        assert_eq!((session.audio.sends, session.audio.receives), (sends, receives));
        let answer = String::from_utf8(answered(&session, at(1))).unwrap();
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
        ("INVITE sip:c@d SIP/2.0", &format!("{whole}Max-Forwards: x\r\n"), "SIP/2.0 400 "),
        ("INVITE sip:c@d SIP/2.0", &format!("{whole}Require: magic\r\n"), "SIP/2.0 420 "),
        ("INVITE tel:123 SIP/2.0", whole, "SIP/2.0 416 "),
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

/// Sends a request and returns the answer.
fn ask(agent: &mut Agent, from: &str, request: &str, now: Instant) -> Message {
    agent.handle_message(from.parse::<SocketAddr>().unwrap(), request.as_bytes(), now);
    Message::parse(&agent.poll_transmit().unwrap().octets).unwrap()
}

fn register(number: u32, more: &str) -> String {
    format!(
        "REGISTER sip:sidetone SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.5;branch=z9hG4bK{number}\r\n\
         From: <sip:alice@sidetone>;tag=1\r\nTo: <sip:alice@sidetone>\r\nCall-ID: r\r\n\
         CSeq: {number} REGISTER\r\nContact: <sip:alice@192.0.2.5>;expires=60\r\n{more}\r\n"
    )
}

#[test]
fn a_phone_from_elsewhere_proves_who_it_is_before_it_registers() {
    let now = Instant::now();
    let credentials = Credentials { user: "AC1".to_owned(), password: "token".to_owned() };
    let access =
        Access { credentials: credentials.clone(), loopback_is_free: true, md5_alone: false };
    let mut agent = Agent::new(Config { access: Some(access), ..Config::open(at(5_060), [1; 32]) });
    let status = |answer: &Message| match answer.start {
        Start::Response { status, .. } => status,
        Start::Request { .. } => 0,
    };
    let here = ask(&mut agent, "127.0.0.1:9", &register(1, ""), now);
    assert_eq!(status(&here), 200, "loopback is free");
    let refused = ask(&mut agent, "192.0.2.5:5060", &register(2, ""), now);
    assert_eq!(status(&refused), 401);
    let asked = ("REGISTER", "sip:sidetone");
    let prove = |challenged: &Message, credentials: &Credentials| {
        let challenges = challenged.all("WWW-Authenticate");
        let value =
            crate::digest::authorize(challenges, asked, &credentials.clone().into(), "c").unwrap();
        format!("Authorization: {value}\r\n")
    };
    let wrong = Credentials { password: "guess".to_owned(), ..credentials.clone() };
    let refused = ask(&mut agent, "192.0.2.5:5060", &register(3, &prove(&refused, &wrong)), now);
    assert_eq!(status(&refused), 401);
    let proof = prove(&refused, &credentials);
    let taken = ask(&mut agent, "192.0.2.5:5060", &register(4, &proof), now);
    assert_eq!(status(&taken), 200);
    let replayed = ask(&mut agent, "192.0.2.5:5060", &register(5, &proof), now);
    assert_eq!(status(&replayed), 401);
    assert!(replayed.header("WWW-Authenticate").unwrap().contains("stale=true"));
    let invite = register(6, "").replace("REGISTER", "INVITE");
    assert_eq!(status(&ask(&mut agent, "192.0.2.5:5060", &invite, now)), 401);
}

#[test]
fn a_phone_that_challenges_us_is_answered_once() {
    let now = Instant::now();
    let mut agent = agent(1);
    let call = agent.new_call();
    agent.invite(call, "sip:bob@127.0.0.1:2", at(2), ("alice", None), at(4_000), now);
    let credentials = Credentials { user: "u".to_owned(), password: "p".to_owned() };
    agent.set_proof(call, credentials.into());
    for (round, expected) in [(1, "INVITE"), (2, "")] {
        let sent = Message::parse(&agent.poll_transmit().unwrap().octets).unwrap();
        assert_eq!(sent.cseq(), Some((round, "INVITE")));
        assert_eq!(sent.header("Proxy-Authorization").is_some(), round == 2);
        let mut challenge = sent.response(407, Some("theirs"));
        let value = "Digest realm=\"them\", nonce=\"n\", algorithm=MD5, qop=\"auth\"";
        challenge.headers.push(("Proxy-Authenticate".to_owned(), value.to_owned()));
        agent.handle_message(at(2), &challenge.write(), now);
        let ack = Message::parse(&agent.poll_transmit().unwrap().octets).unwrap();
        assert_eq!(ack.cseq(), Some((round, "ACK")));
        if expected.is_empty() {
            assert_eq!(agent.poll_event(), Some(Event::Failed(call, 407)));
        }
    }
}

#[test]
fn a_dialog_that_outlived_its_agent_is_ended_by_the_next() {
    let now = Instant::now();
    let (mut a, mut b) = (agent(1), agent(2));
    let (ours, theirs) = call(&mut a, &mut b, now);
    assert_eq!(a.dialog(ours), None, "not answered yet");
    b.answer(theirs, at(5_000), now);
    carry(&mut b, 2, &mut a, now);
    carry(&mut a, 1, &mut b, now);
    while b.poll_event().is_some() {}
    let mut reborn = Agent::new(Config::open(at(1), [77; 32]));
    let ended = reborn.end_dialog(a.dialog(ours).unwrap(), now);
    assert!(carry(&mut reborn, 1, &mut b, now)[0].starts_with("BYE "));
    assert_eq!(b.poll_event(), Some(Event::Ended(theirs, Ended::HungUp)));
    carry(&mut b, 2, &mut reborn, now);
    assert_eq!(reborn.poll_event(), Some(Event::Parted(ended)));
}

#[test]
fn a_response_to_a_request_of_too_many_headers_can_be_read() {
    for (line, more) in
        [("From: <sip:a@b>;tag=1\r\n", 120), ("Via: SIP/2.0/UDP h;branch=z\r\n", 123)]
    {
        let request = format!(
            "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nTo: <sip:c@d>\r\n\
             From: <sip:a@b>;tag=1\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n{}\r\n",
            line.repeat(more)
        );
        let request = Message::parse(request.as_bytes()).unwrap();
        let mut response = request.response(400, Some("tag"));
        response.headers.push(("Allow".to_owned(), "OPTIONS".to_owned()));
        let read = Message::parse(&response.write()).unwrap();
        assert_eq!(read.all("From").count(), 1, "{line}");
    }
}

#[test]
fn special_headers_of_an_answer_are_told_before_it() {
    let mut desk = World::new();
    let id = desk.agent.new_call();
    desk.agent.invite(id, "sip:bob@127.0.0.1:9", at(9), ("us", None), at(5_000), desk.now);
    let invite = desk.sent().pop().unwrap();
    assert_eq!(desk.agent.call_id(id), invite.header("Call-ID"));
    desk.says(&reply(&invite, "200 OK", "bob", "X-Shelf: 9\r\nSubject: none\r\n", SDP));
    let headers = vec![("X-Shelf".to_owned(), "9".to_owned())];
    assert_eq!(desk.event(), Some(Event::AnswerHeaders(id, headers)));
    assert!(matches!(desk.event(), Some(Event::Answered(..))));
}
