//! A scenario as it is written: one TOML file, read whole or refused with a place and a suggestion.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};
use toml::Spanned;

use super::typo::suggestion;

/// Most phones of a scenario: each has a tone of its own.
pub const PHONES_MAX: usize = 24;
/// Most steps of a scenario.
pub const STEPS_MAX: usize = 2_000;
/// Longest time that a scenario may name: an hour of sound is kept for each phone.
pub const TIME_MAX: Duration = Duration::from_secs(3_600);
/// How long a `wait-for` waits on the clock of the wall unless it says so itself.
pub const WAIT_WITHIN: Duration = Duration::from_secs(10);
/// How long a check listens unless it says so itself.
pub const LISTENS_FOR: Duration = Duration::from_secs(1);
/// After how long a phone answers unless it says so itself.
const ANSWERS_AFTER: Duration = Duration::from_secs(1);

/// Why a file is no scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What is wrong, and what may have been meant.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

/// A length of time: `"200ms"`, `"1.5s"`, `"2m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        time(&text).map(Self).ok_or_else(|| {
            let most = TIME_MAX.as_secs();
            D::Error::custom(format!(
                "{text:?} is no time of at most {most} s such as \"200ms\", \"1.5s\" or \"2m\""
            ))
        })
    }
}

fn time(text: &str) -> Option<Duration> {
    let number = |digits: &str, seconds: f64| {
        let plain = digits.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.');
        let number: f64 = digits.parse().ok().filter(|_| plain)?;
        Duration::try_from_secs_f64(number * seconds).ok().filter(|time| *time <= TIME_MAX)
    };
    if let Some(digits) = text.strip_suffix("ms") {
        return number(digits, 0.001);
    }
    match text.strip_suffix('m') {
        Some(digits) => number(digits, 60.0),
        None => number(text.strip_suffix('s')?, 1.0),
    }
}

/// A scenario.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// What it shows, in a few words.
    pub name: String,
    /// Where the application is, unless the command line says so or `run` starts it.
    pub app: Option<String>,
    /// The application's command, run in the scenario's folder with a free `PORT` in its environment.
    pub run: Option<Vec<String>>,
    /// Asked what to do with a call to none of the account's numbers.
    pub voice: Option<String>,
    /// The account's numbers, and the address that each asks: of the application, or absolute.
    #[serde(default)]
    pub numbers: BTreeMap<String, String>,
    /// The phones, by name.
    #[serde(default)]
    pub phones: BTreeMap<String, Spanned<PhonePlan>>,
    /// What happens, in order.
    #[serde(default)]
    pub steps: Vec<Spanned<Step>>,
    /// What must have come about in the end.
    #[serde(default)]
    pub expect: Vec<Spanned<Expectation>>,
    /// What goes wrong.
    #[serde(default)]
    pub misfortune: Misfortune,
    /// How long it goes on after its first step; else until a second after its last one.
    pub lasts: Option<Time>,
}

/// A phone, and what it does when it is called.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PhonePlan {
    /// Its number in E.164, or the name of a SIP user or client.
    pub number: String,
    /// `tone` (its own), `silence`, a WAV file beside the scenario, or a sentence.
    #[serde(default = "tone")]
    pub says: String,
    /// After how long it answers.
    pub answers: Option<Time>,
    /// What it does instead.
    pub when_called: Option<Manner>,
}

impl PhonePlan {
    /// After how long it answers.
    pub fn answers_after(&self) -> Duration {
        self.answers.map_or(ANSWERS_AFTER, |time| time.0)
    }
}

fn tone() -> String {
    "tone".to_owned()
}

/// What a phone does when it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// Rings and answers.
    Answers,
    /// Is busy.
    IsBusy,
    /// Rings for ever.
    NeverAnswers,
}

/// Where a phone's call has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineIs {
    /// No call.
    Idle,
    /// Rings, here or there.
    Ringing,
    /// Up.
    Up,
}

/// One thing that happens or must be so.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Step {
    /// When, since the beginning.
    pub at: Option<Time>,
    /// When, since the step before: after the end of its waiting, if it waits.
    pub after: Option<Time>,
    /// For how long a check listens.
    #[serde(rename = "for")]
    pub lasts: Option<Time>,
    /// Who does it, or must be so.
    pub phone: Option<String>,
    /// Calls a number.
    pub calls: Option<String>,
    /// Presses keys.
    pub presses: Option<String>,
    /// Hangs up.
    #[serde(default)]
    pub hangs_up: bool,
    /// Loses its power: it sends nothing any more, not even a goodbye.
    #[serde(default)]
    pub drops: bool,
    /// Does otherwise from now on when it is called.
    pub when_called: Option<Manner>,
    /// Must hear a phone, `sound /path`, `words of a text`, `music` or `anything`.
    pub hears: Option<String>,
    /// Must not hear it.
    pub hears_not: Option<String>,
    /// Must be in this state.
    pub is: Option<LineIs>,
    /// A request to the API: a method and a path below the account, with `{phone}` for a phone's call and
    /// `{room:NAME}` for a conference.
    pub request: Option<String>,
    /// A request to the application that is none of Twilio's, as a browser makes it: a method and a path.
    pub visit: Option<String>,
    /// The fields of either.
    #[serde(default)]
    pub form: BTreeMap<String, String>,
    /// The status of the answer; else any below 400.
    pub status: Option<u16>,
    /// Waits until it is so, no faster than the clock on the wall.
    pub wait_for: Option<Condition>,
    /// For how long it waits, on the clock of the wall.
    pub within: Option<Time>,
}

