//! Session timers, from both sides.

use super::*;

#[test]
fn a_callers_timer_is_granted_as_the_rfc_says() {
    for (asked, expected, requires) in [
        ("Session-Expires: 1800\r\nSupported: timer\r\n", Some("1800;refresher=uac"), true),
        ("x: 120;refresher=uas\r\nk: timer\r\n", Some("120;refresher=uas"), true),
        ("Session-Expires: 90;refresher=uac\r\nRequire: timer\r\n", Some("90;refresher=uac"), true),
        // Asked for by a proxy: the caller knows nothing of it.
        ("Session-Expires: 60\r\n", Some("90;refresher=uas"), false),
        ("Session-Expires: 4294967295\r\nk: timer\r\n", Some("86400;refresher=uac"), true),
        ("Supported: timer\r\n", None, false),
    ] {
        let (_, _, answer) = World::new().up(asked, SDP);
        assert_eq!(answer.header("Session-Expires"), expected, "{asked}");
        assert_eq!(answer.lists("Require", "timer"), requires, "{asked}");
    }
}

#[test]
fn too_small_a_timer_is_refused_with_the_least() {
    let mut world = World::new();
    let short = "Session-Expires: 89\r\nSupported: timer\r\n";
    let answer = world.says(&request("INVITE", 1, "", short, SDP)).pop().unwrap();
    assert_eq!((answer.status(), answer.header("Min-SE")), (422, Some("90")));
    assert_eq!(world.event(), None);
    let (id, tag, _) = world.up("Session-Expires: 100\r\nSupported: timer, x\r\n", SDP);
    let answer = world.says(&request("UPDATE", 2, &tag, short, "")).pop().unwrap();
    assert_eq!((answer.status(), answer.header("Min-SE")), (422, Some("90")));
    assert_eq!(world.event(), None, "{id:?} goes on");
}

#[test]
fn a_far_end_that_does_not_refresh_is_hung_up() {
    let mut world = World::new();
    let (id, tag, _) = world.up("Session-Expires: 90\r\nSupported: timer\r\n", SDP);
    assert_eq!(lines(&world.after(59.0)), [""; 0]);
    let more = "Session-Expires: 90;refresher=uac\r\nSupported: timer\r\n";
    let answer = world.says(&request("UPDATE", 2, &tag, more, "")).pop().unwrap();
    assert_eq!(answer.header("Session-Expires"), Some("90;refresher=uac"));
    assert_eq!(lines(&world.after(59.0)), [""; 0], "refreshed");
    assert_eq!(lines(&world.after(1.2)), ["BYE"], "30 s before the end");
    assert_eq!(world.event(), Some(Event::Ended(id, Ended::Lost)));
}

#[test]
fn a_phone_that_we_called_and_that_does_not_refresh_is_hung_up() {
    let mut world = World::new();
    let (id, ..) = world.calls("Session-Expires: 300;refresher=uas\nRequire: timer");
    assert_eq!(lines(&world.after(267.0)), [""; 0], "it is not on us to refresh");
    assert_eq!(lines(&world.after(1.2)), ["BYE"], "32 s before the end");
    assert_eq!(world.event(), Some(Event::Ended(id, Ended::Lost)));
}

#[test]
fn we_refresh_by_update_where_that_is_allowed_and_by_invite_otherwise() {
    for (allow, method) in [("Allow: INVITE, UPDATE", "UPDATE"), ("Allow: INVITE, BYE", "INVITE")] {
        let mut world = World::new();
        let more = format!("Session-Expires: 200;refresher=uac\nRequire: timer\n{allow}");
        let (_, invite, _) = world.calls(&more);
        assert_eq!(invite.header("Session-Expires"), Some("1800"));
        assert_eq!(lines(&world.after(99.0)), [""; 0]);
        let refresh = world.after(1.1).pop().unwrap();
        assert_eq!(lines(std::slice::from_ref(&refresh)), [method]);
        assert_eq!(refresh.header("Session-Expires"), Some("200;refresher=uac"));
        if method == "INVITE" {
            assert_eq!(refresh.body, invite.body, "the same offer under the same version");
        }
        let sdp = if method == "INVITE" { SDP } else { "" };
        let more = "Session-Expires: 200;refresher=uac\nRequire: timer";
        let sent = world.says(&reply(&refresh, "200 OK", "bob", more, sdp));
        assert_eq!(lines(&sent), if method == "INVITE" { vec!["ACK"] } else { vec![] });
        assert_eq!(world.event(), None, "nothing changed");
        assert_eq!(lines(&world.after(99.0)), [""; 0]);
        assert_eq!(lines(&world.after(1.1)), [method], "and again");
    }
}

#[test]
fn what_refuses_a_refresh_decides_what_comes_next() {
    for (status, more, next, within) in [
        ("481 Gone", "", "BYE", 0.0),
        ("408 Late", "", "BYE", 0.0),
        ("501 What", "", "INVITE", 0.0),
        ("422 Small", "Min-SE: 400", "UPDATE", 0.0),
        ("491 Pending", "", "UPDATE", 4.1),
        ("500 Busy", "", "UPDATE", 10.1),
    ] {
        let mut world = World::new();
        let (id, ..) = world.calls("Session-Expires: 200;refresher=uac\nAllow: UPDATE");
        let refresh = world.after(100.1).pop().unwrap();
        let mut sent = world.says(&reply(&refresh, status, "bob", more, ""));
        if within > 4.0 && status.starts_with("491") {
            assert_eq!(lines(&world.after(2.0)), [""; 0], "who made the Call-ID waits longer");
        }
        sent.extend(world.after(within));
        let mut said = lines(&sent);
        said.dedup(); // It may have been sent again since.
        assert_eq!(said, [next], "{status}");
        match next {
            "BYE" => assert_eq!(world.event(), Some(Event::Ended(id, Ended::Lost))),
            _ => assert_eq!(world.event(), None),
        }
        if status.starts_with("422") {
            assert_eq!(sent[0].header("Session-Expires"), Some("400;refresher=uac"));
            assert_eq!(sent[0].header("Min-SE"), Some("400"));
        }
    }
}

#[test]
fn a_refresh_that_nobody_answers_ends_the_call() {
    let mut world = World::new();
    let (id, ..) = world.calls("Session-Expires: 200;refresher=uac\nAllow: UPDATE");
    let sent = lines(&world.after(140.0));
    assert!(sent.contains(&"UPDATE".to_owned()) && sent.contains(&"BYE".to_owned()), "{sent:?}");
    assert_eq!(world.event(), Some(Event::Ended(id, Ended::Lost)));
}

#[test]
fn a_callee_that_wants_a_longer_timer_is_called_again() {
    let mut world = World::new();
    let id = world.agent.new_call();
    world.agent.invite(id, "sip:bob@127.0.0.1:9", at(9), ("us", None), at(5_000), world.now);
    let invite = world.sent().pop().unwrap();
    let sent = world.says(&reply(&invite, "422 Small", "bob", "Min-SE: 7200", ""));
    assert_eq!(lines(&sent), ["ACK", "INVITE"]);
    let again = &sent[1];
    assert_eq!(again.cseq(), Some((2, "INVITE")));
    assert_eq!(again.header("Session-Expires"), Some("7200"));
    assert_eq!(again.header("Min-SE"), Some("7200"));
    assert_eq!(again.body, invite.body);
    // One that asks for what it was offered is not called for ever.
    let sent = world.says(&reply(again, "422 Small", "bob", "Min-SE: 7200", ""));
    assert_eq!(lines(&sent), ["ACK"]);
    assert_eq!(world.event(), Some(Event::Failed(id, 422)));
}
