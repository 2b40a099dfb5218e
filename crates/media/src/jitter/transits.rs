//! How long packets took of late, and how often one was missing.

/// Windows that are remembered: eight seconds, where each is half of one.
const WINDOWS: usize = 16;
/// How many packets that came too late are borne before play-out waits for the slowest of all, and how many
/// are remembered; one is forgotten when all windows have passed once.
const LATE_MAX: u8 = 2;
const LATE_KEPT: u8 = 8;

/// Windows for which a network is known to lose packets after it lost one: a minute.
const LOSES_FOR: i64 = 120;

/// One window: the least transit, the greatest, and the greatest but for one packet's.
#[derive(Debug, Clone, Copy)]
struct Window {
    least: i64,
    greatest: i64,
    usual: i64,
}

/// A window in which none came.
const NONE: Window = Window { least: i64::MAX, greatest: i64::MIN, usual: i64::MIN };

/// What is remembered of a network. Transit is the time of arrival less the timestamp, so only differences of
/// it mean something.
#[derive(Debug)]
pub struct Transits {
    windows: [Window; WINDOWS],
    /// How often in each something began to be missing.
    gaps: [u8; WINDOWS],
    window: i64,
    /// Of all windows.
    all: Window,
    /// Packets that came after they were missed, of late.
    late: u8,
    /// The window in which it last became certain that one was lost, and not late.
    lost: Option<i64>,
}

impl Transits {
    pub const fn new() -> Self {
        Self {
            windows: [NONE; WINDOWS],
            gaps: [0; WINDOWS],
            window: 0,
            all: NONE,
            late: 0,
            lost: None,
        }
    }

    /// Forgets all but which window it is.
    pub fn reset(&mut self) {
        *self = Self { window: self.window, ..Self::new() };
    }

    /// Reads something of each line of memory that a packet's transit is compared with; returns anything that depends
    /// on it.
    pub fn prefetch(&self) -> u64 {
        let window = self.windows[slot(self.window)].least;
        (self.window | window) as u64 | u64::from(self.gaps[0])
    }

    /// Takes the transit of a packet that came in that window.
    pub fn observe(&mut self, window: i64, transit: i64) {
        // What was on its way for longer than a window counts in this one.
        let window = window.max(self.window);
        let mut changes = window > self.window;
        // Over a pause the last values stay: they are the best that is known.
        for passed in (self.window + 1..=window).take(WINDOWS) {
            (self.windows[slot(passed)], self.gaps[slot(passed)]) = (NONE, 0);
            if slot(passed) == 0 {
                self.late = self.late.saturating_sub(1);
            }
        }
        self.window = window;
        if changes && self.gaps[slot(window - 2)] > 0 {
            self.lost = Some(window);
        }
        changes |= self.windows[slot(window)].take(transit);
        if changes {
            self.all = self.windows.iter().fold(NONE, |all, window| Window {
                least: all.least.min(window.least),
                greatest: all.greatest.max(window.greatest),
                usual: all.usual.max(window.usual),
            });
        }
    }

    /// Returns the least transit, and by how much it varies; where `usually`, without what is so rare that it
    /// need not be waited for.
    pub fn spread(&self, usually: bool) -> Option<(i64, i64)> {
        let Window { least, greatest, usual } = self.all;
        let bears = usually && self.late <= LATE_MAX && usual >= least;
        (least <= greatest).then(|| (least, if bears { usual } else { greatest } - least))
    }

    /// Counts that something began to be missing.
    pub fn missed(&mut self) {
        let gaps = &mut self.gaps[slot(self.window)];
        *gaps = gaps.saturating_add(1);
    }

    /// Takes one of those back: it had not been lost, but was late.
    pub fn found(&mut self) {
        self.late = (self.late + 1).min(LATE_KEPT);
        self.take_back();
    }

    /// Takes back the last thing that began to be missing: it had not been sent.
    pub fn take_back(&mut self) {
        for window in [self.window, self.window - 1] {
            if let Some(less) = self.gaps[slot(window)].checked_sub(1) {
                self.gaps[slot(window)] = less;
                return;
            }
        }
    }

    /// Whether something was lost within the last minute, however seldom.
    pub fn loses(&self) -> bool {
        self.lost.is_some_and(|lost| self.window - lost < LOSES_FOR)
    }

    /// Returns how often something was missing that was lost.
    pub fn gaps(&self) -> u32 {
        self.gaps.iter().copied().map(u32::from).sum()
    }
}

impl Window {
    /// Takes a transit; returns whether it changes anything.
    fn take(&mut self, transit: i64) -> bool {
        let before = (self.least, self.usual);
        self.usual = self.usual.max(transit.min(self.greatest));
        let is_greatest = transit > self.greatest;
        self.greatest = self.greatest.max(transit);
        self.least = self.least.min(transit);
        is_greatest || before != (self.least, self.usual)
    }
}

fn slot(window: i64) -> usize {
    window.rem_euclid(WINDOWS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the spread after these transits, eight in each window.
    fn spread(transits: &[i64], usually: bool) -> Option<(i64, i64)> {
        let mut all = Transits::new();
        for (number, &transit) in (0..).zip(transits) {
            all.observe(number / 8, transit);
        }
        all.spread(usually)
    }

    #[test]
    fn one_packet_of_a_window_that_was_late_is_not_waited_for_and_two_are() {
        assert_eq!(spread(&[], true), None);
        assert_eq!(spread(&[50], true), Some((50, 0)));
        assert_eq!(spread(&[50, 58, 51, 51], true), Some((50, 1)));
        assert_eq!(spread(&[50, 58, 51, 51], false), Some((50, 8)));
        assert_eq!(spread(&[50, 58, 51, 51, 57, 51], true), Some((50, 7)));
        let one_each = [50, 51, 58, 51, 51, 51, 51, 51].repeat(WINDOWS);
        assert_eq!(spread(&one_each, true), Some((50, 1)));
    }

    #[test]
    fn where_many_are_missed_for_a_while_the_slowest_is_waited_for() {
        let mut all = Transits::new();
        let (mut missed, mut waits) = (0, 0);
        for packet in 0..WINDOWS as i64 * 8 * 10 {
            let transit = if packet % 8 == 3 { 58 } else { 50 };
            all.observe(packet / 8, transit);
            let (_, spread) = all.spread(true).unwrap();
            if 50 + spread < transit {
                missed += 1;
                all.missed();
                all.found();
            }
            waits += usize::from(spread == 8);
        }
        assert!(missed <= 3 + 10, "{missed} in ten times all windows");
        assert!(waits > WINDOWS * 8 * 8, "{waits}");
        assert_eq!(all.gaps(), 0);
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let long_ago = [&[20, 90, 90, 90, 90, 90, 90, 90][..], &[50; WINDOWS * 8]].concat();
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

    #[test]
    fn one_that_was_lost_is_remembered_for_a_minute_and_one_that_was_late_is_not() {
        let loses = |is_late: bool| {
            let mut all = Transits::new();
            let mut loses = 0;
            for window in 0..300 {
                all.observe(window, 0);
                if window == 10 {
                    all.missed();
                }
                if window == 11 && is_late {
                    all.found();
                }
                loses += i64::from(all.loses());
            }
            loses
        };
        assert_eq!([loses(true), loses(false)], [0, LOSES_FOR]);
    }
}
