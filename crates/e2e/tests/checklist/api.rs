//! Rows of the API itself.

use std::path::Path;
use std::process::Command;

use e2e::{Login, brought, valid_signatures, valid_signatures_by_node};
use serde_json::json;

use crate::room::Room;

#[tokio::test(flavor = "multi_thread")]
async fn row_17_official_clients_turn_pages_of_one_and_filters_are_echoed() {
    let room = Room::open(3, "").await;
    let path = format!("/Conferences/{}/Participants.json", room.conference);
    let page = room.server.get(&format!("{path}?Muted=false&Coaching=false&PageSize=1")).await;
    for name in ["uri", "first_page_uri", "next_page_uri"] {
        let uri = page.text(name);
        assert!(uri.contains("?Muted=false&Coaching=false&PageSize=1&Page="), "{name}: {uri}");
    }
    let python = brought("SIDETONE_TEST_PYTHON");
    brought("NODE_PATH");
    for (interpreter, program) in [(python.as_path(), "pages.py"), (Path::new("node"), "pages.js")]
    {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk").join(program);
        let mut command = Command::new(interpreter);
        command
            .arg(file)
            .env("WALK_SID", room.server.ready("account_sid"))
            .env("WALK_TOKEN", room.server.ready("auth_token"))
            .env("WALK_API", room.server.ready("api_url"))
            .env("WALK_CONFERENCE", &room.conference);
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let newest_first: Vec<&str> = room.calls.iter().rev().map(String::as_str).collect();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(printed, newest_first.join(" "), "{program}: {errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_18_a_day_is_a_filter_and_a_moment_is_none() {
    let room = Room::open(1, "").await;
    let created = room.server.get(&format!("/Conferences/{}.json", room.conference)).await;
    let words = created.text("date_created");
    let words: Vec<&str> = words.split(' ').collect();
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = months.find(words[2]).unwrap() / 3 + 1;
    let day = format!("{}-{month:02}-{}", words[3], words[1]);
    for (filter, count) in [
        ("2021-01-01".to_owned(), 1),
        // The day itself belongs to it.
        (day, 1),
        ("2999-01-01".to_owned(), 0),
    ] {
        let path = format!("/Conferences.json?DateCreated%3E={filter}");
        let found = room.server.get(&path).await;
        assert_eq!(found.body["conferences"].as_array().unwrap().len(), count, "{filter}");
    }
    let path = "/Conferences.json?DateCreated%3E=2021-01-01T00%3A00%3A00Z";
    let refused = room.server.get(path).await;
    assert_eq!((refused.status, &refused.body["code"]), (400, &20001.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_20_the_end_of_a_conference_is_signed_as_official_validators_want_it() {
    let room = Room::open(2, "").await;
    room.phones.iter().for_each(sim::Phone::hang_up);
    let told = room.told("conference-end").await;
    assert_eq!(told.param("ReasonConferenceEnded"), "last-participant-left");
    assert!(!told.param("Reason").is_empty());
    let ends = room.origin.signed(|asked| asked.param("StatusCallbackEvent") == "conference-end");
    let token = room.server.ready("auth_token");
    assert_eq!(ends.len(), 1);
    assert_eq!(valid_signatures(token, &ends), "1 signatures");
    assert_eq!(valid_signatures_by_node(token, &ends), "1 signatures");
    let forged =
        json!([{ "url": ends[0]["url"], "params": [], "signature": ends[0]["signature"] }]);
    let forged = forged.as_array().unwrap();
    assert_ne!(valid_signatures(token, forged), "1 signatures");
    assert_ne!(valid_signatures_by_node(token, forged), "1 signatures");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_25_errors_have_twilio_s_shape_to_the_letter() {
    let room = Room::open(1, "").await;
    let account = room.server.ready("account_sid").to_owned();
    let path = format!(
        "/2010-04-01/Accounts/{account}/Conferences/{}/Participants/CA{}.json",
        room.conference,
        "0".repeat(32)
    );
    let answer = room.server.request("GET", &path).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/json"));
    let expected = format!(
        "{{\"code\":20404,\"message\":\"The requested resource {path} was not found\",\
         \"more_info\":\"https://www.twilio.com/docs/errors/20404\",\"status\":404}}"
    );
    assert_eq!(answer.text().await.unwrap(), expected);
    let login = Login { user: account, secret: "wrong".to_owned() };
    let refused = room.server.ask_as(&login, "GET", &path, &[]).await;
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.body,
        json!({
            "code": 20003, "message": "Authenticate", "status": 401, "detail": "",
            "more_info": "https://www.twilio.com/docs/errors/20003",
        })
    );
}
