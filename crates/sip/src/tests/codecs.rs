//! Which codec comes of an offer, and which we offer.

use super::*;

fn terms(names: &[&str]) -> Terms {
    let codecs = names.iter().map(|name| Codec::named(name).unwrap()).collect();
    Terms { codecs, ..Terms::telephone() }
}

fn all() -> Terms {
    terms(&["opus", "g722", "pcmu", "pcma"])
}

/// An agent that speaks these codecs, and the time.
fn world(names: &[&str]) -> World {
    let config = Config { terms: terms(names), ..Config::open(at(1), [1; 32]) };
    World { agent: Agent::new(config), now: Instant::now() }
}

fn offer(formats: &str, lines: &str) -> String {
    let head = SDP.split("m=").next().unwrap();
    format!("{head}m=audio 4000 RTP/AVP {formats}\r\n{lines}")
}

const OPUS: &str = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;maxplaybackrate=16000\r\n\
                    a=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n";

/// Offers `formats` to one who speaks `ours`; compares the `m=` line and what is said of codecs.
#[track_caller]
fn check(ours: &[&str], formats: &str, lines: &str, expected: &str) {
    let mut world = world(ours);
    let (_, _, answer) = world.up("", &offer(formats, lines));
    let said: Vec<_> = text(&answer)
        .lines()
        .filter(|line| ["m=", "a=rtpmap", "a=fmtp"].iter().any(|kind| line.starts_with(kind)))
        .map(str::to_owned)
        .collect();
    assert_eq!(
        said.join("\n"),
        format!("m=audio 5000 RTP/AVP {expected}"),
        "{formats} for {ours:?}"
    );
}

#[test]
fn an_answer_is_the_first_codec_of_the_offer_that_we_speak() {
    let all = ["opus", "g722", "pcmu", "pcma"];
    check(
        &all,
        "111 9 0 110 126",
        OPUS,
        "111 110\na=rtpmap:111 opus/48000/2\na=fmtp:111 useinbandfec=1\n\
         a=rtpmap:110 telephone-event/48000\na=fmtp:110 0-15",
    );
    check(
        &all,
        "9 111 110 126",
        OPUS,
        "9 126\na=rtpmap:9 G722/8000\na=rtpmap:126 telephone-event/8000\na=fmtp:126 0-15",
    );
    check(&all, "18 97 8", "a=rtpmap:97 G722/8000\r\n", "97\na=rtpmap:97 G722/8000");
    check(
        &["pcma", "pcmu"],
        "111 9 0 8 110 126",
        OPUS,
        "0 126\na=rtpmap:0 PCMU/8000\na=rtpmap:126 telephone-event/8000\na=fmtp:126 0-15",
    );
    // Digits are worth more than the right clock.
    check(
        &["opus"],
        "111 126",
        OPUS,
        "111 126\na=rtpmap:111 opus/48000/2\na=fmtp:111 useinbandfec=1\n\
         a=rtpmap:126 telephone-event/8000\na=fmtp:126 0-15",
    );
}

#[test]
fn an_offer_without_a_codec_of_ours_is_refused() {
    for (ours, formats) in [(&["pcmu"][..], "8 9"), (&["opus", "g722"], "0 8"), (&["g722"], "18")] {
        let mut world = world(ours);
        let offer = request("INVITE", 1, "", "", &offer(formats, ""));
        assert_eq!(lines(&world.says(&offer)), ["488"], "{ours:?} {formats}");
    }
}

#[test]
fn what_the_far_end_wants_of_opus_is_told() {
    let session = Session::parse(offer("111", OPUS).as_bytes(), &all()).unwrap();
    let [(111, Codec::Opus(wanted))] = session.audio.codecs[..] else { panic!("{session:?}") };
    assert_eq!((wanted.playback_rate, wanted.fec, wanted.stereo), (16_000, false, false));
}

#[test]
fn opus_is_spoken_in_the_packets_that_its_frames_allow() {
    for (lines, expected) in [
        ("", 20),
        ("a=ptime:10\r\n", 10),
        ("a=ptime:30\r\n", 20),
        ("a=ptime:40\r\n", 40),
        ("a=ptime:60\r\n", 60),
        ("a=ptime:60\r\na=maxptime:50\r\n", 40),
        ("a=ptime:120\r\na=maxptime:120\r\n", 60),
    ] {
        let (_, _, answer) = world(&["opus"]).up("", &offer("111", &format!("{OPUS}{lines}")));
        let answer = text(&answer);
        assert!(answer.contains(&format!("\r\na=ptime:{expected}\r\n")), "{lines}: {answer}");
    }
}

#[test]
fn an_offer_in_two_channels_is_answered_in_the_one_that_we_send() {
    let stereo = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 stereo=1; sprop-stereo=1\r\n";
    check(&["opus"], "111", stereo, "111\na=rtpmap:111 opus/48000/2\na=fmtp:111 useinbandfec=1");
    let session = Session::parse(offer("111", stereo).as_bytes(), &all()).unwrap();
    let [(111, Codec::Opus(theirs))] = session.audio.codecs[..] else { panic!("{session:?}") };
    assert!(theirs.stereo && theirs.sends_stereo);
}

