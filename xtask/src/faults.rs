//! Planted faults: each is put into a copy of the tree, and the test that must fail is run there.
//!
//! The copy and what is built from it lie in `target/faults`; the tree itself is not touched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, io};

use crate::planted::FAULTS;
use crate::shell::Shell;

/// Where the copy lies, and what is built from it.
const TREE: &str = "target/faults/tree";
const BUILT: &str = "target/faults/target";

/// One fault, and who must notice it.
#[derive(Debug)]
pub struct Fault {
    /// What it does, for people.
    pub name: &'static str,
    /// The file that it is in, from the root of the repository.
    pub file: &'static str,
    /// What is there, exactly once.
    pub old: &'static str,
    /// What takes its place.
    pub new: &'static str,
    /// The package whose test must fail.
    pub package: &'static str,
    /// The test: its full name, behind its target where that is not the library: `scripts: name`.
    pub test: &'static str,
    /// What the failure must name beside the test: a script's title, say; may be empty.
    pub shows: &'static str,
}

impl Fault {
    /// Returns the file's text with the fault in it.
    ///
    /// # Errors
    /// A sentence: what is to be replaced is not there, or there more than once.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        match text.matches(self.old).count() {
            1 => Ok(text.replacen(self.old, self.new, 1)),
            count => Err(format!("{}: what is to be replaced is there {count} times", self.file)),
        }
    }

    /// Returns the arguments of `cargo test` that select the test's target, and the test's name.
    fn selected(&self) -> (String, &'static str) {
        match self.test.split_once(": ") {
            Some((target, name)) => (format!("--test={target}"), name),
            None => ("--lib".to_owned(), self.test),
        }
    }

    /// Runs the test in the copy and says how it went.
    fn run(&self, copy: &Shell, built: &Path) -> Result<Verdict, String> {
        let (target, name) = self.selected();
        let built = format!("CARGO_TARGET_DIR={}", built.display());
        let cargo = ["env", &built, "cargo", "test", "--locked", "--package", self.package];
        let output = copy.output(&[&cargo[..], &[&target, "--", "--exact", name]].concat())?;
        Ok(Verdict::read(&output, name, self.shows))
    }
}

/// How one test went.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    /// It failed, and named what it had to.
    Failed,
    /// Neither: it was not built, not found, or failed for another reason.
    Unclear(String),
}

impl Verdict {
    fn read(output: &str, name: &str, shows: &str) -> Self {
        let lines = || output.lines();
        let is_of_test = |line: &&str| line.starts_with(&format!("test {name} ... "));
        match lines().find(is_of_test) {
            Some(line) if line.ends_with("ok") => Self::Passed,
            Some(line) if line.ends_with("FAILED") && output.contains(shows) => Self::Failed,
            Some(_) => Self::Unclear(format!("{name} failed without a word of {shows:?}")),
            None => {
                let error = lines().find(|line| line.starts_with("error"));
                Self::Unclear(error.unwrap_or("the test was not run").to_owned())
            }
        }
    }
}

/// Plants every fault in turn and prints who noticed; fails if one survives. `SIDETONE_FAULTS` chooses those whose
/// name or file has its value in it.
///
/// # Errors
/// One line that names those that were not caught.
pub fn faults(shell: &Shell) -> Result<String, String> {
    let tree = shell.path(TREE);
    copy_tree(shell, &tree).map_err(|error| format!("{TREE}: {error}"))?;
    let (copy, built) = (Shell::new(&tree, false), shell.path(BUILT));
    let wanted = std::env::var("SIDETONE_FAULTS").unwrap_or_default();
    let planted: Vec<&Fault> = FAULTS
        .iter()
        .filter(|fault| fault.name.contains(&wanted) || fault.file.contains(&wanted))
        .collect();
    let tests: BTreeMap<_, _> =
        planted.iter().map(|fault| ((fault.package, fault.test), *fault)).collect();
    for fault in tests.values() {
        match fault.run(&copy, &built)? {
            Verdict::Passed => {}
            verdict => return Err(format!("{} without a fault: {verdict:?}", fault.test)),
        }
    }
    let mut survivors = Vec::new();
    for fault in &planted {
        let (start, file) = (Instant::now(), tree.join(fault.file));
        let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
        fs::write(&file, fault.apply(&text)?).map_err(|error| error.to_string())?;
        let verdict = fault.run(&copy, &built);
        fs::write(&file, text).map_err(|error| error.to_string())?;
        let verdict = match verdict? {
            Verdict::Failed => "caught".to_owned(),
            Verdict::Passed => "SURVIVED".to_owned(),
            Verdict::Unclear(why) => format!("UNCLEAR: {why}"),
        };
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{seconds:>6.1} s  {verdict:<8}  {} ({}: {})",
            fault.name, fault.package, fault.test
        );
        if verdict != "caught" {
            survivors.push(fault.name);
        }
    }
    if survivors.is_empty() {
        Ok(format!("{} planted, {0} caught", planted.len()))
    } else {
        Err(format!("not caught: {}", survivors.join("; ")))
    }
}

