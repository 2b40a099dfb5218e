//! Twilio's OpenAPI description, as the npm package `@twilio/cli-core` carries it, and how a live
//! body is held to it.

use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::{Map, Value};

/// The description.
#[derive(Debug)]
pub struct OpenApi(Value);

/// Fields that are numbers written as text.
const NUMBERS: [&str; 5] = ["duration", "queue_time", "error_code", "log", "price"];

impl OpenApi {
    /// Returns it, read once from where `NODE_PATH` says; none where that names no such package.
    pub fn found() -> Option<&'static Self> {
        static FOUND: OnceLock<Option<OpenApi>> = OnceLock::new();
        let read = || {
            let modules = PathBuf::from(std::env::var_os("NODE_PATH")?);
            let file = "@twilio/cli-core/src/services/twilio-api/twilio_api_v2010.json";
            let text = std::fs::read_to_string(modules.join(file)).ok()?;
            Some(Self(serde_json::from_str(&text).unwrap()))
        };
        FOUND.get_or_init(read).as_ref()
    }

    /// Returns it for a test that is about it.
    ///
    /// # Panics
    /// Where it is not there.
    pub fn read() -> &'static Self {
        Self::found().expect(
            "NODE_PATH names no installed @twilio/cli-core: `cargo xtask test` installs it and sets it",
        )
    }

    /// Returns what is wrong with an answer, whatever was asked: a success is as its operation's examples and
    /// schema have it, an error has Twilio's shape.
    pub fn judge(
        &self,
        method: &str,
        path: &str,
        status: u16,
        kind: &str,
        body: &Value,
    ) -> Vec<String> {
        let mut faults = Vec::new();
        if !body.is_null() && !kind.starts_with("application/json") {
            faults.push(format!("its type is {kind:?}"));
        }
        if status >= 400 {
            let names: Vec<&str> = keys(body).iter().take(4).map(|name| name.as_str()).collect();
            if names != ["code", "message", "more_info", "status"] || body["status"] != status {
                faults.push(format!("it is no error in Twilio's shape: {status} {body}"));
            }
        } else if let Some(template) = self.template(path) {
            faults.extend(self.faults(method, template, status, body));
        }
        let about = |fault| format!("{method} {path}: {fault}");
        faults.into_iter().map(about).collect()
    }

    /// Returns which path of the description a request's is; none where it is ours.
    fn template(&self, path: &str) -> Option<&str> {
        let path = path.split('?').next()?.trim_end_matches(".json");
        let fits = |template: &str| {
            let mut words = path.split('/');
            let fits = template.trim_end_matches(".json").split('/').all(|expected| {
                words.next().is_some_and(|word| expected.starts_with('{') || word == expected)
            });
            fits && words.next().is_none()
        };
        // A fixed segment comes before one that may be any.
        let all = self.0["paths"].as_object()?.keys().filter(|template| fits(template));
        all.min_by_key(|template| template.matches('{').count()).map(String::as_str)
    }

    /// Returns the names of an operation's parameters, those of its path aside, in order.
    pub fn parameters(&self, method: &str, path: &str) -> Vec<String> {
        let operation = &self.0["paths"][path][method.to_lowercase()];
        let in_query = operation["parameters"].as_array().into_iter().flatten();
        let in_query = in_query.filter(|one| one["in"] == "query").map(|one| &one["name"]);
        let bodies = operation["requestBody"]["content"].as_object().into_iter().flatten();
        let in_body = bodies.filter_map(|(_, body)| body["schema"]["properties"].as_object());
        let in_body = in_body.flat_map(|properties| properties.keys().cloned());
        in_query.filter_map(|name| name.as_str().map(str::to_owned)).chain(in_body).collect()
    }

    /// Returns every path with its methods, in upper case.
    pub fn paths(&self) -> Vec<(&str, Vec<String>)> {
        let methods = |path: &Value| {
            let known = ["get", "post", "delete", "put", "patch"];
            known.iter().filter(|name| path.get(name).is_some()).map(|m| m.to_uppercase()).collect()
        };
        self.0["paths"].as_object().unwrap().iter().map(|(p, v)| (p.as_str(), methods(v))).collect()
    }

    /// Returns what differs between an answer and the operation's examples and schema.
    pub fn faults(&self, method: &str, path: &str, status: u16, body: &Value) -> Vec<String> {
        let operation = &self.0["paths"][path][method.to_lowercase()];
        assert!(operation.is_object(), "there is no {method} {path}");
        let response = &operation["responses"][status.to_string()];
        if !response.is_object() {
            return vec![format!("status {status} is not one of the operation's: {body}")];
        }
        let Some(content) = response["content"].get("application/json") else {
            return if body.is_null() { Vec::new() } else { vec![format!("a body: {body}")] };
        };
        let mut faults = Vec::new();
        self.hold(&content["schema"], body, "", false, &mut faults);
        let examples: Vec<&Value> =
            content["examples"].as_object().unwrap().values().map(|one| &one["value"]).collect();
        // A schema may have members that no example shows.
        faults.retain(|fault| {
            let name = fault.strip_suffix(" is missing").and_then(|at| at.rsplit('.').next());
            name.is_none_or(|name| examples.iter().any(|example| shows(example, name)))
        });
        let ordered = examples.iter().any(|example| same_keys(example, body));
        if !ordered {
            faults.push(format!("keys {:?} are no example's", keys(body)));
        }
        for (name, value) in body.as_object().into_iter().flatten() {
            like(name, value, &all(&examples, name), &mut faults);
        }
        faults
    }

    /// Holds a value to a schema.
    fn hold(&self, schema: &Value, value: &Value, at: &str, null: bool, faults: &mut Vec<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap();
            // An enumeration says nowhere that it may be absent, yet examples show it so.
            return self.hold(&self.0["components"]["schemas"][name], value, at, true, faults);
        }
        if value.is_null() {
            if !null && schema["nullable"] != true {
                faults.push(format!("{at} is null"));
            }
            return;
        }
        let fits = match schema["type"].as_str().unwrap_or("object") {
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            // Examples write these as text.
            "number" => value.as_str().is_none_or(|text| text.parse::<f64>().is_ok()),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("the schema of {at} has a new type {other}"),
        };
        if !fits {
            return faults.push(format!("{at} is no {}: {value}", schema["type"]));
        }
        for item in value.as_array().into_iter().flatten() {
            self.hold(&schema["items"], item, at, false, faults);
        }
        if let Some(properties) = schema["properties"].as_object() {
            self.hold_members(properties, value.as_object().unwrap(), at, faults);
        }
        if let Some(text) = value.as_str() {
            hold_text(schema, text, at, faults);
        }
    }

    fn hold_members(
        &self,
        properties: &Map<String, Value>,
        value: &Map<String, Value>,
        at: &str,
        faults: &mut Vec<String>,
    ) {
        for (name, schema) in properties {
            match value.get(name) {
                // The envelope's schema forgets that its ends may be open.
                Some(value) if at.is_empty() && name.ends_with("_page_uri") => {
                    self.hold(schema, value, name, true, faults);
                }
                Some(value) => self.hold(schema, value, name, false, faults),
                None => faults.push(format!("{at}.{name} is missing")),
            }
        }
        for name in value.keys().filter(|name| !properties.contains_key(*name)) {
            faults.push(format!("{at}.{name} is not in the schema"));
        }
    }
}

