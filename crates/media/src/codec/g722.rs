//! G.722 at 64 kbit/s: 16 kHz speech in one octet for two samples.
//!
//! Two quadrature mirror filters split the band at 4 kHz. Each half is coded as its difference from a
//! prediction, the lower one in six bits, the upper one in two; the quantizers' steps follow the signal.
//!
//! Source: ITU-T G.722, mode 1; names of the blocks and tables as in its section 6.

mod band;
mod mirror;
mod receiver;

use band::{Band, scaled};
use mirror::{BLOCK, Mirror};
pub use receiver::Receiver;

/// Decision levels of the lower band's quantizer, in parts of a step of 4,096. Table 14. The last one is none.
const Q6: [i32; 30] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1_023,
    1_121, 1_219, 1_339, 1_458, 1_612, 1_765, 1_980, 2_195, 2_557, 2_919, 4_096,
];
/// How many of them are below each multiple of [`PIECE`], between two of which there is one at most.
const BELOW: [u8; PIECES] = {
    let mut below = [0; PIECES];
    let mut piece = 0;
    while piece < PIECES {
        while Q6[below[piece] as usize] < PIECE * piece as i32 {
            below[piece] += 1;
        }
        piece += 1;
    }
    below
};
const PIECE: i32 = 32;
const PIECES: usize = 93;
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

/// What a code of the lower band means.
#[derive(Clone, Copy)]
struct Lower {
    /// In parts of the step, and what of that the predictor sees.
    value: i32,
    seen: i32,
    /// By how much it moves the step's logarithm.
    change: i32,
}

const LOWER: [Lower; 64] = {
    let mut all = [Lower { value: 0, seen: 0, change: 0 }; 64];
    let mut code = 0;
    while code < 64 {
        // The two smallest levels of a negative difference are the two highest codes; no encoder sends 0 to 3.
        let (sign, level) = match code {
            62.. => (-1, 63 - code),
            32.. => (1, 61 - code),
            4.. => (-1, 33 - code),
            _ => (-1, 0),
        };
        let magnitude = (level + 2) / 4;
        all[code] =
            Lower { value: sign * QQ6[level], seen: sign * QQ4[magnitude], change: WL[magnitude] };
        code += 1;
    }
    all
};
/// The codes of the lower band's levels, of positive and of negative differences.
const CODES: [[u8; 32]; 2] = {
    let mut codes = [[0; 32]; 2];
    let mut level = 0;
    while level < 30 {
        codes[0][level as usize] = 61 - level;
        codes[1][level as usize] = if level < 2 { 63 - level } else { 33 - level };
        level += 1;
    }
    codes
};
/// What the upper band's codes mean, in parts of the step, and how they move that.
const UPPER: [(i32, i32); 4] =
    [(-QQ2[1], WH[1]), (-QQ2[0], WH[0]), (QQ2[1], WH[1]), (QQ2[0], WH[0])];

/// Both bands.
#[derive(Debug, Clone, PartialEq)]
struct Bands {
    lower: Band<18_432, 8>,
    upper: Band<22_528, 10>,
}

impl Bands {
    fn new() -> Self {
        Self { lower: Band::new(), upper: Band::new() }
    }

    /// Codes a sample of each band.
    #[inline(always)]
    fn encode(&mut self, [low, high]: [i16; 2]) -> u8 {
        let (below, magnitude) = self.lower.error(low);
        let lower = CODES[usize::from(below)][self.level(magnitude) & 31];
        let (below, magnitude) = self.upper.error(high);
        let decision = (Q2 * self.upper.step.det) >> 12;
        let small = ((magnitude - decision) >> 31) as u8 & 1;
        let octet = ((1 - below) << 7) | (small << 6) | lower;
        self.adapt(octet);
        octet
    }

    /// Returns how many decision levels a difference is not below: QUANTL.
    #[inline(always)]
    fn level(&self, magnitude: i32) -> usize {
        let band::Step { det, inverse } = self.lower.step;
        let parts = ((magnitude + 1) as u64 * u64::from(inverse)) >> 16;
        let piece = (parts / PIECE as u64).min(PIECES as u64 - 1);
        let below = usize::from(BELOW[piece as usize]);
        let decision = (Q6[below] * det) >> 12;
        (below + ((decision - magnitude - 1) >> 31 & 1) as usize).min(Q6.len() - 1)
    }

