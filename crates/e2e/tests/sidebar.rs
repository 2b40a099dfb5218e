//! Gains and sidebars, from outside: what is asked, what Audibility and the history say, and what is heard.

#![allow(clippy::unwrap_used)]

use e2e::{Answer, Asked, Origin, Server, hears, until};
use serde_json::{Value, json};
use sim::{Phone, tone};

/// Who is there, and the tone of each.
const TONES: [(&str, u32); 3] = [("ann", 440), ("ben", 660), ("cy", 880)];

/// A conference of three who have labels.
struct Room {
    server: Server,
    origin: Origin,
    conference: String,
    calls: Vec<String>,
    phones: Vec<Phone>,
}

impl Room {
    async fn open() -> Self {
        let origin = Origin::start().await;
        let server = Server::start(&["--voice-url", &origin.url("/voice")]).await;
        let (mut calls, mut phones) = (Vec::new(), Vec::new());
        let mut conference = String::new();
        for (label, hertz) in TONES {
            let noun = format!(
                "<Conference beep='false' participantLabel='{label}' statusCallback='{}' \
                 statusCallbackEvent='start end join leave mute hold modify'>aside</Conference>",
                origin.url("/callback/aside"),
            );
            origin.answers(label, &format!("<Dial>{noun}</Dial>"));
            phones.push(Phone::call(server.sip(), label, tone(hertz)).unwrap());
            until(label, async || {
                let all = server.get("/Conferences.json?FriendlyName=aside").await.body;
                conference = all["conferences"][0]["sid"].as_str().unwrap_or("CF0").to_owned();
                let path = format!("/Conferences/{conference}/Participants/{label}.json");
                server.get(&path).await.body["status"] == "connected"
            })
            .await;
            let path = format!("/Conferences/{conference}/Participants/{label}.json");
            calls.push(server.get(&path).await.text("call_sid"));
        }
        Self { server, origin, conference, calls, phones }
    }

    fn path(&self, who: &str) -> String {
        format!("/sidetone/v1/Conferences/{}/Participants/{who}", self.conference)
    }

    async fn post(&self, who: &str, form: &str) -> Answer {
        let kind = "application/x-www-form-urlencoded";
        let request = self.server.request("POST", &self.path(who));
        let response =
            request.header("content-type", kind).body(form.to_owned()).send().await.unwrap();
        let status = response.status().as_u16();
        Answer { status, body: serde_json::from_str(&response.text().await.unwrap()).unwrap() }
    }

    async fn get(&self, who: &str) -> Value {
        self.server.get_from_root(&self.path(who)).await.body
    }

    /// Posts, and checks that the answer says this, as GET does then, by either address.
    async fn set(&self, who: usize, form: &str, gain: f64, hears: Value, heard_by: Value) {
        let expected = json!({
            "call_sid": self.calls[who],
            "conference_sid": self.conference,
            "gain_db": gain,
            "levelling": false,
            "noise_suppression": false,
            "hears_only": hears,
            "heard_only_by": heard_by,
        });
        let answer = self.post(TONES[who].0, form).await;
        assert_eq!((answer.status, &answer.body), (200, &expected), "{form}");
        for key in [TONES[who].0, &self.calls[who]] {
            assert_eq!(self.get(key).await, expected, "{form}");
        }
    }

