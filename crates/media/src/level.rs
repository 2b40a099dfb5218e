//! How loud a leg is, and who of a room's is the one to look at.
//!
//! Source: RFC 6464 section 3 for the scale.

use crate::ids::LegId;

/// The level of silence, in dB below overload; the scale ends there.
pub const SILENCE: u8 = 127;
/// Samples that are no louder are faint, -56 dB below full scale.
pub const FAINT: u16 = 52;
/// By how much a level follows from tick to tick, up and down: within 60 and 400 ms.
const RISE: f32 = 0.3;
const FALL: f32 = 0.05;
/// By how many dB another has to be louder than who speaks.
const LOUDER: f32 = 4.0;
/// For how many ticks on end: 300 ms, which a laugh or a cough seldom lasts.
const PATIENCE: u32 = 15;

/// Returns the level of a frame in dB below overload, 0 to [`SILENCE`].
///
/// Overload is a square wave at full scale, so that a sine has 3 at most.
pub fn level(frame: &[i16]) -> u8 {
    let mean = power(frame) / (32_768.0 * 32_768.0);
    // Of a power of nothing this is the end of the scale.
    (-10.0 * mean.log10()).round().clamp(0.0, SILENCE.into()) as u8
}

/// Whether no sample of a frame is louder than the faintest noise.
pub fn is_faint(frame: &[i16]) -> bool {
    frame.iter().fold(0, |peak, sample| sample.unsigned_abs().max(peak)) <= FAINT
}

/// Returns the mean square of a frame.
///
/// Sums of floats wait for each other, so eight are made side by side.
pub fn power(frame: &[i16]) -> f32 {
    let (chunks, rest) = frame.as_chunks::<8>();
    let mut lanes = [0.0_f32; 8];
    for chunk in chunks {
        for (lane, &sample) in lanes.iter_mut().zip(chunk) {
            *lane += f32::from(sample) * f32::from(sample);
        }
    }
    let rest: f32 = rest.iter().map(|&sample| f32::from(sample) * f32::from(sample)).sum();
    (lanes.iter().sum::<f32>() + rest) / frame.len().max(1) as f32
}

/// One leg's level, without its ups and downs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Smoothed(f32);

impl Default for Smoothed {
    fn default() -> Self {
        Self::new()
    }
}

impl Smoothed {
    /// Starts silent.
    pub const fn new() -> Self {
        Self(SILENCE as f32)
    }

    /// Takes the level of a tick.
    pub fn observe(&mut self, level: u8) {
        let step = f32::from(level) - self.0;
        self.0 += step * if step < 0.0 { RISE } else { FALL };
    }

    /// Returns the level in dB below overload.
    pub fn get(self) -> u8 {
        self.0.round() as u8
    }
}

/// A room's dominant speaker.
///
/// Whoever speaks stays it until they stop and another speaks, or until another is louder for a while.
/// While nobody speaks, it is who spoke last.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dominant {
    now: Option<LegId>,
    /// Who is louder, and for how many ticks on end.
    challenger: Option<(LegId, u32)>,
}

impl Dominant {
    /// Returns who it is.
    pub fn get(self) -> Option<LegId> {
        self.now
    }

    /// Takes those who speak in this tick; returns who it is from now on, where that changes.
    pub fn observe(
        &mut self,
        speaking: impl IntoIterator<Item = (LegId, Smoothed)>,
    ) -> Option<LegId> {
        let (mut loudest, mut present) = (None, None);
        for (leg, Smoothed(level)) in speaking {
            if Some(leg) == self.now {
                present = Some(level);
            }
            if loudest.is_none_or(|(_, most)| level < most) {
                loudest = Some((leg, level));
            }
        }
        let louder = loudest.filter(|&(leg, level)| {
            Some(leg) != self.now && present.is_none_or(|present| level < present - LOUDER)
        });
        let Some((leg, _)) = louder else {
            self.challenger = None;
            return None;
        };
        let ticks = match self.challenger {
            Some((challenger, ticks)) if challenger == leg => ticks + 1,
            _ => 1,
        };
        if present.is_some() && ticks < PATIENCE {
            self.challenger = Some((leg, ticks));
            return None;
        }
        (self.now, self.challenger) = (Some(leg), None);
        Some(leg)
    }

    /// Forgets a leg that is gone.
    pub fn forget(&mut self, leg: LegId) {
        self.now = self.now.filter(|&now| now != leg);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_told_on_the_scale_of_the_header_extension() {
        let sine = |high: f32| -> Vec<i16> {
            (0..160)
                .map(|at| ((at as f32 * std::f32::consts::FRAC_PI_4).sin() * high) as i16)
                .collect()
        };
        assert_eq!(level(&[0; 160]), SILENCE);
        assert_eq!(level(&[]), SILENCE);
        assert_eq!(level(&[i16::MIN; 160]), 0);
        assert_eq!(level(&[1; 160]), 90);
        assert_eq!([32_767.0, 3_276.7, 327.67].map(|high| level(&sine(high))), [3, 23, 43]);
    }

    /// Returns when another becomes the dominant speaker, and who. Each line has the levels of the legs
    /// for so many ticks; who is silent does not speak.
    fn changes(script: &[(u32, [u8; 3])]) -> Vec<(u32, u64)> {
        let (mut dominant, mut levels) = (Dominant::default(), [Smoothed::new(); 3]);
        let ticks = script.iter().flat_map(|(ticks, levels)| (0..*ticks).map(move |_| levels));
        let mut changes = Vec::new();
        for (tick, now) in (0..).zip(ticks) {
            levels.iter_mut().zip(now).for_each(|(level, &now)| level.observe(now));
            let legs = (0..).map(LegId).zip(levels);
            let speaking = legs.zip(now).filter(|(_, now)| **now != SILENCE).map(|(leg, _)| leg);
            changes.extend(dominant.observe(speaking).map(|LegId(leg)| (tick, leg)));
        }
        changes
    }

    #[test]
    fn who_speaks_alone_is_it_at_once_and_stays_it_in_a_pause() {
        let (silent, first) = ([127, 127, 127], [30, 127, 127]);
        assert_eq!(changes(&[(10, silent), (50, first), (50, silent), (50, first)]), [(10, 0)]);
        assert_eq!(changes(&[(50, first), (50, silent), (50, [127, 50, 127])]), [(0, 0), (100, 1)]);
    }

    #[test]
    fn who_interrupts_is_it_when_they_are_louder_for_a_while() {
        let first = [30, 127, 127];
        assert_eq!(changes(&[(50, first), (100, [30, 28, 127])]), [(0, 0)]);
        assert_eq!(changes(&[(50, first), (8, [30, 20, 127]), (100, first)]), [(0, 0)]);
        let changes = changes(&[(50, first), (100, [30, 20, 127])]);
        assert!(changes.len() == 2 && changes[1].1 == 1, "{changes:?}");
        assert!((65..75).contains(&changes[1].0), "{changes:?}");
    }

    #[test]
    fn two_of_a_loudness_do_not_take_turns() {
        let mut script = vec![(50, [30, 127, 127])];
        script.extend((0..50).flat_map(|_| [(7, [33, 28, 127]), (7, [28, 33, 127])]));
        assert_eq!(changes(&script), [(0, 0)]);
    }

    #[test]
    fn who_has_left_is_it_no_longer() {
        let mut dominant = Dominant::default();
        assert_eq!(dominant.observe([(LegId(7), Smoothed::new())]), Some(LegId(7)));
        dominant.forget(LegId(8));
        assert_eq!(dominant.get(), Some(LegId(7)));
        dominant.forget(LegId(7));
        assert_eq!(dominant.get(), None);
    }
}
