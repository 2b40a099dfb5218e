//! `sidetone part`: who takes part in a conference, and what is done to them.

use reqwest::Method;
use serde_json::Value;

use crate::client::{Client, Flags};

/// The columns of a list.
pub const FIELDS: [&str; 7] =
    ["call_sid", "label", "status", "muted", "hold", "coaching", "call_sid_to_coach"];

/// Flags of `sidetone part`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

/// Whom a command is about.
#[derive(Debug, clap::Args)]
struct Whom {
    /// The conference's SID, or its name.
    conference: String,
    /// The participant's CallSid, or its label.
    participant: String,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists who takes part.
    Ls {
        /// The conference's SID, or its name.
        conference: String,
    },
    /// Calls somebody into a conference, which is made if there is none of that name.
    Add {
        /// The conference's SID, or its name.
        conference: String,
        /// Whom to call: `sip:user@host`, `client:name` or a number.
        to: String,
        /// Who calls.
        #[arg(long, default_value = "sidetone")]
        from: String,
        /// A second name for the participant.
        #[arg(long)]
        label: Option<String>,
        /// Muted from the start.
        #[arg(long)]
        muted: bool,
    },
    /// Mutes somebody.
    Mute {
        #[command(flatten)]
        whom: Whom,
        /// Lets them be heard again.
        #[arg(long)]
        off: bool,
    },
    /// Puts somebody on hold, with music.
    Hold {
        #[command(flatten)]
        whom: Whom,
        /// What they hear: a WAV, an MP3 or TwiML.
        #[arg(long)]
        url: Option<String>,
        /// Takes them back.
        #[arg(long, conflicts_with = "url")]
        off: bool,
    },
    /// Lets somebody be heard by one other alone.
    Coach {
        #[command(flatten)]
        whom: Whom,
        /// The CallSid of the one who hears them.
        #[arg(required_unless_present = "off")]
        coached: Option<String>,
        /// Lets them be heard by all again.
        #[arg(long, conflicts_with = "coached")]
        off: bool,
    },
    /// Plays a document to somebody; the room is turned down meanwhile.
    Announce {
        #[command(flatten)]
        whom: Whom,
        /// A WAV, an MP3 or TwiML.
        url: String,
    },
    /// Hangs somebody up.
    Kick {
        #[command(flatten)]
        whom: Whom,
    },
}

/// Carries out one of the commands.
///
/// # Errors
/// One line: that no server is found, or what it answered.
pub async fn run(arguments: Arguments) -> Result<(), String> {
    let (client, output) = arguments.flags.client()?;
    let (whom, form) = match arguments.command {
        Command::Ls { conference } => {
            let sid = client.conference(&conference).await?;
            output.rows(&list(&client, &sid).await?, &FIELDS);
            return Ok(());
        }
        Command::Add { conference, to, from, label, muted } => {
            let mut form = vec![("To", to.as_str()), ("From", &from)];
            form.extend(label.as_deref().map(|label| ("Label", label)));
            form.extend(muted.then_some(("Muted", "true")));
            let path = format!("/Conferences/{}/Participants.json", segment(&conference));
            let added = client.ask(Method::POST, &client.account(&path), &form).await?;
            output.row(&added, &FIELDS);
            return Ok(());
        }
        Command::Kick { whom } => {
            let path = whom.path(&client).await?;
            client.ask(Method::DELETE, &path, &[]).await?;
            return Ok(());
        }
        Command::Mute { whom, off } => (whom, vec![("Muted", flag(!off))]),
        Command::Hold { whom, url, off } => {
            let url = url.map(|url| ("HoldUrl", url));
            (whom, [("Hold", flag(!off))].into_iter().chain(url).collect())
        }
        Command::Coach { whom, coached, off } => {
            let coached = coached.map(|coached| ("CallSidToCoach", coached));
            (whom, [("Coaching", flag(!off))].into_iter().chain(coached).collect())
        }
        Command::Announce { whom, url } => (whom, vec![("AnnounceUrl", url)]),
    };
    let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let changed = client.ask(Method::POST, &whom.path(&client).await?, &form).await?;
    output.row(&changed, &FIELDS);
    Ok(())
}

impl Whom {
    async fn path(&self, client: &Client) -> Result<String, String> {
        let (sid, who) = (client.conference(&self.conference).await?, segment(&self.participant));
        Ok(client.account(&format!("/Conferences/{sid}/Participants/{who}.json")))
    }
}

/// Returns who takes part in a conference.
///
/// # Errors
/// As [`Client::ask`].
pub async fn list(client: &Client, conference: &str) -> Result<Vec<Value>, String> {
    let path = format!("/Conferences/{conference}/Participants.json?PageSize=1000");
    client.list(&client.account(&path), "participants").await
}

fn flag(on: bool) -> String {
    on.to_string()
}

/// Returns a name as a segment of a path.
fn segment(name: &str) -> String {
    let form: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    form.replace('+', "%20")
}
