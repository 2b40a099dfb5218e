//! G.722 at 64 kbit/s: 16 kHz speech in one octet for two samples.
//!
//! Two quadrature mirror filters split the band at 4 kHz. Each half is coded as its difference from a
//! prediction, the lower one in six bits, the upper one in two; the quantizers' steps follow the signal.
//!
//! Source: ITU-T G.722, mode 1; names of the blocks and tables as in its section 6.

/// What the mirror filters, which are symmetric, multiply the older and the newer samples of each pair by.
/// Table 4.
const QMF_OLDER: [i32; PAIRS] = [3, -11, 12, 32, -210, 951, 3_876, -805, 362, -156, 53, -11];
const QMF_NEWER: [i32; PAIRS] = [-11, 53, -156, 362, -805, 3_876, 951, -210, 32, 12, -11, 3];
/// Pairs of samples that they remember.
const PAIRS: usize = 12;

/// Decision levels of the lower band's quantizer. Table 14.
const Q6: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1_023,
    1_121, 1_219, 1_339, 1_458, 1_612, 1_765, 1_980, 2_195, 2_557, 2_919,
];
/// What the levels mean, and what the predictor, which sees the four upper bits alone, takes four of
/// them for. Tables 17 and 18.
const QQ6: [i32; 30] = [
    136, 432, 728, 1_040, 1_360, 1_688, 2_032, 2_400, 2_776, 3_168, 3_576, 4_008, 4_464, 4_944,
    5_456, 6_000, 6_576, 7_192, 7_856, 8_576, 9_360, 10_232, 11_192, 12_280, 13_512, 14_984,
    16_704, 19_008, 21_904, 24_808,
];
const QQ4: [i32; 8] = [0, 1_200, 2_584, 4_240, 6_288, 8_968, 12_896, 20_456];
/// By how much they move the step's logarithm.
const WL: [i32; 8] = [-60, -30, 58, 172, 334, 538, 1_198, 3_042];
/// The upper band's only decision level, what the two levels mean, and how they move the step.
const Q2: i32 = 564;
const QQ2: [i32; 2] = [1_616, 7_408];
const WH: [i32; 2] = [-214, 798];
/// 2,048 times 2^(n/32).
const ILB: [i32; 32] = [
    2_048, 2_093, 2_139, 2_186, 2_233, 2_282, 2_332, 2_383, 2_435, 2_489, 2_543, 2_599, 2_656,
    2_714, 2_774, 2_834, 2_896, 2_960, 3_025, 3_091, 3_158, 3_228, 3_298, 3_371, 3_444, 3_520,
    3_597, 3_676, 3_756, 3_838, 3_922, 4_008,
];

/// One band's predictor and step: the same at both ends.
#[derive(Debug, Clone)]
struct Band {
    /// The step, and its logarithm.
    det: i32,
    nb: i32,
    /// The largest logarithm, and what it is shifted by to become a step.
    nb_max: i32,
    shift: i32,
    /// The prediction, and its part from the zeros.
    s: i32,
    sz: i32,
    /// Two poles: coefficients, reconstructed signal, and the signs of what came without the poles.
    a: [i32; 2],
    r: [i32; 2],
    p: [i32; 2],
    /// Six zeros: coefficients and differences.
    b: [i32; 6],
    d: [i32; 6],
}

impl Band {
    fn new(det: i32, nb_max: i32, shift: i32) -> Self {
        let [a, r, p] = [[0; 2]; 3];
        Self { det, nb: 0, nb_max, shift, s: 0, sz: 0, a, r, p, b: [0; 6], d: [0; 6] }
    }

    /// Returns how far a sample is from its prediction: whether below, and by how much.
    fn error(&self, sample: i32) -> (bool, i32) {
        let error = saturated(sample - self.s);
        (error < 0, error ^ (error >> 31))
    }

    /// Takes a difference, in parts of the step, and by how much it moves that.
    fn adapt(&mut self, difference: i32, change: i32) {
        let difference = scaled(self.det, difference);
        self.scale(change);
        self.predict(difference);
    }

