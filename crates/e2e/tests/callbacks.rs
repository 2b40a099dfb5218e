//! Receivers of every kind: what they do to their own callbacks, and that it harms nobody else's.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use e2e::{Origin, Server, binary, until};
use serde_json::{Value, json};
use sim::Phone;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How often each room's participant is muted and unmuted: so many callbacks after the join.
const TOGGLES: u32 = 6;

/// Rooms, where each one's callbacks go, and how they end: state, attempts of each, and code.
const ROOMS: [(&str, &str, (&str, u64, &str)); 11] = [
    ("good", "/good", ("delivered", 1, "")),
    ("also-good", "/good", ("delivered", 1, "")),
    ("slow", "/slow", ("delivered", 1, "")),
    ("redirects", "/redirects", ("delivered", 1, "")),
    ("fails", "/500", ("failed", 1, "16011")),
    ("refuses", "/404#rp=5xx", ("failed", 1, "16011")),
    ("tried-again", "/twice-500#rc=2&rp=5xx", ("delivered", 3, "")),
    ("silent", "/silent#rt=300&rc=0", ("failed", 1, "11200")),
    ("silent-twice", "/silent#rt=300&rp=rt", ("failed", 2, "11200")),
    ("resets", "/reset", ("failed", 1, "11200")),
    ("no-such-override", "/good#rc=9&rp=6xx&e=", ("delivered", 1, "")),
];

#[tokio::test(flavor = "multi_thread")]
async fn bad_receivers_lose_their_own_events_alone_and_these_can_be_sent_again() {
    let origin = Origin::start().await;
    let receiver = Receiver::start().await;
    let server = Server::start(&["--voice-url", &origin.url("/voice")]).await;
    let phones: Vec<Phone> = ROOMS
        .iter()
        .map(|(room, path, _)| {
            let url = receiver.url(path).replace('&', "&amp;");
            origin.answers(room, &dial(room, &url));
            Phone::call(server.sip(), room, sim::tone(400)).unwrap()
        })
        .collect();
    let mut told = BTreeMap::new();
    for (room, ..) in ROOMS {
        told.insert(room, toggled(&server, room).await);
    }
    let expected = TOGGLES as usize + 1;
    for (room, path, (status, attempts, code)) in ROOMS {
        let conference = &told[room];
        let mut listed = Vec::new();
        until(&format!("{room}: all is told or given up"), async || {
            listed = callbacks(&server, "").await;
            listed.retain(|callback| callback["conference_sid"] == **conference);
            listed.len() == expected && listed.iter().all(|one| one["status"] == status)
        })
        .await;
        for callback in &listed {
            assert_eq!(callback["attempts"], attempts, "{room}: {callback}");
            let error = callback["last_error"].as_str().unwrap_or_default();
            assert!(
                error.starts_with(code) && error.is_empty() == code.is_empty(),
                "{room}: {error}"
            );
        }
        let history =
            server.get_from_root(&format!("/sidetone/v1/Conferences/{conference}/Timeline")).await;
        let history = history.body["events"].as_array().unwrap().clone();
        let told_of = history.iter().filter(|moment| moment["callback"]["status"] == status);
        assert_eq!(told_of.count(), expected, "{room}: {history:?}");
        let sent: Vec<Told> = receiver.told(conference);
        let mut numbers: Vec<u32> = sent.iter().map(|told| told.sequence).collect();
        if path == "/reset" {
            // On a connection that was kept, a reset is no answer yet: it is tried on a new one.
            numbers.dedup();
        }
        let in_order: Vec<u32> = (1..=expected as u32)
            .flat_map(|number| std::iter::repeat_n(number, attempts as usize))
            .collect();
        if path != "/redirects" {
            assert_eq!(numbers, in_order, "{room}");
        }
        let tokens: BTreeSet<_> = sent.iter().map(|told| (told.sequence, &told.token)).collect();
        assert_eq!(tokens.len(), if path == "/redirects" { 0 } else { expected }, "{room}");
    }
    let logged = codes(&server).await;
    for code in ["16011", "11200", "11240", "11241", "11243"] {
        assert!(logged.contains(code), "{code} is not in the debugger log: {logged:?}");
    }
    replayed(&server, &receiver, &told["fails"], expected).await;
    drop(phones);
    judged(&server, &receiver).await;
}

