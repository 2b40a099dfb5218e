//! `sidetone rehearse`: customers' programs against virtual phones in virtual time.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use e2e::{binary, brought};

/// Scenarios of `examples/`, at least.
const EXAMPLES_MIN: usize = 10;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("examples")
}

/// Rehearses; the programs find Flask and Express as a customer's do.
fn rehearse(arguments: &[&str]) -> Output {
    let python = brought("SIDETONE_TEST_PYTHON");
    brought("NODE_PATH");
    let first = python.parent().unwrap().to_owned();
    let paths = std::env::var_os("PATH").unwrap();
    let paths = std::iter::once(first).chain(std::env::split_paths(&paths));
    let mut command = Command::new(binary());
    command.env("PATH", std::env::join_paths(paths).unwrap());
    command.arg("rehearse").args(arguments).output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// Writes a scenario around these lines and rehearses it with the program for PINs; returns what was printed, and
/// the exit code.
fn scenario(lines: &str, arguments: &[&str]) -> (String, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(examples().join("pin-line/app.py"), folder.path().join("app.py")).unwrap();
    let file = folder.path().join("scenario.toml");
    let head = "name = \"Test\"\nrun = [\"python\", \"app.py\"]\n\
        numbers = { \"+14155550100\" = \"/voice\" }\n\
        phones.alice = { number = \"+14155550001\" }\n";
    std::fs::write(&file, format!("{head}{lines}")).unwrap();
    let output = rehearse(&[&[file.to_str().unwrap()], arguments].concat());
    let said = text(&output.stdout) + &text(&output.stderr);
    (said, output.status.code())
}

#[test]
fn every_example_passes_and_says_what_it_proves() {
    let mut scenarios = Vec::new();
    for folder in std::fs::read_dir(examples()).unwrap() {
        let folder = folder.unwrap().path();
        let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
        assert!(readme.contains("proves that"), "{}", folder.display());
        for file in std::fs::read_dir(&folder).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|extension| extension == "toml") {
                scenarios.push(file.display().to_string());
            }
        }
    }
    assert!(scenarios.len() >= EXAMPLES_MIN, "{scenarios:?}");
    let arguments: Vec<&str> = scenarios.iter().map(String::as_str).collect();
    let output = rehearse(&arguments);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    assert_eq!(said.matches(": passed").count(), scenarios.len(), "{said}");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = examples().join("warm-transfer/scenario.toml");
    let run = |name: &str, seed: &str| {
        let wav = folder.path().join(name);
        let wav = format!("customer={}", wav.display());
        let arguments = ["--seed", seed, "--timeline", "--wav", &wav, scenario.to_str().unwrap()];
        let output = rehearse(&arguments);
        assert!(output.status.success(), "{}", text(&output.stdout));
        let said = text(&output.stdout);
        // What it took on the clock on the wall is another each time.
        let said: Vec<&str> =
            said.lines().filter(|line| !line.contains("were played in")).collect();
        (said.join("\n"), std::fs::read(folder.path().join(name)).unwrap())
    };
    let (once, again) = (run("once.wav", "7"), run("again.wav", "7"));
    assert_eq!(once.0, again.0);
    assert!(once.1 == again.1, "the sound differs");
    assert!(once.1.len() > 44 + 16_000 * 10 && once.1.starts_with(b"RIFF"));
}

/// A program that finds the API by a file, as it runs already when that is written.
const BESIDE: &str = r#"
import base64, json, sys, urllib.parse, urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

class Voice(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        ready = json.load(open(sys.argv[1]))
        sid, token = ready["account_sid"], ready["auth_token"]
        form = {"To": "+14155550002", "From": "+14155550100", "Twiml": "<Response><Pause length='9'/></Response>"}
        request = urllib.request.Request(
            f"{ready['api_url']}/2010-04-01/Accounts/{sid}/Calls.json",
            urllib.parse.urlencode(form).encode(),
            {"Authorization": "Basic " + base64.b64encode(f"{sid}:{token}".encode()).decode()},
        )
        assert urllib.request.urlopen(request).status == 201
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.end_headers()
        self.wfile.write(b"<Response><Pause length='9'/></Response>")

server = HTTPServer(("127.0.0.1", 0), Voice)
print(server.server_port, flush=True)
server.serve_forever()
"#;

#[test]
fn a_program_that_runs_already_finds_the_api_of_one_rehearsal_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready.json");
    let mut program = Command::new(brought("SIDETONE_TEST_PYTHON"))
        .args(["-c", BESIDE])
        .arg(&ready)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let app = format!("http://127.0.0.1:{}", line.trim());
    let scenario = folder.path().join("scenario.toml");
    let steps = "name = \"Beside\"\n\
        numbers = { \"+14155550100\" = \"/voice\" }\n\
        phones.alice = { number = \"+14155550001\" }\n\
        phones.bob = { number = \"+14155550002\" }\n\
        [[steps]]\nphone = \"alice\"\ncalls = \"+14155550100\"\n\
        [[steps]]\nat = \"3s\"\nphone = \"bob\"\nis = \"up\"\n\
        [[expect]]\ndialled = [\"+14155550002\"]\n";
    std::fs::write(&scenario, steps).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (scenario, ready) = (scenario.to_str().unwrap(), ready.to_str().unwrap());
    let http = free.to_string();
    let output =
        rehearse(&[scenario, scenario, "--app", &app, "--http", &http, "--ready-file", ready]);
    program.kill().unwrap();
    program.wait().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches(": passed").count(), 2, "{said}");
    let written = std::fs::read_to_string(ready).unwrap();
    assert!(written.contains(&format!("http://{free}")), "{written}");
    let (said, code) = self::scenario("", &["--http", "192.0.2.1:80"]);
    assert!(code == Some(2) && said.contains("is no address of this machine"), "{said}");
}

