//! What was committed lately, in order, for those who follow along.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::{AccountSid, Change, Kind, Timestamp};
use tokio::sync::watch;

/// Changes that are remembered; the oldest go first.
pub const FEED_MAX: usize = 4_096;

/// One change, as it was committed.
#[derive(Debug, Clone)]
pub struct Fed {
    /// Its place: one more than the one before.
    pub sequence: u64,
    /// When it was committed.
    pub date: Timestamp,
    /// What it was, without what only a restart needs.
    pub change: Arc<Change>,
}

#[derive(Debug, Default)]
struct Ring {
    last: u64,
    kept: VecDeque<(AccountSid, Fed)>,
}

/// The changes that were committed lately. Cloning gives another handle on the same.
#[derive(Debug, Clone)]
pub struct Feed {
    ring: Arc<Mutex<Ring>>,
    grown: watch::Sender<u64>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { ring: Arc::default(), grown: watch::Sender::new(0) }
    }
}

impl Feed {
    /// Appends what of these can be told of.
    pub(crate) fn push(&self, changes: Vec<Change>) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let date = Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let before = ring.last;
        for (account, change) in changes.into_iter().filter_map(told) {
            ring.last += 1;
            let fed = Fed { sequence: ring.last, date, change: Arc::new(change) };
            if ring.kept.len() == FEED_MAX {
                ring.kept.pop_front();
            }
            ring.kept.push_back((account, fed));
        }
        let last = ring.last;
        drop(ring);
        if last != before {
            self.grown.send_replace(last);
        }
    }

    /// Returns the place of the last change.
    pub fn last(&self) -> u64 {
        *self.grown.borrow()
    }

    /// Returns the changes of an account after a place, `max` at most, and the place up to which was looked.
    pub fn after(&self, account: AccountSid, place: u64, max: usize) -> (Vec<Fed>, u64) {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let later = ring.kept.iter().filter(|(_, fed)| fed.sequence > place);
        let own = later.filter(|(owner, _)| *owner == account).map(|(_, fed)| fed.clone());
        let found: Vec<Fed> = own.take(max).collect();
        let looked = found.last().filter(|_| found.len() == max).map(|fed| fed.sequence);
        let looked = looked.unwrap_or(ring.last);
        (found, looked)
    }

    /// Waits until something comes after a place, but no longer than this.
    pub async fn grows(&self, place: u64, limit: Duration) {
        let mut grown = self.grown.subscribe();
        // The sender lives as long as this.
        let _ = tokio::time::timeout(limit, grown.wait_for(|last| *last > place)).await;
    }
}

/// Returns whose a change is, and the change, where it is one that can be told of.
fn told(change: Change) -> Option<(AccountSid, Change)> {
    let state = String::new();
    Some(match change {
        Change::Call { record, .. } => (record.account, Change::Call { record, state }),
        Change::Conference { record, .. } => (record.account, Change::Conference { record, state }),
        Change::Recording { record, .. } => (record.account, Change::Recording { record, state }),
        Change::Callback(callback) => (callback.account, Change::Callback(callback)),
        Change::Moment(moment) => (moment.account, Change::Moment(moment)),
        Change::Notification(entry) => (entry.account, Change::Notification(entry)),
        Change::Resource(resource) if resource.kind == Kind::Message => {
            (resource.account, Change::Resource(resource))
        }
        _ => return None,
    })
}
