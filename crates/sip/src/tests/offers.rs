//! Offers and answers: versions, holds, streams that we do not take.

use super::*;

fn origin(body: &str) -> (u64, u64) {
    let line = body.lines().find(|line| line.starts_with("o=")).unwrap();
    let mut numbers = line.split(' ').skip(1).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

fn direction(body: &str) -> &str {
    let found = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];
    found.into_iter().find(|direction| body.contains(direction)).unwrap()
}

/// The description of a phone at an address, with a direction.
fn described(address: &str, more: &str) -> String {
    let family = if address.contains(':') { "IP6" } else { "IP4" };
    SDP.replace("c=IN IP4 127.0.0.1", &format!("c=IN {family} {address}")) + more
}

#[test]
fn a_phone_holds_and_resumes_and_the_version_tells_what_changed() {
    let mut world = World::new();
    let (id, tag, answer) = world.up("", SDP);
    let (number, first) = origin(&text(&answer));
    assert_eq!(first, 1);
    for (cseq, (address, more, sends, receives, mirrored, version)) in (2..).zip([
        ("127.0.0.1", "a=sendrecv\r\n", true, true, "a=sendrecv", 1),
        ("127.0.0.1", "a=sendonly\r\n", true, false, "a=recvonly", 2),
        ("127.0.0.1", "a=inactive\r\n", false, false, "a=inactive", 3),
        ("0.0.0.0", "", true, false, "a=recvonly", 4),
        ("::", "", true, false, "a=recvonly", 4),
        ("127.0.0.2", "", true, true, "a=sendrecv", 5),
    ]) {
        let offer = described(address, more);
        let changes = cseq > 2; // The first says what was agreed on.
        let answer = world.says(&request("INVITE", cseq, &tag, "", &offer)).pop().unwrap();
        let body = text(&answer);
        assert_eq!(origin(&body), (number, version), "{address} {more}");
        assert_eq!(direction(&body), mirrored, "{address} {more}");
        assert_eq!(lines(&world.says(&request("ACK", cseq, &tag, "", ""))), [""; 0]);
        match world.event() {
            Some(Event::MediaChanged(call, session)) if changes => {
                assert_eq!(call, id);
                assert_eq!((session.audio.sends, session.audio.receives), (sends, receives));
            }
            event => assert!(event.is_none() && !changes, "{address} {more}: {event:?}"),
        }
        assert_eq!(lines(&world.after(10.0)), [""; 0], "acknowledged");
    }
}

#[test]
fn a_reinvite_without_offer_gets_ours_and_its_ack_answers() {
    let mut world = World::new();
    let video = described("127.0.0.1", "m=video 6000 RTP/AVP 96\r\n").replace("101", "97");
    let (id, tag, answer) = world.up("", &video);
    assert!(text(&answer).contains("m=video 0 RTP/AVP 96\r\n"));
    let offer = text(&world.says(&request("INVITE", 2, &tag, "", "")).pop().unwrap());
    assert!(offer.contains("m=audio 5000 RTP/AVP 0 8 97\r\n"), "{offer}");
    assert!(offer.contains("m=video 0 RTP/AVP 96\r\n"), "streams keep their places: {offer}");
    assert!(origin(&offer).1 == 2, "it names both codecs again");
    // Another offer must wait for the answer to ours.
    assert_eq!(lines(&world.says(&request("UPDATE", 3, &tag, "", SDP))), ["491"]);
    let moved = described("127.0.0.3", "");
    world.says(&request("ACK", 2, &tag, "", &moved));
    let Some(Event::MediaChanged(call, session)) = world.event() else { panic!("no change") };
    assert_eq!((call, session.audio.address.to_string()), (id, "127.0.0.3:4000".to_owned()));
    assert_eq!(lines(&world.says(&request("UPDATE", 4, &tag, "", SDP))), ["200"]);
}

