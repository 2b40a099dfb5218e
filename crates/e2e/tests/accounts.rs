//! Sub-accounts: who may act for whom, and that nothing of one is seen by another.

#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::time::Duration;

use e2e::{Answer, Login, Origin, Server, until};
use serde_json::Value;
use sim::{Phone, State, tone};

const ACCOUNTS: &str = "/2010-04-01/Accounts.json";
/// Everything of an account that can be listed.
const LISTS: [&str; 16] = [
    "Applications",
    "AvailablePhoneNumbers",
    "Balance",
    "Calls",
    "Conferences",
    "IncomingPhoneNumbers",
    "Keys",
    "Messages",
    "Notifications",
    "OutgoingCallerIds",
    "Recordings",
    "SIP/CredentialLists",
    "SIP/Domains",
    "SIP/IpAccessControlLists",
    "SigningKeys",
    "Usage/Records",
];

fn below(account: &str, path: &str) -> String {
    format!("/2010-04-01/Accounts/{account}{path}")
}

fn main_of(server: &Server) -> Login {
    Login {
        user: server.ready("account_sid").to_owned(),
        secret: server.ready("auth_token").to_owned(),
    }
}

async fn made(server: &Server, name: &str) -> Login {
    let made = server.ask_as(&main_of(server), "POST", ACCOUNTS, &[("FriendlyName", name)]).await;
    assert_eq!(made.status, 201, "{made:?}");
    Login { user: made.text("sid"), secret: made.text("auth_token") }
}

fn told(answer: &Answer) -> (u16, u64) {
    (answer.status, answer.body["code"].as_u64().unwrap_or_default())
}

