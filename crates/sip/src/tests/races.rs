//! Messages that cross, come late, come twice or do not come.

use super::*;

#[test]
fn a_200_that_crosses_our_cancel_is_acknowledged_and_ended() {
    let mut world = World::new();
    let id = world.agent.new_call();
    world.agent.invite(id, "sip:bob@127.0.0.1:9", at(9), ("us", None), at(5_000), world.now);
    let invite = world.sent().pop().unwrap();
    world.agent.hang_up(id, world.now);
    assert_eq!(lines(&world.sent()), [""; 0], "not before a provisional response");
    assert_eq!(lines(&world.says(&reply(&invite, "180 Ringing", "bob", "", ""))), ["CANCEL"]);
    let answer = reply(&invite, "200 OK", "bob", "", SDP);
    assert_eq!(lines(&world.says(&answer)), ["ACK", "BYE"]);
    assert_eq!(world.event(), Some(Event::Failed(id, 487)));
    assert_eq!(lines(&world.says(&answer)), ["ACK"], "our ACK was lost");
}

#[test]
fn a_cancel_that_comes_too_late_changes_nothing() {
    let mut world = World::new();
    let id = world.offered("", SDP);
    world.agent.answer(id, at(5_000), world.now);
    world.sent();
    let cancel = request("CANCEL", 1, "", "", "").replace("CANCEL10", "INVITE10");
    let cancel = cancel.replace("z9hG4bKCANCEL1", "z9hG4bKINVITE1");
    let sent = world.says(&cancel);
    assert_eq!(lines(&sent), ["200"]);
    assert_eq!(world.event(), None);
}

#[test]
fn a_refusal_is_acknowledged_as_often_as_it_comes() {
    for status in ["302 Moved", "404 No", "486 Busy", "603 Decline"] {
        let mut world = World::new();
        let id = world.agent.new_call();
        world.agent.invite(id, "sip:bob@127.0.0.1:9", at(9), ("us", None), at(5_000), world.now);
        let invite = world.sent().pop().unwrap();
        let refusal = reply(&invite, status, "bob", "", "");
        for _ in 0..2 {
            let ack = world.says(&refusal).pop().unwrap();
            assert_eq!(ack.cseq(), Some((1, "ACK")));
            assert_eq!((ack.branch(), ack.tag("To")), (invite.branch(), Some("bob")));
        }
        let number = status[..3].parse().unwrap();
        assert_eq!(world.event(), Some(Event::Failed(id, number)), "it is not called elsewhere");
        assert_eq!(world.event(), None);
    }
}

#[test]
fn another_phone_that_answers_as_well_is_ended() {
    let mut world = World::new();
    let (id, invite, first) = world.calls("");
    assert_eq!(lines(&world.says(&first)), ["ACK"]);
    let second = reply(&invite, "200 OK", "carol", "Record-Route: <sip:p1;lr>, <sip:p2;lr>", SDP);
    let sent = world.says(&second);
    assert_eq!(lines(&sent), ["ACK", "BYE"]);
    for request in &sent {
        assert_eq!(request.tag("To"), Some("carol"));
        assert_eq!(request.all("Route").collect::<Vec<_>>(), ["<sip:p2;lr>", "<sip:p1;lr>"]);
    }
    assert_eq!(lines(&world.says(&second)), ["ACK"]);
    assert_eq!(world.event(), None);
    assert!(world.agent.dialog(id).is_some(), "the first goes on");
}

#[test]
fn hanging_up_before_the_ack_waits_for_it() {
    let mut world = World::new();
    let id = world.offered("", SDP);
    world.agent.answer(id, at(5_000), world.now);
    let tag = world.sent().pop().unwrap().tag("To").unwrap().to_owned();
    world.agent.hang_up(id, world.now);
    assert_eq!(lines(&world.sent()), [""; 0], "RFC 3261 section 15");
    assert_eq!(lines(&world.says(&request("ACK", 1, &tag, "", ""))), ["BYE"]);
    assert_eq!(world.event(), None);
    let mut world = World::new();
    let id = world.offered("", SDP);
    world.agent.answer(id, at(5_000), world.now);
    world.agent.hang_up(id, world.now);
    assert_eq!(lines(&world.after(33.0)).last().unwrap(), "BYE");
    assert_eq!(world.event(), None, "nobody waits for word of it");
}

