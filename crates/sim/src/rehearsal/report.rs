//! What came of a rehearsal: the verdicts, the timeline, JUnit.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When, since the rehearsal began.
    pub at: Duration,
    /// What happened.
    pub text: String,
}

/// One thing that must be so, and whether it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// When it was judged.
    pub at: Duration,
    /// What must be so.
    pub about: String,
    /// What is otherwise.
    pub result: Result<(), String>,
}

/// What came of a rehearsal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The scenario's name.
    pub name: String,
    /// The seed.
    pub seed: u64,
    /// What was judged, in order.
    pub verdicts: Vec<Verdict>,
    /// What happened, in order.
    pub timeline: Vec<Line>,
    /// What each phone heard, at 8 kHz from the beginning on.
    pub heard: BTreeMap<String, Vec<i16>>,
    /// How long it was in virtual time.
    pub lasted: Duration,
    /// The last of what the application printed, where the scenario started it.
    pub application: String,
}

impl Report {
    pub(super) fn new(name: &str, seed: u64) -> Self {
        Self {
            name: name.to_owned(),
            seed,
            verdicts: Vec::new(),
            timeline: Vec::new(),
            heard: BTreeMap::new(),
            lasted: Duration::ZERO,
            application: String::new(),
        }
    }

    pub(super) fn say(&mut self, at: Duration, text: String) {
        self.timeline.push(Line { at, text });
    }

    /// Brings all into the order of time.
    pub(super) fn conclude(&mut self) {
        self.timeline.sort_by_key(|line| line.at);
        self.verdicts.sort_by_key(|verdict| verdict.at);
    }

    pub(super) fn with_application(self, application: String) -> Self {
        Self { application, ..self }
    }

    /// Whether all is as it must be.
    pub fn has_passed(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.result.is_ok())
    }

    /// Returns the timeline as text.
    pub fn timeline_text(&self) -> String {
        let mut text = String::new();
        for Line { at, text: what } in &self.timeline {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:>9.3}  {what}", at.as_secs_f64());
        }
        text
    }

    /// Returns the verdicts as text.
    pub fn verdicts_text(&self) -> String {
        let mut text = String::new();
        for Verdict { about, result, .. } in &self.verdicts {
            let _ = match result {
                Ok(()) => writeln!(text, "  ok      {about}"),
                Err(why) => writeln!(text, "  FAILED  {about}: {why}"),
            };
        }
        text
    }
}

/// Returns reports as JUnit XML: a suite for each scenario, a case for each verdict. Source: the schema of the
/// Jenkins xUnit plugin, `junit-10.xsd`.
pub fn junit(reports: &[Report]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for report in reports {
        let failed = report.verdicts.iter().filter(|verdict| verdict.result.is_err()).count();
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" time=\"{:.3}\">",
            escaped(&report.name),
            report.verdicts.len(),
            report.lasted.as_secs_f64()
        );
        for Verdict { about, result, .. } in &report.verdicts {
            let (suite, about) = (escaped(&report.name), escaped(about));
            let _ = write!(xml, "    <testcase classname=\"{suite}\" name=\"{about}\"");
            let _ = match result {
                Ok(()) => writeln!(xml, "/>"),
                Err(why) => writeln!(
                    xml,
                    ">\n      <failure message=\"{}\"/>\n    </testcase>",
                    escaped(why)
                ),
            };
        }
        let timeline = escaped(&report.timeline_text());
        let _ = writeln!(xml, "    <system-out>{timeline}</system-out>\n  </testsuite>");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Writes what XML takes as text; control characters, which it takes not at all, are left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(letter),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {}
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junit_tells_each_failure_and_takes_every_letter() {
        let mut report = Report::new("A & \"B\"", 1);
        let verdict =
            |about: &str, result| Verdict { at: Duration::ZERO, about: about.to_owned(), result };
        report.verdicts.push(verdict("good", Ok(())));
        report.verdicts.push(verdict("bad", Err("<it>\u{1} was not".to_owned())));
        assert!(!report.has_passed());
        let xml = junit(&[report]);
        let document = roxmltree::Document::parse(&xml).expect("it is XML");
        let suite = document.root_element().first_element_child().expect("a suite");
        assert_eq!(suite.attribute("name"), Some("A & \"B\""));
        assert_eq!((suite.attribute("tests"), suite.attribute("failures")), (Some("2"), Some("1")));
        let failure = document.descendants().find(|node| node.has_tag_name("failure"));
        assert_eq!(failure.and_then(|node| node.attribute("message")), Some("<it> was not"));
    }
}
