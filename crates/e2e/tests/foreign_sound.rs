//! The sound of foreign programs: SIPp is heard, and hears.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use e2e::{Server, hears, tone};
use media::{Codec, Encoder, PAYLOAD_MAX};
use sim::Phone;
use tempfile::TempDir;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// What phones of ours say, and what SIPp says.
const OURS: u32 = 700;
const FOREIGN: u32 = 1_100;
const AMPLITUDE: f64 = 8_000.0;

/// SIPp, which is one phone in a room.
struct Sipp {
    playing: JoinHandle<bool>,
    folder: Arc<TempDir>,
}

impl Sipp {
    /// Lets it play a scenario, with arguments of its own; `tone` is the sound that it may send, in PCMU.
    async fn start(server: &Server, name: &'static str, room: &str, own: &[&str]) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("tone"), in_pcmu(&tone(FOREIGN, AMPLITUDE))).unwrap();
        let ip = server.sip().ip();
        let free = UdpSocket::bind((ip, 0)).await.unwrap().local_addr().unwrap().port();
        let (server, ip, port) = (server.sip().to_string(), ip.to_string(), free.to_string());
        let words = [&server, "-i", &ip, "-mi", &ip, "-p", &port, "-s", room];
        let arguments: Vec<String> = words.iter().chain(own).map(|&word| word.into()).collect();
        let kept = Arc::clone(&folder);
        let playing = tokio::task::spawn_blocking(move || e2e::sipp(name, &arguments, kept.path()));
        Self { playing, folder }
    }

    /// Waits until it was hung up.
    async fn end(self) {
        let passed = self.playing.await.unwrap();
        let read = |name| std::fs::read_to_string(self.folder.path().join(name));
        assert!(passed, "{:?}\n{}", read("errors"), read("messages").unwrap_or_default());
    }
}

fn in_pcmu(sound: &[i16]) -> Vec<u8> {
    let mut encoder = Encoder::new(Codec::Pcmu);
    let encode = |tick: &[i16]| {
        let mut payload = [0; PAYLOAD_MAX];
        let length = encoder.encode(tick, &mut payload);
        payload[..length].to_vec()
    };
    sound.chunks(160).flat_map(encode).collect()
}

/// Ends a room for all who are in it.
async fn close(server: &Server, room: &str) {
    let found = server.get(&format!("/Conferences.json?FriendlyName={room}")).await;
    let path =
        format!("/Conferences/{}.json", found.body["conferences"][0]["sid"].as_str().unwrap());
    let ended = server.post(&path, &[("Status", "completed")]).await;
    assert_eq!(ended.status, 200, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sipp_says_is_heard() {
    let server = Server::start(&[]).await;
    let phone = Phone::call(server.sip(), "speaks", tone(OURS, AMPLITUDE)).unwrap();
    hears(&phone, FOREIGN, false).await;
    let sipp = Sipp::start(&server, "speaks", "speaks", &[]).await;
    hears(&phone, FOREIGN, true).await;
    close(&server, "speaks").await;
    sipp.end().await;
}

/// SIPp sends back what came to its port, and nobody hears himself in any other way.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_phone_says_comes_to_sipp() {
    let server = Server::start(&[]).await;
    let phone = Phone::call(server.sip(), "echoes", tone(OURS, AMPLITUDE)).unwrap();
    hears(&phone, OURS, false).await;
    let sipp = Sipp::start(&server, "echoes", "echoes", &["-rtp_echo"]).await;
    hears(&phone, OURS, true).await;
    close(&server, "echoes").await;
    sipp.end().await;
}
