//! The quadrature mirror filters: they split the band at 4 kHz, and put it together again.

/// What the filters, which are symmetric, multiply the older and the newer samples of each pair by. Table 4.
const OLDER: [i16; PAIRS] = [3, -11, 12, 32, -210, 951, 3_876, -805, 362, -156, 53, -11];
const NEWER: [i16; PAIRS] = [-11, 53, -156, 362, -805, 3_876, 951, -210, 32, 12, -11, 3];
/// Pairs of samples that they see, and samples.
const PAIRS: usize = 12;
const TAPS: usize = 2 * PAIRS;
/// Samples that they remember.
const PAST: usize = TAPS - 2;
/// What gives the lower and the upper band of pairs.
const SPLIT: [[i16; TAPS]; 2] = [taps(1, 1), taps(-1, 1)];
/// What gives the older and the newer sample of the bands' sums and differences.
const JOIN: [[i16; TAPS]; 2] = [taps(0, 1), taps(1, 0)];
/// Samples of the bands have 15 bits.
const BAND_MIN: i32 = -16_384;
const BAND_MAX: i32 = 16_383;

/// Most pairs that are filtered at a time.
pub const BLOCK: usize = 160;

const fn taps(older: i16, newer: i16) -> [i16; TAPS] {
    let mut taps = [0; TAPS];
    let mut pair = 0;
    while pair < PAIRS {
        taps[2 * pair] = OLDER[pair] * older;
        taps[2 * pair + 1] = NEWER[pair] * newer;
        pair += 1;
    }
    taps
}

/// Bounds a sample of a band.
pub fn bounded(sample: i32) -> i16 {
    sample.clamp(BAND_MIN, BAND_MAX) as i16
}

/// What the filter of one end remembers.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror([i16; PAST]);

impl Mirror {
    pub fn new() -> Self {
        Self([0; PAST])
    }

    /// Splits pairs, a [`BLOCK`] of them at most, into a sample of the lower and of the upper band each.
    pub fn split(&mut self, pairs: &[[i16; 2]], bands: &mut [[i16; 2]]) {
        self.filter(pairs, &SPLIT, bands, |sum| bounded(sum >> 14));
    }

    /// Makes pairs of a sample of each band, a [`BLOCK`] of them at most.
    pub fn join(&mut self, bands: &[[i16; 2]], pairs: &mut [[i16; 2]]) {
        let mut sums = [[0; 2]; BLOCK];
        for (sums, &bands) in sums.iter_mut().zip(bands) {
            *sums = sums_of(bands);
        }
        let saturated = |sum: i32| (sum >> 11).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        self.filter(&sums[..bands.len()], &JOIN, pairs, saturated);
    }

    /// Remembers pairs that nobody asks for.
    pub fn hear(&mut self, pairs: &[[i16; 2]]) {
        for pair in pairs {
            self.0.copy_within(2.., 0);
            self.0[PAST - 2..].copy_from_slice(pair);
        }
    }

    /// Remembers a sample of each band whose pair nobody asks for.
    pub fn hear_bands(&mut self, bands: [i16; 2]) {
        self.hear(&[sums_of(bands)]);
    }

    fn filter(
        &mut self,
        pairs: &[[i16; 2]],
        taps: &[[i16; TAPS]; 2],
        out: &mut [[i16; 2]],
        round: impl Fn(i32) -> i16,
    ) {
        let samples = pairs.as_flattened();
        let mut line = [0; PAST + 2 * BLOCK];
        line[..PAST].copy_from_slice(&self.0);
        line[PAST..][..samples.len()].copy_from_slice(samples);
        for (index, out) in out.iter_mut().enumerate().take(pairs.len()) {
            let Some(window) = line[2 * index..].first_chunk() else { break };
            *out = [round(product(window, &taps[0])), round(product(window, &taps[1]))];
        }
        self.0.copy_from_slice(&line[samples.len()..][..PAST]);
    }
}

/// The sum and the difference of the bands.
fn sums_of([low, high]: [i16; 2]) -> [i16; 2] {
    [low.wrapping_add(high), low.wrapping_sub(high)]
}

fn product(window: &[i16; TAPS], taps: &[i16; TAPS]) -> i32 {
    // Sums that are checked are not made side by side; none of these is over.
    window.iter().zip(taps).fold(0, |sum, (&sample, &tap)| {
        i32::wrapping_add(sum, i32::wrapping_mul(sample.into(), tap.into()))
    })
}
