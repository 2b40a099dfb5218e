//! Every path of Twilio's API 2010-04-01 and of our own, and what is built of it.
//!
//! Source: Twilio's OpenAPI description, version 2010-04-01; a test holds the table to it.

use axum::http::Method;
use node::NumberType;

use crate::resource::Table;
use crate::usage::Span;
use crate::{applications, sip};

/// What is built, by the name of its resource; one of a list has the singular.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// What is only kept, by its table.
    List(&'static Table),
    Item(&'static Table),
    Mappings(&'static Table),
    Mapping(&'static Table),
    SipList(&'static Table),
    Numbers(Option<NumberType>),
    Number,
    Countries,
    Country,
    Available(NumberType),
    SigningKeys,
    Balance,
    Usage(Span, &'static str),
    Messages,
    Message,
    Media,
    CallerIds,
    CallerId,
    Events,
    Accounts,
    Account,
    Calls,
    Call,
    Conferences,
    Conference,
    Participants,
    Participant,
    Recordings,
    Recording,
    ConferenceRecordings,
    ConferenceRecording,
    CallRecordings,
    CallRecording,
    Keys,
    Key,
    Notifications,
    Notification,
    Queues,
    Queue,
    QueueMembers,
    QueueMember,
    Audibility,
    Edges,
    Timeline,
    RecordingTimeline,
    Listen,
    Feed,
    Phones,
    Phone,
    Callbacks,
    Callback,
    CallbackReplay,
}

/// One path, and the methods that it has: `G`ET, `P`OST, `D`ELETE.
#[derive(Debug, PartialEq, Eq)]
pub struct Path {
    /// Below the account for what is Twilio's, from the root otherwise, without `.json`; a name in
    /// braces stands for any one segment.
    pub template: &'static str,
    methods: &'static str,
    built: Option<(Resource, &'static str)>,
}

/// A path with nothing behind it yet.
const fn waiting(template: &'static str, methods: &'static str) -> Path {
    Path { template, methods, built: None }
}

/// A path of which all methods are built.
const fn built(template: &'static str, methods: &'static str, resource: Resource) -> Path {
    Path { template, methods, built: Some((resource, methods)) }
}

/// What a request's path is.
#[derive(Debug)]
pub struct Found {
    /// The row of the table.
    pub path: &'static Path,
    /// Whose path it is; none where it names no account.
    pub account: Option<String>,
    /// The segments that stand for names in braces, in order.
    pub variables: Vec<String>,
}

const VERSION: &str = "2010-04-01";
/// What is ours, beside Twilio's.
const OURS: [&str; 2] = ["sidetone", "v1"];

static ACCOUNTS: Path = built("Accounts", "GP", Resource::Accounts);
static ACCOUNT: Path = built("Accounts/{AccountSid}", "GP", Resource::Account);

static OUR_PATHS: [Path; 11] = [
    built("sidetone/v1/Conferences/{ConferenceSid}/Audibility", "G", Resource::Audibility),
    built("sidetone/v1/Conferences/{ConferenceSid}/Participants/{CallSid}", "GP", Resource::Edges),
    built("sidetone/v1/Conferences/{ConferenceSid}/Timeline", "G", Resource::Timeline),
    built("sidetone/v1/Conferences/{ConferenceSid}/Listen", "G", Resource::Listen),
    built("sidetone/v1/Recordings/{Sid}/Timeline", "G", Resource::RecordingTimeline),
    built("sidetone/v1/Events", "G", Resource::Feed),
    built("sidetone/v1/Phones", "G", Resource::Phones),
    built("sidetone/v1/Phones/{PhoneNumber}", "GPD", Resource::Phone),
    built("sidetone/v1/Callbacks", "G", Resource::Callbacks),
    built("sidetone/v1/Callbacks/{Sid}", "G", Resource::Callback),
    built("sidetone/v1/Callbacks/{Sid}/Replay", "P", Resource::CallbackReplay),
];

/// Below an account: what is built first, then the rest, where a fixed segment comes before one
/// that may be any.
static PATHS: &[Path] = &[
    built("Conferences/{ConferenceSid}/Participants/{CallSid}", "GPD", Resource::Participant),
    built("Conferences/{ConferenceSid}/Participants", "GP", Resource::Participants),
    built("Conferences/{Sid}", "GP", Resource::Conference),
    built("Conferences", "G", Resource::Conferences),
    built("Calls/{Sid}", "GPD", Resource::Call),
    built("Calls", "GP", Resource::Calls),
    built("Calls/{CallSid}/Notifications/{Sid}", "G", Resource::Notification),
    built("Calls/{CallSid}/Notifications", "G", Resource::Notifications),
    built("Notifications/{Sid}", "G", Resource::Notification),
    built("Notifications", "G", Resource::Notifications),
    built("Conferences/{ConferenceSid}/Recordings/{Sid}", "GPD", Resource::ConferenceRecording),
    built("Conferences/{ConferenceSid}/Recordings", "G", Resource::ConferenceRecordings),
    built("Calls/{CallSid}/Recordings/{Sid}", "GPD", Resource::CallRecording),
    built("Calls/{CallSid}/Recordings", "GP", Resource::CallRecordings),
    built("Recordings/{Sid}", "GD", Resource::Recording),
    built("Recordings", "G", Resource::Recordings),
    built("Keys/{Sid}", "GPD", Resource::Key),
    built("Keys", "GP", Resource::Keys),
    built("Applications/{Sid}", "GPD", Resource::Item(&applications::TABLE)),
    built("Applications", "GP", Resource::List(&applications::TABLE)),
    built("IncomingPhoneNumbers/Local", "GP", Resource::Numbers(Some(NumberType::Local))),
    built("IncomingPhoneNumbers/Mobile", "GP", Resource::Numbers(Some(NumberType::Mobile))),
    built("IncomingPhoneNumbers/TollFree", "GP", Resource::Numbers(Some(NumberType::TollFree))),
    built("IncomingPhoneNumbers/{Sid}", "GPD", Resource::Number),
    built("IncomingPhoneNumbers", "GP", Resource::Numbers(None)),
    built("AvailablePhoneNumbers/{CountryCode}/Local", "G", Resource::Available(NumberType::Local)),
    built(
        "AvailablePhoneNumbers/{CountryCode}/Mobile",
        "G",
        Resource::Available(NumberType::Mobile),
    ),
    built(
        "AvailablePhoneNumbers/{CountryCode}/TollFree",
        "G",
        Resource::Available(NumberType::TollFree),
    ),
    built("AvailablePhoneNumbers/{CountryCode}", "G", Resource::Country),
    built("AvailablePhoneNumbers", "G", Resource::Countries),
    built("SigningKeys", "GP", Resource::SigningKeys),
    built("SigningKeys/{Sid}", "GPD", Resource::Key),
    built("Balance", "G", Resource::Balance),
    built("Usage/Records", "G", Resource::Usage(Span::Whole, "")),
    built("Usage/Records/AllTime", "G", Resource::Usage(Span::Whole, "/AllTime")),
    built("Usage/Records/Daily", "G", Resource::Usage(Span::Daily, "/Daily")),
    built("Usage/Records/LastMonth", "G", Resource::Usage(Span::LastMonth, "/LastMonth")),
    built("Usage/Records/Monthly", "G", Resource::Usage(Span::Monthly, "/Monthly")),
    built("Usage/Records/ThisMonth", "G", Resource::Usage(Span::ThisMonth, "/ThisMonth")),
    built("Usage/Records/Today", "G", Resource::Usage(Span::Today, "/Today")),
    built("Usage/Records/Yearly", "G", Resource::Usage(Span::Yearly, "/Yearly")),
    built("Usage/Records/Yesterday", "G", Resource::Usage(Span::Yesterday, "/Yesterday")),
    built("Messages", "GP", Resource::Messages),
    built("Messages/{Sid}", "GPD", Resource::Message),
    built("Messages/{MessageSid}/Media", "G", Resource::Media),
    built("OutgoingCallerIds", "GP", Resource::CallerIds),
    built("OutgoingCallerIds/{Sid}", "GPD", Resource::CallerId),
    built("Calls/{CallSid}/Events", "G", Resource::Events),
    built("SIP/CredentialLists", "GP", Resource::List(&sip::CREDENTIAL_LISTS)),
    built(
        "SIP/CredentialLists/{CredentialListSid}/Credentials",
        "GP",
        Resource::List(&sip::CREDENTIALS),
    ),
    built(
        "SIP/CredentialLists/{CredentialListSid}/Credentials/{Sid}",
        "GPD",
        Resource::Item(&sip::CREDENTIALS),
    ),
    built("SIP/CredentialLists/{Sid}", "GPD", Resource::SipList(&sip::CREDENTIAL_LISTS)),
    built("SIP/Domains", "GP", Resource::List(&sip::DOMAINS)),
    built(
        "SIP/Domains/{DomainSid}/Auth/Calls/CredentialListMappings",
        "GP",
        Resource::Mappings(&sip::CALLS_CREDENTIAL_MAPPINGS),
    ),
    built(
        "SIP/Domains/{DomainSid}/Auth/Calls/CredentialListMappings/{Sid}",
        "GD",
        Resource::Mapping(&sip::CALLS_CREDENTIAL_MAPPINGS),
    ),
    built(
        "SIP/Domains/{DomainSid}/Auth/Calls/IpAccessControlListMappings",
        "GP",
        Resource::Mappings(&sip::CALLS_IP_MAPPINGS),
    ),
    built(
        "SIP/Domains/{DomainSid}/Auth/Calls/IpAccessControlListMappings/{Sid}",
        "GD",
        Resource::Mapping(&sip::CALLS_IP_MAPPINGS),
    ),
    built(
        "SIP/Domains/{DomainSid}/Auth/Registrations/CredentialListMappings",
        "GP",
        Resource::Mappings(&sip::REGISTRATIONS_CREDENTIAL_MAPPINGS),
    ),
    built(
        "SIP/Domains/{DomainSid}/Auth/Registrations/CredentialListMappings/{Sid}",
        "GD",
        Resource::Mapping(&sip::REGISTRATIONS_CREDENTIAL_MAPPINGS),
    ),
    built(
        "SIP/Domains/{DomainSid}/CredentialListMappings",
        "GP",
        Resource::Mappings(&sip::CREDENTIAL_MAPPINGS),
    ),
    built(
        "SIP/Domains/{DomainSid}/CredentialListMappings/{Sid}",
        "GD",
        Resource::Mapping(&sip::CREDENTIAL_MAPPINGS),
    ),
    built(
        "SIP/Domains/{DomainSid}/IpAccessControlListMappings",
        "GP",
        Resource::Mappings(&sip::IP_MAPPINGS),
    ),
    built(
        "SIP/Domains/{DomainSid}/IpAccessControlListMappings/{Sid}",
        "GD",
        Resource::Mapping(&sip::IP_MAPPINGS),
    ),
    built("SIP/Domains/{Sid}", "GPD", Resource::Item(&sip::DOMAINS)),
    built("SIP/IpAccessControlLists", "GP", Resource::List(&sip::IP_LISTS)),
    built(
        "SIP/IpAccessControlLists/{IpAccessControlListSid}/IpAddresses",
        "GP",
        Resource::List(&sip::IP_ADDRESSES),
    ),
    built(
        "SIP/IpAccessControlLists/{IpAccessControlListSid}/IpAddresses/{Sid}",
        "GPD",
        Resource::Item(&sip::IP_ADDRESSES),
    ),
    built("SIP/IpAccessControlLists/{Sid}", "GPD", Resource::SipList(&sip::IP_LISTS)),
    built("Queues/{QueueSid}/Members/{CallSid}", "GP", Resource::QueueMember),
    built("Queues/{QueueSid}/Members", "G", Resource::QueueMembers),
    built("Queues/{Sid}", "GPD", Resource::Queue),
    built("Queues", "GP", Resource::Queues),
    waiting("Addresses", "GP"),
    waiting("Addresses/{AddressSid}/DependentPhoneNumbers", "G"),
    waiting("Addresses/{Sid}", "GPD"),
    waiting("AuthorizedConnectApps", "G"),
    waiting("AuthorizedConnectApps/{ConnectAppSid}", "G"),
    waiting("AvailablePhoneNumbers/{CountryCode}/MachineToMachine", "G"),
    waiting("AvailablePhoneNumbers/{CountryCode}/National", "G"),
    waiting("AvailablePhoneNumbers/{CountryCode}/SharedCost", "G"),
    waiting("AvailablePhoneNumbers/{CountryCode}/Voip", "G"),
    waiting("Calls/{CallSid}/Payments", "P"),
    waiting("Calls/{CallSid}/Payments/{Sid}", "P"),
    waiting("Calls/{CallSid}/Siprec", "P"),
    waiting("Calls/{CallSid}/Siprec/{Sid}", "P"),
    waiting("Calls/{CallSid}/Streams", "P"),
    waiting("Calls/{CallSid}/Streams/{Sid}", "P"),
    waiting("Calls/{CallSid}/Transcriptions", "P"),
    waiting("Calls/{CallSid}/Transcriptions/{Sid}", "P"),
    waiting("Calls/{CallSid}/UserDefinedMessageSubscriptions", "P"),
    waiting("Calls/{CallSid}/UserDefinedMessageSubscriptions/{Sid}", "D"),
    waiting("Calls/{CallSid}/UserDefinedMessages", "P"),
    waiting("ConnectApps", "G"),
    waiting("ConnectApps/{Sid}", "GPD"),
    waiting("IncomingPhoneNumbers/{ResourceSid}/AssignedAddOns", "GP"),
    waiting("IncomingPhoneNumbers/{ResourceSid}/AssignedAddOns/{AssignedAddOnSid}/Extensions", "G"),
    waiting(
        "IncomingPhoneNumbers/{ResourceSid}/AssignedAddOns/{AssignedAddOnSid}/Extensions/{Sid}",
        "G",
    ),
    waiting("IncomingPhoneNumbers/{ResourceSid}/AssignedAddOns/{Sid}", "GD"),
    waiting("Messages/{MessageSid}/Feedback", "P"),
    waiting("Messages/{MessageSid}/Media/{Sid}", "GD"),
    waiting("Recordings/{RecordingSid}/Transcriptions", "G"),
    waiting("Recordings/{RecordingSid}/Transcriptions/{Sid}", "GD"),
    waiting("Recordings/{ReferenceSid}/AddOnResults", "G"),
    waiting("Recordings/{ReferenceSid}/AddOnResults/{AddOnResultSid}/Payloads", "G"),
    waiting(
        "Recordings/{ReferenceSid}/AddOnResults/{AddOnResultSid}/Payloads/{PayloadSid}/Data",
        "G",
    ),
    waiting("Recordings/{ReferenceSid}/AddOnResults/{AddOnResultSid}/Payloads/{Sid}", "GD"),
    waiting("Recordings/{ReferenceSid}/AddOnResults/{Sid}", "GD"),
    waiting("SIP", ""),
    waiting("SIP/Domains/{DomainSid}/Auth", ""),
    waiting("SIP/Domains/{DomainSid}/Auth/Calls", ""),
    waiting("SIP/Domains/{DomainSid}/Auth/Registrations", ""),
    waiting("SMS/ShortCodes", "G"),
    waiting("SMS/ShortCodes/{Sid}", "GP"),
    waiting("Tokens", "P"),
    waiting("Transcriptions", "G"),
    waiting("Transcriptions/{Sid}", "GD"),
    waiting("Usage", ""),
    waiting("Usage/Triggers", "GP"),
    waiting("Usage/Triggers/{Sid}", "GPD"),
];

impl Path {
    /// Returns what answers this method; nothing where Twilio has the method and we do not yet.
    pub fn resource(&self, method: &Method) -> Option<Resource> {
        let (resource, methods) = self.built?;
        methods.contains(letter(method)?).then_some(resource)
    }

    /// Whether the path has this method, built or not.
    pub fn allows(&self, method: &Method) -> bool {
        // A path of Twilio's with no method of its own is only the parent of others.
        self.methods.is_empty() || letter(method).is_some_and(|one| self.methods.contains(one))
    }

    /// Returns the methods for `Allow`.
    pub fn allowed(&self) -> String {
        let all = [("GET, HEAD", 'G'), ("POST", 'P'), ("DELETE", 'D')];
        let mut words: Vec<&str> = all
            .iter()
            .filter(|(_, one)| self.methods.contains(*one))
            .map(|(word, _)| *word)
            .collect();
        words.push("OPTIONS");
        words.join(", ")
    }
}

fn letter(method: &Method) -> Option<char> {
    match *method {
        Method::GET | Method::HEAD => Some('G'),
        Method::POST => Some('P'),
        Method::DELETE => Some('D'),
        _ => None,
    }
}

/// Whether a method of a path of Twilio's is built; the path is one of the table's.
pub fn is_built(method: &Method, template: &str) -> bool {
    let mut all = PATHS.iter().chain([&ACCOUNTS, &ACCOUNT]);
    all.any(|path| path.template == template && path.resource(method).is_some())
}

/// Finds the row for a path's segments, which are decoded and without `.json`.
pub fn find(segments: &[String]) -> Option<Found> {
    let words: Vec<&str> = segments.iter().map(String::as_str).collect();
    let found = |path, account: Option<&str>, variables| {
        Some(Found { path, account: account.map(str::to_owned), variables })
    };
    match words[..] {
        [VERSION, "Accounts"] => found(&ACCOUNTS, None, Vec::new()),
        [VERSION, "Accounts", sid] if !sid.is_empty() => found(&ACCOUNT, Some(sid), Vec::new()),
        [VERSION, "Accounts", sid, ref below @ ..] => {
            let (path, variables) = first(PATHS, below)?;
            found(path, Some(sid), variables)
        }
        [ours, version, ..] if [ours, version] == OURS => {
            let (path, variables) = first(&OUR_PATHS, &words)?;
            found(path, None, variables)
        }
        _ => None,
    }
}

fn first(table: &'static [Path], words: &[&str]) -> Option<(&'static Path, Vec<String>)> {
    table.iter().find_map(|path| Some((path, variables(path.template, words)?)))
}

/// Returns what stands for the names in braces, if the segments are those of the template.
fn variables(template: &str, words: &[&str]) -> Option<Vec<String>> {
    let mut variables = Vec::new();
    let mut words = words.iter();
    for expected in template.split('/') {
        let word = words.next()?;
        if expected.starts_with('{') {
            if word.is_empty() {
                return None;
            }
            variables.push((*word).to_owned());
        } else if *word != expected {
            return None;
        }
    }
    words.next().is_none().then_some(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_with_its_variables() {
        for (path, expected) in [
            ("2010-04-01/Accounts", "Accounts"),
            ("2010-04-01/Accounts/AC1", "Accounts/{AccountSid} of AC1"),
            ("2010-04-01/Accounts/AC1/Calls/CA1", "Calls/{Sid} of AC1 CA1"),
            (
                "2010-04-01/Accounts/AC1/IncomingPhoneNumbers/Local",
                "IncomingPhoneNumbers/Local of AC1",
            ),
            (
                "2010-04-01/Accounts/AC1/IncomingPhoneNumbers/PN1",
                "IncomingPhoneNumbers/{Sid} of AC1 PN1",
            ),
            (
                "sidetone/v1/Conferences/CF1/Listen",
                "sidetone/v1/Conferences/{ConferenceSid}/Listen CF1",
            ),
            ("2010-04-01/Accounts/", ""),
            ("2010-04-01/Accounts/AC1/", ""),
            ("2010-04-01/Accounts/AC1//Calls", ""),
            ("2010-04-01/Accounts/AC1/Calls/", ""),
            ("2010-04-01/Accounts/AC1/Calls/CA1/Nothing", ""),
            ("2008-08-01/Accounts/AC1/Calls", ""),
            ("sidetone/v1", ""),
            ("", ""),
        ] {
            let segments: Vec<String> = path.split('/').map(str::to_owned).collect();
            let found = find(&segments).map(|found| {
                let account = found.account.map(|sid| format!(" of {sid}")).unwrap_or_default();
                let rest: String = found.variables.iter().map(|word| format!(" {word}")).collect();
                format!("{}{account}{rest}", found.path.template)
            });
            assert_eq!(found.unwrap_or_default(), expected, "{path}");
        }
    }

    #[test]
    fn a_row_says_which_methods_it_has_and_which_are_built() {
        assert_eq!(ACCOUNT.allowed(), "GET, HEAD, POST, OPTIONS");
        assert_eq!(ACCOUNT.resource(&Method::HEAD), Some(Resource::Account));
        assert!(ACCOUNT.allows(&Method::POST) && !ACCOUNT.allows(&Method::DELETE));
        assert!(!ACCOUNT.allows(&Method::PUT));
        let addresses = PATHS.iter().find(|path| path.template == "Addresses").unwrap();
        assert!(addresses.allows(&Method::GET) && addresses.resource(&Method::GET).is_none());
    }

    #[test]
    fn no_row_hides_another() {
        let tables = [PATHS, &OUR_PATHS];
        for path in tables.into_iter().flatten() {
            let words: Vec<&str> = path.template.split('/').collect();
            let (found, _) = first(PATHS, &words).or_else(|| first(&OUR_PATHS, &words)).unwrap();
            assert_eq!(found, path);
        }
    }
}
