//! `sidetone config check` and `sidetone config print`.

use std::path::PathBuf;

use super::table::{LISTS, SETTINGS, Setting};
use super::{Config, Flags, Kind, Origin, Value, Values};
use crate::settings::Settings;

/// Flags of `sidetone config`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Says whether a server could be started with a file, and what is wrong with it.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Prints every setting as a server would have it, and where it comes from; secrets are hidden.
    Print {
        /// The file; none: environment, flags and defaults alone.
        file: Option<PathBuf>,
        #[command(flatten)]
        flags: Flags,
    },
}

/// Does it.
///
/// # Errors
/// One line for each fault.
pub fn run(arguments: Arguments) -> Result<(), String> {
    let (file, flags, prints) = match arguments.action {
        Action::Check { file } => (Some(file), Flags::default(), false),
        Action::Print { file, flags } => (file, flags, true),
    };
    let config = Config::load(file.as_deref(), std::env::vars(), &flags)?;
    Settings::of(&config)?;
    match file {
        _ if prints => print!("{}", config.shown()),
        Some(file) => println!("{}: a server can be started with it", file.display()),
        None => {}
    }
    Ok(())
}

impl Config {
    /// Writes every setting with its origin, as a file that says the same but for secrets.
    pub(super) fn shown(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for setting in SETTINGS {
            let (of, name) = setting.name.split_once('.').unwrap_or(("", setting.name));
            if of != section {
                section = of;
                text.push_str(&format!("\n[{section}]\n"));
            }
            text.push_str(&line(&self.values, setting, name));
        }
        for (list, table) in LISTS {
            for entry in self.list(list) {
                text.push_str(&format!("\n[[{list}]]\n"));
                table.iter().for_each(|one| text.push_str(&line(entry, one, one.name)));
            }
        }
        text
    }
}

fn line(values: &Values, setting: &Setting, name: &str) -> String {
    let (value, origin) = &values.0[setting.name];
    let is_set = *value != Value::Text(String::new());
    let value = match setting.kind {
        Kind::Secret if is_set => "\"(hidden)\"".to_owned(),
        _ => value.to_string(),
    };
    let origin = match origin {
        Origin::Default => "default",
        Origin::File => "file",
        Origin::Variable(name) | Origin::Flag(name) => name,
    };
    format!("{name} = {value}  # {origin}\n")
}
