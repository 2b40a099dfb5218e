//! Brings, pinned, the foreign programs that checks need.
//!
//! Cargo's tools, the Python and the Node packages go below `target/` and are kept there; Debian
//! packages are installed only by root, and only in CI or when `--install` was given.

use std::fs;

use crate::shell::Shell;

/// A program that Cargo builds.
pub struct CargoTool {
    name: &'static str,
    version: &'static str,
    /// Where it lies, from the root of the repository.
    pub path: &'static str,
}

/// Judges licences and sources of dependencies.
pub const CARGO_DENY: CargoTool =
    CargoTool { name: "cargo-deny", version: "0.20.2", path: "target/tools/bin/cargo-deny" };

/// Looks for known advisories against dependencies.
pub const CARGO_AUDIT: CargoTool =
    CargoTool { name: "cargo-audit", version: "0.22.2", path: "target/tools/bin/cargo-audit" };

/// A program of a Debian package.
struct DebianTool {
    program: &'static str,
    package: &'static str,
    /// The upstream version that the tests were written against; any, if empty.
    version: &'static str,
    /// A command line that prints the version.
    ask: &'static [&'static str],
}

/// What Python's extensions are built with.
const PYTHON_HEADERS: DebianTool = DebianTool {
    program: "python3-config",
    package: "python3-dev",
    version: "",
    ask: &["python3-config", "--includes"],
};
const SIPP: DebianTool = DebianTool {
    program: "sipp",
    package: "sip-tester=1:3.6.1*",
    version: "3.6.1",
    ask: &["sipp", "-v"],
};
const BARESIP: DebianTool = DebianTool {
    program: "baresip",
    package: "baresip-core=1.0.0*",
    version: "1.0.0",
    ask: &["baresip", "-h"],
};
const PYTHON: DebianTool = DebianTool {
    program: "python3",
    package: "python3-venv",
    version: "",
    ask: &["python3", "--version"],
};
const NODE: DebianTool =
    DebianTool { program: "node", package: "nodejs", version: "", ask: &["node", "--version"] };
const NPM: DebianTool =
    DebianTool { program: "npm", package: "npm", version: "", ask: &["npm", "--version"] };
const MAKE: DebianTool =
    DebianTool { program: "make", package: "make", version: "", ask: &["make", "--version"] };
const CMAKE: DebianTool = DebianTool {
    program: "cmake",
    package: "cmake=3.25.1*",
    version: "3.25.1",
    ask: &["cmake", "--version"],
};

/// Where the packages of the Twilio SDKs are pinned.
const SDK: &str = "crates/e2e/sdk";

pub fn cargo_deny(shell: &Shell) -> Result<String, String> {
    cargo_tool(shell, &CARGO_DENY)
}

pub fn cargo_audit(shell: &Shell) -> Result<String, String> {
    cargo_tool(shell, &CARGO_AUDIT)
}

/// Builds a tool, unless the pinned version is there. Unoptimised: it builds in half the time, and a
/// check takes a second either way.
fn cargo_tool(shell: &Shell, tool: &CargoTool) -> Result<String, String> {
    let CargoTool { name, version, path } = tool;
    let is_pinned = || {
        let said = shell.output(&[path, "--version"]).unwrap_or_default();
        says_version(&said, version)
    };
    if !is_pinned() {
        let package = format!("{name}@{version}");
        let line = ["cargo", "install", "--locked", "--debug", "--force", "--root", "target/tools"];
        shell.run(&[&line[..], &[&package]].concat())?;
        if !is_pinned() {
            return Err(format!("{path} was installed, but is not {version}"));
        }
    }
    Ok((*version).to_owned())
}

