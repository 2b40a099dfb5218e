//! The project's own music.

use crate::beeps::notes;

/// The project's own music: a quiet figure over four chords, seamless when repeated.
pub fn music() -> Vec<i16> {
    const CHORDS: [[f32; 3]; 4] = [
        [261.63, 329.63, 392.0],
        [220.0, 261.63, 329.63],
        [174.61, 220.0, 261.63],
        [196.0, 246.94, 293.66],
    ];
    let figure = [0, 1, 2, 1, 2, 1, 0, 2];
    let melody: Vec<(f32, f32)> = CHORDS
        .iter()
        .flat_map(|chord| figure.iter().map(|&voice| (chord[voice] * 2.0, 0.4)))
        .collect();
    notes(&melody, 3_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_music_is_quiet_and_seamless() {
        let music = music();
        assert!(music.iter().all(|sample| sample.abs() < 8_000));
        assert!(music[0].abs() < 50 && music[music.len() - 1].abs() < 50);
    }
}
