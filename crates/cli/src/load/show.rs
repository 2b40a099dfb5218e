//! What was seen, as text and as JSON.

use std::time::Duration;

use serde_json::{Value, json};
use sim::load::{Plan, Report, Times};

use super::Served;
use super::requests::{OWN_SHARE_MAX, Outcome};

/// Milliseconds in which it is judged whether somebody is missing.
const FRAME_MS: usize = 20;

/// Returns everything, for programs.
pub fn json(plan: &Plan, served: &Served, floor: Option<&Report>) -> Value {
    let mut value = json!({
        "plan": {
            "legs": plan.legs,
            "room_size": plan.room_size,
            "talkers": plan.talkers,
            "codecs": plan.codecs,
            "srtp": plan.srtp,
            "network": {
                "loss_percent": plan.network.loss,
                "burst": plan.network.burst,
                "jitter_ms": ms(plan.network.jitter),
                "drift_ppm": plan.network.drift,
                "seed": plan.network.seed,
            },
            "seconds": plan.length.as_secs(),
        },
        "machine": machine(),
        "server": report(&served.report),
        "floor": floor.map(report),
        "cpu_ratio": ratio(&served.report, floor),
    });
    let run = &served.report;
    let statuses = |(status, count): (&u16, &usize)| (status.to_string(), json!(count));
    value["server"]["calls"] = json!({
        "refused": run.refused.iter().map(statuses).collect::<serde_json::Map<_, _>>(),
        "lost": run.lost_calls,
        "joins_per_second": round(run.joins),
        "answered_ms": times(&run.answered),
        "first_sound_ms": times(&run.first_sound),
    });
    value["server"]["ticks"] =
        served.ticks.map_or(Value::Null, |(all, late)| json!({ "all": all, "late_20_ms": late }));
    value["server"]["updates"] = served.updates.as_ref().map_or(Value::Null, |updates| {
        json!({
            "per_second": round(updates.rate),
            "made": updates.made,
            "refused": updates.refused.iter().map(|(s, n)| (s.to_string(), json!(n)))
                .collect::<serde_json::Map<_, _>>(),
            "answered_ms": times(&updates.answered),
            "callbacks": updates.called_back,
        })
    });
    value["server"]["requests"] = served.requests.iter().map(request).collect();
    value
}

/// Returns what a mock answered, for programs.
pub fn of_mock(outcomes: &[Outcome]) -> Value {
    json!({ "machine": machine(), "mock": { "requests": outcomes.iter().map(request).collect::<Value>() } })
}

fn request(outcome: &Outcome) -> Value {
    let statuses =
        outcome.statuses.iter().map(|(status, count)| (status.to_string(), json!(count)));
    json!({
        "name": outcome.name,
        "per_second": round(outcome.rate()),
        "answered_ms": times(&outcome.answered),
        "statuses": statuses.collect::<serde_json::Map<_, _>>(),
        "octets_each": outcome.octets / outcome.answered.count().max(1),
        "own_share": outcome.own_share.map(round),
    })
}

/// Returns a line for each sort of request, for people.
pub fn requests(outcomes: &[Outcome]) -> Vec<String> {
    let line = |outcome: &Outcome| {
        let limited = outcome.own_share.is_some_and(|share| share > OWN_SHARE_MAX);
        format!(
            "asked    {:.0} a second; p50 {} p99 {} ms; {:?}; {}{}",
            outcome.rate(),
            ms(outcome.answered.percentile(50.0)),
            ms(outcome.answered.percentile(99.0)),
            outcome.statuses,
            outcome.name,
            if limited { "; LIMITED BY WHO ASKED" } else { "" },
        )
    };
    outcomes.iter().map(line).collect()
}

fn report(report: &Report) -> Value {
    json!({
        "legs_up": report.up,
        "seconds": round(report.seconds),
        "cpu_ms_per_leg_second": report.cpu_ms.map(round),
        "memory_kib_per_leg": report.memory_kib.map(round),
        "packets": {
            "sent": report.sent,
            "received": report.received,
            "lost": report.lost,
            "gaps": report.gaps,
            "lost_on_purpose": report.dropped,
            "spacing_ms": times(&report.spacing),
        },
        "delay_ms": times(&report.delay),
        "sound": {
            "legs_checked": report.checked,
            "legs_right": report.right,
            "faults": report.faults,
            "silent_frames": report.silent_frames,
            "breaks": {
                "count": report.breaks.count,
                "frames": report.breaks.frames,
                "longest_ms": report.breaks.longest * FRAME_MS,
            },
            "clicks_said": report.clicks.0,
            "clicks_heard": report.clicks.1,
        },
        "own_lateness_ms": times(&report.late),
        "unsent": report.unsent,
        "clean": report.is_clean(),
    })
}

