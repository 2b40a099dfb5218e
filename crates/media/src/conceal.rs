//! What is heard where a packet is missing: the last pitch period again, fading out.

/// Samples of the past that are kept: two periods of the lowest pitch.
const HISTORY: usize = 320;
/// Periods that are looked for: 50 to 200 Hz.
const LAGS: std::ops::Range<usize> = 40..160;
/// Samples until a concealed stretch is silent: 60 ms.
const FADE: usize = 480;
/// Samples of the cross-fade back to what was received: 5 ms.
const JOIN: usize = 40;

/// One leg's concealment.
#[derive(Debug)]
pub struct Concealer {
    history: [i16; HISTORY],
    lag: usize,
    concealed: usize,
}

impl Concealer {
    pub fn new() -> Self {
        Self { history: [0; HISTORY], lag: LAGS.end, concealed: 0 }
    }

    /// Passes what was received on; the first samples after a gap are joined to its end.
    pub fn received(&mut self, samples: &mut [i16]) {
        if self.concealed > 0 {
            for (index, sample) in samples.iter_mut().take(JOIN).enumerate() {
                let weight = (index + 1) as f32 / (JOIN + 1) as f32;
                let continued = f32::from(self.next());
                *sample = (f32::from(*sample) * weight + continued * (1.0 - weight)) as i16;
            }
            self.concealed = 0;
        }
        self.remember(samples);
    }

    /// Fills a gap.
    pub fn conceal(&mut self, samples: &mut [i16]) {
        if self.concealed == 0 {
            self.lag = self.period();
        }
        for sample in samples.iter_mut() {
            *sample = self.next();
        }
    }

    fn next(&mut self) -> i16 {
        let repeated = self.history[HISTORY - self.lag + self.concealed % self.lag];
        let gain = FADE.saturating_sub(self.concealed) as f32 / FADE as f32;
        self.concealed += 1;
        (f32::from(repeated) * gain) as i16
    }

    fn remember(&mut self, samples: &[i16]) {
        let new = samples.len().min(HISTORY);
        self.history.copy_within(new.., 0);
        self.history[HISTORY - new..].copy_from_slice(&samples[samples.len() - new..]);
    }

    /// Returns the lag at which the past resembles itself most.
    fn period(&self) -> usize {
        let recent = &self.history[HISTORY - LAGS.end..];
        let likeness = |lag: usize| {
            let earlier = &self.history[HISTORY - LAGS.end - lag..HISTORY - lag];
            let dot = |a: &[i16], b: &[i16]| -> f32 {
                a.iter().zip(b).map(|(&a, &b)| f32::from(a) * f32::from(b)).sum()
            };
            dot(recent, earlier) / dot(earlier, earlier).max(1.0).sqrt()
        };
        LAGS.max_by(|&a, &b| likeness(a).total_cmp(&likeness(b))).unwrap_or(LAGS.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_goes_on_through_a_gap_and_fades_out() {
        let tone: Vec<i16> =
            (0..960).map(|i| ((i as f32 * 0.785).sin() * 8_000.0) as i16).collect();
        let mut concealer = Concealer::new();
        let mut heard = tone[..480].to_vec();
        concealer.received(&mut heard);
        let mut gap = [0; 160];
        concealer.conceal(&mut gap);
        for (index, &sample) in gap.iter().enumerate() {
            assert!((i32::from(sample) - i32::from(tone[480 + index])).abs() < 3_500, "{index}");
        }
        let mut long = [0; 800];
        concealer.conceal(&mut long);
        assert_eq!(long[400..], [0; 400]);
    }
}
