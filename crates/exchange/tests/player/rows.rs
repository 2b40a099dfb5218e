//! The tables, as far as a script needs them: what was written, and what has to hold of it.

use std::collections::BTreeMap;

use exchange::{Alive, Effect, Exchange, Reply};
use model::{
    Call, CallSid, Callback, Change, Conference, ConferenceSid, Now, Participant, ParticipantSid,
    Queue, QueueMember, QueueSid, Recording, RecordingSid,
};

use super::Player;

/// What was written, each record with its state.
#[derive(Default)]
pub struct Rows {
    pub calls: BTreeMap<CallSid, (Call, String)>,
    pub conferences: BTreeMap<ConferenceSid, (Conference, String)>,
    pub participants: BTreeMap<ParticipantSid, (Participant, String)>,
    pub recordings: BTreeMap<RecordingSid, (Recording, String)>,
    pub queues: BTreeMap<QueueSid, Queue>,
    /// Who waits where, in the order of coming.
    pub members: Vec<QueueMember>,
    /// The next number that each receiver is to see, of each call and conference.
    numbers: BTreeMap<String, u32>,
}

impl Rows {
    pub fn write(&mut self, change: &Change) {
        match change {
            Change::Call { record, state } => {
                let before = self.calls.insert(record.sid, ((**record).clone(), state.clone()));
                let was_final = before.is_some_and(|(record, _)| record.status.is_final());
                assert!(!was_final, "{} was over", record.sid);
                assert_eq!(record.status.is_final(), state.is_empty(), "the state of a call");
            }
            Change::DeleteCall(sid) => drop(self.calls.remove(sid)),
            Change::Conference { record, state } => {
                let row = ((**record).clone(), state.clone());
                self.conferences.insert(record.sid, row);
            }
            Change::Participant { record, state } => {
                let row = ((**record).clone(), state.clone());
                self.participants.insert(record.sid, row);
            }
            Change::Recording { record, state } => {
                let row = ((**record).clone(), state.clone());
                self.recordings.insert(record.sid, row);
                assert_eq!(record.status.is_final(), state.is_empty(), "the state of a recording");
            }
            Change::DeleteRecording { recording, .. } => drop(self.recordings.remove(recording)),
            // These have no number.
            Change::Callback(callback)
                if is_of_recording(callback)
                    || is_of_machine(callback)
                    || is_of_speech(callback) => {}
            Change::Queue(record) => drop(self.queues.insert(record.sid, (**record).clone())),
            Change::DeleteQueue(sid) => assert!(self.queues.remove(sid).is_some(), "{sid}"),
            Change::QueueMember(member) => self.members.push(*member),
            Change::DeleteQueueMember(call) => {
                let before = self.members.len();
                self.members.retain(|member| member.call != *call);
                assert_eq!(self.members.len() + 1, before, "{call} did not wait");
            }
            Change::Callback(callback) => self.number(callback),
            Change::Notification(_) | Change::Moment(_) => {}
            other => panic!("an exchange does not write {other:?}"),
        }
    }

    /// Asserts that a receiver sees numbers without gaps: conferences from 1, calls from 0.
    fn number(&mut self, callback: &Callback) {
        let (of, first) = match (callback.conference, callback.call) {
            (Some(conference), _) => (conference.to_string(), 1),
            (None, call) => (call.unwrap().to_string(), 0),
        };
        let next = self.numbers.entry(format!("{of} {}", callback.url)).or_insert(first);
        let number = callback.params.iter().find(|(name, _)| name == "SequenceNumber");
        assert_eq!(number.unwrap().1, next.to_string(), "the number of a callback of {of}");
        *next += 1;
    }

