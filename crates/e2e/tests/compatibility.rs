//! `docs/compatibility.md`, written from the one table, Twilio's description and nothing else; and whether the
//! table says what the code does. What tests send of it is looked at when all of them have run: `xtask/src/used.rs`.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use api::compatibility::{CALLBACKS, ELEMENTS, Element, Verdict, exceptions, is_built, parameter};
use e2e::OpenApi;

const PAGE: &str = "docs/compatibility.md";
/// What is written stands between these lines of the page.
const BEGIN: &str = "<!-- compatibility: written by `cargo xtask pages` -->\n";
const END: &str = "<!-- compatibility: end -->\n";

/// With `SIDETONE_WRITE` set, the page is written first.
#[test]
fn the_page_is_what_the_table_says() {
    let file = root().join(PAGE);
    let page = fs::read_to_string(&file).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let expected = format!("{before}{BEGIN}{}{END}{after}", written(OpenApi::read()));
    if std::env::var_os("SIDETONE_WRITE").is_some() {
        fs::write(&file, &expected).unwrap();
    } else {
        assert!(page == expected, "{PAGE} is out of date: `cargo xtask pages` writes it");
    }
}

#[test]
fn what_is_said_to_be_different_is_there_to_be_said_of() {
    let openapi = OpenApi::read();
    let all: Vec<(String, Vec<String>)> =
        operations(openapi).into_iter().map(|one| (one.key(), one.parameters)).collect();
    for (operation, name) in exceptions() {
        let known = all.iter().find(|(key, _)| key == operation);
        let (_, parameters) = known.unwrap_or_else(|| panic!("there is no {operation}"));
        assert!(parameters.iter().any(|one| one == name), "{operation} has no {name}");
        let (method, path) = operation.split_once(' ').unwrap();
        assert!(is_built(method, path), "{operation} is not built, and so has no exceptions");
    }
}

/// One operation of Twilio's description.
struct Operation {
    method: String,
    /// Without version, account and `.json`.
    path: String,
    parameters: Vec<String>,
}

impl Operation {
    fn key(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

fn operations(openapi: &OpenApi) -> Vec<Operation> {
    let mut all = Vec::new();
    for (template, methods) in openapi.paths() {
        let path = template.trim_start_matches("/2010-04-01/").trim_end_matches(".json");
        let path = path.strip_prefix("Accounts/{AccountSid}/").unwrap_or(path);
        let path = path.replace("Accounts/{Sid}", "Accounts/{AccountSid}");
        for method in methods {
            let parameters = openapi.parameters(&method, template);
            all.push(Operation { method, path: path.clone(), parameters });
        }
    }
    all.sort_by(|one, other| (&one.path, &one.method).cmp(&(&other.path, &other.method)));
    all
}

fn written(openapi: &OpenApi) -> String {
    let mut text = String::from("\n### Operations\n\n");
    text += &head("Operation, and its parameters that are");
    let (built, absent): (Vec<_>, Vec<_>) =
        operations(openapi).into_iter().partition(|one| is_built(&one.method, &one.path));
    for one in &built {
        let verdicts = one
            .parameters
            .iter()
            .map(|name| (name.as_str(), parameter(&one.method, &one.path, name)));
        text += &row(&one.key(), verdicts);
    }
    text += "\n### TwiML\n\n";
    text += &head("Verb or noun, and its attributes that are");
    for one in ELEMENTS.iter().filter(|one| one.verdict != Verdict::Not) {
        text += &row(&format!("TwiML {}", place(one)), attributes(one));
    }
    let absent_elements: Vec<String> = ELEMENTS
        .iter()
        .filter(|one| one.verdict == Verdict::Not)
        .map(|one| format!("`{}`", place(one)))
        .collect();
    let _ = writeln!(
        text,
        "\nNot there, and noted as such in the debugger log: {}.",
        absent_elements.join(", ")
    );
    text += "\n### Callbacks\n\nWhat is asked for a call has the fields of `callback call` beside its own.\n\n";
    text += &head("Request, and its fields that are");
    for one in CALLBACKS {
        let supported = one.supported.iter().map(|name| (*name, Verdict::Supported));
        let differs = one.differs.iter().map(|(name, how)| (*name, Verdict::Differs(how)));
        let not = one.not.iter().map(|name| (*name, Verdict::Not));
        text += &row(&format!("callback {}", one.name), supported.chain(differs).chain(not));
    }
    text += "\n## What is not there\n\nThese answer 501 with code 20501, and the message names the operation:\n\n";
    for one in &absent {
        let _ = writeln!(text, "- `{}`", one.key());
    }
    text + "\n"
}

fn head(first: &str) -> String {
    format!("| {first} | supported | different | not sent or ignored |\n|---|---|---|---|\n")
}

/// One line of a table. Checks read it again: names stand in backticks, and nothing else does.
fn row<'a>(key: &str, verdicts: impl Iterator<Item = (&'a str, Verdict)>) -> String {
    let (mut supported, mut not) = (Vec::new(), Vec::new());
    let mut differs: Vec<(&str, Vec<String>)> = Vec::new();
    for (name, verdict) in verdicts {
        let name = format!("`{name}`");
        match verdict {
            Verdict::Supported => supported.push(name),
            Verdict::Not => not.push(name),
            Verdict::Differs(how) => match differs.iter_mut().find(|(known, _)| *known == how) {
                Some((_, names)) => names.push(name),
                None => differs.push((how, vec![name])),
            },
        }
    }
    let differs: Vec<String> =
        differs.iter().map(|(how, names)| format!("{} ({how})", names.join(", "))).collect();
    format!(
        "| `{key}` | {} | {} | {} |\n",
        supported.join(", "),
        differs.join(", "),
        not.join(", ")
    )
}

