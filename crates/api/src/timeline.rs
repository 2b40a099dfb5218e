//! The history of a conference, also after its end: what befell whom, when and why, and who was told.

use axum::http::StatusCode;
use model::{CallSid, Callback, Moment, MomentEdge};
use serde_json::{Value, json};

use crate::error::{ApiError, code};
use crate::paging::{PAGE_SIZE, PAGE_SIZE_MAX};
use crate::{Answer, Request, sidetone};

/// `GET /sidetone/v1/Conferences/{ConferenceSid}/Timeline?PageSize=50&After=0`, oldest first.
pub async fn all(request: Request) -> Answer {
    let sid = sidetone::conference(&request).await?;
    let (account, form) = (request.account, &request.form);
    let size = form.number("PageSize", 1..=PAGE_SIZE_MAX, code::BAD_REQUEST)?.unwrap_or(PAGE_SIZE);
    let after = form.number("After", 0..=i64::MAX as u64, code::BAD_REQUEST)?.unwrap_or(0);
    let after = i64::try_from(after).map_err(|_| ApiError::not_found())?;
    let most = usize::try_from(size).unwrap_or(usize::MAX);
    let events = request
        .ask(move |node| {
            let store = node.store();
            let moments = store.moments(account, sid, after, most)?.into_iter();
            let with_callback = moments.map(|(seq, moment)| {
                let callback = moment.callback.map(|callback| store.callback(account, callback));
                Ok((seq, moment, callback.transpose()?.flatten()))
            });
            with_callback.collect::<Result<Vec<_>, _>>()
        })
        .await?;
    let path = format!("/sidetone/v1/Conferences/{sid}/Timeline");
    let next = events.last().filter(|_| events.len() == most);
    let next = next.map(|(seq, ..)| format!("{path}?PageSize={size}&After={seq}"));
    let events: Vec<Value> =
        events.iter().map(|(_, moment, callback)| view(moment, callback.as_ref())).collect();
    let body =
        json!({ "conference_sid": sid.to_string(), "events": events, "next_page_uri": next });
    Ok((StatusCode::OK, body))
}

/// Returns what is shown of it.
pub fn view(moment: &Moment, callback: Option<&Callback>) -> Value {
    let about = moment.about.as_ref();
    let coaches = about.and_then(|about| about.coaches);
    let set = Set::of(moment);
    json!({
        "date": moment.date.iso8601().to_string(),
        "event": moment.event,
        "call_sid": about.map(|about| about.call.to_string()),
        "label": about.and_then(|about| about.label.clone()),
        "muted": about.map(|about| about.muted),
        "hold": about.map(|about| about.hold),
        "coaching": about.map(|about| about.coaches.is_some()),
        "call_sid_to_coach": coaches.map(|coached| coached.to_string()),
        "gain_db": set.gain_db,
        "levelling": set.levelling,
        "noise_suppression": set.noise_suppression,
        "sidebar": set.sidebar,
        "reason": moment.reason,
        "callback": callback.map(|callback| json!({
            "sid": callback.sid.to_string(),
            "url": callback.url,
            "status": callback.state.as_str(),
            "attempts": callback.attempts,
            "last_error": callback.last_error,
        })),
    })
}

/// What a moment has set that no callback tells of; at most one of them.
#[derive(Default)]
pub struct Set {
    /// How loud the others hear one since then, in dB.
    pub gain_db: Option<f64>,
    /// Whether its voice is brought towards a common level.
    pub levelling: Option<bool>,
    /// Whether steady noise is taken out of what it says.
    pub noise_suppression: Option<bool>,
    /// Whom it hears and who hears it.
    pub sidebar: Option<Value>,
}

impl Set {
    pub fn of(moment: &Moment) -> Self {
        let few = |few: &Option<Vec<CallSid>>| -> Option<Vec<String>> {
            few.as_ref().map(|few| few.iter().map(CallSid::to_string).collect())
        };
        let nothing = Self::default();
        match &moment.edge {
            None => nothing,
            Some(MomentEdge::Gain(gain)) => {
                Self { gain_db: Some(f64::from(*gain) / 100.0), ..nothing }
            }
            Some(MomentEdge::Levelling(on)) => Self { levelling: Some(*on), ..nothing },
            Some(MomentEdge::NoiseSuppression(on)) => {
                Self { noise_suppression: Some(*on), ..nothing }
            }
            Some(MomentEdge::Sidebar { hears_only, heard_only_by }) => {
                let lists =
                    json!({ "hears_only": few(hears_only), "heard_only_by": few(heard_only_by) });
                Self { sidebar: Some(lists), ..nothing }
            }
        }
    }
}
