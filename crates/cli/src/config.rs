//! The settings of `sidetone serve`, from four places: a flag goes before the environment, that before the file, that
//! before the default.
//!
//! What the file says wrongly is told with line and column, all of it at once.

mod kind;
mod show;
mod table;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgMatches, Command};
use sim::rehearsal::nearest;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use kind::{Kind, Value};
use table::{LISTS, SETTINGS, Setting};

pub use kind::{is_web_address, ports};
pub use show::{Arguments, run};

/// Longest file with a secret in it, in octets.
const SECRET_MAX: u64 = 4_096;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    Default,
    File,
    Variable(String),
    Flag(String),
}

/// Variables of other commands whose names are near to a setting's.
const OTHERS: [&str; 1] = ["SIDETONE_USED"];

/// Values by their settings' names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Values(BTreeMap<&'static str, (Value, Origin)>);

/// All that is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// What stands alone or in a section.
    pub values: Values,
    /// The entries of each list, in order.
    lists: BTreeMap<&'static str, Vec<Values>>,
}

impl Values {
    fn of(table: &'static [Setting]) -> Self {
        let preset = |setting: &Setting| (setting.default.value(), Origin::Default);
        Self(table.iter().map(|setting| (setting.name, preset(setting))).collect())
    }

    fn value(&self, name: &str) -> &Value {
        &self.0.get(name).unwrap_or_else(|| panic!("{name} is in the table of settings")).0
    }

    /// Returns one line; nothing where it is not set.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            Value::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// Whether a flag is up.
    pub fn flag(&self, name: &str) -> bool {
        *self.value(name) == Value::Flag(true)
    }

    /// Returns a number.
    pub fn number(&self, name: &str) -> u64 {
        match self.value(name) {
            Value::Number(number) => *number,
            Value::Text(_) | Value::Flag(_) | Value::List(_) => 0,
        }
    }

    /// Returns an IP address and its port.
    pub fn address(&self, name: &str) -> SocketAddr {
        let address = self.text(name).and_then(|text| text.parse().ok());
        address.expect("it was checked when it was read")
    }

    /// Returns an IP address.
    pub fn ip(&self, name: &str) -> Option<IpAddr> {
        self.text(name)?.parse().ok()
    }

    /// Returns a file's or a folder's name.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    /// Returns a list.
    pub fn list(&self, name: &str) -> &[String] {
        match self.value(name) {
            Value::List(list) => list,
            Value::Text(_) | Value::Flag(_) | Value::Number(_) => &[],
        }
    }

    /// Returns a size in octets.
    pub fn size(&self, name: &str) -> Option<u64> {
        kind::size(self.text(name)?)
    }

    /// Returns a time.
    pub fn time(&self, name: &str) -> Option<Duration> {
        kind::time(self.text(name)?)
    }
}

/// The flags of all settings, as they were given.
#[derive(Debug, Clone, Default)]
pub struct Flags(Vec<(&'static str, String)>);

/// Settings that every command has a flag for.
const GLOBAL: [&str; 2] = ["log", "log_format"];

fn flagged() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| !GLOBAL.contains(&setting.name))
}

