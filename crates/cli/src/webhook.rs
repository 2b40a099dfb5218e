//! `sidetone webhook`: the callbacks of a running server, and sending them once more.

use std::path::PathBuf;

use reqwest::{Client, Method};
use serde_json::Value;

use crate::running::Running;

/// Flags of `sidetone webhook`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The data folder of the running server.
    #[arg(long, global = true)]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists callbacks, newest first.
    Ls {
        /// Only those that were given up.
        #[arg(long)]
        failed: bool,
    },
    /// Sends callbacks once more.
    #[command(arg_required_else_help = true)]
    Replay {
        /// One callback's SID.
        #[arg(conflicts_with = "failed", required_unless_present = "failed")]
        sid: Option<String>,
        /// All that were given up.
        #[arg(long)]
        failed: bool,
    },
}

/// Lists or replays.
///
/// # Errors
/// One line that says what the server said.
pub async fn run(arguments: Arguments) -> Result<(), String> {
    let server = Server { running: Running::find(arguments.data.as_deref())?, http: Client::new() };
    match arguments.command {
        Command::Ls { failed } => {
            let listed = server.list(failed).await?;
            listed.iter().for_each(|callback| println!("{}", line(callback)));
        }
        Command::Replay { sid: Some(sid), .. } => server.replay(&sid).await?,
        Command::Replay { sid: None, .. } => {
            // Oldest first, as they were owed.
            for callback in server.list(true).await?.iter().rev() {
                server.replay(callback["sid"].as_str().unwrap_or_default()).await?;
            }
        }
    }
    Ok(())
}

fn line(callback: &Value) -> String {
    let text = |name: &str| callback[name].as_str().unwrap_or_default().to_owned();
    let params = &callback["params"];
    let event = params["StatusCallbackEvent"].as_str().or_else(|| params["CallStatus"].as_str());
    let what = format!("{} {} {}", text("sid"), text("status"), event.unwrap_or("?"));
    let tries = callback["attempts"].as_u64().unwrap_or(0);
    let line = format!("{what} {} tries={tries} {}", text("url"), text("last_error"));
    // What a receiver said is not to steer the terminal.
    line.trim_end().replace(char::is_control, "?")
}

struct Server {
    running: Running,
    http: Client,
}

impl Server {
    async fn ask(&self, method: Method, path: &str) -> Result<Value, String> {
        let told = |error: reqwest::Error| format!("the server does not answer: {error}");
        let response = self
            .http
            .request(method, format!("{}{path}", self.running.api_url))
            .basic_auth(&self.running.account_sid, Some(&self.running.auth_token))
            .send()
            .await
            .map_err(told)?;
        let good = response.status().is_success();
        let body = response.bytes().await.map_err(told)?;
        let body: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        if good { Ok(body) } else { Err(body["message"].as_str().unwrap_or("refused").to_owned()) }
    }

    async fn list(&self, failed: bool) -> Result<Vec<Value>, String> {
        let filter = if failed { "&Status=failed" } else { "" };
        let mut next = Some(format!("/sidetone/v1/Callbacks?PageSize=1000{filter}"));
        let mut all = Vec::new();
        while let Some(path) = next {
            let page = self.ask(Method::GET, &path).await?;
            all.extend(page["callbacks"].as_array().cloned().unwrap_or_default());
            next = page["next_page_uri"].as_str().map(str::to_owned);
        }
        Ok(all)
    }

    async fn replay(&self, sid: &str) -> Result<(), String> {
        let path = format!("/sidetone/v1/Callbacks/{sid}/Replay");
        let callback = self.ask(Method::POST, &path).await?;
        println!("{}", line(&callback));
        Ok(())
    }
}
