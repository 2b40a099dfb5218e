//! The Message resource: in development a message is kept and shown; none reaches a phone.
//!
//! Source: Twilio API 2010-04-01, Message and Media resources.

use axum::http::{Method, StatusCode};
use model::{Kind, Resource};
use node::{Handle, Page, ResourceFilter};
use serde_json::{Value, json};

use crate::dates::{self, Precision};
use crate::error::{ApiError, code};
use crate::paging::{Asked, List};
use crate::resource::{self, Absent, Parameter as P, Table};
use crate::rule::{self, Rule};
use crate::{Answer, Request};

/// Longest text, in characters. Source: Twilio, error 21617.
const BODY_MAX: usize = 1_600;
/// Most pictures of a message. Source: Twilio, `MediaUrl`.
const MEDIA_MAX: usize = 10;
/// Characters of one segment, and of each where there are several, in the alphabet of GSM and in UCS-2. Source:
/// 3GPP TS 23.040 section 9.2.3.24.1.
const SEGMENT: [(usize, usize); 2] = [(160, 153), (70, 67)];

#[rustfmt::skip]
const MEMBERS: &[&str] = &[
    "account_sid", "api_version", "body", "date_created", "date_sent", "date_updated", "direction", "error_code",
    "error_message", "from", "messaging_service_sid", "num_media", "num_segments", "price", "price_unit", "sid",
    "status", "subresource_uris", "to", "uri",
];
#[rustfmt::skip]
pub static TABLE: Table = Table {
    kind: Kind::Message,
    prefix: "SM",
    path: "Messages",
    part_of: None,
    maps: None,
    known_by: "to",
    parameters: &[
        P("To", "to", Rule::Line(1..=512, code::INVALID_TO), Absent::Refused(code::NO_MESSAGE_TO)),
        P("From", "from", Rule::Line(1..=512, code::INVALID_FROM), Absent::Null),
        P("MessagingServiceSid", "messaging_service_sid", Rule::Sid("MG"), Absent::Null),
    ],
    list: List {
        name: "messages",
        envelope: [
            "end", "first_page_uri", "next_page_uri", "page", "page_size", "previous_page_uri", "messages", "start",
            "uri",
        ],
    },
    filters: &[("To", "to"), ("From", "from")],
    members: MEMBERS,
    listed: MEMBERS,
    links: &[("media", "Media"), ("feedback", "Feedback")],
    check: resource::unchecked,
};

/// What a message may carry that nothing comes of; it must be valid all the same.
const ACCEPTED: &[(&str, Rule)] = &[
    ("StatusCallback", Rule::Url),
    ("ApplicationSid", Rule::Sid("AP")),
    ("ProvideFeedback", Rule::Flag),
    ("Attempt", Rule::Number(1..=10)),
    ("ValidityPeriod", Rule::Number(1..=36_000)),
    ("ForceDelivery", Rule::Flag),
    ("ContentRetention", Rule::Word(&["retain", "discard"])),
    ("AddressRetention", Rule::Word(&["retain", "obfuscate"])),
    ("SmartEncoded", Rule::Flag),
    ("TrafficType", Rule::Word(&["free"])),
    ("ShortenUrls", Rule::Flag),
    ("ScheduleType", Rule::Word(&["fixed"])),
    ("SendAsMms", Rule::Flag),
    ("RiskCheck", Rule::Word(&["enable", "disable"])),
    ("ContentSid", Rule::Sid("HX")),
    ("FallbackFrom", Rule::Line(1..=512, code::INVALID_FROM)),
];

