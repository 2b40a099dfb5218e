//! Every operation of Twilio's OpenAPI description, tried with values that fit its schema and values that
//! do not: nothing may fail on our side, and every body must be as the description has it.

use std::fs;

use serde_json::Value;

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
    run(shell, "examples,coverage", &["--seed", "1", "--max-examples", "1"])
}

/// The same, and 2,000 cases of each operation by chance.
///
/// # Errors
/// One line; what was found stands above it.
pub fn deep(shell: &Shell) -> Result<String, String> {
    run(shell, "examples,coverage,fuzzing", &["--max-examples", "2000"])
}

const PYTHON: &str = "target/venv/bin/python";
const ENV: [(&str, &str); 3] =
    [("SCHEMATHESIS_HOOKS", "hooks"), ("PYTHONPATH", "xtask/schema"), ("NO_COLOR", "1")];

fn run(shell: &Shell, phases: &str, cases: &[&str]) -> Result<String, String> {
    shell.run(&["cargo", "build", "--workspace", "--locked"])?;
    let data = shell.path(&format!("{FOLDER}/data"));
    let _ = fs::remove_dir_all(&data);
    fs::create_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
    let description = fs::read_to_string(shell.path(DESCRIPTION))
        .map_err(|error| format!("{DESCRIPTION}: {error}"))?;
    let mut description: Value =
        serde_json::from_str(&description).map_err(|error| error.to_string())?;
    let operations = adapted(&mut description);
    let mut server = Running::start(&shell.path("target/debug/sidetone"), &data)?;
    let (account, token) = (server.field("account_sid"), server.field("auth_token"));
    let config = format!("[parameters]\nAccountSid = \"{account}\"\n");
    let (spec, config_file) = (format!("{FOLDER}/openapi.json"), format!("{FOLDER}/config.toml"));
    for (file, text) in [(&spec, description.to_string()), (&config_file, config)] {
        fs::write(shell.path(file), text).map_err(|error| format!("{file}: {error}"))?;
    }
    let (url, login) = (server.field("api_url").to_owned(), format!("{account}:{token}"));
    let line = ["target/venv/bin/schemathesis", "--config-file", &config_file, "run", &spec];
    let more = ["--url", &url, "--auth", &login, "--checks", CHECKS];
    let rest = ["--phases", phases, "--suppress-health-check", "all", "--request-timeout", "60"];
    shell.run_with(&[&line[..], &more, &rest, cases].concat(), &ENV)?;
    if !server.is_up() {
        return Err("the server ended meanwhile".to_owned());
    }
    drop(server);
    live(shell, &spec, &[&["--phases", phases][..], &rest[2..], cases].concat())?;
    Ok(format!("{operations} operations, and what is below a live conference, call and queue"))
}

/// Tries what is below a conference, a call and a queue in which somebody is, who stays there; a refusal leaves
/// everything as it was.
fn live(shell: &Shell, spec: &str, rest: &[&str]) -> Result<(), String> {
    const BELOW: &str = "[}]/(Conferences|Calls|Queues)/|[}]/Recordings/.Sid.[.]json";
    let data = shell.path(&format!("{FOLDER}/live"));
    let _ = fs::remove_dir_all(&data);
    fs::create_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
    let mut server = Running::start(&shell.path("target/debug/sidetone"), &data)?;
    let (url, account, token) =
        (server.field("api_url"), server.field("account_sid"), server.field("auth_token"));
    let made = [PYTHON, "xtask/schema/live.py", account, token, url];
    let config = shell.output(&made)?;
    if !config.starts_with("[parameters]") {
        return Err(format!("nothing came to live on the server: {config}"));
    }
    let config_file = format!("{FOLDER}/live.toml");
    fs::write(shell.path(&config_file), config).map_err(|error| error.to_string())?;
    let (login, told) = (format!("{account}:{token}"), format!("{url} {account} {token}"));
    let line = ["target/venv/bin/schemathesis", "--config-file", &config_file, "run", spec];
    let checks = format!("{CHECKS},a_refusal_changes_nothing");
    let more = ["--url", url, "--auth", &login, "--checks", &checks];
    let only = ["--include-path-regex", BELOW, "--exclude-method", "DELETE"];
    let env = [ENV[0], ENV[1], ENV[2], ("SIDETONE_LIVE", &told)];
    shell.run_with(&[&line[..], &more, &only, rest].concat(), &env)?;
    if server.is_up() { Ok(()) } else { Err("the server ended meanwhile".to_owned()) }
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
