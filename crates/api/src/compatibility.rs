//! The one table of what there is of Twilio: operations and parameters here, TwiML and callbacks below.
//!
//! `docs/compatibility.md` is written from it, and checks hold it to what the code does and to what tests send.

mod callbacks;
mod twiml;

use axum::http::Method;

use crate::paths;

pub use callbacks::{CALLBACKS, Callback, kind_of};
pub use twiml::{ELEMENTS, Element};

/// How much of something there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As on Twilio.
    Supported,
    /// There, and different: how.
    Differs(&'static str),
    /// Taken and ignored, or absent.
    Not,
}

/// What is said of these parameters of these operations.
type Row = (&'static [&'static str], &'static [&'static str], Verdict);

const CHECKED: Verdict = Verdict::Differs("checked; nothing comes of it");
const KEPT: Verdict = Verdict::Differs("kept and shown; nothing comes of it");

const NUMBERS: &[&str] = &[
    "POST IncomingPhoneNumbers",
    "POST IncomingPhoneNumbers/Local",
    "POST IncomingPhoneNumbers/Mobile",
    "POST IncomingPhoneNumbers/TollFree",
    "POST IncomingPhoneNumbers/{Sid}",
];
const AVAILABLE: &[&str] = &[
    "GET AvailablePhoneNumbers/{CountryCode}/Local",
    "GET AvailablePhoneNumbers/{CountryCode}/Mobile",
    "GET AvailablePhoneNumbers/{CountryCode}/TollFree",
];
const DIALS: &[&str] = &["POST Calls", "POST Conferences/{ConferenceSid}/Participants"];

/// All that is not as on Twilio; what is built and does not stand here is.
#[rustfmt::skip]
static PARAMETERS: &[Row] = &[
    (&["POST Conferences/{ConferenceSid}/Participants"], &["Region"], Verdict::Differs("kept and shown; it is mixed here")),
    (&["POST Conferences/{ConferenceSid}/Participants"], &["JitterBufferSize"],
        Verdict::Differs("absent: adaptive; a size bounds it")),
    (&["POST Conferences/{ConferenceSid}/Participants"], &[
        "EmergencyCallerPosition", "EmergencyCallerLocation", "EmergencyName", "EmergencyAddress", "EmergencyZipCode",
        "EmergencyCity", "EmergencyState", "EmergencyCountry",
    ], Verdict::Not),
    (DIALS, &["CallToken", "Passports", "RecordingConfigurationId"], Verdict::Not),
    (DIALS, &["Byoc", "CallReason", "ClientNotificationUrl"], CHECKED),
    (DIALS, &["MachineDetection"], Verdict::Differs("by the lengths of speech and silence")),
    (&["POST Calls/{CallSid}/Recordings"], &["RecordingConfigurationId"], Verdict::Not),
    (&["POST Conferences/{ConferenceSid}/Participants/{CallSid}"], &["HoldMethod", "AnnounceMethod", "WaitMethod"],
        Verdict::Differs("six methods")),
    (&["POST Applications", "POST Applications/{Sid}"], &[
        "ApiVersion", "VoiceCallerIdLookup", "SmsUrl", "SmsMethod", "SmsFallbackUrl", "SmsFallbackMethod",
        "SmsStatusCallback", "MessageStatusCallback", "PublicApplicationConnectEnabled",
    ], KEPT),
    (NUMBERS, &[
        "ApiVersion", "VoiceCallerIdLookup", "VoiceReceiveMode", "SmsUrl", "SmsMethod", "SmsFallbackUrl",
        "SmsFallbackMethod", "SmsApplicationSid", "EmergencyStatus", "EmergencyAddressSid", "TrunkSid", "IdentitySid",
        "AddressSid", "BundleSid",
    ], KEPT),
    (AVAILABLE, &["Page", "PageToken"], Verdict::Differs("checked; all are on the first page")),
    (AVAILABLE, &["ExcludeAllAddressRequired", "ExcludeLocalAddressRequired", "ExcludeForeignAddressRequired"],
        Verdict::Differs("no number of the stock needs an address")),
    (AVAILABLE, &["Beta"], Verdict::Differs("no number of the stock is new")),
    (&["GET AvailablePhoneNumbers"], &["PageSize", "Page", "PageToken"], Verdict::Differs("checked; all are on the first page")),
    (&["POST SIP/Domains", "POST SIP/Domains/{Sid}"],
        &["EmergencyCallingEnabled", "ByocTrunkSid", "EmergencyCallerSid"], KEPT),
    (&["POST Messages"], &["MaxPrice", "PersistentAction", "SendAt", "ContentVariables", "MessageIntent"], Verdict::Not),
    (&["POST Messages"], &[
        "StatusCallback", "ApplicationSid", "ProvideFeedback", "Attempt", "ValidityPeriod", "ForceDelivery",
        "ContentRetention", "AddressRetention", "SmartEncoded", "TrafficType", "ShortenUrls", "ScheduleType",
        "SendAsMms", "RiskCheck", "ContentSid", "FallbackFrom",
    ], CHECKED),
    (&["POST Messages"], &["MediaUrl"], Verdict::Differs("counted; no picture is fetched")),
    (&["POST Messages/{Sid}"], &["Status"], Verdict::Not),
    (&["GET Messages/{MessageSid}/Media"], &["DateCreated", "DateCreated<", "DateCreated>"],
        Verdict::Differs("checked; the list is empty")),
    (&["GET Messages/{MessageSid}/Media"], &["PageToken"], Verdict::Not),
];

/// Returns whether an operation is built; `path` is as in Twilio's description, without version, account and
/// `.json`, such as `Calls/{Sid}`.
pub fn is_built(method: &str, path: &str) -> bool {
    let method = method.parse::<Method>().ok();
    method.is_some_and(|method| paths::is_built(&method, path))
}

/// Returns what becomes of a parameter of an operation that is built.
pub fn parameter(method: &str, path: &str, name: &str) -> Verdict {
    let operation = format!("{method} {path}");
    let row = PARAMETERS.iter().find(|(operations, names, _)| {
        operations.contains(&operation.as_str()) && names.contains(&name)
    });
    row.map_or(Verdict::Supported, |(.., verdict)| *verdict)
}

/// Returns every operation and parameter that is said to be different, or not there.
pub fn exceptions() -> impl Iterator<Item = (&'static str, &'static str)> {
    PARAMETERS.iter().flat_map(|(operations, names, _)| {
        operations.iter().flat_map(|operation| names.iter().map(|name| (*operation, *name)))
    })
}
