//! How soon a change is heard, and that a tone goes on: measured with real phones, printed, and judged
//! only by what holds on any machine.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use e2e::{Ear, Server, binary};
use sim::Phone;

/// Legs that are up beside the two that are measured.
const OTHERS: &str = "98";
const TOGGLES: usize = 1_000;
/// How long a change is waited for: no figure, but the end of patience.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn each_of_a_thousand_mutes_is_heard_with_a_hundred_legs_up() {
    let server = Server::start(&[]).await;
    let mut load = Command::new(binary())
        .args(["load", "--legs", OTHERS, "--room-size", "4", "--for", "300s", "--data"])
        .arg(server.data())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let talker = Phone::call(server.sip(), "ears", sim::tone(440)).unwrap();
    assert!(talker.wait_up(PATIENCE));
    // The last that came is the first of the list: whom to mute is known before the other calls.
    let (conference, call) = talker_of(&server).await;
    let listener = Phone::call(server.sip(), "ears", vec![0; 160].into()).unwrap();
    assert!(listener.wait_up(PATIENCE));
    let path = format!("/Conferences/{conference}/Participants/{call}.json");
    assert!(heard_from(&listener, Instant::now(), |loudness| loudness > 500.0).await.is_some());
    let mut latencies = Vec::new();
    for toggle in 0..TOGGLES {
        // Everywhere within a frame, and never before the last change has passed.
        tokio::time::sleep(Duration::from_micros(20_000 + (toggle as u64 * 7_919) % 20_000)).await;
        let mutes = toggle % 2 == 0;
        listener.packets();
        let asked = Instant::now();
        let answer = server.post(&path, &[("Muted", if mutes { "true" } else { "false" })]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        // A tone of amplitude 3,000 has 2,121; the first changed packet holds part of a ramp.
        let changed = |loudness: f32| if mutes { loudness < 1_900.0 } else { loudness > 100.0 };
        let heard = heard_from(&listener, asked, changed).await;
        latencies.push(heard.unwrap_or_else(|| panic!("change {toggle} was never heard")));
    }
    let _ = load.kill();
    let _ = load.wait();
    latencies.sort_unstable();
    let at = |percent: usize| {
        latencies[(latencies.len() - 1) * percent / 100].as_micros() as f64 / 1_000.0
    };
    println!(
        "from an update's request to the first changed packet, {TOGGLES} changes, 100 legs up, ms: \
         p10 {:.1}, p50 {:.1}, p90 {:.1}, p99 {:.1}, worst {:.1}",
        at(10),
        at(50),
        at(90),
        at(99),
        at(100)
    );
}

/// Waits for the first packet since `asked` that is as it should be; returns how long it took.
async fn heard_from(
    listener: &Phone,
    asked: Instant,
    is_it: impl Fn(f32) -> bool,
) -> Option<Duration> {
    while asked.elapsed() < PATIENCE {
        let packets = listener.packets();
        let found = packets.iter().find(|packet| packet.at > asked && is_it(packet.loudness));
        if let Some(found) = found {
            return Some(found.at - asked);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    None
}

/// Returns the conference `ears` and the one call in it.
async fn talker_of(server: &Server) -> (String, String) {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let found = server.get("/Conferences.json?FriendlyName=ears").await;
        if let Some(sid) = found.body["conferences"][0]["sid"].as_str() {
            let path = format!("/Conferences/{sid}/Participants.json");
            let members = server.get(&path).await.body["participants"].clone();
            if let Some(call) = members[0]["call_sid"].as_str() {
                return (sid.to_owned(), call.to_owned());
            }
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the talker did not come in");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_begins_to_speak_and_who_stops_is_told() {
    let (server, origin) = Server::with_origin().await;
    origin.answers(
        "talk",
        "<Dial><Conference statusCallback=\"/callback/talk\" statusCallbackEvent=\"speaker\">talk\
         </Conference></Dial>",
    );
    // A second of a tone, then two of silence.
    let words = [sim::tone(440).to_vec(), vec![0; 16_000]].concat();
    let _talker = Phone::call(server.sip(), "talk", words.into()).unwrap();
    let _listener = Phone::call(server.sip(), "talk", vec![0; 160].into()).unwrap();
    for event in ["participant-speech-start", "participant-speech-stop"] {
        let told = |asked: &e2e::Asked| asked.param("StatusCallbackEvent") == event;
        assert!(origin.wait_for("/callback/talk", told).await.is_some(), "no {event} was told");
    }
}

/// Seconds that a tone is listened to, in a normal run and in a deep one.
const TONE_S: (usize, usize) = (60, 600);
/// Pieces of 100 ms that may be broken where the machine, not the server, had no time.
const BROKEN_MAX: usize = 20;
/// How often it is listened to, until a machine that others use has had time for once.
const TAKES_MAX: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_tone_of_a_minute_is_heard_to_its_end() {
    let server = Server::start(&[]).await;
    let talker = Phone::call(server.sip(), "tone", sim::tone(1_000)).unwrap();
    let listener = Phone::call(server.sip(), "tone", vec![0; 160].into()).unwrap();
    assert!(talker.wait_up(PATIENCE) && listener.wait_up(PATIENCE));
    assert!(heard_from(&listener, Instant::now(), |loudness| loudness > 2_000.0).await.is_some());
    let seconds = if std::env::var_os("SIDETONE_DEEP").is_some() { TONE_S.1 } else { TONE_S.0 };
    let mut broken = usize::MAX;
    for _ in 0..TAKES_MAX {
        listener.forget();
        let mut heard = Vec::new();
        while heard.len() < seconds * 8_000 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            heard.extend(listener.heard());
        }
        let whole = |level: f64| (level - 3_000.0).abs() <= 150.0;
        let ears: Vec<Ear> = heard.chunks_exact(800).map(Ear::new).collect();
        let moved: Vec<&Ear> = ears.iter().filter(|ear| !whole(ear.level(1_000))).collect();
        // While play-out moves, the tone is lower or higher by 2.5 % at most, and as loud.
        broken = moved.iter().filter(|ear| !whole(ear.level_near(1_000, 26))).count();
        println!(
            "{seconds} s of 1 kHz: of {} pieces of 100 ms {} off the tone, {broken} broken",
            ears.len(),
            moved.len() - broken
        );
        if broken <= BROKEN_MAX {
            break;
        }
    }
    assert!(broken <= BROKEN_MAX, "{broken} pieces are broken");
}