#[test]
fn an_unacceptable_reinvite_leaves_the_session_as_it_was() {
    let mut world = World::new();
    let (id, tag, _) = world.up("Session-Expires: 600\r\nSupported: timer\r\n", SDP);
    let before = world.agent.dialog(id).unwrap();
    let secret = SDP.replace("RTP/AVP", "RTP/SAVP");
    let elsewhere = "Contact: <sip:thief@127.0.0.1:7>\r\n";
    let answer = world.says(&request("INVITE", 2, &tag, elsewhere, &secret)).pop().unwrap();
    assert_eq!(answer.status(), 488);
    assert_eq!(world.event(), None);
    let after = world.agent.dialog(id).unwrap();
    assert_eq!((&after.target, after.timer), (&before.target, before.timer));
    world.says(&request("ACK", 2, &tag, "", "").replace("ACK2", "INVITE2"));
    let due = world.agent.poll_timeout();
    assert!(due.is_some(), "the session timer runs on");
    assert_eq!(lines(&world.says(&request("BYE", 3, &tag, "", ""))), ["200"]);
}

#[test]
fn answers_keep_the_offers_numbers_and_places() {
    let offer = "v=0\r\no=- 1 1 IN IP6 ::1\r\ns=m=x\r\nc=IN IP6 ::1\r\nt=0 0\r\n\
                 m=video 6000 RTP/AVP 96\r\nm=audio 0 RTP/AVP 0\r\n\
                 m=audio 4000 RTP/AVP 96 103 104 8\r\na=rtpmap:96 opus/48000/2\r\n\
                 a=fmtp:96 param=m=1\r\na=rtpmap:103 PCMA/8000\r\na=rtpmap:104 telephone-event/8000\r\n\
                 a=rtcp:4009 IN IP6 ::2\r\na=ptime:60\r\na=maxptime:30\r\n\
                 m=audio 4100 RTP/AVP 0\r\n";
    let session = Session::parse(offer.as_bytes(), &Terms::telephone()).unwrap();
    let audio = &session.audio;
    assert_eq!(audio.address.to_string(), "[::1]:4000");
    assert_eq!(audio.rtcp.to_string(), "[::2]:4009");
    assert_eq!(audio.codecs, [(103, Codec::Pcma), (8, Codec::Pcma)]);
    assert_eq!((audio.telephone_event, audio.ptime_ms), (Some(104), 30));
    let ours = "[2001:db8::5]:7000".parse().unwrap();
    let answer = String::from_utf8(answered(&session, ours)).unwrap();
    let media: Vec<_> = answer.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        media,
        [
            "m=video 0 RTP/AVP 96",
            "m=audio 0 RTP/AVP 0",
            "m=audio 7000 RTP/AVP 103 104",
            "m=audio 0 RTP/AVP 0"
        ]
    );
    assert!(answer.contains("o=sidetone 3 1 IN IP6 2001:db8::5\r\n"), "{answer}");
    assert!(answer.contains("c=IN IP6 2001:db8::5\r\n"), "{answer}");
}

#[test]
fn packet_times_are_those_that_both_can() {
    for (lines, expected) in [
        ("", 20),
        ("a=ptime:10\r\n", 10),
        ("a=ptime:30\r\n", 30),
        ("a=ptime:25\r\n", 20),
        ("a=ptime:60\r\na=maxptime:40\r\n", 40),
        ("a=maxptime:15\r\n", 10),
        ("a=ptime:5\r\na=maxptime:5\r\n", 10),
        ("a=ptime:5\r\n", 10),
        ("a=ptime:0\r\n", 20),
        ("a=ptime:120\r\n", 60),
        ("a=ptime:1000\r\na=maxptime:120\r\n", 60),
        ("a=ptime:-1\r\na=maxptime:x\r\n", 20),
    ] {
        let session = Session::parse(described("127.0.0.1", lines).as_bytes(), &Terms::telephone());
        let session = session.unwrap();
        assert_eq!(session.audio.ptime_ms, expected, "{lines}");
    }
}

#[test]
fn a_description_has_bounds() {
    let stream = "m=audio 4000 RTP/AVP 0\r\n";
    let head = SDP.split("m=").next().unwrap();
    let parses = |body: String| Session::parse(body.as_bytes(), &Terms::telephone()).is_some();
    assert!(parses(format!("{head}{}", stream.repeat(8))));
    assert!(!parses(format!("{head}{}", stream.repeat(9))));
    assert!(!parses(format!("{SDP}a={}\r\n", "x".repeat(32 * 1_024))));
}

