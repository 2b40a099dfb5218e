//! The Participant resource of a conference: the request at the centre.

use axum::http::{Method, StatusCode};
use model::{ConferenceSid, Participant};
use node::{
    Beep, Command, ConferenceCallback, ConferenceKey, CreateParticipant, JoinOptions,
    PARTICIPANTS_MAX, ParticipantChanges, ParticipantFilter, ParticipantKey, Reply,
};
use serde_json::{Value, json};

use crate::error::{ApiError, code};
use crate::form::Form;
use crate::paging::{Asked, List};
use crate::{Answer, Request, dialling, recordings};

const LIST: List = List {
    name: "participants",
    envelope: [
        "participants",
        "first_page_uri",
        "next_page_uri",
        "previous_page_uri",
        "uri",
        "page",
        "page_size",
        "start",
        "end",
    ],
};
/// What a conference's status callback may ask for. Source: Twilio, Participant resource.
const CONFERENCE_EVENTS: [&str; 9] =
    ["start", "end", "join", "leave", "mute", "hold", "modify", "speaker", "announcement"];
const REGIONS: [&str; 8] = ["us1", "us2", "ie1", "de1", "sg1", "br1", "au1", "jp1"];
/// Longest name of a conference, in characters. Source: Twilio, error 13237.
const NAME_MAX: usize = 128;

/// `GET` and `POST .../Conferences/{ConferenceSid}/Participants.json`
pub async fn all(request: Request) -> Answer {
    let key = request.variables[0].as_str();
    if request.method == Method::GET {
        list(&request, key).await
    } else {
        create(&request, key).await
    }
}

async fn list(request: &Request, key: &str) -> Answer {
    let (form, account) = (&request.form, request.account);
    // As on Twilio: only who creates may give a name in place of a SID.
    let sid: ConferenceSid =
        key.parse().map_err(|_| ApiError::method_not_allowed("POST, OPTIONS".to_owned()))?;
    let filter = ParticipantFilter {
        muted: form.flag("Muted")?,
        hold: form.flag("Hold")?,
        coaching: form.flag("Coaching")?,
    };
    let asked = Asked::read(form)?;
    let (size, place) = (asked.size, asked.place.clone());
    let (known, page) = request
        .ask(move |node| {
            let known = node.store().conference(account, sid)?;
            Ok((known, node.store().participants(sid, filter, size, &place)?))
        })
        .await?;
    known.ok_or_else(ApiError::not_found)?;
    let path = format!("/2010-04-01/Accounts/{account}/Conferences/{sid}/Participants.json");
    let token = |record: &Participant| record.sid.to_string();
    Ok((StatusCode::OK, asked.render(&LIST, form, &path, page, token, view)?))
}

async fn create(request: &Request, key: &str) -> Answer {
    let form = &request.form;
    let name = key.trim();
    let conference = match key.parse() {
        Ok(sid) => ConferenceKey::Sid(sid),
        Err(_) if name.is_empty() || name.chars().count() > NAME_MAX => {
            let message = format!("a conference's name has 1 to {NAME_MAX} characters");
            return Err(ApiError::coded(code::INVALID_FRIENDLY_NAME, "FriendlyName", &message));
        }
        Err(_) => ConferenceKey::Name(name.to_owned()),
    };
    let create = CreateParticipant {
        account: request.account,
        conference,
        dialling: dialling::read(form, 5..=600, dialling::AMD_OF_PARTICIPANT)?,
        early_media: form.flag("EarlyMedia")?.unwrap_or(true),
        options: options(form)?,
    };
    let reply = request.node.submit(Command::CreateParticipant(Box::new(create))).await?;
    let record = participant(reply)?;
    log(request, &record, "participant is dialled");
    let mut body = view(&record);
    let (account, call) = (record.account, record.call);
    let call = request.ask(move |node| node.store().call(account, call)).await?;
    body["queue_time"] = call.map_or(0, |call| call.queue_time_ms).to_string().into();
    Ok((StatusCode::CREATED, body))
}

