//! The IncomingPhoneNumber resource: the account's numbers, taken out of the stock.
//!
//! Source: Twilio API 2010-04-01, IncomingPhoneNumber resource.

use axum::http::{Method, StatusCode};
use model::{AccountSid, Change, Kind, Resource};
use node::{Handle, NumberRange, NumberType, ResourceFilter, Shelf};
use serde_json::json;

use crate::error::{ApiError, code};
use crate::paging::{List, ordered};
use crate::resource::{self, Absent, Parameter as P, Table};
use crate::rule::Rule;
use crate::{Answer, Request, applications};

#[rustfmt::skip]
const MEMBERS: &[&str] = &[
    "account_sid", "address_requirements", "address_sid", "api_version", "beta", "capabilities", "date_created",
    "date_updated", "emergency_status", "emergency_address_sid", "emergency_address_status", "friendly_name",
    "identity_sid", "origin", "phone_number", "sid", "sms_application_sid", "sms_fallback_method", "sms_fallback_url",
    "sms_method", "sms_url", "status_callback", "status_callback_method", "trunk_sid", "uri", "voice_application_sid",
    "voice_caller_id_lookup", "voice_fallback_method", "voice_fallback_url", "voice_method", "voice_url",
    "voice_receive_mode", "status", "bundle_sid", "type",
];
/// The order in lists and in the answer to a creation; lists by type leave the last one out.
#[rustfmt::skip]
const LISTED: &[&str] = &[
    "account_sid", "address_requirements", "address_sid", "api_version", "beta", "capabilities", "date_created",
    "date_updated", "emergency_status", "emergency_address_sid", "emergency_address_status", "friendly_name",
    "identity_sid", "origin", "phone_number", "sid", "sms_application_sid", "sms_fallback_method", "sms_fallback_url",
    "sms_method", "sms_url", "status_callback", "status_callback_method", "trunk_sid", "uri", "voice_application_sid",
    "voice_caller_id_lookup", "voice_fallback_method", "voice_fallback_url", "voice_method", "voice_url",
    "bundle_sid", "voice_receive_mode", "status", "type",
];
/// Longest name, in characters. Source: Twilio, `FriendlyName`.
const NAME: Rule = Rule::Line(1..=64, code::INVALID_FRIENDLY_NAME);

#[rustfmt::skip]
pub static TABLE: Table = Table {
    kind: Kind::IncomingPhoneNumber,
    prefix: "PN",
    path: "IncomingPhoneNumbers",
    part_of: None,
    maps: None,
    known_by: "phone_number",
    parameters: &[
        P("FriendlyName", "friendly_name", NAME, Absent::Null),
        P("ApiVersion", "api_version", Rule::Word(&["2010-04-01", "2008-08-01"]), Absent::Text("2010-04-01")),
        P("VoiceUrl", "voice_url", Rule::Url, Absent::Null),
        P("VoiceMethod", "voice_method", Rule::Method, Absent::Text("POST")),
        P("VoiceFallbackUrl", "voice_fallback_url", Rule::Url, Absent::Null),
        P("VoiceFallbackMethod", "voice_fallback_method", Rule::Method, Absent::Text("POST")),
        P("VoiceApplicationSid", "voice_application_sid", Rule::Sid("AP"), Absent::Null),
        P("VoiceCallerIdLookup", "voice_caller_id_lookup", Rule::Flag, Absent::Flag(false)),
        P("VoiceReceiveMode", "voice_receive_mode", Rule::Word(&["voice", "fax"]), Absent::Text("voice")),
        P("StatusCallback", "status_callback", Rule::Url, Absent::Text("")),
        P("StatusCallbackMethod", "status_callback_method", Rule::Method, Absent::Text("POST")),
        P("SmsUrl", "sms_url", Rule::Url, Absent::Text("")),
        P("SmsMethod", "sms_method", Rule::Method, Absent::Text("POST")),
        P("SmsFallbackUrl", "sms_fallback_url", Rule::Url, Absent::Text("")),
        P("SmsFallbackMethod", "sms_fallback_method", Rule::Method, Absent::Text("POST")),
        P("SmsApplicationSid", "sms_application_sid", Rule::Sid("AP"), Absent::Null),
        P("EmergencyStatus", "emergency_status", Rule::Word(&["Active", "Inactive"]), Absent::Text("Inactive")),
        P("EmergencyAddressSid", "emergency_address_sid", Rule::Sid("AD"), Absent::Null),
        P("TrunkSid", "trunk_sid", Rule::Sid("TK"), Absent::Null),
        P("IdentitySid", "identity_sid", Rule::Sid("RI"), Absent::Null),
        P("AddressSid", "address_sid", Rule::Sid("AD"), Absent::Null),
        P("BundleSid", "bundle_sid", Rule::Sid("BU"), Absent::Null),
    ],
    list: List {
        name: "incoming_phone_numbers",
        envelope: [
            "end", "first_page_uri", "incoming_phone_numbers", "next_page_uri", "page", "page_size",
            "previous_page_uri", "start", "uri",
        ],
    },
    filters: &[("FriendlyName", "friendly_name")],
    members: MEMBERS,
    listed: LISTED,
    links: &[],
    check,
};