    /// Moves the step: LOGSCL and SCALEL, or LOGSCH and SCALEH.
    fn scale(&mut self, change: i32) {
        self.nb = (((self.nb * 127) >> 7) + change).clamp(0, self.nb_max);
        let mantissa = ILB[((self.nb >> 6) & 31) as usize];
        let shift = self.shift - (self.nb >> 11);
        self.det = (if shift < 0 { mantissa << -shift } else { mantissa >> shift }) << 2;
    }

    /// Takes the quantized difference and predicts the next sample: block 4.
    fn predict(&mut self, difference: i32) {
        let r = saturated(self.s + difference);
        let p = saturated(self.sz + difference);
        self.move_poles(p);
        self.move_zeros(difference);
        self.r = [r, self.r[0]];
        self.p = [p, self.p[0]];
        self.d.copy_within(..5, 1);
        self.d[0] = difference;
        let poles = self.a.iter().zip(self.r).map(|(a, r)| scaled(*a, saturated(r + r)));
        let zeros = self.b.iter().zip(self.d).map(|(b, d)| scaled(*b, saturated(d + d)));
        self.sz = saturated(zeros.sum());
        self.s = saturated(saturated(poles.sum()) + self.sz);
    }

    /// UPPOL1 and UPPOL2.
    fn move_poles(&mut self, p: i32) {
        let [same, same_before] = self.p.map(|before| (p < 0) == (before < 0));
        let first = saturated(self.a[0] * 4);
        let slope = (if same { -first } else { first }).min(32_767) >> 7;
        let second = slope + if same_before { 128 } else { -128 } + scaled(self.a[1], 32_512);
        self.a[1] = second.clamp(-12_288, 12_288);
        let first = scaled(self.a[0], 32_640) + if same { 192 } else { -192 };
        let bound = 15_360 - self.a[1];
        self.a[0] = first.clamp(-bound, bound);
    }

    /// UPZERO.
    fn move_zeros(&mut self, difference: i32) {
        let step = if difference == 0 { 0 } else { 128 };
        for (b, d) in self.b.iter_mut().zip(self.d) {
            let same = (d < 0) == (difference < 0);
            *b = saturated(scaled(*b, 32_640) + if same { step } else { -step });
        }
    }
}

/// What a lower code means: whether it is negative, and its level.
fn lower_level(code: u8) -> (bool, usize) {
    match code {
        62.. => (true, usize::from(63 - code)),
        32.. => (false, usize::from(61 - code)),
        4.. => (true, usize::from(33 - code)),
        // No encoder sends these.
        _ => (true, 0),
    }
}

/// Both bands.
#[derive(Debug, Clone)]
struct Bands {
    lower: Band,
    upper: Band,
}

impl Bands {
    fn new() -> Self {
        Self { lower: Band::new(32, 18_432, 8), upper: Band::new(8, 22_528, 10) }
    }

    /// Codes a sample of each band.
    fn encode(&mut self, low: i32, high: i32) -> u8 {
        let (negative, magnitude) = self.lower.error(low);
        let level = Q6.partition_point(|level| (level * self.lower.det) >> 12 <= magnitude) as u8;
        // The two smallest levels of a negative difference are the two highest codes.
        let lower = match (negative, level) {
            (true, 0 | 1) => 63 - level,
            (true, _) => 33 - level,
            (false, _) => 61 - level,
        };
        let (negative, magnitude) = self.upper.error(high);
        let small = magnitude < (Q2 * self.upper.det) >> 12;
        let octet = (u8::from(!negative) << 7) | (u8::from(small) << 6) | lower;
        self.decode(octet);
        octet
    }

    /// Returns the sample of each band that an octet means.
    fn decode(&mut self, octet: u8) -> (i32, i32) {
        let (negative, level) = lower_level(octet & 63);
        let signed = |value: i32, negative: bool| if negative { -value } else { value };
        let band = &mut self.lower;
        let low = band.s + scaled(band.det, signed(QQ6[level], negative));
        let magnitude = (level + 2) / 4;
        band.adapt(signed(QQ4[magnitude], negative), WL[magnitude]);

        let (negative, large) = (octet & 0x80 == 0, usize::from(octet & 0x40 == 0));
        let band = &mut self.upper;
        let difference = signed(QQ2[large], negative);
        let high = band.s + scaled(band.det, difference);
        band.adapt(difference, WH[large]);
        (low.clamp(BAND_MIN, BAND_MAX), high.clamp(BAND_MIN, BAND_MAX))
    }
}

