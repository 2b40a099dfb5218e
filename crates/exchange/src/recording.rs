//! Recordings of conferences and calls: when they begin, halt and end, and what came of them.
//!
//! The sound itself goes from the mixer to a file without passing here.
//!
//! Source: Twilio API 2010-04-01, Conference Recording and Call Recording resources; TwiML
//! `<Conference>`, `record`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::{
    AccountSid, CallSid, ConferenceSid, Level, Recording as Record, RecordingSid, RecordingSource,
    RecordingStatus, RecordingTrack,
};
use serde::{Deserialize, Serialize};

use crate::callbacks;
use crate::context::{About, Context};
use crate::exchange::{Touched, World};
use crate::record::After;
use crate::{Audience, Effect, Failure, Refusal, Reply};

/// Most recordings of one call or conference that run at the same time.
pub const RECORDINGS_MAX: usize = 8;
/// What is shorter is absent: 16101.
pub const LENGTH_MIN: Duration = Duration::from_millis(100);

/// Twilio's code of a recording that is too short to be one.
const TOO_SHORT: u32 = 16101;
/// Twilio's code of a recording in which nothing was to be heard.
const SILENT: u32 = 16102;

/// Where and when a recording's progress is told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecordingCallback {
    /// The receiver; none: nothing is told.
    pub url: Option<String>,
    /// In upper case; empty means POST.
    pub method: String,
    /// Of `started in-progress paused resumed stopped completed failed absent`; none mean
    /// `completed`.
    pub events: Vec<String>,
}

/// How something is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingOptions {
    /// One, or two: the first that came on the left, everyone else on the right.
    pub channels: u8,
    /// Which direction of a call.
    #[serde(with = "word")]
    pub track: RecordingTrack,
    /// Whether silence at both ends is cut off.
    pub trim: bool,
    /// Whether each participant of a conference is recorded in a track of its own; nothing is cut off then.
    #[serde(default)]
    pub tracks: bool,
    /// Who is told.
    pub callback: RecordingCallback,
}

impl Default for RecordingOptions {
    fn default() -> Self {
        Self {
            channels: 1,
            track: RecordingTrack::Both,
            trim: true,
            tracks: false,
            callback: RecordingCallback::default(),
        }
    }
}

impl RecordingOptions {
    /// Takes the attributes of TwiML; relative addresses are relative to `base`.
    pub fn from_twiml(recording: &twiml::Recording, base: &str) -> Self {
        let url = recording.status_callback.as_deref();
        Self {
            trim: recording.trim && !recording.tracks,
            tracks: recording.tracks,
            callback: RecordingCallback {
                url: url.and_then(|url| twiml::resolve(base, url).ok()),
                method: recording.status_callback_method.clone(),
                events: recording.status_callback_events.clone(),
            },
            ..Self::default()
        }
    }
}

mod word {
    use model::RecordingTrack;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(word: &RecordingTrack, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(word.as_str())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RecordingTrack, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// What a halted recording holds of the time that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PauseBehavior {
    /// Silence.
    Silence,
    /// Nothing.
    Skip,
}

/// What is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recorded {
    /// What everyone in a conference hears.
    Conference(ConferenceSid),
    /// One call.
    Call(CallSid),
}

/// How the API names a recording of a conference or call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingKey {
    /// By its SID.
    Sid(RecordingSid),
    /// The one that runs: `Twilio.CURRENT`.
    Current,
}

/// What the API makes of a recording that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingChange {
    /// `Status=paused`
    Pause(PauseBehavior),
    /// `Status=in-progress`
    Resume,
    /// `Status=stopped`
    Stop,
}

/// What a closed file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingEnd {
    /// How long it is.
    pub length: Duration,
    /// Whether nothing is to be heard in it, or was before silence was cut off.
    pub silent: bool,
    /// Why it broke off.
    pub failure: Option<Failure>,
}

/// A recording that is not over.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) record: Record,
    pub(crate) callback: RecordingCallback,
    pub(crate) trim: bool,
    pub(crate) pause: Option<PauseBehavior>,
    /// What is asked when it is there, where its call is over by then.
    pub(crate) after: Option<After>,
}

impl Recording {
    pub(crate) fn subject(&self) -> Recorded {
        self.record.conference.map_or(Recorded::Call(self.record.call), Recorded::Conference)
    }

    fn runs(&self) -> bool {
        matches!(self.record.status, RecordingStatus::InProgress | RecordingStatus::Paused)
    }

    fn about(&self) -> About {
        let Record { account, call, conference, .. } = self.record;
        About { account, call: Some(call), conference, url: None }
    }
}

/// All recordings that are not over.
#[derive(Debug, Default)]
pub(crate) struct Recordings {
    all: BTreeMap<RecordingSid, Recording>,
    by_subject: BTreeSet<(Recorded, RecordingSid)>,
}