/// Mends the receiver of 500s, has everything that failed sent again, and looks for it.
async fn replayed(server: &Server, receiver: &Receiver, conference: &str, expected: usize) {
    let before = receiver.told(conference);
    receiver.mend();
    let listed = sidetone(server, &["webhook", "ls", "--failed"]);
    assert!(listed.lines().any(|line| line.contains("/500") && line.contains("16011")), "{listed}");
    let one = callbacks(server, "failed").await.last().unwrap()["sid"].as_str().unwrap().to_owned();
    assert!(sidetone(server, &["webhook", "replay", &one]).contains(&one));
    sidetone(server, &["webhook", "replay", "--failed"]);
    until("what failed is delivered", async || callbacks(server, "failed").await.is_empty()).await;
    let after = receiver.told(conference);
    let again = &after[before.len()..];
    assert_eq!((again.len(), before.len()), (expected, expected));
    let tokens = |told: &[Told]| -> BTreeSet<(u32, String)> {
        told.iter().map(|told| (told.sequence, told.token.clone())).collect()
    };
    assert_eq!(tokens(again), tokens(&before), "the same tokens");
}

#[tokio::test(flavor = "multi_thread")]
async fn until_delivered_outlives_a_crash_in_order_and_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::start().await;
    let receiver = Receiver::start().await;
    let voice = origin.url("/voice");
    let flags = ["--callbacks-delivery", "until-delivered", "--voice-url", &voice];
    let mut server = Server::start_in(folder.path(), &flags).await;
    origin.answers("kept", &dial("kept", &receiver.url("/500")));
    origin.answers("other", &dial("other", &receiver.url("/good")));
    let phones =
        ["kept", "other"].map(|room| Phone::call(server.sip(), room, sim::tone(400)).unwrap());
    let conference = toggled(&server, "kept").await;
    let other = toggled(&server, "other").await;
    until("the other room is told", async || receiver.told(&other).len() == TOGGLES as usize + 1)
        .await;
    until("the first event is tried", async || !receiver.told(&conference).is_empty()).await;
    assert!(receiver.told(&conference).iter().all(|told| told.sequence == 1), "in order");
    server.kill();
    drop(phones);
    receiver.mend();
    let refused = receiver.told(&conference).len();
    let server = Server::start_in(folder.path(), &flags).await;
    until("the end is told", async || {
        receiver.told(&conference).iter().any(|told| told.event == "conference-end")
    })
    .await;
    let sent = receiver.told(&conference);
    let numbers: Vec<u32> = sent[refused..].iter().map(|told| told.sequence).collect();
    let all: Vec<u32> = (1..=numbers.len() as u32).collect();
    assert_eq!(numbers, all, "each once, in order");
    assert!(numbers.len() > TOGGLES as usize + 2, "{numbers:?}");
    assert_eq!(sent[0].token, sent[refused].token, "one token for all tries");
    until("nothing is owed", async || callbacks(&server, "pending").await.is_empty()).await;
}

fn dial(room: &str, url: &str) -> String {
    format!(
        "<Dial><Conference statusCallback=\"{url}\" beep=\"false\" \
         statusCallbackEvent=\"start end join leave mute\">{room}</Conference></Dial>"
    )
}

/// Waits for a room's one participant, mutes and unmutes it, and returns the conference's SID.
async fn toggled(server: &Server, room: &str) -> String {
    let (mut conference, mut call) = (String::new(), String::new());
    until(&format!("{room} has its participant"), async || {
        let found = server.get(&format!("/Conferences.json?FriendlyName={room}")).await;
        conference = found.body["conferences"][0]["sid"].as_str().unwrap_or_default().to_owned();
        let path = format!("/Conferences/{conference}/Participants.json");
        let list = server.get(&path).await;
        call = list.body["participants"][0]["call_sid"].as_str().unwrap_or_default().to_owned();
        !call.is_empty()
    })
    .await;
    let path = format!("/Conferences/{conference}/Participants/{call}.json");
    for number in 0..TOGGLES {
        let muted = if number % 2 == 0 { "true" } else { "false" };
        assert_eq!(server.post(&path, &[("Muted", muted)]).await.status, 200);
    }
    conference
}

async fn callbacks(server: &Server, status: &str) -> Vec<Value> {
    let filter = if status.is_empty() { String::new() } else { format!("&Status={status}") };
    let path = format!("/sidetone/v1/Callbacks?PageSize=1000{filter}");
    server.get_from_root(&path).await.body["callbacks"].as_array().unwrap().clone()
}

