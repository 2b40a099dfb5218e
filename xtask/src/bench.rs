//! The fixed set of loads, each beside its floor, that of requests, and the committed tables of
//! `docs/performance.md`.

mod api;
mod flame;
mod opus;
mod sound;

use std::fmt::Write;

use serde_json::Value;

use crate::shell::Shell;
use crate::start;

const PAGE: &str = "docs/performance.md";
/// A part of the bench, and where its tables stand in the page.
#[derive(Debug)]
pub struct Part {
    begin: &'static str,
    end: &'static str,
    /// Returns the tables and a remark.
    measure: fn(&Shell) -> Result<(String, String), String>,
    /// What it draws below `target`, and the page shows from beside it.
    pictures: &'static [Picture],
}

/// What is drawn; of a sweep over sizes, by these flags.
#[derive(Debug)]
struct Picture {
    file: &'static str,
    shows: &'static str,
    flags: &'static [&'static str],
}

const CALLS: Part = Part {
    begin: "<!-- bench: written by `cargo xtask bench --write` -->\n",
    end: "<!-- bench: end -->\n",
    measure: calls,
    pictures: PICTURES,
};
const REQUESTS: Part = Part {
    begin: "<!-- bench-api: written by `cargo xtask bench --api --write` -->\n",
    end: "<!-- bench-api: end -->\n",
    measure: api::measure,
    pictures: &[],
};
const SOUND: Part = Part {
    begin: "<!-- bench-sound: written by `cargo xtask bench --write` -->\n",
    end: "<!-- bench-sound: end -->\n",
    measure: sound::measure,
    pictures: &[],
};
const OPUS: Part = Part {
    begin: "<!-- bench-opus: written by `cargo xtask opus --write` -->\n",
    end: "<!-- bench-opus: end -->\n",
    measure: opus::measure,
    pictures: &[],
};
const FLAME: Part = Part {
    begin: "<!-- bench-flame: written by `cargo xtask flame` -->\n",
    end: "<!-- bench-flame: end -->\n",
    measure: flame::measure,
    pictures: flame::PICTURES,
};
/// Calls, requests, and what sound costs by itself.
pub const ALL: &[Part] = &[CALLS, REQUESTS, SOUND];
/// Requests.
pub const API: &[Part] = &[REQUESTS];
/// Opus by both libraries, side by side.
pub const SIDE_BY_SIDE: &[Part] = &[OPUS];
/// Where the loop spends its time.
pub const PROFILE: &[Part] = &[FLAME];

/// How often a load is tried whose generator itself had no time.
const TRIES: usize = 3;
/// The built binary.
const BINARY: &str = "target/release/sidetone";

/// One load of the set.
struct Case {
    name: &'static str,
    flags: &'static [&'static str],
    /// What is told of it.
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Carry,
    Change,
    Join,
    Churn,
}

