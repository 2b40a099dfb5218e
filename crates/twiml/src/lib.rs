//! TwiML: text to typed verbs.
//!
//! Hides XML, the defaults and codes of every attribute, and what public programs write in other
//! ways than the documentation does. It runs nothing: which verb comes next, and what it does, is
//! `exchange`'s.
//!
//! Source: Twilio "TwiML for Programmable Voice".

mod conference;
mod dial;
mod document;
mod enqueue;
mod gather;
pub mod label;
mod limits;
mod machine;
mod recording;
mod say;
mod verb;
mod voices;

pub use conference::{Beep, Conference, ConferenceEvent};
pub use dial::{CALLEES_MAX, Callee, CalleeKind, Dial, Noun, Queue};
pub use document::{Document, Error, Warning, parse};
pub use enqueue::Enqueue;
pub use gather::{DIGITS_MAX, Gather};
pub use limits::{ATTRIBUTES_MAX, DEPTH_MAX, NODES_MAX, SIZE_MAX};
pub use recording::{DialRecording, Record, Recording, StartRecording};
pub use say::{Say, Segment};
pub use verb::{LOOPS_MAX, Play, Verb};
pub use voices::{Speaker, speaker};

/// The countries whose ringing is known. Source: Twilio, `ringTone`.
pub const RING_TONES: &[&str] = &[
    "at", "au", "be", "bg", "br", "ch", "cl", "cn", "cz", "de", "dk", "ee", "es", "fi", "fr", "gr",
    "hu", "il", "in", "it", "jp", "lt", "mx", "my", "nl", "no", "nz", "ph", "pl", "pt", "ru", "se",
    "sg", "th", "tw", "uk", "us", "us-old", "ve", "za",
];

/// A reference that is neither an absolute http address nor relative to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an http or https address")]
pub struct UrlError;

/// Makes `reference` absolute, relative to the document's own address `base`.
///
/// # Errors
/// Where the result is not an http or https address.
pub fn resolve(base: &str, reference: &str) -> Result<String, UrlError> {
    let reference = reference.trim();
    let url = match url::Url::parse(reference) {
        Ok(url) => url,
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            url::Url::parse(base).and_then(|base| base.join(reference)).map_err(|_| UrlError)?
        }
        Err(_) => return Err(UrlError),
    };
    let fetchable = matches!(url.scheme(), "http" | "https") && url.has_host();
    if !fetchable {
        return Err(UrlError);
    }
    // An absolute address goes out as it was written: its signature covers every octet.
    let absolute = url::Url::parse(reference).is_ok();
    Ok(if absolute { reference.to_owned() } else { url.into() })
}

#[cfg(test)]
mod tests;
