//! The rules for a participant's label.
//!
//! Source: Twilio errors 16023 and 16024.

/// Longest label, in characters.
pub const LENGTH_MAX: usize = 128;

/// Why a text cannot be a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Nothing to call anyone by.
    #[error("it is empty")]
    Empty,
    /// Over [`LENGTH_MAX`].
    #[error("it has more than {LENGTH_MAX} characters")]
    TooLong,
    /// It would be taken for a call.
    #[error("it looks like a CallSid")]
    LooksLikeCallSid,
    /// It could not be addressed.
    #[error("it contains a slash")]
    Slash,
}

/// Checks a label.
///
/// # Errors
/// The first rule that it breaks.
pub fn check(label: &str) -> Result<(), LabelError> {
    let sid = label
        .strip_prefix("CA")
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|o| o.is_ascii_hexdigit()));
    if label.is_empty() {
        Err(LabelError::Empty)
    } else if label.chars().count() > LENGTH_MAX {
        Err(LabelError::TooLong)
    } else if sid {
        Err(LabelError::LooksLikeCallSid)
    } else if label.contains('/') || label.to_ascii_lowercase().contains("%2f") {
        Err(LabelError::Slash)
    } else {
        Ok(())
    }
}