/// Makes `to` hold what git tracks and nothing else. What is the same already is left as it is, so that it
/// need not be built again.
fn copy_tree(shell: &Shell, to: &Path) -> io::Result<()> {
    let listed = shell.output(&["git", "ls-files"]).map_err(io::Error::other)?;
    let tracked: BTreeSet<PathBuf> = listed.lines().map(PathBuf::from).collect();
    fs::create_dir_all(to)?;
    for path in &tracked {
        let Ok(wanted) = fs::read(shell.path(&path.to_string_lossy())) else { continue };
        let there = to.join(path);
        if fs::read(&there).is_ok_and(|there| there == wanted) {
            continue;
        }
        fs::create_dir_all(there.parent().unwrap_or(to))?;
        fs::write(there, wanted)?;
    }
    remove_others(to, to, &tracked)
}

fn remove_others(root: &Path, folder: &Path, tracked: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            remove_others(root, &path, tracked)?;
        } else if path.strip_prefix(root).is_ok_and(|path| !tracked.contains(path)) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(old: &'static str) -> Fault {
        Fault { name: "", file: "f", old, new: "X", package: "", test: "", shows: "" }
    }

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask/ is in the root").to_owned()
    }

    #[test]
    fn a_fault_replaces_what_is_there_once() {
        assert_eq!(fault("b").apply("abc").as_deref(), Ok("aXc"));
        assert!(fault("b").apply("abcb").is_err());
        assert!(fault("b").apply("ac").is_err());
    }

    #[test]
    fn every_planted_fault_still_applies() {
        let mut names = BTreeSet::new();
        for fault in FAULTS {
            let text = fs::read_to_string(root().join(fault.file)).expect(fault.file);
            let planted = fault.apply(&text).expect(fault.name);
            assert_ne!(planted, text, "{}", fault.name);
            assert!(names.insert(fault.name), "{} comes twice", fault.name);
        }
        assert!(names.len() >= 20);
    }

    #[test]
    fn every_planted_fault_names_a_test_that_there_is() {
        for fault in FAULTS {
            let folder = root().join("crates").join(fault.package);
            let (_, name) = fault.selected();
            let function = name.rsplit("::").next().unwrap_or(name);
            assert!(is_below(&folder, &format!("fn {function}()")), "{name}");
            assert!(is_below(&folder, fault.shows), "{}", fault.shows);
        }
    }

    /// Whether a file below `folder` holds this text.
    fn is_below(folder: &Path, text: &str) -> bool {
        fs::read_dir(folder).expect("a crate's folder").flatten().any(|entry| {
            let path = entry.path();
            if path.is_dir() {
                return is_below(&path, text);
            }
            fs::read_to_string(path).is_ok_and(|found| found.contains(text))
        })
    }

    #[test]
    fn only_the_named_test_catches_a_fault() {
        let failed = "running 1 test\ntest a::b ... FAILED\nalice is heard\n";
        assert_eq!(Verdict::read(failed, "a::b", "alice"), Verdict::Failed);
        assert_eq!(Verdict::read("test a::b ... ok\n", "a::b", ""), Verdict::Passed);
        for (output, name, shows) in [
            (failed, "a::b", "bob"),
            (failed, "a::c", ""),
            ("error: could not compile `a`\n", "a::b", ""),
            ("running 0 tests\n", "a::b", ""),
        ] {
            let verdict = Verdict::read(output, name, shows);
            assert!(matches!(verdict, Verdict::Unclear(_)), "{verdict:?}");
        }
    }
}