impl clap::Args for Flags {
    fn augment_args(command: Command) -> Command {
        flagged().fold(command, |command, setting| {
            let named = |name: String| -> &'static str { name.leak() };
            let argument = clap::Arg::new(setting.name).long(named(setting.flag()));
            command.arg(argument.value_name("VALUE").help(setting.says))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |setting: &Setting| matches.get_one::<String>(setting.name).cloned();
        Ok(Self(flagged().filter_map(|one| Some((one.name, given(one)?))).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Flags {
    /// Adds what a flag says that every command has.
    pub fn add(&mut self, name: &'static str, text: Option<String>) {
        self.0.extend(text.map(|text| (name, text)));
    }
}

impl Config {
    /// Reads the file, the environment and the flags.
    ///
    /// # Errors
    /// One line for each fault: where, what, and what was probably meant.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        flags: &Flags,
    ) -> Result<Self, String> {
        let mut config = Self { values: Values::of(SETTINGS), lists: BTreeMap::new() };
        let mut faults = Vec::new();
        if let Some(file) = file {
            let text = std::fs::read_to_string(file).map_err(|error| {
                format!("{}: {error}; name another with --config", file.display())
            })?;
            config.read_file(&text, &file.display().to_string(), &mut faults);
        }
        config.read_environment(environment, &mut faults);
        for (name, text) in &flags.0 {
            let Some(setting) = SETTINGS.iter().find(|one| one.name == *name) else { continue };
            let flag = format!("--{}", setting.flag());
            match setting.kind.read(text, setting.default.is_unset()) {
                Ok(value) => drop(config.values.0.insert(name, (value, Origin::Flag(flag)))),
                Err(told) => faults.push(format!("{flag}: {told}")),
            }
        }
        if faults.is_empty() { Ok(config) } else { Err(faults.join("\n")) }
    }

    /// Returns the entries of a list.
    pub fn list(&self, name: &str) -> &[Values] {
        self.lists.get(name).map_or(&[], Vec::as_slice)
    }

    /// Returns the settings that differ and that a running server does not take anew.
    pub fn wants_restart(&self, new: &Self) -> Vec<&'static str> {
        let settings = SETTINGS.iter().filter(|setting| {
            !setting.reloads && self.values.value(setting.name) != new.values.value(setting.name)
        });
        let lists = LISTS.iter().filter(|(name, table)| {
            table.iter().all(|setting| !setting.reloads) && self.list(name) != new.list(name)
        });
        settings.map(|setting| setting.name).chain(lists.map(|(name, _)| *name)).collect()
    }

    /// Takes of new settings those that [`Self::wants_restart`] does not name.
    pub fn take_reloaded(&mut self, new: &Self) {
        for setting in SETTINGS.iter().filter(|setting| setting.reloads) {
            if let Some(value) = new.values.0.get(setting.name) {
                self.values.0.insert(setting.name, value.clone());
            }
        }
    }

    fn read_environment(
        &mut self,
        environment: impl Iterator<Item = (String, String)>,
        faults: &mut Vec<String>,
    ) {
        let names: Vec<String> = SETTINGS.iter().flat_map(variables).collect();
        let ours = |name: &str| name.starts_with("SIDETONE_") && !OTHERS.contains(&name);
        for (name, text) in environment.filter(|(name, _)| ours(name)) {
            let Some(setting) = SETTINGS.iter().find(|one| variables(one).contains(&name)) else {
                // Others of that name are not for the server.
                if let Some(meant) = nearest(&name, names.iter().map(String::as_str)) {
                    faults.push(format!("{name} is no setting; did you mean {meant}?"));
                }
                continue;
            };
            let read = if name == setting.variable() {
                setting.kind.read(&text, setting.default.is_unset())
            } else {
                secret(Path::new(&text)).and_then(|secret| setting.kind.read(&secret, false))
            };
            match read {
                Ok(value) => {
                    self.values.0.insert(setting.name, (value, Origin::Variable(name)));
                }
                Err(told) => faults.push(format!("{name}: {told}")),
            }
        }
    }

    fn read_file(&mut self, text: &str, file: &str, faults: &mut Vec<String>) {
        let mut reader = Reader { text, file, faults };
        let table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                return reader.fault(at, error.message());
            }
        };
        for (key, value) in table.get_ref() {
            let name = key.get_ref().as_ref();
            if let Some((list, table)) = LISTS.iter().find(|(list, _)| *list == name) {
                let entries = reader.entries(value, list, table);
                self.lists.insert(list, entries);
            } else if SETTINGS.iter().any(|one| one.name.starts_with(&format!("{name}."))) {
                match value.get_ref() {
                    DeValue::Table(section) => {
                        for (key, value) in section {
                            let name = format!("{name}.{}", key.get_ref());
                            reader.set(&mut self.values, (SETTINGS, &name), key, value);
                        }
                    }
                    _ => {
                        reader.fault(value.span().start, &format!("{name} is a section: [{name}]"))
                    }
                }
            } else {
                reader.set(&mut self.values, (SETTINGS, name), key, value);
            }
        }
    }
}

/// Returns the names of a setting in the environment.
fn variables(setting: &Setting) -> Vec<String> {
    let name = setting.variable();
    match setting.kind {
        Kind::Secret => vec![format!("{name}_FILE"), name],
        _ => vec![name],
    }
}

/// Reads a secret from the file that holds it alone.
fn secret(file: &Path) -> Result<String, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let length = std::fs::metadata(file).map_err(|error| told(&error))?.len();
    if length > SECRET_MAX {
        return Err(told(&"it is too long for a secret"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| told(&error))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err(told(&"it is empty")) } else { Ok(text.to_owned()) }
}

/// One file on its way into values.
struct Reader<'a> {
    text: &'a str,
    file: &'a str,
    faults: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn fault(&mut self, at: usize, told: &str) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        self.faults.push(format!("{}:{line}:{column}: {told}", self.file));
    }

