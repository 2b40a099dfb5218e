//! What is kept no longer: a sweep now and then, in small pieces, away from all that is urgent.

use std::path::Path;
use std::time::Duration;

use exchange::Command;
use model::{Change, Timestamp};
use tokio::sync::watch;

use crate::Handle;

/// Records of each kind that one piece of a sweep looks at.
const ROWS_MAX: u32 = 500;
/// Pieces of one sweep.
const PIECES: usize = 4;
/// Recordings that one sweep looks at.
const RECORDINGS_MAX: u32 = 200;

/// How long records and recordings are kept, and how much of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// How long records are kept after their end; none: for ever.
    pub rows: Option<Duration>,
    /// How long recordings are kept; none: for ever.
    pub recordings: Option<Duration>,
    /// How many octets all recordings may have together, of which the oldest go; none: any number.
    pub recordings_size: Option<u64>,
    /// How often that is seen to.
    pub every: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let every = Duration::from_secs(60);
        Self { rows: None, recordings: None, recordings_size: None, every }
    }
}

/// Sweeps for as long as the node runs.
pub(crate) async fn run(node: Handle, mut retention: watch::Receiver<Retention>) {
    loop {
        let wanted = retention.borrow_and_update().clone();
        tokio::select! {
            () = tokio::time::sleep(wanted.every) => {}
            changed = retention.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        }
        if let Some(age) = wanted.rows {
            forget_rows(&node, age).await;
        }
        if wanted.recordings.is_some() || wanted.recordings_size.is_some() {
            forget_recordings(&node, &wanted).await;
        }
    }
}

fn before(node: &Handle, age: Duration) -> Timestamp {
    Timestamp(node.date().0 - i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

async fn forget_rows(node: &Handle, age: Duration) {
    for _ in 0..PIECES {
        let change = Change::Forget { before: before(node, age), most: ROWS_MAX };
        let Ok(committed) = node.store().apply(vec![change]) else { return };
        if !matches!(committed.await, Ok(Ok(()))) {
            return; // The next sweep tries again.
        }
    }
}

async fn forget_recordings(node: &Handle, wanted: &Retention) {
    let (store, folder) = (node.store().clone(), node.recordings_folder().to_owned());
    let counts = wanted.recordings_size.is_some();
    let read = move || {
        let oldest = store.oldest_recordings(RECORDINGS_MAX).unwrap_or_default();
        (oldest, if counts { size(&folder) } else { 0 })
    };
    let Ok((oldest, mut all)) = tokio::task::spawn_blocking(read).await else { return };
    let since = wanted.recordings.map(|age| before(node, age));
    for recording in oldest {
        let is_old = since.is_some_and(|since| recording.date_created < since);
        if !is_old && wanted.recordings_size.is_none_or(|most| all <= most) {
            break;
        }
        let file = node.recording_file(recording.sid);
        let length = tokio::fs::metadata(&file).await.map_or(0, |file| file.len());
        match node.submit(Command::DeleteRecording(recording.sid)).await {
            Ok(_) => {
                all = all.saturating_sub(length);
                tracing::info!(recording.sid = %recording.sid, "a recording is kept no longer");
            }
            Err(_) => return, // The next sweep tries again.
        }
    }
}

/// Adds up the files of a folder.
fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
}
