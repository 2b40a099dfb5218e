//! How loud everyone is, and who the dominant speaker is, for those who follow along.
//!
//! The rooms of an account are looked at when a follower asks and the last look is [`LOOK_EVERY`] old; all followers
//! of the account share the look. Where nobody follows, nothing is done.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use media::{LegId, RoomId, Voiced};
use model::{AccountSid, CallSid, ConferenceSid, Timestamp};
use tokio::time::{Instant, sleep_until};

use crate::Handle;
use crate::audibility::Level;
use crate::core::Core;
use crate::driver::Request;

/// How often the rooms of an account are looked at, while somebody follows.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Conferences of an account that one look takes in; the oldest are left out.
pub const LEVELS_ROOMS_MAX: usize = 50;
/// Changes of dominant speakers that are kept for followers who are slow; the oldest go first.
const CHANGES_MAX: usize = 256;
/// How long the last look is kept at least, for followers who come back.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// What a shard says of a room: how loud each leg is, and which is the dominant speaker.
pub(crate) type Voices = (Vec<Voiced>, Option<LegId>);

/// How loud everyone is in one conference.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomLevels {
    /// Which conference.
    pub conference: ConferenceSid,
    /// Who speaks, or spoke last.
    pub dominant: Option<CallSid>,
    /// How loud each is.
    pub levels: Vec<Level>,
    /// When the conference was made.
    pub created: Timestamp,
}

/// What the live conferences of an account were found like, all at about the same time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Look {
    /// Greater than that of the look before.
    pub number: u64,
    /// When it was begun.
    pub date: Timestamp,
    /// The latest conferences, the latest first.
    pub rooms: Vec<RoomLevels>,
    /// How many conferences there are beside these.
    pub left_out: usize,
}

/// A conference has another dominant speaker than in the look before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DominantChange {
    /// The look that showed it.
    pub look: u64,
    /// When that was begun.
    pub date: Timestamp,
    /// In which conference.
    pub conference: ConferenceSid,
    /// Who it is now.
    pub call: Option<CallSid>,
    /// Who it was.
    pub previous: Option<CallSid>,
}

/// What a follower is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The last look.
    pub look: Arc<Look>,
    /// What has changed since the look that the follower knew.
    pub changes: Vec<DominantChange>,
}

/// What one look has found.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    rooms: Vec<RoomLevels>,
    left_out: usize,
}

/// The conferences that are to be looked at, and whose their legs are.
#[derive(Debug)]
pub(crate) struct LiveRooms {
    rooms: Vec<LiveRoom>,
    left_out: usize,
}

#[derive(Debug)]
struct LiveRoom {
    conference: ConferenceSid,
    created: Timestamp,
    room: Option<RoomId>,
    legs: BTreeMap<LegId, CallSid>,
}

impl LiveRooms {
    /// Returns the rooms that there are already.
    pub(crate) fn rooms(&self) -> Vec<RoomId> {
        self.rooms.iter().filter_map(|one| one.room).collect()
    }

    /// Joins these with what the shards say of them.
    pub(crate) fn seen(self, mut voices_of: impl FnMut(RoomId) -> Voices) -> Seen {
        let levels = |one: LiveRoom| {
            let (voices, dominant) = one.room.map(&mut voices_of).unwrap_or_default();
            let call_of = |leg: &LegId| one.legs.get(leg).copied();
            let levels = voices.iter();
            RoomLevels {
                conference: one.conference,
                dominant: dominant.as_ref().and_then(call_of),
                levels: levels.filter_map(|one| Some(Level::of(one, call_of(&one.leg)?))).collect(),
                created: one.created,
            }
        };
        Seen { rooms: self.rooms.into_iter().map(levels).collect(), left_out: self.left_out }
    }
}

impl Core {
    /// Returns the latest conferences of an account that are not completed.
    pub(crate) fn live_rooms(&self, account: AccountSid) -> LiveRooms {
        let (all, left_out) = self.exchange.gatherings(account, LEVELS_ROOMS_MAX);
        let leg_of = |call: CallSid| Some((self.calls.get(&call)?.leg, call));
        let rooms = all.into_iter().map(|one| LiveRoom {
            conference: one.conference,
            created: one.created,
            room: self.room_of(one.conference),
            legs: one.calls.into_iter().filter_map(leg_of).collect(),
        });
        LiveRooms { rooms: rooms.collect(), left_out }
    }
}

