//! How loud and clean a participant is, whom it hears and by whom it is heard, which Twilio has nothing for.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use model::{CallSid, ConferenceSid};
use node::{CleaningChanges, Command, EdgeChanges, Edges, Gain, ParticipantKey, Reply};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::form::Form;
use crate::{Answer, Request};

/// `GET` and `POST /sidetone/v1/Conferences/{ConferenceSid}/Participants/{CallSid or label}`
pub async fn one(request: Request) -> Answer {
    let account = request.account;
    let conference: ConferenceSid =
        request.variables[0].parse().map_err(|_| ApiError::not_found())?;
    let participant = ParticipantKey::parse(&request.variables[1]);
    let (call, edges) = if request.method == Method::POST {
        let changes = Box::new(changes(&request.form)?);
        let command = Command::UpdateEdges { account, conference, participant, changes };
        let Reply::Edges(call, edges) = request.node.submit(command).await? else {
            return Err(ApiError::not_found());
        };
        tracing::info!(
            call.sid = %call,
            conference.sid = %conference,
            request.id = %request.id,
            gain_db = edges.gain.db(),
            levelling = edges.cleaning.levelling,
            noise_suppression = edges.cleaning.noise_suppression,
            "participant's edges updated"
        );
        (call, *edges)
    } else {
        request.node.edges(account, conference, participant).await?
    };
    Ok((StatusCode::OK, view(conference, call, &edges)))
}

fn changes(form: &Form) -> Result<EdgeChanges, ApiError> {
    Ok(EdgeChanges {
        gain: form.get("Gain").map(gain).transpose()?,
        cleaning: CleaningChanges {
            levelling: form.flag("Levelling")?,
            noise_suppression: form.flag("NoiseSuppression")?,
        },
        hears_only: few(form, "HearsOnly"),
        heard_only_by: few(form, "HeardOnlyBy"),
    })
}

/// Reads decibels; an empty value is none.
fn gain(value: &str) -> Result<Gain, ApiError> {
    if value.is_empty() {
        return Ok(Gain::default());
    }
    let decimal = value.bytes().all(|octet| octet.is_ascii_digit() || b"+-.".contains(&octet));
    let gain = value.parse().ok().filter(|_| decimal).and_then(Gain::from_db);
    gain.ok_or_else(|| {
        let (least, most) = (Gain::MIN_DB, Gain::MAX_DB);
        ApiError::invalid("Gain", &format!("{value:?} is no number of {least} to {most}"))
    })
}

/// Reads who is named; an empty value names nobody.
fn few(form: &Form, name: &str) -> Option<Vec<ParticipantKey>> {
    let mut values = form.values(name).peekable();
    values.peek()?;
    Some(values.filter(|value| !value.is_empty()).map(ParticipantKey::parse).collect())
}

fn view(conference: ConferenceSid, call: CallSid, edges: &Edges) -> Value {
    let few = |few: &Option<BTreeSet<CallSid>>| -> Option<Vec<String>> {
        few.as_ref().map(|few| few.iter().map(CallSid::to_string).collect())
    };
    json!({
        "call_sid": call.to_string(),
        "conference_sid": conference.to_string(),
        "gain_db": edges.gain.db(),
        "levelling": edges.cleaning.levelling,
        "noise_suppression": edges.cleaning.noise_suppression,
        "hears_only": few(&edges.hears_only),
        "heard_only_by": few(&edges.heard_only_by),
    })
}
