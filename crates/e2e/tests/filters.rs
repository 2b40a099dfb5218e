//! Every list, by each of its filters, and page by page in both ways.

#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;

use e2e::{Server, until};
use serde_json::Value;
use sim::{Phone, tone};

/// A list below the account; the name of its items; filters that leave something and filters that leave nothing.
type List = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

/// What became is after this day, and not before it.
const BORN: &str = "2021-01-01";

#[rustfmt::skip]
const LISTS: &[List] = &[
    ("Applications", "applications", &["FriendlyName=golden"], &["FriendlyName=silver"]),
    ("Calls", "calls",
        &["To={TO}", "From=desk", "Status=in-progress", "StartTime%3E={BORN}", "EndTime%3E={BORN}"],
        &["To=x", "From=x", "Status=busy", "ParentCallSid={CALL}", "StartTime={BORN}", "StartTime%3C={BORN}",
            "EndTime={BORN}", "EndTime%3C={BORN}"]),
    ("Calls/{CALL}/Events", "events", &[], &[]),
    ("Calls/{CALL}/Notifications", "notifications", &["Log=0", "MessageDate%3E={BORN}"],
        &["Log=1", "MessageDate={BORN}", "MessageDate%3C={BORN}"]),
    ("Calls/{CALL}/Recordings", "recordings", &["DateCreated%3E={BORN}"],
        &["DateCreated={BORN}", "DateCreated%3C={BORN}"]),
    ("Conferences", "conferences",
        &["FriendlyName=hall", "Status=in-progress", "DateCreated%3E={BORN}", "DateUpdated%3E={BORN}"],
        &["FriendlyName=Hall", "Status=completed", "DateCreated={BORN}", "DateCreated%3C={BORN}", "DateUpdated={BORN}",
            "DateUpdated%3C={BORN}"]),
    ("Conferences/{CF}/Participants", "participants", &["Muted=true", "Hold=true", "Coaching=true"], &[]),
    ("Conferences/{CF}/Recordings", "recordings", &["DateCreated%3E={BORN}"],
        &["DateCreated={BORN}", "DateCreated%3C={BORN}"]),
    ("IncomingPhoneNumbers", "incoming_phone_numbers",
        &["Beta=false", "FriendlyName=golden", "PhoneNumber=%2B1415*", "Origin=twilio"],
        &["Beta=true", "FriendlyName=silver", "PhoneNumber=%2B49*", "Origin=hosted"]),
    ("IncomingPhoneNumbers/Local", "incoming_phone_numbers",
        &["Beta=false", "FriendlyName=golden", "PhoneNumber=%2B1415*", "Origin=twilio"],
        &["Beta=true", "FriendlyName=silver", "PhoneNumber=%2B44*", "Origin=hosted"]),
    ("IncomingPhoneNumbers/Mobile", "incoming_phone_numbers",
        &["Beta=false", "FriendlyName=golden", "PhoneNumber=%2B447*", "Origin=twilio"],
        &["Beta=true", "FriendlyName=silver", "PhoneNumber=%2B1*", "Origin=hosted"]),
    ("IncomingPhoneNumbers/TollFree", "incoming_phone_numbers",
        &["Beta=false", "FriendlyName=golden", "PhoneNumber=%2B1800*", "Origin=twilio"],
        &["Beta=true", "FriendlyName=silver", "PhoneNumber=%2B44*", "Origin=hosted"]),
    ("Keys", "keys", &[], &[]),
    ("SigningKeys", "signing_keys", &[], &[]),
    ("Messages", "messages", &["To=%2B14155550199", "From=%2B14155550198", "DateSent%3E={BORN}"],
        &["To=x", "From=x", "DateSent={BORN}", "DateSent%3C={BORN}"]),
    ("Notifications", "notifications", &["Log=0", "MessageDate%3E={BORN}"],
        &["Log=1", "MessageDate={BORN}", "MessageDate%3C={BORN}"]),
    ("OutgoingCallerIds", "outgoing_caller_ids", &["PhoneNumber={NUMBER}", "FriendlyName=golden"],
        &["PhoneNumber=x", "FriendlyName=silver"]),
    ("Queues", "queues", &[], &[]),
    ("Queues/{QU}/Members", "queue_members", &[], &[]),
    ("Recordings", "recordings",
        &["DateCreated%3E={BORN}", "CallSid={CALL}", "ConferenceSid={CF}", "IncludeSoftDeleted=true"],
        &["DateCreated={BORN}", "DateCreated%3C={BORN}"]),
    ("SIP/CredentialLists", "credential_lists", &[], &[]),
    ("SIP/CredentialLists/{CL}/Credentials", "credentials", &[], &[]),
    ("SIP/Domains", "domains", &[], &[]),
    ("SIP/Domains/{SD}/Auth/Calls/CredentialListMappings", "contents", &[], &[]),
    ("SIP/Domains/{SD}/Auth/Calls/IpAccessControlListMappings", "contents", &[], &[]),
    ("SIP/Domains/{SD}/Auth/Registrations/CredentialListMappings", "contents", &[], &[]),
    ("SIP/Domains/{SD}/CredentialListMappings", "credential_list_mappings", &[], &[]),
    ("SIP/Domains/{SD}/IpAccessControlListMappings", "ip_access_control_list_mappings", &[], &[]),
    ("SIP/IpAccessControlLists", "ip_access_control_lists", &[], &[]),
    ("SIP/IpAccessControlLists/{AL}/IpAddresses", "ip_addresses", &[], &[]),
    ("Usage/Records", "usage_records", USED, UNUSED),
    ("Usage/Records/AllTime", "usage_records", USED, UNUSED),
    ("Usage/Records/Daily", "usage_records", USED, UNUSED),
    ("Usage/Records/LastMonth", "usage_records", USED, UNUSED),
    ("Usage/Records/Monthly", "usage_records", USED, UNUSED),
    ("Usage/Records/ThisMonth", "usage_records", USED, UNUSED),
    ("Usage/Records/Today", "usage_records", USED, UNUSED),
    ("Usage/Records/Yearly", "usage_records", USED, UNUSED),
    ("Usage/Records/Yesterday", "usage_records", USED, UNUSED),
];
const USED: &[&str] = &[
    "Category=calls",
    "StartDate={BORN}",
    "StartDate=-1days&EndDate=%2B1days",
    "IncludeSubaccounts=false",
];
const UNUSED: &[&str] = &["Category=wishes"];

