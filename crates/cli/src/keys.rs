//! `sidetone keys`: API keys of a running server.

use reqwest::Method;

use crate::client::Flags;
use crate::output::{Output, text};

/// Flags of `sidetone keys`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    flags: Flags,
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
    let (client, output) = arguments.flags.client()?;
    match arguments.command {
        Command::Create { name } => {
            let named = [("FriendlyName", name.as_str())];
            let form = if name.is_empty() { &[][..] } else { &named[..] };
            let key = client.ask(Method::POST, &client.account("/Keys.json"), form).await?;
            match output {
                Output::Json => println!("{key}"),
                Output::Text => println!("{} {}", text(&key, "sid"), text(&key, "secret")),
            }
        }
        Command::Ls => {
            let path = client.account("/Keys.json?PageSize=1000");
            let rows = client.list(&path, "keys").await?;
            output.rows(&rows, &["sid", "date_created", "friendly_name"]);
        }
        Command::Rm { sid } => {
            let path = client.account(&format!("/Keys/{sid}.json"));
            client.ask(Method::DELETE, &path, &[]).await?;
        }
    }
    Ok(())
}
