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
    for (call, (_, state)) in &rows.calls {
        bridged(*call, state, &mut pairs);
    }
    pairs
}

/// Adds who hears whom by a call's `<Dial>`, if it runs one.
fn bridged(call: CallSid, state: &str, pairs: &mut Pairs) {
    let Ok(state) = serde_json::from_str::<serde_json::Value>(state) else { return };
    let dialled = &state["dialled"];
    let sid = |name: &str| dialled[name].as_str().and_then(|sid| sid.parse().ok());
    if let (false, Some(other)) = (dialled["bridged_ms"].is_null(), sid("answered")) {
        pairs.extend([(call, other), (other, call)]);
    }
    pairs.extend(sid("early").map(|early| (call, early)));
}
