//! The parameters of each status callback, in the contract's spelling.
//!
//! Source: Twilio "Call status callbacks"; TwiML `<Conference>`, `statusCallbackEvent`.

use std::time::Duration;

use model::{
    AccountSid, AnsweredBy, Call as Record, CallSid, Callback, CallbackSid, CallbackState, Change,
    ConferenceSid, Moment, MomentEdge, MomentOf,
};

use crate::call::Call;
use crate::conference::Conference;
use crate::context::Context;
use crate::participants::{LeaveReason, Participant};
use crate::program::Client;
use crate::record::recording_url;
use crate::recording::Recording;
use crate::{Document, Effect, Failure, Recognised};

type Params = Vec<(String, String)>;

/// A step in a call's life that its status callback may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallProgress {
    Initiated,
    Ringing,
    Answered,
    Completed,
}

impl CallProgress {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::Answered => "answered",
            Self::Completed => "completed",
        }
    }
}

fn push(params: &mut Params, name: &str, value: impl ToString) {
    params.push((name.to_owned(), value.to_string()));
}

/// The fields of a voice request, and the first ones of a call's status callback.
pub(crate) fn voice_params(call: &Record, headers: &[(String, String)]) -> Params {
    let mut params = Vec::new();
    push(&mut params, "CallSid", call.sid);
    push(&mut params, "AccountSid", call.account);
    push(&mut params, "From", &call.from);
    push(&mut params, "To", &call.to);
    push(&mut params, "Caller", &call.from);
    push(&mut params, "Called", &call.to);
    push(&mut params, "CallStatus", call.status);
    push(&mut params, "ApiVersion", "2010-04-01");
    push(&mut params, "Direction", call.direction);
    if let Some(name) = &call.caller_name {
        push(&mut params, "CallerName", name);
    }
    if let Some(parent) = call.parent {
        push(&mut params, "ParentCallSid", parent);
    }
    if let Some(who) = call.answered_by {
        push(&mut params, "AnsweredBy", who);
    }
    // What goes along is no other's business.
    let known: Vec<String> = params.iter().map(|(name, _)| name.clone()).collect();
    params.extend(headers.iter().filter(|(name, _)| !known.contains(name)).cloned());
    params
}

/// Tells a call's receiver of a step, if it asked for it.
pub(crate) fn call_progress(call: &mut Call, progress: CallProgress, ctx: &mut Context<'_>) {
    call_progress_with(call, progress, Vec::new(), ctx);
}

/// The same, with more fields.
pub(crate) fn call_progress_with(
    call: &mut Call,
    progress: CallProgress,
    more: Params,
    ctx: &mut Context<'_>,
) {
    let Some(url) = call.status_callback.url.clone() else { return };
    let asked = &call.status_callback.events;
    let wanted = if asked.is_empty() {
        progress == CallProgress::Completed
    } else {
        asked.iter().any(|event| event == progress.as_str())
    };
    if !wanted {
        return;
    }
    let record = &call.record;
    let mut params = voice_params(record, &[]);
    if let Some(seconds) = record.duration_seconds() {
        push(&mut params, "CallDuration", seconds);
        push(&mut params, "Duration", seconds.div_ceil(60));
    }
    push(&mut params, "Timestamp", ctx.now.wall.rfc2822());
    push(&mut params, "CallbackSource", "call-progress-events");
    push(&mut params, "SequenceNumber", call.sequence);
    params.extend(more);
    call.sequence += 1;
    let about = (None, Some(record.sid));
    owe(record.account, about, (url, &call.status_callback.method), params, ctx);
}

/// Writes a callback that is to be sent to an address by a method.
fn owe(
    account: AccountSid,
    (conference, call): (Option<ConferenceSid>, Option<CallSid>),
    (url, by): (String, &str),
    params: Vec<(String, String)>,
    ctx: &mut Context<'_>,
) -> CallbackSid {
    let sid = ctx.names.callback();
    let callback = Callback {
        sid,
        account,
        conference,
        call,
        url,
        method: method(by),
        params: params.into(),
        date_created: ctx.now.wall,
        state: CallbackState::Pending,
        attempts: 0,
        last_error: None,
    };
    ctx.push(Effect::Write(Change::Callback(Box::new(callback))));
    sid
}

fn method(method: &str) -> String {
    if method.is_empty() { "POST".to_owned() } else { method.to_owned() }
}

/// Notes an event in a conference's history, and tells its receiver, if it asked for `group`.
fn conference_event(
    conference: &mut Conference,
    group: &str,
    event: &str,
    about: Option<&Participant>,
    more: Params,
    ctx: &mut Context<'_>,
) {
    let reason = more.iter().find(|(name, _)| name.starts_with("Reason"));
    let reason = reason.map(|(_, value)| value.clone());
    let callback = conference_callback(conference, group, event, about, more, ctx);
    let moment = Moment { reason, callback, ..moment(conference, event, about, ctx) };
    ctx.push(Effect::Write(Change::Moment(Box::new(moment))));
}

