//! Every parameter of what is made and changed: it is taken, and what comes of it can be seen.

#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::time::Duration;

use e2e::{Answer, Asked, Origin, Server, until};
use serde_json::Value;
use sim::{Phone, tone};

const LIMIT: Duration = Duration::from_secs(20);
const URL: &str = "http://127.0.0.1:9/#rc=0";

/// Parameters of one kind of resource, each with what it is made with and what it is changed to.
type Both = &'static [(&'static str, &'static str, &'static str)];

#[rustfmt::skip]
const OF_APPLICATION: Both = &[
    ("FriendlyName", "one", "two"),
    ("ApiVersion", "2010-04-01", "2008-08-01"),
    ("VoiceUrl", "http://a.example/v", "http://b.example/v"),
    ("VoiceMethod", "GET", "POST"),
    ("VoiceFallbackUrl", "http://a.example/f", "http://b.example/f"),
    ("VoiceFallbackMethod", "GET", "POST"),
    ("StatusCallback", "http://a.example/s", "http://b.example/s"),
    ("StatusCallbackMethod", "GET", "POST"),
    ("VoiceCallerIdLookup", "true", "false"),
    ("SmsUrl", "http://a.example/m", "http://b.example/m"),
    ("SmsMethod", "GET", "POST"),
    ("SmsFallbackUrl", "http://a.example/n", "http://b.example/n"),
    ("SmsFallbackMethod", "GET", "POST"),
    ("SmsStatusCallback", "http://a.example/t", "http://b.example/t"),
    ("MessageStatusCallback", "http://a.example/u", "http://b.example/u"),
    ("PublicApplicationConnectEnabled", "true", "false"),
];
#[rustfmt::skip]
const OF_NUMBER: Both = &[
    ("FriendlyName", "one", "two"),
    ("ApiVersion", "2010-04-01", "2008-08-01"),
    ("VoiceUrl", "http://a.example/v", "http://b.example/v"),
    ("VoiceMethod", "GET", "POST"),
    ("VoiceFallbackUrl", "http://a.example/f", "http://b.example/f"),
    ("VoiceFallbackMethod", "GET", "POST"),
    ("VoiceApplicationSid", "{AP}", "{AQ}"),
    ("VoiceCallerIdLookup", "true", "false"),
    ("VoiceReceiveMode", "fax", "voice"),
    ("StatusCallback", "http://a.example/s", "http://b.example/s"),
    ("StatusCallbackMethod", "GET", "POST"),
    ("SmsUrl", "http://a.example/m", "http://b.example/m"),
    ("SmsMethod", "GET", "POST"),
    ("SmsFallbackUrl", "http://a.example/n", "http://b.example/n"),
    ("SmsFallbackMethod", "GET", "POST"),
    ("SmsApplicationSid", "{AP}", "{AQ}"),
    ("EmergencyStatus", "Active", "Inactive"),
    ("EmergencyAddressSid", "AD{0}", "AD{1}"),
    ("TrunkSid", "TK{0}", "TK{1}"),
    ("IdentitySid", "RI{0}", "RI{1}"),
    ("AddressSid", "AD{0}", "AD{1}"),
    ("BundleSid", "BU{0}", "BU{1}"),
];
#[rustfmt::skip]
const OF_DOMAIN: Both = &[
    ("DomainName", "one.example", "two.example"),
    ("FriendlyName", "one", "two"),
    ("VoiceUrl", "http://a.example/v", "http://b.example/v"),
    ("VoiceMethod", "GET", "POST"),
    ("VoiceFallbackUrl", "http://a.example/f", "http://b.example/f"),
    ("VoiceFallbackMethod", "GET", "POST"),
    ("VoiceStatusCallbackUrl", "http://a.example/s", "http://b.example/s"),
    ("VoiceStatusCallbackMethod", "GET", "POST"),
    ("SipRegistration", "true", "false"),
    ("EmergencyCallingEnabled", "true", "false"),
    ("Secure", "true", "false"),
    ("ByocTrunkSid", "BY{0}", "BY{1}"),
    ("EmergencyCallerSid", "PN{0}", "PN{1}"),
];
const OF_LIST: Both = &[("FriendlyName", "one", "two")];
#[rustfmt::skip]
const OF_ADDRESS: Both = &[
    ("FriendlyName", "one", "two"),
    ("IpAddress", "192.0.2.1", "198.51.100.1"),
    ("CidrPrefixLength", "24", "28"),
];