/// `GET` and `POST .../Messages.json`
pub async fn all(request: Request) -> Answer {
    let form = &request.form;
    if request.method == Method::GET {
        let fields = [("to", "To"), ("from", "From")].into_iter();
        let fields =
            fields.filter_map(|(field, name)| Some((field, form.filled(name)?.to_owned())));
        let filter = ResourceFilter {
            fields: fields.collect(),
            date_created: dates::read(form, "DateSent", Precision::Moment)?,
            ..ResourceFilter::default()
        };
        return TABLE.page(&request, "", filter).await;
    }
    kept(&request.node)?;
    rule::check(form, ACCEPTED)?;
    let body = form.get("Body").unwrap_or_default();
    if body.chars().count() > BODY_MAX {
        let message = format!("it is longer than {BODY_MAX} characters");
        return Err(ApiError::coded(code::MESSAGE_TOO_LONG, "Body", &message));
    }
    let media = form.values("MediaUrl").filter(|url| !url.is_empty()).count();
    if media > MEDIA_MAX {
        let message = format!("there are more than {MEDIA_MAX}");
        return Err(ApiError::invalid("MediaUrl", &message));
    }
    if body.is_empty() && media == 0 && form.filled("ContentSid").is_none() {
        return Err(ApiError::missing("Body", code::NO_BODY));
    }
    if form.filled("From").is_none() && form.filled("MessagingServiceSid").is_none() {
        return Err(ApiError::missing("From", code::NO_MESSAGE_FROM));
    }
    let _alone = request.node.change().await;
    let mut message = TABLE.new_one(&request, "")?;
    if media > 0 {
        message.sid.replace_range(..2, "MM");
    }
    for (field, value) in [
        ("body", json!(body)),
        ("direction", json!("outbound-api")),
        ("num_media", json!(media.to_string())),
        ("num_segments", json!(segments(body).to_string())),
        // It is not sent: the state in which Twilio has taken it and nothing more has happened.
        ("status", json!("accepted")),
    ] {
        message.fields.insert(field.to_owned(), value);
    }
    let message = TABLE.make_quietly(&request, message).await?;
    let mut made = view(&message);
    if let Some(links) = made["subresource_uris"].as_object_mut() {
        links.shift_remove("feedback");
    }
    Ok((StatusCode::CREATED, made))
}

/// Refuses where nobody wants messages to be kept.
fn kept(node: &Handle) -> Result<(), ApiError> {
    if node.keeps_messages() { Ok(()) } else { Err(ApiError::not_built("POST Messages")) }
}

/// Returns how many segments a text has.
fn segments(text: &str) -> usize {
    let (one, each) = SEGMENT[usize::from(!text.is_ascii())];
    let length = if text.is_ascii() { text.len() } else { text.encode_utf16().count() };
    if length <= one { 1 } else { length.div_ceil(each) }
}

/// Returns what is shown of it.
pub fn view(message: &Resource) -> Value {
    TABLE.view(message, MEMBERS)
}

/// Returns the message that the path names; `MM` are those with pictures.
async fn found(request: &Request) -> Result<Resource, ApiError> {
    let shelf = TABLE.shelf(request, "");
    let text = &request.variables[0];
    let digits = text.strip_prefix("MM").map(|digits| format!("SM{digits}"));
    let sid = TABLE.sid(digits.as_ref().unwrap_or(text))?;
    let sid = if digits.is_some() { format!("MM{}", &sid[2..]) } else { sid };
    let found = request.ask(move |node| node.store().resource(&shelf, &sid)).await?;
    found.ok_or_else(ApiError::not_found)
}

/// `GET`, `POST` and `DELETE .../Messages/{Sid}.json`: an empty `Body` takes the text out.
pub async fn one(request: Request) -> Answer {
    let _alone = request.node.change().await;
    let mut message = found(&request).await?;
    match request.method {
        Method::POST => {
            if request.form.word("Status", &["canceled"])?.is_some() {
                let sorry = "Only a message that is scheduled can be canceled";
                return Err(ApiError::new(400, code::NOT_CANCELABLE, sorry));
            }
            if let Some(body) = request.form.get("Body") {
                if !body.is_empty() {
                    return Err(ApiError::invalid("Body", "it can only be made empty"));
                }
                message.fields.insert("body".to_owned(), "".into());
                message.date_updated = request.node.date();
                message = TABLE.keep(&request, message).await?;
            }
            Ok((StatusCode::OK, view(&message)))
        }
        Method::DELETE => {
            request.write(model::Change::DeleteResource(Box::new(message))).await?;
            Ok((StatusCode::NO_CONTENT, Value::Null))
        }
        _ => Ok((StatusCode::OK, view(&message))),
    }
}

#[rustfmt::skip]
const MEDIA: List = List {
    name: "media_list",
    envelope: [
        "end", "first_page_uri", "media_list", "next_page_uri", "page", "page_size", "previous_page_uri", "start", "uri",
    ],
};

/// `GET .../Messages/{MessageSid}/Media.json`: no picture is fetched, so there is none.
pub async fn media(request: Request) -> Answer {
    let message = found(&request).await?;
    dates::read(&request.form, "DateCreated", Precision::Moment)?;
    let asked = Asked::read(&request.form)?;
    let page = matches!(asked.place, node::Place::Skip(_));
    let page = page.then(|| Page { records: Vec::<Resource>::new(), more: false });
    let path = format!("{}/{}/Media.json", TABLE.address(request.account, ""), message.sid);
    let sid = |one: &Resource| one.sid.clone();
    Ok((StatusCode::OK, asked.render(&MEDIA, &request.form, &path, page, sid, |_| Value::Null)?))
}
