//! What a parameter's value must be, as a table can say it.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::error::{ApiError, code};
use crate::form::Form;

/// What a parameter's value must be.
#[derive(Debug, Clone)]
pub enum Rule {
    Flag,
    Url,
    /// `GET` or `POST`: what is kept is shown, and no other may be.
    Method,
    Word(&'static [&'static str]),
    Number(RangeInclusive<u64>),
    /// A SID that begins so.
    Sid(&'static str),
    /// A line of so many characters, and the code of one that is none.
    Line(RangeInclusive<usize>, u32),
}

impl Rule {
    /// Reads a parameter; nothing where it is absent, `null` where it is empty.
    ///
    /// # Errors
    /// 400 naming the parameter whose value cannot be.
    pub fn read(&self, form: &Form, name: &str) -> Result<Option<Value>, ApiError> {
        let Some(given) = form.get(name) else { return Ok(None) };
        let read: Option<Value> = match self {
            Self::Flag => form.flag(name)?.map(Value::from),
            Self::Url => form.url(name)?.map(Value::from),
            Self::Method => Some(form.method_of(name, "POST", &["GET", "POST"])?.into()),
            Self::Word(words) => form.word(name, words)?.map(Value::from),
            Self::Number(range) => {
                form.number(name, range.clone(), code::BAD_REQUEST)?.map(Value::from)
            }
            Self::Line(length, code) => form.line(name, length.clone(), *code)?.map(Value::from),
            Self::Sid(prefix) => {
                let digits = given.strip_prefix(prefix).unwrap_or_default();
                let fits =
                    digits.len() == 32 && digits.bytes().all(|octet| octet.is_ascii_hexdigit());
                if !given.is_empty() && !fits {
                    let message = format!("{given:?} is not {prefix} and 32 hexadecimal digits");
                    return Err(ApiError::invalid(name, &message));
                }
                let sid = (!given.is_empty()).then(|| format!("{prefix}{}", digits.to_lowercase()));
                sid.map(Value::from)
            }
        };
        Ok(Some(read.unwrap_or(Value::Null)))
    }
}

/// Holds parameters to their rules.
///
/// # Errors
/// 400 naming the first whose value cannot be.
pub fn check(form: &Form, rules: &[(&str, Rule)]) -> Result<(), ApiError> {
    rules.iter().try_for_each(|(name, rule)| rule.read(form, name).map(drop))
}
