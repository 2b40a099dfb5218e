//! How results are printed: columns for people, JSON for programs.

use serde_json::Value;

/// The flag `-o`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Columns, for people.
    #[default]
    Text,
    /// The API's own JSON.
    Json,
}

impl Output {
    /// Prints rows, with the named fields as columns.
    pub fn rows(self, rows: &[Value], fields: &[&str]) {
        match self {
            Self::Json => println!("{}", Value::from(rows)),
            Self::Text => table(rows, fields).iter().for_each(|line| println!("{line}")),
        }
    }

    /// Prints one row, with the named fields below each other.
    pub fn row(self, row: &Value, fields: &[&str]) {
        match self {
            Self::Json => println!("{row}"),
            Self::Text => {
                let width = fields.iter().map(|field| field.len()).max().unwrap_or(0);
                for field in fields {
                    println!("{}", plain(&format!("{field:width$}  {}", text(row, field))));
                }
            }
        }
    }
}

/// Returns a field as text, empty where it is null.
pub fn text(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Returns `line` as it may go to a terminal: what others wrote is not to steer it.
pub fn plain(line: &str) -> String {
    line.trim_end().replace(char::is_control, "?")
}

/// Returns a line of names and one for each row, in columns.
fn table(rows: &[Value], fields: &[&str]) -> Vec<String> {
    let heads = fields.iter().map(|field| (*field).to_owned()).collect();
    let cells =
        rows.iter().map(|row| fields.iter().map(|field| plain(&text(row, field))).collect());
    let lines: Vec<Vec<String>> = std::iter::once(heads).chain(cells).collect();
    let width =
        |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..fields.len()).map(width).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them_and_steer_no_terminal() {
        let rows = [
            json!({ "sid": "CF1", "friendly_name": "a\u{1b}[2Jb", "muted": true }),
            json!({ "sid": "CF10", "friendly_name": null, "muted": false }),
        ];
        let lines = table(&rows, &["sid", "friendly_name", "muted"]);
        assert_eq!(
            lines,
            [
                "sid   friendly_name  muted",
                "CF1   a?[2Jb         true",
                "CF10                 false"
            ]
        );
    }
}
