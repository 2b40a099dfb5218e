//! Distributions of times, kept in fixed space.

use std::time::Duration;

/// Width of a class: 100 us.
const CLASS: Duration = Duration::from_micros(100);
/// Classes: up to 2 s; what is longer falls into the last.
const CLASSES: usize = 20_000;

/// A distribution of times.
#[derive(Debug, Clone)]
pub struct Times {
    classes: Vec<u32>,
    count: u64,
    longest: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { classes: vec![0; CLASSES], count: 0, longest: Duration::ZERO }
    }
}

impl Times {
    /// Adds one.
    pub fn note(&mut self, time: Duration) {
        let class = (time.as_nanos() / CLASS.as_nanos()) as usize;
        self.classes[class.min(CLASSES - 1)] += 1;
        self.count += 1;
        self.longest = self.longest.max(time);
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        for (class, more) in self.classes.iter_mut().zip(&other.classes) {
            *class += more;
        }
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
    }

    /// Returns how many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the longest.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// Returns the time that `percent` of all do not pass, as a whole number of classes.
    pub fn percentile(&self, percent: f64) -> Duration {
        let wanted = (self.count as f64 * percent / 100.0).ceil() as u64;
        let mut seen = 0;
        for (class, &count) in (1_u32..).zip(&self.classes[..CLASSES - 1]) {
            seen += u64::from(count);
            if seen >= wanted && seen > 0 {
                return (CLASS * class).min(self.longest);
            }
        }
        self.longest
    }

    /// Returns how many were longer than `limit`, as far as the classes tell.
    pub fn beyond(&self, limit: Duration) -> u64 {
        let first = (limit.as_nanos() / CLASS.as_nanos()) as usize;
        self.classes.iter().skip(first).map(|&count| u64::from(count)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn percentiles_are_those_of_the_times_that_were_noted() {
        let mut times = Times::default();
        for index in 1..=100 {
            times.note(MS * index);
        }
        let near = |percent, expected| {
            let found = times.percentile(percent);
            assert!(found >= expected && found - expected <= CLASS, "{percent}: {found:?}");
        };
        near(50.0, MS * 50);
        near(99.0, MS * 99);
        assert_eq!(times.percentile(100.0), MS * 100);
        assert_eq!((times.longest(), times.count(), times.beyond(MS * 90)), (MS * 100, 100, 11));
    }

    #[test]
    fn none_has_no_percentile_and_the_endless_one_fits() {
        let mut times = Times::default();
        assert_eq!(times.percentile(99.0), Duration::ZERO);
        times.note(Duration::from_secs(3_600));
        let mut sum = Times::default();
        sum.add(&times);
        assert_eq!(sum.percentile(50.0), Duration::from_secs(3_600));
    }
}
