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
    let (faults, counted, unnamed) = compared(&read(PAGE)?, &read(FILE)?);
    faults.iter().chain(&unnamed).for_each(|told| println!("   {told}"));
    match faults.len() {
        0 => Ok(format!(
            "{counted} parameters and fields; {} told that it does not name",
            unnamed.len()
        )),
        count => Err(format!("{count} of {counted} are not as {PAGE} says")),
    }
}

/// Returns what the page says otherwise, of how much it says something, and what is told that it does not name:
/// what a customer lets go along with a call is nobody's field.
fn compared(page: &str, used: &str) -> (Vec<String>, usize, Vec<String>) {
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
    let is_unnamed = |line: &&&str| {
        let name = line.rsplit(' ').next().unwrap_or_default();
        line.starts_with("callback ")
            && !told.contains(**line)
            && !told.contains(&format!("callback call {name}"))
    };
    let unnamed = used.iter().filter(is_unnamed).map(|line| (*line).to_owned()).collect();
    (faults, counted, unnamed)
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

    const ALL: &str = "POST Calls\nPOST Calls To\nPOST Calls From\nPOST Calls Byoc\nPOST Calls Region\n\
                       POST Calls CallToken ignored\ncallback call CallSid\n";

    #[track_caller]
    fn check(used: &str, expected: &[&str]) {
        let expected = expected.iter().map(|one| (*one).to_owned()).collect();
        assert_eq!(compared(PAGE, used), (expected, 6, Vec::new()));
    }

    #[test]
    fn what_no_test_sends_and_what_the_page_hides_is_found() {
        check(ALL, &[]);
        check(&ALL.replace("POST Calls From\n", ""), &["POST Calls From: no test sends it"]);
        let ignored = ALL.replace("POST Calls From\n", "POST Calls From ignored\n");
        check(&ignored, &["POST Calls From: it is read by nothing"]);
        let read = format!("{ALL}POST Calls CallToken\n");
        check(&read, &["POST Calls CallToken: said not to be there, and is"]);
        let refused = ALL.replace("POST Calls\n", "");
        check(&refused, &["POST Calls: no test has it answered by a success"]);
    }

    #[test]
    fn what_the_page_does_not_name_is_told() {
        let more = format!("{ALL}callback dial DialCallSid\ncallback dial CallSid\n");
        let (faults, _, unnamed) = compared(PAGE, &more);
        assert_eq!((faults, unnamed), (Vec::new(), vec!["callback dial DialCallSid".to_owned()]));
    }
}