fn hold_text(schema: &Value, text: &str, at: &str, faults: &mut Vec<String>) {
    if let Some(pattern) = schema["pattern"].as_str() {
        let prefix =
            pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix("[0-9a-fA-F]{32}$"));
        let prefix = prefix.unwrap_or_else(|| panic!("the pattern of {at} is new: {pattern}"));
        let prefixes = prefix.trim_matches(['(', ')']).split('|');
        if !prefixes.into_iter().any(|prefix| sid(text) == Some(prefix)) {
            faults.push(format!("{at} is no {pattern}: {text}"));
        }
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.iter().any(|word| word == text)
    {
        faults.push(format!("{at} is none of {words:?}: {text}"));
    }
    if schema["format"] == "date-time-rfc-2822" && !is_date(text) {
        faults.push(format!("{at} is no RFC 2822 date: {text}"));
    }
}

/// Whether an example has a member of this name, however deep.
fn shows(example: &Value, name: &str) -> bool {
    match example {
        Value::Object(members) => {
            members.iter().any(|(known, value)| known == name || shows(value, name))
        }
        Value::Array(items) => items.iter().any(|item| shows(item, name)),
        _ => false,
    }
}

fn keys(value: &Value) -> Vec<&String> {
    value.as_object().map(|object| object.keys().collect()).unwrap_or_default()
}

