//! More than there is room for, and what it costs.

use super::*;

fn invite(number: usize) -> String {
    let message = request("INVITE", 1, "", "", SDP);
    message
        .replace("Call-ID: text", &format!("Call-ID: flood{number}"))
        .replace("z9hG4bK", &format!("z9hG4bK{number}x"))
}

fn register(number: usize) -> String {
    invite(number).replace("INVITE", "REGISTER").replace(SDP, "").replace("sip:room", "sip:u")
}

/// Returns how long 20,000 requests take, each with a look at what is due.
fn ask_twenty_thousand_times(world: &mut World) -> Duration {
    let started = Instant::now();
    for number in 0..20_000 {
        let option = request("OPTIONS", number, "", "", "");
        assert_eq!(world.says(&option).len(), 1);
        world.agent.handle_timeout(world.now);
        world.agent.poll_timeout();
    }
    started.elapsed()
}

#[test]
fn among_forty_thousand_open_transactions_one_message_meets_only_its_own() {
    let mut world = World::new();
    let alone = ask_twenty_thousand_times(&mut world);
    for number in 0..TRANSACTIONS_MAX {
        let answers = world.says(&register(number));
        assert_eq!(answers.len(), 1, "{number}");
    }
    assert_eq!(world.agent.stats().transactions, TRANSACTIONS_MAX);
    let refused = world.says(&register(TRANSACTIONS_MAX)).pop().unwrap();
    assert_eq!((refused.status(), refused.header("Retry-After")), (503, Some("5")));
    assert_eq!(world.agent.stats().overloaded, 1);
    assert_eq!(world.agent.stats().transactions, TRANSACTIONS_MAX, "nothing was kept of it");
    let among_many = ask_twenty_thousand_times(&mut world);
    let each = |all: Duration| all.as_nanos() as f64 / 20_000_000.0;
    println!("{:.1} us alone, {:.1} us among {TRANSACTIONS_MAX}", each(alone), each(among_many));
    // Walking the transactions for each would cost thousands of times as much.
    assert!(among_many < alone * 50, "{among_many:?} against {alone:?}");
    world.after(40.0);
    assert_eq!(world.agent.stats().transactions, 0);
    assert_eq!(lines(&world.says(&register(0).replace("CSeq: 1", "CSeq: 2"))), ["200"]);
}

#[test]
fn what_is_refused_leaves_nothing() {
    let mut world = World::new();
    for (method, more) in [
        ("OPTIONS", ""),
        ("MESSAGE", ""),
        ("DANCE", ""),
        ("BYE", ""),
        ("INVITE", "Require: magic\r\n"),
        ("INVITE", "Accept: text/plain\r\n"),
        ("INVITE", "Session-Expires: 5\r\nSupported: timer\r\n"),
    ] {
        let message = request(method, 1, "", more, "");
        let first = world.says(&message).pop().unwrap();
        let again = world.says(&message).pop().unwrap();
        assert_eq!(first, again, "the same answer, tag and all");
        assert!(first.tag("To").is_some());
        let stats = world.agent.stats();
        assert_eq!((stats.transactions, stats.dialogs), (0, 0), "{method} {more}");
        assert_eq!(world.agent.poll_timeout(), None);
    }
}

#[test]
fn one_source_from_elsewhere_has_its_share() {
    let mut world = World::new();
    let mut from = |source: &str, message: &str| {
        let source: SocketAddr = source.parse().unwrap();
        world.agent.handle_message(source, message.as_bytes(), world.now);
        world.sent().pop().unwrap().status()
    };
    for number in 0..CALLS_OF_SOURCE_MAX {
        assert_eq!(from("192.0.2.1:5060", &invite(number)), 100);
    }
    assert_eq!(from("192.0.2.1:6060", &invite(CALLS_OF_SOURCE_MAX)), 503);
    for number in CALLS_OF_SOURCE_MAX..TRANSACTIONS_OF_SOURCE_MAX {
        assert_eq!(from("192.0.2.1:5060", &register(number)), 200, "{number}");
    }
    assert_eq!(from("192.0.2.1:5060", &register(TRANSACTIONS_OF_SOURCE_MAX)), 503);
    assert_eq!(from("192.0.2.2:5060", &register(TRANSACTIONS_OF_SOURCE_MAX)), 200);
    assert_eq!(from("127.0.0.1:9", &invite(2 * TRANSACTIONS_OF_SOURCE_MAX)), 100);
    world.after(700.0);
    while world.agent.poll_event().is_some() {}
    let stats = world.agent.stats();
    assert_eq!((stats.transactions, stats.dialogs), (0, 0));
    let source: SocketAddr = "192.0.2.1:5060".parse().unwrap();
    world.agent.handle_message(source, invite(0).as_bytes(), world.now);
    assert_eq!(lines(&world.sent()), ["100"], "its share is free again");
}

#[test]
fn what_goes_on_is_counted() {
    let mut world = World::new();
    let (_, tag, _) = world.up("", SDP);
    world.says("nonsense");
    world.says(&request("DANCE", 1, "", "", ""));
    world.says("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nCSeq: 1 BYE\r\n\r\n");
    world.says(&request("INVITE", 2, &tag, "", SDP));
    world.after(0.6);
    world.says(&request("ACK", 2, &tag, "", ""));
    let stats = world.agent.stats();
    let rx: Vec<_> = stats.requests_rx.into_iter().collect();
    assert_eq!(rx, [("ACK", 2), ("INVITE", 2), ("other", 1)]);
    let tx: Vec<_> = stats.responses_tx.into_iter().collect();
    assert_eq!(tx, [(100, 1), (200, 2), (501, 1)]);
    assert_eq!(stats.responses_rx.into_iter().collect::<Vec<_>>(), [(200, 1)]);
    assert_eq!((stats.unparsable, stats.stray, stats.retransmissions), (1, 1, 1));
    assert_eq!((stats.dialogs, stats.transactions, stats.dropped), (1, 2, 0));
}
