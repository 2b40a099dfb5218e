//! Opus in Rust and by its reference library: what both cost, and how both sound.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::{BINARY, clean, figure, figures, is_clean, right, told};
use crate::shell::Shell;

/// The libraries, and how each is asked for. The default is built last, so that it is what stays.
const LIBRARIES: [Library; 2] =
    [Library { name: "libopus", feature: true }, Library { name: "ropus", feature: false }];
/// How often each is measured, in turn with the other: others may disturb.
const ROUNDS: usize = 5;
/// What the server is loaded with, and how often.
const LOAD: [&str; 8] = ["--legs", "40", "--room-size", "4", "--codec", "opus", "--for", "5s"];
const LOADS: usize = 3;
/// Where what was built is kept.
const FOLDER: &str = "target/opus";

struct Library {
    name: &'static str,
    feature: bool,
}

/// What was measured of a library.
#[derive(Debug, Default, PartialEq)]
struct Measured {
    /// Microseconds for a tick in each part, the least of all rounds, in the order in which they were told.
    parts: Vec<(String, f64)>,
    /// What each load told, the cheapest first.
    loads: Vec<Value>,
    /// What PESQ takes speech for, by trial.
    opinions: BTreeMap<String, f64>,
    /// The kbit/s of that speech, without repetition and with it.
    kilobits: Vec<f64>,
}

/// Builds both, and measures each in turn with the other.
///
/// # Errors
/// One line, when one cannot be built or its speech is worse than its test allows.
pub fn measure(shell: &Shell) -> Result<(String, String), String> {
    let folder = shell.path(FOLDER);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{FOLDER}: {error}"))?;
    for library in &LIBRARIES {
        library.build(shell, "sidetone", &[], BINARY, "sidetone")?;
        library.build(
            shell,
            "media",
            &["--example", "cost"],
            "target/release/examples/cost",
            "cost",
        )?;
    }
    let mut measured = LIBRARIES.each_ref().map(|_| Measured::default());
    for _ in 0..ROUNDS {
        for (library, measured) in LIBRARIES.iter().zip(&mut measured) {
            measured.add_parts(&shell.output(&[&library.built("cost"), "opus"])?);
        }
    }
    let mut machine = Value::Null;
    for _ in 0..LOADS {
        for (library, measured) in LIBRARIES.iter().zip(&mut measured) {
            let binary = library.built("sidetone");
            let line = [&[&binary, "load", "--spawn", "-o", "json"], &LOAD[..]].concat();
            let value = clean(|| told(shell, &line))?;
            machine = value["machine"].clone();
            measured.add_load(value);
        }
    }
    for (library, measured) in LIBRARIES.iter().zip(&mut measured) {
        let line = ["env", "SIDETONE_DEEP=1", "cargo", "test", "--workspace", "--locked"];
        let feature = library.flags("e2e");
        let test = ["--test", "impaired", "either_library", "--", "--nocapture"];
        let line = [&line[..], feature, &test].concat();
        println!("   $ {}", line.join(" "));
        let text = shell.output(&line)?;
        measured.add_opinions(&text);
        if !text.contains("test result: ok") || measured.kilobits.len() != 2 {
            println!("{text}");
            return Err(format!("`{}` failed", line.join(" ")));
        }
    }
    let [library, rust] = &measured;
    let remark = format!(
        "the server with {} takes {:.2} of its time with {}",
        LIBRARIES[0].name,
        library.leg() / rust.leg(),
        LIBRARIES[1].name
    );
    Ok((table(&machine, rust, library), remark))
}

impl Library {
    /// Returns the flags by which a crate is built with it.
    fn flags(&self, package: &str) -> &'static [&'static str] {
        match (self.feature, package) {
            (false, _) => &[],
            (true, "e2e") => &["--features", "e2e/libopus"],
            (true, _) => &["--features", "libopus"],
        }
    }

    /// Where a program that was built with it is kept.
    fn built(&self, program: &str) -> String {
        format!("{FOLDER}/{program}-{}", self.name)
    }

    fn build(
        &self,
        shell: &Shell,
        package: &str,
        what: &[&str],
        made: &str,
        kept: &str,
    ) -> Result<(), String> {
        let line = ["cargo", "build", "--release", "--locked", "--package", package];
        shell.run(&[&line[..], what, self.flags(package)].concat())?;
        let kept = self.built(kept);
        std::fs::copy(shell.path(made), shell.path(&kept))
            .map_err(|error| format!("{kept}: {error}"))?;
        Ok(())
    }
}

impl Measured {
    /// Takes the rows of the example `cost`, and keeps the least of each.
    fn add_parts(&mut self, rows: &str) {
        for (name, cost) in figures(rows) {
            match self.parts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, least)) => *least = least.min(cost),
                None => self.parts.push((name, cost)),
            }
        }
    }

    fn add_load(&mut self, value: Value) {
        self.loads.push(value);
        self.loads.sort_by(|one, other| of_a_leg(one).total_cmp(&of_a_leg(other)));
    }

    /// Returns the median of the loads.
    fn load(&self) -> &Value {
        self.loads.get(self.loads.len() / 2).unwrap_or(&Value::Null)
    }

    /// Returns the milliseconds of the server's processor for a second of a leg.
    fn leg(&self) -> f64 {
        of_a_leg(self.load())
    }

    /// Takes what the test prints: a line for each library and sort of packet, and one for each trial.
    fn add_opinions(&mut self, text: &str) {
        for line in text.lines() {
            if let Some(rate) =
                line.strip_suffix(" kbit/s:").and_then(|line| line.rsplit(' ').next())
            {
                self.kilobits.extend(rate.parse::<f64>());
            } else if let Some((trial, opinion)) =
                line.strip_prefix("Once ").and_then(|line| line.rsplit_once(": "))
            {
                let trial = trial.split(" in bursts").next().unwrap_or(trial);
                self.opinions.extend(opinion.parse().map(|opinion| (trial.to_owned(), opinion)));
            }
        }
    }

    fn opinion(&self, codec: &str, loss: &str) -> String {
        let known = self.opinions.get(&format!("{codec}, {loss} %"));
        known.map_or("-".to_owned(), |opinion| format!("{opinion:.2}"))
    }
}

