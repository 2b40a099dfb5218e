//! The rules of the house that the compiler does not know: which crate may depend on which, what
//! keeps the pure crates pure, and how long a file may grow.
//!
//! Each rule is a function from text to faults, so that the tests below can show it a broken house
//! as well as this one.

use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

/// Most lines in one source file, tests included.
const LINES_MAX: usize = 600;

/// Files that were longer before the rule was: each may shrink, none may grow, and one that has come
/// down to [`LINES_MAX`] leaves the list.
const LONG_ALREADY: &[(&str, usize)] = &[];

/// Which of the two halves below `node` a crate belongs to; they meet in `node` alone.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Half {
    /// Knows Twilio's nouns and rules, and nothing of RTP or SIP.
    Twilio,
    /// Knows RTP and SIP, and nothing of Twilio.
    Wire,
    /// `node` and what stands on it.
    Both,
}

/// Where a crate stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    name: &'static str,
    floor: u8,
    half: Half,
    /// Reads no clock, socket, file or database.
    pure: bool,
}

const fn pure(name: &'static str, floor: u8, half: Half) -> Place {
    Place { name, floor, half, pure: true }
}

const fn acts(name: &'static str, floor: u8, half: Half) -> Place {
    Place { name, floor, half, pure: false }
}

/// Every crate of the workspace and its floor. Arrows run down only, never to a sibling.
const HOUSE: &[Place] = &[
    pure("model", 1, Half::Twilio),
    pure("media", 1, Half::Wire),
    pure("sip", 1, Half::Wire),
    acts("sound", 1, Half::Wire), // Opens no file, but has no `clippy.toml` that would hold it to that.
    pure("twiml", 2, Half::Twilio),
    acts("store", 2, Half::Twilio),
    acts("webhook", 2, Half::Twilio),
    pure("webrtc", 2, Half::Wire),
    acts("voice", 2, Half::Wire),
    pure("exchange", 3, Half::Twilio),
    acts("node", 4, Half::Both),
    acts("api", 5, Half::Both),
    acts("console", 5, Half::Both),
    acts("sim", 5, Half::Both),
    acts("sidetone", 6, Half::Both), // The crate `cli`: the package has the binary's name.
    acts("e2e", 7, Half::Both),
    acts("fuzz", 7, Half::Both),
    acts("xtask", 7, Half::Both),
];

/// Crates that bring a runtime, a socket, a file or a database; no pure crate lists one.
const ACTING_CRATES: &[&str] = &[
    "async-std",
    "axum",
    "diesel",
    "hyper",
    "hyper-util",
    "mio",
    "notify",
    "postgres",
    "quinn",
    "reqwest",
    "rusqlite",
    "smol",
    "socket2",
    "sqlx",
    "tempfile",
    "tokio",
    "tokio-postgres",
    "tower",
    "ureq",
];

/// What a pure crate's `clippy.toml` must ban.
const BANNED_CALLS: &[&str] =
    &["std::time::Instant::now", "std::time::SystemTime::now", "std::collections::HashMap::iter"];

/// Files of an acting crate that are pure all the same: whole nodes are played from them.
const PURE_FILES: &[&str] = &["crates/node/src/core.rs", "crates/node/src/dispatch.rs"];

/// Words that do not stand in a pure file.
const ACTING_WORDS: &[&str] =
    &["tokio", "Instant::now", "SystemTime", "UdpSocket", "thread::", "std::fs", "from_os_rng"];

