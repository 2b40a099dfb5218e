//! Bodies are golden: each operation's answer against the examples and the schema that Twilio
//! publishes, and every path of Twilio's against what this server says to it.

#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;

use e2e::{Answer, Login, OpenApi, Origin, Server};
use serde_json::Value;
use sim::{Phone, tone};

const BASE: &str = "/2010-04-01/Accounts/{AccountSid}";

/// Operations that are built, by path below the account.
const BUILT: &[(&str, &str)] = &[
    ("/Applications.json", "GET POST"),
    ("/Balance.json", "GET"),
    ("/Calls/{CallSid}/Events.json", "GET"),
    ("/Messages.json", "GET POST"),
    ("/Messages/{MessageSid}/Media.json", "GET"),
    ("/Messages/{Sid}.json", "GET POST DELETE"),
    ("/OutgoingCallerIds.json", "GET POST"),
    ("/OutgoingCallerIds/{Sid}.json", "GET POST DELETE"),
    ("/SigningKeys.json", "GET POST"),
    ("/SigningKeys/{Sid}.json", "GET POST DELETE"),
    ("/SIP/CredentialLists.json", "GET POST"),
    ("/SIP/CredentialLists/{CredentialListSid}/Credentials.json", "GET POST"),
    ("/SIP/CredentialLists/{CredentialListSid}/Credentials/{Sid}.json", "GET POST DELETE"),
    ("/SIP/CredentialLists/{Sid}.json", "GET POST DELETE"),
    ("/SIP/Domains.json", "GET POST"),
    ("/SIP/Domains/{DomainSid}/Auth/Calls/CredentialListMappings.json", "GET POST"),
    ("/SIP/Domains/{DomainSid}/Auth/Calls/CredentialListMappings/{Sid}.json", "GET DELETE"),
    ("/SIP/Domains/{DomainSid}/Auth/Calls/IpAccessControlListMappings.json", "GET POST"),
    ("/SIP/Domains/{DomainSid}/Auth/Calls/IpAccessControlListMappings/{Sid}.json", "GET DELETE"),
    ("/SIP/Domains/{DomainSid}/Auth/Registrations/CredentialListMappings.json", "GET POST"),
    ("/SIP/Domains/{DomainSid}/Auth/Registrations/CredentialListMappings/{Sid}.json", "GET DELETE"),
    ("/SIP/Domains/{DomainSid}/CredentialListMappings.json", "GET POST"),
    ("/SIP/Domains/{DomainSid}/CredentialListMappings/{Sid}.json", "GET DELETE"),
    ("/SIP/Domains/{DomainSid}/IpAccessControlListMappings.json", "GET POST"),
    ("/SIP/Domains/{DomainSid}/IpAccessControlListMappings/{Sid}.json", "GET DELETE"),
    ("/SIP/Domains/{Sid}.json", "GET POST DELETE"),
    ("/SIP/IpAccessControlLists.json", "GET POST"),
    ("/SIP/IpAccessControlLists/{IpAccessControlListSid}/IpAddresses.json", "GET POST"),
    (
        "/SIP/IpAccessControlLists/{IpAccessControlListSid}/IpAddresses/{Sid}.json",
        "GET POST DELETE",
    ),
    ("/SIP/IpAccessControlLists/{Sid}.json", "GET POST DELETE"),
    ("/Usage/Records.json", "GET"),
    ("/Usage/Records/AllTime.json", "GET"),
    ("/Usage/Records/Daily.json", "GET"),
    ("/Usage/Records/LastMonth.json", "GET"),
    ("/Usage/Records/Monthly.json", "GET"),
    ("/Usage/Records/ThisMonth.json", "GET"),
    ("/Usage/Records/Today.json", "GET"),
    ("/Usage/Records/Yearly.json", "GET"),
    ("/Usage/Records/Yesterday.json", "GET"),
    ("/Applications/{Sid}.json", "GET POST DELETE"),
    ("/AvailablePhoneNumbers.json", "GET"),
    ("/AvailablePhoneNumbers/{CountryCode}.json", "GET"),
    ("/AvailablePhoneNumbers/{CountryCode}/Local.json", "GET"),
    ("/AvailablePhoneNumbers/{CountryCode}/Mobile.json", "GET"),
    ("/AvailablePhoneNumbers/{CountryCode}/TollFree.json", "GET"),
    ("/IncomingPhoneNumbers.json", "GET POST"),
    ("/IncomingPhoneNumbers/Local.json", "GET POST"),
    ("/IncomingPhoneNumbers/Mobile.json", "GET POST"),
    ("/IncomingPhoneNumbers/TollFree.json", "GET POST"),
    ("/IncomingPhoneNumbers/{Sid}.json", "GET POST DELETE"),
    ("/Calls.json", "GET POST"),
    ("/Calls/{Sid}.json", "GET POST DELETE"),
    ("/Calls/{CallSid}/Notifications.json", "GET"),
    ("/Calls/{CallSid}/Notifications/{Sid}.json", "GET"),
    ("/Calls/{CallSid}/Recordings.json", "GET POST"),
    ("/Calls/{CallSid}/Recordings/{Sid}.json", "GET POST DELETE"),
    ("/Conferences/{ConferenceSid}/Recordings.json", "GET"),
    ("/Conferences/{ConferenceSid}/Recordings/{Sid}.json", "GET POST DELETE"),
    ("/Recordings.json", "GET"),
    ("/Recordings/{Sid}.json", "GET DELETE"),
    ("/Conferences.json", "GET"),
    ("/Conferences/{Sid}.json", "GET POST"),
    ("/Conferences/{ConferenceSid}/Participants.json", "GET POST"),
    ("/Conferences/{ConferenceSid}/Participants/{CallSid}.json", "GET POST DELETE"),
    ("/Keys.json", "GET POST"),
    ("/Keys/{Sid}.json", "GET POST DELETE"),
    ("/Notifications.json", "GET"),
    ("/Notifications/{Sid}.json", "GET"),
    ("/Queues.json", "GET POST"),
    ("/Queues/{Sid}.json", "GET POST DELETE"),
    ("/Queues/{QueueSid}/Members.json", "GET"),
    ("/Queues/{QueueSid}/Members/{CallSid}.json", "GET POST"),
];