fn names(answer: &Answer) -> Vec<&str> {
    let accounts = answer.body["accounts"].as_array().unwrap();
    accounts.iter().map(|account| account["friendly_name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_made_listed_renamed_and_turned_page_by_page() {
    let server = Server::start(&[]).await;
    let main = main_of(&server);
    let get =
        async |query: &str| server.ask_as(&main, "GET", &format!("{ACCOUNTS}{query}"), &[]).await;
    let sub = made(&server, "one").await;
    made(&server, "two").await;
    assert_eq!(names(&get("").await), ["two", "one", "Sidetone"]);
    assert_eq!(names(&get("?FriendlyName=one").await), ["one"]);
    assert_eq!(names(&get("?Status=suspended").await), Vec::<&str>::new());
    let first = get("?PageSize=2").await;
    let next = first.text("next_page_uri");
    let second = server.ask_as(&main, "GET", &next, &[]).await;
    assert_eq!((names(&first), names(&second)), (vec!["two", "one"], vec!["Sidetone"]));
    let path = below(&sub.user, ".json");
    let renamed = server.ask_as(&sub, "POST", &path, &[("FriendlyName", "uno")]).await;
    assert_eq!(renamed.status, 200, "{renamed:?}");
    let fetched = server.ask_as(&main, "GET", &path, &[]).await;
    assert_eq!(fetched.body, renamed.body);
    assert_eq!(fetched.body["owner_account_sid"], main.user.as_str());
    let nameless = server.ask_as(&main, "POST", ACCOUNTS, &[]).await;
    assert!(nameless.text("friendly_name").starts_with("SubAccount Created at "), "{nameless:?}");
    assert_eq!(names(&server.ask_as(&sub, "GET", ACCOUNTS, &[]).await), ["uno"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_crossing_of_credentials_and_accounts_is_answered_as_it_should_be() {
    let server = Server::start(&[]).await;
    let main = main_of(&server);
    let (one, two) = (made(&server, "one").await, made(&server, "two").await);
    let key = server.ask_as(&one, "POST", &below(&one.user, "/Keys.json"), &[]).await;
    let key = Login { user: key.text("sid"), secret: key.text("secret") };
    let wrong = Login { user: one.user.clone(), secret: two.secret.clone() };
    let mut faults = Vec::new();
    for (login, account, expected) in [
        (&main, &main, (200, 0)),
        (&main, &one, (200, 0)),
        (&one, &one, (200, 0)),
        (&key, &one, (200, 0)),
        (&one, &main, (404, 20404)),
        (&one, &two, (404, 20404)),
        (&key, &main, (404, 20404)),
        (&key, &two, (404, 20404)),
        (&wrong, &one, (401, 20003)),
    ] {
        for list in LISTS {
            let path = below(&account.user, &format!("/{list}.json"));
            let answer = server.ask_as(login, "GET", &path, &[]).await;
            if told(&answer) != expected {
                faults.push(format!("{} GET {path}: {:?}", login.user, told(&answer)));
            }
        }
        let path = below(&account.user, ".json");
        let answer = server.ask_as(login, "GET", &path, &[]).await;
        if told(&answer) != expected {
            faults.push(format!("{} GET {path}: {:?}", login.user, told(&answer)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let of = |account: &Login| below(&account.user, ".json");
    for (login, path, form, expected) in [
        (&one, ACCOUNTS.to_owned(), [("FriendlyName", "mine")], (403, 20006)),
        (&one, of(&one), [("Status", "closed")], (400, 20001)),
        (&one, of(&two), [("Status", "closed")], (404, 20404)),
        (&main, of(&main), [("Status", "suspended")], (400, 20001)),
        (&main, of(&one), [("Status", "asleep")], (400, 20001)),
        (&main, of(&one), [("FriendlyName", "a\nb")], (400, 20002)),
    ] {
        let answer = server.ask_as(login, "POST", &path, &form).await;
        assert_eq!(told(&answer), expected, "{path} {form:?}: {answer:?}");
    }
    let listed = server.ask_as(&main, "GET", ACCOUNTS, &[]).await;
    assert_eq!(names(&listed), ["two", "one", "Sidetone"], "a refusal changed something");
    assert!(
        listed.body["accounts"].as_array().unwrap().iter().all(|one| one["status"] == "active")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_account_keeps_no_other_sees_changes_or_counts() {
    let server = Server::start(&[]).await;
    let main = main_of(&server);
    let (one, two) = (made(&server, "one").await, made(&server, "two").await);
    let name = ("FriendlyName", "mine");
    let mut faults = Vec::new();
    for (list, form) in [
        ("Applications", &[name][..]),
        ("IncomingPhoneNumbers", &[("AreaCode", "415")]),
        ("Keys", &[name]),
        ("SigningKeys", &[name]),
        ("Messages", &[("To", "a"), ("From", "b"), ("Body", "c")]),
        ("SIP/CredentialLists", &[name]),
        ("SIP/Domains", &[("DomainName", "one.example")]),
        ("SIP/IpAccessControlLists", &[name]),
    ] {
        let of = |account: &Login, below: &str| below_of(account, list, below);
        let made = server.ask_as(&one, "POST", &of(&one, ".json"), form).await;
        assert_eq!(made.status, 201, "{list}: {made:?}");
        let item = format!("/{}.json", made.text("sid"));
        for (login, path, expected) in [
            (&two, of(&two, &item), (404, 20404)),
            (&two, of(&one, &item), (404, 20404)),
            (&main, of(&main, &item), (404, 20404)),
            (&main, of(&one, &item), (200, 0)),
            (&one, of(&one, &item), (200, 0)),
        ] {
            for method in ["GET", "POST"] {
                let form: &[_] = if list == "Messages" { &[] } else { &[name] };
                let answer = server.ask_as(login, method, &path, form).await;
                if told(&answer) != expected {
                    faults.push(format!("{method} {path}: {:?}, not {expected:?}", told(&answer)));
                }
            }
        }
        let gone = server.ask_as(&two, "DELETE", &of(&two, &item), &[]).await;
        assert_eq!(told(&gone), (404, 20404), "{list}");
        let still = server.ask_as(&one, "GET", &of(&one, &item), &[]).await;
        assert_eq!(still.status, 200, "{list}: another's request took it away");
        for (login, count) in [(&one, 1), (&two, 0), (&main, 0)] {
            let listed = server.ask_as(login, "GET", &of(login, ".json"), &[]).await;
            let lists = listed.body.as_object().unwrap().values();
            let found: usize = lists.filter_map(Value::as_array).map(Vec::len).sum();
            // Keys and signing keys are the same.
            let wanted = if list == "SigningKeys" { count * 2 } else { count };
            assert_eq!(found, wanted, "{list} of {}", login.user);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let taken = [("DomainName", "one.example")];
    let taken = server.ask_as(&two, "POST", &below_of(&two, "SIP/Domains", ".json"), &taken).await;
    assert_eq!(told(&taken), (409, 20409), "a name is somebody's, whoever asks");
}

fn below_of(account: &Login, list: &str, below: &str) -> String {
    format!("/2010-04-01/Accounts/{}/{list}{below}", account.user)
}

/// Dials a phone into the room of an account, with callbacks of its own.
async fn seat(server: &Server, login: &Login, phone: &Phone, callback: &str) -> Answer {
    let path = below(&login.user, "/Conferences/room/Participants.json");
    let form = [
        ("From", "accounts"),
        ("To", phone.uri.as_str()),
        ("Label", "same"),
        ("ConferenceStatusCallback", callback),
        ("ConferenceStatusCallbackEvent", "join end"),
        ("StatusCallback", callback),
    ];
    let seated = server.ask_as(login, "POST", &path, &form).await;
    assert_eq!(seated.status, 201, "{seated:?}");
    seated
}

#[tokio::test(flavor = "multi_thread")]
async fn two_accounts_with_a_room_of_one_name_have_two_rooms_and_share_nothing() {
    let origin = Origin::start().await;
    let server = Server::start(&[]).await;
    let phones: Vec<Phone> =
        (0..2).map(|_| Phone::listen(Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap()).collect();
    let logins = [made(&server, "one").await, made(&server, "two").await];
    let mut seats = Vec::new();
    for ((login, phone), path) in logins.iter().zip(&phones).zip(["/callback/0", "/callback/1"]) {
        seats.push(seat(&server, login, phone, &origin.url(path)).await);
    }
    assert_ne!(seats[0].text("conference_sid"), seats[1].text("conference_sid"));
    for (index, login) in logins.iter().enumerate() {
        let (mine, other) = (&seats[index], &seats[1 - index]);
        until("a connected phone", async || {
            let path = below(&login.user, "/Calls.json?Status=in-progress");
            let calls = server.ask_as(login, "GET", &path, &[]).await;
            calls.body["calls"].as_array().unwrap().len() == 1
        })
        .await;
        let (room, call) = (other.text("conference_sid"), other.text("call_sid"));
        for (method, path, form) in [
            ("GET", format!("/Conferences/{room}.json"), &[][..]),
            ("POST", format!("/Conferences/{room}.json"), &[("Status", "completed")]),
            ("GET", format!("/Conferences/{room}/Participants.json"), &[]),
            ("GET", format!("/Conferences/{room}/Participants/{call}.json"), &[]),
            ("POST", format!("/Conferences/{room}/Participants/{call}.json"), &[("Muted", "true")]),
            ("DELETE", format!("/Conferences/{room}/Participants/{call}.json"), &[]),
            ("GET", format!("/Calls/{call}.json"), &[]),
            ("POST", format!("/Calls/{call}.json"), &[("Status", "completed")]),
            ("DELETE", format!("/Calls/{call}.json"), &[]),
            ("GET", format!("/Calls/{call}/Notifications.json"), &[]),
        ] {
            let answer = server.ask_as(login, method, &below(&login.user, &path), form).await;
            assert_eq!(told(&answer), (404, 20404), "{method} {path}");
        }
        let ours = format!("/sidetone/v1/Conferences/{room}/Audibility");
        assert_eq!(told(&server.ask_as(login, "GET", &ours, &[]).await), (404, 20404));
        let mine =
            below(&login.user, &format!("/Conferences/{}.json", mine.text("conference_sid")));
        let main = main_of(&server);
        let ended = server.ask_as(&main, "POST", &mine, &[("Status", "completed")]).await;
        assert_eq!(ended.status, 200, "the owner acts on its sub-accounts");
    }
    for (index, path) in ["/callback/0", "/callback/1"].iter().enumerate() {
        let ended = |asked: &e2e::Asked| asked.param("CallStatus") == "completed";
        assert!(origin.wait_for(path, ended).await.is_some(), "the end was not told");
        let asked = origin.asked(path);
        assert!(asked.iter().all(|asked| asked.param("AccountSid") == logins[index].user));
        let requests = origin.signed(|asked| asked.path == *path);
        let valid = format!("{} signatures", requests.len());
        assert_eq!(e2e::valid_signatures(&logins[index].secret, &requests), valid);
        assert_ne!(e2e::valid_signatures(&logins[1 - index].secret, &requests), valid);
    }
    let main = server.get("/Calls.json").await;
    assert_eq!(main.body["calls"], Value::Array(Vec::new()), "what is a sub-account's is its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_account_rests_and_a_closed_one_loses_its_calls() {
    let origin = Origin::start().await;
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(data.path(), &[]).await;
    let main = main_of(&server);
    let phone = Phone::listen(Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap();
    let sub = made(&server, "one").await;
    let key = server.ask_as(&sub, "POST", &below(&sub.user, "/Keys.json"), &[]).await;
    let key = Login { user: key.text("sid"), secret: key.text("secret") };
    seat(&server, &sub, &phone, &origin.url("/callback")).await;
    assert!(phone.wait_up(Duration::from_secs(20)));
    let (account, calls) = (below(&sub.user, ".json"), below(&sub.user, "/Calls.json"));
    let status = async |status: &str| {
        told(&server.ask_as(&main, "POST", &account, &[("Status", status)]).await)
    };
    let pause = "<Response><Pause/></Response>";
    let dial = [("From", "a"), ("To", phone.uri.as_str()), ("Twiml", pause)];
    assert_eq!(status("suspended").await, (200, 0));
    assert_eq!(told(&server.ask_as(&sub, "GET", &account, &[]).await), (403, 20005));
    assert_eq!(told(&server.ask_as(&key, "GET", &calls, &[]).await), (403, 20005));
    assert_eq!(told(&server.ask_as(&main, "POST", &calls, &dial).await), (403, 20005));
    assert_eq!(told(&server.ask_as(&main, "GET", &calls, &[]).await), (200, 0));
    assert_eq!(phone.state(), State::Up, "suspending ends no call");
    assert_eq!(status("active").await, (200, 0));
    assert_eq!(told(&server.ask_as(&key, "GET", &calls, &[]).await), (200, 0));
    assert_eq!(status("closed").await, (200, 0));
    assert!(phone.wait_over(Duration::from_secs(20)), "closing ends its calls");
    let ended = |asked: &e2e::Asked| asked.param("StatusCallbackEvent") == "conference-end";
    assert!(origin.wait_for("/callback", ended).await.is_some());
    assert_eq!(status("active").await, (400, 20001));
    assert_eq!(told(&server.ask_as(&sub, "GET", &account, &[]).await), (403, 20005));
    server.terminate();
    let server = Server::start_in(data.path(), &[]).await;
    let after = server.ask_as(&main, "GET", &account, &[]).await;
    assert_eq!(after.body["status"], "closed", "a restart changes nothing");
    assert_eq!(told(&server.ask_as(&sub, "GET", &account, &[]).await), (403, 20005));
}
