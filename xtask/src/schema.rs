//! Every operation of Twilio's OpenAPI description, tried with values that fit its schema and values that
//! do not: nothing may fail on our side, and every body must be as the description has it.

use std::fs;

use serde_json::Value;

use crate::shell::Shell;
use crate::start::Running;

/// The description, in the package that `node-sdk` installs.
const DESCRIPTION: &str =
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
    let env = [("SCHEMATHESIS_HOOKS", "hooks"), ("PYTHONPATH", "xtask/schema"), ("NO_COLOR", "1")];
    shell.run_with(&[&line[..], &more, &rest, cases].concat(), &env)?;
    if !server.is_up() {
        return Err("the server ended meanwhile".to_owned());
    }
    Ok(format!("{operations} operations"))
}

/// Takes away what is not meant as it is written: addresses are relative in Twilio's own examples, though
/// their format says otherwise. Returns how many operations there are.
fn adapted(description: &mut Value) -> usize {
    strip(description);
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
