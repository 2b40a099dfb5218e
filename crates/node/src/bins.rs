//! TwiML that programs keep with Twilio, at addresses of Twilio's, and that is answered here: what
//! `twimlets.com/echo` is told to say, and the TwiML bins of a folder.

use std::io::{ErrorKind, Read};
use std::path::Path;

use exchange::{Document, Failure};
use url::Url;

use crate::assets::DOCUMENT_MAX;

/// The host of TwiML bins.
const BINS: &str = "handler.twilio.com";
/// The host of Twimlets.
const TWIMLETS: &str = "twimlets.com";

/// Returns the TwiML at an address, if that is answered here; `params` are the fields of the request.
///
/// # Errors
/// 11200 where the folder has no such bin, 11750 where it is too long, 12100 where it is no text.
pub async fn answer(
    document: &Document,
    params: &[(String, String)],
    folder: Option<&Path>,
) -> Option<Result<String, Failure>> {
    let url = Url::parse(&document.url).ok()?;
    let host = url.host_str()?.trim_start_matches("www.");
    let segments: Vec<&str> = url.path_segments()?.filter(|segment| !segment.is_empty()).collect();
    match (host, &segments[..]) {
        (TWIMLETS, ["echo"]) => {
            let said = url.query_pairs().find(|(name, _)| name == "Twiml");
            Some(said.map(|(_, twiml)| twiml.into_owned()).ok_or_else(|| Failure {
                code: 11200,
                message: format!("{} says no Twiml", document.url),
            }))
        }
        (BINS, ["twiml", sid]) => {
            let sid = sid.to_string();
            let path = folder.filter(|_| is_bin(&sid))?.join(format!("{sid}.xml"));
            let read = tokio::task::spawn_blocking(move || read(&path, &sid)).await;
            let text = read.unwrap_or_else(|_| Err(failure(11200, "the server is shutting down")));
            let asked: Vec<(String, String)> =
                url.query_pairs().into_owned().chain(params.iter().cloned()).collect();
            Some(text.map(|text| filled(&text, &asked)))
        }
        _ => None,
    }
}

fn failure(code: u32, message: &str) -> Failure {
    Failure { code, message: message.to_owned() }
}

fn is_bin(sid: &str) -> bool {
    let digits = sid.strip_prefix("EH").unwrap_or_default();
    digits.len() == 32 && digits.bytes().all(|octet| octet.is_ascii_hexdigit())
}

fn read(path: &Path, sid: &str) -> Result<String, Failure> {
    let told = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => failure(11200, &format!("there is no TwiML bin {sid}.xml")),
        ErrorKind::InvalidData => failure(12100, &format!("{sid}.xml is not UTF-8")),
        _ => failure(11200, &format!("{sid}.xml: {error}")),
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(told)?;
    file.take(DOCUMENT_MAX as u64 + 1).read_to_string(&mut text).map_err(told)?;
    if text.len() > DOCUMENT_MAX {
        return Err(failure(11750, &format!("{sid}.xml is longer than 64 kB")));
    }
    Ok(text)
}

/// Puts the fields of a request where a bin names them: `{{From}}`.
fn filled(text: &str, params: &[(String, String)]) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let Some((name, behind)) = after.split_once("}}") else {
            filled.push_str("{{");
            rest = after;
            continue;
        };
        let value = params.iter().find(|(known, _)| known == name.trim());
        for letter in value.map_or("", |(_, value)| value).chars() {
            match letter {
                '&' => filled.push_str("&amp;"),
                '<' => filled.push_str("&lt;"),
                '>' => filled.push_str("&gt;"),
                '"' => filled.push_str("&quot;"),
                '\'' => filled.push_str("&apos;"),
                letter => filled.push(letter),
            }
        }
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIN: &str = "EH0123456789abcdef0123456789abcdef";

    async fn answered(url: &str) -> Option<Result<String, u32>> {
        let folder = tempfile::tempdir().unwrap();
        let bin = "<Response><Say>{{ From }} says {{What}}{{Nothing}} and {{</Say></Response>";
        std::fs::write(folder.path().join(format!("{BIN}.xml")), bin).unwrap();
        let long = format!("{}.xml", BIN.replace('0', "9"));
        std::fs::write(folder.path().join(long), "x".repeat(DOCUMENT_MAX + 1)).unwrap();
        let document = Document { url: url.to_owned(), method: "POST".to_owned() };
        let params = [("From".to_owned(), "+1<2".to_owned())];
        let answer = answer(&document, &params, Some(folder.path())).await;
        answer.map(|result| result.map_err(|failure| failure.code))
    }

    #[tokio::test]
    async fn an_echo_says_what_it_is_told() {
        for url in ["http://twimlets.com/echo", "https://www.twimlets.com/echo/"] {
            let twiml = format!("{url}?Twiml=%3CResponse%2F%3E&x=y");
            assert_eq!(answered(&twiml).await, Some(Ok("<Response/>".to_owned())));
            assert_eq!(answered(url).await, Some(Err(11200)));
        }
        for url in ["http://twimlets.com/menu", "http://twimlets.com.example/echo?Twiml=x"] {
            assert_eq!(answered(url).await, None, "{url}");
        }
    }

    #[tokio::test]
    async fn a_bin_is_a_file_with_the_fields_of_the_request_in_it() {
        let url = format!("https://handler.twilio.com/twiml/{BIN}?What=%22hi%22");
        let expected = "<Response><Say>+1&lt;2 says &quot;hi&quot; and {{</Say></Response>";
        assert_eq!(answered(&url).await, Some(Ok(expected.to_owned())));
        let missing = format!("https://handler.twilio.com/twiml/{}", BIN.replace('0', "1"));
        assert_eq!(answered(&missing).await, Some(Err(11200)));
        let long = format!("https://handler.twilio.com/twiml/{}", BIN.replace('0', "9"));
        assert_eq!(answered(&long).await, Some(Err(11750)));
        let outside = "https://handler.twilio.com/twiml/..%2F..%2Fetc%2Fpasswd";
        assert_eq!(answered(outside).await, None);
    }
}
