//! How good a leg sounds, as people would judge it: the E-model, in short.
//!
//! Source: ITU-T G.107 (the rating and what becomes of it), G.113 appendix I (what loss does to codecs
//! that conceal it).

use crate::codec::Codec;

/// The rating of a call over which nothing can be said against.
const BEST: f32 = 93.2;
/// The share of the sound of late that a tick is.
const OF_LATE: f32 = 1.0 / 512.0;

/// How much of a leg's sound was made up of late.
#[derive(Debug, Default, Clone, Copy)]
pub struct Concealed(f32);

impl Concealed {
    /// Takes which part of a tick was made up, 0 to 1.
    pub fn observe(&mut self, part: f32) {
        self.0 += (part - self.0) * OF_LATE;
    }

    /// Returns the mean opinion score, 1 to 4.5, of sound that comes with this delay.
    pub fn mos(self, codec: Codec, delay_ms: f32) -> f32 {
        mos(BEST - of_delay(delay_ms) - of_loss(codec, self.0 * 100.0))
    }
}

/// What a delay from mouth to ear takes away.
fn of_delay(delay_ms: f32) -> f32 {
    let late_ms = (delay_ms - 177.3).max(0.0);
    0.024 * delay_ms + 0.11 * late_ms
}

/// What loss takes away, in percent of packets.
fn of_loss(codec: Codec, percent: f32) -> f32 {
    // The codec by itself, and how well it bears loss.
    let (impairment, robustness) = match codec {
        Codec::Pcmu | Codec::Pcma => (0.0, 25.1),
        Codec::G722 => (0.0, 20.0),
        Codec::Opus(_) => (0.0, 30.0),
    };
    impairment + (95.0 - impairment) * percent / (percent + robustness)
}

fn mos(rating: f32) -> f32 {
    let rating = rating.clamp(0.0, 100.0);
    1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rating_becomes_the_opinion_that_g_107_gives() {
        for (rating, opinion) in
            [(93.2, 4.41), (80.0, 4.02), (70.0, 3.60), (50.0, 2.58), (0.0, 1.0)]
        {
            assert!((mos(rating) - opinion).abs() < 0.02, "{rating}: {}", mos(rating));
        }
    }

    #[test]
    fn loss_and_delay_make_it_worse() {
        let after = |loss: f32, delay_ms: f32| {
            let mut concealed = Concealed::default();
            (0..5_000).for_each(|_| concealed.observe(loss));
            concealed.mos(Codec::Pcmu, delay_ms)
        };
        assert!(after(0.0, 30.0) > 4.3);
        assert!((3.7..4.3).contains(&after(0.03, 30.0)));
        assert!(after(0.2, 30.0) < 2.9);
        assert!(after(0.0, 400.0) < 3.7);
    }
}
