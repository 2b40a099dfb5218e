//! Fields of forms and queries: decoded once, in order, and Twilio's habits in reading them.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use node::Document;
use serde_json::Value;
use url::Url;

use crate::error::{ApiError, code};

/// The fields of a request, in order; a name may come more than once.
#[derive(Debug, Default)]
pub struct Form {
    fields: Vec<(String, String)>,
    /// Notes which of them are read, where somebody wants to know.
    read: Option<Arc<Read>>,
}

/// The names that a form was asked for.
#[derive(Debug, Default)]
pub struct Read(Mutex<BTreeSet<String>>);

impl Read {
    /// Whether a form was asked for this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    fn note(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }
}

/// Most fields of one request.
const FIELDS_MAX: usize = 1_000;

/// Reads a query and a body as every request's are read, and returns how many fields they have; nothing
/// where they are refused.
pub fn read_form(query: &str, kind: &str, body: &[u8]) -> Option<usize> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, kind.parse().ok()?);
    Form::read(query, &headers, body).ok().map(|form| form.fields.len())
}

impl Form {
    /// Reads the query, then the body by its type; a body without a type is a form.
    ///
    /// # Errors
    /// 400 for what cannot be decoded or is too much, 415 for a type that is neither form nor JSON.
    pub fn read(query: &str, headers: &HeaderMap, body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = pairs(query.as_bytes())?;
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if body.is_empty() {
            return Ok(Self { fields, read: None });
        }
        if kind.eq_ignore_ascii_case("application/json") {
            fields.extend(members(body)?);
        } else if kind.is_empty()
            || kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
            || kind.to_ascii_lowercase().starts_with("text/")
        {
            fields.extend(pairs(body)?);
        } else {
            let message = format!("Invalid Content-Type: {kind} is neither a form nor JSON");
            return Err(ApiError::new(415, code::BAD_REQUEST, &message));
        }
        if fields.len() > FIELDS_MAX {
            return Err(ApiError::invalid("body", &format!("more than {FIELDS_MAX} fields")));
        }
        Ok(Self { fields, read: None })
    }

    /// Returns the names of all fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    /// Lets it note from now on what it is asked for.
    pub fn watch(&mut self) -> Arc<Read> {
        Arc::clone(self.read.get_or_insert_default())
    }

    fn note(&self, name: &str) {
        if let Some(read) = &self.read {
            read.note(name);
        }
    }

    /// Returns the last value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.note(name);
        self.fields.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the last value of a field, if it is not empty.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Returns every value of a field.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.note(name);
        self.fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns every value of a field, each one of `words`; spaces and commas part several in one.
    pub fn all(&self, name: &str, words: &[&str]) -> Result<Vec<String>, ApiError> {
        self.values(name)
            .flat_map(|value| value.split([' ', ',']))
            .filter(|value| !value.is_empty())
            .map(|value| one_of(name, value, words).map(str::to_owned))
            .collect()
    }

    /// Returns a value that is one of `words`, as it is written there; case does not count.
    pub fn word<'a>(&self, name: &str, words: &[&'a str]) -> Result<Option<&'a str>, ApiError> {
        self.filled(name).map(|value| one_of(name, value, words)).transpose()
    }

    /// Reads `true` or `false` in any case.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        let read = |value: &str| match value.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(ApiError::invalid(name, &format!("{value:?} is neither true nor false"))),
        };
        self.get(name).map(read).transpose()
    }

    /// Reads `Muted`, for which everything but `true` is false.
    pub fn lenient_flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Reads a number within a range; what is none is refused with this code.
    pub fn number(
        &self,
        name: &str,
        range: RangeInclusive<u64>,
        code: u32,
    ) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.filled(name) else { return Ok(None) };
        let digits = value.bytes().all(|octet| octet.is_ascii_digit());
        match value.parse() {
            Ok(number) if digits && range.contains(&number) => Ok(Some(number)),
            _ => {
                let message =
                    format!("{value:?} is no number of {} to {}", range.start(), range.end());
                Err(ApiError::coded(code, name, &message))
            }
        }
    }

    /// Reads a number of seconds.
    pub fn seconds(
        &self,
        name: &str,
        range: RangeInclusive<u64>,
        code: u32,
    ) -> Result<Option<Duration>, ApiError> {
        Ok(self.number(name, range, code)?.map(Duration::from_secs))
    }

    /// Reads a SID or another word; what does not parse is refused.
    pub fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let parse =
            |value: &str| value.parse().map_err(|_| ApiError::invalid(name, &format!("{value:?}")));
        self.filled(name).map(parse).transpose()
    }

    /// Returns a line of text: it goes into a header somewhere, so nothing in it may end one.
    pub fn line(
        &self,
        name: &str,
        length: RangeInclusive<usize>,
        code: u32,
    ) -> Result<Option<String>, ApiError> {
        let Some(value) = self.filled(name) else { return Ok(None) };
        if value.chars().any(char::is_control) {
            return Err(ApiError::coded(code, name, "it has a control character in it"));
        }
        if !length.contains(&value.chars().count()) {
            let message = format!("it has {} to {} characters", length.start(), length.end());
            return Err(ApiError::coded(code, name, &message));
        }
        Ok(Some(value.to_owned()))
    }

    /// Reads a method, of which six are known in any case.
    pub fn method(&self, name: &str, default: &str) -> Result<String, ApiError> {
        self.method_of(name, default, &["HEAD", "GET", "POST", "PATCH", "PUT", "DELETE"])
    }

    /// Reads a method of those that are known here, in any case.
    pub fn method_of(&self, name: &str, default: &str, known: &[&str]) -> Result<String, ApiError> {
        let value = self.get(name).unwrap_or(default).to_ascii_uppercase();
        if known.contains(&value.as_str()) {
            Ok(value)
        } else {
            let message = format!("{value:?} is none of {}", known.join(", "));
            Err(ApiError::coded(code::INVALID_METHOD, name, &message))
        }
    }

    /// Reads an address and its method; an empty address means silence where `silence` allows.
    pub fn document(
        &self,
        url: &str,
        method: &str,
        default: &str,
        silence: bool,
    ) -> Result<Option<Document>, ApiError> {
        let method = self.method(method, default)?;
        let Some(value) = self.get(url) else { return Ok(None) };
        if !(value.is_empty() && silence) {
            check_url(url, value)?;
        }
        Ok(Some(Document { url: value.to_owned(), method }))
    }

    /// Reads an address.
    pub fn url(&self, name: &str) -> Result<Option<String>, ApiError> {
        let Some(value) = self.filled(name) else { return Ok(None) };
        check_url(name, value)?;
        Ok(Some(value.to_owned()))
    }

    /// Returns the fields but these, for the addresses of pages.
    pub fn without(&self, names: &[&str]) -> Vec<(String, String)> {
        self.fields.iter().filter(|(name, _)| !names.contains(&name.as_str())).cloned().collect()
    }
}