    /// Asserts that a reply shows the record as it is written with it, or stands written.
    pub fn assert_shows(&self, reply: &Reply, effects: &[Effect]) {
        let written = || {
            effects.iter().rev().filter_map(|effect| match effect {
                Effect::Write(change) => Some(change),
                _ => None,
            })
        };
        match reply {
            Reply::Call(shown) => {
                let row = written().find_map(|change| match change {
                    Change::Call { record, .. } if record.sid == shown.sid => Some(&**record),
                    _ => None,
                });
                assert_eq!(row.or(self.calls.get(&shown.sid).map(|row| &row.0)), Some(&**shown));
            }
            Reply::Conference(shown) => {
                let row = written().find_map(|change| match change {
                    Change::Conference { record, .. } if record.sid == shown.sid => Some(&**record),
                    _ => None,
                });
                let stood = self.conferences.get(&shown.sid).map(|row| &row.0);
                assert_eq!(row.or(stood), Some(&**shown));
            }
            Reply::Participant(shown) => {
                let row = written().find_map(|change| match change {
                    Change::Participant { record, .. } if record.sid == shown.sid => {
                        Some(&**record)
                    }
                    _ => None,
                });
                let stood = self.participants.get(&shown.sid).map(|row| &row.0);
                assert_eq!(row.or(stood), Some(&**shown));
            }
            Reply::Recording(shown) => {
                let row = written().find_map(|change| match change {
                    Change::Recording { record, .. } if record.sid == shown.sid => Some(&**record),
                    _ => None,
                });
                let stood = self.recordings.get(&shown.sid).map(|row| &row.0);
                assert_eq!(row.or(stood), Some(&**shown));
            }
            Reply::Queue(sid) => assert!(
                self.queues.contains_key(sid)
                    || effects.iter().any(
                        |e| matches!(e, Effect::Write(Change::Queue(queue)) if queue.sid == *sid)
                    )
            ),
            Reply::Edges(..) | Reply::Done => {}
        }
    }

    /// Makes an exchange of what is alive, as a start does.
    pub fn restored(&self, now: Now) -> Exchange {
        fn alive<K, R: Clone>(rows: &BTreeMap<K, (R, String)>) -> Vec<(R, String)> {
            rows.values().filter(|(_, state)| !state.is_empty()).cloned().collect()
        }
        let mut exchange = Exchange::new(2);
        let alive = Alive {
            calls: alive(&self.calls),
            conferences: alive(&self.conferences),
            participants: alive(&self.participants),
            recordings: alive(&self.recordings),
            queues: self.queues.values().cloned().collect(),
        };
        exchange.restore(alive, now).unwrap();
        exchange
    }

    pub fn assert_nothing_is_alive(&self) {
        let calls = self.calls.values().map(|(_, state)| state);
        let conferences = self.conferences.values().map(|(_, state)| state);
        let participants = self.participants.values().map(|(_, state)| state);
        let recordings = self.recordings.values().map(|(_, state)| state);
        let all = calls.chain(conferences).chain(participants).chain(recordings);
        let left = all.into_iter().find(|state| !state.is_empty());
        assert_eq!(left, None, "a row is alive when nothing is");
        assert_eq!(self.members, [], "somebody waits who is not there");
    }
}

/// Whether a callback tells of a recording.
pub fn is_of_recording(callback: &Callback) -> bool {
    callback.params.iter().any(|(name, _)| name == "RecordingStatus")
}

/// Whether a callback tells who has answered.
pub fn is_of_machine(callback: &Callback) -> bool {
    callback.params.iter().any(|(name, _)| name == "MachineDetectionDuration")
}

/// Whether a callback tells what was understood so far.
pub fn is_of_speech(callback: &Callback) -> bool {
    callback.params.iter().any(|(name, _)| name == "UnstableSpeechResult")
}

impl Player {
    /// Asserts that what is alive could be rebuilt from what is written, just now.
    pub(super) fn compare_with_rows(&mut self, line: &str) {
        let now = self.now();
        let (ours, rebuilt) = (self.exchange.description(now), self.rows.restored(now));
        let rebuilt = rebuilt.description(now);
        let differs = |(ours, rebuilt): &(&str, &str)| ours != rebuilt;
        let difference = ours.lines().zip(rebuilt.lines()).find(differs);
        assert_eq!(ours, rebuilt, "{line}: the rows say otherwise: {difference:#?}");
    }
}
