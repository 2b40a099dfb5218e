//! Every operation of Twilio's OpenAPI description, tried with values that fit its schema and values that
//! do not: nothing may fail on our side, and every body must be as the description has it.

mod deep;

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

pub use deep::deep;

use crate::shell::Shell;
use crate::start::Running;

/// The description, in the package that `node-sdk` installs.
pub const DESCRIPTION: &str =
    "target/node/node_modules/@twilio/cli-core/src/services/twilio-api/twilio_api_v2010.json";
const FOLDER: &str = "target/schema";
const CHECKS: &str = "nothing_fails_but_what_is_not_built,a_refusal_is_in_twilio_s_shape,\
                      response_schema_conformance,content_type_conformance";

/// Every documented example, and every value at a border.
///
/// # Errors
/// One line; what was found stands above it.
pub fn borders(shell: &Shell) -> Result<String, String> {
    shell.run(&["cargo", "build", "--workspace", "--locked"])?;
    let mut description = description(shell)?;
    let operations = adapted(&mut description);
    let place = Place::new(shell, "target/debug/sidetone", FOLDER)?;
    let cases = ["--phases", "examples,coverage", "--seed", "1", "--max-examples", "1"];
    place.tries(&description, &cases)?;
    const BELOW: &str = "[}]/(Conferences|Calls|Queues)/|[}]/Recordings/.Sid.[.]json";
    let only = ["--include-path-regex", BELOW, "--exclude-method", "DELETE"];
    place.comes_to_life()?.tries(&description, &[&cases[..], &only].concat())?;
    Ok(format!("{operations} operations, and what is below a live conference, call and queue"))
}

/// Returns the description as Twilio wrote it.
fn description(shell: &Shell) -> Result<Value, String> {
    let text = fs::read_to_string(shell.path(DESCRIPTION))
        .map_err(|error| format!("{DESCRIPTION}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

const PYTHON: &str = "target/venv/bin/python";
const ENV: [(&str, &str); 3] =
    [("SCHEMATHESIS_HOOKS", "hooks"), ("PYTHONPATH", "xtask/schema"), ("NO_COLOR", "1")];

/// A folder in which servers are tried, one after the other.
struct Place<'a> {
    shell: &'a Shell,
    binary: &'a str,
    folder: String,
    /// Where what is printed goes, unless to the terminal.
    log: Option<PathBuf>,
}

/// A server on which a conference, a call and a queue have somebody in them who stays there.
struct Live<'a> {
    place: &'a Place<'a>,
    server: Running,
    /// What names them, as schemathesis wants it.
    config: String,
}

impl<'a> Place<'a> {
    fn new(shell: &'a Shell, binary: &'a str, folder: &str) -> Result<Self, String> {
        fs::create_dir_all(shell.path(folder)).map_err(|error| format!("{folder}: {error}"))?;
        Ok(Self { shell, binary, folder: folder.to_owned(), log: None })
    }

    /// Starts a server that knows nothing yet.
    fn server(&self, name: &str) -> Result<Running, String> {
        let data = self.shell.path(&format!("{}/{name}", self.folder));
        let _ = fs::remove_dir_all(&data);
        fs::create_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
        Running::start(&self.shell.path(self.binary), &data)
    }

    /// Tries what is described on a new server.
    fn tries(&self, description: &Value, cases: &[&str]) -> Result<(), String> {
        let mut server = self.server("data")?;
        let config = format!("[parameters]\nAccountSid = \"{}\"\n", server.field("account_sid"));
        self.run("data", &mut server, [&config, &description.to_string(), CHECKS], cases)
    }

    fn comes_to_life(&'a self) -> Result<Live<'a>, String> {
        let server = self.server("live")?;
        let [account, token, url] =
            ["account_sid", "auth_token", "api_url"].map(|name| server.field(name));
        let config = self.shell.output(&[PYTHON, "xtask/schema/live.py", account, token, url])?;
        if !config.starts_with("[parameters]") {
            return Err(format!("nothing came to live on the server: {config}"));
        }
        Ok(Live { place: self, server, config })
    }

    fn run(
        &self,
        name: &str,
        server: &mut Running,
        [config, spec, checks]: [&str; 3],
        cases: &[&str],
    ) -> Result<(), String> {
        let file = |of: &str| format!("{}/{name}.{of}", self.folder);
        let (config_file, spec_file) = (file("toml"), file("json"));
        for (file, text) in [(&config_file, config), (&spec_file, spec)] {
            fs::write(self.shell.path(file), text).map_err(|error| format!("{file}: {error}"))?;
        }
        let [account, token, url] =
            ["account_sid", "auth_token", "api_url"].map(|name| server.field(name).to_owned());
        let (login, told) = (format!("{account}:{token}"), format!("{url} {account} {token}"));
        let line =
            ["target/venv/bin/schemathesis", "--config-file", &config_file, "run", &spec_file];
        let more = ["--url", &url, "--auth", &login, "--checks", checks];
        let rest = ["--suppress-health-check", "all", "--request-timeout", "60"];
        let env = [ENV[0], ENV[1], ENV[2], ("SIDETONE_LIVE", &told)];
        let line = [&line[..], &more, &rest, cases].concat();
        match &self.log {
            Some(log) => self.shell.run_into(&line, &env, log)?,
            None => self.shell.run_with(&line, &env)?,
        }
        if server.is_up() { Ok(()) } else { Err("the server ended meanwhile".to_owned()) }
    }
}

impl Live<'_> {
    /// Tries what is described below what lives; a refusal leaves everything as it was.
    fn tries(mut self, description: &Value, cases: &[&str]) -> Result<(), String> {
        let checks = format!("{CHECKS},a_refusal_changes_nothing");
        let texts = [&self.config, &description.to_string(), &checks];
        self.place.run("live", &mut self.server, texts.map(|text| text.as_str()), cases)
    }
}

/// Takes away what is not meant as it is written: addresses are relative in Twilio's own examples, though
/// their format says otherwise. Returns how many operations there are.
fn adapted(description: &mut Value) -> usize {
    strip(description);
    // A conference that goes on has no reason why it ended: its own words say so, its type does not.
    let schemas = description.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
    for (name, schema) in schemas.into_iter().flatten() {
        if name.ends_with("conference_enum_reason_conference_ended") {
            schema["nullable"] = true.into();
            schema["enum"].as_array_mut().into_iter().for_each(|words| words.push(Value::Null));
        }
    }
    let Some(paths) = description["paths"].as_object_mut() else { return 0 };
    let mut operations = 0;
    for path in paths.values_mut().filter_map(Value::as_object_mut) {
        path.remove("servers");
        operations +=
            path.keys().filter(|key| ["get", "post", "delete"].contains(&key.as_str())).count();
    }
    operations
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("format").is_some_and(|format| format == "uri") {
                fields.remove("format");
            }
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_may_be_relative_and_operations_are_counted() {
        let mut description = json!({
            "paths": { "/a": { "servers": [], "get": { "x": { "format": "uri", "type": "string" } },
                               "post": {}, "description": "words" } }
        });
        assert_eq!(adapted(&mut description), 2);
        assert_eq!(description["paths"]["/a"]["get"], json!({ "x": { "type": "string" } }));
        assert_eq!(description["paths"]["/a"].get("servers"), None);
    }
}