/// Notes in a conference's history how one is heard or hears now: Twilio has no callback for it.
pub(crate) fn edge_set(
    conference: &Conference,
    participant: &Participant,
    edge: MomentEdge,
    ctx: &mut Context<'_>,
) {
    let event = match edge {
        MomentEdge::Gain(_) => "participant-gain",
        MomentEdge::Levelling(_) => "participant-levelling",
        MomentEdge::NoiseSuppression(_) => "participant-noise-suppression",
        MomentEdge::Sidebar { .. } => "participant-sidebar",
    };
    let about = Some(participant);
    let moment = Moment { edge: Some(edge), ..moment(conference, event, about, ctx) };
    ctx.push(Effect::Write(Change::Moment(Box::new(moment))));
}

fn moment(
    conference: &Conference,
    event: &str,
    about: Option<&Participant>,
    ctx: &Context<'_>,
) -> Moment {
    Moment {
        account: conference.record.account,
        conference: conference.record.sid,
        date: ctx.now.wall,
        event: event.to_owned(),
        about: about.map(|participant| {
            let record = &participant.record;
            MomentOf {
                call: record.call,
                label: record.label.clone(),
                muted: record.muted,
                hold: record.hold,
                coaches: record.call_to_coach.filter(|_| record.coaching),
            }
        }),
        reason: None,
        callback: None,
        edge: None,
    }
}

fn conference_callback(
    conference: &mut Conference,
    group: &str,
    event: &str,
    about: Option<&Participant>,
    more: Params,
    ctx: &mut Context<'_>,
) -> Option<CallbackSid> {
    let url = conference.callback.url.clone()?;
    if !conference.callback.events.iter().any(|asked| asked == group) {
        return None;
    }
    conference.sequence += 1;
    ctx.told.push(conference.record.sid);
    let record = &conference.record;
    let mut params = Vec::new();
    push(&mut params, "ConferenceSid", record.sid);
    push(&mut params, "FriendlyName", &record.friendly_name);
    push(&mut params, "AccountSid", record.account);
    push(&mut params, "SequenceNumber", conference.sequence);
    push(&mut params, "Timestamp", ctx.now.wall.rfc2822());
    push(&mut params, "StatusCallbackEvent", event);
    if let Some(participant) = about {
        let record = &participant.record;
        push(&mut params, "CallSid", record.call);
        push(&mut params, "Muted", record.muted);
        push(&mut params, "Hold", record.hold);
        push(&mut params, "Coaching", record.coaching);
        push(&mut params, "EndConferenceOnExit", record.end_conference_on_exit);
        push(&mut params, "StartConferenceOnEnter", record.start_conference_on_enter);
        if let Some(label) = &record.label {
            push(&mut params, "ParticipantLabel", label);
        }
    }
    params.extend(more);
    let about = (Some(record.sid), about.map(|participant| participant.record.call));
    Some(owe(record.account, about, (url, &conference.callback.method), params, ctx))
}

/// Tells who has answered a call, and how long it took to find out.
pub(crate) fn answered_by(
    call: &Record,
    who: AnsweredBy,
    took: Duration,
    to: Document,
    ctx: &mut Context<'_>,
) {
    let mut params = Vec::new();
    push(&mut params, "CallSid", call.sid);
    push(&mut params, "AccountSid", call.account);
    push(&mut params, "AnsweredBy", who);
    push(&mut params, "MachineDetectionDuration", took.as_millis());
    let about = (None, Some(call.sid));
    owe(call.account, about, (to.url, &to.method), params, ctx);
}

/// Tells what was understood of a caller so far, for the `sequence`th time from 0.
pub(crate) fn understood_so_far(
    client: &Client,
    (url, method): (String, String),
    understood: &Recognised,
    sequence: u32,
    ctx: &mut Context<'_>,
) {
    let mut params = client.params.clone();
    push(&mut params, "UnstableSpeechResult", &understood.text);
    push(&mut params, "Stability", understood.confidence.clamp(0.0, 1.0));
    push(&mut params, "SequenceNumber", sequence);
    owe(client.account, (None, client.call), (url, &method), params, ctx);
}

/// Notes in a conference's history what befell its recording in tracks; nobody is told.
pub(crate) fn recording_in_tracks(
    conference: &mut Conference,
    event: &str,
    reason: Option<&str>,
    ctx: &mut Context<'_>,
) {
    let reason = reason.map(|reason| ("Reason".to_owned(), reason.to_owned()));
    conference_event(conference, "", event, None, reason.into_iter().collect(), ctx);
}

/// The conference has started.
pub(crate) fn conference_started(conference: &mut Conference, ctx: &mut Context<'_>) {
    conference_event(conference, "start", "conference-start", None, Vec::new(), ctx);
}

