//! SIP domains, the lists that open them, and which opens which.
//!
//! Source: Twilio API 2010-04-01, SIP resources.

use std::net::IpAddr;

use axum::http::{Method, StatusCode};
use model::{Kind, Resource};
use node::{Handle, ResourceFilter, Shelf};
use serde_json::{Value, json};

use crate::error::{ApiError, code};
use crate::paging::List;
use crate::resource::{self, Absent, Parameter as P, Table, unchecked};
use crate::rule::Rule;
use crate::{Answer, Request};

const NAME: Rule = Rule::Line(1..=64, code::INVALID_FRIENDLY_NAME);
const NEEDED: Absent = Absent::Refused(code::BAD_REQUEST);
/// Shortest password of a SIP phone, in characters. Source: Twilio, Credential resource.
const PASSWORD_MIN: usize = 12;

#[rustfmt::skip]
const LIST_MEMBERS: &[&str] =
    &["account_sid", "date_created", "date_updated", "friendly_name", "sid", "subresource_uris", "uri"];

#[rustfmt::skip]
pub static CREDENTIAL_LISTS: Table = Table {
    kind: Kind::CredentialList,
    prefix: "CL",
    path: "SIP/CredentialLists",
    part_of: None,
    maps: None,
    known_by: "friendly_name",
    parameters: &[P("FriendlyName", "friendly_name", NAME, NEEDED)],
    list: List {
        name: "credential_lists",
        envelope: [
            "credential_lists", "first_page_uri", "next_page_uri", "start", "end", "page", "page_size",
            "previous_page_uri", "uri",
        ],
    },
    filters: &[],
    members: LIST_MEMBERS,
    listed: LIST_MEMBERS,
    links: &[("credentials", "Credentials")],
    check: unchecked,
};

#[rustfmt::skip]
const CREDENTIAL: &[&str] =
    &["account_sid", "credential_list_sid", "date_created", "date_updated", "sid", "uri", "username"];

#[rustfmt::skip]
pub static CREDENTIALS: Table = Table {
    kind: Kind::Credential,
    prefix: "CR",
    path: "SIP/CredentialLists/{}/Credentials",
    part_of: Some((&CREDENTIAL_LISTS, "credential_list_sid")),
    maps: None,
    known_by: "username",
    parameters: &[
        P("Username", "username", Rule::Line(1..=32, code::BAD_REQUEST), NEEDED),
        P("Password", "password", Rule::Line(1..=128, code::BAD_REQUEST), NEEDED),
    ],
    list: List {
        name: "credentials",
        envelope: [
            "credentials", "end", "first_page_uri", "next_page_uri", "page", "page_size", "previous_page_uri",
            "start", "uri",
        ],
    },
    filters: &[],
    members: CREDENTIAL,
    listed: CREDENTIAL,
    links: &[],
    check: |_, credential| {
        let password = credential.text("password").unwrap_or_default();
        let has = |is: fn(&char) -> bool| password.chars().any(|letter| is(&letter));
        let strong = has(char::is_ascii_digit) && has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase);
        if password.chars().count() < PASSWORD_MIN || !strong {
            let message = format!("it has at least {PASSWORD_MIN} characters, among them digits and letters of both cases");
            return Err(ApiError::invalid("Password", &message));
        }
        let username = credential.text("username").unwrap_or_default();
        if username.contains([':', '"', '\\', '@', ' ']) {
            return Err(ApiError::invalid("Username", "it has none of : \" \\ @ and no space in it"));
        }
        Ok(())
    },
};

#[rustfmt::skip]
pub static IP_LISTS: Table = Table {
    kind: Kind::IpAccessControlList,
    prefix: "AL",
    path: "SIP/IpAccessControlLists",
    part_of: None,
    maps: None,
    known_by: "friendly_name",
    parameters: &[P("FriendlyName", "friendly_name", NAME, NEEDED)],
    list: List {
        name: "ip_access_control_lists",
        envelope: [
            "end", "first_page_uri", "ip_access_control_lists", "next_page_uri", "page", "page_size",
            "previous_page_uri", "start", "uri",
        ],
    },
    filters: &[],
    members: LIST_MEMBERS,
    listed: LIST_MEMBERS,
    links: &[("ip_addresses", "IpAddresses")],
    check: unchecked,
};

