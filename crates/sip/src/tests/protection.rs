//! SRTP: whose keys protect a call, and who is refused for want of them.

use std::collections::BTreeMap;

use super::*;

const CM: &str =
    "a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^31\r\n";
const GCM: &str = "a=crypto:1 AEAD_AES_128_GCM inline:Fu8vxnU4x1fcCzbhNrtV0eq4RnaK4n2/jarOig==\r\n";
const MKI: &str = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^31|1:1\r\n";

fn world(srtp: SrtpPolicy) -> World {
    let terms = Terms { srtp, ..Terms::telephone() };
    let config = Config { terms, ..Config::open(at(1), [1; 32]) };
    World { agent: Agent::new(config), now: Instant::now() }
}

/// A description with another transport, and with keys.
fn described(transport: &str, keys: &str) -> String {
    SDP.replace("RTP/AVP", transport) + keys
}

/// Returns the `a=crypto` lines of a description.
fn keys(body: &str) -> Vec<&str> {
    body.lines().filter(|line| line.starts_with("a=crypto:")).collect()
}

fn protection(event: Option<Event>) -> Option<Protection> {
    let session = match event {
        Some(Event::Invite(invitation)) => invitation.offer,
        Some(Event::Answered(_, session) | Event::Acknowledged(_, session)) => {
            session.map(|one| *one)
        }
        Some(Event::MediaChanged(_, session)) => Some(*session),
        event => panic!("{event:?}"),
    };
    session?.audio.protection
}

/// Offers by each policy; `suite` is that of the answer, or why there is none.
#[track_caller]
fn check(srtp: SrtpPolicy, transport: &str, offered: &str, expected: Result<Option<Suite>, &str>) {
    let mut world = world(srtp);
    let offer = request("INVITE", 1, "", "", &described(transport, offered));
    let first = world.says(&offer).pop().unwrap();
    if let Err(warning) = expected {
        assert_eq!(first.status(), 488, "{srtp:?} {transport} {offered}");
        let told = first.header("Warning").unwrap_or_default();
        assert!(told.contains(warning) && told.is_empty() == warning.is_empty(), "{told}");
        return;
    }
    let Some(Event::Invite(invitation)) = world.event() else { panic!("no invitation") };
    let session = invitation.offer.unwrap();
    let found = session.audio.protection.map(|protection| protection.ours.suite());
    assert_eq!(Ok(found), expected, "{srtp:?} {transport} {offered}");
    world.agent.answer(invitation.call, at(5_000), world.now);
    let answer = text(&world.sent().pop().unwrap());
    assert!(answer.contains(&format!("m=audio 5000 {transport} 0 101\r\n")), "{answer}");
    assert_eq!(keys(&answer).len(), usize::from(found.is_some()), "{answer}");
}

#[test]
fn a_policy_decides_which_offers_are_taken_and_how() {
    use SrtpPolicy::{Mandatory, Off, Optional};
    let (cm, gcm) = (Ok(Some(Suite::AesCm128HmacSha1_80)), Ok(Some(Suite::AeadAes128Gcm)));
    for policy in [Optional, Mandatory] {
        check(policy, "RTP/SAVP", CM, cm);
        check(policy, "RTP/SAVP", &format!("{GCM}{CM}"), gcm);
        check(policy, "RTP/SAVP", &format!("{CM}{GCM}"), cm);
        check(policy, "RTP/SAVP", &format!("{MKI}{CM}"), cm);
        check(policy, "RTP/SAVPF", CM, cm);
        check(policy, "RTP/AVP", CM, cm);
    }
    check(Optional, "RTP/AVP", "", Ok(None));
    check(Optional, "RTP/AVP", MKI, Ok(None));
    check(Optional, "RTP/SAVP", "", Err(""));
    check(Optional, "RTP/SAVP", MKI, Err(""));
    check(Mandatory, "RTP/AVP", "", Err("302 sidetone \"SRTP is demanded"));
    check(Mandatory, "RTP/AVP", MKI, Err("302 sidetone \"SRTP is demanded"));
    check(Off, "RTP/AVP", "", Ok(None));
    check(Off, "RTP/AVP", CM, Ok(None));
    check(Off, "RTP/SAVP", CM, Err("302 sidetone \"SRTP is not spoken"));
}

