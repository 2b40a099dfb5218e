//! The timeline of a recording in tracks: whose each channel is, and what befell whom where in the sound.

use axum::http::StatusCode;
use model::{Moment, Recording, RecordingSid, RecordingStatus};
use node::{Handle, SPEECH_STARTS_AFTER, SPEECH_STOPS_AFTER, StoreFailed};
use serde_json::{Value, json};

use crate::error::{ApiError, code};
use crate::paging::{PAGE_SIZE, PAGE_SIZE_MAX};
use crate::{Answer, Request, timeline};

/// Moments that are read at a time.
const CHUNK: usize = 1_000;

/// `GET /sidetone/v1/Recordings/{Sid}/Timeline?PageSize=50&After=0`, oldest first.
pub async fn timeline(request: Request) -> Answer {
    let sid: RecordingSid = request.variables[0].parse().map_err(|_| ApiError::not_found())?;
    let (account, form) = (request.account, &request.form);
    let size = form.number("PageSize", 1..=PAGE_SIZE_MAX, code::BAD_REQUEST)?.unwrap_or(PAGE_SIZE);
    let size = usize::try_from(size).unwrap_or(CHUNK);
    let after = form.number("After", 0..=i64::MAX as u64, code::BAD_REQUEST)?.unwrap_or(0);
    let after = i64::try_from(after).map_err(|_| ApiError::not_found())?;
    let found = request
        .ask(move |node| {
            let store = node.store();
            let record = store.recording(account, sid)?;
            let record = record.filter(|record| record.status != RecordingStatus::Deleted);
            record.map(|record| page(node, record, after, size)).transpose()
        })
        .await?;
    let found = found.filter(|page| page.record.tracks.is_some());
    let page = found.ok_or_else(ApiError::not_found)?;
    let path = format!("/sidetone/v1/Recordings/{sid}/Timeline");
    let next = page.events.last().filter(|_| page.events.len() == size);
    let next = next.map(|(seq, ..)| format!("{path}?PageSize={size}&After={seq}"));
    let record = &page.record;
    let channels = (1..).zip(record.tracks.iter().flatten()).map(|(number, call)| {
        let label = page.labels.iter().find(|(known, _)| known == call).map(|(_, label)| label);
        json!({ "channel": number, "call_sid": call.to_string(), "label": label })
    });
    let body = json!({
        "recording_sid": sid.to_string(),
        "conference_sid": record.conference.map(|sid| sid.to_string()),
        "start_time": record.start_time.iso8601().to_string(),
        "duration_ms": record.duration.map(|length| length.as_millis() as u64),
        "rate": 8_000,
        "channels": channels.collect::<Vec<Value>>(),
        "events": page.events.iter().map(|(_, at, moment)| view(record, *at, moment)).collect::<Vec<_>>(),
        "next_page_uri": next,
    });
    Ok((StatusCode::OK, body))
}

/// A part of a recording's history: each moment with its number and its place in the sound.
struct Page {
    record: Recording,
    events: Vec<(i64, i64, Moment)>,
    labels: Vec<(model::CallSid, String)>,
}

/// Walks through a conference's history up to the page that is asked for: what a pause has left out shifts
/// all that comes later.
fn page(node: &Handle, record: Recording, after: i64, size: usize) -> Result<Page, StoreFailed> {
    let mut page = Page { record, events: Vec::new(), labels: Vec::new() };
    let Some(conference) = page.record.conference else { return Ok(page) };
    let (mut place, mut clock) = (0, Clock::new(page.record.start_time.0));
    loop {
        let moments = node.store().moments(page.record.account, conference, place, CHUNK)?;
        let Some((last, _)) = moments.last() else { return Ok(page) };
        place = *last;
        for (seq, moment) in moments {
            if let Some(about) = &moment.about
                && let Some(label) = &about.label
                && !page.labels.iter().any(|(call, _)| *call == about.call)
            {
                page.labels.push((about.call, label.clone()));
            }
            let at = clock.place_of(&moment);
            if seq > after && page.events.len() < size {
                page.events.push((seq, at, moment));
            }
        }
        if page.events.len() >= size {
            return Ok(page);
        }
    }
}

