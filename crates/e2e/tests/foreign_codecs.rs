//! baresip in G.722 and in Opus, in a room with telephones: it is heard, and hears.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use e2e::{Baresip, Ear, Server, Speech, hears};
use sim::{Phone, tone};

/// What baresip says, and what the telephone does.
const BARESIP: u32 = 500;
const TELEPHONE: u32 = 900;

async fn check(speech: Speech, ptime_ms: u8) {
    let server = Server::start(&[]).await;
    let telephone = Phone::call(server.sip(), "wide", tone(TELEPHONE)).unwrap();
    let account = format!("<sip:alice@{};transport=udp>;regint=0;ptime={ptime_ms}", server.sip());
    let dial = format!("/dial sip:wide@{}", server.sip());
    let baresip = Baresip::start_speaking(speech, &account, (BARESIP, 3_000.0), "", &[dial]);
    hears(&telephone, BARESIP, true).await;
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let before = baresip.heard().len();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let heard = baresip.heard();
        let ear = Ear::new(heard.get(before..).unwrap_or_default());
        let levels = [TELEPHONE, BARESIP].map(|hertz| ear.level_near(hertz, 60));
        if levels[0] > 1_500.0 && levels[1] < 300.0 {
            break;
        }
        assert!(Instant::now() < until, "{levels:?} are heard:\n{}", baresip.log());
    }
    assert!(!telephone.heard().is_empty());
    let agreed = format!("a=ptime:{ptime_ms}\r\n");
    assert!(baresip.log().matches(&agreed).count() >= 2, "{agreed}: {}", baresip.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn baresip_in_g_722_is_heard_and_hears() {
    check(Speech::G722, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baresip_in_opus_is_heard_and_hears() {
    check(Speech::OPUS, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn baresip_in_packets_of_another_length_is_heard_and_hears() {
    for ptime_ms in [10, 40, 60] {
        check(Speech::OPUS, ptime_ms).await;
    }
}
