//! The README, done as it says: in a fresh clone, block by block, each compared with what the README
//! says one sees.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::shell::Shell;

/// Where the clone lies; it is made anew each time.
const CLONE: &str = "target/walk/clone";
/// Where the clone is built; this is kept.
const TARGET: &str = "target/walk/target";
/// What the server prints last when everything is up.
const UP: &str = "Ctrl-C ends the server.";
const UP_WITHIN: Duration = Duration::from_secs(30);
/// How long the server may take to end, as docs/operating.md says.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// One fenced block of the README.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    language: String,
    text: String,
}

/// Walks the README of the last commit.
///
/// # Errors
/// The first step that is not as the README says.
pub fn readme(shell: &Shell) -> Result<String, String> {
    let clone = shell.path(CLONE);
    let _ = std::fs::remove_dir_all(&clone);
    shell.run(&["git", "clone", "--quiet", "--no-local", ".", CLONE])?;
    let text = std::fs::read_to_string(clone.join("README.md")).map_err(|e| e.to_string())?;
    let blocks = blocks(&text);
    let Some((first, rest)) = blocks.split_first() else {
        return Err("README.md has no block to walk".to_owned());
    };
    let walk = Walk { clone: &clone, shell };
    walk.build()?;
    let mut server = walk.start(&first.text)?;
    let walked = walk.all(rest);
    let ended = end(&mut server);
    let steps = walked?;
    ended?;
    Ok(format!("{steps} steps of the last commit's README"))
}

struct Walk<'a> {
    clone: &'a Path,
    shell: &'a Shell,
}

impl Walk<'_> {
    fn build(&self) -> Result<(), String> {
        let line = "cargo build --release --locked";
        println!("   $ {line}");
        let status = self.bash(line).status().map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("`{line}`: {status}")) }
    }

    /// Starts the server by the README's own line and waits for its last word.
    fn start(&self, line: &str) -> Result<Child, String> {
        println!("   $ {} &", line.trim());
        let log = self.clone.join("server.log");
        let file = File::create(&log).map_err(|error| error.to_string())?;
        let errors = file.try_clone().map_err(|error| error.to_string())?;
        let mut server = self
            .bash(&format!("exec {}", line.trim()))
            .stdout(file)
            .stderr(errors)
            .spawn()
            .map_err(|error| error.to_string())?;
        let until = Instant::now() + UP_WITHIN;
        loop {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            if said.contains(UP) {
                return Ok(server);
            }
            let gone = server.try_wait().map_err(|error| error.to_string())?;
            if gone.is_some() || Instant::now() > until {
                let _ = server.kill();
                return Err(format!("`{}` did not come up:\n{said}", line.trim()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Does every block but the first; what a block printed is compared with the `text` after it.
    fn all(&self, blocks: &[Block]) -> Result<usize, String> {
        let mut shell_so_far = String::new();
        let mut printed = String::new();
        let mut steps = 0;
        for block in blocks {
            match block.language.as_str() {
                "sh" => printed = self.step(&mut shell_so_far, &block.text)?,
                "python" | "js" => {
                    let name = format!("walk.{}", block.language);
                    std::fs::write(self.clone.join(&name), &block.text)
                        .map_err(|error| error.to_string())?;
                    let program = if block.language == "js" {
                        "node".to_owned()
                    } else {
                        self.shell.path("target/venv/bin/python").display().to_string()
                    };
                    printed = self.step(&mut shell_so_far, &format!("{program} {name}\n"))?;
                }
                "text" => compare(&block.text, &printed)?,
                _ => continue,
            }
            steps += 1;
        }
        Ok(steps)
    }

    /// Runs a block in a shell that has run those before it for their variables only.
    fn step(&self, so_far: &mut String, block: &str) -> Result<String, String> {
        println!("   $ {}", block.trim_end().replace('\n', "\n     "));
        let script = format!("set -eu\n{so_far}{block}");
        let output = self
            .bash(&script)
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| format!("bash could not run: {error}"))?;
        let keeps = |line: &&str| line.starts_with("eval ") || is_assignment(line);
        so_far.extend(block.lines().filter(keeps).flat_map(|line| [line, "\n"]));
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("`{}`: {}: {said}", block.trim_end(), output.status));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn bash(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        command
            .args(["-c", script])
            .current_dir(self.clone)
            .stdin(Stdio::null())
            .env("CARGO_TARGET_DIR", self.shell.path(TARGET))
            .env("NODE_PATH", self.shell.path("target/node/node_modules"));
        command
    }
}

/// Ends the server as Ctrl-C would, and waits.
fn end(server: &mut Child) -> Result<(), String> {
    let pid = server.id().to_string();
    let _ = Command::new("kill").args(["-INT", &pid]).status();
    let until = Instant::now() + ENDS_WITHIN;
    while Instant::now() < until {
        if let Ok(Some(status)) = server.try_wait() {
            return if status.success() { Ok(()) } else { Err(format!("the server: {status}")) };
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = server.kill();
    Err("the server did not end within 10 s".to_owned())
}

fn is_assignment(line: &str) -> bool {
    let name = line.split('=').next().unwrap_or_default();
    line.contains('=') && !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase())
}

/// Returns the fenced blocks that name a language.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => {
                open = Some(Block { language: language.to_owned(), text: String::new() });
            }
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// Compares line by line; `…` stands for anything.
fn compare(expected: &str, printed: &str) -> Result<(), String> {
    let expected: Vec<&str> = expected.lines().collect();
    let seen: Vec<&str> = printed.lines().collect();
    let alike = expected.len() == seen.len()
        && expected.iter().zip(&seen).all(|(pattern, line)| matches(pattern, line));
    if alike {
        return Ok(());
    }
    Err(format!("README.md says one sees\n{}\nbut one sees\n{printed}", expected.join("\n")))
}

fn matches(pattern: &str, line: &str) -> bool {
    let mut pieces = pattern.split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipsis_stands_for_anything() {
        assert!(matches("CF… CA…", "CF12 CA34"));
        assert!(matches("{…\"muted\":true,…}", "{\"a\":1,\"muted\":true,\"b\":2}"));
        assert!(!matches("{…\"muted\":true,…}", "{\"a\":1,\"muted\":false,\"b\":2}"));
        assert!(matches("plain", "plain") && !matches("plain", "plainer"));
    }

    #[test]
    fn blocks_are_found_with_their_language() {
        let found = blocks("text\n```sh\nls\n```\nmore\n```text\na\nb\n```\n");
        let block = |language: &str, text: &str| Block {
            language: language.to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(found, [block("sh", "ls\n"), block("text", "a\nb\n")]);
    }

    #[test]
    fn only_what_sets_a_variable_is_kept_for_the_next_block() {
        assert!(is_assignment("API=http://x") && is_assignment("CF=$(curl x)"));
        assert!(!is_assignment("curl -d Muted=true") && !is_assignment("echo x"));
    }
}
