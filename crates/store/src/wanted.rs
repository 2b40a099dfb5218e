//! The `WHERE` of a list in the making.

use rusqlite::ToSql;

use crate::DateFilter;

/// The table that knows of each block of a list's rows which dates they have, and the columns it knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blocks(&'static str);

impl Blocks {
    /// Of calls: `start_time` and `end_time`.
    pub(crate) const CALLS: Self = Self("call_blocks");
    /// Of conferences: `date_created` and `date_updated`.
    pub(crate) const CONFERENCES: Self = Self("conference_blocks");
    /// Rows in a block, as the migration that makes the tables has it.
    pub(crate) const ROWS: i64 = 256;
}

/// What is asked of the rows of a list.
#[derive(Default)]
pub(crate) struct Where {
    conditions: Vec<String>,
    values: Vec<Box<dyn ToSql>>,
    /// The place in the list is greater than each of these, and less than each of those.
    above: Vec<String>,
    below: Vec<String>,
}

impl Where {
    /// Asks for a condition that compares with a value, where there is one.
    pub(crate) fn and(&mut self, condition: &str, value: Option<impl ToSql + 'static>) {
        let Some(value) = value else { return };
        let place = self.place(value);
        self.conditions.push(format!("{condition} {place}"));
    }

    /// Asks for a condition that is whole.
    pub(crate) fn holds(&mut self, condition: &str) {
        self.conditions.push(condition.to_owned());
    }

    /// Asks for a range of dates; all rows are walked.
    pub(crate) fn dates(&mut self, column: &str, filter: DateFilter) {
        self.and(&format!("{column} >="), filter.from.map(|date| date.0));
        self.and(&format!("{column} <"), filter.until.map(|date| date.0));
    }

    /// Asks for a range of dates; walked are the rows from the first block to the last that may have some.
    pub(crate) fn dates_near(&mut self, Blocks(blocks): Blocks, column: &str, filter: DateFilter) {
        if filter == DateFilter::default() {
            return;
        }
        let from = self.place(filter.from.map_or(i64::MIN, |date| date.0));
        let until = self.place(filter.until.map_or(i64::MAX, |date| date.0));
        // The sign keeps an index of dates out of it, which would sort all that lies within them.
        self.holds(&format!("+{column} >= {from} AND +{column} < {until}"));
        let near = format!("FROM {blocks} WHERE {column}_max >= {from} AND {column}_min < {until}");
        let rows = Blocks::ROWS;
        self.above.push(format!("(SELECT min(block) * {rows} - 1 {near})"));
        self.below.push(format!("(SELECT (max(block) + 1) * {rows} {near})"));
    }

    /// Asks for what is newer than a place, or older.
    pub(crate) fn beyond(&mut self, seq: i64, newer: bool) {
        let place = self.place(seq);
        if newer { &mut self.above } else { &mut self.below }.push(place);
    }

    fn place(&mut self, value: impl ToSql + 'static) -> String {
        self.values.push(Box::new(value));
        format!("?{}", self.values.len())
    }

    /// Returns it as it stands in a statement over rows whose place is this column.
    pub(crate) fn text(&self, seq: &str) -> String {
        // An index is searched by one bound at each end: of several it has to be the nearest.
        let bound = |sign: &str, nearest: &str, bounds: &[String]| match bounds {
            [] => None,
            [one] => Some(format!("{seq} {sign} {one}")),
            several => Some(format!("{seq} {sign} {nearest}({})", several.join(", "))),
        };
        let bounds = [bound(">", "max", &self.above), bound("<", "min", &self.below)];
        let all: Vec<&str> =
            self.conditions.iter().chain(bounds.iter().flatten()).map(String::as_str).collect();
        if all.is_empty() { String::new() } else { format!("WHERE {}", all.join(" AND ")) }
    }

    /// Returns the values of its places.
    pub(crate) fn values(&self) -> Vec<&dyn ToSql> {
        self.values.iter().map(|value| &**value).collect()
    }
}
