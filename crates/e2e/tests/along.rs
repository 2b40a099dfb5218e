//! What goes along with calls: parameters to applications and clients, what SIP said back, where a call is
//! recorded; and TwiML that lies at addresses of Twilio's.

#![allow(clippy::unwrap_used)]

use std::net::UdpSocket;
use std::time::Duration;

use e2e::{Asked, Origin, Server, hears, tone};
use sim::Phone;

const LIMIT: Duration = Duration::from_secs(60);
const BIN: &str = "EH0123456789abcdef0123456789abcdef";

async fn start(flags: &[&str]) -> (Server, Origin) {
    let origin = Origin::start().await;
    let voice = origin.url("/voice");
    let server = Server::start(&[&["--voice-url", &*voice], flags].concat()).await;
    origin.serves("/tone.wav", "audio/wav", sound::wav(&tone(700, 6_000.0).repeat(20)));
    (server, origin)
}

/// Calls a phone that listens, to run what is at this address.
async fn call(server: &Server, url: &str, more: &[(&str, &str)]) -> (Phone, String) {
    let phone = Phone::listen([127, 0, 0, 1].into(), sim::tone(300)).unwrap();
    let form = [("To", phone.uri.as_str()), ("From", "+15550100"), ("Url", url)];
    let made = server.post("/Calls.json", &[&form, more].concat()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    (phone, made.text("sid"))
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_behind_an_application_are_fields_of_its_request() {
    let (server, origin) = start(&[]).await;
    let voice = origin.serves_twiml("/app", "<Pause length='60'/>");
    let made = server.post("/Applications.json", &[("VoiceUrl", &voice)]).await;
    let sid = made.text("sid");
    let to = format!("app:{sid}?room=a%20b%26c&From=forged");
    let twiml = "<Response><Pause length='60'/></Response>";
    let form = [("To", to.as_str()), ("From", "+15550100"), ("Twiml", twiml)];
    assert_eq!(server.post("/Calls.json", &form).await.status, 201);
    let asked = origin.wait_for("/app", |_| true).await.expect("the application is asked");
    assert_eq!(asked.param("room"), "a b&c");
    assert_eq!(asked.param("To"), format!("app:{sid}"));
    let from: Vec<_> = asked.params.iter().filter(|(name, _)| name == "From").collect();
    assert_eq!((from.len(), from[0].1.as_str()), (1, "+15550100"), "nobody forges a caller");
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_a_client_are_headers_of_its_phone() {
    let (server, origin) = start(&[]).await;
    let lena = Phone::listen([127, 0, 0, 1].into(), sim::tone(900)).unwrap();
    assert!(lena.register(server.sip(), "lena", LIMIT));
    let client = "<Client><Identity>lena</Identity><Parameter name='room' value='4 b'/></Client>";
    origin.answers("desk", &format!("<Dial action='/done'>{client}</Dial>"));
    let caller = Phone::call(server.sip(), "desk", sim::tone(500)).unwrap();
    hears(&caller, 900, true).await;
    let (headers, _) = lena.invitation();
    assert!(headers.contains(&("X-room".to_owned(), "4 b".to_owned())), "{headers:?}");
    lena.hang_up();
    let done = origin.wait_for("/done", |_| true).await.unwrap();
    assert_eq!((done.param("DialCallStatus"), done.param("DialSipCallId")), ("completed", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_action_of_a_dial_hears_of_sip_and_of_a_caller_who_hung_up() {
    let (server, origin) = start(&[]).await;
    let desk = Phone::listen([127, 0, 0, 1].into(), sim::tone(900)).unwrap();
    origin.answers("sip", &format!("<Dial action='/sip'><Sip>{}</Sip></Dial>", desk.uri));
    let caller = Phone::call(server.sip(), "sip", sim::tone(500)).unwrap();
    hears(&caller, 900, true).await;
    desk.hang_up();
    let done = origin.wait_for("/sip", |_| true).await.unwrap();
    assert_eq!(done.param("DialSipResponseCode"), "200");
    assert!(done.param("DialSipCallId").contains('@'), "{:?}", done.params);
    let noun = "<Conference waitUrl='' beep='false'>short</Conference>";
    origin.answers("room", &format!("<Dial action='/left'>{noun}</Dial>"));
    let caller = Phone::call(server.sip(), "room", sim::tone(500)).unwrap();
    assert!(caller.wait_up(LIMIT));
    e2e::until("the caller is in the room", async || {
        let all = server.get("/Conferences.json?FriendlyName=short").await.body;
        !all["conferences"][0].is_null()
    })
    .await;
    caller.hang_up();
    let left = origin.wait_for("/left", |_| true).await.expect("the action is told");
    let said = ["DialCallStatus", "CallStatus"].map(|name| left.param(name));
    assert_eq!(said, ["answered", "completed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_recorded_call_tells_where_the_recording_is() {
    let (server, origin) = start(&[]).await;
    let url = origin.serves_twiml("/long", "<Pause length='60'/>");
    let callback = origin.url("/callback/end");
    let more = [("Record", "true"), ("Trim", "do-not-trim"), ("StatusCallback", &*callback)];
    let (phone, sid) = call(&server, &url, &more).await;
    assert!(phone.wait_up(LIMIT));
    origin.wait_for("/long", |_| true).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    phone.hang_up();
    let is_it = |asked: &Asked| asked.param("CallSid") == sid;
    let told = origin.wait_for("/callback/end", is_it).await.unwrap();
    let recording = told.param("RecordingSid");
    assert!(recording.starts_with("RE"), "{:?}", told.params);
    let api = server.ready("api_url");
    let account = server.ready("account_sid");
    let url = format!("{api}/2010-04-01/Accounts/{account}/Recordings/{recording}");
    assert_eq!(told.param("RecordingUrl"), url);
    assert!(told.param("RecordingDuration").parse::<u64>().unwrap() >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_and_a_bin_of_twilio_s_are_played_from_here() {
    let folder = tempfile::tempdir().unwrap();
    let (server, origin) = start(&["--twiml-bins", folder.path().to_str().unwrap()]).await;
    let twiml = format!("<Response><Play>{}</Play></Response>", origin.url("/tone.wav"));
    let encoded: String = url::form_urlencoded::byte_serialize(twiml.as_bytes()).collect();
    let (phone, _) = call(&server, &format!("http://twimlets.com/echo?Twiml={encoded}"), &[]).await;
    hears(&phone, 700, true).await;
    let bin = twiml.replace("/tone.wav", "/{{File}}.wav");
    std::fs::write(folder.path().join(format!("{BIN}.xml")), bin).unwrap();
    let url = format!("https://handler.twilio.com/twiml/{BIN}?File=tone");
    let (phone, _) = call(&server, &url, &[]).await;
    hears(&phone, 700, true).await;
    let missing = format!("https://handler.twilio.com/twiml/{}", BIN.replace('0', "1"));
    let (_phone, sid) = call(&server, &missing, &[]).await;
    e2e::until("the debugger log tells of it", async || {
        let log = server.get(&format!("/Calls/{sid}/Notifications.json")).await.body;
        log["notifications"][0]["error_code"] == "11200"
    })
    .await;
}

/// Listens as a phone made of text that answers one INVITE busy, with a header of its own; returns its address.
fn busy_desk() -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let uri = format!("sip:desk@{}", socket.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut octets = [0; 4_096];
        let (length, from) = socket.recv_from(&mut octets).unwrap();
        let invite = String::from_utf8_lossy(&octets[..length]).into_owned();
        let mut answer = "SIP/2.0 486 Busy Here\r\n".to_owned();
        for line in invite.lines() {
            match line.split(':').next().unwrap_or_default() {
                "Via" | "From" | "Call-ID" | "CSeq" => answer += &format!("{line}\r\n"),
                "To" => answer += &format!("{line};tag=desk\r\n"),
                _ => {}
            }
        }
        answer += "X-Shelf: 9\r\nContent-Length: 0\r\n\r\n";
        socket.send_to(answer.as_bytes(), from).unwrap();
    });
    uri
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_a_phone_s_answer_are_fields_of_the_action() {
    let (server, origin) = start(&[]).await;
    origin.serves_twiml("/busy", "<Hangup/>");
    origin.answers("shelf", &format!("<Dial action='/busy'><Sip>{}</Sip></Dial>", busy_desk()));
    let _caller = Phone::call(server.sip(), "shelf", sim::tone(500)).unwrap();
    let busy = origin.wait_for("/busy", |_| true).await.expect("the action is asked");
    let said = ["DialCallStatus", "DialSipResponseCode", "DialSipHeader_X-Shelf"];
    assert_eq!(said.map(|name| busy.param(name).to_owned()), ["busy", "486", "9"]);
}
