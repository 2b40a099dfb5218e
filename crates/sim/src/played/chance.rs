//! Draws from the one generator of a world.

use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::RngCore;

/// What a world asks of chance.
pub trait Chance {
    /// Draws a number below `limit`, which is not 0.
    fn below(&mut self, limit: u64) -> u64;

    /// Whether it is one of so many.
    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// Draws a time in milliseconds, both ends included, as fine as a microsecond.
    fn millis(&mut self, from: u64, to: u64) -> Duration {
        let span = (to.max(from) - from) * 1_000 + 1;
        Duration::from_millis(from) + Duration::from_micros(self.below(span))
    }

    /// Draws 32 octets.
    fn seed(&mut self) -> [u8; 32];

    /// Draws one of these; nothing where there is none.
    fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        if of.is_empty() { None } else { of.get(self.below(of.len() as u64) as usize).copied() }
    }
}

impl Chance for ChaCha12Rng {
    fn below(&mut self, limit: u64) -> u64 {
        self.next_u64() % limit.max(1)
    }

    fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.fill_bytes(&mut seed);
        seed
    }
}
