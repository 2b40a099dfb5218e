//! `<Say>` and the part of SSML that changes how it sounds.

use std::time::Duration;

use roxmltree::Node;

use crate::document::{Reader, text};
use crate::verb::loops;
use crate::voices;

/// Most characters that one `<Say>` speaks. Source: Twilio error 13521.
pub const SAY_LENGTH_MAX: usize = 4_096;
/// The same for one of Polly's voices.
pub const POLLY_LENGTH_MAX: usize = 3_000;
/// Who speaks where nobody is named. Source: `voice`.
const DEFAULT_VOICE: &str = "man";
/// Longest `<break>`.
const BREAK_MAX: Duration = Duration::from_secs(10);

/// A part of what a `<Say>` speaks.
#[derive(Debug, Clone, PartialEq)]
pub enum Segment {
    /// Words, and how they are spoken; each factor is 1.0 where nothing is asked for.
    Text {
        /// The words.
        text: String,
        /// How fast.
        rate: f32,
        /// How high.
        pitch: f32,
        /// How loud.
        volume: f32,
    },
    /// Silence.
    Break(Duration),
}

/// Speaks a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Say {
    /// Twilio's name of the voice: `man`, `alice`, `Polly.Joanna`, ...
    pub voice: String,
    /// A language tag; empty: the voice's own.
    pub language: String,
    /// How often.
    pub loops: u32,
    /// What, with its prosody.
    pub segments: Vec<Segment>,
}

/// How words are spoken; it fills the factors of a [`Segment::Text`].
#[derive(Clone, Copy)]
struct Prosody {
    rate: f32,
    pitch: f32,
    volume: f32,
}

pub(crate) fn read(node: Node<'_, '_>, reader: &mut Reader) -> Option<Say> {
    reader.known(node, &["voice", "language", "loop"]);
    let language = reader.attribute(node, "language", 13511, String::new(), |tag| {
        (tag.is_empty() || voices::is_tag(tag)).then(|| tag.to_owned())
    });
    let voice = reader.attribute(node, "voice", 13512, DEFAULT_VOICE.to_owned(), |voice| {
        voices::speaker(voice, &language).map(|_| voice.to_owned())
    });
    let loops = loops(node, 13510, reader);
    let mut segments = Vec::new();
    gather(node, Prosody { rate: 1.0, pitch: 1.0, volume: 1.0 }, &mut segments);
    if !segments.iter().any(|segment| matches!(segment, Segment::Text { .. })) {
        reader.warn(13520, node, "<Say> has no text");
        return None;
    }
    let length: usize = segments
        .iter()
        .map(|segment| match segment {
            Segment::Text { text, .. } => text.chars().count(),
            Segment::Break(_) => 0,
        })
        .sum();
    let polly = voice.get(..5).is_some_and(|kind| kind.eq_ignore_ascii_case("polly"));
    let longest = if polly { POLLY_LENGTH_MAX } else { SAY_LENGTH_MAX };
    if length > longest {
        reader.warn(13521, node, format!("<Say> has more than {longest} characters"));
        return None;
    }
    Some(Say { voice, language, loops, segments })
}

/// Walks the text and the SSML below a node; unknown elements are spoken plainly.
fn gather(node: Node<'_, '_>, prosody: Prosody, segments: &mut Vec<Segment>) {
    for child in node.children() {
        if child.is_text() {
            prosody.says(child.text().unwrap_or_default(), segments);
        }
        if !child.is_element() {
            continue;
        }
        match child.tag_name().name() {
            "break" => segments.push(Segment::Break(pause(child))),
            "prosody" => gather(child, prosody.under(child), segments),
            "emphasis" => gather(child, prosody.emphasised(child.attribute("level")), segments),
            "p" | "s" => {
                gather(child, prosody, segments);
                segments.push(Segment::Break(Duration::from_millis(400)));
            }
            "sub" if child.has_attribute("alias") => {
                prosody.says(child.attribute("alias").unwrap_or_default(), segments);
            }
            "say-as" => match child.attribute("interpret-as").and_then(spelling) {
                Some(spell) => prosody.says(&spell(&text(child)), segments),
                None => gather(child, prosody, segments),
            },
            _ => gather(child, prosody, segments),
        }
    }
}

/// Returns how a text is to be spelled for `interpret-as`; not at all, where it is spoken as it is.
fn spelling(kind: &str) -> Option<fn(&str) -> String> {
    match kind {
        "characters" | "spell-out" | "verbatim" => Some(characters),
        "digits" => Some(digits),
        "telephone" => Some(telephone),
        _ => None,
    }
}

