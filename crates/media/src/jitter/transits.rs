//! How long packets took of late, and how often one was missing.

/// Windows that are remembered: eight seconds, where each is half of one.
const WINDOWS: usize = 16;
/// A window in which none came.
const NONE: (i64, i64) = (i64::MAX, i64::MIN);

/// What is remembered of a network. Transit is the time of arrival less the timestamp, so only differences of
/// it mean something.
#[derive(Debug)]
pub struct Transits {
    /// Least and greatest in each window.
    windows: [(i64, i64); WINDOWS],
    /// How often in each something began to be missing.
    gaps: [u8; WINDOWS],
    window: i64,
    least: i64,
    greatest: i64,
    /// The greatest but for the one window that has the greatest.
    usual: i64,
}

impl Transits {
    pub const fn new() -> Self {
        Self {
            windows: [NONE; WINDOWS],
            gaps: [0; WINDOWS],
            window: 0,
            least: NONE.0,
            greatest: NONE.1,
            usual: NONE.1,
        }
    }

    /// Forgets all but which window it is.
    pub fn reset(&mut self) {
        *self = Self { window: self.window, ..Self::new() };
    }

    /// Takes the transit of a packet that came in that window.
    pub fn observe(&mut self, window: i64, transit: i64) {
        // What was on its way for longer than a window counts in this one.
        let window = window.max(self.window);
        let mut changes = window > self.window;
        // Over a pause the last values stay: they are the best that is known.
        for passed in 1..=(window - self.window).min(WINDOWS as i64) {
            let passed = slot(self.window + passed);
            (self.windows[passed], self.gaps[passed]) = (NONE, 0);
        }
        self.window = window;
        let (least, greatest) = &mut self.windows[slot(window)];
        changes |= transit < *least || transit > *greatest;
        (*least, *greatest) = (transit.min(*least), transit.max(*greatest));
        if changes {
            self.look();
        }
    }

    fn look(&mut self) {
        (self.least, self.greatest, self.usual) = (NONE.0, NONE.1, NONE.1);
        for &(least, greatest) in &self.windows {
            self.least = self.least.min(least);
            self.usual = self.usual.max(greatest.min(self.greatest));
            self.greatest = self.greatest.max(greatest);
        }
    }

    /// Returns the least transit, and by how much it varies; where `usually`, without the one window in which
    /// something took longest: what does not come again within seconds need not be waited for.
    pub fn spread(&self, usually: bool) -> Option<(i64, i64)> {
        let greatest = if usually && self.usual > NONE.1 { self.usual } else { self.greatest };
        (self.least <= self.greatest).then(|| (self.least, (greatest - self.least).max(0)))
    }

    /// Counts that something began to be missing.
    pub fn missed(&mut self) {
        let gaps = &mut self.gaps[slot(self.window)];
        *gaps = gaps.saturating_add(1);
    }

    /// Takes one of those back: it had not been lost, but was late.
    pub fn found(&mut self) {
        for window in [self.window, self.window - 1] {
            if let Some(less) = self.gaps[slot(window)].checked_sub(1) {
                self.gaps[slot(window)] = less;
                return;
            }
        }
    }

    /// Returns how often something was missing that was lost.
    pub fn gaps(&self) -> u32 {
        self.gaps.iter().copied().map(u32::from).sum()
    }
}

fn slot(window: i64) -> usize {
    window.rem_euclid(WINDOWS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the spread after these transits, one in each window.
    fn spread(transits: &[i64], usually: bool) -> Option<(i64, i64)> {
        let mut all = Transits::new();
        for (window, &transit) in (7..).zip(transits) {
            all.observe(window, transit);
        }
        all.spread(usually)
    }

    #[test]
    fn what_came_late_once_is_not_waited_for_and_twice_is() {
        assert_eq!(spread(&[], true), None);
        assert_eq!(spread(&[50], true), Some((50, 0)));
        assert_eq!(spread(&[50, 58, 51], true), Some((50, 1)));
        assert_eq!(spread(&[50, 58, 51], false), Some((50, 8)));
        assert_eq!(spread(&[50, 58, 51, 57], true), Some((50, 7)));
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let long_ago = [&[20, 90, 90][..], &[50; WINDOWS]].concat();
        assert_eq!(spread(&long_ago, false), Some((50, 0)));
        let mut all = Transits::new();
        all.observe(0, 20);
        all.observe(1_000, 50);
        assert_eq!(all.spread(false), Some((50, 0)));
    }

    #[test]
    fn what_was_late_is_not_counted_as_lost() {
        let mut all = Transits::new();
        for window in 0..3 {
            all.observe(window, 0);
            all.missed();
        }
        all.found();
        assert_eq!(all.gaps(), 2);
        all.reset();
        all.found();
        assert_eq!(all.gaps(), 0);
    }
}