#[test]
fn requests_in_a_dialog_come_in_order() {
    let mut world = World::new();
    let (_, tag, _) = world.up("", SDP);
    for (method, cseq, status) in [
        ("OPTIONS", 5, "200"),
        ("INFO", 4, "500"),
        ("INFO", 6, "200"),
        ("REFER", 7, "603"),
        ("DANCE", 8, "501"),
        ("MESSAGE", 9, "405"),
        ("UPDATE", 1, "500"),
        ("BYE", 10, "200"),
        ("BYE", 11, "481"),
    ] {
        assert_eq!(lines(&world.says(&request(method, cseq, &tag, "", ""))), [status], "{method}");
    }
}

#[test]
fn a_2xx_to_a_reinvite_is_repeated_until_its_ack_and_then_the_call_is_lost() {
    let mut world = World::new();
    let (id, tag, _) = world.up("", SDP);
    let reinvite = request("INVITE", 2, &tag, "", SDP);
    assert_eq!(lines(&world.says(&reinvite)), ["200"]);
    assert_eq!(lines(&world.after(4.0)), ["200", "200", "200"]);
    assert_eq!(lines(&world.says(&reinvite)), ["200"], "it came again");
    world.says(&request("ACK", 1, &tag, "", ""));
    assert_eq!(lines(&world.after(4.0)), ["200"], "an ACK of another INVITE");
    let sent = lines(&world.after(30.0));
    assert_eq!(sent.last().unwrap(), "BYE");
    assert_eq!(world.event(), Some(Event::Ended(id, Ended::Lost)));
}

#[test]
fn two_that_ask_at_once_both_hear_491() {
    let mut world = World::new();
    let (id, invite, _) = world.calls("Session-Expires: 200;refresher=uac\nAllow: INVITE");
    let ours = world.after(100.1).pop().unwrap();
    let (from, call_id) = (invite.tag("From").unwrap(), invite.header("Call-ID").unwrap());
    let theirs = request("INVITE", 1, from, "", SDP)
        .replace("tag=p", "tag=bob")
        .replace("Call-ID: text", &format!("Call-ID: {call_id}"));
    assert_eq!(lines(&world.says(&theirs)), ["491"]);
    assert_eq!(lines(&world.says(&reply(&ours, "491 Pending", "bob", "", ""))), ["ACK"]);
    assert_eq!(lines(&world.after(2.0)), ["491"; 2], "nobody acknowledged ours");
    let again = lines(&world.after(2.1));
    assert!(again.contains(&"INVITE".to_owned()), "{again:?}");
    assert!(world.agent.dialog(id).is_some());
}

#[test]
fn a_bye_during_our_reinvite_ends_both() {
    let mut world = World::new();
    let (id, invite, _) = world.calls("Session-Expires: 200;refresher=uac\nAllow: INVITE");
    let ours = world.after(100.1).pop().unwrap();
    let (from, call_id) = (invite.tag("From").unwrap(), invite.header("Call-ID").unwrap());
    let bye = request("BYE", 1, from, "", "")
        .replace("tag=p", "tag=bob")
        .replace("Call-ID: text", &format!("Call-ID: {call_id}"));
    assert_eq!(lines(&world.says(&bye)), ["200"]);
    assert_eq!(world.event(), Some(Event::Ended(id, Ended::HungUp)));
    for status in ["200 OK", "487 Terminated"] {
        let ack = world.says(&reply(&ours, status, "bob", "", SDP)).pop().unwrap();
        assert_eq!(ack.cseq(), Some((2, "ACK")), "{status}");
    }
    assert_eq!(world.event(), None);
}

#[test]
fn a_challenged_bye_is_sent_again_with_its_proof() {
    let mut world = World::new();
    let (id, ..) = world.calls("");
    let credentials = Credentials { user: "u".to_owned(), password: "p".to_owned() };
    world.agent.set_proof(id, credentials.into());
    world.agent.hang_up(id, world.now);
    let bye = world.sent().pop().unwrap();
    let challenge = "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD5";
    let again = world.says(&reply(&bye, "407 Prove", "bob", challenge, "")).pop().unwrap();
    assert_eq!(again.cseq(), Some((3, "BYE")));
    assert!(
        again.header("Proxy-Authorization").is_some_and(|proof| proof.contains("uri=\"sip:bob"))
    );
    assert_eq!(world.event(), None, "it may still be heard of");
    assert_eq!(lines(&world.says(&reply(&again, "407 Wrong", "bob", challenge, ""))), [""; 0]);
    assert_eq!(world.event(), Some(Event::Parted(id)));
}

