//! One band's predictor and step: the same at both ends.

/// 2,048 times 2^(n/32).
const ILB: [i32; 32] = [
    2_048, 2_093, 2_139, 2_186, 2_233, 2_282, 2_332, 2_383, 2_435, 2_489, 2_543, 2_599, 2_656,
    2_714, 2_774, 2_834, 2_896, 2_960, 3_025, 3_091, 3_158, 3_228, 3_298, 3_371, 3_444, 3_520,
    3_597, 3_676, 3_756, 3_838, 3_922, 4_008,
];
/// Steps of the band that has more of them.
const STEPS: usize = 353;

/// How wide the quantizer's steps are: DET, and 2^28 divided by that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    pub det: i32,
    pub inverse: u32,
}

/// A band whose step's logarithm is `NB_MAX` at most, and is shifted by `SHIFT` to become a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Band<const NB_MAX: i32, const SHIFT: i32> {
    pub step: Step,
    /// Its logarithm.
    nb: i32,
    /// The prediction, and its part from the zeros.
    pub s: i32,
    sz: i32,
    /// Two poles: coefficients, the reconstructed signal twice, and what came without the poles.
    a: [i32; 2],
    rr: [i32; 2],
    p: [i32; 2],
    /// Six zeros: coefficients, and the differences twice.
    b: [i32; 6],
    dd: [i32; 6],
}

// The inner loop of G.722 is written so that nothing in it depends on a sign but by arithmetic: speech has any, and a
// branch would be guessed wrongly half of the time.
impl<const NB_MAX: i32, const SHIFT: i32> Band<NB_MAX, SHIFT> {
    /// The steps, one for each 64 of their logarithm: SCALEL or SCALEH.
    pub const TABLE: [Step; STEPS] = {
        let mut table = [Step { det: 0, inverse: 0 }; STEPS];
        let mut place = 0;
        while place <= (NB_MAX >> 6) as usize {
            let shift = SHIFT + 1 - (place >> 5) as i32;
            let det = ((2 * ILB[place & 31]) >> shift) << 2;
            table[place] = Step { det, inverse: (1 << 28) / det as u32 };
            place += 1;
        }
        table
    };

    pub fn new() -> Self {
        let [a, rr, p] = [[0; 2]; 3];
        Self { step: Self::TABLE[0], nb: 0, s: 0, sz: 0, a, rr, p, b: [0; 6], dd: [0; 6] }
    }

    /// Returns how far a sample is from its prediction: 1 where it is below, and by how much.
    #[inline(always)]
    pub fn error(&self, sample: i16) -> (u8, i32) {
        let error = saturated(i32::from(sample) - self.s);
        ((error >> 31) as u8 & 1, error ^ (error >> 31))
    }

    /// Takes a difference, in parts of the step, and by how much it moves that.
    #[inline(always)]
    pub fn adapt(&mut self, difference: i32, change: i32) {
        let difference = scaled(self.step.det, difference);
        self.nb = (((self.nb * 127) >> 7) + change).clamp(0, NB_MAX);
        self.step = Self::TABLE[(self.nb >> 6) as usize];
        self.predict(difference);
    }

    /// Takes the quantized difference and predicts the next sample: block 4.
    #[inline(always)]
    fn predict(&mut self, difference: i32) {
        let r = saturated(self.s + difference);
        let p = saturated(self.sz + difference);
        self.move_poles(p);
        self.move_zeros(saturated(2 * difference));
        self.rr = [saturated(2 * r), self.rr[0]];
        self.p = [p, self.p[0]];
        let poles = scaled(self.a[0], self.rr[0]) + scaled(self.a[1], self.rr[1]);
        self.s = saturated(saturated(poles) + self.sz);
    }

    /// UPPOL1 and UPPOL2.
    #[inline(always)]
    fn move_poles(&mut self, p: i32) {
        let [turns, turns_before] = self.p.map(|before| (p ^ before) >> 31);
        let slope = turned(saturated(self.a[0] * 4), !turns).min(32_767) >> 7;
        let second = slope + turned(128, turns_before) + scaled(self.a[1], 32_512);
        self.a[1] = second.clamp(-12_288, 12_288);
        let first = scaled(self.a[0], 32_640) + turned(192, turns);
        let bound = 15_360 - self.a[1];
        self.a[0] = first.clamp(-bound, bound);
    }

    /// UPZERO and FILTEZ. A coefficient that loses its 256th part and gains 128 never leaves its range.
    #[inline(always)]
    fn move_zeros(&mut self, twice: i32) {
        let step = 128 & ((twice | -twice) >> 31);
        for (b, dd) in self.b.iter_mut().zip(self.dd) {
            *b = scaled(*b, 32_640).wrapping_add(turned(step, (dd ^ twice) >> 31));
        }
        let [newest @ .., _] = self.dd;
        self.dd[0] = twice;
        self.dd[1..].copy_from_slice(&newest);
        let zeros = self.b.iter().zip(self.dd).map(|(&b, dd)| scaled(b, dd));
        self.sz = saturated(zeros.fold(0, i32::wrapping_add));
    }
}

/// The product of two fractions of 15 bits.
#[inline(always)]
pub fn scaled(one: i32, other: i32) -> i32 {
    i32::wrapping_mul(one, other) >> 15
}

/// Returns the value, or its negative where all bits of `turns` are set.
#[inline(always)]
fn turned(value: i32, turns: i32) -> i32 {
    (value ^ turns).wrapping_sub(turns)
}

#[inline(always)]
fn saturated(value: i32) -> i32 {
    value.clamp(i16::MIN.into(), i16::MAX.into())
}
