//! What is heard where a packet is missing: the last pitch period again, fading out.

use crate::rate::Rate;

/// Samples of the past that are kept, at 8 kHz: two periods of the lowest pitch.
const HISTORY: usize = 320;
/// Periods that are looked for, at 8 kHz: 50 to 200 Hz.
const LAGS: std::ops::Range<usize> = 40..160;
/// Samples until a concealed stretch is silent, at 8 kHz: 60 ms.
const FADE: usize = 480;
/// Samples of the cross-fade back to what was received, at 8 kHz: 5 ms.
const JOIN: usize = 40;
/// How much higher the highest rate is at which a codec relies on this.
const SCALE_MAX: usize = 2;

/// One leg's concealment.
#[derive(Debug, Clone)]
pub struct Concealer {
    history: [i16; HISTORY * SCALE_MAX],
    /// How much higher the rate is than 8 kHz.
    scale: usize,
    lag: usize,
    concealed: usize,
}

impl Concealer {
    /// Starts after silence, at 8 kHz.
    pub fn new() -> Self {
        Self::at(Rate::Narrow)
    }

    /// Starts after silence, at 8 or 16 kHz.
    pub fn at(rate: Rate) -> Self {
        let scale = (rate.samples() / Rate::Narrow.samples()).min(SCALE_MAX);
        Self { history: [0; HISTORY * SCALE_MAX], scale, lag: LAGS.end * scale, concealed: 0 }
    }

    /// Passes what was received on; the first samples after a gap are joined to its end.
    pub fn received(&mut self, samples: &mut [i16]) {
        if self.concealed > 0 {
            let join = JOIN * self.scale;
            for (index, sample) in samples.iter_mut().take(join).enumerate() {
                let weight = (index + 1) as f32 / (join + 1) as f32;
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
        let fade = FADE * self.scale;
        let start = HISTORY * self.scale - self.lag;
        let repeated = self.history[start + self.concealed % self.lag];
        let gain = fade.saturating_sub(self.concealed) as f32 / fade as f32;
        self.concealed += 1;
        (f32::from(repeated) * gain) as i16
    }

    fn remember(&mut self, samples: &[i16]) {
        let history = &mut self.history[..HISTORY * self.scale];
        let new = samples.len().min(history.len());
        let kept = history.len() - new;
        history.copy_within(new.., 0);
        history[kept..].copy_from_slice(&samples[samples.len() - new..]);
    }

    /// Returns the lag at which the past resembles itself most: found at 8 kHz, then set to the sample.
    fn period(&self) -> usize {
        let scale = self.scale;
        let history = &self.history[..HISTORY * scale];
        let longest = LAGS.end * scale;
        let recent = &history[history.len() - longest..];
        let likeness = |lag: usize, step: usize| {
            let earlier = &history[history.len() - longest - lag..history.len() - lag];
            let (mut product, mut power) = (0.0, 0.0);
            for (&now, &then) in recent.iter().zip(earlier).step_by(step) {
                let (now, then) = (f32::from(now), f32::from(then));
                product += now * then;
                power += then * then;
            }
            product / f32::max(power, 1.0).sqrt()
        };
        let best = |lags: std::ops::Range<usize>, step: usize| {
            let lags = lags.step_by(step);
            lags.max_by(|&a, &b| likeness(a, step).total_cmp(&likeness(b, step))).unwrap_or(longest)
        };
        let coarse = best(LAGS.start * scale..longest, scale);
        if scale == 1 { coarse } else { best(coarse - scale + 1..(coarse + scale).min(longest), 1) }
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
