//! Balance and Usage Records: counted from the rows of calls, conferences and messages; there is no price.
//!
//! Source: Twilio API 2010-04-01, Balance and Usage Record resources.

use std::time::Duration;

use axum::http::StatusCode;
use model::{AccountSid, Timestamp};
use node::{CallUsage, DateFilter, Handle, Page, Place, StoreFailed, UsagePeer};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::form::Form;
use crate::paging::{Asked, List};
use crate::{Answer, Request};

const DAY: Duration = Duration::from_secs(86_400);
/// Most days, months or years of one list.
const RANGES_MAX: usize = 4_000;

#[rustfmt::skip]
const LIST: List = List {
    name: "usage_records",
    envelope: [
        "end", "first_page_uri", "next_page_uri", "page", "page_size", "previous_page_uri", "start", "uri",
        "usage_records",
    ],
};
const LINKS: [(&str, &str); 8] = [
    ("all_time", "AllTime"),
    ("daily", "Daily"),
    ("last_month", "LastMonth"),
    ("monthly", "Monthly"),
    ("this_month", "ThisMonth"),
    ("today", "Today"),
    ("yearly", "Yearly"),
    ("yesterday", "Yesterday"),
];

/// Which calls a category counts: in or out, and whom they were with; none: all.
type Sort = (Option<bool>, Option<UsagePeer>);

/// What a category counts.
#[derive(Debug, Clone, Copy)]
enum Counts {
    Calls(Sort),
    Conferences,
    Messages,
}

#[rustfmt::skip]
const CATEGORIES: [(&str, &str, Counts); 11] = [
    ("calls", "Voice Minutes", Counts::Calls((None, None))),
    ("calls-client", "Client Voice Minutes", Counts::Calls((None, Some(UsagePeer::Client)))),
    ("calls-inbound", "Inbound Voice Minutes", Counts::Calls((Some(true), None))),
    ("calls-inbound-local", "Inbound Local Calls", Counts::Calls((Some(true), Some(UsagePeer::Number)))),
    ("calls-outbound", "Outbound Voice Minutes", Counts::Calls((Some(false), None))),
    ("calls-sip", "SIP Minutes", Counts::Calls((None, Some(UsagePeer::Sip)))),
    ("calls-sip-inbound", "Inbound SIP Minutes", Counts::Calls((Some(true), Some(UsagePeer::Sip)))),
    ("calls-sip-outbound", "Outbound SIP Minutes", Counts::Calls((Some(false), Some(UsagePeer::Sip)))),
    ("conferences", "Conferences", Counts::Conferences),
    ("sms", "SMS", Counts::Messages),
    ("sms-outbound", "Outbound SMS", Counts::Messages),
];

/// Which stretches of time a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// One, from the first day to the last.
    Whole,
    Daily,
    Monthly,
    Yearly,
    Today,
    Yesterday,
    ThisMonth,
    LastMonth,
}

/// `GET .../Balance.json`: nothing costs anything.
pub fn balance(request: &Request) -> Answer {
    let account = request.account.to_string();
    Ok((StatusCode::OK, json!({"account_sid": account, "balance": "0", "currency": "USD"})))
}

/// `GET .../Usage/Records.json` and of the lists below it.
pub async fn records(request: Request, span: Span, below: &'static str) -> Answer {
    let form = &request.form;
    let asked = Asked::read(form)?;
    let accounts = accounts(&request, form.flag("IncludeSubaccounts")?.unwrap_or(true));
    let born = request.node.accounts().get(request.account).map(|account| account.date_created);
    let today = day_of(request.node.date());
    let first = date(form, "StartDate", today)?;
    let last = date(form, "EndDate", today)?.unwrap_or(today);
    let first = first.unwrap_or_else(|| day_of(born.unwrap_or(today)));
    let ranges = ranges(span, first, last, today);
    let wanted = form.filled("Category");
    let categories =
        || CATEGORIES.iter().filter(|(name, ..)| wanted.is_none_or(|one| one == *name));
    let rows: Vec<(DateFilter, _)> =
        ranges.iter().flat_map(|range| categories().map(|category| (*range, *category))).collect();
    let known = |token: &str| token.parse::<usize>().ok().filter(|at| *at < rows.len());
    let start = match &asked.place {
        Place::Skip(rows) => Some(*rows),
        Place::After(token) => known(token).map(|at| at + 1),
        Place::Before(token) => known(token).map(|at| at.saturating_sub(asked.size)),
    };
    let page = start.map(|start| {
        let some: Vec<_> = rows.iter().copied().enumerate().skip(start).take(asked.size).collect();
        let more = rows.len() > start.saturating_add(some.len());
        (some, more)
    });
    let page = match page {
        Some((some, more)) => {
            let counted = request.ask(move |node| count(node, &accounts, some)).await?;
            Some(Page { records: counted, more })
        }
        None => None,
    };
    let path = format!("/2010-04-01/Accounts/{}/Usage/Records{below}.json", request.account);
    let as_of = format!("{:.19}+00:00", request.node.date().iso8601().to_string());
    let index = |row: &Counted| row.index.to_string();
    let view = |row: &Counted| view(row, request.account, below, &as_of);
    Ok((StatusCode::OK, asked.render(&LIST, form, &path, page, index, view)?))
}

