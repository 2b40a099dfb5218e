//! TLS: how we are spoken to by it, and names that are reached in no other way.

use std::collections::BTreeMap;

use super::*;

const OURS: u16 = 5_061;

/// An agent that is reached by TLS as well.
fn world() -> World {
    let config = Config { tls: Some(at(OURS)), ..Config::open(at(1), [1; 32]) };
    World { agent: Agent::new(config), now: Instant::now() }
}

fn by_tls(port: u16) -> Peer {
    Peer { address: at(port), transport: Transport::Tls }
}

/// Hands a message over that came by TLS; returns what is sent, all of it by TLS.
fn says(world: &mut World, message: &str) -> Vec<Message> {
    let message = message.replace("SIP/2.0/UDP", "SIP/2.0/TLS");
    world.agent.handle_message(by_tls(9), message.as_bytes(), world.now);
    let sent = std::iter::from_fn(|| world.agent.poll_transmit());
    sent.map(|transmit| {
        assert_eq!((transmit.to, transmit.transport), (at(9), Transport::Tls));
        Message::parse(&transmit.octets).unwrap()
    })
    .collect()
}

/// Calls in by TLS under a scheme; returns the `Contact` of our answer, and the `Via` of our BYE.
fn called(scheme: &str) -> (String, String) {
    let mut world = world();
    let invite =
        request("INVITE", 1, "", "", SDP).replace("INVITE sip:", &format!("INVITE {scheme}:"));
    assert_eq!(lines(&says(&mut world, &invite)), ["100"]);
    let Some(Event::Invite(invitation)) = world.event() else { panic!("no invitation") };
    world.agent.answer(invitation.call, at(5_000), world.now);
    let answer = Message::parse(&world.agent.poll_transmit().unwrap().octets).unwrap();
    let tag = answer.tag("To").unwrap().to_owned();
    assert_eq!(lines(&says(&mut world, &request("ACK", 1, &tag, "", ""))), [""; 0]);
    world.agent.hang_up(invitation.call, world.now);
    let bye = world.agent.poll_transmit().unwrap();
    assert_eq!(bye.transport, Transport::Tls);
    let bye = Message::parse(&bye.octets).unwrap();
    let header = |message: &Message, name: &str| message.header(name).unwrap().to_owned();
    (header(&answer, "Contact"), header(&bye, "Via"))
}

#[test]
fn who_speaks_tls_is_told_where_tls_is() {
    let (contact, via) = called("sip");
    assert_eq!(contact, "<sip:sidetone@127.0.0.1:5061;transport=tls>");
    assert!(via.starts_with("SIP/2.0/TLS 127.0.0.1:5061;"), "{via}");
    assert_eq!(called("sips").0, "<sips:sidetone@127.0.0.1:5061>");
}

#[test]
fn we_show_keys_where_nobody_reads_along_and_do_without_them_if_we_must() {
    let mut world = world();
    let id = world.agent.new_call();
    world.agent.invite(id, "sips:bob@127.0.0.1:9", by_tls(9), ("us", None), at(5_000), world.now);
    let transmit = world.agent.poll_transmit().unwrap();
    let invite = Message::parse(&transmit.octets).unwrap();
    let offer = text(&invite);
    assert_eq!(transmit.transport, Transport::Tls);
    assert_eq!(invite.header("Contact"), Some("<sips:sidetone@127.0.0.1:5061>"));
    assert!(offer.contains("m=audio 5000 RTP/AVP 0 8 101\r\na=crypto:1 "), "{offer}");
    says(&mut world, &reply(&invite, "200 OK", "bob", "", SDP));
    let Some(Event::Answered(_, Some(session))) = world.event() else { panic!("no answer") };
    assert_eq!(session.audio.protection, None);
}

#[test]
fn a_secure_domain_takes_tls_with_encryption_and_nothing_else() {
    let mut world = world();
    let alice = Credentials { user: "alice".to_owned(), password: "secret".to_owned() };
    let domain = Domain {
        asks_networks: true,
        networks: vec![Network { address: at(9).ip(), prefix: 32 }],
        registrars: vec![alice],
        secure: true,
        ..Domain::default()
    };
    world.agent.set_domains(BTreeMap::from([("house.example".to_owned(), domain)]));
    let to = |text: String| text.replace("sip:room@127.0.0.1:1", "sip:room@house.example");
    let register = |cseq| to(request("REGISTER", cseq, "", "", "")).replace("room@", "alice@");
    for plain in [to(request("INVITE", 1, "", "", SDP)), register(2)] {
        let refused = world.says(&plain).pop().unwrap();
        assert_eq!(refused.status(), 403);
        assert!(refused.header("Warning").unwrap().contains("TLS is demanded"));
    }
    let refused = says(&mut world, &to(request("INVITE", 3, "", "", SDP))).pop().unwrap();
    assert_eq!(refused.status(), 488);
    assert!(refused.header("Warning").unwrap().contains("SRTP is demanded"));
    let keys =
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n";
    let protected = SDP.replace("RTP/AVP", "RTP/SAVP") + keys;
    assert_eq!(lines(&says(&mut world, &to(request("INVITE", 4, "", "", &protected)))), ["100"]);
    assert_eq!(
        lines(&says(&mut world, &register(5))),
        ["401"],
        "who comes by TLS is asked who it is"
    );
    // Other names go on as they were.
    assert_eq!(lines(&world.says(&request("INVITE", 6, "", "", SDP))), ["100"]);
}