/// What is waited for.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Condition {
    /// A phone's call.
    pub phone: Option<String>,
    /// Where it has come to.
    pub is: Option<LineIs>,
    /// A callback to this path of the application.
    pub callback: Option<String>,
    /// Fields that it must have.
    #[serde(default)]
    pub with: BTreeMap<String, String>,
    /// A number that is dialled.
    pub dialled: Option<String>,
    /// A message to this number.
    pub message_to: Option<String>,
}

/// What must have come about in the end.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expectation {
    /// A callback to this path of the application.
    pub callback: Option<String>,
    /// A document that was asked for at this path.
    pub document: Option<String>,
    /// Fields that it must have.
    #[serde(default)]
    pub with: BTreeMap<String, String>,
    /// How often; else at least once.
    pub times: Option<usize>,
    /// Every number that was dialled, in order.
    pub dialled: Option<Vec<String>>,
    /// A phone whose call was sent to another document.
    pub redirected: Option<String>,
    /// The path of that document.
    pub to: Option<String>,
    /// A message to this number.
    pub message_to: Option<String>,
    /// What is in it.
    pub body: Option<String>,
    /// A phone that keys were sent to.
    pub phone: Option<String>,
    /// Those keys.
    pub keys: Option<String>,
    /// How many recordings there are.
    pub recordings: Option<usize>,
    /// Phones that are to be heard in a recording.
    pub recorded: Option<Vec<String>>,
    /// Phones that are to be heard in none.
    pub not_recorded: Option<Vec<String>>,
}