fn accounts(request: &Request, with_subaccounts: bool) -> Vec<AccountSid> {
    let all = request.node.accounts().all();
    let its = |sid: AccountSid, owner: AccountSid| {
        sid == request.account || with_subaccounts && owner == request.account
    };
    all.into_iter().filter(|one| its(one.sid, one.owner)).map(|one| one.sid).collect()
}

/// One record before it is rendered.
struct Counted {
    index: usize,
    range: DateFilter,
    category: &'static str,
    description: &'static str,
    count: u64,
    usage: u64,
    units: (&'static str, &'static str),
}

type Row = (usize, (DateFilter, (&'static str, &'static str, Counts)));

fn count(
    node: &Handle,
    accounts: &[AccountSid],
    rows: Vec<Row>,
) -> Result<Vec<Counted>, StoreFailed> {
    let mut counted = Vec::with_capacity(rows.len());
    let mut calls: Option<(DateFilter, Vec<CallUsage>)> = None;
    for (index, (range, (category, description, counts))) in rows {
        let (count, usage, units) = match counts {
            Counts::Calls((inbound, peer)) => {
                if calls.as_ref().is_none_or(|(of, _)| *of != range) {
                    calls = Some((range, node.store().call_usage(accounts, range)?));
                }
                let fits = |one: &&CallUsage| {
                    inbound.is_none_or(|inbound| inbound == one.inbound)
                        && peer.is_none_or(|peer| peer == one.peer)
                };
                let all = calls.iter().flat_map(|(_, all)| all).filter(fits);
                let (count, minutes) = all.fold((0, 0), |(count, minutes), one| {
                    (count + one.calls, minutes + one.minutes)
                });
                (count, minutes, ("calls", "minutes"))
            }
            Counts::Conferences => {
                let count = node.store().conference_usage(accounts, range)?;
                (count, count, ("conferences", "conferences"))
            }
            Counts::Messages => {
                let count = node.store().message_usage(accounts, range)?;
                (count, count, ("messages", "messages"))
            }
        };
        counted.push(Counted { index, range, category, description, count, usage, units });
    }
    Ok(counted)
}

fn view(row: &Counted, account: AccountSid, below: &str, as_of: &str) -> Value {
    let base = format!("/2010-04-01/Accounts/{account}/Usage/Records");
    let category = row.category;
    let link = |path: &str| format!("{base}/{path}.json?Category={category}");
    let links = LINKS.iter().map(|(name, path)| ((*name).to_owned(), link(path).into()));
    let first = row.range.from.map(written);
    let last = row.range.until.map(|until| written(Timestamp(until.0 - 1)));
    let dates = [("StartDate", &first), ("EndDate", &last)];
    let dates: String = dates
        .iter()
        .filter_map(|(name, date)| Some(format!("&{name}={}", date.as_ref()?)))
        .collect();
    json!({
        "account_sid": account.to_string(),
        "api_version": "2010-04-01",
        "as_of": as_of,
        "category": category,
        "count": row.count.to_string(),
        "count_unit": row.units.0,
        "description": row.description,
        "end_date": last,
        "price": null,
        "price_unit": "usd",
        "start_date": first,
        "subresource_uris": Value::Object(links.collect()),
        "uri": format!("{base}{below}.json?Category={category}{dates}"),
        "usage": row.usage.to_string(),
        "usage_unit": row.units.1,
    })
}

fn written(date: Timestamp) -> String {
    format!("{:.10}", date.iso8601().to_string())
}