fn times(times: &Times) -> Value {
    json!({
        "count": times.count(),
        "p50": ms(times.percentile(50.0)),
        "p90": ms(times.percentile(90.0)),
        "p99": ms(times.percentile(99.0)),
        "max": ms(times.longest()),
    })
}

fn ms(time: Duration) -> f64 {
    round(time.as_secs_f64() * 1_000.0)
}

fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn ratio(report: &Report, floor: Option<&Report>) -> Option<f64> {
    let floor = floor?.cpu_ms.filter(|&ms| ms > 0.0)?;
    Some(round(report.cpu_ms? / floor))
}

/// What this machine is, and what else it did in the last minute.
fn machine() -> Value {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    json!({
        "processor": model.map(|(_, name)| name),
        "processors": std::thread::available_parallelism().map_or(1, usize::from),
        "load_average": read("/proc/loadavg").split(' ').next().and_then(|n| n.parse::<f64>().ok()),
    })
}

/// Returns what matters, for people.
pub fn text(plan: &Plan, served: &Served, floor: Option<&Report>) -> String {
    let mut lines = vec![format!(
        "{} legs in rooms of {}, {} of each talking, for {} s, in {}",
        plan.legs,
        plan.room_size,
        plan.talkers,
        plan.length.as_secs(),
        plan.codecs.join(" and "),
    )];
    lines.extend(network(plan, &served.report));
    lines.extend(told("server", &served.report));
    let run = &served.report;
    lines.push(format!(
        "joins    {:.0} a second; answered p50 {} p99 {}; first sound p50 {} p99 {} ms",
        run.joins,
        ms(run.answered.percentile(50.0)),
        ms(run.answered.percentile(99.0)),
        ms(run.first_sound.percentile(50.0)),
        ms(run.first_sound.percentile(99.0)),
    ));
    for (status, count) in &run.refused {
        lines.push(format!("         {count} calls were refused with {status}"));
    }
    if run.lost_calls > 0 {
        lines.push(format!("         {} calls ended by themselves", run.lost_calls));
    }
    if let Some((all, late)) = served.ticks {
        lines.push(format!("ticks    {late} of {all} were later than 20 ms"));
    }
    if let Some(updates) = &served.updates {
        lines.push(format!(
            "updates  {:.0} a second; answered p50 {} p99 {} ms; {} made, refused {:?}, callbacks {}",
            updates.rate,
            ms(updates.answered.percentile(50.0)),
            ms(updates.answered.percentile(99.0)),
            updates.made,
            updates.refused,
            updates.called_back.map_or("not counted".to_owned(), |count| count.to_string()),
        ));
    }
    lines.extend(requests(&served.requests));
    if let Some(floor) = floor {
        lines.extend(told("floor", floor));
        if let Some(ratio) = ratio(run, Some(floor)) {
            lines.push(format!("         the server costs {ratio:.2} floors"));
        }
    }
    lines.join("\n")
}

fn network(plan: &Plan, report: &Report) -> Option<String> {
    let network = &plan.network;
    (!network.is_perfect()).then(|| {
        format!(
            "network  {} packets lost on purpose: {} %, {} in a row; jitter {} ms, drift {} ppm, seed {}",
            report.dropped,
            network.loss,
            network.burst,
            ms(network.jitter),
            network.drift,
            network.seed
        )
    })
}

fn told(name: &str, report: &Report) -> Vec<String> {
    let figure = |value: Option<f64>| value.map_or("unknown".to_owned(), |v| format!("{v:.3}"));
    let mut lines = vec![
        format!(
            "{name:<8} {} ms processor a leg-second, {} KiB a leg, {} legs up",
            figure(report.cpu_ms),
            figure(report.memory_kib),
            report.up
        ),
        format!(
            "sound    {} of {} checked legs heard whom they should; {} silent frames; {} breaks, \
             {} ms the longest; {} of {} clicks",
            report.right,
            report.checked,
            report.silent_frames,
            report.breaks.count,
            report.breaks.longest * FRAME_MS,
            report.clicks.1,
            report.clicks.0
        ),
        format!(
            "packets  {} sent, {} received, {} lost, {} gaps over 40 ms, longest {} ms",
            report.sent,
            report.received,
            report.lost,
            report.gaps,
            ms(report.spacing.longest())
        ),
        format!(
            "delay    p50 {} p99 {} max {} ms",
            ms(report.delay.percentile(50.0)),
            ms(report.delay.percentile(99.0)),
            ms(report.delay.longest())
        ),
        format!(
            "own      late p99 {} max {} ms: {}",
            ms(report.late.percentile(99.0)),
            ms(report.late.longest()),
            if report.is_clean() { "clean" } else { "NOT CLEAN, the figures are not the server's" }
        ),
    ];
    lines.extend(report.faults.iter().map(|fault| format!("         {fault}")));
    lines
}