/// A running server and the description that its answers are held to.
struct Golden {
    openapi: &'static OpenApi,
    server: Server,
    faults: Vec<String>,
    checked: Vec<String>,
}

impl Golden {
    /// Asks, holds the answer to the operation at `template`, and returns it.
    async fn check(
        &mut self,
        method: &str,
        template: &str,
        path: &str,
        form: &[(&str, &str)],
    ) -> Answer {
        let answer = match method {
            "GET" => self.server.get(path).await,
            "POST" => self.server.post(path, form).await,
            _ => self.server.delete(path).await,
        };
        self.hold(method, &format!("{BASE}{template}"), &answer);
        answer
    }

    fn hold(&mut self, method: &str, template: &str, answer: &Answer) {
        let faults = self.openapi.faults(method, template, answer.status, &answer.body);
        let told = faults.iter().map(|fault| format!("{method} {template}: {fault}"));
        self.faults.extend(told);
        self.checked.push(format!("{method} {template}"));
    }

    /// Asks until the answer is as it should be.
    async fn wait(&self, path: &str, enough: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..400 {
            let body = self.server.get(path).await.body;
            if enough(&body) {
                return body;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        panic!("{path} did not become as it should");
    }

    async fn participants(&mut self, phones: &[Phone]) -> (String, String) {
        const ALL: &str = "/Conferences/{ConferenceSid}/Participants.json";
        const ONE: &str = "/Conferences/{ConferenceSid}/Participants/{CallSid}.json";
        let mut conference = String::new();
        for (phone, label) in phones.iter().zip(["first", "second one"]) {
            let form = [
                ("From", "golden"),
                ("To", &phone.uri),
                ("Label", label),
                ("ConferenceRecord", "record-from-start"),
                ("Trim", "do-not-trim"),
            ];
            let made =
                self.check("POST", ALL, "/Conferences/golden/Participants.json", &form).await;
            conference = made.text("conference_sid");
        }
        let all = format!("/Conferences/{conference}/Participants.json");
        let connected = |one: &Value| one["status"] == "connected";
        self.wait(&all, |body| {
            let members = body["participants"].as_array().unwrap();
            members.len() == 2 && members.iter().all(connected)
        })
        .await;
        let listed = self.check("GET", ALL, &all, &[]).await;
        self.check("GET", ALL, &format!("{all}?PageSize=1&Muted=false"), &[]).await;
        self.check("GET", ALL, &format!("{all}?Hold=true"), &[]).await;
        let call = listed.body["participants"][0]["call_sid"].as_str().unwrap().to_owned();
        let other = listed.body["participants"][1]["call_sid"].as_str().unwrap().to_owned();
        let one = format!("/Conferences/{conference}/Participants/{call}.json");
        self.check("GET", ONE, &one, &[]).await;
        let by_label = format!("/Conferences/{conference}/Participants/second%20one.json");
        let by_label = self.check("GET", ONE, &by_label, &[]).await;
        assert_eq!(by_label.text("call_sid"), call);
        let coach = [("Coaching", "true"), ("CallSidToCoach", other.as_str()), ("Muted", "true")];
        self.check("POST", ONE, &one, &coach).await;
        self.check("POST", ONE, &one, &[("Coaching", "false"), ("Hold", "true")]).await;
        self.check("DELETE", ONE, &one, &[]).await;
        (conference, other)
    }

    async fn conferences(&mut self, conference: &str, announcement: &str) {
        const ONE: &str = "/Conferences/{Sid}.json";
        let path = format!("/Conferences/{conference}.json");
        self.check("GET", ONE, &path, &[]).await;
        self.check("GET", "/Conferences.json", "/Conferences.json", &[]).await;
        let none = "/Conferences.json?FriendlyName=nobody&DateCreated%3E=2021-01-01";
        self.check("GET", "/Conferences.json", none, &[]).await;
        self.check("POST", ONE, &path, &[("AnnounceUrl", announcement)]).await;
        self.check("POST", ONE, &path, &[("Status", "completed")]).await;
        self.check("GET", ONE, &path, &[]).await;
        let gone = format!("/Conferences/{conference}/Participants.json");
        let template = "/Conferences/{ConferenceSid}/Participants.json";
        self.check("GET", template, &gone, &[]).await;
    }

    async fn calls(&mut self, phone: &Phone, missing: &str) {
        const ONE: &str = "/Calls/{Sid}.json";
        let pause = "<Response><Pause length='60'/></Response>";
        let form = [("From", "golden"), ("To", phone.uri.as_str()), ("Twiml", pause)];
        let made = self.check("POST", "/Calls.json", "/Calls.json", &form).await;
        let path = format!("/Calls/{}.json", made.text("sid"));
        self.wait(&path, |body| body["status"] == "in-progress").await;
        self.check("GET", ONE, &path, &[]).await;
        self.call_recordings(&made.text("sid")).await;
        // Its document is not there: the call says so and ends, and the log has an entry.
        self.check("POST", ONE, &path, &[("Url", missing)]).await;
        let logged = format!("/Calls/{}/Notifications.json", made.text("sid"));
        let some = |body: &Value| body["notifications"].as_array().is_some_and(|n| !n.is_empty());
        self.wait(&logged, some).await;
        self.server.post(&path, &[("Status", "completed")]).await;
        self.wait(&path, |body| body["status"] == "completed").await;
        self.check("GET", ONE, &path, &[]).await;
        self.check("GET", "/Calls.json", "/Calls.json?PageSize=1", &[]).await;
        self.check("GET", "/Calls.json", "/Calls.json?Status=busy", &[]).await;
        self.notifications(&logged).await;
        self.check("DELETE", ONE, &path, &[]).await;
        assert_eq!(self.server.get(&path).await.status, 404);
    }

    async fn notifications(&mut self, of_call: &str) {
        let listed = self.check("GET", "/Notifications.json", "/Notifications.json", &[]).await;
        let entries = listed.body["notifications"].as_array().unwrap();
        let failed = entries.iter().find(|entry| entry["error_code"] == "11200");
        let sid = failed.expect("a missing document is 11200")["sid"].as_str().unwrap().to_owned();
        let none = "/Notifications.json?Log=1&MessageDate%3C=2001-01-01";
        self.check("GET", "/Notifications.json", none, &[]).await;
        let one = format!("/Notifications/{sid}.json");
        self.check("GET", "/Notifications/{Sid}.json", &one, &[]).await;
        self.check("GET", "/Calls/{CallSid}/Notifications.json", of_call, &[]).await;
        let one = of_call.replace(".json", &format!("/{sid}.json"));
        self.check("GET", "/Calls/{CallSid}/Notifications/{Sid}.json", &one, &[]).await;
    }

    /// The recording of the conference, while it runs.
    async fn conference_recording(&mut self, conference: &str) {
        const ALL: &str = "/Conferences/{ConferenceSid}/Recordings.json";
        const ONE: &str = "/Conferences/{ConferenceSid}/Recordings/{Sid}.json";
        let all = format!("/Conferences/{conference}/Recordings.json");
        let listed = self.check("GET", ALL, &all, &[]).await;
        let sid = listed.body["recordings"][0]["sid"].as_str().unwrap().to_owned();
        let one = format!("/Conferences/{conference}/Recordings/{sid}.json");
        let current = format!("/Conferences/{conference}/Recordings/Twilio.CURRENT.json");
        self.check("GET", ONE, &one, &[]).await;
        let paused = [("Status", "paused"), ("PauseBehavior", "skip")];
        self.check("POST", ONE, &current, &paused).await;
        self.check("POST", ONE, &one, &[("Status", "in-progress")]).await;
        self.check("POST", ONE, &one, &[("Status", "stopped")]).await;
        let over = |body: &Value| body["status"] == "completed" || body["status"] == "absent";
        self.wait(&one, over).await;
        self.check("GET", ONE, &one, &[]).await;
        self.check("GET", "/Recordings.json", "/Recordings.json?PageSize=1", &[]).await;
        let of_room =
            format!("/Recordings.json?ConferenceSid={conference}&DateCreated%3E=2021-01-01");
        let listed = self.check("GET", "/Recordings.json", &of_room, &[]).await;
        assert_eq!(listed.body["recordings"].as_array().unwrap().len(), 1);
        let none = "/Recordings.json?DateCreated%3C=2021-01-01";
        self.check("GET", "/Recordings.json", none, &[]).await;
        self.check("DELETE", ONE, &one, &[]).await;
        assert_eq!(self.server.get(&one).await.status, 404);
        let deleted = "/Recordings.json?IncludeSoftDeleted=true";
        self.check("GET", "/Recordings.json", deleted, &[]).await;
    }

    /// Recordings of a call that is up.
    async fn call_recordings(&mut self, call: &str) {
        const ALL: &str = "/Calls/{CallSid}/Recordings.json";
        const ONE: &str = "/Calls/{CallSid}/Recordings/{Sid}.json";
        let all = format!("/Calls/{call}/Recordings.json");
        self.check("GET", ALL, &all, &[]).await;
        for channels in ["dual", "mono"] {
            let form = [("RecordingChannels", channels), ("PlayBeep", "true")];
            let made = self.check("POST", ALL, &all, &form).await;
            let one = format!("/Calls/{call}/Recordings/{}.json", made.text("sid"));
            self.check("POST", ONE, &one, &[("Status", "paused")]).await;
            self.check("POST", ONE, &one, &[("Status", "stopped")]).await;
            self.wait(&one, |body| body["status"] == "completed" || body["status"] == "absent")
                .await;
            self.check("GET", ONE, &one, &[]).await;
            self.check("GET", ALL, &format!("{all}?PageSize=5"), &[]).await;
            let anywhere = format!("/Recordings/{}.json", made.text("sid"));
            self.check("GET", "/Recordings/{Sid}.json", &anywhere, &[]).await;
            if channels == "dual" {
                self.check("DELETE", ONE, &one, &[]).await;
            } else {
                self.check("DELETE", "/Recordings/{Sid}.json", &anywhere, &[]).await;
            }
        }
    }

    /// Makes, reads, changes and deletes a resource that is only kept; `list` is its template.
    async fn kept(
        &mut self,
        list: &str,
        path: &str,
        form: &[(&str, &str)],
        change: &[(&str, &str)],
    ) {
        let at = format!("{path}.json");
        let template = format!("{list}.json");
        self.check("GET", &template, &at, &[]).await;
        let made = self.check("POST", &template, &at, form).await;
        self.check("GET", &template, &format!("{at}?PageSize=1"), &[]).await;
        let one = format!("{path}/{}.json", made.text("sid"));
        let template = format!("{list}/{{Sid}}.json");
        self.check("GET", &template, &one, &[]).await;
        if !change.is_empty() {
            self.check("POST", &template, &one, change).await;
        }
        self.check("DELETE", &template, &one, &[]).await;
    }

    async fn numbers(&mut self) {
        let url = "http://127.0.0.1:9/voice";
        let form = [("FriendlyName", "golden"), ("VoiceUrl", url), ("SmsUrl", url)];
        self.kept("/Applications", "/Applications", &form, &[("StatusCallback", url)]).await;
        let numbers = "/AvailablePhoneNumbers";
        self.check("GET", &format!("{numbers}.json"), &format!("{numbers}.json"), &[]).await;
        let country = format!("{numbers}/{{CountryCode}}");
        self.check("GET", &format!("{country}.json"), &format!("{numbers}/US.json"), &[]).await;
        for (kind, of) in [("Local", "US"), ("Mobile", "GB"), ("TollFree", "US"), ("Mobile", "US")]
        {
            let path = format!("{numbers}/{of}/{kind}.json");
            self.check("GET", &format!("{country}/{kind}.json"), &path, &[]).await;
        }
        let numbers = "/IncomingPhoneNumbers";
        for (kind, number) in
            [("Local", "+14155550100"), ("Mobile", "+447700900000"), ("TollFree", "+18005550100")]
        {
            let path = format!("{numbers}/{kind}.json");
            self.check("GET", &path, &path, &[]).await;
            self.check("POST", &path, &path, &[("PhoneNumber", number), ("VoiceUrl", url)]).await;
            self.check("GET", &path, &path, &[]).await;
        }
        let form = [("AreaCode", "415"), ("VoiceUrl", url)];
        self.kept(numbers, numbers, &form, &[("VoiceUrl", "")]).await;
    }

    async fn beside(&mut self) {
        self.check("GET", "/Balance.json", "/Balance.json", &[]).await;
        let form = [("FriendlyName", "golden")];
        self.kept("/SigningKeys", "/SigningKeys", &form, &[("FriendlyName", "renamed")]).await;
        let below = ["", "/AllTime", "/Daily", "/LastMonth", "/Monthly", "/ThisMonth", "/Today"];
        for below in below.into_iter().chain(["/Yearly", "/Yesterday"]) {
            let template = format!("/Usage/Records{below}.json");
            let path = format!("{template}?Category=calls&PageSize=1");
            self.check("GET", &template, &path, &[]).await;
            self.check("GET", &template, &format!("{template}?Category=none"), &[]).await;
        }
        let form = [("From", "+14155550199"), ("To", "+14155550198"), ("Body", "golden")];
        self.kept("/Messages", "/Messages", &form, &[("Body", "")]).await;
        let sid = self.server.post("/Messages.json", &form).await.text("sid");
        let path = format!("/Messages/{sid}/Media.json");
        self.check("GET", "/Messages/{MessageSid}/Media.json", &path, &[]).await;
        let number = self.server.post("/IncomingPhoneNumbers.json", &[("AreaCode", "212")]).await;
        let list = "/OutgoingCallerIds.json";
        self.check("GET", list, list, &[]).await;
        let form = [("PhoneNumber", &*number.text("phone_number")), ("FriendlyName", "golden")];
        let asked = self.check("POST", list, list, &form).await;
        let listed = self.check("GET", list, list, &[]).await;
        let sid = listed.body["outgoing_caller_ids"][0]["sid"].as_str().unwrap().to_owned();
        let (one, template) =
            (format!("/OutgoingCallerIds/{sid}.json"), "/OutgoingCallerIds/{Sid}.json");
        self.check("GET", template, &one, &[]).await;
        self.check("POST", template, &one, &[("FriendlyName", "renamed")]).await;
        self.check("DELETE", template, &one, &[]).await;
        let path = format!("/Calls/{}/Events.json", asked.text("call_sid"));
        self.check("GET", "/Calls/{CallSid}/Events.json", &path, &[]).await;
    }

    async fn sip(&mut self) {
        let (credentials, addresses) = ("/SIP/CredentialLists", "/SIP/IpAccessControlLists");
        let name = [("FriendlyName", "golden")];
        let mut lists = Vec::new();
        for list in [credentials, addresses] {
            self.kept(list, list, &name, &name).await;
            lists.push(self.server.post(&format!("{list}.json"), &name).await.text("sid"));
        }
        let template = format!("{credentials}/{{CredentialListSid}}/Credentials");
        let path = format!("{credentials}/{}/Credentials", lists[0]);
        let password = [("Password", "Golden-Password-1")];
        let form = [("Username", "golden"), password[0]];
        self.kept(&template, &path, &form, &password).await;
        let template = format!("{addresses}/{{IpAccessControlListSid}}/IpAddresses");
        let path = format!("{addresses}/{}/IpAddresses", lists[1]);
        let form = [name[0], ("IpAddress", "192.0.2.1")];
        self.kept(&template, &path, &form, &[("CidrPrefixLength", "24")]).await;
        let url = [("VoiceUrl", "http://127.0.0.1:9/voice")];
        let form = [("DomainName", "golden.example"), url[0]];
        self.kept("/SIP/Domains", "/SIP/Domains", &form, &url).await;
        let domain = self.server.post("/SIP/Domains.json", &form).await.text("sid");
        for below in ["", "/Auth/Calls", "/Auth/Registrations"] {
            for (index, (name, parameter)) in [
                ("CredentialListMappings", "CredentialListSid"),
                ("IpAccessControlListMappings", "IpAccessControlListSid"),
            ]
            .into_iter()
            .enumerate()
            {
                if below.ends_with("Registrations") && index == 1 {
                    continue;
                }
                let template = format!("/SIP/Domains/{{DomainSid}}{below}/{name}");
                let path = format!("/SIP/Domains/{domain}{below}/{name}");
                self.kept(&template, &path, &[(parameter, &*lists[index])], &[]).await;
            }
        }
    }

    async fn queues(&mut self, phone: &Phone, document: &str) {
        const ONE: &str = "/Queues/{Sid}.json";
        const MEMBERS: &str = "/Queues/{QueueSid}/Members.json";
        const MEMBER: &str = "/Queues/{QueueSid}/Members/{CallSid}.json";
        self.check("GET", "/Queues.json", "/Queues.json", &[]).await;
        let form = [("FriendlyName", "golden"), ("MaxSize", "3")];
        let made = self.check("POST", "/Queues.json", "/Queues.json", &form).await;
        self.server.post("/Queues.json", &[("FriendlyName", "second")]).await;
        self.check("GET", "/Queues.json", "/Queues.json?PageSize=1", &[]).await;
        let path = format!("/Queues/{}.json", made.text("sid"));
        self.check("GET", ONE, &path, &[]).await;
        self.check("POST", ONE, &path, &[("FriendlyName", "renamed"), ("MaxSize", "100")]).await;
        let members = path.replace(".json", "/Members.json");
        self.check("GET", MEMBERS, &members, &[]).await;
        let wait = "<Response><Enqueue waitUrl=''>renamed</Enqueue></Response>";
        let form = [("From", "golden"), ("To", phone.uri.as_str()), ("Twiml", wait)];
        let call = self.server.post("/Calls.json", &form).await.text("sid");
        self.wait(&path, |body| body["current_size"] == 1).await;
        self.check("GET", MEMBERS, &members, &[]).await;
        let member = path.replace(".json", &format!("/Members/{call}.json"));
        self.check("GET", MEMBER, &member, &[]).await;
        let front = path.replace(".json", "/Members/Front.json");
        self.check("GET", MEMBER, &front, &[]).await;
        self.check("POST", MEMBER, &front, &[("Url", document), ("Method", "GET")]).await;
        self.check("DELETE", ONE, &path, &[]).await;
        assert_eq!(self.server.get(&path).await.status, 404);
    }

    async fn keys(&mut self) {
        self.check("GET", "/Keys.json", "/Keys.json", &[]).await;
        let made =
            self.check("POST", "/Keys.json", "/Keys.json", &[("FriendlyName", "golden")]).await;
        let path = format!("/Keys/{}.json", made.text("sid"));
        self.check("GET", "/Keys.json", "/Keys.json", &[]).await;
        self.check("GET", "/Keys/{Sid}.json", &path, &[]).await;
        self.check("POST", "/Keys/{Sid}.json", &path, &[("FriendlyName", "renamed")]).await;
        self.check("DELETE", "/Keys/{Sid}.json", &path, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_body_is_as_twilio_s_examples_and_schemas_have_it() {
    let openapi = OpenApi::read();
    let origin = Origin::start().await;
    let sound = origin.serves("/announce", "audio/wav", sound::wav(&e2e::tone(440, 2_500.0)));
    let server = Server::start(&[]).await;
    let phones: Vec<Phone> =
        (0..3).map(|_| Phone::listen(Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap()).collect();
    let mut golden = Golden { openapi, server, faults: Vec::new(), checked: Vec::new() };
    let account = golden.check("GET", "/Calls.json", "/Calls.json", &[]).await;
    assert_eq!(account.body["end"], 0);
    let fetched = golden.server.get(".json").await;
    golden.hold("GET", "/2010-04-01/Accounts/{Sid}.json", &fetched);
    let login = Login {
        user: golden.server.ready("account_sid").to_owned(),
        secret: golden.server.ready("auth_token").to_owned(),
    };
    let path = "/2010-04-01/Accounts.json";
    let made = golden.server.ask_as(&login, "POST", path, &[("FriendlyName", "golden")]).await;
    golden.hold("POST", path, &made);
    let path = format!("/2010-04-01/Accounts/{}.json", made.text("sid"));
    let updated = golden.server.ask_as(&login, "POST", &path, &[("Status", "suspended")]).await;
    golden.hold("POST", "/2010-04-01/Accounts/{Sid}.json", &updated);
    for query in ["", "?FriendlyName=Sidetone&Status=active", "?Status=closed"] {
        let path = format!("/2010-04-01/Accounts.json{query}");
        let listed = golden.server.get_from_root(&path).await;
        golden.hold("GET", "/2010-04-01/Accounts.json", &listed);
    }
    let (conference, _) = golden.participants(&phones[..2]).await;
    golden.conference_recording(&conference).await;
    golden.conferences(&conference, &sound).await;
    golden.calls(&phones[2], &origin.url("/missing")).await;
    golden.keys().await;
    golden.numbers().await;
    golden.beside().await;
    golden.sip().await;
    let phone = Phone::listen(Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap();
    golden.queues(&phone, &origin.url("/missing")).await;
    assert!(golden.faults.is_empty(), "{}", golden.faults.join("\n"));
    for (path, methods) in BUILT {
        for method in methods.split(' ') {
            let operation = format!("{method} {BASE}{path}");
            assert!(golden.checked.contains(&operation), "{operation} was not checked");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_of_twilio_s_is_built_or_says_that_it_is_not() {
    let openapi = OpenApi::read();
    let server = Server::start(&[]).await;
    let mut faults = Vec::new();
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let absent = docs.split("## What is not there").nth(1).unwrap();
    let absent = absent.split("## ").next().unwrap();
    let paths = openapi.paths();
    assert!(paths.len() > 100);
    for (template, methods) in &paths {
        let built = match *template {
            "/2010-04-01/Accounts.json" | "/2010-04-01/Accounts/{Sid}.json" => "GET POST",
            _ => {
                let below = template.strip_prefix(BASE).unwrap();
                BUILT.iter().find(|(path, _)| *path == below).map_or("", |(_, methods)| *methods)
            }
        };
        let path = filled(template, server.ready("account_sid"));
        let mut said = |what: String| faults.push(format!("{what} {template}"));
        for method in ["GET", "POST", "DELETE", "PUT", "PATCH"] {
            let response = server.request(method, &path).send().await.unwrap();
            let status = response.status().as_u16();
            let allow =
                response.headers().get("allow").map(|value| value.to_str().unwrap().to_owned());
            let text = response.text().await.unwrap();
            let body: Value = serde_json::from_str(&text).unwrap_or_default();
            let code = body["code"].as_u64().unwrap_or_default();
            let message = body["message"].as_str().unwrap_or_default();
            let has = methods.is_empty() || methods.iter().any(|one| one == method);
            if !has {
                let all = allow.unwrap_or_default();
                if (status, code) != (405, 20004)
                    || methods.iter().any(|one| !all.contains(one.as_str()))
                {
                    said(format!("{status}/{code}, Allow {all:?} for {method}"));
                }
            } else if built.contains(method) {
                if matches!(status, 405 | 501) || status >= 500 {
                    said(format!("{status}/{code} for the built {method}"));
                }
            } else {
                let mut last =
                    template.trim_end_matches(".json").split('/').filter(|w| !w.starts_with('{'));
                let name = last.next_back().unwrap();
                if (status, code) != (501, 20501)
                    || !message.contains(name)
                    || !message.contains(method)
                    || !message.ends_with("see docs/compatibility.md")
                    || !absent.contains(name)
                {
                    said(format!("{status}/{code} {message:?} for {method}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Puts SIDs that nobody has for the names in braces.
fn filled(template: &str, account: &str) -> String {
    let path = template.replace("/Accounts/{Sid}", &format!("/Accounts/{account}"));
    let path = path.replace("{AccountSid}", account);
    let mut filled = String::new();
    let mut rest = path.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap();
        let above = before.rsplit('/').nth(1).unwrap_or_default();
        let prefix = match (name, above) {
            ("CallSid", _) | ("Sid", "Calls") => "CA",
            ("ConferenceSid", _) | ("Sid", "Conferences") => "CF",
            ("Sid", "Keys") => "SK",
            ("Sid", "Notifications") => "NO",
            ("Sid", "Recordings") => "RE",
            ("CountryCode", _) => {
                filled.push_str(before);
                filled.push_str("US");
                rest = after;
                continue;
            }
            ("QueueSid", _) | ("Sid", "Queues") => "QU",
            _ => "XX",
        };
        filled.push_str(before);
        filled.push_str(&format!("{prefix}{}", "0".repeat(32)));
        rest = after;
    }
    filled + rest
}
