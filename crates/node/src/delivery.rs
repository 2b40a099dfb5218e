//! What is owed to receivers, and what is next after each attempt.
//!
//! Pure: whoever drives it sends each attempt, reads rows when asked, and says what came of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use model::{Callback, CallbackSid, CallbackState, Delivery, Level};
use webhook::{Failure, Outcome, Overrides};

/// Most attempts at the same time.
pub const ATTEMPTS_MAX: usize = 2_048;
/// Most of them at one scheme, host and port.
pub const ATTEMPTS_PER_HOST_MAX: usize = 32;
/// Most callbacks in memory; the rest is in its rows, and read when its turn comes.
const HELD_MAX: usize = 16_384;
/// Most rows that are read at once.
pub const ROWS_MAX: usize = 32;
/// Callbacks that were read from rows and may still be announced.
const RECENT_MAX: usize = 4_096;
/// The pause after the first attempt until delivered; each further one is twice as long.
pub const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
pub const PAUSE_MAX: Duration = Duration::from_secs(15 * 60);
/// Attempts until delivered: with their pauses they take 24 h.
pub const ATTEMPTS_UNTIL_DELIVERED: u32 = 106;
/// The pause after rows that could not be read.
const READ_PAUSE: Duration = Duration::from_millis(500);

/// Returns the pause after so many attempts.
fn pause(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    (PAUSE_FIRST * 2_u32.pow(doublings)).min(PAUSE_MAX)
}

/// What is next with a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another attempt at once.
    Again,
    /// Another attempt after a pause.
    Later(Duration),
    /// Nothing: it is delivered or given up.
    Over,
}

/// An entry for the debugger log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The callback that it is about.
    pub callback: Callback,
    /// How bad it is.
    pub level: Level,
    /// Twilio's code.
    pub code: u32,
    /// What happened, in a sentence.
    pub message: String,
}

