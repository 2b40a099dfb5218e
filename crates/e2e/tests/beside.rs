//! What conference programs use beside calls: messages, caller IDs, usage, events of a call.

#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::time::Duration;

use e2e::{Asked, Origin, Server, until};
use serde_json::Value;
use sim::{Phone, tone};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_kept_and_nothing_pretends_that_it_was_delivered() {
    let server = Server::start(&[]).await;
    let send = async |to: &str, body: &str| {
        let form = [("From", "+14155550199"), ("To", to), ("Body", body)];
        let sent = server.post("/Messages.json", &form).await;
        assert_eq!(sent.status, 201, "{sent:?}");
        sent
    };
    let first = send("+14155550198", "Your PIN is 1234").await;
    send("+14155550197", &"é".repeat(71)).await;
    assert_eq!(first.text("status"), "accepted");
    assert_eq!(first.body["date_sent"], Value::Null);
    let count = async |query: &str| {
        let listed = server.get(&format!("/Messages.json{query}")).await;
        listed.body["messages"].as_array().unwrap().len()
    };
    assert_eq!(count("").await, 2);
    assert_eq!(count("?To=%2B14155550198").await, 1);
    assert_eq!(count("?From=%2B14155550198").await, 0);
    assert_eq!(count("?DateSent%3C=2001-01-01").await, 0);
    let listed = server.get("/Messages.json?PageSize=1").await;
    assert_eq!(listed.body["messages"][0]["num_segments"], "2");
    let path = format!("/Messages/{}.json", first.text("sid"));
    assert_eq!(server.get(&path).await.text("body"), "Your PIN is 1234");
    assert_eq!(server.post(&path, &[("Body", "")]).await.text("body"), "");
    let canceled = server.post(&path, &[("Status", "canceled")]).await;
    assert_eq!((canceled.status, &canceled.body["code"]), (400, &30409.into()));
    let picture = [("From", "a"), ("To", "b"), ("MediaUrl", "http://127.0.0.1:9/x.png")];
    let picture = server.post("/Messages.json", &picture).await;
    assert!(picture.text("sid").starts_with("MM") && picture.text("num_media") == "1");
    let picture = format!("/Messages/{}", picture.text("sid"));
    let media = server.get(&format!("{picture}/Media.json")).await;
    assert_eq!(media.body["media_list"], Value::Array(Vec::new()));
    assert_eq!(server.delete(&format!("{picture}.json")).await.status, 204);
    assert_eq!(server.delete(&path).await.status, 204);
    assert_eq!(count("").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_id_is_called_and_told_its_code() {
    let origin = Origin::start().await;
    let server = Server::start(&[]).await;
    let voice = origin.serves_twiml("/voice", "<Pause length='60'/>");
    let number = "+14155550100";
    let form = [("PhoneNumber", number), ("VoiceUrl", voice.as_str())];
    assert_eq!(server.post("/IncomingPhoneNumbers.json", &form).await.status, 201);
    let form = [("PhoneNumber", number), ("FriendlyName", "desk")];
    let asked = server.post("/OutgoingCallerIds.json", &form).await;
    assert_eq!(asked.status, 200, "{asked:?}");
    assert_eq!(asked.text("validation_code").len(), 6);
    let call = server.get(&format!("/Calls/{}.json", asked.text("call_sid"))).await;
    assert_eq!(call.text("to"), number);
    assert!(origin.wait_for("/voice", |_| true).await.is_some(), "the number is called");
    let again = server.post("/OutgoingCallerIds.json", &form).await;
    assert_eq!((again.status, &again.body["code"]), (400, &21450.into()));
    let listed = server.get("/OutgoingCallerIds.json?FriendlyName=desk").await;
    assert_eq!(listed.body["outgoing_caller_ids"][0]["phone_number"], number);
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_what_the_calls_and_conferences_were() {
    let server = Server::start(&[]).await;
    let usage = async |query: &str| {
        let listed = server.get(&format!("/Usage/Records{query}")).await;
        assert_eq!(listed.status, 200, "{listed:?}");
        let records = listed.body["usage_records"].as_array().unwrap().clone();
        let of = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let all =
            records.iter().map(|one| [of(one, "category"), of(one, "count"), of(one, "usage")]);
        all.collect::<Vec<_>>()
    };
    let counts = |category: &str, count: &str| {
        vec![[category.to_owned(), count.to_owned(), count.to_owned()]]
    };
    assert_eq!(usage(".json?Category=calls").await, counts("calls", "0"));
    let inbound = Phone::call(server.sip(), "room", tone(500)).unwrap();
    let outbound = Phone::listen(Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap();
    let seat = [("From", "a"), ("To", outbound.uri.as_str())];
    assert_eq!(server.post("/Conferences/room/Participants.json", &seat).await.status, 201);
    // Nobody answers there.
    let nobody = [("From", "a"), ("To", "sip:nobody@127.0.0.1:9"), ("Twiml", "<Response/>")];
    assert_eq!(server.post("/Calls.json", &nobody).await.status, 201);
    assert!(inbound.wait_up(Duration::from_secs(20)) && outbound.wait_up(Duration::from_secs(20)));
    outbound.hang_up();
    inbound.hang_up();
    until("two ended calls", async || {
        let calls = server.get("/Calls.json?Status=completed").await;
        calls.body["calls"].as_array().unwrap().len() == 2
    })
    .await;
    for (query, category, count) in [
        (".json?Category=calls", "calls", "2"),
        ("/Today.json?Category=calls-inbound", "calls-inbound", "1"),
        ("/ThisMonth.json?Category=calls-sip-outbound", "calls-sip-outbound", "1"),
        ("/AllTime.json?Category=calls-client", "calls-client", "0"),
        ("/Yesterday.json?Category=calls", "calls", "0"),
        ("/LastMonth.json?Category=calls", "calls", "0"),
        ("/Yearly.json?Category=conferences&StartDate=-1days", "conferences", "1"),
    ] {
        let found = usage(query).await;
        assert_eq!(found.first(), counts(category, count).first(), "{query}: {found:?}");
    }
    let all = usage("/Daily.json?StartDate=-2days").await;
    assert_eq!(all.len(), 33, "three days of eleven categories");
    let first = server.get("/Usage/Records/Daily.json?StartDate=-2days&PageSize=20").await;
    let next = first.text("next_page_uri");
    let next = next.split_once("/Usage/Records").unwrap().1.to_owned();
    assert_eq!(usage(&next).await, all[20..]);
    assert_eq!(server.get("/Balance.json").await.text("balance"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_call_are_what_its_receiver_was_told() {
    let origin = Origin::start().await;
    let server = Server::start(&[]).await;
    let phone = Phone::listen(Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap();
    let callback = origin.url("/callback");
    let form = [
        ("From", "a"),
        ("To", phone.uri.as_str()),
        ("Twiml", "<Response><Pause/></Response>"),
        ("StatusCallback", callback.as_str()),
        ("StatusCallbackEvent", "initiated ringing answered completed"),
    ];
    let call = server.post("/Calls.json", &form).await.text("sid");
    let ended = |asked: &Asked| asked.param("CallStatus") == "completed";
    assert!(origin.wait_for("/callback", ended).await.is_some());
    let path = format!("/Calls/{call}/Events.json");
    until("four events that were taken", async || {
        let listed = server.get(&path).await;
        let events = listed.body["events"].as_array().unwrap().clone();
        let taken = |event: &Value| event["response"]["response_code"] == 200;
        events.len() == 4 && events.iter().all(taken)
    })
    .await;
    let listed = server.get(&format!("{path}?PageSize=1")).await;
    let last = &listed.body["events"][0]["request"];
    assert_eq!((&last["url"], &last["method"]), (&callback.into(), &"POST".into()));
    assert_eq!(last["parameters"]["call_status"], "completed");
}
