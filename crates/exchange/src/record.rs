//! `<Record>`, and `<Start>` and `<Stop>` with `<Recording>`: a call that is recorded by its own TwiML.
//!
//! Source: TwiML `<Record>`, `<Recording>`.

use model::{
    CallSid, CallStatus, Recording as Record, RecordingSid, RecordingSource, RecordingStatus,
    RecordingTrack,
};

use twiml::Dial;

use crate::context::{Context, Owner};
use crate::exchange::World;
use crate::program::{Outcome, Program, RecordStep};
use crate::*;

/// What is asked when the recording of a call that is over is there, with its form fields.
pub(crate) type After = (Document, Vec<(String, String)>);

impl World {
    /// Does what a call's program wants of its recordings; returns what follows.
    pub(crate) fn run_record(
        &mut self,
        sid: CallSid,
        step: RecordStep,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        let Some(call) = self.calls.get(&sid) else { return Outcome::Going };
        let base = call.program.as_ref().map_or("", Program::url).to_owned();
        let (account, speaking) = (call.record.account, call.speaking);
        match step {
            RecordStep::Begin(record) => {
                let options = RecordingOptions {
                    track: RecordingTrack::Inbound,
                    ..RecordingOptions::from_twiml(&record.recording, &base)
                };
                let source = RecordingSource::RecordVerb;
                let begun = self.start_recording(account, sid, None, options, source, ctx);
                if let Some(program) = self.calls.get_mut(&sid).and_then(|c| c.program.as_mut()) {
                    program.recording_began(begun.sid, &record, speaking, ctx.now.instant);
                }
                Outcome::Going
            }
            RecordStep::End => {
                let taking = call.program.as_ref().and_then(Program::taking);
                if let Some(recording) = taking.map(|taking| taking.recording) {
                    self.stop_recording(recording, RecordingStatus::Processing, ctx);
                }
                Outcome::Going
            }
            RecordStep::Start(start) => {
                let options = RecordingOptions {
                    channels: start.channels,
                    track: start.track.parse().unwrap_or(RecordingTrack::Both),
                    ..RecordingOptions::from_twiml(&start.recording, &base)
                };
                if self.recordings.running(Recorded::Call(sid)).len() < RECORDINGS_MAX {
                    let source = RecordingSource::StartCallRecordingApi;
                    self.start_recording(account, sid, None, options, source, ctx);
                }
                self.next_verb(sid, ctx)
            }
            RecordStep::Stop => {
                self.stop_recordings(Recorded::Call(sid), ctx);
                self.next_verb(sid, ctx)
            }
        }
    }

    /// Records a `<Dial>` that rings, or that has connected the call, if that was asked for.
    pub(crate) fn record_dial(
        &mut self,
        sid: CallSid,
        dial: &Dial,
        rings: bool,
        ctx: &mut Context<'_>,
    ) {
        let Some(call) = self.calls.get(&sid) else { return };
        let wanted = dial.recording.as_ref().filter(|_| call.dial_recording.is_none());
        let Some(wanted) = wanted.filter(|wanted| wanted.from_ringing || !rings) else { return };
        let base = call.program.as_ref().map_or("", Program::url);
        let options = RecordingOptions {
            channels: wanted.channels,
            track: wanted.track.parse().unwrap_or(RecordingTrack::Both),
            ..RecordingOptions::from_twiml(&wanted.recording, base)
        };
        let (account, source) = (call.record.account, RecordingSource::DialVerb);
        let record = self.start_recording(account, sid, None, options, source, ctx);
        if let Some(call) = self.calls.get_mut(&sid) {
            call.dial_recording = Some(record.sid);
        }
    }

    /// Ends the recording of a `<Dial>` that is over; returns the field that tells its action where it is.
    pub(crate) fn end_dial_recording(
        &mut self,
        sid: CallSid,
        ctx: &mut Context<'_>,
    ) -> Option<(String, String)> {
        let recording = self.calls.get_mut(&sid)?.dial_recording.take()?;
        self.stop_recording(recording, RecordingStatus::Processing, ctx);
        self.recording_field(recording, ctx)
    }

    /// Returns the field that tells where a recording is.
    pub(crate) fn recording_field(
        &self,
        recording: RecordingSid,
        ctx: &Context<'_>,
    ) -> Option<(String, String)> {
        let record = &self.recordings.get(recording)?.record;
        Some(("RecordingUrl".to_owned(), recording_url(record, ctx)))
    }