/// Tells where in the sound a date is, in milliseconds.
struct Clock {
    start_ms: i64,
    left_out_ms: i64,
    skips_since_ms: Option<i64>,
}

impl Clock {
    const fn new(start_ms: i64) -> Self {
        Self { start_ms, left_out_ms: 0, skips_since_ms: None }
    }

    fn place_of(&mut self, moment: &Moment) -> i64 {
        let date_ms = moment.date.0;
        match (moment.event.as_str(), moment.reason.as_deref()) {
            ("recording-paused", Some("skip")) => {
                self.skips_since_ms.get_or_insert(date_ms);
            }
            ("recording-paused" | "recording-resumed", _) => {
                let since = self.skips_since_ms.take();
                self.left_out_ms += since.map_or(0, |since| date_ms - since);
            }
            _ => {}
        }
        let ticks = match moment.event.as_str() {
            "participant-speech-start" => SPEECH_STARTS_AFTER,
            "participant-speech-stop" => SPEECH_STOPS_AFTER,
            _ => 0,
        };
        let heard_ms = date_ms - i64::from(ticks) * 20;
        let heard_ms = self.skips_since_ms.map_or(heard_ms, |since| since.min(heard_ms));
        heard_ms - self.start_ms - self.left_out_ms
    }
}

fn view(record: &Recording, at_ms: i64, moment: &Moment) -> Value {
    let about = moment.about.as_ref();
    let channel = about.and_then(|about| {
        let mut tracks = record.tracks.iter().flatten();
        tracks.position(|call| *call == about.call).map(|place| place + 1)
    });
    let coaches = about.and_then(|about| about.coaches);
    let set = timeline::Set::of(moment);
    json!({
        "offset_ms": at_ms,
        "event": moment.event,
        "channel": channel,
        "call_sid": about.map(|about| about.call.to_string()),
        "label": about.and_then(|about| about.label.clone()),
        "muted": about.map(|about| about.muted),
        "hold": about.map(|about| about.hold),
        "coaching": about.map(|about| about.coaches.is_some()),
        "call_sid_to_coach": coaches.map(|coached| coached.to_string()),
        "gain_db": set.gain_db,
        "levelling": set.levelling,
        "noise_suppression": set.noise_suppression,
        "sidebar": set.sidebar,
        "reason": moment.reason,
    })
}

#[cfg(test)]
mod tests {
    use model::{AccountSid, ConferenceSid, Timestamp};

    use super::*;

    fn moment(date: i64, event: &str, reason: Option<&str>) -> Moment {
        Moment {
            account: AccountSid::new([1; 16]),
            conference: ConferenceSid::new([2; 16]),
            date: Timestamp(date),
            event: event.to_owned(),
            about: None,
            reason: reason.map(str::to_owned),
            callback: None,
            edge: None,
        }
    }

    #[test]
    fn what_a_pause_left_out_is_no_part_of_the_time() {
        let mut clock = Clock::new(1_000);
        let places: Vec<i64> = [
            (500, "participant-join", None),
            (3_000, "participant-speech-start", None),
            (4_000, "recording-paused", Some("silence")),
            (5_000, "recording-resumed", None),
            (6_000, "recording-paused", Some("skip")),
            (8_000, "participant-mute", None),
            (9_000, "recording-resumed", None),
            (9_500, "participant-leave", None),
        ]
        .into_iter()
        .map(|(date, event, reason)| clock.place_of(&moment(date, event, reason)))
        .collect();
        assert_eq!(places, [-500, 1_800, 3_000, 4_000, 5_000, 5_000, 5_000, 5_500]);
    }
}
