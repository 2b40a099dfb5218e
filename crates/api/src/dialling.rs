//! Whom to dial, and how: what the creation of calls and of participants have in common.

use std::ops::RangeInclusive;
use std::time::Duration;

use node::{Dialling, Document, MachineDetection, StatusCallback};

use crate::error::{ApiError, code};
use crate::form::Form;
use crate::recordings;
use crate::rule::{self, Rule};

/// Longest duration of a call, in seconds. Source: Twilio, `TimeLimit`.
pub const TIME_LIMIT: RangeInclusive<u64> = 1..=86_400;
/// Longest address or name that is dialled or shown, in characters.
const ADDRESS: RangeInclusive<usize> = 1..=512;
const DISPLAY_NAME: RangeInclusive<usize> = 2..=255;

/// What a call's status callback may ask for.
pub const CALL_EVENTS: [&str; 4] = ["initiated", "ringing", "answered", "completed"];
/// What a call and a participant may carry that nothing comes of yet; it must be valid all the same.
///
/// Source: Twilio, Participant resource and Call resource.
const ACCEPTED: &[(&str, Rule)] = &[
    ("Byoc", Rule::Sid("BY")),
    ("CallReason", Rule::Line(1..=256, code::BAD_REQUEST)),
    ("ClientNotificationUrl", Rule::Url),
];

/// Who is told who has answered a participant's call.
pub const AMD_OF_PARTICIPANT: &str = "AmdStatusCallback";
/// The same, of a call whose document does not wait for it.
pub const AMD_OF_CALL: &str = "AsyncAmdStatusCallback";

/// Reads how it is found out who has answered; `callback` is the parameter that names who is told.
fn machine(form: &Form, callback: &str) -> Result<Option<MachineDetection>, ApiError> {
    type Limits = model::MachineDetection;
    let limits = Limits::default();
    let number = |name: &str, range, unit_ms: u64, default| {
        let number = form.number(name, range, code::BAD_REQUEST)?;
        Ok::<_, ApiError>(number.map_or(default, |number| Duration::from_millis(number * unit_ms)))
    };
    let mode = form.word("MachineDetection", &["Enable", "DetectMessageEnd"])?;
    let limits = Limits {
        message_end: mode == Some("DetectMessageEnd"),
        timeout: number("MachineDetectionTimeout", Limits::TIMEOUT_S, 1_000, limits.timeout)?,
        speech_threshold: number(
            "MachineDetectionSpeechThreshold",
            Limits::SPEECH_MS,
            1,
            limits.speech_threshold,
        )?,
        speech_end_threshold: number(
            "MachineDetectionSpeechEndThreshold",
            Limits::SPEECH_END_MS,
            1,
            limits.speech_end_threshold,
        )?,
        silence_timeout: number(
            "MachineDetectionSilenceTimeout",
            Limits::SILENCE_MS,
            1,
            limits.silence_timeout,
        )?,
    };
    let is_async = form.flag("AsyncAmd")?.unwrap_or(false);
    let url = form.url(callback)?;
    let method = form.method(&format!("{callback}Method"), "POST")?;
    let callback = url.map(|url| Document { url, method });
    Ok(mode.map(|_| MachineDetection { limits, is_async, callback }))
}

/// Reads whom to dial and how; `timeout` is what `Timeout` may be, `amd_callback` the parameter that names
/// who is told who has answered.
///
/// # Errors
/// 400 with Twilio's code for the parameter that is missing or cannot be.
pub fn read(
    form: &Form,
    timeout: RangeInclusive<u64>,
    amd_callback: &str,
) -> Result<Dialling, ApiError> {
    let to = form.line("To", ADDRESS, code::INVALID_TO)?;
    let from = form.line("From", ADDRESS, code::INVALID_FROM)?;
    let to = to.ok_or_else(|| ApiError::missing("To", code::NO_TO))?;
    let from = from.ok_or_else(|| ApiError::missing("From", code::NO_FROM))?;
    rule::check(form, ACCEPTED)?;
    let record = form.flag("Record")?.unwrap_or(false);
    let recording = recordings::leg_options(form, true)?;
    let user = form.line("SipAuthUsername", ADDRESS, code::BAD_REQUEST)?;
    let password = form.get("SipAuthPassword").unwrap_or_default();
    Ok(Dialling {
        to,
        parameters: Vec::new(),
        from,
        timeout: form.seconds("Timeout", timeout, code::INVALID_TIMEOUT)?,
        time_limit: form.seconds("TimeLimit", TIME_LIMIT, code::BAD_REQUEST)?,
        sip_auth: user.map(|user| (user, password.to_owned())),
        caller_display_name: form.line("CallerDisplayName", DISPLAY_NAME, code::BAD_REQUEST)?,
        caller_id: form.line("CallerId", ADDRESS, code::BAD_REQUEST)?,
        status_callback: StatusCallback {
            url: form.url("StatusCallback")?,
            method: form.method("StatusCallbackMethod", "POST")?,
            events: form.all("StatusCallbackEvent", &CALL_EVENTS)?,
        },
        recording: record.then_some(recording),
        machine: machine(form, amd_callback)?,
    })
}
