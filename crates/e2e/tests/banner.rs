//! What `sidetone dev` prints: every line of it, as it is pasted.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::{Server, brought};
use sim::Phone;

/// Returns the lines below a heading that stand apart from it.
fn below(banner: &str, heading: &str) -> String {
    let (_, rest) = banner.split_once(heading).unwrap_or_else(|| panic!("no {heading:?}"));
    let lines = rest.lines().skip(1).skip_while(|line| line.is_empty());
    let block = lines.take_while(|line| line.starts_with("  "));
    block.map(|line| line.trim_start().to_owned() + "\n").collect()
}

/// Runs a program on what was printed and returns what it says.
#[track_caller]
fn paste(program: &str, flag: &str, lines: &str, folder: &Server) -> String {
    let mut command = Command::new(program);
    command.args([flag, lines]).current_dir(folder.data());
    let output = command.env_remove("TWILIO_REGION").env_remove("TWILIO_EDGE").output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{lines}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn banner(server: &Server) -> String {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let banner = server.banner();
        if banner.contains("Ctrl-C") {
            return banner;
        }
        assert!(Instant::now() < until, "it printed only {banner:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_banner_works_as_it_is_pasted() {
    let server = Server::start(&["--demo"]).await;
    let banner = banner(&server).await;
    for field in ["api_url", "account_sid", "auth_token", "sip_uri", "admin_url"] {
        assert!(banner.contains(server.ready(field)), "{field} is not told");
    }
    let listed = paste("sh", "-c", &below(&banner, "curl: "), &server);
    assert!(listed.contains("\"friendly_name\": \"demo\"") || listed.contains("\"demo\""));
    let muted = paste("sh", "-c", &below(&banner, "Mute the first one:"), &server);
    let muted: serde_json::Value = serde_json::from_str(&muted).unwrap();
    assert_eq!(muted["muted"], true);
    let heard = paste("sh", "-c", &below(&banner, "or without a phone:"), &server);
    assert!(heard.contains("dB"), "{heard}");
    assert!(server.data().join("out.wav").exists());
    let python: PathBuf = brought("SIDETONE_TEST_PYTHON");
    let rooms = paste(python.to_str().unwrap(), "-c", &below(&banner, "Python: "), &server);
    assert_eq!(rooms, "['demo']\n");
    brought("NODE_PATH");
    let rooms = paste("node", "-e", &below(&banner, "Node: "), &server);
    assert_eq!(rooms, "[ 'demo' ]\n");
    let address: SocketAddr = {
        let (_, rest) = banner.split_once("dial sip:demo@").unwrap();
        rest.split(',').next().unwrap().parse().unwrap()
    };
    let phone = Phone::call(address, "demo", sim::tone(440)).unwrap();
    assert!(phone.wait_up(Duration::from_secs(20)), "the demo does not answer");
}