fn place(element: &Element) -> String {
    let Element { within, name, .. } = element;
    if within.is_empty() { (*name).to_owned() } else { format!("{within}>{name}") }
}

fn attributes(element: &Element) -> impl Iterator<Item = (&'static str, Verdict)> {
    let supported = element.supported.iter().map(|name| (*name, Verdict::Supported));
    let differs = element.differs.iter().map(|(name, how)| (*name, Verdict::Differs(how)));
    supported.chain(differs).chain(element.not.iter().map(|name| (*name, Verdict::Not)))
}

#[test]
fn elements_and_attributes_are_read_as_the_table_says() {
    for element in ELEMENTS {
        let document = |attribute: &str| {
            let inner = format!("<{name} {attribute}>1</{name}>", name = element.name);
            let inner = match element.within {
                "" => inner,
                within => format!("<{within}>{inner}</{within}>"),
            };
            let parsed = twiml::parse(&format!("<Response>{inner}</Response>")).unwrap();
            let not_built =
                parsed.verbs.iter().any(|verb| matches!(verb, twiml::Verb::NotBuilt { .. }));
            let warnings: Vec<String> =
                parsed.warnings.iter().map(|warning| warning.message.clone()).collect();
            (!not_built && !warnings.iter().any(|told| told.contains("no verb")), warnings)
        };
        let there = element.verdict != Verdict::Not;
        assert_eq!(document("").0, there, "{}", place(element));
        for (name, verdict) in attributes(element).filter(|_| there) {
            let (_, warnings) = document(&format!("{name}='1'"));
            let unknown =
                warnings.iter().any(|told| told.ends_with(&format!("no attribute {name}")));
            assert!(!unknown || verdict == Verdict::Not, "{} {name}: {warnings:?}", place(element));
        }
        let (_, warnings) = document("colour='1'");
        let told = warnings.iter().any(|told| told.ends_with("no attribute colour"));
        assert!(told || !there || element.within == "Stop", "{}: {warnings:?}", place(element));
    }
}

#[test]
fn every_attribute_that_is_there_stands_in_a_test() {
    let tests = tests();
    let mut faults = Vec::new();
    for element in ELEMENTS {
        let tag = format!("<{}", element.name);
        let beside: Vec<&String> = tests.iter().filter(|text| text.contains(&tag)).collect();
        for (name, verdict) in attributes(element).filter(|(_, verdict)| *verdict != Verdict::Not) {
            let written = ["'", "\"", "\\\"", "{"].map(|quote| format!("{name}={quote}"));
            let stands = |text: &&&String| written.iter().any(|one| text.contains(one));
            if beside.iter().find(stands).is_none() {
                faults.push(format!("{} {name} ({verdict:?})", place(element)));
            }
        }
    }
    assert!(faults.is_empty(), "no test has\n{}", faults.join("\n"));
}

/// Returns the text of each file that tests are written in.
fn tests() -> Vec<String> {
    let mut texts = Vec::new();
    let mut folders = vec![root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if is_test(&path) {
                texts.push(fs::read_to_string(&path).unwrap_or_default());
            }
        }
    }
    texts
}

fn is_test(path: &Path) -> bool {
    let known = ["rs", "py", "js", "txt", "script"];
    let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
    let name = path.to_string_lossy();
    known.contains(&kind) && (name.contains("/tests") || name.contains("/sdk/"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}