#[test]
fn who_hung_up_is_told_when_the_other_knows_or_will_never_say() {
    for answer in [Some("200 OK"), Some("481 Gone"), None] {
        let mut world = World::new();
        let (id, ..) = world.calls("");
        world.agent.hang_up(id, world.now);
        let bye = world.sent().pop().unwrap();
        assert_eq!(world.event(), None);
        match answer {
            Some(status) => drop(world.says(&reply(&bye, status, "bob", "", ""))),
            None => {
                assert_eq!(lines(&world.after(31.0))[0], "BYE");
                assert_eq!(world.event(), None, "it is still asked");
                world.after(2.0);
            }
        }
        assert_eq!(world.event(), Some(Event::Parted(id)), "{answer:?}");
        assert_eq!(world.event(), None);
    }
}

#[test]
fn a_challenged_refresh_is_sent_again_with_its_proof() {
    for allow in ["Allow: UPDATE", "Allow: INVITE"] {
        let mut world = World::new();
        let (id, ..) = world.calls(&format!("Session-Expires: 200;refresher=uac\n{allow}"));
        let credentials = Credentials { user: "u".to_owned(), password: "p".to_owned() };
        world.agent.set_proof(id, credentials.into());
        let refresh = world.after(100.1).pop().unwrap();
        let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256";
        let again = world.says(&reply(&refresh, "401 Prove", "bob", challenge, "")).pop().unwrap();
        assert!(again.header("Authorization").is_some(), "{allow}");
        assert_eq!(again.body, refresh.body);
        assert_ne!(again.branch(), refresh.branch());
        assert_eq!(again.header("Session-Expires"), Some("200;refresher=uac"));
    }
}

#[test]
fn a_call_that_nobody_takes_ends_by_itself() {
    let mut world = World::new();
    let id = world.offered("", SDP);
    world.agent.ring(id);
    let sent = lines(&world.after(641.0));
    assert!(sent.contains(&"480".to_owned()), "{sent:?}");
    assert_eq!(world.event(), Some(Event::Ended(id, Ended::Lost)));
    world.after(40.0);
    let id = world.agent.new_call();
    world.agent.invite(id, "sip:bob@127.0.0.1:9", at(9), ("us", None), at(5_000), world.now);
    let invite = world.sent().pop().unwrap();
    world.says(&reply(&invite, "180 Ringing", "bob", "", ""));
    world.event();
    let sent = lines(&world.after(641.0));
    assert_eq!(sent.first().unwrap(), "CANCEL");
    assert_eq!(world.event(), Some(Event::Failed(id, 408)));
    world.after(40.0);
    assert_eq!(world.agent.poll_timeout(), None);
}

#[test]
fn a_caller_that_never_answers_our_offer_is_hung_up() {
    let mut world = World::new();
    let id = world.offered("", "");
    world.agent.answer(id, at(5_000), world.now);
    let answer = world.sent().pop().unwrap();
    assert!(text(&answer).contains("m=audio 5000 RTP/AVP 0 8 101"));
    let tag = answer.tag("To").unwrap().to_owned();
    assert_eq!(lines(&world.says(&request("ACK", 1, &tag, "", ""))), ["BYE"]);
    assert_eq!(world.event(), Some(Event::Ended(id, Ended::Lost)));
}

#[test]
fn the_same_invite_by_another_way_is_merged() {
    let mut world = World::new();
    let id = world.offered("", SDP);
    let other = request("INVITE", 1, "", "", SDP).replace("z9hG4bK", "z9hG4bKother");
    assert_eq!(lines(&world.says(&other)), ["482"]);
    assert_eq!(world.event(), None);
    world.agent.ring(id);
    assert_eq!(lines(&world.sent()), ["180"], "the first goes on");
}

#[test]
fn keys_come_in_info_as_phones_write_them() {
    let mut world = World::new();
    let (id, tag, _) = world.up("", SDP);
    for (cseq, (kind, body, expected)) in (2..).zip([
        ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", Some('5')),
        ("application/dtmf-relay", "Duration=160\r\nsignal = #\r\n", Some('#')),
        ("application/dtmf-relay", "Signal=10\r\n", Some('*')),
        ("application/dtmf-relay", "Signal=11\r\n", Some('#')),
        ("application/dtmf", "d\r\n", Some('D')),
        ("application/dtmf", "", None),
        ("application/dtmf-relay", "Signal=\r\n", None),
        ("application/dtmf-relay", "Signal=x\r\n", None),
        ("text/plain", "5", None),
    ]) {
        let info = request("INFO", cseq, &tag, "", body);
        let kind = format!("Content-Type: {kind}");
        let info = info.replace("Content-Type: application/sdp", &kind);
        assert_eq!(lines(&world.says(&info)), ["200"], "{body}");
        let digit = expected.map(|digit| Event::Digit(id, digit));
        assert_eq!(world.event(), digit, "{body}");
    }
}
