//! What an operator of `sidetone serve` does beside it: certificates, copies, and the files of the package.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use e2e::{Server, binary, until};
use rcgen::{CertifiedKey, generate_simple_self_signed};

fn sidetone(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Makes a certificate for `localhost`, writes it and its key, and returns a client that trusts it alone.
fn certificate(folder: &Path) -> reqwest::Client {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), signing_key.serialize_pem()).unwrap();
    let root = reqwest::Certificate::from_pem(cert.pem().as_bytes()).unwrap();
    reqwest::Client::builder().tls_certs_only([root]).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_speaks_tls_and_takes_a_new_certificate_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let first = certificate(files.path());
    let path = |name: &str| files.path().join(name).display().to_string();
    let settings = format!(
        "[tls]\ncertificate_file = {:?}\nkey_file = {:?}\n",
        path("cert.pem"),
        path("key.pem")
    );
    let server = Server::serve_in(folder.path(), &settings).await;
    assert!(
        server.ready("api_url").starts_with("https://127.0.0.1:"),
        "{}",
        server.ready("api_url")
    );
    let base = server.ready("api_url").replace("127.0.0.1", "localhost");
    let url = format!("{base}/2010-04-01/Accounts/{}.json", server.ready("account_sid"));
    let ask = async |client: &reqwest::Client| {
        let login = (server.ready("account_sid"), Some(server.ready("auth_token")));
        client
            .get(&url)
            .basic_auth(login.0, login.1)
            .send()
            .await
            .map(|answer| answer.status().as_u16())
    };
    assert_eq!(ask(&first).await.unwrap(), 200);
    let plain = reqwest::Client::new().get(url.replace("https", "http")).send().await;
    assert!(plain.is_err(), "nothing is answered in the clear");
    let second = certificate(files.path());
    server.signal("HUP");
    until("it shows the new one", async || ask(&second).await.is_ok_and(|status| status == 200))
        .await;
    assert!(certificate_is_refused(&ask(&certificate(tempfile::tempdir().unwrap().path())).await));
    std::fs::write(files.path().join("cert.pem"), "no certificate").unwrap();
    server.signal("HUP");
    until("it says so", async || server.log().contains("cert.pem")).await;
    assert_eq!(ask(&second).await.unwrap(), 200, "the one of before is shown");
}

