//! How loud sound is, told beside it in RTP header extensions.
//!
//! Source: RFC 6464 section 4, RFC 8285 sections 5 to 7.

use std::ops::RangeInclusive;

const URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
/// Numbers that one octet of header has room for; 15 is reserved.
const IDS: RangeInclusive<u8> = 1..=14;
/// Most extensions of one stream that are read.
const EXTENSIONS_MAX: usize = 64;

/// How levels are told in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioLevel {
    /// The number of the header extension, 1 to 14.
    pub id: u8,
    /// Whether it says, too, if somebody speaks.
    pub vad: bool,
}

impl AudioLevel {
    /// What we offer.
    pub(super) const OURS: Self = Self { id: 1, vad: true };

    /// Reads it from the attributes of a stream, those of the session last; nothing where it is not spoken of, or
    /// its writer would not do its half: listen where we send, send where we do not.
    pub(super) fn parse<'a>(lines: impl Iterator<Item = &'a str>, we_send: bool) -> Option<Self> {
        let mut times = [0; *IDS.end() as usize + 1];
        let mut found = None;
        let lines = lines.filter_map(|line| line.strip_prefix("a=extmap:"));
        for line in lines.take(EXTENSIONS_MAX) {
            let mut words = line.split_whitespace();
            let (Some(number), Some(uri)) = (words.next(), words.next()) else { continue };
            let (number, direction) = number.split_once('/').unwrap_or((number, "sendrecv"));
            let Some(id) = number.parse().ok().filter(|id| IDS.contains(id)) else { continue };
            times[usize::from(id)] += 1;
            let fits = matches!(
                (direction, we_send),
                ("sendrecv", _) | ("sendonly", false) | ("recvonly", true)
            );
            if uri == URI && fits && found.is_none() {
                found = Some(Self { id, vad: !words.any(|word| word == "vad=off") });
            }
        }
        // A number that means two things means nothing.
        found.filter(|found| times[usize::from(found.id)] == 1)
    }

    /// Writes the line that says what we do.
    pub(super) fn write(self, we_send: bool) -> String {
        let direction = if we_send { "sendonly" } else { "recvonly" };
        let vad = if self.vad { "" } else { " vad=off" };
        format!("a=extmap:{}/{direction} {URI}{vad}\r\n", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads lines as who listens; compares what we would answer.
    #[track_caller]
    fn check(lines: &[&str], expected: Option<&str>) {
        let lines: Vec<String> =
            lines.iter().map(|line| format!("a=extmap:{}", line.replace("LEVEL", URI))).collect();
        let read = AudioLevel::parse(lines.iter().map(String::as_str), false);
        let answer = read.map(|read| read.write(false));
        let expected = expected.map(|line| format!("a=extmap:{}\r\n", line.replace("LEVEL", URI)));
        assert_eq!(answer, expected, "{lines:?}");
    }

    #[test]
    fn levels_that_are_sent_are_taken_under_their_number() {
        check(&["1 LEVEL"], Some("1/recvonly LEVEL"));
        check(&["14/sendonly LEVEL vad=on"], Some("14/recvonly LEVEL"));
        check(&["3/sendrecv LEVEL vad=off"], Some("3/recvonly LEVEL vad=off"));
        check(&["2 urn:x", "3 LEVEL more", "4 urn:y a=b"], Some("3/recvonly LEVEL"));
        check(&["3 LEVEL", "4 LEVEL"], Some("3/recvonly LEVEL"));
    }

    #[test]
    fn what_is_not_sent_or_makes_no_sense_is_passed_over() {
        for line in [
            "0 LEVEL",
            "15 LEVEL",
            "16 LEVEL",
            "257 LEVEL",
            "4097 LEVEL",
            "-1 LEVEL",
            "x LEVEL",
            "/sendonly LEVEL",
            "1/recvonly LEVEL",
            "1/inactive LEVEL",
            "1/both LEVEL",
            "1 LEVELs",
            "1",
            "",
        ] {
            check(&[line], None);
        }
        check(&["3 LEVEL", "3 urn:x"], None);
        check(&["3 urn:x", "3 LEVEL"], None);
        check(&["3 LEVEL", "3 LEVEL"], None);
        let mut many = vec!["2 urn:x"; EXTENSIONS_MAX];
        many.push("1 LEVEL");
        check(&many, None);
    }
}
