//! Lists in pages, with addresses to the next one.

use node::Page;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::form::Form;

const PAGE_SIZE: u64 = 50;

/// Where a list begins and how long a page is.
pub struct Place {
    pub size: usize,
    pub after: Option<String>,
    page: u64,
}

impl Place {
    /// Reads `PageSize`, `Page` and `PageToken`.
    pub fn read(form: &Form) -> Result<Self, ApiError> {
        let size = form.number("PageSize", 1..=1_000)?.unwrap_or(PAGE_SIZE);
        let token = form.get("PageToken").map(|token| token.trim_start_matches("PA").to_owned());
        let page = form.number("Page", 0..=1_000_000)?.unwrap_or(0);
        Ok(Self { size: usize::try_from(size).unwrap_or(50), after: token, page })
    }

    /// Renders a page. `sid` names a record in the next page's token.
    pub fn render<T>(
        &self,
        form: &Form,
        path: &str,
        name: &str,
        page: &Page<T>,
        sid: impl Fn(&T) -> String,
        view: impl Fn(&T) -> Value,
    ) -> Value {
        let address = |number: u64, token: Option<String>| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(form.without(&["Page", "PageSize", "PageToken"]));
            query.append_pair("PageSize", &self.size.to_string());
            query.append_pair("Page", &number.to_string());
            if let Some(token) = token {
                query.append_pair("PageToken", &format!("PA{token}"));
            }
            format!("{path}?{}", query.finish())
        };
        let last = page.records.last().filter(|_| page.more);
        let start = self.page * self.size as u64;
        let end = start + (page.records.len() as u64).saturating_sub(1);
        json!({
            name: page.records.iter().map(view).collect::<Vec<_>>(),
            "first_page_uri": address(0, None),
            "next_page_uri": last.map(|record| address(self.page + 1, Some(sid(record)))),
            "previous_page_uri": null,
            "uri": address(self.page, self.after.clone()),
            "page": self.page,
            "page_size": self.size,
            "end": end,
            "start": start,
        })
    }
}
