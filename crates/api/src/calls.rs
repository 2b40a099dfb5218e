//! The Call resource.

use axum::http::{Method, StatusCode};
use model::{AccountSid, Call, CallSid, Timestamp};
use node::{
    CallChanges, CallFilter, Command, CreateCall, Dialling, Document, End, Instructions, Refusal,
    Reply, StatusCallback,
};
use serde::Serialize;
use serde_json::Value;

use crate::dates::{self, Precision};
use crate::error::{ApiError, code};
use crate::form::Form;
use crate::paging::{Asked, List};
use crate::shown::{self, Link, Shown};
use crate::{Answer, Request, ask, dialling, numbers};

const LIST: List = List {
    name: "calls",
    envelope: [
        "calls",
        "end",
        "first_page_uri",
        "next_page_uri",
        "page",
        "page_size",
        "previous_page_uri",
        "start",
        "uri",
    ],
};

/// Longest `Twiml` parameter, in characters. Source: Twilio, Call resource.
const TWIML_MAX: usize = 4_000;
/// Most keys of `SendDigits`. Source: Twilio, Call resource.
const SEND_DIGITS_MAX: usize = 32;

/// `GET .../Calls.json`
pub async fn list(request: Request) -> Result<Vec<u8>, ApiError> {
    let (form, account) = (&request.form, request.account);
    let filter = CallFilter {
        to: form.filled("To").map(str::to_owned),
        from: form.filled("From").map(str::to_owned),
        parent: form.parsed("ParentCallSid")?,
        status: form.parsed("Status")?,
        start_time: dates::read(form, "StartTime", Precision::Moment)?,
        end_time: dates::read(form, "EndTime", Precision::Moment)?,
    };
    let asked = Asked::read(form)?;
    let node = request.node.clone();
    let page = ask(&node, move |node| {
        let page = node.store().calls(account, &filter, asked.size, &asked.place)?;
        let path = format!("/2010-04-01/Accounts/{account}/Calls.json");
        let sid = |record: &Call| record.sid.to_string();
        let view = |record: &Call, text: &mut Vec<u8>| {
            shown::append(text, &View::of(record, &base(record)));
        };
        Ok(asked.write(&LIST, &request.form, &path, page, sid, view))
    });
    page.await?
}

/// `POST .../Calls.json`
pub async fn create(request: &Request) -> Answer {
    let (form, account) = (&request.form, request.account);
    let mut dialling = dialling::read(form, 0..=600, dialling::AMD_OF_CALL)?;
    let written = instructions(form)?;
    let instructions = match form.filled("ApplicationSid") {
        Some(sid) => by_application(request, sid, &mut dialling).await?,
        None => written.ok_or_else(|| ApiError::missing("Url", code::INVALID_URL))?,
    };
    let create = CreateCall { account, dialling, instructions, send_digits: send_digits(form)? };
    let reply = request.node.submit(Command::CreateCall(Box::new(create))).await?;
    render(reply, StatusCode::CREATED)
}

/// Returns what an application says of a call; what the request says of it does not count then.
async fn by_application(
    request: &Request,
    sid: &str,
    dialling: &mut Dialling,
) -> Result<Instructions, ApiError> {
    let unknown =
        |message: String| ApiError::coded(code::INVALID_APPLICATION, "ApplicationSid", &message);
    let application = numbers::application(request, sid).await?;
    let application = application.ok_or_else(|| unknown(format!("there is no {sid:?}")))?;
    let document = |url: &str, method: &str| {
        let (url, method) = (application.text(url)?, application.text(method).unwrap_or("POST"));
        Some(Document { url: url.to_owned(), method: method.to_owned() })
    };
    let voice = document("voice_url", "voice_method");
    let told = document("status_callback", "status_callback_method");
    dialling.status_callback = told.map_or_else(StatusCallback::default, |told| StatusCallback {
        url: Some(told.url),
        method: told.method,
        events: Vec::new(),
    });
    Ok(Instructions::Url {
        document: voice.ok_or_else(|| unknown(format!("{sid} has no VoiceUrl")))?,
        fallback: document("voice_fallback_url", "voice_fallback_method"),
    })
}

/// `GET`, `POST` and `DELETE .../Calls/{Sid}.json`
pub async fn one(request: Request) -> Answer {
    let account = request.account;
    let call: CallSid = request.variables[0].parse().map_err(|_| ApiError::not_found())?;
    let record = request.ask(move |node| node.store().call(account, call)).await?;
    let record = record.ok_or_else(ApiError::not_found)?;
    match request.method {
        Method::POST => {
            let changes = Box::new(changes(&request.form)?);
            if record.status.is_final() {
                return Err(Refusal::CallNotInProgress.into());
            }
            let command = Command::UpdateCall { account, call, changes };
            let reply = request.node.submit(command).await?;
            tracing::info!(call.sid = %call, request.id = %request.id, "call updated by the API");
            render(reply, StatusCode::OK)
        }
        Method::DELETE => {
            if !record.status.is_final() {
                return Err(Refusal::CallNotFinished.into());
            }
            request.node.submit(Command::DeleteCall { account, call }).await?;
            Ok((StatusCode::NO_CONTENT, Value::Null))
        }
        _ => Ok((StatusCode::OK, view(&record))),
    }
}

fn render(reply: Reply, status: StatusCode) -> Answer {
    match reply {
        Reply::Call(record) => Ok((status, view(&record))),
        _ => Err(ApiError::not_found()),
    }
}

