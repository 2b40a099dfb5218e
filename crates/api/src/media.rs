//! The sound of recordings: WAV files, whole or in ranges, in as many channels as are asked for; [`mp3`] has the others.
//!
//! A file is described by its length at this moment, so that what is still being written can be
//! played, too; but a recording in tracks only when it is over.

use std::convert::Infallible;
use std::io::SeekFrom;
use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Bytes, Frame};
use model::{RecordingSid, RecordingStatus};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;

use crate::error::{ApiError, code};
use crate::form::Form;
use crate::paths::{Found, Resource};
use crate::{Api, ask, mp3, set, whose};

/// Octets before the sound of a file.
pub const HEADER: u64 = 44;
/// Octets of a file that are read at a time.
const CHUNK: u64 = 64 * 1024;
/// Pieces that wait for a client that is slow.
pub const CHUNKS_MAX: usize = 2;
/// How long a client may take nothing.
pub const STALL_MAX: Duration = Duration::from_secs(60);

/// A recording's sound, as a path asks for it.
#[derive(Debug)]
pub struct Wanted {
    recording: RecordingSid,
    mp3: bool,
}

/// Returns what a path asks for, if that is sound: `.wav`, `.mp3`, or no ending at all below the account.
pub fn wanted<'a>(parts: &Parts, found: Option<&'a Found>) -> Option<(&'a Found, Wanted)> {
    let found = found?;
    let Found { path, variables, .. } = found;
    let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
    let bare = match path.resource(method).filter(|_| method == Method::GET)? {
        Resource::Recording => !parts.uri.path().ends_with(".json"),
        Resource::ConferenceRecording | Resource::CallRecording => false,
        _ => return None,
    };
    let name = variables.last()?;
    let (sid, mp3) = match name.rsplit_once('.') {
        Some((sid, "wav")) => (sid, false),
        Some((sid, "mp3")) => (sid, true),
        None if bare => (name.as_str(), false),
        _ => return None,
    };
    Some((found, Wanted { recording: sid.parse().ok()?, mp3 }))
}

/// Answers with the sound.
///
/// # Errors
/// 401 and 404 as everywhere, 416 for a range that there is not, 16113 for two channels of one.
pub async fn answer(
    api: &Api,
    parts: &Parts,
    found: &Found,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let node = &api.node;
    let account = if node.has_open_recordings() {
        let named = found.account.as_deref().and_then(|sid| sid.parse().ok());
        named.ok_or_else(ApiError::not_found)?
    } else {
        let login = api.authenticate(parts).await?;
        whose(node, &login, found, &parts.method)?
    };
    let _in_flight = api.in_flight.begin(account, api.node.api_concurrency())?;
    let sid = wanted.recording;
    let record = ask(node, move |node| node.store().recording(account, sid)).await?;
    let gone = |status| matches!(status, RecordingStatus::Absent | RecordingStatus::Deleted);
    let record = record.filter(|record| !gone(record.status)).ok_or_else(ApiError::not_found)?;
    let is_over = matches!(record.status, RecordingStatus::Completed | RecordingStatus::Failed);
    if record.tracks.is_some() && !is_over {
        // Its tracks stand side by side in a file only in the end.
        let message = "the recording has a track for each participant and is still being made";
        return Err(ApiError::new(404, code::NOT_FOUND, message));
    }
    let form = Form::read(parts.uri.query().unwrap_or_default(), &HeaderMap::new(), &[])?;
    let channels = form.number("RequestedChannels", 1..=2, code::BAD_REQUEST)?;
    if channels == Some(2) && record.channels != 2 {
        let message = "only a recording in two channels can be had in two";
        return Err(ApiError::coded(code::MONO_RECORDING, "RequestedChannels", message));
    }
    let mix = channels == Some(1) && record.channels > 1;
    if wanted.mp3 {
        let permit = Arc::clone(&api.encodings).acquire_owned().await;
        let permit = permit
            .map_err(|_| ApiError::new(503, code::UNAVAILABLE, "the server is shutting down"))?;
        return mp3::answer(node.recording_file(sid), mix, parts.method == Method::HEAD, permit)
            .await;
    }
    let sound = Sound::open(node.recording_file(sid), sid, mix).await;
    let sound = sound.map_err(|_| ApiError::not_found())?;
    Ok(sound.into_response(&parts.headers))
}

/// A file as it is handed out.
struct Sound {
    file: File,
    header: Vec<u8>,
    /// Octets of sound.
    length: u64,
    /// How many channels of the file become one.
    mixed: u16,
    etag: String,
}

impl Sound {
    async fn open(path: PathBuf, sid: RecordingSid, mix: bool) -> std::io::Result<Self> {
        let mut file = File::open(path).await?;
        let mut header = [0; HEADER as usize];
        file.read_exact(&mut header).await?;
        let there = u16::from_le_bytes([header[22], header[23]]).max(1);
        let frames = file.metadata().await?.len().saturating_sub(HEADER) / (u64::from(there) * 2);
        let (channels, mixed) = if mix { (1, there) } else { (there, 1) };
        let length = frames * u64::from(channels) * 2;
        let header = node::wav_header(channels, length);
        let etag = format!("\"{sid}-{channels}-{length}\"");
        Ok(Self { file, header, length, mixed, etag })
    }

