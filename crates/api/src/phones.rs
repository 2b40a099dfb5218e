//! The virtual phones: what each does when it is called, and what befell it. In development alone.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use node::{Behavior, Order, PHONES_MAX, Phones, Plan, Says, Seen};
use serde_json::{Value, json};

use crate::error::{ApiError, code};
use crate::form::Form;
use crate::{Answer, Request};

const BEHAVIORS: [&str; 4] = ["answer", "busy", "no-answer", "failed"];
/// SIP's statuses for `busy` and `failed`.
const BUSY: u16 = 486;
const FAILED: u16 = 503;
/// Longest ringing, in seconds: longer than anybody waits.
const ANSWER_AFTER_MAX_S: u64 = 600;
/// Longest call of a phone that hangs up by itself, in seconds.
const HANG_UP_AFTER_MAX_S: u64 = 86_400;
/// Most characters that are spoken, keys that are pressed, repetitions and calls.
const SAYS_MAX: usize = 1_000;
const DIGITS_MAX: usize = 128;
const LOOP_MAX: u64 = 1_000;
const CALLS_MAX: u64 = 1_000_000;
/// Longest name of a sound file.
const AUDIO_MAX: usize = 128;

/// `GET /sidetone/v1/Phones`: those that were called or told something.
pub fn all(request: &Request) -> Answer {
    let phones = phones(request)?;
    let rows = phones.numbers().into_iter().map(|number| view(phones, &number));
    Ok((StatusCode::OK, json!({ "phones": rows.collect::<Vec<_>>() })))
}

/// `GET`, `POST` and `DELETE /sidetone/v1/Phones/{PhoneNumber}`.
pub fn one(request: &Request) -> Answer {
    let phones = phones(request)?;
    let given = &request.variables[0];
    let number = node::e164(given).filter(|_| given.starts_with('+'));
    let number = number.ok_or_else(ApiError::not_found)?;
    match request.method {
        Method::POST => {
            let before = phones.get(&number).0;
            let plan = read(&request.form, before.clone())?;
            let orders = orders(&request.form)?;
            let conflict = |sorry: &str| Err(ApiError::new(409, code::CONFLICT, sorry));
            if !orders.is_empty() {
                if plan != before {
                    return Err(ApiError::invalid("Press", "it goes with nothing for later calls"));
                }
                if !phones.order(&number, orders) {
                    return conflict(&format!("The virtual phone of {number} is in no call"));
                }
            } else if plan != before && !phones.tell(&number, plan) {
                return conflict(&format!("{PHONES_MAX} phones were told something: delete one"));
            }
        }
        Method::DELETE => {
            phones.forget(&number);
            return Ok((StatusCode::NO_CONTENT, Value::Null));
        }
        _ => {}
    }
    Ok((StatusCode::OK, view(phones, &number)))
}

fn phones(request: &Request) -> Result<&Phones, ApiError> {
    let sorry = "This server has no virtual phones: sidetone dev has, unless it runs with --no-virtual-phones";
    request.node.phones().ok_or_else(|| ApiError::new(404, code::NOT_FOUND, sorry))
}

