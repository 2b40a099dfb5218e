//! What we add to the API, under `/sidetone/v1`.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{CallSid, ConferenceSid, ConferenceStatus, Participant};
use node::{ParticipantFilter, Place};
use serde_json::json;

use crate::error::{ApiError, code};
use crate::{Answer, Request};

/// Longest stretch that one request listens to.
const LISTEN_MAX_S: u64 = 60;

/// `GET /sidetone/v1/Conferences/{ConferenceSid}/Audibility`
pub async fn audibility(request: Request) -> Answer {
    let (sid, status) = conference(&request).await?;
    let filter = ParticipantFilter::default();
    let page = request
        .ask(move |node| node.store().participants(sid, filter, 1_000, &Place::Skip(0)))
        .await?
        .ok_or_else(ApiError::not_found)?;
    let members: BTreeMap<CallSid, &Participant> =
        page.records.iter().map(|record| (record.call, record)).collect();
    let pairs: Vec<_> = request
        .node
        .audibility(sid)
        .await
        .iter()
        .map(|pair| {
            let audible = pair.gain > 0.0;
            let mut reasons = Vec::new();
            if !audible {
                let of = |call: &CallSid| members.get(call).copied();
                let (listener, speaker) = (of(&pair.listener), of(&pair.speaker));
                if speaker.is_some_and(|p| p.muted) {
                    reasons.push("muted");
                }
                if speaker.is_some_and(|p| p.hold) || listener.is_some_and(|p| p.hold) {
                    reasons.push("held");
                }
                if speaker.is_some_and(|p| p.coaching) {
                    reasons.push("coaching");
                }
                if status == ConferenceStatus::Init {
                    reasons.push("not_started");
                }
            }
            let gain_db = audible.then(|| (20.0 * pair.gain.log10() * 10.0).round() / 10.0);
            json!({
                "listener": pair.listener.to_string(),
                "speaker": pair.speaker.to_string(),
                "audible": audible,
                "gain_db": gain_db,
                "reasons": reasons,
            })
        })
        .collect();
    Ok((StatusCode::OK, json!({"conference_sid": sid.to_string(), "pairs": pairs})))
}

/// `GET /sidetone/v1/Conferences/{ConferenceSid}/Listen?Seconds=10`: what one who is not there
/// hears, as base64 of 16-bit little-endian linear PCM at 8 kHz.
pub async fn listen(request: Request) -> Answer {
    let (sid, _) = conference(&request).await?;
    let seconds = request.form.number("Seconds", 1..=LISTEN_MAX_S, code::BAD_REQUEST)?;
    let seconds = seconds.unwrap_or(10);
    let heard = request.node.listen(sid, Duration::from_secs(seconds)).await;
    let heard = heard.ok_or_else(ApiError::not_found)?;
    let octets: Vec<u8> = heard.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let body = json!({
        "conference_sid": sid.to_string(),
        "rate": 8_000,
        "pcm_s16le": STANDARD.encode(octets),
    });
    Ok((StatusCode::OK, body))
}

async fn conference(request: &Request) -> Result<(ConferenceSid, ConferenceStatus), ApiError> {
    let sid: ConferenceSid = request.variables[0].parse().map_err(|_| ApiError::not_found())?;
    let account = request.account;
    let known = request.ask(move |node| node.store().conference(account, sid)).await?;
    Ok((sid, known.ok_or_else(ApiError::not_found)?.status))
}
