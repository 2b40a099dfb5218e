//! Where one leg is in what many hear.

/// How a leg hears what others hear.
#[derive(Debug, Default)]
pub struct Follows {
    /// Where it is in what is remembered.
    pub place: Option<Place>,
    /// Ticks in a row in which it heard one document alone.
    pub ticks: u32,
    /// Where that was found, of those in codecs without a memory.
    pub hint: usize,
}

impl Follows {
    pub const fn new() -> Self {
        Self { place: None, ticks: 0, hint: 0 }
    }

    /// Whether the far end remembers what others remember.
    pub fn is_one(&self) -> bool {
        self.place.is_some()
    }
}

/// Where a leg is: before that tick of a segment.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub pass: usize,
    /// Of the pass.
    pub number: u64,
    pub segment: usize,
    pub tick: usize,
}