/// Reads what is to be changed of a plan.
fn read(form: &Form, mut plan: Plan) -> Result<Plan, ApiError> {
    let after = form.seconds("AnswerAfter", 0..=ANSWER_AFTER_MAX_S, code::BAD_REQUEST)?;
    match form.word("Behavior", &BEHAVIORS)? {
        Some("busy") => plan.behavior = Behavior::Refuse(BUSY),
        Some("failed") => plan.behavior = Behavior::Refuse(FAILED),
        Some("no-answer") => plan.behavior = Behavior::NoAnswer,
        Some(_) if !matches!(plan.behavior, Behavior::Answer(_)) => {
            plan.behavior = Behavior::Answer(Duration::from_secs(1));
        }
        _ => {}
    }
    match (after, plan.behavior) {
        (Some(after), Behavior::Answer(_)) => plan.behavior = Behavior::Answer(after),
        (Some(_), _) => {
            return Err(ApiError::invalid(
                "AnswerAfter",
                "a phone that does not answer needs none",
            ));
        }
        (None, _) => {}
    }
    let words = form.line("Says", 1..=SAYS_MAX, code::BAD_REQUEST)?;
    match (words, form.line("Audio", 1..=AUDIO_MAX, code::BAD_REQUEST)?) {
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid("Audio", "a phone says words or a file, not both"));
        }
        (Some(words), None) => plan.says = Says::Words(words),
        (None, Some(file)) if is_file_name(&file) => plan.says = Says::File(file),
        (None, Some(file)) => {
            let message = format!("{file:?} is not the bare name of a file");
            return Err(ApiError::invalid("Audio", &message));
        }
        (None, None) => {}
    }
    if let Some(loops) = form.number("Loop", 0..=LOOP_MAX, code::BAD_REQUEST)? {
        plan.loops = u32::try_from(loops).unwrap_or(u32::MAX);
    }
    if let Some(digits) = keys(form, "Digits")? {
        plan.digits = digits;
    }
    let after = form.seconds("HangUpAfter", 1..=HANG_UP_AFTER_MAX_S, code::BAD_REQUEST)?;
    plan.hang_up_after = after.or(plan.hang_up_after);
    if let Some(calls) = form.number("Calls", 1..=CALLS_MAX, code::BAD_REQUEST)? {
        plan.calls = u32::try_from(calls).ok();
    }
    Ok(plan)
}

/// Reads what is to be done in the call that is going on.
fn orders(form: &Form) -> Result<Vec<Order>, ApiError> {
    let press = keys(form, "Press")?.map(Order::Press);
    let hang_up = form.flag("HangUp")?.unwrap_or(false).then_some(Order::HangUp);
    Ok(press.into_iter().chain(hang_up).collect())
}

fn keys(form: &Form, name: &str) -> Result<Option<String>, ApiError> {
    let Some(keys) = form.filled(name) else { return Ok(None) };
    let fits =
        keys.len() <= DIGITS_MAX && keys.chars().all(|key| "0123456789*#ABCDwW".contains(key));
    if fits {
        return Ok(Some(keys.to_owned()));
    }
    let message = format!("{keys:?} are not 1 to {DIGITS_MAX} of 0-9, *, #, A-D, w and W");
    Err(ApiError::invalid(name, &message))
}

/// A name that leads nowhere but into its folder.
fn is_file_name(name: &str) -> bool {
    !name.starts_with('.') && name.chars().all(|c| c.is_alphanumeric() || "._-".contains(c))
}

fn view(phones: &Phones, number: &str) -> Value {
    let (plan, seen) = phones.get(number);
    let Seen { state, calls, from, digits } = seen;
    let (behavior, answer_after) = match plan.behavior {
        Behavior::Answer(after) => ("answer", Some(after.as_secs())),
        Behavior::NoAnswer => ("no-answer", None),
        Behavior::Refuse(BUSY) => ("busy", None),
        Behavior::Refuse(_) => ("failed", None),
    };
    let status = match plan.behavior {
        Behavior::Refuse(status) => Some(status),
        Behavior::Answer(_) | Behavior::NoAnswer => None,
    };
    let (says, audio) = match plan.says {
        Says::Words(words) => (Some(words), None),
        Says::File(file) => (None, Some(file)),
    };
    json!({
        "phone_number": number,
        "behavior": behavior,
        "sip_status": status,
        "answer_after": answer_after,
        "says": says,
        "audio": audio,
        "loop": plan.loops,
        "digits": plan.digits,
        "hang_up_after": plan.hang_up_after.map(|after| after.as_secs()),
        "calls_left": plan.calls,
        "status": state.as_str(),
        "calls": calls,
        "from": (!from.is_empty()).then_some(from),
        "digits_heard": digits,
        "uri": format!("/sidetone/v1/Phones/{number}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_s_name_leads_nowhere_else() {
        for (name, fits) in [
            ("hello.wav", true),
            ("grüße-1.mp3", true),
            ("..", false),
            (".hidden", false),
            ("a/b.wav", false),
            ("a\\b.wav", false),
            ("a b.wav", false),
        ] {
            assert_eq!(is_file_name(name), fits, "{name}");
        }
    }
}