/// A server, and its two applications.
struct House {
    server: Server,
    applications: [String; 2],
}

impl House {
    async fn open() -> Self {
        let server = Server::start(&[]).await;
        let make = async || server.post("/Applications.json", &[]).await.text("sid");
        let applications = [make().await, make().await];
        Self { server, applications }
    }

    fn filled(&self, text: &str) -> String {
        let [one, two] = &self.applications;
        let text = text.replace("{AP}", one).replace("{AQ}", two);
        text.replace("{0}", &"0".repeat(32)).replace("{1}", &"1".repeat(32))
    }

    /// Makes one with the first values and more, changes it to the second ones, and returns its SID.
    async fn check(&self, path: &str, more: &[(&str, &str)], both: Both, changes: bool) -> String {
        let one: Vec<(&str, String)> = both.iter().map(|(n, v, _)| (*n, self.filled(v))).collect();
        let two: Vec<(&str, String)> = both.iter().map(|(n, _, v)| (*n, self.filled(v))).collect();
        let form: Vec<(&str, &str)> = one.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let made = self.server.post(&format!("{path}.json"), &[&form, more].concat()).await;
        assert_eq!(made.status, 201, "{path}: {made:?}");
        shown(path, &made, &one);
        let list = ["/Local", "/Mobile", "/TollFree"]
            .iter()
            .fold(path.to_owned(), |path, kind| path.replace(kind, ""));
        let at = format!("{list}/{}.json", made.text("sid"));
        if changes {
            let form: Vec<(&str, &str)> = two.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let changed = self.server.post(&at, &form).await;
            assert_eq!(changed.status, 200, "{at}: {changed:?}");
            shown(path, &changed, &two);
            shown(path, &self.server.get(&at).await, &two);
        }
        made.text("sid")
    }
}