fn day_of(date: Timestamp) -> Timestamp {
    Timestamp(date.0 - date.0.rem_euclid(86_400_000))
}

/// Reads a day, also as an offset from today such as `-30days`.
fn date(form: &Form, name: &str, today: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = form.filled(name) else { return Ok(None) };
    let offset = text.strip_suffix("days").or_else(|| text.strip_suffix("day"));
    let offset =
        offset.and_then(|days| days.parse::<i64>().ok()).filter(|days| days.abs() < 100_000);
    let date = match offset {
        Some(days) => Some(Timestamp(today.0 + days * 86_400_000)),
        None => Timestamp::parse_date(text),
    };
    let told = || ApiError::invalid(name, &format!("{text:?} is neither YYYY-MM-DD nor -30days"));
    date.map(Some).ok_or_else(told)
}

/// Returns year and month.
fn civil(date: Timestamp) -> (i64, u32) {
    let text = written(date);
    (text[..4].parse().unwrap_or(1970), text[5..7].parse().unwrap_or(1))
}

/// Returns the first day of a month; months before the first or after the last run into other years.
fn month(year: i64, month: i64) -> Timestamp {
    let (year, month) = (year + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) + 1);
    let month = u32::try_from(month).unwrap_or(1);
    Timestamp::from_date(year, month, 1).unwrap_or(Timestamp(0))
}

/// Returns the stretches of a list, newest first; both days belong to it.
fn ranges(span: Span, first: Timestamp, last: Timestamp, today: Timestamp) -> Vec<DateFilter> {
    let range =
        |from: Timestamp, until: Timestamp| DateFilter { from: Some(from), until: Some(until) };
    let (year, number) = civil(today);
    let this = i64::from(number);
    let mut ranges = Vec::new();
    match span {
        Span::Whole => return vec![range(first, last.after(DAY))],
        Span::Today => return vec![range(today, today.after(DAY))],
        Span::Yesterday => return vec![range(Timestamp(today.0 - 86_400_000), today)],
        Span::ThisMonth => return vec![range(month(year, this), month(year, this + 1))],
        Span::LastMonth => return vec![range(month(year, this - 1), month(year, this))],
        Span::Daily => {
            let mut day = last;
            while day >= first && ranges.len() < RANGES_MAX {
                ranges.push(range(day, day.after(DAY)));
                day = Timestamp(day.0 - 86_400_000);
            }
        }
        Span::Monthly | Span::Yearly => {
            let ((mut year, number), yearly) = (civil(last), span == Span::Yearly);
            let mut number = if yearly { 1 } else { i64::from(number) };
            let length = if yearly { 12 } else { 1 };
            while month(year, number + length) > first && ranges.len() < RANGES_MAX {
                let (from, until) = (month(year, number), month(year, number + length));
                ranges.push(range(from.max(first), until.min(last.after(DAY))));
                number -= length;
                (year, number) =
                    (year + (number - 1).div_euclid(12), (number - 1).rem_euclid(12) + 1);
            }
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(span: Span, first: &str, last: &str, expected: &[&str]) {
        let of = |text: &str| Timestamp::parse_date(text).unwrap();
        let ranges = ranges(span, of(first), of(last), of("2024-03-01"));
        let seen: Vec<String> = ranges
            .iter()
            .map(|range| {
                format!("{} {}", written(range.from.unwrap()), written(range.until.unwrap()))
            })
            .collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_list_has_a_stretch_for_each_day_month_or_year() {
        let (first, last) = ("2023-12-30", "2024-02-29");
        check(Span::Whole, first, last, &["2023-12-30 2024-03-01"]);
        check(Span::Daily, "2024-02-28", last, &["2024-02-29 2024-03-01", "2024-02-28 2024-02-29"]);
        let months = ["2024-02-01 2024-03-01", "2024-01-01 2024-02-01", "2023-12-30 2024-01-01"];
        check(Span::Monthly, first, last, &months);
        check(Span::Yearly, first, last, &["2024-01-01 2024-03-01", "2023-12-30 2024-01-01"]);
        check(Span::LastMonth, first, last, &["2024-02-01 2024-03-01"]);
        check(Span::ThisMonth, first, last, &["2024-03-01 2024-04-01"]);
        check(Span::Yesterday, first, last, &["2024-02-29 2024-03-01"]);
        check(Span::Daily, last, first, &[]);
    }
}
