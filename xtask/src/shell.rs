//! Runs command lines in the root of the repository.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Where commands run, and what they may do to the machine.
pub struct Shell {
    root: PathBuf,
    /// Whether Debian packages may be installed, if root asks.
    pub may_install: bool,
}

impl Shell {
    /// Makes a shell for the repository at `root`. `install` is the flag of that name; CI has it set.
    pub fn new(root: &Path, install: bool) -> Self {
        let in_ci = std::env::var("CI").is_ok_and(|ci| is_set(&ci));
        Self { root: root.to_owned(), may_install: install || in_ci }
    }

    /// Returns `path` in the repository.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Prints a command line and runs it, its output going where ours goes.
    ///
    /// # Errors
    /// One line that names the command and how it ended.
    pub fn run(&self, line: &[&str]) -> Result<(), String> {
        self.run_with(line, &[])
    }

    /// Is [`Self::run`] with more in the environment.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_with(&self, line: &[&str], env: &[(&str, &str)]) -> Result<(), String> {
        println!("   $ {}", line.join(" "));
        ended(line, self.command(line).envs(env.iter().copied()).status())
    }

    /// Is [`Self::run_with`], but what is printed goes to the end of `file`.
    ///
    /// # Errors
    /// As [`Self::run`]; and when the file cannot be written.
    pub fn run_into(&self, line: &[&str], env: &[(&str, &str)], file: &Path) -> Result<(), String> {
        println!("   $ {} >>{}", line.join(" "), file.display());
        let open = || OpenOptions::new().create(true).append(true).open(file);
        let both = open().and_then(|output| Ok((output.try_clone()?, output)));
        let (output, errors) = both.map_err(|error| format!("{}: {error}", file.display()))?;
        let mut command = self.command(line);
        command.envs(env.iter().copied()).stdout(output).stderr(errors);
        ended(line, command.status())
    }

    /// Returns what a command prints, on both outputs; how it ends does not matter.
    ///
    /// # Errors
    /// One line, if it cannot be started.
    pub fn output(&self, line: &[&str]) -> Result<String, String> {
        let output = self
            .command(line)
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| format!("{} could not run: {error}", line[0]))?;
        let both = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8_lossy(&both).into_owned())
    }

    /// The SDKs under `target/` are named in the environment, for the tests that drive them.
    fn command(&self, line: &[&str]) -> Command {
        let program = Path::new(line[0]);
        let in_repository = program.components().count() > 1;
        let mut command =
            Command::new(if in_repository { self.root.join(program) } else { program.to_owned() });
        command
            .args(&line[1..])
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .env("SIDETONE_TEST_PYTHON", self.path("target/venv/bin/python"))
            .env("NODE_PATH", self.path("target/node/node_modules"))
            .env(
                "SIDETONE_TEST_TWILIO_CLI",
                self.path("target/twilio-cli/node_modules/.bin/twilio"),
            );
        command
    }
}

fn ended(line: &[&str], status: io::Result<ExitStatus>) -> Result<(), String> {
    let status = status.map_err(|error| format!("{} could not run: {error}", line[0]))?;
    if status.success() { Ok(()) } else { Err(format!("`{}`: {status}", line.join(" "))) }
}

/// Says whether the value of a variable such as `CI` means yes.
fn is_set(value: &str) -> bool {
    !matches!(value, "" | "0" | "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_is_named() {
        let shell = Shell::new(Path::new(env!("CARGO_MANIFEST_DIR")), false);
        assert_eq!(shell.run(&["true"]), Ok(()));
        let failed = shell.run(&["false"]).expect_err("false fails");
        assert!(failed.starts_with("`false`: exit status: 1"), "{failed}");
        let absent = shell.run(&["no-such-program"]).expect_err("there is none");
        assert!(absent.starts_with("no-such-program could not run: "), "{absent}");
    }

    #[test]
    fn ci_is_set_by_any_word_but_false() {
        assert!(is_set("true") && is_set("1"));
        assert!(!is_set("") && !is_set("0") && !is_set("false"));
    }
}