/// A body has a field for each parameter, with its value.
#[track_caller]
fn shown(path: &str, answer: &Answer, values: &[(&str, String)]) {
    for (name, value) in values {
        let mut field = String::new();
        for letter in name.chars() {
            if letter.is_ascii_uppercase() && !field.is_empty() {
                field.push('_');
            }
            field.push(letter.to_ascii_lowercase());
        }
        let seen = &answer.body[&field];
        let seen = seen.as_str().map_or_else(|| seen.to_string(), str::to_owned);
        assert_eq!(seen, *value, "{path} {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_shown_as_it_was_told_and_as_it_was_changed() {
    let house = House::open().await;
    house.check("/Applications", &[], OF_APPLICATION, true).await;
    let numbers = "/IncomingPhoneNumbers";
    house.check(numbers, &[("AreaCode", "415")], OF_NUMBER, true).await;
    let mut last = String::new();
    for (kind, number) in
        [("Mobile", "+447700900000"), ("TollFree", "+18005550100"), ("Local", "+14155550107")]
    {
        let path = format!("{numbers}/{kind}");
        last = house.check(&path, &[("PhoneNumber", number)], OF_NUMBER, false).await;
    }
    house.check("/SIP/Domains", &[], OF_DOMAIN, true).await;
    let list = house.check("/SIP/CredentialLists", &[], OF_LIST, true).await;
    let credentials = format!("/SIP/CredentialLists/{list}/Credentials");
    let form = [("Username", "alice"), ("Password", "Strong-Password-1")];
    let made = house.server.post(&format!("{credentials}.json"), &form).await;
    assert_eq!(made.text("username"), "alice");
    let path = format!("{credentials}/{}.json", made.text("sid"));
    let changed = house.server.post(&path, &[("Password", "Strong-Password-2")]).await;
    assert_eq!(changed.status, 200);
    let list = house.check("/SIP/IpAccessControlLists", &[], OF_LIST, true).await;
    let addresses = format!("/SIP/IpAccessControlLists/{list}/IpAddresses");
    house.check(&addresses, &[], OF_ADDRESS, true).await;
    let account = house.server.ready("account_sid").to_owned();
    let path = format!("{numbers}/{last}.json");
    let kept = house.server.post(&path, &[("AccountSid", &account)]).await;
    assert_eq!(kept.text("account_sid"), account);
    let renamed = house.server.post(".json", &[("FriendlyName", "renamed")]).await;
    assert_eq!(renamed.text("friendly_name"), "renamed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_may_carry_all_that_twilio_s_may() {
    let server = Server::start(&[]).await;
    let sid = |prefix: &str| format!("{prefix}{}", "0".repeat(32));
    let (service, application, content) = (sid("MG"), sid("AP"), sid("HX"));
    let form = [
        ("To", "+14155550199"),
        ("From", "+14155550198"),
        ("MessagingServiceSid", &*service),
        ("Body", "hello"),
        ("MediaUrl", "http://a.example/p.png"),
        ("StatusCallback", URL),
        ("ApplicationSid", &application),
        ("ProvideFeedback", "true"),
        ("Attempt", "1"),
        ("ValidityPeriod", "60"),
        ("ForceDelivery", "true"),
        ("ContentRetention", "retain"),
        ("AddressRetention", "obfuscate"),
        ("SmartEncoded", "true"),
        ("TrafficType", "free"),
        ("ShortenUrls", "true"),
        ("ScheduleType", "fixed"),
        ("SendAsMms", "true"),
        ("RiskCheck", "enable"),
        ("ContentSid", &content),
        ("FallbackFrom", "+14155550197"),
        ("MaxPrice", "1"),
        ("PersistentAction", "mailto:x"),
        ("SendAt", "2030-01-01T00:00:00Z"),
        ("ContentVariables", "{}"),
        ("MessageIntent", "otp"),
    ];
    let made = server.post("/Messages.json", &form).await;
    assert_eq!((made.status, made.text("num_media")), (201, "1".to_owned()), "{made:?}");
    assert_eq!(made.text("messaging_service_sid"), service);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_id_is_told_its_code_behind_an_extension() {
    let origin = Origin::start().await;
    let server = Server::start(&[]).await;
    let phone = Phone::listen(Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap();
    assert!(phone.register(server.sip(), "+14155551234", LIMIT));
    let told = origin.url("/callback");
    let form = [
        ("PhoneNumber", "+14155551234"),
        ("FriendlyName", "desk"),
        ("CallDelay", "0"),
        ("Extension", "42"),
        ("StatusCallback", &told),
        ("StatusCallbackMethod", "GET"),
    ];
    let asked = server.post("/OutgoingCallerIds.json", &form).await;
    assert_eq!(asked.status, 200, "{asked:?}");
    until("the extension", async || phone.digits() == "42").await;
    phone.hang_up();
    let told = origin.wait_for("/callback", |told| told.method == "GET").await.unwrap();
    assert_eq!(told.param("CallSid"), asked.text("call_sid"));
}

/// What may go with a call or a participant that nothing comes of.
fn idle() -> Vec<(&'static str, String)> {
    let text = |name: &'static str, value: &str| (name, value.to_owned());
    vec![
        ("Byoc", format!("BY{}", "0".repeat(32))),
        text("CallReason", "a reason"),
        text("ClientNotificationUrl", URL),
        text("MachineDetection", "Enable"),
        text("MachineDetectionTimeout", "30"),
        text("MachineDetectionSpeechThreshold", "2400"),
        text("MachineDetectionSpeechEndThreshold", "1200"),
        text("MachineDetectionSilenceTimeout", "5000"),
        text("AmdStatusCallback", URL),
        text("AmdStatusCallbackMethod", "GET"),
        text("AsyncAmd", "true"),
        text("AsyncAmdStatusCallback", URL),
        text("AsyncAmdStatusCallbackMethod", "GET"),
        text("CallToken", "x"),
        text("Passports", "x"),
        text("RecordingConfigurationId", "x"),
        text("EmergencyName", "x"),
    ]
}

/// Sends a form with all of that.
async fn with_idle(server: &Server, path: &str, form: &[(&str, &str)]) -> Answer {
    let idle = idle();
    let idle: Vec<(&str, &str)> =
        idle.iter().map(|(name, value)| (*name, value.as_str())).collect();
    server.post(path, &[form, &idle].concat()).await
}

async fn by_get(origin: &Origin, path: &str, is_it: impl Fn(&Asked) -> bool) -> Asked {
    let told = origin.wait_for(path, is_it).await;
    let told = told.unwrap_or_else(|| panic!("{path} was not told: {:?}", origin.asked(path)));
    assert_eq!(told.method, "GET", "{path}");
    told
}

fn phone() -> Phone {
    Phone::listen(Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_made_and_changed_with_all_its_parameters() {
    let origin = Origin::start().await;
    let server = Server::start(&[]).await;
    let phone = phone();
    let [missing, told, recorded] =
        ["/missing", "/callback/call", "/callback/recording"].map(|path| origin.url(path));
    let fallback = origin.serves_twiml("/fallback", "<Pause length='60'/>");
    let form = [
        ("To", phone.uri.as_str()),
        ("From", "desk"),
        ("CallerId", "+14155550100"),
        ("Url", &missing),
        ("Method", "GET"),
        ("FallbackUrl", &fallback),
        ("FallbackMethod", "GET"),
        ("StatusCallback", &told),
        ("StatusCallbackMethod", "GET"),
        ("StatusCallbackEvent", "initiated"),
        ("StatusCallbackEvent", "answered completed"),
        ("SendDigits", "12"),
        ("Timeout", "20"),
        ("TimeLimit", "6"),
        ("SipAuthUsername", "desk"),
        ("SipAuthPassword", "secret"),
        ("Record", "true"),
        ("RecordingChannels", "dual"),
        ("RecordingTrack", "both"),
        ("RecordingStatusCallback", &recorded),
        ("RecordingStatusCallbackMethod", "GET"),
        ("RecordingStatusCallbackEvent", "in-progress completed"),
        ("Trim", "do-not-trim"),
    ];
    let call = with_idle(&server, "/Calls.json", &form).await;
    assert_eq!(call.status, 201, "{call:?}");
    by_get(&origin, "/missing", |_| true).await;
    assert_eq!(by_get(&origin, "/fallback", |_| true).await.param("ErrorCode"), "11200");
    assert!(phone.invitation().1.contains("+14155550100"), "{:?}", phone.invitation());
    until("the keys", async || phone.digits() == "12").await;
    let ended =
        by_get(&origin, "/callback/call", |told| told.param("CallStatus") == "completed").await;
    assert!((5..10).contains(&ended.param("CallDuration").parse::<u32>().unwrap()), "{ended:?}");
    let statuses: Vec<String> = origin
        .asked("/callback/call")
        .iter()
        .map(|told| told.param("CallStatus").to_owned())
        .collect();
    assert_eq!(statuses, ["queued", "in-progress", "completed"]);
    by_get(&origin, "/callback/recording", |told| told.param("RecordingStatus") == "in-progress")
        .await;
    let is_over = |told: &Asked| told.param("RecordingStatus") == "completed";
    let over = by_get(&origin, "/callback/recording", is_over).await;
    assert_eq!((over.param("RecordingChannels"), over.param("RecordingTrack")), ("2", "both"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_up_is_sent_elsewhere_and_told_of_elsewhere() {
    let origin = Origin::start().await;
    let server = Server::start(&[]).await;
    let phone = phone();
    let [voice, told] = ["/voice", "/callback"].map(|path| origin.url(path));
    let form = [("FriendlyName", "one"), ("VoiceUrl", voice.as_str()), ("VoiceMethod", "GET")];
    let application = server.post("/Applications.json", &form).await.text("sid");
    origin.answers("nobody", "");
    origin.serves_twiml("/first", "<Pause length='60'/>");
    let fallback = origin.serves_twiml("/fallback", "<Pause length='60'/>");
    let form = [("To", phone.uri.as_str()), ("From", "desk"), ("ApplicationSid", &application)];
    let call = server.post("/Calls.json", &form).await.text("sid");
    // The program of the application is nobody's here.
    by_get(&origin, "/voice", |_| true).await;
    let second = {
        phone.wait_over(LIMIT);
        let form = [
            ("To", phone.uri.as_str()),
            ("From", "desk"),
            ("Twiml", "<Response><Pause length='60'/></Response>"),
        ];
        server.post("/Calls.json", &form).await.text("sid")
    };
    let path = format!("/Calls/{second}.json");
    until("the second call", async || server.get(&path).await.text("status") == "in-progress")
        .await;
    let form = [
        ("Url", origin.url("/missing")),
        ("Method", "GET".to_owned()),
        ("FallbackUrl", fallback),
        ("FallbackMethod", "GET".to_owned()),
        ("StatusCallback", told),
        ("StatusCallbackMethod", "GET".to_owned()),
        ("TimeLimit", "60".to_owned()),
    ];
    let form: Vec<(&str, &str)> =
        form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(server.post(&path, &form).await.status, 200);
    by_get(&origin, "/missing", |_| true).await;
    by_get(&origin, "/fallback", |asked| asked.param("ErrorCode") == "11200").await;
    let third = origin.serves_twiml("/third", "<Pause length='60'/>");
    let redirect = format!("<Response><Redirect method='GET'>{third}</Redirect></Response>");
    assert_eq!(server.post(&path, &[("Twiml", &redirect)]).await.status, 200);
    by_get(&origin, "/third", |_| true).await;
    recorded(&server, &origin, &second).await;
    assert_eq!(server.post(&path, &[("Status", "completed")]).await.status, 200);
    by_get(&origin, "/callback", |told| told.param("CallStatus") == "completed").await;
    assert_ne!(call, second);
}

/// Records a call that is up, with every parameter.
async fn recorded(server: &Server, origin: &Origin, call: &str) {
    let callback = origin.url("/callback/recording");
    let form = [
        ("RecordingChannels", "dual"),
        ("RecordingTrack", "both"),
        ("RecordingStatusCallback", callback.as_str()),
        ("RecordingStatusCallbackMethod", "GET"),
        ("RecordingStatusCallbackEvent", "in-progress completed"),
        ("Trim", "do-not-trim"),
        ("RecordingConfigurationId", "x"),
    ];
    let list = format!("/Calls/{call}/Recordings");
    let made = server.post(&format!("{list}.json"), &form).await;
    assert_eq!((made.status, &made.body["channels"]), (201, &2.into()), "{made:?}");
    let one = format!("{list}/{}.json", made.text("sid"));
    let paused = server.post(&one, &[("Status", "paused"), ("PauseBehavior", "skip")]).await;
    assert_eq!(paused.text("status"), "paused");
    assert_eq!(server.post(&one, &[("Status", "in-progress")]).await.status, 200);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.post(&one, &[("Status", "stopped")]).await.status, 200);
    by_get(origin, "/callback/recording", |told| told.param("RecordingStatus") == "completed")
        .await;
    assert_eq!(server.delete(&one).await.status, 204);
    let gone = format!("/Recordings/{}.json?IncludeSoftDeleted=true", made.text("sid"));
    assert_eq!(server.get(&gone).await.text("status"), "deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_is_dialled_with_all_its_parameters() {
    let origin = Origin::start().await;
    let server = Server::start(&[]).await;
    let phones = [phone(), phone(), phone()];
    let place = "/Conferences/all/Participants.json";
    let plain =
        [("To", phones[0].uri.as_str()), ("From", "desk"), ("StartConferenceOnEnter", "false")];
    let first = server.post(place, &plain).await;
    assert_eq!(first.body["start_conference_on_enter"], Value::Bool(false));
    let urls =
        ["/wait", "/callback/call", "/callback/room", "/callback/recording", "/callback/leg"]
            .map(|path| origin.url(path));
    let [wait, call, room, recording, leg] = urls.each_ref().map(String::as_str);
    let coached = first.text("call_sid");
    let form = [
        ("To", phones[1].uri.as_str()),
        ("From", "desk"),
        ("CallerId", "+14155550100"),
        ("CallerDisplayName", "The Desk"),
        ("Label", "second"),
        ("Muted", "true"),
        ("Beep", "onExit"),
        ("Coaching", "true"),
        ("CallSidToCoach", &coached),
        ("StartConferenceOnEnter", "true"),
        ("EndConferenceOnExit", "true"),
        ("WaitUrl", wait),
        ("WaitMethod", "GET"),
        ("EarlyMedia", "false"),
        ("MaxParticipants", "2"),
        ("Region", "ie1"),
        ("JitterBufferSize", "small"),
        ("Timeout", "20"),
        ("TimeLimit", "3600"),
        ("SipAuthUsername", "desk"),
        ("SipAuthPassword", "secret"),
        ("StatusCallback", call),
        ("StatusCallbackMethod", "GET"),
        ("StatusCallbackEvent", "answered"),
        ("ConferenceStatusCallback", room),
        ("ConferenceStatusCallbackMethod", "GET"),
        ("ConferenceStatusCallbackEvent", "join end"),
        ("ConferenceRecord", "record-from-start"),
        ("ConferenceTrim", "do-not-trim"),
        ("ConferenceRecordingStatusCallback", recording),
        ("ConferenceRecordingStatusCallbackMethod", "GET"),
        ("ConferenceRecordingStatusCallbackEvent", "in-progress"),
        ("Record", "true"),
        ("RecordingChannels", "dual"),
        ("RecordingTrack", "both"),
        ("RecordingStatusCallback", leg),
        ("RecordingStatusCallbackMethod", "GET"),
        // A leg that was not heard leaves none.
        ("RecordingStatusCallbackEvent", "completed absent"),
        ("Trim", "do-not-trim"),
    ];
    // A room of its own: who is first decides what is said of the room.
    let apart: Vec<(&str, &str)> = form
        .iter()
        .copied()
        .filter(|(name, _)| {
            !["Coaching", "CallSidToCoach", "StartConferenceOnEnter"].contains(name)
        })
        .chain([("StartConferenceOnEnter", "false")])
        .collect();
    let other = "/Conferences/other/Participants.json";
    let made = with_idle(&server, other, &apart).await;
    assert_eq!(made.status, 201, "{made:?}");
    for (field, value) in [
        ("label", Value::from("second")),
        ("muted", true.into()),
        ("end_conference_on_exit", true.into()),
    ] {
        assert_eq!(made.body[field], value, "{field}");
    }
    by_get(&origin, "/wait", |_| true).await;
    let invited = phones[1].invitation().1;
    assert!(invited.contains("+14155550100"), "{invited}");
    by_get(&origin, "/callback/call", |told| told.param("CallStatus") == "in-progress").await;
    by_get(&origin, "/callback/room", |told| {
        told.param("StatusCallbackEvent") == "participant-join"
    })
    .await;
    let third = [("To", phones[2].uri.as_str()), ("From", "desk")];
    assert_eq!(server.post(other, &third).await.status, 201);
    by_get(&origin, "/callback/recording", |told| told.param("RecordingStatus") == "in-progress")
        .await;
    let conference =
        server.get(&format!("/Conferences/{}.json", made.text("conference_sid"))).await;
    assert_eq!(conference.text("region"), "ie1");
    let full = server.post(other, &plain).await;
    assert_eq!((full.status, &full.body["code"]), (400, &16020.into()));
    until("the first is there", async || phones[0].state() == sim::State::Up).await;
    phones[1].hang_up();
    assert!(phones[2].wait_over(LIMIT), "who leaves ends the conference");
    let legs = by_get(&origin, "/callback/leg", |_| true).await;
    assert_eq!(legs.param("RecordingChannels"), "2");
    let again = phone();
    let coach: Vec<(&str, &str)> = form
        .iter()
        .map(|(name, value)| (*name, if *name == "To" { again.uri.as_str() } else { value }))
        .collect();
    let coach = with_idle(&server, place, &coach).await;
    assert_eq!(coach.status, 201, "{coach:?}");
    let shown = (&coach.body["coaching"], &coach.body["call_sid_to_coach"]);
    assert_eq!(shown, (&true.into(), &coached.into()));
}
