//! What the client sub-commands ask the running server, with its own API.

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::Value;

use crate::output::Output;
use crate::running::Running;

/// Where the running server is, as a flag of every client sub-command.
#[derive(Debug, clap::Args)]
pub struct Where {
    /// The data folder of the running server.
    #[arg(long, global = true)]
    data: Option<PathBuf>,
}

/// The flags of a client sub-command that shows rows.
#[derive(Debug, clap::Args)]
pub struct Flags {
    #[command(flatten)]
    server: Where,
    /// How to print.
    #[arg(short, long, global = true, value_enum, default_value_t)]
    output: Output,
}

impl Flags {
    /// Finds the server, and says how to print.
    ///
    /// # Errors
    /// As [`Running::find`].
    pub fn client(&self) -> Result<(Client, Output), String> {
        Ok((self.server.client()?, self.output))
    }
}

impl Where {
    /// Finds the server.
    ///
    /// # Errors
    /// As [`Running::find`].
    pub fn client(&self) -> Result<Client, String> {
        Client::find(self.data.as_deref())
    }
}

/// One who asks a running server.
#[derive(Debug)]
pub struct Client {
    pub running: Running,
    http: reqwest::Client,
}

impl Client {
    /// Finds the server.
    ///
    /// # Errors
    /// As [`Running::find`].
    pub fn find(data: Option<&Path>) -> Result<Self, String> {
        Ok(Self { running: Running::find(data)?, http: reqwest::Client::new() })
    }

    /// Returns a path below the account, such as `/Conferences.json`, as a whole path.
    pub fn account(&self, path: &str) -> String {
        format!("/2010-04-01/Accounts/{}{path}", self.running.account_sid)
    }

    /// Asks for a whole path, with the fields of a form where there are any.
    ///
    /// # Errors
    /// One line: what the server said, or that it says nothing.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        form: &[(&str, &str)],
    ) -> Result<Value, String> {
        let api = &self.running.api_url;
        let told = |error: reqwest::Error| format!("{api}: {error}");
        let mut request = self
            .http
            .request(method, format!("{api}{path}"))
            .basic_auth(&self.running.account_sid, Some(&self.running.auth_token));
        if !form.is_empty() {
            let fields = form.iter().map(|(name, value)| ((*name).to_owned(), (*value).into()));
            let body = Value::Object(fields.collect());
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.map_err(told)?;
        let status = response.status();
        let body = response.bytes().await.map_err(told)?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status.is_success() {
            return Ok(body);
        }
        let message = body["message"].as_str().unwrap_or_default();
        let code = body["code"].as_u64().map_or_else(String::new, |code| format!(" ({code})"));
        Err(format!("{status}: {message}{code}"))
    }

    /// Returns all of a list, page by page.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn list(&self, path: &str, field: &str) -> Result<Vec<Value>, String> {
        let mut next = Some(path.to_owned());
        let mut all = Vec::new();
        while let Some(path) = next {
            let mut page = self.ask(Method::GET, &path, &[]).await?;
            if let Value::Array(rows) = page[field].take() {
                all.extend(rows);
            }
            next = page["next_page_uri"].as_str().map(str::to_owned);
        }
        Ok(all)
    }
}

/// Returns a field as text, empty where it is null.
pub fn text(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Returns `line` as it may go to a terminal: what others wrote is not to steer it.
pub fn plain(line: &str) -> String {
    line.trim_end().replace(char::is_control, "?")
}
