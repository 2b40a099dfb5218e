//! `sidetone listen`: what one who is not there would hear, as a file.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::json;

use crate::client::Flags;
use crate::output::Output;
use crate::progress::Progress;

/// Flags of `sidetone listen`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The conference's SID, or the name of one that is not over.
    conference: String,
    #[command(flatten)]
    flags: Flags,
    /// Where the sound goes.
    #[arg(long)]
    wav: PathBuf,
    /// How long to listen, in seconds: `10s`.
    #[arg(long = "for", default_value = "10s", value_parser = seconds)]
    length: u64,
}

fn seconds(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse();
    number.ok().filter(|s| (1..=60).contains(s)).ok_or_else(|| format!("{text:?} is not 1s to 60s"))
}

/// Listens and writes the file.
pub async fn run(arguments: Arguments) -> Result<(), String> {
    let (client, output) = arguments.flags.client()?;
    let conference = &client.conference(&arguments.conference).await?;
    let seconds = arguments.length;
    let progress = Progress::start("listening", seconds);
    let path = format!("/sidetone/v1/Conferences/{conference}/Listen?Seconds={seconds}");
    let body = client.ask(Method::GET, &path, &[]).await;
    drop(progress);
    let body = body?;
    let Some(pcm) = body["pcm_s16le"].as_str() else {
        return Err("no sound came".to_owned());
    };
    let octets = STANDARD.decode(pcm).map_err(|error| error.to_string())?;
    let samples: Vec<i16> =
        octets.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    match output {
        Output::Text => save(&arguments.wav, &samples),
        Output::Json => {
            let duration = samples.len() as f64 / f64::from(sound::RATE);
            let wav = arguments.wav.display().to_string();
            println!(
                "{}",
                json!({ "conference_sid": conference, "wav": wav, "duration": duration })
            );
            write(&arguments.wav, &samples)
        }
    }
}

/// Writes what was heard as a WAV file and says how long and how loud it is.
///
/// # Errors
/// One line that names the file.
pub fn save(file: &Path, samples: &[i16]) -> Result<(), String> {
    write(file, samples)?;
    let seconds = samples.len() as f64 / f64::from(sound::RATE);
    println!("{}: {seconds:.1} s, {}", file.display(), loudness(samples));
    Ok(())
}

/// Writes a WAV file.
///
/// # Errors
/// One line that names the file.
pub fn write(file: &Path, samples: &[i16]) -> Result<(), String> {
    std::fs::write(file, sound::wav(samples))
        .map_err(|error| format!("{}: {error}", file.display()))
}

/// The level of a recording, against a sine at full scale.
fn loudness(samples: &[i16]) -> String {
    let power: f64 = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    let rms = (power / samples.len().max(1) as f64).sqrt();
    if rms < 1.0 {
        return "silence".to_owned();
    }
    format!("{:.0} dBFS", 20.0 * (rms / (32_768.0 / f64::sqrt(2.0))).log10())
}