#[test]
fn a_phone_registers_by_tls_and_is_called_where_it_came_from() {
    let mut world = world();
    let register =
        request("REGISTER", 1, "", "", "").replace("sip:room@127.0.0.1:1", "sips:alice@127.0.0.1");
    assert_eq!(lines(&says(&mut world, &register)), ["200"]);
    let (_, peer) = world.agent.binding("alice").unwrap();
    assert_eq!(peer, by_tls(9));
}

#[test]
fn who_asks_for_tls_by_another_way_is_refused() {
    let mut world = world();
    let to = |text: String| text.replace("sip:room@127.0.0.1:1", "sips:alice@127.0.0.1");
    for request in [to(request("INVITE", 1, "", "", SDP)), to(request("REGISTER", 2, "", "", ""))] {
        let refused = world.says(&request).pop().unwrap();
        assert_eq!(refused.status(), 403);
        assert!(refused.header("Warning").unwrap().contains("TLS is demanded"));
    }
    assert!(world.agent.binding("alice").is_none());
}

/// Calls a phone by TLS under a name that was looked up; returns the call and our INVITE.
fn calls_by_name(world: &mut World) -> (CallId, Vec<u8>) {
    let id = world.agent.new_call();
    let callee = Callee { peer: by_tls(9), host: Some("pbx.test".into()) };
    world.agent.invite(id, "sips:bob@pbx.test", callee, ("us", None), at(5_000), world.now);
    (id, proven(world))
}

/// Takes what is sent next, which its far end must prove a name for.
fn proven(world: &mut World) -> Vec<u8> {
    let transmit = world.agent.poll_transmit().unwrap();
    assert_eq!((transmit.to, transmit.transport), (at(9), Transport::Tls));
    assert_eq!(transmit.host.as_deref(), Some("pbx.test"));
    transmit.octets
}

#[test]
fn who_was_called_by_name_proves_it_for_each_request_also_after_a_restart() {
    let mut world = world();
    let (id, invite) = calls_by_name(&mut world);
    let answer = reply(&Message::parse(&invite).unwrap(), "200 OK", "bob", "", SDP);
    world.agent.handle_message(by_tls(9), answer.as_bytes(), world.now);
    assert!(proven(&mut world).starts_with(b"ACK"));
    let kept = serde_json::to_string(&world.agent.dialog(id).unwrap()).unwrap();
    // Its own requests may come by another connection of its.
    let invite = Message::parse(&invite).unwrap();
    let (ours, call_id) = (invite.tag("From").unwrap(), invite.header("Call-ID").unwrap());
    let mut again = Message::parse(request("INVITE", 1, ours, "", SDP).as_bytes()).unwrap();
    again.set("Call-ID", call_id);
    again.set("From", "<sips:bob@pbx.test>;tag=bob");
    world.agent.handle_message(by_tls(10), &again.write(), world.now);
    while world.agent.poll_transmit().is_some() {}
    world.agent.hang_up(id, world.now);
    assert!(proven(&mut world).starts_with(b"BYE"));
    let mut next = super::tls::world();
    next.agent.end_dialog(serde_json::from_str(&kept).unwrap(), next.now);
    assert!(proven(&mut next).starts_with(b"BYE"));
}

#[test]
fn what_cannot_be_sent_fails_at_once_and_only_once() {
    let mut world = world();
    let (id, invite) = calls_by_name(&mut world);
    assert_eq!(world.agent.asked_by(&invite), Some(id));
    world.agent.unsent(&invite, world.now);
    assert_eq!(world.event(), Some(Event::Failed(id, 503)));
    assert_eq!(world.agent.asked_by(&invite), None);
    world.agent.unsent(&invite, world.now);
    assert_eq!(world.event(), None);
    // One that was taken back meanwhile ends as such.
    let (id, invite) = calls_by_name(&mut world);
    world.agent.hang_up(id, world.now);
    world.agent.unsent(&invite, world.now);
    assert_eq!(world.event(), Some(Event::Failed(id, 487)));
    assert_eq!(world.agent.stats().transactions, 0);
    // Neither is an answer of ours that nobody takes a call.
    world.agent.unsent(request("OPTIONS", 3, "", "", "").as_bytes(), world.now);
    assert_eq!(world.event(), None);
}

#[test]
fn what_began_by_tls_does_not_go_on_in_the_clear() {
    let mut world = world();
    assert_eq!(lines(&says(&mut world, &request("INVITE", 1, "", "", SDP))), ["100"]);
    let Some(Event::Invite(invitation)) = world.event() else { panic!("no invitation") };
    world.agent.answer(invitation.call, at(5_000), world.now);
    let answer = Message::parse(&world.agent.poll_transmit().unwrap().octets).unwrap();
    let tag = answer.tag("To").unwrap().to_owned();
    says(&mut world, &request("ACK", 1, &tag, "", ""));
    let by_udp = world.says(&request("INVITE", 2, &tag, "", SDP));
    assert_eq!(lines(&by_udp), ["403"]);
    assert!(by_udp[0].header("Warning").unwrap().contains("TLS is demanded"));
    assert_eq!(lines(&says(&mut world, &request("INVITE", 3, &tag, "", SDP))), ["200"]);
    assert_eq!(lines(&world.says(&request("BYE", 4, &tag, "", ""))), ["200"]);
}
