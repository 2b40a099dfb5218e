//! `sidetone webhook`: the callbacks of a running server, and sending them once more.

use reqwest::Method;
use serde_json::Value;

use crate::client::{Client, Flags};
use crate::forward;
use crate::output::{Output, plain, text};

/// What is shown of one, beside its fields.
const FIELDS: [&str; 9] = [
    "sid",
    "status",
    "method",
    "url",
    "attempts",
    "last_error",
    "conference_sid",
    "call_sid",
    "date_created",
];

/// Flags of `sidetone webhook`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    flags: Flags,
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
    /// Shows one callback with its fields.
    Show {
        /// Its SID.
        sid: String,
    },
    /// Takes callbacks and requests for documents, shows each, and hands it on to an application.
    Listen(forward::Arguments),
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

/// Carries out one of the commands.
///
/// # Errors
/// One line that says what the server said.
pub async fn run(arguments: Arguments) -> Result<(), String> {
    let (client, output) = arguments.flags.client()?;
    match arguments.command {
        Command::Ls { failed } => {
            let listed = list(&client, failed).await?;
            match output {
                Output::Json => println!("{}", Value::from(listed)),
                Output::Text => listed.iter().for_each(|callback| println!("{}", line(callback))),
            }
        }
        Command::Show { sid } => show(&client, output, &sid).await?,
        Command::Listen(arguments) => forward::run(&client, output, arguments).await?,
        Command::Replay { sid: Some(sid), .. } => replay(&client, output, &sid).await?,
        Command::Replay { sid: None, .. } => {
            // Oldest first, as they were owed.
            for callback in list(&client, true).await?.iter().rev() {
                replay(&client, output, &text(callback, "sid")).await?;
            }
        }
    }
    Ok(())
}

fn line(callback: &Value) -> String {
    let params = &callback["params"];
    let event = params["StatusCallbackEvent"].as_str().or_else(|| params["CallStatus"].as_str());
    let tries = callback["attempts"].as_u64().unwrap_or(0);
    let [sid, status, url, error] =
        ["sid", "status", "url", "last_error"].map(|name| text(callback, name));
    plain(&format!("{sid} {status} {} tries={tries} {url} {error}", event.unwrap_or("?")))
}

async fn list(client: &Client, failed: bool) -> Result<Vec<Value>, String> {
    let filter = if failed { "&Status=failed" } else { "" };
    client.list(&format!("/sidetone/v1/Callbacks?PageSize=1000{filter}"), "callbacks").await
}

async fn show(client: &Client, output: Output, sid: &str) -> Result<(), String> {
    let path = format!("/sidetone/v1/Callbacks/{sid}");
    let callback = client.ask(Method::GET, &path, &[]).await?;
    output.row(&callback, &FIELDS);
    if output == Output::Text {
        println!();
        let params = &callback["params"];
        let names: Vec<&str> =
            params.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        output.row(params, &names);
    }
    Ok(())
}

async fn replay(client: &Client, output: Output, sid: &str) -> Result<(), String> {
    let path = format!("/sidetone/v1/Callbacks/{sid}/Replay");
    let callback = client.ask(Method::POST, &path, &[]).await?;
    match output {
        Output::Json => println!("{callback}"),
        Output::Text => println!("{}", line(&callback)),
    }
    Ok(())
}