fn of_a_leg(load: &Value) -> f64 {
    load["server"]["cpu_ms_per_leg_second"].as_f64().unwrap_or(f64::NAN)
}

fn table(machine: &Value, rust: &Measured, library: &Measured) -> String {
    let mut text = format!(
        "\nMachine: {} processors of {}; of each part the least of {ROUNDS} rounds in turn, of the server the median of {LOADS}.\n\n\
         | Microseconds a tick | ropus | libopus | ratio |\n|---|---|---|---|\n",
        machine["processors"],
        machine["processor"].as_str().unwrap_or("an unknown kind"),
    );
    for (name, own) in &rust.parts {
        let Some((_, other)) = library.parts.iter().find(|(known, _)| known == name) else {
            continue;
        };
        let _ = writeln!(text, "| {name} | {own:.1} | {other:.1} | {:.2} |", other / own);
    }
    text += "\n| The server, 40 legs in rooms of 4, two of each talking | ropus | libopus | ratio |\n\
             |---|---|---|---|\n";
    let (own, other) = (rust.leg(), library.leg());
    let _ = writeln!(text, "| ms a leg-second | {own:.2} | {other:.2} | {:.2} |", other / own);
    let (own, other) = (rust.load(), library.load());
    let late = |load: &Value| {
        let ticks = &load["server"]["ticks"];
        format!("{} of {}", ticks["late_20_ms"], ticks["all"])
    };
    let is_clean = |load: &Value| if is_clean(load) { "yes" } else { "no" };
    let memory = |load: &Value| figure(&load["server"]["memory_kib_per_leg"], 0);
    let right = |load: &Value| right(&load["server"]);
    for (name, own, other) in [
        ("KiB a leg", memory(own), memory(other)),
        ("legs right", right(own), right(other)),
        ("ticks over 20 ms", late(own), late(other)),
        ("clean", is_clean(own).to_owned(), is_clean(other).to_owned()),
    ] {
        let _ = writeln!(text, "| {name} | {own} | {other} | |");
    }
    text += "\n| Packets lost, each by itself | ropus | libopus | ropus with FEC | libopus with FEC |\n|---|---|---|---|---|\n";
    for loss in ["0", "3", "5", "10"] {
        let name = if loss == "0" { "none".to_owned() } else { format!("{loss} %") };
        let _ = write!(text, "| {name} |");
        for codec in ["Opus", "Opus with FEC"] {
            for measured in [rust, library] {
                let _ = write!(text, " {} |", measured.opinion(codec, loss));
            }
        }
        text.push('\n');
    }
    let rate = |measured: &Measured, fec: usize| {
        measured.kilobits.get(fec).map_or("-".to_owned(), |rate| format!("{rate:.1}"))
    };
    let _ = writeln!(
        text,
        "| kbit/s of that speech | {} | {} | {} | {} |\n",
        rate(rust, 0),
        rate(library, 0),
        rate(rust, 1),
        rate(library, 1)
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_least_of_each_part_counts_and_the_median_of_the_server() {
        let mut measured = Measured::default();
        for rows in [
            "| Part | microseconds a tick |\n|---|---|\n| encode | 3.50 |\n| decode | 2.00 |\n",
            "| encode | 3.25 |\n",
        ] {
            measured.add_parts(rows);
        }
        assert_eq!(measured.parts, [("encode".to_owned(), 3.25), ("decode".to_owned(), 2.0)]);
        for cost in [9.0, 4.0, 5.0] {
            measured.add_load(json!({ "server": { "cpu_ms_per_leg_second": cost } }));
        }
        assert_eq!(measured.leg(), 5.0);
    }

    #[test]
    fn what_the_test_prints_becomes_a_row_for_each_loss() {
        let said = |rust: &str| {
            let mut measured = Measured::default();
            measured.add_opinions(&format!(
                "running 1 test\nby {rust}, 31.5 kbit/s:\nOnce Opus, 5 % in bursts of 1, 0 ms: 2.46\n\n\
                 by {rust}, 50.0 kbit/s:\nOnce Opus with FEC, 5 % in bursts of 1, 0 ms: 3.79\n"
            ));
            measured
        };
        let table = table(&Value::Null, &said("ropus"), &said("libopus"));
        assert!(table.contains("| 5 % | 2.46 | 2.46 | 3.79 | 3.79 |\n"), "{table}");
        assert!(table.contains("| 10 % | - | - | - | - |\n"), "{table}");
        assert!(table.contains("| 31.5 | 31.5 | 50.0 | 50.0 |\n"), "{table}");
    }
}