    fn set(
        &mut self,
        values: &mut Values,
        (table, name): (&'static [Setting], &str),
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let plain = name.strip_suffix("_file");
        let found = table.iter().find(|setting| setting.name == name);
        let of_file = || {
            let is = |one: &&Setting| plain == Some(one.name) && matches!(one.kind, Kind::Secret);
            table.iter().find(is)
        };
        let Some(setting) = found.or_else(of_file) else {
            let meant = meant(name, table);
            let hint = meant.map_or_else(String::new, |meant| format!("; did you mean {meant:?}?"));
            return self.fault(key.span().start, &format!("unknown setting {name:?}{hint}"));
        };
        let read = match (found, taken(value.get_ref())) {
            (_, None) => Err("it is neither text, number, flag nor list".to_owned()),
            (Some(_), Some(value)) => setting.kind.check(value, setting.default.is_unset()),
            (None, Some(Value::Text(file))) => {
                secret(Path::new(&file)).and_then(|secret| setting.kind.read(&secret, false))
            }
            (None, Some(_)) => Err("it is not the name of a file".to_owned()),
        };
        let before = values.0.get(setting.name).map(|(_, origin)| origin);
        if before == Some(&Origin::File) {
            let told = format!("{0} and {0}_file cannot both be set", setting.name);
            return self.fault(key.span().start, &told);
        }
        match read {
            Ok(value) => drop(values.0.insert(setting.name, (value, Origin::File))),
            Err(told) => self.fault(value.span().start, &format!("{name}: {told}")),
        }
    }

    fn entries(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        list: &str,
        table: &'static [Setting],
    ) -> Vec<Values> {
        let mut entries = Vec::new();
        let DeValue::Array(array) = value.get_ref() else {
            self.fault(value.span().start, &format!("{list} is a list of entries: [[{list}]]"));
            return entries;
        };
        for entry in array {
            let DeValue::Table(fields) = entry.get_ref() else {
                self.fault(entry.span().start, &format!("{list} is a list of entries: [[{list}]]"));
                continue;
            };
            let mut values = Values::of(table);
            for (key, value) in fields {
                self.set(&mut values, (table, key.get_ref()), key, value);
            }
            entries.push(values);
        }
        entries
    }
}

fn taken(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Integer(number) => {
            Value::Number(u64::from_str_radix(number.as_str(), number.radix()).ok()?)
        }
        DeValue::Array(list) => {
            let texts = list.iter().map(|one| one.get_ref().as_str().map(str::to_owned));
            Value::List(texts.collect::<Option<_>>()?)
        }
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => return None,
    })
}

/// Returns which setting was meant by a name that none has.
fn meant(name: &str, table: &'static [Setting]) -> Option<String> {
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
    // The right word in the wrong section is nearer than any other.
    let moved = table.iter().find(|one| last(one.name) == last(name));
    if let Some(setting) = moved {
        return Some(setting.name.to_owned());
    }
    let mut known: Vec<String> = table.iter().map(|setting| setting.name.to_owned()).collect();
    let secrets = table.iter().filter(|setting| matches!(setting.kind, Kind::Secret));
    known.extend(secrets.map(|setting| format!("{}_file", setting.name)));
    if std::ptr::eq(table, SETTINGS) {
        known.extend(LISTS.iter().map(|(list, _)| (*list).to_owned()));
        known
            .extend(SETTINGS.iter().filter_map(|one| Some(one.name.split_once('.')?.0.to_owned())));
    }
    nearest(name, known.iter().map(String::as_str)).map(str::to_owned)
}

#[cfg(test)]
mod tests;
