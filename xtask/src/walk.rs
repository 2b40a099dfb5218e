//! The README and the guides, done as they say: block by block, each compared with what the page
//! says one sees.
//!
//! - `sh` is typed into one shell; `sh terminal` into one of its own, where it stays until the
//!   page's end.
//! - `python` and `js` are run; with a file's name behind them, they and any other language are
//!   only written there.
//! - `text` is what one sees of the block before; `…` stands for anything.
//!
//! What has none of these is not walked.

mod page;
mod terminal;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use page::{Block, alike, blocks};
use terminal::Terminal;

use crate::shell::Shell;

/// Where the clone lies; it is made anew each time.
const CLONE: &str = "target/walk/clone";
/// Where the clone is built; this is kept.
const TARGET: &str = "target/walk/target";
/// Where a guide's reader works; each has a folder, made anew each time.
const READERS: &str = "target/walk/readers";
/// What the server prints last when everything is up.
const UP: &str = "Ctrl-C ends the server.";

/// Walks the README of the last commit, in a fresh clone.
///
/// # Errors
/// The first step that is not as the README says.
pub fn readme(shell: &Shell) -> Result<String, String> {
    let clone = fresh_clone(shell)?;
    build(shell, &clone)?;
    let steps = Walk::new(shell, &clone).page(&clone.join("README.md"))?;
    Ok(format!("{steps} steps of the last commit's README"))
}

/// Walks each guide of the last commit, in an empty folder, with `sidetone` on the path. It builds
/// nothing: [`readme`] has.
///
/// # Errors
/// The first step of a page that is not as the page says.
pub fn docs(shell: &Shell) -> Result<String, String> {
    let clone = shell.path(CLONE);
    let docs = std::fs::read_dir(clone.join("docs")).map_err(|error| error.to_string())?;
    let mut pages: Vec<PathBuf> = docs.flatten().map(|entry| entry.path()).collect();
    pages.retain(|page| page.extension().is_some_and(|ending| ending == "md"));
    pages.sort();
    let mut walked = 0;
    let mut steps = 0;
    for page in pages {
        let name = page.file_stem().unwrap_or_default();
        let folder = shell.path(READERS).join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let here = Walk::new(shell, &folder).page(&page)?;
        walked += usize::from(here > 0);
        steps += here;
    }
    Ok(format!("{steps} steps of {walked} pages"))
}

fn fresh_clone(shell: &Shell) -> Result<PathBuf, String> {
    let clone = shell.path(CLONE);
    let _ = std::fs::remove_dir_all(&clone);
    shell.run(&["git", "clone", "--quiet", "--no-local", ".", CLONE])?;
    Ok(clone)
}

fn build(shell: &Shell, clone: &Path) -> Result<(), String> {
    let line = "cargo build --release --locked";
    println!("   $ {line}");
    let status = Walk::new(shell, clone).bash(line).status().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("`{line}`: {status}")) }
}

/// One reader of one page.
struct Walk<'a> {
    shell: &'a Shell,
    /// Where the reader's shell is.
    folder: &'a Path,
    /// The lines that its next block finds done.
    so_far: String,
    terminals: Vec<Terminal>,
}

impl<'a> Walk<'a> {
    fn new(shell: &'a Shell, folder: &'a Path) -> Self {
        Self { shell, folder, so_far: String::new(), terminals: Vec::new() }
    }

    /// Does every block of a page; returns how many there were.
    fn page(mut self, page: &Path) -> Result<usize, String> {
        let name = page.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(page).map_err(|error| error.to_string())?;
        let blocks = blocks(&text);
        if !blocks.is_empty() {
            println!("   {name}:");
        }
        let walked = self.all(&blocks).map_err(|why| format!("{name}: {why}"));
        while let Some(terminal) = self.terminals.pop() {
            let ended = terminal.end();
            if walked.is_ok() {
                ended.map_err(|why| format!("{name}: {why}"))?;
            }
        }
        walked
    }

    fn all(&mut self, blocks: &[Block]) -> Result<usize, String> {
        let mut printed = String::new();
        let mut steps = 0;
        let mut blocks = blocks.iter().peekable();
        while let Some(block) = blocks.next() {
            match (block.language.as_str(), block.note.as_str()) {
                ("sh", "terminal") => {
                    let says = blocks.next_if(|next| next.language == "text");
                    self.open(block.text.trim(), says.map(|says| says.text.as_str()))?;
                }
                ("sh", _) => printed = self.step(&block.text)?,
                ("text", _) => compare(&block.text, &printed)?,
                ("python" | "js", "") => {
                    let name = format!("walk.{}", block.language);
                    self.write(&name, &block.text)?;
                    let program = if block.language == "js" { "node" } else { "python" };
                    printed = self.step(&format!("{program} {name}\n"))?;
                }
                (_, name) if name.contains('.') => self.write(name, &block.text)?,
                _ => continue,
            }
            steps += 1;
        }
        Ok(steps)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        std::fs::write(self.folder.join(name), text).map_err(|error| format!("{name}: {error}"))
    }

    /// Starts a program and waits for what it says: the last lines that the page shows; the server,
    /// where the page shows none, for its last word.
    fn open(&mut self, line: &str, says: Option<&str>) -> Result<(), String> {
        println!("   $ {line} &");
        let log = self.folder.join(format!("terminal-{}.log", self.terminals.len() + 1));
        let command = self.bash(&format!("set -eu\n{}exec {line}", self.so_far));
        let mut terminal = Terminal::open(command, line, &log)?;
        let is_server = line.split_whitespace().any(|word| word == "dev");
        let up = terminal.wait(|said| match says {
            Some(lines) => alike(lines, &last_lines(said, lines.lines().count())),
            None => !is_server || said.contains(UP),
        });
        self.terminals.push(terminal);
        up
    }

    /// Runs a block in a shell that has run those before it for their variables only.
    fn step(&mut self, block: &str) -> Result<String, String> {
        println!("   $ {}", block.trim_end().replace('\n', "\n     "));
        let output = self
            .bash(&format!("set -eu\n{}{block}", self.so_far))
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| format!("bash could not run: {error}"))?;
        let keeps = |line: &&str| line.starts_with("eval ") || is_assignment(line);
        self.so_far.extend(block.lines().filter(keeps).flat_map(|line| [line, "\n"]));
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("`{}`: {}: {said}", block.trim_end(), output.status));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The SDKs are installed for the reader, and so is `sidetone`.
    fn bash(&self, script: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let venv = self.shell.path("target/venv/bin");
        let binary = self.shell.path(TARGET).join("release");
        let mut command = Command::new("bash");
        command
            .args(["-c", script])
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .env("PATH", format!("{}:{}:{path}", venv.display(), binary.display()))
            .env("CARGO_TARGET_DIR", self.shell.path(TARGET))
            .env("NODE_PATH", self.shell.path("target/node/node_modules"));
        command
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn is_assignment(line: &str) -> bool {
    let name = line.split('=').next().unwrap_or_default();
    line.contains('=') && !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase())
}

fn compare(expected: &str, printed: &str) -> Result<(), String> {
    if alike(expected, printed) {
        return Ok(());
    }
    Err(format!("the page says one sees\n{expected}but one sees\n{printed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_sets_a_variable_is_kept_for_the_next_block() {
        assert!(is_assignment("API=http://x") && is_assignment("CF=$(curl x)"));
        assert!(!is_assignment("curl -d Muted=true") && !is_assignment("echo x"));
    }

    #[test]
    fn a_terminal_is_judged_by_its_last_lines() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a\n", 2), "a");
    }
}
