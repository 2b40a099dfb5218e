//! The Call resource.

use axum::http::{Method, StatusCode};
use model::{Call, CallSid};
use node::{
    CallChanges, CallFilter, Command, CreateCall, Dialling, Document, End, Instructions, Reply,
    StatusCallback,
};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::form::Form;
use crate::paging::Place;
use crate::{Answer, Request};

const SUBRESOURCES: [(&str, &str); 9] = [
    ("notifications", "Notifications"),
    ("recordings", "Recordings"),
    ("payments", "Payments"),
    ("events", "Events"),
    ("siprec", "Siprec"),
    ("streams", "Streams"),
    ("transcriptions", "Transcriptions"),
    ("user_defined_message_subscriptions", "UserDefinedMessageSubscriptions"),
    ("user_defined_messages", "UserDefinedMessages"),
];

/// Longest `Twiml` parameter, in octets. Source: Twilio, Call resource.
const TWIML_MAX: usize = 4_000;

/// `GET` and `POST .../Calls.json`
pub async fn all(request: Request<'_>) -> Answer {
    let account = request.node.account().sid;
    let form = &request.form;
    match *request.method {
        Method::GET => {
            let filter = CallFilter {
                to: form.get("To").map(str::to_owned),
                from: form.get("From").map(str::to_owned),
                parent: form.parsed("ParentCallSid")?,
                status: form.parsed("Status")?,
                start_time: form.dates("StartTime")?,
                end_time: form.dates("EndTime")?,
            };
            let place = Place::read(form)?;
            let page =
                request.node.store().calls(account, &filter, place.size, place.after.clone())?;
            let path = format!("/2010-04-01/Accounts/{account}/Calls.json");
            let sid = |record: &Call| record.sid.to_string();
            Ok((StatusCode::OK, place.render(form, &path, "calls", &page, sid, view)))
        }
        Method::POST => {
            let create = CreateCall {
                account,
                dialling: dialling(form)?,
                instructions: instructions(form)?.ok_or_else(|| ApiError::missing("Url", 21205))?,
                send_digits: form.get("SendDigits").map(str::to_owned),
            };
            let command = Command::CreateCall(Box::new(create));
            render(request.node.submit(command).await?, StatusCode::CREATED)
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// `GET`, `POST` and `DELETE .../Calls/{Sid}.json`
pub async fn one(request: Request<'_>) -> Answer {
    let account = request.node.account().sid;
    let call: CallSid = request.segments[0].parse().map_err(|_| ApiError::not_found())?;
    let record = request.node.store().call(account, call)?.ok_or_else(ApiError::not_found)?;
    match *request.method {
        Method::GET => Ok((StatusCode::OK, view(&record))),
        Method::POST => {
            let changes = Box::new(changes(&request.form)?);
            if record.status.is_final() {
                return Err(node::Refusal::CallNotInProgress.into());
            }
            let command = Command::UpdateCall { account, call, changes };
            render(request.node.submit(command).await?, StatusCode::OK)
        }
        Method::DELETE => {
            if !record.status.is_final() {
                return Err(node::Refusal::CallNotFinished.into());
            }
            request.node.submit(Command::DeleteCall { account, call }).await?;
            Ok((StatusCode::NO_CONTENT, Value::Null))
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

fn render(reply: Reply, status: StatusCode) -> Answer {
    match reply {
        Reply::Call(record) => Ok((status, view(&record))),
        _ => Err(ApiError::not_found()),
    }
}

/// Reads whom to dial and how: what calls and participants have in common.
pub fn dialling(form: &Form) -> Result<Dialling, ApiError> {
    let user = form.get("SipAuthUsername");
    Ok(Dialling {
        to: form.required("To", 21201)?,
        from: form.required("From", 21213)?,
        timeout: form.seconds("Timeout", 0..=600)?,
        time_limit: form.seconds("TimeLimit", 1..=86_400)?,
        sip_auth: user.map(|user| {
            (user.to_owned(), form.get("SipAuthPassword").unwrap_or_default().to_owned())
        }),
        caller_display_name: form.get("CallerDisplayName").map(str::to_owned),
        caller_id: form.get("CallerId").map(str::to_owned),
        status_callback: StatusCallback {
            url: form.url("StatusCallback")?,
            method: form.method("StatusCallbackMethod", "POST")?,
            events: form.all("StatusCallbackEvent"),
        },
    })
}

fn instructions(form: &Form) -> Result<Option<Instructions>, ApiError> {
    let document = form.document("Url", "Method", "POST", false)?;
    let fallback = form.document("FallbackUrl", "FallbackMethod", "POST", false)?;
    match (document, form.get("Twiml")) {
        (_, Some(text)) if text.len() > TWIML_MAX => Err(ApiError::invalid("Twiml", "too long")),
        (None, Some(text)) => Ok(Some(Instructions::Twiml(text.to_owned()))),
        (Some(document), _) => Ok(Some(Instructions::Url { document, fallback })),
        (None, None) => Ok(None),
    }
}

fn changes(form: &Form) -> Result<CallChanges, ApiError> {
    let end = match form.get("Status") {
        None => None,
        Some("completed") => Some(End::Completed),
        Some("canceled") => Some(End::Canceled),
        Some(other) => return Err(ApiError::invalid("Status", &format!("{other:?}"))),
    };
    let callback = form.url("StatusCallback")?;
    let method = form.method("StatusCallbackMethod", "POST")?;
    let fallback: Option<Document> =
        form.document("FallbackUrl", "FallbackMethod", "POST", false)?;
    Ok(CallChanges {
        redirect: instructions(form)?,
        end,
        status_callback: callback.map(|url| (url, method)),
        time_limit: form.seconds("TimeLimit", 1..=86_400)?,
        fallback,
    })
}

fn view(record: &Call) -> Value {
    let base = format!("/2010-04-01/Accounts/{}/Calls/{}", record.account, record.sid);
    let links: serde_json::Map<String, Value> = SUBRESOURCES
        .iter()
        .map(|(name, path)| ((*name).to_owned(), format!("{base}/{path}.json").into()))
        .collect();
    let date = |date: Option<model::Timestamp>| date.map(|date| date.rfc2822().to_string());
    json!({
        "account_sid": record.account.to_string(),
        "answered_by": null,
        "api_version": "2010-04-01",
        "caller_name": record.caller_name,
        "date_created": record.date_created.rfc2822().to_string(),
        "date_updated": record.date_updated.rfc2822().to_string(),
        "direction": record.direction.as_str(),
        "duration": record.duration_seconds().map(|seconds| seconds.to_string()),
        "end_time": date(record.end_time),
        "forwarded_from": null,
        "from": record.from,
        "from_formatted": record.from,
        "group_sid": null,
        "parent_call_sid": record.parent.map(|sid| sid.to_string()),
        "phone_number_sid": "",
        "price": null,
        "price_unit": "USD",
        "sid": record.sid.to_string(),
        "start_time": date(record.start_time),
        "status": record.status.as_str(),
        "subresource_uris": links,
        "to": record.to,
        "to_formatted": record.to,
        "trunk_sid": null,
        "uri": format!("{base}.json"),
        "queue_time": record.queue_time_ms.to_string(),
    })
}
