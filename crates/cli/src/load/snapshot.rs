//! What the server is when it begins to count, and when that is over: by its metrics and the kernel's word.

use sim::load::{Phase, Usage, sockets};
use tokio::sync::watch;

/// What is read of the metrics.
const METRICS: [&str; 7] = [
    "calls",
    "legs",
    "rooms",
    "sip_dialogs",
    "ticks_total",
    "ticks_late_total",
    "tick_lateness_seconds_bucket{le=\"0.005\"}",
];

/// The server at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Resident memory in KiB, and sockets; none: the system does not tell.
    pub memory_kib: Option<u64>,
    /// See above.
    pub sockets: Option<usize>,
    /// By the places in [`METRICS`].
    metrics: [u64; METRICS.len()],
}

impl Snapshot {
    async fn take(url: &str, pid: Option<u32>) -> Option<Self> {
        let text = reqwest::get(url).await.ok()?.text().await.ok()?;
        let metrics = read(&text)?;
        let memory_kib = pid.and_then(Usage::of).map(|usage| usage.memory_kib);
        Some(Self { memory_kib, sockets: pid.and_then(sockets), metrics })
    }

    /// Returns calls, legs, rooms and dialogs, with their names.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        METRICS.into_iter().zip(self.metrics).take(4)
    }
}

fn read(text: &str) -> Option<[u64; METRICS.len()]> {
    let mut metrics = [0; METRICS.len()];
    for (metric, name) in metrics.iter_mut().zip(METRICS) {
        let value = |line: &str| {
            let (found, value) = line.strip_prefix("sidetone_")?.split_once(' ')?;
            (found == name).then(|| value.trim().parse().ok()).flatten()
        };
        *metric = text.lines().find_map(value)?;
    }
    Some(metrics)
}

/// How the server's ticks began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticks {
    pub all: u64,
    /// Of these, late by more than 5 ms, and by more than their length.
    pub late_5_ms: u64,
    /// See above.
    pub late_20_ms: u64,
}

/// The server at both moments.
#[derive(Debug, Clone)]
pub struct Watched {
    /// When it began to count.
    pub before: Snapshot,
    /// When that was over, and all calls were still up.
    pub after: Snapshot,
}

impl Watched {
    /// Looks when the measurement begins and when it is over; nothing where the server has no metrics.
    pub async fn watch(
        admin: Option<String>,
        pid: Option<u32>,
        mut phases: watch::Receiver<Option<Phase>>,
    ) -> Option<Self> {
        let url = format!("{}/metrics", admin?);
        phases.wait_for(|phase| *phase == Some(Phase::Measuring)).await.ok()?;
        let before = Snapshot::take(&url, pid).await?;
        phases.wait_for(|phase| *phase == Some(Phase::Over)).await.ok()?;
        let after = Snapshot::take(&url, pid).await?;
        Some(Self { before, after })
    }

    /// Returns the ticks between both.
    pub fn ticks(&self) -> Ticks {
        let between =
            |place: usize| self.after.metrics[place].saturating_sub(self.before.metrics[place]);
        let (all, late) = (between(4), between(5));
        Ticks { all, late_5_ms: all.saturating_sub(between(6)), late_20_ms: late }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_by_their_whole_names() {
        let text = "# HELP sidetone_calls Calls.\nsidetone_calls 3\nsidetone_calls_queued 9\n\
                    sidetone_legs_by_jitter_milliseconds{le=\"5\"} 7\nsidetone_legs 4\n\
                    sidetone_rooms 1\nsidetone_sip_dialogs 5\nsidetone_ticks_late_total 2\n\
                    sidetone_ticks_total 100\n\
                    sidetone_tick_lateness_seconds_bucket{le=\"0.0025\"} 90\n\
                    sidetone_tick_lateness_seconds_bucket{le=\"0.005\"} 97\n";
        assert_eq!(read(text), Some([3, 4, 1, 5, 100, 2, 97]));
        assert_eq!(read(&text.replace("sidetone_rooms", "x")), None);
    }
}
