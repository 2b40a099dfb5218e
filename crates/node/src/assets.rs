//! Documents and sounds: what is fetched, what kind it is, and our own music in Twilio's place.

use std::sync::Arc;

use exchange::{Document, Failure, Fetched};
use model::{AccountSid, CallSid, Level};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use url::Url;
use webhook::{Client, Overrides, Request, Response};

use crate::accounts::Accounts;
use crate::bins;
use crate::core::Brought;
use crate::debugger::{About, Debugger};
use crate::decoded::Decoded;
use crate::own::Own;
use crate::wall;

/// Longest TwiML document, decompressed.
pub const DOCUMENT_MAX: usize = 64 * 1024;
/// Longest audio file.
pub const AUDIO_MAX: usize = 32 * 1024 * 1024;

const MUSIC_URL: &str = "https://com.twilio.sounds.music.s3.amazonaws.com/";

/// Fetches in an account's name. Cloning gives another handle on the same caches.
#[derive(Debug, Clone)]
pub struct Assets {
    client: Client,
    accounts: Accounts,
    debugger: Debugger,
    decoded: Decoded,
    own: Own,
    music: Arc<OnceCell<Arc<[i16]>>>,
}

impl Assets {
    pub fn new(client: Client, accounts: Accounts, own: Own) -> Self {
        let debugger = Debugger::new(own.store.clone());
        let (decoded, music) = (Decoded::default(), Arc::default());
        Self { client, accounts, debugger, decoded, own, music }
    }

    /// Returns our own music.
    ///
    /// # Errors
    /// When the system gives no thread to render it.
    pub async fn music(&self) -> Result<Arc<[i16]>, Failure> {
        rendered(&self.music).await
    }

    /// Asks for a document and tells what kind it is. `call` is whose cookies go along.
    ///
    /// # Errors
    /// Twilio's code for what went wrong.
    pub async fn fetch(
        &self,
        account: AccountSid,
        call: Option<CallSid>,
        document: &Document,
        params: Vec<(String, String)>,
    ) -> Result<Brought, Failure> {
        if is_music(&document.url) {
            let text = format!("<Response><Play loop=\"0\">{MUSIC_URL}</Play></Response>");
            let url = document.url.clone();
            return Ok(Brought::Document(Fetched::Twiml { text, url }));
        }
        if let Some(text) = bins::answer(document, &params, self.own.bins.as_deref()).await {
            let url = document.url.clone();
            return Ok(Brought::Document(Fetched::Twiml { text: text?, url }));
        }
        let response = self.send((account, call), document, params, document_max).await?;
        if is_audio(&response) {
            return self.decode(response).await.map(Brought::Audio);
        }
        let text = text(&response)?;
        let looks = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
        let is_twiml = response.content_type != "text/plain"
            || looks.starts_with("<?xml")
            || looks.starts_with("<Response");
        Ok(Brought::Document(if is_twiml {
            Fetched::Twiml { text, url: response.url }
        } else {
            Fetched::Text(text)
        }))
    }

    /// Fetches an audio file for `<Play>`.
    ///
    /// # Errors
    /// Twilio's code for what went wrong.
    pub async fn audio(&self, account: AccountSid, url: &str) -> Result<Arc<[i16]>, Failure> {
        if is_music(url) {
            return self.music().await;
        }
        let document = Document { url: url.to_owned(), method: "GET".to_owned() };
        let response = self.send((account, None), &document, Vec::new(), audio_max).await?;
        self.decode(response).await
    }

    async fn send(
        &self,
        (account, call): (AccountSid, Option<CallSid>),
        document: &Document,
        params: Vec<(String, String)>,
        judge: webhook::Judge,
    ) -> Result<Response, Failure> {
        match self.own.recording(account, &document.url).await {
            Ok(Some(octets)) => {
                return Ok(Response {
                    status: 200,
                    content_type: "audio/x-wav".to_owned(),
                    charset: None,
                    body: Arc::new(octets),
                    url: document.url.clone(),
                });
            }
            Ok(None) => {}
            Err(error) => return fail(11200, format!("{}: {error}", document.url)),
        }
        for warning in Overrides::of(&document.url).warnings {
            let about = About { account, call, conference: None, url: document.url.clone() };
            self.debugger.note(about, Level::Warning, warning.code, warning.message, wall());
        }
        let request = Request {
            url: document.url.clone(),
            method: document.method.clone(),
            params: params.into(),
            auth_token: self.accounts.token(account),
            idempotency_token: None,
            jar: call.map(|call| call.to_string()),
            judge: Some(judge),
        };
        let response = self
            .client
            .fetch(&request)
            .await
            .map_err(|failure| Failure { code: failure.code, message: failure.message })?;
        if response.status >= 400 {
            return fail(11200, format!("{} answered {}", response.url, response.status));
        }
        if response.body.is_empty() {
            let code = if request.method == "HEAD" { 11200 } else { 11770 };
            return fail(code, format!("{} answered nothing", response.url));
        }
        Ok(response)
    }