    /// The fields that tell the receiver of a call's progress what is recorded of it by `Record`; the file is being
    /// closed then, and as long as it has lasted.
    pub(crate) fn recorded_of(&self, sid: CallSid, ctx: &Context<'_>) -> Vec<(String, String)> {
        let mut running = self.recordings.running(Recorded::Call(sid)).into_iter();
        let of_call = |sid: &RecordingSid| {
            let recording = self.recordings.get(*sid);
            recording.is_some_and(|one| one.record.source == RecordingSource::OutboundApi)
        };
        let recording = running.find(of_call).and_then(|sid| self.recordings.get(sid));
        recording.map_or_else(Vec::new, |recording| {
            let length = ctx.now.wall.since(recording.record.start_time);
            told(&Record { duration: Some(length), ..recording.record.clone() }, ctx)
        })
    }

    fn next_verb(&mut self, sid: CallSid, ctx: &mut Context<'_>) -> Outcome {
        let Some(call) = self.calls.get_mut(&sid) else { return Outcome::Going };
        let client = call.client();
        call.program.as_mut().map_or(Outcome::Ended, |program| program.advance(&client, ctx))
    }

    /// A caller began to speak, or has stopped: a `<Record>` waits for silence.
    pub(crate) fn speech_recorded(&mut self, sid: CallSid, speaking: bool, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        call.speaking = speaking;
        let is_waited_for = call.program.as_mut().is_some_and(|program| {
            program.record_speech(speaking, ctx.now.instant) || program.gather_speech(speaking, ctx)
        }) || call.queued.as_mut().is_some_and(|queued| {
            let heard = queued.program.as_mut();
            heard.is_some_and(|program| program.gather_speech(speaking, ctx))
        });
        if is_waited_for {
            self.touch(sid);
        }
    }

    /// Ends the `<Record>` of a call that is to do something else.
    pub(crate) fn abandon_record(&mut self, sid: CallSid, ctx: &mut Context<'_>) {
        let program = self.calls.get(&sid).and_then(|call| call.program.as_ref());
        if let Some(recording) = program.and_then(Program::taking).map(|taking| taking.recording) {
            self.stop_recording(recording, RecordingStatus::Processing, ctx);
        }
    }

    /// Notes what is to be asked when the recording of a call is there that is over by now.
    pub(crate) fn ask_after_end(&mut self, sid: CallSid, status: CallStatus) {
        let Some(call) = self.calls.get(&sid) else { return };
        let Some(program) = &call.program else { return };
        let Some(recording) = program.taking().map(|taking| taking.recording) else { return };
        let Ok(document) = program.record_action() else { return };
        let record = model::Call { status, ..call.record.clone() };
        let mut params = callbacks::voice_params(&record, &call.headers);
        params.push(("Digits".to_owned(), "hangup".to_owned()));
        if let Some(recording) = self.recordings.get_mut(recording) {
            recording.after = Some((document, params));
        }
    }

    /// Goes on with the call whose `<Record>` waited for this recording.
    pub(crate) fn after_recording(
        &mut self,
        record: &Record,
        after: Option<After>,
        ctx: &mut Context<'_>,
    ) {
        let params = (record.status == RecordingStatus::Completed).then(|| told(record, ctx));
        if let (Some((document, mut fields)), Some(params)) = (after, &params) {
            fields.extend(params.iter().cloned());
            let fetch = ctx.names.fetch(Owner::Call(record.call));
            // Nobody follows the answer: the call is over.
            ctx.names.take_fetch(fetch);
            let (account, call) = (record.account, Some(record.call));
            ctx.push(Effect::Fetch { fetch, account, call, document, params: fields });
        }
        let program = self.calls.get(&record.call).and_then(|call| call.program.as_ref());
        if program.and_then(Program::taking).is_some_and(|t| t.recording == record.sid) {
            self.run_call(record.call, ctx, |program, client, ctx| {
                program.recorded(params, client, ctx)
            });
        }
    }
}

fn told(record: &Record, ctx: &Context<'_>) -> Vec<(String, String)> {
    let seconds = record.duration_seconds().unwrap_or_default();
    vec![
        ("RecordingUrl".to_owned(), recording_url(record, ctx)),
        ("RecordingSid".to_owned(), record.sid.to_string()),
        ("RecordingDuration".to_owned(), seconds.to_string()),
    ]
}

/// Returns where a recording's sound is to be had.
pub(crate) fn recording_url(record: &Record, ctx: &Context<'_>) -> String {
    let Record { account, sid, .. } = record;
    format!("{}/2010-04-01/Accounts/{account}/Recordings/{sid}", ctx.names.api_url)
}
