//! SIDs: two letters for the kind, then 32 hexadecimal digits.

use std::fmt;
use std::str::FromStr;

/// The text is not a SID of the kind that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0} and 32 hexadecimal digits")]
pub struct ParseSidError(&'static str);

macro_rules! sid {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        ///
        /// Read with hexadecimal digits of either case, printed with lower-case ones.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The two letters that every SID of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// Makes a SID of 16 octets that the caller drew at random.
            pub const fn new(random: [u8; 16]) -> Self {
                Self(random)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; SID_LENGTH];
                f.write_str(written($prefix, &self.0, &mut text))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseSidError;

            fn from_str(text: &str) -> Result<Self, ParseSidError> {
                text.strip_prefix($prefix).and_then(octets).map(Self).ok_or(ParseSidError($prefix))
            }
        }
    };
}

sid!(
    /// An account.
    AccountSid,
    "AC"
);
sid!(
    /// A call: one leg between a phone and us.
    CallSid,
    "CA"
);
sid!(
    /// A conference.
    ConferenceSid,
    "CF"
);
sid!(
    /// A participant's place in paging tokens; its address is the [`CallSid`].
    ParticipantSid,
    "CP"
);
sid!(
    /// A recording.
    RecordingSid,
    "RE"
);
sid!(
    /// A queue.
    QueueSid,
    "QU"
);
sid!(
    /// An API key.
    KeySid,
    "SK"
);
sid!(
    /// An entry of the debugger log.
    NotificationSid,
    "NO"
);
sid!(
    /// One HTTP request to the API.
    RequestSid,
    "RQ"
);
sid!(
    /// One callback in the outbox.
    CallbackSid,
    "EV"
);

/// Octets of a SID as text.
const SID_LENGTH: usize = 34;

/// Writes a SID into `text` and returns that: a list has thousands of them, and to format digit by digit is dear.
fn written<'a>(prefix: &str, octets: &[u8; 16], text: &'a mut [u8; SID_LENGTH]) -> &'a str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let (letters, digits) = text.split_at_mut(2);
    letters.copy_from_slice(prefix.as_bytes());
    for (pair, octet) in digits.chunks_exact_mut(2).zip(octets) {
        pair[0] = DIGITS[usize::from(octet >> 4)];
        pair[1] = DIGITS[usize::from(octet & 15)];
    }
    std::str::from_utf8(text).unwrap_or_default()
}

fn octets(digits: &str) -> Option<[u8; 16]> {
    let digits = digits.as_bytes();
    if digits.len() != 32 {
        return None;
    }
    let mut octets = [0; 16];
    for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
        *octet = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(octets)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_prints_as_it_was_read_but_in_lower_case() {
        let text = "CA0123456789ABCDEFabcdef0123456789";
        let sid: CallSid = text.parse().expect("a SID");
        assert_eq!(sid.to_string(), "CA0123456789abcdefabcdef0123456789");
    }

    #[test]
    fn other_kinds_lengths_and_digits_are_refused() {
        for text in [
            "",
            "CA",
            "CF0123456789abcdef0123456789abcdef",
            "ca0123456789abcdef0123456789abcdef",
            "CA0123456789abcdef0123456789abcde",
            "CA0123456789abcdef0123456789abcdef0",
            "CA0123456789abcdef0123456789abcdeg",
            "CA0123456789abcdef0123456789abcd\u{e9}",
        ] {
            assert!(text.parse::<CallSid>().is_err(), "{text}");
        }
    }
}
