//! What a setting's value can be, and how it is read.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

/// What a value must be.
#[derive(Debug, Clone)]
pub enum Kind {
    /// One line.
    Text,
    /// `true` or `false`.
    Flag,
    /// A number in this range.
    Number(RangeInclusive<u64>),
    /// An IP address and a port.
    Address,
    /// An IP address.
    Ip,
    /// A range of ports.
    Ports,
    /// An http or https address.
    Url,
    /// A number and `s`, `m`, `h` or `d`.
    Time,
    /// A number and `MiB`, `GiB` or `TiB`.
    Size,
    /// One of these words.
    Word(&'static [&'static str]),
    /// One line that is never shown; `NAME_file` may name the file that holds it.
    Secret,
    /// Lines, in a list.
    List,
}

/// A value that fits its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Of all kinds but those below; empty where the setting is not set.
    Text(String),
    /// Of [`Kind::Flag`].
    Flag(bool),
    /// Of [`Kind::Number`].
    Number(u64),
    /// Of [`Kind::List`].
    List(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::List(list) => write!(f, "{list:?}"),
        }
    }
}

impl Kind {
    /// Says what a value must be, for a person who wrote another.
    fn wanted(&self) -> String {
        match self {
            Self::Text | Self::Secret => "one line in quotes".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Number(range) => format!("a number from {} to {}", range.start(), range.end()),
            Self::Address => "an address and a port such as \"127.0.0.1:8080\"".to_owned(),
            Self::Ip => "an address such as \"192.0.2.1\"".to_owned(),
            Self::Ports => "a range of ports such as \"20000-29999\"".to_owned(),
            Self::Url => "an address such as \"https://you.example/voice\"".to_owned(),
            Self::Time => "a time such as \"30s\", \"5m\", \"12h\" or \"30d\"".to_owned(),
            Self::Size => "a size such as \"500MiB\", \"20GiB\" or \"1TiB\"".to_owned(),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::List => "a list such as [\"one\", \"two\"]".to_owned(),
        }
    }

    /// Reads what a variable or a flag says.
    ///
    /// # Errors
    /// What it must be.
    pub fn read(&self, text: &str, unset: bool) -> Result<Value, String> {
        let value = match self {
            Self::Flag => text.parse().map(Value::Flag).ok(),
            Self::Number(_) => text.parse().map(Value::Number).ok(),
            Self::List if text.is_empty() => Some(Value::List(Vec::new())),
            Self::List => {
                Some(Value::List(text.split(',').map(|one| one.trim().to_owned()).collect()))
            }
            _ => Some(Value::Text(text.to_owned())),
        };
        let told = || format!("{text:?} is not {}", self.wanted());
        self.check(value.ok_or_else(told)?, unset)
    }

    /// Returns a value that fits; `unset` says whether an empty text does.
    ///
    /// # Errors
    /// What it must be.
    pub fn check(&self, value: Value, unset: bool) -> Result<Value, String> {
        let fits = match (self, &value) {
            (Self::Flag, Value::Flag(_)) => true,
            (Self::Number(range), Value::Number(number)) => range.contains(number),
            (Self::List, Value::List(list)) => list.iter().all(|one| is_line(one)),
            (_, Value::Text(text)) if text.is_empty() => unset,
            (Self::Text | Self::Secret, Value::Text(text)) => is_line(text),
            (Self::Address, Value::Text(text)) => text.parse::<SocketAddr>().is_ok(),
            (Self::Ip, Value::Text(text)) => text.parse::<IpAddr>().is_ok(),
            (Self::Ports, Value::Text(text)) => ports(text).is_some(),
            (Self::Url, Value::Text(text)) => is_web_address(text),
            (Self::Time, Value::Text(text)) => time(text).is_some(),
            (Self::Size, Value::Text(text)) => size(text).is_some(),
            (Self::Word(words), Value::Text(text)) => words.contains(&text.as_str()),
            _ => false,
        };
        let said = if matches!(self, Self::Secret) { "it".to_owned() } else { value.to_string() };
        if fits { Ok(value) } else { Err(format!("{said} is not {}", self.wanted())) }
    }
}

fn is_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// Whether a text is an http or https address with a host.
pub fn is_web_address(text: &str) -> bool {
    let url = url::Url::parse(text).ok();
    url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Reads `20000-29999`: room for two pairs at least, and no port that belongs to the system.
pub fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-')?;
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    (first >= 1_024 && u32::from(first) + 3 <= u32::from(last)).then_some((first, last))
}

/// Reads `30s`, `5m`, `12h` or `30d`.
pub fn time(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u32>().ok().map(|number| Duration::from_secs(u64::from(number) * seconds))
}

/// Reads `500MiB`, `20GiB` or `1TiB`, in octets.
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(3)?)?;
    let shift = match unit {
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    number.parse::<u32>().ok().map(|number| u64::from(number) << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fits_its_kind_or_the_right_form_is_told() {
        for (kind, good, bad) in [
            (Kind::Flag, "true", "yes"),
            (Kind::Number(1..=9), "9", "10"),
            (Kind::Address, "[::1]:8080", "localhost:8080"),
            (Kind::Ip, "192.0.2.1", "192.0.2"),
            (Kind::Ports, "20000-20003", "20000-20002"),
            (Kind::Ports, "1024-65535", "1023-65535"),
            (Kind::Url, "https://you.example/voice", "ftp://you.example/"),
            (Kind::Time, "30d", "30"),
            (Kind::Time, "0s", "-1s"),
            (Kind::Size, "20GiB", "20GB"),
            (Kind::Word(&["text", "json"]), "json", "xml"),
            (Kind::Text, "a line", "two\nlines"),
        ] {
            assert!(kind.read(good, false).is_ok(), "{kind:?} {good}");
            let told = kind.read(bad, false).unwrap_err();
            assert!(told.contains("is not ") && kind.read("", false).is_err(), "{told}");
        }
        assert!(Kind::Time.read("", true).is_ok(), "what is not set");
        assert!(!Kind::Secret.read("a\nb", false).unwrap_err().contains('a'), "it is not shown");
        let list = Value::List(vec!["+1".to_owned(), "+44".to_owned()]);
        assert_eq!(Kind::List.read("+1, +44", false), Ok(list));
    }

    #[test]
    fn times_and_sizes_are_counted_in_seconds_and_octets() {
        assert_eq!(time("12h"), Some(Duration::from_secs(43_200)));
        assert_eq!(time("5é"), None);
        assert_eq!(size("1TiB"), Some(1_099_511_627_776));
        assert_eq!(size("MiB"), None);
    }
}
