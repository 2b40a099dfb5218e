//! Whom to dial, and how: what the creation of calls and of participants have in common.

use std::ops::RangeInclusive;

use node::{Dialling, StatusCallback};

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
    ("MachineDetection", Rule::Word(&["Enable", "DetectMessageEnd"])),
    ("MachineDetectionTimeout", Rule::Number(3..=59)),
    ("MachineDetectionSpeechThreshold", Rule::Number(1_000..=6_000)),
    ("MachineDetectionSpeechEndThreshold", Rule::Number(500..=5_000)),
    ("MachineDetectionSilenceTimeout", Rule::Number(2_000..=10_000)),
];

/// The same, of participants alone.
pub const ACCEPTED_OF_PARTICIPANT: &[(&str, Rule)] =
    &[("AmdStatusCallback", Rule::Url), ("AmdStatusCallbackMethod", Rule::Method)];

/// The same, of calls alone.
pub const ACCEPTED_OF_CALL: &[(&str, Rule)] = &[
    ("AsyncAmd", Rule::Flag),
    ("AsyncAmdStatusCallback", Rule::Url),
    ("AsyncAmdStatusCallbackMethod", Rule::Method),
];

/// Reads whom to dial and how; `timeout` is what `Timeout` may be.
///
/// # Errors
/// 400 with Twilio's code for the parameter that is missing or cannot be.
pub fn read(form: &Form, timeout: RangeInclusive<u64>) -> Result<Dialling, ApiError> {
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
    })
}
