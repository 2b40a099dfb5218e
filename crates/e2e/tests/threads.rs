//! Rooms on several media threads: whoever enters one from elsewhere moves, and nobody hears of it.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use e2e::{Ear, Origin, Server, channels, fetch, hears, tone, until};
use sim::Phone;

/// The tones of those who call, two for each room.
const TONES: [u32; 8] = [440, 550, 660, 770, 880, 990, 1_100, 1_210];

/// Calls in with a tone; the voice URL sends the caller to what its name says.
fn call(server: &Server, user: &str, hertz: u32) -> Phone {
    Phone::call(server.sip(), user, tone(hertz, 6_000.0)).unwrap()
}

async fn connected(server: &Server, room: &str, count: usize) -> String {
    let mut sid = String::new();
    until(&format!("{count} in {room}"), async || {
        let all = server.get(&format!("/Conferences.json?FriendlyName={room}")).await.body;
        let Some(found) = all["conferences"][0]["sid"].as_str() else { return false };
        found.clone_into(&mut sid);
        let members = server.get(&format!("/Conferences/{sid}/Participants.json")).await.body;
        let members = members["participants"].as_array().unwrap();
        members.iter().filter(|one| one["status"] == "connected").count() == count
    })
    .await;
    sid
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_on_three_threads_each_hear_their_own_and_nobody_else() {
    let origin = Origin::start().await;
    let server =
        Server::start(&["--media-threads", "3", "--voice-url", &origin.url("/voice")]).await;
    let mut phones = Vec::new();
    for (caller, hertz) in TONES.into_iter().enumerate() {
        let (user, room) = (format!("user{caller}"), format!("room{}", caller / 2));
        // A key before it, so that the call is answered, and on a thread, before it has a room.
        let noun = format!("<Conference beep='false'>{room}</Conference>");
        origin.answers(&user, &format!("<Play digits='1'/><Dial>{noun}</Dial>"));
        phones.push(call(&server, &user, hertz));
    }
    for room in 0..4 {
        connected(&server, &format!("room{room}"), 2).await;
    }
    let expected: Vec<Vec<u32>> = (0..TONES.len()).map(|own| vec![TONES[own ^ 1]]).collect();
    until("each hears the other one of its room", async || {
        phones.iter().for_each(Phone::forget);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let heard = phones.iter().map(|phone| {
            let ear = Ear::new(&phone.heard());
            TONES.into_iter().filter(|hertz| ear.level(*hertz) > 500.0).collect()
        });
        heard.collect::<Vec<Vec<u32>>>() == expected
    })
    .await;
    let (_, metrics) = server.admin("/metrics").await;
    for thread in 0..3 {
        let row = format!("sidetone_tick_busy_ratio{{thread=\"{thread}\"}}");
        assert!(metrics.contains(&row), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_recorded_and_sent_from_room_to_room_is_heard_in_each_and_recorded_throughout()
 {
    let origin = Origin::start().await;
    let server =
        Server::start(&["--media-threads", "4", "--voice-url", &origin.url("/voice")]).await;
    let noun = |room: &str| format!("<Dial><Conference beep='false'>{room}</Conference></Dial>");
    let mut rooms = Vec::new();
    for (index, room) in ["first", "second", "third"].into_iter().enumerate() {
        let user = format!("host{index}");
        origin.answers(&user, &noun(room));
        let host = call(&server, &user, TONES[index]);
        // Two in each, so that it goes on when the caller leaves.
        let beside = format!("beside{index}");
        origin.answers(&beside, &noun(room));
        let second = call(&server, &beside, 300);
        connected(&server, room, 2).await;
        rooms.push((room, host, second));
    }
    origin.answers("caller", "<Play digits='1'/><Pause length='600'/>");
    let caller = call(&server, "caller", 1_500);
    let mut sid = String::new();
    until("the caller", async || {
        let calls = server.get("/Calls.json?Status=in-progress").await.body;
        let calls = calls["calls"].as_array().unwrap().clone();
        let found = calls.iter().find(|call| call["to"].as_str().unwrap().contains("caller"));
        sid = found.map_or(String::new(), |call| call["sid"].as_str().unwrap().to_owned());
        !sid.is_empty()
    })
    .await;
    let recording = server.post(&format!("/Calls/{sid}/Recordings.json"), &[]).await;
    assert_eq!(recording.status, 201, "{}", recording.body);
    for (index, (room, host, _)) in rooms.iter().enumerate() {
        let twiml = format!("<Response>{}</Response>", noun(room));
        let moved = server.post(&format!("/Calls/{sid}.json"), &[("Twiml", &twiml)]).await;
        assert_eq!(moved.status, 200, "{}", moved.body);
        connected(&server, room, 3).await;
        hears(&caller, TONES[index], true).await;
        hears(host, 1_500, true).await;
        for (other, hertz) in TONES.into_iter().enumerate().take(3) {
            hears(&caller, hertz, other == index).await;
        }
    }
    let name = recording.text("sid");
    let stopped = server
        .post(&format!("/Calls/{sid}/Recordings/{name}.json"), &[("Status", "stopped")])
        .await;
    assert_eq!(stopped.status, 200, "{}", stopped.body);
    let path = format!("/Recordings/{name}");
    until("the recording", async || {
        server.get(&format!("{path}.json")).await.body["status"] == "completed"
    })
    .await;
    let (status, file) = fetch(&server, &format!("{path}.wav"), &[]).await;
    assert_eq!(status, 200);
    let sound = channels(&file).concat();
    // Its own voice is in every second of it, whichever thread it was on; while play-out moves, it is a tenth of a
    // semitone off.
    let seconds = sound.chunks_exact(8_000).map(Ear::new);
    let levels: Vec<f64> = seconds.map(|second| second.level_near(1_500, 12)).collect();
    assert!(levels.iter().all(|level| *level > 2_000.0), "{levels:?}");
}

/// Returns the cores of each media thread of a process, as the kernel lists them.
#[cfg(target_os = "linux")]
fn cores_of_media_threads(pid: u32) -> Vec<String> {
    let mut cores = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let thread = thread.unwrap().path();
        let read = |file: &str| std::fs::read_to_string(thread.join(file)).unwrap_or_default();
        if read("comm").starts_with("media ") {
            let status = read("status");
            let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
            cores.push(line.unwrap().trim().to_owned());
        }
    }
    cores
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn media_threads_run_on_the_cores_that_they_are_given_and_nowhere_else() {
    let all = std::fs::read_to_string("/proc/self/status").unwrap();
    let all = all.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let core = all.split(['-', ',']).next_back().unwrap();
    let flags = ["--media-threads", "2", "--media-cores", core];
    let server = Server::start(&flags).await;
    assert_eq!(cores_of_media_threads(server.pid()), [core, core]);
    drop(server);
    let server = Server::start(&["--media-threads", "2"]).await;
    assert_eq!(cores_of_media_threads(server.pid()), [all, all]);
}
