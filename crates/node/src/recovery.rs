//! What a start does with what was alive when the server last ended.

use exchange::{Alive, Effect, Exchange};
use model::Change;
use store::Store;

use crate::{StartError, now};

/// Closes in the records what was alive, with the callbacks that tell of it, all in one commit;
/// returns the dialogs that are still to be ended.
///
/// # Errors
/// When the store cannot be read or written, or holds what this program did not write.
pub async fn close_what_was_alive(
    store: &Store,
    seed: u64,
) -> Result<Vec<sip::Dialog>, StartError> {
    let told = |error: store::StoreFailed| StartError::Other(error.to_string());
    let store::Alive { calls, conferences, participants, dialogs } = store.alive().map_err(told)?;
    let mut exchange = Exchange::new(seed);
    exchange
        .restore(Alive { calls, conferences, participants }, now())
        .map_err(|error| StartError::Other(error.to_string()))?;
    let mut effects = Vec::new();
    exchange.lose_all(now(), &mut effects);
    // Only what is written outlives the process; the sound is gone.
    let written = effects.into_iter().filter_map(|effect| match effect {
        Effect::Write(change) => Some(change),
        _ => None,
    });
    let forgotten = dialogs.iter().map(|(call, _)| Change::DeleteDialog(*call));
    let changes: Vec<Change> = written.chain(forgotten).collect();
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let committed = store.apply(changes).map_err(told)?;
    match committed.await {
        Ok(result) => result.map_err(told)?,
        Err(_) => return Err(StartError::Other("the store's writer ended".to_owned())),
    }
    let dialogs = dialogs.iter().filter_map(|(call, state)| {
        let read = serde_json::from_str(state);
        read.inspect_err(|error| tracing::warn!(%call, %error, "a dialog cannot be read")).ok()
    });
    Ok(dialogs.collect())
}
