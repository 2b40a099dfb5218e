//! How late ticks are, how much of each is needed, and how much soon will be.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use media::TICK;

/// Classes of lateness.
pub const LATENESS_CLASSES: usize = 9;
/// Upper bounds of the classes of lateness, in microseconds; the last class has none.
pub const LATENESS_BOUNDS_US: [u64; LATENESS_CLASSES - 1] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 20_000, 50_000];

/// Ticks over which it is smoothed how much of each was needed: 200 ms.
const BUSY_TICKS: u64 = 10;
/// How far ahead it is told how much will be needed, in ticks: 200 ms. Who was let in lately is not heard in full yet.
const AHEAD_TICKS: u64 = 10;
/// All of a tick.
const ALL_PPM: u64 = 1_000_000;

/// How late ticks were, for the metrics.
#[derive(Debug, Default)]
pub struct Lateness {
    /// Ticks so far.
    pub ticks: AtomicU64,
    /// Of these, later than one period.
    pub late: AtomicU64,
    /// The latest, in microseconds.
    pub worst_us: AtomicU64,
    /// Ticks by how late they were, see [`LATENESS_BOUNDS_US`].
    pub classes: [AtomicU64; LATENESS_CLASSES],
    /// Of all ticks, in microseconds.
    pub sum_us: AtomicU64,
    /// How much of each tick was needed of late, and the same of that, in millionths.
    busy_ppm: AtomicU64,
    busier_ppm: AtomicU64,
}

impl Lateness {
    /// Returns how much of each tick was needed of late: 1.0 is all of it.
    pub fn busy(&self) -> f32 {
        in_ticks(self.busy_ppm.load(Ordering::Relaxed))
    }

    /// Returns how much will be needed soon where that grows, as it does while many call: what is smoothed twice lies as
    /// far behind what is smoothed once as that lies behind the truth.
    pub fn busy_soon(&self) -> f32 {
        let busy = self.busy_ppm.load(Ordering::Relaxed);
        let grows = busy.saturating_sub(self.busier_ppm.load(Ordering::Relaxed));
        in_ticks(busy + grows + grows * AHEAD_TICKS / (BUSY_TICKS - 1))
    }

    /// Takes how long a tick took. Beyond all of it, it only says that the machine had no time.
    pub fn took(&self, time: Duration) {
        let ppm = time.as_nanos() * u128::from(ALL_PPM) / TICK.as_nanos();
        let ppm = u64::try_from(ppm).unwrap_or(u64::MAX).min(ALL_PPM);
        let busy = smooth(&self.busy_ppm, ppm);
        smooth(&self.busier_ppm, busy);
    }

    /// Takes how late a tick was.
    pub fn note(&self, late: Duration) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
        if late > TICK {
            self.late.fetch_add(1, Ordering::Relaxed);
        }
        let late_us = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.worst_us.fetch_max(late_us, Ordering::Relaxed);
        self.sum_us.fetch_add(late_us, Ordering::Relaxed);
        let class = LATENESS_BOUNDS_US.partition_point(|&bound| bound < late_us);
        self.classes[class].fetch_add(1, Ordering::Relaxed);
    }
}

fn in_ticks(ppm: u64) -> f32 {
    ppm as f32 / ALL_PPM as f32
}

/// Moves what is smoothed towards the latest; returns it.
fn smooth(smoothed: &AtomicU64, latest: u64) -> u64 {
    let before = smoothed.load(Ordering::Relaxed);
    let after = (before * (BUSY_TICKS - 1) + latest) / BUSY_TICKS;
    smoothed.store(after, Ordering::Relaxed);
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tick_falls_into_the_first_class_that_holds_it() {
        let lateness = Lateness::default();
        for late_us in [0, 250, 251, 20_000, 20_001, 1_000_000] {
            lateness.note(Duration::from_micros(late_us));
        }
        let classes: Vec<u64> =
            lateness.classes.iter().map(|class| class.load(Ordering::Relaxed)).collect();
        assert_eq!(classes, [2, 1, 0, 0, 0, 0, 1, 1, 1]);
        assert_eq!(lateness.late.load(Ordering::Relaxed), 2);
        assert_eq!(lateness.worst_us.load(Ordering::Relaxed), 1_000_000);
    }

    const TICKS_A_SECOND: u16 = 50;

    fn takes(lateness: &Lateness, part: f32) {
        lateness.took(TICK.mul_f32(part));
    }

    #[test]
    fn what_many_calls_at_once_will_need_is_told_before_they_need_all_of_it() {
        // The growth of a second; calls are let in until one of both limits is reached.
        for growth in [0.1, 0.2, 0.5, 1.0, 1.5, 3.0] {
            let lateness = Lateness::default();
            let part = |tick: u16| growth * f32::from(tick) / f32::from(TICKS_A_SECOND);
            let full = (0..).find(|&tick| {
                takes(&lateness, part(tick));
                lateness.busy() > 0.75 || lateness.busy_soon() > 0.9
            });
            let needed = part(full.unwrap());
            assert!((0.7..0.85).contains(&needed), "{growth} a second: {needed}");
        }
    }

    #[test]
    fn what_goes_up_and_down_is_taken_for_what_it_is_in_the_mean() {
        let lateness = Lateness::default();
        let mut most = 0.0_f32;
        for tick in 0..1_000_u32 {
            let noise = tick.wrapping_mul(2_654_435_761) >> 16;
            takes(&lateness, 0.4 + 0.4 * noise as f32 / 65_536.0);
            most = if tick > 100 { most.max(lateness.busy_soon()) } else { 0.0 };
        }
        assert!((0.5..0.7).contains(&lateness.busy()) && most < 0.8, "{most}");
    }

    #[test]
    fn one_long_tick_lets_nobody_be_refused_and_what_is_over_is_forgotten() {
        let lateness = Lateness::default();
        (0..100).for_each(|_| takes(&lateness, 0.4));
        takes(&lateness, 50.0);
        assert!(lateness.busy_soon() < 0.6, "{}", lateness.busy_soon());
        (0..100).for_each(|_| takes(&lateness, 1.0));
        assert!(lateness.busy_soon() > 0.95);
        (0..50).for_each(|_| takes(&lateness, 0.2));
        assert!(lateness.busy_soon() < 0.3, "{}", lateness.busy_soon());
    }
}
