//! The two clocks: deadlines run on the monotonic one, dates are written from the wall clock.

use std::fmt;
use std::time::{Duration, Instant};

/// The present on both clocks, as whoever owns the clocks read them.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For deadlines and durations.
    pub instant: Instant,
    /// For records and callbacks.
    pub wall: Timestamp,
}

impl Now {
    /// Returns the date of a moment that is to come; of one that is past, the present.
    pub fn date_of(self, at: Instant) -> Timestamp {
        self.wall.after(at.saturating_duration_since(self.instant))
    }

    /// Returns the moment of a date that is to come; of one that is past, the present.
    pub fn instant_of(self, at: Timestamp) -> Instant {
        self.instant.checked_add(at.since(self.wall)).unwrap_or(self.instant)
    }
}

/// A date: milliseconds since 1970-01-01 00:00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Returns the first moment of a day in UTC, or nothing where there is no such day.
    pub fn from_date(year: i64, month: u32, day: u32) -> Option<Self> {
        let in_range = (1..=9999).contains(&year) && (1..=12).contains(&month);
        if !in_range || day < 1 || day > days_in_month(year, month) {
            return None;
        }
        // Years are counted from March, so that the leap day is a year's last day.
        let year = if month <= 2 { year - 1 } else { year };
        let month_from_march = i64::from((month + 9) % 12);
        let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
        let days = year * 365 + year.div_euclid(4) - year.div_euclid(100)
            + year.div_euclid(400)
            + day_of_year
            - DAYS_TO_1970;
        Some(Self(days * DAY_MS))
    }

    /// Reads `YYYY-MM-DD` as that day's first moment in UTC.
    pub fn parse_date(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        let plain = |part: &str| part.bytes().all(|octet| octet.is_ascii_digit());
        if parts.next().is_some() || [year.len(), month.len(), day.len()] != [4, 2, 2] {
            return None;
        }
        if ![year, month, day].into_iter().all(plain) {
            return None;
        }
        Self::from_date(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
    }

    /// Returns the date this much later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns the time since `earlier`; zero when the clock was set back in between.
    pub fn since(self, earlier: Self) -> Duration {
        let elapsed_ms = self.0.saturating_sub(earlier.0).max(0);
        Duration::from_millis(elapsed_ms.unsigned_abs())
    }

    /// Prints the date as RFC 2822 has it, always in UTC with two digits for the day:
    /// `Fri, 18 Feb 2011 21:07:19 +0000`.
    pub fn rfc2822(self) -> Rfc2822 {
        Rfc2822(self)
    }

    /// Prints the date as ISO 8601 has it, in UTC, to the millisecond: `2011-02-18T21:07:19.999Z`.
    pub fn iso8601(self) -> Iso8601 {
        Iso8601(self)
    }
}

const DAY_MS: i64 = 86_400_000;
/// Days from 1 March of the year 0 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;

fn days_in_month(year: i64, month: u32) -> u32 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A [`Timestamp`] on its way to text; see [`Timestamp::rfc2822`].
#[derive(Debug, Clone, Copy)]
pub struct Rfc2822(Timestamp);

impl fmt::Display for Rfc2822 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let Civil { year, month, day, hour, minute, second, .. } = Civil::of(self.0);
        let days = self.0.0.div_euclid(DAY_MS);
        let weekday = WEEKDAYS[usize::try_from(days.rem_euclid(7)).unwrap_or(0)];
        let month = MONTHS[usize::try_from(month - 1).unwrap_or(0).min(11)];
        if !(0..=9_999).contains(&year) {
            return write!(
                f,
                "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} +0000"
            );
        }
        // The same, digit by digit: a list has thousands of dates.
        let mut text = *b"Thu, 00 Jan 0000 00:00:00 +0000";
        text[..3].copy_from_slice(weekday.as_bytes());
        text[8..11].copy_from_slice(month.as_bytes());
        let numbers =
            [(5, day), (12, year / 100), (14, year % 100), (17, hour), (20, minute), (23, second)];
        for (place, number) in numbers {
            let number = u8::try_from(number).unwrap_or_default();
            text[place] = b'0' + number / 10;
            text[place + 1] = b'0' + number % 10;
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// A [`Timestamp`] on its way to text; see [`Timestamp::iso8601`].
#[derive(Debug, Clone, Copy)]
pub struct Iso8601(Timestamp);

impl fmt::Display for Iso8601 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil { year, month, day, hour, minute, second, ms } = Civil::of(self.0);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// A date by the calendar and the clock, in UTC.
struct Civil {
    year: i64,
    /// From 1.
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    ms: i64,
}

impl Civil {
    fn of(date: Timestamp) -> Self {
        let days = date.0.div_euclid(DAY_MS);
        let ms = date.0.rem_euclid(DAY_MS);
        let from_march = days + DAYS_TO_1970;
        let era = from_march.div_euclid(146_097);
        let day_of_era = from_march.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        Self {
            year: era * 400 + year_of_era + i64::from(month_from_march >= 10),
            month: (month_from_march + 2) % 12 + 1,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: ms / 3_600_000,
            minute: ms / 60_000 % 60,
            second: ms / 1_000 % 60,
            ms: ms % 1_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_print_as_twilio_prints_them() {
        for (ms, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (1_298_063_239_999, "Fri, 18 Feb 2011 21:07:19 +0000"),
            (1_709_164_800_000, "Thu, 29 Feb 2024 00:00:00 +0000"),
            (1_709_251_199_000, "Thu, 29 Feb 2024 23:59:59 +0000"),
            (1_709_251_200_000, "Fri, 01 Mar 2024 00:00:00 +0000"),
            (4_102_444_800_000, "Fri, 01 Jan 2100 00:00:00 +0000"),
        ] {
            assert_eq!(Timestamp(ms).rfc2822().to_string(), text);
        }
    }

    #[test]
    fn a_date_prints_to_the_millisecond() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_298_063_239_999, "2011-02-18T21:07:19.999Z"),
            (1_709_164_800_007, "2024-02-29T00:00:00.007Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp(ms).iso8601().to_string(), text);
        }
    }

    #[test]
    fn only_whole_days_are_read() {
        assert_eq!(Timestamp::parse_date("2011-02-18"), Some(Timestamp(1_297_987_200_000)));
        assert_eq!(Timestamp::parse_date("2024-02-29"), Some(Timestamp(1_709_164_800_000)));
        for text in
            ["", "2023-02-29", "2011-2-18", "2011-02-18T00:00:00Z", "2011-13-01", "+011-01-01"]
        {
            assert_eq!(Timestamp::parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn no_duration_is_negative() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
    }
}
