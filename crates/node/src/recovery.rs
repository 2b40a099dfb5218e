//! What a start does with what was alive when the server last ended.

use std::path::Path;

use exchange::{Alive, Effect, Event, Exchange, RecordingEnd, Unreadable};
use model::{CallSid, Change, Now, Queue, RecordingSid};
use store::Store;

use crate::{StartError, now, recorder};

/// What is left to do for what was alive.
#[derive(Debug, Default)]
pub struct Closing {
    /// The rows that close it, with the callbacks that tell of it; to be committed at once.
    pub changes: Vec<Change>,
    /// The dialogs that are then to be ended. Their rows stay until their phones know.
    pub dialogs: Vec<(CallSid, sip::Dialog)>,
    /// The queues, which stay.
    pub queues: Vec<Queue>,
}

/// Says how to close what was alive: it can not go on, its sound is gone. `found` says what there is of a
/// recording; `api_url` is where its receiver can fetch it.
///
/// # Errors
/// When a row holds what this program did not write.
pub fn close(
    alive: store::Alive,
    (seed, api_url): (u64, &str),
    found: impl Fn(RecordingSid) -> RecordingEnd,
    now: Now,
) -> Result<Closing, Unreadable> {
    let store::Alive { calls, conferences, participants, recordings, queues, dialogs } = alive;
    let recorded: Vec<RecordingSid> = recordings.iter().map(|(record, _)| record.sid).collect();
    let mut exchange = Exchange::new(seed);
    exchange.set_api_url(api_url.to_owned());
    let kept = queues.clone();
    exchange.restore(Alive { calls, conferences, participants, recordings, queues }, now)?;
    let mut effects = Vec::new();
    exchange.lose_all(now, &mut effects);
    for recording in recorded {
        let event = Event::RecordingEnded { recording, end: found(recording) };
        exchange.handle_event(event, now, &mut effects);
    }
    // Only what is written outlives the process.
    let written = effects.into_iter().filter_map(|effect| match effect {
        Effect::Write(change) => Some(change),
        _ => None,
    });
    let mut changes: Vec<Change> = written.collect();
    let mut readable = Vec::new();
    for (call, state) in dialogs {
        match serde_json::from_str(&state) {
            Ok(dialog) => readable.push((call, dialog)),
            Err(error) => {
                tracing::warn!(%call, %error, "a dialog cannot be read");
                changes.push(Change::DeleteDialog(call));
            }
        }
    }
    Ok(Closing { changes, dialogs: readable, queues: kept })
}

/// Closes in the records what was alive, all in one commit; returns what is left to do, with no
/// changes in it.
///
/// # Errors
/// When the store cannot be read or written, or holds what this program did not write.
pub async fn close_what_was_alive(
    store: &Store,
    seed: u64,
    api_url: &str,
    folder: &Path,
) -> Result<Closing, StartError> {
    let told = |error: store::StoreFailed| StartError::Other(error.to_string());
    let alive = store.alive().map_err(told)?;
    let found = |recording| recorder::mended(folder, recording);
    let mut closing = close(alive, (seed, api_url), found, now())
        .map_err(|error| StartError::Other(error.to_string()))?;
    if closing.changes.is_empty() {
        return Ok(closing);
    }
    let committed = store.apply(std::mem::take(&mut closing.changes)).map_err(told)?;
    match committed.await {
        Ok(result) => result.map_err(told)?,
        Err(_) => return Err(StartError::Other("the store's writer ended".to_owned())),
    }
    Ok(closing)
}