const CASES: &[Case] = &[
    carry("100 legs, rooms of 4", &["--legs", "100", "--room-size", "4"]),
    carry("400 legs, rooms of 4", &["--legs", "400", "--room-size", "4"]),
    carry("400 legs, rooms of 2", &["--legs", "400", "--room-size", "2"]),
    carry("400 legs, rooms of 50", &["--legs", "400", "--room-size", "50"]),
    carry("1,000 legs, rooms of 4", &["--legs", "1000", "--room-size", "4"]),
    carry("250 legs, one room", &["--legs", "250", "--room-size", "250"]),
    carry("400 legs, rooms of 4, SRTP", &["--legs", "400", "--room-size", "4", "--srtp"]),
    carry(
        "400 legs, rooms of 4, SRTP, signalled by TLS",
        &["--legs", "400", "--room-size", "4", "--srtp", "--tls"],
    ),
    carry("100 legs, rooms of 4, G.722", &["--legs", "100", "--room-size", "4", "--codec", "g722"]),
    carry("100 legs, rooms of 4, Opus", &["--legs", "100", "--room-size", "4", "--codec", "opus"]),
    carry(
        "100 legs, rooms of 4, Opus, G.722 and G.711 together",
        &["--legs", "100", "--room-size", "4", "--codec", "opus,g722,pcmu"],
    ),
    carry(
        "250 legs, one room, Opus, 3 talkers, 50 joins a second",
        &[
            "--legs",
            "250",
            "--room-size",
            "250",
            "--codec",
            "opus",
            "--talkers",
            "3",
            "--joins",
            "50",
        ],
    ),
    carry(
        "20 legs, rooms of 4, Opus, all talking",
        &["--legs", "20", "--room-size", "4", "--codec", "opus", "--talkers", "4"],
    ),
    carry("1,000 waiting, each in a room of its own", &["--legs", "1000", "--waiting"]),
    carry("4,000 waiting, each in a room of its own", &["--legs", "4000", "--waiting"]),
    carry(
        "200 waiting, each in a room of its own, Opus",
        &["--legs", "200", "--waiting", "--codec", "opus"],
    ),
    carry(
        "400 legs, rooms of 4, 30 ms of jitter, 1 % lost",
        &["--legs", "400", "--room-size", "4", "--jitter", "30", "--loss", "1"],
    ),
    Case {
        name: "1,000 updates a second, 400 legs playing",
        flags: &["--legs", "400", "--room-size", "4", "--updates", "1000", "--for", "10s"],
        kind: Kind::Change,
    },
    Case {
        name: "1,000 updates a second, 1,000 legs playing",
        flags: &["--legs", "1000", "--room-size", "4", "--updates", "1000", "--for", "10s"],
        kind: Kind::Change,
    },
    Case {
        name: "2,000 updates a second, 1,000 legs playing",
        flags: &["--legs", "1000", "--room-size", "4", "--updates", "2000", "--for", "10s"],
        kind: Kind::Change,
    },
    Case {
        name: "joins, 1,000 legs",
        flags: &["--legs", "1000", "--room-size", "4", "--joins", "500", "--for", "2s"],
        kind: Kind::Join,
    },
    Case {
        name: "joins by TLS with SRTP, 400 legs",
        flags: &[
            "--legs",
            "400",
            "--room-size",
            "4",
            "--joins",
            "200",
            "--for",
            "2s",
            "--tls",
            "--srtp",
        ],
        kind: Kind::Join,
    },
    Case {
        name: "50 leave and come again a second, 400 legs",
        flags: &["--legs", "400", "--room-size", "4", "--churn", "50", "--for", "20s"],
        kind: Kind::Churn,
    },
];

const PICTURES: &[Picture] = &[
    Picture {
        file: "performance-g711.svg",
        shows: "Cost and delay by the number of legs, G.711 in rooms of 4",
        flags: &["--sweep", "50,100,200,400,700,1000,1500,2000"],
    },
    Picture {
        file: "performance-opus.svg",
        shows: "Cost and delay by the number of legs, Opus in rooms of 4",
        flags: &["--sweep", "10,20,40,70,100", "--codec", "opus"],
    },
];

