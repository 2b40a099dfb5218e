//! The Application resource: addresses for calls and messages under one SID.
//!
//! Source: Twilio API 2010-04-01, Application resource.

use model::Kind;

use crate::error::code::INVALID_FRIENDLY_NAME;
use crate::paging::List;
use crate::resource::{Absent, Parameter as P, Table, unchecked};
use crate::rule::Rule;

const MEMBERS: &[&str] = &[
    "account_sid",
    "api_version",
    "date_created",
    "date_updated",
    "friendly_name",
    "message_status_callback",
    "sid",
    "sms_fallback_method",
    "sms_fallback_url",
    "sms_method",
    "sms_status_callback",
    "sms_url",
    "status_callback",
    "status_callback_method",
    "uri",
    "voice_caller_id_lookup",
    "voice_fallback_method",
    "voice_fallback_url",
    "voice_method",
    "voice_url",
    "public_application_connect_enabled",
];

/// `.../Applications.json` and `.../Applications/{Sid}.json`
pub static TABLE: Table = Table {
    kind: Kind::Application,
    prefix: "AP",
    path: "Applications",
    part_of: None,
    maps: None,
    known_by: "friendly_name",
    parameters: &[
        P(
            "FriendlyName",
            "friendly_name",
            Rule::Line(1..=64, INVALID_FRIENDLY_NAME),
            Absent::Text(""),
        ),
        P(
            "ApiVersion",
            "api_version",
            Rule::Word(&["2010-04-01", "2008-08-01"]),
            Absent::Text("2010-04-01"),
        ),
        P("VoiceUrl", "voice_url", Rule::Url, Absent::Null),
        P("VoiceMethod", "voice_method", Rule::Method, Absent::Text("POST")),
        P("VoiceFallbackUrl", "voice_fallback_url", Rule::Url, Absent::Null),
        P("VoiceFallbackMethod", "voice_fallback_method", Rule::Method, Absent::Text("POST")),
        P("StatusCallback", "status_callback", Rule::Url, Absent::Null),
        P("StatusCallbackMethod", "status_callback_method", Rule::Method, Absent::Text("POST")),
        P("VoiceCallerIdLookup", "voice_caller_id_lookup", Rule::Flag, Absent::Flag(false)),
        P("SmsUrl", "sms_url", Rule::Url, Absent::Null),
        P("SmsMethod", "sms_method", Rule::Method, Absent::Text("POST")),
        P("SmsFallbackUrl", "sms_fallback_url", Rule::Url, Absent::Null),
        P("SmsFallbackMethod", "sms_fallback_method", Rule::Method, Absent::Text("POST")),
        P("SmsStatusCallback", "sms_status_callback", Rule::Url, Absent::Null),
        P("MessageStatusCallback", "message_status_callback", Rule::Url, Absent::Null),
        P(
            "PublicApplicationConnectEnabled",
            "public_application_connect_enabled",
            Rule::Flag,
            Absent::Flag(false),
        ),
    ],
    list: List {
        name: "applications",
        envelope: [
            "applications",
            "end",
            "first_page_uri",
            "next_page_uri",
            "previous_page_uri",
            "page_size",
            "page",
            "start",
            "uri",
        ],
    },
    filters: &[("FriendlyName", "friendly_name")],
    members: MEMBERS,
    listed: MEMBERS,
    links: &[],
    check: unchecked,
};