#[test]
fn our_offer_lists_ours_and_the_answer_decides() {
    let mut world = world(&["opus", "g722", "pcmu", "pcma"]);
    let id = world.agent.new_call();
    world.agent.invite(id, "sip:bob@127.0.0.1:9", at(9), ("us", None), at(5_000), world.now);
    let invite = world.sent().pop().unwrap();
    let body = text(&invite);
    assert!(body.contains("m=audio 5000 RTP/AVP 96 9 0 8 101 102\r\n"), "{body}");
    assert!(body.contains("a=fmtp:96 useinbandfec=1\r\n"), "{body}");
    assert!(body.contains("a=rtpmap:102 telephone-event/48000\r\n"), "{body}");
    let answer = offer("9 101", "a=rtpmap:101 telephone-event/8000\r\n");
    world.says(&reply(&invite, "200 OK", "bob", "", &answer));
    let Some(Event::Answered(_, Some(session))) = world.event() else { panic!("no answer") };
    assert_eq!(session.audio.codecs, [(9, Codec::G722)]);
    assert_eq!(session.audio.telephone_event, Some(101));
}

#[test]
fn who_answers_under_numbers_of_its_own_may_send_under_ours() {
    for (formats, lines, expected) in [
        ("111", "a=rtpmap:111 opus/48000/2\r\n", &[111, 96][..]),
        ("96", "a=rtpmap:96 opus/48000/2\r\n", &[96]),
        // Ours means something else to it.
        ("111 96", "a=rtpmap:111 opus/48000/2\r\na=rtpmap:96 telephone-event/48000\r\n", &[111]),
        ("98", "a=rtpmap:98 PCMU/8000\r\n", &[98, 0]),
    ] {
        let mut world = world(&["opus", "g722", "pcmu", "pcma"]);
        let id = world.agent.new_call();
        world.agent.invite(id, "sip:bob@127.0.0.1:9", at(9), ("us", None), at(5_000), world.now);
        let invite = world.sent().pop().unwrap();
        world.says(&reply(&invite, "200 OK", "bob", "", &offer(formats, lines)));
        let Some(Event::Answered(_, Some(session))) = world.event() else { panic!("no answer") };
        let numbers: Vec<u8> = session.audio.codecs.iter().map(|&(number, _)| number).collect();
        assert_eq!(numbers, expected, "{formats}");
        let kinds = session.audio.codecs.iter().map(|(_, codec)| std::mem::discriminant(codec));
        let alike = kinds.collect::<std::collections::HashSet<_>>().len() == 1;
        assert!(alike, "{session:?}");
    }
}

#[test]
fn a_call_can_be_offered_one_codec_alone() {
    let mut world = world(&["opus", "g722", "pcmu", "pcma"]);
    let id = world.agent.new_call();
    let offered = Offered { codecs: Offers::Only(Codec::G722), ..at(5_000).into() };
    world.agent.invite(id, "sip:bob@127.0.0.1:9", at(9), ("us", None), offered, world.now);
    let invite = text(&world.sent().pop().unwrap());
    assert!(invite.contains("m=audio 5000 RTP/AVP 9 101\r\n"), "{invite}");
}

#[test]
fn a_codec_can_be_offered_before_the_others() {
    let check = |codec, expected: &str| {
        let mut world = world(&["opus", "g722", "pcmu"]);
        let id = world.agent.new_call();
        let offered = Offered { codecs: Offers::First(codec), ..at(5_000).into() };
        world.agent.invite(id, "sip:bob@127.0.0.1:9", at(9), ("us", None), offered, world.now);
        let invite = text(&world.sent().pop().unwrap());
        assert!(invite.contains(&format!("RTP/AVP {expected}\r\n")), "{expected}: {invite}");
        // What the other side wants of Opus is its own affair.
        assert!(invite.contains("a=fmtp:96 useinbandfec=1\r\n"), "{invite}");
    };
    check(Codec::Pcmu, "0 96 9 101 102");
    check(Codec::Opus(OpusParameters::default()), "96 9 0 101 102");
    check(Codec::Pcma, "96 9 0 101 102");
}

#[test]
fn our_next_offer_keeps_the_numbers_of_the_first_and_takes_none_that_has_a_meaning() {
    let mut world = world(&["opus", "g722", "pcmu", "pcma"]);
    let lines =
        "a=rtpmap:96 iLBC/8000\r\na=rtpmap:97 PCMU/8000\r\na=rtpmap:102 telephone-event/8000\r\n";
    let (_, tag, answer) = world.up("", &offer("96 97 102", lines));
    assert!(text(&answer).contains("m=audio 5000 RTP/AVP 97 102\r\n"), "{}", text(&answer));
    let offer = text(&world.says(&request("INVITE", 2, &tag, "", "")).pop().unwrap());
    // 96 and 102 are taken: Opus and its events are given free ones.
    assert!(offer.contains("m=audio 5000 RTP/AVP 127 9 97 8 102 126\r\n"), "{offer}");
}