fn send_digits(form: &Form) -> Result<Option<String>, ApiError> {
    let Some(digits) = form.filled("SendDigits") else { return Ok(None) };
    let known = |key: char| matches!(key, '0'..='9' | 'A'..='D' | '#' | '*' | 'w' | 'W');
    if digits.len() > SEND_DIGITS_MAX || !digits.chars().all(known) {
        let message = format!("{digits:?} is not {SEND_DIGITS_MAX} or less of 0-9 A-D # * w W");
        return Err(ApiError::coded(code::INVALID_SEND_DIGITS, "SendDigits", &message));
    }
    Ok(Some(digits.to_owned()))
}

/// Reads what a call is to do; an address wins over TwiML beside it.
fn instructions(form: &Form) -> Result<Option<Instructions>, ApiError> {
    let document =
        form.filled("Url").map_or(Ok(None), |_| form.document("Url", "Method", "POST", false))?;
    let fallback = form.document("FallbackUrl", "FallbackMethod", "POST", false)?;
    match (document, form.filled("Twiml")) {
        (Some(document), _) => Ok(Some(Instructions::Url { document, fallback })),
        (None, Some(text)) if text.chars().count() > TWIML_MAX => {
            let message = format!("it is longer than {TWIML_MAX} characters");
            Err(ApiError::invalid("Twiml", &message))
        }
        (None, Some(text)) => Ok(Some(Instructions::Twiml(text.to_owned()))),
        (None, None) => form.method("Method", "POST").map(|_| None),
    }
}

fn changes(form: &Form) -> Result<CallChanges, ApiError> {
    if form.filled("Url").is_some() && form.filled("Twiml").is_some() {
        return Err(ApiError::invalid("Twiml", "it cannot go together with Url"));
    }
    let end = match form.word("Status", &["completed", "canceled"])? {
        None => None,
        Some("completed") => Some(End::Completed),
        Some(_) => Some(End::Canceled),
    };
    let callback = form.url("StatusCallback")?;
    let method = form.method("StatusCallbackMethod", "POST")?;
    let fallback: Option<Document> =
        form.document("FallbackUrl", "FallbackMethod", "POST", false)?;
    Ok(CallChanges {
        redirect: instructions(form)?,
        end,
        status_callback: callback.map(|url| (url, method)),
        time_limit: form.seconds("TimeLimit", dialling::TIME_LIMIT, code::BAD_REQUEST)?,
        fallback,
    })
}

/// What is shown of a call, in this order.
#[derive(Serialize)]
struct View<'a> {
    account_sid: Shown<AccountSid>,
    answered_by: Option<&'static str>,
    api_version: &'static str,
    caller_name: Option<&'a str>,
    date_created: Date,
    date_updated: Date,
    direction: &'static str,
    duration: Option<Shown<u64>>,
    end_time: Option<Date>,
    forwarded_from: (),
    from: &'a str,
    from_formatted: &'a str,
    group_sid: (),
    parent_call_sid: Option<Shown<CallSid>>,
    phone_number_sid: (),
    price: (),
    price_unit: &'static str,
    sid: Shown<CallSid>,
    start_time: Option<Date>,
    status: &'static str,
    subresource_uris: Links<'a>,
    to: &'a str,
    to_formatted: &'a str,
    trunk_sid: (),
    uri: Link<'a>,
    queue_time: Shown<u64>,
}

type Date = Shown<model::Rfc2822>;

#[derive(Serialize)]
struct Links<'a> {
    notifications: Link<'a>,
    recordings: Link<'a>,
    payments: Link<'a>,
    events: Link<'a>,
    siprec: Link<'a>,
    streams: Link<'a>,
    transcriptions: Link<'a>,
    user_defined_message_subscriptions: Link<'a>,
    user_defined_messages: Link<'a>,
}

fn base(record: &Call) -> String {
    format!("/2010-04-01/Accounts/{}/Calls/{}", record.account, record.sid)
}

impl<'a> View<'a> {
    fn of(record: &'a Call, base: &'a str) -> Self {
        let date = |date: Timestamp| Shown(date.rfc2822());
        let link = |below| Link { base, below };
        View {
            account_sid: Shown(record.account),
            answered_by: record.answered_by.map(model::AnsweredBy::as_str),
            api_version: "2010-04-01",
            caller_name: record.caller_name.as_deref(),
            date_created: date(record.date_created),
            date_updated: date(record.date_updated),
            direction: record.direction.as_str(),
            duration: record.duration_seconds().map(Shown),
            end_time: record.end_time.map(date),
            forwarded_from: (),
            from: &record.from,
            from_formatted: &record.from,
            group_sid: (),
            parent_call_sid: record.parent.map(Shown),
            phone_number_sid: (),
            price: (),
            price_unit: "USD",
            sid: Shown(record.sid),
            start_time: record.start_time.map(date),
            status: record.status.as_str(),
            subresource_uris: Links {
                notifications: link("Notifications"),
                recordings: link("Recordings"),
                payments: link("Payments"),
                events: link("Events"),
                siprec: link("Siprec"),
                streams: link("Streams"),
                transcriptions: link("Transcriptions"),
                user_defined_message_subscriptions: link("UserDefinedMessageSubscriptions"),
                user_defined_messages: link("UserDefinedMessages"),
            },
            to: &record.to,
            to_formatted: &record.to,
            trunk_sid: (),
            uri: link(""),
            queue_time: Shown(record.queue_time_ms),
        }
    }
}

/// Returns what is shown of it.
pub fn view(record: &Call) -> Value {
    shown::value(&View::of(record, &base(record)))
}
