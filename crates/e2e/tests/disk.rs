//! The disk fails: rooms play on, writes are refused, and nothing has to be restarted.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use e2e::{Server, level};
use sim::Phone;

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_written_refuses_writes_and_recovers() {
    let server = Server::start(&[]).await;
    let phones =
        [500, 900].map(|hertz| Phone::call(server.sip(), "disk", sim::tone(hertz)).unwrap());
    let (conference, call) = seated(&server).await;
    let path = format!("/Conferences/{conference}/Participants/{call}.json");
    let database = rusqlite::Connection::open(server.data().join("sidetone.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The first write finds out; it may wait for the file as long as the store does.
    let refused = server.post(&path, &[("EndConferenceOnExit", "true")]).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.body["code"].is_number() && refused.body["more_info"].is_string());
    assert_eq!(server.admin("/readyz").await.0, 503);
    assert_eq!(server.get(&path).await.status, 200, "reading goes on");
    assert!(hears(&phones[0], 900).await && hears(&phones[1], 500).await, "the room plays on");
    database.execute_batch("ROLLBACK").unwrap();
    let mut answer = server.post(&path, &[("Muted", "true")]).await;
    for _ in 0..100 {
        if answer.status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        answer = server.post(&path, &[("Muted", "true")]).await;
    }
    assert_eq!((answer.status, answer.body["muted"].as_bool()), (200, Some(true)), "{answer:?}");
    assert_eq!(server.admin("/readyz").await.0, 200);
}

/// Listens, piece by piece and a bounded time, for a tone.
async fn hears(phone: &Phone, hertz: u32) -> bool {
    for _ in 0..20 {
        phone.forget();
        tokio::time::sleep(Duration::from_millis(300)).await;
        if level(&phone.heard(), hertz) > 1_000.0 {
            return true;
        }
    }
    false
}

async fn seated(server: &Server) -> (String, String) {
    for _ in 0..400 {
        tokio::time::sleep(Duration::from_millis(25)).await;
        let found = server.get("/Conferences.json?Status=in-progress").await;
        let Some(sid) = found.body["conferences"][0]["sid"].as_str() else { continue };
        let path = format!("/Conferences/{sid}/Participants.json");
        let body = server.get(&path).await.body;
        let members = body["participants"].as_array().unwrap();
        if members.len() == 2 {
            return (sid.to_owned(), members[0]["call_sid"].as_str().unwrap().to_owned());
        }
    }
    panic!("the phones did not come in");
}
