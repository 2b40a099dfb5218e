//! Queues from outside: who waits hears music, is told its place, is taken out by a phone or by the
//! API; and what the API refuses.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use e2e::{Origin, Server, hears, level};
use serde_json::Value;
use sim::{Phone, State};

const LIMIT: Duration = Duration::from_secs(20);

async fn start() -> (Server, Origin) {
    let (server, origin) = Server::with_origin().await;
    origin.serves("/music.wav", "audio/wav", sound::wav(&sim::tone(700).repeat(3)));
    (server, origin)
}

/// Waits until as many wait in the only queue; returns it.
async fn queue_of(server: &Server, size: u64) -> Value {
    for _ in 0..500 {
        let listed = server.get("/Queues.json").await.body;
        let queue = &listed["queues"][0];
        if queue["current_size"] == size {
            return queue.clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{size} do not wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_hears_music_and_talks_with_who_takes_it_out() {
    let (server, origin) = start().await;
    origin.serves_twiml("/wait", "<Play>/music.wav</Play>");
    origin.serves_twiml("/left", "<Play>/music.wav</Play>");
    origin.serves("/notice.wav", "audio/wav", sound::wav(&sim::tone(900).repeat(2)));
    origin.serves_twiml("/notice", "<Play>/notice.wav</Play>");
    origin.answers("help", "<Enqueue waitUrl='/wait' action='/left'>support</Enqueue>");
    origin.answers("agent", "<Dial><Queue url='/notice'>support</Queue></Dial>");
    let alice = Phone::call(server.sip(), "help", sim::tone(1_000)).unwrap();
    assert!(alice.wait_up(LIMIT));
    hears(&alice, 700, true).await;
    let queue = queue_of(&server, 1).await;
    assert_eq!(queue["friendly_name"], "support");
    let asked = origin.wait_for("/wait", |_| true).await.unwrap();
    for (name, value) in [
        ("QueuePosition", "1"),
        ("CurrentQueueSize", "1"),
        ("QueueTime", "0"),
        ("AvgQueueTime", "0"),
    ] {
        assert_eq!(asked.param(name), value, "{name}");
    }
    assert_eq!(queue["sid"], asked.param("QueueSid"));
    let bob = Phone::call(server.sip(), "agent", sim::tone(500)).unwrap();
    hears(&alice, 900, true).await;
    hears(&alice, 500, true).await;
    hears(&bob, 1_000, true).await;
    assert!(level(&alice.heard(), 700) < 200.0);
    queue_of(&server, 0).await;
    bob.hang_up();
    hears(&alice, 700, true).await;
    let left = origin.wait_for("/left", |_| true).await.unwrap();
    assert_eq!(left.param("QueueResult"), "bridged");
    assert_eq!(left.param("QueueSid"), asked.param("QueueSid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_takes_a_caller_out_and_a_queue_outlives_the_server() {
    let origin = Origin::start().await;
    let folder = tempfile::tempdir().unwrap();
    let voice = origin.url("/voice");
    let mut server = Server::start_in(folder.path(), &["--voice-url", &voice]).await;
    origin.serves("/music.wav", "audio/wav", sound::wav(&sim::tone(700).repeat(9)));
    let elsewhere = origin.serves_twiml("/elsewhere", "<Play>/music.wav</Play>");
    origin.answers("help", "<Enqueue waitUrl=''>support</Enqueue>");
    let phones: Vec<Phone> =
        (0..2).map(|_| Phone::call(server.sip(), "help", sim::tone(1_000)).unwrap()).collect();
    let sid = queue_of(&server, 2).await["sid"].as_str().unwrap().to_owned();
    let members = format!("/Queues/{sid}/Members");
    let first = server.get(&format!("{members}.json?PageSize=1")).await.body;
    let next = first["next_page_uri"].as_str().unwrap();
    let second = server.get_from_root(next).await.body;
    let place = |page: &Value| page["queue_members"][0]["position"].clone();
    assert_eq!((place(&first), place(&second)), (1.into(), 2.into()));
    assert_eq!(second["next_page_uri"], Value::Null);
    let front = server.get(&format!("{members}/Front.json")).await;
    assert_eq!(first["queue_members"][0]["call_sid"], front.text("call_sid"));
    let full = server.delete(&format!("/Queues/{sid}.json")).await;
    assert_eq!((full.status, full.body["code"].as_u64()), (400, Some(20001)), "{full:?}");
    let taken = server.post(&format!("{members}/Front.json"), &[("Url", &elsewhere)]).await;
    assert_eq!(taken.status, 200, "{taken:?}");
    assert_eq!(taken.text("call_sid"), front.text("call_sid"));
    let gone = server.get(&format!("{members}/{}.json", front.text("call_sid"))).await;
    assert_eq!(gone.status, 404);
    let asked = origin.wait_for("/elsewhere", |_| true).await.unwrap();
    assert_eq!(asked.param("CallSid"), front.text("call_sid"));
    queue_of(&server, 1).await;
    server.kill();
    drop(phones);
    let server = Server::start_in(folder.path(), &["--voice-url", &voice]).await;
    let kept = queue_of(&server, 0).await;
    assert_eq!(kept["sid"], sid.as_str());
    let again = server.post("/Queues.json", &[("FriendlyName", "support")]).await;
    assert_eq!(again.status, 400, "{again:?}");
    let phone = Phone::call(server.sip(), "help", sim::tone(1_000)).unwrap();
    assert_eq!(queue_of(&server, 1).await["sid"], sid.as_str());
    phone.hang_up();
    queue_of(&server, 0).await;
    assert_eq!(server.delete(&format!("/Queues/{sid}.json")).await.status, 204);
    assert!(matches!(phone.state(), State::Up | State::Over(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let server = Server::start(&[]).await;
    let made = server.post("/Queues.json", &[("FriendlyName", "one"), ("MaxSize", "7")]).await;
    server.post("/Queues.json", &[("FriendlyName", "two")]).await;
    let (one, nobody) = (made.text("sid"), format!("QU{}", "0".repeat(32)));
    let call = format!("CA{}", "0".repeat(32));
    let before = server.get("/Queues.json").await.body;
    let long = "x".repeat(65);
    for (method, path, form, status, code, part) in [
        ("POST", "/Queues.json".to_owned(), vec![], 400, 20001, "FriendlyName"),
        ("POST", "/Queues.json".to_owned(), vec![("FriendlyName", "")], 400, 20001, "FriendlyName"),
        ("POST", "/Queues.json".to_owned(), vec![("FriendlyName", "one")], 400, 20001, "\"one\""),
        ("POST", "/Queues.json".to_owned(), vec![("FriendlyName", &*long)], 400, 20001, "64"),
        (
            "POST",
            "/Queues.json".to_owned(),
            vec![("FriendlyName", "three"), ("MaxSize", "5001")],
            400,
            20001,
            "MaxSize",
        ),
        ("POST", format!("/Queues/{one}.json"), vec![("MaxSize", "0")], 400, 20001, "MaxSize"),
        (
            "POST",
            format!("/Queues/{one}.json"),
            vec![("FriendlyName", "two"), ("MaxSize", "9")],
            400,
            20001,
            "\"two\"",
        ),
        ("POST", format!("/Queues/{nobody}.json"), vec![("MaxSize", "9")], 404, 20404, "/Queues/"),
        ("GET", format!("/Queues/{nobody}.json"), vec![], 404, 20404, "not found"),
        ("GET", "/Queues/one.json".to_owned(), vec![], 404, 20404, "not found"),
        ("DELETE", format!("/Queues/{nobody}.json"), vec![], 404, 20404, "not found"),
        ("GET", format!("/Queues/{nobody}/Members.json"), vec![], 404, 20404, "not found"),
        ("GET", format!("/Queues/{one}/Members/Front.json"), vec![], 404, 20404, "/Front"),
        ("GET", format!("/Queues/{one}/Members/front.json"), vec![], 404, 20404, "/front"),
        ("GET", format!("/Queues/{one}/Members/{call}.json"), vec![], 404, 20404, &call),
        ("POST", format!("/Queues/{one}/Members/Front.json"), vec![], 400, 20001, "Url"),
        (
            "POST",
            format!("/Queues/{one}/Members/Front.json"),
            vec![("Url", "ftp://x")],
            400,
            21205,
            "Url",
        ),
        (
            "POST",
            format!("/Queues/{one}/Members/Front.json"),
            vec![("Url", "http://x/"), ("Method", "TRACE")],
            400,
            21209,
            "Method",
        ),
        ("GET", "/Queues.json?PageSize=1001".to_owned(), vec![], 400, 20007, "PageSize"),
        ("GET", format!("/Queues/{one}/Members.json?PageToken=x"), vec![], 400, 20001, "PageToken"),
        ("DELETE", format!("/Queues/{one}/Members.json"), vec![], 405, 20004, "Method"),
    ] {
        let answer = match method {
            "POST" => server.post(&path, &form).await,
            "GET" => server.get(&path).await,
            _ => server.delete(&path).await,
        };
        let told = (answer.status, answer.body["code"].as_u64().unwrap());
        assert_eq!(told, (status, code), "{method} {path} {form:?}: {answer:?}");
        assert!(answer.text("message").contains(part), "{method} {path}: {answer:?}");
    }
    assert_eq!(server.get("/Queues.json").await.body, before);
}
