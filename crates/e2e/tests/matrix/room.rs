//! A room of real phones, each with a tone of its own, and the documents that play in it.

use std::time::Duration;

use e2e::{Ear, Origin, Server, tone};
use sim::{Phone, State};

/// Tones of documents; the phones' are in [`phone_tone`].
pub const WAIT: u32 = 3_300;
pub const WAIT_CHANGED: u32 = 3_400;
pub const HOLD: u32 = 3_500;
pub const ANNOUNCE: u32 = 3_600;

/// How long everyone listens at a time.
const LISTEN: Duration = Duration::from_millis(300);
/// How often they listen until all is as it should be: how soon that is, is not judged here.
const LISTENS_MAX: usize = 60;
/// How long a condition is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Amplitude of a phone's tone: all together stay below full scale.
pub fn amplitude(size: usize) -> f64 {
    if size > 8 { 24_000.0 / size as f64 } else { 2_500.0 }
}

pub fn phone_tone(size: usize, index: usize) -> u32 {
    if size > 8 { 300 + 55 * index as u32 } else { 340 + 370 * index as u32 }
}

/// Phones in one conference.
pub struct Room<'a> {
    pub server: &'a Server,
    pub name: String,
    pub conference: String,
    pub phones: Vec<Phone>,
    /// The calls' SIDs, in the order of the phones.
    pub calls: Vec<String>,
}

impl<'a> Room<'a> {
    /// Lets phones call in and waits until all are connected.
    pub async fn open(
        server: &'a Server,
        origin: &Origin,
        name: &str,
        size: usize,
        started: bool,
    ) -> Option<Self> {
        serve_documents(origin, name);
        let mut phones = Vec::new();
        for index in 0..size {
            let user = format!("{name}p{index}");
            origin.answers(
                &user,
                &format!(
                    "<Dial><Conference participantLabel=\"{user}\" beep=\"false\" \
                     startConferenceOnEnter=\"{started}\" waitUrl=\"/{name}/wait\" waitMethod=\"GET\" \
                     statusCallback=\"/callback/{name}\" statusCallbackEvent=\"start end join leave \
                     mute hold modify announcement\">{name}</Conference></Dial>"
                ),
            );
            let voice = tone(phone_tone(size, index), amplitude(size));
            phones.push(Phone::call(server.sip(), &user, voice).unwrap());
        }
        let (conference, calls) = seated(server, name, size).await?;
        Some(Self { server, name: name.to_owned(), conference, phones, calls })
    }

    /// The path of one participant, by its call or by its label.
    pub fn path(&self, who: usize, by_label: bool) -> String {
        let label = format!("{}p{who}", self.name);
        let key = if by_label { &label } else { &self.calls[who] };
        format!("/Conferences/{}/Participants/{key}.json", self.conference)
    }

    /// Lets everyone listen at once, a bounded time, until `judge` finds no fault with any ear.
    /// Returns the last faults, where that did not come about.
    pub async fn judge(&self, judge: impl Fn(usize, &Ear) -> Vec<String>) -> Vec<String> {
        let mut faults = Vec::new();
        for _ in 0..LISTENS_MAX {
            self.phones.iter().for_each(Phone::forget);
            tokio::time::sleep(LISTEN).await;
            let ears = self.phones.iter().map(|phone| Ear::new(&phone.heard())).enumerate();
            faults = ears.flat_map(|(who, ear)| judge(who, &ear)).collect();
            if faults.is_empty() {
                break;
            }
        }
        faults
    }

    /// Compares the voices that one ear heard with those that it is to hear.
    pub fn voices(&self, who: usize, ear: &Ear, hears: impl Fn(usize) -> bool) -> Vec<String> {
        let size = self.phones.len();
        let within = if size > 8 { 9 } else { 60 };
        let voices = (0..size).filter_map(|speaker| {
            let loudness = ear.level_near(phone_tone(size, speaker), within) / amplitude(size);
            let about = format!("{who} hears {speaker} at {loudness:.3}");
            fault(loudness, hears(speaker), &about)
        });
        voices.collect()
    }

    /// How many of the phones are in a call.
    pub fn up(&self, phones: std::ops::Range<usize>) -> usize {
        self.phones[phones].iter().filter(|phone| phone.state() == State::Up).count()
    }
}

/// Full strength is 1; under an announcement it is a quarter.
pub fn fault(loudness: f64, heard: bool, about: &str) -> Option<String> {
    if heard && !(0.2..1.3).contains(&loudness) || !heard && loudness > 0.05 {
        return Some(format!("{about}, {}", if heard { "too faint" } else { "but should not" }));
    }
    None
}

/// Waits until something is so; says whether it came about.
pub async fn comes_about<F: Future<Output = bool>>(is_so: impl Fn() -> F) -> bool {
    let until = tokio::time::Instant::now() + PATIENCE;
    while !is_so().await {
        if tokio::time::Instant::now() > until {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    true
}

/// Puts the room's documents on the origin: each its own, so that its log tells rooms apart.
fn serve_documents(origin: &Origin, name: &str) {
    let second = |hertz| sound::wav(&tone(hertz, 2_500.0));
    for hertz in [WAIT, WAIT_CHANGED, HOLD] {
        origin.serves(&format!("/tone/{hertz}.wav"), "audio/wav", second(hertz));
    }
    for (kind, hertz) in [("wait", WAIT), ("changed", WAIT_CHANGED), ("hold", HOLD)] {
        let verbs = format!("<Play loop=\"0\">/tone/{hertz}.wav</Play>");
        origin.serves_twiml(&format!("/{name}/{kind}"), &verbs);
    }
    let announcement = sound::wav(&tone(ANNOUNCE, 2_500.0).repeat(3));
    origin.serves(&format!("/{name}/announce"), "audio/wav", announcement);
}

/// Waits until everyone is in the conference; returns its SID and the calls in order of the phones.
async fn seated(server: &Server, name: &str, size: usize) -> Option<(String, Vec<String>)> {
    for _ in 0..400 {
        tokio::time::sleep(Duration::from_millis(25)).await;
        let found = server.get(&format!("/Conferences.json?FriendlyName={name}")).await;
        let Some(sid) = found.body["conferences"][0]["sid"].as_str() else { continue };
        let path = format!("/Conferences/{sid}/Participants.json?PageSize=100");
        let body = server.get(&path).await.body;
        let members = body["participants"].as_array().unwrap();
        let connected = members.iter().filter(|member| member["status"] == "connected").count();
        if connected < size {
            continue;
        }
        let call_of = |label: String| {
            let member = members.iter().find(|member| member["label"] == label.as_str())?;
            Some(member["call_sid"].as_str()?.to_owned())
        };
        let calls = (0..size).map(|index| call_of(format!("{name}p{index}")));
        return Some((sid.to_owned(), calls.collect::<Option<_>>()?));
    }
    None
}
