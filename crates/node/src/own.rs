//! What lies here already: recordings, by the addresses that callbacks give them.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use model::{AccountSid, RecordingSid, RecordingStatus};
use store::Store;
use url::Url;

use crate::assets::AUDIO_MAX;
use crate::recorder;

/// Where the real one lives: programs write its address.
const TWILIO: &str = "https://api.twilio.com";

/// The recordings of this server.
#[derive(Debug, Clone)]
pub struct Own {
    pub store: Store,
    pub folder: PathBuf,
    pub api_url: String,
    /// The TwiML bins, where there are any.
    pub bins: Option<PathBuf>,
}

impl Own {
    /// Returns the WAV file of a recording of this account, if that is what is at this address.
    ///
    /// # Errors
    /// When it cannot be read, or is longer than [`AUDIO_MAX`].
    pub async fn recording(&self, account: AccountSid, url: &str) -> io::Result<Option<Vec<u8>>> {
        let Some((owner, recording)) = named(url, &self.api_url) else { return Ok(None) };
        if owner != account {
            return Ok(None);
        }
        let own = self.clone();
        let read = move || {
            let record = own.store.recording(account, recording).map_err(io::Error::other)?;
            if record.is_none_or(|record| record.status == RecordingStatus::Deleted) {
                return Ok(None);
            }
            let path = recorder::path(&own.folder, recording);
            if std::fs::metadata(&path)?.len() > AUDIO_MAX as u64 {
                return Err(ErrorKind::FileTooLarge.into());
            }
            std::fs::read(path).map(Some)
        };
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }
}

/// Returns whose recording an address names, and which, if it is one of ours or of Twilio's API.
fn named(url: &str, api_url: &str) -> Option<(AccountSid, RecordingSid)> {
    let (url, api) = (Url::parse(url).ok()?, Url::parse(api_url).ok());
    let here = api.is_some_and(|api| api.origin() == url.origin());
    if !here && Url::parse(TWILIO).ok()?.origin() != url.origin() {
        return None;
    }
    let segments: Vec<&str> = url.path_segments()?.collect();
    let ["2010-04-01", "Accounts", account, "Recordings", name] = segments[..] else { return None };
    let sid = name.strip_suffix(".wav").or_else(|| name.strip_suffix(".mp3")).unwrap_or(name);
    Some((account.parse().ok()?, sid.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_recording_is_known_here_and_at_twilio_s() {
        let (account, recording) = (AccountSid::new([1; 16]), RecordingSid::new([2; 16]));
        let path = format!("/2010-04-01/Accounts/{account}/Recordings/{recording}");
        for (url, known) in [
            (format!("http://127.0.0.1:8080{path}"), true),
            (format!("http://127.0.0.1:8080{path}.mp3?RequestedChannels=1"), true),
            (format!("https://api.twilio.com{path}.wav"), true),
            (format!("http://127.0.0.1:8081{path}"), false),
            (format!("https://api.twilio.com.example{path}"), false),
            (format!("http://127.0.0.1:8080{path}.json"), false),
            (format!("http://127.0.0.1:8080/x{path}"), false),
            ("nonsense".to_owned(), false),
        ] {
            let found = named(&url, "http://127.0.0.1:8080");
            assert_eq!(found, known.then_some((account, recording)), "{url}");
        }
    }
}