impl Recordings {
    pub(crate) fn insert(&mut self, recording: Recording) {
        let sid = recording.record.sid;
        self.by_subject.insert((recording.subject(), sid));
        self.all.insert(sid, recording);
    }

    pub(crate) fn get(&self, sid: RecordingSid) -> Option<&Recording> {
        self.all.get(&sid)
    }

    pub(crate) fn get_mut(&mut self, sid: RecordingSid) -> Option<&mut Recording> {
        self.all.get_mut(&sid)
    }

    fn remove(&mut self, sid: RecordingSid) -> Option<Recording> {
        let recording = self.all.remove(&sid)?;
        self.by_subject.remove(&(recording.subject(), sid));
        Some(recording)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Recording> {
        self.all.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Those of one conference or call that run.
    pub(crate) fn running(&self, subject: Recorded) -> Vec<RecordingSid> {
        let first = RecordingSid::new([0; 16]);
        let of_subject = self.by_subject.range((subject, first)..);
        let of_subject = of_subject.take_while(|(other, _)| *other == subject);
        let runs = |sid: &RecordingSid| self.all.get(sid).is_some_and(Recording::runs);
        of_subject.map(|(_, sid)| *sid).filter(runs).collect()
    }
}

impl World {
    /// Records a conference that has just started, if that was asked for.
    pub(crate) fn record_conference(&mut self, sid: ConferenceSid, ctx: &mut Context<'_>) {
        let Some(conference) = self.conferences.get(&sid) else { return };
        let Some(mut options) = conference.recording.clone() else { return };
        options.channels = if options.tracks { 1 } else { ctx.names.conference_channels };
        let connected = |call: &CallSid| conference.members[call].is_connected();
        let Some(first) = conference.in_order().into_iter().find(connected) else { return };
        let (account, source) = (conference.record.account, RecordingSource::Conference);
        self.start_recording(account, first, Some(sid), options, source, ctx);
        self.begin_tracks(sid, ctx);
    }

    /// `POST .../Calls/{CallSid}/Recordings.json`
    pub(crate) fn create_recording(
        &mut self,
        account: AccountSid,
        sid: CallSid,
        options: RecordingOptions,
        ctx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        let call = self.calls.get(&sid).filter(|call| call.record.account == account);
        let call = call.ok_or(Refusal::CallNotFound)?;
        if !call.is_up() {
            return Err(Refusal::CallNotInProgress);
        }
        if self.recordings.running(Recorded::Call(sid)).len() >= RECORDINGS_MAX {
            return Err(Refusal::RecordingsAtOnce);
        }
        let source = RecordingSource::StartCallRecordingApi;
        let record = self.start_recording(account, sid, None, options, source, ctx);
        Ok(Reply::Recording(Box::new(record)))
    }

    /// Records a call that was just answered, if that was asked for.
    pub(crate) fn record_call(&mut self, sid: CallSid, ctx: &mut Context<'_>) {
        let Some(call) = self.calls.get_mut(&sid) else { return };
        let Some(options) = call.recording.take() else { return };
        let (account, source) = (call.record.account, RecordingSource::OutboundApi);
        self.start_recording(account, sid, None, options, source, ctx);
    }

    /// Begins a recording of a call, or of the conference that is named.
    pub(crate) fn start_recording(
        &mut self,
        account: AccountSid,
        call: CallSid,
        conference: Option<ConferenceSid>,
        options: RecordingOptions,
        source: RecordingSource,
        ctx: &mut Context<'_>,
    ) -> Record {
        let now = ctx.now.wall;
        let record = Record {
            sid: ctx.names.recording(),
            account,
            call,
            conference,
            channels: options.channels,
            tracks: options.tracks.then(Vec::new),
            source,
            track: options.track,
            status: RecordingStatus::InProgress,
            date_created: now,
            date_updated: now,
            start_time: now,
            duration: None,
            error_code: None,
        };
        let RecordingOptions { channels, track, trim, tracks, callback } = options;
        let recording =
            Recording { record: record.clone(), callback, trim, pause: None, after: None };
        ctx.push(Effect::Record {
            recording: record.sid,
            of: conference.map_or(Audience::Call(call), Audience::Conference),
            channels,
            tracks,
            track,
            first: call,
            trim,
        });
        callbacks::recording_event(&recording, &["started", "in-progress"], ctx);
        self.recordings.insert(recording);
        self.touched.insert(Touched::Recording(record.sid));
        record
    }

    /// Ends all recordings of a conference or call that is over.
    pub(crate) fn stop_recordings(&mut self, subject: Recorded, ctx: &mut Context<'_>) {
        for sid in self.recordings.running(subject) {
            self.stop_recording(sid, RecordingStatus::Processing, ctx);
        }
    }

    pub(crate) fn stop_recording(
        &mut self,
        sid: RecordingSid,
        status: RecordingStatus,
        ctx: &mut Context<'_>,
    ) {
        let Some(recording) = self.recordings.get_mut(sid).filter(|one| one.runs()) else { return };
        recording.record.status = status;
        recording.record.date_updated = ctx.now.wall;
        recording.pause = None;
        ctx.push(Effect::StopRecording(sid));
        if status == RecordingStatus::Stopped {
            callbacks::recording_event(recording, &["stopped"], ctx);
        }
        self.touched.insert(Touched::Recording(sid));
    }

    /// `POST .../Recordings/{Sid or Twilio.CURRENT}.json`, below a conference or a call; `api` has found the
    /// SID there.
    pub(crate) fn update_recording(
        &mut self,
        account: AccountSid,
        subject: Recorded,
        key: RecordingKey,
        change: RecordingChange,
        ctx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        let of_account = |sid: &RecordingSid| self.recordings.all[sid].record.account == account;
        let running = self.recordings.running(subject).into_iter().filter(of_account);
        let latest = |sid: &RecordingSid| self.recordings.all[sid].record.date_created;
        let sid = match key {
            RecordingKey::Current => {
                running.max_by_key(latest).ok_or(Refusal::RecordingNotFound)?
            }
            RecordingKey::Sid(sid) => {
                running.into_iter().find(|one| *one == sid).ok_or(Refusal::RecordingNotRunning)?
            }
        };
        match change {
            RecordingChange::Stop => self.stop_recording(sid, RecordingStatus::Stopped, ctx),
            RecordingChange::Pause(pause) => self.pause_recording(sid, Some(pause), ctx),
            RecordingChange::Resume => self.pause_recording(sid, None, ctx),
        }
        Ok(Reply::Recording(Box::new(self.recordings.all[&sid].record.clone())))
    }

    fn pause_recording(
        &mut self,
        sid: RecordingSid,
        pause: Option<PauseBehavior>,
        ctx: &mut Context<'_>,
    ) {
        let Some(recording) = self.recordings.all.get_mut(&sid) else { return };
        let was_paused = recording.pause.is_some();
        if recording.pause == pause {
            return;
        }
        recording.pause = pause;
        recording.record.date_updated = ctx.now.wall;
        ctx.push(Effect::PauseRecording { recording: sid, pause });
        let (subject, is_in_tracks) = (recording.subject(), recording.record.tracks.is_some());
        if was_paused != pause.is_some() {
            let (status, event) = match pause {
                Some(_) => (RecordingStatus::Paused, "paused"),
                None => (RecordingStatus::InProgress, "resumed"),
            };
            recording.record.status = status;
            callbacks::recording_event(recording, &[event], ctx);
        }
        self.touched.insert(Touched::Recording(sid));
        if is_in_tracks {
            self.tracks_paused(subject, pause, ctx);
        }
    }

    /// A recording's file is closed.
    pub(crate) fn recording_ended(
        &mut self,
        sid: RecordingSid,
        end: RecordingEnd,
        ctx: &mut Context<'_>,
    ) {
        let Some(mut recording) = self.recordings.remove(sid) else { return };
        let (status, failure) = judged(end.failure, end.length, end.silent, recording.trim);
        let record = &mut recording.record;
        record.status = status;
        record.date_updated = ctx.now.wall;
        record.duration = Some(end.length);
        record.error_code = failure.as_ref().map(|failure| failure.code);
        if let Some(failure) = failure {
            let failed = status == RecordingStatus::Failed;
            let level = if failed { Level::Error } else { Level::Warning };
            ctx.notify(recording.about(), level, &failure);
        }
        callbacks::recording_event(&recording, &[status.as_str()], ctx);
        let Recording { record, after, .. } = recording;
        let (record, state) = (Box::new(record), String::new());
        ctx.push(Effect::Write(model::Change::Recording { record: record.clone(), state }));
        self.after_recording(&record, after, ctx);
    }

    /// `DELETE .../Recordings/{Sid}.json`, for a recording that `api` has found.
    pub(crate) fn delete_recording(
        &mut self,
        recording: RecordingSid,
        ctx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        if self.recordings.get(recording).is_some() {
            return Err(Refusal::RecordingNotFinished);
        }
        let date = ctx.now.wall;
        ctx.push(Effect::Write(model::Change::DeleteRecording { recording, date }));
        ctx.push(Effect::EraseRecording(recording));
        Ok(Reply::Done)
    }
}

/// Says what a closed file makes of its recording, and what the debugger log is told.
fn judged(
    failure: Option<Failure>,
    length: Duration,
    silent: bool,
    trim: bool,
) -> (RecordingStatus, Option<Failure>) {
    let absent = |code, message: &str| {
        (RecordingStatus::Absent, Some(Failure { code, message: message.to_owned() }))
    };
    match failure {
        Some(failure) => (RecordingStatus::Failed, Some(failure)),
        None if silent && trim => absent(SILENT, "nothing was to be heard"),
        None if length < LENGTH_MIN => absent(TOO_SHORT, "the recording is too short"),
        None => (RecordingStatus::Completed, None),
    }
}
