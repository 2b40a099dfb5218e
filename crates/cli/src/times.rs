//! Times as they are typed: `10s`, or `10`.

/// Reads a number of seconds.
///
/// # Errors
/// One line that says how it is written.
pub fn seconds(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix('s').unwrap_or(text);
    number.parse().map_err(|_| format!("{text:?} is no time in seconds such as 10s"))
}
