//! Bad input, and Twilio's habits: what is refused with which code, and that a refusal changes
//! nothing; what is read in which spellings.

#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::time::Duration;

use e2e::Server;
use serde_json::Value;
use sim::{Phone, tone};

/// One refused request: method, path below the account, form, then status, code and a part of the
/// message. `{CF}` is the room, `{CA}` its first participant, `{CALL}` a call beside it.
type Refused = (&'static str, &'static str, &'static str, u16, u64, &'static str);

const ONE: &str = "/Conferences/{CF}/Participants/{CA}.json";
const ALL: &str = "/Conferences/{CF}/Participants.json";

const UPDATES: &[Refused] = &[
    ("POST", ONE, "Coaching=true", 400, 20001, "CallSidToCoach"),
    (
        "POST",
        ONE,
        "Muted=true&Hold=true&BeepOnExit=false&EndConferenceOnExit=true&WaitUrl=&Coaching=true",
        400,
        20001,
        "CallSidToCoach",
    ),
    ("POST", ONE, "Muted=true&HoldUrl=ftp://x", 400, 21205, "HoldUrl: \"ftp://x\""),
    ("POST", ONE, "Muted=true&AnnounceUrl=nonsense", 400, 21205, "AnnounceUrl"),
    ("POST", ONE, "Muted=true&AnnounceUrl=", 400, 21205, "AnnounceUrl"),
    ("POST", ONE, "Muted=true&WaitUrl=http://", 400, 21205, "WaitUrl"),
    ("POST", ONE, "Muted=true&HoldMethod=TRACE", 400, 21209, "HoldMethod"),
    ("POST", ONE, "Muted=true&WaitMethod=", 400, 21209, "WaitMethod"),
    ("POST", ONE, "Muted=true&Hold=maybe", 400, 20001, "Hold: \"maybe\""),
    ("POST", ONE, "Muted=true&BeepOnExit=1", 400, 20001, "BeepOnExit"),
    ("POST", ONE, "Muted=true&EndConferenceOnExit=yes", 400, 20001, "EndConferenceOnExit"),
    ("POST", ONE, "Muted=true&CallSidToCoach=second+one", 400, 20001, "CallSidToCoach"),
    ("POST", ONE, "Muted=true&CallSidToCoach={CA}", 400, 20001, "CallSidToCoach"),
    ("POST", ONE, "Muted=true&CallSidToCoach={NOBODY}", 400, 16028, "not found"),
    ("POST", ONE, "Muted=%zz", 400, 20001, "Muted"),
    ("POST", ONE, "Muted=true&HoldUrl=%ff", 400, 20001, "HoldUrl"),
    (
        "POST",
        "/Conferences/{CF}/Participants/{NOBODY}.json",
        "Muted=true",
        404,
        20404,
        "/{NOBODY}.json was not found",
    ),
    (
        "POST",
        "/Conferences/{CF}/Participants/no%20body.json",
        "Muted=true",
        404,
        20404,
        "/no%20body.json was not found",
    ),
    (
        "GET",
        "/Conferences/{CF}/Participants/a%2Fb.json",
        "",
        404,
        20404,
        "/a%2Fb.json was not found",
    ),
    ("GET", "/Conferences/{CF}/Participants/First.json", "", 404, 20404, "First"),
    ("GET", "/Conferences/{CF}/Participants/%e4.json", "", 400, 20001, "path"),
    ("DELETE", "/Conferences/{CF}/Participants/nobody", "", 404, 20404, "/nobody was not found"),
    ("GET", "/Conferences/room/Participants/first.json", "", 404, 20404, "not found"),
    ("POST", "/Conferences/room/Participants/first.json", "Muted=true", 404, 20404, "not found"),
    ("GET", "/Conferences/room/Participants.json", "", 405, 20004, "Method not allowed"),
    ("PUT", ONE, "Muted=true", 405, 20004, "Method not allowed"),
    ("DELETE", ALL, "", 405, 20004, "Method not allowed"),
    ("DELETE", "/Conferences/{CF}.json", "", 405, 20004, "Method not allowed"),
    ("POST", "/Conferences/{CF}.json", "Status=running", 400, 20001, "Status"),
    (
        "POST",
        "/Conferences/{CF}.json",
        "Status=completed&AnnounceUrl=ftp://x",
        400,
        21205,
        "AnnounceUrl",
    ),
    ("POST", "/Conferences/{CF0}.json", "Status=completed", 404, 20404, "not found"),
    ("GET", "/Conferences/{CF}/Participants/.json", "", 404, 20404, "not found"),
    ("GET", "/Conferences/", "", 404, 20404, "/Conferences/ was not found"),
    ("GET", "//Conferences.json", "", 404, 20404, "//Conferences.json was not found"),
    ("GET", "/Nothing.json", "", 404, 20404, "/Nothing.json was not found"),
];

