//! What a trunk has carried, which its daily cap is counted by.

/// A day of a trunk; one row for each trunk, of the last day on which it had a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkDay {
    /// Its name in the configuration.
    pub trunk: String,
    /// The day, from 1970-01-01 in UTC.
    pub day: i64,
    /// How many calls went out by it.
    pub calls: usize,
}