    async fn decode(&self, response: Response) -> Result<Arc<[i16]>, Failure> {
        let body = response.body;
        let key: [u8; 32] = Sha256::digest(&**body).into();
        let decode = async || {
            // The last holder of the octets gives them away; a cache that has them too keeps its own.
            let octets = Arc::unwrap_or_clone(body);
            match tokio::task::spawn_blocking(|| sound::decode(octets)).await {
                Ok(Ok(samples)) => Ok(samples.into()),
                Ok(Err(error)) => fail(12300, format!("{}: {error}", response.url)),
                Err(_) => fail(12300, format!("{} could not be read", response.url)),
            }
        };
        self.decoded.get(key, decode).await
    }
}

/// Returns our own music, which is rendered once, away from the threads that serve others.
async fn rendered(music: &OnceCell<Arc<[i16]>>) -> Result<Arc<[i16]>, Failure> {
    let render = async || match tokio::task::spawn_blocking(sound::music).await {
        Ok(music) => Ok(music),
        Err(error) => fail(12300, format!("the music could not be rendered: {error}")),
    };
    music.get_or_try_init(render).await.map(Arc::clone)
}

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

/// Whether an answer is a sound: by its type, or by its name where the type says nothing.
fn is_audio(head: &Response) -> bool {
    const SAYS_NOTHING: [&str; 4] =
        ["", "application/octet-stream", "binary/octet-stream", "application/x-binary"];
    let kind = head.content_type.as_str();
    let path = head.url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let named = [".mp3", ".wav", ".wave"].iter().any(|ending| path.ends_with(ending));
    kind.starts_with("audio/")
        || kind == "application/octet-stream"
        || SAYS_NOTHING.contains(&kind) && named
}

fn document_max(head: &Response) -> Result<usize, webhook::Failure> {
    match head.content_type.as_str() {
        "text/xml" | "application/xml" | "text/html" | "text/plain" => Ok(DOCUMENT_MAX),
        _ => audio_max(head),
    }
}

fn audio_max(head: &Response) -> Result<usize, webhook::Failure> {
    if is_audio(head) {
        return Ok(AUDIO_MAX);
    }
    let (url, kind) = (&head.url, &head.content_type);
    Err(webhook::Failure::new(12300, format!("{url} has the type {kind:?}")))
}

/// Reads a document's letters in the charset that its header names; XML's own word is not asked.
fn text(response: &Response) -> Result<String, Failure> {
    let octets = &**response.body;
    match response.charset.as_deref() {
        None | Some("utf-8" | "utf8" | "us-ascii" | "ascii") => match std::str::from_utf8(octets) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => fail(12100, format!("{} is not UTF-8: {error}", response.url)),
        },
        Some("iso-8859-1" | "latin1" | "windows-1252") => {
            Ok(octets.iter().map(|&octet| char::from(octet)).collect())
        }
        Some(charset) => fail(12100, format!("{} has the charset {charset:?}", response.url)),
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

    #[tokio::test]
    async fn whoever_asks_for_the_music_holds_up_nobody_while_it_is_rendered() {
        let music = OnceCell::new();
        let (rendered, others) = tokio::join!(rendered(&music), async {
            // On this one thread it is the turn of others first.
            music.get().is_none()
        });
        assert!(others);
        assert!(Arc::ptr_eq(&rendered.unwrap(), &sound::music()));
    }

    fn response(kind: &str, url: &str, charset: Option<&str>, body: &[u8]) -> Response {
        Response {
            status: 200,
            content_type: kind.to_owned(),
            charset: charset.map(str::to_owned),
            body: Arc::new(body.to_vec()),
            url: url.to_owned(),
        }
    }

    #[test]
    fn the_type_says_how_much_is_read_and_the_name_helps_where_it_says_nothing() {
        for (kind, name, limit) in [
            ("text/xml", "x", Some(DOCUMENT_MAX)),
            ("text/html", "x.mp3", Some(DOCUMENT_MAX)),
            ("text/plain", "x", Some(DOCUMENT_MAX)),
            ("audio/mpeg", "x", Some(AUDIO_MAX)),
            ("audio/x-wav", "x", Some(AUDIO_MAX)),
            ("application/octet-stream", "x", Some(AUDIO_MAX)),
            ("binary/octet-stream", "x.MP3?y=z", Some(AUDIO_MAX)),
            ("binary/octet-stream", "x", None),
            ("", "x.wav", Some(AUDIO_MAX)),
            ("", "x", None),
            ("image/gif", "x.mp3", None),
            ("application/json", "x", None),
            ("video/mp4", "x", None),
        ] {
            let head = response(kind, &format!("http://a.com/{name}"), None, b"");
            assert_eq!(document_max(&head).ok(), limit, "{kind} {name}");
        }
    }

    #[test]
    fn letters_are_read_in_the_charset_that_is_named() {
        for (charset, body, expected) in [
            (None, &b"caf\xc3\xa9"[..], Ok("caf\u{e9}")),
            (Some("utf-8"), b"caf\xc3\xa9", Ok("caf\u{e9}")),
            (Some("iso-8859-1"), b"caf\xe9", Ok("caf\u{e9}")),
            (None, b"caf\xe9", Err(12100)),
            (Some("utf-8"), b"caf\xe9", Err(12100)),
            (Some("utf-7"), b"caf", Err(12100)),
        ] {
            let read = text(&response("text/xml", "http://a.com/", charset, body));
            let read = read.as_deref().map_err(|failure| failure.code);
            assert_eq!(read, expected, "{charset:?}");
        }
    }
}
