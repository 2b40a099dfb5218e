//! Rooms in which phones speak what they like: G.711, G.722 and Opus, heard by each other.

#![allow(clippy::unwrap_used)]

use e2e::{Server, hears, until};
use sim::{Phone, tone};

/// What each phone offers, and its tone: none of them a multiple of another.
const SPEAKERS: [(&[&str], u32); 4] =
    [(&["pcmu"], 400), (&["pcma", "pcmu"], 730), (&["g722"], 1_250), (&["opus", "pcmu"], 1_810)];

/// A room of one phone for each codec.
struct Room {
    server: Server,
    conference: String,
    calls: Vec<String>,
    phones: Vec<Phone>,
}

impl Room {
    async fn open(flags: &[&str]) -> Self {
        let server = Server::start(flags).await;
        let mut room = Self { server, conference: String::new(), calls: vec![], phones: vec![] };
        for (codecs, hertz) in SPEAKERS {
            let phone = Phone::call_speaking(room.server.sip(), "mixed", tone(hertz), codecs);
            room.phones.push(phone.unwrap());
            let wanted = room.phones.len();
            until("the caller is in", async || {
                room.participants().await.is_some_and(|calls| calls.len() == wanted)
            })
            .await;
            let all = room.participants().await.unwrap();
            let new = all.into_iter().find(|call| !room.calls.contains(call)).unwrap();
            room.calls.push(new);
        }
        let found = room.server.get("/Conferences.json?FriendlyName=mixed").await;
        room.conference = found.body["conferences"][0]["sid"].as_str().unwrap().to_owned();
        room
    }

    async fn participants(&self) -> Option<Vec<String>> {
        let found = self.server.get("/Conferences.json?FriendlyName=mixed").await;
        let sid = found.body["conferences"][0]["sid"].as_str()?.to_owned();
        let all = self.server.get(&format!("/Conferences/{sid}/Participants.json")).await;
        let all = all.body["participants"].as_array()?;
        Some(all.iter().map(|one| one["call_sid"].as_str().unwrap().to_owned()).collect())
    }

    async fn update(&self, who: usize, form: &[(&str, &str)]) {
        let path =
            format!("/Conferences/{}/Participants/{}.json", self.conference, self.calls[who]);
        let answer = self.server.post(&path, form).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Waits until each phone hears just those: one row for each listener, `x` where it hears.
    async fn check(&self, rows: [&str; 4]) {
        for (phone, row) in self.phones.iter().zip(rows) {
            for ((_, hertz), wanted) in SPEAKERS.iter().zip(row.chars()) {
                hears(phone, *hertz, wanted == 'x').await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_of_every_codec_hear_each_other_through_every_update() {
    let room = Room::open(&[]).await;
    until("all are answered", async || room.phones.iter().all(|phone| phone.codec().is_some()))
        .await;
    let spoken: Vec<&str> = room.phones.iter().map(|phone| phone.codec().unwrap()).collect();
    assert_eq!(spoken, ["pcmu", "pcma", "g722", "opus"]);
    room.check([".xxx", "x.xx", "xx.x", "xxx."]).await;
    let path = format!("/sidetone/v1/Conferences/{}/Audibility", room.conference);
    let levels = room.server.get_from_root(&path).await.body["levels"].clone();
    let levels: Vec<i64> =
        levels.as_array().unwrap().iter().map(|one| one["level_db"].as_i64().unwrap()).collect();
    // Tones of -24 dB, whatever they are sent in.
    assert!(
        levels.len() == 4 && levels.iter().all(|level| (-26..=-22).contains(level)),
        "{levels:?}"
    );
    room.update(3, &[("Muted", "true")]).await;
    room.check([".xx.", "x.x.", "xx..", "xxx."]).await;
    let coached = room.calls[2].clone();
    room.update(3, &[("Muted", "false"), ("Coaching", "true"), ("CallSidToCoach", &coached)]).await;
    room.check([".xx.", "x.x.", "xx.x", "xxx."]).await;
    room.update(3, &[("Coaching", "false")]).await;
    room.update(2, &[("Hold", "true")]).await;
    room.check([".x.x", "x..x", "....", "xx.."]).await;
    room.update(2, &[("Hold", "false")]).await;
    room.check([".xxx", "x.xx", "xx.x", "xxx."]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_less_agrees_on_what_is_left() {
    let server = Server::start(&["--codecs", "pcmu"]).await;
    let modern = Phone::call_speaking(server.sip(), "plain", tone(500), &["opus", "g722", "pcmu"]);
    let modern = modern.unwrap();
    until("the call is up", async || modern.codec().is_some()).await;
    assert_eq!(modern.codec(), Some("pcmu"));
    let strange = Phone::call_speaking(server.sip(), "plain", tone(500), &["opus"]).unwrap();
    until("the call is refused", async || strange.state() == sim::State::Over(Some(488))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_that_want_packets_of_another_length_get_them_and_all_hear_each_other() {
    let server = Server::start(&[]).await;
    let wanted: [(&[&str], u8, u32); 6] = [
        (&["opus"], 60, 400),
        (&["opus"], 40, 730),
        (&["opus"], 10, 1_250),
        (&["g722"], 60, 1_810),
        (&["pcmu"], 40, 570),
        (&["pcmu"], 20, 1_030),
    ];
    let call = |(codecs, ptime_ms, hertz)| {
        Phone::call_in_packets(server.sip(), "lengths", tone(hertz), codecs, ptime_ms).unwrap()
    };
    let phones = wanted.map(call);
    for (listener, phone) in phones.iter().enumerate() {
        for (speaker, (_, _, hertz)) in wanted.iter().enumerate() {
            hears(phone, *hertz, listener != speaker).await;
        }
    }
    for (phone, (codecs, ptime_ms, _)) in phones.iter().zip(wanted) {
        phone.packets();
        let mut packets = Vec::new();
        until("some packets came", async || {
            packets.extend(phone.packets());
            packets.len() >= 20
        })
        .await;
        // Opus may change its mode between two frames, which then have packets of their own.
        let (wanted, count) = (usize::from(ptime_ms) * 8, packets.len());
        let samples: usize = packets.iter().map(|packet| packet.samples).sum();
        assert!(
            (wanted * 17 / 20..=wanted * 21 / 20).contains(&(samples / count)),
            "{codecs:?}, {ptime_ms} ms: {samples} samples in {count} packets"
        );
    }
}
