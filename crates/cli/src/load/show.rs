//! What was seen, as text and as JSON.

use std::time::Duration;

use serde_json::{Value, json};
use sim::load::{Plan, Report, Times};

use super::requests::{OWN_SHARE_MAX, Outcome};
use super::snapshot::{Snapshot, Ticks};
use super::{Run, Served};

/// Milliseconds in which it is judged whether somebody is missing.
const FRAME_MS: usize = 20;

/// Returns everything of all sizes, for programs.
pub fn sweep_json(runs: &[Run]) -> Value {
    json!({ "sweep": runs.iter().map(json).collect::<Value>() })
}

/// Returns everything, for programs.
pub fn json(run: &Run) -> Value {
    let Run { plan, served, floor } = run;
    let floor = floor.as_ref();
    let mut value = json!({
        "plan": {
            "legs": plan.legs,
            "room_size": plan.room_size,
            "talkers": plan.talkers,
            "waiting": plan.waiting,
            "codecs": plan.codecs,
            "srtp": plan.srtp,
            "churn_per_second": plan.churn,
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
    value["server"]["ticks"] = served.watched.as_ref().map_or(Value::Null, |watched| {
        let Ticks { all, late_5_ms, late_20_ms } = watched.ticks();
        json!({ "all": all, "late_5_ms": late_5_ms, "late_20_ms": late_20_ms })
    });
    value["server"]["churn"] = if plan.churn > 0 { churn(served) } else { Value::Null };
    value["server"]["updates"] = served.updates.as_ref().map_or(Value::Null, |updates| {
        json!({
            "per_second": round(updates.rate),
            "made": updates.made,
            "refused": updates.refused.iter().map(|(s, n)| (s.to_string(), json!(n)))
                .collect::<serde_json::Map<_, _>>(),
            "answered_ms": times(&updates.answered),
            "heard_ms": times(&updates.heard.heard),
            "unheard": updates.heard.unheard,
            "callbacks": updates.called_back,
        })
    });
    value["server"]["requests"] = served.requests.iter().map(request).collect();
    value
}

/// Returns what became of those who hung up and came again, and of the server by it.
fn churn(served: &Served) -> Value {
    let (churn, quarters) = (&served.report.churn, &served.report.delay_quarters);
    let side = |snapshot: Option<&Snapshot>, delay: &Times| {
        let mut side = json!({
            "memory_kib": snapshot.and_then(|it| it.memory_kib),
            "sockets": snapshot.and_then(|it| it.sockets),
            "delay_ms": times(delay),
        });
        for (name, count) in snapshot.into_iter().flat_map(Snapshot::counts) {
            side[name] = json!(count);
        }
        side
    };
    let watched = served.watched.as_ref();
    json!({
        "left": churn.left,
        // They leave during three quarters of the time.
        "per_second": round(churn.left as f64 / (served.report.seconds * 0.75).max(0.001)),
        "answered_ms": times(&churn.answered),
        "first_sound_ms": times(&churn.first_sound),
        "before": side(watched.map(|it| &it.before), &quarters.0),
        "after": side(watched.map(|it| &it.after), &quarters.1),
    })
}

/// The same, for people.
fn churned(served: &Served) -> Vec<String> {
    let (churn, quarters) = (&served.report.churn, &served.report.delay_quarters);
    let mut lines = vec![format!(
        "churn    {} hung up, {} came again; answered p50 {} p99 {}; first sound p50 {} p99 {} ms",
        churn.left,
        churn.answered.count(),
        ms(churn.answered.percentile(50.0)),
        ms(churn.answered.percentile(99.0)),
        ms(churn.first_sound.percentile(50.0)),
        ms(churn.first_sound.percentile(99.0)),
    )];
    let Some(watched) = &served.watched else { return lines };
    for (name, snapshot, delay) in
        [("before", &watched.before, &quarters.0), ("after", &watched.after, &quarters.1)]
    {
        let told = |figure: Option<u64>| figure.map_or("?".to_owned(), |figure| figure.to_string());
        let counts: Vec<String> =
            snapshot.counts().map(|(name, count)| format!("{count} {name}")).collect();
        lines.push(format!(
            "{name:<8} {} KiB, {} sockets, {}; delay p50 {} p99 {} ms",
            told(snapshot.memory_kib),
            told(snapshot.sockets.map(|count| count as u64)),
            counts.join(", "),
            ms(delay.percentile(50.0)),
            ms(delay.percentile(99.0)),
        ));
    }
    lines
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
        "reports": {
            "sent": report.reports.sent,
            "received": report.reports.received,
            "lost_percent": report.reports.loss_percent().map(round),
            "round_trip_ms": times(&report.reports.round_trips),
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

/// Says what is run, whatever its size.
pub fn load(plan: &Plan) -> String {
    let srtp = if plan.srtp { ", encrypted" } else { "" };
    let rooms = match plan.waiting {
        true => "each waiting in a room of its own".to_owned(),
        false => format!("rooms of {}, {} of each talking", plan.room_size, plan.talkers),
    };
    format!("{rooms}, for {} s, in {}{srtp}", plan.length.as_secs(), plan.codecs.join(" and "),)
}

/// Returns a line for each size, for people.
pub fn sweep(runs: &[Run]) -> String {
    let mut lines: Vec<String> = runs.iter().take(1).map(|run| load(&run.plan)).collect();
    lines.push(
        " legs    up  ms a leg-second   floor   ratio  delay p50     p99  floor p50     p99  right"
            .to_owned(),
    );
    for Run { plan, served, floor } in runs {
        let report = &served.report;
        let figure = |value: Option<f64>| value.map_or("?".to_owned(), |v| format!("{v:.3}"));
        let delay = |report: Option<&Report>, percent| {
            let time = report.map(|report| ms(report.delay.percentile(percent)));
            time.map_or("?".to_owned(), |time| format!("{time:.1}"))
        };
        let clean = report.is_clean() && floor.as_ref().is_none_or(Report::is_clean);
        lines.push(format!(
            "{:>5} {:>5} {:>16} {:>7} {:>7} {:>10} {:>7} {:>10} {:>7}  {} of {}{}",
            plan.legs,
            report.up,
            figure(report.cpu_ms),
            figure(floor.as_ref().and_then(|floor| floor.cpu_ms)),
            figure(ratio(report, floor.as_ref())),
            delay(Some(report), 50.0),
            delay(Some(report), 99.0),
            delay(floor.as_ref(), 50.0),
            delay(floor.as_ref(), 99.0),
            report.right,
            report.checked,
            if clean { "" } else { ", NOT CLEAN" },
        ));
    }
    lines.join("\n")
}

/// Returns what matters, for people.
pub fn text(Run { plan, served, floor }: &Run) -> String {
    let floor = floor.as_ref();
    let mut lines = vec![format!("{} legs in {}", plan.legs, load(plan))];
    lines.extend(network(plan, &served.report));
    lines.extend(told("server", &served.report));
    let run = &served.report;
    if let Some(lost) = run.reports.loss_percent() {
        lines.push(format!(
            "reports  {} sent, {} received: {lost:.1} % lost; there and back p50 {} p99 {} ms",
            run.reports.sent,
            run.reports.received,
            ms(run.reports.round_trips.percentile(50.0)),
            ms(run.reports.round_trips.percentile(99.0)),
        ));
    }
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
    if let Some(watched) = &served.watched {
        let Ticks { all, late_5_ms, late_20_ms } = watched.ticks();
        lines.push(format!(
            "ticks    {late_20_ms} of {all} were later than 20 ms, {late_5_ms} than 5"
        ));
    }
    if plan.churn > 0 {
        lines.extend(churned(served));
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
        let heard = &updates.heard;
        lines.push(format!(
            "heard    {} of {} updates of talkers; first packet that is changed p50 {} p99 {} max {} ms",
            heard.heard.count(),
            heard.heard.count() + heard.unheard,
            ms(heard.heard.percentile(50.0)),
            ms(heard.heard.percentile(99.0)),
            ms(heard.heard.longest()),
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