/// Samples of the bands have 15 bits.
const BAND_MIN: i32 = -16_384;
const BAND_MAX: i32 = 16_383;

/// The product of two fractions of 15 bits.
fn scaled(one: i32, other: i32) -> i32 {
    (one * other) >> 15
}

fn saturated(value: i32) -> i32 {
    value.clamp(i16::MIN.into(), i16::MAX.into())
}

/// What the mirror filter of one end remembers: the older and the newer samples of the last pairs.
#[derive(Debug, Clone)]
struct Mirror {
    older: [i32; PAIRS],
    newer: [i32; PAIRS],
}

impl Mirror {
    fn new() -> Self {
        Self { older: [0; PAIRS], newer: [0; PAIRS] }
    }

    /// Takes a pair; returns a sample of each band.
    fn split(&mut self, pair: &[i16]) -> (i32, i32) {
        let (older, newer) = self.push(pair[0].into(), pair[1].into());
        let band = |sum: i32| (sum >> 14).clamp(BAND_MIN, BAND_MAX);
        (band(newer + older), band(newer - older))
    }

    /// Takes a pair; returns the filter's sums over the older and over the newer samples.
    fn push(&mut self, older: i32, newer: i32) -> (i32, i32) {
        for (line, sample) in [(&mut self.older, older), (&mut self.newer, newer)] {
            line.copy_within(1.., 0);
            line[PAIRS - 1] = sample;
        }
        let sum = |line: [i32; PAIRS], taps: [i32; PAIRS]| -> i32 {
            line.iter()
                .zip(taps)
                .map(|(sample, tap)| sample.wrapping_mul(tap))
                .fold(0, i32::wrapping_add)
        };
        (sum(self.older, QMF_OLDER), sum(self.newer, QMF_NEWER))
    }
}

/// Samples of an octet.
pub const SAMPLES_PER_OCTET: usize = 2;

/// What is encoded.
#[derive(Debug, Clone)]
pub struct Encoder {
    bands: Bands,
    mirror: Mirror,
}

impl Encoder {
    pub fn new() -> Self {
        Self { bands: Bands::new(), mirror: Mirror::new() }
    }

    /// Writes an octet for each pair of samples; returns how many.
    pub fn encode(&mut self, samples: &[i16], octets: &mut [u8]) -> usize {
        for (octet, pair) in octets.iter_mut().zip(samples.chunks_exact(2)) {
            let (low, high) = self.mirror.split(pair);
            *octet = self.bands.encode(low, high);
        }
        octets.len().min(samples.len() / 2)
    }
}

/// Samples by which both ends' mirror filters together delay.
pub const DELAY: usize = 22;

/// What is decoded.
#[derive(Debug, Clone)]
pub struct Decoder {
    bands: Bands,
    mirror: Mirror,
    /// The other end's, as it would be had it coded what was made up.
    follower: Mirror,
}

impl Decoder {
    pub fn new() -> Self {
        Self { bands: Bands::new(), mirror: Mirror::new(), follower: Mirror::new() }
    }

    /// Hears what is played just before what [`Self::follow`] is to take: 24 samples.
    pub fn recall(&mut self, played: &[i16]) {
        for pair in played.chunks_exact(2) {
            self.follower.push(pair[0].into(), pair[1].into());
        }
    }

    /// Takes what was made up in place of packets, [`DELAY`] before it is played, as if it had been sent: what
    /// comes next was coded as a difference from what it stands for.
    pub fn follow(&mut self, made_up: &[i16]) {
        for pair in made_up.chunks_exact(2) {
            let (low, high) = self.follower.split(pair);
            self.bands.encode(low, high);
            self.mirror.push(low + high, low - high);
        }
    }

    /// Writes a pair of samples for each octet; returns how many samples.
    pub fn decode(&mut self, octets: &[u8], samples: &mut [i16]) -> usize {
        for (pair, &octet) in samples.chunks_exact_mut(2).zip(octets) {
            let (low, high) = self.bands.decode(octet);
            let (older, newer) = self.mirror.push(low + high, low - high);
            pair.copy_from_slice(&[newer, older].map(|sum| saturated(sum >> 11) as i16));
        }
        octets.len().min(samples.len() / 2) * 2
    }
}

#[cfg(test)]
mod tests;
