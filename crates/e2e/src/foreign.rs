//! Programs of others that tests play against.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use md5::Md5;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Returns the name of a program that is installed, to start it by.
///
/// # Panics
/// Where it is not: a check that cannot run fails and says why.
#[track_caller]
pub fn foreign(program: &str) -> &str {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&paths).any(|folder| folder.join(program).is_file());
    assert!(is_there, "{program} is not there: `cargo xtask test --install` installs it");
    program
}

/// Returns where a variable points to that `cargo xtask test` sets.
///
/// # Panics
/// Where nothing is installed: a check that cannot run fails and says why.
#[track_caller]
pub fn brought(variable: &str) -> PathBuf {
    let value = std::env::var_os(variable);
    let path = value.map(PathBuf::from).filter(|path| path.exists());
    path.unwrap_or_else(|| {
        panic!("{variable} names no installed SDK: `cargo xtask test` installs both and sets it")
    })
}

/// Runs SIPp with a scenario of `sipp/` and returns whether every step of it came about.
///
/// It writes what was sent and received to `folder`, as `messages` and `errors`; what it is to send by
/// `rtp_stream` lies there.
pub fn sipp(scenario: &str, arguments: &[String], folder: &Path) -> bool {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("sipp").join(format!("{scenario}.xml"));
    let run = Command::new(foreign("sipp"))
        .arg("-sf")
        .arg(file)
        .args(["-m", "1", "-nostdin", "-deadcall_wait", "0", "-timeout", "90s", "-timeout_error"])
        .args(["-recv_timeout", "15s", "-trace_msg", "-trace_err", "-message_file"])
        .arg(folder.join("messages"))
        .arg("-error_file")
        .arg(folder.join("errors"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    run.unwrap().success()
}

/// Proves who one is, once, as SIPp cannot where it is offered more than MD5: returns what follows
/// `Digest` in an `Authorization`. Source: RFC 7616 section 3.4.
pub fn digest(
    algorithm: &str,
    (user, password): (&str, &str),
    (method, uri): (&str, &str),
    nonce: &str,
) -> String {
    const REALM: &str = "sidetone";
    let hash = |text: String| match algorithm {
        "SHA-256" => hex(&Sha256::digest(text)),
        _ => hex(&Md5::digest(text)),
    };
    let secret = hash(format!("{user}:{REALM}:{password}"));
    let asked = hash(format!("{method}:{uri}"));
    let response = hash(format!("{secret}:{nonce}:00000001:c0ffee:auth:{asked}"));
    format!(
        "username=\"{user}\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"{uri}\", qop=auth, \
         nc=00000001, cnonce=\"c0ffee\", algorithm={algorithm}, response=\"{response}\""
    )
}

/// Has Twilio's own validator for Python judge requests under a token; returns what it says of them.
///
/// # Panics
/// As [`brought`] of `SIDETONE_TEST_PYTHON`.
pub fn valid_signatures(auth_token: &str, requests: &[Value]) -> String {
    judged(&brought("SIDETONE_TEST_PYTHON"), "walk.py", auth_token, requests)
}

/// The same by the one for Node.
///
/// # Panics
/// As [`brought`] of `NODE_PATH`.
pub fn valid_signatures_by_node(auth_token: &str, requests: &[Value]) -> String {
    brought("NODE_PATH");
    judged(Path::new("node"), "walk.js", auth_token, requests)
}

fn judged(interpreter: &Path, program: &str, auth_token: &str, requests: &[Value]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("callbacks.json");
    std::fs::write(&file, Value::from(requests.to_vec()).to_string()).unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk").join(program);
    let mut command = Command::new(interpreter);
    command.arg(program).arg("signatures").arg(file);
    for name in ["SID", "API", "ORIGIN", "ALICE", "BOB", "CAROL"] {
        command.env(format!("WALK_{name}"), "unused");
    }
    let output = command.env("WALK_TOKEN", auth_token).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() { printed } else { String::from_utf8_lossy(&output.stderr).into() }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}