#[test]
fn a_domain_and_a_gateway_have_policies_of_their_own() {
    let mut world = world(SrtpPolicy::Off);
    let gateway = Gateway {
        name: "there".to_owned(),
        networks: vec![Network { address: at(9).ip(), prefix: 32 }],
        srtp: Some(SrtpPolicy::Mandatory),
        ..Gateway::default()
    };
    world.agent.set_gateways(vec![gateway]);
    assert_eq!(lines(&world.says(&request("INVITE", 1, "", "", SDP))), ["488"]);
    let protected = request("INVITE", 2, "", "", &described("RTP/SAVP", CM));
    assert_eq!(lines(&world.says(&protected)), ["100"]);
    assert!(protection(world.event()).is_some());
}

/// A world of these policies: for all, for who has registered, and for users who are named.
fn world_of(
    srtp: SrtpPolicy,
    registered: Option<SrtpPolicy>,
    named: &[(&str, SrtpPolicy)],
) -> World {
    let named = named.iter().map(|(name, policy)| ((*name).to_owned(), *policy)).collect();
    let users = Users { registered, named }.into();
    let terms = Terms { srtp, users, ..Terms::telephone() };
    let config = Config { terms, ..Config::open(at(1), [1; 32]) };
    World { agent: Agent::new(config), now: Instant::now() }
}

/// Registers a user, lets `phone` call in the clear and encrypted, and compares what is answered to each.
#[track_caller]
fn check_users(make: impl Fn() -> World, registers: &str, expected: [&str; 2]) {
    let register = format!(
        "REGISTER sip:127.0.0.1:1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKr\r\n\
         From: <sip:{registers}@h>;tag=1\r\nTo: <sip:{registers}@h>\r\nCall-ID: r\r\n\
         CSeq: 1 REGISTER\r\nContact: <sip:{registers}@127.0.0.1:9>\r\nExpires: 100\r\n\r\n"
    );
    for (offer, expected) in [("RTP/AVP", ""), ("RTP/SAVP", CM)].into_iter().zip(expected) {
        let mut world = make();
        assert_eq!(lines(&world.says(&register)), ["200"]);
        let answer = world.says(&request("INVITE", 1, "", "", &described(offer.0, offer.1)));
        assert_eq!(lines(&answer), [expected], "{registers} {offer:?}");
        assert_eq!(answer[0].header("Warning").is_some(), expected == "488");
    }
}

#[test]
fn who_has_registered_has_a_policy_of_its_own() {
    use SrtpPolicy::{Mandatory, Off};
    let (plain, protected) = (["100", "488"], ["488", "100"]);
    check_users(|| world_of(Off, Some(Mandatory), &[]), "phone", protected);
    check_users(|| world_of(Off, Some(Mandatory), &[]), "another", plain);
    check_users(|| world_of(Mandatory, Some(Off), &[]), "phone", plain);
    check_users(|| world_of(Mandatory, Some(Off), &[]), "another", protected);
}

#[test]
fn a_user_has_a_policy_before_that_of_all_who_have_registered() {
    use SrtpPolicy::{Mandatory, Off, Optional};
    let (plain, protected, either) = (["100", "488"], ["488", "100"], ["100", "100"]);
    for registered in [None, Some(Off), Some(Optional)] {
        let world = || world_of(Off, registered, &[("phone", Mandatory)]);
        check_users(world, "phone", protected);
        // Who takes its name elsewhere is asked no less.
        check_users(world, "another", protected);
    }
    for (policy, expected) in [(Off, plain), (Optional, either)] {
        for registered in [None, Some(Mandatory)] {
            let world = || world_of(Mandatory, registered, &[("phone", policy)]);
            check_users(world, "phone", expected);
            check_users(world, "another", protected);
        }
    }
    let others = [("another", Mandatory), ("phone@house.example", Mandatory), ("phon", Mandatory)];
    check_users(|| world_of(Off, None, &others), "phone", plain);
}

