//! The text that Prometheus reads: each metric once, with its help and its type.
//!
//! Labels are words of fixed tables, or names of trunks, so that the number of rows is bounded.

use std::fmt::{Display, Write};
use std::time::Duration;

use api::{DURATION_BOUNDS_S, RouteStats};
use node::{
    COMMIT_BOUNDS_S, JITTER_BOUNDS_MS, LATENESS_BOUNDS_US, LOSS_BOUNDS, MOS_BOUNDS, Stats,
    StoreStats,
};

/// Metrics in the making; names begin with `sidetone_` by themselves.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// Returns what was written.
    pub fn into_string(self) -> String {
        self.0
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.0.write_fmt(line);
        self.0.push('\n');
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP sidetone_{name} {help}\n# TYPE sidetone_{name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.line(format_args!("sidetone_{name}{labels} {value}"));
    }

    /// Writes a figure that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// Writes a figure that only grows.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "counter", help);
        self.sample(name, &[], value);
    }

    /// Writes a histogram's rows: `counts` are those of each bucket alone, the last one open.
    fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        bounds: &[f64],
        counts: &[u64],
        total: Duration,
    ) {
        let mut sum = 0;
        for (index, count) in counts.iter().enumerate() {
            sum += count;
            let bound = bounds.get(index).map_or("+Inf".to_owned(), f64::to_string);
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.sample(&format!("{name}_bucket"), &labels, sum);
        }
        self.sample(&format!("{name}_sum"), labels, total.as_secs_f64());
        self.sample(&format!("{name}_count"), labels, sum);
    }

    /// Writes how many legs fare how well: a gauge for each upper bound.
    fn legs_up_to(&mut self, name: &str, help: &str, bounds: &[f32], counts: &[u64]) {
        self.head(name, "gauge", help);
        let mut sum = 0;
        for (index, count) in counts.iter().enumerate() {
            sum += count;
            let bound = bounds.get(index).map_or("+Inf".to_owned(), f32::to_string);
            self.sample(name, &[("le", &bound)], sum);
        }
    }

    /// Writes how the trunks do.
    pub fn trunks(&mut self, stats: &Stats) {
        if stats.trunks.is_empty() {
            return;
        }
        self.head("trunk_up", "gauge", "Whether a trunk is asked first.");
        for trunk in &stats.trunks {
            self.sample("trunk_up", &[("trunk", &trunk.name)], u8::from(trunk.up));
        }
        self.head("trunk_calls", "gauge", "Calls out by a trunk, now.");
        for trunk in &stats.trunks {
            self.sample("trunk_calls", &[("trunk", &trunk.name)], trunk.calls);
        }
        self.head("trunk_calls_waiting", "gauge", "Calls that wait for their turn at a trunk.");
        for trunk in &stats.trunks {
            self.sample("trunk_calls_waiting", &[("trunk", &trunk.name)], trunk.calls_waiting);
        }
        self.head("trunk_calls_today", "gauge", "Calls out by a trunk since midnight UTC.");
        for trunk in &stats.trunks {
            self.sample("trunk_calls_today", &[("trunk", &trunk.name)], trunk.calls_today);
        }
    }

    /// Writes which calls there are and which were refused.
    pub fn calls(&mut self, stats: &Stats) {
        self.gauge("calls", "Calls that are not over.", stats.calls);
        self.head("calls_refused_total", "counter", "Calls that were refused, by what was short.");
        let refused = stats.refused;
        for (reason, count) in [
            ("busy", refused.busy),
            ("draining", refused.draining),
            ("ports", refused.ports),
            ("account", refused.account),
            ("trunks", refused.trunks),
        ] {
            self.sample("calls_refused_total", &[("reason", reason)], count);
        }
        self.gauge("conferences", "Conferences that are not completed.", stats.conferences);
        self.gauge("recordings", "Recordings that are not over.", stats.recordings);
    }

    /// Writes what the rooms and their sound do.
    pub fn media(&mut self, stats: &Stats) {
        let (media, total) = (&stats.media, &stats.media.total);
        let (ticks, late, worst_us) = stats.ticks;
        self.gauge("legs", "Legs whose sound is handled.", media.legs);
        self.gauge("rooms", "Rooms that are mixed.", media.rooms);
        self.counter("ticks_total", "Ticks of 20 ms.", ticks);
        self.counter("ticks_late_total", "Ticks later than one period.", late);
        self.gauge("tick_lateness_worst_microseconds", "The latest tick so far.", worst_us);
        let says = "How much of each tick was needed of late, by media thread.";
        self.head("tick_busy_ratio", "gauge", says);
        for (thread, busy) in stats.busy.iter().enumerate() {
            self.sample("tick_busy_ratio", &[("thread", &thread.to_string())], busy);
        }
        self.head("tick_lateness_seconds", "histogram", "How late ticks began.");
        let name = "tick_lateness_seconds";
        let bounds = LATENESS_BOUNDS_US.map(|bound_us| bound_us as f64 / 1e6);
        let total_lateness = Duration::from_micros(stats.lateness_sum_us);
        self.histogram(name, &[], &bounds, &stats.lateness, total_lateness);
        self.counter("rtp_received_total", "RTP packets taken.", total.rx_packets);
        self.counter("rtp_sent_total", "RTP packets sent.", total.tx_packets);
        self.counter(
            "rtp_dropped_total",
            "Datagrams that were no RTP of their leg.",
            total.rx_dropped,
        );
        self.counter(
            "rtp_unproven_total",
            "Datagrams among them that were to be protected and were not the far end's.",
            total.rx_unproven,
        );
        self.counter("rtp_late_total", "RTP packets whose time had passed.", total.rx_late);
        self.counter("rtp_lost_total", "RTP packets that never came.", total.rx_lost);
        self.counter(
            "concealed_samples_total",
            "Samples that were concealed.",
            total.concealed_samples,
        );
        self.counter("encodings_total", "Frames that were encoded.", media.encoded);
        let unmixed = "Voices that were not mixed in a tick, as more spoke than are encoded for.";
        self.counter("voices_unmixed_total", unmixed, media.unmixed);
        let live = &media.live;
        let help = "Legs whose jitter is at most so many milliseconds.";
        self.legs_up_to("legs_by_jitter_milliseconds", help, &JITTER_BOUNDS_MS, &live.jitter);
        let help = "Legs whose far end reports at most this loss.";
        self.legs_up_to("legs_by_remote_loss_ratio", help, &LOSS_BOUNDS, &live.loss);
        let help = "Legs whose sound has at most this mean opinion score.";
        self.legs_up_to("legs_by_mean_opinion_score", help, &MOS_BOUNDS, &live.mos);
        let help = "The longest round trip of a leg.";
        self.gauge("rtp_round_trip_worst_milliseconds", help, live.round_trip_ms_worst);
    }

    /// Writes what SIP does.
    pub fn sip(&mut self, stats: &Stats) {
        let sip = &stats.sip;
        self.head("sip_requests_total", "counter", "SIP requests, by direction and method.");
        for (direction, counts) in [("received", &sip.requests_rx), ("sent", &sip.requests_tx)] {
            for (method, count) in counts {
                let labels = [("direction", direction), ("method", method)];
                self.sample("sip_requests_total", &labels, count);
            }
        }
        self.head("sip_responses_total", "counter", "SIP responses, by direction and status.");
        for (direction, counts) in [("received", &sip.responses_rx), ("sent", &sip.responses_tx)] {
            for (code, count) in counts {
                let labels = [("direction", direction), ("code", &code.to_string())];
                self.sample("sip_responses_total", &labels, count);
            }
        }
        for (name, help, value) in [
            (
                "sip_retransmissions_total",
                "SIP messages that were sent once more.",
                sip.retransmissions,
            ),
            ("sip_unparsable_total", "Messages that are no SIP.", sip.unparsable),
            ("sip_stray_total", "SIP messages that belong to nothing.", sip.stray),
            ("sip_dropped_total", "SIP messages that found a full queue.", sip.dropped),
            (
                "sip_overloaded_total",
                "SIP requests that were refused for want of room.",
                sip.overloaded,
            ),
            ("sip_unproven_total", "SIP requests with wrong credentials.", sip.unproven),
        ] {
            self.counter(name, help, value);
        }
        self.gauge("sip_transactions", "Open SIP transactions.", sip.transactions);
        self.gauge("sip_dialogs", "SIP dialogs.", sip.dialogs);
        self.gauge("sip_registrations", "Contacts of registered users.", sip.bindings);
    }

    /// Writes what the store and the outbox do; `owed_for` is the age of the oldest callback.
    pub fn store(&mut self, store: &StoreStats, owed: u64, owed_for: Duration) {
        self.gauge("store_queue_batches", "Batches of rows that wait.", store.queued);
        self.gauge("store_owed_batches", "Batches that could not be written yet.", store.owed);
        self.counter("store_batches_total", "Batches that were committed.", store.batches);
        self.counter("store_failures_total", "Transactions that failed.", store.failures);
        self.head("store_commit_seconds", "histogram", "How long transactions took.");
        let name = "store_commit_seconds";
        self.histogram(name, &[], &COMMIT_BOUNDS_S, &store.commits, store.total);
        self.gauge("outbox_callbacks", "Callbacks that are owed.", owed);
        let help = "Age of the oldest callback that is owed.";
        self.gauge("outbox_oldest_seconds", help, owed_for.as_secs_f64());
    }

    /// Writes what the API answered.
    pub fn api(&mut self, routes: &std::collections::BTreeMap<&'static str, RouteStats>) {
        self.head(
            "api_requests_total",
            "counter",
            "Requests to the API, by route, method and status.",
        );
        for (route, stats) in routes {
            for ((method, status), count) in &stats.answered {
                let labels = [("route", *route), ("method", method), ("code", &status.to_string())];
                self.sample("api_requests_total", &labels, count);
            }
        }
        self.head(
            "api_request_seconds",
            "histogram",
            "How long answers of the API took, by route.",
        );
        for (route, stats) in routes {
            let labels = [("route", *route)];
            self.histogram(
                "api_request_seconds",
                &labels,
                &DURATION_BOUNDS_S,
                &stats.durations,
                stats.total,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use node::TrunkStats;

    use super::*;

    #[test]
    fn the_page_for_operators_names_every_metric() {
        let page = include_str!("../../../docs/operating.md");
        let (name, up) = ("carrier".to_owned(), true);
        let trunk = TrunkStats { name, up, calls: 0, calls_today: 0, calls_waiting: 0 };
        let stats = Stats { trunks: vec![trunk], ..Stats::default() };
        let mut text = Text::default();
        text.calls(&stats);
        text.media(&stats);
        text.sip(&stats);
        text.trunks(&stats);
        text.store(&StoreStats::default(), 0, Duration::ZERO);
        text.api(&BTreeMap::new());
        let text = text.into_string();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE sidetone_"));
        let names: Vec<&str> = types.filter_map(|line| line.split(' ').next()).collect();
        assert!(names.len() > 40, "{names:?}");
        for name in names {
            let named = [format!("`{name}`"), format!("`sidetone_{name}`")];
            assert!(named.iter().any(|named| page.contains(named)), "{name} is not in the page");
        }
    }
}
