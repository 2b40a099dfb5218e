//! Requests a second beside a mock of the same OpenAPI description, and lists over a long history.

use std::fmt::Write;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{BINARY, figure, told};
use crate::schema::DESCRIPTION;
use crate::shell::Shell;
use crate::tools::PRISM;

/// The processor of what is measured.
const PROCESSOR: &str = "0";
/// Requests at once: of the comparison, and of lists over a history.
const AT_ONCE: [&str; 2] = ["16", "4"];
/// For how long each set is asked for.
const LENGTHS: [&str; 2] = ["24s", "69s"];
/// Calls that play meanwhile.
const LEGS: [&str; 4] = ["--legs", "200", "--room-size", "4"];
/// Calls that are over, with a tenth as many conferences.
const HISTORY: &str = "100000";
/// What a list or a filter may take at its 99th percentile.
const GOAL_MS: f64 = 20.0;
/// A mock that takes no connection by then has failed.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Measures Prism, then a server of our own at which calls play, then one that has a history besides.
///
/// # Errors
/// One line, when something cannot be measured.
pub fn measure(shell: &Shell) -> Result<(String, String), String> {
    let load = |more: &[&str], at_once, length| {
        let line = [BINARY, "load", "--pin", PROCESSOR, "-o", "json", "--requests", at_once];
        told(shell, &[&line[..], &["--for", length], more].concat())
    };
    let prism = Prism::start(shell)?;
    let mock = load(&["--mock", &prism.url], AT_ONCE[0], LENGTHS[0])?;
    drop(prism);
    let spawned = [&["--spawn"][..], &LEGS].concat();
    let server = load(&spawned, AT_ONCE[0], LENGTHS[0])?;
    let past = load(&[&spawned[..], &["--history", HISTORY]].concat(), AT_ONCE[1], LENGTHS[1])?;
    let text = tables(&mock["mock"]["requests"], &server["server"], &past["server"]);
    let slow = slow(&past["server"]["requests"]);
    let remark = match slow.len() {
        0 => format!("every list within {GOAL_MS} ms"),
        _ => format!("over {GOAL_MS} ms: {}", slow.join(", ")),
    };
    Ok((text, remark))
}

/// The mock; it ends when this is dropped.
struct Prism {
    child: Child,
    url: String,
}

impl Prism {
    fn start(shell: &Shell) -> Result<Self, String> {
        // The port is free once more as soon as it is known.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let port = port.map_err(|error| format!("a port: {error}"))?.port();
        let child = Command::new("taskset")
            .args(["--cpu-list", PROCESSOR, "node"])
            .arg(shell.path(PRISM))
            .args(["mock", "--host", "127.0.0.1", "--verboseLevel", "silent", "--port"])
            .arg(port.to_string())
            .arg(shell.path(DESCRIPTION))
            .env("NODE_ENV", "production")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("taskset or node could not run: {error}"))?;
        let mut prism = Self { child, url: format!("http://127.0.0.1:{port}") };
        let begun = Instant::now();
        while begun.elapsed() < READY_WITHIN {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(prism);
            }
            if let Ok(Some(status)) = prism.child.try_wait() {
                return Err(format!("Prism ended: {status}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("Prism took no connection within {READY_WITHIN:?}"))
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tables(mock: &Value, server: &Value, past: &Value) -> String {
    let mut text = format!(
        "\n{} requests at once, on as many connections; 200 legs played at our server meanwhile ({}).\n\n\
         | Request | a second | Prism's | ratio | p50 / p99, ms | Prism's | octets an answer | Prism's | \
         asker's share of its processor, here and at Prism |\n|---|---|---|---|---|---|---|---|---|\n",
        AT_ONCE[0],
        sound(server),
    );
    for (ours, theirs) in rows(&server["requests"]).zip(rows(mock)) {
        let rate = |of: &Value| of["per_second"].as_f64().unwrap_or_default();
        let cells = [
            name(ours),
            figure(&ours["per_second"], 0),
            figure(&theirs["per_second"], 0),
            format!("{:.1}", rate(ours) / rate(theirs).max(1.0)),
            answered(ours),
            answered(theirs),
            ours["octets_each"].to_string(),
            theirs["octets_each"].to_string(),
            format!("{} / {}", figure(&ours["own_share"], 2), figure(&theirs["own_share"], 2)),
        ];
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    let _ = write!(
        text,
        "\n{HISTORY} calls and a tenth as many conferences in the store, {} requests at once, 200 legs playing ({}).\n\n\
         | List | a second | p50 / p99, ms | octets an answer |\n|---|---|---|---|\n",
        AT_ONCE[1],
        sound(past),
    );
    for row in rows(&past["requests"]) {
        let (rate, octets) = (figure(&row["per_second"], 0), &row["octets_each"]);
        let _ = writeln!(text, "| {} | {rate} | {} | {octets} |", name(row), answered(row));
    }
    text + "\n"
}

fn rows(requests: &Value) -> impl Iterator<Item = &Value> {
    requests.as_array().into_iter().flatten()
}

/// Returns what was asked for, and what was answered where that is not all well.
fn name(row: &Value) -> String {
    let name = row["name"].as_str().unwrap_or_default();
    let statuses = row["statuses"].as_object().into_iter().flatten();
    let other = statuses.filter(|(status, _)| *status != "200");
    let other: Vec<String> =
        other.map(|(status, count)| format!("{count} times {status}")).collect();
    if other.is_empty() { name.to_owned() } else { format!("{name} ({})", other.join(", ")) }
}

fn answered(row: &Value) -> String {
    let times = &row["answered_ms"];
    format!("{} / {}", figure(&times["p50"], 1), figure(&times["p99"], 1))
}

/// Says whether the legs heard whom they should.
fn sound(server: &Value) -> String {
    let (sound, ticks) = (&server["sound"], &server["ticks"]);
    format!(
        "{} of {} checked ones right, {} of {} ticks over 20 ms late",
        sound["legs_right"], sound["legs_checked"], ticks["late_20_ms"], ticks["all"]
    )
}

/// Returns the names of the lists that take too long.
fn slow(requests: &Value) -> Vec<String> {
    let late = |row: &&Value| row["answered_ms"]["p99"].as_f64().is_none_or(|ms| ms > GOAL_MS);
    rows(requests).filter(late).map(name).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::moves;
    use super::*;

    fn row(rate: f64, p99: f64, statuses: &Value) -> Value {
        let answered = json!({ "p50": 1.0, "p99": p99 });
        json!({ "name": "lists", "per_second": rate, "answered_ms": answered, "statuses": statuses, "octets_each": 9 })
    }

    #[test]
    fn a_list_beyond_the_goal_and_what_was_refused_are_named() {
        let all_well = row(10.0, 19.9, &json!({ "200": 5 }));
        let refused = row(10.0, 20.1, &json!({ "200": 5, "404": 2 }));
        assert_eq!(slow(&json!([all_well, refused])), ["lists (2 times 404)"]);
    }

    #[test]
    fn the_ratio_beside_the_mock_is_what_moves() {
        let at = |rate: f64| {
            let ours = json!({ "requests": [row(rate, 1.0, &json!({}))] });
            let theirs = json!([row(100.0, 1.0, &json!({}))]);
            tables(&theirs, &ours, &json!({ "requests": [] }))
        };
        assert_eq!(moves(&at(200.0), &at(300.0)), ["   lists: 2 before, 3 now, +50 %"]);
    }
}