#[rustfmt::skip]
const IP_ADDRESS: &[&str] = &[
    "account_sid", "date_created", "date_updated", "friendly_name", "ip_access_control_list_sid", "ip_address",
    "cidr_prefix_length", "sid", "uri",
];

#[rustfmt::skip]
pub static IP_ADDRESSES: Table = Table {
    kind: Kind::IpAddress,
    prefix: "IP",
    path: "SIP/IpAccessControlLists/{}/IpAddresses",
    part_of: Some((&IP_LISTS, "ip_access_control_list_sid")),
    maps: None,
    known_by: "ip_address",
    parameters: &[
        P("FriendlyName", "friendly_name", NAME, NEEDED),
        P("IpAddress", "ip_address", Rule::Line(2..=45, code::BAD_REQUEST), NEEDED),
        P("CidrPrefixLength", "cidr_prefix_length", Rule::Number(0..=128), Absent::Null),
    ],
    list: List {
        name: "ip_addresses",
        envelope: [
            "end", "first_page_uri", "ip_addresses", "next_page_uri", "page", "page_size", "previous_page_uri",
            "start", "uri",
        ],
    },
    filters: &[],
    members: IP_ADDRESS,
    listed: IP_ADDRESS,
    links: &[],
    check: |_, address| {
        let text = address.text("ip_address").unwrap_or_default().to_owned();
        let Ok(ip) = text.parse::<IpAddr>() else {
            return Err(ApiError::invalid("IpAddress", &format!("{text:?} is no address")));
        };
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = address.fields.get("cidr_prefix_length").and_then(Value::as_u64).unwrap_or(bits);
        if prefix > bits {
            let message = format!("{prefix} is more than the {bits} bits of {text}");
            return Err(ApiError::invalid("CidrPrefixLength", &message));
        }
        address.fields.insert("cidr_prefix_length".to_owned(), prefix.into());
        Ok(())
    },
};

#[rustfmt::skip]
const DOMAIN: &[&str] = &[
    "account_sid", "api_version", "auth_type", "date_created", "date_updated", "domain_name", "friendly_name",
    "sip_registration", "sid", "subresource_uris", "uri", "voice_fallback_method", "voice_fallback_url",
    "voice_method", "voice_status_callback_method", "voice_status_callback_url", "voice_url",
    "emergency_calling_enabled", "secure", "byoc_trunk_sid", "emergency_caller_sid",
];

#[rustfmt::skip]
pub static DOMAINS: Table = Table {
    kind: Kind::Domain,
    prefix: "SD",
    path: "SIP/Domains",
    part_of: None,
    maps: None,
    known_by: "domain_name",
    parameters: &[
        P("DomainName", "domain_name", Rule::Line(1..=253, code::BAD_REQUEST), NEEDED),
        P("FriendlyName", "friendly_name", NAME, Absent::Null),
        P("VoiceUrl", "voice_url", Rule::Url, Absent::Null),
        P("VoiceMethod", "voice_method", Rule::Method, Absent::Text("POST")),
        P("VoiceFallbackUrl", "voice_fallback_url", Rule::Url, Absent::Null),
        P("VoiceFallbackMethod", "voice_fallback_method", Rule::Method, Absent::Text("POST")),
        P("VoiceStatusCallbackUrl", "voice_status_callback_url", Rule::Url, Absent::Null),
        P("VoiceStatusCallbackMethod", "voice_status_callback_method", Rule::Method, Absent::Text("POST")),
        P("SipRegistration", "sip_registration", Rule::Flag, Absent::Flag(false)),
        P("EmergencyCallingEnabled", "emergency_calling_enabled", Rule::Flag, Absent::Flag(false)),
        P("Secure", "secure", Rule::Flag, Absent::Flag(false)),
        P("ByocTrunkSid", "byoc_trunk_sid", Rule::Sid("BY"), Absent::Null),
        P("EmergencyCallerSid", "emergency_caller_sid", Rule::Sid("PN"), Absent::Null),
    ],
    list: List {
        name: "domains",
        envelope: [
            "domains", "start", "end", "first_page_uri", "next_page_uri", "page", "page_size", "previous_page_uri",
            "uri",
        ],
    },
    filters: &[],
    members: DOMAIN,
    listed: DOMAIN,
    links: &[
        ("credential_list_mappings", "CredentialListMappings"),
        ("ip_access_control_list_mappings", "IpAccessControlListMappings"),
    ],
    check: check_domain,
};

