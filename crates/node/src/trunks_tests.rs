use super::*;
use crate::core::{Input, Output, Ticket, Written};
use crate::testing::{ACCOUNT, core_with, create, now};

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

/// A trunk at a port of this machine that may call the United States.
fn trunk(name: &str, port: u16) -> Trunk {
    Trunk {
        name: name.to_owned(),
        uri: Some(format!("sip:127.0.0.1:{port}")),
        rules: TrunkRules {
            prefixes: texts(&["+"]),
            allow: texts(&["+1"]),
            caller_ids: texts(&["+1415"]),
            ..TrunkRules::default()
        },
        proof: None,
        register: None,
        plain_digits: false,
        calls_per_second: 100,
        calls: 100,
        calls_per_day: 100,
        probe_every: None,
        networks: Vec::new(),
        callers: Vec::new(),
        srtp: None,
    }
}

fn trunks(list: Vec<Trunk>, now: Now) -> Trunks {
    let mut trunks = Trunks::default();
    trunks.set(list, || "id@us".to_owned(), ("127.0.0.1".parse().unwrap(), now.instant));
    trunks
}

fn outside() -> Outside {
    Outside::default()
}

/// What a call that waits for its turn is said to have. Source: RFC 3261 section 21.1.4, Queued.
const QUEUED: u16 = 182;

/// Chooses for a call to somebody in Boston, and begins it; returns the trunk's place or the status.
fn call(trunks: &mut Trunks, number: u8, tried: &[usize], now: Now) -> Result<usize, u16> {
    goes(trunks, number, (tried, None), now)
}

fn goes(
    trunks: &mut Trunks,
    number: u8,
    (tried, turn): (&[usize], Option<usize>),
    now: Now,
) -> Result<usize, u16> {
    let sid = CallSid::new([number; 16]);
    let numbers = ("+16175550100", "+14155550100");
    let (effect, tried_so_far) = (Effect::Answer(sid), tried.to_vec());
    match trunks.choose(numbers, (ACCOUNT, &outside()), (tried, turn), now)? {
        Choice::Goes(chosen) => {
            trunks.begin((sid, effect), chosen.trunk, tried_so_far, now);
            Ok(chosen.trunk)
        }
        Choice::Waits(trunk) => {
            let outbound = Outbound { effect, tried: tried_so_far, last: None, turn: None };
            trunks.wait(trunk, sid, outbound);
            Err(QUEUED)
        }
    }
}

/// Lets go whose turn it is; returns who went where.
fn turns(trunks: &mut Trunks, now: Now) -> Vec<(u8, Result<usize, u16>)> {
    let mut went = Vec::new();
    while let Some((sid, outbound)) = trunks.next_turn(now.instant) {
        let number = (1..=255).find(|number| CallSid::new([*number; 16]) == sid).unwrap();
        went.push((number, goes(trunks, number, (&outbound.tried, outbound.turn), now)));
    }
    went
}

fn after(now: Now, time: Duration) -> Now {
    let wall = model::Timestamp(now.wall.0 + i64::try_from(time.as_millis()).unwrap());
    Now { instant: now.instant + time, wall }
}

#[test]
fn a_number_goes_by_the_first_trunk_that_is_there_and_by_one_that_is_not_last() {
    let start = now();
    let mut trunks = trunks(vec![trunk("a", 5_070), trunk("b", 5_071)], start);
    assert_eq!(call(&mut trunks, 1, &[], start), Ok(0));
    let failed = trunks.failed(CallSid::new([1; 16]), 503, start.instant).unwrap();
    assert_eq!(failed.tried, [0]);
    assert_eq!(call(&mut trunks, 1, &failed.tried, start), Ok(1));
    assert_eq!(call(&mut trunks, 2, &[], start), Ok(1), "the first is not there");
    assert!(
        trunks.failed(CallSid::new([2; 16]), 486, start.instant).is_none(),
        "busy is an answer"
    );
    assert!(trunks.failed(CallSid::new([1; 16]), 503, start.instant).is_some());
    assert_eq!(
        call(&mut trunks, 3, &[], start),
        Ok(0),
        "none is there: they are asked all the same"
    );
    assert_eq!(call(&mut trunks, 4, &[0, 1], start), Err(403), "all were tried");
    let later = after(start, DOWN_FOR);
    assert_eq!(call(&mut trunks, 5, &[], later), Ok(0), "it is asked again after a while");
}

