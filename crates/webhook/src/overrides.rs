//! What the fragment of an address says about the connection: `#rc=2&rp=5xx,ct`.
//!
//! Source: Twilio "Webhooks: connection overrides".

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::{Failure, Stage};

/// How long a connection may take to come up.
pub const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long the answer's first octet, and each further one, may take.
pub const READ_MAX: Duration = Duration::from_secs(15);
/// How long everything may take, retries included.
pub const TIME_MAX: Duration = Duration::from_secs(15);

/// What a try came to, as a retry policy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this HTTP status.
    Answered(u16),
    /// No answer.
    Failed(Stage),
}

/// The settings of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overrides {
    /// `ct`: for one connection.
    pub connect: Duration,
    /// `rt`: for silence.
    pub read: Duration,
    /// `tt`: for all tries together.
    pub total: Duration,
    /// `rc`: how often it is tried again.
    pub retries: u32,
    /// `sni`: whether TLS names the host.
    pub sni: bool,
    /// What was written and cannot be, under Twilio's codes; the default holds instead.
    pub warnings: Vec<Failure>,
    policy: Vec<Policy>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    ClientError,
    ServerError,
    Connect,
    Read,
    All,
}

impl Default for Overrides {
    fn default() -> Self {
        Self {
            connect: CONNECT_MAX,
            read: READ_MAX,
            total: TIME_MAX,
            retries: 1,
            sni: true,
            warnings: Vec::new(),
            policy: vec![Policy::Connect],
        }
    }
}

impl Overrides {
    /// Reads the fragment of an address. Edges are checked and have no meaning here.
    pub fn of(url: &str) -> Self {
        let mut overrides = Self::default();
        let fragment = url.split_once('#').map_or("", |(_, fragment)| fragment);
        for (key, value) in url::form_urlencoded::parse(fragment.as_bytes()) {
            overrides.set(&key, &value);
        }
        overrides
    }

    fn set(&mut self, key: &str, value: &str) {
        let millis = |range| number(value, range).map(Duration::from_millis);
        let understood = match key {
            "ct" => put(&mut self.connect, millis(100..=10_000)),
            "rt" => put(&mut self.read, millis(100..=15_000)),
            "tt" => put(&mut self.total, millis(100..=15_000)),
            "rc" => put(&mut self.retries, number(value, 0..=5).map(|count| count as u32)),
            "rp" => put(&mut self.policy, policy(value)),
            "sni" => put(
                &mut self.sni,
                ["n", "y"].iter().position(|word| *word == value).map(|at| at == 1),
            ),
            "e" => value.split(',').all(|edge| {
                !edge.is_empty() && edge.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            }),
            _ => true,
        };
        if !understood {
            let code = match key {
                "e" => 11241,
                "rp" => 11243,
                _ => 11240,
            };
            let message =
                format!("the connection override {key}={value} cannot be; the default holds");
            self.warnings.push(Failure::new(code, message));
        }
    }

    /// Returns whether such an outcome is worth another try, by `rp`.
    pub fn retries_on(&self, outcome: Outcome) -> bool {
        let good = matches!(outcome, Outcome::Answered(..400));
        !good
            && self.policy.iter().any(|policy| match policy {
                Policy::ClientError => matches!(outcome, Outcome::Answered(400..500)),
                Policy::ServerError => matches!(outcome, Outcome::Answered(500..)),
                Policy::Connect => outcome == Outcome::Failed(Stage::Connect),
                Policy::Read => outcome == Outcome::Failed(Stage::Read),
                Policy::All => true,
            })
    }
}

fn put<T>(place: &mut T, value: Option<T>) -> bool {
    value.is_some_and(|value| {
        *place = value;
        true
    })
}

fn number(text: &str, range: RangeInclusive<u64>) -> Option<u64> {
    text.parse().ok().filter(|number| range.contains(number))
}

fn policy(text: &str) -> Option<Vec<Policy>> {
    let word = |word: &str| match word.trim() {
        "4xx" => Some(Policy::ClientError),
        "5xx" => Some(Policy::ServerError),
        "ct" => Some(Policy::Connect),
        "rt" => Some(Policy::Read),
        "all" => Some(Policy::All),
        _ => None,
    };
    text.split(',').map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_override_is_read_from_the_fragment() {
        let read = Overrides::of(
            "https://x/y?ct=1#ct=100&rt=200&tt=300&rc=5&rp=5xx%2Crt&sni=n&e=dublin,tokyo",
        );
        assert_eq!(
            (read.connect.as_millis(), read.read.as_millis(), read.total.as_millis()),
            (100, 200, 300)
        );
        assert_eq!((read.retries, read.sni, read.warnings.len()), (5, false, 0));
        assert_eq!(Overrides::of("https://x/y"), Overrides::default());
        assert_eq!(Overrides::of("https://x/y#top"), Overrides::default());
    }

    #[test]
    fn what_cannot_be_is_warned_of_and_the_default_holds() {
        for (fragment, codes) in [
            ("ct=99", &[11240][..]),
            ("ct=10001&rt=15001&tt=0&rc=6&sni=maybe", &[11240; 5]),
            ("rc=-1&rc=x", &[11240, 11240]),
            ("rp=3xx", &[11243]),
            ("rp=5xx,", &[11243]),
            ("e=", &[11241]),
            ("e=a%2F", &[11241]),
        ] {
            let read = Overrides::of(&format!("http://x/#{fragment}"));
            let told: Vec<u32> = read.warnings.iter().map(|warning| warning.code).collect();
            assert_eq!(told, codes, "{fragment}");
            assert_eq!(Overrides { warnings: Vec::new(), ..read }, Overrides::default());
        }
    }

    #[test]
    fn a_policy_names_what_is_tried_again() {
        use Outcome::{Answered, Failed};
        let all = [
            Answered(200),
            Answered(404),
            Answered(503),
            Failed(Stage::Connect),
            Failed(Stage::Read),
            Failed(Stage::Other),
        ];
        for (policy, tried) in [
            ("", [false, false, false, true, false, false]),
            ("rp=4xx", [false, true, false, false, false, false]),
            ("rp=5xx", [false, false, true, false, false, false]),
            ("rp=rt,ct", [false, false, false, true, true, false]),
            ("rp=all", [false, true, true, true, true, true]),
        ] {
            let overrides = Overrides::of(&format!("http://x/#{policy}"));
            assert_eq!(all.map(|outcome| overrides.retries_on(outcome)), tried, "{policy}");
        }
    }
}
