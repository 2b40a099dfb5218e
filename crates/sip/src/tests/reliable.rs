//! Provisional responses that are acknowledged.

use super::*;

const REQUIRED: &str = "Require: 100rel\r\n";

fn prack(cseq: u32, tag: &str, rack: &str) -> String {
    request("PRACK", cseq, tag, &format!("RAck: {rack}\r\n"), "")
}

#[test]
fn a_reliable_180_is_repeated_until_its_prack() {
    let mut world = World::new();
    let id = world.offered(REQUIRED, SDP);
    world.agent.ring(id);
    let ringing = world.sent().pop().unwrap();
    let tag = ringing.tag("To").unwrap().to_owned();
    assert_eq!(
        (ringing.status(), ringing.header("RSeq"), ringing.header("Require")),
        (180, Some("1"), Some("100rel"))
    );
    assert_eq!(lines(&world.after(3.6)), ["180", "180", "180"], "after 0.5, 1.5 and 3.5 s");
    for (cseq, wrong) in (2..).zip(["2 1 INVITE", "1 2 INVITE", "1 1 UPDATE", "", "x y z"]) {
        assert_eq!(lines(&world.says(&prack(cseq, &tag, wrong))), ["481"], "{wrong}");
    }
    assert_eq!(lines(&world.says(&prack(30, &tag, "1 1 INVITE"))), ["200"]);
    assert_eq!(lines(&world.says(&prack(31, &tag, "1 1 INVITE"))), ["481"], "once");
    assert_eq!(lines(&world.after(20.0)), [""; 0]);
}

#[test]
fn a_180_without_prack_turns_the_caller_away() {
    let mut world = World::new();
    let id = world.offered(REQUIRED, SDP);
    world.agent.ring(id);
    let sent = lines(&world.after(32.1));
    assert_eq!(sent.last().map(String::as_str), Some("504"));
    assert_eq!(world.event(), Some(Event::Ended(id, Ended::Lost)));
}

#[test]
fn an_answer_waits_for_the_prack_of_an_early_one() {
    let mut world = World::new();
    let id = world.offered(REQUIRED, SDP);
    world.agent.ring_with_sound(id, at(5_000), world.now);
    let early = world.sent().pop().unwrap();
    assert_eq!(early.status(), 183);
    let tag = early.tag("To").unwrap().to_owned();
    world.agent.answer(id, at(5_000), world.now);
    assert_eq!(lines(&world.sent()), [""; 0]);
    let sent = world.says(&prack(2, &tag, "1 1 INVITE"));
    assert_eq!(lines(&sent), ["200", "200"]);
    assert_eq!(sent[1].cseq(), Some((1, "INVITE")));
    assert_eq!(sent[1].body, early.body, "the same answer under the same version");
}

#[test]
fn who_only_supports_it_is_told_unreliably() {
    let mut world = World::new();
    let id = world.offered("Supported: 100rel\r\n", SDP);
    world.agent.ring(id);
    let ringing = world.sent().pop().unwrap();
    assert_eq!((ringing.status(), ringing.header("RSeq")), (180, None));
    assert_eq!(lines(&world.after(61.0)), ["180"], "once a minute, for proxies");
}

#[test]
fn what_we_do_not_know_is_named() {
    let mut world = World::new();
    let wanted = "Require: timer, magic\r\nRequire: 100rel, replaces\r\n";
    let answer = world.says(&request("INVITE", 1, "", wanted, SDP)).pop().unwrap();
    assert_eq!((answer.status(), answer.header("Unsupported")), (420, Some("magic, replaces")));
    assert_eq!(world.event(), None);
}

#[test]
fn we_acknowledge_each_reliable_provisional_once_and_in_order() {
    let mut world = World::new();
    let id = world.agent.new_call();
    world.agent.invite(id, "sip:bob@127.0.0.1:9", at(9), ("us", None), at(5_000), world.now);
    let invite = world.sent().pop().unwrap();
    assert!(invite.lists("Supported", "100rel") && invite.lists("Supported", "timer"));
    for (tag, rseq, expected) in [
        ("bob", 7, Some("7 1 INVITE")),
        ("bob", 7, None),
        ("bob", 9, None),
        ("bob", 8, Some("8 1 INVITE")),
        ("carol", 1, Some("1 1 INVITE")),
    ] {
        let more = format!("Require: 100rel\nRSeq: {rseq}");
        let sent = world.says(&reply(&invite, "183 Session Progress", tag, &more, SDP));
        let rack = sent.first().and_then(|prack| prack.header("RAck"));
        assert_eq!(rack, expected, "{tag} {rseq}");
        if let Some(prack) = sent.first() {
            assert_eq!(lines(&sent), ["PRACK"]);
            assert_eq!(prack.tag("To"), Some(tag));
            assert!(matches!(world.event(), Some(Event::Ringing(_, Some(_)))));
        }
    }
    // The 200 says nothing of media: what was answered reliably holds.
    let sent = world.says(&reply(&invite, "200 OK", "bob", "", ""));
    assert_eq!(sent[0].cseq(), Some((1, "ACK")));
    let Some(Event::Answered(_, Some(session))) = world.event() else { panic!("no answer") };
    assert_eq!(session.audio.address, at(4_000));
}

#[test]
fn a_caller_without_offer_that_wants_it_reliable_only_hears_the_answer() {
    let mut world = World::new();
    let id = world.offered(REQUIRED, "");
    world.agent.ring(id);
    assert_eq!(lines(&world.sent()), [""; 0], "a reliable 180 would need our offer");
    world.agent.answer(id, at(5_000), world.now);
    assert_eq!(lines(&world.sent()), ["200"]);
}