#[test]
fn updates_of_early_dialogs_wait_for_what_is_open() {
    let mut world = World::new();
    let id = world.offered("", SDP);
    world.agent.ring(id);
    let tag = world.sent().pop().unwrap().tag("To").unwrap().to_owned();
    let early = world.says(&request("UPDATE", 2, &tag, "", SDP)).pop().unwrap();
    assert_eq!(early.status(), 500, "the INVITE's own offer is not answered yet");
    assert!(early.header("Retry-After").is_some());
    assert_eq!(lines(&world.says(&request("UPDATE", 3, &tag, "", ""))), ["200"]);
    assert_eq!(lines(&world.says(&request("INVITE", 4, &tag, "", SDP))), ["500"]);
    world.agent.ring_with_sound(id, at(5_000), world.now);
    let early = world.sent().pop().unwrap();
    assert_eq!((early.status(), direction(&text(&early))), (183, "a=sendrecv"));
    let held = described("127.0.0.1", "a=sendonly\r\n");
    let answer = world.says(&request("UPDATE", 5, &tag, "", &held)).pop().unwrap();
    assert_eq!(direction(&text(&answer)), "a=recvonly");
    assert!(matches!(world.event(), Some(Event::MediaChanged(..))));
}

#[test]
fn a_phone_that_we_call_may_update_before_it_answers() {
    let mut world = World::new();
    let id = world.agent.new_call();
    world.agent.invite(id, "sip:bob@127.0.0.1:9", at(9), ("us", None), at(5_000), world.now);
    let invite = world.sent().pop().unwrap();
    let (from, call_id) = (invite.tag("From").unwrap(), invite.header("Call-ID").unwrap());
    let update = |cseq, body: &str| {
        let text = request("UPDATE", cseq, from, "", body);
        text.replace("tag=p", "tag=bob").replace("Call-ID: text", &format!("Call-ID: {call_id}"))
    };
    assert_eq!(lines(&world.says(&update(1, SDP))), ["481"], "nobody rings yet");
    world.says(&reply(&invite, "183 Progress", "bob", "", SDP));
    assert_eq!(lines(&world.says(&update(2, SDP))), ["491"], "our offer is not answered for sure");
    world.says(&reply(&invite, "183 Progress", "bob", "Require: 100rel\nRSeq: 1", SDP));
    let moved = described("127.0.0.4", "");
    assert_eq!(lines(&world.says(&update(3, &moved))), ["200"]);
    let events: Vec<_> = std::iter::from_fn(|| world.event()).collect();
    assert!(matches!(events.last(), Some(Event::MediaChanged(..))), "{events:?}");
}

#[test]
fn our_media_moves_by_a_reinvite_that_waits_its_turn() {
    for timer in ["", "Session-Expires: 200;refresher=uac\n"] {
        let mut world = World::new();
        let (id, invite, _) = world.calls(&format!("{timer}Allow: UPDATE"));
        world.agent.move_media(id, at(7_000), world.now);
        let offer = world.sent().pop().unwrap();
        assert_eq!(offer.cseq(), Some((2, "INVITE")));
        assert!(text(&offer).contains("m=audio 7000 "), "{}", text(&offer));
        let (before, after) = (origin(&text(&invite)), origin(&text(&offer)));
        assert_eq!((before.0, before.1 + 1), after);
        // It meets one of the far end's, and is sent again later.
        assert_eq!(lines(&world.says(&reply(&offer, "491 Pending", "bob", "", ""))), ["ACK"]);
        assert_eq!(lines(&world.after(2.0)), [""; 0]);
        let again = world.after(2.4).into_iter().next().unwrap();
        assert_eq!((again.cseq(), &again.body), (Some((3, "INVITE")), &offer.body), "{timer}");
        let moved = described("127.0.0.5", "");
        assert_eq!(lines(&world.says(&reply(&again, "200 OK", "bob", timer, &moved))), ["ACK"]);
        assert!(matches!(world.event(), Some(Event::MediaChanged(call, _)) if call == id));
        assert_eq!(lines(&world.after(90.0)), [""; 0]);
    }
}

#[test]
fn media_that_moves_before_the_ack_is_spoken_of_after_it() {
    let mut world = World::new();
    let id = world.offered("", SDP);
    world.agent.answer(id, at(5_000), world.now);
    let tag = world.sent().pop().unwrap().tag("To").unwrap().to_owned();
    world.agent.move_media(id, at(7_000), world.now);
    assert_eq!(lines(&world.sent()), [""; 0]);
    world.says(&request("ACK", 1, &tag, "", ""));
    assert_eq!(lines(&world.after(10.1)), ["INVITE"]);
}
