//! Header extensions that tell how loud sound is: who agrees to them, under which number.

use super::*;

const LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
/// Octets of a request that is not to go by UDP. Source: RFC 3261 section 18.1.1.
const UDP_MAX: usize = 1_300;

fn with(extmap: &str) -> String {
    format!("{SDP}a=extmap:{extmap}\r\n").replace("LEVEL", LEVEL)
}

fn extmaps(message: &Message) -> Vec<String> {
    let body = text(message).replace(LEVEL, "LEVEL");
    let lines = body.lines().filter_map(|line| line.strip_prefix("a=extmap:"));
    lines.map(str::to_owned).collect()
}

fn agreed(session: &Session) -> Option<(u8, bool)> {
    session.audio.audio_level.map(|AudioLevel { id, vad }| (id, vad))
}

#[test]
fn an_offer_of_levels_is_answered_by_who_listens() {
    for (offered, answered, known) in [
        ("3 LEVEL", "3/recvonly LEVEL", (3, true)),
        ("14/sendonly LEVEL vad=off", "14/recvonly LEVEL vad=off", (14, false)),
    ] {
        let mut world = World::new();
        let invite = request("INVITE", 1, "", "", &with(offered));
        world.says(&invite);
        let Some(Event::Invite(invitation)) = world.event() else { panic!("no invitation") };
        assert_eq!(agreed(invitation.offer.as_ref().unwrap()), Some(known));
        world.agent.answer(invitation.call, at(5_000), world.now);
        assert_eq!(extmaps(&world.sent().pop().unwrap()), [answered]);
    }
    for offered in ["15 LEVEL", "1/recvonly LEVEL", "1 urn:else"] {
        let (_, _, answer) = World::new().up("", &with(offered));
        assert_eq!(extmaps(&answer), [""; 0], "{offered}");
    }
}

#[test]
fn levels_that_are_spoken_of_for_the_whole_session_are_agreed_on() {
    let offer = SDP.replace("t=0 0\r\n", &format!("t=0 0\r\na=extmap:5 {LEVEL}\r\n"));
    let (_, _, answer) = World::new().up("", &offer);
    assert_eq!(extmaps(&answer), ["5/recvonly LEVEL"]);
}

#[test]
fn our_offer_asks_for_levels_and_the_answer_says_whether_they_come() {
    for (answered, known) in [
        ("1/sendonly LEVEL", Some((1, true))),
        ("1/sendonly LEVEL vad=off", Some((1, false))),
        ("1/recvonly LEVEL", None),
        ("2 urn:else", None),
    ] {
        let mut world = World::new();
        let id = world.agent.new_call();
        world.agent.invite(id, "sip:bob@127.0.0.1:9", at(9), ("us", None), at(5_000), world.now);
        let invite = world.sent().pop().unwrap();
        assert_eq!(extmaps(&invite), ["1/recvonly LEVEL"]);
        world.says(&reply(&invite, "200 OK", "bob", "", &with(answered)));
        let Some(Event::Answered(_, Some(session))) = world.event() else { panic!("no answer") };
        assert_eq!(agreed(&session), known, "{answered}");
    }
}

#[test]
fn our_next_offer_keeps_the_number_and_asks_for_nothing_new() {
    for (offered, expected) in [("7 LEVEL", vec!["7/recvonly LEVEL"]), ("1 urn:else", vec![])] {
        let mut world = World::new();
        let (_, tag, _) = world.up("", &with(offered));
        let offer = world.says(&request("INVITE", 2, &tag, "", "")).pop().unwrap();
        assert_eq!(extmaps(&offer), expected, "{offered}");
    }
}

#[test]
fn who_sends_levels_offers_to_and_who_listens_agrees() {
    let now = Instant::now();
    let terms = Terms { sends_levels: true, ..Terms::telephone() };
    let mut a = Agent::new(Config { terms, ..Config::open(at(1), [1; 32]) });
    let mut b = agent(2);
    let (_, theirs) = call(&mut a, &mut b, now);
    b.answer(theirs, at(5_000), now);
    carry(&mut b, 2, &mut a, now);
    let Some(Event::Answered(_, Some(session))) = a.poll_event() else { panic!("no answer") };
    assert_eq!(agreed(&session), Some((1, true)));
}

#[test]
fn our_longest_offer_still_fits_a_datagram() {
    let codecs = ["opus", "g722", "pcmu", "pcma"].map(|name| Codec::named(name).unwrap());
    let terms = Terms { codecs: codecs.into(), ..Terms::telephone() };
    let mut agent = Agent::new(Config { terms, ..Config::open(at(1), [1; 32]) });
    let id = agent.new_call();
    let name = ("+4915112345678", Some("A name as long as they come"));
    agent.invite(id, "sip:+4915112345678@127.0.0.1:9", at(9), name, at(5_000), Instant::now());
    let invite = agent.poll_transmit().unwrap();
    assert!(invite.octets.len() < UDP_MAX, "{} octets", invite.octets.len());
}
