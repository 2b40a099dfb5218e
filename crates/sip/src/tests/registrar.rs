//! Several contacts for one user, and in what order they come.

use super::*;

fn register(call_id: &str, cseq: u32, more: &str) -> String {
    format!(
        "REGISTER sip:127.0.0.1:1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{call_id}{cseq}\r\n\
         From: <sip:alice@h>;tag=1\r\nTo: <sip:alice@h>\r\nCall-ID: {call_id}\r\n\
         CSeq: {cseq} REGISTER\r\n{more}\r\n"
    )
}

fn contacts(answer: &Message) -> Vec<&str> {
    answer.all("Contact").collect()
}

#[test]
fn every_contact_is_listed_and_the_newest_is_called() {
    let mut world = World::new();
    let two = "Contact: <sip:a@127.0.0.1:9>;expires=100, \"B, b\" <sip:b@127.0.0.1:9>\r\nExpires: 200\r\n";
    let answer = world.says(&register("x", 1, two)).pop().unwrap();
    let [a, b] = ["<sip:a@127.0.0.1:9>;expires=100", "<sip:b@127.0.0.1:9>;expires=200"];
    assert_eq!(contacts(&answer), [a, b]);
    assert_eq!(world.event(), Some(Event::Registered("alice".to_owned())));
    let newest = |world: &World| world.agent.binding("alice").map(|(uri, _)| uri);
    assert_eq!(newest(&world).as_deref(), Some("sip:b@127.0.0.1:9"));
    let again = "Contact: <sip:a@127.0.0.1:9>;expires=150\r\n";
    world.says(&register("x", 2, again));
    assert_eq!(newest(&world).as_deref(), Some("sip:a@127.0.0.1:9"));
    let answer = world.says(&register("x", 3, "")).pop().unwrap();
    assert_eq!(contacts(&answer).len(), 2, "asked without a contact");
    world.after(151.0);
    assert_eq!(newest(&world).as_deref(), Some("sip:b@127.0.0.1:9"), "the other expired");
    assert_eq!(world.event(), None);
    world.after(50.0);
    assert_eq!(world.event(), Some(Event::Unregistered("alice".to_owned())));
    assert_eq!((newest(&world), world.agent.stats().bindings), (None, 0));
}

#[test]
fn what_is_wrong_with_a_registration_changes_nothing() {
    let good = "Contact: <sip:a@127.0.0.1:9>\r\n";
    for (call_id, cseq, more, status) in [
        ("x", 5, "Contact: <sip:a@127.0.0.1:9>;expires=0\r\n", 482), // Seen as merged.
        ("x", 4, "Contact: <sip:a@127.0.0.1:9>;expires=0\r\n", 500),
        ("x", 4, "Contact: *\r\nExpires: 0\r\n", 500),
        ("x", 6, "Contact: *\r\nExpires: 10\r\n", 400),
        ("x", 6, "Contact: *\r\n", 400),
        ("x", 6, "Contact: *, <sip:a@127.0.0.1:9>\r\nExpires: 0\r\n", 400),
        ("x", 6, "Contact: <sip:a@127.0.0.1:9>;expires=59\r\n", 423),
        ("x", 6, "Contact: <sip:n@127.0.0.1:9>\r\nExpires: 1\r\n", 423),
        ("x", 6, "Contact: <sip:a@127.0.0.1:9>;expires=0\r\n", 200),
        ("y", 1, "Contact: <sip:a@127.0.0.1:9>;expires=0\r\n", 200),
        ("x", 6, "Contact: *\r\nExpires: 0\r\n", 200),
    ] {
        let mut world = World::new();
        world.says(&register("x", 5, good));
        let message = register(call_id, cseq, more).replace("z9hG4bK", "z9hG4bKother");
        let answer = world.says(&message).pop().unwrap();
        assert_eq!(answer.status(), status, "{call_id} {cseq} {more}");
        let kept = world.agent.binding("alice").is_some();
        assert_eq!(kept, status != 200, "{call_id} {cseq} {more}");
        if status == 423 {
            assert_eq!(answer.header("Min-Expires"), Some("60"));
        }
    }
}

#[test]
fn one_user_has_so_many_contacts_and_no_more() {
    let mut world = World::new();
    let contact = |number| format!("Contact: <sip:a{number}@127.0.0.1:9>\r\n");
    for number in 1..=CONTACTS_MAX as u32 + 1 {
        let answer = world.says(&register("x", number, &contact(number))).pop().unwrap();
        let expected = if number <= CONTACTS_MAX as u32 { 200 } else { 403 };
        assert_eq!(answer.status(), expected, "{number}");
    }
    assert_eq!(world.agent.stats().bindings, CONTACTS_MAX);
}

#[test]
fn a_user_is_found_however_it_was_escaped() {
    let mut world = World::new();
    let escaped = register("x", 1, "Contact: <sip:a@127.0.0.1:9>\r\n")
        .replace("To: <sip:alice", "To: <sip:%61lice");
    world.says(&escaped);
    assert!(world.agent.binding("alice").is_some());
}

#[test]
fn who_guesses_twenty_times_is_refused_even_when_right() {
    let mut world = World::new();
    let credentials = Credentials { user: "AC1".to_owned(), password: "token".to_owned() };
    let access =
        Access { credentials: credentials.clone(), loopback_is_free: false, md5_alone: false };
    world.agent = Agent::new(Config { access: Some(access), ..Config::open(at(1), [3; 32]) });
    let prove = |challenged: &Message, credentials: &Credentials| {
        let asked = ("REGISTER", "sip:127.0.0.1:1");
        let challenges = challenged.all("WWW-Authenticate");
        let value =
            crate::digest::authorize(challenges, asked, &credentials.clone().into(), "c").unwrap();
        format!("Authorization: {value}\r\nContact: <sip:a@127.0.0.1:9>\r\n")
    };
    let mut challenged = world.says(&register("x", 1, "")).pop().unwrap();
    for number in 0..FAILURES_MAX {
        let wrong = Credentials { password: number.to_string(), ..credentials.clone() };
        challenged =
            world.says(&register("x", 2 + number, &prove(&challenged, &wrong))).pop().unwrap();
        assert_eq!(challenged.status(), 401, "{number}");
    }
    let right = prove(&challenged, &credentials);
    assert_eq!(lines(&world.says(&register("x", 50, &right))), ["403"]);
    world.after(601.0);
    let challenged = world.says(&register("x", 51, "")).pop().unwrap();
    let right = prove(&challenged, &credentials);
    assert_eq!(lines(&world.says(&register("x", 52, &right))), ["200"]);
    assert_eq!(world.agent.stats().unproven, u64::from(FAILURES_MAX));
}