fn check_domain(node: &Handle, domain: &mut Resource) -> Result<(), ApiError> {
    let name = domain.text("domain_name").unwrap_or_default().to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // What ends in digits is an address, or looks like one.
    let last = name.rsplit('.').next().unwrap_or_default();
    if !name.split('.').all(is_label) || last.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(ApiError::invalid("DomainName", &format!("{name:?} is no host's name")));
    }
    let holder = node.store().resource_named(Kind::Domain, &name)?;
    if holder.is_some_and(|holder| holder.sid != domain.sid) {
        return Err(ApiError::new(409, code::CONFLICT, &format!("{name} is somebody's already")));
    }
    if domain.text("friendly_name").is_none() {
        domain.fields.insert("friendly_name".to_owned(), name.clone().into());
    }
    domain.fields.insert("domain_name".to_owned(), name.into());
    let auth_type = auth_type(node, domain)?;
    domain.fields.insert("auth_type".to_owned(), auth_type.into());
    Ok(())
}

/// Says which kinds of list open a domain for calls.
fn auth_type(node: &Handle, domain: &Resource) -> Result<String, ApiError> {
    let mut words = Vec::new();
    for (kind, word) in [
        (Kind::CallsIpAccessControlListMapping, "IP_ACL"),
        (Kind::CallsCredentialListMapping, "CREDENTIAL_LIST"),
    ] {
        let shelf = Shelf { account: domain.account, kind, parent: domain.sid.clone() };
        if node.store().count_resources(&shelf)? > 0 {
            words.push(word);
        }
    }
    Ok(words.join(","))
}

const OLD: &[&str] =
    &["account_sid", "date_created", "date_updated", "friendly_name", "domain_sid", "sid", "uri"];
const OLD_OF_CREDENTIALS: &[&str] =
    &["account_sid", "date_created", "date_updated", "friendly_name", "sid", "domain_sid", "uri"];
const NEW: &[&str] = &["account_sid", "date_created", "date_updated", "friendly_name", "sid"];
#[rustfmt::skip]
const CONTENTS: List = List {
    name: "contents",
    envelope: [
        "first_page_uri", "end", "previous_page_uri", "contents", "uri", "page_size", "start", "next_page_uri", "page",
    ],
};

/// What maps a list of this kind to a domain.
const fn mapping(
    kind: Kind,
    path: &'static str,
    maps: (&'static str, &'static Table),
    list: List,
    members: &'static [&'static str],
) -> Table {
    Table {
        kind,
        prefix: maps.1.prefix,
        path,
        part_of: Some((&DOMAINS, "domain_sid")),
        maps: Some(maps),
        known_by: "friendly_name",
        parameters: &[],
        list,
        filters: &[],
        members,
        listed: members,
        links: &[],
        check: unchecked,
    }
}

