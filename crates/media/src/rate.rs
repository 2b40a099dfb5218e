//! The sampling rates at which sound is mixed.

/// Samples of one tick at the highest rate.
pub const SAMPLES_MAX: usize = 960;

/// A sampling rate of the mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rate {
    /// 8 kHz: G.711.
    Narrow,
    /// 16 kHz: G.722.
    Wide,
    /// 48 kHz: Opus.
    Full,
}

impl Rate {
    /// All of them, the lowest first.
    pub const ALL: [Self; 3] = [Self::Narrow, Self::Wide, Self::Full];

    /// Returns the samples in a second.
    pub const fn hertz(self) -> u32 {
        match self {
            Self::Narrow => 8_000,
            Self::Wide => 16_000,
            Self::Full => 48_000,
        }
    }

    /// Returns the samples in one tick of 20 ms.
    pub const fn samples(self) -> usize {
        self.hertz() as usize / 50
    }

    /// Returns the place in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TICK;

    #[test]
    fn a_tick_holds_as_many_samples_as_its_rate_says() {
        for (index, rate) in Rate::ALL.into_iter().enumerate() {
            assert_eq!(rate.index(), index);
            assert_eq!(rate.samples() as u128 * 1_000, u128::from(rate.hertz()) * TICK.as_millis());
            assert!(rate.samples() <= SAMPLES_MAX);
        }
    }
}