#[test]
fn who_proves_to_be_a_user_of_a_domain_has_its_policy_whatever_it_says_to_be() {
    use SrtpPolicy::{Mandatory, Off, Optional};
    let user = |name: &str| Credentials { user: name.to_owned(), password: "right".to_owned() };
    let domain = Domain {
        asks_callers: true,
        callers: vec![user("alice"), user("bob")],
        ..Domain::default()
    };
    let house = |text: String| text.replace("sip:room@127.0.0.1:1", "sip:room@house.example");
    for (all, named, proves, expected) in [
        (Off, ("alice@house.example", Mandatory), "alice", ["488", "100"]),
        (Off, ("alice@house.example", Mandatory), "bob", ["100", "488"]),
        (Off, ("alice", Mandatory), "alice", ["100", "488"]),
        (Mandatory, ("alice@house.example", Off), "alice", ["100", "488"]),
        (Mandatory, ("alice@house.example", Optional), "alice", ["100", "100"]),
        (Mandatory, ("alice@house.example", Off), "bob", ["488", "100"]),
    ] {
        for (offer, expected) in [("RTP/AVP", ""), ("RTP/SAVP", CM)].into_iter().zip(expected) {
            let mut world = world_of(all, None, &[named]);
            let domains = [("house.example".to_owned(), domain.clone())];
            world.agent.set_domains(BTreeMap::from(domains));
            let offer = described(offer.0, offer.1);
            let asked = world.says(&house(request("INVITE", 1, "", "", &offer))).pop().unwrap();
            assert_eq!(asked.status(), 401);
            let proof = crate::digest::authorize(
                asked.all("WWW-Authenticate"),
                ("INVITE", "sip:room@house.example"),
                &user(proves).into(),
                "c",
            );
            let proof = format!("Authorization: {}\r\n", proof.unwrap());
            let answers = world.says(&house(request("INVITE", 2, "", &proof, &offer)));
            assert_eq!(lines(&answers), [expected], "{all:?} {named:?} {proves} {offer}");
        }
    }
}

#[test]
fn our_key_stays_while_theirs_and_the_address_change() {
    let mut world = world(SrtpPolicy::Optional);
    let (_, tag, answer) = world.up("", &described("RTP/SAVP", CM));
    let first = text(&answer);
    assert!(keys(&first)[0].starts_with("a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:"), "{first}");
    let other = CM.replace("d0Rm", "AAAA");
    let moved = described("RTP/SAVP", &other).replace("4000", "4002");
    let again = text(&world.says(&request("INVITE", 2, &tag, "", &moved)).pop().unwrap());
    assert_eq!(keys(&again), keys(&first));
    assert!(protection(world.event()).is_some());
    world.says(&request("ACK", 2, &tag, "", ""));
    // An offer of ours speaks of the same.
    let ours = text(&world.says(&request("INVITE", 3, &tag, "", "")).pop().unwrap());
    assert_eq!(keys(&ours), keys(&first));
    assert!(ours.contains("m=audio 5000 RTP/SAVP 0 8 101\r\n"), "{ours}");
    world.says(&request("ACK", 3, &tag, "", &described("RTP/SAVP", CM)));
    let settled = protection(world.event()).unwrap();
    // Another suite has another key.
    let suite = described("RTP/SAVP", GCM);
    let changed = text(&world.says(&request("INVITE", 4, &tag, "", &suite)).pop().unwrap());
    assert!(keys(&changed)[0].starts_with("a=crypto:1 AEAD_AES_128_GCM inline:"), "{changed}");
    let other = protection(world.event()).unwrap();
    assert_ne!((settled.ours, settled.theirs), (other.ours, other.theirs));
    // A call that was protected stays so where that is demanded alone; here it may end.
    world.says(&request("ACK", 4, &tag, "", ""));
    let plain = text(&world.says(&request("INVITE", 5, &tag, "", SDP)).pop().unwrap());
    assert_eq!(keys(&plain), [""; 0]);
    assert_eq!(protection(world.event()), None);
}

