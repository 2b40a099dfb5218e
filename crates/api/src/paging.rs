//! Lists in pages, with addresses to the ones before and after.

use node::{Page, Place};
use serde_json::{Map, Value, json};

use crate::error::{ApiError, code};
use crate::form::Form;
use crate::shown::append;

pub const PAGE_SIZE: u64 = 50;
/// Most records on one page. Source: Twilio, error 20007.
pub const PAGE_SIZE_MAX: u64 = 1_000;
/// Octets that most records need, and what is around them.
const RECORD_LENGTH: usize = 2_048;
const ENVELOPE_LENGTH: usize = 1_024;
/// The furthest page that can be asked for by its number alone.
const PAGE_MAX: u64 = 1_000_000;

/// A list under its name, with the keys of its envelope in the order of Twilio's examples.
#[derive(Debug)]
pub struct List {
    pub name: &'static str,
    pub envelope: [&'static str; 9],
}

/// The page that a request asks for.
#[derive(Debug)]
pub struct Asked {
    pub size: usize,
    pub place: Place,
    page: u64,
    token: Option<String>,
}

impl Asked {
    /// Reads `PageSize`, `Page` and `PageToken`.
    ///
    /// # Errors
    /// 20007 for a page that is too large, 400 for what is no number or no token.
    pub fn read(form: &Form) -> Result<Self, ApiError> {
        let size = form.number("PageSize", 1..=u64::MAX, code::BAD_REQUEST)?.unwrap_or(PAGE_SIZE);
        if size > PAGE_SIZE_MAX {
            let message = format!("{size} is more than {PAGE_SIZE_MAX}");
            return Err(ApiError::coded(code::PAGE_SIZE_TOO_LARGE, "PageSize", &message));
        }
        let size = usize::try_from(size).expect("it is at most 1,000");
        let page = form.number("Page", 0..=PAGE_MAX, code::BAD_REQUEST)?.unwrap_or(0);
        let token = form.filled("PageToken").map(str::to_owned);
        let place = match &token {
            None => Place::Skip(usize::try_from(page).unwrap_or(usize::MAX).saturating_mul(size)),
            Some(token) => match (token.get(..2), token.get(2..)) {
                (Some("PA"), Some(sid)) => Place::After(sid.to_owned()),
                (Some("PB"), Some(sid)) => Place::Before(sid.to_owned()),
                _ => return Err(unknown_token(token)),
            },
        };
        Ok(Self { size, place, page, token })
    }

    /// Renders a page. `sid` names a record in the tokens of its neighbours.
    ///
    /// # Errors
    /// 400 where there is no page: the token is none of this list.
    pub fn render<T>(
        &self,
        list: &List,
        form: &Form,
        path: &str,
        page: Option<Page<T>>,
        sid: impl Fn(&T) -> String,
        view: impl Fn(&T) -> Value,
    ) -> Result<Value, ApiError> {
        let page = self.known(page)?;
        let mut values = self.envelope(form, path, &page, sid);
        values[list.name] = page.records.iter().map(view).collect();
        Ok(ordered(values, &list.envelope))
    }

    /// Writes a page as [`Self::render`] renders it; `view` appends a record.
    ///
    /// # Errors
    /// As there.
    pub fn write<T>(
        &self,
        list: &List,
        form: &Form,
        path: &str,
        page: Option<Page<T>>,
        sid: impl Fn(&T) -> String,
        view: impl Fn(&T, &mut Vec<u8>),
    ) -> Result<Vec<u8>, ApiError> {
        let page = self.known(page)?;
        let values = self.envelope(form, path, &page, sid);
        let mut text = Vec::with_capacity(ENVELOPE_LENGTH + page.records.len() * RECORD_LENGTH);
        let mut separator = b'{';
        for name in list.envelope {
            text.push(separator);
            separator = b',';
            append(&mut text, name);
            text.push(b':');
            if name != list.name {
                append(&mut text, &values[name]);
                continue;
            }
            text.push(b'[');
            for (place, record) in page.records.iter().enumerate() {
                if place > 0 {
                    text.push(b',');
                }
                view(record, &mut text);
            }
            text.push(b']');
        }
        text.push(b'}');
        Ok(text)
    }

    fn known<T>(&self, page: Option<Page<T>>) -> Result<Page<T>, ApiError> {
        page.ok_or_else(|| unknown_token(self.token.as_deref().unwrap_or_default()))
    }

    /// Returns all members of a page but its records.
    fn envelope<T>(
        &self,
        form: &Form,
        path: &str,
        page: &Page<T>,
        sid: impl Fn(&T) -> String,
    ) -> Value {
        let filters = form.without(&["Page", "PageSize", "PageToken"]);
        let address = |number: u64, token: Option<String>| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(&filters);
            query.append_pair("PageSize", &self.size.to_string());
            query.append_pair("Page", &number.to_string());
            if let Some(token) = token {
                query.append_pair("PageToken", &token);
            }
            format!("{path}?{}", query.finish())
        };
        let records = &page.records;
        let next = records.last().filter(|_| page.more);
        let previous = records.first().filter(|_| self.page > 0);
        let start = if records.is_empty() { 0 } else { self.page * self.size as u64 };
        json!({
            "first_page_uri": address(0, None),
            "next_page_uri": next.map(|last| address(self.page + 1, Some(format!("PA{}", sid(last))))),
            "previous_page_uri": previous
                .map(|first| address(self.page - 1, Some(format!("PB{}", sid(first))))),
            "uri": address(self.page, self.token.clone()),
            "page": self.page,
            "page_size": self.size,
            "start": start,
            "end": start + (records.len() as u64).saturating_sub(1),
        })
    }
}

fn unknown_token(token: &str) -> ApiError {
    ApiError::invalid("PageToken", &format!("{token:?} is none of this list"))
}

/// Puts the members of an object into this order. Members that the order does not name are left out.
pub fn ordered(mut object: Value, order: &[&str]) -> Value {
    let members = order.iter().map(|name| ((*name).to_owned(), object[*name].take()));
    Value::Object(members.collect::<Map<_, _>>())
}