const LISTS: &[Refused] = &[
    ("GET", "/Conferences.json?PageSize=0", "", 400, 20001, "PageSize"),
    ("GET", "/Conferences.json?PageSize=1001", "", 400, 20007, "PageSize"),
    ("GET", "/Conferences.json?PageSize=many", "", 400, 20001, "PageSize"),
    ("GET", "/Conferences.json?Page=-1", "", 400, 20001, "Page"),
    ("GET", "/Conferences.json?PageToken=garbage", "", 400, 20001, "PageToken"),
    ("GET", "/Conferences.json?PageToken=PA{CF0}", "", 400, 20001, "PageToken"),
    ("GET", "/Conferences.json?Page=1&PageToken=PA{CA}", "", 400, 20001, "PageToken"),
    ("GET", "/Conferences.json?Status=ended", "", 400, 20001, "Status"),
    ("GET", "/Conferences.json?DateCreated=2021-01-01T00:00:00Z", "", 400, 20001, "DateCreated"),
    ("GET", "/Conferences.json?DateCreated%3E=yesterday", "", 400, 20001, "DateCreated>"),
    ("GET", "/Conferences.json?DateUpdated<=2021-02-30", "", 400, 20001, "DateUpdated<"),
    ("GET", "/Conferences/{CF}/Participants.json?Muted=maybe", "", 400, 20001, "Muted"),
    ("GET", "/Conferences/{CF0}/Participants.json", "", 404, 20404, "not found"),
    ("GET", "/Calls.json?StartTime=noon", "", 400, 20001, "StartTime"),
    ("GET", "/Calls.json?ParentCallSid={CF}", "", 400, 20001, "ParentCallSid"),
    ("GET", "/Calls/{CF}.json", "", 404, 20404, "not found"),
    ("GET", "/Calls/nobody/Notifications.json", "", 404, 20404, "not found"),
    ("GET", "/Notifications.json?Log=2", "", 400, 20001, "Log"),
    ("GET", "/Keys/{CA}.json", "", 404, 20404, "not found"),
];

