//! baresip, a whole foreign phone: it registers, is dialled into a conference or dials in itself,
//! speaks from a file and writes what it hears to another.

#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use e2e::{Answer, Baresip, Ear, Origin, Server, tone};
use sim::Phone;

/// How long is waited for anything to become true.
const PATIENCE: Duration = Duration::from_secs(20);
/// How much of what was heard is judged at a time.
const LISTEN: Duration = Duration::from_millis(400);
/// Strength of every tone.
const AMPLITUDE: f64 = 3_000.0;
/// What baresip says, what the other two say, and the hold document's tone.
const BARESIP: u32 = 500;
const BOB: u32 = 700;
const CAROL: u32 = 900;
const HOLD: u32 = 1_100;

/// Starts baresip as `alice` of `server`, which proves who it is by `credentials`, and has it do `commands`.
fn baresip(server: SocketAddr, credentials: &str, commands: &[String]) -> Baresip {
    let account = format!("<sip:alice@{server};transport=udp>;regint=60{credentials}");
    Baresip::start(&account, (BARESIP, AMPLITUDE), "", commands)
}

/// A server, baresip and two simulated phones.
struct Room {
    server: Server,
    baresip: Baresip,
    bob: Phone,
    carol: Phone,
}

impl Room {
    /// Waits until bob, carol and baresip hear the tones that are named, and no other.
    async fn check(&self, after: &str, bob: &[u32], carol: &[u32], baresip: &[u32]) {
        let until = Instant::now() + PATIENCE;
        loop {
            self.bob.forget();
            self.carol.forget();
            let before = self.baresip.heard().len();
            tokio::time::sleep(LISTEN).await;
            let heard = self.baresip.heard();
            let ears = [self.bob.heard(), self.carol.heard(), heard[before..].to_vec()];
            let found = ears.map(|ear| tones(&ear));
            if found == [bob, carol, baresip] {
                return;
            }
            assert!(
                Instant::now() < until,
                "after {after}, {found:?} are heard:\n{}",
                self.baresip.log()
            );
        }
    }

    /// Posts an update of baresip's participant.
    async fn update(&self, conference: &str, form: &[(&str, &str)]) {
        let path = format!("/Conferences/{conference}/Participants/alice.json");
        let answer = self.server.post(&path, form).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// Returns which of the tones can be heard; a jitter buffer that catches up bends them a little.
fn tones(heard: &[i16]) -> Vec<u32> {
    let ear = Ear::new(heard);
    let tones = [BARESIP, BOB, CAROL, HOLD].into_iter();
    tones.filter(|&hertz| ear.level_near(hertz, 60) > AMPLITUDE / 10.0).collect()
}

/// Asks until the answer has a status.
async fn until(status: u16, log: impl Fn() -> String, ask: impl AsyncFn() -> Answer) -> Answer {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        if answer.status == status {
            return answer;
        }
        assert!(Instant::now() < until, "{answer:?}\n{}", log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn baresip_registers_joins_is_heard_muted_held_and_kicked() {
    let origin = Origin::start().await;
    origin.serves("/hold.wav", "audio/wav", sound::wav(&tone(HOLD, AMPLITUDE)));
    let hold = origin.serves_twiml("/hold", "<Play loop='0'>/hold.wav</Play>");
    let server = Server::start(&[]).await;
    let call = |hertz| Phone::call(server.sip(), "foreign", sim::tone(hertz)).unwrap();
    let (bob, carol) = (call(BOB), call(CAROL));
    let baresip = self::baresip(server.sip(), "", &[]);
    let room = Room { server, baresip, bob, carol };
    let found = until(200, String::new, || async {
        let mut found = room.server.get("/Conferences.json?FriendlyName=foreign").await;
        let members = found.body["conferences"].as_array().map_or(0, Vec::len);
        found.status = if members == 1 { 200 } else { 404 };
        found
    })
    .await;
    let conference = found.body["conferences"][0]["sid"].as_str().unwrap().to_owned();
    room.check("two phones called in", &[CAROL], &[BOB], &[]).await;

    // Until it has registered, nobody answers to its name.
    let path = format!("/Conferences/{conference}/Participants.json");
    let form =
        [("To", "client:alice"), ("From", "sidetone"), ("Label", "alice"), ("Beep", "false")];
    until(201, || room.baresip.log(), || room.server.post(&path, &form)).await;
    room.check("it joined", &[BARESIP, CAROL], &[BARESIP, BOB], &[BOB, CAROL]).await;

    room.update(&conference, &[("Muted", "true")]).await;
    room.check("it was muted", &[CAROL], &[BOB], &[BOB, CAROL]).await;
    room.update(&conference, &[("Muted", "false")]).await;
    room.check("it was unmuted", &[BARESIP, CAROL], &[BARESIP, BOB], &[BOB, CAROL]).await;

    room.update(&conference, &[("Hold", "true"), ("HoldUrl", &hold)]).await;
    room.check("it was held", &[CAROL], &[BOB], &[HOLD]).await;
    room.update(&conference, &[("Hold", "false")]).await;
    room.check("it was resumed", &[BARESIP, CAROL], &[BARESIP, BOB], &[BOB, CAROL]).await;

    let path = format!("/Conferences/{conference}/Participants/alice.json");
    assert_eq!(room.server.delete(&path).await.status, 204);
    room.check("it was kicked", &[CAROL], &[BOB], &[]).await;
    let log = room.baresip.log();
    assert!(log.contains("BYE sip:alice") && log.contains("session closed"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn baresip_proves_who_it_is_and_dials_in() {
    let server = Server::start(&["--sip-auth", "--sip-digest", "md5"]).await;
    let (user, password) = (server.ready("account_sid"), server.ready("auth_token"));
    let credentials = format!(";auth_user={user};auth_pass={password}");
    let call = format!("/dial sip:foreign@{}", server.sip());
    let baresip = self::baresip(server.sip(), &credentials, &[call]);
    let voice = sim::tone(BOB);
    let bob = Phone::listen(Ipv4Addr::LOCALHOST.into(), voice).unwrap();
    let joined = || async {
        let mut found = server.get("/Calls.json?Status=in-progress").await;
        let calls = found.body["calls"].as_array().map_or(0, Vec::len);
        found.status = if calls == 1 { 200 } else { 404 };
        found
    };
    let calls = until(200, || baresip.log(), joined).await;
    assert!(calls.body["calls"][0]["from"].as_str().unwrap().starts_with("sip:alice@"));
    let form = [("To", bob.uri.as_str()), ("From", "sidetone"), ("Beep", "false")];
    let path = "/Conferences/foreign/Participants.json";
    until(201, || baresip.log(), || server.post(path, &form)).await;
    let until = Instant::now() + PATIENCE;
    loop {
        bob.forget();
        let before = baresip.heard().len();
        tokio::time::sleep(LISTEN).await;
        let found = [tones(&bob.heard()), tones(&baresip.heard()[before..])];
        if found == [[BARESIP], [BOB]] {
            break;
        }
        assert!(Instant::now() < until, "{found:?} are heard:\n{}", baresip.log());
    }
    let dialled = server
        .post("/Calls.json", &[("To", "client:alice"), ("From", "x"), ("Twiml", "<Response/>")]);
    assert_eq!(dialled.await.status, 201, "it has not registered: {}", baresip.log());
}
