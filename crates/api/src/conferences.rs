//! The Conference resource.

use axum::http::{Method, StatusCode};
use model::{Conference, ConferenceSid};
use node::{Command, ConferenceFilter, Reply};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::paging::Place;
use crate::{Answer, Request};

/// `GET .../Conferences.json`
pub fn all(request: &Request<'_>) -> Answer {
    if request.method != Method::GET {
        return Err(ApiError::method_not_allowed());
    }
    let form = &request.form;
    let filter = ConferenceFilter {
        friendly_name: form.get("FriendlyName").map(str::to_owned),
        status: form.parsed("Status")?,
        date_created: form.dates("DateCreated")?,
        date_updated: form.dates("DateUpdated")?,
    };
    let (place, account) = (Place::read(form)?, request.node.account().sid);
    let page =
        request.node.store().conferences(account, &filter, place.size, place.after.clone())?;
    let path = format!("/2010-04-01/Accounts/{account}/Conferences.json");
    let sid = |record: &Conference| record.sid.to_string();
    Ok((StatusCode::OK, place.render(form, &path, "conferences", &page, sid, view)))
}

/// `GET` and `POST .../Conferences/{Sid}.json`
pub async fn one(request: Request<'_>) -> Answer {
    let account = request.node.account().sid;
    let sid: ConferenceSid = request.segments[0].parse().map_err(|_| ApiError::not_found())?;
    match *request.method {
        Method::GET => {}
        Method::POST => {
            let form = &request.form;
            let status = form.get("Status");
            if status.is_some_and(|status| status != "completed") {
                return Err(ApiError::invalid("Status", "only completed can be asked for"));
            }
            let announce = form.document("AnnounceUrl", "AnnounceMethod", "POST", false)?;
            let command = Command::UpdateConference {
                account,
                conference: sid,
                complete: status.is_some(),
                announce,
            };
            if let Reply::Conference(record) = request.node.submit(command).await? {
                return Ok((StatusCode::OK, view(&record)));
            }
        }
        _ => return Err(ApiError::method_not_allowed()),
    }
    let record = request.node.store().conference(account, sid)?;
    Ok((StatusCode::OK, view(&record.ok_or_else(ApiError::not_found)?)))
}

fn view(record: &Conference) -> Value {
    let base = format!("/2010-04-01/Accounts/{}/Conferences/{}", record.account, record.sid);
    json!({
        "account_sid": record.account.to_string(),
        "api_version": "2010-04-01",
        "date_created": record.date_created.rfc2822().to_string(),
        "date_updated": record.date_updated.rfc2822().to_string(),
        "friendly_name": record.friendly_name,
        "sid": record.sid.to_string(),
        "region": record.region,
        "status": record.status.as_str(),
        "subresource_uris": {
            "participants": format!("{base}/Participants.json"),
            "recordings": format!("{base}/Recordings.json"),
        },
        "uri": format!("{base}.json"),
        "reason_conference_ended": record.end_reason.map(|reason| reason.as_str()),
        "call_sid_ending_conference": record.call_ending.map(|sid| sid.to_string()),
    })
}