const fn carry(name: &'static str, flags: &'static [&'static str]) -> Case {
    Case { name, flags, kind: Kind::Carry }
}

/// Runs these parts, says how each figure moved against the committed tables, and writes these if asked to.
///
/// # Errors
/// One line; no figure is one.
pub fn run(shell: &Shell, parts: &[Part], write: bool) -> Result<String, String> {
    shell.run(&["cargo", "build", "--release", "--locked", "--package", "sidetone"])?;
    let mut remarks = Vec::new();
    for part in parts {
        let (table, remark) = (part.measure)(shell)?;
        println!("\n{table}");
        let page = std::fs::read_to_string(shell.path(PAGE)).map_err(|error| error.to_string())?;
        let committed = part.between(&page).ok_or(format!("{PAGE} has no place for the table"))?;
        for line in moves(committed, &table) {
            println!("{line}");
        }
        if write {
            let (before, rest) = page.split_once(part.begin).unwrap_or_default();
            let after = rest.get(committed.len()..).unwrap_or_default();
            let page = [before, part.begin, &table, after].concat();
            std::fs::write(shell.path(PAGE), page).map_err(|error| error.to_string())?;
            for Picture { file, .. } in part.pictures {
                let (drawn, shown) =
                    (shell.path("target").join(file), shell.path("docs").join(file));
                std::fs::copy(drawn, shown).map_err(|error| format!("{file}: {error}"))?;
            }
        }
        remarks.push(remark);
    }
    remarks.extend(write.then(|| format!("{PAGE} written")));
    Ok(remarks.join("; "))
}

fn calls(shell: &Shell) -> Result<(String, String), String> {
    let folder = shell.path("target/bench-start");
    let [new, known] =
        start::ready_after(&shell.path(BINARY), &folder)?.map(|took| took.as_millis());
    let mut seen = Vec::new();
    for case in CASES {
        let mut line = vec![BINARY, "load", "--spawn", "--pin", "0", "-o", "json"];
        line.extend(case.flags);
        if case.kind == Kind::Carry {
            line.extend(["--for", "10s", "--floor"]);
        }
        seen.push((case, clean(|| told(shell, &line))?));
    }
    let mut table = table(&seen);
    for Picture { file, shows, flags } in PICTURES {
        let drawn = shell.path("target").join(file).display().to_string();
        let mut line = vec![BINARY, "load", "--spawn", "--pin", "0", "--for", "5s", "-o", "json"];
        line.extend(*flags);
        line.extend(["--plot", &drawn]);
        told(shell, &line)?;
        let _ = writeln!(table, "![{shows}]({file})\n");
    }
    let _ = writeln!(
        table,
        "`sidetone dev` listens {new} ms after its start in a new folder, {known} ms in one it knows.\n"
    );
    let unclean = seen.iter().filter(|(_, value)| !is_clean(value)).count();
    let remark = match unclean {
        0 => "all runs clean".to_owned(),
        count => format!("{count} of {} runs NOT CLEAN: the machine had no time", seen.len()),
    };
    Ok((table, remark))
}

/// Measures until a run is clean, or [`TRIES`] were not: then the last one tells.
fn clean(mut measure: impl FnMut() -> Result<Value, String>) -> Result<Value, String> {
    let mut value = measure()?;
    for _ in 1..TRIES {
        if is_clean(&value) {
            break;
        }
        println!("     not clean: once more");
        value = measure()?;
    }
    Ok(value)
}

fn is_clean(value: &Value) -> bool {
    let clean = |side: &str| value[side]["clean"] != Value::Bool(false);
    clean("server") && clean("floor")
}

/// Runs a load and returns what it tells.
fn told(shell: &Shell, line: &[&str]) -> Result<Value, String> {
    println!("   $ {}", line.join(" "));
    let text = shell.output(line)?;
    // What the server logged stands before it.
    let value = text.lines().find_map(|line| serde_json::from_str::<Value>(line).ok());
    let why = || format!("{}: {}", line.join(" "), text.lines().last().unwrap_or("no output"));
    value.filter(Value::is_object).ok_or_else(why)
}

impl Part {
    /// Returns what of the page is this part's.
    fn between<'a>(&self, page: &'a str) -> Option<&'a str> {
        let (_, rest) = page.split_once(self.begin)?;
        Some(rest.split_once(self.end)?.0)
    }
}

