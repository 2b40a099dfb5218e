//! What the client sub-commands ask the running server, with its own API.

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::Value;

use crate::output::{Output, text};
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
    /// Says how to print.
    pub fn output(&self) -> Output {
        self.output
    }

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

    /// Returns the SID of a conference that is named by it, or by the name of one that is not over.
    ///
    /// # Errors
    /// One line: there is none.
    pub async fn conference(&self, conference: &str) -> Result<String, String> {
        let is_sid = conference.len() == 34 && conference.starts_with("CF");
        if is_sid {
            return Ok(conference.to_owned());
        }
        let name: String = url::form_urlencoded::byte_serialize(conference.as_bytes()).collect();
        let found = self.live_conferences(&format!("&FriendlyName={name}")).await?;
        let sid = found.first().map(|conference| text(conference, "sid"));
        sid.ok_or_else(|| format!("no conference named {conference:?} is going on"))
    }

    /// Returns the conferences that are not over.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn live_conferences(&self, filter: &str) -> Result<Vec<Value>, String> {
        // One that begins between both questions is found by the second.
        let mut waiting = self.conferences("init", filter).await?;
        let mut rows = self.conferences("in-progress", filter).await?;
        waiting.retain(|one| rows.iter().all(|row| row["sid"] != one["sid"]));
        rows.append(&mut waiting);
        Ok(rows)
    }

    /// Returns the conferences of a status.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn conferences(&self, status: &str, filter: &str) -> Result<Vec<Value>, String> {
        let path = format!("/Conferences.json?PageSize=1000&Status={status}{filter}");
        self.list(&self.account(&path), "conferences").await
    }
}
