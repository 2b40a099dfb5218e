//! `sidetone conf`: the conferences of a running server.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::client::{Client, Flags};
use crate::output::{Output, plain, text};
use crate::part;

/// The columns of a list.
const FIELDS: [&str; 4] = ["sid", "friendly_name", "status", "date_created"];
/// The columns of a history.
const MOMENT_FIELDS: [&str; 12] = [
    "date",
    "event",
    "call_sid",
    "label",
    "muted",
    "hold",
    "call_sid_to_coach",
    "gain_db",
    "levelling",
    "noise_suppression",
    "sidebar",
    "reason",
];
/// How often `top` looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Flags of `sidetone conf`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists conferences, newest first; those that are not over, unless told otherwise.
    Ls {
        /// Those of this status alone: init, in-progress or completed.
        #[arg(long)]
        status: Option<String>,
    },
    /// Shows a conference and who takes part in it.
    Show {
        /// Its SID, or the name of one that is not over.
        conference: String,
    },
    /// Shows what befell a conference and who was told, also after its end.
    Timeline {
        /// Its SID, or the name of one that is not over.
        conference: String,
    },
    /// Shows all that are not over, with those who take part, again every second.
    Top {
        /// How often to look; for ever unless told.
        #[arg(long)]
        times: Option<u64>,
    },
    /// Ends a conference: everyone is hung up, or goes on with its TwiML.
    End {
        /// Its SID, or its name.
        conference: String,
    },
    /// Plays a document to everyone who is not on hold.
    Announce {
        /// Its SID, or its name.
        conference: String,
        /// A WAV, an MP3 or TwiML.
        url: String,
    },
}

/// Carries out one of the commands.
///
/// # Errors
/// One line: that no server is found, or what it answered.
pub async fn run(arguments: Arguments) -> Result<(), String> {
    let (client, output) = arguments.flags.client()?;
    match arguments.command {
        Command::Ls { status } => {
            let rows = match status {
                Some(status) => client.conferences(&status, "").await?,
                None => client.live_conferences("").await?,
            };
            output.rows(&rows, &FIELDS);
        }
        Command::Show { conference } => {
            show(&client, output, &client.conference(&conference).await?).await?
        }
        Command::Timeline { conference } => {
            let sid = client.conference(&conference).await?;
            let path = format!("/sidetone/v1/Conferences/{sid}/Timeline?PageSize=1000");
            output.rows(&client.list(&path, "events").await?, &MOMENT_FIELDS);
        }
        Command::Top { times } => {
            let mut left = times;
            while left != Some(0) {
                for conference in client.live_conferences("").await? {
                    show(&client, output, &text(&conference, "sid")).await?;
                }
                left = left.map(|left| left - 1);
                if left != Some(0) {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
        Command::End { conference } => {
            update(&client, output, &conference, &[("Status", "completed")]).await?;
        }
        Command::Announce { conference, url } => {
            update(&client, output, &conference, &[("AnnounceUrl", &url)]).await?;
        }
    }
    Ok(())
}

async fn update(
    client: &Client,
    output: Output,
    conference: &str,
    form: &[(&str, &str)],
) -> Result<(), String> {
    let sid = client.conference(conference).await?;
    let path = client.account(&format!("/Conferences/{sid}.json"));
    output.row(&client.ask(Method::POST, &path, form).await?, &FIELDS);
    Ok(())
}

async fn show(client: &Client, output: Output, sid: &str) -> Result<(), String> {
    let path = client.account(&format!("/Conferences/{sid}.json"));
    let mut conference = client.ask(Method::GET, &path, &[]).await?;
    let members = part::list(client, sid).await?;
    if output == Output::Json {
        conference["participants"] = Value::from(members);
        println!("{conference}");
    } else {
        let head = ["friendly_name", "status", "sid"].map(|field| text(&conference, field));
        println!("{}", plain(&head.join("  ")));
        output.rows(&members, &part::FIELDS);
    }
    Ok(())
}
