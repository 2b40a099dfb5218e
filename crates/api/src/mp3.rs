//! Recordings as MP3: encoded while they are fetched, from the file that they are, away from the threads that serve others.
//!
//! How long the file will be is not known before it is encoded: ranges are ignored, as RFC 9110 section 14 allows,
//! and the answer says that it takes none.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Bytes;
use node::{MP3_SAMPLES_MAX, Mp3, Mp3Error};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::error::{ApiError, code};
use crate::media::{CHUNKS_MAX, HEADER, Pieces, STALL_MAX, mixed};
use crate::set;

/// Files that are encoded at the same time; who comes later waits.
pub const ENCODINGS_MAX: usize = 4;

/// Answers with a recording; `mix` makes one channel of all.
///
/// # Errors
/// 501 where no encoder is built in, 404 where there is no file, 400 for more than two channels.
pub async fn answer(
    path: PathBuf,
    mix: bool,
    is_head: bool,
    permit: OwnedSemaphorePermit,
) -> Result<Response, ApiError> {
    let opened = tokio::task::spawn_blocking(move || Source::open(path, mix)).await;
    let source = opened.ok().and_then(Result::ok).ok_or_else(ApiError::not_found)?;
    let mp3 = Mp3::new(if mix { 1 } else { source.channels }).map_err(|error| match error {
        Mp3Error::Absent => ApiError::not_built_without("MP3 of recordings", "mp3-lame"),
        Mp3Error::Channels(_) => {
            let message = "MP3 has two channels at most: ask for one";
            ApiError::invalid("RequestedChannels", message)
        }
        Mp3Error::Failed(why) => ApiError::new(503, code::UNAVAILABLE, &why),
    })?;
    let (sender, pieces) = mpsc::channel(CHUNKS_MAX);
    if !is_head {
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            source.encode(mp3, |piece| {
                let sent = tokio::time::timeout(STALL_MAX, sender.send(piece));
                matches!(runtime.block_on(sent), Ok(Ok(())))
            });
            drop(permit);
        });
    }
    let mut response = (StatusCode::OK, Body::new(Pieces(pieces))).into_response();
    set(response.headers_mut(), header::CONTENT_TYPE, "audio/mpeg");
    set(response.headers_mut(), header::ACCEPT_RANGES, "none");
    Ok(response)
}

/// A WAV file of ours that is read from its beginning.
struct Source {
    file: BufReader<File>,
    channels: u16,
    mix: bool,
}

impl Source {
    fn open(path: PathBuf, mix: bool) -> std::io::Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        let mut header = [0; HEADER as usize];
        file.read_exact(&mut header)?;
        let channels = u16::from_le_bytes([header[22], header[23]]).max(1);
        Ok(Self { file, channels, mix })
    }

    /// Hands over piece by piece until the file or the client's patience ends.
    fn encode(mut self, mut mp3: Mp3, mut send: impl FnMut(Bytes) -> bool) {
        let align = usize::from(self.channels) * 2;
        let frames = MP3_SAMPLES_MAX / usize::from(self.channels);
        let mut octets = vec![0; frames * align];
        loop {
            let read = self.fill(&mut octets);
            let mut sound = octets[..read / align * align].to_vec();
            if self.mix && self.channels > 1 {
                sound = mixed(&sound, self.channels.into());
            }
            let pairs = sound.as_chunks::<2>().0.iter();
            let samples: Vec<i16> = pairs.map(|pair| i16::from_le_bytes(*pair)).collect();
            let is_last = read < octets.len();
            let mut file = Vec::new();
            let encoded = mp3.encode(&samples, &mut file);
            let ended = if is_last { mp3.finish(&mut file) } else { Ok(()) };
            if let Err(error) = encoded.and(ended) {
                return tracing::warn!(%error, "a recording is not encoded to its end");
            }
            if !file.is_empty() && !send(file.into()) || is_last {
                return;
            }
        }
    }

    /// Reads as much as there is, up to all of `octets`.
    fn fill(&mut self, octets: &mut [u8]) -> usize {
        let mut read = 0;
        while read < octets.len() {
            match self.file.read(&mut octets[read..]) {
                Ok(0) | Err(_) => break,
                Ok(more) => read += more,
            }
        }
        read
    }
}
