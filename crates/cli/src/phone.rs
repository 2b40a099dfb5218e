//! `sidetone phone`: what a virtual phone does when it is called.

use std::path::{Path, PathBuf};

use reqwest::Method;

use crate::client::{Client, Flags};
use crate::phones::{FOLDER, read};
use crate::times::seconds;

/// The columns of a list.
const FIELDS: [&str; 6] = ["phone_number", "behavior", "status", "calls", "from", "digits_heard"];
/// What is shown of one.
const ALL_FIELDS: [&str; 13] = [
    "phone_number",
    "behavior",
    "sip_status",
    "answer_after",
    "says",
    "audio",
    "loop",
    "digits",
    "hang_up_after",
    "calls_left",
    "status",
    "from",
    "digits_heard",
];

/// Flags of `sidetone phone`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    flags: Flags,
    /// The number, such as +15551234567; without one, all that were called or told something are listed.
    number: Option<String>,
    #[command(flatten)]
    plan: Plan,
    /// Presses these keys in the call that is going on.
    #[arg(long, value_name = "DIGITS", requires = "number")]
    press_now: Option<String>,
    /// Hangs up the call that is going on.
    #[arg(long, requires = "number")]
    hang_up: bool,
    /// Forgets what it was told.
    #[arg(long, requires = "number", conflicts_with_all = ["press_now", "hang_up"])]
    forget: bool,
}

/// What it does from its next call on; what is not given stays as it was.
#[derive(Debug, clap::Args)]
#[group(requires = "number", multiple = true)]
struct Plan {
    /// Answers; after a second unless told otherwise.
    #[arg(long, conflicts_with_all = ["busy", "no_answer", "fail"])]
    answer: bool,
    /// Rings for so long, then answers: `2s`.
    #[arg(long, value_name = "TIME", value_parser = seconds, conflicts_with_all = ["busy", "no_answer", "fail"])]
    answer_after: Option<u64>,
    /// Is busy.
    #[arg(long, conflicts_with_all = ["no_answer", "fail"])]
    busy: bool,
    /// Rings and never answers.
    #[arg(long, conflicts_with = "fail")]
    no_answer: bool,
    /// Cannot be reached.
    #[arg(long)]
    fail: bool,
    /// Says these words.
    #[arg(long, value_name = "WORDS", conflicts_with = "wav")]
    says: Option<String>,
    /// Plays this WAV or MP3, which is copied into the data folder.
    #[arg(long, value_name = "FILE")]
    wav: Option<PathBuf>,
    /// How often it says or plays it; 0 is until the end.
    #[arg(long = "loop", value_name = "TIMES")]
    loops: Option<u32>,
    /// Presses these keys, beginning a second after it has answered: `0-9*#A-D`, `w` and `W` wait for half a second
    /// and a whole one.
    #[arg(long, value_name = "DIGITS")]
    press: Option<String>,
    /// Hangs up so long after it has answered: `10s`.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    hang_up_after: Option<u64>,
    /// For how many calls all that holds.
    #[arg(long)]
    calls: Option<u32>,
}

impl Plan {
    fn form(&self, client: &Client) -> Result<Vec<(&'static str, String)>, String> {
        let behavior = [
            (self.answer, "answer"),
            (self.busy, "busy"),
            (self.no_answer, "no-answer"),
            (self.fail, "failed"),
        ];
        let behavior = behavior.into_iter().find(|(is_it, _)| *is_it).map(|(_, word)| word);
        let behavior = behavior.or(self.answer_after.map(|_| "answer"));
        let audio = self.wav.as_deref().map(|file| hand_over(client, file)).transpose()?;
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let fields = [
            ("Behavior", behavior.map(str::to_owned)),
            ("AnswerAfter", number(self.answer_after)),
            ("Says", self.says.clone()),
            ("Audio", audio),
            ("Loop", number(self.loops.map(u64::from))),
            ("Digits", self.press.clone()),
            ("HangUpAfter", number(self.hang_up_after)),
            ("Calls", number(self.calls.map(u64::from))),
        ];
        Ok(fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }
}

/// Carries out what is asked, and shows the phone.
///
/// # Errors
/// One line: that no server is found, what it answered, or that a file cannot be read.
pub async fn run(arguments: Arguments) -> Result<(), String> {
    let (client, output) = arguments.flags.client()?;
    let Some(number) = &arguments.number else {
        let phones = client.ask(Method::GET, "/sidetone/v1/Phones", &[]).await?;
        let rows = phones["phones"].as_array().cloned().unwrap_or_default();
        output.rows(&rows, &FIELDS);
        return Ok(());
    };
    let path = format!("/sidetone/v1/Phones/{number}");
    if arguments.forget {
        client.ask(Method::DELETE, &path, &[]).await?;
    }
    let orders = [
        ("Press", arguments.press_now.clone()),
        ("HangUp", arguments.hang_up.then(|| true.to_string())),
    ];
    let orders = orders.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let mut phone = None;
    for form in [arguments.plan.form(&client)?, orders] {
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if !form.is_empty() {
            phone = Some(client.ask(Method::POST, &path, &form).await?);
        }
    }
    let phone = match phone {
        Some(phone) => phone,
        None => client.ask(Method::GET, &path, &[]).await?,
    };
    output.row(&phone, &ALL_FIELDS);
    Ok(())
}

/// Copies a sound file to where the server reads it, and returns its name there.
fn hand_over(client: &Client, file: &Path) -> Result<String, String> {
    read(file)?;
    let data = client.running.data.as_ref();
    let data = data.ok_or("a file is handed over through the server's data folder: --data")?;
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let plain = |c: char| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = name.trim_start_matches('.').chars().map(plain).collect();
    let folder = data.join(FOLDER);
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(&folder).map_err(told)?;
    // Beside its place first: a phone may be reading what was there.
    let beside = folder.join(format!(".{name}.part"));
    std::fs::copy(file, &beside).map_err(told)?;
    std::fs::rename(&beside, folder.join(&name)).map_err(told)?;
    Ok(name)
}
