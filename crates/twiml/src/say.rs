//! `<Say>` and the part of SSML that changes how it sounds.

use std::time::Duration;

use roxmltree::Node;

use crate::document::Reader;
use crate::verb::loops;

/// Most characters that one `<Say>` speaks. Source: Twilio error 13521.
pub const SAY_LENGTH_MAX: usize = 4_096;
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

#[derive(Clone, Copy)]
struct Prosody {
    rate: f32,
    pitch: f32,
    volume: f32,
}

pub(crate) fn read(node: Node<'_, '_>, reader: &mut Reader) -> Option<Say> {
    reader.known(node, &["voice", "language", "loop"]);
    let mut say = Say {
        voice: node.attribute("voice").unwrap_or("man").trim().to_owned(),
        language: node.attribute("language").unwrap_or_default().trim().to_owned(),
        loops: loops(node, 13510, reader),
        segments: Vec::new(),
    };
    gather(node, Prosody { rate: 1.0, pitch: 1.0, volume: 1.0 }, &mut say.segments);
    let length: usize = say
        .segments
        .iter()
        .map(|segment| match segment {
            Segment::Text { text, .. } => text.chars().count(),
            Segment::Break(_) => 0,
        })
        .sum();
    if say.segments.is_empty() {
        reader.warn(13520, node, "<Say> has no text");
        return None;
    }
    if length > SAY_LENGTH_MAX {
        reader.warn(13521, node, format!("<Say> has more than {SAY_LENGTH_MAX} characters"));
        return None;
    }
    Some(say)
}

/// Walks the text and the SSML below a node; unknown elements are spoken plainly.
fn gather(node: Node<'_, '_>, prosody: Prosody, segments: &mut Vec<Segment>) {
    for child in node.children() {
        if child.is_text() {
            let text = child.text().unwrap_or_default();
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            if !words.is_empty() {
                let Prosody { rate, pitch, volume } = prosody;
                segments.push(Segment::Text { text: words, rate, pitch, volume });
            }
        } else if child.is_element() {
            match child.tag_name().name() {
                "break" => segments.push(Segment::Break(pause(child))),
                "prosody" => gather(child, prosody.under(child), segments),
                "p" | "s" => {
                    gather(child, prosody, segments);
                    segments.push(Segment::Break(Duration::from_millis(400)));
                }
                "emphasis" => {
                    gather(child, Prosody { rate: prosody.rate * 0.9, ..prosody }, segments)
                }
                "sub" => match child.attribute("alias") {
                    Some(alias) => {
                        let Prosody { rate, pitch, volume } = prosody;
                        segments.push(Segment::Text {
                            text: alias.to_owned(),
                            rate,
                            pitch,
                            volume,
                        });
                    }
                    None => gather(child, prosody, segments),
                },
                _ => gather(child, prosody, segments),
            }
        }
    }
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