fn table(seen: &[(&Case, Value)]) -> String {
    let mut text = String::new();
    if let Some((_, value)) = seen.first() {
        let machine = &value["machine"];
        let _ = writeln!(
            text,
            "\nMachine: {} processors of {}; the server and the reflector bound to one of them. \
             \"no\" under clean: the generator itself had no time.\n",
            machine["processors"],
            machine["processor"].as_str().unwrap_or("an unknown kind"),
        );
    }
    text += "| Load | ms a leg-second | floor | ratio | KiB a leg | delay p50 / p99, ms | floor's | \
             ticks over 20 ms | legs right | clean |\n|---|---|---|---|---|---|---|---|---|---|\n";
    for (case, value) in seen.iter().filter(|(case, _)| case.kind == Kind::Carry) {
        let (server, floor) = (&value["server"], &value["floor"]);
        let delay = |side: &Value| {
            let delay = &side["delay_ms"];
            match delay["count"].as_u64() {
                // Nobody who could be timed talked.
                Some(0) => "-".to_owned(),
                _ => format!("{} / {}", figure(&delay["p50"], 1), figure(&delay["p99"], 1)),
            }
        };
        let cells = [
            case.name.to_owned(),
            figure(&server["cpu_ms_per_leg_second"], 3),
            figure(&floor["cpu_ms_per_leg_second"], 3),
            figure(&value["cpu_ratio"], 2),
            figure(&server["memory_kib_per_leg"], 0),
            delay(server),
            delay(floor),
            format!("{} of {}", server["ticks"]["late_20_ms"], server["ticks"]["all"]),
            right(server),
            (if is_clean(value) { "yes" } else { "no" }).to_owned(),
        ];
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text += "\n| Load | a second | p50 / p99, ms | of these | clean |\n|---|---|---|---|---|\n";
    for (case, value) in seen {
        let server = &value["server"];
        let (rate, times, remark) = match case.kind {
            Kind::Carry => continue,
            Kind::Change => {
                let updates = &server["updates"];
                (&updates["per_second"], &updates["answered_ms"], changed(updates))
            }
            Kind::Join => {
                let calls = &server["calls"];
                let remark = format!("INVITE to first packet; {} up", server["legs_up"]);
                (&calls["joins_per_second"], &calls["first_sound_ms"], remark)
            }
            Kind::Churn => {
                let (churn, [before, after]) = (&server["churn"], ["before", "after"]);
                let moved = |name: &str| {
                    format!(
                        "{} {name} before and {} after",
                        churn[before][name], churn[after][name]
                    )
                };
                let remark = format!(
                    "INVITE to first packet; {} came again; {}, {}; delay p99 {} and {} ms",
                    churn["answered_ms"]["count"],
                    moved("memory_kib").replace("memory_kib", "KiB"),
                    moved("sockets"),
                    figure(&churn[before]["delay_ms"]["p99"], 1),
                    figure(&churn[after]["delay_ms"]["p99"], 1),
                );
                (&churn["per_second"], &churn["first_sound_ms"], remark)
            }
        };
        let (p50, p99) = (figure(&times["p50"], 1), figure(&times["p99"], 1));
        let clean = if is_clean(value) { "yes" } else { "no" };
        let rate = figure(rate, 0);
        let _ = writeln!(text, "| {} | {rate} | {p50} / {p99} | {remark} | {clean} |", case.name);
    }
    text + "\n"
}

/// Says how many legs were right, and how many calls were not let in: no figure is of those.
fn right(server: &Value) -> String {
    let sound = &server["sound"];
    let refused = server["calls"]["refused"].as_object();
    let refused: u64 = refused.into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
    let right = format!("{} of {}", sound["legs_right"], sound["legs_checked"]);
    if refused == 0 { right } else { format!("{right}; {refused} refused") }
}

/// Says what became of changes.
fn changed(updates: &Value) -> String {
    let heard = &updates["heard_ms"];
    let (p50, p99) = (figure(&heard["p50"], 1), figure(&heard["p99"], 1));
    format!(
        "{} made, {} called back; request to first changed packet {p50} / {p99} ms, {} of {} not heard",
        updates["made"],
        updates["callbacks"],
        updates["unheard"],
        heard["count"].as_u64().unwrap_or(0) + updates["unheard"].as_u64().unwrap_or(0),
    )
}

fn figure(value: &Value, places: usize) -> String {
    value.as_f64().map_or("-".to_owned(), |figure| format!("{figure:.places$}"))
}

/// Says by how much the ratio of each load moved, or its rate.
fn moves(committed: &str, table: &str) -> Vec<String> {
    let before = figures(committed);
    let told = figures(table).into_iter().map(|(name, now)| {
        match before.iter().find(|(known, _)| *known == name) {
            Some((_, before)) if *before > 0.0 => {
                let percent = (now / before - 1.0) * 100.0;
                format!("   {name}: {before} before, {now} now, {percent:+.0} %")
            }
            _ => format!("   {name}: {now}, and nothing to compare with"),
        }
    });
    told.collect()
}

/// Returns the figure of each row that is compared: the ratio where there is a floor, the rate
/// otherwise.
fn figures(table: &str) -> Vec<(String, f64)> {
    let rows = table.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let figure = if cells.len() > 5 { cells.get(3) } else { cells.get(1) };
        Some((cells.first()?.to_string(), figure?.parse().ok()?))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn seen(cpu_ratio: f64, rate: f64) -> Vec<(&'static Case, Value)> {
        let carry = json!({ "cpu_ratio": cpu_ratio, "server": { "clean": true } });
        let join = json!({ "server": { "calls": { "joins_per_second": rate } } });
        let joins = CASES.iter().find(|case| case.kind == Kind::Join);
        vec![(&CASES[0], carry), (joins.expect("there is one"), join)]
    }

    #[test]
    fn a_table_tells_how_the_next_one_moved() {
        let lines = moves(&table(&seen(1.25, 400.0)), &table(&seen(1.5, 300.0)));
        assert_eq!(
            lines,
            [
                "   100 legs, rooms of 4: 1.25 before, 1.5 now, +20 %",
                "   joins, 1,000 legs: 400 before, 300 now, -25 %",
            ]
        );
        assert_eq!(moves("", &table(&seen(1.0, 1.0))).len(), 2);
    }

    #[test]
    fn the_page_keeps_what_is_not_ours() {
        let (begin, end) = (CALLS.begin, CALLS.end);
        let page = format!("before\n{begin}old\n{end}after\n");
        assert_eq!(CALLS.between(&page), Some("old\n"));
        assert_eq!(REQUESTS.between(&page), None);
        assert_eq!(CALLS.between("before\nafter\n"), None);
    }

    #[test]
    fn a_run_that_is_not_clean_is_tried_again_but_not_for_ever() {
        let run = |clean: bool, cpu: usize| json!({ "server": { "clean": clean, "cpu": cpu } });
        let tries = |clean_from: usize| {
            let mut tries = 0;
            let value = super::clean(|| {
                tries += 1;
                Ok(run(tries >= clean_from, tries))
            });
            (tries, value.unwrap()["server"]["cpu"].as_u64())
        };
        assert_eq!(tries(1), (1, Some(1)));
        assert_eq!(tries(2), (2, Some(2)));
        assert_eq!(tries(9), (TRIES, Some(TRIES as u64)));
        let failed = super::clean(|| Err("no such load".to_owned()));
        assert_eq!(failed, Err("no such load".to_owned()));
    }

    #[test]
    fn who_was_not_let_in_is_told_beside_who_was_right() {
        let server = |refused: Value| {
            json!({
                "sound": { "legs_right": 46, "legs_checked": 48 },
                "calls": { "refused": refused },
            })
        };
        assert_eq!(right(&server(json!({}))), "46 of 48");
        assert_eq!(right(&server(json!({ "503": 50, "486": 4 }))), "46 of 48; 54 refused");
    }

    #[test]
    fn one_late_generator_makes_a_run_unclean() {
        assert!(is_clean(&json!({ "server": { "clean": true }, "floor": null })));
        assert!(!is_clean(&json!({ "server": { "clean": true }, "floor": { "clean": false } })));
    }
}
