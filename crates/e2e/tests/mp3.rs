//! Recordings as MP3, of a server that was built with an encoder: `--features e2e/mp3-lame`.

#![allow(clippy::unwrap_used)]

use e2e::{Server, fetch, level};
use sim::Phone;

/// The caller's tone.
const HERTZ: u32 = 500;
/// A tone of a phone is louder than this where it is heard.
const HEARD: f64 = 1_500.0;
/// What is one piece for the ear: 100 ms.
const PIECE: usize = 800;

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_had_as_mp3_and_holds_what_was_said() {
    let (server, origin) = Server::with_origin().await;
    origin.answers(
        "mp3",
        "<Record playBeep='false' maxLength='3' trim='do-not-trim' action='/recorded' \
         recordingStatusCallback='/callback/mp3'/>",
    );
    origin.serves_twiml("/recorded", "<Hangup/>");
    let _phone = Phone::call(server.sip(), "mp3", sim::tone(HERTZ)).unwrap();
    let over = |asked: &e2e::Asked| asked.param("RecordingStatus") == "completed";
    let told = origin.wait_for("/callback/mp3", over).await.expect("the recording is made");
    let path = format!("/Recordings/{}.mp3", told.param("RecordingSid"));
    let (status, file) = fetch(&server, &path, &[]).await;
    assert_eq!(status, 200);
    // Its frames begin with eleven ones: ISO 11172-3 section 2.4.1.3.
    assert!(file[0] == 0xff && file[1] & 0xe0 == 0xe0, "{:?}", &file[..4]);
    let sound = sound::decode(file.clone()).unwrap();
    assert!((20_000..30_000).contains(&sound.len()), "{} samples", sound.len());
    let pieces = sound.chunks_exact(PIECE);
    let heard = pieces.clone().filter(|piece| level(piece, HERTZ) > HEARD).count();
    let other = pieces.clone().filter(|piece| level(piece, HERTZ + 400) > HEARD).count();
    assert!(heard * 10 > pieces.len() * 8 && other == 0, "{heard} and {other}");
    assert!(file.len() < sound.len(), "{} octets of {} samples", file.len(), sound.len());
    // How long it is shows only when it is encoded: a range is all of it, and that is said.
    assert_eq!(fetch(&server, &path, &[("range", "bytes=0-99")]).await, (200, file));
    let full = format!("/2010-04-01/Accounts/{}{path}", server.ready("account_sid"));
    let head = server.request("HEAD", &full).send().await.unwrap();
    assert_eq!(head.headers()["content-type"], "audio/mpeg");
    assert_eq!(head.headers()["accept-ranges"], "none");
    let two = server.get(&format!("{path}?RequestedChannels=2")).await;
    assert_eq!((two.status, &two.body["code"]), (400, &16_113.into()));
}
