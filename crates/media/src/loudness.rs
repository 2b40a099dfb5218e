//! How loud a leg has been of late: by this it is chosen who is mixed.

/// What is left of a leg's loudness after a tick of silence: half after 400 ms.
const FADES: f32 = 0.966;

/// What is fainter is nothing.
const FAINTEST: f32 = 1.0;

/// How loud a leg is, and was of late.
#[derive(Debug, Default, Clone, Copy)]
pub struct Loudness(f32);

impl Loudness {
    /// Takes a tick of sound.
    pub fn observe(&mut self, sound: &[i16]) {
        let power: f32 = sound.iter().map(|&sample| f32::from(sample) * f32::from(sample)).sum();
        let now = (power / sound.len().max(1) as f32).sqrt();
        let late = self.0 * FADES;
        self.0 = now.max(if late < FAINTEST { 0.0 } else { late });
    }

    /// Returns it: linear, full scale is 32,768.
    pub fn value(self) -> f32 {
        self.0
    }

    /// Whether anything was heard of late.
    pub fn is_some(self) -> bool {
        self.0 > 0.0
    }
}
