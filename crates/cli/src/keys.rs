//! `sidetone keys`: API keys of a running server.

use reqwest::Method;

use crate::client::{Where, plain, text};

/// Flags of `sidetone keys`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Where,
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
    let client = arguments.server.client()?;
    match arguments.command {
        Command::Create { name } => {
            let named = [("FriendlyName", name.as_str())];
            let form = if name.is_empty() { &[][..] } else { &named[..] };
            let key = client.ask(Method::POST, &client.account("/Keys.json"), form).await?;
            println!("{} {}", text(&key, "sid"), text(&key, "secret"));
        }
        Command::Ls => {
            let path = client.account("/Keys.json?PageSize=1000");
            for key in client.list(&path, "keys").await? {
                let words = ["sid", "date_created", "friendly_name"].map(|name| text(&key, name));
                println!("{}", plain(&words.join("  ")));
            }
        }
        Command::Rm { sid } => {
            let path = client.account(&format!("/Keys/{sid}.json"));
            client.ask(Method::DELETE, &path, &[]).await?;
        }
    }
    Ok(())
}
