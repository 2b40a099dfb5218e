//! The tables of a node that does not exist: batches are applied in order and late, refused while
//! the disk fails, and lost in a crash unless they were committed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::{
    Call, CallSid, Callback, CallbackSid, CallbackState, Change, Conference, ConferenceSid,
    Participant, ParticipantSid, Queue, QueueMember, QueueSid, Recording, RecordingSid,
};
use node::BatchId;

/// What the tables hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// With what a restart needs beside each; so below.
    pub calls: BTreeMap<CallSid, (Call, String)>,
    pub conferences: BTreeMap<ConferenceSid, (Conference, String)>,
    pub participants: BTreeMap<ParticipantSid, (Participant, String)>,
    pub recordings: BTreeMap<RecordingSid, (Recording, String)>,
    pub callbacks: BTreeMap<CallbackSid, Callback>,
    /// The callbacks in the order in which they were first written.
    pub owed_in_order: Vec<CallbackSid>,
    pub queues: BTreeMap<QueueSid, Queue>,
    pub queue_members: BTreeMap<CallSid, QueueMember>,
    pub dialogs: BTreeMap<CallSid, String>,
    /// The Call-IDs of all dialogs that were ever written.
    pub kept: BTreeSet<String>,
}

impl Rows {
    /// Writes one row.
    pub fn write(&mut self, change: &Change) {
        match change {
            Change::Call { record, state } => {
                self.calls.insert(record.sid, ((**record).clone(), state.clone()));
            }
            Change::DeleteCall(call) => drop(self.calls.remove(call)),
            Change::Conference { record, state } => {
                self.conferences.insert(record.sid, ((**record).clone(), state.clone()));
            }
            Change::Participant { record, state } => {
                self.participants.insert(record.sid, ((**record).clone(), state.clone()));
            }
            Change::Recording { record, state } => {
                self.recordings.insert(record.sid, ((**record).clone(), state.clone()));
            }
            Change::Callback(callback) => {
                let known = self.callbacks.insert(callback.sid, (**callback).clone());
                if known.is_none() {
                    self.owed_in_order.push(callback.sid);
                }
            }
            Change::Queue(queue) => drop(self.queues.insert(queue.sid, (**queue).clone())),
            Change::DeleteQueue(sid) => drop(self.queues.remove(sid)),
            Change::QueueMember(member) => drop(self.queue_members.insert(member.call, *member)),
            Change::DeleteQueueMember(call) => drop(self.queue_members.remove(call)),
            Change::Dialog { call, state } => {
                let dialog: sip::Dialog = serde_json::from_str(state).expect("the node wrote it");
                self.kept.insert(dialog.call_id().to_owned());
                self.dialogs.insert(*call, state.clone());
            }
            Change::DeleteDialog(call) => drop(self.dialogs.remove(call)),
            // No node that is played here asks for these again.
            _ => {}
        }
    }

    /// Returns what a restart reads.
    pub fn alive(&self) -> store::Alive {
        fn alive<K, T: Clone>(rows: &BTreeMap<K, (T, String)>) -> Vec<(T, String)> {
            rows.values().filter(|(_, state)| !state.is_empty()).cloned().collect()
        }
        store::Alive {
            calls: alive(&self.calls),
            conferences: alive(&self.conferences),
            participants: alive(&self.participants),
            recordings: alive(&self.recordings),
            queues: self.queues.values().cloned().collect(),
            dialogs: self.dialogs.iter().map(|(call, state)| (*call, state.clone())).collect(),
        }
    }

    /// Returns the callbacks that were not given an end, oldest first.
    pub fn owed(&self) -> impl Iterator<Item = &Callback> {
        let owed = self.owed_in_order.iter().filter_map(|sid| self.callbacks.get(sid));
        owed.filter(|callback| callback.state == CallbackState::Pending)
    }

    /// Returns those who take part, or are being rung for, in a conference.
    pub fn members(&self, conference: ConferenceSid) -> impl Iterator<Item = &Participant> {
        let members = self.participants.values().filter(|(_, state)| !state.is_empty());
        members.map(|(record, _)| record).filter(move |record| record.conference == conference)
    }
}

/// Returns the lane of a callback, as the store's index has it.
pub fn lane(callback: &Callback) -> String {
    let conference = callback.conference.map(|sid| sid.to_string());
    let call = callback.call.map(|sid| sid.to_string());
    conference.or(call).unwrap_or_else(|| callback.sid.to_string())
}

/// What became of a batch that was applied.
#[derive(Debug)]
pub struct Applied {
    /// Its name; none for what the outbox wrote.
    pub batch: Option<BatchId>,
    pub written: bool,
}

/// The disk.
#[derive(Debug, Default)]
pub struct Disk {
    /// What a reader sees, and what a crash leaves.
    pub rows: Rows,
    /// What a reader will see when all that was handed out is committed.
    pub meant: Rows,
    queue: VecDeque<(Option<BatchId>, Vec<Change>)>,
    /// What could not be written and is kept, as the store's writer does.
    owed: Vec<(Option<BatchId>, Vec<Change>)>,
    /// Whether writing fails.
    pub failing: bool,
    /// Whether the writer knows it: commands are refused.
    pub known_failing: bool,
}

impl Disk {
    /// Takes a batch.
    pub fn push(&mut self, batch: Option<BatchId>, changes: Vec<Change>) {
        for change in &changes {
            self.meant.write(change);
        }
        self.queue.push_back((batch, changes));
    }

    /// Applies the next batch, or fails to.
    pub fn apply(&mut self) -> Option<Applied> {
        let (batch, changes) = self.queue.pop_front()?;
        if self.failing {
            self.known_failing = true;
            self.owed.push((batch, changes));
            return Some(Applied { batch, written: false });
        }
        for change in &changes {
            self.rows.write(change);
        }
        Some(Applied { batch, written: true })
    }

    /// Writes what is owed, once the disk works again; returns its names.
    pub fn retry(&mut self) -> Vec<BatchId> {
        self.failing = false;
        self.known_failing = false;
        let owed = std::mem::take(&mut self.owed);
        for change in owed.iter().flat_map(|(_, changes)| changes) {
            self.rows.write(change);
        }
        owed.into_iter().filter_map(|(batch, _)| batch).collect()
    }

    /// Loses what was not committed.
    pub fn crash(&mut self) {
        self.queue.clear();
        self.owed.clear();
        self.meant = self.rows.clone();
    }

    /// Whether everything that was handed out is committed.
    pub fn is_settled(&self) -> bool {
        self.queue.is_empty() && self.owed.is_empty()
    }

    /// How much waits.
    pub fn waiting(&self) -> usize {
        self.queue.len() + self.owed.len()
    }
}
