//! What we add to the API, under `/sidetone/v1`.

use std::time::Duration;

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::ConferenceSid;
use node::Level;
use serde_json::{Value, json};

use crate::error::{ApiError, code};
use crate::{Answer, Request};

/// Longest stretch that one request listens to.
const LISTEN_MAX_S: u64 = 60;

/// `GET /sidetone/v1/Conferences/{ConferenceSid}/Audibility`: what the mixer does for each pair, and
/// why where it lets nothing through; how loud each is, how well it comes and what is done to its sound, and who is the
/// dominant speaker.
pub async fn audibility(request: Request) -> Answer {
    let sid = conference(&request).await?;
    let heard = request.node.audibility(sid).await;
    let pairs = heard.pairs.iter().map(|pair| {
        let audible = pair.gain > 0.0;
        let gain_db = audible.then(|| (20.0 * f64::from(pair.gain).log10() * 10.0).round() / 10.0);
        json!({
            "listener": pair.listener.to_string(),
            "speaker": pair.speaker.to_string(),
            "audible": audible,
            "gain_db": gain_db,
            "reasons": pair.reasons,
        })
    });
    let pairs: Vec<Value> = pairs.collect();
    let levels = heard.levels.iter().map(|one| {
        let mut view = level(one);
        view["levelling"] = one.cleaning.levelling.into();
        view["noise_suppression"] = one.cleaning.noise_suppression.into();
        view
    });
    let body = json!({
        "conference_sid": sid.to_string(),
        "pairs": pairs,
        "levels": levels.collect::<Vec<Value>>(),
        "dominant_speaker": heard.dominant.map(|call| call.to_string()),
    });
    Ok((StatusCode::OK, body))
}

/// How loud one is, and how well it comes.
pub fn level(level: &Level) -> Value {
    let mos = level.mos.map(|mos| (f64::from(mos) * 100.0).round() / 100.0);
    json!({
        "call_sid": level.call.to_string(),
        "level_db": -i32::from(level.below),
        "mos": mos,
    })
}

/// `GET /sidetone/v1/Conferences/{ConferenceSid}/Listen?Seconds=10`: what one who is not there
/// hears, as base64 of 16-bit little-endian linear PCM at 8 kHz.
pub async fn listen(request: Request) -> Answer {
    let sid = conference(&request).await?;
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

/// Returns the conference that the path names, if it is the account's.
///
/// # Errors
/// 404 otherwise.
pub async fn conference(request: &Request) -> Result<ConferenceSid, ApiError> {
    let sid: ConferenceSid = request.variables[0].parse().map_err(|_| ApiError::not_found())?;
    let account = request.account;
    let known = request.ask(move |node| node.store().conference(account, sid)).await?;
    known.map(|_| sid).ok_or_else(ApiError::not_found)
}