#[test]
fn each_cap_is_kept_at_the_number_and_not_before() {
    let start = now();
    let second = Duration::from_secs(1);
    let caps = |second, calls, day| Trunk {
        calls_per_second: second,
        calls,
        calls_per_day: day,
        ..trunk("a", 5_070)
    };
    let mut rate = trunks(vec![caps(2, 9, 9)], start);
    assert_eq!([1, 2, 3].map(|n| call(&mut rate, n, &[], start)), [Ok(0), Ok(0), Err(QUEUED)]);
    assert_eq!(turns(&mut rate, after(start, second)), [(3, Ok(0))]);
    let mut shut = trunks(vec![caps(0, 9, 9)], start);
    assert_eq!(call(&mut shut, 1, &[], start), Err(503), "its turn would never come");
    let mut at_once = trunks(vec![caps(9, 2, 9)], start);
    assert_eq!([1, 2, 3].map(|n| call(&mut at_once, n, &[], start)), [Ok(0), Ok(0), Err(503)]);
    at_once.release(CallSid::new([1; 16]));
    assert_eq!(call(&mut at_once, 3, &[], start), Ok(0));
    let mut daily = trunks(vec![caps(9, 9, 2)], start);
    assert_eq!([1, 2, 3].map(|n| call(&mut daily, n, &[], start)), [Ok(0), Ok(0), Err(503)]);
    (1..3).for_each(|n| daily.release(CallSid::new([n; 16])));
    assert_eq!(call(&mut daily, 3, &[], after(start, second)), Err(503), "what is over counts");
    assert_eq!(call(&mut daily, 3, &[], after(start, second * 86_400)), Ok(0), "a day later");
}

#[test]
fn calls_that_come_too_fast_wait_for_their_turn_and_nobody_overtakes() {
    let start = now();
    let slow = |name, port| Trunk { calls_per_second: 1, ..trunk(name, port) };
    let mut one = trunks(vec![slow("a", 5_070)], start);
    assert_eq!(call(&mut one, 1, &[], start), Ok(0));
    let half = after(start, SECOND / 2);
    assert_eq!([2, 3].map(|n| call(&mut one, n, &[], half)), [Err(QUEUED), Err(QUEUED)]);
    assert_eq!(one.poll_timeout(), Some(start.instant + SECOND));
    assert!(turns(&mut one, half).is_empty());
    let later = after(start, SECOND);
    assert_eq!(call(&mut one, 4, &[], later), Err(QUEUED), "two are before it");
    assert_eq!(turns(&mut one, later), [(2, Ok(0))]);
    one.release(CallSid::new([3; 16]));
    assert_eq!(turns(&mut one, after(start, SECOND * 2)), [(4, Ok(0))], "who was third has gone");
    assert_eq!(one.stats(start)[0].calls_waiting, 0);
    // It does not wait where the next trunk has room, but rather than go by one that is not there.
    let mut two = trunks(vec![slow("a", 5_070), slow("b", 5_071)], start);
    two.lines[1].down_until = Some(start.instant + DOWN_FOR);
    assert_eq!([1, 2].map(|n| call(&mut two, n, &[], start)), [Ok(0), Err(QUEUED)]);
    two.lines[1].down_until = None;
    assert_eq!([3, 4].map(|n| call(&mut two, n, &[], start)), [Ok(1), Err(QUEUED)]);
    // At its turn a call goes where it can go then.
    two.lines[0].down_until = Some(start.instant + DOWN_FOR);
    assert_eq!(turns(&mut two, later), [(2, Ok(1)), (4, Err(QUEUED))]);
    let waited =
        two.set(vec![], || "id@us".to_owned(), ("127.0.0.1".parse().unwrap(), start.instant));
    assert_eq!(waited.len(), 1, "nobody is forgotten when trunks change");
}