/// Whether two bodies have the same keys in the same order; an item of a list has those of one there.
fn same_keys(example: &Value, body: &Value) -> bool {
    match (example, body) {
        (Value::Object(one), Value::Object(other)) => {
            keys(example) == keys(body)
                // What a callback told has the names that it has.
                && one.iter().all(|(name, value)| name == "parameters" || same_keys(value, &other[name]))
        }
        (Value::Array(one), Value::Array(other)) => {
            other.iter().all(|item| one.iter().any(|example| same_keys(example, item)))
        }
        // What has no value just now has no keys.
        (_, Value::Null) => true,
        (Value::Object(_) | Value::Array(_), _) | (_, Value::Object(_) | Value::Array(_)) => false,
        _ => true,
    }
}

fn all<'a>(examples: &[&'a Value], name: &str) -> Vec<&'a Value> {
    examples.iter().filter_map(|example| example.get(name)).collect()
}

/// Compares how a value is written with the examples of its key.
fn like(name: &str, value: &Value, examples: &[&Value], faults: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                like(name, value, &all(examples, name), faults);
            }
        }
        Value::Array(items) => {
            let inner: Vec<&Value> =
                examples.iter().filter_map(|one| one.as_array()).flatten().collect();
            items.iter().for_each(|item| like(name, item, &inner, faults));
        }
        Value::String(text) => {
            let written = examples.iter().filter_map(|one| one.as_str());
            // An example that is empty says nothing of what is not.
            let written: Vec<&str> =
                written.filter(|one| !one.is_empty() || text.is_empty()).collect();
            let kinds: Vec<String> = written.iter().map(|text| kind(name, text)).collect();
            // The example of a conference's recordings has the list's address where an item's belongs.
            let ours = kind(name, text).replace("/CF/Recordings/RE.json", "/CF/Recordings.json");
            let known = kinds.contains(&kind(name, text)) || kinds.contains(&ours);
            if !kinds.is_empty() && !known {
                faults.push(format!("{name} is written {text:?}, not as in {written:?}"));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Says how a text is written: a SID by its prefix, an address by its path, a date, a number, words.
fn kind(name: &str, text: &str) -> String {
    // A message with pictures is a message.
    if let Some(prefix) = sid(text).map(|prefix| if prefix == "MM" { "SM" } else { prefix }) {
        prefix.to_owned()
    } else if is_date(text) {
        "date".to_owned()
    } else if text.starts_with("/2010-04-01") {
        let path = text.split('?').next().unwrap();
        path.split('/')
            .map(|part| {
                let bare = part.trim_end_matches(".json");
                let is_country = bare.len() == 2 && bare.bytes().all(|b| b.is_ascii_uppercase());
                if is_country {
                    return part.replace(bare, "a country");
                }
                sid(bare).map_or(part.to_owned(), |prefix| {
                    part.replace(bare, prefix).replace("MM", "SM")
                })
            })
            .collect::<Vec<_>>()
            .join("/")
    } else if NUMBERS.contains(&name) && text.parse::<f64>().is_ok() {
        "number".to_owned()
    } else {
        "words".to_owned()
    }
}

/// Returns the prefix of a SID.
pub fn sid(text: &str) -> Option<&str> {
    let (prefix, digits) = text.split_at_checked(2)?;
    let fits = prefix.bytes().all(|octet| octet.is_ascii_uppercase())
        && digits.len() == 32
        && digits.bytes().all(|octet| octet.is_ascii_hexdigit());
    fits.then_some(prefix)
}

/// Whether a text is written as `Fri, 18 Feb 2011 21:07:19 +0000`.
fn is_date(text: &str) -> bool {
    const PICTURE: &str = "Aaa, 00 Aaa 0000 00:00:00 +0000";
    let drawn: String = text
        .chars()
        .map(|letter| match letter {
            'A'..='Z' => 'A',
            'a'..='z' => 'a',
            '0'..='9' => '0',
            other => other,
        })
        .collect();
    drawn == PICTURE && text.ends_with("+0000")
}
