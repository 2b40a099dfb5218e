//! Version 6, escapes, compact names, and where an answer goes.

use super::*;

#[test]
fn a_whole_call_in_version_6() {
    let now = Instant::now();
    let address = |port: u16| SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port));
    let mut a = Agent::new(Config::open(address(1), [1; 32]));
    let mut b = Agent::new(Config::open(address(2), [2; 32]));
    let id = a.new_call();
    a.invite(id, "sip:[::1]:2", address(2), ("a", None), address(4_000), now);
    let invite = a.poll_transmit().unwrap();
    let text = String::from_utf8(invite.octets.clone()).unwrap();
    for line in [
        "INVITE sip:[::1]:2 SIP/2.0\r\n",
        "Via: SIP/2.0/UDP [::1]:1;rport;branch=",
        "Contact: <sip:sidetone@[::1]:1>\r\n",
        "c=IN IP6 ::1\r\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    b.handle_message(address(1), &invite.octets, now);
    let Some(Event::Invite(invitation)) = b.poll_event() else { panic!("no invitation") };
    assert_eq!(invitation.to, "sip:[::1]:2");
    assert_eq!(invitation.offer.unwrap().audio.address, address(4_000));
    b.answer(invitation.call, address(5_000), now);
    while let Some(transmit) = b.poll_transmit() {
        assert_eq!(transmit.to, address(1));
        a.handle_message(address(2), &transmit.octets, now);
    }
    let Some(Event::Answered(_, Some(session))) = a.poll_event() else { panic!("no answer") };
    assert_eq!(session.audio.address, address(5_000));
    a.hang_up(id, now);
    let sent: Vec<_> = std::iter::from_fn(|| a.poll_transmit()).collect();
    assert!(sent[1].octets.starts_with(b"BYE sip:sidetone@[::1]:2 SIP/2.0"));
}

#[test]
fn the_via_says_where_a_request_came_from() {
    for (via, source, expected) in [
        ("127.0.0.1:9", "127.0.0.1:9", ""),
        ("127.0.0.1:7", "127.0.0.1:9", ""),
        ("127.0.0.1:9;rport", "127.0.0.1:9", ";rport=9;received=127.0.0.1"),
        ("10.0.0.1:9", "127.0.0.1:9", ";received=127.0.0.1"),
        ("phone.example.org", "127.0.0.1:9", ";received=127.0.0.1"),
        ("phone;received=10.9.9.9", "127.0.0.1:9", ";received=127.0.0.1"),
        ("[::1]:9;rport", "[::1]:9", ";rport=9;received=::1"),
        ("[::1]", "[::1]:9", ""),
        ("[::2]", "[::1]:9", ";received=::1"),
        ("127.0.0.1", "[::ffff:127.0.0.1]:9", ""),
    ] {
        let mut agent = agent(1);
        let options = request("OPTIONS", 1, "", "", "");
        let options = options.replace("UDP 127.0.0.1:9;", &format!("UDP {via};"));
        let answer = ask(&mut agent, source, &options, Instant::now());
        let marked = answer.header("Via").unwrap();
        let by = via.split(';').next().unwrap();
        assert_eq!(marked, format!("SIP/2.0/UDP {by};branch=z9hG4bKOPTIONS10{expected}"), "{via}");
    }
}

#[test]
fn compact_names_are_as_good_as_long_ones() {
    let mut world = World::new();
    let mut compact = request("INVITE", 1, "", "Session-Expires: 300\r\nSupported: timer\r\n", SDP);
    for (long, short) in [
        ("Via", "v"),
        ("From", "f"),
        ("To", "t"),
        ("Call-ID", "i"),
        ("Contact", "m"),
        ("Session-Expires", "x"),
        ("Supported", "k"),
        ("Content-Type", "c"),
    ] {
        compact = compact.replace(&format!("\r\n{long}: "), &format!("\r\n{short} :"));
    }
    assert!(!compact.contains("Contact"));
    assert_eq!(lines(&world.says(&compact)), ["100"]);
    let Some(Event::Invite(invitation)) = world.event() else { panic!("no invitation") };
    world.agent.answer(invitation.call, at(5_000), world.now);
    let answer = world.sent().pop().unwrap();
    assert_eq!(answer.header("Session-Expires"), Some("300;refresher=uac"));
}

#[test]
fn lists_are_parted_at_their_own_commas() {
    let message = Message::parse(
        b"OPTIONS sip:a SIP/2.0\r\nContact: \"a, \\\"b\" <sip:a,b@h>;q=1 , <sip:c@h>,\r\nContact: sip:d\r\n\r\n",
    );
    let message = message.unwrap();
    let values: Vec<_> = message.values("Contact").collect();
    assert_eq!(values, ["\"a, \\\"b\" <sip:a,b@h>;q=1", "<sip:c@h>", "sip:d"]);
}

#[test]
fn a_header_has_bounds() {
    let parse =
        |value: &str| Message::parse(format!("X sip:a SIP/2.0\r\na: {value}\r\n\r\n").as_bytes());
    assert!(parse(&"x".repeat(HEADER_MAX - 3)).is_ok());
    assert_eq!(parse(&"x".repeat(HEADER_MAX)), Err(ParseError::Header));
    assert_eq!(parse(&"x\r\n y".repeat(HEADER_MAX / 2)), Err(ParseError::Header));
}
