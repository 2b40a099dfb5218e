//! G.711: 8 kHz speech in one octet for a sample.
//!
//! Source: ITU-T G.711, tables 1a to 2b; linear values are scaled to 16 bits.

const ULAW_BIAS: i32 = 0x84;
const ULAW_CLIP: i32 = 32_635;

static ULAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        table[octet] = ulaw_value(octet as u8);
        octet += 1;
    }
    table
};

static ALAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        table[octet] = alaw_value(octet as u8);
        octet += 1;
    }
    table
};

const fn ulaw_value(octet: u8) -> i16 {
    let code = !octet;
    let magnitude = ((((code & 0x0f) as i32) << 3) + ULAW_BIAS) << ((code >> 4) & 7);
    let value = magnitude - ULAW_BIAS;
    (if code & 0x80 == 0 { value } else { -value }) as i16
}

const fn alaw_value(octet: u8) -> i16 {
    let code = octet ^ 0x55;
    let step = ((code & 0x0f) as i32) << 4;
    let segment = (code >> 4) & 7;
    let value = if segment == 0 { step + 8 } else { (step + 0x108) << (segment - 1) };
    (if code & 0x80 == 0 { -value } else { value }) as i16
}

/// Decodes one μ-law octet.
pub fn ulaw_to_linear(octet: u8) -> i16 {
    ULAW[usize::from(octet)]
}

/// Decodes one A-law octet.
pub fn alaw_to_linear(octet: u8) -> i16 {
    ALAW[usize::from(octet)]
}

/// Encodes one sample in μ-law.
pub fn linear_to_ulaw(sample: i16) -> u8 {
    let value = i32::from(sample);
    // The bias makes bit 7 the lowest leading bit, so the segment is never negative.
    let magnitude = value.abs().min(ULAW_CLIP) + ULAW_BIAS;
    let sign = if value < 0 { 0x80 } else { 0 };
    !((sign | floating(magnitude)) as u8)
}

/// Encodes one sample in A-law.
pub fn linear_to_alaw(sample: i16) -> u8 {
    let value = i32::from(sample);
    // Of a negative value all bits are turned, of a positive one none.
    let magnitude = value ^ (value >> 31);
    let sign = if value < 0 { 0 } else { 0x80 };
    let code = if magnitude < 0x100 { magnitude >> 4 } else { floating(magnitude) };
    ((sign | code) as u8) ^ 0x55
}

/// Returns segment and mantissa of a magnitude from bit 7 on: G.711's numbers are floating point,
/// so the processor has done the work, for many samples at once.
fn floating(magnitude: i32) -> i32 {
    const LOWEST: u32 = (127 + 7) << 4;
    ((magnitude as f32).to_bits() >> 19).wrapping_sub(LOWEST) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_survives_the_way_through_linear() {
        for octet in 0..=255 {
            // μ-law has two zeros; the negative one is written as the positive one.
            let ulaw = if octet == 0x7f { 0xff } else { octet };
            assert_eq!(linear_to_ulaw(ulaw_to_linear(octet)), ulaw);
            assert_eq!(linear_to_alaw(alaw_to_linear(octet)), octet);
        }
    }

    #[test]
    fn known_values_of_the_tables() {
        assert_eq!([0xff, 0x80, 0x00, 0xf0].map(ulaw_to_linear), [0, 32_124, -32_124, 120]);
        assert_eq!([0xd5, 0x55, 0xaa, 0x2a].map(alaw_to_linear), [8, -8, 32_256, -32_256]);
    }

    #[test]
    fn every_sample_falls_into_the_step_that_the_segments_give() {
        for sample in i16::MIN..=i16::MAX {
            let value = i32::from(sample);
            let magnitude = value.abs().min(ULAW_CLIP) + ULAW_BIAS;
            let segment = (0..8).rfind(|segment| magnitude >= 0x80 << segment).unwrap();
            let code = segment << 4 | (magnitude >> (segment + 3)) & 0x0f;
            assert_eq!(!linear_to_ulaw(sample) & 0x7f, code as u8, "{sample}");
            let magnitude = if value < 0 { -value - 1 } else { value };
            let segment = (1..8).rfind(|segment| magnitude >= 0x80 << segment).unwrap_or(0);
            let code = segment << 4 | (magnitude >> (segment.max(1) + 3)) & 0x0f;
            assert_eq!((linear_to_alaw(sample) ^ 0x55) & 0x7f, code as u8, "{sample}");
        }
    }

    #[test]
    fn no_sample_is_further_off_than_half_a_step() {
        for sample in i16::MIN..=i16::MAX {
            let step = i32::from(sample).abs() / 16 + 16;
            for back in
                [ulaw_to_linear(linear_to_ulaw(sample)), alaw_to_linear(linear_to_alaw(sample))]
            {
                let clipped = i32::from(sample).clamp(-32_635, 32_635);
                assert!((i32::from(back) - clipped).abs() <= step, "{sample} {back}");
            }
        }
    }
}
