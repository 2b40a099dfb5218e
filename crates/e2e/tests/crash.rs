//! The server is killed in the middle of things: what it acknowledged is kept, what it owes is sent.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::{Origin, Server};
use sim::{Phone, State};

/// How often it is killed.
const KILLS: usize = 20;
const PHONES: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_lose_no_acknowledged_write_and_no_callback() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::start().await;
    let voice = origin.url("/voice");
    let port = free_port();
    let sip = format!("127.0.0.1:{port}");
    // SIP stays where it was, as in life: the phones' dialogs outlive the server.
    let flags = ["--voice-url", &voice, "--sip", &sip];
    let mut server = Server::start_in(folder.path(), &flags).await;
    for kill in 0..KILLS {
        let room = Room::open(&server, &origin, kill).await;
        let acknowledged = room.toggle_until_killed(&mut server, kill).await;
        server = Server::start_in(folder.path(), &flags).await;
        room.judge(&server, &origin, acknowledged).await;
    }
}

/// A conference of phones that is about to lose its server.
struct Room {
    name: String,
    conference: String,
    call: String,
    phones: Vec<Phone>,
}

impl Room {
    async fn open(server: &Server, origin: &Origin, kill: usize) -> Self {
        let name = format!("crash{kill}");
        let mut phones = Vec::new();
        for index in 0..PHONES {
            let user = format!("{name}p{index}");
            origin.answers(
                &user,
                &format!(
                    "<Dial><Conference statusCallback=\"/callback/{name}\" statusCallbackEvent=\
                     \"start end join leave mute\">{name}</Conference></Dial>"
                ),
            );
            phones.push(Phone::call(server.sip(), &user, sim::tone(440)).unwrap());
        }
        for _ in 0..400 {
            tokio::time::sleep(Duration::from_millis(25)).await;
            let found = server.get(&format!("/Conferences.json?FriendlyName={name}")).await;
            let Some(sid) = found.body["conferences"][0]["sid"].as_str() else { continue };
            let path = format!("/Conferences/{sid}/Participants.json");
            let body = server.get(&path).await.body;
            let members = body["participants"].as_array().unwrap();
            let up = members.iter().filter(|member| member["status"] == "connected").count();
            if up == PHONES {
                let call = members[0]["call_sid"].as_str().unwrap().to_owned();
                return Self { name, conference: sid.to_owned(), call, phones };
            }
        }
        panic!("the phones of {name} did not come in");
    }

    /// Mutes and un-mutes until the server is killed in between; returns how many were acknowledged.
    async fn toggle_until_killed(&self, server: &mut Server, kill: usize) -> usize {
        let path = format!("/Conferences/{}/Participants/{}.json", self.conference, self.call);
        let mut acknowledged = 0;
        for toggle in 0..=kill {
            let muted = if toggle % 2 == 0 { "true" } else { "false" };
            let answer = server.post(&path, &[("Muted", muted)]).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            acknowledged += 1;
        }
        server.kill();
        acknowledged
    }

    async fn judge(&self, server: &Server, origin: &Origin, acknowledged: usize) {
        let name = &self.name;
        let path = format!("/Conferences/{}.json", self.conference);
        assert_eq!(server.get(&path).await.text("status"), "completed", "{name}");
        let call = server.get(&format!("/Calls/{}.json", self.call)).await;
        assert_eq!(call.text("status"), "completed", "{name}");
        let callback = format!("/callback/{name}");
        let is_end = |asked: &e2e::Asked| asked.param("StatusCallbackEvent") == "conference-end";
        assert!(origin.wait_for(&callback, is_end).await.is_some(), "{name}: no end was told");
        let mut told = BTreeMap::new();
        for asked in origin.asked(&callback) {
            let token = asked.headers.iter().find(|(name, _)| name == "i-twilio-idempotency-token");
            let number: usize = asked.param("SequenceNumber").parse().unwrap();
            let event = asked.param("StatusCallbackEvent").to_owned();
            // One that was sent and not marked before the kill comes again, under its own token.
            let known = told.insert(number, (event.clone(), token.cloned()));
            assert!(
                known.as_ref().is_none_or(|known| *known == (event.clone(), token.cloned())),
                "{name}: {number} is {known:?} and {event} {token:?}"
            );
        }
        let numbers: Vec<usize> = told.keys().copied().collect();
        assert_eq!(numbers, (1..=told.len()).collect::<Vec<_>>(), "{name}: {told:?}");
        let count = |ends: &str| told.values().filter(|(event, _)| event.ends_with(ends)).count();
        assert_eq!(count("mute"), acknowledged, "{name}: {told:?}");
        assert_eq!((count("join"), count("leave")), (PHONES, PHONES), "{name}: {told:?}");
        for phone in &self.phones {
            for _ in 0..200 {
                if phone.state() != State::Up {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            assert_ne!(phone.state(), State::Up, "{name}: a phone got no BYE");
        }
    }
}

fn free_port() -> u16 {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