#[test]
fn who_would_wait_for_too_long_is_refused_at_once() {
    let start = now();
    let mut trunks = trunks(vec![Trunk { calls_per_second: 1, ..trunk("a", 5_070) }], start);
    assert_eq!(call(&mut trunks, 1, &[], start), Ok(0));
    for number in 2..62 {
        assert_eq!(call(&mut trunks, number, &[], start), Err(QUEUED), "{number}");
    }
    assert_eq!(call(&mut trunks, 62, &[], start), Err(503));
    for number in 1..=60 {
        // Whose phone rings goes nowhere else: its silence is waited for no longer.
        trunks.arrived(CallSid::new([number; 16]));
        let at = after(start, SECOND * number.into());
        assert_eq!(trunks.poll_timeout(), Some(at.instant), "{number}");
        assert_eq!(turns(&mut trunks, at), [(number + 1, Ok(0))]);
    }
    assert!(turns(&mut trunks, after(start, WAIT_MAX * 2)).is_empty());
}

#[test]
fn a_cap_of_the_day_outlives_a_restart_and_other_settings() {
    let start = now();
    let capped = |day| Trunk { calls_per_day: day, ..trunk("a", 5_070) };
    let mut before = trunks(vec![capped(2)], start);
    assert_eq!([1, 2, 3].map(|n| call(&mut before, n, &[], start)), [Ok(0), Ok(0), Err(503)]);
    let ours = "127.0.0.1".parse().unwrap();
    before.set(vec![capped(3)], || "id@us".to_owned(), (ours, start.instant));
    let sid = CallSid::new([3; 16]);
    let kept = before.begin((sid, Effect::Answer(sid)), 0, Vec::new(), start).unwrap();
    assert_eq!((kept.trunk.as_str(), kept.calls), ("a", 3));
    let mut again = trunks(vec![capped(3)], start);
    again.know_days(vec![kept]);
    assert_eq!(call(&mut again, 4, &[], start), Err(503));
    let tomorrow = after(start, Duration::from_secs(86_400));
    assert_eq!(call(&mut again, 4, &[], tomorrow), Ok(0));
}

#[test]
fn what_no_trunk_allows_or_may_show_is_forbidden() {
    let start = now();
    let trunks = trunks(vec![trunk("a", 5_070)], start);
    let choose =
        |to, from| match trunks.choose((to, from), (ACCOUNT, &outside()), (&[], None), start) {
            Ok(Choice::Goes(chosen)) => Ok(chosen.uri),
            Ok(Choice::Waits(_)) => Err(QUEUED),
            Err(status) => Err(status),
        };
    assert_eq!(choose("+442079460000", "+14155550100"), Err(403));
    assert_eq!(choose("+16175550100", "+18005550100"), Err(403), "another's number");
    assert_eq!(choose("+16175550100", "client:alice"), Err(403));
    let uri = "sip:+16175550100@127.0.0.1:5070".to_owned();
    assert_eq!(choose("+16175550100", "+14155550100"), Ok(uri));
    let address = |text: &str| text.parse().unwrap();
    assert!(trunks.are_at(address("127.0.0.1:5070")) && !trunks.are_at(address("127.0.0.1:5071")));
}

#[test]
fn a_trunk_with_a_name_is_reached_where_that_leads() {
    let start = now();
    let uri = Some("sip:carrier.example".to_owned());
    let mut trunks = trunks(vec![Trunk { uri, ..trunk("a", 0) }], start);
    assert_eq!(call(&mut trunks, 1, &[], start), Err(503), "nobody knows yet where it is");
    assert_eq!(trunks.due(start.instant), [(0, TrunkQuestion::Probe)]);
    assert_eq!(trunks.name_of(0), Some("carrier.example"));
    let ours = "127.0.0.1".parse().unwrap();
    assert!(!trunks.found(0, &["::1".parse().unwrap()], ours), "no socket reaches it");
    assert!(trunks.found(0, &["10.0.0.1".parse().unwrap()], ours));
    assert!(trunks.question(0, TrunkQuestion::Probe, CallId(1)).is_none(), "nobody wants it asked");
    assert_eq!(call(&mut trunks, 1, &[], start), Ok(0));
    assert!(trunks.found(0, &[], ours), "it stays where it was while its name leads nowhere");
}

