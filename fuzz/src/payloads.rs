//! What the codecs read.

use media::{Codec, Decoder, OpusOptions, PCM_MAX};

pub fn g722(octets: &[u8]) {
    decode(Codec::G722, octets);
}

pub fn opus(octets: &[u8]) {
    decode(Codec::Opus(OpusOptions::default()), octets);
}

/// Payloads: each after two octets that hold its length and what was lost before it: nothing, what it
/// repeats, or a frame to conceal. What is decoded is as long as was said before.
fn decode(codec: Codec, octets: &[u8]) {
    let mut decoder = Decoder::new(codec);
    let mut sound = [0; PCM_MAX];
    let mut rest = octets;
    while let Some(([head, low], after)) = rest.split_first_chunk::<2>() {
        let length = (usize::from(head & 7) << 8 | usize::from(*low)).min(after.len());
        let (payload, after) = after.split_at(length);
        let gap = &mut sound[..codec.rate().samples()];
        let recovered = head & 0x80 != 0 && decoder.recover(payload, gap);
        if !recovered && head & 0xc0 != 0 {
            decoder.conceal(gap);
        }
        let told = decoder.samples(payload);
        let decoded = decoder.decode(payload, &mut sound);
        assert!(decoded.is_none() || decoded == told, "{decoded:?} of {told:?} samples");
        rest = after;
    }
}
