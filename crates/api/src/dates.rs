//! Filters by date: `Name`, `Name<` and `Name>`, where the bracket belongs to the name.

use std::time::Duration;

use model::Timestamp;
use node::DateFilter;

use crate::error::ApiError;
use crate::form::Form;

const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);
const INSTANT: Duration = Duration::from_millis(1);

/// Which dates a filter takes, and what `<` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// `YYYY-MM-DD` alone; `<` takes what is up to that day's midnight. Source: Twilio, Conference
    /// resource, `DateCreated`.
    Day,
    /// A moment as well; `<` takes what is before. Source: Twilio, Call resource, `StartTime`.
    Moment,
}

/// Reads the filter of this name.
///
/// # Errors
/// 400 naming the parameter whose value is no date of this precision.
pub fn read(form: &Form, name: &str, precision: Precision) -> Result<DateFilter, ApiError> {
    let first = |suffixes: [&str; 2]| {
        let keys = suffixes.map(|suffix| format!("{name}{suffix}"));
        let found = keys.iter().find_map(|key| Some((key.clone(), form.filled(key)?)));
        let read = |(key, value): (String, &str)| {
            let read = moment(value, precision);
            read.ok_or_else(|| ApiError::invalid(&key, &format!("{value:?} is no date")))
        };
        found.map(read).transpose()
    };
    let (on, from) = (first(["", "="])?, first([">", ">="])?);
    let until = first(["<", "<="])?.map(|(at, _)| match precision {
        Precision::Day => at.after(INSTANT),
        Precision::Moment => at,
    });
    Ok(DateFilter {
        from: on.map(|(at, _)| at).into_iter().chain(from.map(|(at, _)| at)).max(),
        until: on.map(|(at, length)| at.after(length)).into_iter().chain(until).min(),
    })
}

/// Returns when the text begins, and how long what it names lasts.
fn moment(text: &str, precision: Precision) -> Option<(Timestamp, Duration)> {
    let (day, time) = match text.split_once(['T', ' ']) {
        Some((day, time)) if precision == Precision::Moment => (day, Some(time)),
        Some(_) => return None,
        None => (text, None),
    };
    let day = Timestamp::parse_date(day)?;
    let Some(time) = time else { return Some((day, DAY)) };
    let time = time.strip_suffix('Z').or_else(|| time.strip_suffix("+00:00")).unwrap_or(time);
    let time = time.split('.').next()?;
    let mut parts = time.split(':').map(|part| {
        let plain = part.len() == 2 && part.bytes().all(|octet| octet.is_ascii_digit());
        part.parse::<u64>().ok().filter(|_| plain)
    });
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some((day.after(Duration::from_secs(hour * 3_600 + minute * 60 + second)), SECOND))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::*;

    #[track_caller]
    fn check(query: &str, precision: Precision, expected: Option<(Option<i64>, Option<i64>)>) {
        let form = Form::read(query, &HeaderMap::new(), &[]).unwrap();
        let read = read(&form, "D", precision).ok();
        let ends = read.map(|read| (read.from.map(|at| at.0), read.until.map(|at| at.0)));
        assert_eq!(ends, expected, "{query}");
    }

    #[test]
    fn a_bracket_is_part_of_the_name() {
        const MS: i64 = 86_400_000;
        use Precision::{Day, Moment};
        check("D=1970-01-02", Day, Some((Some(MS), Some(2 * MS))));
        check("D>=1970-01-02", Day, Some((Some(MS), None)));
        check("D%3E=1970-01-02", Day, Some((Some(MS), None)));
        check("D%3E%3D=1970-01-02", Day, Some((Some(MS), None)));
        check("D<=1970-01-02", Day, Some((None, Some(MS + 1))));
        check("D<=1970-01-02", Moment, Some((None, Some(MS))));
        check("D>=1970-01-02&D<=1970-01-03", Day, Some((Some(MS), Some(2 * MS + 1))));
        check("D>=1970-01-01T00:00:05Z", Moment, Some((Some(5_000), None)));
        check("D=1970-01-01+00:01:00.000", Moment, Some((Some(60_000), Some(61_000))));
        check("", Day, Some((None, None)));
        for text in ["D=1970-01-01T00:00:05Z", "D=yesterday", "D>=1970-02-30"] {
            check(text, Day, None);
        }
        for text in ["D=1970-01-01T00:00", "D=1970-01-01T24:00:00Z", "D=1970-01-01T1:00:00Z"] {
            check(text, Moment, None);
        }
    }
}