    /// Waits until Audibility says these of the pairs, apart from those at 0 dB: `0<1` is what 0 hears of 1.
    async fn check(&self, expected: &[&str]) {
        let path = format!("/sidetone/v1/Conferences/{}/Audibility", self.conference);
        until(&format!("{expected:?}"), async || {
            let body = self.server.get_from_root(&path).await.body;
            let place = |sid: &Value| self.calls.iter().position(|call| sid == call).unwrap();
            let line = |pair: &Value| {
                let what = match pair["gain_db"].as_f64() {
                    Some(gain) => gain.to_string(),
                    None => {
                        pair["reasons"].as_array().unwrap().iter().map(Value::to_string).collect()
                    }
                };
                let what = what.replace('"', "");
                format!("{}<{} {what}", place(&pair["listener"]), place(&pair["speaker"]))
            };
            let mut lines: Vec<String> =
                body["pairs"].as_array().unwrap().iter().map(line).collect();
            lines.retain(|line| !line.ends_with(" 0"));
            lines.sort();
            lines == expected
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_in_a_sidebar_hear_each_other_alone_until_it_is_lifted() {
    let room = Room::open().await;
    let [ann, ben, cy] = [0, 1, 2].map(|who| json!([room.calls[who]]));
    let none = Value::Null;
    room.check(&[]).await;
    room.set(0, "Gain=-6.5", -6.5, none.clone(), none.clone()).await;
    room.check(&["1<0 -6.5", "2<0 -6.5"]).await;
    room.set(0, "HearsOnly=ben", -6.5, ben.clone(), none.clone()).await;
    room.check(&["0<2 sidebar", "1<0 -6.5", "2<0 -6.5"]).await;
    room.set(0, "Gain=&HeardOnlyBy=ben", 0.0, ben.clone(), ben.clone()).await;
    room.check(&["0<2 sidebar", "2<0 sidebar"]).await;
    room.set(1, "HearsOnly=ann&HeardOnlyBy=ann", 0.0, ann.clone(), ann.clone()).await;
    room.check(&["0<2 sidebar", "1<2 sidebar", "2<0 sidebar", "2<1 sidebar"]).await;
    for (listener, phone) in room.phones.iter().enumerate() {
        for (speaker, (_, hertz)) in TONES.into_iter().enumerate() {
            hears(phone, hertz, listener != speaker && listener + speaker == 1).await;
        }
    }
    let both = {
        let mut both = [room.calls[0].clone(), room.calls[2].clone()];
        both.sort();
        json!(both)
    };
    let form = format!("HearsOnly={}&HearsOnly=cy&HeardOnlyBy=", room.calls[0]);
    room.set(1, &form, 0.0, both, none.clone()).await;
    room.check(&["0<2 sidebar", "2<0 sidebar"]).await;
    hears(&room.phones[1], 880, true).await;
    room.set(2, "HearsOnly=ben&HeardOnlyBy=ben", 0.0, ben.clone(), ben).await;
    room.check(&["0<2 sidebar", "2<0 sidebar"]).await;
    room.set(1, "HearsOnly=cy", 0.0, cy, none.clone()).await;
    room.check(&["0<2 sidebar", "1<0 sidebar", "2<0 sidebar"]).await;
    for who in 0..3 {
        room.set(who, "HearsOnly=&HeardOnlyBy=", 0.0, none.clone(), none.clone()).await;
    }
    room.check(&[]).await;
    for (listener, phone) in room.phones.iter().enumerate() {
        for (speaker, (_, hertz)) in TONES.into_iter().enumerate() {
            hears(phone, hertz, listener != speaker).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidebar_that_cannot_be_is_refused_and_changes_nothing() {
    let room = Room::open().await;
    room.set(0, "Gain=3&HearsOnly=ben", 3.0, json!([room.calls[1]]), Value::Null).await;
    let before = room.get("ann").await;
    let many = "HearsOnly=ben&".repeat(251);
    for (form, parameter, value) in [
        ("Gain=loud&HearsOnly=", "Gain", "\"loud\""),
        ("Gain=12.01", "Gain", "\"12.01\""),
        ("Gain=-41", "Gain", "\"-41\""),
        ("Gain=NaN", "Gain", "\"NaN\""),
        ("Gain=1e1", "Gain", "\"1e1\""),
        ("Gain=1&Levelling=loud", "Levelling", "\"loud\""),
        ("Levelling=true&NoiseSuppression=1", "NoiseSuppression", "\"1\""),
        ("Gain=0&HearsOnly=cy&HeardOnlyBy=dan", "HeardOnlyBy", "\"dan\""),
        ("HeardOnlyBy=CA00000000000000000000000000000000", "HeardOnlyBy", "\"CA0000"),
        ("HearsOnly=cy&HearsOnly=ann", "HearsOnly", "\"ann\""),
        (&many, "HearsOnly", "251"),
    ] {
        let answer = room.post("ann", form).await;
        assert_eq!(answer.status, 400, "{form}: {answer:?}");
        assert_eq!((&answer.body["status"], &answer.body["code"]), (&json!(400), &json!(20001)));
        let message = answer.text("message");
        assert!(message.contains(parameter) && message.contains(value), "{form}: {message}");
        assert_eq!(room.get("ann").await, before, "{form}");
    }
    for who in ["dan", "CA00000000000000000000000000000000"] {
        assert_eq!(room.post(who, "Gain=1").await.status, 404, "{who}");
        assert_eq!(room.server.get_from_root(&room.path(who)).await.status, 404, "{who}");
    }
    let elsewhere = "/sidetone/v1/Conferences/CF00000000000000000000000000000000/Participants/ann";
    assert_eq!(room.server.get_from_root(elsewhere).await.status, 404);
}

/// What the API alone sets, beside sidebars.
const SET: [&str; 3] = ["gain_db", "levelling", "noise_suppression"];

/// Returns what the history tells of what is set by the API alone, one line each.
async fn history(server: &Server, path: &str) -> Vec<String> {
    let page = server.get_from_root(path).await.body;
    let moments = page["events"].as_array().unwrap().iter();
    let moments = moments.map(|event| event.get("resource").unwrap_or(event));
    let set = |one: &Value| {
        let mut set: Vec<String> = SET
            .iter()
            .map(|name| &one[*name])
            .filter(|set| !set.is_null())
            .map(Value::to_string)
            .collect();
        let sidebar = Some(&one["sidebar"]).filter(|sidebar| !sidebar.is_null());
        set.extend(sidebar.map(|both| format!("{} {}", both["hears_only"], both["heard_only_by"])));
        assert!(set.len() < 2, "{one}");
        set.pop()
    };
    moments
        .filter_map(|one| {
            let set = set(one)?;
            assert_eq!((&one["callback"], &one["muted"]), (&Value::Null, &json!(false)), "{one}");
            Some(format!("{} {} {set}", one["event"], one["label"]).replace('"', ""))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_is_in_the_history_also_after_a_restart_and_no_callback_tells_of_it() {
    let mut room = Room::open().await;
    let (ann, ben) = (json!([room.calls[0]]), json!([room.calls[1]]));
    room.set(0, "Gain=-6.25", -6.25, Value::Null, Value::Null).await;
    room.set(0, "Gain=-6.25", -6.25, Value::Null, Value::Null).await;
    room.set(1, "Gain=3&HearsOnly=ann", 3.0, ann, Value::Null).await;
    room.set(0, "Gain=&HeardOnlyBy=ben", 0.0, Value::Null, ben).await;
    room.set(1, "HearsOnly=", 3.0, Value::Null, Value::Null).await;
    assert_eq!(room.post("ann", "Gain=1&HearsOnly=dan").await.status, 400);
    assert_eq!(room.post("cy", "Levelling=true&HearsOnly=dan").await.status, 400);
    for form in ["NoiseSuppression=true&Levelling=true", "Levelling=true", "Levelling=false"] {
        assert_eq!(room.post("cy", form).await.status, 200, "{form}");
    }
    let expected = [
        "participant-gain ann -6.25".to_owned(),
        "participant-gain ben 3.0".to_owned(),
        format!("participant-sidebar ben [{}] null", room.calls[0]),
        "participant-gain ann 0.0".to_owned(),
        format!("participant-sidebar ann null [{}]", room.calls[1]),
        "participant-sidebar ben null null".to_owned(),
        "participant-levelling cy true".to_owned(),
        "participant-noise-suppression cy true".to_owned(),
        "participant-levelling cy false".to_owned(),
    ];
    let path = format!("/sidetone/v1/Conferences/{}/Timeline", room.conference);
    assert_eq!(history(&room.server, &path).await, expected);
    let feed = "/sidetone/v1/Events?After=0&PageSize=1000";
    assert_eq!(history(&room.server, feed).await, expected);
    let muted = format!("/Conferences/{}/Participants/cy.json", room.conference);
    assert_eq!(room.server.post(&muted, &[("Muted", "true")]).await.status, 200);
    let is_mute = |asked: &Asked| asked.param("StatusCallbackEvent") == "participant-mute";
    assert!(room.origin.wait_for("/callback/aside", is_mute).await.is_some(), "nobody was told");
    let told = room.origin.asked("/callback/aside");
    let told: Vec<_> = told.iter().map(|asked| asked.param("StatusCallbackEvent")).collect();
    let joins = told.iter().filter(|event| **event == "participant-join").count();
    assert_eq!((joins, told.len()), (3, 5), "{told:?}");
    room.server.kill();
    let again = Server::start_in(room.server.data(), &[]).await;
    assert_eq!(history(&again, &path).await, expected);
}
