//! What an operator would tell a customer, read off the rows that are about to be written.

use std::collections::BTreeMap;

use model::{
    Call, CallSid, CallStatus, Change, Conference, ConferenceSid, ConferenceStatus, Level,
    Participant, ParticipantStatus, Recording, RecordingSid, RecordingStatus,
};

/// Logs each step of calls and conferences once, however often their rows are written.
///
/// No number, address, body or token is in what it says.
#[derive(Debug, Default)]
pub struct Narrator {
    calls: BTreeMap<CallSid, CallStatus>,
    conferences: BTreeMap<ConferenceSid, ConferenceStatus>,
    participants: BTreeMap<CallSid, ParticipantStatus>,
    recordings: BTreeMap<RecordingSid, RecordingStatus>,
}

impl Narrator {
    /// Reads the rows of one batch.
    pub fn read(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Call { record, .. } => self.call(record),
                Change::Conference { record, .. } => self.conference(record),
                Change::Participant { record, .. } => self.participant(record),
                Change::Recording { record, .. } => self.recording(record),
                Change::Notification(entry) => {
                    let call = entry.call.map(|sid| sid.to_string()).unwrap_or_default();
                    let conference =
                        entry.conference.map(|sid| sid.to_string()).unwrap_or_default();
                    let code = entry.code;
                    match entry.level {
                        Level::Error => tracing::warn!(
                            call.sid = %call, conference.sid = %conference, code, "error logged"
                        ),
                        Level::Warning => tracing::info!(
                            call.sid = %call, conference.sid = %conference, code, "warning logged"
                        ),
                    }
                }
                _ => {}
            }
        }
    }

    fn call(&mut self, record: &Call) {
        let (sid, status) = (record.sid, record.status);
        if self.calls.insert(sid, status) == Some(status) {
            return;
        }
        let direction = record.direction.as_str();
        match status {
            CallStatus::Queued | CallStatus::Ringing => {
                tracing::info!(call.sid = %sid, %status, direction, "call offered");
            }
            CallStatus::InProgress => tracing::info!(call.sid = %sid, direction, "call answered"),
            _ => {
                self.calls.remove(&sid);
                self.participants.remove(&sid);
                let seconds = record.duration_seconds().unwrap_or_default();
                tracing::info!(call.sid = %sid, %status, direction, seconds, "call ended");
            }
        }
    }

    fn conference(&mut self, record: &Conference) {
        let (sid, status) = (record.sid, record.status);
        if self.conferences.insert(sid, status) == Some(status) {
            return;
        }
        match status {
            ConferenceStatus::Init => tracing::info!(conference.sid = %sid, "conference made"),
            ConferenceStatus::InProgress => {
                tracing::info!(conference.sid = %sid, "conference started");
            }
            ConferenceStatus::Completed => {
                self.conferences.remove(&sid);
                let why = record.end_reason.map_or("", model::EndReason::as_str);
                let by = record.call_ending.map(|sid| sid.to_string()).unwrap_or_default();
                tracing::info!(conference.sid = %sid, why, call.sid = %by, "conference ended");
            }
        }
    }

    fn participant(&mut self, record: &Participant) {
        let (call, conference, status) = (record.call, record.conference, record.status);
        if self.participants.insert(call, status) == Some(status) {
            return;
        }
        match status {
            ParticipantStatus::Queued
            | ParticipantStatus::Connecting
            | ParticipantStatus::Ringing => {}
            ParticipantStatus::Connected => {
                tracing::info!(call.sid = %call, conference.sid = %conference, "participant joined");
            }
            ParticipantStatus::Complete | ParticipantStatus::Failed => {
                self.participants.remove(&call);
                tracing::info!(call.sid = %call, conference.sid = %conference, %status, "participant left");
            }
        }
    }

    fn recording(&mut self, record: &Recording) {
        let (sid, call, status) = (record.sid, record.call, record.status);
        if self.recordings.insert(sid, status) == Some(status) {
            return;
        }
        if status.is_final() {
            self.recordings.remove(&sid);
        }
        let conference = record.conference.map(|sid| sid.to_string()).unwrap_or_default();
        let seconds = record.duration_seconds().unwrap_or_default();
        tracing::info!(
            recording.sid = %sid, call.sid = %call, conference.sid = %conference, %status, seconds,
            "recording"
        );
    }
}