#[test]
fn what_fails_is_told_with_a_timeline_and_in_junit() {
    let folder = tempfile::tempdir().unwrap();
    let junit = folder.path().join("results.xml");
    let (said, code) = scenario(
        "[[steps]]\nphone = \"alice\"\ncalls = \"+14155550100\"\n\
         [[steps]]\nat = \"1s\"\nphone = \"alice\"\nhears = \"music\"\n",
        &["--junit", junit.to_str().unwrap()],
    );
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("FAILED  alice hears music from 1.0 s to 2.0 s"), "{said}");
    assert!(said.contains("0.000  alice calls +14155550100"), "{said}");
    assert!(said.contains("alice hears “Please enter your PIN.”"), "{said}");
    let xml = std::fs::read_to_string(junit).unwrap();
    assert!(xml.contains("tests=\"1\" failures=\"1\"") && xml.contains("<failure"), "{xml}");
}

/// A scenario with these lines is refused before anything is done, and this is said of it.
#[track_caller]
fn refused(lines: &str, expected: &str) {
    let (said, code) = scenario(lines, &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(expected), "{said} has no {expected}");
}

#[test]
fn a_scenario_with_a_fault_is_refused_with_its_place_and_a_suggestion() {
    refused("[[steps]]\nphone = \"alice\"\ncals = \"+1\"\n", "scenario.toml:7:1: unknown field");
    refused("[[steps]]\nphone = \"alice\"\ncals = \"+1\"\n", "did you mean `calls`?");
    refused("[[steps]]\nphone = \"alcie\"\nhangs-up = true\n", "did you mean `alice`?");
    refused(
        "[[steps]]\nat = \"3\"\nphone = \"alice\"\nhangs-up = true\n",
        ":6:6: \"3\" is no time",
    );
    refused("[[steps]]\nphone = \"alice\"\nhears = \"bob\"\n", "is no phone");
    refused("[[steps]]\nphone = \"alice\"\n", "one thing, this one 0");
    refused("[[expect]]\ncallbck = \"/events\"\n", "did you mean `callback`?");
    refused("lasts = \"2s\n", ":5:");
}

#[test]
fn a_scenario_asks_the_api_and_phones_are_busy_and_drop() {
    let (said, code) = scenario(
        r#"
        phones.bob = { number = "bob", when-called = "is-busy" }
        phones.carol = { number = "+14155550003", says = "It is me, Carol." }
        steps = [
            { at = "0s", phone = "alice", calls = "+14155550100" },
            { at = "1s", request = "GET /Calls/{alice}.json", status = 200 },
            { at = "1s", request = "POST /Calls.json", form = { To = "client:bob", From = "+14155550100", Twiml = "<Response/>" } },
            { at = "2s", request = "POST /Calls.json", form = { To = "+14155550003", From = "+14155550100", SendDigits = "42", Twiml = "<Response><Dial><Conference beep='false'>room</Conference></Dial></Response>" } },
            { at = "4s", request = "POST /Calls/{alice}.json", form = { Twiml = "<Response><Dial><Conference beep='false'>room</Conference></Dial></Response>" } },
            { at = "6s", for = "3s", phone = "alice", hears = "carol" },
            { at = "7s", for = "2s", phone = "carol", hears = "alice" },
            { at = "10s", phone = "carol", drops = true },
            { at = "11s", for = "2s", phone = "alice", hears-not = "carol" },
            { at = "14s", phone = "alice", is = "up" },
            { at = "14s", request = "POST /Calls/{alice}.json", form = { Status = "completed" } },
            { at = "15s", phone = "alice", is = "idle" },
            { at = "15s", request = "POST /Conferences/{room:room}/Participants/{alice}.json", form = { Muted = "true" }, status = 404 },
        ]
        expect = [
            { dialled = ["client:bob", "+14155550003"] },
            { redirected = "alice" },
            { phone = "carol", keys = "42" },
        ]
        "#,
        &["--timeline"],
    );
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("carol loses its power"), "{said}");
}

#[test]
fn what_does_not_come_about_in_time_fails_and_the_rest_goes_on() {
    let (said, code) = scenario(
        r#"
        steps = [
            { wait-for = { message-to = "+14155550009" }, within = "300ms" },
            { after = "1s", phone = "alice", calls = "+14155550100" },
            { after = "1s", phone = "alice", is = "up" },
        ]
        "#,
        &[],
    );
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("FAILED  the scenario waits for a message to +14155550009"), "{said}");
    assert!(said.contains("ok      alice is up"), "{said}");
}