fn one_of<'a>(name: &str, value: &str, words: &[&'a str]) -> Result<&'a str, ApiError> {
    let found = words.iter().copied().find(|word| word.eq_ignore_ascii_case(value));
    found.ok_or_else(|| {
        ApiError::invalid(name, &format!("{value:?} is none of {}", words.join(", ")))
    })
}

fn check_url(name: &str, value: &str) -> Result<(), ApiError> {
    let url = Url::parse(value).ok();
    if url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some()) {
        Ok(())
    } else {
        let message = format!("{value:?} is no http or https address");
        Err(ApiError::coded(code::INVALID_URL, name, &message))
    }
}

/// Reads the members of a JSON object as fields; a list is a name that comes more than once.
fn members(body: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| ApiError::invalid("body", &error.to_string()))?;
    let object = value.as_object().ok_or_else(|| ApiError::invalid("body", "not an object"))?;
    let mut fields = Vec::new();
    for (name, value) in object {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                Value::Array(_) | Value::Object(_) => {
                    return Err(ApiError::invalid(name, "neither text, number nor boolean"));
                }
            };
            fields.push((name.clone(), text));
        }
    }
    Ok(fields)
}

/// Reads `name=value&...`, strictly: what is no text in UTF-8 is refused, not guessed at.
fn pairs(text: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
    let parts = text.split(|octet| *octet == b'&').filter(|part| !part.is_empty());
    let read = |part: &[u8]| {
        let at = part.iter().position(|octet| *octet == b'=').unwrap_or(part.len());
        let name = decoded(&part[..at], true)
            .ok_or_else(|| ApiError::invalid("body", "a field's name cannot be decoded"))?;
        let value = decoded(part.get(at + 1..).unwrap_or_default(), true);
        match value {
            Some(value) => Ok((name, value)),
            None => Err(ApiError::invalid(&name, "it is no percent-encoded UTF-8")),
        }
    };
    parts.map(read).collect()
}

/// Decodes a path segment once; a plus sign is itself there.
pub fn percent_decoded(segment: &str) -> Option<String> {
    decoded(segment.as_bytes(), false)
}

fn decoded(text: &[u8], plus_is_space: bool) -> Option<String> {
    let digit = |octet: Option<&u8>| char::from(*octet?).to_digit(16)?.try_into().ok();
    let mut octets: Vec<u8> = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let high: u8 = digit(rest.next())?;
                high << 4 | digit(rest.next())?
            }
            b'+' if plus_is_space => b' ',
            octet => octet,
        });
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, body: &str) -> Result<Form, ApiError> {
        let mut headers = HeaderMap::new();
        if !kind.is_empty() {
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
        }
        Form::read("", &headers, body.as_bytes())
    }

    #[test]
    fn a_space_is_a_plus_or_an_escape_and_is_decoded_once() {
        for (text, expected) in
            [("a=b+c", "b c"), ("a=b%20c", "b c"), ("a=%252F", "%2F"), ("a=%2B", "+"), ("a", "")]
        {
            assert_eq!(read("", text).unwrap().get("a"), Some(expected), "{text}");
        }
        assert_eq!(percent_decoded("a+b%2520%2F").as_deref(), Some("a+b%20/"));
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%ff", "%c3%28=b"] {
            assert!(read("", text).is_err(), "{text}");
        }
        assert_eq!(percent_decoded("%e4"), None);
    }

    #[test]
    fn json_says_the_same_as_a_form() {
        let json = r#"{"Muted": true, "Timeout": 7, "Event": ["a", "b c"], "Label": null}"#;
        let form = read("application/json; charset=utf-8", json).unwrap();
        assert_eq!(form.flag("Muted").unwrap(), Some(true));
        assert_eq!(form.number("Timeout", 5..=600, 1).unwrap(), Some(7));
        assert_eq!(form.all("Event", &["A", "b", "c"]).unwrap(), ["A", "b", "c"]);
        assert_eq!(form.get("Label"), None);
        for body in ["[1]", "{", r#"{"a": {}}"#] {
            assert!(read("application/json", body).is_err(), "{body}");
        }
        assert!(read("multipart/form-data", "x").is_err());
    }
}