const DIALS: &[Refused] = &[
    ("POST", "/Calls.json", "From=a&Twiml=x", 400, 21201, "'To'"),
    ("POST", "/Calls.json", "To={TO}&Twiml=x", 400, 21213, "'From'"),
    ("POST", "/Calls.json", "To={TO}&From=a", 400, 21205, "'Url'"),
    ("POST", "/Calls.json", "To={TO}&From=a&Url=ftp://x", 400, 21205, "Url"),
    ("POST", "/Calls.json", "To={TO}&From=a&Url=http://x&Method=TRACE", 400, 21209, "Method"),
    ("POST", "/Calls.json", "To={TO}&From=a&Twiml=x&SendDigits=12x", 400, 21206, "SendDigits"),
    ("POST", "/Calls.json", "To={TO}&From=a&Twiml=x&Timeout=601", 400, 21208, "Timeout"),
    ("POST", "/Calls.json", "To={TO}&From=a&Twiml=x&Timeout=-1", 400, 21208, "Timeout"),
    ("POST", "/Calls.json", "To={TO}&From=a&Twiml=x&TimeLimit=0", 400, 20001, "TimeLimit"),
    ("POST", "/Calls.json", "To={TO}&From=a&ApplicationSid=AP1", 400, 21218, "ApplicationSid"),
    ("POST", "/Calls.json", "To={TO}%0d%0aX:+y&From=a&Twiml=x", 400, 21211, "To"),
    ("POST", "/Calls.json", "To={TO}&From=a%0ab&Twiml=x", 400, 21212, "From"),
    ("POST", "/Calls.json", "To=%2B15551234&From=a&Twiml=x", 400, 21214, "+15551234"),
    ("POST", "/Calls.json", "To=client:nobody&From=a&Twiml=x", 400, 21214, "nobody"),
    (
        "POST",
        "/Calls.json",
        "To={TO}&From=a&Twiml=x&StatusCallback=ftp://x",
        400,
        21205,
        "StatusCallback",
    ),
    (
        "POST",
        "/Calls.json",
        "To={TO}&From=a&Twiml=x&StatusCallbackEvent=ended",
        400,
        20001,
        "StatusCallbackEvent",
    ),
    (
        "POST",
        "/Calls.json",
        "To={TO}&From=a&Twiml=x&MachineDetection=perhaps",
        400,
        20001,
        "MachineDetection",
    ),
    ("POST", "/Calls/{CALL}.json", "Url=http://x&Twiml=x", 400, 20001, "Twiml"),
    ("POST", "/Calls/{CALL}.json", "Status=busy", 400, 20001, "Status"),
    ("DELETE", "/Calls/{CALL}.json", "", 409, 20009, "not over"),
    ("POST", ALL, "From=a", 400, 21201, "'To'"),
    ("POST", ALL, "To={TO}", 400, 21213, "'From'"),
    ("POST", ALL, "To=%2B15551234&From=a", 400, 21214, "+15551234"),
    ("POST", ALL, "To={TO}&From=a&Timeout=4", 400, 21208, "Timeout"),
    ("POST", ALL, "To={TO}&From=a&Label=first", 400, 16026, "label"),
    ("POST", ALL, "To={TO}&From=a&Label=a%2Fb", 400, 16024, "label"),
    ("POST", ALL, "To={TO}&From=a&Label={CA}", 400, 16024, "label"),
    ("POST", ALL, "To={TO}&From=a&Label={129}", 400, 16024, "label"),
    ("POST", ALL, "To={TO}&From=a&MaxParticipants=1", 400, 20001, "MaxParticipants"),
    ("POST", ALL, "To={TO}&From=a&MaxParticipants=251", 400, 20001, "MaxParticipants"),
    ("POST", ALL, "To={TO}&From=a&Beep=loud", 400, 20001, "Beep"),
    ("POST", ALL, "To={TO}&From=a&EarlyMedia=perhaps", 400, 20001, "EarlyMedia"),
    ("POST", ALL, "To={TO}&From=a&JitterBufferSize=huge", 400, 20001, "JitterBufferSize"),
    ("POST", ALL, "To={TO}&From=a&Region=moon1", 400, 20001, "Region"),
    ("POST", ALL, "To={TO}&From=a&Record=perhaps", 400, 20001, "Record"),
    ("POST", ALL, "To={TO}&From=a&RecordingChannels=three", 400, 20001, "RecordingChannels"),
    ("POST", ALL, "To={TO}&From=a&RecordingTrack=none", 400, 20001, "RecordingTrack"),
    (
        "POST",
        ALL,
        "To={TO}&From=a&RecordingStatusCallback=ftp://x",
        400,
        21205,
        "RecordingStatusCallback",
    ),
    ("POST", ALL, "To={TO}&From=a&ConferenceRecord=perhaps", 400, 20001, "ConferenceRecord"),
    ("POST", ALL, "To={TO}&From=a&ConferenceTrim=perhaps", 400, 20001, "ConferenceTrim"),
    (
        "POST",
        ALL,
        "To={TO}&From=a&ConferenceStatusCallbackEvent=sneeze",
        400,
        20001,
        "ConferenceStatusCallbackEvent",
    ),
    ("POST", ALL, "To={TO}&From=a&Byoc=BY1", 400, 20001, "Byoc"),
    ("POST", ALL, "To={TO}&From=a&CallerDisplayName=x", 400, 20001, "CallerDisplayName"),
    (
        "POST",
        ALL,
        "To={TO}&From=a&MachineDetectionTimeout=1",
        400,
        20001,
        "MachineDetectionTimeout",
    ),
    ("POST", ALL, "To={TO}&From=a&AmdStatusCallback=ftp://x", 400, 21205, "AmdStatusCallback"),
    ("POST", ALL, "To={TO}&From=a&Coaching=true", 400, 20001, "CallSidToCoach"),
    ("POST", ALL, "To={TO}&From=a&CallSidToCoach={NOBODY}", 400, 16028, "not found"),
    ("POST", ALL, "To={TO}&From=a&SipAuthUsername=a%0ab", 400, 20001, "SipAuthUsername"),
    ("POST", "/Conferences/{CF0}/Participants.json", "To={TO}&From=a", 400, 16022, "conference"),
    ("POST", "/Conferences/{129}/Participants.json", "To={TO}&From=a", 400, 20002, "FriendlyName"),
    ("POST", "/Conferences/full/Participants.json", "To={TO}&From=a", 400, 16020, "full"),
    ("POST", "/Keys.json", "FriendlyName={129}", 400, 20002, "FriendlyName"),
];

