//! Who may hear whom, read from the rows alone: the second opinion on the exchange's routes.

use std::collections::BTreeSet;

use model::{CallSid, ConferenceStatus, Participant, ParticipantStatus};

use super::disk::Rows;

/// Pairs of listener and speaker.
pub type Pairs = BTreeSet<(CallSid, CallSid)>;

/// Returns who hears whom if the room does what the rows say.
pub fn audible(rows: &Rows) -> Pairs {
    let started = rows
        .conferences
        .values()
        .map(|(record, _)| record)
        .filter(|record| record.status == ConferenceStatus::InProgress);
    let mut pairs = Pairs::new();
    for conference in started {
        let here: Vec<&Participant> = rows
            .members(conference.sid)
            .filter(|member| member.status == ParticipantStatus::Connected && !member.hold)
            .collect();
        for speaker in here.iter().filter(|speaker| !speaker.muted) {
            for listener in here.iter().filter(|listener| listener.call != speaker.call) {
                if !speaker.coaching || speaker.call_to_coach == Some(listener.call) {
                    pairs.insert((listener.call, speaker.call));
                }
            }
        }
    }
    pairs
}
