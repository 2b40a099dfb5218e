//! What is asked of a server by REST before it is measured.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use sim::load::Plan;

use crate::running::Running;

/// How long a request may take.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Participants that are found.
const FOUND_MAX: usize = 500;
/// How long is looked for the first one, and how often.
const FOUND_WITHIN: Duration = Duration::from_secs(10);
const FOUND_AGAIN: Duration = Duration::from_millis(100);

/// The account of a running server.
#[derive(Debug)]
pub struct Rest {
    client: reqwest::Client,
    root: String,
    /// The account's SID and its token.
    pub credentials: (String, String),
}

/// A participant who is not muted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its leg; of a mock, any.
    pub leg: usize,
    /// Its conference.
    pub conference: String,
    /// Its call.
    pub call: String,
}

impl Found {
    /// Returns where it is, below the account.
    pub fn path(&self) -> String {
        format!("/Conferences/{}/Participants/{}.json", self.conference, self.call)
    }
}

impl Rest {
    /// Makes ready to ask.
    ///
    /// # Errors
    /// One line.
    pub fn new(running: &Running) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .timeout(ANSWER_WITHIN)
            .build()
            .map_err(|error| error.to_string())?;
        let credentials = (running.account_sid.clone(), running.auth_token.clone());
        Ok(Self { client, root: running.api_url.clone(), credentials })
    }

    /// Returns the account's path.
    pub fn account_path(&self) -> String {
        format!("/2010-04-01/Accounts/{}", self.credentials.0)
    }

    /// Begins a request for what is below the account.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_to(method, &format!("{}{path}", self.account_path()))
    }

    fn request_to(&self, method: Method, path: &str) -> RequestBuilder {
        let (sid, token) = &self.credentials;
        self.client.request(method, format!("{}{path}", self.root)).basic_auth(sid, Some(token))
    }

    /// Finds participants of a load who say nothing: a call that is up may be on its way into its room.
    ///
    /// # Errors
    /// One line, when the server does not answer.
    pub async fn participants(&self, plan: &Plan) -> Result<Vec<Found>, String> {
        let until = Instant::now() + FOUND_WITHIN;
        loop {
            let found = self.find(plan, |leg| plan.is_silent(leg)).await?;
            if !found.is_empty() || Instant::now() >= until {
                return Ok(found);
            }
            tokio::time::sleep(FOUND_AGAIN).await;
        }
    }

    /// Finds the participants of a load whose legs are wanted and up.
    ///
    /// # Errors
    /// One line, when the server does not answer.
    pub async fn find(
        &self,
        plan: &Plan,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Result<Vec<Found>, String> {
        let wanted: BTreeMap<String, usize> = (0..plan.legs)
            .filter(|&leg| is_wanted(leg))
            .map(|leg| (format!("leg{leg}"), leg))
            .collect();
        let conferences: BTreeMap<String, String> = self
            .list("/Conferences.json?Status=in-progress&PageSize=1000", "conferences")
            .await?
            .iter()
            .map(|conference| (text(conference, "friendly_name"), text(conference, "sid")))
            .collect();
        let mut found = Vec::new();
        for call in self.list("/Calls.json?Status=in-progress&PageSize=1000", "calls").await? {
            let from = text(&call, "from");
            let user = from.trim_start_matches("sip:").split('@').next().unwrap_or_default();
            if let Some(&leg) = wanted.get(user)
                && let Some(conference) = conferences.get(&plan.room(leg))
                && found.len() < FOUND_MAX
            {
                let (conference, call) = (conference.clone(), text(&call, "sid"));
                found.push(Found { leg, conference, call });
            }
        }
        Ok(found)
    }

    /// Returns all pages of a list.
    async fn list(&self, path: &str, name: &str) -> Result<Vec<Value>, String> {
        let mut records = Vec::new();
        let mut next = Some(format!("{}{path}", self.account_path()));
        while let Some(path) = next {
            let page = self.get(&path).await?;
            records.extend(page[name].as_array().into_iter().flatten().cloned());
            next = page["next_page_uri"].as_str().map(str::to_owned);
        }
        Ok(records)
    }

    /// Returns what is at a path.
    ///
    /// # Errors
    /// One line, when the server does not answer.
    pub async fn get(&self, path: &str) -> Result<Value, String> {
        let told = |error: reqwest::Error| format!("the server does not answer: {error}");
        let request = self.request_to(Method::GET, path);
        let body = request.send().await.map_err(told)?.bytes().await.map_err(told)?;
        serde_json::from_slice(&body).map_err(|error| error.to_string())
    }
}

/// Returns a text of a record.
pub fn text(record: &Value, name: &str) -> String {
    record[name].as_str().unwrap_or_default().to_owned()
}