#[test]
fn no_call_is_left_without_protection_where_it_is_demanded() {
    let mut world = world(SrtpPolicy::Mandatory);
    let (_, tag, _) = world.up("", &described("RTP/SAVP", CM));
    assert_eq!(lines(&world.says(&request("INVITE", 2, &tag, "", SDP))), ["488"]);
    assert_eq!(world.event(), None);
}

/// Calls as `srtp` has it, and answers by `answer`, which may speak of our keys.
fn called(srtp: SrtpPolicy, answer: impl Fn(&str) -> String) -> (String, Option<Event>) {
    let (offer, events) = called_with(srtp, answer);
    (offer, events.into_iter().next())
}

/// The same, with all that is told.
fn called_with(srtp: SrtpPolicy, answer: impl Fn(&str) -> String) -> (String, Vec<Event>) {
    let mut world = world(SrtpPolicy::Optional);
    let id = world.agent.new_call();
    let offered = Offered { srtp: Some(srtp), ..at(5_000).into() };
    world.agent.invite(id, "sip:bob@127.0.0.1:9", at(9), ("us", None), offered, world.now);
    let invite = world.sent().pop().unwrap();
    let body = text(&invite);
    world.says(&reply(&invite, "200 OK", "bob", "", &answer(&body)));
    (body, std::iter::from_fn(|| world.event()).collect())
}

#[test]
fn we_offer_keys_and_take_those_that_the_answer_names() {
    let answer = CM.replace("crypto:7", "crypto:2");
    let (offer, event) = called(SrtpPolicy::Mandatory, |_| described("RTP/SAVP", &answer));
    assert!(offer.contains("m=audio 5000 RTP/SAVP 0 8 101\r\n"), "{offer}");
    let suites: Vec<_> =
        keys(&offer).iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(
        suites,
        [
            "AEAD_AES_128_GCM",
            "AES_CM_128_HMAC_SHA1_80",
            "AEAD_AES_256_GCM",
            "AES_CM_128_HMAC_SHA1_32"
        ]
    );
    let settled = protection(event).unwrap();
    assert_eq!(settled.ours.suite(), Suite::AesCm128HmacSha1_80);
    assert_eq!(settled.theirs.suite(), Suite::AesCm128HmacSha1_80);
    assert_ne!(settled.ours, settled.theirs);
}

#[test]
fn an_answer_that_is_not_protected_as_we_demand_ends_the_call() {
    for answer in [
        described("RTP/AVP", ""),
        described("RTP/SAVP", ""),
        // A tag of another suite, and one that we did not offer.
        described("RTP/SAVP", &CM.replace("crypto:7", "crypto:1")),
        described("RTP/SAVP", CM),
    ] {
        let (_, events) = called_with(SrtpPolicy::Mandatory, |_| answer.clone());
        // Why is told where it is plain.
        let why = answer.contains("RTP/AVP").then_some("Unprotected");
        let told = events.iter().map(|event| match event {
            Event::Unprotected(_) => "Unprotected",
            Event::Failed(_, 488) => "Failed",
            other => panic!("{answer}: {other:?}"),
        });
        assert_eq!(told.collect::<Vec<_>>(), Vec::from_iter(why.into_iter().chain(["Failed"])));
    }
    for policy in [SrtpPolicy::Off, SrtpPolicy::Optional] {
        let (offer, event) = called(policy, |_| described("RTP/AVP", CM));
        assert_eq!(keys(&offer), [""; 0], "nobody shows keys to who reads along");
        assert_eq!(protection(event), None, "{policy:?}");
    }
}

#[test]
fn a_caller_without_an_offer_is_offered_keys_where_they_are_demanded() {
    let mut world = world(SrtpPolicy::Mandatory);
    let id = world.offered("", "");
    world.agent.answer(id, at(5_000), world.now);
    let answer = world.sent().pop().unwrap();
    assert_eq!(keys(&text(&answer)).len(), 4, "{}", text(&answer));
    let tag = answer.tag("To").unwrap().to_owned();
    let keys = CM.replace("crypto:7", "crypto:2");
    world.says(&request("ACK", 1, &tag, "", &described("RTP/SAVP", &keys)));
    assert!(protection(world.event()).is_some());
}