#[test]
fn a_registration_is_refreshed_before_it_ends_and_tried_again_with_growing_pauses() {
    let start = now();
    let proof = sip::Credentials { user: "us".to_owned(), password: "secret".to_owned() };
    let registers = Trunk {
        proof: Some(Proof { credentials: proof, realm: Some("carrier".to_owned()) }),
        register: Some(Duration::from_secs(600)),
        ..trunk("a", 5_070)
    };
    let mut trunks = trunks(vec![registers], start);
    let mut last = 0;
    let mut ask = |trunks: &mut Trunks, at: Now, status, expires_s| {
        assert_eq!(trunks.due(at.instant), [(0, TrunkQuestion::Register(600))]);
        last += 1;
        let id = CallId(last);
        let question = trunks.question(0, TrunkQuestion::Register(600), id).unwrap();
        assert_eq!(
            (question.uri.as_str(), question.identity.as_str()),
            ("sip:127.0.0.1:5070", "sip:us@127.0.0.1:5070")
        );
        trunks.replied(id, (status, expires_s), at.instant);
        let next = trunks.poll_timeout().unwrap().duration_since(at.instant);
        (next, after(at, next))
    };
    let (pause, at) = ask(&mut trunks, start, 503, None);
    assert_eq!(pause, PAUSE);
    assert!(!trunks.stats(at)[0].up, "calls would be refused");
    let (pause, at) = ask(&mut trunks, at, 403, None);
    assert_eq!(pause, PAUSE * 2);
    let (pause, at) = ask(&mut trunks, at, 200, Some(300));
    assert_eq!(pause, Duration::from_secs(240), "as long as was granted, but for a fifth");
    assert!(trunks.stats(at)[0].up);
    let (pause, at) = ask(&mut trunks, at, 503, None);
    assert_eq!(pause, PAUSE, "after a success pauses begin anew");
    assert!(trunks.stats(at)[0].up, "the one of before holds");
    assert!(!trunks.stats(after(at, Duration::from_secs(120)))[0].up);
}

#[test]
fn a_probe_that_is_answered_at_all_says_that_a_trunk_is_there() {
    let start = now();
    let probed = Trunk { probe_every: Some(Duration::from_secs(30)), ..trunk("a", 5_070) };
    let mut trunks = trunks(vec![probed], start);
    for (status, up) in [(408, false), (405, true), (503, false), (200, true)] {
        let at = after(start, Duration::from_secs(u64::from(status)));
        assert_eq!(trunks.due(at.instant), [(0, TrunkQuestion::Probe)], "{status}");
        trunks.question(0, TrunkQuestion::Probe, CallId(u64::from(status))).unwrap();
        trunks.replied(CallId(u64::from(status)), (status, None), at.instant);
        assert_eq!(trunks.stats(at)[0].up, up, "{status}");
        trunks.lines[0].probe.at = Some(start.instant);
    }
}

/// Calls Boston by a trunk, where calls are encrypted as `everyone` says; returns what is offered to the trunk.
fn offered(everyone: SrtpPolicy, srtp: Option<SrtpPolicy>) -> String {
    let now = now();
    let mut core = core_with(sip::Terms { srtp: everyone, ..sip::Terms::telephone() }, now);
    core.handle(Input::Trunks(vec![Trunk { srtp, ..trunk("a", 5_070) }]), now);
    let mut command = create("+16175550100", exchange::StatusCallback::default());
    if let exchange::Command::CreateCall(create) = &mut *command {
        create.dialling.from = "+14155550100".to_owned();
    }
    core.handle(Input::Command(command, Ticket(1)), now);
    while let Some(output) = core.poll_output() {
        match output {
            Output::Commit(batch, _) => core.handle(Input::Committed(batch, Written::Yes), now),
            Output::Transmit(transmit) if transmit.octets.starts_with(b"INVITE") => {
                return String::from_utf8(transmit.octets).unwrap();
            }
            _ => {}
        }
    }
    panic!("the trunk is not asked");
}

#[test]
fn a_trunk_is_offered_encryption_as_is_said_of_it_alone() {
    use SrtpPolicy::{Mandatory, Off, Optional};
    for (everyone, trunk, is_encrypted) in [
        (Off, Some(Mandatory), true),
        (Optional, Some(Mandatory), true),
        (Mandatory, Some(Off), false),
        (Optional, Some(Off), false),
        (Mandatory, None, true),
        (Off, None, false),
    ] {
        let offer = offered(everyone, trunk);
        let profile = if is_encrypted { "RTP/SAVP" } else { "RTP/AVP" };
        assert!(offer.contains(&format!("\r\nm=audio 20000 {profile} ")), "{trunk:?}: {offer}");
        assert_eq!(offer.contains("\r\na=crypto:"), is_encrypted, "{trunk:?}: {offer}");
    }
}
