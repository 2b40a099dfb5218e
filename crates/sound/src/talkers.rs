//! The talkers of the demonstration.

use crate::beeps::notes;

/// A talker of the demonstration: a short phrase in a register of its own, then a rest in which
/// the others speak.
pub fn talker(number: usize) -> Vec<i16> {
    let base = [392.0, 261.63, 523.25][number % 3];
    let steps: [&[f32]; 3] =
        [&[1.0, 1.125, 1.25, 1.5], &[1.5, 1.25, 1.0, 0.75], &[1.0, 1.333, 1.0, 1.333, 1.5]];
    let phrase: Vec<_> = steps[number % 3].iter().map(|step| (base * step, 0.25)).collect();
    let mut sound = vec![0; 12_000 * (number % 3)];
    sound.extend(notes(&phrase, 6_000.0));
    sound.resize(36_000, 0);
    sound
}