async fn codes(server: &Server) -> BTreeSet<String> {
    let list = server.get("/Notifications.json?PageSize=1000").await;
    let entries = list.body["notifications"].as_array().unwrap().iter();
    entries.map(|entry| entry["error_code"].as_str().unwrap().to_owned()).collect()
}

/// Runs a client sub-command of the binary, which must succeed, and returns what it printed.
fn sidetone(server: &Server, arguments: &[&str]) -> String {
    let output =
        Command::new(binary()).args(arguments).arg("--data").arg(server.data()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Has Twilio's own validator judge the signature of every request.
async fn judged(server: &Server, receiver: &Receiver) {
    let requests = receiver.signed.lock().unwrap().clone();
    let judged = e2e::valid_signatures(server.ready("auth_token"), &requests);
    assert_eq!(judged, format!("{} signatures", requests.len()));
}

/// One callback that came.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    conference: String,
    sequence: u32,
    event: String,
    token: String,
}

/// A receiver that behaves as its path says, and remembers what it was told.
#[derive(Clone, Default)]
struct Receiver {
    base: String,
    told: Arc<Mutex<Vec<Told>>>,
    /// For the validator: address, fields, signature.
    signed: Arc<Mutex<Vec<Value>>>,
    mended: Arc<Mutex<bool>>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let receiver = Self { base, ..Self::default() };
        let this = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(this.clone().serve(stream));
            }
        });
        receiver
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// From now on every path behaves.
    fn mend(&self) {
        *self.mended.lock().unwrap() = true;
    }

    fn told(&self, conference: &str) -> Vec<Told> {
        let told = self.told.lock().unwrap();
        told.iter().filter(|told| told.conference == conference).cloned().collect()
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut octets = Vec::new();
        while let Some((head, body)) = read_request(&mut stream, &mut octets).await {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            let tries = self.note(&head, &body, &path);
            let good = "HTTP/1.1 204 No Content\r\n\r\n";
            let answer = match &*path {
                _ if *self.mended.lock().unwrap() => good,
                "/slow" => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    good
                }
                "/redirects" => {
                    "HTTP/1.1 302 Found\r\nlocation: /behind\r\ncontent-length: 0\r\n\r\n"
                }
                "/500" => "HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\noops",
                "/404" => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
                "/twice-500" if tries < 3 => "HTTP/1.1 503 Later\r\ncontent-length: 0\r\n\r\n",
                "/silent" => {
                    // Until the other side gives up.
                    let _ = stream.read(&mut [0; 64]).await;
                    return;
                }
                "/reset" => return drop(stream.set_zero_linger()),
                _ => good,
            };
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    /// Remembers a request; returns how often this event has come.
    fn note(&self, head: &str, body: &str, path: &str) -> usize {
        let header = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
            line.and_then(|line| line.split_once(": ")).map_or("", |(_, value)| value).to_owned()
        };
        let params: Vec<(String, String)> =
            url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let signature = header("x-twilio-signature");
        let request = json!({"url": self.url(path), "params": params, "signature": signature});
        self.signed.lock().unwrap().push(request);
        let param = |name: &str| {
            let found = params.iter().find(|(key, _)| key == name);
            found.map_or("", |(_, value)| value).to_owned()
        };
        let new = Told {
            conference: param("ConferenceSid"),
            sequence: param("SequenceNumber").parse().unwrap_or(0),
            event: param("StatusCallbackEvent"),
            token: header("i-twilio-idempotency-token"),
        };
        let mut told = self.told.lock().unwrap();
        if path != "/redirects" && path != "/behind" {
            told.push(new.clone());
        }
        told.iter().filter(|old| **old == new).count()
    }
}

/// Reads a request's head and body; none at the end of the connection.
async fn read_request(stream: &mut TcpStream, octets: &mut Vec<u8>) -> Option<(String, String)> {
    octets.clear();
    loop {
        let mut more = [0; 8_192];
        let length = stream.read(&mut more).await.ok().filter(|length| *length > 0)?;
        octets.extend_from_slice(&more[..length]);
        let text = String::from_utf8_lossy(octets).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let declared = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= declared.map_or(0, |length| length.parse().unwrap()) {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}
