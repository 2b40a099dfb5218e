//! What a developer types: `tail`, `doctor`, `webhook`, `trigger`, `completion`, and what is mistyped.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use e2e::{Origin, Running, Server, binary, typed, until, valid_signatures};
use serde_json::Value;

const NUMBER: &str = "+15551234567";

/// Lets a conference of two virtual phones come about and end, every event told to `told`.
async fn conference(server: &Server, told: &str) {
    let events = "start end join leave mute hold";
    let mut sid = String::new();
    for (number, label) in [(NUMBER, "bob"), ("+15557654321", "carol")] {
        let form = [
            ("To", number),
            ("From", "+15550199"),
            ("Label", label),
            ("ConferenceStatusCallback", told),
            ("ConferenceStatusCallbackEvent", events),
            ("StatusCallback", told),
            ("StatusCallbackEvent", "initiated ringing answered completed"),
        ];
        let added = server.post("/Conferences/team/Participants.json", &form).await;
        assert_eq!(added.status, 201, "{added:?}");
        sid = added.text("conference_sid");
        let path = format!("/Conferences/{sid}/Participants/{label}.json");
        until(label, async || server.get(&path).await.text("status") == "connected").await;
    }
    let path = format!("/Conferences/{sid}/Participants/bob.json");
    for form in [("Muted", "true"), ("Muted", "false"), ("Hold", "true"), ("Hold", "false")] {
        assert_eq!(server.post(&path, &[form]).await.status, 200);
    }
    for path in [path, format!("/Conferences/{sid}/Participants/carol.json")] {
        assert_eq!(server.delete(&path).await.status, 204);
    }
}

