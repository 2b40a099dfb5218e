//! SIPp, a foreign phone that does exactly what its script says, against the server.
//!
//! What is true is written at the head of each file of `sipp/`; here stands what is done around it:
//! how the server was started, what its API is asked meanwhile, what the phone hears and what
//! becomes of the call.

#![allow(clippy::unwrap_used)]

mod stage;

use stage::{Act, Case, Stage, Transport, check};

const PCMU: &[u8] = &[0];
const PCMA: &[u8] = &[8];

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_calls_is_served_as_the_rfcs_say() {
    check(
        &[],
        &[
            Case::caller("call_in").hears(PCMU, &[]),
            Case::caller("call_in").room("call_in_tcp").over(Transport::Tcp).hears(PCMU, &[]),
            Case::caller("late_offer").hears(PCMA, &[]),
            Case::caller("pcma_only").hears(PCMA, &[]),
            Case::caller("codec_order").hears(PCMA, &[]),
            Case::caller("several_streams").hears(PCMU, &[]),
            Case::caller("telephone_event"),
            Case::caller("no_telephone_event"),
            Case::caller("dynamic_payload_type").hears(&[112], &[]),
            Case::caller("packet_time"),
            Case::caller("hold_by_sendonly").hears(PCMU, &[]),
            Case::caller("hold_by_inactive").hears(PCMU, &[]),
            Case::caller("hold_by_address").hears(PCMU, &[]),
            Case::caller("reinvite_moves").hears(PCMU, PCMA),
            Case::caller("reinvite_without_offer").hears(PCMU, PCMA),
            Case::caller("reinvite_refused").hears(PCMU, &[]),
            Case::caller("update_moves").hears(PCMU, PCMA),
            Case::caller("update_without_offer").hears(PCMU, &[]),
            Case::caller("late_ack").often("SIP/2.0 200 OK", 3),
            Case::caller("merged_request"),
            Case::caller("hung_up_by_us").act(Act::HangUp),
            Case::caller("hung_up_by_us").room("hung_up_tcp").over(Transport::Tcp).act(Act::HangUp),
            Case::caller("cancel_after_answer"),
            Case::caller("cseq_that_falls"),
            Case::caller("options_in_dialog"),
            Case::caller("refer"),
            Case::caller("nat").act(Act::HangUp),
            Case::caller("record_route").act(Act::HangUp),
            Case::caller("compact_headers"),
            Case::caller("prack_of_nothing"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_makes_no_call_leaves_nothing_behind() {
    check(
        &[],
        &[
            Case::refused("no_codec_in_common"),
            Case::refused("cancel_of_nothing"),
            Case::refused("bye_of_nothing"),
            Case::refused("ack_of_nothing"),
            Case::refused("options"),
            Case::refused("methods_not_allowed"),
            Case::refused("unknown_extension"),
            Case::refused("max_forwards"),
            Case::refused("version"),
            Case::refused("content_type"),
            Case::refused("accept"),
            Case::refused("scheme"),
            Case::refused("too_large").over(Transport::Tcp),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_hears_what_the_program_says() {
    check(
        &["--voice-url"],
        &[
            Case::caller("cancel_while_ringing").ends("canceled"),
            Case::caller("bye_while_ringing").ends("canceled"),
            Case::caller("repeated_invite").exact(),
            Case::caller("reliable_ringing").exact(),
            Case::caller("star_in_info"),
            Case::caller("star_in_rtp").act(Act::Star),
            Case::caller("turned_away").ends("busy").often("SIP/2.0 486", 3),
            Case::caller("hung_up_by_program"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_over_ipv6_as_well() {
    check(
        &["--sip", "[::1]:0"],
        &[
            Case::caller("call_in").hears(PCMU, &[]),
            Case::caller("call_in").room("call_in_tcp").over(Transport::Tcp).hears(PCMU, &[]),
            Case::caller("hung_up_by_us").act(Act::HangUp),
            Case::caller("hung_up_by_us").room("hung_up_tcp").over(Transport::Tcp).act(Act::HangUp),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_is_called_is_served_as_the_rfcs_say() {
    let alice = &[("SipAuthUsername", "alice"), ("SipAuthPassword", "secret")];
    check(
        &[],
        &[
            Case::callee("called", "completed").act(Act::HangUp).hears(PCMU, &[]),
            Case::callee("called", "completed")
                .room("called_tcp")
                .over(Transport::Tcp)
                .act(Act::HangUp)
                .hears(PCMU, &[]),
            Case::callee("called", "completed")
                .room("called_host")
                .at("localhost")
                .act(Act::HangUp),
            Case::callee("callee_hangs_up", "completed"),
            Case::callee("callee_is_busy", "busy"),
            Case::callee("callee_declines", "no-answer"),
            Case::callee("callee_is_unknown", "failed"),
            Case::callee("callee_is_away", "no-answer"),
            Case::callee("callee_has_moved", "failed"),
            Case::callee("callee_does_not_answer", "no-answer").by(&[("Timeout", "1")]),
            Case::callee("callee_is_canceled", "canceled").act(Act::Cancel),
            Case::callee("cancel_waits", "canceled").act(Act::CancelAtOnce).often("INVITE sip:", 1),
            Case::callee("answer_crosses_cancel", "canceled").act(Act::Cancel),
            Case::callee("callee_challenges", "completed").by(alice).act(Act::HangUp),
            Case::callee("proxy_challenges", "completed").by(alice).act(Act::HangUp),
            Case::callee("early_media", "completed").act(Act::HangUp).hears(PCMU, &[]),
            Case::callee("answer_repeated", "completed")
                .exact()
                .act(Act::HangUp)
                .often("ACK sip:", 2),
            Case::callee("refusal_repeated", "busy").exact(),
            Case::callee("forked", "completed").exact().act(Act::HangUp).often("tag=second", 4),
            Case::callee("callee_holds", "completed")
                .act(Act::HangUp)
                .often("CSeq: 2 ACK", 1)
                .hears(PCMU, &[]),
            Case::callee("glare", "completed").act(Act::HangUp),
            Case::callee("answer_without_media", "failed"),
            Case::callee("answer_in_foreign_codec", "failed"),
            Case::callee("callee_behind_a_proxy", "completed").act(Act::HangUp),
            Case::callee("callee_rings_reliably", "completed").act(Act::HangUp).hears(PCMU, &[]),
            Case::callee("callee_wants_longer", "completed").act(Act::HangUp),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lasts_as_long_as_the_far_end_is_there() {
    let mut cases = vec![
        Case::caller("lost_ack").often("SIP/2.0 200 OK", 5),
        Case::caller("session_refreshed"),
        Case::caller("session_glare"),
        Case::caller("session_timer"),
        Case::caller("session_too_short"),
    ];
    if std::env::var_os("SIDETONE_DEEP").is_some() {
        cases.push(Case::caller("session_abandoned"));
    }
    check(&[], &cases).await;
}

#[test]
fn every_scenario_is_played_and_says_what_is_true() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sipp");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let tests = [include_str!("sipp.rs"), include_str!("foreign_sound.rs")];
        let is_played = tests.iter().any(|test| test.contains(&format!("\"{name}\"")));
        assert!(is_played, "{name} is not played");
        let second = text.lines().nth(1).unwrap_or_default();
        assert!(second.starts_with("<!-- ") && second.contains(' '), "{name} says nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_reachable_as_long_as_it_is_registered() {
    let stage = Stage::start(&[]).await;
    let is_reached = async |name: &str| {
        let to = format!("client:{name}");
        let form = [("To", to.as_str()), ("From", "sidetone"), ("Twiml", "<Response/>")];
        let answer = stage.server.post("/Calls.json", &form).await;
        assert!(answer.status == 201 || answer.body["code"] == 21214, "{answer:?}");
        if answer.status == 201 {
            let path = format!("/Calls/{}.json", answer.text("sid"));
            stage.server.post(&path, &[("Status", "canceled")]).await;
        }
        answer.status == 201
    };
    assert!(!is_reached("nobody").await);

    let port = stage.free_port().await;
    let registers = Case::refused("register").room("alice");
    stage.play_at(port, registers, "").await.unwrap();
    let called = Case::callee("called", "completed").room("alice").by_name().act(Act::HangUp);
    stage.play_at(port, called, "").await.unwrap();

    stage.play(Case::refused("unregister").room("bob")).await.unwrap();
    assert!(!is_reached("bob").await);
    stage.play(Case::refused("register_twice").room("carol")).await.unwrap();
    assert!(is_reached("carol").await);
    stage.play(Case::refused("register_briefly").room("dave")).await.unwrap();
    assert!(is_reached("dave").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_proves_by_digest_who_it_is() {
    let stage = Stage::start(&["--sip-auth"]).await;
    let (user, token) = (stage.server.ready("account_sid"), stage.server.ready("auth_token"));
    let proof = async |algorithm, method, room: &str, password| {
        let challenged = Case::refused("challenged").room("alice");
        let trace = stage.play(challenged).await.unwrap();
        let nonce = trace.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let uri = format!("sip:{room}@{}", stage.server.sip());
        e2e::digest(algorithm, (user, password), (method, &uri), &nonce)
    };
    for algorithm in ["MD5", "SHA-256"] {
        let right = proof(algorithm, "REGISTER", "alice", token).await;
        play(&stage, Case::refused("proven").room("alice"), &right).await;
        let wrong = proof(algorithm, "REGISTER", "alice", "wrong").await;
        play(&stage, Case::refused("unproven").room("alice"), &wrong).await;
        let right = proof(algorithm, "INVITE", algorithm, token).await;
        play(&stage, Case::caller("call_proven").room(algorithm), &right).await;
    }
    play(&stage, Case::refused("call_challenged"), "").await;
}

async fn play(stage: &Stage, case: Case, proof: &str) {
    let port = stage.free_port().await;
    stage.play_at(port, case, proof).await.unwrap();
}
