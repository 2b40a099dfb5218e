//! The beeps of those who come and go, and the notes that they are made of.

use crate::RATE;

/// The beep of someone who comes: two rising notes.
pub fn enter_beep() -> Vec<i16> {
    notes(&[(660.0, 0.12), (880.0, 0.14)], 5_000.0)
}

/// The beep of someone who goes: two falling notes.
pub fn exit_beep() -> Vec<i16> {
    notes(&[(880.0, 0.12), (660.0, 0.14)], 5_000.0)
}

/// Plays notes of so many hertz and seconds, each with a soft beginning and end.
pub(crate) fn notes(notes: &[(f32, f32)], amplitude: f32) -> Vec<i16> {
    let mut sound = Vec::new();
    for &(frequency, seconds) in notes {
        let length = (seconds * RATE as f32) as usize;
        sound.extend((0..length).map(|index| {
            let time = index as f32 / RATE as f32;
            let phase = time * frequency * std::f32::consts::TAU;
            let attack = (index as f32 / 160.0).min(1.0);
            let release = ((length - index) as f32 / 160.0).min(1.0);
            let envelope = attack * release * (-2.0 * time).exp();
            ((phase.sin() + 0.3 * (2.0 * phase).sin()) * envelope * amplitude) as i16
        }));
    }
    sound
}
