//! Which packets came already, by their index.
//!
//! Source: RFC 3711 sections 3.3.1 and 3.3.2, appendix A.

/// Packets that may overtake each other by this much; older ones are refused.
const WIDTH: u64 = 128;
/// Half of all sequence numbers.
const HALF: u16 = 0x8000;

/// The highest index, and which of those below it came.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window {
    highest: u64,
    /// The lowest bit stands for the highest index; all are clear before the first packet.
    seen: u128,
}

impl Window {
    /// Returns the index that a sequence number most likely stands for; nothing where it would be from
    /// before the first.
    pub fn guess(&self, sequence: u16) -> Option<u64> {
        let (turns, last) = (self.highest >> 16, self.highest as u16);
        let turns = match () {
            () if self.seen == 0 => 0,
            () if last < HALF && sequence.saturating_sub(last) > HALF => turns.checked_sub(1)?,
            () if last >= HALF && last - HALF > sequence => turns + 1,
            () => turns,
        };
        Some(turns << 16 | u64::from(sequence))
    }

    /// Whether a packet of this index has not come yet, as far as that is known.
    pub fn is_new(&self, index: u64) -> bool {
        match self.highest.checked_sub(index) {
            None => true,
            Some(behind) => self.seen == 0 || behind < WIDTH && self.seen >> behind & 1 == 0,
        }
    }

    /// Notes that it has come.
    pub fn note(&mut self, index: u64) {
        match self.highest.checked_sub(index) {
            Some(behind) if self.seen != 0 => {
                if behind < WIDTH {
                    self.seen |= 1 << behind;
                }
            }
            _ => {
                let ahead = index.wrapping_sub(self.highest);
                let kept = if ahead < WIDTH { self.seen << ahead } else { 0 };
                self.seen = kept | 1;
                self.highest = index;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_goes_on_where_sequence_numbers_begin_again() {
        let mut window = Window::default();
        let mut take = |sequence: u16| {
            let index = window.guess(sequence).filter(|&index| window.is_new(index))?;
            window.note(index);
            Some(index)
        };
        assert_eq!(take(65_534), Some(65_534));
        assert_eq!(take(1), Some(65_537), "one was lost");
        assert_eq!(take(65_535), Some(65_535), "one came late");
        assert_eq!(take(65_535), None, "and once more");
        assert_eq!(take(40_000), None, "too old");
        assert_eq!(take(32_769), Some(98_305));
        assert_eq!(take(0), Some(131_072), "the second turn");
        assert_eq!(take(100), Some(131_172));
        assert_eq!(take(0), None);
    }

    #[test]
    fn nothing_is_from_before_the_first() {
        let mut window = Window::default();
        window.note(3);
        assert_eq!(window.guess(65_000), None);
        assert_eq!(window.guess(2), Some(2));
    }

    #[test]
    fn a_window_is_128_wide() {
        let mut window = Window::default();
        window.note(1_000);
        window.note(1_127);
        assert!(!window.is_new(1_000) && window.is_new(1_001));
        window.note(1_128);
        assert!(!window.is_new(1_000), "it is too old to say");
        window.note(1_128 + WIDTH);
        assert!(!window.is_new(1_128) && window.is_new(1_129));
    }
}