/// What goes wrong.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Misfortune {
    /// How late a callback comes at most, drawn by chance.
    pub callbacks_late: Option<Time>,
    /// Whether each callback comes twice.
    #[serde(default)]
    pub callbacks_twice: bool,
    /// How many lists of conferences leave a new one out.
    #[serde(default)]
    pub lists_late: u32,
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// The first [`Problem`] of the file.
    pub fn read(text: &str) -> Result<Self, Problem> {
        let scenario: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            place(text, at, &suggested(error.message()))
        })?;
        scenario.check(text)?;
        Ok(scenario)
    }

    /// Whether a phone has this name.
    pub fn has_phone(&self, name: &str) -> bool {
        self.phones.contains_key(name)
    }

    fn check(&self, text: &str) -> Result<(), Problem> {
        let whole = |message: &str| Err(place(text, 0, message));
        if self.phones.is_empty() {
            return whole("a scenario has phones: add [phones.alice]");
        }
        if self.phones.len() > PHONES_MAX || self.steps.len() > STEPS_MAX {
            return whole(&format!("there are more than {PHONES_MAX} phones or {STEPS_MAX} steps"));
        }
        if self.run.as_ref().is_some_and(Vec::is_empty) {
            return whole("run is a command such as [\"python\", \"app.py\"]");
        }
        for phone in self.phones.values() {
            let number = &phone.get_ref().number;
            let fits = |letter: char| letter.is_ascii_alphanumeric() || "+-_.".contains(letter);
            if number.is_empty() || !number.chars().all(fits) {
                let message = format!("{number:?} is no number or name of a phone");
                return Err(place(text, phone.span().start, &message));
            }
            if self.numbers.contains_key(number) {
                let message = format!("{number} is one of the account's own numbers");
                return Err(place(text, phone.span().start, &message));
            }
        }
        let mut last = Time(Duration::ZERO);
        for step in &self.steps {
            let told = |message: String| place(text, step.span().start, &message);
            self.check_step(step.get_ref()).map_err(told)?;
            let at = step.get_ref().at.unwrap_or(last);
            if at < last {
                let last = last.0.as_secs_f64();
                return Err(told(format!("steps are in order, and one before is at {last} s")));
            }
            last = at;
        }
        for expectation in &self.expect {
            let told = |message: String| place(text, expectation.span().start, &message);
            self.check_expectation(expectation.get_ref()).map_err(told)?;
        }
        Ok(())
    }

    fn check_step(&self, step: &Step) -> Result<(), String> {
        let acts = [
            step.calls.is_some(),
            step.presses.is_some(),
            step.hangs_up,
            step.drops,
            step.when_called.is_some(),
            step.hears.is_some(),
            step.hears_not.is_some(),
            step.is.is_some(),
        ];
        let others = [step.request.is_some(), step.visit.is_some(), step.wait_for.is_some()];
        let many = acts.iter().chain(&others).filter(|there| **there).count();
        if many != 1 {
            return Err(format!(
                "a step does or checks one thing, this one {many}: calls, presses, hangs-up, drops, \
                 when-called, hears, hears-not, is, request, visit or wait-for"
            ));
        }
        if step.at.is_some() && step.after.is_some() {
            return Err("a step has `at` or `after`, not both".to_owned());
        }
        match &step.phone {
            Some(name) => self.phone(name)?,
            None if others.iter().any(|there| *there) => {}
            None => return Err("it does not say which phone: add phone = \"…\"".to_owned()),
        }
        for heard in step.hears.iter().chain(&step.hears_not) {
            if super::Wanted::of(heard, self).is_none() {
                let near = suggestion(heard, self.phones.keys().map(String::as_str));
                return Err(format!(
                    "{heard:?} is no phone, and none of `sound /path`, `words …`, `music`, \
                     `anything`{near}"
                ));
            }
        }
        if let Some(request) = step.request.as_ref().or(step.visit.as_ref()) {
            let path = request.split_once(' ').map(|(_, path)| path);
            if !path.is_some_and(|path| path.starts_with('/')) {
                return Err(format!("{request:?} is no request such as \"GET /Calls.json\""));
            }
        } else if !step.form.is_empty() || step.status.is_some() {
            return Err("`form` and `status` belong to a `request` or a `visit`".to_owned());
        }
        let Some(condition) = &step.wait_for else { return Ok(()) };
        if let Some(name) = &condition.phone {
            self.phone(name)?;
        }
        let kinds = [
            condition.phone.is_some() && condition.is.is_some(),
            condition.callback.is_some(),
            condition.dialled.is_some(),
            condition.message_to.is_some(),
        ];
        if kinds.iter().filter(|there| **there).count() != 1 {
            return Err("wait-for has one of: phone with is, callback, dialled, message-to".into());
        }
        Ok(())
    }

    fn check_expectation(&self, expectation: &Expectation) -> Result<(), String> {
        let kinds = [
            expectation.callback.is_some(),
            expectation.document.is_some(),
            expectation.dialled.is_some(),
            expectation.redirected.is_some(),
            expectation.message_to.is_some(),
            expectation.keys.is_some() && expectation.phone.is_some(),
            expectation.recordings.is_some(),
            expectation.recorded.is_some(),
            expectation.not_recorded.is_some(),
        ];
        let many = kinds.iter().filter(|there| **there).count();
        if many != 1 {
            return Err(format!(
                "an expectation names one thing, this one {many}: callback, document, dialled, \
                 redirected, message-to, phone with keys, recordings, recorded or not-recorded"
            ));
        }
        let recorded = expectation.recorded.iter().chain(&expectation.not_recorded).flatten();
        let phones = expectation.redirected.iter().chain(&expectation.phone).chain(recorded);
        for name in phones {
            self.phone(name)?;
        }
        Ok(())
    }

    /// Refuses a name that is no phone's.
    fn phone(&self, name: &str) -> Result<(), String> {
        if self.phones.contains_key(name) {
            return Ok(());
        }
        let near = suggestion(name, self.phones.keys().map(String::as_str));
        Err(format!("there is no phone {name:?}{near}"))
    }
}

/// Adds to what the reader of TOML says which word may have been meant.
fn suggested(message: &str) -> String {
    let message = message.trim();
    let mut words = message.split('`').skip(1).step_by(2);
    let unknown = message.starts_with("unknown ").then(|| words.next()).flatten();
    let near = unknown.map(|word| suggestion(word, words)).unwrap_or_default();
    format!("{message}{near}")
}

fn place(text: &str, at: usize, message: &str) -> Problem {
    let before = text.get(..at).unwrap_or_default();
    Problem {
        line: before.matches('\n').count() + 1,
        column: before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units_and_none_is_longer_than_an_hour() {
        for (text, expected) in [
            ("200ms", Some(200)),
            ("1.5s", Some(1_500)),
            ("2m", Some(120_000)),
            ("60m", Some(3_600_000)),
            ("61m", None),
            ("3", None),
            ("-1s", None),
            ("1e3s", None),
            ("s", None),
            ("", None),
        ] {
            let expected = expected.map(Duration::from_millis);
            assert_eq!(time(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_problem_is_told_with_its_line_and_column() {
        let text = "name = \"x\"\n[phones]\nann = { number = \"1\", says = 3 }\n";
        let problem = Scenario::read(text).expect_err("3 is no text");
        assert_eq!((problem.line, problem.column), (3, 30), "{problem}");
        let text = "name = \"x\"\nphones.ann = { number = \"1\" }\n\
            steps = [\n { at = \"2s\", phone = \"ann\", is = \"up\" },\n \
            { at = \"1s\", phone = \"ann\", is = \"up\" },\n]\n";
        let problem = Scenario::read(text).expect_err("they are not in order");
        assert_eq!((problem.line, problem.column), (5, 2), "{problem}");
    }
}