#[test]
fn every_arrow_runs_down() {
    let faults: Vec<String> = manifests().iter().flat_map(|(_, text)| arrow_faults(text)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    let faults: Vec<String> = manifests().iter().flat_map(|(_, text)| lint_faults(text)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let root = table(&read(&root().join("Cargo.toml")));
    assert_eq!(root["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
}

#[test]
fn every_pure_crate_bans_clocks_and_unordered_maps() {
    for (folder, text) in manifests() {
        if place(&package(&table(&text))).is_some_and(|place| place.pure) {
            let bans = fs::read_to_string(folder.join("clippy.toml")).unwrap_or_default();
            let faults = ban_faults(&bans);
            assert!(faults.is_empty(), "{}/clippy.toml: {}", folder.display(), faults.join(", "));
        }
    }
}

#[test]
fn no_file_passes_600_lines() {
    let mut faults = Vec::new();
    for folder in ["crates", "xtask", "fuzz"] {
        for file in sources(&root().join(folder)) {
            let name = file.strip_prefix(root()).expect("it was found there").display().to_string();
            faults.extend(length_fault(&name, read(&file).lines().count()));
        }
    }
    for (name, _) in LONG_ALREADY {
        if !root().join(name).exists() {
            faults.push(format!("{name} is gone: take it off LONG_ALREADY"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_pure_file_acts() {
    let faults: Vec<String> =
        PURE_FILES.iter().flat_map(|name| acting_faults(name, &read(&root().join(name)))).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn an_arrow_up_is_a_fault() {
    check("media", "dependencies", "node", "media (floor 1) depends on node (floor 4)");
    check("exchange", "dependencies", "api", "exchange (floor 3) depends on api (floor 5)");
}

#[test]
fn an_arrow_up_is_a_fault_in_tests_and_build_scripts_and_for_one_target_as_well() {
    check("node", "dev-dependencies", "sim", "node (floor 4) depends on sim (floor 5)");
    check("sip", "build-dependencies", "sidetone", "sip (floor 1) depends on sidetone (floor 6)");
    check("store", "target.'cfg(unix)'.dependencies", "api", "store (floor 2) depends on api");
}

#[test]
fn an_arrow_to_a_sibling_is_a_fault() {
    check("api", "dependencies", "sim", "api (floor 5) depends on sim (floor 5)");
    check("store", "dependencies", "webhook", "store (floor 2) depends on webhook (floor 2)");
}

#[test]
fn an_arrow_between_the_halves_is_a_fault() {
    check("exchange", "dependencies", "media", "exchange (Twilio's half) depends on media");
    check("webrtc", "dependencies", "model", "webrtc (the wire's half) depends on model");
}

#[test]
fn a_pure_crate_that_acts_is_a_fault() {
    check("exchange", "dependencies", "store", "exchange is pure and depends on store");
    check("sip", "dependencies", "tokio", "sip is pure and depends on tokio");
}

#[test]
fn a_renamed_dependency_is_seen_under_its_own_name() {
    let text =
        "[package]\nname = \"sip\"\n[dependencies]\nroom = { package = \"node\", path = \"x\" }";
    assert_eq!(arrow_faults(text)[0], "sip (floor 1) depends on node (floor 4)");
}

#[test]
fn a_crate_without_a_floor_is_a_fault() {
    let faults = arrow_faults("[package]\nname = \"attic\"");
    assert_eq!(faults, ["attic has no floor: give it one in HOUSE"]);
}

#[test]
fn arrows_down_are_no_faults() {
    for (name, dependency) in [
        ("exchange", "twiml"),
        ("node", "media"),
        ("sidetone", "sim"),
        ("e2e", "sidetone"),
        ("sip", "url"),
    ] {
        assert_eq!(arrow_faults(&manifest(name, "dependencies", dependency)), [""; 0]);
    }
}

#[test]
fn a_crate_without_the_lints_is_a_fault() {
    assert_eq!(lint_faults("[package]\nname = \"sip\"").len(), 1);
    assert_eq!(lint_faults("[package]\nname = \"sip\"\n[lints]\nworkspace = true"), [""; 0]);
}

#[test]
fn a_missing_ban_is_a_fault() {
    assert_eq!(ban_faults(""), BANNED_CALLS);
    let bans = "disallowed-methods = [{ path = \"std::time::Instant::now\" }]";
    assert_eq!(ban_faults(bans), &BANNED_CALLS[1..]);
}

#[test]
fn a_pure_file_that_acts_is_a_fault() {
    assert_eq!(acting_faults("core.rs", "use tokio::time;").len(), 1);
    assert_eq!(acting_faults("core.rs", "let at = now.instant;"), [""; 0]);
}

#[test]
fn a_long_file_is_a_fault_and_a_listed_one_may_only_shrink() {
    assert_eq!(length_fault("crates/sip/src/lib.rs", LINES_MAX), None);
    assert!(length_fault("crates/sip/src/lib.rs", LINES_MAX + 1).is_some());
    let (name, lines) = ("a.rs", 700);
    assert_eq!(listed_fault(name, lines, lines), None);
    assert_eq!(listed_fault(name, lines, lines - 1), None);
    assert!(listed_fault(name, lines, lines + 1).is_some());
    assert!(listed_fault(name, lines, LINES_MAX).is_some());
}

/// Looks for `fault`, by its beginning, in a manifest where `name` depends on `dependency`.
#[track_caller]
fn check(name: &str, section: &str, dependency: &str, fault: &str) {
    let faults = arrow_faults(&manifest(name, section, dependency));
    assert!(faults.iter().any(|found| found.starts_with(fault)), "{faults:?}");
}

fn manifest(name: &str, section: &str, dependency: &str) -> String {
    format!("[package]\nname = \"{name}\"\n[{section}]\n{dependency}.workspace = true\n")
}

/// Says what is wrong with the dependencies of one manifest.
fn arrow_faults(text: &str) -> Vec<String> {
    let manifest = table(text);
    let name = package(&manifest);
    let Some(own) = place(&name) else {
        return vec![format!("{name} has no floor: give it one in HOUSE")];
    };
    let mut faults = Vec::new();
    for dependency in dependencies(&manifest) {
        let Some(other) = place(&dependency) else {
            if own.pure && ACTING_CRATES.contains(&dependency.as_str()) {
                faults.push(format!("{name} is pure and depends on {dependency}"));
            }
            continue;
        };
        if other.floor >= own.floor {
            let (up, down) = (other.floor, own.floor);
            faults.push(format!("{name} (floor {down}) depends on {dependency} (floor {up})"));
        }
        if own.half != Half::Both && other.half != own.half && other.half != Half::Both {
            let half = if own.half == Half::Wire { "the wire's" } else { "Twilio's" };
            faults.push(format!("{name} ({half} half) depends on {dependency}"));
        }
        if own.pure && !other.pure {
            faults.push(format!("{name} is pure and depends on {dependency}, which acts"));
        }
    }
    faults
}

/// Returns the names of all that a manifest depends on: plain, dev, build and for one target.
fn dependencies(manifest: &Table) -> Vec<String> {
    const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let targets = manifest.get("target").and_then(|target| target.as_table());
    let targets = targets.into_iter().flat_map(|all| all.values()).filter_map(|one| one.as_table());
    let mut names = Vec::new();
    for part in std::iter::once(manifest).chain(targets) {
        for kind in KINDS {
            for (key, value) in part.get(kind).and_then(|it| it.as_table()).into_iter().flatten() {
                let package = value.get("package").and_then(|package| package.as_str());
                names.push(package.unwrap_or(key).to_owned());
            }
        }
    }
    names
}

/// Says whether a manifest leaves out the lints of the workspace.
fn lint_faults(text: &str) -> Vec<String> {
    let manifest = table(text);
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    if lints.and_then(|workspace| workspace.as_bool()) == Some(true) {
        return Vec::new();
    }
    vec![format!("{}: add [lints] workspace = true", package(&manifest))]
}

/// Returns the calls that a pure crate's `clippy.toml` fails to ban.
fn ban_faults(text: &str) -> Vec<&'static str> {
    let bans = table(text);
    let bans = bans.get("disallowed-methods").and_then(|bans| bans.as_array());
    let banned = |call: &str| {
        bans.into_iter().flatten().any(|ban| {
            ban.as_str().or_else(|| ban.get("path").and_then(|path| path.as_str())) == Some(call)
        })
    };
    BANNED_CALLS.iter().copied().filter(|call| !banned(call)).collect()
}

/// Says which acting words stand in a pure file.
fn acting_faults(name: &str, text: &str) -> Vec<String> {
    let words = ACTING_WORDS.iter().filter(|word| text.contains(**word));
    words.map(|word| format!("{name} is pure and has the word {word}")).collect()
}

/// Says whether a file of `lines` lines is too long.
fn length_fault(name: &str, lines: usize) -> Option<String> {
    match LONG_ALREADY.iter().find(|(listed, _)| *listed == name) {
        Some((_, allowed)) => listed_fault(name, *allowed, lines),
        None if lines > LINES_MAX => Some(format!("{name}: {lines} lines, at most {LINES_MAX}")),
        None => None,
    }
}

fn listed_fault(name: &str, allowed: usize, lines: usize) -> Option<String> {
    if lines > allowed {
        return Some(format!("{name}: {lines} lines, it had {allowed} and may only shrink"));
    }
    (lines <= LINES_MAX).then(|| format!("{name}: {lines} lines: take it off LONG_ALREADY"))
}

fn place(name: &str) -> Option<Place> {
    HOUSE.iter().copied().find(|place| place.name == name)
}

fn package(manifest: &Table) -> String {
    manifest["package"]["name"].as_str().expect("a package has a name").to_owned()
}

#[track_caller]
fn table(text: &str) -> Table {
    text.parse().expect("a manifest is TOML")
}

/// Returns the folder and the manifest of every member of the workspace.
fn manifests() -> Vec<(PathBuf, String)> {
    let mut folders: Vec<PathBuf> = entries(&root().join("crates"));
    folders.extend(["fuzz", "xtask"].map(|folder| root().join(folder)));
    folders.retain(|folder| folder.join("Cargo.toml").exists());
    assert!(folders.len() > 2, "the crates are where they were");
    folders.into_iter().map(|folder| (folder.clone(), read(&folder.join("Cargo.toml")))).collect()
}

/// Returns every `.rs` file below `folder`, build output left out.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in entries(&folder) {
            if entry.is_dir() && !entry.ends_with("target") {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                found.push(entry);
            }
        }
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut entries: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    entries.sort();
    entries
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/e2e").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_code_of_the_api_is_explained() {
    let source = read(&root().join("crates/api/src/error.rs"));
    let table = read(&root().join("docs/errors.md"));
    let table = table.split("## What the debugger log holds").next().unwrap_or_default();
    let coded = source.lines().filter_map(|line| line.trim().strip_prefix("pub const "));
    let codes: Vec<&str> =
        coded.filter_map(|line| line.split_once("u32 = ")?.1.strip_suffix(';')).collect();
    assert!(codes.len() > 20, "the table of codes was not found");
    let explained: Vec<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()).collect();
    for code in &codes {
        assert!(explained.contains(code), "docs/errors.md does not explain {code}");
    }
    for code in explained.iter().filter(|code| code.parse::<u32>().is_ok()) {
        assert!(codes.contains(code), "docs/errors.md explains {code}, which is never answered");
    }
}