/// `GET`, `POST` and `DELETE .../Participants/{CallSid or label}.json`
pub async fn one(request: Request) -> Answer {
    let account = request.account;
    let conference: ConferenceSid =
        request.variables[0].parse().map_err(|_| ApiError::not_found())?;
    let key = ParticipantKey::parse(&request.variables[1]);
    match request.method {
        Method::POST => {
            let changes = Box::new(changes(&request.form)?);
            let command =
                Command::UpdateParticipant { account, conference, participant: key, changes };
            let record = participant(request.node.submit(command).await?)?;
            log(&request, &record, "participant updated");
            Ok((StatusCode::OK, view(&record)))
        }
        Method::DELETE => {
            let command = Command::RemoveParticipant { account, conference, participant: key };
            request.node.submit(command).await?;
            let id = request.id;
            tracing::info!(conference.sid = %conference, request.id = %id, "participant removed");
            Ok((StatusCode::NO_CONTENT, Value::Null))
        }
        _ => {
            let key = match key {
                ParticipantKey::Call(call) => call.to_string(),
                ParticipantKey::Label(label) => label,
            };
            let found = request.ask(move |node| node.store().participant(conference, &key)).await?;
            let found = found.filter(|record| record.account == account);
            Ok((StatusCode::OK, view(&found.ok_or_else(ApiError::not_found)?)))
        }
    }
}

fn participant(reply: Reply) -> Result<Box<Participant>, ApiError> {
    match reply {
        Reply::Participant(record) => Ok(record),
        _ => Err(ApiError::not_found()),
    }
}

fn log(request: &Request, record: &Participant, what: &str) {
    tracing::info!(
        call.sid = %record.call,
        conference.sid = %record.conference,
        request.id = %request.id,
        muted = record.muted,
        hold = record.hold,
        coaching = record.coaching,
        "{what}"
    );
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
    let beep = form.word("Beep", &["true", "false", "onEnter", "onExit"])?.unwrap_or("true");
    let size = form.word("JitterBufferSize", &["off", "small", "medium", "large"])?;
    let coach = form.parsed("CallSidToCoach")?;
    let coaching = form.flag("Coaching")?;
    if coaching == Some(true) && coach.is_none() {
        return Err(ApiError::invalid("CallSidToCoach", "Coaching=true needs a call to coach"));
    }
    let most = u64::from(PARTICIPANTS_MAX);
    let events = form.all("ConferenceStatusCallbackEvent", &CONFERENCE_EVENTS)?;
    Ok(JoinOptions {
        muted: form.lenient_flag("Muted").unwrap_or(false),
        beep: Beep {
            on_enter: matches!(beep, "true" | "onEnter"),
            on_exit: matches!(beep, "true" | "onExit"),
        },
        start_conference_on_enter: form.flag("StartConferenceOnEnter")?.unwrap_or(true),
        end_conference_on_exit: form.flag("EndConferenceOnExit")?.unwrap_or(false),
        wait: form.document("WaitUrl", "WaitMethod", "POST", true)?,
        label: form.filled("Label").map(str::to_owned),
        coach: coach.filter(|_| coaching != Some(false)),
        max_participants: form
            .number("MaxParticipants", 2..=most, code::BAD_REQUEST)?
            .and_then(|number| number.try_into().ok())
            .unwrap_or(PARTICIPANTS_MAX),
        status_callback: ConferenceCallback {
            url: form.url("ConferenceStatusCallback")?,
            method: form.method("ConferenceStatusCallbackMethod", "POST")?,
            events: if events.is_empty() {
                vec!["start".to_owned(), "end".to_owned()]
            } else {
                events
            },
        },
        region: form.word("Region", &REGIONS)?.map(str::to_owned),
        jitter_buffer_size: size.map(str::to_owned),
        recording: recordings::conference_options(form)?,
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