fn check(node: &Handle, number: &mut Resource) -> Result<(), ApiError> {
    for (field, name) in [
        ("voice_application_sid", "VoiceApplicationSid"),
        ("sms_application_sid", "SmsApplicationSid"),
    ] {
        let Some(sid) = number.text(field) else { continue };
        let kind = Kind::Application;
        let shelf = Shelf { account: number.account, kind, parent: String::new() };
        if node.store().resource(&shelf, sid)?.is_none() {
            let message = format!("there is no application {sid}");
            return Err(ApiError::coded(code::INVALID_APPLICATION, name, &message));
        }
    }
    if number.text("friendly_name").is_none() {
        let name = written(number.text("phone_number").unwrap_or_default());
        number.fields.insert("friendly_name".to_owned(), name.into());
    }
    Ok(())
}

/// Returns a number as people write it, where we know how they do.
pub fn written(number: &str) -> String {
    match number.strip_prefix("+1").filter(|rest| rest.len() == 10) {
        Some(rest) => format!("({}) {}-{}", &rest[..3], &rest[3..6], &rest[6..]),
        None => number.to_owned(),
    }
}

/// `GET` and `POST .../IncomingPhoneNumbers.json`, and of the lists by type below it.
pub async fn all(request: Request, only: Option<NumberType>) -> Answer {
    if request.method == Method::POST {
        return create(&request, only).await;
    }
    let form = &request.form;
    let mut fields = Vec::new();
    let mut and = |field, value: Option<&str>| {
        fields.extend(value.map(|value| (field, value.to_owned())));
    };
    and("type", only.map(NumberType::as_str));
    and("friendly_name", form.filled("FriendlyName"));
    and("origin", form.word("Origin", &["twilio", "hosted"])?);
    // None of ours is new to the network.
    and("status", form.flag("Beta")?.filter(|beta| *beta).map(|_| "beta"));
    let name = form.filled("PhoneNumber").map(|pattern| pattern.replace('*', "_"));
    if let Some(pattern) = &name
        && !pattern.chars().all(|letter| letter.is_ascii_digit() || "+_".contains(letter))
    {
        return Err(ApiError::invalid(
            "PhoneNumber",
            "it is no number, nor a part with * for digits",
        ));
    }
    let filter = ResourceFilter { fields, name, ..ResourceFilter::default() };
    let below = match only {
        None => "",
        Some(NumberType::Local) => "/Local",
        Some(NumberType::Mobile) => "/Mobile",
        Some(NumberType::TollFree) => "/TollFree",
    };
    let path = format!("{}{below}", TABLE.address(request.account, ""));
    let view = |number: &Resource| {
        let mut view = TABLE.view(number, made(only));
        if only.is_some() {
            view["capabilities"] = ordered(view["capabilities"].take(), &["mms", "sms", "voice"]);
        }
        view
    };
    TABLE.page_at(&request, "", filter, &path, view).await
}

async fn create(request: &Request, only: Option<NumberType>) -> Answer {
    let _alone = request.node.change().await;
    let (number, number_type) = choose(request, only).await?;
    let mut resource = TABLE.new_one(request, "")?;
    let all = ["voice", "sms", "mms", "fax"];
    let capabilities: serde_json::Map<_, _> =
        all.iter().map(|name| ((*name).to_owned(), (*name != "fax").into())).collect();
    for (field, value) in [
        ("phone_number", json!(number)),
        ("type", json!(number_type.as_str())),
        ("address_requirements", json!("none")),
        ("beta", json!(false)),
        ("capabilities", json!(capabilities)),
        ("emergency_address_status", json!("unregistered")),
        ("origin", json!("twilio")),
        ("status", json!("in-use")),
    ] {
        resource.fields.insert(field.to_owned(), value);
    }
    let resource = TABLE.make_quietly(request, resource).await?;
    tracing::info!(number.sid = %resource.sid, request.id = %request.id, "number taken");
    Ok((StatusCode::CREATED, TABLE.view(&resource, made(only))))
}