    /// Returns the sample of each band that an octet means.
    #[inline(always)]
    fn decode(&mut self, octet: u8) -> [i16; 2] {
        let low = LOWER[usize::from(octet & 63)].value;
        let low = self.lower.s + scaled(self.lower.step.det, low);
        let high = UPPER[usize::from(octet >> 6)].0;
        let high = self.upper.s + scaled(self.upper.step.det, high);
        self.adapt(octet);
        [low, high].map(mirror::bounded)
    }

    #[inline(always)]
    fn adapt(&mut self, octet: u8) {
        let lower = &LOWER[usize::from(octet & 63)];
        self.lower.adapt(lower.seen, lower.change);
        let (difference, change) = UPPER[usize::from(octet >> 6)];
        self.upper.adapt(difference, change);
    }
}

/// Samples of an octet.
pub const SAMPLES_PER_OCTET: usize = 2;

/// What is encoded.
#[derive(Debug, Clone, PartialEq)]
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
        let (pairs, _) = samples.as_chunks();
        let mut split = [[0; 2]; BLOCK];
        for (octets, pairs) in octets.chunks_mut(BLOCK).zip(pairs.chunks(BLOCK)) {
            self.mirror.split(pairs, &mut split);
            // In registers meanwhile.
            let mut bands = self.bands.clone();
            for (octet, &split) in octets.iter_mut().zip(&split[..pairs.len()]) {
                *octet = bands.encode(split);
            }
            self.bands = bands;
        }
        octets.len().min(pairs.len())
    }

    /// Returns how far those are from each other who hear what `other` makes of this and remember one what that does, the
    /// other what this encoder does: the power of their difference, in both bands.
    pub fn distance(&self, other: &Self, samples: &[i16]) -> f32 {
        let Self { mut bands, mut mirror } = other.clone();
        let [mut there, mut here] = [bands.clone(), self.bands.clone()];
        let (pairs, _) = samples.as_chunks();
        let mut split = [[0; 2]; BLOCK];
        let mut power = 0.0;
        for pairs in pairs.chunks(BLOCK) {
            mirror.split(pairs, &mut split);
            for &split in &split[..pairs.len()] {
                let octet = bands.encode(split);
                for (there, here) in there.decode(octet).into_iter().zip(here.decode(octet)) {
                    power += (f32::from(there) - f32::from(here)).powi(2);
                }
            }
        }
        power / pairs.len().max(1) as f32
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
        self.follower.hear(played.as_chunks().0);
    }

    /// Takes what was made up in place of packets, [`DELAY`] before it is played, as if it had been sent: what
    /// comes next was coded as a difference from what it stands for.
    pub fn follow(&mut self, made_up: &[i16]) {
        let mut split = [[0; 2]; BLOCK];
        for pairs in made_up.as_chunks().0.chunks(BLOCK) {
            self.follower.split(pairs, &mut split);
            for &split in &split[..pairs.len()] {
                self.bands.encode(split);
                self.mirror.hear_bands(split);
            }
        }
    }

    /// Writes a pair of samples for each octet; returns how many samples.
    pub fn decode(&mut self, octets: &[u8], samples: &mut [i16]) -> usize {
        let (pairs, _) = samples.as_chunks_mut();
        let mut split = [[0; 2]; BLOCK];
        for (octets, pairs) in octets.chunks(BLOCK).zip(pairs.chunks_mut(BLOCK)) {
            let octets = &octets[..octets.len().min(pairs.len())];
            let mut bands = self.bands.clone();
            for (split, &octet) in split.iter_mut().zip(octets) {
                *split = bands.decode(octet);
            }
            self.bands = bands;
            self.mirror.join(&split[..octets.len()], pairs);
        }
        octets.len().min(pairs.len()) * SAMPLES_PER_OCTET
    }
}

#[cfg(test)]
mod tests;
