//! What one account may have at once: each limit at its number and one beyond, asked of a server for production.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use e2e::{Answer, Server, until};
use sim::Phone;

const PATIENCE: Duration = Duration::from_secs(60);
const WAITS: &str = "<Response><Pause length='600'/></Response>";

fn phone() -> Phone {
    Phone::listen("127.0.0.1".parse().unwrap(), sim::tone(440)).unwrap()
}

async fn call(server: &Server, phone: &Phone) -> Answer {
    let form = [("To", phone.uri.as_str()), ("From", "desk"), ("Twiml", WAITS)];
    server.post("/Calls.json", &form).await
}

fn told(answer: &Answer) -> (u16, u64) {
    (answer.status, answer.body["code"].as_u64().unwrap_or_default())
}

async fn house(limits: &str) -> Server {
    Server::serve(&format!("[guard]\nloopback = true\n[limits]\n{limits}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_come_faster_than_they_may_are_queued_and_say_for_how_long() {
    let server = house("calls_per_second = 1\n").await;
    let phone = phone();
    let mut waits = Vec::new();
    for _ in 0..4 {
        let answer = call(&server, &phone).await;
        assert_eq!((answer.status, answer.text("status").as_str()), (201, "queued"), "{answer:?}");
        waits.push(answer.text("queue_time").parse::<u64>().unwrap());
    }
    assert_eq!(waits[0], 0, "{waits:?}");
    assert!(waits.windows(2).all(|two| two[0] < two[1]), "each waits longer: {waits:?}");
    assert!(waits[3] > 1_000 && waits[3] <= 3_000, "{waits:?}");
    let form = [("To", phone.uri.as_str()), ("From", "desk")];
    let participant = server.post("/Conferences/room/Participants.json", &form).await;
    assert_eq!(participant.status, 201, "{participant:?}");
    assert!(participant.text("queue_time").parse::<u64>().unwrap() > 1_000, "{participant:?}");
    let queued = server.get("/Calls.json?Status=queued").await;
    assert!(!queued.body["calls"].as_array().unwrap().is_empty(), "{queued:?}");
    assert!(phone.wait_up(PATIENCE));
    until("the last one's turn comes", async || {
        let sid = participant.text("call_sid");
        server.get(&format!("/Calls/{sid}.json")).await.text("status") != "queued"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_more_than_there_may_be_is_refused_until_one_is_over() {
    let server = house("calls = 2\ncalls_per_second = 1000\n").await;
    let phones = [phone(), phone(), phone()];
    let first = call(&server, &phones[0]).await;
    assert_eq!((first.status, call(&server, &phones[1]).await.status), (201, 201));
    let refused = call(&server, &phones[2]).await;
    assert_eq!(told(&refused), (429, 10004), "{refused:?}");
    let form = [("To", phones[2].uri.as_str()), ("From", "desk")];
    let refused = server.post("/Conferences/room/Participants.json", &form).await;
    assert_eq!(told(&refused), (429, 10004), "{refused:?}");
    assert_eq!(server.get("/Conferences.json").await.body["conferences"], serde_json::json!([]));
    let (_, metrics) = server.admin("/metrics").await;
    for (reason, count) in [("account", 2), ("busy", 0), ("draining", 0), ("ports", 0)] {
        let line = format!("\nsidetone_calls_refused_total{{reason=\"{reason}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    let path = format!("/Calls/{}.json", first.text("sid"));
    assert_eq!(server.post(&path, &[("Status", "completed")]).await.status, 200);
    assert_eq!(call(&server, &phones[2]).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_conference_more_than_there_may_be_is_refused() {
    let server = house("conferences = 1\ncalls_per_second = 1000\n").await;
    let phones = [phone(), phone(), phone()];
    let add = async |phone: &Phone, room: &str| {
        let form = [("To", phone.uri.as_str()), ("From", "desk")];
        server.post(&format!("/Conferences/{room}/Participants.json"), &form).await
    };
    assert_eq!(add(&phones[0], "one").await.status, 201);
    assert_eq!(told(&add(&phones[1], "two").await), (400, 16021));
    assert_eq!(add(&phones[1], "one").await.status, 201, "one that is there may grow");
    let dial = "<Response><Dial><Conference>three</Conference></Dial></Response>";
    let form = [("To", phones[2].uri.as_str()), ("From", "desk"), ("Twiml", dial)];
    let by_twiml = server.post("/Calls.json", &form).await;
    let path = format!("/Calls/{}/Notifications.json", by_twiml.text("sid"));
    until("it is in the debugger log", async || {
        let log = server.get(&path).await;
        log.body["notifications"].as_array().unwrap().iter().any(|one| one["error_code"] == "16021")
    })
    .await;
}