/// A server with something of everything, and what names it.
struct House {
    server: Server,
    names: Vec<(&'static str, String)>,
    _phones: Vec<Phone>,
}

impl House {
    async fn open() -> Self {
        let server = Server::start(&[]).await;
        let phones: Vec<Phone> =
            (0..5).map(|_| Phone::listen(Ipv4Addr::LOCALHOST.into(), tone(500)).unwrap()).collect();
        let mut house = Self { server, names: vec![("{BORN}", BORN.to_owned())], _phones: phones };
        house.rooms().await;
        house.call().await;
        house.kept().await;
        house.sip().await;
        house
    }

    fn filled(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    async fn made(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let made = self.server.post(&format!("/{path}.json"), form).await;
        assert!(matches!(made.status, 200 | 201), "{path}: {made:?}");
        made.body
    }

    fn name(&mut self, name: &'static str, value: &Value) {
        self.names.push((name, value.as_str().unwrap().to_owned()));
    }

    /// Two rooms, of which one has two, of whom one is muted, held and coaches.
    async fn rooms(&mut self) {
        let uris: Vec<String> = self._phones.iter().map(|phone| phone.uri.clone()).collect();
        let seat = async |room: &str, to: &str| {
            let form = [("From", "desk"), ("To", to), ("ConferenceRecord", "true")];
            self.made(&format!("Conferences/{room}/Participants"), &form).await
        };
        let first = seat("hall", &uris[0]).await;
        let second = seat("hall", &uris[1]).await;
        seat("cell", &uris[2]).await;
        let conference = first["conference_sid"].as_str().unwrap().to_owned();
        let list = format!("/Conferences/{conference}/Recordings.json");
        until("the recording of the room", async || {
            !self.server.get(&list).await.body["recordings"][0].is_null()
        })
        .await;
        let one = second["call_sid"].as_str().unwrap();
        let form = [
            ("Muted", "true"),
            ("Hold", "true"),
            ("CallSidToCoach", first["call_sid"].as_str().unwrap()),
        ];
        self.made(&format!("Conferences/{conference}/Participants/{one}"), &form).await;
        self.name("{CF}", &first["conference_sid"]);
        self.names.push(("{TO}", uris[0].clone()));
    }

    /// A call that is over, with events, a notification and a recording; another waits in a queue.
    async fn call(&mut self) {
        let [over, waits] = [3, 4].map(|index: usize| self._phones[index].uri.clone());
        let form = [
            ("From", "desk"),
            ("To", &*over),
            ("Url", "http://127.0.0.1:9/#rc=0"),
            ("Record", "true"),
            ("Trim", "do-not-trim"),
            ("StatusCallback", "http://127.0.0.1:9/#rc=0"),
            ("StatusCallbackEvent", "initiated ringing answered completed"),
        ];
        let call = self.made("Calls", &form).await;
        self.name("{CALL}", &call["sid"]);
        let queue = self.made("Queues", &[("FriendlyName", "line")]).await;
        self.made("Queues", &[("FriendlyName", "other line")]).await;
        self.name("{QU}", &queue["sid"]);
        let wait = "<Response><Enqueue waitUrl=''>line</Enqueue></Response>";
        self.made("Calls", &[("From", "desk"), ("To", &waits), ("Twiml", wait)]).await;
        let path = self.filled("/Queues/{QU}.json");
        let server = &self.server;
        until("a call in the queue", async || server.get(&path).await.body["current_size"] == 1)
            .await;
        for (path, name) in [("Recordings", "recordings"), ("Notifications", "notifications")] {
            let path = self.filled(&format!("/Calls/{{CALL}}/{path}.json"));
            until(name, async || !server.get(&path).await.body[name][0].is_null()).await;
        }
        let path = self.filled("/Calls/{CALL}.json");
        until("the end", async || server.get(&path).await.text("status") == "completed").await;
    }

    async fn kept(&mut self) {
        let name = ("FriendlyName", "golden");
        for path in ["Applications", "Applications", "Keys", "Keys"] {
            self.made(path, &[name]).await;
        }
        let mut number = Value::Null;
        for (kind, numbers) in [
            ("Mobile", ["+447700900000", "+447700900001"]),
            ("TollFree", ["+18005550100", "+18005550101"]),
            ("Local", ["+14155550100", "+14155550101"]),
        ] {
            for one in numbers {
                let path = format!("IncomingPhoneNumbers/{kind}");
                number = self.made(&path, &[name, ("PhoneNumber", one)]).await;
            }
        }
        let number = number["phone_number"].as_str().unwrap().to_owned();
        for number in [&*number, "+14155550100"] {
            self.made("OutgoingCallerIds", &[name, ("PhoneNumber", number)]).await;
        }
        self.names.push(("{NUMBER}", number.replace('+', "%2B")));
        for body in ["one", "two"] {
            let form = [("From", "+14155550198"), ("To", "+14155550199"), ("Body", body)];
            let made = self.made("Messages", &form).await;
            if body == "two" {
                self.name("{SM}", &made["sid"]);
            }
        }
    }

    async fn sip(&mut self) {
        let mut lists = Vec::new();
        for path in ["SIP/CredentialLists", "SIP/IpAccessControlLists"] {
            for name in ["one", "two"] {
                lists.push(self.made(path, &[("FriendlyName", name)]).await["sid"].clone());
            }
        }
        self.name("{CL}", &lists[0]);
        self.name("{AL}", &lists[2]);
        for (name, address) in [("alice", "192.0.2.1"), ("bob", "192.0.2.2")] {
            let form = [("Username", name), ("Password", "Strong-Password-1")];
            self.made(&self.filled("SIP/CredentialLists/{CL}/Credentials"), &form).await;
            let form = [("FriendlyName", name), ("IpAddress", address)];
            self.made(&self.filled("SIP/IpAccessControlLists/{AL}/IpAddresses"), &form).await;
        }
        for name in ["other.example", "filters.example"] {
            let domain = self.made("SIP/Domains", &[("DomainName", name)]).await;
            self.names.retain(|(name, _)| *name != "{SD}");
            self.name("{SD}", &domain["sid"]);
        }
        let lists: Vec<&str> = lists.iter().map(|sid| sid.as_str().unwrap()).collect();
        for (below, name, of) in [
            ("Auth/Calls/CredentialListMappings", "CredentialListSid", 0),
            ("Auth/Calls/IpAccessControlListMappings", "IpAccessControlListSid", 2),
            ("Auth/Registrations/CredentialListMappings", "CredentialListSid", 0),
        ] {
            for sid in &lists[of..of + 2] {
                self.made(&self.filled(&format!("SIP/Domains/{{SD}}/{below}")), &[(name, sid)])
                    .await;
            }
        }
    }

    /// Returns a list without what grows with time.
    async fn get(&self, path: &str) -> Value {
        let mut got = self.server.get(&self.filled(path)).await;
        assert_eq!(got.status, 200, "{path}: {got:?}");
        for list in got.body.as_object_mut().unwrap().values_mut() {
            for item in list.as_array_mut().into_iter().flatten() {
                for field in ["as_of", "average_wait_time", "wait_time"] {
                    item.as_object_mut().unwrap().remove(field);
                }
            }
        }
        got.body
    }

    /// Returns what is wrong with a list.
    async fn faults(&self, (path, name, some, none): &List) -> Vec<String> {
        let mut faults = Vec::new();
        let items = |body: &Value| body[*name].as_array().unwrap().len();
        for (filters, leaves) in [(some, true), (none, false)] {
            for filter in *filters {
                let body = self.get(&format!("/{path}.json?{filter}")).await;
                let echoed =
                    body["uri"].as_str().unwrap().contains(filter.split('=').next().unwrap());
                if (items(&body) > 0) != leaves || !echoed {
                    faults.push(format!(
                        "{path} by {filter} has {}: {}",
                        items(&body),
                        body["uri"]
                    ));
                }
            }
        }
        let all = self.get(&format!("/{path}.json")).await;
        let first = self.get(&format!("/{path}.json?PageSize=1&Page=0")).await;
        if items(&all) == 0 || items(&first) != 1 || first[*name][0] != all[*name][0] {
            faults.push(format!("the first page of {path} is {first}"));
        }
        let account = self.server.ready("account_sid");
        let below = |uri: &Value| {
            let (_, path) = uri.as_str().unwrap_or_default().split_once(account)?;
            Some(path.to_owned())
        };
        let Some(next) = below(&first["next_page_uri"]) else {
            let only = &first[*name][0];
            let sid = ["sid", "call_sid"].iter().find_map(|field| only[*field].as_str());
            let token = format!("PA{}", sid.unwrap_or("0"));
            let past = self.get(&format!("/{path}.json?PageSize=1&Page=1&PageToken={token}")).await;
            if items(&all) != 1 || items(&past) != 0 {
                faults.push(format!("{path} has no second page of {} items", items(&all)));
            }
            return faults;
        };
        let second = self.get(&next).await;
        let back = self.get(&below(&second["previous_page_uri"]).unwrap()).await;
        if second[*name][0] != all[*name][1] || back[*name] != first[*name] {
            faults.push(format!("the second page of {path} is {second}, and back {back}"));
        }
        faults
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_filtered_and_turned_page_by_page() {
    let house = House::open().await;
    let mut faults = Vec::new();
    for list in LISTS {
        faults.extend(house.faults(list).await);
    }
    for filter in [
        "",
        "?DateCreated={BORN}",
        "?DateCreated%3C={BORN}",
        "?DateCreated%3E={BORN}",
        "?PageSize=1&Page=0",
    ] {
        let body = house.get(&format!("/Messages/{{SM}}/Media.json{filter}")).await;
        if body["media_list"] != Value::Array(Vec::new()) {
            faults.push(format!("pictures: {body}"));
        }
    }
    let root = async |path: &str| house.server.get_from_root(path).await.body;
    let accounts =
        root("/2010-04-01/Accounts.json?FriendlyName=Sidetone&Status=active&PageSize=1").await;
    let sid = house.server.ready("account_sid");
    if accounts["accounts"][0]["sid"] != sid {
        faults.push(format!("accounts: {accounts}"));
    }
    let past = format!("/2010-04-01/Accounts.json?PageSize=1&Page=1&PageToken=PA{sid}");
    if root(&past).await["accounts"] != Value::Array(Vec::new()) {
        faults.push("there is a second account".to_owned());
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Filters of the stock that leave something of each kind, and those that leave nothing.
#[rustfmt::skip]
const STOCK: [(&str, &[&str], &[&str]); 3] = [
    ("US/Local",
        &["AreaCode=415", "Contains=415", "NearNumber=%2B14155550100", "NearLatLong=37.77,-122.41&Distance=5",
            "InRegion=CA", "InLocality=Oakland", "InRateCenter=OAKLAND", "InPostalCode={POSTAL}", "InLata={LATA}"],
        &["AreaCode=999", "Contains=000000", "NearLatLong=0,0", "InRegion=XX", "InLocality=x", "InRateCenter=x",
            "InPostalCode=x", "InLata=x"]),
    ("GB/Mobile", &["Contains=4477"],
        &["AreaCode=999", "Contains=000000", "NearLatLong=0,0", "NearNumber=%2B14155550100&Distance=1", "InRegion=XX",
            "InLocality=x", "InRateCenter=x", "InPostalCode=x", "InLata=x"]),
    ("US/TollFree", &["Contains=800"],
        &["AreaCode=999", "Contains=000000", "NearLatLong=0,0", "NearNumber=%2B14155550100&Distance=1", "InRegion=XX",
            "InLocality=x", "InRateCenter=x", "InPostalCode=x", "InLata=x"]),
];
/// The same of every kind.
const OF_ALL: (&[&str], &[&str]) = (
    &[
        "SmsEnabled=true",
        "MmsEnabled=true",
        "VoiceEnabled=true",
        "FaxEnabled=false",
        "Beta=true",
        "ExcludeAllAddressRequired=true",
        "ExcludeLocalAddressRequired=true",
        "ExcludeForeignAddressRequired=true",
        "PageSize=1",
        "Page=0",
        "PageToken=PA0",
    ],
    &["SmsEnabled=false", "MmsEnabled=false", "VoiceEnabled=false", "FaxEnabled=true"],
);

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_of_the_stock_is_applied() {
    let server = Server::start(&[]).await;
    let list = async |path: &str| {
        let got = server.get(&format!("/AvailablePhoneNumbers/{path}")).await;
        assert_eq!(got.status, 200, "{path}: {got:?}");
        got.body["available_phone_numbers"].as_array().unwrap().clone()
    };
    let one = list("US/Local.json?AreaCode=415").await.remove(0);
    let text = |field: &str| one[field].as_str().unwrap().to_owned();
    let mut faults = Vec::new();
    for (kind, some, none) in STOCK {
        for (filters, leaves) in [(some, true), (none, false), (OF_ALL.0, true), (OF_ALL.1, false)]
        {
            for filter in filters {
                let filter = filter
                    .replace("{POSTAL}", &text("postal_code"))
                    .replace("{LATA}", &text("lata"));
                let found = list(&format!("{kind}.json?{filter}")).await;
                if found.is_empty() == leaves {
                    faults.push(format!("{kind} by {filter} has {}", found.len()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let countries = server.get("/AvailablePhoneNumbers.json?PageSize=5&Page=0&PageToken=PA0").await;
    assert_eq!(countries.body["countries"][0]["country_code"], "US");
}
