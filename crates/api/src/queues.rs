//! The Queue resource, and who waits in it: the Member resource.

use axum::http::{Method, StatusCode};
use model::{AccountSid, CallSid, QueueSid, Timestamp};
use node::{
    Command, LineMember, QUEUE_NAME_MAX, QUEUE_SIZE, QUEUE_SIZE_MAX, QueueCensus, Refusal, Reply,
};
use serde_json::{Value, json};

use crate::error::{ApiError, code};
use crate::form::Form;
use crate::paging::{Asked, List};
use crate::{Answer, Request};

const LIST: List = List {
    name: "queues",
    envelope: [
        "end",
        "first_page_uri",
        "next_page_uri",
        "page",
        "page_size",
        "previous_page_uri",
        "queues",
        "start",
        "uri",
    ],
};
const MEMBERS: List = List {
    name: "queue_members",
    envelope: [
        "end",
        "first_page_uri",
        "next_page_uri",
        "page",
        "page_size",
        "previous_page_uri",
        "queue_members",
        "start",
        "uri",
    ],
};
/// The member that waits longest. Source: Twilio, Member resource.
const FRONT: &str = "Front";

/// `GET` and `POST .../Queues.json`
pub async fn all(request: Request) -> Answer {
    let (form, account) = (&request.form, request.account);
    if request.method == Method::GET {
        let asked = Asked::read(form)?;
        let (size, place) = (asked.size, asked.place.clone());
        let page = request.ask(move |node| node.store().queues(account, size, &place)).await?;
        let path = format!("/2010-04-01/Accounts/{account}/Queues.json");
        let sid = |census: &QueueCensus| census.queue.sid.to_string();
        let now = request.node.date();
        let view = |census: &QueueCensus| view(census, now);
        return Ok((StatusCode::OK, asked.render(&LIST, form, &path, page, sid, view)?));
    }
    let friendly_name = name(form)?;
    let friendly_name =
        friendly_name.ok_or_else(|| ApiError::missing("FriendlyName", code::BAD_REQUEST))?;
    let max_size = max_size(form)?.unwrap_or(QUEUE_SIZE);
    let command = Command::CreateQueue { account, friendly_name, max_size };
    let Reply::Queue(sid) = request.node.submit(command).await? else {
        return Err(ApiError::not_found());
    };
    tracing::info!(queue.sid = %sid, request.id = %request.id, "queue made");
    Ok((StatusCode::CREATED, shown(&request, sid).await?))
}

/// `GET`, `POST` and `DELETE .../Queues/{Sid}.json`
pub async fn one(request: Request) -> Answer {
    let account = request.account;
    let queue: QueueSid = request.variables[0].parse().map_err(|_| ApiError::not_found())?;
    match request.method {
        Method::POST => {
            let (friendly_name, max_size) = (name(&request.form)?, max_size(&request.form)?);
            let command = Command::UpdateQueue { account, queue, friendly_name, max_size };
            request.node.submit(command).await?;
        }
        Method::DELETE => {
            request.node.submit(Command::DeleteQueue { account, queue }).await?;
            return Ok((StatusCode::NO_CONTENT, Value::Null));
        }
        _ => {}
    }
    Ok((StatusCode::OK, shown(&request, queue).await?))
}

/// `GET .../Queues/{QueueSid}/Members.json`
pub async fn members(request: Request) -> Answer {
    let (form, account) = (&request.form, request.account);
    let queue = known(&request).await?;
    let asked = Asked::read(form)?;
    let (size, place) = (asked.size, asked.place.clone());
    let page = request.ask(move |node| node.store().queue_members(queue, size, &place)).await?;
    let path = format!("/2010-04-01/Accounts/{account}/Queues/{queue}/Members.json");
    let sid = |line: &LineMember| line.member.call.to_string();
    let now = request.node.date();
    let view = |line: &LineMember| member_view(account, line, now);
    Ok((StatusCode::OK, asked.render(&MEMBERS, form, &path, page, sid, view)?))
}

/// `GET` and `POST .../Queues/{QueueSid}/Members/{CallSid}.json`; `Front` stands for who is first.
pub async fn member(request: Request) -> Answer {
    let account = request.account;
    let queue = known(&request).await?;
    let call: Option<CallSid> = match request.variables[1].as_str() {
        FRONT => None,
        sid => Some(sid.parse().map_err(|_| ApiError::not_found())?),
    };
    let document = match request.method {
        Method::POST => {
            let document = request.form.document("Url", "Method", "POST", false)?;
            Some(document.ok_or_else(|| ApiError::missing("Url", code::BAD_REQUEST))?)
        }
        _ => None,
    };
    let line = request.ask(move |node| node.store().queue_member(queue, call)).await?;
    let line = line.ok_or_else(ApiError::not_found)?;
    let body = member_view(account, &line, request.node.date());
    if let Some(document) = document {
        let call = line.member.call;
        let command = Command::Dequeue { account, queue, call, document };
        request.node.submit(command).await?;
        tracing::info!(call.sid = %call, queue.sid = %queue, request.id = %request.id, "call dequeued by the API");
    }
    Ok((StatusCode::OK, body))
}

/// Reads the queue that the path names; it must be this account's.
async fn known(request: &Request) -> Result<QueueSid, ApiError> {
    let account = request.account;
    let sid: QueueSid = request.variables[0].parse().map_err(|_| ApiError::not_found())?;
    let queue = request.ask(move |node| node.store().queue(account, sid)).await?;
    queue.map(|_| sid).ok_or_else(ApiError::not_found)
}

async fn shown(request: &Request, sid: QueueSid) -> Result<Value, ApiError> {
    let account = request.account;
    let census = request.ask(move |node| node.store().queue(account, sid)).await?;
    let census = census.ok_or(Refusal::QueueNotFound)?;
    Ok(view(&census, request.node.date()))
}

fn name(form: &Form) -> Result<Option<String>, ApiError> {
    form.line("FriendlyName", 1..=QUEUE_NAME_MAX, code::BAD_REQUEST)
}

fn max_size(form: &Form) -> Result<Option<u32>, ApiError> {
    let size = form.number("MaxSize", 1..=QUEUE_SIZE_MAX.into(), code::BAD_REQUEST)?;
    Ok(size.and_then(|size| u32::try_from(size).ok()))
}

fn view(census: &QueueCensus, now: Timestamp) -> Value {
    let queue = &census.queue;
    let base = format!("/2010-04-01/Accounts/{}/Queues/{}", queue.account, queue.sid);
    json!({
        "account_sid": queue.account.to_string(),
        "average_wait_time": census.enqueued.map_or(0, |mean| now.since(mean).as_secs()),
        "current_size": census.current_size,
        "date_created": queue.date_created.rfc2822().to_string(),
        "date_updated": queue.date_updated.rfc2822().to_string(),
        "friendly_name": queue.friendly_name,
        "max_size": queue.max_size,
        "sid": queue.sid.to_string(),
        "uri": format!("{base}.json"),
    })
}

fn member_view(account: AccountSid, line: &LineMember, now: Timestamp) -> Value {
    let LineMember { member, position } = line;
    let base = format!("/2010-04-01/Accounts/{account}/Queues/{}/Members", member.queue);
    json!({
        "queue_sid": member.queue.to_string(),
        "call_sid": member.call.to_string(),
        "date_enqueued": member.date_enqueued.rfc2822().to_string(),
        "position": position,
        "uri": format!("{base}/{}.json", member.call),
        "wait_time": now.since(member.date_enqueued).as_secs(),
    })
}
