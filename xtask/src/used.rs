//! What tests have used of Twilio's API, against what `docs/compatibility.md` says that there is.

use std::collections::BTreeSet;

use crate::shell::Shell;

const PAGE: &str = "docs/compatibility.md";
/// Where servers and origins under test write what was used.
pub const FILE: &str = "target/used.txt";

/// Holds the page to what the tests sent, when all have run.
///
/// # Errors
/// One line; what was found stands above it.
pub fn check(shell: &Shell) -> Result<String, String> {
    let read = |name: &str| {
        std::fs::read_to_string(shell.path(name)).map_err(|error| format!("{name}: {error}"))
    };
    let (faults, counted) = compared(&read(PAGE)?, &read(FILE)?);
    faults.iter().for_each(|fault| println!("   {fault}"));
    match faults.len() {
        0 => Ok(format!("{counted} parameters and fields")),
        count => Err(format!("{count} of {counted} are not as {PAGE} says")),
    }
}

/// Returns what the page says otherwise, and of how much it says something.
fn compared(page: &str, used: &str) -> (Vec<String>, usize) {
    let used: BTreeSet<&str> = used.lines().collect();
    let (mut faults, mut counted, mut told) = (Vec::new(), 0, BTreeSet::new());
    for line in page.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let [key, supported, differs, not] = cells[..] else { continue };
        let Some(key) = names(key).into_iter().next().filter(|key| is_checked(key)) else {
            continue;
        };
        if !key.starts_with("callback ") && !used.contains(key) {
            faults.push(format!("{key}: no test has it answered by a success"));
        }
        for name in names(supported).into_iter().chain(names(differs)) {
            counted += 1;
            told.insert(format!("{key} {name}"));
            let line = format!("{key} {name}");
            if !used.contains(line.as_str()) {
                let ignored = used.contains(format!("{line} ignored").as_str());
                let why = if ignored { "it is read by nothing" } else { "no test sends it" };
                faults.push(format!("{line}: {why}"));
            }
        }
        for name in names(not) {
            counted += 1;
            if used.contains(format!("{key} {name}").as_str()) {
                faults.push(format!("{key} {name}: said not to be there, and is"));
            }
        }
    }
    // A field that is sent has a place on the page: its own kind's, or that of every call.
    for line in used.iter().filter(|line| line.starts_with("callback ")) {
        let name = line.rsplit(' ').next().unwrap_or_default();
        if !told.contains(*line) && !told.contains(&format!("callback call {name}")) {
            faults.push(format!("{line}: it is told, and the page does not say so"));
        }
    }
    (faults, counted)
}

/// Whether a row is of an operation or a callback.
fn is_checked(key: &str) -> bool {
    let first = key.split(' ').next().unwrap_or_default();
    key.contains(' ') && ["GET", "POST", "DELETE", "callback"].contains(&first)
}

/// Returns what stands in backticks.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "| Operation | supported | different | ignored |\n|---|---|---|---|\n\
        | `POST Calls` | `To`, `From` | `Byoc`, `Region` (kept) | `CallToken` |\n\
        | `callback call` | `CallSid` |  |  |\n| `TwiML Dial` | `action` |  |  |\n";

    #[track_caller]
    fn check(used: &str, expected: &[&str]) {
        assert_eq!(
            compared(PAGE, used),
            (expected.iter().map(|one| (*one).to_owned()).collect(), 6)
        );
    }

    #[test]
    fn what_no_test_sends_and_what_the_page_hides_is_found() {
        const ALL: &str = "POST Calls\nPOST Calls To\nPOST Calls From\nPOST Calls Byoc\nPOST Calls Region\n\
                           POST Calls CallToken ignored\ncallback call CallSid\n";
        check(ALL, &[]);
        check(&ALL.replace("POST Calls From\n", ""), &["POST Calls From: no test sends it"]);
        let ignored = ALL.replace("POST Calls From\n", "POST Calls From ignored\n");
        check(&ignored, &["POST Calls From: it is read by nothing"]);
        let read = format!("{ALL}POST Calls CallToken\n");
        check(&read, &["POST Calls CallToken: said not to be there, and is"]);
        let refused = ALL.replace("POST Calls\n", "");
        check(&refused, &["POST Calls: no test has it answered by a success"]);
        let more = format!("{ALL}callback dial DialCallSid\ncallback dial CallSid\n");
        check(&more, &["callback dial DialCallSid: it is told, and the page does not say so"]);
    }
}