const KEPT: &[Refused] = &[
    ("POST", "/Applications.json", "VoiceUrl=ftp://x", 400, 21205, "VoiceUrl"),
    ("POST", "/Applications.json", "VoiceMethod=TRACE", 400, 21209, "VoiceMethod"),
    ("POST", "/Applications.json", "VoiceMethod=HEAD", 400, 21209, "VoiceMethod"),
    ("POST", "/Applications.json", "FriendlyName={129}", 400, 20002, "FriendlyName"),
    ("POST", "/Applications.json", "FriendlyName=a%0ab", 400, 20002, "FriendlyName"),
    ("POST", "/Applications.json", "VoiceCallerIdLookup=maybe", 400, 20001, "VoiceCallerIdLookup"),
    ("POST", "/Applications.json", "ApiVersion=1999-01-01", 400, 20001, "ApiVersion"),
    ("GET", "/Applications.json?PageToken=PA{CF}", "", 400, 20001, "PageToken"),
    ("GET", "/Applications/{CF}.json", "", 404, 20404, "not found"),
    ("DELETE", "/Applications/AP{32}.json", "", 404, 20404, "not found"),
    ("GET", "/AvailablePhoneNumbers/XX.json", "", 404, 20404, "not found"),
    ("GET", "/AvailablePhoneNumbers/XX/Local.json", "", 404, 20404, "not found"),
    ("GET", "/AvailablePhoneNumbers/US/Local.json?AreaCode=12", "", 400, 20001, "AreaCode"),
    ("GET", "/AvailablePhoneNumbers/US/Local.json?Contains=4_5", "", 400, 21421, "Contains"),
    ("GET", "/AvailablePhoneNumbers/US/Local.json?SmsEnabled=so", "", 400, 20001, "SmsEnabled"),
    ("GET", "/AvailablePhoneNumbers/US/Local.json?NearLatLong=91,0", "", 400, 20001, "NearLatLong"),
    ("GET", "/AvailablePhoneNumbers/US/Local.json?Distance=501", "", 400, 20001, "Distance"),
    ("POST", "/IncomingPhoneNumbers.json", "", 400, 21421, "'PhoneNumber'"),
    ("POST", "/IncomingPhoneNumbers.json", "PhoneNumber=desk", 400, 21421, "PhoneNumber"),
    ("POST", "/IncomingPhoneNumbers.json", "PhoneNumber=14155550100", 400, 21421, "PhoneNumber"),
    (
        "POST",
        "/IncomingPhoneNumbers.json",
        "PhoneNumber=%2B14155551000",
        400,
        21422,
        "+14155551000",
    ),
    ("POST", "/IncomingPhoneNumbers.json", "AreaCode=999", 400, 21452, "999"),
    ("POST", "/IncomingPhoneNumbers/Local.json", "AreaCode=415", 400, 21421, "'PhoneNumber'"),
    (
        "POST",
        "/IncomingPhoneNumbers.json",
        "AreaCode=415&VoiceApplicationSid=AP{32}",
        400,
        21218,
        "VoiceApplicationSid",
    ),
    ("POST", "/IncomingPhoneNumbers.json", "AreaCode=415&TrunkSid=TK1", 400, 20001, "TrunkSid"),
    ("POST", "/IncomingPhoneNumbers.json", "AreaCode=415&VoiceUrl=x", 400, 21205, "VoiceUrl"),
    ("GET", "/IncomingPhoneNumbers.json?PhoneNumber=%25", "", 400, 20001, "PhoneNumber"),
    ("GET", "/IncomingPhoneNumbers.json?Origin=mars", "", 400, 20001, "Origin"),
    ("POST", "/Messages.json", "From=a&Body=b", 400, 21604, "'To'"),
    ("POST", "/Messages.json", "To=a&Body=b", 400, 21603, "'From'"),
    ("POST", "/Messages.json", "To=a&From=b", 400, 21602, "'Body'"),
    ("POST", "/Messages.json", "To=a&From=b&Body={1601}", 400, 21617, "Body"),
    ("POST", "/Messages.json", "To=a&From=b&Body=c&ValidityPeriod=0", 400, 20001, "ValidityPeriod"),
    (
        "POST",
        "/Messages.json",
        "To=a&From=b&Body=c&StatusCallback=ftp://x",
        400,
        21205,
        "StatusCallback",
    ),
    ("GET", "/Messages.json?DateSent=yesterday", "", 400, 20001, "DateSent"),
    ("GET", "/Messages/SM{32}.json", "", 404, 20404, "not found"),
    ("GET", "/Messages/SM{32}/Media.json", "", 404, 20404, "not found"),
    ("POST", "/OutgoingCallerIds.json", "", 400, 21421, "'PhoneNumber'"),
    ("POST", "/OutgoingCallerIds.json", "PhoneNumber=desk", 400, 21421, "PhoneNumber"),
    ("POST", "/OutgoingCallerIds.json", "PhoneNumber=%2B14155551234", 400, 21214, "+14155551234"),
    (
        "POST",
        "/OutgoingCallerIds.json",
        "PhoneNumber=%2B14155551234&CallDelay=61",
        400,
        20001,
        "CallDelay",
    ),
    ("GET", "/Usage/Records.json?StartDate=soon", "", 400, 20001, "StartDate"),
    ("GET", "/Usage/Records/Daily.json?PageToken=PA99", "", 400, 20001, "PageToken"),
    ("GET", "/Calls/CA{32}/Events.json", "", 404, 20404, "not found"),
];

