//! What is heard where a packet is missing: the last pitch period again, fading out.

use crate::rate::Rate;

/// Periods that are looked for, in samples at 8 kHz: 50 to 200 Hz.
const LAGS: std::ops::Range<usize> = 40..160;

/// One leg's concealment.
#[derive(Debug, Clone)]
pub struct Concealer {
    /// Samples for each one at 8 kHz.
    scale: usize,
    /// The past: two periods of the lowest pitch.
    history: Box<[i16]>,
    lag: usize,
    concealed: usize,
}

impl Concealer {
    /// Starts after silence.
    pub fn at(rate: Rate) -> Self {
        let scale = rate.samples() / Rate::Narrow.samples();
        let longest = LAGS.end * scale;
        Self { scale, history: vec![0; 2 * longest].into(), lag: longest, concealed: 0 }
    }

    /// Samples until a concealed stretch is silent: 60 ms.
    fn fade(&self) -> usize {
        480 * self.scale
    }

    /// Samples of the cross-fade back to what was received: 5 ms.
    fn join(&self) -> usize {
        40 * self.scale
    }

    /// Passes what was received on; the first samples after a gap are joined to its end.
    pub fn received(&mut self, samples: &mut [i16]) {
        if self.concealed > 0 {
            let join = self.join();
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
        let repeated = self.history[self.history.len() - self.lag + self.concealed % self.lag];
        let gain = self.fade().saturating_sub(self.concealed) as f32 / self.fade() as f32;
        self.concealed += 1;
        (f32::from(repeated) * gain) as i16
    }

    fn remember(&mut self, samples: &[i16]) {
        let length = self.history.len();
        let new = samples.len().min(length);
        self.history.copy_within(new.., 0);
        self.history[length - new..].copy_from_slice(&samples[samples.len() - new..]);
    }

    /// Returns the lag at which the past resembles itself most.
    ///
    /// Pitch is low: of a wide signal, one sample in each at 8 kHz tells enough, also of the lags between
    /// those at 8 kHz.
    fn period(&self) -> usize {
        let scale = self.scale;
        let slow = |first: usize| -> [i16; 2 * LAGS.end] {
            std::array::from_fn(|index| self.history[first + index * scale] >> SPARE)
        };
        let lag = likest(&slow(scale - 1)) * scale;
        if scale == 1 {
            return lag;
        }
        let recent = slow(scale - 1);
        let recent = &recent[LAGS.end..];
        let likeness = |lag: usize| {
            let first = LAGS.end * scale + scale - 1 - lag;
            let earlier: [i16; LAGS.end] =
                std::array::from_fn(|index| self.history[first + index * scale] >> SPARE);
            likeness(product(recent, &earlier), product(&earlier, &earlier))
        };
        let longest = LAGS.end * scale;
        let near =
            (lag - scale + 1..(lag + scale).min(longest + 1)).map(|lag| (likeness(lag), lag));
        near.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(lag, |(_, lag)| lag)
    }
}

/// Bits that a sample loses before it is multiplied, so that a sum of products fits.
const SPARE: u32 = 4;

/// Returns the lag by which the second half of `past`, at 8 kHz, is most like what was before.
///
/// Integers are summed: the processor takes many of them at once, and a room of many legs may lose a
/// packet of each in one tick.
fn likest(past: &[i16; 2 * LAGS.end]) -> usize {
    let square = |index: usize| i32::from(past[index]) * i32::from(past[index]);
    let (half, end) = (LAGS.end, 2 * LAGS.end);
    let mut power: i32 = (half - LAGS.start..end - LAGS.start).map(square).sum();
    let mut best = (f32::MIN, LAGS.end);
    for lag in LAGS {
        let like = likeness(product(&past[half..], &past[half - lag..end - lag]), power);
        if like > best.0 {
            best = (like, lag);
        }
        power += square(half - lag - 1) - square(end - lag - 1);
    }
    best.1
}

fn likeness(product: i32, power: i32) -> f32 {
    product as f32 / (power.max(1) as f32).sqrt()
}

fn product(one: &[i16], other: &[i16]) -> i32 {
    // Sums that are checked are not made side by side; none of these is over.
    one.iter().zip(other).fold(0, |sum, (&one, &other)| {
        i32::wrapping_add(sum, i32::wrapping_mul(one.into(), other.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_goes_on_through_a_gap_and_fades_out() {
        for rate in Rate::ALL {
            let scale = rate.samples() / 160;
            let step = 0.785 / scale as f32;
            let tone: Vec<i16> =
                (0..960 * scale).map(|i| ((i as f32 * step).sin() * 8_000.0) as i16).collect();
            let mut concealer = Concealer::at(rate);
            let mut heard = tone[..480 * scale].to_vec();
            concealer.received(&mut heard);
            let mut gap = vec![0; 160 * scale];
            concealer.conceal(&mut gap);
            for (&sample, &said) in gap.iter().zip(&tone[480 * scale..]) {
                assert!((i32::from(sample) - i32::from(said)).abs() < 3_500, "{rate:?}");
            }
            let mut long = vec![0; 800 * scale];
            concealer.conceal(&mut long);
            assert!(long[400 * scale..].iter().all(|&sample| sample == 0), "{rate:?}");
        }
    }
}
