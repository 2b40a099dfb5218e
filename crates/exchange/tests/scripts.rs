//! Scripts: what happens to calls and conferences, and all that comes of it, line by line.
//!
//! Each file below `scripts/` holds some. A line that begins with `#` is a script's name, a sentence that
//! is true; then come lines that begin with a second of time or follow within it, each with the effects
//! that come of it, behind `>`. With `SIDETONE_BLESS=1` the effects are written anew, to be read.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test, which needs an epoch")]

mod player;

use std::path::Path;

#[test]
fn every_script_is_true() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let bless = std::env::var_os("SIDETONE_BLESS").is_some();
    let mut faults = Vec::new();
    let mut played = 0;
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().flatten().collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    for file in files {
        let text = std::fs::read_to_string(file.path()).unwrap();
        let mut blessed = String::new();
        for script in text.split("\n# ").map(|script| script.trim_start_matches("# ").trim()) {
            let (name, body) = script.split_once('\n').unwrap();
            played += 1;
            let Ok(seen) = std::panic::catch_unwind(|| player::play(body)) else {
                faults.push(format!("{name}\n  it broke what always holds, as said above"));
                blessed += &format!("# {name}\n{body}\n\n");
                continue;
            };
            blessed += &format!("# {name}\n{seen}\n\n");
            if seen != body {
                faults.push(format!("{name}\n{}", difference(body, &seen)));
            }
        }
        if bless {
            std::fs::write(file.path(), blessed.trim_end().to_owned() + "\n").unwrap();
        }
    }
    println!("{played} scripts");
    assert!(played >= 250, "scripts are missing");
    assert!(faults.is_empty() || bless, "{}", faults.join("\n\n"));
}

#[test]
fn as_many_failing_verbs_as_a_document_may_hold_nest_nowhere() {
    for (verb, times) in [("<Play>ftp://m/</Play>", 990), ("<Dial><Conference/></Dial>", 490)] {
        let seen = player::play(&format!("0s alice runs {}<Say>at last</Say>", verb.repeat(times)));
        assert_eq!(seen.lines().count(), times + 2, "{verb}");
        assert_eq!(seen.lines().last(), Some("    > alice hears speech"));
    }
}

/// Shows the first line that differs, with what led to it.
fn difference(wanted: &str, seen: &str) -> String {
    let (wanted, seen): (Vec<_>, Vec<_>) = (wanted.lines().collect(), seen.lines().collect());
    let at = wanted.iter().zip(&seen).take_while(|(w, s)| w == s).count();
    let led = seen[..at].join("\n  ");
    let (wanted, seen) = (wanted.get(at).unwrap_or(&"nothing"), seen.get(at).unwrap_or(&"nothing"));
    format!("  {led}\n  wanted: {wanted}\n  seen:   {seen}")
}
