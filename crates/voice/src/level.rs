//! One level for all speech.

/// The level of speech while someone speaks: -20 dBFS, as an amplitude.
const ACTIVE: f64 = 3_276.8;
/// Frames below this are pauses: -50 dBFS.
const PAUSE: f64 = 103.6;
/// Most by which sound is raised: what is fainter than that is no speech.
const GAIN_MAX: f64 = 8.0;
/// From here on peaks are rounded, so that nothing is cut off hard.
const KNEE: f64 = 24_000.0;
/// Samples in 20 ms.
const FRAME: usize = 160;

/// Returns the gain that brings these sounds, taken together, to the common level.
pub(crate) fn gain<'a>(sounds: impl Iterator<Item = &'a [i16]>) -> f64 {
    let (mut power, mut frames) = (0.0, 0_u32);
    for frame in sounds.flat_map(|sound| sound.chunks_exact(FRAME)) {
        let own = frame.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / FRAME as f64;
        if own.sqrt() > PAUSE {
            power += own;
            frames += 1;
        }
    }
    if frames == 0 { 1.0 } else { (ACTIVE / (power / f64::from(frames)).sqrt()).min(GAIN_MAX) }
}

/// Turns one sample up or down; a peak that would clip is bent under full scale.
pub(crate) fn turned(sample: i16, gain: f64) -> i16 {
    let turned = f64::from(sample) * gain;
    let over = turned.abs() - KNEE;
    if over <= 0.0 {
        return turned.round() as i16;
    }
    let room = 32_767.0 - KNEE;
    ((KNEE + room * (over / room).tanh()) * turned.signum()).round() as i16
}
