//! `--demo`: three talkers that are real SIP phones, calling in over loopback.

use std::time::Duration;

use node::{ConferenceFilter, Handle, ParticipantFilter, Place};
use sim::Phone;

/// Lets the talkers call in, one after the other.
pub async fn start(node: &Handle) -> Result<Vec<Phone>, String> {
    let mut talkers = Vec::new();
    for number in 0..3 {
        let voice = sound::talker(number).into();
        let phone = Phone::call(node.sip(), "demo", voice).map_err(|error| error.to_string())?;
        let phone = tokio::task::spawn_blocking(move || {
            phone.wait_up(Duration::from_secs(5)).then_some(phone)
        });
        let up = phone.await.map_err(|error| error.to_string())?;
        talkers.push(up.ok_or("a talker of the demonstration could not call in")?);
    }
    // The last join is committed a moment after its answer.
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(talkers)
}

/// Returns the conference of the demonstration and the call of its first talker.
pub fn first_talker(node: &Handle) -> Option<(String, String)> {
    let filter =
        ConferenceFilter { friendly_name: Some("demo".to_owned()), ..ConferenceFilter::default() };
    let page = node.store().conferences(node.account().sid, &filter, 1, &Place::Skip(0)).ok()??;
    let conference = page.records.first()?.sid;
    let filter = ParticipantFilter::default();
    let page = node.store().participants(conference, filter, 1_000, &Place::Skip(0)).ok()??;
    Some((conference.to_string(), page.records.last()?.call.to_string()))
}
