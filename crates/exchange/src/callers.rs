//! Who is shown as the caller by a `<Dial>`.
//!
//! Source: TwiML `<Dial>`, `callerId`; errors 13214 and 13248.

use twiml::{CalleeKind, Dial};

use crate::Failure;
use crate::call::Call;

/// Longest `callerId`, in characters. Source: Twilio error 13248.
const CALLER_ID_MAX: usize = 128;

/// Says who is to be shown as the caller.
///
/// A number is anybody's who is registered here; what is neither number nor the caller's own address is
/// refused for a number.
pub(crate) fn caller_id(call: &Call, dial: &Dial, kind: CalleeKind) -> Result<String, Failure> {
    let record = &call.record;
    let Some(wanted) = &dial.caller_id else { return Ok(record.from.clone()) };
    if wanted.chars().count() > CALLER_ID_MAX {
        let message = format!("callerId has more than {CALLER_ID_MAX} characters");
        return Err(Failure { code: 13248, message });
    }
    let digits = wanted.strip_prefix('+').unwrap_or(wanted);
    let is_number = digits.len() >= 3 && digits.bytes().all(|octet| octet.is_ascii_digit());
    let own = [&record.from, &record.to].contains(&wanted);
    let is_plain = wanted.chars().all(|c| c.is_alphanumeric() || "+-_.:@".contains(c));
    if is_number || own || kind != CalleeKind::Number && is_plain {
        return Ok(wanted.clone());
    }
    let message = format!("callerId {wanted:?} is no number");
    Err(Failure { code: 13214, message })
}
