//! The account's numbers: out of the stock, back into it, and what a call to one does.

#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::time::Duration;

use e2e::{Answer, Asked, Login, Origin, Server};
use serde_json::Value;
use sim::{Phone, State, tone};

const FRANCISCO: &str = "+14155550100";
const LONDON: &str = "+442079460000";

fn told(answer: &Answer) -> (u16, u64) {
    (answer.status, answer.body["code"].as_u64().unwrap_or_default())
}

fn found(answer: &Answer) -> Vec<&str> {
    let numbers = answer.body["available_phone_numbers"].as_array().unwrap();
    numbers.iter().map(|number| number["phone_number"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_searched_taken_changed_and_given_back() {
    let server = Server::start(&[]).await;
    let search = async |query: &str| {
        let answer = server.get(&format!("/AvailablePhoneNumbers/{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        answer
    };
    for (query, first, count) in [
        ("US/Local.json?AreaCode=415", FRANCISCO, 50),
        ("US/Local.json?AreaCode=415&PageSize=3", FRANCISCO, 3),
        ("US/Local.json?Contains=415555010*&PageSize=1000", FRANCISCO, 10),
        ("US/Local.json?Contains=0142&InRegion=ca", "+14155550142", 2),
        ("US/Local.json?NearNumber=%2B15105550100&Distance=30&Contains=0150", "+14155550150", 2),
        ("US/Local.json?NearLatLong=42.3,-71.1&Contains=0150", "+16175550150", 1),
        ("US/Local.json?InLocality=hilo&InPostalCode=96720&Contains=0199", "+18085550199", 1),
        ("GB/Mobile.json?Contains=7700900123", "+447700900123", 1),
        ("GB/Local.json?VoiceEnabled=true&SmsEnabled=true&PageSize=1", LONDON, 1),
        ("US/TollFree.json?PageSize=1", "+18005550100", 1),
    ] {
        let answer = search(query).await;
        assert_eq!((found(&answer)[0], found(&answer).len()), (first, count), "{query}");
    }
    for query in ["US/Mobile.json", "US/Local.json?AreaCode=999", "US/Local.json?FaxEnabled=true"] {
        assert_eq!(found(&search(query).await), Vec::<&str>::new(), "{query}");
    }
    let form = [("PhoneNumber", FRANCISCO), ("VoiceUrl", "http://127.0.0.1:9/voice")];
    let taken = server.post("/IncomingPhoneNumbers.json", &form).await;
    assert_eq!(taken.status, 201, "{taken:?}");
    assert_eq!(taken.text("friendly_name"), "(415) 555-0100");
    let path = format!("/IncomingPhoneNumbers/{}.json", taken.text("sid"));
    assert_eq!(server.get(&path).await.body["voice_url"], "http://127.0.0.1:9/voice");
    let again = server.post("/IncomingPhoneNumbers.json", &form).await;
    assert_eq!(told(&again), (400, 21422), "it is taken");
    assert_eq!(found(&search("US/Local.json?AreaCode=415").await)[0], "+14155550101");
    let next = server.post("/IncomingPhoneNumbers.json", &[("AreaCode", "415")]).await;
    assert_eq!(next.text("phone_number"), "+14155550101");
    let mobile = [("PhoneNumber", "+447700900123")];
    assert_eq!(told(&server.post("/IncomingPhoneNumbers/Local.json", &mobile).await), (400, 21422));
    let mobile = server.post("/IncomingPhoneNumbers/Mobile.json", &mobile).await;
    assert_eq!(mobile.status, 201, "{mobile:?}");
    for (query, count) in [
        (".json", 3),
        ("/Local.json", 2),
        ("/Mobile.json", 1),
        ("/TollFree.json", 0),
        (".json?PhoneNumber=415555010*", 2),
        (".json?PhoneNumber=%2B4477", 1),
        (".json?FriendlyName=(415)+555-0100", 1),
        (".json?Beta=true", 0),
        (".json?Origin=twilio&PageSize=2", 2),
    ] {
        let listed = server.get(&format!("/IncomingPhoneNumbers{query}")).await;
        let numbers = listed.body["incoming_phone_numbers"].as_array().map(Vec::len);
        assert_eq!(numbers, Some(count), "{query}: {listed:?}");
    }
    let form = [("FriendlyName", "desk"), ("VoiceUrl", ""), ("VoiceMethod", "get")];
    let changed = server.post(&path, &form).await;
    assert_eq!((changed.status, changed.text("friendly_name").as_str()), (200, "desk"));
    assert_eq!(
        (changed.text("voice_method").as_str(), &changed.body["voice_url"]),
        ("GET", &Value::Null)
    );
    assert_eq!(server.get(&path).await.body, changed.body);
    assert_eq!(server.delete(&path).await.status, 204);
    assert_eq!(told(&server.get(&path).await), (404, 20404));
    assert_eq!(found(&search("US/Local.json?AreaCode=415").await)[0], FRANCISCO);
}

/// A server, its customer's web server and a number whose document waits.
struct House {
    origin: Origin,
    server: Server,
}

impl House {
    async fn open() -> Self {
        let origin = Origin::start().await;
        origin.serves_twiml("/pause", "<Pause length='1'/><Say>hello</Say><Pause length='60'/>");
        Self { server: Server::start(&[]).await, origin }
    }

    async fn take(&self, number: &str, form: &[(&str, &str)]) -> Answer {
        let form = [&[("PhoneNumber", number)], form].concat();
        let taken = self.server.post("/IncomingPhoneNumbers.json", &form).await;
        assert_eq!(taken.status, 201, "{taken:?}");
        taken
    }

    fn call(&self, user: &str) -> Phone {
        Phone::call(self.server.sip(), user, tone(500)).unwrap()
    }

    async fn asked(&self, path: &str) -> Asked {
        self.origin.wait_for(path, |_| true).await.unwrap_or_else(|| panic!("{path} was not asked"))
    }

    async fn calls(&self, count: usize) -> Vec<Value> {
        for _ in 0..800 {
            let calls = self.server.get("/Calls.json?Status=in-progress").await;
            let calls = calls.body["calls"].as_array().unwrap().clone();
            if calls.len() == count {
                return calls;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("there are not {count} calls");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_a_number_runs_its_document_then_its_fallback_and_tells_of_the_end() {
    let house = House::open().await;
    let (voice, missing) = (house.origin.url("/pause"), house.origin.url("/missing"));
    let callback = house.origin.url("/callback/end");
    let form = [("VoiceUrl", voice.as_str()), ("StatusCallback", &callback)];
    house.take(FRANCISCO, &form).await;
    let phone = house.call(FRANCISCO);
    let asked = house.asked("/pause").await;
    assert_eq!((asked.method.as_str(), asked.param("To")), ("POST", FRANCISCO));
    assert_eq!(asked.param("AccountSid"), house.server.ready("account_sid"));
    assert_eq!(asked.param("Direction"), "inbound");
    assert!(phone.wait_up(Duration::from_secs(20)));
    phone.hang_up();
    let ended = |asked: &Asked| asked.param("CallStatus") == "completed";
    let ended = house.origin.wait_for("/callback/end", ended).await.expect("the end is told");
    assert_eq!(ended.param("To"), FRANCISCO);
    let form = [
        ("VoiceUrl", missing.as_str()),
        ("VoiceFallbackUrl", &voice),
        ("VoiceFallbackMethod", "GET"),
    ];
    house.take(LONDON, &form).await;
    // Phones leave the plus sign out.
    let phone = house.call(&LONDON[1..]);
    let by_get = |asked: &Asked| asked.method == "GET" && asked.param("To") == LONDON;
    let asked = house.origin.wait_for("/pause", by_get).await.expect("the fallback is asked");
    assert_eq!(asked.param("ErrorCode"), "11200");
    assert!(phone.wait_up(Duration::from_secs(20)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_says_what_a_number_and_a_call_do() {
    let house = House::open().await;
    let voice = house.origin.url("/pause");
    let callback = house.origin.url("/callback/application");
    let form =
        [("FriendlyName", "one"), ("VoiceUrl", voice.as_str()), ("StatusCallback", &callback)];
    let application = house.server.post("/Applications.json", &form).await.text("sid");
    let ignored = house.origin.url("/ignored");
    let form = [("VoiceApplicationSid", application.as_str()), ("VoiceUrl", &ignored)];
    house.take(FRANCISCO, &form).await;
    let phone = house.call(FRANCISCO);
    assert!(phone.wait_up(Duration::from_secs(20)));
    assert_eq!(house.asked("/pause").await.param("To"), FRANCISCO);
    phone.hang_up();
    house.asked("/callback/application").await;
    let callee = Phone::listen(Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap();
    let dial = [("From", "a"), ("To", callee.uri.as_str()), ("ApplicationSid", &application)];
    let call = house.server.post("/Calls.json", &dial).await;
    assert_eq!(call.status, 201, "{call:?}");
    let outbound = |asked: &Asked| asked.param("Direction") == "outbound-api";
    assert!(house.origin.wait_for("/pause", outbound).await.is_some());
    assert!(house.origin.asked("/ignored").is_empty());
    // An application can be dialled itself.
    let app = format!("app:{application}");
    let seat = [("From", "a"), ("To", app.as_str())];
    let seated = house.server.post("/Conferences/room/Participants.json", &seat).await;
    assert_eq!(seated.status, 201, "{seated:?}");
    let to = |asked: &Asked| asked.param("To") == app && asked.param("Direction") == "inbound";
    assert!(house.origin.wait_for("/pause", to).await.is_some());
    let gone = house.server.delete(&format!("/Applications/{application}.json")).await;
    assert_eq!(gone.status, 204);
    assert_eq!(told(&house.server.post("/Calls.json", &dial).await), (400, 21218));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_ours_can_be_dialled_and_both_legs_hear_each_other() {
    let house = House::open().await;
    let voice = house.origin.serves_twiml("/room", "<Dial><Conference>in</Conference></Dial>");
    house.take(FRANCISCO, &[("VoiceUrl", &voice)]).await;
    let inside = Phone::call(house.server.sip(), "in", tone(1_000)).unwrap();
    let outside = Phone::listen(Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap();
    for to in [FRANCISCO, outside.uri.as_str()] {
        let form = [("From", "+14155550199"), ("To", to)];
        let seated = house.server.post("/Conferences/out/Participants.json", &form).await;
        assert_eq!(seated.status, 201, "{seated:?}");
    }
    let calls = house.calls(4).await;
    let of = |direction: &str| {
        let found =
            calls.iter().find(|call| call["to"] == FRANCISCO && call["direction"] == direction);
        found.unwrap_or_else(|| panic!("no {direction} call: {calls:?}")).clone()
    };
    assert_eq!(of("outbound-api")["from"], "+14155550199");
    assert_eq!(of("inbound")["from"], "+14155550199");
    // Two rooms, joined by the call from one number to the other.
    for (phone, hertz) in [(&inside, 500), (&outside, 1_000)] {
        let mut level = 0.0;
        for _ in 0..60 {
            level = sim::level(&phone.hear(Duration::from_millis(300)), hertz);
            if level > 0.05 {
                break;
            }
        }
        assert!(level > 0.05, "{hertz} Hz is not heard: {level}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_belongs_to_one_account_and_rests_with_it() {
    let house = House::open().await;
    let server = &house.server;
    let main = Login {
        user: server.ready("account_sid").to_owned(),
        secret: server.ready("auth_token").to_owned(),
    };
    let made = server.ask_as(&main, "POST", "/2010-04-01/Accounts.json", &[]).await;
    let sub = Login { user: made.text("sid"), secret: made.text("auth_token") };
    let below = |path: &str| format!("/2010-04-01/Accounts/{}{path}", sub.user);
    let voice = house.origin.url("/pause");
    let number = house.take(FRANCISCO, &[("VoiceUrl", &voice)]).await.text("sid");
    let path = format!("/IncomingPhoneNumbers/{number}.json");
    assert_eq!(told(&server.ask_as(&sub, "GET", &below(&path), &[]).await), (404, 20404));
    let list = below("/IncomingPhoneNumbers.json");
    let form = [("PhoneNumber", FRANCISCO)];
    assert_eq!(told(&server.ask_as(&sub, "POST", &list, &form).await), (400, 21422));
    let moved = server.post(&path, &[("AccountSid", &sub.user)]).await;
    assert_eq!((moved.status, moved.text("account_sid")), (200, sub.user.clone()), "{moved:?}");
    assert_eq!(told(&server.get(&path).await), (404, 20404));
    let phone = house.call(FRANCISCO);
    assert_eq!(house.asked("/pause").await.param("AccountSid"), sub.user);
    assert!(phone.wait_up(Duration::from_secs(20)));
    let signed = house.origin.signed(|asked| asked.path == "/pause");
    assert_eq!(e2e::valid_signatures(&sub.secret, &signed), "1 signatures");
    let status = async |status: &str| {
        let answer = server.ask_as(&main, "POST", &below(".json"), &[("Status", status)]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    status("suspended").await;
    let turned_away = house.call(FRANCISCO);
    assert!(turned_away.wait_over(Duration::from_secs(20)));
    assert_eq!(turned_away.state(), State::Over(Some(480)));
    status("closed").await;
    assert!(phone.wait_over(Duration::from_secs(20)), "its calls end");
    let back = server.post("/IncomingPhoneNumbers.json", &form).await;
    assert_eq!(back.status, 201, "the number of a closed account is free: {back:?}");
}
