//! Documents from hostile origins: the caller hears silence, the debugger log has Twilio's code, and
//! the room and the server's memory are unharmed.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use e2e::{Ear, Origin, Server, hears, until};
use serde_json::Value;
use sim::Phone;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How much more memory the server may take for all of them together.
const GROWTH_MAX: u64 = 64 * 1024 * 1024;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: ";
const XML: &str = "text/xml\r\n";

/// A hold document and what becomes of it: method, address and code. `{}` is the origin.
const CASES: [(&str, &str, &str); 30] = [
    ("GET", "{}/10-gigabytes", "11750"),
    ("GET", "{}/10-gigabytes-of-text", "11750"),
    ("GET", "{}/endless-sound", "11750"),
    ("POST", "{}/endless-text", "11750"),
    ("GET", "{}/endless-without-a-length", "11750"),
    ("GET", "{}/endless-head", "1120x"),
    ("GET", "{}/slow#tt=1500", "11200"),
    ("GET", "{}/slow-head#tt=1500", "11200"),
    ("POST", "{}/silent#rt=700", "11200"),
    ("GET", "{}/silent-in-the-middle#rt=700", "11200"),
    ("GET", "{}/bomb", "11750"),
    ("POST", "{}/bomb-of-sound", "11750"),
    ("GET", "{}/gif", "12300"),
    ("GET", "{}/no-type", "12300"),
    ("GET", "{}/no-sound.mp3", "12300"),
    ("GET", "{}/one-octet-too-many", "11750"),
    ("GET", "{}/empty", "11770"),
    ("HEAD", "{}/good", "11200"),
    ("GET", "{}/not-utf-8", "12100"),
    ("GET", "{}/404", "11200"),
    ("POST", "{}/500#rc=2&rp=5xx", "11200"),
    ("GET", "{}/reset", "11200"),
    ("GET", "{}/reset-at-once", "11200"),
    ("GET", "{}/no-http", "11206"),
    ("GET", "{}/loop", "11215"),
    ("GET", "{}/to-metadata", "11205"),
    ("GET", "http://169.254.169.254/latest/meta-data/", "11205"),
    ("POST", "http://[::ffff:a9fe:a9fe]/", "11205"),
    ("GET", "http://no-such-host.invalid/", "11210"),
    ("GET", "http://127.0.0.1:9/#rc=0", "11205"),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_origin_harms_the_room_or_the_server() {
    let server = Server::start(&[]).await;
    let hostile = Hostile::start().await;
    let talkers = [500, 900].map(|hertz| call(&server, hertz));
    let room = room(&server, 2).await;
    let known: Vec<String> = members(&server, &room).await;
    let phones: Vec<Phone> = CASES.iter().map(|_| call(&server, 300)).collect();
    let mut calls = Vec::new();
    until("all are in the room", async || {
        calls = members(&server, &room).await;
        calls.retain(|call| !known.contains(call));
        calls.len() == CASES.len()
    })
    .await;
    let before = resident(&server);
    let begun = Instant::now();
    let asked = calls.iter().zip(CASES).map(|(call, (method, url, _))| {
        let path = format!("/Conferences/{room}/Participants/{call}.json");
        let url = url.replace("{}", &hostile.base);
        let server = &server;
        async move {
            let form = [("Hold", "true"), ("HoldUrl", &*url), ("HoldMethod", method)];
            let answer = server.post(&path, &form).await;
            assert_eq!(answer.status, 200, "{url}: {answer:?}");
        }
    });
    for asked in asked {
        asked.await;
    }
    let mut most = before;
    let mut codes = BTreeMap::new();
    until("each failure is in the debugger log", async || {
        most = most.max(resident(&server));
        codes = logged(&server).await;
        calls.iter().all(|call| codes.contains_key(call))
    })
    .await;
    for (call, (method, url, code)) in calls.iter().zip(CASES) {
        let told = &codes[call];
        assert!(told.starts_with(code.trim_end_matches('x')), "{method} {url}: {told}, not {code}");
    }
    let took = begun.elapsed();
    let grown = most.saturating_sub(before);
    println!("{} documents failed in {took:?}; the server grew by {grown} octets", CASES.len());
    assert!(grown < GROWTH_MAX, "the server grew by {grown} octets");
    phones.iter().chain(&talkers).for_each(Phone::forget);
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Where thirty calls at once were much for the machine, play-out still catches up and bends a tone.
    for (talker, hertz) in [(0, 900), (1, 500)] {
        let level = Ear::new(&talkers[talker].heard()).level_near(hertz, 30);
        assert!(level > 1_000.0, "the room does not play on: {level} at {hertz} Hz");
    }
    for (phone, (method, url, _)) in phones.iter().zip(CASES) {
        let loudest = phone.heard().iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
        assert!(loudest < 50, "{method} {url} is heard: {loudest}");
    }
    assert_eq!(server.admin("/readyz").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_is_played_whatever_its_server_calls_it() {
    let server = Server::start(&[]).await;
    let origin = Origin::start().await;
    let sound = sound::wav(&e2e::tone(1_100, 5_000.0).repeat(5));
    let kinds = ["application/octet-stream", "audio/x-wav", "binary/octet-stream"];
    let phones: Vec<Phone> = kinds.iter().map(|_| call(&server, 300)).collect();
    let room = room(&server, kinds.len()).await;
    for (call, (number, kind)) in members(&server, &room).await.iter().zip(kinds.iter().enumerate())
    {
        let url = origin.serves(&format!("/{number}.wav"), kind, sound.clone());
        let path = format!("/Conferences/{room}/Participants/{call}.json");
        assert_eq!(server.post(&path, &[("Hold", "true"), ("HoldUrl", &url)]).await.status, 200);
    }
    for phone in &phones {
        hears(phone, 1_100, true).await;
    }
    for number in 0..kinds.len() {
        assert!(!origin.asked(&format!("/{number}.wav")).is_empty());
    }
}

fn call(server: &Server, hertz: u32) -> Phone {
    Phone::call(server.sip(), "zoo", sim::tone(hertz)).unwrap()
}

async fn room(server: &Server, size: usize) -> String {
    let mut room = String::new();
    until("the talkers are in the room", async || {
        let found = server.get("/Conferences.json?Status=in-progress").await;
        room = found.body["conferences"][0]["sid"].as_str().unwrap_or_default().to_owned();
        !room.is_empty() && members(server, &room).await.len() == size
    })
    .await;
    room
}

async fn members(server: &Server, room: &str) -> Vec<String> {
    let list = server.get(&format!("/Conferences/{room}/Participants.json?PageSize=100")).await;
    let members = list.body["participants"].as_array().unwrap().iter();
    members.map(|member| member["call_sid"].as_str().unwrap().to_owned()).collect()
}

/// Returns the first error of each call: its code and what happened.
async fn logged(server: &Server) -> BTreeMap<String, String> {
    let list = server.get("/Notifications.json?PageSize=1000&Log=0").await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = list.body["notifications"].as_array().unwrap().iter();
    let told =
        |entry: &Value| format!("{}: {}", text(&entry["error_code"]), text(&entry["message_text"]));
    entries.map(|entry| (text(&entry["call_sid"]), told(entry))).collect()
}

/// Returns how many octets of memory the server has.
fn resident(server: &Server) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", server.pid())).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

/// An origin of no good will.
struct Hostile {
    base: String,
}

impl Hostile {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(misbehave(stream));
            }
        });
        Self { base: format!("http://{address}") }
    }
}