/// Returns the members of a number in lists and when it is taken.
fn made(only: Option<NumberType>) -> &'static [&'static str] {
    if only.is_some() { &LISTED[..LISTED.len() - 1] } else { LISTED }
}

/// Returns the number that is asked for, which must be in the stock and nobody's.
async fn choose(
    request: &Request,
    only: Option<NumberType>,
) -> Result<(String, NumberType), ApiError> {
    let form = &request.form;
    let fits = |range: &&NumberRange| only.is_none_or(|only| only == range.number_type);
    let stock = request.node.stock().iter().filter(fits);
    if let Some(given) = form.filled("PhoneNumber") {
        let number = node::e164(given).filter(|_| given.starts_with('+')).ok_or_else(|| {
            let message = format!("{given:?} is no number in E.164");
            ApiError::coded(code::INVALID_NUMBER, "PhoneNumber", &message)
        })?;
        let range = stock.into_iter().find(|range| range.contains(&number));
        let taken = taken(request, number.clone()).await?;
        return match range.filter(|_| !taken) {
            Some(range) => Ok((number, range.number_type)),
            None => {
                let message = format!("{number} is not available");
                Err(ApiError::new(400, code::NUMBER_NOT_AVAILABLE, &message))
            }
        };
    }
    let area = form.filled("AreaCode").filter(|_| only.is_none());
    let Some(area) = area else {
        return Err(ApiError::missing("PhoneNumber", code::INVALID_NUMBER));
    };
    for range in stock.filter(|range| range.area_code().as_deref() == Some(area)) {
        for number in range.numbers() {
            if !taken(request, number.clone()).await? {
                return Ok((number, range.number_type));
            }
        }
    }
    let message = format!("There is no number in the area code {area:?}");
    Err(ApiError::new(400, code::NO_NUMBER_IN_AREA, &message))
}

async fn taken(request: &Request, number: String) -> Result<bool, ApiError> {
    let kind = Kind::IncomingPhoneNumber;
    let known = request.ask(move |node| node.store().resource_named(kind, &number)).await?;
    Ok(known.is_some())
}

/// `GET`, `POST` and `DELETE .../IncomingPhoneNumbers/{Sid}.json`; a number can be handed to an
/// account of the same owner.
pub async fn one(request: Request) -> Answer {
    let heir: Option<AccountSid> = match request.method {
        Method::POST => request.form.parsed("AccountSid")?,
        _ => None,
    };
    let Some(heir) = heir.filter(|heir| *heir != request.account) else {
        return resource::one(&TABLE, request).await;
    };
    let account = request.node.accounts().get(heir);
    let login = request.login.sid;
    if !account.is_some_and(|heir| heir.is_active() && (heir.sid == login || heir.owner == login)) {
        return Err(ApiError::invalid("AccountSid", &format!("there is no account {heir}")));
    }
    let _alone = request.node.change().await;
    let before = TABLE.get(&request, "").await?;
    let mut number = before.clone();
    TABLE.overlay(&request.form, &mut number, true)?;
    number.account = heir;
    number.date_updated = request.node.date();
    // Applications stay where they are.
    for field in ["voice_application_sid", "sms_application_sid"] {
        number.fields.insert(field.to_owned(), serde_json::Value::Null);
    }
    let moved =
        vec![Change::DeleteResource(Box::new(before)), Change::Resource(Box::new(number.clone()))];
    request.node.write(moved).await?;
    request.node.refresh().await?;
    Ok((StatusCode::OK, TABLE.view(&number, MEMBERS)))
}

/// Returns the application of a call, with what it says of voice.
pub async fn application(request: &Request, sid: &str) -> Result<Option<Resource>, ApiError> {
    let Ok(sid) = applications::TABLE.sid(sid) else { return Ok(None) };
    let shelf = applications::TABLE.shelf(request, "");
    request.ask(move |node| node.store().resource(&shelf, &sid)).await
}