fn rows(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_shows_calls_conferences_callbacks_messages_and_the_debugger_as_they_happen() {
    let origin = Origin::start().await;
    let server = Server::start(&[]).await;
    let tail = Running::start(&server, &["tail", "-o", "json"]);
    let mut seen = Vec::new();
    // Whoever follows hears of what comes next: messages go out until one is seen.
    until("a message", async || {
        let form = [("To", NUMBER), ("From", "+15550199"), ("Body", "Hello")];
        assert_eq!(server.post("/Messages.json", &form).await.status, 201);
        seen.extend(rows(&tail.lines()));
        seen.iter().any(|row| row["type"] == "message" && row["resource"]["body"] == "Hello")
    })
    .await;
    conference(&server, &origin.url("/nowhere")).await;
    until("all of them", async || {
        seen.extend(rows(&tail.lines()));
        let is = |kind: &str, field: &str, value: &str| {
            seen.iter().any(|row| row["type"] == kind && row["resource"][field] == value)
        };
        is("call", "status", "ringing")
            && is("call", "status", "completed")
            && is("moment", "event", "participant-mute")
            && is("moment", "event", "conference-end")
            && is("callback", "status", "failed")
            && is("notification", "error_code", "16011")
    })
    .await;
    let places: Vec<u64> = seen.iter().map(|row| row["sequence"].as_u64().unwrap()).collect();
    assert!(places.is_sorted_by(|one, next| one < next), "{places:?}");
    // The same later, for people, and some of it alone.
    let line = ["tail", "--recent", "--for", "1s", "--only", "moment,message"];
    let shown = typed(&server, &line);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.out.contains("participant-join"), "{}", shown.out);
    assert!(shown.out.contains("\"Hello\""), "{}", shown.out);
    assert!(!shown.out.contains("callback"), "{}", shown.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_gets_each_event_once_and_none_of_another_account() {
    let server = Server::start(&[]).await;
    let main = e2e::Login {
        user: server.ready("account_sid").to_owned(),
        secret: server.ready("auth_token").to_owned(),
    };
    let sub = server.ask_as(&main, "POST", "/2010-04-01/Accounts.json", &[]).await;
    let page = server.get_from_root("/sidetone/v1/Events").await.body;
    assert_eq!(page["events"], serde_json::json!([]));
    let form = [("To", NUMBER), ("From", "+15550199"), ("Body", "One")];
    server.post("/Messages.json", &form).await;
    let login = e2e::Login { user: sub.text("sid"), secret: sub.text("auth_token") };
    let path = format!("/2010-04-01/Accounts/{}/Messages.json", login.user);
    assert_eq!(server.ask_as(&login, "POST", &path, &form).await.status, 201);
    let next = page["next_page_uri"].as_str().unwrap();
    let page = server.get_from_root(&format!("{next}&Wait=5")).await.body;
    assert_eq!(page["events"].as_array().map(Vec::len), Some(1), "{page}");
    let next = page["next_page_uri"].as_str().unwrap();
    assert_eq!(server.get_from_root(next).await.body["events"], serde_json::json!([]));
    let theirs = server.ask_as(&login, "GET", "/sidetone/v1/Events?After=0", &[]).await.body;
    assert_eq!(theirs["events"].as_array().map(Vec::len), Some(1), "{theirs}");
    for query in ["Wait=31", "After=x", "PageSize=0"] {
        let refused = server.get_from_root(&format!("/sidetone/v1/Events?{query}")).await;
        assert_eq!(refused.status, 400, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_what_is_in_the_way_and_how_to_mend_it() {
    let origin = Origin::start().await;
    let mut server = Server::start(&[]).await;
    let url = origin.url("/voice");
    let well = typed(&server, &["doctor", "--url", &url, "-o", "json"]);
    let found = well.json();
    let of = |found: &Value, check: &str| {
        let rows = found.as_array().unwrap().iter();
        rows.filter(|row| row["check"] == check).cloned().collect::<Vec<_>>()
    };
    for check in
        ["clock", "server", "credentials", "sip", "advertised", "files", "disk", "rtp", "address"]
    {
        let rows = of(&found, check);
        assert!(!rows.is_empty(), "nothing of {check}: {found}");
        assert!(rows.iter().all(|row| row["status"] != "failed"), "{rows:?}");
    }
    let guarded = typed(&server, &["doctor", "--url", "http://10.0.0.1/voice"]);
    assert_eq!((guarded.code, guarded.error.as_str()), (1, "sidetone: 1 check failed\n"));
    assert!(guarded.out.contains("failed   address      10.0.0.1 is behind the address guard; "));
    server.kill();
    let down = typed(&server, &["doctor", "-o", "json"]);
    assert_eq!(down.code, 1);
    let found: Value = serde_json::from_str(&down.out).unwrap();
    assert_eq!(of(&found, "server")[0]["status"], "failed");
    assert_eq!(of(&found, "server")[0]["fix"], "start it with: sidetone dev");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_has_the_fields_of_the_real_one_and_is_signed() {
    let origin = Origin::start().await;
    let server = Server::start(&[]).await;
    conference(&server, &origin.url("/callback/real")).await;
    let is_end = |asked: &e2e::Asked| asked.param("StatusCallbackEvent") == "conference-end";
    assert!(origin.wait_for("/callback/real", is_end).await.is_some());
    let is_over = |asked: &e2e::Asked| asked.param("CallStatus") == "completed";
    assert!(origin.wait_for("/callback/real", is_over).await.is_some());
    let names = |asked: &e2e::Asked| {
        let names: Vec<String> = asked.params.iter().map(|(name, _)| name.clone()).collect();
        names
    };
    let mut real: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for asked in origin.asked("/callback/real") {
        let event = match (asked.param("StatusCallbackEvent"), asked.param("CallStatus")) {
            ("", "queued") => "call-initiated".to_owned(),
            ("", "in-progress") => "call-answered".to_owned(),
            ("", status) => format!("call-{status}"),
            (event, _) => event.to_owned(),
        };
        real.entry(event).or_default().push(names(&asked));
    }
    assert!(real.len() >= 12, "{real:?}");
    let url = origin.url("/callback/sample?a=b");
    for (event, shapes) in &real {
        let sent = typed(&server, &["trigger", event, "--to", &url, "-o", "json"]).json();
        assert_eq!(sent["status"], 204, "{sent}");
        let sample = origin.asked("/callback/sample").pop().unwrap();
        let sample: Vec<String> = names(&sample)[1..].to_vec();
        assert!(shapes.contains(&sample), "{event}: {sample:?} is none of {shapes:?}");
    }
    let signed = origin.signed(|asked| asked.path == "/callback/sample");
    let judged = valid_signatures(server.ready("auth_token"), &signed);
    assert_eq!(judged, format!("{} signatures", real.len()));
    let shown =
        typed(&server, &["trigger", "participant-join", "--set", "Muted=true", "-o", "json"]);
    assert_eq!(shown.json()["Muted"], "true");
    let listed = typed(&server, &["trigger"]).out;
    assert!(listed.contains("recording-completed") && listed.contains("voice"), "{listed}");
    let wrong = typed(&server, &["trigger", "participant-joined", "--to", &url]);
    assert!(wrong.code == 1 && wrong.error.contains("participant-join, "), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_shows_what_comes_and_hands_it_on_signed_for_the_application() {
    let origin = Origin::start().await;
    origin.serves_twiml("/app/voice", "<Reject/>");
    let server = Server::start(&[]).await;
    let app = origin.url("/app");
    let words =
        ["webhook", "listen", "--listen", "127.0.0.1:0", "--forward-to", &app, "-o", "json"];
    let listener = Running::start(&server, &words);
    let first: Value = serde_json::from_str(&listener.line()).unwrap();
    let base = first["url"].as_str().unwrap();
    let voice = format!("{base}/voice?x=1");
    let sent = typed(&server, &["trigger", "voice", "--to", &voice, "-o", "json"]).json();
    assert_eq!(sent["body"], "<Response><Reject/></Response>", "the application's own answer");
    let came: Value = serde_json::from_str(&listener.line()).unwrap();
    assert_eq!(came["signature_valid"], true, "{came}");
    assert_eq!((&came["status"], &came["params"]["x"]), (&Value::from(200), &Value::from("1")));
    assert_eq!(came["params"]["CallStatus"], "ringing");
    let signed = origin.signed(|asked| asked.path == "/app/voice");
    assert_eq!(valid_signatures(server.ready("auth_token"), &signed), "1 signatures");
    // What is not signed by the server is told of; the application judges for itself.
    reqwest::Client::new().get(format!("{base}/voice")).send().await.unwrap();
    let came: Value = serde_json::from_str(&listener.line()).unwrap();
    assert_eq!(came["signature_valid"], false, "{came}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_is_shown_with_its_fields() {
    let origin = Origin::start().await;
    let server = Server::start(&[]).await;
    conference(&server, &origin.url("/callback/x")).await;
    let listed = typed(&server, &["webhook", "ls", "-o", "json"]).json();
    let sid = listed[0]["sid"].as_str().unwrap();
    let shown = typed(&server, &["webhook", "show", sid]).out;
    assert!(shown.contains(sid) && shown.contains("AccountSid"), "{shown}");
    let shown = typed(&server, &["webhook", "show", sid, "-o", "json"]).json();
    assert_eq!(shown["sid"], sid);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_mistyped_is_answered_by_one_line_with_the_fix() {
    let server = Server::start(&[]).await;
    for (words, expected) in [
        (&["cal"][..], "unrecognized subcommand 'cal'; "),
        (&["call", "--too", "x"], "'--to'"),
        (&["call"], "were not provided: --to <TO>; see: sidetone call --help"),
        (&["call", "--to", "x", "--press", "12x"], "\"12x\" are no keys"),
        (&["tail", "--only", "calls"], "possible values: call, "),
        (&["part", "mute", "team"], "<PARTICIPANT>"),
        (&["trigger", "x", "--to", "ftp://x"], "is no address such as https://"),
    ] {
        let told = typed(&server, words);
        assert_eq!(told.code, 2, "{told:?}");
        assert!(told.error.starts_with("sidetone: ") && told.error.contains(expected), "{told:?}");
        assert_eq!((told.error.lines().count(), told.out.as_str()), (1, ""), "{told:?}");
    }
}

#[test]
fn a_shell_learns_every_command() {
    for (shell, word) in [("bash", "complete"), ("zsh", "#compdef"), ("fish", "complete -c")] {
        let output = std::process::Command::new(binary()).args(["completion", shell]).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        assert!(text.contains(word), "{shell}");
        for command in ["conf", "part", "tail", "doctor", "trigger", "webhook", "phone"] {
            assert!(text.contains(command), "{shell} does not know {command}");
        }
    }
}