/// Decides what is next after an answer, and marks the callback so. `tries` counts the attempts
/// since the last pause, and `left` is what remains of their time.
///
/// Source: Twilio "Webhooks: connection overrides"; errors 15003 and 16011.
fn judge(
    rule: Delivery,
    callback: &mut Callback,
    answer: &Result<u16, Failure>,
    (tries, left): (u32, Duration),
) -> (Next, Option<(Level, u32, String)>) {
    let overrides = Overrides::of(&callback.url);
    let (outcome, code, message) = match answer {
        Ok(..400) => {
            callback.state = CallbackState::Delivered;
            callback.last_error = None;
            return (Next::Over, None);
        }
        Ok(status) => {
            let code = if callback.conference.is_some() { 16011 } else { 15003 };
            (Outcome::Answered(*status), code, format!("answered {status}"))
        }
        Err(failure) => (Outcome::Failed(failure.stage), failure.code, failure.message.clone()),
    };
    callback.last_error = Some(format!("{code}: {message}"));
    let answered = matches!(outcome, Outcome::Answered(_));
    let level = if answered { Level::Warning } else { Level::Error };
    match rule {
        Delivery::Twilio => {
            let again = tries <= overrides.retries && !left.is_zero();
            if again && overrides.retries_on(outcome) {
                return (Next::Again, None);
            }
            callback.state = CallbackState::Failed;
            (Next::Over, Some((level, code, message)))
        }
        Delivery::UntilDelivered if callback.attempts >= ATTEMPTS_UNTIL_DELIVERED => {
            callback.state = CallbackState::Failed;
            let message = format!("given up after {} attempts: {message}", callback.attempts);
            (Next::Over, Some((Level::Error, code, message)))
        }
        Delivery::UntilDelivered => {
            let pause = pause(callback.attempts);
            let told = format!("{code}: {message}; tried again after {} s", pause.as_secs());
            callback.last_error = Some(told);
            let first = callback.attempts == 1;
            (Next::Later(pause), first.then_some((Level::Warning, code, message)))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for its receiver's turn.
    Ready,
    /// Its rows are being read.
    Reading,
    /// Its first callback is on its way.
    Trying,
    /// Waits for the end of a pause.
    Sleeping,
}

/// The callbacks of one conference, or of a call that is told of by itself, in their order.
#[derive(Debug)]
struct Lane {
    host: String,
    waiting: VecDeque<Callback>,
    /// Whether its rows hold more than `waiting`.
    more: bool,
    state: State,
    /// Attempts at the first callback since the last pause, and when they began.
    tries: u32,
    begun: Option<Instant>,
}

#[derive(Debug, Default)]
struct Host {
    ready: VecDeque<String>,
    busy: usize,
    /// Whether it is in the queue of those that have a turn.
    queued: bool,
}

/// What is owed: in order for each lane, so many at a time for each receiver, and no more in
/// memory than is soon to be sent.
#[derive(Debug)]
pub struct Outbox {
    rule: Delivery,
    lanes: BTreeMap<String, Lane>,
    hosts: BTreeMap<String, Host>,
    turns: VecDeque<String>,
    sleeping: BTreeSet<(Instant, String)>,
    trying: BTreeMap<CallbackSid, String>,
    reads: VecDeque<String>,
    recent: (VecDeque<CallbackSid>, BTreeSet<CallbackSid>),
    notes: VecDeque<Note>,
    held: usize,
    busy: usize,
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new(Delivery::Twilio)
    }
}

impl Outbox {
    /// Makes an empty one.
    pub fn new(rule: Delivery) -> Self {
        Self {
            rule,
            lanes: BTreeMap::new(),
            hosts: BTreeMap::new(),
            turns: VecDeque::new(),
            sleeping: BTreeSet::new(),
            trying: BTreeMap::new(),
            reads: VecDeque::new(),
            recent: Default::default(),
            notes: VecDeque::new(),
            held: 0,
            busy: 0,
        }
    }

    /// Takes a callback whose row is committed.
    pub fn push(&mut self, callback: Callback) {
        if self.recent.1.contains(&callback.sid) {
            return;
        }
        let key = lane_of(&callback);
        let (lane, is_new) = self.lane(&key, &callback.url);
        let asleep = lane.state == State::Sleeping;
        let spilt = lane.more || lane.state == State::Reading;
        let room = self.held < if asleep { HELD_MAX / 2 } else { HELD_MAX };
        if let Some(lane) = self.lanes.get_mut(&key) {
            if spilt || !room {
                lane.more = true;
            } else {
                lane.waiting.push_back(callback);
                self.held += 1;
            }
        }
        if is_new {
            self.make_ready(&key);
        }
    }

    /// Takes the name of a lane whose rows are owed, and its receiver's address.
    pub fn owed(&mut self, key: &str, url: &str) {
        let (lane, is_new) = self.lane(key, url);
        lane.more = true;
        if is_new {
            self.make_ready(key);
        }
    }

    fn lane(&mut self, key: &str, url: &str) -> (&mut Lane, bool) {
        let is_new = !self.lanes.contains_key(key);
        let lane = self.lanes.entry(key.to_owned()).or_insert_with(|| Lane {
            host: webhook::origin(url),
            waiting: VecDeque::new(),
            more: false,
            state: State::Ready,
            tries: 0,
            begun: None,
        });
        (lane, is_new)
    }

    fn make_ready(&mut self, key: &str) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.state = State::Ready;
        let host = lane.host.clone();
        self.hosts.entry(host.clone()).or_default().ready.push_back(key.to_owned());
        self.queue_turn(&host);
    }

    fn queue_turn(&mut self, name: &str) {
        let Some(host) = self.hosts.get_mut(name) else { return };
        if host.ready.is_empty() {
            if host.busy == 0 && !host.queued {
                self.hosts.remove(name);
            }
        } else if host.busy < ATTEMPTS_PER_HOST_MAX && !host.queued {
            host.queued = true;
            self.turns.push_back(name.to_owned());
        }
    }

    /// Returns the next callback that is to be sent now; [`Self::handle_answer`] follows.
    pub fn poll_attempt(&mut self, now: Instant) -> Option<Callback> {
        while self.poll_timeout().is_some_and(|due| due <= now)
            && let Some((_, key)) = self.sleeping.pop_first()
        {
            self.make_ready(&key);
        }
        while self.busy < ATTEMPTS_MAX {
            let name = self.turns.pop_front()?;
            let Some(host) = self.hosts.get_mut(&name) else { continue };
            host.queued = false;
            let Some(key) = host.ready.pop_front() else { continue };
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            host.busy += 1;
            self.busy += 1;
            let Some(callback) = lane.waiting.front_mut() else {
                lane.state = State::Reading;
                lane.more = false;
                self.reads.push_back(key);
                self.queue_turn(&name);
                continue;
            };
            lane.state = State::Trying;
            lane.begun.get_or_insert(now);
            lane.tries += 1;
            callback.attempts += 1;
            let callback = callback.clone();
            if callback.attempts == 1 {
                self.notes.extend(warnings(&callback));
            }
            self.trying.insert(callback.sid, key);
            self.queue_turn(&name);
            return Some(callback);
        }
        None
    }

    /// Returns how much time an attempt has: what is left of all tries of its callback.
    pub fn time_left(&self, sid: CallbackSid, now: Instant) -> Duration {
        let lane = self.trying.get(&sid).and_then(|key| self.lanes.get(key));
        lane.map_or(Duration::ZERO, |lane| left(lane, now))
    }

    /// Takes the status of an answer, or why there is none. Returns the callback's row where it
    /// has changed: it is at its end, or waits for its next attempt.
    pub fn handle_answer(
        &mut self,
        sid: CallbackSid,
        answer: Result<u16, Failure>,
        now: Instant,
    ) -> Option<Callback> {
        let key = self.trying.remove(&sid)?;
        self.release(&key);
        let lane = self.lanes.get_mut(&key)?;
        let time = (lane.tries, left(lane, now));
        let callback = lane.waiting.front_mut()?;
        let (next, note) = judge(self.rule, callback, &answer, time);
        let row = callback.clone();
        if let Some((level, code, message)) = note {
            self.notes.push_back(Note { callback: row.clone(), level, code, message });
        }
        if next == Next::Again {
            self.make_ready(&key);
            return None;
        }
        lane.tries = 0;
        lane.begun = None;
        match next {
            Next::Later(pause) => {
                if self.held > HELD_MAX / 2 {
                    self.held -= lane.waiting.len();
                    lane.waiting.clear();
                    lane.more = true;
                }
                self.sleep(&key, now + pause);
            }
            Next::Again | Next::Over => {
                lane.waiting.pop_front();
                self.held -= 1;
                self.go_on(&key);
            }
        }
        Some(row)
    }

    fn go_on(&mut self, key: &str) {
        let Some(lane) = self.lanes.get(key) else { return };
        if lane.waiting.is_empty() && !lane.more {
            self.lanes.remove(key);
        } else {
            self.make_ready(key);
        }
    }

    fn sleep(&mut self, key: &str, until: Instant) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.state = State::Sleeping;
            self.sleeping.insert((until, key.to_owned()));
        }
    }

    fn release(&mut self, key: &str) {
        let Some(name) = self.lanes.get(key).map(|lane| lane.host.clone()) else { return };
        self.busy -= 1;
        if let Some(host) = self.hosts.get_mut(&name) {
            host.busy -= 1;
        }
        self.queue_turn(&name);
    }

    /// Returns a lane whose owed rows are to be read, the oldest [`ROWS_MAX`] of them, once all
    /// that was returned for it is committed; [`Self::handle_rows`] follows.
    pub fn poll_read(&mut self) -> Option<String> {
        self.reads.pop_front()
    }

    /// Takes a lane's oldest owed rows; none: they could not be read.
    pub fn handle_rows(&mut self, key: &str, rows: Option<Vec<Callback>>, now: Instant) {
        self.release(key);
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let Some(rows) = rows else {
            lane.more = true;
            return self.sleep(key, now + READ_PAUSE);
        };
        lane.more |= rows.len() >= ROWS_MAX;
        self.held += rows.len();
        for callback in rows {
            if self.recent.1.insert(callback.sid) {
                self.recent.0.push_back(callback.sid);
            }
            lane.waiting.push_back(callback);
        }
        while self.recent.0.len() > RECENT_MAX
            && let Some(oldest) = self.recent.0.pop_front()
        {
            self.recent.1.remove(&oldest);
        }
        self.go_on(key);
    }

    /// Returns the next entry for the debugger log.
    pub fn poll_note(&mut self) -> Option<Note> {
        self.notes.pop_front()
    }

    /// Returns when the next pause is over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.sleeping.first().map(|(until, _)| *until)
    }

    /// Whether nothing is owed.
    pub fn is_idle(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Takes a callback that is to be sent once more.
    pub fn replay(&mut self, callback: Callback) {
        if self.recent.1.remove(&callback.sid) {
            self.recent.0.retain(|sid| *sid != callback.sid);
        }
        self.push(callback);
    }
}

/// Returns the lane of a callback; the store's index has the same.
fn lane_of(callback: &Callback) -> String {
    let conference = callback.conference.map(|sid| sid.to_string());
    let call = callback.call.map(|sid| sid.to_string());
    conference.or(call).unwrap_or_else(|| callback.sid.to_string())
}

fn left(lane: &Lane, now: Instant) -> Duration {
    let total =
        lane.waiting.front().map_or(Duration::ZERO, |first| Overrides::of(&first.url).total);
    let spent = lane.begun.map_or(Duration::ZERO, |begun| now.saturating_duration_since(begun));
    total.saturating_sub(spent)
}

fn warnings(callback: &Callback) -> Vec<Note> {
    let note = |warning: Failure| Note {
        callback: callback.clone(),
        level: Level::Warning,
        code: warning.code,
        message: warning.message,
    };
    Overrides::of(&callback.url).warnings.into_iter().map(note).collect()
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
