//! What must hold after every step, each under its name.

use std::collections::{BTreeMap, BTreeSet};

use model::{CallSid, CallStatus, Callback, Change, ConferenceStatus, Direction, Participant};
use node::{Refusal, Reply};

use crate::played::phone::{Line, Phone};

use super::World;
use super::actions::Asked;
use super::disk::Rows;
use super::reference::{self, Pairs};
use super::web::{self, param};

/// An invariant's name, and what was found.
pub type Fault = (&'static str, String);
/// Whether all invariants held.
pub type Held = Result<(), Fault>;

/// Ticks from a decision to where it must be heard: two frames, and the one that is being mixed.
const TICKS_TO_OBEY: u64 = 3;
/// Ticks after which somebody who may be heard must have been.
const TICKS_TO_BE_HEARD: u64 = 120;
/// Ticks without a change after which the mix must be what the rows say.
const TICKS_TO_SETTLE: u64 = 3;
/// Ticks between two looks at a mix in which nothing changes.
const TICKS_BETWEEN: u64 = 25;
/// Most of anything that a world of this size may make the node keep.
const WAITING_MAX: usize = 2_000;

/// What is remembered to judge by.
#[derive(Debug, Default)]
pub struct Judge {
    /// The last SequenceNumber that each conference and call has used.
    numbers: BTreeMap<String, i64>,
    /// Whose phone each call is.
    phones: BTreeMap<CallSid, usize>,
    /// Who may hear which talker by the rows as they are or as they will be.
    allowed: BTreeSet<(CallSid, usize)>,
    /// Since which tick a listener may no longer hear a talker.
    forbidden: BTreeMap<(CallSid, usize), u64>,
    /// Who must hear whom, since which tick.
    sure: BTreeMap<(CallSid, CallSid), u64>,
    /// The tick at which the rows last changed.
    changed: u64,
    /// Phones whose call the node cannot know of since it crashed.
    forgiven: BTreeSet<usize>,
}

impl Judge {
    /// Takes note that the node is gone, and its sound with it.
    pub fn forget_node(&mut self, rows: &Rows) {
        self.allowed.clear();
        self.forbidden.clear();
        self.sure.clear();
        self.numbers.clear();
        for sid in &rows.owed_in_order {
            if let Some((about, number)) = web::number(&rows.callbacks[sid]) {
                self.numbers.insert(about, number);
            }
        }
    }
}

fn broken(invariant: &'static str, detail: impl Into<String>) -> Held {
    Err((invariant, detail.into()))
}

impl World {
    /// Judges a batch that the node wants written, before it is.
    pub(super) fn judge_batch(&mut self, changes: &[Change]) -> Held {
        for change in changes {
            match change {
                Change::Callback(callback)
                    if !self.disk.meant.callbacks.contains_key(&callback.sid) =>
                {
                    let Some((about, number)) = web::number(callback) else { continue };
                    let first = i64::from(callback.conference.is_some());
                    let expected = self.judge.numbers.get(&about).map_or(first, |last| last + 1);
                    if number != expected {
                        let detail = format!("{about} tells #{number}, not #{expected}");
                        return broken("sequence_numbers_have_no_gap", detail);
                    }
                    self.judge.numbers.insert(about, number);
                }
                Change::Call { record, .. } => {
                    // One that a `<Dial>` makes is from whoever runs it.
                    let from = match record.direction {
                        Direction::Inbound => &record.from,
                        Direction::OutboundApi | Direction::OutboundDial => &record.to,
                    };
                    let both = [from, &record.to];
                    let of = |index: &usize| {
                        let name = format!("sip:{}@", Phone::name(*index));
                        both.iter().any(|uri| uri.starts_with(&name))
                    };
                    let phone = (0..self.phones.len()).find(of);
                    if let Some(phone) = phone {
                        self.judge.phones.insert(record.sid, phone);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Judges what the rows of a batch say together.
    pub(super) fn judge_rows(&mut self, changes: &[Change]) -> Held {
        let rows = &self.disk.meant;
        for change in changes {
            match change {
                Change::Callback(callback) => agrees(rows, callback)?,
                Change::Conference { record, .. }
                    if record.status == ConferenceStatus::Completed
                        && rows.members(record.sid).next().is_some() =>
                {
                    return broken("a_completed_conference_is_empty", record.sid.to_string());
                }
                Change::Call { record, state } => {
                    if record.status.is_final() != state.is_empty() {
                        let detail = format!("{} {} {state}", record.sid, record.status);
                        return broken("only_the_living_have_state", detail);
                    }
                    let takes_part = |(member, state): &&(Participant, String)| {
                        member.call == record.sid && !state.is_empty()
                    };
                    if record.status.is_final()
                        && rows.participants.values().any(|p| takes_part(&p))
                    {
                        return broken("who_is_gone_takes_no_part", record.sid.to_string());
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// After a start nothing is alive in the rows.
    pub(super) fn judge_restart(&mut self) -> Held {
        let alive = self.disk.rows.alive();
        let left = alive.calls.len() + alive.conferences.len() + alive.participants.len();
        // A dialog's row stays until its phone knows.
        if left + alive.recordings.len() > 0 {
            return broken("a_restart_closes_what_was_alive", format!("{alive:?}"));
        }
        Ok(())
    }

    /// Takes note that the rows have changed, or will.
    pub(super) fn rows_changed(&mut self) {
        let tick = self.ticks;
        let (are, will_be) =
            (reference::audible(&self.disk.rows), reference::audible(&self.disk.meant));
        let judge = &mut self.judge;
        judge.changed = tick;
        let tone = |(listener, speaker): &(CallSid, CallSid)| {
            Some((*listener, *judge.phones.get(speaker)?))
        };
        let allowed: BTreeSet<_> = are.union(&will_be).filter_map(tone).collect();
        for gone in judge.allowed.difference(&allowed) {
            judge.forbidden.insert(*gone, tick);
        }
        judge.forbidden.retain(|pair, _| !allowed.contains(pair));
        judge.allowed = allowed;
        let sure: Pairs = are.intersection(&will_be).copied().collect();
        judge.sure.retain(|pair, _| sure.contains(pair));
        for pair in sure {
            judge.sure.entry(pair).or_insert(tick);
        }
    }

    /// Judges what came out of the node at this tick.
    pub(super) fn judge_sound(&mut self) -> Held {
        let Some(node) = &mut self.node else { return Ok(()) };
        let legs = node.core.legs();
        node.ears.retain(|leg, _| legs.contains_key(leg));
        let judge = &self.judge;
        for (leg, ear) in &node.ears {
            let listener = legs[leg];
            for tone in 0..self.phones.len() {
                let pair = (listener, tone);
                if ear.in_a_row[tone] < 2 || judge.allowed.contains(&pair) {
                    continue;
                }
                let since = judge.forbidden.get(&pair).copied().unwrap_or(0);
                if self.ticks - since > TICKS_TO_OBEY {
                    let detail = format!("{listener} hears phone{tone}");
                    return broken("nobody_hears_whom_it_must_not", detail);
                }
            }
        }
        self.judge_presence()?;
        let still = self.ticks - self.judge.changed;
        if self.disk.is_settled() && (still == TICKS_TO_SETTLE || still % TICKS_BETWEEN == 24) {
            self.judge_mix()?;
            self.judge_calls()?;
        }
        Ok(())
    }

    /// Who may be heard for long enough, and talks, is heard.
    fn judge_presence(&self) -> Held {
        let Some(node) = &self.node else { return Ok(()) };
        let legs = node.core.legs();
        let leg_of =
            |call: &CallSid| legs.iter().find(|(_, other)| *other == call).map(|(l, _)| *l);
        for ((listener, speaker), since) in &self.judge.sure {
            if self.ticks - since != TICKS_TO_BE_HEARD {
                continue;
            }
            let talks = self.judge.phones.get(speaker).map(|index| &self.phones[*index]);
            let talks = talks.filter(|phone| {
                let Line::Up(up) = phone.line else { return false };
                let long = self.instant().saturating_duration_since(up).as_millis() > 2_400;
                let here = phone.remote.and_then(|remote| self.ports.leg(remote.port()));
                long && !phone.dead && here.is_some() && here == leg_of(speaker)
            });
            let (Some(phone), Some(leg)) = (talks, leg_of(listener)) else { continue };
            let ear = node.ears.get(&leg);
            if !ear.is_some_and(|ear| ear.has_heard(phone.index)) {
                let counted = leg_of(speaker).and_then(|leg| node.shard.leg_stats(leg));
                let index = phone.index;
                let detail = format!(
                    "{listener} does not hear {speaker}, phone{index}: {ear:?}, {counted:?}"
                );
                return broken("who_may_be_heard_is_heard", detail);
            }
        }
        Ok(())
    }

    /// The mix is what the rows say.
    fn judge_mix(&self) -> Held {
        let Some(node) = &self.node else { return Ok(()) };
        let legs = node.core.legs();
        let expected = reference::audible(&self.disk.rows);
        let conferences = self.disk.rows.conferences.values().map(|(record, _)| record);
        let conferences = conferences.filter(|c| c.status != ConferenceStatus::Completed);
        let conferences = conferences.filter_map(|c| node.core.room_of(c.sid));
        let bridges = self.disk.rows.calls.keys().filter_map(|call| node.core.bridge_of(*call));
        let mut found = Pairs::new();
        for room in conferences.chain(bridges) {
            for pair in node.shard.audibility(room).iter().filter(|pair| pair.gain > 0.0) {
                let (listener, speaker) = (legs.get(&pair.listener), legs.get(&pair.speaker));
                found
                    .extend(listener.zip(speaker).map(|(listener, speaker)| (*listener, *speaker)));
            }
        }
        if found != expected {
            let more: Vec<_> = found.difference(&expected).collect();
            let less: Vec<_> = expected.difference(&found).collect();
            let detail =
                format!("heard and not allowed: {more:?}; allowed and not heard: {less:?}");
            return broken("the_mix_follows_the_rows", detail);
        }
        Ok(())
    }

    /// Every live call has its leg, and every leg its live call.
    fn judge_calls(&self) -> Held {
        let Some(node) = &self.node else { return Ok(()) };
        let legs: BTreeSet<CallSid> = node.core.legs().values().copied().collect();
        for (sid, (record, _)) in &self.disk.rows.calls {
            if record.status == CallStatus::InProgress && !legs.contains(sid) {
                return broken("every_live_call_has_its_leg", sid.to_string());
            }
        }
        for call in legs {
            let record = self.disk.rows.calls.get(&call).map(|(record, _)| record);
            if record.is_none_or(|record| record.status.is_final()) {
                return broken("no_leg_outlives_its_call", call.to_string());
            }
        }
        let census = node.core.census();
        if census.waiting > WAITING_MAX || self.disk.waiting() > WAITING_MAX {
            return broken("what_waits_is_bounded", format!("{census:?}"));
        }
        Ok(())
    }

    /// Judges the answer to a command.
    pub(super) fn judge_reply(&self, asked: &Asked, answer: &Result<Reply, Refusal>) -> Held {
        let rows = &self.disk.rows;
        let shown = match answer {
            Err(_) => return Ok(()),
            Ok(Reply::Participant(record)) => {
                rows.participants.get(&record.sid).map(|(row, _)| row == &**record)
            }
            Ok(Reply::Conference(record)) => {
                rows.conferences.get(&record.sid).map(|(row, _)| row == &**record)
            }
            Ok(Reply::Call(record)) => rows.calls.get(&record.sid).map(|(row, _)| row == &**record),
            Ok(Reply::Recording(record)) => {
                rows.recordings.get(&record.sid).map(|(row, _)| row == &**record)
            }
            Ok(Reply::Queue(sid)) => Some(rows.queues.contains_key(sid)),
            Ok(Reply::Edges(call, _)) => {
                Some(rows.participants.values().any(|(row, _)| row.call == *call))
            }
            Ok(Reply::Done) => Some(match asked {
                Asked::Delete(call) => !rows.calls.contains_key(call),
                Asked::Remove(conference, call) => {
                    !rows.members(*conference).any(|member| member.call == *call)
                }
                _ => true,
            }),
        };
        if shown != Some(true) {
            return broken("a_reply_is_in_the_rows", format!("{asked:?}: {answer:?}"));
        }
        let (Asked::Update(changes), Ok(Reply::Participant(record))) = (asked, answer) else {
            return Ok(());
        };
        let obeyed = changes.muted.is_none_or(|muted| record.muted == muted)
            && changes.hold.is_none_or(|hold| record.hold == hold)
            && changes.coaching.is_none_or(|coaching| record.coaching == coaching)
            && changes.call_to_coach.is_none_or(|_| {
                record.call_to_coach == changes.call_to_coach || changes.coaching == Some(false)
            })
            && changes
                .end_conference_on_exit
                .is_none_or(|ends| record.end_conference_on_exit == ends);
        if !obeyed {
            return broken("a_reply_shows_what_was_asked", format!("{changes:?}: {record:?}"));
        }
        Ok(())
    }

    /// After a crash nobody can end a call whose dialog was never written; all others it must.
    pub(super) fn forgive_unknown_dialogs(&mut self) {
        if self.node.is_none() {
            return;
        }
        for phone in self.phones.iter().filter(|phone| phone.line != Line::Idle) {
            let dialog = phone.call.and_then(|call| phone.agent.dialog(call));
            if !dialog.is_some_and(|dialog| self.disk.rows.kept.contains(dialog.call_id())) {
                self.judge.forgiven.insert(phone.index);
            }
        }
    }

    /// Whether a phone's call is one that the node cannot know of.
    pub(super) fn is_forgiven(&self, index: usize) -> bool {
        self.judge.forgiven.contains(&index)
    }

    /// Whether nothing moves any more.
    pub(super) fn is_at_rest(&self) -> bool {
        self.agenda.is_empty()
            && self.disk.is_settled()
            && self.owes_nothing()
            && self.phones.iter().all(|phone| phone.dead || phone.open() == 0)
            && self
                .node
                .as_ref()
                .is_some_and(|node| node.core.census().is_idle() && node.shard.stats().legs == 0)
    }

    /// Judges what is left when nothing moves any more.
    pub(super) fn judge_rest(&mut self) -> Held {
        let Some(node) = &self.node else { return broken("the_node_is_up_at_rest", "") };
        let (census, sound) = (node.core.census(), node.shard.stats());
        if !census.is_idle() || sound.legs + sound.rooms > 0 {
            return broken("the_node_is_idle_at_rest", format!("{census:?} {sound:?}"));
        }
        if !self.owes_nothing() {
            return broken(
                "nothing_is_owed_at_rest",
                format!("{:?}", self.disk.rows.owed().next()),
            );
        }
        if !self.asked.is_empty() {
            return broken("every_command_is_answered", format!("{:?}", self.asked));
        }
        let alive = self.disk.rows.alive();
        // Queues stay; who waits in them does not.
        let nothing = store::Alive { queues: alive.queues.clone(), ..store::Alive::default() };
        if alive != nothing || !self.disk.rows.queue_members.is_empty() {
            let members = &self.disk.rows.queue_members;
            return broken("no_row_is_alive_at_rest", format!("{alive:?} {members:?}"));
        }
        let up = self.phones.iter().find(|phone| !phone.dead && phone.line != Line::Idle);
        if let Some(phone) = up {
            return broken("no_phone_is_left_up", format!("phone{} {:?}", phone.index, phone.line));
        }
        let rows = &self.disk.rows;
        self.summary.calls = rows.calls.len() as u64;
        self.summary.joins = rows.participants.len() as u64;
        self.summary.recordings = rows.recordings.len() as u64;
        who_came_has_left(rows)
    }

    /// Returns how many calls of phones there have been.
    pub(super) fn calls_so_far(&self) -> u64 {
        self.judge.phones.len() as u64
    }

    /// Says what keeps a world from its rest.
    pub(super) fn describe(&self) -> String {
        let census = self.node.as_ref().map(|node| node.core.census());
        let phones: Vec<_> = self
            .phones
            .iter()
            .map(|phone| (phone.index, phone.line, phone.dead, phone.open()))
            .collect();
        let (queued, owed) = (self.agenda.len(), self.disk.rows.owed().count());
        let next = self.agenda.first().map(|(at, event)| format!("{at:?} {event:?}"));
        format!("{census:?} phones {phones:?} queued {queued} ({next:?}) owed {owed}")
    }
}

/// Of each conference as many were told to have left as there were in it, those who never answered included.
fn who_came_has_left(rows: &Rows) -> Held {
    let mut told: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    for callback in rows.callbacks.values() {
        let Some(conference) = callback.conference else { continue };
        let (came, left) = told.entry(conference).or_default();
        match param(callback, "StatusCallbackEvent") {
            Some("participant-join") => *came += 1,
            Some("participant-leave") => *left += 1,
            _ => {}
        }
    }
    for (conference, (came, left)) in told {
        let parts = rows.participants.values();
        let parts = parts.filter(|(record, _)| record.conference == conference).count();
        if left != parts || came > left {
            let detail = format!("{conference}: {came} came, {left} left, {parts} were there");
            return broken("who_is_told_to_come_is_told_to_leave", detail);
        }
    }
    Ok(())
}

/// Whether a callback says what the rows of its batch say.
fn agrees(rows: &Rows, callback: &Callback) -> Held {
    let (Some(conference), Some(event)) =
        (callback.conference, param(callback, "StatusCallbackEvent"))
    else {
        return Ok(());
    };
    let ended = || {
        let row = rows.conferences.get(&conference);
        row.is_some_and(|(record, _)| record.status == ConferenceStatus::Completed)
    };
    if event == "conference-end" && !ended() {
        return broken("a_callback_tells_what_is_written", format!("{conference} has not ended"));
    }
    let Some(call) = callback.call.filter(|_| event.starts_with("participant-")) else {
        return Ok(());
    };
    // A call may have been there before, or come back at once.
    let parts = rows.participants.values();
    let mut parts =
        parts.filter(|(record, _)| record.conference == conference && record.call == call);
    let says = |name: &str, value: bool| param(callback, name) == Some(&value.to_string());
    let left = event == "participant-leave";
    let agreed = parts.any(|(record, state)| {
        says("Muted", record.muted)
            && says("Hold", record.hold)
            && says("Coaching", record.coaching)
            && says("EndConferenceOnExit", record.end_conference_on_exit)
            && (!left || state.is_empty())
    });
    if !agreed {
        let detail = format!("{:?}", callback.params);
        return broken("a_callback_tells_what_is_written", detail);
    }
    Ok(())
}