fn certificate_is_refused(answer: &Result<u16, reqwest::Error>) -> bool {
    answer.as_ref().is_err_and(reqwest::Error::is_connect)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_running_server_is_taken_up_by_another() {
    let server = Server::start(&[]).await;
    for name in ["one", "two"] {
        let made = server.post("/Queues.json", &[("FriendlyName", name)]).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    let recordings = server.data().join("recordings");
    std::fs::create_dir_all(&recordings).unwrap();
    std::fs::write(recordings.join("RE1.wav"), "sound").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let data = server.data().display().to_string();
    let (copy, new) = (path("copy"), path("new"));
    let backup = ["backup", copy.as_str(), "--data", data.as_str()];
    let output = sidetone(&backup);
    assert!(output.status.success(), "{}", said(&output));
    let again = sidetone(&backup);
    assert!(!again.status.success() && said(&again).contains("not empty"), "{}", said(&again));
    let onto = sidetone(&["restore", &copy, "--data", &data]);
    assert!(!onto.status.success() && said(&onto).contains("not empty"), "{}", said(&onto));
    let nothing = sidetone(&["restore", &path("nowhere"), "--data", &path("other")]);
    assert!(!nothing.status.success() && !folder.path().join("other").exists());
    let output = sidetone(&["restore", &copy, "--data", &new]);
    assert!(output.status.success(), "{}", said(&output));
    let other = Server::start_in(Path::new(&new), &[]).await;
    assert_eq!(other.ready("auth_token"), server.ready("auth_token"), "the same account");
    let queues = other.get("/Queues.json").await;
    assert_eq!(queues.body["queues"].as_array().map(Vec::len), Some(2), "{queues:?}");
    let sound = Path::new(&new).join("recordings/RE1.wav");
    assert_eq!(std::fs::read_to_string(sound).unwrap(), "sound");
    std::fs::write(folder.path().join("copy/sidetone.db"), "damaged").unwrap();
    let damaged = sidetone(&["restore", &copy, "--data", &path("third")]);
    assert!(
        !damaged.status.success() && said(&damaged).contains("sidetone.db"),
        "{}",
        said(&damaged)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_do_not_run_on_one_folder() {
    let server = Server::start(&[]).await;
    let data = server.data().display().to_string();
    let free = ["--http", "127.0.0.1:0", "--sip", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let output = sidetone(&[&["dev", "--data", data.as_str()][..], &free].concat());
    assert!(!output.status.success(), "it started");
    assert!(
        said(&output).contains("a server runs on") && said(&output).contains("--data"),
        "{}",
        said(&output)
    );
    assert_eq!(server.get("/Calls.json").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_and_recordings_go_when_they_are_old_or_too_many() {
    let keeps = "[guard]\nloopback = true\n[retention]\nevery = \"1s\"\n";
    let server = Server::serve(keeps).await;
    let phone = sim::Phone::listen("127.0.0.1".parse().unwrap(), sim::tone(440)).unwrap();
    let twiml = "<Response><Pause length='600'/></Response>";
    let form = [("To", phone.uri.as_str()), ("From", "desk"), ("Twiml", twiml), ("Record", "true")];
    let call = server.post("/Calls.json", &form).await;
    assert_eq!(call.status, 201, "{call:?}");
    let recordings = async |status: &str| {
        let list = server.get("/Recordings.json").await;
        let list = list.body["recordings"].as_array().unwrap().clone();
        list.iter().filter(|one| one["status"] == status).count()
    };
    until("it is recorded", async || recordings("in-progress").await == 1).await;
    let folder = server.data().join("recordings");
    let files = || std::fs::read_dir(&folder).unwrap().flatten();
    let octets = || files().map(|file| file.metadata().map_or(0, |file| file.len())).sum::<u64>();
    // What is too short is no recording.
    until("three seconds are recorded", async || octets() > 3 * 16_000).await;
    let path = format!("/Calls/{}.json", call.text("sid"));
    assert_eq!(server.post(&path, &[("Status", "completed")]).await.status, 200);
    until("the recording is whole", async || recordings("completed").await == 1).await;
    assert!(files().count() > 0);
    std::fs::write(server.settings(), format!("{keeps}recordings_size = \"0MiB\"\n")).unwrap();
    server.signal("HUP");
    until("the recording is gone", async || recordings("completed").await == 0).await;
    until("its file is gone", async || files().count() == 0).await;
    assert_eq!(server.get(&path).await.status, 200, "records are kept");
    std::fs::write(server.settings(), format!("{keeps}rows = \"1s\"\n")).unwrap();
    server.signal("HUP");
    until("the record is gone", async || server.get(&path).await.status == 404).await;
}

fn packaged(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    std::fs::read_to_string(root.join("packaging").join(name)).unwrap()
}

#[test]
fn the_unit_runs_what_there_is_as_nobody_and_waits_for_calls() {
    let unit = packaged("sidetone.service");
    let values = |key: &str| -> Vec<&str> {
        unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
    };
    for line in values("ExecStart").iter().chain(&values("ExecStartPre")) {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[0], "/usr/bin/sidetone");
        let help = sidetone(&[&words[1..2], &["--help"]].concat());
        assert!(help.status.success(), "{line}: there is no such command");
    }
    assert_eq!(values("User"), ["sidetone"]);
    assert_eq!(values("TimeoutStopSec"), ["6min"], "longer than drain_limit, which is 5m");
    assert_eq!(values("CapabilityBoundingSet"), [""]);
    for hardened in
        ["NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "MemoryDenyWriteExecute"]
    {
        assert_eq!(values(hardened), ["yes"], "{hardened}");
    }
    assert_eq!(values("ProtectSystem"), ["strict"]);
    assert!(values("ExecReload")[0].contains("-HUP"));
    // Where systemd's own judge is, it has the last word.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let judged = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=20"])
        .arg(root.join("packaging/sidetone.service"))
        .output();
    match judged {
        Ok(output) => assert!(output.status.success(), "{}", said(&output)),
        Err(_) => println!("systemd-analyze is not here: the unit's exposure was not judged"),
    }
}

#[test]
fn the_image_has_one_program_and_no_root() {
    let file = packaged("Containerfile");
    let lines: Vec<&str> = file.lines().filter(|line| !line.starts_with('#')).collect();
    let last = |word: &str| lines.iter().rev().find_map(|line| line.strip_prefix(word)).unwrap();
    assert_eq!(last("USER "), "10001");
    let run: Vec<String> = serde_json::from_str::<Vec<String>>(last("CMD ")).unwrap();
    assert_eq!(run, ["serve", "--config", "/etc/sidetone/sidetone.toml"]);
    assert_eq!(last("ENTRYPOINT "), "[\"/usr/bin/sidetone\"]");
    assert_eq!(lines.iter().filter(|line| line.starts_with("FROM ")).count(), 2);
    let toolchain = include_str!("../../../rust-toolchain.toml");
    let version = lines[1].split("rust:").nth(1).and_then(|rest| rest.split('-').next()).unwrap();
    assert!(toolchain.contains(version), "{version} is not what the project is built with");
}
