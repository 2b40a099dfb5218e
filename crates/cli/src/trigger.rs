//! `sidetone trigger`: sends a signed sample of a callback, field by field as the real one.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::Timestamp;
use serde_json::{Map, Value, json};
use sim::Sample;

use crate::client::Flags;
use crate::forward::{FORM, form};
use crate::output::{Output, plain};

/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Flags of `sidetone trigger`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    flags: Flags,
    /// What it tells of, such as participant-join; without one, all events are listed.
    event: Option<String>,
    /// Who is told.
    #[arg(long, value_parser = crate::dev::web_address, requires = "event")]
    to: Option<String>,
    /// Puts other values into fields, or more fields: `Muted=true`.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair, requires = "event")]
    set: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    pair.ok_or_else(|| format!("{text:?} is no field such as Muted=true"))
}

/// Sends the sample and shows the answer.
///
/// # Errors
/// One line: that no server is found, that there is no such event, or that nobody answers.
pub async fn run(arguments: Arguments) -> Result<(), String> {
    let (client, output) = arguments.flags.client()?;
    let running = &client.running;
    let account = running.account_sid.parse().map_err(|_| "the account has no SID".to_owned())?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let seed = u64::from(since.subsec_nanos()) << 32 | since.as_secs() & 0xffff_ffff;
    let samples = sim::samples(account, &running.api_url, seed, Timestamp(wall));
    let Some(event) = &arguments.event else {
        let rows: Vec<Value> =
            samples.iter().map(|sample| json!({ "event": sample.event })).collect();
        output.rows(&rows, &["event"]);
        return Ok(());
    };
    let found = samples.iter().find(|sample| sample.event == *event);
    let Sample { params, .. } = found.cloned().ok_or_else(|| {
        let known: Vec<&str> = samples.iter().map(|sample| sample.event.as_str()).collect();
        format!("there is no event {event:?}; there are {}", known.join(", "))
    })?;
    let mut params = params;
    for (name, value) in arguments.set {
        match params.iter_mut().find(|(known, _)| *known == name) {
            Some(field) => field.1 = value,
            None => params.push((name, value)),
        }
    }
    let Some(to) = arguments.to else {
        let fields = params.iter().map(|(name, value)| (name.clone(), value.clone().into()));
        let fields = Value::Object(fields.collect::<Map<_, _>>());
        let names: Vec<&str> = params.iter().map(|(name, _)| name.as_str()).collect();
        output.row(&fields, &names);
        return Ok(());
    };
    let signature = webhook::signature(&running.auth_token, &to, &params);
    let began = Instant::now();
    let request = reqwest::Client::new()
        .post(&to)
        .timeout(PATIENCE)
        .header("content-type", FORM)
        .header("x-twilio-signature", signature)
        .body(form(&params));
    let response = request.send().await.map_err(|error| format!("{to}: {error}"))?;
    let (status, took) = (response.status().as_u16(), began.elapsed().as_millis());
    let text = response.text().await.unwrap_or_default();
    match output {
        Output::Json => println!(
            "{}",
            json!({ "event": event, "url": to, "status": status, "duration_ms": took as u64, "body": text })
        ),
        Output::Text => {
            println!("{event} -> {to}: {status} in {took} ms");
            text.lines().for_each(|line| println!("  {}", plain(line)));
        }
    }
    Ok(())
}
