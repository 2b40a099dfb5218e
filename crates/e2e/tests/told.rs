//! Fields of requests to a customer's server that come about seldom.

#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::time::Duration;

use e2e::{Server, hears};
use sim::{Phone, tone};

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_tells_its_display_name_and_its_own_headers() {
    let (server, origin) = Server::with_origin().await;
    origin.answers("loop", "<Pause length='60'/>");
    let to = format!("sip:loop@{}?X-Case=a%20b", server.sip());
    let form = [("To", to.as_str()), ("From", "desk"), ("CallerDisplayName", "The Desk")];
    let made = server.post("/Conferences/room/Participants.json", &form).await;
    assert_eq!(made.status, 201, "{made:?}");
    let asked = origin.wait_for("/voice", |_| true).await.unwrap();
    assert_eq!((asked.param("CallerName"), asked.param("SipHeader_X-Case")), ("The Desk", "a b"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_that_cannot_be_played_tells_why() {
    let (server, origin) = Server::with_origin().await;
    let phone = Phone::listen(Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap();
    let callback = origin.url("/callback");
    let form = [
        ("To", phone.uri.as_str()),
        ("From", "desk"),
        ("ConferenceStatusCallback", &callback),
        ("ConferenceStatusCallbackEvent", "announcement"),
    ];
    let made = server.post("/Conferences/room/Participants.json", &form).await;
    assert!(phone.wait_up(LIMIT));
    let one = format!(
        "/Conferences/{}/Participants/{}.json",
        made.text("conference_sid"),
        made.text("call_sid")
    );
    let missing = origin.fails("/missing", 404);
    assert_eq!(server.post(&one, &[("AnnounceUrl", &missing)]).await.status, 200);
    let told = origin.wait_for("/callback", |_| true).await.unwrap();
    assert_eq!(told.param("StatusCallbackEvent"), "announcement-fail");
    assert_eq!(told.param("AnnounceUrl"), missing);
    assert!(told.param("ReasonAnnouncementFailed").contains("404"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_action_of_a_recorded_dial_is_told_where_the_sound_is() {
    let (server, origin) = Server::with_origin().await;
    let bob = Phone::listen(Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap();
    origin.serves_twiml("/done", "<Hangup/>");
    let verbs =
        format!("<Dial record='record-from-answer' action='/done'><Sip>{}</Sip></Dial>", bob.uri);
    origin.answers("desk", &verbs);
    let alice = Phone::call(server.sip(), "desk", tone(900)).unwrap();
    hears(&alice, 500, true).await;
    bob.hang_up();
    let done = origin.wait_for("/done", |_| true).await.unwrap();
    assert_eq!(done.param("DialCallStatus"), "completed");
    let account = server.ready("account_sid");
    let below = format!("/2010-04-01/Accounts/{account}/Recordings/RE");
    assert!(done.param("RecordingUrl").contains(&below), "{done:?}");
    assert!(alice.wait_over(LIMIT));
}
