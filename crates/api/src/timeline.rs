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
    json!({
        "date": moment.date.iso8601().to_string(),
        "event": moment.event,
        "call_sid": about.map(|about| about.call.to_string()),
        "label": about.and_then(|about| about.label.clone()),
        "muted": about.map(|about| about.muted),
        "hold": about.map(|about| about.hold),
        "coaching": about.map(|about| about.coaches.is_some()),
        "call_sid_to_coach": coaches.map(|coached| coached.to_string()),
        "gain_db": gain_db(moment),
        "sidebar": sidebar(moment),
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

/// Returns how loud the others hear one since then, in dB, where that was set.
pub fn gain_db(moment: &Moment) -> Option<f64> {
    match moment.edge {
        Some(MomentEdge::Gain(gain)) => Some(f64::from(gain) / 100.0),
        Some(MomentEdge::Sidebar { .. }) | None => None,
    }
}

/// Returns whom one hears and who hears it since then, where that was set.
pub fn sidebar(moment: &Moment) -> Option<Value> {
    let few = |few: &Option<Vec<CallSid>>| -> Option<Vec<String>> {
        few.as_ref().map(|few| few.iter().map(CallSid::to_string).collect())
    };
    match &moment.edge {
        Some(MomentEdge::Sidebar { hears_only, heard_only_by }) => Some(json!({
            "hears_only": few(hears_only),
            "heard_only_by": few(heard_only_by),
        })),
        Some(MomentEdge::Gain(_)) | None => None,
    }
}