/// Makes a virtual environment with Twilio's Python SDK, and what else is written in Python.
pub fn python_sdk(shell: &Shell) -> Result<String, String> {
    const PYTHON_OF_VENV: &str = "target/venv/bin/python";
    debian_tool(shell, &PYTHON)?;
    debian_tool(shell, &PYTHON_HEADERS)?;
    let wanted = read(shell, &format!("{SDK}/requirements.txt"))?;
    let stamp = shell.path("target/venv/sidetone-requirements.txt");
    if fs::read_to_string(&stamp).ok() != Some(wanted.clone()) {
        if shell.path("target/venv").is_symlink() {
            return Err(
                "target/venv is a link, and what it leads to is for other packages: remove it"
                    .into(),
            );
        }
        shell.run(&["python3", "-m", "venv", "--clear", "target/venv"]).map_err(|why| {
            format!("{why}; on Debian, `apt-get install python3-venv` brings what is missing")
        })?;
        let pip =
            [PYTHON_OF_VENV, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        let requirements = format!("{SDK}/requirements.txt");
        let line = [&pip[..], &["--requirement", &requirements]].concat();
        // A variable, because what is built apart sees no option.
        let built_with = shell.path(&format!("{SDK}/build.txt"));
        shell.run_with(&line, &[("PIP_CONSTRAINT", &built_with.to_string_lossy())])?;
        fs::write(&stamp, &wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    }
    let pinned = pinned_python(&wanted).ok_or("requirements.txt names no twilio==VERSION")?;
    let ask = "import twilio, twilio.rest, twilio.request_validator; print(twilio.__version__)";
    expect_version(&shell.output(&[PYTHON_OF_VENV, "-c", ask])?, pinned)
}

/// Installs Twilio's Node SDK, and the package that carries the OpenAPI description.
pub fn node_sdk(shell: &Shell) -> Result<String, String> {
    node_packages(shell, SDK, "target/node")?;
    let pinned = read(shell, &format!("{SDK}/package.json"))?;
    let pinned = pinned_node(&pinned, "twilio").ok_or("package.json names no version of twilio")?;
    let ask = "require('twilio'); console.log(require('twilio/package.json').version)";
    expect_version(&shell.output(&["node", "-e", ask])?, pinned)
}

/// Installs Twilio's command line, apart: it brings an SDK of its own.
pub fn twilio_cli(shell: &Shell) -> Result<String, String> {
    const FOLDER: &str = "target/twilio-cli";
    let pins = format!("{SDK}/cli");
    node_packages(shell, &pins, FOLDER)?;
    let pinned = read(shell, &format!("{pins}/package.json"))?;
    let pinned = pinned_node(&pinned, "twilio-cli").ok_or("package.json names no twilio-cli")?;
    let ask = format!("console.log(require('./{FOLDER}/node_modules/twilio-cli/package').version)");
    let said = shell.output(&["node", "-e", &ask])?;
    if said.trim() == pinned { Ok(pinned.to_owned()) } else { Err(said) }
}

/// Installs the mock server of OpenAPI descriptions that ours is measured beside.
pub fn prism(shell: &Shell) -> Result<String, String> {
    node_packages(shell, "xtask/prism", "target/prism")?;
    let pinned = read(shell, "xtask/prism/package.json")?;
    let pinned =
        pinned_node(&pinned, "@stoplight/prism-cli").ok_or("package.json names no Prism")?;
    let said = shell.output(&["node", PRISM, "--version"])?;
    if said.trim() == pinned { Ok(pinned.to_owned()) } else { Err(said) }
}

/// What Node runs to be that mock server.
pub const PRISM: &str = "target/prism/node_modules/@stoplight/prism-cli/dist/index.js";

/// Installs what a folder pins into another one, unless it is there.
fn node_packages(shell: &Shell, pins: &str, into: &str) -> Result<(), String> {
    debian_tool(shell, &NODE)?;
    debian_tool(shell, &NPM)?;
    let wanted = read(shell, &format!("{pins}/package-lock.json"))?;
    let folder = shell.path(into);
    let stamp = folder.join("sidetone-lock.json");
    if fs::read_to_string(&stamp).ok() != Some(wanted.clone()) {
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for name in ["package.json", "package-lock.json"] {
            let text = read(shell, &format!("{pins}/{name}"))?;
            fs::write(folder.join(name), text).map_err(|error| format!("{name}: {error}"))?;
        }
        let npm = ["npm", "ci", "--prefix", into, "--ignore-scripts", "--no-audit"];
        shell.run(&[&npm[..], &["--no-fund", "--loglevel", "error"]].concat())?;
        fs::write(&stamp, &wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    }
    Ok(())
}

/// Brings the foreign phones: SIPp and baresip.
pub fn sip_phones(shell: &Shell) -> Result<String, String> {
    debian_tools(shell, &[SIPP, BARESIP])
}

/// Brings `make`, which LAME is built by.
pub fn make(shell: &Shell) -> Result<String, String> {
    debian_tool(shell, &MAKE)
}

/// Brings what libopus is built by: CMake, and the `make` that it drives.
pub fn cmake(shell: &Shell) -> Result<String, String> {
    debian_tools(shell, &[CMAKE, MAKE])
}

/// Is [`debian_tool`] for each of them; says of all that are missing.
fn debian_tools(shell: &Shell, tools: &[DebianTool]) -> Result<String, String> {
    let all = tools.iter().map(|tool| debian_tool(shell, tool));
    let (remarks, failures): (Vec<_>, Vec<_>) = all.partition(Result::is_ok);
    if failures.is_empty() {
        Ok(remarks.into_iter().flatten().collect::<Vec<_>>().join(", "))
    } else {
        Err(failures.into_iter().filter_map(Result::err).collect::<Vec<_>>().join("; "))
    }
}

/// Sees to it that a program is there; another version than the pinned one is used, and said.
fn debian_tool(shell: &Shell, tool: &DebianTool) -> Result<String, String> {
    let DebianTool { program, package, version, ask } = tool;
    if shell.output(ask).is_err() {
        let is_root = shell.output(&["id", "-u"]).is_ok_and(|id| id.trim() == "0");
        if !(is_root && shell.may_install) {
            return Err(how_to_install(program, package, is_root));
        }
        let apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
        shell.run(&[&apt[..], &["update", "--quiet=2"]].concat())?;
        let install = ["install", "--quiet=2", "--yes", "--no-install-recommends", package];
        shell.run(&[&apt[..], &install].concat())?;
    }
    let said = shell.output(ask)?;
    if version.is_empty() || says_version(&said, version) {
        Ok(format!("{program} {version}").trim_end().to_owned())
    } else {
        Ok(format!("{program} is not the pinned {version}"))
    }
}

fn how_to_install(program: &str, package: &str, is_root: bool) -> String {
    let package = package.split('=').next().expect("a split has a first part");
    let how = if is_root {
        "`cargo xtask test --install` installs it".to_owned()
    } else {
        format!("install it (`sudo apt-get install {package}`)")
    };
    format!("{program} is not there: {how}")
}

fn expect_version(said: &str, pinned: &str) -> Result<String, String> {
    if said.trim() == pinned {
        Ok(format!("twilio {pinned}"))
    } else {
        Err(format!("expected twilio {pinned}, found: {}", said.trim()))
    }
}

/// Says whether `version` stands in `text` as a word, a leading `v` and a suffix after `-` aside.
fn says_version(text: &str, version: &str) -> bool {
    text.split_whitespace()
        .map(|word| word.trim_start_matches('v').split('-').next().unwrap_or_default())
        .any(|word| word == version)
}

fn pinned_python(requirements: &str) -> Option<&str> {
    requirements.lines().find_map(|line| line.strip_prefix("twilio=="))
}

fn pinned_node<'a>(package: &'a str, name: &str) -> Option<&'a str> {
    let key = format!("\"{name}\":");
    let line = package.lines().find_map(|line| line.trim().strip_prefix(key.as_str()))?;
    Some(line.trim().trim_end_matches(',').trim_matches('"'))
}

fn read(shell: &Shell, path: &str) -> Result<String, String> {
    fs::read_to_string(shell.path(path)).map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_a_program_says() {
        assert!(says_version("cargo-deny 0.20.2\n", "0.20.2"));
        assert!(says_version("\n SIPp v3.6.1-SCTP-PCAP-RTPSTREAM.\n", "3.6.1"));
        assert!(says_version("baresip v1.0.0 Copyright (C) 2010", "1.0.0"));
        assert!(!says_version("cargo-deny 0.20.21", "0.20.2"));
        assert!(!says_version("", "0.20.2"));
    }

    #[test]
    fn the_pins_are_read_from_the_files_that_hold_them() {
        let shell =
            Shell::new(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")), false);
        let requirements = read(&shell, &format!("{SDK}/requirements.txt")).expect("committed");
        assert_eq!(pinned_python(&requirements), Some("9.13.0"));
        let package = read(&shell, &format!("{SDK}/package.json")).expect("committed");
        assert_eq!(pinned_node(&package, "twilio"), Some("6.2.0"));
        let package = read(&shell, &format!("{SDK}/cli/package.json")).expect("committed");
        assert_eq!(pinned_node(&package, "twilio-cli"), Some("6.2.4"));
        let package = read(&shell, "xtask/prism/package.json").expect("committed");
        assert_eq!(pinned_node(&package, "@stoplight/prism-cli"), Some("5.14.2"));
    }

    #[test]
    fn another_version_of_an_sdk_is_a_failure() {
        assert_eq!(expect_version("6.2.0\n", "6.2.0"), Ok("twilio 6.2.0".to_owned()));
        assert!(expect_version("Error: Cannot find module 'twilio'", "6.2.0").is_err());
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let line = how_to_install("sipp", SIPP.package, false);
        assert_eq!(line, "sipp is not there: install it (`sudo apt-get install sip-tester`)");
        let line = how_to_install("sipp", SIPP.package, true);
        assert_eq!(line, "sipp is not there: `cargo xtask test --install` installs it");
    }

    #[test]
    fn nothing_is_installed_without_leave() {
        let mut shell = Shell::new(std::path::Path::new("/"), false);
        shell.may_install = false;
        let tool =
            DebianTool { program: "x", package: "x=1", version: "1", ask: &["no-such-program"] };
        let why = debian_tool(&shell, &tool).expect_err("there is no such program");
        assert!(why.starts_with("x is not there: "), "{why}");
    }
}