    fn into_response(self, headers: &HeaderMap) -> Response {
        let total = HEADER + self.length;
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        // A range of what has grown since is none of what the client has.
        let same = text(header::IF_RANGE).is_none_or(|tag| tag == self.etag);
        let range =
            text(header::RANGE).filter(|_| same).map_or(Asked::All, |text| read(text, total));
        let (status, octets) = match range {
            Asked::All => (StatusCode::OK, 0..total),
            Asked::Part(octets) => (StatusCode::PARTIAL_CONTENT, octets),
            Asked::Nothing => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0),
        };
        let told = match status {
            StatusCode::PARTIAL_CONTENT => {
                Some(format!("bytes {}-{}/{total}", octets.start, octets.end - 1))
            }
            StatusCode::RANGE_NOT_SATISFIABLE => Some(format!("bytes */{total}")),
            _ => None,
        };
        let (etag, length) = (self.etag.clone(), octets.end - octets.start);
        let (sender, pieces) = mpsc::channel(CHUNKS_MAX);
        tokio::spawn(self.send(octets, sender));
        let mut response = (status, Body::new(Pieces(pieces))).into_response();
        let headers = response.headers_mut();
        set(headers, header::CONTENT_TYPE, "audio/x-wav");
        set(headers, header::ACCEPT_RANGES, "bytes");
        set(headers, header::CONTENT_LENGTH, &length.to_string());
        set(headers, header::ETAG, &etag);
        if let Some(told) = told {
            set(headers, header::CONTENT_RANGE, &told);
        }
        response
    }

    /// Reads piece by piece what the client takes, and ends when it is gone or what was there is not.
    async fn send(mut self, octets: Range<u64>, to: mpsc::Sender<Bytes>) {
        let mut at = octets.start;
        while at < octets.end {
            let Ok(piece) = self.piece(at, octets.end).await else { return };
            at += piece.len() as u64;
            let sent = tokio::time::timeout(STALL_MAX, to.send(piece.into())).await;
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    }

    /// Returns what comes at `at`, up to `end` at most.
    async fn piece(&mut self, at: u64, end: u64) -> std::io::Result<Vec<u8>> {
        if at < HEADER {
            let range = at as usize..end.min(HEADER) as usize;
            return Ok(self.header[range].to_vec());
        }
        let (at, end) = (at - HEADER, (end - HEADER).min(at - HEADER + CHUNK));
        let wide = u64::from(self.mixed);
        let (first, last) = (at / 2, end.div_ceil(2));
        self.file.seek(SeekFrom::Start(HEADER + first * 2 * wide)).await?;
        let mut octets = vec![0; ((last - first) * 2 * wide) as usize];
        self.file.read_exact(&mut octets).await?;
        if self.mixed > 1 {
            octets = mixed(&octets, self.mixed.into());
        }
        let skip = (at - first * 2) as usize;
        Ok(octets[skip..skip + (end - at) as usize].to_vec())
    }
}

/// Makes one channel of several.
pub fn mixed(octets: &[u8], channels: usize) -> Vec<u8> {
    let sum = |samples: &[u8]| {
        let samples = samples.as_chunks::<2>().0.iter();
        let sum: i32 = samples.map(|sample| i32::from(i16::from_le_bytes(*sample))).sum();
        let most = i32::from(i16::MAX);
        (sum.clamp(-most - 1, most) as i16).to_le_bytes()
    };
    octets.chunks_exact(channels * 2).flat_map(sum).collect()
}

/// Which octets a `Range` asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    All,
    Part(Range<u64>),
    Nothing,
}

/// Reads `Range`; several ranges, and what is none of octets, stand for everything.
/// Source: RFC 9110 section 14.
fn read(text: &str, total: u64) -> Asked {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|one| one.split_once('-'))
    else {
        return Asked::All;
    };
    let number = |text: &str| match text.trim() {
        "" => Some(None),
        text if text.bytes().all(|octet| octet.is_ascii_digit()) => {
            Some(Some(text.parse().unwrap_or(u64::MAX)))
        }
        _ => None,
    };
    let octets = match (number(first), number(last)) {
        (Some(Some(first)), Some(Some(last))) if first > last => return Asked::All,
        (Some(Some(first)), Some(last)) => {
            first..last.map_or(total, |last| last.saturating_add(1).min(total))
        }
        (Some(None), Some(Some(count))) => total.saturating_sub(count)..total,
        _ => return Asked::All,
    };
    if octets.is_empty() { Asked::Nothing } else { Asked::Part(octets) }
}

/// A body that comes piece by piece.
pub struct Pieces(pub mpsc::Receiver<Bytes>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_the_standard_has_it() {
        for (text, expected) in [
            ("bytes=0-9", Asked::Part(0..10)),
            ("bytes=90-", Asked::Part(90..100)),
            ("bytes=-5", Asked::Part(95..100)),
            ("bytes=-500", Asked::Part(0..100)),
            ("bytes=50-5000", Asked::Part(50..100)),
            ("bytes=100-", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=99999999999999999999999-", Asked::Nothing),
            ("bytes=9-1", Asked::All),
            ("bytes=0-1,5-6", Asked::All),
            ("bytes=a-b", Asked::All),
            ("bytes=-", Asked::All),
            ("seconds=0-1", Asked::All),
        ] {
            assert_eq!(read(text, 100), expected, "{text}");
        }
    }

    #[test]
    fn channels_become_one_without_wrapping() {
        let pairs = [(100_i16, -30_i16), (30_000, 30_000), (-30_000, -30_000)];
        let octets: Vec<u8> =
            pairs.iter().flat_map(|(l, r)| [l.to_le_bytes(), r.to_le_bytes()].concat()).collect();
        let expected: Vec<u8> =
            [70_i16, i16::MAX, i16::MIN].iter().flat_map(|sum| sum.to_le_bytes()).collect();
        assert_eq!(mixed(&octets, 2), expected);
        let of_three = [30_070_i16, -30_000].map(i16::to_le_bytes).concat();
        assert_eq!(mixed(&octets, 3), of_three);
    }
}
