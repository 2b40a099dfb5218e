//! The Participant resource of a conference: the request at the centre.

use axum::http::{Method, StatusCode};
use model::{ConferenceSid, Participant};
use node::{
    Beep, Command, ConferenceCallback, ConferenceKey, CreateParticipant, JoinOptions,
    PARTICIPANTS_MAX, ParticipantChanges, ParticipantFilter, ParticipantKey, Reply,
};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::form::Form;
use crate::paging::Place;
use crate::{Answer, Request, calls};

/// `GET` and `POST .../Conferences/{ConferenceSid}/Participants.json`
pub async fn all(request: Request<'_>) -> Answer {
    let account = request.node.account().sid;
    let key = request.segments[0].as_str();
    let form = &request.form;
    match *request.method {
        Method::GET => {
            let sid: ConferenceSid = key.parse().map_err(|_| ApiError::not_found())?;
            let known = request.node.store().conference(account, sid)?;
            known.ok_or_else(ApiError::not_found)?;
            let filter = ParticipantFilter {
                muted: form.flag("Muted")?,
                hold: form.flag("Hold")?,
                coaching: form.flag("Coaching")?,
            };
            let place = Place::read(form)?;
            let store = request.node.store();
            let page = store.participants(sid, filter, place.size, place.after.clone())?;
            let path =
                format!("/2010-04-01/Accounts/{account}/Conferences/{sid}/Participants.json");
            let token = |record: &Participant| record.sid.to_string();
            Ok((StatusCode::OK, place.render(form, &path, "participants", &page, token, view)))
        }
        Method::POST => {
            let conference = match key.parse() {
                Ok(sid) => ConferenceKey::Sid(sid),
                Err(_) => ConferenceKey::Name(key.to_owned()),
            };
            let create = CreateParticipant {
                account,
                conference,
                dialling: calls::dialling(form)?,
                early_media: form.flag("EarlyMedia")?.unwrap_or(true),
                options: options(form)?,
            };
            let command = Command::CreateParticipant(Box::new(create));
            render(request.node.submit(command).await?, StatusCode::CREATED)
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// `GET`, `POST` and `DELETE .../Participants/{CallSid or label}.json`
pub async fn one(request: Request<'_>) -> Answer {
    let account = request.node.account().sid;
    let conference: ConferenceSid =
        request.segments[0].parse().map_err(|_| ApiError::not_found())?;
    let participant = ParticipantKey::parse(&request.segments[2]);
    match *request.method {
        Method::GET => {
            // A conference has few enough participants to find one among them all.
            let filter = ParticipantFilter::default();
            let page = request.node.store().participants(conference, filter, 1_000, None)?;
            let found = page.records.into_iter().find(|record| match &participant {
                ParticipantKey::Call(sid) => record.call == *sid,
                ParticipantKey::Label(label) => record.label.as_ref() == Some(label),
            });
            let found = found.filter(|record| record.account == account);
            Ok((StatusCode::OK, view(&found.ok_or_else(ApiError::not_found)?)))
        }
        Method::POST => {
            let changes = Box::new(changes(&request.form)?);
            let command = Command::UpdateParticipant { account, conference, participant, changes };
            render(request.node.submit(command).await?, StatusCode::OK)
        }
        Method::DELETE => {
            let command = Command::RemoveParticipant { account, conference, participant };
            request.node.submit(command).await?;
            Ok((StatusCode::NO_CONTENT, Value::Null))
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

fn render(reply: Reply, status: StatusCode) -> Answer {
    match reply {
        Reply::Participant(record) => Ok((status, view(&record))),
        _ => Err(ApiError::not_found()),
    }
}

/// Reads the twelve parameters. All are read before anything is asked for, so one that is wrong
/// changes nothing.
fn changes(form: &Form) -> Result<ParticipantChanges, ApiError> {
    let changes = ParticipantChanges {
        muted: form.lenient_flag("Muted"),
        hold: form.flag("Hold")?,
        hold_document: form.document("HoldUrl", "HoldMethod", "GET", true)?,
        announce: form.document("AnnounceUrl", "AnnounceMethod", "POST", false)?,
        wait: form.document("WaitUrl", "WaitMethod", "POST", true)?,
        beep_on_exit: form.flag("BeepOnExit")?,
        end_conference_on_exit: form.flag("EndConferenceOnExit")?,
        coaching: form.flag("Coaching")?,
        call_to_coach: form.parsed("CallSidToCoach")?,
    };
    Ok(changes)
}

/// Reads how a participant that is dialled takes part.
fn options(form: &Form) -> Result<JoinOptions, ApiError> {
    let beep = match form.get("Beep").unwrap_or("true") {
        "true" => Beep { on_enter: true, on_exit: true },
        "false" => Beep { on_enter: false, on_exit: false },
        "onEnter" => Beep { on_enter: true, on_exit: false },
        "onExit" => Beep { on_enter: false, on_exit: true },
        other => return Err(ApiError::invalid("Beep", &format!("{other:?}"))),
    };
    let size = form.get("JitterBufferSize");
    if size.is_some_and(|size| !["off", "small", "medium", "large"].contains(&size)) {
        return Err(ApiError::invalid("JitterBufferSize", "off, small, medium or large"));
    }
    let most = u64::from(PARTICIPANTS_MAX);
    let coach = form.parsed("CallSidToCoach")?;
    if form.flag("Coaching")? == Some(true) && coach.is_none() {
        return Err(ApiError::invalid("CallSidToCoach", "Coaching=true needs a call to coach"));
    }
    let wait = form.document("WaitUrl", "WaitMethod", "POST", true)?;
    Ok(JoinOptions {
        muted: form.lenient_flag("Muted").unwrap_or(false),
        beep,
        start_conference_on_enter: form.flag("StartConferenceOnEnter")?.unwrap_or(true),
        end_conference_on_exit: form.flag("EndConferenceOnExit")?.unwrap_or(false),
        wait,
        label: form.get("Label").map(str::to_owned),
        coach,
        max_participants: form
            .number("MaxParticipants", 2..=most)?
            .and_then(|number| number.try_into().ok())
            .unwrap_or(PARTICIPANTS_MAX),
        status_callback: ConferenceCallback {
            url: form.url("ConferenceStatusCallback")?,
            method: form.method("ConferenceStatusCallbackMethod", "POST")?,
            events: form.all("ConferenceStatusCallbackEvent"),
        },
        region: form.get("Region").map(str::to_owned),
        jitter_buffer_size: size.map(str::to_owned),
    })
}

fn view(record: &Participant) -> Value {
    let base = format!("/2010-04-01/Accounts/{}/Conferences/{}", record.account, record.conference);
    json!({
        "account_sid": record.account.to_string(),
        "call_sid": record.call.to_string(),
        "label": record.label,
        "conference_sid": record.conference.to_string(),
        "date_created": record.date_created.rfc2822().to_string(),
        "date_updated": record.date_updated.rfc2822().to_string(),
        "end_conference_on_exit": record.end_conference_on_exit,
        "muted": record.muted,
        "hold": record.hold,
        "status": record.status.as_str(),
        "start_conference_on_enter": record.start_conference_on_enter,
        "coaching": record.coaching,
        "call_sid_to_coach": record.call_to_coach.map(|sid| sid.to_string()),
        "queue_time": null,
        "uri": format!("{base}/Participants/{}.json", record.call),
    })
}
