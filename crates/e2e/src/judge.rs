//! What judges every request and every answer of every test: Twilio's signature on what the server asks,
//! Twilio's description on what it answers, and a list of what was told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use api::compatibility::kind_of;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha1::Sha1;

use crate::origin::Asked;

/// Accounts and their tokens, and what was found wrong.
#[derive(Default)]
struct Court {
    tokens: BTreeMap<String, String>,
    faults: Vec<String>,
    told: BTreeSet<String>,
}

fn court() -> MutexGuard<'static, Court> {
    static COURT: OnceLock<Mutex<Court>> = OnceLock::new();
    COURT.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Learns an account's token from a body that has both.
pub(crate) fn learn(body: &Value, sid: &str, auth_token: &str) {
    if let (Some(sid), Some(token)) = (body[sid].as_str(), body[auth_token].as_str()) {
        court().tokens.insert(sid.to_owned(), token.to_owned());
    }
}

/// Judges a request that reached an origin; what is wrong is told when a server is dropped.
pub(crate) fn request(asked: &Asked) {
    // What a recogniser hears is the operator's own business, and signed for nobody.
    if asked.header("content-type") == Some("audio/wav") {
        return;
    }
    let names: Vec<&str> = asked.params.iter().map(|(name, _)| name.as_str()).collect();
    note(&names);
    let mut court = court();
    let signature = asked.header("x-twilio-signature").unwrap_or_default();
    let host = asked.header("host").unwrap_or_default();
    let query = if asked.query.is_empty() { String::new() } else { format!("?{}", asked.query) };
    let url = format!("http://{host}{}{query}", asked.path);
    let in_query = url::form_urlencoded::parse(asked.query.as_bytes()).count();
    let account = asked.param("AccountSid");
    // A sound is asked for without a word of the call that it is for.
    let may_sign = |sid: &str| account.is_empty() || sid == account;
    let tokens = court.tokens.iter().filter(|(sid, _)| may_sign(sid));
    let mut expected = tokens.map(|(_, token)| sign(token, &url, &asked.params[in_query..]));
    if !expected.any(|expected| expected == signature) {
        let fault = format!("{} {url} of {account:?} is not signed: {signature:?}", asked.method);
        court.faults.push(fault);
    }
}

/// Ends a test that has passed so far, if any request was wrong.
///
/// # Panics
/// If one was, naming them all.
pub(crate) fn adjourn() {
    if !std::thread::panicking() {
        let faults = std::mem::take(&mut court().faults);
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

/// Signs as Twilio documents: the address, then the fields in the order of their names.
fn sign(auth_token: &str, url: &str, params: &[(String, String)]) -> String {
    let sorted: BTreeSet<&(String, String)> = params.iter().collect();
    let mut mac = Hmac::<Sha1>::new_from_slice(auth_token.as_bytes()).unwrap();
    mac.update(url.as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Writes down which fields were told, beside what the servers write there: see `sidetone dev --used`.
fn note(names: &[&str]) {
    let (Some(file), Some(kind)) = (std::env::var_os("SIDETONE_USED"), kind_of(names)) else {
        return;
    };
    // What a customer's own address has in its query is written small in all tests.
    for name in names.iter().filter(|name| name.starts_with(|letter: char| letter.is_uppercase())) {
        let headers = ["SipHeader_", "DialSipHeader_"];
        let name = headers.into_iter().find(|start| name.starts_with(start)).unwrap_or(name);
        let line = format!("callback {} {name}\n", kind.name);
        if court().told.insert(line.clone()) {
            let mut file = OpenOptions::new().create(true).append(true).open(&file).unwrap();
            file.write_all(line.as_bytes()).unwrap();
        }
    }
}