/// A server with a room of two, a full room and a call, all up.
struct House {
    server: Server,
    conference: String,
    calls: [String; 2],
    call: String,
    free: Phone,
    _phones: Vec<Phone>,
}

impl House {
    async fn open() -> Self {
        let server = Server::start(&["--no-virtual-phones"]).await;
        let mut phones: Vec<Phone> =
            (0..6).map(|_| Phone::listen(Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap()).collect();
        let dial = async |path: &str, phone: &Phone, more: &[(&str, &str)]| {
            let form = [&[("From", "rest"), ("To", phone.uri.as_str())], more].concat();
            let made = server.post(path, &form).await;
            assert_eq!(made.status, 201, "{made:?}");
            made
        };
        let room = "/Conferences/room/Participants.json";
        let first = dial(room, &phones[0], &[("Label", "first"), ("Muted", "false")]).await;
        let second = dial(room, &phones[1], &[("Label", "100% a+b")]).await;
        for phone in &phones[2..4] {
            let path = "/Conferences/full/Participants.json";
            dial(path, phone, &[("MaxParticipants", "2")]).await;
        }
        let pause = "<Response><Pause length='600'/></Response>";
        let call = dial("/Calls.json", &phones[4], &[("Twiml", pause)]).await.text("sid");
        let house = Self {
            conference: first.text("conference_sid"),
            calls: [first.text("call_sid"), second.text("call_sid")],
            call,
            free: phones.pop().unwrap(),
            _phones: phones,
            server,
        };
        house.wait_up().await;
        house
    }

    async fn wait_up(&self) {
        for _ in 0..800 {
            let up = self.server.get("/Calls.json?Status=in-progress").await;
            let rooms = self.server.get("/Conferences.json?Status=in-progress").await;
            let count = |body: &Value, name: &str| body[name].as_array().unwrap().len();
            if count(&up.body, "calls") == 5 && count(&rooms.body, "conferences") == 2 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the calls did not come up");
    }

    fn filled(&self, text: &str) -> String {
        text.replace("{CF0}", &format!("CF{}", "0".repeat(32)))
            .replace("{NOBODY}", &format!("CA{}", "0".repeat(32)))
            .replace("{129}", &"x".repeat(129))
            .replace("{1601}", &"x".repeat(1_601))
            .replace("{32}", &"0".repeat(32))
            .replace("{CF}", &self.conference)
            .replace("{CALL}", &self.call)
            .replace("{CA}", &self.calls[0])
            .replace("{TO}", &self.free.uri)
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let account = self.server.ready("account_sid");
        let path = format!("/2010-04-01/Accounts/{account}{}", self.filled(path));
        let mut request = self.server.request(method, &path);
        if !body.is_empty() {
            let form = "application/x-www-form-urlencoded";
            request = request.header("content-type", form).body(self.filled(body));
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
    }

    /// Returns all that can be seen.
    async fn seen(&self) -> Vec<Value> {
        let mut seen = Vec::new();
        let kept = [
            "/Applications.json",
            "/IncomingPhoneNumbers.json",
            "/Messages.json",
            "/OutgoingCallerIds.json",
        ];
        let lists = ["/Conferences.json", "/Calls.json", "/Keys.json", "/Notifications.json"];
        for path in [ALL].into_iter().chain(lists).chain(kept) {
            seen.push(self.ask("GET", path, "").await.1);
        }
        seen
    }

    async fn check(&self, table: &[Refused]) {
        let before = self.seen().await;
        let mut faults = Vec::new();
        for &(method, path, body, status, code, message) in table {
            let (answered, error) = self.ask(method, path, body).await;
            let message = self.filled(message);
            let said = error["message"].as_str().unwrap_or_default();
            let shape = error["status"] == answered
                && error["more_info"] == format!("https://www.twilio.com/docs/errors/{code}");
            if (answered, error["code"].as_u64()) != (status, Some(code))
                || !said.contains(&message)
                || !shape
            {
                faults.push(format!(
                    "{method} {path} {body}: {answered} {error}, not {status}/{code} {message}"
                ));
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        assert_eq!(self.seen().await, before, "a refused request changed something");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_names_the_parameter_and_changes_nothing() {
    let house = House::open().await;
    house.check(UPDATES).await;
    house.check(LISTS).await;
    house.check(DIALS).await;
    house.check(KEPT).await;
    assert_eq!(house.free.state(), sim::State::Idle, "somebody was rung");
    house.server.post(&house.filled("/Calls/{CALL}.json"), &[("Status", "completed")]).await;
    for _ in 0..400 {
        let (_, call) = house.ask("GET", "/Calls/{CALL}.json", "").await;
        if call["status"] == "completed" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let over = ("POST", "/Calls/{CALL}.json", "Status=completed", 400, 21220, "not in-progress");
    house.check(&[over]).await;
    let long = format!("To={{TO}}&From=a&Twiml={}", "x".repeat(4_001));
    let (status, error) = house.ask("POST", "/Calls.json", &long).await;
    assert_eq!((status, &error["code"]), (400, &20001.into()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_write_in_other_ways_is_read_as_they_mean_it() {
    let house = House::open().await;
    let upper =
        format!("/Conferences/{{CF}}/Participants/CA{}", house.calls[0][2..].to_uppercase());
    let second = "/Conferences/{CF}/Participants/100%25%20a+b.json";
    for (path, body, field, expected) in [
        (ONE, "Muted=TRUE", "muted", "true"),
        (ONE, "Muted=foo", "muted", "false"),
        (ONE, "Muted=true&Muted=false&Muted=true", "muted", "true"),
        (ONE, "Muted=%54rue&Unheard=of", "muted", "true"),
        (ONE, "Unheard=of", "muted", "true"),
        (ONE, "", "muted", "true"),
        (&upper, "Muted=false", "muted", "false"),
        ("/Conferences/{CF}/Participants/first", "Hold=True&HoldMethod=put", "hold", "true"),
        (ONE, "Hold=false&AnnounceMethod=Delete&WaitMethod=head&WaitUrl=", "hold", "false"),
        (second, "EndConferenceOnExit=false", "end_conference_on_exit", "false"),
        ("/Conferences/{CF}/Participants/100%25%20a%2Bb.json", "Muted=true", "muted", "true"),
        (second, "CallSidToCoach={CA}", "coaching", "true"),
        (second, "CallSidToCoach={CA}&Coaching=false", "coaching", "false"),
    ] {
        let (status, body_was) = house.ask("POST", path, body).await;
        assert_eq!(status, 200, "{path} {body}: {body_was}");
        assert_eq!(body_was[field].to_string(), expected, "{path} {body}");
        let read = house.ask("GET", path, "").await;
        assert_eq!(read, (200, body_was), "{path} {body}: the next GET shows it");
    }
    let account = house.server.ready("account_sid");
    let path = format!("/2010-04-01/Accounts/{account}{}", house.filled(ONE));
    let send = async |kind: &str, body: String| {
        let mut request = house.server.request("POST", &path).body(body);
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        (status, body["muted"].clone(), body["code"].clone())
    };
    let muted = |muted: bool| (200, Value::from(muted), Value::Null);
    assert_eq!(send("application/json", r#"{"Muted":true}"#.to_owned()).await, muted(true));
    assert_eq!(send("", "Muted=false".to_owned()).await, muted(false));
    let refused = |status: u16| (status, Value::Null, Value::from(20001));
    assert_eq!(send("application/json", "[]".to_owned()).await, refused(400));
    assert_eq!(send("multipart/form-data; boundary=x", "x".to_owned()).await, refused(415));
    assert_eq!(send("", "x=".repeat(40_000)).await, refused(413));
    assert_eq!(send("", "x&".repeat(1_001)).await, refused(400));
    // Not one of these was read half.
    assert_eq!(house.ask("GET", ONE, "").await.1["muted"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_turn_their_pages_both_ways_and_echo_their_filters() {
    let house = House::open().await;
    let get = async |path: &str| {
        let response = house.server.request("GET", path).send().await.unwrap();
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert!(body["code"].is_null(), "{path}: {body}");
        body
    };
    let account = house.server.ready("account_sid");
    let first = format!(
        "/2010-04-01/Accounts/{account}/Calls.json?StartTime%3E=2021-01-01T00%3A00%3A00Z&Status=in-progress&PageSize=2"
    );
    let mut pages = vec![get(&first).await];
    while let Some(next) = pages.last().unwrap()["next_page_uri"].as_str() {
        assert!(
            next.contains(
                "StartTime%3E=2021-01-01T00%3A00%3A00Z&Status=in-progress&PageSize=2&Page="
            )
        );
        assert!(next.contains("&PageToken=PACA"), "{next}");
        let next = get(next).await;
        pages.push(next);
    }
    let told: Vec<_> =
        pages.iter().map(|page| [&page["page"], &page["start"], &page["end"]]).collect();
    assert_eq!(told, [[0, 0, 1], [1, 2, 3], [2, 4, 4]], "{pages:?}");
    let sids: Vec<&Value> = pages
        .iter()
        .flat_map(|page| page["calls"].as_array().unwrap())
        .map(|call| &call["sid"])
        .collect();
    assert_eq!(sids[0].as_str(), Some(house.call.as_str()), "the newest comes first");
    assert_eq!(sids.len(), 5);
    for (number, page) in pages.iter().enumerate().skip(1).rev() {
        let previous = page["previous_page_uri"].as_str().unwrap();
        assert!(previous.contains("&PageToken=PBCA"), "{previous}");
        let back = get(previous).await;
        assert_eq!(back["calls"], pages[number - 1]["calls"]);
        assert_eq!(back["page"], pages[number - 1]["page"]);
        assert!(back["next_page_uri"].is_string());
    }
    assert!(pages[0]["previous_page_uri"].is_null());
    let by_number = get(&format!("{first}&Page=1")).await;
    assert_eq!(by_number["calls"], pages[1]["calls"]);
    let past = get(&format!("{first}&Page=9")).await;
    assert_eq!([&past["start"], &past["end"]], [0, 0], "an empty page begins and ends at 0");
    let day = |offset: i64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let days = now.as_secs() as i64 / 86_400 + offset;
        let output = std::process::Command::new("date")
            .args(["-u", "-d", &format!("@{}", days * 86_400), "+%Y-%m-%d"])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (today, tomorrow) = (day(0), day(1));
    for (query, expected) in [
        (format!("DateCreated={today}"), 2),
        (format!("DateCreated={tomorrow}"), 0),
        (format!("DateCreated>={today}"), 2),
        (format!("DateCreated%3E={tomorrow}"), 0),
        (format!("DateCreated<={today}"), 0),
        (format!("DateCreated%3C={tomorrow}"), 2),
        (format!("DateUpdated>={today}&DateUpdated<={tomorrow}&FriendlyName=full"), 1),
        ("FriendlyName=Full".to_owned(), 0),
        ("Status=completed".to_owned(), 0),
    ] {
        let path = format!("/2010-04-01/Accounts/{account}/Conferences.json?{query}");
        let found = get(&path).await["conferences"].as_array().unwrap().len();
        // A test that runs over midnight sees the other day.
        assert!(found == expected || day(0) != today, "{query}: {found}");
    }
}
