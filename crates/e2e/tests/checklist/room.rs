//! A conference of real phones, each with a tone of its own.

use std::time::Duration;

use e2e::{Answer, Asked, Origin, Server, until};
use serde_json::Value;
use sim::Phone;

/// Longer than anything takes that comes about at all.
pub const LIMIT: Duration = Duration::from_secs(30);
/// What a room tells of unless it is opened otherwise.
const EVENTS: &str = "start end join leave mute hold modify announcement";

/// Phones in one conference, in the order in which they came.
pub struct Room {
    pub server: Server,
    pub origin: Origin,
    pub phones: Vec<Phone>,
    pub calls: Vec<String>,
    pub conference: String,
}

/// The tone of one of the phones.
pub const fn tone(who: usize) -> u32 {
    500 + 300 * who as u32
}

impl Room {
    /// Lets phones call in one after the other; all join with these attributes.
    pub async fn open(size: usize, attributes: &str) -> Self {
        let origin = Origin::start().await;
        let server = Server::start(&["--voice-url", &origin.url("/voice")]).await;
        let mut room = Self {
            server,
            origin,
            phones: Vec::new(),
            calls: Vec::new(),
            conference: String::new(),
        };
        for who in 0..size {
            room.join(&format!("p{who}"), attributes).await;
        }
        room
    }

    /// Lets one more phone call in and waits until it is connected; its label is the user that it dials.
    pub async fn join(&mut self, user: &str, attributes: &str) {
        let verbs = format!(
            "<Dial><Conference participantLabel='{user}' beep='false' waitUrl='' statusCallback='/callback' \
             statusCallbackEvent='{EVENTS}' {attributes}>room</Conference></Dial>"
        );
        self.join_by(user, &verbs).await;
    }

    /// The same, by these verbs.
    pub async fn join_by(&mut self, user: &str, verbs: &str) {
        self.origin.answers(user, verbs);
        let voice = sim::tone(tone(self.phones.len()));
        self.phones.push(Phone::call(self.server.sip(), user, voice).unwrap());
        let mut found = Value::Null;
        until(user, async || {
            let rooms = self.server.get("/Conferences.json?FriendlyName=room").await;
            self.conference = rooms.text_of("conferences", "sid");
            let path = format!("/Conferences/{}/Participants.json?PageSize=100", self.conference);
            let all = self.server.get(&path).await.body;
            let mut members = all["participants"].as_array().into_iter().flatten();
            found = members.find(|one| self.is_new(one)).cloned().unwrap_or_default();
            found["status"] == "connected"
        })
        .await;
        self.calls.push(found["call_sid"].as_str().unwrap().to_owned());
    }

    fn is_new(&self, member: &Value) -> bool {
        let call = member["call_sid"].as_str().unwrap_or_default();
        !self.calls.iter().any(|known| known == call)
    }

    pub fn path(&self, who: usize) -> String {
        format!("/Conferences/{}/Participants/{}.json", self.conference, self.calls[who])
    }

    /// Updates a participant, which must be taken.
    pub async fn update(&self, who: usize, form: &[(&str, &str)]) -> Value {
        let answer = self.server.post(&self.path(who), form).await;
        assert_eq!(answer.status, 200, "{form:?}: {answer:?}");
        answer.body
    }

    /// Updates a participant, which must be refused with a code.
    pub async fn refuses(&self, who: usize, form: &[(&str, &str)], code: u32) {
        let before = self.server.get(&self.path(who)).await.body;
        let answer = self.server.post(&self.path(who), form).await;
        assert_eq!((answer.status, &answer.body["code"]), (400, &code.into()), "{form:?}");
        assert_eq!(
            self.server.get(&self.path(who)).await.body,
            before,
            "{form:?} changed something"
        );
    }

    /// Waits until a phone hears another, or does not.
    pub async fn hears(&self, who: usize, speaker: usize, wanted: bool) {
        e2e::hears(&self.phones[who], tone(speaker), wanted).await;
    }

    pub async fn told(&self, event: &str) -> Asked {
        let is_it = |asked: &Asked| asked.param("StatusCallbackEvent") == event;
        let told = self.origin.wait_for("/callback", is_it).await;
        told.unwrap_or_else(|| panic!("{event} was not told"))
    }

    /// Waits until the conference is over and returns it.
    pub async fn ended(&self) -> Answer {
        let path = format!("/Conferences/{}.json", self.conference);
        let completed = async || self.server.get(&path).await.text("status") == "completed";
        until("the end of the conference", completed).await;
        self.server.get(&path).await
    }

    /// Waits until the debugger log has an entry of this code.
    pub async fn logs(&self, code: &str) {
        until(code, async || {
            let log = self.server.get("/Notifications.json").await.body;
            let mut entries = log["notifications"].as_array().into_iter().flatten();
            entries.any(|entry| entry["error_code"] == code)
        })
        .await;
    }
}

/// A field of the first item of a list.
pub trait First {
    fn text_of(&self, list: &str, field: &str) -> String;
}

impl First for Answer {
    fn text_of(&self, list: &str, field: &str) -> String {
        self.body[list][0][field].as_str().unwrap_or_default().to_owned()
    }
}

/// A WAV of so many seconds of a tone.
pub fn wav(hertz: u32, seconds: usize) -> Vec<u8> {
    sound::wav(&e2e::tone(hertz, 5_000.0).repeat(seconds))
}
