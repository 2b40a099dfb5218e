//! The same by chance: thousands of cases of each operation that is built, the operations dealt to as many
//! servers as there are cores.

use std::{fs, thread};

use serde_json::Value;

use super::{Place, adapted, description};
use crate::shell::Shell;

/// Cases of each operation.
const CASES: &str = "2000";
/// Operations that are tried on one server.
const FEW: usize = 4;
/// The page that lists what is not built, below this heading.
const PAGE: &str = "docs/compatibility.md";
const NOT_THERE: &str = "## What is not there";
/// Before every path of the description.
const BASE: &str = "/2010-04-01/Accounts/{AccountSid}/";

/// 2,000 cases of each operation that is built; of what is below a live conference, call and queue, there.
///
/// # Errors
/// One line for each server on which something was found; its log is named.
pub fn deep(shell: &Shell) -> Result<String, String> {
    shell.run(&["cargo", "build", "--release", "--locked", "--package", "sidetone"])?;
    let mut description = description(shell)?;
    adapted(&mut description);
    let page = fs::read_to_string(shell.path(PAGE)).map_err(|error| format!("{PAGE}: {error}"))?;
    let absent = not_there(&page);
    let built = only(&description, |method, path| !absent.contains(&spoken(method, path)));
    let hands = thread::available_parallelism().map_or(1, usize::from);
    let deal = |hand| only(&built, |method, path| hand_of(method, path, &built, hands) == hand);
    let parts: Vec<Value> = (0..hands).map(deal).collect();
    let found: Vec<String> = thread::scope(|scope| {
        let tried = |(hand, part)| scope.spawn(move || try_part(shell, hand, part));
        let running: Vec<_> = parts.iter().enumerate().map(tried).collect();
        let ended = running.into_iter().map(|one| one.join().expect("it does not panic"));
        ended.filter_map(Result::err).collect()
    });
    if !found.is_empty() {
        return Err(found.join("; "));
    }
    let operations: usize = parts.iter().map(|part| named(part).count()).sum();
    Ok(format!("{CASES} cases of each of {operations} operations"))
}

/// Tries a part of the operations, a few at a time, each few on a server of their own: lists stay short, and what
/// has been tried at this commit is not tried again where it ended early.
fn try_part(shell: &Shell, hand: usize, part: &Value) -> Result<(), String> {
    let folder = format!("target/schema/deep-{hand}");
    let mut place = Place::new(shell, "target/release/sidetone", &folder)?;
    let log = shell.path(&format!("{folder}/log"));
    let _ = fs::remove_file(&log);
    place.log = Some(log);
    let config = place.comes_to_life()?.config;
    let lives = |method: &str, path: &str| {
        let (as_path, as_name) = (format!("\"{path}\""), format!("\"POST {path}\""));
        method != "delete"
            && config.contains(&as_path)
            && !(method == "post" && config.contains(&as_name))
    };
    let (living, others): (Vec<_>, Vec<_>) =
        named(part).partition(|(method, path)| lives(method, path));
    let few = living.chunks(FEW).map(|few| (true, few));
    let few: Vec<_> = few.chain(others.chunks(FEW).map(|few| (false, few))).collect();
    let passed = shell.path(&format!("target/schema/passed-{hand}"));
    let commit = shell.output(&["git", "rev-parse", "HEAD"])?;
    let count = few.len();
    let mut found = None;
    for (number, (lives, few)) in few.into_iter().enumerate() {
        let names: Vec<String> = few.iter().map(|(method, path)| spoken(method, path)).collect();
        let line = format!("{} {CASES} {}", commit.trim(), names.join(", "));
        let known = fs::read_to_string(&passed).unwrap_or_default();
        if known.lines().any(|passed| passed == line) {
            continue;
        }
        println!("   {hand}: {} of {count}: {}", number + 1, names.join(", "));
        let these = only(part, |method, path| few.contains(&(method, path)));
        let cases = ["--phases", "fuzzing", "--max-examples", CASES];
        let tried = match lives {
            true => place.comes_to_life()?.tries(&these, &cases),
            false => place.tries(&these, &cases),
        };
        // What is found in one few keeps nobody from trying the rest.
        match tried {
            Ok(()) => fs::write(&passed, format!("{known}{line}\n")).map_err(|e| e.to_string())?,
            Err(error) => found = Some(error),
        }
    }
    found.map_or(Ok(()), Err)
}

/// Returns the operations that the page says are not there, as `GET Addresses/{Sid}`.
fn not_there(page: &str) -> Vec<String> {
    let below = page.lines().skip_while(|line| *line != NOT_THERE).skip(1);
    let listed = below.take_while(|line| !line.starts_with("## "));
    listed
        .filter_map(|line| line.strip_prefix("- `")?.strip_suffix('`'))
        .map(str::to_owned)
        .collect()
}

/// Says an operation as the page does.
fn spoken(method: &str, path: &str) -> String {
    let path = path.strip_prefix(BASE).unwrap_or(path);
    format!("{} {}", method.to_uppercase(), path.trim_end_matches(".json"))
}

/// Each operation of a description: its method and path.
fn named(description: &Value) -> impl Iterator<Item = (&str, &str)> {
    let paths = description["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, operations)| {
        let methods = operations.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        let methods = methods.filter(|key| ["get", "post", "delete"].contains(key));
        methods.map(|method| (method, path.as_str()))
    })
}

/// Operations are dealt one by one, in the order of the description.
fn hand_of(method: &str, path: &str, built: &Value, hands: usize) -> usize {
    named(built).position(|one| one == (method, path)).unwrap_or(0) % hands
}

/// Returns a description of those operations alone.
fn only(description: &Value, keep: impl Fn(&str, &str) -> bool) -> Value {
    let mut kept = description.clone();
    for (method, path) in named(description).filter(|(method, path)| !keep(method, path)) {
        let operations = &mut kept["paths"][path];
        operations.as_object_mut().map(|operations| operations.remove(method));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_page_says_is_not_there_is_left_out_and_the_rest_is_dealt() {
        let page = "# A\n- `GET Calls`\n## What is not there\n\nThese:\n\n- `GET Addresses`\n\n## More\n- `GET Keys`\n";
        assert_eq!(not_there(page), ["GET Addresses"]);
        let path = |name: &str| format!("{BASE}{name}.json");
        let description = json!({ "paths": {
            path("Addresses"): { "get": {}, "post": {}, "description": "words" },
            path("Keys"): { "get": {} },
        } });
        let absent = not_there(page);
        let built = only(&description, |method, path| !absent.contains(&spoken(method, path)));
        let (addresses, keys) = (path("Addresses"), path("Keys"));
        let left: Vec<_> = named(&built).collect();
        assert_eq!(left, [("post", addresses.as_str()), ("get", keys.as_str())]);
        let hands: Vec<_> =
            left.iter().map(|(method, path)| hand_of(method, path, &built, 2)).collect();
        assert_eq!(hands, [0, 1]);
    }
}