/// The looks at one account's conferences.
#[derive(Debug, Default)]
struct Watch {
    looked_at: Option<Instant>,
    look: Arc<Look>,
    changes: VecDeque<DominantChange>,
}

impl Watch {
    /// Returns when the next look is due; nothing where there was none.
    fn due(&self) -> Option<Instant> {
        self.looked_at.map(|at| at + LOOK_EVERY)
    }

    fn is_due(&self, now: Instant) -> bool {
        self.due().is_none_or(|due| now >= due)
    }

    fn is_kept(&self, now: Instant) -> bool {
        self.looked_at.is_some_and(|at| now < at + KEPT_FOR)
    }

    /// Keeps a look in place of the last one. What the first one shows is no change.
    fn take(&mut self, look: Look, now: Instant) {
        if self.looked_at.replace(now).is_some() {
            self.changes.extend(changes(&self.look, &look));
            let surplus = self.changes.len().saturating_sub(CHANGES_MAX);
            self.changes.drain(..surplus);
        }
        self.look = Arc::new(look);
    }

    /// Returns what is new to a follower who knows the looks up to one; one who knows none is told of no change, and
    /// so is one whose look was another server's.
    fn after(&self, known: Option<u64>) -> Option<Told> {
        let known = known.filter(|known| *known <= self.look.number);
        if known == Some(self.look.number) {
            return None;
        }
        let known = known.unwrap_or(self.look.number);
        let changes = self.changes.iter().filter(|change| change.look > known).copied();
        Some(Told { look: Arc::clone(&self.look), changes: changes.collect() })
    }
}

/// Says which conferences have another dominant speaker than before. One that is new had none; of one that was left
/// out before, nothing is known.
fn changes(before: &Look, now: &Look) -> Vec<DominantChange> {
    let change = |room: &RoomLevels| {
        let known = before.rooms.iter().find(|known| known.conference == room.conference);
        let is_new = room.created >= before.date;
        let previous = known.map(|known| known.dominant).or(is_new.then_some(None))?;
        (previous != room.dominant).then_some(DominantChange {
            look: now.number,
            date: now.date,
            conference: room.conference,
            call: room.dominant,
            previous,
        })
    };
    now.rooms.iter().filter_map(change).collect()
}

/// The looks at the conferences of every account that is followed.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    watches: Mutex<BTreeMap<AccountSid, Arc<tokio::sync::Mutex<Watch>>>>,
    last: AtomicU64,
}

impl Levels {
    fn of(&self, account: AccountSid) -> Arc<tokio::sync::Mutex<Watch>> {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watch) = watches.get(&account) {
            return Arc::clone(watch);
        }
        let now = Instant::now();
        // One that is locked is in use.
        watches.retain(|_, watch| watch.try_lock().map_or(true, |watch| watch.is_kept(now)));
        Arc::clone(watches.entry(account).or_default())
    }

    fn next(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Handle {
    /// Returns how loud everyone is in the conferences of an account, where that is new to a follower who knows the
    /// looks up to `known`: looks, if that is due.
    pub async fn levels(&self, account: AccountSid, known: Option<u64>) -> Option<Told> {
        let watch = self.levels.of(account);
        let mut watch = watch.lock().await;
        let (now, date) = (Instant::now(), self.date());
        if watch.is_due(now) {
            let seen = self.ask(|reply| Request::Levels(account, reply)).await.unwrap_or_default();
            let Seen { rooms, left_out } = seen;
            let look = Look { number: self.levels.next(), date, rooms, left_out };
            watch.take(look, now);
        }
        watch.after(known)
    }

    /// Waits until the conferences of an account are due to be looked at.
    pub async fn levels_due(&self, account: AccountSid) {
        let due = self.levels.of(account).lock().await.due();
        if let Some(due) = due {
            sleep_until(due).await;
        }
    }
}
