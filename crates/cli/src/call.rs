//! `sidetone call`: one call to a running server, by a phone made of software.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use sim::{Phone, State};

use crate::client::Where;
use crate::listen::{save, write};
use crate::output::Output;
use crate::phones::read;
use crate::progress::Progress;

/// How long it may ring.
const RINGS: Duration = Duration::from_secs(60);
/// A phone remembers no more than a minute: it is asked this often for what it heard.
const LISTENS: Duration = Duration::from_secs(5);
/// How long a key takes.
const KEY: Duration = Duration::from_millis(300);
/// Longest call, in seconds.
const LENGTH_MAX_S: u64 = 3_600;

/// Flags of `sidetone call`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    server: Where,
    /// Whom to call: a conference's name, or a number that the server has.
    #[arg(long)]
    to: String,
    /// Who calls: a number or a name.
    #[arg(long, default_value = "sidetone")]
    from: String,
    /// What it says: a WAV or an MP3, once.
    #[arg(long, value_name = "FILE")]
    wav: Option<PathBuf>,
    /// The keys that it presses once it is answered: `0-9*#A-D`; `w` and `W` wait for half a second and a whole one.
    #[arg(long, value_name = "DIGITS", value_parser = keys)]
    press: Option<String>,
    /// Where what it hears goes, as a WAV.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// When it hangs up, in seconds after the answer: `10s`.
    #[arg(long = "for", default_value = "10s", value_parser = seconds)]
    length: u64,
}

fn seconds(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse().ok();
    number
        .filter(|seconds| (1..=LENGTH_MAX_S).contains(seconds))
        .ok_or_else(|| format!("{text:?} is not 1s to {LENGTH_MAX_S}s"))
}

fn keys(text: &str) -> Result<String, String> {
    let is_key = |key: char| "0123456789*#ABCDwW".contains(key);
    if text.chars().all(is_key) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} are no keys"))
    }
}

/// Calls, and says how it went.
///
/// # Errors
/// One line: that no server is found, that a file cannot be read, or that nobody answered.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let client = arguments.server.client()?;
    let sip = client.running.sip_address();
    let sip = sip.ok_or("where SIP listens is known from a data folder alone: --data")?;
    let length = Duration::from_secs(arguments.length);
    let mut voice = match &arguments.wav {
        Some(file) => read(file)?.to_vec(),
        None => Vec::new(),
    };
    // A phone says its voice again and again: what comes after it is silence.
    let rest = (length.as_secs() + 2) * u64::from(sound::RATE);
    voice.resize(voice.len() + usize::try_from(rest).unwrap_or_default(), 0);
    let phone = Phone::call_as(sip, &arguments.to, &arguments.from, voice.into())
        .map_err(|error| error.to_string())?;
    if !phone.wait_up(RINGS) {
        return Err(match phone.state() {
            State::Over(Some(status)) => format!("{} answered {status}", arguments.to),
            _ => format!("{} does not answer", arguments.to),
        });
    }
    let answered = Instant::now();
    phone.forget();
    if arguments.output == Output::Text {
        println!("{} answered", arguments.to);
    }
    for key in arguments.press.iter().flat_map(|keys| keys.chars()) {
        let pause = sim::pause(key);
        if pause.is_none() {
            phone.press(key.encode_utf8(&mut [0; 4]));
        }
        std::thread::sleep(pause.unwrap_or(KEY));
    }
    let progress = Progress::start("talking", arguments.length);
    let mut heard = phone.heard();
    let mut by_them = false;
    while !by_them && answered.elapsed() < length {
        by_them = phone.wait_over(LISTENS.min(length.saturating_sub(answered.elapsed())));
        heard.extend(phone.heard());
    }
    drop(progress);
    let took = answered.elapsed().as_secs_f64();
    match arguments.output {
        Output::Text => {
            println!("{} hung up after {took:.1} s", if by_them { "they" } else { "we" });
        }
        Output::Json => {
            let (to, from) = (&arguments.to, &arguments.from);
            let by = if by_them { "to" } else { "from" };
            let seconds = (took * 10.0).round() / 10.0;
            let digits = phone.digits();
            println!(
                "{}",
                json!({
                    "to": to, "from": from, "duration": seconds, "hung_up_by": by,
                    "digits_heard": digits,
                    "record": arguments.record.as_ref().map(|file| file.display().to_string()),
                })
            );
        }
    }
    match &arguments.record {
        Some(file) if arguments.output == Output::Text => save(file, &heard),
        Some(file) => write(file, &heard),
        None => Ok(()),
    }
}