async fn misbehave(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = vec![0; 8_192];
    let length = stream.read(&mut request).await?;
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let target = request.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let chunk = [&b"10000\r\n"[..], &[b' '; 65_536], b"\r\n"].concat();
    let never = Duration::from_secs(3_600);
    let whole = |head: &str, body: &[u8]| {
        [
            format!("{head}connection: close\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(),
            body,
        ]
        .concat()
    };
    let ok = |kind: &str, rest: &str| format!("{OK}{kind}\r\n{rest}");
    let redirect = |to: &str| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\n");
    let (begin, again, pause) = match path {
        "/10-gigabytes" => {
            (ok("audio/wav", "content-length: 10000000000\r\n\r\n"), chunk, Duration::ZERO)
        }
        "/10-gigabytes-of-text" => {
            (ok("text/xml", "content-length: 10000000000\r\n\r\n"), chunk, Duration::ZERO)
        }
        "/endless-sound" => {
            (ok("audio/mpeg", "transfer-encoding: chunked\r\n\r\n"), chunk, Duration::ZERO)
        }
        "/endless-text" => {
            (ok("text/xml", "transfer-encoding: chunked\r\n\r\n"), chunk, Duration::ZERO)
        }
        "/endless-without-a-length" => (ok("audio/wav", "\r\n"), chunk, Duration::ZERO),
        "/endless-head" => {
            (ok("text/xml", ""), b"x-more: of the same\r\n".repeat(64), Duration::ZERO)
        }
        "/slow" => (
            ok("text/xml", "content-length: 60000\r\n\r\n"),
            b"<".to_vec(),
            Duration::from_millis(100),
        ),
        "/slow-head" => (String::new(), b"H".to_vec(), Duration::from_millis(100)),
        "/silent" => (String::new(), Vec::new(), never),
        "/silent-in-the-middle" => {
            (ok("text/xml", "content-length: 60000\r\n\r\n<Response>"), Vec::new(), never)
        }
        "/reset" => {
            (ok("text/xml", "content-length: 1000\r\n\r\n<Response>"), Vec::new(), Duration::ZERO)
        }
        "/reset-at-once" => (String::new(), Vec::new(), Duration::ZERO),
        "/no-http" => ("SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(), Vec::new(), Duration::ZERO),
        _ => {
            let bomb = "content-encoding: gzip\r\n";
            let answer = match path {
                "/bomb" => whole(&ok("text/xml", bomb), &zeros()),
                "/bomb-of-sound" => whole(&ok("audio/wav", bomb), &zeros()),
                "/gif" => whole(&ok("image/gif", ""), b"GIF89a"),
                "/no-type" => whole("HTTP/1.1 200 OK\r\n", b"<Response/>"),
                "/no-sound.mp3" => whole(&ok("audio/mpeg", ""), &b"no sound at all ".repeat(4_096)),
                "/one-octet-too-many" => whole(&format!("{OK}{XML}"), &vec![b' '; 64 * 1024 + 1]),
                "/empty" => whole(&format!("{OK}{XML}"), b""),
                "/not-utf-8" => whole(
                    &ok("text/xml; charset=utf-8", ""),
                    b"<Response><Say>\xe9</Say></Response>",
                ),
                "/loop" => whole(&redirect("/loop"), b""),
                "/to-metadata" => whole(&redirect("http://169.254.169.254/latest/"), b""),
                "/good" => {
                    ok("text/xml", "connection: close\r\ncontent-length: 11\r\n\r\n").into_bytes()
                }
                "/500" => whole("HTTP/1.1 500 Oops\r\n", b""),
                _ => whole("HTTP/1.1 404 Not Found\r\n", b""),
            };
            (String::new(), answer, never)
        }
    };
    stream.write_all(begin.as_bytes()).await?;
    if pause == Duration::ZERO && again.is_empty() {
        stream.set_zero_linger()?;
        return Ok(());
    }
    loop {
        stream.write_all(&again).await?;
        tokio::time::sleep(pause).await;
    }
}

/// 100 MiB of zeros, compressed.
fn zeros() -> Vec<u8> {
    static ZEROS: OnceLock<Vec<u8>> = OnceLock::new();
    let made = ZEROS.get_or_init(|| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        for _ in 0..100 {
            encoder.write_all(&vec![0; 1 << 20]).unwrap();
        }
        encoder.finish().unwrap()
    });
    made.clone()
}