/// The conference has ended; `ending` is who ended it by leaving.
pub(crate) fn conference_ended(
    conference: &mut Conference,
    ending: Option<&Participant>,
    ctx: &mut Context<'_>,
) {
    let mut more = Vec::new();
    if let Some(participant) = ending {
        push(&mut more, "CallSidEndingConference", participant.record.call);
        if let Some(label) = &participant.record.label {
            push(&mut more, "ParticipantLabelEndingConference", label);
        }
    }
    if let Some(reason) = conference.record.end_reason {
        push(&mut more, "ReasonConferenceEnded", reason);
        push(&mut more, "Reason", sentence(reason, ending));
    }
    conference_event(conference, "end", "conference-end", None, more, ctx);
}

fn sentence(reason: model::EndReason, ending: Option<&Participant>) -> String {
    use model::EndReason as E;
    let who = ending.map_or_else(String::new, |participant| participant.record.call.to_string());
    match reason {
        E::ViaApi => "Conference ended via API".to_owned(),
        E::EndOnExitLeft => {
            format!("Participant {who} with EndConferenceOnExit left the conference")
        }
        E::EndOnExitKicked => {
            format!("Participant {who} with EndConferenceOnExit was removed from the conference")
        }
        E::LastKicked => format!("Last participant {who} was removed from the conference"),
        E::LastLeft => format!("Last participant {who} left the conference"),
    }
}

/// An event of one participant.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ParticipantEvent {
    Join,
    Mute,
    Unmute,
    Hold,
    Unhold,
    Modify,
    Speaks,
    FallsSilent,
}

/// Something befell a participant.
pub(crate) fn participant_event(
    conference: &mut Conference,
    participant: &Participant,
    event: ParticipantEvent,
    ctx: &mut Context<'_>,
) {
    let (group, name) = match event {
        ParticipantEvent::Join => ("join", "participant-join"),
        ParticipantEvent::Mute => ("mute", "participant-mute"),
        ParticipantEvent::Unmute => ("mute", "participant-unmute"),
        ParticipantEvent::Hold => ("hold", "participant-hold"),
        ParticipantEvent::Unhold => ("hold", "participant-unhold"),
        ParticipantEvent::Modify => ("modify", "participant-modify"),
        ParticipantEvent::Speaks => ("speaker", "participant-speech-start"),
        ParticipantEvent::FallsSilent => ("speaker", "participant-speech-stop"),
    };
    conference_event(conference, group, name, Some(participant), Vec::new(), ctx);
}

/// A participant has left.
pub(crate) fn participant_left(
    conference: &mut Conference,
    participant: &Participant,
    call_status: &str,
    reason: LeaveReason,
    ctx: &mut Context<'_>,
) {
    let mut more = Vec::new();
    push(&mut more, "ParticipantCallStatus", call_status);
    push(&mut more, "ReasonParticipantLeft", reason.as_str());
    conference_event(conference, "leave", "participant-leave", Some(participant), more, ctx);
}

/// An announcement was played, or could not be.
pub(crate) fn announcement_over(
    conference: &mut Conference,
    participant: Option<&Participant>,
    url: &str,
    failure: Option<&Failure>,
    ctx: &mut Context<'_>,
) {
    let mut more = Vec::new();
    push(&mut more, "AnnounceUrl", url);
    if let Some(failure) = failure {
        push(&mut more, "ReasonAnnouncementFailed", &failure.message);
    }
    let event = if failure.is_some() { "announcement-fail" } else { "announcement-end" };
    conference_event(conference, "announcement", event, participant, more, ctx);
}

/// Tells a recording's receiver of a step that goes by these names, if it asked for one of them.
pub(crate) fn recording_event(recording: &Recording, events: &[&str], ctx: &mut Context<'_>) {
    let asked = &recording.callback.events;
    let wanted = if asked.is_empty() {
        events.contains(&"completed")
    } else {
        asked.iter().any(|event| events.contains(&event.as_str()))
    };
    let Some(url) = recording.callback.url.clone().filter(|_| wanted) else { return };
    let record = &recording.record;
    let mut params = Vec::new();
    push(&mut params, "AccountSid", record.account);
    match record.conference {
        Some(conference) => push(&mut params, "ConferenceSid", conference),
        None => push(&mut params, "CallSid", record.call),
    }
    push(&mut params, "RecordingSid", record.sid);
    push(&mut params, "RecordingUrl", recording_url(record, ctx));
    push(&mut params, "RecordingStatus", record.status);
    if let Some(seconds) = record.duration_seconds() {
        push(&mut params, "RecordingDuration", seconds);
    }
    push(&mut params, "RecordingChannels", record.channels);
    push(&mut params, "RecordingStartTime", record.start_time.rfc2822());
    push(&mut params, "RecordingSource", record.source);
    if record.conference.is_none() {
        push(&mut params, "RecordingTrack", record.track);
    }
    if let Some(code) = record.error_code {
        push(&mut params, "ErrorCode", code);
    }
    let about = (record.conference, Some(record.call));
    owe(record.account, about, (url, &recording.callback.method), params, ctx);
}