/// Spells character by character, with a rest after each.
fn characters(text: &str) -> String {
    let all: Vec<String> = text.chars().filter(|c| !c.is_whitespace()).map(String::from).collect();
    all.join(", ")
}

/// Speaks digit by digit; what is no digit is spoken as it is.
fn digits(text: &str) -> String {
    let mut spoken = String::new();
    for letter in text.chars() {
        let breaks = letter.is_ascii_digit() && spoken.ends_with(|c: char| c.is_ascii_digit());
        spoken.extend(breaks.then_some(' '));
        spoken.push(letter);
    }
    spoken
}

/// Speaks digit by digit, with a rest where the number is written in groups.
fn telephone(text: &str) -> String {
    let grouped = |c: char| c.is_whitespace() || matches!(c, '-' | '.' | '(' | ')' | '/');
    let groups: Vec<String> = text.split(grouped).filter(|g| !g.is_empty()).map(digits).collect();
    groups.join(", ")
}

fn pause(node: Node<'_, '_>) -> Duration {
    let named = match node.attribute("strength") {
        Some("none") => 0,
        Some("x-weak" | "weak") => 150,
        Some("strong") => 700,
        Some("x-strong") => 1_000,
        _ => 400,
    };
    node.attribute("time").and_then(seconds).unwrap_or(Duration::from_millis(named)).min(BREAK_MAX)
}

fn seconds(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (digits, unit) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 0.001),
        None => (text.strip_suffix('s')?, 1.0),
    };
    let value: f64 = digits.trim().parse().ok()?;
    Duration::try_from_secs_f64(value * unit).ok()
}

impl Prosody {
    /// Appends words; those that follow others of the same kind become one text with them.
    fn says(self, text: &str, segments: &mut Vec<Segment>) {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if words.is_empty() {
            return;
        }
        if let Some(Segment::Text { text, rate, pitch, volume }) = segments.last_mut()
            && (*rate, *pitch, *volume) == (self.rate, self.pitch, self.volume)
        {
            text.push(' ');
            text.push_str(&words);
            return;
        }
        let Self { rate, pitch, volume } = self;
        segments.push(Segment::Text { text: words, rate, pitch, volume });
    }

    fn emphasised(self, level: Option<&str>) -> Self {
        let (rate, volume) = match level {
            Some("strong") => (0.8, 1.4),
            Some("reduced") => (1.1, 0.7),
            Some("none") => (1.0, 1.0),
            _ => (0.9, 1.2),
        };
        Self { rate: self.rate * rate, volume: self.volume * volume, ..self }
    }

    fn under(self, node: Node<'_, '_>) -> Self {
        let rate = node.attribute("rate").map_or(1.0, |rate| match rate {
            "x-slow" => 0.5,
            "slow" => 0.75,
            "fast" => 1.25,
            "x-fast" => 1.75,
            rate => percent(rate, false),
        });
        let pitch = node.attribute("pitch").map_or(1.0, |pitch| match pitch {
            "x-low" => 0.6,
            "low" => 0.8,
            "high" => 1.2,
            "x-high" => 1.5,
            pitch => percent(pitch, true),
        });
        let volume = node.attribute("volume").map_or(1.0, |volume| match volume {
            "silent" => 0.0,
            "x-soft" => 0.35,
            "soft" => 0.6,
            "loud" => 1.4,
            "x-loud" => 2.0,
            volume => decibel(volume),
        });
        Self {
            rate: (self.rate * rate).clamp(0.2, 4.0),
            pitch: (self.pitch * pitch).clamp(0.3, 3.0),
            volume: (self.volume * volume).clamp(0.0, 4.0),
        }
    }
}

/// Reads `120%` as a factor, or `+20%` where a difference is meant.
fn percent(text: &str, difference: bool) -> f32 {
    let signed = text.starts_with(['+', '-']);
    let value = text.strip_suffix('%').and_then(|digits| digits.parse::<f32>().ok());
    match value {
        Some(value) if value.is_finite() && (signed || difference) => 1.0 + value / 100.0,
        Some(value) if value.is_finite() => value / 100.0,
        _ => 1.0,
    }
}

fn decibel(text: &str) -> f32 {
    let value = text.strip_suffix("dB").and_then(|digits| digits.parse::<f32>().ok());
    value.filter(|value| value.is_finite()).map_or(1.0, |db| 10_f32.powf(db / 20.0))
}
