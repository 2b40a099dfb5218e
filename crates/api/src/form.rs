//! Fields of forms and queries, and Twilio's habits in reading them.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use model::Timestamp;
use node::{DateFilter, Document};
use url::Url;

use crate::error::ApiError;

/// The fields of a request, in order; a name may come more than once.
#[derive(Debug, Default)]
pub struct Form(Vec<(String, String)>);

/// Most fields of one request.
const FIELDS_MAX: usize = 1_000;

impl Form {
    /// Reads the query, then the body by its type.
    pub fn read(query: &str, headers: &HeaderMap, body: &Bytes) -> Result<Self, ApiError> {
        let mut fields: Vec<(String, String)> = pairs(query.as_bytes());
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("application/json")) && !body.is_empty() {
            let value: serde_json::Value = serde_json::from_slice(body)
                .map_err(|error| ApiError::invalid("body", &error.to_string()))?;
            let object =
                value.as_object().ok_or_else(|| ApiError::invalid("body", "not an object"))?;
            for (name, value) in object {
                match value {
                    serde_json::Value::Array(values) => {
                        fields.extend(values.iter().map(|value| (name.clone(), plain(value))));
                    }
                    value => fields.push((name.clone(), plain(value))),
                }
            }
        } else {
            fields.extend(pairs(body));
        }
        if fields.len() > FIELDS_MAX {
            return Err(ApiError::invalid("body", "too many fields"));
        }
        Ok(Self(fields))
    }

    /// Returns the last value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns a field that must be there.
    pub fn required(&self, name: &str, code: u32) -> Result<String, ApiError> {
        let value = self.get(name).filter(|value| !value.is_empty());
        value.map(str::to_owned).ok_or_else(|| ApiError::missing(name, code))
    }

    /// Returns every value of a field; spaces and commas part several in one.
    pub fn all(&self, name: &str) -> Vec<String> {
        let values = self.0.iter().filter(|(known, _)| known == name);
        values
            .flat_map(|(_, value)| value.split([' ', ',']))
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Reads `true` or `false` in any case.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.get(name)
            .map(|value| match value.to_ascii_lowercase().as_str() {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(ApiError::invalid(name, &format!("{value:?} is neither true nor false"))),
            })
            .transpose()
    }

    /// Reads `Muted`, for which everything but `true` is false.
    pub fn lenient_flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Reads a number within a range.
    pub fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.get(name).filter(|value| !value.is_empty()) else { return Ok(None) };
        match value.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::invalid(
                name,
                &format!("{value:?} is no number of {} to {}", range.start(), range.end()),
            )),
        }
    }

    /// Reads a number of seconds.
    pub fn seconds(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<Duration>, ApiError> {
        Ok(self.number(name, range)?.map(Duration::from_secs))
    }

    /// Reads a SID or another word; what does not parse is refused.
    pub fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let value = self.get(name).filter(|value| !value.is_empty());
        let parse =
            |value: &str| value.parse().map_err(|_| ApiError::invalid(name, &format!("{value:?}")));
        value.map(parse).transpose()
    }

    /// Reads a method, of which six are known in any case.
    pub fn method(&self, name: &str, default: &str) -> Result<String, ApiError> {
        const METHODS: [&str; 6] = ["HEAD", "GET", "POST", "PATCH", "PUT", "DELETE"];
        let value = self.get(name).unwrap_or(default).to_ascii_uppercase();
        if METHODS.contains(&value.as_str()) {
            Ok(value)
        } else {
            Err(ApiError::invalid(name, &format!("{value:?} is no method that can be used")))
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
        let Some(value) = self.get(name).filter(|value| !value.is_empty()) else { return Ok(None) };
        check_url(name, value)?;
        Ok(Some(value.to_owned()))
    }

    /// Reads `Name`, `Name<` and `Name>` as days.
    pub fn dates(&self, name: &str) -> Result<DateFilter, ApiError> {
        const DAY: Duration = Duration::from_secs(86_400);
        let day = |suffix: &str| -> Result<Option<Timestamp>, ApiError> {
            let key = format!("{name}{suffix}");
            let value = self.get(&key).filter(|value| !value.is_empty());
            value
                .map(|value| {
                    let date = value.get(..10).and_then(Timestamp::parse_date);
                    date.ok_or_else(|| ApiError::invalid(&key, &format!("{value:?} is no date")))
                })
                .transpose()
        };
        if let Some(on) = day("")? {
            return Ok(DateFilter { from: Some(on), until: Some(on.after(DAY)) });
        }
        Ok(DateFilter { from: day(">")?, until: day("<")?.map(|date| date.after(DAY)) })
    }

    /// Returns the fields but these, for the addresses of pages.
    pub fn without(&self, names: &[&str]) -> Vec<(String, String)> {
        self.0.iter().filter(|(name, _)| !names.contains(&name.as_str())).cloned().collect()
    }
}

fn check_url(name: &str, value: &str) -> Result<(), ApiError> {
    let url = Url::parse(value).ok();
    if url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some()) {
        Ok(())
    } else {
        Err(ApiError::invalid(name, &format!("{value:?} is no http or https address")))
    }
}

fn pairs(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Decodes a path segment once. A plus sign is itself there.
pub fn percent_decoded(segment: &str) -> String {
    let query = format!("x={}", segment.replace('+', "%2B"));
    pairs(query.as_bytes()).into_iter().next().map(|(_, value)| value).unwrap_or_default()
}
