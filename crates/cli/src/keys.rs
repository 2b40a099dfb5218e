//! `sidetone keys`: API keys of a running server.

use std::path::PathBuf;

use serde_json::Value;

use crate::running::Running;

/// Flags of `sidetone keys`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The data folder of the running server.
    #[arg(long, global = true)]
    data: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Makes a key and prints its SID and its secret, which is shown this once.
    Create {
        /// A name for people.
        #[arg(default_value = "")]
        name: String,
    },
    /// Lists the keys.
    Ls,
    /// Removes a key; it is refused from then on.
    Rm {
        /// The key's SID.
        sid: String,
    },
}

/// Carries out one of the commands.
///
/// # Errors
/// One line: that no server is found, or what it answered.
pub async fn run(arguments: Arguments) -> Result<(), String> {
    let running = Running::find(arguments.data.as_deref())?;
    match arguments.command {
        Command::Create { name } => {
            let body = if name.is_empty() {
                Value::Object(serde_json::Map::new())
            } else {
                serde_json::json!({ "FriendlyName": name })
            };
            let key = ask(&running, reqwest::Method::POST, "/Keys.json", Some(body)).await?;
            println!("{} {}", text(&key, "sid"), text(&key, "secret"));
        }
        Command::Ls => {
            let mut path = Some("/Keys.json?PageSize=1000".to_owned());
            while let Some(asked) = path {
                let page = ask(&running, reqwest::Method::GET, &asked, None).await?;
                for key in page["keys"].as_array().into_iter().flatten() {
                    let words =
                        ["sid", "date_created", "friendly_name"].map(|name| text(key, name));
                    println!("{}", words.join("  ").trim_end());
                }
                let next = page["next_page_uri"].as_str();
                path =
                    next.and_then(|next| next.find("/Keys.json").map(|at| next[at..].to_owned()));
            }
        }
        Command::Rm { sid } => {
            let path = format!("/Keys/{sid}.json");
            ask(&running, reqwest::Method::DELETE, &path, None).await?;
        }
    }
    Ok(())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// Asks for a path below the account.
async fn ask(
    running: &Running,
    method: reqwest::Method,
    path: &str,
    body: Option<Value>,
) -> Result<Value, String> {
    let (api, account) = (&running.api_url, &running.account_sid);
    let url = format!("{api}/2010-04-01/Accounts/{account}{path}");
    let mut request =
        reqwest::Client::new().request(method, url).basic_auth(account, Some(&running.auth_token));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let response = request.send().await.map_err(|error| format!("{api}: {error}"))?;
    let status = response.status();
    let answer = response.text().await.map_err(|error| format!("{api}: {error}"))?;
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    if status.is_success() {
        Ok(answer)
    } else {
        Err(format!("{status}: {}", text(&answer, "message")))
    }
}