pub static CREDENTIAL_MAPPINGS: Table = mapping(
    Kind::CallsCredentialListMapping,
    "SIP/Domains/{}/CredentialListMappings",
    ("CredentialListSid", &CREDENTIAL_LISTS),
    List {
        name: "credential_list_mappings",
        envelope: [
            "credential_list_mappings",
            "first_page_uri",
            "next_page_uri",
            "start",
            "end",
            "page",
            "page_size",
            "previous_page_uri",
            "uri",
        ],
    },
    OLD_OF_CREDENTIALS,
);
pub static IP_MAPPINGS: Table = mapping(
    Kind::CallsIpAccessControlListMapping,
    "SIP/Domains/{}/IpAccessControlListMappings",
    ("IpAccessControlListSid", &IP_LISTS),
    List {
        name: "ip_access_control_list_mappings",
        envelope: [
            "end",
            "first_page_uri",
            "ip_access_control_list_mappings",
            "next_page_uri",
            "page",
            "page_size",
            "previous_page_uri",
            "start",
            "uri",
        ],
    },
    OLD,
);
pub static CALLS_CREDENTIAL_MAPPINGS: Table = mapping(
    Kind::CallsCredentialListMapping,
    "SIP/Domains/{}/Auth/Calls/CredentialListMappings",
    ("CredentialListSid", &CREDENTIAL_LISTS),
    CONTENTS,
    NEW,
);
pub static CALLS_IP_MAPPINGS: Table = mapping(
    Kind::CallsIpAccessControlListMapping,
    "SIP/Domains/{}/Auth/Calls/IpAccessControlListMappings",
    ("IpAccessControlListSid", &IP_LISTS),
    CONTENTS,
    NEW,
);
pub static REGISTRATIONS_CREDENTIAL_MAPPINGS: Table = mapping(
    Kind::RegistrationsCredentialListMapping,
    "SIP/Domains/{}/Auth/Registrations/CredentialListMappings",
    ("CredentialListSid", &CREDENTIAL_LISTS),
    CONTENTS,
    NEW,
);

/// `GET` and `POST` of the lists that open a domain.
pub async fn mappings(table: &'static Table, request: Request) -> Answer {
    if request.method == Method::GET {
        let parent = table.parent(&request).await?;
        return table.page(&request, &parent, ResourceFilter::default()).await;
    }
    let Some((parameter, lists)) = table.maps else { return Err(ApiError::not_found()) };
    let parent = table.parent(&request).await?;
    let given = Rule::Sid(lists.prefix).read(&request.form, parameter)?;
    let given = given.as_ref().and_then(Value::as_str).map(str::to_owned);
    let sid = given.ok_or_else(|| ApiError::missing(parameter, code::BAD_REQUEST))?;
    let _alone = request.node.change().await;
    let (shelf, key) = (lists.shelf(&request, ""), sid.clone());
    let list = request.ask(move |node| node.store().resource(&shelf, &key)).await?;
    let unknown = || ApiError::invalid(parameter, &format!("there is no list {sid}"));
    let list = list.ok_or_else(unknown)?;
    let mut new = table.new_one(&request, &parent)?;
    new.sid = list.sid;
    new.fields.insert("friendly_name".to_owned(), json!(list.name));
    let answer = table.make(&request, new).await?;
    renew_domain(&request, &parent).await?;
    Ok(answer)
}

/// `GET` and `DELETE` of one of them.
pub async fn one_mapping(table: &'static Table, request: Request) -> Answer {
    let parent = table.parent(&request).await?;
    if request.method == Method::GET {
        let mapping = table.get(&request, &parent).await?;
        return Ok((StatusCode::OK, table.view(&mapping, table.members)));
    }
    let _alone = request.node.change().await;
    let mapping = table.get(&request, &parent).await?;
    request.write(model::Change::DeleteResource(Box::new(mapping))).await?;
    renew_domain(&request, &parent).await?;
    Ok((StatusCode::NO_CONTENT, Value::Null))
}

/// Lets a domain say how it is opened now.
async fn renew_domain(request: &Request, sid: &str) -> Result<(), ApiError> {
    let (shelf, sid) = (DOMAINS.shelf(request, ""), sid.to_owned());
    let domain = request.ask(move |node| node.store().resource(&shelf, &sid)).await?;
    DOMAINS.keep(request, domain.ok_or_else(ApiError::not_found)?).await?;
    Ok(())
}

/// `DELETE` of a list, which must open no domain; else as [`resource::one`].
pub async fn one_list(table: &'static Table, request: Request) -> Answer {
    if request.method == Method::DELETE {
        let list = table.get(&request, "").await?;
        let kinds = [
            Kind::CallsCredentialListMapping,
            Kind::CallsIpAccessControlListMapping,
            Kind::RegistrationsCredentialListMapping,
        ];
        for kind in kinds {
            let mappings = request.ask(move |node| node.store().resources_of_kind(kind)).await?;
            if mappings.iter().any(|one| one.account == list.account && one.sid == list.sid) {
                let message = "The list opens a domain; delete its mappings first";
                return Err(ApiError::new(409, code::CONFLICT, message));
            }
        }
    }
    resource::one(table, request).await
}
