//! TwiML: text to typed verbs, and which verb comes next.

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
    Break(std::time::Duration),
}
