//! Documents and sounds: what is fetched, what kind it is, and our own music in Twilio's place.

use std::sync::Arc;

use exchange::{Document, Failure, Fetched};
use model::Account;
use url::Url;
use webhook::{Client, Request};

use crate::core::Brought;

/// Longest TwiML document.
pub const DOCUMENT_MAX: usize = 64 * 1024;
/// Longest audio file.
pub const AUDIO_MAX: usize = 40 * 1024 * 1024;

/// Returns whether Twilio's music is at this address: it is answered by ours.
pub fn is_music(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default();
    let path = url.path();
    host.starts_with("com.twilio.") && host.ends_with(".s3.amazonaws.com")
        || host.starts_with("s3")
            && host.ends_with("amazonaws.com")
            && path.starts_with("/com.twilio.")
        || host == "twimlets.com" && path.starts_with("/holdmusic")
        || host == "api.twilio.com" && path == "/cowbell.mp3"
}

/// Asks for a document and tells what kind it is.
///
/// # Errors
/// Twilio's code for what went wrong.
pub async fn fetch(
    client: &Client,
    account: &Account,
    document: &Document,
    params: Vec<(String, String)>,
) -> Result<Brought, Failure> {
    if is_music(&document.url) {
        let twiml = format!("<Response><Play loop=\"0\">{}</Play></Response>", MUSIC_URL);
        return Ok(Brought::Document(Fetched::Twiml { text: twiml, url: document.url.clone() }));
    }
    let response = send(client, account, document, params).await?;
    let kind = response.content_type.as_str();
    let text = || String::from_utf8_lossy(&response.body).into_owned();
    let is_text = !kind.starts_with("audio/") && kind != "application/octet-stream";
    if is_text && response.body.len() > DOCUMENT_MAX {
        return fail(11200, format!("{} is longer than {DOCUMENT_MAX} octets", response.url));
    }
    match kind {
        "text/xml" | "application/xml" | "text/html" => {
            Ok(Brought::Document(Fetched::Twiml { text: text(), url: response.url.clone() }))
        }
        "text/plain" => {
            let trimmed = text();
            let looks = trimmed.trim_start();
            Ok(Brought::Document(if looks.starts_with("<?xml") || looks.starts_with("<Response") {
                Fetched::Twiml { text: trimmed, url: response.url.clone() }
            } else {
                Fetched::Text(trimmed)
            }))
        }
        _ if kind.starts_with("audio/") => decode(response.body).await.map(Brought::Audio),
        _ => fail(12300, format!("{} has the type {kind:?}", response.url)),
    }
}

/// Fetches an audio file for `<Play>`.
///
/// # Errors
/// Twilio's code for what went wrong.
pub async fn fetch_audio(
    client: &Client,
    account: &Account,
    url: &str,
) -> Result<Arc<[i16]>, Failure> {
    if is_music(url) {
        return Ok(sound::music().into());
    }
    let document = Document { url: url.to_owned(), method: "GET".to_owned() };
    let response = send(client, account, &document, Vec::new()).await?;
    decode(response.body).await
}

const MUSIC_URL: &str = "https://com.twilio.sounds.music.s3.amazonaws.com/";

async fn send(
    client: &Client,
    account: &Account,
    document: &Document,
    params: Vec<(String, String)>,
) -> Result<webhook::Response, Failure> {
    let request = Request {
        url: document.url.clone(),
        method: document.method.clone(),
        params,
        auth_token: account.auth_token.clone(),
        idempotency_token: None,
        body_max: AUDIO_MAX,
    };
    let response = client
        .send(&request)
        .await
        .map_err(|failure| Failure { code: failure.code, message: failure.message })?;
    if response.status >= 400 {
        return fail(11200, format!("{} answered {}", response.url, response.status));
    }
    Ok(response)
}

async fn decode(octets: Vec<u8>) -> Result<Arc<[i16]>, Failure> {
    match tokio::task::spawn_blocking(|| sound::decode(octets)).await {
        Ok(Ok(samples)) => Ok(samples.into()),
        Ok(Err(error)) => fail(12300, error.to_string()),
        Err(_) => fail(12300, "the file could not be read".to_owned()),
    }
}

fn fail<T>(code: u32, message: String) -> Result<T, Failure> {
    Err(Failure { code, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twilios_music_is_known_by_all_its_addresses() {
        for (url, music) in [
            ("https://s3.amazonaws.com/com.twilio.sounds.music/index.xml", true),
            ("http://com.twilio.music.classical.s3.amazonaws.com/BusyStrings.mp3", true),
            ("http://twimlets.com/holdmusic?Bucket=com.twilio.music.ambient", true),
            ("https://api.twilio.com/cowbell.mp3", true),
            ("https://s3.amazonaws.com/mine/com.twilio.mp3", false),
            ("https://example.com/", false),
        ] {
            assert_eq!(is_music(url), music, "{url}");
        }
    }
}
